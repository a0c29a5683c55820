//! The pagerduty sink: problems as alerts of PagerDuty's Events API v2, resolved by the outcome that ends them.

use hyper::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::outcome::result::State;
use crate::settings::secret;
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Call, Part};
use crate::sinks::http::escape::{in_text, key_of};
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::Said;
use crate::time::clock::rfc3339;

/// `type = "pagerduty"`
pub const KIND: Kind = Kind {
    name: "pagerduty",
    says: "PagerDuty, with its Events API v2",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key {
        name: "routing_key",
        default: "required",
        says: "The integration key of a service of PagerDuty (Events API v2).",
    },
    Key { name: "routing_key_file", default: "", says: "The same from the first line of a file." },
    Key { name: "routing_key_env", default: "", says: "The same from an environment variable." },
];

const ROUTING_KEY: secret::Keys =
    secret::Keys { inline: "routing_key", file: "routing_key_file", env: "routing_key_env" };

const REFERENCE: &str = "PagerDuty, Events API v2, Send an Alert Event";

/// What is read of an answer: `status`, `message` and `errors`.
const ANSWERS: &[Row] = &[
    Row { status: 202..=202, body: "success: *", means: Means::Taken, source: REFERENCE },
    Row {
        status: 400..=400,
        body: "*routing*key*",
        means: Means::AuthFailed,
        source: "PagerDuty, Events API v2 Overview, Response Codes: the integration key is not valid",
    },
    Row { status: 400..=400, body: "invalid event: *", means: Means::Dead, source: REFERENCE },
    Row { status: 500..=500, body: "*", means: Means::Later, source: REFERENCE },
];

/// The longest summary in characters, and the longest key in octets (PagerDuty, PD-CEF and Event Management).
const MAX_SUMMARY: usize = 1024;
const MAX_KEY: usize = 255;
/// The longest text among the details, in octets: an event has at most 512 KB.
const MAX_TEXT: usize = 64 << 10;

/// Alerts for PagerDuty.
#[derive(Clone)]
struct PagerDuty {
    routing_key: Zeroizing<String>,
}

impl std::fmt::Debug for PagerDuty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PagerDuty").finish_non_exhaustive()
    }
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "https://events.pagerduty.com", &[&ROUTING_KEY]);
    let routing_key = options.required_secret(&ROUTING_KEY);
    Some(Web::end(server?, PagerDuty { routing_key: routing_key? }))
}

/// A text, cut to what fits, and whether it was.
fn cut(text: &str, most: usize) -> (String, bool) {
    let text = in_text(text);
    if text.len() <= most {
        return (text, false);
    }
    (text[..text.floor_char_boundary(most)].to_owned(), true)
}

fn severity(state: State) -> &'static str {
    match state {
        State::Ok | State::Up => "info",
        State::Warning => "warning",
        State::Unknown | State::Unreachable => "error",
        State::Critical | State::Down => "critical",
    }
}

impl PagerDuty {
    fn body(&self, event: &str) -> Vec<u8> {
        // Without the key an event is shown to people.
        let key = Value::from(self.routing_key.as_str());
        format!("{{\"routing_key\":{key},{}", event.strip_prefix('{').unwrap_or(event)).into_bytes()
    }
}

