//! `[[intake]]`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::intake::http::site::{Hook, MAX_BODY, Service, Site, Token};
use crate::intake::listener::{Limits, Listener, Protocol, Transport};
use crate::intake::tls;
use crate::message::Status;
use crate::posted::checkin::LONGEST_NAME;
use crate::posted::events::{Format, Source, is_pointer};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::settings::secret::{TOKEN, warning};
use crate::settings::section::Section;
use crate::settings::values::{count, duration, network, networks, parse_all, size, word};

/// The longest `timeout`.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(24 * 3660);
/// The range of `max_body`, in octets.
const LEAST_BODY: u64 = 1024;
const MOST_BODY: u64 = 16 << 20;
/// The kinds of intake; the others are read elsewhere.
const KINDS: [(&str, ()); 4] = [("http", ()), ("amqp", ()), ("file", ()), ("journald", ())];
/// A token that is shorter can be guessed, in octets.
const SHORT_TOKEN: usize = 12;

/// `[[intake]] type = "http"`
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where to listen.
    pub listener: Listener,
    /// What it knows.
    pub site: Arc<Site>,
}

/// The states that `late` can be.
const STATES: [(&str, Status); 4] = [
    ("ok", Status::Ok),
    ("warning", Status::Warning),
    ("critical", Status::Critical),
    ("unknown", Status::Unknown),
];

