//! Where to listen.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where notifications come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnmpListen {
    /// `ADDRESS:PORT` or `udp://ADDRESS:PORT`
    Udp {
        /// The address.
        address: SocketAddr,
        /// Whether the daemon may go on without it: so with the built-in IPv6 address on a machine without IPv6.
        optional: bool,
    },
    /// `tcp://ADDRESS:PORT` (RFC 3430)
    Tcp(SocketAddr),
}

/// Where lines of syslog come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogListen {
    /// `udp://ADDRESS:PORT`
    Udp(SocketAddr),
    /// `tcp://ADDRESS:PORT`
    Tcp(SocketAddr),
}

/// The notifications of every host, on a port that needs no root.
pub fn default_snmp() -> Vec<SnmpListen> {
    vec![
        SnmpListen::Udp { address: (Ipv4Addr::UNSPECIFIED, 1162).into(), optional: false },
        SnmpListen::Udp { address: (Ipv6Addr::UNSPECIFIED, 1162).into(), optional: true },
    ]
}

/// The lines of every host, on a port that needs no root.
pub fn default_syslog() -> Vec<SyslogListen> {
    let address = (Ipv4Addr::UNSPECIFIED, 1514).into();
    vec![SyslogListen::Udp(address), SyslogListen::Tcp(address)]
}

/// Reads `ADDRESS:PORT`, `udp://ADDRESS:PORT` or `tcp://ADDRESS:PORT`.
///
/// # Errors
///
/// What is wrong and what to write.
pub fn snmp(text: &str) -> Result<SnmpListen, String> {
    let udp = |text| Ok(SnmpListen::Udp { address: address(text)?, optional: false });
    match text.split_once("://") {
        None => udp(text),
        Some(("udp", rest)) => udp(rest),
        Some(("tcp", rest)) => address(rest).map(SnmpListen::Tcp),
        Some((other, _)) => {
            Err(format!("'{other}://' is not supported for SNMP by this release; use udp:// or tcp://"))
        }
    }
}

/// Reads `udp://ADDRESS:PORT` or `tcp://ADDRESS:PORT`; UDP where neither is said.
///
/// # Errors
///
/// What is wrong and what to write.
pub fn syslog(text: &str) -> Result<SyslogListen, String> {
    match text.split_once("://") {
        None => address(text).map(SyslogListen::Udp),
        Some(("udp", rest)) => address(rest).map(SyslogListen::Udp),
        Some(("tcp", rest)) => address(rest).map(SyslogListen::Tcp),
        Some((other, _)) => {
            Err(format!("'{other}://' is not supported for syslog by this release; use udp:// or tcp://"))
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("'{text}' is no address with a port; write 0.0.0.0:1162, 192.0.2.1:162 or [::]:1162")
    })
}
