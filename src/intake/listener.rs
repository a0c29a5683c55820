//! What a listener is: a protocol over a transport, with limits, as a `listen` entry names it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
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
    /// What is posted over HTTP.
    Http,
}

impl Protocol {
    /// The name that people use.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Snmp => "SNMP",
            Protocol::Syslog => "syslog",
            Protocol::Http => "HTTP intake",
        }
    }

    /// The configuration section of its listeners.
    pub fn section(self) -> &'static str {
        match self {
            Protocol::Snmp => "[snmp]",
            Protocol::Syslog => "[syslog]",
            Protocol::Http => "[[intake]]",
        }
    }
}

/// How messages get here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams: `ADDRESS:PORT` or `udp://ADDRESS:PORT`.
    Udp(SocketAddr),
    /// Streams: `tcp://ADDRESS:PORT`.
    Tcp(SocketAddr),
    /// Streams over TLS: `tls://ADDRESS:PORT`.
    Tls(SocketAddr),
    /// Streams on which each message is acknowledged: `relp://ADDRESS:PORT`.
    Relp(SocketAddr),
    /// The same over TLS: `relp+tls://ADDRESS:PORT`.
    RelpTls(SocketAddr),
    /// Datagrams of this machine: `unix:///PATH`.
    Unix(Arc<Path>),
    /// Streams of this machine: `unix-stream:///PATH`.
    UnixStream(Arc<Path>),
    /// A socket that the service manager has made, by its FileDescriptorName: `systemd:NAME`. Datagrams or streams, of the
    /// network or of this machine.
    Systemd(Arc<str>),
}

/// The longest path of a socket, in octets: sun_path of unix(7) has 108, and ends with NUL.
const LONGEST_PATH: usize = 107;

impl Transport {
    /// Reads an entry of `listen`.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write.
    pub fn parse(protocol: Protocol, text: &str) -> Result<Self, String> {
        let local = protocol == Protocol::Syslog;
        if let Some(name) = text.strip_prefix("systemd:").filter(|_| local) {
            return match name.trim_start_matches('/') {
                "" => {
                    Err("'systemd:' lacks the FileDescriptorName= of the socket unit; write systemd:syslog"
                        .into())
                }
                name => Ok(Transport::Systemd(name.into())),
            };
        }
        match text.split_once("://") {
            None => address(text).map(Transport::Udp),
            Some(("udp", rest)) => address(rest).map(Transport::Udp),
            Some(("tcp", rest)) => address(rest).map(Transport::Tcp),
            Some(("tls", rest)) if local => address(rest).map(Transport::Tls),
            Some(("relp", rest)) if local => address(rest).map(Transport::Relp),
            Some(("relp+tls", rest)) if local => address(rest).map(Transport::RelpTls),
            Some(("unix", rest)) if local => path(rest).map(Transport::Unix),
            Some(("unix-stream", rest)) if local => path(rest).map(Transport::UnixStream),
            Some((other, _)) => {
                let known = match protocol {
                    Protocol::Snmp => "udp:// or tcp://",
                    Protocol::Http => "an address with a port",
                    Protocol::Syslog => {
                        "udp://, tcp://, tls://, relp://, relp+tls://, unix://, unix-stream:// or systemd:NAME"
                    }
                };
                let protocol = protocol.as_str();
                Err(format!("'{other}://' is not supported for {protocol} by this release; use {known}"))
            }
        }
    }

