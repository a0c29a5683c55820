//! The elasticsearch sink: outcomes as documents of the Elastic Common Schema, many in one request, for Elasticsearch and OpenSearch.

use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::http::client::Answer;
use crate::outcome::json;
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::settings::secret;
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Batch, Call, Part, taken};
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::{Fate, Order, Said, Trouble};
use crate::time::clock::rfc3339;

/// `type = "elasticsearch"`
pub const KIND: Kind = Kind {
    name: "elasticsearch",
    says: "Elasticsearch or OpenSearch, as Elastic Common Schema documents",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key {
        name: "index",
        default: "\"trapline-%Y.%m.%d\"",
        says: "The index or data stream. `%Y`, `%m` and `%d` are year, month and day of the outcome, in UTC.",
    },
    Key {
        name: "api_key",
        default: "",
        says: "An Elasticsearch API key in its encoded form, instead of `user`.",
    },
    Key { name: "api_key_file", default: "", says: "The same from the first line of a file." },
    Key { name: "api_key_env", default: "", says: "The same from an environment variable." },
];

const API_KEY: secret::Keys = secret::Keys { inline: "api_key", file: "api_key_file", env: "api_key_env" };

const BULK: &str = "Elasticsearch and OpenSearch, Bulk API";

/// What is read of an answer: "items" where it has one item for each outcome, else the type and the reason of its error.
const ANSWERS: &[Row] = &[
    Row { status: 200..=200, body: "items", means: Means::Each, source: BULK },
    Row {
        status: 406..=406,
        body: "*",
        means: Means::Misconfigured,
        source: "REST API compatibility: Content-Type",
    },
];

const ERRORS: &str = "Elasticsearch, server, org.elasticsearch.ElasticsearchException";

/// What is read of the answer for a document: the type and the reason of its error. What no row fits is retried: an error of this
/// status is as often about the index as about the document.
const DOCUMENTS: &[Row] = &[
    Row { status: 200..=201, body: "*", means: Means::Taken, source: BULK },
    Row {
        status: 409..=409,
        body: "version_conflict_engine_exception: *",
        means: Means::Taken,
        source: "Bulk API, create: a document with this id is there already",
    },
    Row { status: 400..=400, body: "mapper_parsing_exception: *", means: Means::Dead, source: ERRORS },
    Row { status: 400..=400, body: "document_parsing_exception: *", means: Means::Dead, source: ERRORS },
    Row {
        status: 400..=400,
        body: "strict_dynamic_mapping_exception: *",
        means: Means::Dead,
        source: ERRORS,
    },
    Row {
        status: 400..=400,
        body: "validation_exception: *",
        means: Means::Misconfigured,
        source: "Size your shards: an index more than cluster.max_shards_per_node allows",
    },
    Row {
        status: 400..=400,
        body: "index_closed_exception: *",
        means: Means::Misconfigured,
        source: "Close index API",
    },
    Row {
        status: 400..=400,
        body: "invalid_index_name_exception: *",
        means: Means::Misconfigured,
        source: "Create index API, Path parameters",
    },
    Row { status: 403..=404, body: "*", means: Means::Misconfigured, source: ERRORS },
];

/// How many documents go in one request, and how many bytes.
const MOST: usize = 500;
const MOST_BYTES: usize = 4 << 20;
/// Without what nobody reads: an answer of many errors is long.
const PATH: &str = "/_bulk?filter_path=error,items.*.status,items.*.error.type,items.*.error.reason";
/// The version of the schema.
const ECS: &str = "8.11.0";

/// Documents for Elasticsearch.
#[derive(Clone)]
struct Elasticsearch {
    index: String,
    /// The value of `Authorization`.
    api_key: Option<HeaderValue>,
}

impl std::fmt::Debug for Elasticsearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elasticsearch").field("index", &self.index).finish_non_exhaustive()
    }
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "https://elasticsearch.example:9200", &[&API_KEY]);
    let text = options.string("index");
    let index = text.as_ref().map_or("trapline-%Y.%m.%d", |text| text.value.as_str()).to_owned();
    let wrong = wrong_index(&index);
    let api_key = options.secret_header(&API_KEY, "ApiKey ");
    if api_key.is_some() && options.get("user").is_some() {
        options.report("'user' and 'api_key' are two ways to log in", "give one of them");
        return None;
    }
    if let (Some(text), Some(why)) = (text, wrong) {
        options.report_at(
            &text.span,
            format!("'{index}' can be no index: {why}"),
            Some("write trapline-%Y.%m.%d"),
        );
        return None;
    }
    Some(Web::end(server?, Elasticsearch { index, api_key }))
}

