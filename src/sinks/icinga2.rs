//! The icinga2 sink: check results through the action process-check-result of Icinga 2's REST API.

use hyper::Method;
use hyper::header::{ACCEPT, HeaderValue};
use serde_json::{Value, json};

use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Call, Part};
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::Said;

/// `type = "icinga2"`
pub const KIND: Kind = Kind {
    name: "icinga2",
    says: "Icinga 2's REST API",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key { name: "check_source", default: "\"trapline\"", says: "`check_source` of every result." },
    Key {
        name: "ttl",
        default: "",
        says: "Seconds after which Icinga considers a result stale and runs its own check. At least 1.",
    },
];

/// What is read of an answer: code and status of its result, or the status of its error.
const ANSWERS: &[Row] = &[
    Row {
        status: 200..=200,
        body: "200: *",
        means: Means::Taken,
        source: "Icinga 2, lib/icinga/apiactions.cpp, ProcessCheckResult",
    },
    Row {
        status: 200..=599,
        body: "409: *",
        means: Means::Stale,
        source: "Icinga 2, lib/icinga/apiactions.cpp: \"Newer check result already present\"",
    },
    Row {
        status: 200..=599,
        body: "40?: *",
        means: Means::Dead,
        source: "Icinga 2, lib/icinga/apiactions.cpp: no such object, passive checks disabled, a parameter is wrong",
    },
    Row {
        status: 200..=599,
        body: "50?: *",
        means: Means::Later,
        source: "Icinga 2, lib/remote/actionshandler.cpp: the action failed, or the daemon is shutting down",
    },
    Row {
        status: 404..=404,
        body: "No objects found.",
        means: Means::Dead,
        source: "Icinga 2, lib/remote/actionshandler.cpp: no such host or service",
    },
    Row {
        status: 200..=599,
        body: "no result",
        means: Means::Dead,
        source: "Icinga 2.13, seen: an empty list of results, no such host or service",
    },
    Row {
        status: 404..=404,
        body: "*could not be found*",
        means: Means::Later,
        source: "Icinga 2, lib/remote/httphandler.cpp: wrong path, missing permission, or any exception of a handler",
    },
    Row {
        status: 400..=400,
        body: "*",
        means: Means::Dead,
        source: "Icinga 2, lib/remote/httpserverconnection.cpp: a body or a value that cannot be read",
    },
];

/// Check results for Icinga 2.
#[derive(Debug, Clone)]
pub struct Icinga2 {
    check_source: String,
    /// In seconds.
    ttl: Option<u64>,
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "https://icinga.example:5665", &[]);
    let check_source = options.text("check_source", "trapline");
    let ttl = options.integer("ttl").and_then(|ttl| {
        let valid = u64::try_from(ttl.value).ok().filter(|ttl| *ttl > 0);
        if valid.is_none() {
            options.report_at(&ttl.span, "ttl must be a number of seconds, at least 1", None);
        }
        valid
    });
    Some(Web::end(server?, Icinga2 { check_source, ttl }))
}

