//! Sockets: every listener is bound here, and what it was refused is said here.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use super::file_socket::{self, SocketFile};
use super::incoming::StreamSocket;
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
    pub(super) at: Transport,
    /// The file of its socket, removed when this is dropped.
    pub(super) file: Option<SocketFile>,
}

/// What a listener reads from.
#[derive(Debug)]
pub(super) enum Sockets {
    /// Sockets that share one address; each source always reaches the same one.
    Datagrams(Vec<DatagramSocket>),
    /// Accepts streams.
    Streams(StreamSocket),
}

/// A socket for datagrams.
#[derive(Debug)]
pub(super) struct DatagramSocket {
    pub(super) socket: Socket,
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
    pub(super) fn at(&self) -> &Transport {
        &self.transport
    }
}

impl Bound {
    /// The listener.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The address that it is bound to, with the port that the kernel chose if the configuration has port 0; none for a socket
    /// that is not on the network.
    pub fn address(&self) -> Option<SocketAddr> {
        self.at.address()
    }
}

impl fmt::Display for Bound {
    /// As in `SNMP 127.0.0.1:1162/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.listener.protocol.as_str(), self.at)
    }
}

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {transport}: {error}; {}", remedy(.error, .transport, protocol.section()))]
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
            hint: Some(remedy(&self.error, &self.transport, self.protocol.section())),
        })
    }
}

/// What to do where a socket cannot be bound; `section` has the key `listen`.
pub fn remedy(error: &io::Error, transport: &Transport, section: &str) -> String {
    if let Transport::Systemd(name) = transport {
        return format!(
            "start trapline by a socket unit with FileDescriptorName={name}, and let it restart, not reload, after changes of the unit"
        );
    }
    if let Some(path) = transport.path() {
        let folder = path.parent().unwrap_or(path).display();
        return match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("stop the program that uses it (see `ss -xlp`), or change {section} listen")
            }
            io::ErrorKind::AlreadyExists => {
                format!("remove it if nobody needs it, or change {section} listen")
            }
            io::ErrorKind::NotFound => {
                format!("create the folder {folder}, or change {section} listen")
            }
            _ => format!("let the daemon write in {folder}, or change {section} listen"),
        };
    }
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
    let transport = &listener.transport;
    let sockets = match transport {
        Transport::Udp(address) => datagrams(listener, *address),
        Transport::Tcp(address)
        | Transport::Tls(address)
        | Transport::Relp(address)
        | Transport::RelpTls(address) => streams(*address, v6_only),
        Transport::Unix(path) => local_datagrams(listener, path),
        Transport::UnixStream(path) => local_streams(listener, path),
        Transport::Systemd(name) => inherited(listener, name),
    };
    let bound = sockets.map(|Ready { sockets, address, file }| {
        let at = address.map_or(transport.clone(), |address| transport.clone().at(address));
        Bound { listener: listener.clone(), sockets, at, file }
    });
    bound.map_err(|error| BindError {
        protocol: listener.protocol,
        transport: transport.clone(),
        place: listener.place.clone(),
        error,
    })
}

/// Sockets that are bound.
struct Ready {
    sockets: Sockets,
    address: Option<SocketAddr>,
    file: Option<SocketFile>,
}

impl Ready {
    fn on_the_network(sockets: Sockets, address: SocketAddr) -> Self {
        Ready { sockets, address: Some(address), file: None }
    }
}

/// The address of a socket of the network.
fn address_of(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn datagrams(listener: &Listener, address: SocketAddr) -> io::Result<Ready> {
    let first = socket(listener, address, false)?;
    let address = address_of(&first.socket)?;
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
    Ok(Ready::on_the_network(Sockets::Datagrams(sockets), address))
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
    let bound = DatagramSocket { socket, transport: listener.transport.clone() };
    // Before the first datagram can arrive.
    bound.set_buffer(listener.limits.receive_buffer);
    bound.socket.bind(&address.into())?;
    Ok(bound)
}

fn streams(address: SocketAddr, v6_only: bool) -> io::Result<Ready> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(v6_only)?;
    }
    // A port that connections of a process before have not left yet.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let address = address_of(&socket)?;
    Ok(Ready::on_the_network(Sockets::Streams(StreamSocket::network(socket.into())?), address))
}

fn local_datagrams(listener: &Listener, path: &Path) -> io::Result<Ready> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    setsockopt(&socket, sockopt::PassCred, &true)?;
    let bound = DatagramSocket { socket, transport: listener.transport.clone() };
    bound.set_buffer(listener.limits.receive_buffer);
    let file = file_socket::bind(&bound.socket, path, Type::DGRAM, &listener.limits.file)?;
    Ok(Ready { sockets: Sockets::Datagrams(vec![bound]), address: None, file: Some(file) })
}

fn local_streams(listener: &Listener, path: &Path) -> io::Result<Ready> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let file = file_socket::bind(&socket, path, Type::STREAM, &listener.limits.file)?;
    socket.listen(BACKLOG)?;
    let sockets = Sockets::Streams(StreamSocket::local(socket.into())?);
    Ok(Ready { sockets, address: None, file: Some(file) })
}

/// The socket of this name that the service manager has made. Each name has one; the others of that name are not used.
fn inherited(listener: &Listener, name: &str) -> io::Result<Ready> {
    let all = sys::inherited();
    let Some((_, socket)) = all.iter().find(|(known, _)| known == name) else {
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        let message = match names.as_slice() {
            [] => "the service manager has given no socket to this process".to_owned(),
            names => {
                format!("the service manager has given no socket of this name, but {}", names.join(", "))
            }
        };
        return Err(io::Error::other(message));
    };
    adopt(listener, socket.as_fd())
}

fn adopt(listener: &Listener, socket: BorrowedFd<'_>) -> io::Result<Ready> {
    let socket = Socket::from(socket.try_clone_to_owned()?);
    let local = socket.local_addr()?.is_unix();
    let sockets = match socket.r#type()? {
        Type::DGRAM => {
            if local {
                setsockopt(&socket, sockopt::PassCred, &true)?;
            }
            Sockets::Datagrams(vec![DatagramSocket { socket, transport: listener.transport.clone() }])
        }
        Type::STREAM if !getsockopt(&socket, sockopt::AcceptConn)? => {
            return Err(io::Error::other(
                "it is one connection (Accept=yes); set Accept=no in the socket unit",
            ));
        }
        Type::STREAM if local => Sockets::Streams(StreamSocket::local(socket.into())?),
        Type::STREAM => Sockets::Streams(StreamSocket::network(socket.into())?),
        _ => {
            return Err(io::Error::other(
                "it is neither for datagrams nor for streams; use ListenDatagram= or ListenStream=",
            ));
        }
    };
    Ok(Ready { sockets, address: None, file: None })
}
