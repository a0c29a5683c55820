//! What all sinks that speak to a web server have in common: where, with whom, as who.

use std::path::PathBuf;
use std::sync::Arc;

use hyper::header::HeaderMap;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use crate::http::client::header;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::secret as secrets;
use crate::settings::section::Section;
use crate::settings::tls::{self, Trust};
use crate::settings::url::Target;
use crate::settings::values::unhex;
use crate::sinks::settings::required;

/// A web server.
#[derive(Clone)]
pub struct ServerConfig {
    /// Where it is.
    pub target: Target,
    /// How it is spoken to, and the name that its certificate must have.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// User and password for HTTP Basic.
    pub login: Option<(String, Zeroizing<String>)>,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// How many connections outcomes go over.
    pub connections: usize,
}

impl std::fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerConfig").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Reads it.
pub(crate) fn read(
    section: &Section<'_, '_>,
    example: &str,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<ServerConfig> {
    let url = required(section, "url", example, found);
    let target = url.as_ref().and_then(|url| {
        Target::parse(url).map_err(|error| found.push(section.source().error(&url.span, error, None))).ok()
    });
    let login = login(section, resolve, found);
    let tls = client(section, target.as_ref(), resolve, found);
    let connections = section.integer("connections", found).map_or(Some(4), |n| {
        let valid = usize::try_from(n.value).ok().filter(|n| (1..=64).contains(n));
        if valid.is_none() {
            found.push(section.source().error(&n.span, "connections must be 1 to 64", None));
        }
        valid
    });
    let headers = headers(section, found);
    Some(ServerConfig { target: target?, tls: tls?, login, headers, connections: connections? })
}

/// `user` and `password`.
pub(crate) fn login(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<(String, Zeroizing<String>)> {
    let user = section.string("user", found);
    let password = secrets::PASSWORD.read(section, resolve, found);
    match (user, password) {
        (Some(user), Some(password)) => Some((user.value, password)),
        (None, None) => None,
        _ => {
            if !secrets::PASSWORD.given(section) || section.get("user").is_none() {
                found.push(section.error("'user' and 'password' belong together", "give both, or neither"));
            }
            None
        }
    }
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

type Tls = Option<(Arc<ClientConfig>, ServerName<'static>)>;

/// How TLS is spoken; none where something is wrong.
fn client(
    section: &Section<'_, '_>,
    target: Option<&Target>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Tls> {
    let authorities = section.string("ca_file", found);
    let fingerprint = section.string("fingerprint", found);
    let server_name = section.string("server_name", found);
    let certificate = section.string("cert_file", found);
    let key = section.string("key_file", found);
    let trust = match (&authorities, &fingerprint) {
        (Some(_), Some(fingerprint)) => {
            let hint = Some("give one of them".to_owned());
            let message = "'ca_file' and 'fingerprint' are two ways to trust";
            found.push(section.source().error(&fingerprint.span, message, hint));
            return None;
        }
        (Some(path), None) => Trust::Authorities(resolve(path)),
        (None, Some(fingerprint)) => {
            let Some(digest) = unhex(fingerprint).and_then(|octets| <[u8; 32]>::try_from(octets).ok()) else {
                let hint = Some("see `openssl x509 -noout -fingerprint -sha256 -in CERT`".to_owned());
                let message = "'fingerprint' must be the SHA-256 of a certificate, 32 octets in hex";
                found.push(section.source().error(&fingerprint.span, message, hint));
                return None;
            };
            Trust::Pinned(digest)
        }
        (None, None) => Trust::System,
    };
    if certificate.is_some() != key.is_some() {
        found.push(section.error("'cert_file' and 'key_file' belong together", "give both, or neither"));
        return None;
    }
    let target = target?;
    if !target.secure {
        if let Some(given) =
            [&authorities, &fingerprint, &server_name, &certificate].into_iter().flatten().next()
        {
            let hint = Some("write https:// in url".to_owned());
            found.push(section.source().error(&given.span, "there is no TLS with an http:// url", hint));
            return None;
        }
        return Some(None);
    }
    let name = server_name.as_ref().map_or(target.host.as_str(), |name| name.value.as_str());
    let name = ServerName::try_from(name.to_owned()).map_err(|_| {
        found.push(
            section.error(format!("'{name}' is no name that a certificate can have"), "set server_name"),
        );
    });
    let paths = certificate.zip(key).map(|(certificate, key)| (resolve(&certificate), resolve(&key)));
    let authorities = if let Trust::Authorities(path) = &trust { Some(path) } else { None };
    let identity = paths.iter().flat_map(|(certificate, key)| [certificate, key]);
    // What cannot be read is reported below.
    for content in authorities.into_iter().chain(identity).filter_map(|path| std::fs::read(path).ok()) {
        section.reads(&Zeroizing::new(content));
    }
    let identity = paths.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
    let config = tls::client(&trust, identity).map_err(|error| {
        found.push(section.error(error, "give files in PEM: ca_file, cert_file, key_file"));
    });
    Some(Some((config.ok()?, name.ok()?)))
}