impl Api for Icinga2 {
    fn greeting(&self) -> Option<Call> {
        Some(Call::json(Method::GET, "/v1", ""))
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let Outcome::CheckResult(check) = &record.outcome else {
            return Err("the outcome is no check result".into());
        };
        // It separates host and service: the name would be that of another host's service.
        if check.host.contains('!') {
            return Err(
                "the host name has '!', which no name of an Icinga 2 host has; replace it in the rule".into(),
            );
        }
        let common = &check.common;
        let mut output = common.output.to_string();
        if !common.long_output.is_empty() {
            output.push('\n');
            output.push_str(&common.long_output);
        }
        let seconds = common.time as f64 / 1e6;
        let mut body = json!({
            "plugin_output": output,
            "performance_data": perfdata(&check.perfdata),
            "check_source": self.check_source,
            "execution_start": seconds,
            "execution_end": seconds,
        });
        match &check.service {
            Some(service) => {
                body["type"] = "Service".into();
                body["service"] = format!("{}!{service}", check.host).into();
                body["exit_status"] = common.state.code().into();
            }
            None => {
                body["type"] = "Host".into();
                body["host"] = Value::from(&*check.host);
                // Icinga knows up and down only; it finds out by dependencies what is unreachable.
                body["exit_status"] = common.state.code().min(1).into();
            }
        }
        if let Some(ttl) = self.ttl {
            body["ttl"] = ttl.into();
        }
        Ok(Part { id: record.id(), body: body.to_string().into_bytes(), ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let body = parts.first().map(|part| part.body.clone()).unwrap_or_default();
        let mut call = Call::json(Method::POST, "/v1/actions/process-check-result", body);
        // Without it errors are HTML.
        call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        call
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let status = |of: &Value| of["status"].as_str().unwrap_or_default().to_owned();
        match json["results"].as_array().map(Vec::as_slice) {
            Some([]) => "no result".to_owned(),
            Some([result, ..]) => match result["code"].as_f64() {
                Some(code) => format!("{code}: {}", status(result)),
                None => String::new(),
            },
            None => status(&json),
        }
    }
}

/// Performance data as the list of its parts; labels in quotes may have spaces.
fn perfdata(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::name::Name;
    use crate::sinks::http::tests::every_row;
    use crate::sinks::testing::record;

    #[test]
    fn performance_data_in_parts() {
        assert_eq!(perfdata("a=1;2;3 'b c'=4  d=5"), ["a=1;2;3", "'b c'=4", "d=5"]);
        assert!(perfdata(" ").is_empty());
    }

    #[test]
    fn what_answers_mean() {
        let icinga = Icinga2 { check_source: "t".into(), ttl: None };
        every_row(
            &icinga,
            &[
                (
                    200,
                    r#"{"results":[{"code":200.0,"status":"Successfully processed check result"}]}"#,
                    "taken",
                ),
                (
                    409,
                    r#"{"results":[{"code":409,"status":"Newer check result already present."}]}"#,
                    "stale",
                ),
                (
                    500,
                    r#"{"results":[{"code":409.0,"status":"Newer check result already present."}]}"#,
                    "stale",
                ),
                (403, r#"{"results":[{"code":403,"status":"Passive checks are disabled for h!s"}]}"#, "dead"),
                (200, r#"{"results":[{"code":500.0,"status":"Action execution failed"}]}"#, "later"),
                (503, r#"{"results":[{"code":503,"status":"Action skipped: Shutting down."}]}"#, "later"),
                (404, r#"{"error":404.0,"status":"No objects found."}"#, "dead"),
                (500, r#"{"results":[]}"#, "dead"),
                (
                    404,
                    r#"{"error":404,"status":"The requested path 'x' could not be found or the request method is not valid for this path."}"#,
                    "later",
                ),
                (400, r#"{"error":400,"status":"Invalid request body: Cannot parse JSON"}"#, "dead"),
                (200, "<html>log in", "later"),
                (200, r#"{"results":[{"status":"no code"}]}"#, "later"),
                (404, "<html>", "refused"),
                (
                    403,
                    r#"{"error":403,"status":"Missing permission: actions/process-check-result"}"#,
                    "refused",
                ),
                (401, "who", "refused"),
                (503, r#"{"error":503,"status":"Shutting down."}"#, "busy"),
                (500, "oops", "later"),
            ],
        );
    }

    proptest! {
        #[test]
        fn no_value_makes_another_parameter(host in any::<String>(), service in prop::option::of(any::<String>()), output in any::<String>()) {
            let icinga = Icinga2 { check_source: "t".into(), ttl: Some(60) };
            let record = record(&host, service.as_deref(), &output);
            let Ok(part) = icinga.part(&record) else {
                prop_assert!(host.contains('!'));
                return Ok(());
            };
            let (host, service) = (Name::from(host.as_str()), service.as_deref().map(Name::from));
            let body: Value = serde_json::from_slice(&part.body).unwrap();
            prop_assert_eq!(body.as_object().unwrap().len(), 9, "{}", body);
            prop_assert_eq!(body["plugin_output"].as_str(), Some(output.as_str()));
            let object = service.as_ref().map(|service| format!("{host}!{service}"));
            let (key, name) = if service.is_some() { ("service", object.unwrap()) } else { ("host", host.to_string()) };
            prop_assert_eq!(body[key].as_str(), Some(name.as_str()));
        }
    }
}
