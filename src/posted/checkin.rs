//! Check-ins: what a service says of itself. JSON whatever the content type says, or a form.

use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::body::{exact, too_large};
use crate::message::{PostKind, Status};
use crate::posted::form;
use crate::posted::kept::Kept;
use crate::text::without_bom;

/// The longest name of a service, in octets.
pub const LONGEST_NAME: usize = 255;
/// The longest id of a report, in octets.
const LONGEST_ID: usize = 128;

/// A check-in that was read.
#[derive(PartialEq)]
pub struct CheckIn {
    /// The service.
    pub service: String,
    /// What proves that it may speak for the service.
    pub token: Option<Zeroizing<String>>,
    /// How it is.
    pub status: Status,
    /// What it says.
    pub info: String,
    /// What tells this report from others: one that comes again is not taken twice.
    pub id: Option<String>,
    /// All of it without the token, as JSON.
    pub text: String,
}

impl fmt::Debug for CheckIn {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckIn")
            .field("service", &self.service)
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

/// Why a body is no check-in. The text says what to write; it has nothing of the body but names of fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Its octets are no text.
    #[error("the body is not UTF-8")]
    Utf8,
    /// It is no JSON, or none that can be read.
    #[error("{0}")]
    Json(String),
    /// It is no form.
    #[error("the body is neither a JSON object nor a form: {0}")]
    Form(String),
    /// A field is missing.
    #[error(
        "the field '{0}' is missing; write {{\"service\": \"NAME\", \"token\": \"...\", \"status\": \"OK\", \"info\": \"...\"}}"
    )]
    Missing(&'static str),
    /// A field is no text.
    #[error("the field '{0}' must be a string")]
    NoText(&'static str),
    /// A field is too long.
    #[error("the field '{0}' is longer than {1} octets")]
    Long(&'static str, usize),
    /// The state is none.
    #[error("the field 'status' must be OK, WARNING, CRITICAL or UNKNOWN, or 0 to 3")]
    Status,
    /// The service is named twice.
    #[error("the fields 'service' and 'service_name' differ; write one of them")]
    Twice,
}

/// Reads the body of a request.
///
/// # Errors
///
/// [`Mistake`].
pub fn read(body: &[u8]) -> Result<CheckIn, Mistake> {
    let text = std::str::from_utf8(without_bom(body)).map_err(|_| Mistake::Utf8)?.trim_start();
    let fields: Map<String, Value> = if text.starts_with(['{', '[', '"']) {
        serde_json::from_str(&exact(text)).map_err(|error| Mistake::Json(without_content(&error)))?
    } else {
        let fields = form::read(text).map_err(Mistake::Form)?;
        fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
    };
    of_fields(fields)
}

/// What is wrong with JSON and where, without what stands there.
fn without_content(error: &serde_json::Error) -> String {
    if let Some(why) = too_large(error) {
        return why;
    }
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "it must be one object",
        _ => "it is broken",
    };
    format!("the body is no JSON: {what}, at line {} column {}", error.line(), error.column())
}

fn of_fields(mut fields: Map<String, Value>) -> Result<CheckIn, Mistake> {
    let token = take(&mut fields, "token")?.map(Zeroizing::new);
    let service = match (take(&mut fields, "service")?, take(&mut fields, "service_name")?) {
        (Some(one), Some(other)) if one != other => return Err(Mistake::Twice),
        (Some(service), _) | (None, Some(service)) => service,
        (None, None) => return Err(Mistake::Missing("service")),
    };
    within("service", &service, LONGEST_NAME)?;
    if let Some(number) = fields.get("status").and_then(whole) {
        fields.insert("status".to_owned(), number.into());
    }
    let word = take(&mut fields, "status")?.ok_or(Mistake::Missing("status"))?;
    let status = Status::from_word(word.trim()).ok_or(Mistake::Status)?;
    let info = take(&mut fields, "info")?.unwrap_or_default();
    let id = take(&mut fields, "id")?;
    if let Some(id) = &id {
        within("id", id, LONGEST_ID)?;
    }
    let mut all = Map::new();
    all.insert("service".to_owned(), service.clone().into());
    all.insert("status".to_owned(), status.as_str().into());
    all.insert("info".to_owned(), info.clone().into());
    all.extend(id.clone().map(|id| ("id".to_owned(), id.into())));
    all.extend(fields);
    Ok(CheckIn { service, token, status, info, id, text: Value::Object(all).to_string() })
}

/// Takes a field out. Numbers are their text, `null` is none.
fn take(fields: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, Mistake> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(Mistake::NoText(name)),
    }
}

