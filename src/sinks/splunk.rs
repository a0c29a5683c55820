//! The splunk sink: events for Splunk's HTTP Event Collector, many in one request, compressed, acknowledged by the indexer
//! where asked for.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::client::Answer;
use crate::outcome::json::Json;
use crate::outcome::record::Record;
use crate::settings::secret::TOKEN;
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Batch, Call, Part};
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::{Order, Said};

/// `type = "splunk"`
pub const KIND: Kind = Kind {
    name: "splunk",
    says: "Splunk's HTTP Event Collector",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key { name: "token", default: "required", says: "The token of the collector." },
    Key { name: "token_file", default: "", says: "The same from the first line of a file." },
    Key { name: "token_env", default: "", says: "The same from an environment variable." },
    Key { name: "index", default: "the token's own", says: "The index." },
    Key { name: "sourcetype", default: "\"trapline\"", says: "The source type." },
    Key { name: "gzip", default: "true", says: "Whether bodies are compressed." },
    Key {
        name: "acknowledge",
        default: "false",
        says: "Whether events count as delivered only when the indexer has acknowledged them. True if `channel` is given.",
    },
    Key { name: "channel", default: "a random one", says: "The channel for acknowledgements, a UUID." },
];

const CODES: &str = "Splunk, Troubleshoot HTTP Event Collector, possible error codes";

/// What is read of an answer: `code` and `text`.
const ANSWERS: &[Row] = &[
    Row {
        status: 200..=200,
        body: "0: * without ackId",
        means: Means::Misconfigured,
        source: "Splunk, About HTTP Event Collector Indexer Acknowledgment: it must be enabled for the token",
    },
    Row { status: 200..=200, body: "0: *", means: Means::Taken, source: CODES },
    Row { status: 400..=499, body: "1: *", means: Means::AuthFailed, source: CODES },
    Row { status: 400..=499, body: "2: *", means: Means::AuthFailed, source: CODES },
    Row { status: 400..=499, body: "3: *", means: Means::AuthFailed, source: CODES },
    Row { status: 400..=499, body: "4: *", means: Means::AuthFailed, source: CODES },
    Row { status: 400..=499, body: "16: *", means: Means::AuthFailed, source: CODES },
    Row { status: 400..=400, body: "5: *", means: Means::Dead, source: CODES },
    Row { status: 400..=400, body: "6: *", means: Means::Dead, source: CODES },
    Row { status: 400..=400, body: "12: *", means: Means::Dead, source: CODES },
    Row { status: 400..=400, body: "13: *", means: Means::Dead, source: CODES },
    Row { status: 400..=400, body: "15: *", means: Means::Dead, source: CODES },
    Row { status: 400..=400, body: "7: *", means: Means::Misconfigured, source: CODES },
    Row { status: 400..=400, body: "10: *", means: Means::Misconfigured, source: CODES },
    Row { status: 400..=400, body: "11: *", means: Means::Misconfigured, source: CODES },
    Row { status: 400..=400, body: "14: *", means: Means::Misconfigured, source: CODES },
    Row { status: 503..=503, body: "9: *", means: Means::Busy, source: CODES },
];

/// How many events go in one request.
const MOST: usize = 200;
/// How many bytes of events: half of what the collector accepts by default (max_content_length of limits.conf was 1 MB).
const MOST_BYTES: usize = 512 * 1024;

/// Events for Splunk.
#[derive(Clone)]
pub struct Splunk {
    /// The value of `Authorization`.
    token: HeaderValue,
    index: Option<String>,
    sourcetype: String,
    gzip: bool,
    /// The channel on which acknowledgements are asked for; none for no acknowledgements.
    channel: Option<HeaderValue>,
}

impl std::fmt::Debug for Splunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Splunk").field("index", &self.index).finish_non_exhaustive()
    }
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "https://splunk.example:8088", &[&TOKEN]);
    let token = options.required_secret_header(&TOKEN, "Splunk ");
    let index = options.string("index").map(|text| text.value);
    let sourcetype = options.text("sourcetype", "trapline");
    let gzip = options.boolean("gzip", true);
    let channel = options.string("channel");
    let acknowledge = options.boolean("acknowledge", channel.is_some());
    let name = channel.as_ref().map_or_else(|| Uuid::new_v4().to_string(), |channel| channel.value.clone());
    let value = HeaderValue::from_str(&name);
    if let (Err(_), Some(channel)) = (&value, &channel) {
        let hint = Some("write a GUID, as in 4ed98a10-77ff-4e9b-b3f4-0f6d5a2f8e8c");
        options.report_at(&channel.span, "'channel' has characters that no header can have", hint);
    }
    let channel = value.ok().filter(|_| acknowledge);
    Some(Web::end(server?, Splunk { token: token?, index, sourcetype, gzip, channel }))
}

impl Splunk {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.token.clone());
        if let Some(channel) = &self.channel {
            headers.insert(HeaderName::from_static("x-splunk-request-channel"), channel.clone());
        }
        headers
    }
}

