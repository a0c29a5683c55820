//! The keys of all sinks that can speak TLS: whom to trust, who we are; and the connections that go by them.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::net::Stream;
use crate::settings::tls::{self, TlsError, Trust};
use crate::settings::tls_errors;
use crate::settings::values::unhex;
use crate::sinks::settings::{Key, Options};

/// The TLS client and the name that the server's certificate must have; none without TLS.
pub(super) type Tls = Option<(Arc<ClientConfig>, ServerName<'static>)>;

/// The keys of sinks that do not speak HTTP, which has the same ones.
pub(super) const KEYS: &[Key] = &[
    Key { name: "ca_file", default: "the system's", says: "Certificate authorities to trust, in PEM." },
    Key {
        name: "fingerprint",
        default: "",
        says: "Trust only this certificate: its SHA-256 in hex, as `openssl x509 -noout -fingerprint -sha256` prints it.",
    },
    Key { name: "server_name", default: "the host", says: "The name to expect in the certificate." },
    Key { name: "cert_file", default: "", says: "The client certificate, in PEM." },
    Key { name: "key_file", default: "", says: "Its key, in PEM." },
];

/// Reads the keys; none where something is wrong. `server` is the host and whether TLS is spoken, none where that is not known.
/// `without` is said where keys are given and TLS is not spoken: message and hint.
pub(super) fn read(
    options: &mut Options<'_, '_, '_>,
    server: Option<(&str, bool)>,
    without: (&str, &str),
) -> Option<Tls> {
    read_all(options, server.as_ref().map(std::slice::from_ref), without)?.pop()
}

/// Reads the keys for several servers, which share them.
pub(super) fn read_all(
    options: &mut Options<'_, '_, '_>,
    servers: Option<&[(&str, bool)]>,
    without: (&str, &str),
) -> Option<Vec<Tls>> {
    let authorities = options.optional_path("ca_file");
    let fingerprint = options.string("fingerprint");
    let server_name = options.string("server_name");
    let certificate = options.optional_path("cert_file");
    let key = options.optional_path("key_file");
    let trust = match (&authorities, &fingerprint) {
        (Some(_), Some(fingerprint)) => {
            let message = "'ca_file' and 'fingerprint' are two ways to trust";
            options.report_at(&fingerprint.span, message, Some("give one of them"));
            return None;
        }
        (Some(path), None) => Trust::Authorities(path.value.clone()),
        (None, Some(fingerprint)) => {
            // As openssl prints it: `sha256 Fingerprint=FA:...`.
            let hex = fingerprint.rsplit('=').next().unwrap_or_default();
            let Some(digest) = unhex(hex).and_then(|octets| <[u8; 32]>::try_from(octets).ok()) else {
                let hint = "see `openssl x509 -noout -fingerprint -sha256 -in CERT`";
                let message = "'fingerprint' must be the SHA-256 of a certificate, 32 octets in hex";
                options.report_at(&fingerprint.span, message, Some(hint));
                return None;
            };
            Trust::Pinned(digest)
        }
        (None, None) => Trust::System,
    };
    if certificate.is_some() != key.is_some() {
        options.report("'cert_file' and 'key_file' belong together", "give both, or neither");
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
            options.report_at(&span, message, Some(hint));
            return None;
        }
        return Some(vec![None; servers.len()]);
    }
    let mut name = |host: &str| {
        let name = server_name.as_ref().map_or(host, |name| name.value.as_str());
        let valid = ServerName::try_from(name.to_owned());
        let wrong = format!("'{name}' is no name that a certificate can have");
        valid.map_err(|_| options.report(wrong, "set server_name")).ok()
    };
    let names = servers.iter().map(|(host, secure)| if *secure { name(host).map(Some) } else { Some(None) });
    let names: Option<Vec<Option<ServerName<'static>>>> = names.collect();
    let paths = certificate.zip(key);
    // What cannot be read is reported below.
    let identity = paths.iter().flat_map(|(certificate, key)| [&certificate.value, &key.value]);
    authorities.iter().map(|path| &path.value).chain(identity).for_each(|path| options.reads(path));
    let identity =
        paths.as_ref().map(|(certificate, key)| (certificate.value.as_path(), key.value.as_path()));
    let config = tls::client(&trust, identity);
    let config = config.map_err(|error| match (&error, authorities, paths) {
        (TlsError::Authorities(_), Some(file), _)
        | (TlsError::Certificate(_), _, Some((file, _)))
        | (TlsError::Key(_), _, Some((_, file))) => {
            options.report_at(&file.span, error, Some("name a file in PEM that the daemon's user can read"));
        }
        _ => options.report(error.to_string(), ""),
    });
    let config = config.ok()?;
    Some(names?.into_iter().map(|name| name.map(|name| (config.clone(), name))).collect())
}

/// Begins TLS on a connection, where it is wanted.
///
/// # Errors
///
/// If the server is not who it should be, or does not want us.
pub(super) async fn begin(tls: &Tls, stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
    let Some((config, name)) = tls else { return Ok(stream) };
    let connected = TlsConnector::from(config.clone()).connect(name.clone(), stream).await;
    let stream = connected.map_err(|error| io::Error::new(error.kind(), tls_errors::said(&error)))?;
    Ok(Box::new(stream))
}