/// A number that is whole, but written with a fraction: JSON does not tell 2.0 from 2.
fn whole(value: &Value) -> Option<i64> {
    value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e6).map(|number| number as i64)
}

fn within(name: &'static str, text: &str, most: usize) -> Result<(), Mistake> {
    match text.len() {
        0 => Err(Mistake::Missing(name)),
        length if length > most => Err(Mistake::Long(name, most)),
        _ => Ok(()),
    }
}

impl CheckIn {
    /// The message for rules; `host` is that of the configuration.
    pub fn into_kept(self, host: Option<&str>) -> Kept {
        Kept {
            kind: PostKind::CheckIn,
            name: self.service,
            host: host.map(str::to_owned),
            status: Some(self.status),
            info: self.info,
            text: self.text,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_to_write_one_says_the_same() {
        let expected = ("backup", Some("s3cret"), Status::Warning, "2 of 3 done");
        for body in [
            r#"{"service": "backup", "token": "s3cret", "status": "WARNING", "info": "2 of 3 done"}"#,
            r#"{"service_name": "backup", "token": "s3cret", "status": "warning", "info": "2 of 3 done"}"#,
            r#"{"service": "backup", "token": "s3cret", "status": 1.0, "info": "2 of 3 done"}"#,
            "\u{feff}service=backup&token=s3cret&status=1&info=2+of+3+done",
            "\u{feff}\n {\"service\":\"backup\",\"service_name\":\"backup\",\"token\":\"s3cret\",\"status\":1,\"info\":\"2 of 3 done\"}",
            "service=backup&token=s3cret&status=Warning&info=2+of+3%20done",
            "service_name=backup&token=s3cret&status=1&info=2%20of%203%20done\n",
        ] {
            let read = read(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
            let token = read.token.as_ref().map(|token| token.as_str());
            assert_eq!((read.service.as_str(), token, read.status, read.info.as_str()), expected, "{body}");
            assert!(!read.text.contains("s3cret") && !format!("{read:?}").contains("s3cret"), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_what_was_sent() {
        for (body, why) in [
            (&b"\xff\xfe"[..], "not UTF-8"),
            (b"{\"service\": \"s3cret", "ends too early, at line 1"),
            (b"{\"service\" \"s3cret\"}", "broken"),
            (b"[\"s3cret\"]", "one object"),
            (b"\"s3cret\"", "one object"),
            (b"s3cret", "neither a JSON object nor a form"),
            (b"status=ok", "'service' is missing"),
            (b"service=&status=ok", "'service' is missing"),
            (b"service=a", "'status' is missing"),
            (b"service=a&status=s3cret", "must be OK, WARNING"),
            (b"service=a&service_name=s3cret&status=ok", "differ"),
            (b"{\"service\": {\"s3cret\": 1}, \"status\": 0}", "'service' must be a string"),
            (b"{\"service\": \"a\", \"status\": 4}", "must be OK, WARNING"),
            (b"{\"service\": \"a\", \"status\": 0, \"id\": \"\"}", "'id' is missing"),
        ] {
            let error = read(body).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
        }
        let long = format!("service={}&status=ok", "x".repeat(256));
        assert_eq!(read(long.as_bytes()), Err(Mistake::Long("service", LONGEST_NAME)));
    }

    #[test]
    fn further_fields_are_kept() {
        let read = read(br#"{"service":"a","status":"ok","jobs":3,"disk":{"used":0.5},"id":"7"}"#).unwrap();
        assert_eq!(
            read.text,
            r#"{"service":"a","status":"ok","info":"","id":"7","jobs":3,"disk":{"used":0.5}}"#
        );
        assert_eq!(read.id.as_deref(), Some("7"));
    }

    #[test]
    fn long_numbers_are_whole() {
        let read = read(
            br#"{"service":"a","status":2,"id":123456789012345678901234,"job":98765432109876543210987}"#,
        );
        let read = read.unwrap();
        assert_eq!((read.id.as_deref(), read.status), (Some("123456789012345678901234"), Status::Critical));
        assert!(read.text.contains(r#""job":"98765432109876543210987""#), "{}", read.text);
    }

    proptest! {
        #[test]
        fn any_octets_are_safe_and_no_token_is_left(body in prop::collection::vec(any::<u8>(), 0..80), token in "[a-z]{12}") {
            let _ = read(&body);
            let form = format!("service=a&status=ok&token={token}&x={}", form::encoded(&String::from_utf8_lossy(&body)));
            let read = read(form.as_bytes()).unwrap();
            prop_assert!(!read.text.contains(&token));
            let value: Value = serde_json::from_str(&read.text).unwrap();
            prop_assert_eq!(value["x"].as_str().unwrap(), String::from_utf8_lossy(&body));
        }
    }
}
