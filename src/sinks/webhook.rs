//! The webhook sink: one request an outcome, with method, path, headers and body by template, signed where a secret is given.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::http::client::{Answer, header};
use crate::outcome::json;
use crate::outcome::record::Record;
use crate::settings::secret::SECRET;
use crate::settings::url::LONGEST_PATH;
use crate::sinks::fields::{Escape, Template};
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Call, Part};
use crate::sinks::http::escape::{in_json, in_markdown, in_slack, in_text, percent};
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::piece;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::Said;

/// `type = "webhook"`
pub const KIND: Kind = Kind {
    name: "webhook",
    says: "any URL: Slack, Teams, ServiceNow, Jira, ...",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key { name: "method", default: "\"POST\"", says: "POST, PUT, PATCH, GET or DELETE." },
    Key {
        name: "path",
        default: "",
        says: "A template, appended to the path of the URL; a query of it follows that of the URL. Values are percent-encoded. A path with a part `.` or `..` makes a dead letter.",
    },
    Key {
        name: "body",
        default: "as `format` has it",
        says: "A template. Without it: the outcome as JSON with `\"json\"`; `{\"text\": …}` with state, host, service and output with `\"slack\"` and `\"markdown\"`; the same as `state`, `host`, `service` and `output` with `\"form\"`; as a line with `\"text\"`.",
    },
    Key {
        name: "format",
        default: "\"json\"",
        says: "How values are escaped in `body`: `\"json\"` (within strings), `\"slack\"` and `\"markdown\"` (JSON whose strings a chat formats: no value makes a link or mentions anybody), `\"form\"` (percent-encoded), `\"text\"` (without control characters). It also sets the Content-Type.",
    },
    Key { name: "secret", default: "", says: "Signs the body: sends its HMAC-SHA-256 as `sha256=HEX`." },
    Key { name: "secret_file", default: "", says: "The same from the first line of a file." },
    Key { name: "secret_env", default: "", says: "The same from an environment variable." },
    Key {
        name: "signature_header",
        default: "\"X-Trapline-Signature\"",
        says: "The header that carries the signature.",
    },
];

/// There is no API that defines a body, so the status alone counts.
const ANSWERS: &[Row] = &[
    Row { status: 200..=299, body: "*", means: Means::Taken, source: "RFC 9110, section 15.3" },
    Row { status: 400..=400, body: "*", means: Means::Dead, source: "RFC 9110, section 15.5.1" },
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
enum Format {
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
}

impl Format {
    /// The header that goes with it.
    fn content_type(self) -> &'static str {
        match self {
            Format::Json | Format::Slack | Format::Markdown => "application/json",
            Format::Form => "application/x-www-form-urlencoded",
            Format::Text => "text/plain; charset=utf-8",
        }
    }

    fn escape(self) -> Escape {
        match self {
            Format::Json => in_json,
            Format::Slack => in_slack,
            Format::Markdown => in_markdown,
            Format::Form => percent,
            Format::Text => in_text,
        }
    }

    /// The template of a body where none is given; none for the outcome as JSON. Every other format has its own, as the values of
    /// a body are to be escaped for those who show it.
    fn usual_body(self) -> Option<&'static str> {
        match self {
            Format::Json => None,
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

    fn of_piece(self) -> piece::Format {
        match self {
            Format::Json => piece::Format::Json,
            Format::Slack => piece::Format::Slack,
            Format::Markdown => piece::Format::Markdown,
            Format::Form => piece::Format::Form,
            Format::Text => piece::Format::Text,
        }
    }
}

/// A request an outcome.
#[derive(Clone)]
pub struct Webhook {
    method: Method,
    /// Path and query behind the URL; none for the URL itself.
    path: Option<Template>,
    /// The body; none for the outcome as JSON.
    body: Option<Template>,
    format: Format,
    /// The header that carries the HMAC-SHA-256 of the body in hex, and its key.
    signature: Option<(HeaderName, Zeroizing<String>)>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("method", &self.method).finish_non_exhaustive()
    }
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "https://hooks.example/services/x");
    let method = options.string("method").map_or(Some(Method::POST), |text| {
        let known = [Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE];
        let method = known.into_iter().find(|method| method.as_str() == text.value);
        if method.is_none() {
            let hint = Some("one of POST, PUT, PATCH, GET, DELETE");
            options.report_at(&text.span, format!("'{}' is no method", text.value), hint);
        }
        method
    });
    let formats = [
        ("json", Format::Json),
        ("slack", Format::Slack),
        ("markdown", Format::Markdown),
        ("form", Format::Form),
        ("text", Format::Text),
    ];
    let format = options.word("format", &formats, "format of a body").unwrap_or(Format::Json);
    let path = options.template("path", percent);
    let body = match options.get("body") {
        Some(_) => options.template("body", format.escape()),
        None => format.usual_body().and_then(|text| Template::new(text, format.escape()).value),
    };
    let secret = options.secret(&SECRET);
    let name = match options.string("signature_header") {
        None => Some(HeaderName::from_static("x-trapline-signature")),
        Some(name) => header(&name, "")
            .map(|(name, _)| name)
            .map_err(|error| options.report_at(&name.span, error, None))
            .ok(),
    };
    let signature = name.zip(secret);
    Some(Web::end(server?, Webhook { method: method?, path, body, format, signature }))
}

impl Api for Webhook {
    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let rendered = |key: &str, template: &Template| {
            template
                .render(record)
                .map_err(|error| Said::from(format!("'{key}' cannot be computed: {error}")))
        };
        let path = self.path.as_ref().map_or(Ok(String::new()), |path| rendered("path", path))?;
        let body = match &self.body {
            Some(body) => rendered("body", body)?.into_bytes(),
            None => {
                let mut body = Vec::new();
                json::push(&mut body, record);
                body
            }
        };
        valid_path(&path)?;
        Ok(Part { id: record.id(), path, body, ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let part = parts.first().cloned().unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.format.content_type()));
        if let Some((name, secret)) = &self.signature
            && let Ok(value) =
                HeaderValue::from_str(&format!("sha256={}", hmac(secret.as_bytes(), &part.body)))
        {
            headers.insert(name, value);
        }
        Call { method: self.method.clone(), path: part.path, headers, body: part.body.into() }
    }

    fn format(&self) -> piece::Format {
        self.format.of_piece()
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, _answer: &Answer) -> String {
        String::new()
    }
}

/// Refuses a path that is none, or that a server would take for another one. Some proxies decode a path before they resolve
/// its dots, and some systems take a backslash for a slash.
fn valid_path(path: &str) -> Result<(), Said> {
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
    use crate::sinks::http::tests::every_row;
    use crate::sinks::testing::check;

    fn webhook(path: &str, body: Option<&str>) -> Webhook {
        Webhook {
            method: Method::POST,
            path: Some(Template::new(path, percent).value.unwrap()),
            body: body.map(|body| Template::new(body, in_json).value.unwrap()),
            format: Format::Json,
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
        every_row(&webhook("", None), &all);
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