/// Compressed; none if that fails, which compressing into memory does not.
fn compressed(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

impl Api for Splunk {
    /// Without an event: the collector looks at the token first, and refuses it with 403 or the request with 400.
    fn greeting(&self) -> Option<Call> {
        Some(Call { headers: self.headers(), body: Bytes::new(), ..self.call(&[]) })
    }

    fn batch(&self) -> Batch {
        // Splunk sorts by the time of each event.
        Batch { items: MOST, bytes: MOST_BYTES, order: Order::Free }
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let outcome = serde_json::to_value(Json(record)).map_err(|error| Said::from(error.to_string()))?;
        let mut event = json!({
            "time": record.outcome.common().time as f64 / 1e6,
            "host": outcome["host"],
            "source": format!("trapline:{}", record.outcome.common().rule),
            "sourcetype": self.sourcetype,
            "event": outcome,
        });
        if let Some(index) = &self.index {
            event["index"] = Value::from(index.as_str());
        }
        Ok(Part { id: record.id(), body: event.to_string().into_bytes(), ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let events: Vec<&[u8]> = parts.iter().map(|part| part.body.as_slice()).collect();
        let plain = events.join(&b"\n"[..]);
        let mut headers = self.headers();
        let body = match self.gzip.then(|| compressed(&plain)).flatten() {
            Some(body) => {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                body
            }
            None => plain,
        };
        Call {
            method: Method::POST,
            path: "/services/collector/event".to_owned(),
            headers,
            body: body.into(),
        }
    }

    /// Not compressed.
    fn pieces(&self, part: &Part) -> Vec<Piece> {
        vec![Piece::new(Format::Json, part.body.as_slice())]
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(code) = json["code"].as_u64() else { return String::new() };
        let missing = self.channel.is_some() && json["ackId"].as_u64().is_none();
        let text = json["text"].as_str().unwrap_or_default();
        let without = if code == 0 && missing { " without ackId" } else { "" };
        format!("{code}: {text}{without}")
    }

    fn ticket(&self, answer: &Answer) -> Option<u64> {
        self.channel.as_ref()?;
        serde_json::from_slice::<Value>(&answer.body).ok()?["ackId"].as_u64()
    }

    fn ask(&self, ticket: u64) -> Option<Call> {
        let body = json!({ "acks": [ticket] }).to_string();
        let path = "/services/collector/ack".to_owned();
        Some(Call { method: Method::POST, path, headers: self.headers(), body: body.into() })
    }

    fn acknowledged(&self, answer: &Answer, ticket: u64) -> bool {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        json["acks"][ticket.to_string()] == true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::result::Outcome;
    use crate::sinks::http::tests::{answer, rows};
    use crate::sinks::testing::check;

    fn splunk(channel: Option<&str>) -> Splunk {
        Splunk {
            token: HeaderValue::from_static("Splunk t"),
            index: Some("network".into()),
            sourcetype: "trapline".into(),
            gzip: false,
            channel: channel.map(|name| HeaderValue::from_str(name).unwrap()),
        }
    }

    #[test]
    fn what_answers_mean() {
        let code = |code: u64| json!({ "text": "words", "code": code }).to_string();
        let with_channel = [
            (200, r#"{"text":"Success","code":0,"ackId":7}"#.to_owned(), "taken"),
            (200, code(0), "refused"),
        ];
        let mut all: Vec<(u16, String, &str)> = vec![(200, code(0), "taken")];
        all.extend([1, 4].map(|n| (403, code(n), "refused")));
        all.extend([2, 3].map(|n| (401, code(n), "refused")));
        all.extend([7, 10, 11, 14, 16].map(|n| (400, code(n), "refused")));
        all.extend([5, 6, 12, 13, 15].map(|n| (400, code(n), "dead")));
        all.extend([
            (503, code(9), "busy"),
            (500, code(8), "later"),
            (400, code(99), "later"),
            (200, code(99), "later"),
            (200, "<html>log in".to_owned(), "later"),
            (413, String::new(), "halve"),
            (429, code(26), "busy"),
        ]);
        let rows = |splunk: &Splunk, all: &[(u16, String, &str)]| {
            let all: Vec<_> =
                all.iter().map(|(status, body, fate)| (*status, body.as_str(), *fate)).collect();
            rows(splunk, &all)
        };
        let seen = &rows(&splunk(None), &all) | &rows(&splunk(Some("c")), &with_channel);
        assert_eq!(seen.len(), ANSWERS.len(), "every row has its sample");
    }

    #[test]
    fn acknowledgements() {
        let acknowledged = splunk(Some("c"));
        let success = answer(200, r#"{"text":"Success","code":0,"ackId":7}"#);
        assert_eq!(acknowledged.ticket(&success), Some(7));
        assert_eq!(splunk(None).ticket(&success), None);
        assert_eq!(acknowledged.ask(7).unwrap().body, r#"{"acks":[7]}"#);
        assert!(acknowledged.acknowledged(&answer(200, r#"{"acks":{"7":true}}"#), 7));
        assert!(!acknowledged.acknowledged(&answer(200, r#"{"acks":{"7":false}}"#), 7));
        assert!(!acknowledged.acknowledged(&answer(200, "<html>"), 7));
    }

    proptest! {
        #[test]
        fn no_value_makes_another_event(host in any::<String>(), output in any::<String>()) {
            let record = Record { epoch: 1, sequence: 2, outcome: Outcome::CheckResult(check(&host, None, &output)) };
            let splunk = splunk(None);
            let part = splunk.part(&record).unwrap();
            let body = splunk.call(&[part.clone(), part]).body;
            let events: Vec<Value> =
                body.split(|b| *b == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect();
            prop_assert_eq!(events.len(), 2);
            prop_assert_eq!(events[0]["event"]["output"].as_str(), Some(output.as_str()));
            prop_assert_eq!(events[0].as_object().unwrap().len(), 6);
        }
    }
}
