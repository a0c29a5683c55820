//! The alignak sink: Alignak's web services module, by external commands or by the live state of hosts and services.

use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Outcome};
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Call, Part, basic};
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::piece::Format;
use crate::sinks::plugin_output::{self, Unfit};
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::Said;

/// `type = "alignak"`
pub const KIND: Kind = Kind {
    name: "alignak",
    says: "Alignak's web services",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[Key {
    name: "method",
    default: "\"command\"",
    says: "`\"command\"` posts external commands to `/command`; `\"host\"` patches the live state of hosts and services at `/host`.",
}];

/// What is read of an answer: `_status`, and `_issues` or `_error`.
const ANSWERS: &[Row] = &[
    Row {
        status: 200..=200,
        body: "ok: *",
        means: Means::Taken,
        source: "alignak-module-ws 1.7.7, utils/ws_server.py",
    },
    Row {
        status: 200..=200,
        body: "err: *alignak backend*",
        means: Means::Later,
        source: "alignak-module-ws 1.7.7, ws.py, updateHost: its backend is away or fails",
    },
    Row {
        status: 200..=200,
        body: "err: *does not exist*",
        means: Means::Dead,
        source: "alignak-module-ws 1.7.7, ws.py, updateHost: no such host or service",
    },
    Row {
        status: 200..=200,
        body: "err: *missing*",
        means: Means::Dead,
        source: "alignak-module-ws 1.7.7, utils/ws_server.py: a parameter is empty",
    },
    Row {
        status: 200..=200,
        body: "err: *you must only*",
        means: Means::UnexpectedServer,
        source: "alignak-module-ws 1.7.7, utils/ws_server.py: another method is expected at this path",
    },
];

/// The longest output, in bytes.
const MAX_OUTPUT: usize = 32 * 1024;
/// The longest name of a host or service, in bytes.
const MAX_NAME: usize = 256;

/// How results are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// `POST /command`, as external commands.
    Command,
    /// `PATCH /host`, as live state.
    Host,
}

/// Check results for Alignak.
#[derive(Debug, Clone)]
pub struct Alignak {
    mode: Mode,
    /// User and password, where the module wants any.
    user: Option<(String, Zeroizing<String>)>,
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "http://alignak.example:8888", &[]);
    let modes = [("command", Mode::Command), ("host", Mode::Host)];
    let mode = options.word("method", &modes, "method of the alignak sink").unwrap_or(Mode::Command);
    let mut server = server?;
    // Not for HTTP Basic, but for the login that gives a token.
    let user = server.login.take();
    Some(Web::end(server, Alignak { mode, user }))
}

