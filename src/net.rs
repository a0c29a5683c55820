//! Connections to servers. `daemon` hands out the [`Internet`]; simulations have a network of their own.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};

/// How long an address of a host may take to answer, where the host has further ones.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for S {}

/// A connection, when it is there.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// A socket for datagrams to and from one server, when it is there.
pub type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<UdpSocket>> + Send + 'a>>;

/// Connects to servers.
pub trait Network: Debug + Send + Sync {
    /// Connects to a port of a host, which is a name or an address.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a>;

    /// A socket for datagrams to a port of a host, which is a name or an address. Of the addresses of a name those are passed over
    /// that there is no way to; of the rest the one is taken whose turn it is.
    fn datagrams<'a>(&'a self, _host: &'a str, _port: u16, _turn: usize) -> Opening<'a> {
        Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
    }
}

/// Why an address has no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoName {
    /// It has none.
    None,
    /// It has this one, which is the name of other addresses only.
    Unconfirmed(String),
    /// The resolver could not tell, for this reason.
    Failed(String),
}

/// Finds names of addresses, and addresses of names.
pub trait Resolver: Debug + Send + Sync {
    /// The name of an address. Blocks.
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn name_of(&self, address: IpAddr) -> Result<String, NoName>;

    /// The addresses of a name; empty if there are none. Blocks.
    ///
    /// # Errors
    ///
    /// If the resolver cannot tell.
    fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>, NoName>;
}

/// TCP, and the system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct Internet;

impl Network for Internet {
    /// Tries the addresses of the host one after the other. An address that does not answer is left for the next one after
    /// 5 s.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a> {
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            let stream = first_that_answers(&addresses, PATIENCE, TcpStream::connect).await?;
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn datagrams<'a>(&'a self, host: &'a str, port: u16, turn: usize) -> Opening<'a> {
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for at in 0..addresses.len() {
                let address = addresses[(at + turn) % addresses.len()];
                match datagrams_to(address).await {
                    Ok(socket) => return Ok(socket),
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}

/// Whether a datagram was not sent because it is longer than one on its way can be.
pub fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

async fn datagrams_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// Connects to the first address that answers. The last one may take longer than `patience`.
async fn first_that_answers<T, C>(
    addresses: &[SocketAddr],
    patience: Duration,
    connect: impl Fn(SocketAddr) -> C,
) -> io::Result<T>
where
    C: Future<Output = io::Result<T>>,
{
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (at, address) in addresses.iter().enumerate() {
        let connecting = connect(*address);
        let connected = if at + 1 < addresses.len() {
            tokio::time::timeout(patience, connecting).await.unwrap_or_else(|_| Err(timed_out()))
        } else {
            connecting.await
        };
        match connected {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn timed_out() -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address answers, refuses, or is a black hole.
    #[test]
    fn the_first_address_that_answers_is_used() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let tried = |what: &'static [Option<bool>]| {
            let addresses: Vec<SocketAddr> =
                (1..).take(what.len()).map(|port| ([192, 0, 2, 1], port).into()).collect();
            let connect = |address: SocketAddr| async move {
                match what[usize::from(address.port()) - 1] {
                    Some(true) => Ok(address.port()),
                    Some(false) => Err(io::ErrorKind::ConnectionRefused.into()),
                    None => std::future::pending().await,
                }
            };
            let first = first_that_answers(&addresses, PATIENCE, connect);
            let first = runtime.block_on(async { tokio::time::timeout(PATIENCE * 9, first).await });
            first.map(|first| first.map_err(|error| error.kind()))
        };
        assert_eq!(tried(&[Some(true), None]).unwrap(), Ok(1));
        assert_eq!(tried(&[None, Some(false), None, Some(true)]).unwrap(), Ok(4));
        assert_eq!(tried(&[None, Some(false)]).unwrap(), Err(io::ErrorKind::ConnectionRefused));
        assert_eq!(tried(&[]).unwrap(), Err(io::ErrorKind::NotFound));
        // How long the last one may take is for who connects.
        assert!(tried(&[Some(false), None]).is_err());
    }
}
