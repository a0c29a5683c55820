//! `GET /api/v1/states?host=...&service=...&rule=...`: what is open, held or flapping, as JSON. For this machine only.

use hyper::StatusCode;
use serde_json::json;

use crate::intake::state_view::{self, StateFilter};
use crate::status::Status;

/// The most entries of an answer.
const MOST: usize = 10_000;

/// The answer to a query. Takes the lock of the state in parts.
pub(super) fn answer(status: &Status, query: &str) -> (StatusCode, String) {
    match filter(query) {
        Ok(filter) => {
            let list = state_view::list(&status.shared, &filter, MOST);
            let code = if list["ok"] == true { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (code, format!("{list}\n"))
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{}\n", json!({ "ok": false, "error": error }))),
    }
}

/// What a query asks for (WHATWG URL, section 5.1).
fn filter(query: &str) -> Result<StateFilter, String> {
    let mut filter = StateFilter::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Some(decoded(value)?);
        match name {
            "host" => filter.host = value,
            "service" => filter.service = value,
            "rule" => filter.rule = value,
            "key" => filter.key = value,
            _ => {
                return Err(format!(
                    "unknown parameter '{}'; there are host, service, rule and key",
                    name.escape_debug()
                ));
            }
        }
    }
    Ok(filter)
}

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
                let hex = std::str::from_utf8(&digits).ok().filter(|hex| !hex.starts_with('+'));
                hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())
                    .ok_or_else(|| "'%' without two hexadecimal digits".to_owned())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "a parameter is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_and_what_is_unknown_is_refused() {
        let asked = filter("host=core-%2A&service=Link+3%2f1&rule=").unwrap();
        assert_eq!(asked.host.as_deref(), Some("core-*"));
        assert_eq!(asked.service.as_deref(), Some("Link 3/1"));
        assert_eq!(filter("").unwrap(), StateFilter::default());
        for wrong in ["hots=x", "host=%4", "host=%+1", "host=%zz", "host=%ff"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
