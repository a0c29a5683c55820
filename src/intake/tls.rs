//! TLS of streams that come in (RFC 5425): `[syslog.tls]`, `tls` of `[[intake]]` and `[http]`, the handshake, and what is said where there is none.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::net::Stream;
use crate::settings::certificate::{Pattern, Validity};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText};
use crate::settings::section::{Located, Section};
use crate::settings::tls::TlsError;
use crate::settings::tls_server::{Identity, Parts, Server};
use crate::time::clock::{self, rfc3339};

/// How long a handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// Reads `[syslog.tls]`, or `tls` of `[[intake]]` or `[http]`; relative paths are given to `resolve`. None if something is wrong.
pub fn read(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Arc<Server>> {
    let source = section.source();
    let before = found.len();
    let mut file = |key: &'static str, needed: bool| -> Option<Located<PathBuf>> {
        let text = section.string(key, found);
        if needed && text.is_none() && section.get(key).is_none() {
            found.push(section.error(
                format!("{key} is missing in {}", section.name()),
                "name the certificate and the key of this machine: cert_file = \"server.pem\", key_file = \"server.key\"",
            ));
        }
        let Located { value, span } = text?;
        Some(Located { value: resolve(&value), span })
    };
    let (certificate, key) = (file("cert_file", true), file("key_file", true));
    let authorities = file("client_ca_file", false);
    let mut peers = Vec::new();
    for entry in section.strings("peers", found).into_iter().flatten() {
        match Pattern::parse(&entry.value) {
            Ok(Pattern::Name(_)) if authorities.is_none() => found.push(source.error(
                &entry.span,
                format!("the name '{}' proves nothing without client_ca_file", entry.value),
                Some("set client_ca_file to the authorities of the clients, or list fingerprints".to_owned()),
            )),
            Ok(pattern) => peers.push(pattern),
            Err(message) => found.push(source.error(&entry.span, message, None)),
        }
    }
    if section.get("peers").is_some() && peers.is_empty() && found.len() == before {
        let hint = "list names or fingerprints, or remove the key";
        found.push(source.error(&section.key_span("peers"), "peers lets nobody in", Some(hint.to_owned())));
    }
    section.finish(found);
    if found.len() > before {
        return None;
    }
    let (certificate, key) = (certificate?, key?);
    let parts = Parts {
        certificate: certificate.value.clone(),
        key: key.value.clone(),
        client_authorities: authorities.as_ref().map(|file| file.value.clone()),
        peers,
    };
    match Server::read(parts) {
        Ok(server) => {
            if let Some(warning) = age(&server, &certificate, source) {
                found.push(warning);
            }
            Some(Arc::new(server))
        }
        Err(error) => {
            let span = match (&error, &authorities) {
                (TlsError::Authorities(_), Some(file)) => &file.span,
                (TlsError::Key(_), _) => &key.span,
                _ => &certificate.span,
            };
            let hint = "name a file in PEM that the daemon's user can read".to_owned();
            found.push(source.error(span, error.to_string(), Some(hint)));
            None
        }
    }
}

/// What the time says of a certificate. None of it keeps the daemon from starting: what else it receives counts more.
fn age(server: &Server, file: &Located<PathBuf>, source: &SourceText<'_>) -> Option<Diagnostic> {
    let (what, hint) = in_words(server, clock::now() / 1_000_000)?;
    let hint = Some(hint.to_owned());
    Some(Diagnostic { severity: Severity::Warning, ..source.error(&file.span, what, hint) })
}

/// What to do about a certificate that ends.
const RENEW: &str = "renew it, and run `trapline reload`";

/// What is wrong with the time of a server's certificate, and what to do; `now` is in seconds since 1970 UTC.
pub fn in_words(server: &Server, now: i64) -> Option<(String, &'static str)> {
    let certificate = server.certificate.as_ref()?;
    let file = server.parts.certificate.display();
    let at = |seconds: i64| rfc3339(seconds.saturating_mul(1_000_000));
    Some(match certificate.validity(now) {
        Validity::Valid => return None,
        Validity::EndsSoon => {
            (format!("the certificate in {file} ends {}", at(certificate.not_after)), RENEW)
        }
        Validity::Expired => (
            format!("the certificate in {file} has expired {}; clients refuse it", at(certificate.not_after)),
            RENEW,
        ),
        Validity::NotYet => (
            format!(
                "the certificate in {file} is not valid before {}; clients refuse it",
                at(certificate.not_before)
            ),
            "compare the clock of this machine",
        ),
    })
}

/// A stream on which TLS is spoken, and who is at its other end, where a certificate says so.
pub type Secured = (Box<dyn Stream>, Option<Arc<Identity>>);

/// Why there is no TLS on a stream.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The handshake took too long.
    #[error("no handshake within {} s; the client does not go on, or speaks another protocol", HANDSHAKE.as_secs())]
    Late,
    /// It failed.
    #[error("{}", because(.0))]
    Failed(#[source] io::Error),
    /// A certificate was let in that says nothing.
    #[error("the client's certificate cannot be read")]
    Unreadable,
}

/// Begins TLS on a stream that has come in.
///
/// # Errors
///
/// Why there is none.
pub async fn begin(server: &Server, stream: Box<dyn Stream>) -> Result<Secured, Failure> {
    let shaken = timeout(HANDSHAKE, TlsAcceptor::from(server.config.clone()).accept(stream)).await;
    let stream = shaken.map_err(|_| Failure::Late)?.map_err(Failure::Failed)?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let identity = match shown {
        Some(certificate) => Some(Arc::new(server.identity(certificate).ok_or(Failure::Unreadable)?)),
        None => None,
    };
    Ok((Box::new(stream), identity))
}

/// Why a handshake failed, and what to do.
fn because(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the client has closed the connection within the handshake".to_owned()
            }
            _ => error.to_string(),
        };
    };
    let advice = match tls {
        Error::InvalidCertificate(CertificateError::Other(refused)) => return refused.to_string(),
        Error::InvalidMessage(_) => {
            "what the client sends is no TLS; switch TLS on there, or send to a tcp:// listener"
        }
        Error::NoCertificatesPresented => {
            "the client has shown no certificate; give it one, or remove client_ca_file and peers"
        }
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "the client knows no cipher suite of today; let it use ECDHE with AES-GCM or ChaCha20"
        }
        Error::PeerIncompatible(_) => "the client knows neither TLS 1.2 nor 1.3 as they are used here",
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate,
        ) => {
            "the client does not trust the certificate of cert_file; give it the authority, and compare name and time"
        }
        _ => return tls.to_string(),
    };
    format!("{tls}: {advice}")
}

#[cfg(test)]
#[path = "tls_tests.rs"]
pub(in crate::intake) mod tests;