impl Api for Alignak {
    fn takes_events(&self) -> bool {
        false
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let Outcome::CheckResult(check) = &record.outcome else {
            return Err("the outcome is no check result".into());
        };
        let (body, cut) = match self.mode {
            Mode::Command => command(check)?,
            Mode::Host => (livestate(check), false),
        };
        Ok(Part { id: record.id(), body: body.to_string().into_bytes(), cut, ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let body = parts.first().map(|part| part.body.clone()).unwrap_or_default();
        match self.mode {
            Mode::Command => Call::json(Method::POST, "/command", body),
            Mode::Host => Call::json(Method::PATCH, "/host", body),
        }
    }

    fn format(&self) -> Format {
        match self.mode {
            Mode::Command => Format::JsonForNagios,
            Mode::Host => Format::Json,
        }
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(status) = json["_status"].as_str() else { return String::new() };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let issues = match (&json["_issues"], &json["_error"]) {
            (Value::Array(issues), _) => issues.iter().map(text).collect::<Vec<_>>().join("; "),
            (Value::Null, Value::Null) => String::new(),
            (Value::Null, error) => text(error),
            (issue, _) => text(issue),
        };
        format!("{status}: {issues}")
    }

    fn login(&self) -> Option<Call> {
        let (user, password) = self.user.as_ref()?;
        let body = json!({ "username": user, "password": password.as_str() });
        Some(Call::json(Method::POST, "/login", body.to_string()))
    }

    fn session(&self, answer: &Answer) -> Result<HeaderMap, Said> {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = match &json["_result"] {
            Value::Array(all) => all.first().and_then(Value::as_str),
            other => other.as_str(),
        };
        let token = token.filter(|_| answer.status.is_success());
        let token = token.ok_or_else(|| format!("it answered {}: {}", answer.status, answer.excerpt()))?;
        Ok(HeaderMap::from_iter([(AUTHORIZATION, basic(token, ""))]))
    }
}

/// An external command. The module joins its parts with `;` and does not look at them, so they are escaped as in the
/// command file of Nagios. It has no timestamp: Alignak does nothing with a result that is older than the last check of its service, and says
/// so to nobody (`alignak/external_command.py`, `process_service_check_result`).
fn command(check: &CheckResult<'_>) -> Result<(Value, bool), Unfit> {
    let (output, cut) = plugin_output::output(check, MAX_OUTPUT);
    let mut body = json!({
        "command": "PROCESS_HOST_CHECK_RESULT",
        "host": plugin_output::host(check, MAX_NAME)?,
        "parameters": format!("{};{output}", check.common.state.code()),
    });
    if let Some(service) = &check.service {
        body["command"] = "PROCESS_SERVICE_CHECK_RESULT".into();
        body["service"] = plugin_output::service(service, MAX_NAME)?.into();
    }
    Ok((body, cut))
}

fn livestate(check: &CheckResult<'_>) -> Value {
    let common = &check.common;
    let state = json!({
        "state": common.state.as_str().to_uppercase(), "output": common.output, "long_output": common.long_output,
        "perf_data": check.perfdata,
    });
    match &check.service {
        Some(service) => json!({
            "name": check.host,
            "services": { service.as_str(): { "name": service, "livestate": state } },
        }),
        None => json!({ "name": check.host, "livestate": state }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::name::Name;
    use crate::sinks::http::tests::every_row;
    use crate::sinks::testing::check;

    fn alignak(mode: Mode) -> Alignak {
        Alignak { mode, user: Some(("trapline".into(), "secret".to_owned().into())) }
    }

    #[test]
    fn what_answers_mean() {
        every_row(
            &alignak(Mode::Command),
            &[
                (200, r#"{"_status":"OK","_result":"done"}"#, "taken"),
                (200, r#"{"_status":"ok"}"#, "taken"),
                (200, r#"{"_status":"ERR","_issues":["Alignak backend error. Exception: x"]}"#, "later"),
                (
                    200,
                    r#"{"_status":"ERR","_issues":["Alignak backend is not available currently."]}"#,
                    "later",
                ),
                (200, r#"{"_status":"ERR","_issues":["Requested host 'h' does not exist."]}"#, "dead"),
                (200, r#"{"_status":"ERR","_error":"Missing command parameter"}"#, "dead"),
                (200, r#"{"_status":"ERR","_error":"You must only POST on this endpoint."}"#, "refused"),
                (200, r#"{"_status":"ERR","_issues":["something new"]}"#, "later"),
                (200, r#"{"_status":"ERR"}"#, "later"),
                (200, "<html>log in", "later"),
                (401, "", "refused"),
                (503, "", "busy"),
            ],
        );
    }

    #[test]
    fn no_result_is_older_than_its_delivery() {
        for service in [None, Some("s")] {
            let check = check("h", service, "o");
            for body in [command(&check).unwrap().0, livestate(&check)] {
                assert!(!body.to_string().contains("time"), "{body}");
            }
        }
    }

    #[test]
    fn a_login_gives_a_token() {
        let answer = |body: &str| Answer {
            status: hyper::StatusCode::OK,
            retry_after: None,
            body: body.to_owned().into(),
        };
        let alignak = alignak(Mode::Command);
        let headers = alignak.session(&answer(r#"{"_status":"OK","_result":["token"]}"#)).unwrap();
        assert_eq!(headers[AUTHORIZATION], basic("token", ""));
        let refused = alignak.session(&answer(r#"{"_status":"ERR","_issues":["Access denied."]}"#));
        assert!(refused.unwrap_err().as_str().contains("Access denied"));
    }

    proptest! {
        #[test]
        fn no_value_makes_another_argument(host in ".{0,40}", service in "(\\PC|[;|\n]){0,40}", output in "(\\PC|[;|\n\\\\]){0,80}") {
            let Ok((body, _)) = command(&check(&host, Some(&service), &output)) else {
                let fits = |name: &str| !Name::from(name).is_empty() && !name.contains([';', '|']);
                prop_assert!(!fits(&host) || !fits(&service));
                return Ok(());
            };
            // As the module puts the command together.
            let text = |key: &str| body[key].as_str().unwrap().to_owned();
            let line = format!("{};{};{};{}", text("command"), text("host"), text("service"), text("parameters"));
            prop_assert!(!line.contains(|c: char| c.is_control()));
            let fields: Vec<&str> = line.splitn(5, ';').collect();
            prop_assert_eq!((fields[0], fields[3]), ("PROCESS_SERVICE_CHECK_RESULT", "2"));
        }
    }
}
