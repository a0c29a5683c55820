//! The way out: datagrams in batches, or a stream.

use std::borrow::Cow;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::commands::args::whole;
use crate::snmp::framing::Framer;
use crate::sys;
use crate::terminal::say;

/// How many datagrams go out at a time.
const DATAGRAMS: u64 = 64;
/// How many messages of a stream are gathered.
const MESSAGES: u64 = 1024;
/// How many bytes are gathered for a stream.
const GATHERED: usize = 64 * 1024;

/// How many messages, and how fast.
#[derive(Debug, Args, Clone, Copy)]
pub(crate) struct LoadArgs {
    /// Number of messages
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u64>(0..=u64::MAX, 1000))]
    pub(crate) count: u64,
    /// Messages per second. Default: as many as possible
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=1_000_000_000, 1000))]
    pub(crate) rate: Option<u64>,
}

impl LoadArgs {
    /// How many are due by now, at most all; with a rate, `sent` are out already.
    fn due(self, sent: u64, since: Instant) -> u64 {
        let Some(rate) = self.rate else { return self.count };
        loop {
            let due = (since.elapsed().as_secs_f64() * rate as f64) as u64 + 1;
            if due > sent {
                return due.min(self.count);
            }
            let until = Duration::from_secs_f64((sent - due + 1) as f64 / rate as f64);
            std::thread::sleep(until.clamp(Duration::from_micros(50), Duration::from_millis(10)));
        }
    }
}

/// A connected socket.
pub(crate) enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, Framer),
}

impl Wire {
    /// Opens the way to `HOST:PORT`, `udp://HOST:PORT` or `tcp://HOST:PORT`.
    pub(crate) fn open(to: &str) -> anyhow::Result<Self> {
        match to.split_once("://") {
            None => Self::udp(to),
            Some(("udp", rest)) => Self::udp(rest),
            Some(("tcp", rest)) => Self::tcp(rest),
            Some((other, _)) => bail!("--to: '{other}://' is not known; use udp:// or tcp://"),
        }
    }

