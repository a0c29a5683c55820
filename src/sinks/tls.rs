//! The keys of all sinks that can speak TLS: whom to trust, who we are; and the connections that go by them.

use tokio_rustls::TlsConnector;

use crate::net::Stream;
use crate::reach::{Failure, Stage, during};
use crate::settings::tls_errors;
use crate::sinks::settings::{Key, Options};

pub(super) use crate::settings::tls_keys::Tls;

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
    options.tls(servers, without)
}

/// Begins TLS on a connection, where it is wanted.
///
/// # Errors
///
/// If the server is not who it should be, or does not want us.
pub(super) async fn begin(tls: &Tls, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Failure> {
    let Some((config, name)) = tls else { return Ok(stream) };
    let connected = async {
        let connected = TlsConnector::from(config.clone()).connect(name.clone(), stream).await;
        connected.map_err(|error| tls_errors::in_words(&error))
    };
    Ok(Box::new(during(Stage::Tls, connected).await?))
}
