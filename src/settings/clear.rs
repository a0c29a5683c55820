//! Secrets that go over a network without TLS.

use std::net::IpAddr;

/// Whether one of some servers, each a host and whether TLS is spoken, gets in the clear over a network what it is sent.
pub(crate) fn is_exposed(to: &[(&str, bool)]) -> bool {
    to.iter().any(|(host, secure)| !secure && !is_here(host))
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
}

/// What is said of a secret that is sent so, as in "over http://".
pub(crate) fn said(secret: &str, how: &str) -> String {
    format!("{secret} is sent {how}, where others can read it")
}
