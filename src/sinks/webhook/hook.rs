//! Requests with method, path, headers and body by template, signed where a secret is given.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, StatusCode};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::answer::Expected;
use crate::http::client::Answer;
use crate::outcome::json;
use crate::outcome::record::Record;
use crate::settings::url::LONGEST_PATH;
use crate::sinks::fields::{Escape, Template};
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Batch, Call, Part};
use crate::sinks::http::escape::{in_json, in_markdown, in_slack, in_text, percent};
use crate::sinks::piece;
use crate::sinks::sink::{Order, Said};

/// How many bytes of bodies go in one request of several outcomes.
const MOST_BYTES: usize = 1 << 20;

/// There is no API that defines a body, so the status alone counts.
pub(super) const ANSWERS: &[Row] = &[
    Row {
        status: 200..=299,
        body: "not what is expected: *",
        means: Means::Later,
        source: "the key `expect`",
    },
    Row { status: 200..=299, body: "*", means: Means::Taken, source: "RFC 9110, section 15.3" },
    Row { status: 400..=400, body: "*", means: Means::Dead, source: "RFC 9110, section 15.5.1" },
    Row {
        status: 404..=404,
        body: "the path is not there: *",
        means: Means::Dead,
        source: "RFC 9110, section 15.5.5; the path has values of the outcome, and others have other ones",
    },
    Row {
        status: 403..=405,
        body: "*",
        means: Means::Later,
        source: "RFC 9110, sections 15.5.4 to 15.5.6; firewalls of web servers answer so because of one text",
    },
    Row { status: 406..=406, body: "*", means: Means::Dead, source: "RFC 9110, section 15.5.7" },
    Row { status: 409..=409, body: "*", means: Means::Dead, source: "RFC 9110, section 15.5.10" },
    Row { status: 413..=413, body: "*", means: Means::Dead, source: "RFC 9110, section 15.5.14" },
    Row { status: 415..=415, body: "*", means: Means::Dead, source: "RFC 9110, section 15.5.16" },
    Row { status: 422..=422, body: "*", means: Means::Dead, source: "RFC 9110, section 15.5.21" },
];

/// How values stand in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Within strings of JSON.
    Json,
    /// Within strings of JSON that Slack shows as mrkdwn.
    Slack,
    /// Within strings of JSON that are shown as Markdown.
    Markdown,
    /// As values of a form.
    Form,
    /// Without control characters.
    Text,
    /// JSON, one on each line.
    Ndjson,
    /// A list of JSON.
    Array,
}

impl Format {
    /// The header that goes with it.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::Json | Format::Slack | Format::Markdown | Format::Array => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Form => "application/x-www-form-urlencoded",
            Format::Text => "text/plain; charset=utf-8",
        }
    }

    pub(super) fn escape(self) -> Escape {
        match self {
            Format::Json | Format::Ndjson | Format::Array => in_json,
            Format::Slack => in_slack,
            Format::Markdown => in_markdown,
            Format::Form => percent,
            Format::Text => in_text,
        }
    }

    /// The template of a body where none is given; none for the outcome as JSON. Every other format has its own, as the values of
    /// a body are to be escaped for those who show it.
    pub(super) fn usual_body(self) -> Option<&'static str> {
        match self {
            Format::Json | Format::Ndjson | Format::Array => None,
            Format::Slack => Some(concat!(
                r#"{"text":"*{{ outcome.state }}* {{ outcome.host }}"#,
                "{% if outcome.service %} {{ outcome.service }}{% endif %}: ",
                r#"{{ outcome.output }}"}"#
            )),
            Format::Markdown => Some(concat!(
                r#"{"text":"**{{ outcome.state }}** {{ outcome.host }}"#,
                "{% if outcome.service %} {{ outcome.service }}{% endif %}: ",
                r#"{{ outcome.output }}"}"#
            )),
            Format::Form => Some(concat!(
                "state={{ outcome.state }}&host={{ outcome.host }}",
                "{% if outcome.service %}&service={{ outcome.service }}{% endif %}&output={{ outcome.output }}"
            )),
            Format::Text => Some(concat!(
                "{{ outcome.state }}: {{ outcome.host }}",
                "{% if outcome.service %} {{ outcome.service }}{% endif %}: {{ outcome.output }}"
            )),
        }
    }

    /// Whether a request can have several outcomes.
    pub(super) fn takes_many(self) -> bool {
        matches!(self, Format::Ndjson | Format::Array)
    }

    pub(super) fn of_piece(self) -> piece::Format {
        match self {
            Format::Json | Format::Ndjson | Format::Array => piece::Format::Json,
            Format::Slack => piece::Format::Slack,
            Format::Markdown => piece::Format::Markdown,
            Format::Form => piece::Format::Form,
            Format::Text => piece::Format::Text,
        }
    }
}

