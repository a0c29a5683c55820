//! The influxdb sink: outcomes as points in the line protocol of InfluxDB, many in one request.

use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::http::client::Answer;
use crate::outcome::name::{breaks_line, turns};
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::settings::secret::TOKEN;
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Batch, Call, Part};
use crate::sinks::http::escape::percent;
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::piece::Format;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::{Order, Said};

/// `type = "influxdb"`
pub const KIND: Kind = Kind {
    name: "influxdb",
    says: "InfluxDB 1 and 2, as points in the line protocol",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key { name: "database", default: "required", says: "For InfluxDB 1: the database, which must exist." },
    Key { name: "bucket", default: "", says: "For InfluxDB 2, instead of `database`: the bucket." },
    Key { name: "org", default: "", says: "For InfluxDB 2: the organization." },
    Key { name: "token", default: "", says: "For InfluxDB 2: a token that may write to the bucket." },
    Key { name: "token_file", default: "", says: "The same from the first line of a file." },
    Key { name: "token_env", default: "", says: "The same from an environment variable." },
    Key {
        name: "measurement",
        default: "\"trapline\"",
        says: "The measurement: letters, digits, `_` and `-`.",
    },
];

const WRITE: &str = "InfluxDB, API reference, /write and /api/v2/write";

/// What is read of an answer: its error.
const ANSWERS: &[Row] = &[
    Row { status: 204..=204, body: "*", means: Means::Taken, source: WRITE },
    Row {
        status: 400..=400,
        body: "*",
        means: Means::Dead,
        source: "InfluxDB, /write: a line that is none, a field of another type, or a time outside of the retention; others may be in",
    },
    Row { status: 404..=404, body: "*not found*", means: Means::Misconfigured, source: WRITE },
    Row {
        status: 422..=422,
        body: "*",
        means: Means::Dead,
        source: "InfluxDB 2, /api/v2/write: outside of the retention",
    },
];

/// How many points go in one request, and how many bytes.
const MOST: usize = 1000;
const MOST_BYTES: usize = 1 << 20;
/// The longest text of a field, in octets: InfluxDB 1 takes 64 KiB.
const LONGEST: usize = 32 * 1024;

/// Points for InfluxDB.
#[derive(Clone)]
struct InfluxDb {
    /// Path and query of requests.
    path: String,
    /// The value of `Authorization`.
    token: Option<HeaderValue>,
    measurement: String,
}

impl std::fmt::Debug for InfluxDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InfluxDb").field("path", &self.path).finish_non_exhaustive()
    }
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "http://influxdb.example:8086", &[&TOKEN]);
    let (database, bucket, org) =
        (options.string("database"), options.string("bucket"), options.string("org"));
    let token = options.secret_header(&TOKEN, "Token ");
    let measurement = options.string("measurement");
    let plain = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    if let Some(text) = measurement.as_ref().filter(|text| !plain(text)) {
        let hint = Some("use letters, digits, '_' and '-'");
        options.report_at(&text.span, format!("'{}' can be no measurement", text.value.escape_debug()), hint);
    }
    let path = match (&database, &bucket, &org) {
        (Some(database), None, None) => {
            if options.has_secret(&TOKEN) {
                options.report(
                    "'token' is for InfluxDB 2",
                    "give bucket and org, or user and password for InfluxDB 1",
                );
            }
            Some(format!("/write?db={}&precision=ns", percent(database)))
        }
        (None, Some(bucket), Some(org)) => {
            if !options.has_secret(&TOKEN) {
                options.missing("token_file", "influxdb.token");
            }
            Some(format!("/api/v2/write?org={}&bucket={}&precision=ns", percent(org), percent(bucket)))
        }
        _ => {
            options.report(
                "this sink needs 'database', or 'bucket' and 'org'",
                "add database = \"trapline\" for InfluxDB 1, bucket and org for InfluxDB 2",
            );
            None
        }
    };
    let measurement = measurement.map_or_else(|| "trapline".to_owned(), |text| text.value);
    Some(Web::end(server?, InfluxDb { path: path?, token, measurement }))
}

