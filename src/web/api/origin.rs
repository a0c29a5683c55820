//! Whether a page may ask with the cookie of a session. Pure.
//!
//! A browser sends the cookie whoever wrote the page that asks, within what `SameSite` leaves. What changes something must
//! therefore come from a page of this server: `Origin` names it, `Sec-Fetch-Site` says so, and the type of the body is one that no
//! form can send.

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};

use super::problem::Problem;

/// What browsers say of the page that asks.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The types that forms can send.
const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

fn text(fields: &HeaderMap, name: HeaderName) -> Option<&str> {
    // What is no text equals nothing that is asked for.
    fields.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// What a request with a cookie does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It reads.
    Reads,
    /// It changes something.
    Changes,
    /// It logs in, and has no cookie yet; programs may, too.
    LogsIn,
    /// It opens a WebSocket, which no other check of browsers holds back.
    Opens,
}

/// Whether such a request is answered.
///
/// # Errors
///
/// 403, or 415 for the body of a form.
pub fn check(fields: &HeaderMap, kind: Kind, has_body: bool) -> Result<(), Problem> {
    let foreign =
        || Problem::new(StatusCode::FORBIDDEN, "a page of another site asks; only the console's own may");
    match (text(fields, SITE), kind) {
        (None | Some("same-origin"), _) | (Some("none"), Kind::Reads) => {}
        _ => return Err(foreign()),
    }
    let host = text(fields, HOST).unwrap_or_default();
    let is_own = |origin: &str| {
        let bare = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        bare.is_some_and(|bare| !host.is_empty() && bare.eq_ignore_ascii_case(host))
    };
    match (text(fields, ORIGIN), kind) {
        (None, Kind::Reads | Kind::LogsIn) => {}
        (Some(origin), _) if is_own(origin) => {}
        _ => return Err(foreign()),
    }
    let is_form = || {
        let given = text(fields, CONTENT_TYPE).unwrap_or("text/plain").to_ascii_lowercase();
        FORMS.iter().any(|form| given.starts_with(form))
    };
    if matches!(kind, Kind::Changes | Kind::LogsIn) && has_body && is_form() {
        let detail = "say what the body is: Content-Type: application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn status(kind: Kind, fields: &[(&'static str, &'static str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.insert(*name, HeaderValue::from_static(value));
        }
        check(&map, kind, true).map_or_else(|problem| problem.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_pages_of_this_server_change_something() {
        let own = [
            ("host", "127.0.0.1:8162"),
            ("origin", "http://127.0.0.1:8162"),
            ("content-type", "application/json"),
        ];
        let with = |name, value| {
            own.iter().copied().filter(|(known, _)| *known != name).chain([(name, value)]).collect::<Vec<_>>()
        };
        let without = |name| own.iter().copied().filter(|(known, _)| *known != name).collect::<Vec<_>>();
        assert_eq!(status(Kind::Changes, &own), 200);
        assert_eq!(status(Kind::Changes, &with("sec-fetch-site", "same-origin")), 200);
        for (name, value, said) in [
            ("origin", "http://evil.example", 403),
            ("origin", "http://127.0.0.1:8163", 403),
            ("origin", "null", 403),
            ("sec-fetch-site", "cross-site", 403),
            ("sec-fetch-site", "same-site", 403),
            ("sec-fetch-site", "none", 403),
            ("content-type", "text/plain;charset=UTF-8", 415),
            ("content-type", "application/x-www-form-urlencoded", 415),
        ] {
            assert_eq!(status(Kind::Changes, &with(name, value)), said, "{name}: {value}");
        }
        for (name, said) in [("origin", 403), ("host", 403), ("content-type", 415)] {
            assert_eq!(status(Kind::Changes, &without(name)), said, "{name}");
        }
    }

    #[test]
    fn reading_needs_no_origin_and_a_websocket_does() {
        let host = [("host", "h")];
        assert_eq!((status(Kind::Reads, &host), status(Kind::Opens, &host)), (200, 403));
        let typed = [("host", "h"), ("sec-fetch-site", "none")];
        assert_eq!((status(Kind::Reads, &typed), status(Kind::Opens, &typed)), (200, 403));
        let foreign = [("host", "h"), ("sec-fetch-site", "same-site")];
        assert_eq!(status(Kind::Reads, &foreign), 403);
        let typed_in = [("host", "h"), ("content-type", "application/json")];
        assert_eq!(status(Kind::LogsIn, &typed_in), 200);
        let page = [("host", "h"), ("origin", "https://h")];
        assert_eq!((status(Kind::Reads, &page), status(Kind::Opens, &page)), (200, 200));
    }
}
