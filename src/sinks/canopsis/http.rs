//! Canopsis over HTTP: the events of the AMQP exchange, many in one request.

use hyper::Method;
use hyper::header::HeaderName;
use serde_json::Value;

use super::event::EventEncoder;
use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::settings::secret::TOKEN;
use crate::sinks::amqp::lane::Encoder;
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Batch, Call, Part, taken};
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::settings::{Configured, Options};
use crate::sinks::sink::{Fate, Order, Said, Trouble};

/// What is read of an answer: how many events it lists as sent, to be retried and failed.
pub const ANSWERS: &[Row] = &[
    Row {
        status: 200..=299,
        body: "sent *",
        means: Means::Each,
        source: "Canopsis, API v2 and v4, POST event: sent_events, retry_events, failed_events",
    },
    Row {
        status: 400..=400,
        body: "*",
        means: Means::Dead,
        source: "Canopsis, API v4, POST event: an event that is not valid",
    },
];

/// How many events go in one request.
const MOST: usize = 100;
/// How many bytes of events: the answer repeats them, and an answer is read up to 1 MiB.
const MOST_BYTES: usize = 256 * 1024;

/// Events for Canopsis over HTTP.
#[derive(Debug, Clone)]
pub struct HttpApi {
    encoder: EventEncoder,
}

/// Reads the keys of the sink with an `http` URL.
pub(super) fn read(options: &mut Options<'_, '_, '_>, encoder: EventEncoder) -> Option<Configured> {
    let server = Server::read(options, "https://canopsis.example/api/v4/event", &[&TOKEN]);
    let key = options.secret_header(&TOKEN, "");
    let mut server = server?;
    if let Some(key) = key {
        server.headers.insert(HeaderName::from_static("x-canopsis-authkey"), key);
    }
    Some(Web::end(server, HttpApi { encoder }))
}

impl Api for HttpApi {
    fn batch(&self) -> Batch {
        Batch { items: MOST, bytes: MOST_BYTES, order: Order::OneByOne }
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let message = self.encoder.message(record)?;
        Ok(Part { id: record.id(), body: message.body, ..Part::default() })
    }

    fn sets(&self) -> &'static [&'static str] {
        EventEncoder::SETS
    }

    fn call(&self, parts: &[Part]) -> Call {
        let events: Vec<&[u8]> = parts.iter().map(|part| part.body.as_slice()).collect();
        let body = [b"[", events.join(&b","[..]).as_slice(), b"]"].concat();
        Call::json(Method::POST, "", body)
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let count = |key: &str| json[key].as_array().map(Vec::len);
        match (count("sent_events"), count("retry_events"), count("failed_events")) {
            (None, None, None) => String::new(),
            (sent, retry, failed) => {
                let [sent, retry, failed] = [sent, retry, failed].map(Option::unwrap_or_default);
                format!("sent {sent}, retry {retry}, failed {failed}")
            }
        }
    }

    fn each(&self, answer: &Answer, parts: &[Part]) -> Result<Vec<Fate>, Trouble> {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let list = |key: &str| json[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let names = |key: &str, part: &Part| list(key).iter().any(|event| event["trapline_id"] == part.id);
        // An event without an id of ours may be any of them.
        let nameless = |key: &str| list(key).iter().any(|event| !event["trapline_id"].is_string());
        let (failed, retry) = ("Canopsis lists it in failed_events", "Canopsis lists it in retry_events");
        if nameless("failed_events") || nameless("retry_events") {
            return match nameless("failed_events") {
                _ if parts.len() > 1 => {
                    Err(Trouble::Halve("Canopsis lists an event that it does not name".into()))
                }
                true => Ok(vec![Fate::Dead(failed.into())]),
                false => Ok(vec![Fate::Later(retry.into())]),
            };
        }
        // Some versions answer with empty lists, others with the events that they have sent on.
        let confirms = parts.iter().any(|part| names("sent_events", part));
        let fate = |part: &Part| match () {
            () if names("failed_events", part) => Fate::Dead(failed.into()),
            () if names("retry_events", part) => Fate::Later(retry.into()),
            () if confirms && !names("sent_events", part) => {
                Fate::Later("Canopsis does not list it in sent_events".into())
            }
            () => taken(part),
        };
        Ok(parts.iter().map(fate).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::http::tests::{answer, every_row};

    fn api() -> HttpApi {
        HttpApi { encoder: EventEncoder { connector: "trapline".into(), connector_name: "edge1".into() } }
    }

    #[test]
    fn what_answers_mean() {
        every_row(
            &api(),
            &[
                (200, r#"{"sent_events":[],"retry_events":[],"failed_events":[]}"#, "taken"),
                (200, r#"{"sent_events":[{"trapline_id":""}]}"#, "taken"),
                (200, r#"{"failed_events":[{}]}"#, "dead"),
                (200, r#"{"retry_events":[{}]}"#, "later"),
                (400, r#"{"errors":{"component":"is missing"}}"#, "dead"),
                (200, "<html>please log in", "later"),
                (200, "{}", "later"),
                (401, "", "refused"),
                (413, "", "halve"),
                (503, "", "busy"),
            ],
        );
    }

    #[test]
    fn each_event_has_its_own_fate() {
        let parts: Vec<Part> =
            ["a", "b", "c", "d"].iter().map(|id| Part { id: (*id).to_owned(), ..Part::default() }).collect();
        let fates = |body: &str| api().each(&answer(200, body), &parts).unwrap();
        let words = |body: &str| -> Vec<&str> {
            let word = |fate: &Fate| match fate {
                Fate::Taken => "taken",
                Fate::Dead(_) => "dead",
                Fate::Later(_) => "later",
                _ => "?",
            };
            fates(body).iter().map(word).collect()
        };
        let one = r#"{"sent_events":[],"retry_events":[{"trapline_id":"b"}],"failed_events":[{"trapline_id":"d"}]}"#;
        assert_eq!(words(one), ["taken", "later", "taken", "dead"]);
        let confirmed = r#"{"sent_events":[{"trapline_id":"a"},{"trapline_id":"c"}],"failed_events":[{"trapline_id":"d"}]}"#;
        assert_eq!(words(confirmed), ["taken", "later", "taken", "dead"]);
    }
}
