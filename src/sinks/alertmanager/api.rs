//! The API of Alertmanager: what is sent, and what its answers mean. Pure.

use hyper::Method;
use serde_json::Value;

use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Call, Part};
use crate::sinks::sink::Said;

use super::alert::Encoder;

const SPECIFICATION: &str = "Alertmanager, api/v2/openapi.yaml, postAlerts; api/v2/api.go, postAlertsHandler";

/// What is read of an answer: "alerts: " and the text where the body is a string of JSON, "request: " and `message` where it is an
/// object, as the server of the API itself answers.
pub(super) const ANSWERS: &[Row] = &[
    Row { status: 200..=200, body: "", means: Means::Taken, source: SPECIFICATION },
    Row {
        status: 400..=400,
        body: "alerts: *",
        means: Means::Dead,
        source: "api/v2/api.go, postAlertsHandler: the valid alerts of the request are taken",
    },
    Row {
        status: 400..=400,
        body: "request: *",
        means: Means::Dead,
        source: "go-openapi: the body cannot be read",
    },
    Row {
        status: 422..=422,
        body: "request: *",
        means: Means::Dead,
        source: "go-openapi: the body is not valid",
    },
    Row { status: 500..=500, body: "alerts: *", means: Means::Later, source: SPECIFICATION },
];

/// The API of Alertmanager.
#[derive(Debug, Clone)]
pub(super) struct Alerts {
    pub(super) encoder: Encoder,
}

impl Api for Alerts {
    /// The alert of an outcome that is not good.
    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let (alert, cut) = self.encoder.alert(record)?;
        Ok(Part {
            id: record.id(),
            body: alert.json(alert.starts, alert.starts).into_bytes(),
            cut,
            ..Part::default()
        })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let bodies: Vec<&[u8]> = parts.iter().map(|part| part.body.as_slice()).collect();
        let body = [&b"["[..], &bodies.join(&b","[..]), b"]"].concat();
        Call::json(Method::POST, "/api/v2/alerts", body)
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        if answer.body.is_empty() {
            return String::new();
        }
        match serde_json::from_slice(&answer.body) {
            Ok(Value::String(text)) => format!("alerts: {text}"),
            Ok(Value::Object(object)) => {
                format!("request: {}", object.get("message").and_then(Value::as_str).unwrap_or_default())
            }
            _ => answer.excerpt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::http::tests::every_row;

    #[test]
    fn what_answers_mean() {
        let api = Alerts { encoder: Encoder { labels: vec![], annotations: vec![] } };
        let all = [
            (200, "", "taken"),
            // Something else than Alertmanager.
            (200, "<html>log in", "later"),
            (204, "", "later"),
            (400, r#""invalid label set: invalid name \"a-b\"""#, "dead"),
            (400, r#"{"code":400,"message":"parsing alerts body from \"\" failed"}"#, "dead"),
            (422, r#"{"code":602,"message":"0.labels in body is required"}"#, "dead"),
            (400, "<html>bad", "later"),
            (500, r#""disk""#, "later"),
            (401, "", "refused"),
            (404, "404 page not found", "refused"),
            (405, r#"{"code":405,"message":"method GET is not allowed"}"#, "refused"),
            (413, "", "halve"),
            (503, "", "busy"),
        ];
        every_row(&api, &all);
    }
}