/// Reads all `[[intake]]` of a configuration that are for HTTP; relative paths are given to `resolve`.
pub fn read(
    sections: Vec<Section<'_, '_>>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Vec<HttpSettings> {
    let mut all: Vec<HttpSettings> = Vec::new();
    for section in sections {
        let span = section.span();
        let source = section.source();
        let Some(one) = http(section, resolve, found) else { continue };
        let twice = all.iter().any(|other| other.listener.transport == one.listener.transport);
        if twice {
            let message = format!("two [[intake]] listen on {}", one.listener.transport);
            found.push(source.error(&span, message, Some("put all services into one of them".to_owned())));
            continue;
        }
        all.push(one);
    }
    // A service has one last report, whichever listener it checks in at.
    for (at, one) in all.iter().enumerate() {
        let elsewhere =
            |name: &&String| all[..at].iter().any(|other| other.site.checkins.contains_key(*name));
        if let (Some(name), Some(place)) = (one.site.checkins.keys().find(elsewhere), &one.listener.place) {
            found.push(place.error(
                format!("the service '{name}' checks in at two [[intake]]"),
                "remove it from one of them, or give it another name",
            ));
        }
    }
    all
}

fn http(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<HttpSettings> {
    let before = found.len();
    let kind = word(&section, "type", &KINDS, "kind of intake", found);
    if kind.is_none() && section.get("type").is_none() {
        found.push(
            section.error(
                "[[intake]] without 'type'",
                "add type = \"http\", \"amqp\", \"file\" or \"journald\"",
            ),
        );
    }
    let listen = section.string("listen", found);
    if section.get("listen").is_none() {
        found.push(section.error("[[intake]] without 'listen'", "add listen = \"127.0.0.1:5000\""));
    }
    let address = listen.as_ref().and_then(|text| {
        let address = text.parse::<SocketAddr>().ok();
        if address.is_none() {
            let message = format!("'{}' is no address with a port", text.value.escape_debug());
            let hint = Some("write 127.0.0.1:5000, 0.0.0.0:5000 or [::]:5000".to_owned());
            found.push(section.source().error(&text.span, message, hint));
        }
        address
    });
    let tls = section.section("tls", found);
    let secure = tls.is_some();
    let tls = tls.and_then(|tls| tls::read(tls, resolve, found));
    let plaintext = section.boolean("plaintext", found);
    let local = address.is_none_or(|address| address.ip().is_loopback());
    if let (false, false, Some(listen)) =
        (local, secure || plaintext.as_ref().is_some_and(|p| p.value), &listen)
    {
        found.push(section.source().error(
            &listen.span,
            format!("tokens come in clear text to {}", listen.value),
            Some(
                "add tls = { cert_file = \"server.pem\", key_file = \"server.key\" }, listen on 127.0.0.1, or set plaintext = true"
                    .to_owned(),
            ),
        ));
    }
    let max_body = size(&section, "max_body", found).map(|size| {
        if !(LEAST_BODY..=MOST_BODY).contains(&size.value) {
            found.push(section.source().error(&size.span, "max_body must be 1KiB to 16MiB", None));
        }
        size.value as usize
    });
    let default = Limits::default();
    let limits = Limits {
        max_connections: count(&section, "max_connections", 1..=100_000, found)
            .unwrap_or(default.max_connections),
        max_connections_per_address: count(&section, "max_connections_per_address", 1..=100_000, found),
        ..default
    };
    let allow = networks(&section, found);
    let readers: Option<Vec<IpNet>> =
        section.strings("readers", found).map(|all| parse_all(&section, all, network, found));
    let mut site = Site {
        allow,
        readers: readers.unwrap_or_default(),
        max_body: max_body.unwrap_or(MAX_BODY),
        tls,
        ..Site::default()
    };
    for service in section.sections("checkin", found) {
        checkin(service, &mut site, (local, resolve), found);
    }
    for events in section.sections("json", found) {
        json(events, &mut site, (local, resolve), found);
    }
    if site.checkins.is_empty() && site.hooks.is_empty() && found.len() == before {
        let nothing = section
            .error("[[intake]] takes nothing", "add [[intake.checkin]] with a service, or [[intake.json]]");
        found.push(Diagnostic { severity: Severity::Warning, ..nothing });
    }
    let place = listen.map(|text| section.source().place_of(&text.span));
    section.finish(found);
    let transport = if secure { Transport::Tls(address?) } else { Transport::Tcp(address?) };
    let listener = Listener { protocol: Protocol::Http, transport, limits, optional: false, place };
    Some(HttpSettings { listener, site: Arc::new(site) })
}

/// Reads `[[intake.json]]`; `local` says whether only this machine can send.
fn json(
    section: Section<'_, '_>,
    site: &mut Site,
    (local, resolve): (bool, &dyn Fn(&str) -> PathBuf),
    found: &mut Diagnostics,
) {
    let source = section.source();
    let events = events_source(&section, found);
    let format = events.as_ref().map_or(Format::Any, |events| events.format);
    let path = section.string("path", found);
    if path.is_none() && format.paths().is_empty() && section.get("path").is_none() {
        found.push(section.error("[[intake.json]] without 'path'", "add path = \"/hooks/NAME\""));
    }
    if let Some(path) = &path {
        let own = path.value == "/" || path.value == "/alive" || path.value.starts_with("/state/");
        if !path.starts_with('/') || own || path.contains(['?', '#', ' ', '%']) {
            let hint =
                Some("write a path such as \"/hooks/centreon\"; /, /alive and /state/ are taken".to_owned());
            found.push(source.error(
                &path.span,
                format!("'{}' is no path for events", path.value.escape_debug()),
                hint,
            ));
        }
    }
    let given = TOKEN.given(&section);
    let token = TOKEN.read(&section, resolve, found);
    guarded(&section, token.as_ref().map(|token| token.len()), given || local, found);
    let paths: Vec<String> = match &path {
        Some(path) => vec![path.value.clone()],
        None => format.paths().iter().map(|path| (*path).to_owned()).collect(),
    };
    let taken = |hook: &Hook| hook.paths.iter().any(|path| paths.contains(path));
    if site.hooks.iter().any(taken) {
        found.push(section.error("two [[intake.json]] have the same path", "give each a path of its own"));
    }
    section.finish(found);
    let Some(source) = events else { return };
    let token = token.map(|token| Token::new(&token));
    site.hooks.push(Hook { paths, token, source });
}

/// Reads `name`, `format`, `each` and `host`, which say how events are found.
pub(in crate::intake) fn events_source(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<Source> {
    let source = section.source();
    let format = word(section, "format", &Format::NAMED, "format of events", found);
    let given_name = section.string("name", found);
    let named = section.get("format").is_some();
    if given_name.is_none() && !named && section.get("name").is_none() {
        found.push(section.error(
            format!("{} without 'name'", section.name()),
            "add name = \"NAME\", which rules match as json = \"NAME\", or format = \"alertmanager\"",
        ));
    }
    let format = format.filter(|_| named);
    let words = Format::NAMED.iter().find(|(_, of)| Some(*of) == format).map(|(word, _)| (*word).to_owned());
    let name = given_name.map(|name| name.value).or(words);
    if name.as_ref().is_some_and(|name| name.is_empty() || name.chars().any(char::is_control)) {
        found.push(source.error(
            &section.key_span("name"),
            "a name has no control characters, and is not empty",
            None,
        ));
    }
    let mut pointer = |key: &'static str| {
        let text = section.string(key, found)?;
        if !is_pointer(&text) {
            let hint = Some("write a pointer such as \"/events\" (RFC 6901)".to_owned());
            found.push(source.error(
                &text.span,
                format!("'{}' is no pointer", text.value.escape_debug()),
                hint,
            ));
        }
        Some(text.value)
    };
    let (each, host) = (pointer("each"), pointer("host"));
    Some(Source { name: name?, format: format.unwrap_or(Format::Any), each, host })
}

/// Reports a token that is missing or short; `fine` says whether there need not be one.
fn guarded(section: &Section<'_, '_>, length: Option<usize>, fine: bool, found: &mut Diagnostics) {
    if !fine {
        found.push(section.error(
            "everybody on the network could send",
            "add token_file = \"FILE\" with a token of 12 characters or more, or listen on 127.0.0.1",
        ));
    }
    if length.is_some_and(|length| length < SHORT_TOKEN) {
        let key = ["token_file", "token_env", "token"].into_iter().find(|key| section.get(key).is_some());
        let message = format!("the token has less than {SHORT_TOKEN} characters and can be guessed");
        found.push(warning(section, key.unwrap_or("token"), &message, "use `openssl rand -hex 16`"));
    }
}

/// Reads `[[intake.checkin]]`; `local` says whether only this machine can send.
fn checkin(
    section: Section<'_, '_>,
    site: &mut Site,
    (local, resolve): (bool, &dyn Fn(&str) -> PathBuf),
    found: &mut Diagnostics,
) {
    let source = section.source();
    let name = section.string("service", found);
    if section.get("service").is_none() {
        found.push(section.error("[[intake.checkin]] without 'service'", "add service = \"NAME\""));
    }
    let host = section.string("host", found);
    let given = TOKEN.given(&section);
    let token = TOKEN.read(&section, resolve, found);
    guarded(&section, token.as_ref().map(|token| token.len()), given || local, found);
    let timeout = duration(&section, "timeout", Duration::ZERO..=LONGEST_TIMEOUT, found);
    let late = word(&section, "late", &STATES, "state of a service", found);
    let service = Service {
        host: host.map(|host| host.value),
        token: token.map(|token| Token::new(&token)),
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
        late: late.unwrap_or(Status::Critical),
    };
    section.finish(found);
    let Some(name) = name else { return };
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        let message =
            format!("a service has a name of 1 to {LONGEST_NAME} octets without control characters");
        return found.push(source.error(&name.span, message, None));
    }
    if site.checkins.insert(name.value.clone(), service).is_some() {
        let hint = Some("give each service a name of its own".to_owned());
        found.push(source.error(&name.span, format!("the service '{}' is listed twice", name.value), hint));
    }
}
