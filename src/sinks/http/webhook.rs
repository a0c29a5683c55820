//! Webhooks: any method, URL, headers and body by template, signed where a secret is given.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::http::client::Answer;
use crate::outcome::json::Json;
use crate::outcome::record::Record;
use crate::sinks::http::{Api, Call, Item, Verdict, by_status};
use crate::sinks::template::OutcomeTemplate;

/// How values stand in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Within strings of JSON.
    Json,
    /// As values of a form.
    Form,
    /// As they are.
    Text,
}

impl Format {
    /// The header that goes with it.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Form => "application/x-www-form-urlencoded",
            Format::Text => "text/plain; charset=utf-8",
        }
    }

    fn escape(self) -> fn(&str) -> String {
        match self {
            Format::Json => in_json,
            Format::Form => percent,
            Format::Text => str::to_owned,
        }
    }
}

/// A request an outcome.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The method.
    pub method: Method,
    /// Path and query behind the URL, values percent-encoded; none for the URL itself.
    pub path: Option<OutcomeTemplate>,
    /// The body; none for the outcome as JSON.
    pub body: Option<OutcomeTemplate>,
    /// How values stand in it.
    pub format: Format,
    /// The header that carries the HMAC-SHA-256 of the body in hex, and its key.
    pub signature: Option<(HeaderName, Zeroizing<String>)>,
}

impl Api for Webhook {
    fn item(&self, record: &Record<'_>) -> Option<(String, Vec<u8>)> {
        let path = self.path.as_ref().map_or_else(String::new, |path| path.render(record, percent));
        let body = match &self.body {
            Some(body) => body.render(record, self.format.escape()).into_bytes(),
            None => serde_json::to_vec(&Json(record)).ok()?,
        };
        Some((path, body))
    }

    fn call(&self, items: &[Item]) -> Call {
        let (path, body) = items.first().map(|i| (i.path.clone(), i.body.clone())).unwrap_or_default();
        let mut headers = hyper::HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.format.content_type()));
        if let Some((name, secret)) = &self.signature
            && let Ok(value) = HeaderValue::from_str(&format!("sha256={}", hmac(secret.as_bytes(), &body)))
        {
            headers.insert(name, value);
        }
        Call { method: self.method.clone(), path, headers, body: body.into() }
    }

    fn verdict(&self, answer: &Answer, _items: &[Item]) -> Verdict {
        let dead = [
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_ACCEPTABLE,
            StatusCode::CONFLICT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        by_status(answer, &dead)
    }
}

/// HMAC-SHA-256 in hex (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(text);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// Percent-encoded (RFC 3986, section 2): all but unreserved characters.
pub fn percent(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// What stands between the quotes of a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_signature_of_rfc_4231() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hmac(b"Jefe", b"what do ya want for nothing?"), expected);
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place(text in any::<String>()) {
            let json: serde_json::Value = serde_json::from_str(&format!("{{\"a\":\"{}\"}}", in_json(&text))).unwrap();
            prop_assert_eq!(json["a"].as_str().unwrap(), &text);
            prop_assert!(percent(&text).bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        }
    }
}
