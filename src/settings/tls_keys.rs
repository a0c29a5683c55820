//! The keys of clients of TLS: whom to trust, who we are. Sinks and queues share them.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::settings::diagnostic::Diagnostics;
use crate::settings::input;
use crate::settings::section::{Located, Section};
use crate::settings::tls::{self, TlsError, Trust};
use crate::settings::values::unhex;

/// The TLS client and the name that the server's certificate must have; none without TLS.
pub type Tls = Option<(Arc<ClientConfig>, ServerName<'static>)>;

/// Reads the keys for several servers, which share them.
pub(crate) fn read_all(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    servers: Option<&[(&str, bool)]>,
    without: (&str, &str),
    found: &mut Diagnostics,
) -> Option<Vec<Tls>> {
    let source = section.source();
    let path = |text: Located<String>| Located { value: resolve(&text.value), span: text.span };
    let authorities = section.string("ca_file", found).map(path);
    let fingerprint = section.string("fingerprint", found);
    let server_name = section.string("server_name", found);
    let certificate = section.string("cert_file", found).map(path);
    let key = section.string("key_file", found).map(path);
    let trust = match (&authorities, &fingerprint) {
        (Some(_), Some(fingerprint)) => {
            let message = "'ca_file' and 'fingerprint' are two ways to trust";
            found.push(source.error(&fingerprint.span, message, Some("give one of them".to_owned())));
            return None;
        }
        (Some(path), None) => Trust::Authorities(path.value.clone()),
        (None, Some(fingerprint)) => {
            // As openssl prints it: `sha256 Fingerprint=FA:...`.
            let hex = fingerprint.rsplit('=').next().unwrap_or_default();
            let Some(digest) = unhex(hex).and_then(|octets| <[u8; 32]>::try_from(octets).ok()) else {
                let hint = "see `openssl x509 -noout -fingerprint -sha256 -in CERT`";
                let message = "'fingerprint' must be the SHA-256 of a certificate, 32 octets in hex";
                found.push(source.error(&fingerprint.span, message, Some(hint.to_owned())));
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
    let servers = servers?;
    if !servers.iter().any(|(_, secure)| *secure) {
        let given = [
            authorities.map(|key| key.span),
            fingerprint.map(|key| key.span),
            server_name.map(|key| key.span),
            certificate.map(|key| key.span),
        ];
        if let Some(span) = given.into_iter().flatten().next() {
            let (message, hint) = without;
            found.push(source.error(&span, message, Some(hint.to_owned())));
            return None;
        }
        return Some(vec![None; servers.len()]);
    }
    let mut name = |host: &str| {
        let name = server_name.as_ref().map_or(host, |name| name.value.as_str());
        let valid = ServerName::try_from(name.to_owned());
        let wrong = format!("'{name}' is no name that a certificate can have");
        valid.map_err(|_| found.push(section.error(wrong, "set server_name"))).ok()
    };
    let names = servers.iter().map(|(host, secure)| if *secure { name(host).map(Some) } else { Some(None) });
    let names: Option<Vec<Option<ServerName<'static>>>> = names.collect();
    let paths = certificate.zip(key);
    // What cannot be read is reported below.
    let identity = paths.iter().flat_map(|(certificate, key)| [&certificate.value, &key.value]);
    authorities.iter().map(|path| &path.value).chain(identity).for_each(|path| {
        if let Ok(content) = input::bytes(path, input::TEXT) {
            section.reads(&content);
        }
    });
    let identity =
        paths.as_ref().map(|(certificate, key)| (certificate.value.as_path(), key.value.as_path()));
    let config = tls::client(&trust, identity);
    let config = config.map_err(|error| match (&error, authorities, paths) {
        (TlsError::Authorities(_), Some(file), _)
        | (TlsError::Certificate(_), _, Some((file, _)))
        | (TlsError::Key(_), _, Some((_, file))) => {
            let hint = "name a file in PEM that the daemon's user can read".to_owned();
            found.push(source.error(&file.span, error.to_string(), Some(hint)));
        }
        _ => found.push(section.error(error.to_string(), "")),
    });
    let config = config.ok()?;
    Some(names?.into_iter().map(|name| name.map(|name| (config.clone(), name))).collect())
}