/// The name of the index at a time in microseconds since 1970 UTC.
fn name_at(index: &str, time: i64) -> String {
    let time = Timestamp::from_microsecond(time).unwrap_or(Timestamp::UNIX_EPOCH);
    let date = time.to_zoned(jiff::tz::TimeZone::UTC);
    let (year, month, day) = (date.year(), date.month(), date.day());
    index
        .replace("%Y", &format!("{year:04}"))
        .replace("%m", &format!("{month:02}"))
        .replace("%d", &format!("{day:02}"))
}

/// Why there can be no index of this name (Elasticsearch, Create index API, Path parameters).
fn wrong_index(index: &str) -> Option<&'static str> {
    let name = name_at(index, 0);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.+".contains(c);
    if name.contains('%') {
        Some("after % only Y, m and d have a meaning")
    } else if name.is_empty() || name.len() > 255 {
        Some("it has 1 to 255 characters")
    } else if !name.chars().all(plain) {
        Some("it has small letters, digits, '-', '_', '.' and '+' only")
    } else if name.starts_with(['-', '_', '+']) || matches!(name.as_str(), "." | "..") {
        Some("it does not begin with '-', '_' or '+'")
    } else {
        None
    }
}

/// An outcome in the fields of ECS; what ECS has no field for stands in `trapline`.
fn document(record: &Record<'_>) -> Value {
    let common = record.outcome.common();
    let mut own = json!({ "kind": record.outcome.kind(), "state": common.state.as_str() });
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            own[name] = Value::from(value);
        }
    };
    add("service", record.outcome.service().unwrap_or(""));
    add("long_output", &common.long_output);
    match &record.outcome {
        Outcome::CheckResult(check) => add("perfdata", &check.perfdata),
        Outcome::Event(event) => {
            let fields: Map<String, Value> =
                json::own_fields(event).map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
            if !fields.is_empty() {
                // As text: every rule has other fields, and an index has a limited number of them.
                own["fields"] = Value::from(Value::Object(fields).to_string());
            }
        }
    }
    let mut document = json!({
        "@timestamp": rfc3339(common.time),
        "ecs": { "version": ECS },
        "message": common.output,
        "host": { "name": record.outcome.host() },
        "event": {
            "kind": if common.state.is_good() { "event" } else { "alert" },
            "module": "trapline",
            "id": record.id(),
            "severity": common.state.severity(),
        },
        "rule": { "name": common.rule },
        "trapline": own,
    });
    // A message that was made here has no address.
    if common.source.parse::<IpAddr>().is_ok() {
        document["source"] = json!({ "ip": common.source });
    }
    if !common.labels.is_empty() {
        let labels: Map<String, Value> =
            common.labels.iter().map(|(name, value)| (name.to_string(), Value::from(&**value))).collect();
        document["labels"] = Value::Object(labels);
    }
    document
}

impl Api for Elasticsearch {
    fn greeting(&self) -> Option<Call> {
        Some(Call::json(Method::GET, "/", ""))
    }

