//! Connections to servers. `daemon` hands out the [`Internet`]; simulations have a network of their own.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};

use crate::reach::{self, Failure, Stage};

/// After how long without an answer of an address the next one of the host is tried beside it.
const BEGIN: Duration = Duration::from_millis(250);
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
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a> {
        Box::pin(async move { Ok(Box::new(tcp(host, port).await?) as Box<dyn Stream>) })
    }

    fn datagrams<'a>(&'a self, host: &'a str, port: u16, turn: usize) -> Opening<'a> {
        Box::pin(async move {
            let addresses = resolved(host, port).await?;
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

/// Connects to a port of a host, which is a name or an address, over TCP.
///
/// # Errors
///
/// If the host has no address, or none that answers.
pub async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = resolved(host, port).await?;
    reach::enter(Stage::Connect);
    let stream = first_that_answers(&addresses, (BEGIN, PATIENCE), TcpStream::connect).await?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The addresses of a host.
async fn resolved(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses = reach::during(Stage::Resolve, tokio::net::lookup_host((host, port))).await;
    Ok(addresses.map_err(io::Error::other)?.collect())
}

/// Makes a connection to a server, and says to who waits that it is made.
///
/// # Errors
///
/// Why there is none.
pub async fn connect(network: &dyn Network, host: &str, port: u16) -> Result<Box<dyn Stream>, Failure> {
    reach::during(Stage::Connect, network.connect(host, port)).await
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

/// Connects to the first address that answers (RFC 8305, "happy eyeballs"): while one does not, the next one is tried beside it, after
/// a pause of `begin`, so that an address that is dead costs no more than that. One that has another one behind it has `patience`; how
/// long the last one may take is for who connects.
async fn first_that_answers<T, C>(
    addresses: &[SocketAddr],
    (begin, patience): (Duration, Duration),
    connect: impl Fn(SocketAddr) -> C,
) -> io::Result<T>
where
    C: Future<Output = io::Result<T>>,
{
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let (mut under_way, mut next) = (FuturesUnordered::new(), 0);
    loop {
        if let Some(address) = addresses.get(next) {
            next += 1;
            let (connecting, is_last) = (connect(*address), next == addresses.len());
            under_way.push(async move {
                if is_last {
                    return connecting.await;
                }
                tokio::time::timeout(patience, connecting).await.unwrap_or_else(|_| Err(timed_out()))
            });
        }
        tokio::select! {
            biased;
            Some(connected) = under_way.next() => match connected {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            },
            () = tokio::time::sleep(begin), if next < addresses.len() => {}
            else => return Err(last),
        }
    }
}

fn timed_out() -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an address does.
    #[derive(Debug, Clone, Copy)]
    enum Does {
        Answer,
        AnswerAfter(Duration),
        Refuse,
        Nothing,
    }
    use Does::*;

    /// Which address is connected to, and after how long; or the last error. None: somebody else has to end it.
    fn tried(what: &[Does]) -> Option<Result<(u16, Duration), io::ErrorKind>> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let addresses: Vec<SocketAddr> =
            (1..).take(what.len()).map(|port| ([192, 0, 2, 1], port).into()).collect();
        let connect = |address: SocketAddr| async move {
            match what[usize::from(address.port()) - 1] {
                Answer => {}
                AnswerAfter(time) => tokio::time::sleep(time).await,
                Refuse => return Err(io::ErrorKind::ConnectionRefused.into()),
                Nothing => std::future::pending().await,
            }
            Ok(address.port())
        };
        runtime.block_on(async {
            let start = tokio::time::Instant::now();
            let first = first_that_answers(&addresses, (BEGIN, PATIENCE), connect);
            let first = tokio::time::timeout(PATIENCE * 9, first).await.ok()?;
            Some(first.map(|port| (port, start.elapsed())).map_err(|error| error.kind()))
        })
    }

    #[test]
    fn the_first_address_that_answers_is_used() {
        let slow = AnswerAfter(BEGIN * 3 / 2);
        for (what, port, pauses) in [
            (&[Answer, Nothing][..], 1, 0.0),
            (&[Refuse, Answer], 2, 0.0),
            // What is refused is no reason to wait.
            (&[Nothing, Refuse, Nothing, Answer], 4, 2.0),
            (&[Nothing, Nothing, Nothing, Answer], 4, 3.0),
            // The first one is preferred where it is not much slower, and keeps its chance where it is.
            (&[AnswerAfter(BEGIN / 2), Answer], 1, 0.5),
            (&[slow, Answer], 2, 1.0),
            (&[slow, slow], 1, 1.5),
            (&[slow, Refuse], 1, 1.5),
        ] {
            assert_eq!(tried(what), Some(Ok((port, BEGIN.mul_f64(pauses)))), "{what:?}");
        }
    }

    #[test]
    fn where_no_address_answers_the_last_error_is_said() {
        assert_eq!(tried(&[]), Some(Err(io::ErrorKind::NotFound)));
        assert_eq!(tried(&[Refuse]), Some(Err(io::ErrorKind::ConnectionRefused)));
        assert_eq!(tried(&[Nothing, Refuse]), Some(Err(io::ErrorKind::TimedOut)));
        // How long the last one may take is for who connects.
        assert_eq!(tried(&[Refuse, Nothing]), None);
    }
}