    /// The address to bind, where it is on the network.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Transport::Udp(address)
            | Transport::Tcp(address)
            | Transport::Tls(address)
            | Transport::Relp(address)
            | Transport::RelpTls(address) => Some(*address),
            Transport::Unix(_) | Transport::UnixStream(_) | Transport::Systemd(_) => None,
        }
    }

    /// The UDP address to bind.
    pub fn udp(&self) -> Option<SocketAddr> {
        self.address().filter(|_| matches!(self, Transport::Udp(_)))
    }

    /// The TCP address to bind.
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.address().filter(|_| !matches!(self, Transport::Udp(_)))
    }

    /// Whether TLS is spoken on its streams.
    pub fn is_tls(&self) -> bool {
        matches!(self, Transport::Tls(_) | Transport::RelpTls(_))
    }

    /// The path of the socket to make.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Transport::Unix(path) | Transport::UnixStream(path) => Some(path),
            _ => None,
        }
    }

    /// The same transport at another address; one without an address stays what it is.
    #[must_use]
    pub fn at(self, address: SocketAddr) -> Self {
        match self {
            Transport::Udp(_) => Transport::Udp(address),
            Transport::Tcp(_) => Transport::Tcp(address),
            Transport::Tls(_) => Transport::Tls(address),
            Transport::Relp(_) => Transport::Relp(address),
            Transport::RelpTls(_) => Transport::RelpTls(address),
            Transport::Unix(_) | Transport::UnixStream(_) | Transport::Systemd(_) => self,
        }
    }

    /// Whether both cannot be bound at once. `both` says whether streams on `[::]` are for IPv4 too.
    pub fn clashes(&self, other: &Transport, both: bool) -> bool {
        let overlaps = |one: Option<SocketAddr>, other: Option<SocketAddr>, both| {
            one.zip(other).is_some_and(|(one, other)| overlap(one, other, both))
        };
        let (udp, tcp) = (overlaps(self.udp(), other.udp(), false), overlaps(self.tcp(), other.tcp(), both));
        udp || tcp || self.path().is_some_and(|path| other.path() == Some(path))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transport::Udp(address) => write!(f, "{address}/udp"),
            Transport::Tcp(address) => write!(f, "{address}/tcp"),
            Transport::Tls(address) => write!(f, "{address}/tls"),
            Transport::Relp(address) => write!(f, "{address}/relp"),
            Transport::RelpTls(address) => write!(f, "{address}/relp+tls"),
            Transport::Unix(path) => write!(f, "unix://{}", path.display()),
            Transport::UnixStream(path) => write!(f, "unix-stream://{}", path.display()),
            Transport::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("'{text}' is no address with a port; write 0.0.0.0:1162, 192.0.2.1:162 or [::]:1162")
    })
}

fn path(text: &str) -> Result<Arc<Path>, String> {
    if !text.starts_with('/') || text.ends_with('/') {
        return Err(format!("'{text}' is no absolute path of a socket; write unix:///run/trapline/log"));
    }
    if text.len() > LONGEST_PATH {
        return Err(format!(
            "the path of a socket has {LONGEST_PATH} octets at most; '{text}' has {}",
            text.len()
        ));
    }
    Ok(Path::new(text).into())
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
    /// Sockets in the file system: who may use them.
    pub file: FileAccess,
}

/// Who may use a socket in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileAccess {
    /// The permissions of its file. To send to it, a program needs the one to write.
    pub mode: u32,
    /// The user that it belongs to; none for that of the daemon.
    pub owner: Option<u32>,
    /// Its group; none for that of the daemon.
    pub group: Option<u32>,
}

impl Default for FileAccess {
    /// Every program of this machine may send, as with the socket of every syslog daemon.
    fn default() -> Self {
        FileAccess { mode: 0o666, owner: None, group: None }
    }
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
            file: FileAccess::default(),
        }
    }
}

/// What tells listeners apart: no two have the same protocol and transport. A reload compares listeners by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
        Key { protocol: self.protocol, transport: self.transport.clone() }
    }

    /// Whether it is bound for IPv6 alone, given all listeners. Streams on `[::]` are for IPv4 too, as the system has it,
    /// unless another listener takes IPv4 streams on that port.
    pub fn is_v6_only(&self, all: &[Listener]) -> bool {
        let Some(own) = self.transport.tcp() else { return true };
        let takes_v4 = |other: &Listener| {
            other.transport.tcp().is_some_and(|other| other.is_ipv4() && other.port() == own.port())
        };
        all.iter().any(takes_v4)
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
        // It is not there unless it is configured.
        Protocol::Http => Vec::new(),
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
            assert_eq!((read.to_string().as_str(), read), (shown, transport));
        }
        for (text, shown) in [
            ("relp://[::1]:2514", "[::1]:2514/relp"),
            ("tls://0.0.0.0:6514", "0.0.0.0:6514/tls"),
            ("relp+tls://0.0.0.0:2515", "0.0.0.0:2515/relp+tls"),
            ("unix:///dev/log", "unix:///dev/log"),
            ("unix-stream:///run/trapline/log", "unix-stream:///run/trapline/log"),
            ("systemd:syslog", "systemd:syslog"),
        ] {
            assert_eq!(Transport::parse(Protocol::Syslog, text).unwrap().to_string(), shown);
            assert!(Transport::parse(Protocol::Snmp, text).is_err(), "{text}");
        }
        let long = format!("unix:///{}", "x".repeat(LONGEST_PATH));
        for (text, why) in [
            ("http://0.0.0.0:6514", "'http://' is not supported for syslog"),
            ("unix://run/log", "'run/log' is no absolute path"),
            ("unix:///run/", "'/run/' is no absolute path"),
            ("systemd:", "lacks the FileDescriptorName="),
            (&long, "has 108"),
        ] {
            let refused = Transport::parse(Protocol::Syslog, text).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
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
