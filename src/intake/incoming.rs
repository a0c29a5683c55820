//! Streams as they come in, of the network or of this machine.

use std::io;
use std::net::TcpListener as NetworkListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener as LocalListener;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::inbound::accept::Listen;
use crate::net::Stream;
use crate::peer::Peer;

/// After so many seconds of silence the kernel asks the peer whether it is still there, again after so many, and gives it up
/// when it has not answered so often.
const KEEPALIVE: (u32, u32, u32) = (60, 30, 4);

/// A socket that accepts streams.
#[derive(Debug)]
pub(super) enum StreamSocket {
    /// Of the network.
    Network(NetworkListener),
    /// Of this machine.
    Local(LocalListener),
}

impl StreamSocket {
    /// One of the network, which listens.
    pub(super) fn network(socket: OwnedFd) -> io::Result<Self> {
        let socket = NetworkListener::from(socket);
        socket.set_nonblocking(true)?;
        Ok(StreamSocket::Network(socket))
    }

    /// One of this machine, which listens.
    pub(super) fn local(socket: OwnedFd) -> io::Result<Self> {
        let socket = LocalListener::from(socket);
        socket.set_nonblocking(true)?;
        Ok(StreamSocket::Local(socket))
    }

    /// The same socket for a runtime, which must be the current one.
    pub(super) fn on_runtime(&self) -> io::Result<Incoming> {
        Ok(match self {
            StreamSocket::Network(socket) => Incoming::Network(TcpListener::from_std(socket.try_clone()?)?),
            StreamSocket::Local(socket) => Incoming::Local(UnixListener::from_std(socket.try_clone()?)?),
        })
    }
}

/// Gives the streams that come in.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Of the network.
    Network(TcpListener),
    /// Of this machine.
    Local(UnixListener),
}

impl Listen for Incoming {
    type Stream = Accepted;

    async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Incoming::Network(listener) => {
                let (stream, peer) = Listen::accept(listener).await?;
                Ok((Accepted::Network(stream), peer))
            }
            Incoming::Local(listener) => {
                let (stream, peer) = Listen::accept(listener).await?;
                Ok((Accepted::Local(stream), peer))
            }
        }
    }
}

/// A stream that was accepted.
#[derive(Debug)]
pub(super) enum Accepted {
    /// Of the network.
    Network(TcpStream),
    /// Of this machine.
    Local(UnixStream),
}

impl Accepted {
    /// The stream. The kernel finds out when the peer of one of the network is gone without a word.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        match self {
            Accepted::Network(stream) => {
                keep_alive(&stream);
                Box::new(stream)
            }
            Accepted::Local(stream) => Box::new(stream),
        }
    }
}

/// A stream for which the kernel cannot do it is closed when it was silent for too long.
fn keep_alive(stream: &impl AsFd) {
    let (idle, interval, count) = KEEPALIVE;
    let _ = setsockopt(stream, sockopt::KeepAlive, &true)
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepIdle, &idle))
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepInterval, &interval))
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepCount, &count));
}
