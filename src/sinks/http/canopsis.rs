//! Canopsis over HTTP: the events of the AMQP sink, many at once.

use hyper::Method;
use hyper::StatusCode;
use serde_json::Value;

use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::sinks::amqp::Form;
use crate::sinks::canopsis::CanopsisForm;
use crate::sinks::http::{Api, Call, Item, Verdict, by_status, json_call};

/// How many events go in one request.
const MOST: usize = 100;

/// Events for Canopsis.
#[derive(Debug, Clone)]
pub struct CanopsisHttp {
    /// What is made of outcomes.
    pub form: CanopsisForm,
}

impl Api for CanopsisHttp {
    fn item(&self, record: &Record<'_>) -> Option<(String, Vec<u8>)> {
        let (_, body) = self.form.clone().message(record)?;
        Some((String::new(), body))
    }

    fn most(&self) -> usize {
        MOST
    }

    fn call(&self, items: &[Item]) -> Call {
        let events: Vec<_> = items.iter().map(|item| item.body.as_slice()).collect();
        let body = [b"[", events.join(&b","[..]).as_slice(), b"]"].concat();
        json_call(Method::POST, String::new(), body)
    }

    fn verdict(&self, answer: &Answer, items: &[Item]) -> Verdict {
        if !answer.status.is_success() {
            return by_status(answer, &[StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE]);
        }
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let ids = |key: &str| -> Vec<&str> {
            let events = json[key].as_array().into_iter().flatten();
            events.filter_map(|event| event["trapline_id"].as_str()).collect()
        };
        let has = |key: &str| json[key].as_array().is_some_and(|all| !all.is_empty());
        if has("retry_events") {
            return Verdict::Retry("it asks to send some events again".to_owned());
        }
        if !has("failed_events") {
            return Verdict::Taken;
        }
        let failed = ids("failed_events");
        let of_item = |item: &Item| {
            let event: Value = serde_json::from_slice(&item.body).unwrap_or_default();
            event["trapline_id"].as_str().is_some_and(|id| failed.contains(&id))
        };
        let dead: Vec<_> = items
            .iter()
            .enumerate()
            .filter(|(_, item)| of_item(item))
            .map(|(at, _)| (at, "among the failed_events".to_owned()))
            .collect();
        // Which ones it means is not to be seen.
        if dead.is_empty() { Verdict::Apart("failed_events".to_owned()) } else { Verdict::Dead(dead) }
    }
}
