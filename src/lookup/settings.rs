//! `[[lookups]]`

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use hyper::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::table::How;
use crate::http::client::header;
use crate::settings::diagnostic::{Diagnostics, Place};
use crate::settings::input;
use crate::settings::secret::{PASSWORD, TOKEN, warning};
use crate::settings::section::{Digest, Located, Section};
use crate::settings::tls::{self, Trust};
use crate::settings::url::Target;
use crate::settings::values::{count, duration, unhex, word};

/// The most tables.
pub const MOST_TABLES: usize = 100;
/// The default of `max`, and what it can be.
const MAX: usize = 100_000;
const MAX_RANGE: RangeInclusive<usize> = 1..=1_000_000;
/// The longest name of a table.
const LONGEST_NAME: usize = 64;
/// The default of `refresh` for files and for servers.
const REFRESH_FILE: Duration = Duration::from_mins(1);
const REFRESH_URL: Duration = Duration::from_mins(15);

/// What a table is, and where it comes from.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is written.
    pub place: Place,
    /// Where its rows come from.
    pub source: Source,
    /// The column that is the key.
    pub key: Box<str>,
    /// How keys are matched.
    pub how: How,
    /// Whether case does not matter.
    pub ignore_case: bool,
    /// How often is looked for another version.
    pub refresh: Duration,
    /// The most rows.
    pub max: usize,
    /// The columns of JSON and TOML, by pointers into each item; empty for all values.
    pub columns: Vec<(Box<str>, Pointer)>,
    /// Tells whether two definitions are the same.
    pub digest: Digest,
}

/// Where rows come from.
#[derive(Debug)]
pub enum Source {
    /// A file whose first line names the columns.
    Csv {
        /// The file.
        path: PathBuf,
        /// What stands between fields.
        separator: char,
    },
    /// A file of TOML.
    Toml {
        /// The file.
        path: PathBuf,
        /// Where the rows are in it.
        items: Pointer,
    },
    /// A file of JSON.
    Json {
        /// The file.
        path: PathBuf,
        /// Where the rows are in it.
        items: Pointer,
    },
    /// A server that gives JSON.
    Http(Box<Http>),
}

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

impl Source {
    /// Whether it is a server.
    pub fn is_remote(&self) -> bool {
        matches!(self, Source::Http(_))
    }

    /// The file that it is.
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Source::Csv { path, .. } | Source::Toml { path, .. } | Source::Json { path, .. } => Some(path),
            Source::Http(_) => None,
        }
    }

    /// What it is called in messages.
    pub fn shown(&self) -> String {
        match self {
            Source::Http(http) => http.url.clone(),
            _ => self.path().map(|path| path.display().to_string()).unwrap_or_default(),
        }
    }
}

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointer {
    text: Box<str>,
    steps: Vec<Box<str>>,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() {
                Ok(Pointer::default())
            } else {
                Err(format!("'{text}' is no JSON pointer; write \"/{text}\""))
            };
        };
        let step = |step: &str| step.replace("~1", "/").replace("~0", "~").into();
        Ok(Pointer { text: text.into(), steps: rest.split('/').map(step).collect() })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its steps.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(AsRef::as_ref)
    }

    /// What it points to.
    pub fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        value.pointer(&self.text)
    }
}

