//! What a certificate says of its owner, and which certificates a list of names and fingerprints is for.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::values::unhex;

/// A digest of a whole certificate in DER (RFC 5425, section 4.2.2). Written `sha-256:4F:0A:...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fingerprint {
    /// SHA-1, which a few old senders still use.
    Sha1([u8; 20]),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl Fingerprint {
    /// The SHA-256 of a certificate.
    pub fn sha256(der: &[u8]) -> Self {
        Fingerprint::Sha256(Sha256::digest(der).into())
    }

    /// Whether it is that of a certificate.
    pub fn is_of(&self, der: &[u8]) -> bool {
        match self {
            Fingerprint::Sha1(digest) => Sha1::digest(der)[..] == digest[..],
            Fingerprint::Sha256(digest) => Sha256::digest(der)[..] == digest[..],
        }
    }

    /// Reads `sha-256:4F:0A:...`, in any case; none if it does not begin like one.
    fn parse(text: &str) -> Option<Result<Self, String>> {
        let (algorithm, digits) = text.split_once(':')?;
        let octets = || unhex(digits);
        Some(match algorithm.to_ascii_lowercase().as_str() {
            "sha-256" | "sha256" => octets().and_then(|octets| octets.try_into().ok()).map(Fingerprint::Sha256),
            "sha-1" | "sha1" => octets().and_then(|octets| octets.try_into().ok()).map(Fingerprint::Sha1),
            _ => return None,
        })
        .map(|read| {
            read.ok_or_else(|| {
                format!(
                    "'{text}' is no fingerprint; write sha-256: and the 32 octets that `openssl x509 -noout -fingerprint -sha256 -in CERT` prints"
                )
            })
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, octets): (_, &[u8]) = match self {
            Fingerprint::Sha1(digest) => ("sha-1", digest),
            Fingerprint::Sha256(digest) => ("sha-256", digest),
        };
        f.write_str(name)?;
        octets.iter().try_for_each(|octet| write!(f, ":{octet:02X}"))
    }
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its names in the order in which it has them: dNSName and iPAddress of its subjectAltName; the common name only if it has no
    /// subjectAltName (RFC 5425, section 5.2). In small letters.
    pub names: Vec<String>,
    /// From when on it is valid, in seconds since 1970 UTC.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970 UTC.
    pub not_after: i64,
    /// The SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// The SHA-1 of it.
    pub sha1: [u8; 20],
}

/// How long before its end a certificate is worth a warning, in seconds.
pub const SOON: i64 = 14 * 86_400;

/// What the time says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It is valid for longer than [`SOON`].
    Valid,
    /// It ends within [`SOON`].
    EndsSoon,
    /// It has ended.
    Expired,
    /// It has not begun.
    NotYet,
}

impl Certificate {
    /// Reads a certificate in DER; none if it is no certificate.
    pub fn parse(der: &[u8]) -> Option<Self> {
        // Some certificates in use break rules of RFC 5280 that do not matter here.
        let certificate = CertificateInner::<Raw>::from_der(der).ok()?;
        let body = certificate.tbs_certificate();
        let seconds = |since: Duration| i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let names = match body.get_extension::<SubjectAltName>() {
            Ok(Some((_, SubjectAltName(names)))) => names.iter().filter_map(name).collect(),
            Ok(None) => {
                let common = body.subject().common_name().ok().flatten();
                common.map(|name| name.value().to_ascii_lowercase()).into_iter().collect()
            }
            // It has one that cannot be read: then the common name does not count.
            Err(_) => Vec::new(),
        };
        Some(Certificate {
            names,
            not_before: seconds(body.validity().not_before.to_unix_duration()),
            not_after: seconds(body.validity().not_after.to_unix_duration()),
            fingerprint: Fingerprint::sha256(der),
            sha1: Sha1::digest(der).into(),
        })
    }

    /// What the time says of it; `now` is in seconds since 1970 UTC.
    pub fn validity(&self, now: i64) -> Validity {
        if now > self.not_after {
            Validity::Expired
        } else if now < self.not_before {
            Validity::NotYet
        } else if self.not_after - now < SOON {
            Validity::EndsSoon
        } else {
            Validity::Valid
        }
    }
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
                .ok()
                .map(|address| address.to_string())
        }
        _ => None,
    }
}

/// An entry of a list of those who may be at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// A certificate with this name. `*` as the whole left-most label stands for any one label.
    Name(String),
    /// One certificate, whoever has signed it.
    Fingerprint(Fingerprint),
}

impl Pattern {
    /// Reads a name, an address, or a fingerprint.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(fingerprint) = Fingerprint::parse(text) {
            return fingerprint.map(Pattern::Fingerprint);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Pattern::Name(address.to_string()));
        }
        let plain = text.strip_prefix("*.").unwrap_or(text);
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        if text.len() > 253 || !plain.split('.').all(label) || (plain != text && !plain.contains('.')) {
            return Err(format!(
                "'{text}' is no name of a certificate; write web1.example.org, *.example.org, 192.0.2.1 or sha-256:..."
            ));
        }
        Ok(Pattern::Name(text.to_ascii_lowercase()))
    }

    /// Whether it is for a certificate.
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            Pattern::Name(_) => self.name_of(certificate).is_some(),
            Pattern::Fingerprint(Fingerprint::Sha1(digest)) => *digest == certificate.sha1,
            Pattern::Fingerprint(fingerprint) => *fingerprint == certificate.fingerprint,
        }
    }

    /// The name of a certificate that the pattern is for; the pattern itself where the certificate has a `*`.
    pub fn name_of<'n>(&'n self, certificate: &'n Certificate) -> Option<&'n str> {
        let Pattern::Name(wanted) = self else { return None };
        let mut names = certificate.names.iter().map(String::as_str);
        let name = names.find(|name| matches(wanted, name) || matches(name, wanted))?;
        Some(if name.starts_with('*') { wanted } else { name })
    }
}

/// Whether a name is the wanted one. `*` stands for one label, of names only (RFC 5425, section 5.2).
fn matches(wanted: &str, name: &str) -> bool {
    let Some(domain) = wanted.strip_prefix("*.") else { return wanted == name };
    let is_below = name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == domain);
    is_below && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
