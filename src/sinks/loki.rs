//! The loki sink: outcomes as lines of Grafana Loki, many in one request.

use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::http::client::{Answer, header};
use crate::outcome::json;
use crate::outcome::record::Record;
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Batch, Call, Part};
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::{Order, Said};

/// `type = "loki"`
pub const KIND: Kind = Kind {
    name: "loki",
    says: "Grafana Loki, as lines with labels",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key { name: "tenant", default: "", says: "The tenant, sent as `X-Scope-OrgID`." },
    Key { name: "labels", default: "", says: "Further labels of every stream: `{ env = \"prod\" }`." },
];

const PUSH: &str = "Grafana Loki, HTTP API, Ingest logs";

/// What is read of an answer: nothing, the status alone counts.
const ANSWERS: &[Row] = &[
    Row { status: 204..=204, body: "*", means: Means::Taken, source: PUSH },
    Row {
        status: 400..=400,
        body: "*",
        means: Means::Dead,
        source: "Grafana Loki, Troubleshooting ingestion: a line that is too old or too long, or has too many labels; others may be in",
    },
];

const PATH: &str = "/loki/api/v1/push";
/// How many lines go in one request, and how many bytes.
const MOST: usize = 500;
const MOST_BYTES: usize = 1 << 20;

/// Lines for Loki.
#[derive(Debug, Clone)]
struct Loki {
    tenant: Option<HeaderValue>,
    labels: Vec<(String, String)>,
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "http://loki.example:3100", &[]);
    let tenant = options.string("tenant").and_then(|tenant| {
        let value = header("x-scope-orgid", &tenant).map(|(_, value)| value);
        value.map_err(|error| options.report_at(&tenant.span, error, None)).ok()
    });
    let mut labels = Vec::new();
    if let Some(table) = options.table("labels") {
        for (name, span, value) in table.entries() {
            match value.get_ref().as_str() {
                Some(text) if crate::outcome::result::is_label_name(name) && !OWN.contains(&name) => {
                    labels.push((name.to_owned(), text.to_owned()));
                }
                _ => {
                    let hint = Some("write env = \"prod\"; job, host and state are set by the sink");
                    options.report_at(&span, format!("'{name}' can be no label"), hint);
                }
            }
        }
    }
    Some(Web::end(server?, Loki { tenant, labels }))
}

/// The labels that the sink sets.
const OWN: [&str; 3] = ["job", "host", "state"];

impl Loki {
    /// A stream with one line. What can have many values is no label but structured metadata.
    fn stream(&self, record: &Record<'_>) -> Value {
        let common = record.outcome.common();
        let mut labels = Map::new();
        labels.extend(self.labels.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
        labels.insert("job".to_owned(), "trapline".into());
        labels.insert("host".to_owned(), record.outcome.host().into());
        labels.insert("state".to_owned(), common.state.as_str().into());
        let mut more = Map::new();
        for (name, value) in &common.labels {
            more.insert(name.to_string(), (&**value).into());
        }
        more.insert("id".to_owned(), record.id().into());
        more.insert("rule".to_owned(), (&*common.rule).into());
        more.extend(record.outcome.service().map(|service| ("service".to_owned(), service.into())));
        let mut line = Vec::new();
        json::push(&mut line, record);
        let line = String::from_utf8_lossy(&line).into_owned();
        let nanos = (i128::from(common.time) * 1000).to_string();
        json!({ "stream": labels, "values": [[nanos, line, more]] })
    }
}

impl Api for Loki {
    fn batch(&self) -> Batch {
        // A line has its time.
        Batch { items: MOST, bytes: MOST_BYTES, order: Order::Free }
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let body = self.stream(record).to_string().into_bytes();
        Ok(Part { id: record.id(), body, ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let bodies: Vec<&[u8]> = parts.iter().map(|part| part.body.as_slice()).collect();
        let body = [&br#"{"streams":["#[..], &bodies.join(&b","[..]), b"]}"].concat();
        let mut call = Call::json(Method::POST, PATH, body);
        let tenant =
            self.tenant.iter().map(|tenant| (HeaderName::from_static("x-scope-orgid"), tenant.clone()));
        call.headers.extend(tenant.collect::<HeaderMap>());
        call
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, _answer: &Answer) -> String {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::result::Labels;
    use crate::sinks::http::tests::every_row;
    use crate::sinks::testing::record;

    fn loki() -> Loki {
        Loki { tenant: Some(HeaderValue::from_static("noc")), labels: vec![("env".into(), "prod".into())] }
    }

    #[test]
    fn what_answers_mean() {
        every_row(
            &loki(),
            &[
                (204, "", "taken"),
                (200, "<html>", "later"),
                (400, "entry with timestamp ... ignored, reason: 'entry too far behind'", "dead"),
                (401, "no org id", "refused"),
                (404, "404 page not found", "refused"),
                (413, "", "halve"),
                (429, "Ingestion rate limit exceeded", "busy"),
                (500, "", "later"),
                (503, "", "busy"),
            ],
        );
    }

    #[test]
    fn a_request_has_a_stream_for_each_outcome() {
        let mut one = record("sw1", Some("Gi0/3"), "a \"b\"\nc");
        one.outcome.common_mut().labels = Labels::Own(vec![("team".into(), "net".into())]);
        let parts = [&one, &record("sw2", None, "o")].map(|record| loki().part(record).unwrap());
        let call = loki().call(&parts);
        assert_eq!(
            (call.path.as_str(), &call.headers["x-scope-orgid"]),
            (PATH, &"noc".parse::<HeaderValue>().unwrap())
        );
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let first = &body["streams"][0];
        assert_eq!(
            first["stream"],
            json!({ "env": "prod", "job": "trapline", "host": "sw1", "state": "critical" })
        );
        let [time, line, more] = &first["values"][0].as_array().unwrap()[..] else { panic!("{first}") };
        assert_eq!(time, "1700000000123456000");
        let line: Value = serde_json::from_str(line.as_str().unwrap()).unwrap();
        assert_eq!((&line["service"], &line["output"]), (&"Gi0/3".into(), &"a \"b\"\nc".into()));
        assert_eq!(
            *more,
            json!({ "team": "net", "id": "0000000000000001-2", "rule": "r", "service": "Gi0/3" })
        );
        assert_eq!(body["streams"].as_array().unwrap().len(), 2);
    }
}
