//! Sockets: every listener is bound here, and what it was refused is said here.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, Type};

use super::listener::{Listener, Protocol, Transport};
use crate::settings::diagnostic::{Diagnostic, Place, Severity};
use crate::sys;

/// How many streams may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A listener with its sockets, which the kernel fills already.
#[derive(Debug)]
pub struct Bound {
    pub(super) listener: Listener,
    pub(super) sockets: Sockets,
    address: SocketAddr,
}

/// What a listener reads from.
#[derive(Debug)]
pub(super) enum Sockets {
    /// Sockets that share one address; each source always reaches the same one.
    Datagrams(Vec<DatagramSocket>),
    /// Accepts streams.
    Streams(TcpListener),
}

/// A socket for datagrams.
#[derive(Debug)]
pub(super) struct DatagramSocket {
    pub(super) socket: UdpSocket,
    transport: Transport,
}

impl DatagramSocket {
    /// Asks the kernel for a receive buffer of this many octets of datagrams. It may grant less.
    pub(super) fn set_buffer(&self, octets: usize) {
        // With privilege beyond net.core.rmem_max, else up to it.
        if setsockopt(&self.socket, sockopt::RcvBufForce, &octets).is_err() {
            let _ = setsockopt(&self.socket, sockopt::RcvBuf, &octets);
        }
        let granted = self.buffer() / 2;
        if granted < octets {
            tracing::warn!(
                "the kernel grants a receive buffer of {granted} bytes at {}, not {octets}: bursts may be dropped; run `sysctl -w net.core.rmem_max={octets}`",
                self.at()
            );
        }
    }

    /// The octets of its receive buffer. It is twice what was granted: the kernel counts its own overhead in it.
    pub(super) fn buffer(&self) -> usize {
        getsockopt(&self.socket, sockopt::RcvBuf).unwrap_or(0)
    }

    /// What its listener is bound to, for the log.
    pub(super) fn at(&self) -> Transport {
        self.transport
    }
}

impl Bound {
    /// The listener.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The address that it is bound to, with the port that the kernel chose if the configuration has port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Display for Bound {
    /// As in `SNMP 127.0.0.1:1162/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = self.listener.transport.at(self.address);
        write!(f, "{} {transport}", self.listener.protocol.as_str())
    }
}

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {transport}: {error}; {}", remedy(.error, protocol.section()))]
pub struct BindError {
    /// What it would receive.
    pub protocol: Protocol,
    /// How.
    pub transport: Transport,
    /// Where the configuration names it; none for a built-in listener.
    pub place: Option<Place>,
    /// What the system says.
    #[source]
    pub error: io::Error,
}

impl BindError {
    /// The same as a mistake in the configuration file; none for a built-in listener.
    pub fn diagnostic(&self) -> Option<Diagnostic> {
        let place = self.place.as_ref()?;
        Some(Diagnostic {
            severity: Severity::Error,
            file: place.file.to_string(),
            place: Some((place.line, place.column)),
            message: format!("cannot listen on {}: {}", self.transport, self.error),
            hint: Some(remedy(&self.error, self.protocol.section())),
        })
    }
}

/// What to do where an address cannot be bound; `section` has the key `listen`.
pub fn remedy(error: &io::Error, section: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("stop the program that uses the port (see `ss -lnp`), or change {section} listen")
        }
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need the capability CAP_NET_BIND_SERVICE, or change {section} listen")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; change {section} listen")
        }
        _ => format!("change {section} listen"),
    }
}

/// Binds a listener; one on `[::]` for IPv6 alone if `v6_only` is true, which see [`Listener::is_v6_only`].
///
/// # Errors
///
/// [`BindError`], with the place in the configuration and a remedy.
pub fn bind(listener: &Listener, v6_only: bool) -> Result<Bound, BindError> {
    let sockets = match listener.transport {
        Transport::Udp(address) => datagrams(listener, address),
        Transport::Tcp(address) => streams(address, v6_only),
    };
    let bound = sockets.map(|(sockets, address)| Bound { listener: listener.clone(), sockets, address });
    bound.map_err(|error| BindError {
        protocol: listener.protocol,
        transport: listener.transport,
        place: listener.place.clone(),
        error,
    })
}

type WithAddress = (Sockets, SocketAddr);

fn datagrams(listener: &Listener, address: SocketAddr) -> io::Result<WithAddress> {
    let first = socket(listener, address, false)?;
    let address = first.socket.local_addr()?;
    let mut sockets = vec![first];
    let receivers = listener.limits.receivers;
    if receivers > 1 {
        // Only now: had the first one asked for it before, it would share the port with another program unnoticed.
        setsockopt(&sockets[0].socket, sockopt::ReusePort, &true)?;
        for _ in 1..receivers {
            sockets.push(socket(listener, address, true)?);
        }
        sys::steer_by_source(&sockets[0].socket, address.is_ipv6(), receivers as u32)?;
    }
    Ok((Sockets::Datagrams(sockets), address))
}

/// A socket, which shares its address with others of the same user or not.
fn socket(listener: &Listener, address: SocketAddr, shared: bool) -> io::Result<DatagramSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        // 0.0.0.0 and [::] side by side, each for its own family.
        socket.set_only_v6(true)?;
    }
    if listener.protocol == Protocol::Snmp && address.ip().is_unspecified() {
        // A socket on one address sends from it anyway.
        sys::tell_local(&socket, address.is_ipv6())?;
    }
    if shared {
        setsockopt(&socket, sockopt::ReusePort, &true)?;
    }
    let bound = DatagramSocket { socket: UdpSocket::from(socket), transport: listener.transport };
    // Before the first datagram can arrive.
    bound.set_buffer(listener.limits.receive_buffer);
    SockRef::from(&bound.socket).bind(&address.into())?;
    Ok(bound)
}

fn streams(address: SocketAddr, v6_only: bool) -> io::Result<WithAddress> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(v6_only)?;
    }
    // A port that connections of a process before have not left yet.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((Sockets::Streams(listener), address))
}
