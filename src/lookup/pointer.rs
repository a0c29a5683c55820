//! JSON pointers. Pure.

use serde_json::Value;

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointer {
    text: Box<str>,
    steps: Vec<Box<str>>,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() {
                Ok(Pointer::default())
            } else {
                Err(format!("'{text}' is no JSON pointer; write \"/{text}\""))
            };
        };
        let step = |step: &str| step.replace("~1", "/").replace("~0", "~").into();
        Ok(Pointer { text: text.into(), steps: rest.split('/').map(step).collect() })
    }

    /// The pointer with these steps, which have neither `/` nor `~`.
    pub fn to(steps: &[&str]) -> Self {
        let text: String = steps.iter().map(|step| format!("/{step}")).collect();
        Pointer { text: text.into(), steps: steps.iter().map(|step| (*step).into()).collect() }
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its steps.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(AsRef::as_ref)
    }

    /// What it points to.
    pub fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        value.pointer(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_those_of_rfc_6901() {
        let value = serde_json::json!({ "a": { "b/c": [1, { "~": 2 }] } });
        for (text, expected) in [
            ("", Some(&value)),
            ("/a/b~1c/0", Some(&1.into())),
            ("/a/b~1c/1/~0", Some(&2.into())),
            ("/x", None),
        ] {
            let pointer = Pointer::parse(text).unwrap();
            assert_eq!(pointer.of(&value), expected, "{text}");
        }
        assert_eq!(Pointer::parse("/a~1b/c").unwrap().steps().collect::<Vec<_>>(), ["a/b", "c"]);
        assert!(Pointer::parse("a").is_err());
    }
}
