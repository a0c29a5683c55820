//! Alignak's web services module: external commands, or the live state of hosts and services.

use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Outcome};
use crate::sinks::http::{Api, Call, Item, Verdict, basic, by_status, json_call};
use crate::sinks::nagios::format::push_output;

/// The longest output, in bytes.
const MAX_OUTPUT: usize = 32 * 1024;

/// How results are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `POST /command`, as external commands.
    Command,
    /// `PATCH /host`, as live state.
    Host,
}

/// Check results for Alignak.
#[derive(Debug, Clone)]
pub struct Alignak {
    /// How results are told.
    pub way: Way,
    /// User and password, where the module wants any.
    pub user: Option<(String, Zeroizing<String>)>,
}

impl Api for Alignak {
    fn item(&self, record: &Record<'_>) -> Option<(String, Vec<u8>)> {
        let Outcome::CheckResult(check) = &record.outcome else { return None };
        let body = match self.way {
            Way::Command => command(check),
            Way::Host => livestate(check),
        };
        Some((String::new(), body.to_string().into_bytes()))
    }

    fn call(&self, items: &[Item]) -> Call {
        let body = items.first().map(|item| item.body.clone()).unwrap_or_default();
        match self.way {
            Way::Command => json_call(Method::POST, "/command".to_owned(), body),
            Way::Host => json_call(Method::PATCH, "/host".to_owned(), body),
        }
    }

    fn verdict(&self, answer: &Answer, _items: &[Item]) -> Verdict {
        if !answer.status.is_success() {
            return by_status(answer, &[]);
        }
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match json["_status"].as_str() {
            Some(status) if status.eq_ignore_ascii_case("ok") => Verdict::Taken,
            Some(_) => {
                let issues = json["_issues"].as_array().map(|all| {
                    all.iter()
                        .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned))
                        .collect::<Vec<_>>()
                });
                Verdict::Dead(vec![(0, issues.map_or_else(|| answer.excerpt(), |all| all.join("; ")))])
            }
            None => Verdict::Wrong(format!("an answer without _status: {}", answer.excerpt())),
        }
    }

    fn login(&self) -> Option<Call> {
        let (user, password) = self.user.as_ref()?;
        let body = json!({ "username": user, "password": password.as_str() });
        Some(json_call(Method::POST, "/login".to_owned(), body.to_string().into_bytes()))
    }

    fn session(&self, answer: &Answer) -> Result<HeaderMap, String> {
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

fn command(check: &CheckResult<'_>) -> Value {
    let mut output = Vec::new();
    push_output(&mut output, check, MAX_OUTPUT);
    let parameters = format!("{};{}", check.common.state.code(), String::from_utf8_lossy(&output));
    let timestamp = check.common.time.div_euclid(1_000_000).to_string();
    match &check.service {
        Some(service) => json!({
            "command": "PROCESS_SERVICE_CHECK_RESULT", "host": check.host, "service": service,
            "parameters": parameters, "timestamp": timestamp,
        }),
        None => json!({
            "command": "PROCESS_HOST_CHECK_RESULT", "host": check.host, "parameters": parameters,
            "timestamp": timestamp,
        }),
    }
}

fn livestate(check: &CheckResult<'_>) -> Value {
    let common = &check.common;
    let state = json!({
        "state": common.state.as_str().to_uppercase(), "output": common.output, "long_output": common.long_output,
        "perf_data": check.perfdata, "timestamp": common.time.div_euclid(1_000_000),
    });
    match &check.service {
        Some(service) => json!({
            "name": check.host,
            "services": { service.as_ref(): { "name": service, "livestate": state } },
        }),
        None => json!({ "name": check.host, "livestate": state }),
    }
}