impl InfluxDb {
    /// A point: a line with its end, and whether a text was cut.
    fn line(&self, record: &Record<'_>) -> Result<(String, bool), Said> {
        let (outcome, common) = (&record.outcome, record.outcome.common());
        let mut line = self.measurement.clone();
        let kind = outcome.kind();
        let service = outcome.service().unwrap_or("");
        for (name, value) in
            [("host", outcome.host()), ("service", service), ("rule", &*common.rule), ("kind", kind)]
        {
            if !value.is_empty() {
                line.push_str(&format!(",{name}={}", tag(value, name)?));
            }
        }
        for (name, value) in &common.labels {
            if !value.is_empty() && !["host", "service", "rule", "kind"].contains(&&**name) {
                line.push_str(&format!(",{name}={}", tag(value, name)?));
            }
        }
        line.push_str(&format!(" state={}i,state_name=\"{}\"", common.state.code(), common.state.as_str()));
        let id = record.id();
        let perfdata = match outcome {
            Outcome::CheckResult(check) => &*check.perfdata,
            Outcome::Event(_) => "",
        };
        let texts = [
            ("output", &*common.output),
            ("long_output", &*common.long_output),
            ("perfdata", perfdata),
            ("source", &*common.source),
            ("id", &id),
        ];
        let mut cut = false;
        for (name, value) in texts.iter().filter(|(_, value)| !value.is_empty()) {
            cut |= value.len() > LONGEST;
            let value = &value[..value.floor_char_boundary(LONGEST)];
            line.push_str(&format!(",{name}=\"{}\"", text(value)));
        }
        // A point with the time of another one of its series replaces it.
        let nanos = i128::from(common.time) * 1000 + i128::from(record.sequence % 1000);
        line.push_str(&format!(" {nanos}\n"));
        Ok((line, cut))
    }
}

/// The value of a tag. It cannot end in a backslash, which would escape what follows.
fn tag(value: &str, name: &str) -> Result<String, Said> {
    if value.ends_with('\\') {
        return Err(format!("'{name}' ends in a backslash, as no tag of InfluxDB can").into());
    }
    Ok(value.chars().fold(String::with_capacity(value.len()), |mut out, c| {
        if breaks_line(c) || turns(c) {
            out.push('_');
            return out;
        }
        if matches!(c, ',' | '=' | ' ') {
            out.push('\\');
        }
        out.push(c);
        out
    }))
}

/// What stands between the quotes of a text. Line breaks are written as `\n`, so that a point is one line for everybody.
fn text(value: &str) -> String {
    value.chars().fold(String::with_capacity(value.len()), |mut out, c| {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\\\n"),
            c if breaks_line(c) || turns(c) => out.push(' '),
            c => out.push(c),
        }
        out
    })
}

impl Api for InfluxDb {
    fn batch(&self) -> Batch {
        // A point has its time.
        Batch { items: MOST, bytes: MOST_BYTES, order: Order::Free }
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let (line, cut) = self.line(record)?;
        Ok(Part { id: record.id(), body: line.into_bytes(), cut, ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        let bodies: Vec<&[u8]> = parts.iter().map(|part| part.body.as_slice()).collect();
        Call { method: Method::POST, path: self.path.clone(), headers, body: bodies.concat().into() }
    }

    fn format(&self) -> Format {
        Format::Point
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        json["error"].as_str().or(json["message"].as_str()).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::result::Labels;
    use crate::sinks::http::tests::every_row;
    use crate::sinks::testing::record;

    fn influxdb() -> InfluxDb {
        InfluxDb { path: "/write?db=t&precision=ns".into(), token: None, measurement: "trapline".into() }
    }

    #[test]
    fn what_answers_mean() {
        every_row(
            &influxdb(),
            &[
                (204, "", "taken"),
                (200, "<html>", "later"),
                (
                    400,
                    r#"{"error":"partial write: field type conflict: input field \"state\" dropped=1"}"#,
                    "dead",
                ),
                (400, r#"{"error":"unable to parse 'x': missing fields"}"#, "dead"),
                (401, r#"{"error":"authorization failed"}"#, "refused"),
                (404, r#"{"error":"database not found: \"t\""}"#, "refused"),
                (404, "nothing here", "refused"),
                (413, r#"{"error":"Request Entity Too Large"}"#, "halve"),
                (422, r#"{"message":"outside retention"}"#, "dead"),
                (429, "", "busy"),
                (500, r#"{"error":"timeout"}"#, "later"),
                (503, "", "busy"),
            ],
        );
    }

    #[test]
    fn a_point_is_one_line() {
        let mut record = record("sw,1 = a", Some("Interface Gi0/3"), "a \"b\" \\ c\nd");
        record.outcome.common_mut().labels =
            Labels::Own(vec![("team".into(), "net work".into()), ("host".into(), "x".into())]);
        let (line, cut) = influxdb().line(&record).unwrap();
        assert_eq!(
            line,
            "trapline,host=sw\\,1\\ \\=\\ a,service=Interface\\ Gi0/3,rule=r,kind=check_result,team=net\\ work \
             state=2i,state_name=\"critical\",output=\"a \\\"b\\\" \\\\ c\\\\nd\",source=\"192.0.2.1\",id=\"0000000000000001-2\" \
             1700000000123456002\n"
        );
        assert!(!cut);
        let end = crate::sinks::testing::record("sw\\", None, "o");
        assert!(influxdb().line(&end).unwrap_err().as_str().contains("ends in a backslash"));
        let long = crate::sinks::testing::record("sw", None, "");
        let mut long = long;
        long.outcome.common_mut().output = "é".repeat(LONGEST).into();
        assert!(influxdb().line(&long).unwrap().1);
    }
}
