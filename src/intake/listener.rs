//! What a listener is: a protocol over a transport, with limits, as a `listen` entry names it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::inbound::places;
use crate::settings::diagnostic::Place;

/// What a listener receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// SNMP notifications.
    Snmp,
    /// Syslog lines.
    Syslog,
}

impl Protocol {
    /// The name that people use.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Snmp => "SNMP",
            Protocol::Syslog => "syslog",
        }
    }

    /// The configuration section of its listeners.
    pub fn section(self) -> &'static str {
        match self {
            Protocol::Snmp => "[snmp]",
            Protocol::Syslog => "[syslog]",
        }
    }
}

/// How messages get here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams: `ADDRESS:PORT` or `udp://ADDRESS:PORT`.
    Udp(SocketAddr),
    /// Streams: `tcp://ADDRESS:PORT`.
    Tcp(SocketAddr),
}

impl Transport {
    /// Reads `ADDRESS:PORT`, `udp://ADDRESS:PORT` or `tcp://ADDRESS:PORT`.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write.
    pub fn parse(protocol: Protocol, text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            None => address(text).map(Transport::Udp),
            Some(("udp", rest)) => address(rest).map(Transport::Udp),
            Some(("tcp", rest)) => address(rest).map(Transport::Tcp),
            Some((other, _)) => {
                let protocol = protocol.as_str();
                Err(format!(
                    "'{other}://' is not supported for {protocol} by this release; use udp:// or tcp://"
                ))
            }
        }
    }

    /// Whether it carries datagrams, not streams.
    pub fn is_datagram(&self) -> bool {
        matches!(self, Transport::Udp(_))
    }

    /// The address to bind.
    pub fn address(&self) -> SocketAddr {
        match *self {
            Transport::Udp(address) | Transport::Tcp(address) => address,
        }
    }

    /// The same transport at another address.
    #[must_use]
    pub fn at(self, address: SocketAddr) -> Self {
        match self {
            Transport::Udp(_) => Transport::Udp(address),
            Transport::Tcp(_) => Transport::Tcp(address),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transport::Udp(address) => write!(f, "{address}/udp"),
            Transport::Tcp(address) => write!(f, "{address}/tcp"),
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("'{text}' is no address with a port; write 0.0.0.0:1162, 192.0.2.1:162 or [::]:1162")
    })
}

/// How many streams one address may have at least, if nothing else is configured.
const LEAST_SHARE: usize = 10;

/// What a listener may use. A transport ignores the limits that do not concern it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Datagrams: receive buffer of a socket in bytes. The kernel may grant less.
    pub receive_buffer: usize,
    /// Datagrams: how long a listener may wait so that more of them share one wake-up; zero for never.
    pub latency: Duration,
    /// Datagrams: how many sockets, each with a thread, share the address. 1 to 64.
    pub receivers: usize,
    /// Streams: how many may be open at once. 1 to 100,000.
    pub max_connections: usize,
    /// Streams: how many of them one address may have; none for a tenth, but at least 10.
    pub max_connections_per_address: Option<usize>,
}

impl Limits {
    /// The places of a listener for which there are descriptors for so many streams.
    pub fn places(&self, descriptors: usize) -> places::Limits {
        let total = self.max_connections.min(descriptors);
        let per_address = self.max_connections_per_address.unwrap_or((total / 10).max(LEAST_SHARE));
        places::Limits { total, per_address: per_address.min(total) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            receive_buffer: 16 << 20,
            latency: Duration::from_millis(5),
            receivers: 1,
            max_connections: 1000,
            max_connections_per_address: None,
        }
    }
}

/// What tells listeners apart: no two have the same protocol and transport. A reload compares listeners by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it receives.
    pub protocol: Protocol,
    /// How.
    pub transport: Transport,
}

impl fmt::Display for Key {
    /// As in `SNMP 0.0.0.0:1162/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol.as_str(), self.transport)
    }
}

/// One entry of `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What it receives.
    pub protocol: Protocol,
    /// How.
    pub transport: Transport,
    /// What it may use.
    pub limits: Limits,
    /// Whether the daemon runs without it where it cannot be bound: the built-in IPv6 address on a machine without IPv6.
    pub optional: bool,
    /// Where the entry is in the configuration; none for a built-in one.
    pub place: Option<Place>,
}

impl Listener {
    /// What tells it apart from the others.
    pub fn key(&self) -> Key {
        Key { protocol: self.protocol, transport: self.transport }
    }

