//! What is read of the body of an answer: an id, or whether the system says that it has done what it was asked.

use serde_json::Value;

use crate::http::client::Answer;

/// What an answer must have at some place, where a system answers mistakes with status 200 as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// A pointer, as [`at`] reads it.
    pub(super) at: String,
    /// The value there, as text.
    pub(super) is: String,
}

impl Expected {
    /// Whether the answer has it.
    pub(super) fn holds(&self, answer: &Answer) -> bool {
        let json = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        at(&json, &self.at).and_then(text).is_some_and(|text| text == self.is)
    }
}

/// Whether a text is a pointer.
pub(super) fn is_pointer(text: &str) -> bool {
    text.starts_with('/')
}

/// What a pointer leads to (RFC 6901). `*` stands for the first entry of a list or an object.
pub(super) fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    pointer.split('/').skip(1).try_fold(value, |value, part| match (part, value) {
        ("*", Value::Array(list)) => list.first(),
        ("*", Value::Object(object)) => object.values().next(),
        (part, Value::Array(list)) => list.get(part.parse::<usize>().ok()?),
        (part, Value::Object(object)) => object.get(&part.replace("~1", "/").replace("~0", "~")),
        _ => None,
    })
}

/// A text, a number or a truth value, as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Whether an answer has what a pointer looks into, if only an empty list: another one says nothing of tickets, though its status is good.
fn lists(json: &Value, pointer: &str) -> bool {
    let mut parts = pointer.split('/').skip(1);
    match (json, parts.next(), parts.next()) {
        (Value::Object(object), Some(first), Some(_)) => {
            first == "*" || object.contains_key(&first.replace("~1", "/").replace("~0", "~"))
        }
        _ => true,
    }
}

/// The id in the answer to a search; none if there is none.
pub(super) fn found(answer: &Answer, pointer: &str) -> Result<Option<String>, &'static str> {
    let json: Value = serde_json::from_slice(&answer.body).map_err(|_| "no JSON")?;
    if !json.is_object() && !json.is_array() {
        return Err("no JSON object");
    }
    if !lists(&json, pointer) {
        return Err("something else than a list of tickets");
    }
    match at(&json, pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if id.is_empty() => Ok(None),
        Some(Value::String(id)) => Ok(Some(id.clone())),
        Some(Value::Number(id)) => Ok(Some(id.to_string())),
        Some(_) => Err("something else than an id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::http::tests::answer;

    #[test]
    fn an_id_is_a_text_or_a_number() {
        let id = |body: &str| found(&answer(200, body), "/result/0/sys_id");
        assert_eq!(id(r#"{"result":[{"sys_id":"a1"}]}"#), Ok(Some("a1".into())));
        assert_eq!(id(r#"{"result":[{"sys_id":17}]}"#), Ok(Some("17".into())));
        for none in [
            r#"{"result":[]}"#,
            r#"{"result":null}"#,
            r#"{"result":[{"sys_id":""}]}"#,
            r#"{"result":[{"sys_id":null}]}"#,
        ] {
            assert_eq!(id(none), Ok(None), "{none}");
        }
        // What is no answer to a search says of no ticket that it is not there: one would be opened twice, or never closed.
        for other in ["{}", r#"{"error":"maintenance"}"#, r#"{"results":[]}"#] {
            assert_eq!(id(other), Err("something else than a list of tickets"), "{other}");
        }
        let first = |body: &str, pointer: &str| found(&answer(200, body), pointer);
        assert_eq!(first("{}", "/id"), Ok(None));
        assert_eq!(first("[]", "/0/id"), Ok(None));
        assert_eq!(first("{}", "/*/id"), Ok(None));
        assert_eq!(first(r#"{"a/b":[]}"#, "/a~1b/0/id"), Ok(None));
        assert!(first(r#"{"error":1}"#, "/0/id").is_err());
        for wrong in ["", "<html>", "7", r#"{"result":[{"sys_id":{}}]}"#] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_entry_needs_no_name() {
        let first = |body: &str| found(&answer(200, body), "/objects/*/key");
        assert_eq!(
            first(r#"{"objects":{"Incident::7":{"key":"7"},"Incident::8":{"key":"8"}}}"#),
            Ok(Some("7".into()))
        );
        assert_eq!(first(r#"{"objects":[{"key":9}]}"#), Ok(Some("9".into())));
        assert_eq!(first(r#"{"objects":null}"#), Ok(None));
        assert_eq!(first(r#"{"objects":{}}"#), Ok(None));
    }

    #[test]
    fn what_is_expected_is_a_value_at_a_place() {
        let holds = |at: &str, is: &str, body: &str| {
            Expected { at: at.into(), is: is.into() }.holds(&answer(200, body))
        };
        assert!(holds("/code", "0", r#"{"code":0}"#) && holds("/code", "0", r#"{"code":"0"}"#));
        assert!(holds("/a~1b/ok", "true", r#"{"a/b":{"ok":true}}"#));
        for body in ["", "<html>", "{}", r#"{"code":100}"#, r#"{"code":null}"#, r#"{"code":[0]}"#, "[0]"] {
            assert!(!holds("/code", "0", body), "{body}");
        }
    }
}
