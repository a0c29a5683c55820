//! Icinga 2's REST API: process-check-result.

use hyper::header::{ACCEPT, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::sinks::http::{Api, Call, Item, Verdict, by_status, json_call};

/// Check results for Icinga 2.
#[derive(Debug, Clone)]
pub struct Icinga2 {
    /// Who says so: `check_source` of every result.
    pub check_source: String,
    /// Seconds after which a result is stale and Icinga checks itself; none for never.
    pub ttl: Option<u64>,
}

impl Api for Icinga2 {
    fn item(&self, record: &Record<'_>) -> Option<(String, Vec<u8>)> {
        let Outcome::CheckResult(check) = &record.outcome else { return None };
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
                // Of a host only up and not up are known; what is unreachable Icinga finds out by dependencies.
                body["exit_status"] = common.state.code().min(1).into();
            }
        }
        if let Some(ttl) = self.ttl {
            body["ttl"] = ttl.into();
        }
        Some((String::new(), body.to_string().into_bytes()))
    }

    fn call(&self, items: &[Item]) -> Call {
        let body = items.first().map(|item| item.body.clone()).unwrap_or_default();
        let mut call = json_call(Method::POST, "/v1/actions/process-check-result".to_owned(), body);
        // Without it errors are HTML.
        call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        call
    }

    fn verdict(&self, answer: &Answer, _items: &[Item]) -> Verdict {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let results = json["results"].as_array();
        let first = results.and_then(|all| all.first());
        let dead = |why: &str| Verdict::Dead(vec![(0, why.to_owned())]);
        match (answer.status, first) {
            (StatusCode::OK, Some(result)) if result["code"].as_f64() == Some(200.0) => Verdict::Taken,
            (StatusCode::NOT_FOUND, _) if json["status"].is_string() => {
                dead(json["status"].as_str().unwrap_or_default())
            }
            // Refused for this object: the result says why.
            (_, Some(result)) if result["code"].as_f64().is_some_and(|code| code < 500.0) => {
                dead(result["status"].as_str().unwrap_or("refused"))
            }
            // Nothing matches; no fault of the server.
            (StatusCode::OK | StatusCode::INTERNAL_SERVER_ERROR, None) if results.is_some() => {
                dead("no such object")
            }
            (StatusCode::BAD_REQUEST, _) => dead(&answer.excerpt()),
            _ => by_status(answer, &[]),
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
    use super::*;

    #[test]
    fn performance_data_in_parts() {
        assert_eq!(perfdata("a=1;2;3 'b c'=4  d=5"), ["a=1;2;3", "'b c'=4", "d=5"]);
        assert!(perfdata(" ").is_empty());
    }

    #[test]
    fn what_answers_mean() {
        let icinga = Icinga2 { check_source: "t".into(), ttl: None };
        let verdict = |status: u16, body: &str| {
            let answer = Answer {
                status: StatusCode::from_u16(status).unwrap(),
                retry_after: None,
                body: body.to_owned().into(),
            };
            icinga.verdict(&answer, &[])
        };
        assert_eq!(verdict(200, r#"{"results":[{"code":200.0,"status":"ok"}]}"#), Verdict::Taken);
        let unknown = verdict(404, r#"{"error":404.0,"status":"No objects found."}"#);
        assert_eq!(unknown, Verdict::Dead(vec![(0, "No objects found.".into())]));
        assert!(matches!(verdict(500, r#"{"results":[]}"#), Verdict::Dead(_)));
        assert!(matches!(verdict(400, "bad exit_status"), Verdict::Dead(_)));
        assert!(matches!(verdict(404, "<html>"), Verdict::Wrong(_)));
        assert!(matches!(verdict(401, "who"), Verdict::Stranger(_)));
        assert!(matches!(verdict(503, "reloading"), Verdict::Pause(..)));
        assert!(matches!(verdict(500, "oops"), Verdict::Retry(_)));
    }
}
