//! The otlp sink: outcomes as log records of OpenTelemetry, over HTTP with JSON.

use hyper::Method;
use serde_json::{Value, json};

use crate::http::client::Answer;
use crate::outcome::json::own_fields;
use crate::outcome::record::Record;
use crate::outcome::result::{Outcome, State};
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Batch, Call, Part};
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::{Order, Said};

/// `type = "otlp"`
pub const KIND: Kind = Kind {
    name: "otlp",
    says: "OpenTelemetry's collector and other OTLP servers, as log records",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] =
    &[Key { name: "service_name", default: "\"trapline\"", says: "`service.name` of the resource." }];

const SPEC: &str = "OpenTelemetry Protocol Specification, OTLP/HTTP Response";

/// What is read of an answer: "taken" where it is one of OTLP without rejected records, "rejected" and why where it has some, else its message.
const ANSWERS: &[Row] = &[
    Row { status: 200..=200, body: "taken", means: Means::Taken, source: SPEC },
    Row {
        status: 200..=200,
        body: "rejected: *",
        means: Means::Dead,
        source: "OpenTelemetry Protocol Specification, Partial Success: what is rejected is not sent again",
    },
    Row { status: 400..=400, body: "*", means: Means::Dead, source: SPEC },
];

const PATH: &str = "/v1/logs";
/// How many records go in one request, and how many bytes.
const MOST: usize = 500;
const MOST_BYTES: usize = 1 << 20;
const TAIL: &[u8] = b"]}]}]}";

/// Records for OTLP.
#[derive(Debug, Clone)]
struct Otlp {
    /// What stands before the records.
    head: String,
}

impl Otlp {
    fn new(service: &str) -> Self {
        let resource =
            json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] });
        let scope = json!({ "name": "trapline" });
        let head = format!(
            r#"{{"resourceLogs":[{{"resource":{resource},"scopeLogs":[{{"scope":{scope},"logRecords":["#
        );
        Otlp { head }
    }
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "http://collector.example:4318", &[]);
    let service = options.text("service_name", "trapline");
    Some(Web::end(server?, Otlp::new(&service)))
}

/// SeverityNumber (OpenTelemetry, Logs Data Model).
fn severity(state: State) -> u8 {
    match state {
        State::Ok | State::Up => 9,
        State::Warning | State::Unreachable => 13,
        State::Unknown => 17,
        State::Critical | State::Down => 21,
    }
}

fn log_record(record: &Record<'_>) -> Value {
    let (outcome, common) = (&record.outcome, record.outcome.common());
    let attribute = |name: &str, value: &str| json!({ "key": name, "value": { "stringValue": value } });
    let id = record.id();
    let own = [
        ("host.name", Some(outcome.host())),
        ("trapline.service", outcome.service()),
        ("trapline.state", Some(common.state.as_str())),
        ("trapline.kind", Some(outcome.kind())),
        ("trapline.rule", Some(&*common.rule)),
        ("trapline.id", Some(id.as_str())),
        ("trapline.long_output", Some(&*common.long_output)),
        ("source.address", Some(&*common.source)),
    ];
    let mut attributes: Vec<Value> =
        own.iter().filter_map(|(name, value)| Some(attribute(name, (*value)?))).collect();
    attributes.extend(
        common.labels.iter().map(|(name, value)| attribute(&format!("trapline.label.{name}"), value)),
    );
    match outcome {
        Outcome::CheckResult(check) => attributes.push(attribute("trapline.perfdata", &check.perfdata)),
        Outcome::Event(event) => attributes.extend(
            own_fields(event).map(|(name, value)| attribute(&format!("trapline.field.{name}"), value)),
        ),
    }
    let nanos = (i128::from(common.time) * 1000).to_string();
    json!({
        "timeUnixNano": nanos,
        "observedTimeUnixNano": nanos,
        "severityNumber": severity(common.state),
        "severityText": common.state.as_str(),
        "body": { "stringValue": common.output },
        "attributes": attributes,
    })
}

/// How many records a partial success says were rejected; none if it is not one.
fn rejected(partial: &Value) -> Option<u64> {
    match partial {
        Value::Null => Some(0),
        Value::Object(partial) => match partial.get("rejectedLogRecords") {
            None | Some(Value::Null) => Some(0),
            // 64-bit numbers of JSON are texts there; some write numbers.
            Some(Value::String(text)) => text.parse().ok(),
            Some(other) => other.as_u64(),
        },
        _ => None,
    }
}

impl Api for Otlp {
    fn batch(&self) -> Batch {
        // A record has its time.
        Batch { items: MOST, bytes: MOST_BYTES, order: Order::Free }
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let body = log_record(record).to_string().into_bytes();
        Ok(Part { id: record.id(), body, ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let bodies: Vec<&[u8]> = parts.iter().map(|part| part.body.as_slice()).collect();
        Call::json(Method::POST, PATH, [self.head.as_bytes(), &bodies.join(&b","[..]), TAIL].concat())
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else { return String::new() };
        let Some(object) = json.as_object() else { return String::new() };
        let partial = &json["partialSuccess"];
        if answer.status.is_success() {
            let known = object.keys().all(|key| key == "partialSuccess");
            return match rejected(partial).filter(|_| known) {
                None => String::new(),
                Some(0) => "taken".to_owned(),
                Some(count) => {
                    format!("rejected: {count}: {}", partial["errorMessage"].as_str().unwrap_or_default())
                }
            };
        }
        json["message"].as_str().unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::http::tests::every_row;
    use crate::sinks::testing::record;

    #[test]
    fn what_answers_mean() {
        every_row(
            &Otlp::new("t"),
            &[
                (200, "{}", "taken"),
                (200, r#"{"partialSuccess":{}}"#, "taken"),
                (200, r#"{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"slow down"}}"#, "taken"),
                (200, r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#, "dead"),
                (200, r#"{"partialSuccess":{"rejectedLogRecords":2}}"#, "dead"),
                (200, "", "later"),
                (200, "<html>", "later"),
                (200, r#"{"status":"ok"}"#, "later"),
                (200, r#"{"partialSuccess":"all rejected"}"#, "later"),
                (200, r#"{"partialSuccess":{"rejectedLogRecords":"many"}}"#, "later"),
                (200, r#"{"partialSuccess":{"rejectedLogRecords":-1}}"#, "later"),
                (400, r#"{"code":3,"message":"bad"}"#, "dead"),
                (401, "", "refused"),
                (404, "", "refused"),
                (413, "", "halve"),
                (429, "", "busy"),
                (500, "", "later"),
                (502, "", "busy"),
                (503, "", "busy"),
                (504, "", "busy"),
            ],
        );
    }

    #[test]
    fn a_request_has_a_record_for_each_outcome() {
        let parts = [record("sw1", Some("Gi0/3"), "a \"b\""), record("sw2", None, "o")];
        let parts: Vec<Part> = parts.iter().map(|record| Otlp::new("t").part(record).unwrap()).collect();
        let body: Value = serde_json::from_slice(&Otlp::new("t").call(&parts).body).unwrap();
        let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(
            (&records[0]["severityNumber"], &records[0]["body"]["stringValue"]),
            (&21.into(), &"a \"b\"".into())
        );
        assert_eq!(records[0]["timeUnixNano"], "1700000000123456000");
        assert_eq!(
            records[0]["attributes"][0],
            json!({ "key": "host.name", "value": { "stringValue": "sw1" } })
        );
    }
}
