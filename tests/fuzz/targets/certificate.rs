//! Any octets as a certificate, and any text as an entry of `peers`: both are read or refused, and a fingerprint reads back.

use trapline::settings::certificate::{Certificate, Pattern};

/// One input.
pub fn run(octets: &[u8]) {
    if let Some(certificate) = Certificate::parse(octets) {
        let printed = certificate.fingerprint.to_string();
        assert_eq!(Pattern::parse(&printed), Ok(Pattern::Fingerprint(certificate.fingerprint)));
        assert!(Pattern::Fingerprint(certificate.fingerprint).is_of(&certificate));
        for name in &certificate.names {
            let _ = Pattern::parse(name).map(|pattern| pattern.is_of(&certificate));
        }
    }
    if let Ok(text) = std::str::from_utf8(octets) {
        let _ = Pattern::parse(text);
    }
}
