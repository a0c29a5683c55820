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
    pointer.split('/').skip(1).try_fold(value, entry)
}

/// What a part of a pointer leads to.
fn entry<'v>(value: &'v Value, part: &str) -> Option<&'v Value> {
    match (part, value) {
        ("*", Value::Array(list)) => list.first(),
        ("*", Value::Object(object)) => object.values().next(),
        (part, Value::Array(list)) => list.get(part.parse::<usize>().ok()?),
        (part, Value::Object(object)) => object.get(&part.replace("~1", "/").replace("~0", "~")),
        _ => None,
    }
}

/// A text, a number or a truth value, as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The id in the answer to a search; none if there is none. That is so only where the list of tickets is empty: one that has other things
/// at the place of the id says of no ticket that it is not there, and a second one would be opened.
pub(super) fn found(answer: &Answer, pointer: &str) -> Result<Option<String>, String> {
    let wrong = |what: &str| {
        let answer = answer.excerpt();
        Err(format!("{what} at {pointer}; correct 'id' of 'find', or see what it answers: {answer}"))
    };
    let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else { return wrong("no JSON") };
    if !json.is_object() && !json.is_array() {
        return wrong("no JSON object");
    }
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let mut value = &json;
    for part in &parts {
        value = match (entry(value, part), value) {
            (Some(value), _) => value,
            (None, Value::Null) => return Ok(None),
            (None, Value::Array(list)) if list.is_empty() || part.parse::<usize>().is_ok() => {
                return Ok(None);
            }
            (None, Value::Object(object)) if object.is_empty() && (*part == "*" || parts.len() == 1) => {
                return Ok(None);
            }
            (None, _) => return wrong("nothing"),
        };
    }
    match value {
        Value::Null => Ok(None),
        Value::String(id) if id.is_empty() => Ok(None),
        Value::String(id) => Ok(Some(id.clone())),
        Value::Number(id) => Ok(Some(id.to_string())),
        _ => wrong("something else than a text or a number"),
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
        for other in [
            "{}",
            r#"{"error":"maintenance"}"#,
            r#"{"results":[]}"#,
            r#"{"result":"none"}"#,
            r#"{"result":[{}]}"#,
            r#"{"result":[{"number":"INC1"}]}"#,
            r#"{"result":[{"sys_id":["a1"]}]}"#,
            r#"{"result":{"sys_id":"a1"}}"#,
        ] {
            let said = id(other).unwrap_err();
            assert!(said.contains("at /result/0/sys_id") && said.contains(other), "{said}");
        }
        let long = id(&format!(r#"{{"result":"{}"}}"#, "x".repeat(100_000))).unwrap_err();
        assert!(long.len() < 1000, "{}", long.len());
        let first = |body: &str, pointer: &str| found(&answer(200, body), pointer);
        assert_eq!(first("{}", "/id"), Ok(None));
        assert_eq!(first("[]", "/0/id"), Ok(None));
        assert_eq!(first("{}", "/*/id"), Ok(None));
        assert_eq!(first(r#"{"a/b":[]}"#, "/a~1b/0/id"), Ok(None));
        assert!(first(r#"{"error":1}"#, "/0/id").is_err());
        assert!(first(r#"{"error":1}"#, "/id").is_err());
        assert!(first(r#"[{"key":1}]"#, "/*/id").is_err());
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