impl Api for PagerDuty {
    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let common = record.outcome.common();
        let mut event = json!({ "event_action": "resolve", "dedup_key": key_of(record, MAX_KEY) });
        let mut was_cut = false;
        if !common.state.is_good() {
            let (output, cut_output) = cut(&common.output, MAX_TEXT);
            let (long_output, cut_long) = cut(&common.long_output, MAX_TEXT);
            was_cut = cut_output || cut_long;
            let service = record.outcome.service().unwrap_or("host");
            let summary: String =
                format!("{}: {service}: {output}", record.outcome.host()).chars().take(MAX_SUMMARY).collect();
            let labels: serde_json::Map<String, Value> =
                common.labels.iter().map(|(name, value)| (name.to_string(), Value::from(&**value))).collect();
            event["event_action"] = Value::from("trigger");
            event["client"] = Value::from("Trapline");
            event["payload"] = json!({
                "summary": summary,
                "source": record.outcome.host(),
                "severity": severity(common.state),
                "timestamp": rfc3339(common.time),
                "component": service,
                "class": common.rule,
                "custom_details": {
                    "id": record.id(),
                    "state": common.state.as_str(),
                    "output": output,
                    "long_output": long_output,
                    "address": common.source,
                    "labels": labels,
                },
            });
        }
        let body = event.to_string().into_bytes();
        Ok(Part { id: record.id(), body, cut: was_cut, ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let event = parts.first().map(|part| String::from_utf8_lossy(&part.body)).unwrap_or_default();
        Call::json(Method::POST, "/v2/enqueue", self.body(&event))
    }

    /// Without the key.
    fn pieces(&self, part: &Part) -> Vec<Piece> {
        vec![
            Piece::new(Format::Words, "POST"),
            Piece::new(Format::Path, "/v2/enqueue"),
            Piece::new(Format::Json, part.body.as_slice()),
        ]
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(status) = json["status"].as_str() else { return String::new() };
        let errors = json["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let said = json["message"].as_str().into_iter().chain(errors).collect::<Vec<_>>().join(", ");
        format!("{status}: {said}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::result::Labels;
    use crate::outcome::result::Outcome;
    use crate::sinks::http::tests::every_row;
    use crate::sinks::testing::{check, record};

    fn pager_duty() -> PagerDuty {
        PagerDuty { routing_key: "secret\"key".to_owned().into() }
    }

    fn sent(record: &Record<'_>) -> Value {
        let api = pager_duty();
        let part = api.part(record).unwrap();
        assert!(!String::from_utf8_lossy(&part.body).contains("secret"));
        serde_json::from_slice(&api.call(&[part]).body).unwrap()
    }

    #[test]
    fn what_answers_mean() {
        let all = [
            (202, r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#, "taken"),
            (202, "<html>", "later"),
            (
                400,
                r#"{"status":"invalid event","message":"Event object is invalid","errors":["Length of 'routing_key' is incorrect"]}"#,
                "refused",
            ),
            (
                400,
                r#"{"status":"invalid event","message":"Event object is invalid","errors":["'payload.severity' is invalid"]}"#,
                "dead",
            ),
            (400, "<html>", "later"),
            (429, r#"{"status":"throttle exceeded","message":"slow down"}"#, "busy"),
            (500, "", "later"),
            (503, "", "busy"),
            (404, "", "refused"),
        ];
        every_row(&pager_duty(), &all);
    }

    #[test]
    fn a_problem_is_triggered_and_resolved_by_its_key() {
        let mut outcome = record("rtr1", Some("Interface Gi0/3"), "down");
        outcome.outcome.common_mut().labels = Labels::Own(vec![("team".into(), "net".into())]);
        let trigger = sent(&outcome);
        assert_eq!(
            trigger,
            json!({
                "routing_key": "secret\"key",
                "event_action": "trigger",
                "dedup_key": "rtr1/Interface%20Gi0%2F3",
                "client": "Trapline",
                "payload": {
                    "summary": "rtr1: Interface Gi0/3: down",
                    "source": "rtr1",
                    "severity": "critical",
                    "timestamp": "2023-11-14T22:13:20.123456Z",
                    "component": "Interface Gi0/3",
                    "class": "r",
                    "custom_details": {
                        "id": "0000000000000001-2", "state": "critical", "output": "down", "long_output": "",
                        "address": "192.0.2.1", "labels": { "team": "net" },
                    },
                },
            })
        );
        let mut ok = check("rtr1", Some("Interface Gi0/3"), "up");
        ok.common.state = State::Ok;
        let resolve = sent(&Record { epoch: 1, sequence: 3, outcome: Outcome::CheckResult(ok) });
        let expected = json!({ "routing_key": "secret\"key", "event_action": "resolve", "dedup_key": "rtr1/Interface%20Gi0%2F3" });
        assert_eq!(resolve, expected);
    }

    #[test]
    fn what_is_long_is_cut_to_what_pager_duty_takes() {
        let long = "é".repeat(100_000);
        let outcome = record(&long, Some(&long), &long);
        let part = pager_duty().part(&outcome).unwrap();
        assert!(part.cut);
        let event: Value = serde_json::from_slice(&part.body).unwrap();
        let key = event["dedup_key"].as_str().unwrap();
        let other = pager_duty().part(&record(&long, Some(&format!("{long}.")), &long)).unwrap();
        let other: Value = serde_json::from_slice(&other.body).unwrap();
        assert_ne!(other["dedup_key"], key);
        assert!(key.len() == MAX_KEY && key.as_bytes()[MAX_KEY - 17] == b'~', "{key}");
        assert_eq!(event["payload"]["summary"].as_str().unwrap().chars().count(), MAX_SUMMARY);
    }
}
