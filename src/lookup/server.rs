//! Servers that give JSON: where they are, whom to trust, who we are.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use hyper::header::{AUTHORIZATION, HeaderMap};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::pointer::Pointer;
use crate::http::client::{self, header};
use crate::settings::clear;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::input;
use crate::settings::secret::{PASSWORD, TOKEN, warning};
use crate::settings::section::{Located, Section};
use crate::settings::tls::{self, Trust};
use crate::settings::url::Target;
use crate::settings::values::unhex;

/// A server that gives JSON.
pub struct Http {
    /// The URL.
    pub url: String,
    /// Where it is.
    pub target: Target,
    /// How it is spoken to, and the name that its certificate must have.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Headers of every request, the login among them.
    pub headers: HeaderMap,
    /// Where the rows are in an answer.
    pub items: Pointer,
    /// Where the URL of the next page is in an answer.
    pub next: Option<Pointer>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The keys of a server; none without one. Where there is none, they must not be given.
pub(super) fn read(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
    wanted: bool,
) -> Option<Http> {
    const KEYS: [&str; 15] = [
        "next",
        "user",
        "password",
        "password_file",
        "password_env",
        "token",
        "token_file",
        "token_env",
        "token_as",
        "headers",
        "ca_file",
        "fingerprint",
        "server_name",
        "cert_file",
        "key_file",
    ];
    if !wanted {
        for key in KEYS {
            if section.get(key).is_some() {
                let message = format!("'{key}' is for 'url'");
                let error =
                    section.source().error(&section.key_span(key), message, Some("remove it".to_owned()));
                found.push(error);
            }
        }
        return None;
    }
    let next = pointer(section, "next", found);
    let mut headers = headers(section, found);
    login(section, resolve, &mut headers, found);
    let key = if section.get("icinga2").is_some() { "icinga2" } else { "url" };
    let url = section.string(key, found)?;
    let target = Target::parse(&url);
    let target = target.map_err(|error| found.push(section.source().error(&url.span, error, None))).ok()?;
    in_the_clear(section, &target, found);
    let tls = tls_of(section, resolve, &target, found)?;
    Some(Http { url: url.value, target, tls, headers, items: Pointer::default(), next })
}

/// The hosts of an Icinga 2, by the address of its API.
pub(super) fn of_icinga(http: Http) -> Http {
    let attributes =
        ["address", "address6", "display_name", "groups", "vars"].map(|name| format!("attrs={name}"));
    let path =
        format!("{}/v1/objects/hosts?{}", http.target.path.trim_end_matches('/'), attributes.join("&"));
    let items = Pointer::to(&["results"]);
    Http { target: Target { path, ..http.target }, items, ..http }
}

fn headers(section: &Section<'_, '_>, found: &mut Diagnostics) -> HeaderMap {
    let Some(table) = section.section("headers", found) else { return HeaderMap::new() };
    let entries = table.entries().map(|(name, span, value)| (name, span, value.get_ref().as_str()));
    client::headers(entries, |span, error| found.push(table.source().error(&span, error, None)))
}

/// `user` and `password`, or a token.
fn login(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    headers: &mut HeaderMap,
    found: &mut Diagnostics,
) {
    let user = section.string("user", found);
    let password = PASSWORD.read(section, resolve, found);
    let token = TOKEN.read(section, resolve, found);
    let written = section.string("token_as", found);
    let (has_password, has_token) = (PASSWORD.given(section), TOKEN.given(section));
    if user.is_some() != has_password {
        found.push(section.error("'user' and 'password' belong together", "give both, or neither"));
    }
    if has_password && has_token {
        found.push(section.error("there are a password and a token", "give one of them"));
    }
    if written.is_some() && !has_token {
        let hint = Some("add token_file".to_owned());
        found.push(section.source().error(&section.key_span("token_as"), "there is no token", hint));
    }
    let line = match (user, password, token) {
        (Some(user), Some(password), _) => {
            let both = Zeroizing::new(format!("{}:{}", user.value, *password));
            let encoded = base64::engine::general_purpose::STANDARD.encode(both.as_bytes());
            Some((AUTHORIZATION.as_str().to_owned(), Zeroizing::new(format!("Basic {encoded}"))))
        }
        (_, _, Some(token)) => token_line(section, written.as_ref(), &token, found),
        _ => None,
    };
    let Some((name, value)) = line else { return };
    match header(&name, &value) {
        Ok((name, mut value)) => {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Err(error) => found.push(section.error(error, "correct the login")),
    }
}

/// The header that has the token: `token_as` is its name, a colon, and what stands before the token.
fn token_line(
    section: &Section<'_, '_>,
    written: Option<&Located<String>>,
    token: &str,
    found: &mut Diagnostics,
) -> Option<(String, Zeroizing<String>)> {
    let text = written.map_or("Authorization: Bearer", |written| written.value.as_str());
    let Some((name, before)) = text.split_once(':') else {
        let span = written.map_or(section.span(), |written| written.span.clone());
        let hint = Some("write \"Authorization: Token\" or \"X-Auth-Token:\"".to_owned());
        found.push(section.source().error(&span, "this is no header", hint));
        return None;
    };
    let before = before.trim();
    let value = if before.is_empty() { token.to_owned() } else { format!("{before} {token}") };
    Some((name.trim().to_owned(), Zeroizing::new(value)))
}

/// Warns of a secret that is sent over a network without TLS.
fn in_the_clear(section: &Section<'_, '_>, target: &Target, found: &mut Diagnostics) {
    let is_exposed = clear::is_exposed(&[(&target.host, target.secure)]);
    if is_exposed && (PASSWORD.given(section) || TOKEN.given(section)) {
        let message = clear::said("the login", "over http://");
        found.push(warning(section, "url", &message, "write https:// in url"));
    }
}

type Tls = Option<(Arc<ClientConfig>, ServerName<'static>)>;

/// TLS as a client of a server; none where something is wrong.
fn tls_of(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    target: &Target,
    found: &mut Diagnostics,
) -> Option<Tls> {
    let source = section.source();
    let path = |key, found: &mut Diagnostics| section.string(key, found).map(|path| resolve(&path));
    let authorities = path("ca_file", found);
    let fingerprint = section.string("fingerprint", found);
    let server_name = section.string("server_name", found);
    let (certificate, key) = (path("cert_file", found), path("key_file", found));
    if certificate.is_some() != key.is_some() {
        found.push(section.error("'cert_file' and 'key_file' belong together", "give both, or neither"));
        return None;
    }
    let any =
        authorities.is_some() || fingerprint.is_some() || server_name.is_some() || certificate.is_some();
    if !target.secure {
        if any {
            let message = "there is no TLS with an http:// url";
            found.push(source.error(
                &section.key_span("url"),
                message,
                Some("write https:// in url".to_owned()),
            ));
            return None;
        }
        return Some(None);
    }
    let trust = match (&authorities, &fingerprint) {
        (Some(_), Some(fingerprint)) => {
            let message = "'ca_file' and 'fingerprint' are two ways to trust";
            found.push(source.error(&fingerprint.span, message, Some("give one of them".to_owned())));
            return None;
        }
        (Some(path), None) => Trust::Authorities(path.clone()),
        (None, Some(fingerprint)) => {
            let hex = fingerprint.rsplit('=').next().unwrap_or_default();
            let Some(digest) = unhex(hex).and_then(|octets| <[u8; 32]>::try_from(octets).ok()) else {
                let hint = "see `openssl x509 -noout -fingerprint -sha256 -in CERT`".to_owned();
                let message = "'fingerprint' must be the SHA-256 of a certificate, 32 octets in hex";
                found.push(source.error(&fingerprint.span, message, Some(hint)));
                return None;
            };
            Trust::Pinned(digest)
        }
        (None, None) => Trust::System,
    };
    for path in [&authorities, &certificate, &key].into_iter().flatten() {
        // What cannot be read is reported below.
        if let Ok(content) = input::bytes(path, input::TEXT) {
            section.reads(&content);
        }
    }
    let host = server_name.as_ref().map_or(&target.host, |name| &name.value);
    let name = ServerName::try_from(host.clone());
    let name = name.map_err(|_| {
        let message = format!("'{host}' is no name that a certificate can have");
        found.push(section.error(message, "set server_name"));
    });
    let identity = certificate.as_deref().zip(key.as_deref());
    let config = tls::client(&trust, identity);
    let config = config.map_err(|error| {
        let hint = "name a file in PEM that the daemon's user can read";
        found.push(section.error(error.to_string(), hint));
    });
    Some(Some((config.ok()?, name.ok()?)))
}

/// The pointer at a key.
pub(super) fn pointer(
    section: &Section<'_, '_>,
    key: &'static str,
    found: &mut Diagnostics,
) -> Option<Pointer> {
    let text = section.string(key, found)?;
    let pointer = Pointer::parse(&text);
    pointer.map_err(|error| found.push(section.source().error(&text.span, error, None))).ok()
}
