//! TLS as a server: the certificate that is shown, and which clients are let in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, InconsistentKeys, OtherError,
    ServerConfig, SignatureScheme,
};

use super::certificate::{Certificate, Fingerprint, Pattern};
use super::tls::{TlsError, authorities, certificates, private_key};

/// How many names of a certificate that is not let in are logged.
const SHOWN: usize = 3;

/// What a server's TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Its certificate and those between it and the authority, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// The authorities of clients, in PEM. With them or with `peers` a client must have a certificate.
    pub client_authorities: Option<PathBuf>,
    /// Which clients are let in; empty for all that the authorities vouch for. Names count only with `client_authorities`.
    pub peers: Vec<Pattern>,
}

/// A server's TLS.
#[derive(Debug)]
pub struct Server {
    /// What it is made of.
    pub parts: Parts,
    /// For handshakes.
    pub config: Arc<ServerConfig>,
    /// What its certificate says; none if that cannot be read, which rustls does not need.
    pub certificate: Option<Certificate>,
}

/// A client that has proven who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What its certificate says.
    pub certificate: Certificate,
    /// The name by which it was let in; the first one of its certificate if that was not by a name.
    pub name: Option<String>,
    /// The fingerprint of its certificate, as the configuration takes it.
    pub fingerprint: String,
}

impl Server {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// What is wrong with a file.
    pub fn read(parts: Parts) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(&parts.certificate).map_err(TlsError::Certificate)?;
        let certificate = chain.first().and_then(|first| Certificate::parse(first));
        let roots = parts.client_authorities.as_deref().map(authorities);
        let roots = roots.transpose().map_err(TlsError::Authorities)?;
        let key = private_key(&parts.key).map_err(TlsError::Key)?;
        let vouched = roots.map(|roots| {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            builder.build().map_err(|error| TlsError::Authorities(error.to_string()))
        });
        let clients = Clients {
            vouched: vouched.transpose()?,
            peers: parts.peers.clone(),
            algorithms: provider.signature_verification_algorithms,
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::System(error.to_string()))?;
        let builder = if clients.vouched.is_some() || !clients.peers.is_empty() {
            builder.with_client_cert_verifier(Arc::new(clients))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| do_not_fit(&parts.certificate, &parts.key, &error))?;
        // A client that resumes a session is not asked for its certificate, and one that reads nothing, as senders of syslog do,
        // resets the connection, with what it has sent last, if a ticket is unread when it closes.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Server { parts, config: Arc::new(config), certificate })
    }

    /// Who a client is that has shown this certificate, which was let in.
    pub fn identity(&self, der: &[u8]) -> Option<Identity> {
        let certificate = Certificate::parse(der)?;
        let by = self.parts.peers.iter().find_map(|pattern| pattern.name_of(&certificate));
        let name = by.or(certificate.names.first().map(String::as_str)).map(ToOwned::to_owned);
        let fingerprint = certificate.fingerprint.to_string();
        Some(Identity { certificate, name, fingerprint })
    }
}

fn do_not_fit(certificate: &Path, key: &Path, error: &Error) -> TlsError {
    let (certificate, key) = (certificate.display(), key.display());
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Key(format!("the key in {key} is not that of the certificate in {certificate}"))
        }
        error => {
            TlsError::Certificate(format!("certificate {certificate} and key {key} cannot be used: {error}"))
        }
    }
}

/// Decides which clients are let in. A fingerprint takes the place of an authority, never that of the proof that the client has the
/// key.
#[derive(Debug)]
struct Clients {
    vouched: Option<Arc<dyn ClientCertVerifier>>,
    peers: Vec<Pattern>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// A client whose certificate is not let in.
#[derive(Debug, thiserror::Error)]
#[error("the certificate {fingerprint} of {names} is not let in: {why}")]
struct NotLetIn {
    fingerprint: Fingerprint,
    names: String,
    why: String,
}

impl Clients {
    /// Why a certificate is not let in.
    fn refuse(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        certificate: Option<&Certificate>,
        now: UnixTime,
    ) -> Result<(), String> {
        let listed = |pattern: &Pattern| matches!(pattern, Pattern::Fingerprint(one) if one.is_of(der));
        if self.peers.iter().any(listed) {
            return Ok(());
        }
        let Some(vouched) = &self.vouched else {
            return Err("its fingerprint is not among `peers`, and there is no client_ca_file".to_owned());
        };
        vouched.verify_client_cert(der, intermediates, now).map_err(|error| why(&error))?;
        let named = |pattern: &Pattern| certificate.is_some_and(|one| pattern.name_of(one).is_some());
        if self.peers.is_empty() || self.peers.iter().any(named) {
            return Ok(());
        }
        Err("none of its names, nor its fingerprint, is among `peers`".to_owned())
    }
}

/// What is wrong with a certificate, as an administrator would say it.
fn why(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "it has expired".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "it is not valid yet; compare the clocks".to_owned(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no authority in client_ca_file has signed it".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        ) => "it is not made for clients (extendedKeyUsage lacks clientAuth)".to_owned(),
        Error::InvalidCertificate(error) => error.to_string(),
        error => error.to_string(),
    }
}

impl ClientCertVerifier for Clients {
    /// Some clients show no certificate but of these authorities. One that is listed by its fingerprint needs none of them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        let any = self.peers.iter().any(|pattern| matches!(pattern, Pattern::Fingerprint(_)));
        self.vouched.as_ref().filter(|_| !any).map_or(&[], |vouched| vouched.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificate = Certificate::parse(der);
        match self.refuse(der, intermediates, certificate.as_ref(), now) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(why) => {
                // Anybody may have written them.
                let names = certificate.iter().flat_map(|one| &one.names).take(SHOWN);
                let names: Vec<String> = names.map(|name| name.escape_debug().to_string()).collect();
                let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
                let refused = NotLetIn { fingerprint: Fingerprint::sha256(der), names, why };
                Err(CertificateError::Other(OtherError(Arc::new(refused))).into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "tls_server_tests.rs"]
mod tests;
