//! Splunk's HTTP Event Collector: many events at once, compressed, acknowledged by the indexer where asked for.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::http::client::Answer;
use crate::outcome::json::Json;
use crate::outcome::record::Record;
use crate::sinks::http::{Api, Call, Item, Verdict, by_status};

/// How many events go in one request.
const MOST: usize = 200;

/// Events for Splunk.
#[derive(Debug, Clone)]
pub struct Splunk {
    /// The collector's token.
    pub token: Zeroizing<String>,
    /// The index; none for the token's own.
    pub index: Option<String>,
    /// The source type.
    pub sourcetype: String,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// The channel on which acknowledgements are asked for; none for no acknowledgements.
    pub channel: Option<String>,
}

impl Splunk {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(mut value) = HeaderValue::from_str(&format!("Splunk {}", self.token.as_str())) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(channel) = self.channel.as_ref().and_then(|c| HeaderValue::from_str(c).ok()) {
            headers.insert(HeaderName::from_static("x-splunk-request-channel"), channel);
        }
        headers
    }
}

impl Api for Splunk {
    fn item(&self, record: &Record<'_>) -> Option<(String, Vec<u8>)> {
        let outcome = serde_json::to_value(Json(record)).ok()?;
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
        Some((String::new(), event.to_string().into_bytes()))
    }

    fn most(&self) -> usize {
        MOST
    }

    fn call(&self, items: &[Item]) -> Call {
        let events: Vec<_> = items.iter().map(|item| item.body.as_slice()).collect();
        let plain = events.join(&b"\n"[..]);
        let mut headers = self.headers();
        // Compressing into memory does not fail.
        let squeezed = || {
            let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
            encoder.write_all(&plain).ok()?;
            encoder.finish().ok()
        };
        let body = match self.gzip.then(squeezed).flatten() {
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

    fn verdict(&self, answer: &Answer, _items: &[Item]) -> Verdict {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        // Codes of the collector: 2 to 4 and 10, 11, 14 to 16 speak of the token and the channel, 5 to 7, 12 and 13 of
        // the events, 8 and 9 of the server.
        match (answer.status, json["code"].as_u64()) {
            (StatusCode::OK, Some(0)) => match (&self.channel, json["ackId"].as_u64()) {
                (Some(_), Some(id)) => Verdict::Later(id),
                (Some(_), None) => Verdict::Wrong(
                    "it gives no ackId: switch indexer acknowledgement on for the token".to_owned(),
                ),
                (None, _) => Verdict::Taken,
            },
            (StatusCode::BAD_REQUEST, Some(5 | 6 | 7 | 12 | 13)) => Verdict::Apart(answer.excerpt()),
            (StatusCode::BAD_REQUEST, Some(2 | 3 | 4 | 10 | 11 | 14 | 15 | 16)) => {
                Verdict::Stranger(answer.excerpt())
            }
            (StatusCode::OK, _) => Verdict::Wrong(answer.excerpt()),
            _ => by_status(answer, &[StatusCode::PAYLOAD_TOO_LARGE]),
        }
    }

    fn acks(&self, ids: &[u64]) -> Option<Call> {
        self.channel.as_ref()?;
        let body = json!({ "acks": ids }).to_string();
        let path = "/services/collector/ack".to_owned();
        Some(Call { method: Method::POST, path, headers: self.headers(), body: body.into() })
    }

    fn open_acks(&self, answer: &Answer, ids: &[u64]) -> Vec<u64> {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        ids.iter().copied().filter(|id| json["acks"][id.to_string()] != true).collect()
    }
}
