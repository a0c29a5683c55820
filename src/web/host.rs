//! Which host a request is for (RFC 9112 3.2). A browser can be led to this server by the name of another one (DNS
//! rebinding), and then a page of that other one could read what is served here. So only names are answered to that
//! nobody else can give to this machine: its addresses, localhost, and those that are configured. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::StatusCode;

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It names several hosts, or one that cannot be read.
    #[error("a request names one host")]
    Unreadable,
    /// It names a host that this server does not know.
    #[error("this server is not known as '{0}'; use its address, or add the name to [http] hosts")]
    Unknown(String),
}

impl HostError {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            HostError::Unreadable => StatusCode::BAD_REQUEST,
            HostError::Unknown(_) => StatusCode::MISDIRECTED_REQUEST,
        }
    }
}

/// The host that a request names, by the authority of its target or by its `Host` headers, without the port; none in
/// HTTP/1.0 without that header.
///
/// # Errors
///
/// [`HostError::Unreadable`].
pub fn of<'r>(
    authority: Option<&'r str>,
    mut headers: impl Iterator<Item = &'r [u8]>,
) -> Result<Option<&'r str>, HostError> {
    let header = headers.next();
    if headers.next().is_some() {
        return Err(HostError::Unreadable);
    }
    let header = header.map(std::str::from_utf8).transpose().map_err(|_| HostError::Unreadable)?;
    // The target counts more than the header.
    Ok(authority.or(header).map(without_port))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

/// Whether a request for this host is answered. `known` has the configured names.
///
/// # Errors
///
/// [`HostError::Unknown`].
pub fn check(host: Option<&str>, known: &[String]) -> Result<(), HostError> {
    let Some(host) = host else { return Ok(()) };
    let bare = host.strip_suffix('.').unwrap_or(host);
    let v6 = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_address = bare.parse::<Ipv4Addr>().is_ok() || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok());
    let is_known = || known.iter().any(|name| name.eq_ignore_ascii_case(bare));
    if is_address || bare.eq_ignore_ascii_case("localhost") || is_known() {
        return Ok(());
    }
    let shown: String = host.chars().filter(|c| !c.is_control()).take(64).collect();
    Err(HostError::Unknown(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(authority: Option<&str>, headers: &[&str]) -> Result<(), u16> {
        let known = ["trapline.example.org".to_owned()];
        let host = of(authority, headers.iter().map(|header| header.as_bytes()));
        host.and_then(|host| check(host, &known)).map_err(|error| error.status().as_u16())
    }

    #[test]
    fn addresses_localhost_and_configured_names_are_answered_to() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8162",
            "[::1]",
            "[::1]:8162",
            "[2001:db8::1]:80",
            "localhost",
            "LOCALHOST:8162",
            "localhost.",
            "Trapline.Example.Org:8162",
        ] {
            assert_eq!(answer(None, &[host]), Ok(()), "{host}");
            assert_eq!(answer(Some(host), &["evil.example"]), Ok(()), "{host}: the target counts");
        }
        assert_eq!(answer(None, &[]), Ok(()), "HTTP/1.0");
        for host in [
            "evil.example",
            "evil.example:8162",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            "::1",
            "[::1",
            "1",
        ] {
            assert_eq!(answer(None, &[host]), Err(421), "{host}");
            assert_eq!(answer(Some(host), &["localhost"]), Err(421), "{host}");
        }
        assert_eq!(answer(None, &["localhost", "evil.example"]), Err(400));
        let broken = of(None, [&b"\xff"[..]].into_iter()).unwrap_err();
        assert_eq!(broken.status(), 400);
    }
}