    fn batch(&self) -> Batch {
        // A document has its time, and no other replaces it.
        Batch { items: MOST, bytes: MOST_BYTES, order: Order::Free }
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let id = record.id();
        let index = name_at(&self.index, record.outcome.common().time);
        let action = json!({ "create": { "_index": index, "_id": id } });
        let body = format!("{action}\n{}\n", document(record)).into_bytes();
        Ok(Part { id, body, ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        if let Some(key) = &self.api_key {
            headers.insert(AUTHORIZATION, key.clone());
        }
        let bodies: Vec<&[u8]> = parts.iter().map(|part| part.body.as_slice()).collect();
        Call { method: Method::POST, path: PATH.to_owned(), headers, body: bodies.concat().into() }
    }

    fn pieces(&self, part: &Part) -> Vec<Piece> {
        let words = [Piece::new(Format::Words, "POST"), Piece::new(Format::Path, PATH)];
        let lines = part.body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        words.into_iter().chain(lines.map(|line| Piece::new(Format::Json, line))).collect()
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if json["items"].is_array() {
            return "items".to_owned();
        }
        reason(&json["error"])
    }

    fn each(&self, answer: &Answer, parts: &[Part]) -> Result<Vec<Fate>, Trouble> {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let items = json["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.len() != parts.len() {
            let what = format!("an answer of {} items for {} documents", items.len(), parts.len());
            return Err(Trouble::Unanswered(what.into(), "see its log"));
        }
        let mut fates = Vec::with_capacity(parts.len());
        let mut refused = None;
        for (item, part) in items.iter().zip(parts) {
            let result = &item["create"];
            let status = result["status"].as_u64().and_then(|status| u16::try_from(status).ok());
            let says = reason(&result["error"]);
            let said = Said::from(format!("{}: {says}", status.unwrap_or(0)));
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            let row = status.and_then(|status| DOCUMENTS.iter().find(|row| row.fits(status, &says)));
            fates.push(match row.map_or(Means::Later, |row| row.means) {
                Means::Taken => taken(part),
                Means::Dead => Fate::Dead(said),
                means => {
                    if means == Means::Misconfigured {
                        refused = Some(said.clone());
                    }
                    Fate::Later(said)
                }
            });
        }
        match refused {
            // What is known of others is not given up for it.
            Some(said) if fates.iter().all(|fate| matches!(fate, Fate::Later(_))) => {
                Err(Trouble::Refused(said, "check the index of this sink, and what its user may do"))
            }
            _ => Ok(fates),
        }
    }
}

/// The type and the reason of an error.
fn reason(error: &Value) -> String {
    match error {
        Value::String(text) => text.clone(),
        error => match (error["type"].as_str(), error["reason"].as_str()) {
            (Some(kind), Some(reason)) => format!("{kind}: {reason}"),
            (one, other) => one.or(other).unwrap_or_default().to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::outcome::result::Labels;
    use crate::sinks::http::api::judge;
    use crate::sinks::http::tests::{answer, rows};
    use crate::sinks::testing::record;

    fn elasticsearch() -> Elasticsearch {
        Elasticsearch {
            index: "trapline-%Y.%m.%d".into(),
            api_key: Some(HeaderValue::from_static("ApiKey abc=")),
        }
    }

    fn items(all: &[(u64, &str)]) -> Answer {
        let item = |(status, kind): &(u64, &str)| {
            let error = json!({ "type": format!("{kind}_exception"), "reason": "why" });
            json!({ "create": { "status": status, "error": error } })
        };
        let items: Vec<Value> = all.iter().map(item).collect();
        answer(200, &json!({ "took": 1, "errors": true, "items": items }).to_string())
    }

    fn fates(all: &[(u64, &str)]) -> Result<Vec<Fate>, Trouble> {
        judge(&elasticsearch(), "server", &items(all), &vec![Part::default(); all.len()])
    }

    #[test]
    fn what_answers_mean() {
        let all = [
            (200, "<html>log in", "later"),
            (
                400,
                r#"{"error":{"type":"illegal_argument_exception","reason":"unrecognized parameter"},"status":400}"#,
                "later",
            ),
            // A proxy that speaks TLS where this did not.
            (400, "<html>400 The plain HTTP request was sent to HTTPS port", "later"),
            (406, r#"{"error":"Content-Type header is not supported"}"#, "refused"),
            (401, "", "refused"),
            (413, "", "halve"),
            (429, "", "busy"),
            (500, "", "later"),
            (503, "", "busy"),
        ];
        let seen = rows(&elasticsearch(), &all);
        assert_eq!(seen.len() + 1, ANSWERS.len(), "every row but that of items");
    }

    #[test]
    fn each_document_has_its_own_fate() {
        let (there, wrong) = ((409, "version_conflict_engine"), (400, "mapper_parsing"));
        let later = Fate::Later("429: es_rejected_execution_exception: why".into());
        let dead = Fate::Dead("400: mapper_parsing_exception: why".into());
        let busy = (429, "es_rejected_execution");
        assert_eq!(
            fates(&[(201, ""), wrong, there, busy]),
            Ok(vec![Fate::Taken, dead, Fate::Taken, later.clone()])
        );
        assert_eq!(fates(&[busy]), Ok(vec![later]));
        let one = judge(&elasticsearch(), "server", &items(&[(201, "")]), &vec![Part::default(); 2]);
        assert!(matches!(one, Err(Trouble::Unanswered(..))), "{one:?}");
    }

    #[test]
    fn only_what_is_wrong_with_a_document_is_its_end() {
        let word = |status: u64, kind: &str| match fates(&[(status, kind)]) {
            Ok(fates) => match &fates[..] {
                [Fate::Taken] => "taken",
                [Fate::Dead(_)] => "dead",
                [Fate::Later(_)] => "later",
                other => panic!("{other:?}"),
            },
            Err(Trouble::Refused(..)) => "refused",
            Err(other) => panic!("{other:?}"),
        };
        let mut seen = std::collections::BTreeSet::new();
        let all = [
            (200, "", "taken"),
            (201, "", "taken"),
            (409, "version_conflict_engine", "taken"),
            (409, "resource_already_exists", "later"),
            (400, "mapper_parsing", "dead"),
            (400, "document_parsing", "dead"),
            (400, "strict_dynamic_mapping", "dead"),
            // The cluster has as many shards as it may have: every document of a new day is refused.
            (400, "validation", "refused"),
            (400, "index_closed", "refused"),
            (400, "invalid_index_name", "refused"),
            // Too many fields in the index, or a term that is too long in the document.
            (400, "illegal_argument", "later"),
            (400, "", "later"),
            (403, "cluster_block", "refused"),
            (404, "index_not_found", "refused"),
            (429, "cluster_block", "later"),
            (503, "unavailable_shards", "later"),
            (0, "", "later"),
            (70_000, "", "later"),
        ];
        for (status, kind, expected) in all {
            assert_eq!(word(status, kind), expected, "{status} {kind}");
            let says = format!("{kind}_exception: why");
            let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
            seen.extend(status.and_then(|status| DOCUMENTS.iter().position(|row| row.fits(status, &says))));
        }
        assert_eq!(seen.len(), DOCUMENTS.len(), "a sample for every row");
        // One that is refused as its index is wrong does not hold up those of another index.
        let some = fates(&[(201, ""), (400, "validation")]).unwrap();
        assert!(some[0] == Fate::Taken && matches!(some[1], Fate::Later(_)), "{some:?}");
    }

    #[test]
    fn the_page_has_the_table_of_documents() {
        let mut table = String::from("| status of a document | error | what follows |\n|---|---|---|\n");
        for Row { status, body, means, .. } in DOCUMENTS {
            let (from, to) = (status.start(), status.end());
            let statuses = if from == to { from.to_string() } else { format!("{from} to {to}") };
            let error = if *body == "*" { "any".to_owned() } else { format!("`{body}`") };
            let follows = match means {
                Means::Misconfigured => "retried; if all of the request is, the sink waits".to_owned(),
                means => means.to_string(),
            };
            writeln!(table, "| {statuses} | {error} | {follows} |").unwrap();
        }
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sinks/elasticsearch.md");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&table), "docs/sinks/elasticsearch.md has not this table:\n{table}");
    }

    #[test]
    fn a_document() {
        let mut outcome = record("rtr1", Some("Gi0/3"), "down\n\"x\"");
        outcome.outcome.common_mut().labels = Labels::Own(vec![("team".into(), "net".into())]);
        let part = elasticsearch().part(&outcome).unwrap();
        let call = elasticsearch().call(&[part.clone(), part]);
        assert_eq!(call.headers["authorization"], "ApiKey abc=");
        let body = String::from_utf8(call.body.to_vec()).unwrap();
        let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.len() == 4 && body.ends_with('\n'));
        let index = json!({ "create": { "_index": "trapline-2023.11.14", "_id": "0000000000000001-2" } });
        assert_eq!((&lines[0], &lines[0]), (&index, &lines[2]));
        let expected = json!({
            "@timestamp": "2023-11-14T22:13:20.123456Z",
            "ecs": { "version": ECS },
            "message": "down\n\"x\"",
            "host": { "name": "rtr1" },
            "event": { "kind": "alert", "module": "trapline", "id": "0000000000000001-2", "severity": 3 },
            "rule": { "name": "r" },
            "source": { "ip": "192.0.2.1" },
            "labels": { "team": "net" },
            "trapline": { "kind": "check_result", "state": "critical", "service": "Gi0/3" },
        });
        assert_eq!(lines[1], expected);
    }

    #[test]
    fn names_of_indexes() {
        for right in ["trapline", "trapline-%Y.%m.%d", "logs-trapline-default", ".trapline"] {
            assert_eq!(wrong_index(right), None, "{right}");
        }
        for wrong in ["", "Trapline", "a b", "a%H", "_a", "-a", "a/b", "..", "a,b"] {
            assert!(wrong_index(wrong).is_some(), "{wrong}");
        }
    }
}
