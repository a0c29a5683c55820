//! TLS as a client: whom to trust, and who we are.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::settings::input;

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The certificate authorities of the system.
    System,
    /// Those in a file.
    Authorities(std::path::PathBuf),
    /// One certificate, by the SHA-256 of its DER form.
    Pinned([u8; 32]),
}

/// Why there is no TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The file of certificate authorities is wrong.
    #[error("{0}")]
    Authorities(String),
    /// The file of this program's own certificate is wrong.
    #[error("{0}")]
    Certificate(String),
    /// The file of its key is wrong.
    #[error("{0}")]
    Key(String),
    /// The system, or the library, does not allow it.
    #[error("{0}")]
    System(String),
}

/// Makes the configuration of a client. `identity` is certificate and key, in PEM.
///
/// # Errors
///
/// What is wrong with a file.
pub fn client(trust: &Trust, identity: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::System(error.to_string()))?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(system().map_err(TlsError::System)?),
        Trust::Authorities(path) => {
            builder.with_root_certificates(authorities(path).map_err(TlsError::Authorities)?)
        }
        Trust::Pinned(digest) => {
            let pinned = Pinned { digest: *digest, algorithms: algorithms(&provider) };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
        }
    };
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate).map_err(TlsError::Certificate)?;
            let key = private_key(key).map_err(TlsError::Key)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                TlsError::Certificate(format!(
                    "certificate {} and its key do not fit: {error}",
                    certificate.display()
                ))
            })?
        }
    };
    Ok(Arc::new(config))
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = input::bytes(path, input::TEXT)
        .map_err(|error| format!("cannot read the key in {}: {error}", path.display()))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        // Of PKCS #8 and of OpenSSL's older form.
        let sealed = [b"ENCRYPTED PRIVATE KEY".as_slice(), b"Proc-Type: 4,ENCRYPTED"];
        if sealed.iter().any(|mark| pem.windows(mark.len()).any(|at| at == *mark)) {
            format!(
                "the key in {} is encrypted; take its passphrase away with `openssl pkey`",
                path.display()
            )
        } else {
            format!("{} has no private key in PEM: {error}", path.display())
        }
    })
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = input::bytes(path, input::TEXT)
        .map_err(|error| format!("cannot read certificates in {}: {error}", path.display()))?;
    let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| format!("{} has a broken certificate in PEM: {error}", path.display()))?;
    if all.is_empty() { Err(format!("{} has no certificate in PEM", path.display())) } else { Ok(all) }
}

pub(super) fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

fn system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "the system has no certificate authorities; install ca-certificates, or give ca_file".into()
        );
    }
    Ok(roots)
}

fn algorithms(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

/// Trusts one certificate, whoever signed it, whatever its name, as long as it likes.
#[derive(Debug)]
struct Pinned {
    digest: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if Sha256::digest(certificate.as_ref())[..] == self.digest {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
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
