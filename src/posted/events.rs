//! Events in JSON: what other programs send by HTTP, taken apart into single events.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::body::{exact, too_large};
use crate::message::PostKind;
use crate::posted::kept::Kept;
use crate::text::without_bom;

/// The most events of a request.
pub const MOST: usize = 1000;
/// The longest event, in octets.
pub const LONGEST: usize = 64 * 1024;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Anybody: the configuration says where events are.
    Any,
    /// Who speaks Canopsis' API for events: an event, or a list of them.
    Canopsis,
    /// Prometheus, as to an Alertmanager: a list of alerts.
    Prometheus,
    /// Alertmanager's webhook, version 4.
    Alertmanager,
}

impl Format {
    /// All but [`Format::Any`], by the words of the configuration.
    pub const NAMED: [(&'static str, Format); 3] = [
        ("canopsis", Format::Canopsis),
        ("prometheus", Format::Prometheus),
        ("alertmanager", Format::Alertmanager),
    ];

    /// The paths that the senders use; none where people choose it.
    pub fn paths(self) -> &'static [&'static str] {
        match self {
            Format::Canopsis => &["/api/v4/event", "/api/v2/event"],
            Format::Prometheus => &["/api/v2/alerts"],
            Format::Any | Format::Alertmanager => &[],
        }
    }

    /// Where the list of events is; none for all of the body.
    pub fn each(self) -> Option<&'static str> {
        (self == Format::Alertmanager).then_some("/alerts")
    }
}

/// How the events of a body are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What rules match.
    pub name: String,
    /// Who sends.
    pub format: Format,
    /// Where the list of events is (RFC 6901); none for all of the body.
    pub each: Option<String>,
    /// Where an event names its host.
    pub host: Option<String>,
}

/// Why a body has no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It is no JSON.
    #[error("the body is no JSON, at line {0} column {1}")]
    Json(usize, usize),
    /// It is JSON with a number that nobody can have meant.
    #[error("{0}")]
    TooLarge(String),
    /// There is nothing where events should be.
    #[error("the body has no events at '{0}'")]
    Nothing(String),
    /// They are too many.
    #[error("the body has {0} events, more than {MOST}; send several requests")]
    Many(usize),
}

/// An event, or one that is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// As it was sent.
    pub sent: Value,
    /// The message.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub kept: Result<Kept, &'static str>,
}

impl Source {
    /// The events of a body that is received at a time, in microseconds since 1970 UTC.
    ///
    /// # Errors
    ///
    /// [`Mistake`].
    pub fn read(&self, body: &[u8], now: i64) -> Result<Vec<Event>, Mistake> {
        let body = without_bom(body);
        let body: Value = match std::str::from_utf8(body) {
            Ok(text) => serde_json::from_str(&exact(text)),
            // It says where.
            Err(_) => serde_json::from_slice(body),
        }
        .map_err(|error| match too_large(&error) {
            Some(why) => Mistake::TooLarge(why),
            None => Mistake::Json(error.line(), error.column()),
        })?;
        let mut body = Some(body);
        let place = self.each.as_deref().or(self.format.each()).unwrap_or("");
        let found = body.as_mut().and_then(|body| body.pointer_mut(place)).map(Value::take);
        let all = match found.ok_or_else(|| Mistake::Nothing(place.to_owned()))? {
            Value::Array(all) => all,
            one => vec![one],
        };
        if all.len() > MOST {
            return Err(Mistake::Many(all.len()));
        }
        Ok(all.into_iter().map(|sent| Event { kept: self.event(&sent, now), sent }).collect())
    }

    fn event(&self, sent: &Value, now: i64) -> Result<Kept, &'static str> {
        if !sent.is_object() {
            return Err("an event must be an object");
        }
        let mut event = sent.clone();
        match self.format {
            Format::Any => {}
            Format::Canopsis if !sent["component"].is_string() => return Err("an event needs a component"),
            Format::Canopsis => {}
            Format::Prometheus | Format::Alertmanager if !sent["labels"].is_object() => {
                return Err("an alert needs labels");
            }
            // Alertmanager says it; Prometheus says only until when an alert is open, which is ahead while it is.
            Format::Prometheus | Format::Alertmanager => {
                if !sent["status"].is_string() {
                    let ended = sent["endsAt"].as_str().is_some_and(|end| has_ended(end, now));
                    event["status"] = json!(if ended { "resolved" } else { "firing" });
                }
            }
        }
        let text = event.to_string();
        if text.len() > LONGEST {
            return Err("an event is longer than 64 KiB");
        }
        let host = self.host.as_deref().and_then(|place| event.pointer(place)).and_then(Value::as_str);
        Ok(Kept {
            kind: PostKind::Json,
            name: self.name.clone(),
            host: host.filter(|host| !host.is_empty()).map(str::to_owned),
            status: None,
            info: String::new(),
            text,
        })
    }
}