    pub(crate) fn udp(to: &str) -> anyhow::Result<Self> {
        let address = address(to)?;
        let local: SocketAddr =
            if address.is_ipv6() { "[::]:0".parse()? } else { SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)) };
        let socket = UdpSocket::bind(local)?;
        socket.connect(address).with_context(|| format!("cannot send to {address}"))?;
        Ok(Wire::Udp(socket))
    }

    pub(crate) fn tcp(to: &str) -> anyhow::Result<Self> {
        let address = address(to)?;
        let stream = TcpStream::connect(address)
            .with_context(|| format!("cannot connect to {address}; is `trapline run` running?"))?;
        stream.set_nodelay(true)?;
        Ok(Wire::Tcp(stream, Framer::default()))
    }

    fn peer(&self) -> String {
        let peer = match self {
            Wire::Udp(socket) => socket.peer_addr(),
            Wire::Tcp(stream, _) => stream.peer_addr(),
        };
        peer.map_or_else(|_| "?".to_owned(), |a| a.to_string())
    }

    /// Where it leads, such as `192.0.2.1:162/udp`.
    fn name(&self) -> String {
        let transport = match self {
            Wire::Udp(_) => "udp",
            Wire::Tcp(..) => "tcp",
        };
        format!("{}/{transport}", self.peer())
    }

    /// Whether anybody has answered meanwhile that nothing listens there, as a machine without a firewall does; of this machine
    /// it is known at once.
    fn refused(&self) -> anyhow::Result<()> {
        match self {
            Wire::Udp(socket) => match socket.take_error()? {
                Some(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    bail!("nobody listens at {}; is `trapline run` running?", self.peer())
                }
                _ => Ok(()),
            },
            Wire::Tcp(..) => Ok(()),
        }
    }

    /// Its own IPv4 address.
    pub(crate) fn local(&self) -> Option<Ipv4Addr> {
        let local = match self {
            Wire::Udp(socket) => socket.local_addr(),
            Wire::Tcp(stream, _) => stream.local_addr(),
        };
        match local.ok()?.ip().to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    /// Sends one message; what is lost on the way of a datagram is not noticed.
    pub(crate) fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let sent = match self {
            Wire::Udp(socket) => socket.send(message).map(drop),
            Wire::Tcp(stream, _) => stream.write_all(message),
        };
        match sent {
            // Of the datagram before: whoever listens may be there by now.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            other => other.with_context(|| format!("cannot send to {}", self.peer())),
        }
    }

    /// The next message that comes back until then; none if none does.
    pub(crate) fn receive(&mut self, until: Instant) -> anyhow::Result<Option<Vec<u8>>> {
        let peer = self.peer();
        let mut buffer = vec![0; 65_536];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let read = match self {
                Wire::Udp(socket) => {
                    socket.set_read_timeout(Some(left))?;
                    socket.recv(&mut buffer)
                }
                Wire::Tcp(stream, framer) => {
                    if let Some(message) = framer.next_message()? {
                        return Ok(Some(message.to_vec()));
                    }
                    stream.set_read_timeout(Some(left))?;
                    stream.read(&mut buffer)
                }
            };
            match (read, &mut *self) {
                (Ok(length), Wire::Udp(_)) => return Ok(Some(buffer[..length].to_vec())),
                (Ok(0), Wire::Tcp(..)) => bail!("{peer} closed the stream without an answer"),
                (Ok(length), Wire::Tcp(_, framer)) => framer.push(&buffer[..length]),
                (Err(error), _) if error.kind() == ErrorKind::ConnectionRefused => {
                    bail!("nobody listens at {peer}; is `trapline run` running?")
                }
                (Err(error), _) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                (Err(error), _) => return Err(error).with_context(|| format!("no answer from {peer}")),
            }
        }
    }

    /// Sends many messages; returns how long it took.
    pub(crate) fn load<'m>(
        &mut self,
        load: LoadArgs,
        mut next: impl FnMut() -> anyhow::Result<Cow<'m, [u8]>>,
    ) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let batch = if matches!(self, Wire::Udp(_)) { DATAGRAMS } else { MESSAGES };
        let mut sent = 0;
        let mut waiting: Vec<Cow<'m, [u8]>> = Vec::new();
        while sent < load.count {
            let now = (load.due(sent, start) - sent).min(batch);
            while (waiting.len() as u64) < now {
                waiting.push(next()?);
            }
            let gone = self.send_some(&waiting)?;
            waiting.drain(..gone);
            sent += gone as u64;
        }
        let took = start.elapsed();
        self.refused()?;
        Ok(took)
    }

    /// Sends as many as go at once, at least one unless the system has no room.
    fn send_some(&mut self, messages: &[Cow<'_, [u8]>]) -> anyhow::Result<usize> {
        let peer = self.peer();
        match self {
            Wire::Udp(socket) => {
                let slices: Vec<&[u8]> = messages.iter().map(AsRef::as_ref).collect();
                match sys::send_batch(socket, &slices) {
                    Ok(count) => Ok(count),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                        bail!("nobody listens at {peer}; is `trapline run` running?")
                    }
                    Err(error) => Err(error).with_context(|| format!("cannot send to {peer}")),
                }
            }
            Wire::Tcp(stream, _) => {
                let mut gathered = Vec::with_capacity(GATHERED);
                let mut count = 0;
                for message in messages {
                    if count > 0 && gathered.len() + message.len() > GATHERED {
                        break;
                    }
                    gathered.extend_from_slice(message);
                    count += 1;
                }
                stream.write_all(&gathered).with_context(|| format!("cannot send to {peer}"))?;
                Ok(count)
            }
        }
    }
}

fn address(to: &str) -> anyhow::Result<SocketAddr> {
    let found = to.to_socket_addrs().with_context(|| {
        format!("--to: cannot find the address of '{to}'; correct the name, or write an address such as 192.0.2.1:162")
    });
    found?.next().with_context(|| format!("--to: '{to}' has no address; write one, such as 192.0.2.1:162"))
}

/// Says what was sent where, and how long a load of messages took. `one` is what one of them is.
pub(crate) fn report(one: &str, to: &Wire, count: u64, took: Duration) {
    let to = to.name();
    if count == 1 {
        say!("sent 1 {one} to {to}");
    } else {
        let (seconds, rate) = (took.as_secs_f64(), count as f64 / took.as_secs_f64().max(1e-9));
        say!("sent {count} {one}s to {to} in {seconds:.3} s, {rate:.0} a second");
    }
}
