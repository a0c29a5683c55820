//! A posted message as it is kept: in the inbox, in captures and in tests of rules.

use serde_json::{Map, Value, json};

use crate::body::Bodies;
use crate::message::{Message, PostKind, Posted, PostedWhat, Status};

/// A message without the request that brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub kind: PostKind,
    /// The service that checks in, or the name of `[[intake.json]]`.
    pub name: String,
    /// The host that the configuration or the message names.
    pub host: Option<String>,
    /// How the service is; none unless it checks in.
    pub status: Option<Status>,
    /// What the service says.
    pub info: String,
    /// All fields as JSON.
    pub text: String,
}

impl Kept {
    /// The message.
    pub fn message(&self) -> Message<'_> {
        let what = match (self.kind, self.status) {
            (PostKind::CheckIn, status) => {
                PostedWhat::CheckIn { status: status.unwrap_or(Status::Unknown), info: &self.info }
            }
            (PostKind::Json, _) => PostedWhat::Json,
        };
        Message::Posted(Posted {
            what,
            name: &self.name,
            host: self.host.as_deref(),
            text: &self.text,
            bodies: Bodies::default(),
        })
    }

    /// Reads what [`written`] has written; none if it is something else.
    pub fn read(text: &str) -> Option<Self> {
        let Value::Object(mut all) = serde_json::from_str(text).ok()? else { return None };
        let host = match all.shift_remove("host") {
            Some(Value::String(host)) => Some(host),
            _ => None,
        };
        let (kind, name) = match (all.shift_remove("checkin"), all.shift_remove("json")) {
            (Some(Value::String(name)), None) => (PostKind::CheckIn, name),
            (None, Some(Value::String(name))) => (PostKind::Json, name),
            _ => return None,
        };
        let fields = all.shift_remove("fields")?;
        let field = |name: &str| fields.get(name).and_then(Value::as_str);
        let (status, info) = match kind {
            PostKind::CheckIn => (Some(Status::from_word(field("status")?)?), field("info").unwrap_or("")),
            PostKind::Json => (None, ""),
        };
        Some(Kept { kind, name, host, status, info: info.to_owned(), text: fields.to_string() })
    }
}

/// A message as one line of JSON: `{"checkin": "NAME", "host": "HOST", "fields": {...}}`.
pub fn written(posted: &Posted<'_>) -> String {
    let fields: Value = serde_json::from_str(posted.text).unwrap_or_default();
    let mut all = Map::new();
    all.insert(posted.kind().as_str().to_owned(), posted.name.into());
    all.extend(posted.host.map(|host| ("host".to_owned(), json!(host))));
    all.insert("fields".to_owned(), fields);
    Value::Object(all).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posted::checkin;

    #[test]
    fn what_is_written_is_read_back() {
        let body =
            br#"{"service":"backup","status":"critical","info":"tape \"7\"\nfull","rate":1.5,"token":"x"}"#;
        for host in [None, Some("laptop")] {
            let kept = checkin::read(body).unwrap().into_kept(host);
            let Message::Posted(posted) = kept.message() else { panic!("another message") };
            assert_eq!(Kept::read(&written(&posted)), Some(kept.clone()));
        }
        for other in ["", "{}", "[]", r#"{"checkin":"a"}"#, r#"{"checkin":"a","fields":{"status":"?"}}"#] {
            assert_eq!(Kept::read(other), None, "{other}");
        }
    }
}
