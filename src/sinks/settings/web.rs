//! The sinks that speak to a web server, each with what is its own.

use std::path::PathBuf;

use hyper::Method;
use uuid::Uuid;

use crate::http::client::header;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::secret as secrets;
use crate::settings::section::Section;
use crate::settings::values::word;
use crate::sinks::canopsis::CanopsisForm;
use crate::sinks::http::alignak::{Alignak, Way};
use crate::sinks::http::canopsis::CanopsisHttp;
use crate::sinks::http::icinga2::Icinga2;
use crate::sinks::http::nrdp::Nrdp;
use crate::sinks::http::splunk::Splunk;
use crate::sinks::http::webhook::{Format, Webhook};
use crate::sinks::settings::{SinkKind, required, server, template};

type Resolve<'r> = &'r dyn Fn(&str) -> PathBuf;

pub(crate) fn icinga2(
    section: &Section<'_, '_>,
    resolve: Resolve<'_>,
    found: &mut Diagnostics,
) -> Option<SinkKind> {
    let server = server::read(section, "https://icinga.example:5665", resolve, found);
    let check_source =
        section.string("check_source", found).map_or_else(|| "trapline".to_owned(), |s| s.value);
    let ttl = section.integer("ttl", found).and_then(|ttl| {
        let valid = u64::try_from(ttl.value).ok().filter(|ttl| *ttl > 0);
        if valid.is_none() {
            found.push(section.source().error(&ttl.span, "ttl must be a number of seconds", None));
        }
        valid
    });
    Some(SinkKind::Icinga2(server?, Icinga2 { check_source, ttl }))
}

pub(crate) fn alignak(
    section: &Section<'_, '_>,
    resolve: Resolve<'_>,
    found: &mut Diagnostics,
) -> Option<SinkKind> {
    let server = server::read(section, "http://alignak.example:8888", resolve, found);
    let ways = [("command", Way::Command), ("host", Way::Host)];
    let way = word(section, "method", &ways, "method of the alignak sink", found).unwrap_or(Way::Command);
    let mut server = server?;
    // Not for HTTP Basic, but for the login that gives a token.
    let user = server.login.take();
    Some(SinkKind::Alignak(server, Alignak { way, user }))
}

pub(crate) fn nrdp(
    section: &Section<'_, '_>,
    resolve: Resolve<'_>,
    found: &mut Diagnostics,
) -> Option<SinkKind> {
    let server = server::read(section, "https://nagios.example/nrdp/", resolve, found);
    let token = token(section, resolve, found);
    Some(SinkKind::Nrdp(server?, Nrdp { token: token? }))
}

pub(crate) fn canopsis(
    section: &Section<'_, '_>,
    form: CanopsisForm,
    resolve: Resolve<'_>,
    found: &mut Diagnostics,
) -> Option<SinkKind> {
    let server = server::read(section, "https://canopsis.example/api/v4/event", resolve, found);
    let key = secrets::TOKEN.read(section, resolve, found);
    let mut server = server?;
    if let Some(Ok((name, mut value))) = key.map(|key| header("x-canopsis-authkey", &key)) {
        value.set_sensitive(true);
        server.headers.insert(name, value);
    }
    Some(SinkKind::CanopsisHttp(server, CanopsisHttp { form }))
}

pub(crate) fn splunk(
    section: &Section<'_, '_>,
    resolve: Resolve<'_>,
    found: &mut Diagnostics,
) -> Option<SinkKind> {
    let server = server::read(section, "https://splunk.example:8088", resolve, found);
    let token = token(section, resolve, found);
    let text = |key, found: &mut Diagnostics| section.string(key, found).map(|text| text.value);
    let index = text("index", found);
    let sourcetype = text("sourcetype", found).unwrap_or_else(|| "trapline".to_owned());
    let gzip = section.boolean("gzip", found).is_none_or(|gzip| gzip.value);
    let channel = text("channel", found);
    let channel = match section.boolean("acknowledge", found) {
        Some(wanted) if !wanted.value => None,
        Some(_) => channel.or_else(|| Some(Uuid::new_v4().to_string())),
        None => channel,
    };
    Some(SinkKind::Splunk(server?, Splunk { token: token?, index, sourcetype, gzip, channel }))
}

pub(crate) fn webhook(
    section: &Section<'_, '_>,
    resolve: Resolve<'_>,
    found: &mut Diagnostics,
) -> Option<SinkKind> {
    let server = server::read(section, "https://hooks.example/services/x", resolve, found);
    let method = section.string("method", found).map_or(Some(Method::POST), |text| {
        let known = [Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE];
        let method = known.into_iter().find(|method| method.as_str() == text.value);
        if method.is_none() {
            let hint = Some("one of POST, PUT, PATCH, GET, DELETE".to_owned());
            found.push(section.source().error(&text.span, format!("'{}' is no method", text.value), hint));
        }
        method
    });
    let formats = [("json", Format::Json), ("form", Format::Form), ("text", Format::Text)];
    let format = word(section, "format", &formats, "format of a body", found).unwrap_or(Format::Json);
    let path = section.string("path", found).map(|text| template(section, &text, found));
    let body = section.string("body", found).map(|text| template(section, &text, found));
    let secret = secrets::SECRET.read(section, resolve, found);
    let name = section.string("signature_header", found);
    let name = name.map_or(Ok("x-trapline-signature".to_owned()), |name| {
        header(&name, "").map(|_| name.value.clone()).map_err(|error| {
            found.push(section.source().error(&name.span, error, None));
        })
    });
    let signature = match (secret, name) {
        (Some(secret), Ok(name)) => Some((name.parse().ok()?, secret)),
        _ => None,
    };
    let path = match path {
        Some(path) => Some(path?),
        None => None,
    };
    let body = match body {
        Some(body) => Some(body?),
        None => None,
    };
    Some(SinkKind::Webhook(server?, Webhook { method: method?, path, body, format, signature }))
}

fn token(
    section: &Section<'_, '_>,
    resolve: Resolve<'_>,
    found: &mut Diagnostics,
) -> Option<zeroize::Zeroizing<String>> {
    if !secrets::TOKEN.given(section) {
        required(section, "token", "...", found);
    }
    secrets::TOKEN.read(section, resolve, found)
}