    /// Whether it is bound for IPv6 alone, given all listeners. Streams on `[::]` are for IPv4 too, as the system has it,
    /// unless another listener takes IPv4 streams on that port.
    pub fn is_v6_only(&self, all: &[Listener]) -> bool {
        let port = self.transport.address().port();
        let takes_v4 = |other: &Listener| {
            let address = other.transport.address();
            !other.transport.is_datagram() && address.is_ipv4() && address.port() == port
        };
        self.transport.is_datagram() || all.iter().any(takes_v4)
    }
}

/// Whether two sockets of one kind, datagrams or streams, cannot have these addresses at once. `both` says whether `[::]`
/// is for IPv4 too.
pub fn overlap(one: SocketAddr, other: SocketAddr, both: bool) -> bool {
    let covers = |wide: SocketAddr, narrow: SocketAddr| {
        let family = wide.is_ipv4() == narrow.is_ipv4() || (both && wide.is_ipv6());
        wide.ip() == narrow.ip() || (wide.ip().is_unspecified() && family)
    };
    // The kernel chooses another port each time where the port is 0.
    one.port() != 0 && one.port() == other.port() && (covers(one, other) || covers(other, one))
}

/// The listeners of a section without `listen`: every address, on a port that needs no privilege.
pub fn defaults(protocol: Protocol, limits: Limits) -> Vec<Listener> {
    let all = |transport, optional| Listener { protocol, transport, limits, optional, place: None };
    let v4 = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match protocol {
        Protocol::Snmp => vec![
            all(Transport::Udp(v4(1162)), false),
            all(Transport::Udp((Ipv6Addr::UNSPECIFIED, 1162).into()), true),
        ],
        Protocol::Syslog => vec![all(Transport::Udp(v4(1514)), false), all(Transport::Tcp(v4(1514)), false)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_read_and_written() {
        for (text, transport, shown) in [
            ("127.0.0.1:162", Transport::Udp("127.0.0.1:162".parse().unwrap()), "127.0.0.1:162/udp"),
            ("udp://[::1]:162", Transport::Udp("[::1]:162".parse().unwrap()), "[::1]:162/udp"),
            ("tcp://[::]:1162", Transport::Tcp("[::]:1162".parse().unwrap()), "[::]:1162/tcp"),
        ] {
            let read = Transport::parse(Protocol::Snmp, text).unwrap();
            assert_eq!((read, read.to_string().as_str()), (transport, shown));
        }
        let refused = Transport::parse(Protocol::Syslog, "tls://0.0.0.0:6514").unwrap_err();
        assert!(refused.contains("'tls://' is not supported for syslog"), "{refused}");
        assert!(Transport::parse(Protocol::Snmp, "localhost:162").unwrap_err().contains("0.0.0.0:1162"));
    }

    #[test]
    fn addresses_overlap_as_the_system_binds_them() {
        let all = ["0.0.0.0:162", "127.0.0.1:162", "127.0.0.2:162", "[::]:162", "[::1]:162"];
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let overlaps = |both| {
            let pairs = all.iter().enumerate().flat_map(|(n, a)| all[n..].iter().map(move |b| (a, b)));
            let pairs = pairs.filter(|(a, b)| a != b && overlap(at(a), at(b), both));
            pairs.map(|(a, b)| format!("{a} {b}").replace(":162", "")).collect::<Vec<_>>()
        };
        let apart = ["0.0.0.0 127.0.0.1", "0.0.0.0 127.0.0.2", "[::] [::1]"];
        assert_eq!(overlaps(false), apart);
        let v4_as_well = ["0.0.0.0 [::]", "127.0.0.1 [::]", "127.0.0.2 [::]"];
        let mut together = [&apart[..], &v4_as_well].concat();
        together.sort_unstable();
        let mut found = overlaps(true);
        found.sort_unstable();
        assert_eq!(found, together);
        assert!(overlap(at("[::1]:162"), at("[::1]:162"), false));
        assert!(
            !overlap(at("[::1]:162"), at("[::1]:163"), true) && !overlap(at("[::1]:0"), at("[::1]:0"), true)
        );
    }

    #[test]
    fn limits_and_places_do_not_tell_listeners_apart() {
        let [first, second] = defaults(Protocol::Snmp, Limits::default()).try_into().unwrap();
        let changed = Listener {
            limits: Limits { receivers: 4, ..first.limits },
            place: Some(Place { file: "t.toml".into(), line: 2, column: 11 }),
            ..first.clone()
        };
        assert_eq!(first.key(), changed.key());
        assert_ne!(first, changed);
        assert_ne!(first.key(), second.key());
        assert_eq!(first.key().to_string(), "SNMP 0.0.0.0:1162/udp");
    }
}
