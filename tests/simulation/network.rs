//! The network of a simulation: connections between tasks.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use trapline::net::{Connecting, Network, NoName, Resolver, Stream};

use crate::random::Random;

/// How much is under way on a connection, in octets.
const WINDOW: usize = 64 << 10;

/// One end of a connection.
#[derive(Debug)]
pub struct SimStream {
    inner: DuplexStream,
    reset: Arc<AtomicBool>,
    _here: Arc<()>,
    there: Weak<()>,
}

impl SimStream {
    /// Whether nobody has the other end any more.
    pub fn is_alone(&self) -> bool {
        self.there.strong_count() == 0
    }

    /// Both ends of a connection.
    pub fn pair() -> (Self, Self) {
        let (one, other) = duplex(WINDOW);
        let reset = Arc::new(AtomicBool::new(false));
        let (a, b) = (Arc::new(()), Arc::new(()));
        let (to_a, to_b) = (Arc::downgrade(&a), Arc::downgrade(&b));
        let one = SimStream { inner: one, reset: reset.clone(), _here: a, there: to_b };
        (one, SimStream { inner: other, reset, _here: b, there: to_a })
    }

    /// Ends the connection with a reset instead of in order.
    pub fn reset(self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    fn intact(&self) -> io::Result<()> {
        if self.reset.load(Ordering::Relaxed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.intact()?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() == before {
            self.intact()?;
        }
        read
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.intact()?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.intact()?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// How a host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It takes connections.
    Up,
    /// It refuses them.
    Refused,
    /// Nobody answers.
    Silent,
}

#[derive(Debug)]
struct Port {
    line: Line,
    accept: mpsc::UnboundedSender<SimStream>,
}

/// The network. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SimNetwork {
    ports: Arc<Mutex<BTreeMap<String, Port>>>,
    random: Random,
}

impl SimNetwork {
    /// Without hosts.
    pub fn new(random: Random) -> Self {
        SimNetwork { ports: Arc::default(), random }
    }

    /// Listens as a host, on every port.
    pub fn listen(&self, host: &str) -> mpsc::UnboundedReceiver<SimStream> {
        let (accept, accepted) = mpsc::unbounded_channel();
        self.ports.lock().unwrap().insert(host.to_owned(), Port { line: Line::Up, accept });
        accepted
    }

    /// Nobody listens as this host any more.
    pub fn close(&self, host: &str) {
        self.ports.lock().unwrap().remove(host);
    }

    /// Changes how a host answers.
    pub fn set_line(&self, host: &str, line: Line) {
        if let Some(port) = self.ports.lock().unwrap().get_mut(host) {
            port.line = line;
        }
    }

    /// Connects to a host.
    pub async fn open(&self, host: &str) -> io::Result<SimStream> {
        tokio::time::sleep(Duration::from_millis(self.random.below(4))).await;
        let line = self.ports.lock().unwrap().get(host).map(|port| port.line);
        match line {
            Some(Line::Silent) => {
                tokio::time::sleep(Duration::from_mins(2)).await;
                Err(io::ErrorKind::TimedOut.into())
            }
            None | Some(Line::Refused) => Err(io::ErrorKind::ConnectionRefused.into()),
            Some(Line::Up) => {
                let (ours, theirs) = SimStream::pair();
                let ports = self.ports.lock().unwrap();
                let sent = ports.get(host).map(|port| port.accept.send(theirs));
                match sent {
                    Some(Ok(())) => Ok(ours),
                    _ => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
        }
    }
}

impl Network for SimNetwork {
    fn connect<'a>(&'a self, host: &'a str, _port: u16) -> Connecting<'a> {
        Box::pin(async move { Ok(Box::new(self.open(host).await?) as Box<dyn Stream>) })
    }
}

/// A DNS without names: simulations name no host by it.
#[derive(Debug)]
pub struct NoNames;

impl Resolver for NoNames {
    fn name_of(&self, _: IpAddr) -> Result<String, NoName> {
        Err(NoName::None)
    }

    fn addresses_of(&self, _: &str) -> Result<Vec<IpAddr>, NoName> {
        Ok(Vec::new())
    }
}