/// Requests for outcomes.
#[derive(Clone)]
pub(super) struct Webhook {
    pub(super) method: Method,
    /// Path and query behind the URL; none for the URL itself.
    pub(super) path: Option<Template>,
    /// Whether the path has values of the outcome.
    pub(super) own_path: bool,
    /// The body; none for the outcome as JSON.
    pub(super) body: Option<Template>,
    pub(super) format: Format,
    /// How many outcomes a request has at most.
    pub(super) batch: usize,
    /// The field of a form in which the body stands; none if it is the body itself.
    pub(super) field: Option<String>,
    /// What an answer must have, beside its status.
    pub(super) expect: Option<Expected>,
    /// The header that carries the HMAC-SHA-256 of the body in hex, and its key.
    pub(super) signature: Option<(HeaderName, Zeroizing<String>)>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Webhook {
    /// A body as it is sent.
    pub(super) fn wrapped(&self, body: String) -> String {
        match &self.field {
            Some(field) => format!("{field}={}", percent(&body)),
            None => body,
        }
    }

    /// What is sent.
    pub(super) fn piece(&self) -> piece::Format {
        if self.field.is_some() { piece::Format::Form } else { self.format.of_piece() }
    }

    /// The headers of a request with this body.
    pub(super) fn headers(&self, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let format = if self.field.is_some() { Format::Form } else { self.format };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        if let Some((name, secret)) = &self.signature
            && let Ok(value) = HeaderValue::from_str(&format!("sha256={}", hmac(secret.as_bytes(), body)))
        {
            headers.insert(name, value);
        }
        headers
    }
}

impl Api for Webhook {
    fn batch(&self) -> Batch {
        match self.batch {
            1 => Batch::ONE,
            items => Batch { items, bytes: MOST_BYTES, order: Order::Kept },
        }
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let rendered = |key: &str, template: &Template| {
            template
                .render(record)
                .map_err(|error| Said::from(format!("'{key}' cannot be computed: {error}")))
        };
        let path = self.path.as_ref().map_or(Ok(String::new()), |path| rendered("path", path))?;
        let body = match &self.body {
            Some(body) => rendered("body", body)?,
            None => {
                let mut body = Vec::new();
                json::push(&mut body, record);
                String::from_utf8_lossy(&body).into_owned()
            }
        };
        let body = self.wrapped(body).into_bytes();
        valid_path(&path)?;
        let body = if self.format.takes_many() { on_one_line(&body)? } else { body };
        Ok(Part { id: record.id(), path, body, ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let path = parts.first().map(|part| part.path.clone()).unwrap_or_default();
        let bodies: Vec<&[u8]> = parts.iter().map(|part| part.body.as_slice()).collect();
        let body = match self.format {
            Format::Ndjson => bodies.iter().flat_map(|body| [body, &b"\n"[..]].concat()).collect(),
            Format::Array => [&b"["[..], &bodies.join(&b","[..]), b"]"].concat(),
            // A request has one outcome.
            _ => bodies.concat(),
        };
        Call { method: self.method.clone(), path, headers: self.headers(&body), body: body.into() }
    }

    fn format(&self) -> piece::Format {
        self.piece()
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let missing = self.expect.as_ref().filter(|expect| !expect.holds(answer));
        if answer.status.is_success() && missing.is_some() {
            return format!("not what is expected: {}", answer.excerpt());
        }
        if self.own_path && answer.status == StatusCode::NOT_FOUND {
            return format!("the path is not there: {}", answer.excerpt());
        }
        String::new()
    }
}

/// JSON without line breaks between its parts, so that it is one line or one entry.
fn on_one_line(body: &[u8]) -> Result<Vec<u8>, Said> {
    let json: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| Said::from(format!("'body' is no JSON: {error}")))?;
    Ok(json.to_string().into_bytes())
}

/// Refuses a path that is none, or that a server would take for another one. Some proxies decode a path before they resolve
/// its dots, and some systems take a backslash for a slash.
pub(super) fn valid_path(path: &str) -> Result<(), Said> {
    let (parts, _) = path.split_once('?').unwrap_or((path, ""));
    let parts = decoded(parts);
    if let Some(part) = parts.split(['/', '\\']).find(|part| matches!(*part, "." | "..")) {
        return Err(format!("the path has the part '{part}'").into());
    }
    // What stands before it belongs to the URL of the sink.
    if path.len() > LONGEST_PATH || PathAndQuery::try_from(format!("/{path}")).is_err() {
        return Err(format!(
            "the path of {} bytes is too long or has characters that no URL can have",
            path.len()
        )
        .into());
    }
    Ok(())
}

/// A path without its percent-encoding.
fn decoded(path: &str) -> String {
    let mut octets = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&octet, behind)) = rest.split_first() {
        let encoded =
            behind.get(..2).filter(|_| octet == b'%').and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex).ok());
        octets.push(encoded.as_ref().map_or(octet, |octets| octets[0]));
        rest = if encoded.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// HMAC-SHA-256 in hex (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(text);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::result::Outcome;
    use crate::sinks::http::tests::{every_row, rows};
    use crate::sinks::testing::check;

    fn webhook(path: &str, body: Option<&str>) -> Webhook {
        Webhook {
            method: Method::POST,
            path: Some(Template::new(path, percent).value.unwrap()),
            body: body.map(|body| Template::new(body, in_json).value.unwrap()),
            own_path: path.contains("{{"),
            format: Format::Json,
            batch: 1,
            field: None,
            expect: None,
            signature: Some((HeaderName::from_static("x-trapline-signature"), "Jefe".to_owned().into())),
        }
    }

    fn part(webhook: &Webhook, host: &str, output: &str) -> Result<Part, Said> {
        let outcome = Outcome::CheckResult(check(host, None, output));
        webhook.part(&Record { epoch: 1, sequence: 2, outcome })
    }

    #[test]
    fn the_signature_of_rfc_4231() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hmac(b"Jefe", b"what do ya want for nothing?"), expected);
        let part = Part { body: b"what do ya want for nothing?".to_vec(), ..Part::default() };
        let call = webhook("", None).call(&[part]);
        assert_eq!(call.headers["x-trapline-signature"], format!("sha256={expected}"));
    }

    #[test]
    fn what_answers_mean() {
        let mut all: Vec<(u16, &str, &str)> = vec![(200, "ok", "taken"), (204, "", "taken")];
        all.extend([400, 406, 409, 413, 415, 422].map(|status| (status, "no", "dead")));
        all.extend([403, 404, 405, 410, 414, 418, 500, 501].map(|status| (status, "no", "later")));
        all.extend([302, 401, 407].map(|status| (status, "", "refused")));
        all.extend([429, 502, 503, 504].map(|status| (status, "", "busy")));
        let expect = Some(Expected { at: "/code".into(), is: "0".into() });
        every_row(&Webhook { expect, ..webhook("/h/{{ outcome.host }}", None) }, &{
            let known = |status: u16| status == 404 || status < 300;
            let mut own: Vec<(u16, &str, &str)> =
                all.iter().filter(|(status, ..)| !known(*status)).copied().collect();
            own.push((404, "no such host", "dead"));
            own.extend([(200, "{\"code\":0}", "taken"), (200, "{\"code\":100}", "later")]);
            own
        });
        rows(&webhook("", None), &all);
    }

    #[test]
    fn what_is_expected_counts_beside_the_status() {
        let expect = Some(Expected { at: "/code".into(), is: "0".into() });
        let hook = Webhook { expect, field: Some("json_data".into()), ..webhook("", None) };
        let not = "{\"code\":100,\"message\":\"no\"}";
        rows(
            &hook,
            &[(200, "{\"code\":0}", "taken"), (200, not, "later"), (200, "ok", "later"), (400, "", "dead")],
        );
        let part = part(&hook, "a&b=\"c", "o").unwrap();
        let call = hook.call(&[part]);
        assert_eq!(call.headers["content-type"], "application/x-www-form-urlencoded");
        let body = String::from_utf8(call.body.to_vec()).unwrap();
        assert!(body.starts_with("json_data=%7B%22id%22%3A") && !body.contains('&'), "{body}");
        assert!(body.contains("a%26b%3D%5C%22c"), "{body}");
    }

    #[test]
    fn several_outcomes_are_lines_or_a_list() {
        let body = "{\"h\":\n \"{{ outcome.host }}\"}";
        for (format, expected) in [
            (Format::Ndjson, "{\"h\":\"a\"}\n{\"h\":\"b\\n\"}\n"),
            (Format::Array, "[{\"h\":\"a\"},{\"h\":\"b\\n\"}]"),
        ] {
            let many = Webhook { format, batch: 9, path: None, ..webhook("", Some(body)) };
            let mut parts: Vec<Part> = ["a", "b"].map(|host| part(&many, host, "o").unwrap()).to_vec();
            parts[1].body = b"{\"h\":\"b\\n\"}".to_vec();
            assert_eq!(many.call(&parts).body, expected);
            assert_eq!(many.batch().items, 9);
            let no_json = Webhook { format, batch: 9, path: None, ..webhook("", Some("{{ outcome.host }}")) };
            assert!(part(&no_json, "x", "o").unwrap_err().as_str().starts_with("'body' is no JSON"));
        }
    }

    #[test]
    fn without_a_body_each_format_has_one_that_is_escaped() {
        let host = "h\"<!channel>@all\n&x=1\u{1b}[2J";
        for format in [Format::Slack, Format::Markdown, Format::Form, Format::Text] {
            for service in [None, Some("s [a](b)")] {
                let template = Template::new(format.usual_body().unwrap(), format.escape()).value.unwrap();
                let webhook = Webhook { path: None, body: Some(template), format, ..webhook("", None) };
                let outcome = Outcome::CheckResult(check(host, service, "o"));
                let part = webhook.part(&Record { epoch: 1, sequence: 2, outcome }).unwrap();
                let body = String::from_utf8(part.body).unwrap();
                assert!(body.contains("critical"), "{body}");
                assert_eq!(body.contains("s ") || body.contains("s%20"), service.is_some(), "{body}");
                match format {
                    Format::Slack | Format::Markdown => {
                        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
                        assert_eq!(json.as_object().unwrap().len(), 1);
                        let text = json["text"].as_str().unwrap();
                        assert!(!text.contains("<!") || text.contains("\\<!"), "{text}");
                        assert!(format == Format::Slack || !text.contains("@all"), "{text}");
                    }
                    Format::Form => assert_eq!(body.split('&').count(), 3 + usize::from(service.is_some())),
                    _ => assert!(!body.contains('\u{1b}'), "{body}"),
                }
            }
        }
        assert!(Format::Json.usual_body().is_none(), "the outcome as JSON");
    }

    #[test]
    fn what_cannot_be_sent_is_a_dead_letter_with_its_reason() {
        let path = webhook("/h/{{ outcome.host }}/s", Some("{{ outcome.output|int }}"));
        assert_eq!(part(&path, "a/b", "7").unwrap().path, "/h/a%2Fb/s");
        for host in ["..", "../../admin", "a/..", "a\\..\\b"] {
            assert_eq!(part(&path, host, "7").unwrap_err().as_str(), "the path has the part '..'", "{host}");
        }
        assert_eq!(part(&path, "a..b/%2e%2e", "7").unwrap().path, "/h/a..b%2F%252e%252e/s");
        assert!(part(&path, "h", "x").unwrap_err().as_str().starts_with("'body' cannot be computed: "));
        assert!(part(&path, &"h".repeat(70_000), "7").unwrap_err().as_str().contains("too long"));
        assert!(part(&webhook("/a b", None), "h", "x").is_err());
        assert_eq!(part(&webhook("?a=..", None), "h", "x").unwrap().path, "?a=..");
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place(host in any::<String>(), output in any::<String>()) {
            let hook = webhook("/h/{{ outcome.host }}?o={{ outcome.output }}", Some(r#"{"a":"{{ outcome.output }}","b":1}"#));
            let Ok(part) = part(&hook, &host, &output) else {
                prop_assert!(host.contains('.'));
                return Ok(());
            };
            let body: serde_json::Value = serde_json::from_slice(&part.body).unwrap();
            prop_assert_eq!((body["a"].as_str(), body.as_object().unwrap().len()), (Some(output.as_str()), 2));
            prop_assert_eq!(part.path.split(['/', '?', '=', '&', '#']).count(), 5, "{}", part.path);
        }
    }
}
