//! NRDP: check results for Nagios by a form, many at once.

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::sinks::http::webhook::percent;
use crate::sinks::http::{Api, Call, Item, Verdict, by_status};
use crate::sinks::nagios::format::push_output;

/// How many results go in one request.
const MOST: usize = 100;
/// The longest output, in bytes.
const MAX_OUTPUT: usize = 32 * 1024;

/// Check results for NRDP.
#[derive(Debug, Clone)]
pub struct Nrdp {
    /// The token that its configuration knows.
    pub token: Zeroizing<String>,
}

impl Api for Nrdp {
    fn item(&self, record: &Record<'_>) -> Option<(String, Vec<u8>)> {
        let Outcome::CheckResult(check) = &record.outcome else { return None };
        let mut output = Vec::new();
        push_output(&mut output, check, MAX_OUTPUT);
        let kind = if check.service.is_some() { "service" } else { "host" };
        let mut result = json!({
            "checkresult": { "type": kind, "checktype": "1" },
            "hostname": check.host,
            "state": check.common.state.code().to_string(),
            "output": String::from_utf8_lossy(&output),
            "time": check.common.time.div_euclid(1_000_000).to_string(),
        });
        if let Some(service) = &check.service {
            result["servicename"] = Value::from(&**service);
        }
        Some((String::new(), result.to_string().into_bytes()))
    }

    fn most(&self) -> usize {
        MOST
    }

    fn call(&self, items: &[Item]) -> Call {
        let results: Vec<String> =
            items.iter().map(|item| String::from_utf8_lossy(&item.body).into_owned()).collect();
        let json = format!("{{\"checkresults\":[{}]}}", results.join(","));
        let body = format!("token={}&cmd=submitcheck&json={}", percent(&self.token), percent(&json));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        Call {
            method: Method::POST,
            path: String::new(),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, form)]),
            body: body.into(),
        }
    }

    fn verdict(&self, answer: &Answer, _items: &[Item]) -> Verdict {
        if !answer.status.is_success() {
            return by_status(answer, &[]);
        }
        let text = String::from_utf8_lossy(&answer.body);
        let (status, message) = match serde_json::from_str::<Value>(&text) {
            Ok(json) => {
                let status = &json["result"]["status"];
                let status = status.as_i64().or_else(|| status.as_str()?.trim().parse().ok());
                (status, json["result"]["message"].as_str().unwrap_or_default().to_owned())
            }
            // Older ones answer in XML.
            Err(_) => {
                let status = element(&text, "status").and_then(|status| status.trim().parse().ok());
                (status, element(&text, "message").unwrap_or_default().to_owned())
            }
        };
        let upper = message.to_uppercase();
        match status {
            Some(0) => Verdict::Taken,
            Some(_) if upper.contains("TOKEN") || upper.contains("NOT AUTHORIZED") => {
                Verdict::Stranger(message)
            }
            // What was sent cannot be read.
            Some(_) if upper.contains("DATA") || upper.contains("JSON") => Verdict::Apart(message),
            Some(_) => Verdict::Retry(message),
            None => Verdict::Wrong(format!("an answer without a status: {}", answer.excerpt())),
        }
    }
}

/// The text of the first element of that name.
fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}
