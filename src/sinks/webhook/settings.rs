//! The keys of the webhook sink.

use std::sync::Arc;

use hyper::Method;
use hyper::header::HeaderName;

use super::answer::{Expected, is_pointer};
use super::hook::{ANSWERS, Format, Webhook};
use super::ticket::{self, TicketSink};
use crate::http::client::header;
use crate::settings::secret::SECRET;
use crate::sinks::fields::Template;
use crate::sinks::http::escape::percent;
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::settings::{Configured, Key, Kind, Options};

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
        says: "A template that is appended to the path of the URL; its query is appended to the query of the URL. Values are percent-encoded. A path with a segment `.` or `..` makes a dead letter.",
    },
    Key {
        name: "body",
        default: "as `format` has it",
        says: "A template. Without it: the outcome as JSON with `\"json\"`; `{\"text\": …}` with state, host, service and output with `\"slack\"` and `\"markdown\"`; the same as `state`, `host`, `service` and `output` with `\"form\"`; as a line with `\"text\"`.",
    },
    Key {
        name: "format",
        default: "\"json\"",
        says: "How values are escaped in `body`: `\"json\"` (within strings), `\"ndjson\"` and `\"array\"` (the same, with `batch` outcomes as lines or as a list), `\"slack\"` and `\"markdown\"` (JSON for chats with markup: values cannot make links or mention anybody), `\"form\"` (percent-encoded), `\"text\"` (without control characters). It also sets the Content-Type.",
    },
    Key {
        name: "batch",
        default: "1",
        says: "With `format = \"ndjson\"` or `\"array\"`: the maximum number of outcomes in a request, which has at most 1 MiB. Range: 1 to 1000.",
    },
    Key {
        name: "field",
        default: "",
        says: "The form field in which a JSON body is sent, for systems that accept only forms.",
    },
    Key {
        name: "expect",
        default: "",
        says: "For systems that report errors with status 200, a table: the value in the JSON of a successful answer. `at` is its place (RFC 6901, `*` for the first entry), `is` a text, number or boolean, in quotes.",
    },
    Key {
        name: "find",
        default: "",
        says: "For tickets, a table: the request that searches for a ticket, `path` (a template), `method` (`\"GET\"`), `body`, and `id`, the place of its id in the answer (RFC 6901, `*` for the first entry).",
    },
    Key {
        name: "open",
        default: "required with `find`",
        says: "For tickets, a table: the request if the state is not ok and no ticket was found, `path`, `method` (`\"POST\"`) and `body`.",
    },
    Key {
        name: "update",
        default: "",
        says: "The same if the state is not ok and a ticket was found; `{{ found }}` is its id. Without this key nothing is sent.",
    },
    Key { name: "close", default: "", says: "The same if the state is ok or up and a ticket was found." },
    Key { name: "secret", default: "", says: "Signs the body: sends its HMAC-SHA-256 as `sha256=HEX`." },
    Key { name: "secret_file", default: "", says: "The same from the first line of a file." },
    Key { name: "secret_env", default: "", says: "The same from an environment variable." },
    Key {
        name: "signature_header",
        default: "\"X-Trapline-Signature\"",
        says: "The header that carries the signature.",
    },
];

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "https://hooks.example/services/x", &[]);
    let method = ticket::method(options, Method::POST);
    let formats = [
        ("json", Format::Json),
        ("slack", Format::Slack),
        ("markdown", Format::Markdown),
        ("form", Format::Form),
        ("text", Format::Text),
        ("ndjson", Format::Ndjson),
        ("array", Format::Array),
    ];
    let format = options.word("format", &formats, "format of a body").unwrap_or(Format::Json);
    let own_path = options.string("path").is_some_and(|path| path.contains("{{") || path.contains("{%"));
    let path = options.template("path", percent);
    let batch = options.number("batch", 1..=1000, "").unwrap_or(1) as usize;
    if batch > 1 && (!format.takes_many() || own_path) {
        let hint = "set format = \"ndjson\" or \"array\", without values in path, or remove batch";
        options.report("a request of several outcomes has one path, and lines or a list of JSON", hint);
    }
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
    let steps = ticket::read(options, format);
    let field = field(options, format);
    let expect = options.within("expect", expected).map(|expect| expect.map(Some));
    let expect = expect.unwrap_or(Some(None));
    let hook = Webhook {
        method: method?,
        path,
        own_path,
        body,
        format,
        batch,
        field: field?,
        expect: expect?,
        signature,
    };
    match steps {
        None => Some(Web::end(server?, hook)),
        Some(steps) => Some(Arc::new(TicketSink { server: server?, hook, steps: Arc::new(steps?) })),
    }
}

/// `field`: none if it is wrong.
fn field(options: &mut Options<'_, '_, '_>, format: Format) -> Option<Option<String>> {
    let Some(field) = options.string("field") else { return Some(None) };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.[]".contains(c);
    if field.is_empty() || !field.chars().all(plain) {
        let hint = Some("use letters, digits, '-', '_', '.' and brackets");
        options.report_at(&field.span, format!("'{}' can be no field", field.value.escape_debug()), hint);
        return None;
    }
    if !matches!(format, Format::Json | Format::Slack | Format::Markdown) {
        let hint = Some("remove 'field', or write format = \"json\"");
        options.report_at(&field.span, "a field has one body in JSON", hint);
        return None;
    }
    Some(Some(field.value))
}

/// `expect`: none if it is wrong.
fn expected(options: &mut Options<'_, '_, '_>) -> Option<Expected> {
    let at = options.required("at", "/code");
    let is = options.required("is", "0");
    let at = at?;
    if !is_pointer(&at) {
        let hint = Some("write a pointer such as \"/code\" (RFC 6901)");
        options.report_at(&at.span, format!("'{}' is no pointer", at.value.escape_debug()), hint);
        return None;
    }
    Some(Expected { at: at.value, is: is?.value })
}