/// Reads all `[[lookups]]`; relative paths are given to `resolve`.
pub fn read(
    root: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Vec<Arc<Definition>> {
    let sections = root.sections("lookups", found);
    if let Some(beyond) = sections.get(MOST_TABLES) {
        found.push(beyond.error(format!("there are more than {MOST_TABLES} tables"), "remove some"));
    }
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for section in sections {
        let span = section.span();
        let source = section.source();
        let Some(definition) = definition(section, resolve, found) else { continue };
        if !names.insert(definition.name.clone()) {
            let message = format!("there is another table '{}'", definition.name);
            found.push(source.error(&span, message, Some("give each table a name of its own".to_owned())));
        }
        all.push(Arc::new(definition));
    }
    all
}

/// The keys that say where rows come from.
const SOURCES: [&str; 4] = ["csv", "toml", "json", "url"];

fn definition(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Definition> {
    let place = section.source().place_of(&section.span());
    let name = name(&section, found);
    let source = source(&section, resolve, found);
    let key = section.string("key", found);
    if key.is_none() && section.get("key").is_none() {
        found.push(section.error("this table has no 'key'", "name the column that is looked for: key = \"address\""));
    }
    let how = word(&section, "match", &How::WORDS, "way to match", found).unwrap_or(How::Exact);
    let ignore_case = section.boolean("ignore_case", found).is_some_and(|ignore| ignore.value);
    let week = Duration::from_secs(7 * 86_400);
    let refresh = duration(&section, "refresh", Duration::from_secs(1)..=week, found);
    let max = count(&section, "max", MAX_RANGE, found).unwrap_or(MAX);
    let columns = columns(&section, found);
    if let (false, Some(Source::Csv { .. })) = (columns.is_empty(), &source) {
        found.push(section.source().error(
            &section.key_span("columns"),
            "'columns' is for JSON and TOML",
            Some("the first line of the file names its columns".to_owned()),
        ));
    }
    let digest = section.digest(&[]);
    section.finish(found);
    let source = source?;
    let default = if source.is_remote() { REFRESH_URL } else { REFRESH_FILE };
    Some(Definition {
        name: name?,
        place,
        source,
        key: key?.value.into(),
        how,
        ignore_case,
        refresh: refresh.unwrap_or(default),
        max,
        columns,
        digest,
    })
}

fn name(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<Arc<str>> {
    let Some(name) = section.string("name", found) else {
        if section.get("name").is_none() {
            found.push(section.error("this table has no 'name'", "rules use it by its name: name = \"site\""));
        }
        return None;
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(valid) {
        let message = format!("'{}' cannot be the name of a table", name.value.escape_debug());
        let hint = format!("write up to {LONGEST_NAME} letters, digits, '_' and '-'");
        found.push(section.source().error(&name.span, message, Some(hint)));
        return None;
    }
    Some(name.value.into())
}

fn source(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Source> {
    let given: Vec<&str> = SOURCES.into_iter().filter(|key| section.get(key).is_some()).collect();
    let [only] = given.as_slice() else {
        let hint = "give one of csv, toml, json and url, such as csv = \"sites.csv\"";
        let message = match given.as_slice() {
            [] => "this table has no source".to_owned(),
            all => format!("this table has several sources: {}", all.join(", ")),
        };
        found.push(section.error(message, hint));
        // Keys of all sources are known ones.
        section.get("separator");
        section.get("items");
        if given.is_empty() {
            http(section, resolve, found, false);
        }
        return None;
    };
    let path = |key, found: &mut Diagnostics| section.string(key, found).map(|path| resolve(&path));
    let separator = separator(section, found);
    let items = pointer(section, "items", found);
    let remote = http(section, resolve, found, *only == "url");
    let misplaced = |key: &str, of: &str, found: &mut Diagnostics| {
        let message = format!("'{key}' is for {of}");
        found.push(section.source().error(&section.key_span(key), message, Some("remove it".to_owned())));
    };
    if separator.is_some() && *only != "csv" {
        misplaced("separator", "'csv'", found);
    }
    if items.is_some() && *only == "csv" {
        misplaced("items", "'toml', 'json' and 'url'", found);
    }
    let items = items.unwrap_or_default();
    match *only {
        "csv" => Some(Source::Csv { path: path("csv", found)?, separator: separator.unwrap_or(',') }),
        "toml" => Some(Source::Toml { path: path("toml", found)?, items }),
        "json" => Some(Source::Json { path: path("json", found)?, items }),
        _ => remote.map(|http| Source::Http(Box::new(Http { items, ..http }))),
    }
}

fn separator(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<char> {
    let text = section.string("separator", found)?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if !matches!(c, '"' | '\n' | '\r' | '#' | ' ') => Some(c),
        _ => {
            let hint = Some("write one character, such as \";\" or \"\\t\"".to_owned());
            found.push(section.source().error(&text.span, "this cannot stand between fields", hint));
            None
        }
    }
}

fn pointer(section: &Section<'_, '_>, key: &'static str, found: &mut Diagnostics) -> Option<Pointer> {
    let text = section.string(key, found)?;
    let pointer = Pointer::parse(&text);
    pointer.map_err(|error| found.push(section.source().error(&text.span, error, None))).ok()
}

fn columns(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<(Box<str>, Pointer)> {
    let Some(table) = section.section("columns", found) else { return Vec::new() };
    let mut columns = Vec::new();
    for (name, span, value) in table.entries() {
        let pointer = value.get_ref().as_str().map_or_else(
            || Err(format!("the pointer of '{name}' must be a string, such as \"/site/name\"")),
            Pointer::parse,
        );
        match pointer {
            Ok(pointer) => columns.push((name.into(), pointer)),
            Err(error) => found.push(table.source().error(&span, error, None)),
        }
    }
    columns
}

/// The keys of a server; none without one. Where there is none, they must not be given.
fn http(
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
                let error = section.source().error(&section.key_span(key), message, Some("remove it".to_owned()));
                found.push(error);
            }
        }
        return None;
    }
    let next = pointer(section, "next", found);
    let mut headers = headers(section, found);
    login(section, resolve, &mut headers, found);
    let url = section.string("url", found)?;
    let target = Target::parse(&url);
    let target = target.map_err(|error| found.push(section.source().error(&url.span, error, None))).ok()?;
    in_the_clear(section, &target, found);
    let tls = tls_of(section, resolve, &target, found)?;
    Some(Http { url: url.value, target, tls, headers, items: Pointer::default(), next })
}

fn headers(section: &Section<'_, '_>, found: &mut Diagnostics) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(table) = section.section("headers", found) else { return headers };
    for (name, span, value) in table.entries() {
        let parsed = value
            .get_ref()
            .as_str()
            .ok_or_else(|| format!("the value of '{name}' must be a string"))
            .and_then(|value| header(name, value));
        match parsed {
            Ok((name, mut value)) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            Err(error) => found.push(table.source().error(&span, error, None)),
        }
    }
    headers
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
    let host = target.host.as_str();
    let stays_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    if !target.secure && !stays_here && (PASSWORD.given(section) || TOKEN.given(section)) {
        let message = "the login is sent over http://, where others can read it";
        found.push(warning(section, "url", message, "write https:// in url"));
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
    let any = authorities.is_some() || fingerprint.is_some() || server_name.is_some() || certificate.is_some();
    if !target.secure {
        if any {
            let message = "there is no TLS with an http:// url";
            found.push(source.error(&section.key_span("url"), message, Some("write https:// in url".to_owned())));
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

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