/// Whether a time has come. The year 1 stands for none.
fn has_ended(end: &str, now: i64) -> bool {
    end.parse::<Timestamp>().is_ok_and(|end| end.as_second() > 0 && end.as_microsecond() <= now)
}

/// Whether a text is a pointer (RFC 6901).
pub fn is_pointer(text: &str) -> bool {
    text.is_empty() || text.starts_with('/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(format: Format, each: Option<&str>, host: Option<&str>) -> Source {
        Source { name: "x".into(), format, each: each.map(str::to_owned), host: host.map(str::to_owned) }
    }

    /// What each event is, with its host before it.
    fn shown(source: &Source, body: &str) -> Vec<String> {
        let now = "2026-11-26T12:00:00Z".parse::<Timestamp>().unwrap().as_microsecond();
        let all = source.read(body.as_bytes(), now).unwrap_or_else(|error| panic!("{body}: {error}"));
        all.into_iter()
            .map(|event| match event.kept {
                Ok(kept) => format!("{}: {}", kept.host.unwrap_or_default(), kept.text),
                Err(why) => why.to_owned(),
            })
            .collect()
    }

    #[test]
    fn events_are_found_where_the_configuration_says() {
        for (each, host, body, expected) in [
            (None, None, r#"{"a":1}"#, &[r#": {"a":1}"#][..]),
            (None, None, "\u{feff}{\"a\":1}", &[r#": {"a":1}"#]),
            (
                None,
                Some("/h"),
                r#"[{"h":"db1"},{"h":7},{"h":""}]"#,
                &[r#"db1: {"h":"db1"}"#, r#": {"h":7}"#, r#": {"h":""}"#],
            ),
            (Some("/events"), Some("/a/0"), r#"{"events":[{"a":["x"]}],"more":1}"#, &[r#"x: {"a":["x"]}"#]),
            (Some("/e~1v"), None, r#"{"e/v":{"a":1}}"#, &[r#": {"a":1}"#]),
            (None, None, "[]", &[]),
            (None, None, "[1,\"a\",null,[]]", &["an event must be an object"; 4]),
        ] {
            assert_eq!(shown(&source(Format::Any, each, host), body), expected, "{body}");
        }
    }

    #[test]
    fn what_has_no_events_is_refused() {
        let any = source(Format::Any, Some("/events"), None);
        assert_eq!(any.read(b"{", 0), Err(Mistake::Json(1, 1)));
        let said = any.read(b"{\"a\":\n1e400}", 0).unwrap_err().to_string();
        assert!(said.starts_with("a number of the body is too large, at line 2 column 5: write"), "{said}");
        let said = any.read(b"{\"a\": 1e}", 0).unwrap_err().to_string();
        assert!(said.starts_with("the body is no JSON"), "{said}");
        assert_eq!(any.read(b"{}", 0), Err(Mistake::Nothing("/events".into())));
        let many = format!("{{\"events\":[{}0]}}", "0,".repeat(MOST));
        assert_eq!(any.read(many.as_bytes(), 0), Err(Mistake::Many(MOST + 1)));
        let long = format!("{{\"events\":[{{\"a\":\"{}\"}}]}}", "x".repeat(LONGEST));
        assert_eq!(shown(&any, &long), ["an event is longer than 64 KiB"]);
    }

    #[test]
    fn alerts_say_whether_they_are_open() {
        let alert = |rest: &str| format!(r#"[{{"labels":{{"alertname":"A"}}{rest}}}]"#);
        for (rest, status) in [
            ("", "firing"),
            (r#","endsAt":"2026-11-26T12:04:00Z""#, "firing"),
            (r#","endsAt":"2026-11-26T12:00:00Z""#, "resolved"),
            (r#","endsAt":"2026-11-26T13:00:00+01:00""#, "resolved"),
            (r#","endsAt":"0001-01-01T00:00:00Z""#, "firing"),
            (r#","endsAt":"soon""#, "firing"),
            (r#","status":"resolved""#, "resolved"),
        ] {
            let shown = shown(&source(Format::Prometheus, None, None), &alert(rest));
            assert!(shown[0].contains(&format!(r#""status":"{status}""#)), "{rest}: {shown:?}");
        }
        let webhook = format!(r#"{{"version":"4","status":"firing","alerts":{}}}"#, alert(""));
        assert_eq!(shown(&source(Format::Alertmanager, None, None), &webhook).len(), 1);
        assert_eq!(shown(&source(Format::Prometheus, None, None), "[{}]"), ["an alert needs labels"]);
        assert_eq!(shown(&source(Format::Canopsis, None, None), "{}"), ["an event needs a component"]);
    }

    proptest! {
        #[test]
        fn any_octets_are_safe(body in prop::collection::vec(any::<u8>(), 0..60), each in "[/a~01]{0,6}") {
            for (_, format) in Format::NAMED {
                let _ = source(format, Some(&each), Some(&each)).read(&body, 0);
            }
        }
    }
}
