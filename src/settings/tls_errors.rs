//! What errors of TLS mean, for people. One error has one text however often it comes: the libraries put the time of the try into
//! some.

use std::io;

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{CertificateError, Error};

/// What went wrong between this client and a server.
pub fn said(error: &io::Error) -> String {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return error.to_string();
    };
    match inner {
        Error::InvalidCertificate(certificate) => of_certificate(certificate),
        Error::InvalidMessage(_) => format!("it does not speak TLS ({inner})"),
        _ => error.to_string(),
    }
}

/// The same error, which says that.
pub fn in_words(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), said(error))
}

fn of_certificate(error: &CertificateError) -> String {
    let date = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("@{seconds}"), |time| time.to_string())
    };
    match error {
        CertificateError::Expired => "its certificate has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate has expired at {}", date(not_after))
        }
        CertificateError::NotValidYet => "its certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is not valid before {}", date(not_before))
        }
        CertificateError::UnknownIssuer => {
            "its certificate is not signed by an authority that this sink trusts".to_owned()
        }
        CertificateError::ApplicationVerificationFailure => {
            "its certificate is not the one that fingerprint names".to_owned()
        }
        // webpki has no public type for it here; its name is all that tells.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            // What a sink shows has 200 characters, with the name of the server.
            "it shows an authority's certificate as its own (made by `openssl req -x509`?), which ca_file cannot \
             vouch for; give its SHA-256 in fingerprint"
                .to_owned()
        }
        _ => format!("its certificate is not accepted: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio_rustls::rustls::{InvalidMessage, OtherError};

    use super::*;

    #[derive(Debug)]
    struct CaUsedAsEndEntity;

    impl fmt::Display for CaUsedAsEndEntity {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{self:?}")
        }
    }

    impl std::error::Error for CaUsedAsEndEntity {}

    #[test]
    fn errors_of_certificates_say_what_to_do_and_not_when_they_came() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let of = |error| said(&io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(error)));
        let expired =
            |now| of(CertificateError::ExpiredContext { time: at(now), not_after: at(1_000_000_000) });
        assert_eq!(expired(1_100_000_000), "its certificate has expired at 2001-09-09T01:46:40Z");
        assert_eq!(expired(1_100_000_000), expired(1_200_000_000));
        let early =
            |now| of(CertificateError::NotValidYetContext { time: at(now), not_before: at(2_000_000_000) });
        assert_eq!(early(1), early(2));
        assert!(of(CertificateError::ApplicationVerificationFailure).contains("fingerprint"));
        let own = of(CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity))));
        assert!(own.ends_with("give its SHA-256 in fingerprint") && own.len() < 160, "{own}");
        assert!(of(CertificateError::UnknownIssuer).contains("an authority that this sink trusts"));
        let plain = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        let plain = said(&io::Error::new(io::ErrorKind::InvalidData, plain));
        assert!(plain.starts_with("it does not speak TLS"), "{plain}");
        let other = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(said(&other), other.to_string());
    }
}
