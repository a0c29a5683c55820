//! Who is at the other end of a socket.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// Who is at the other end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A program at an address.
    Network(SocketAddr),
    /// A program of this machine, over a socket in the file system; with what the kernel says about it.
    Local(Option<Credentials>),
}

/// What the kernel says about a process (SCM_CREDENTIALS and SO_PEERCRED of unix(7)). The process can choose the values only as
/// far as it has the privilege to be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Its process id; 0 if it is not visible from here, as in another container.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

impl Peer {
    /// Its address; none for a program of this machine.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Peer::Network(address) => Some(*address),
            Peer::Local(_) => None,
        }
    }

    /// Its address, an IPv4 one that came in over an IPv6 socket as IPv4; 127.0.0.1 for a program of this machine.
    #[inline]
    pub fn ip(&self) -> IpAddr {
        match self {
            Peer::Network(address) => address.ip().to_canonical(),
            Peer::Local(_) => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Whether it is known, without a doubt, to be on this machine.
    #[inline]
    pub fn is_local(&self) -> bool {
        matches!(self, Peer::Local(_))
    }

    /// What the kernel says about it.
    pub fn credentials(&self) -> Option<Credentials> {
        match self {
            Peer::Network(_) => None,
            Peer::Local(credentials) => *credentials,
        }
    }
}

impl<A: Into<SocketAddr>> From<A> for Peer {
    fn from(address: A) -> Self {
        Peer::Network(address.into())
    }
}

impl FromStr for Peer {
    type Err = AddrParseError;

    /// Reads `ADDRESS:PORT`.
    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse().map(Peer::Network)
    }
}

impl fmt::Display for Peer {
    /// As in `192.0.2.1:514` or `process 411 of user 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Network(address) => address.fmt(f),
            Peer::Local(Some(Credentials { pid, uid })) => write!(f, "process {pid} of user {uid}"),
            Peer::Local(None) => f.write_str("a process of this machine"),
        }
    }
}
