//! One loop that accepts connections, for every listener.
//!
//! A process without a free descriptor cannot accept. The connection stays in the backlog, so the next try comes at once:
//! the loop pauses, counts and writes a line to the log now and then.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::peer::{Credentials, Peer};
use crate::time::clock::Clock;
use crate::time::log_limit::Reasons;

/// How long to wait until the next try.
pub const PAUSE: Duration = Duration::from_millis(200);
/// How many connections in a row may have failed by themselves before the loop pauses.
const BROKEN: u32 = 16;

/// Something that gives connections.
pub trait Listen: Sync {
    /// A connection.
    type Stream: Send;

    /// The next connection, and who is at its other end.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        TcpListener::accept(self).await.map(|(stream, peer)| (stream, peer.into()))
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = UnixListener::accept(self).await?;
        let credentials = stream.peer_cred().ok().map(|of| Credentials {
            pid: of.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
            uid: of.uid(),
        });
        Ok((stream, Peer::Local(credentials)))
    }
}

/// What follows after a connection was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next one.
    Go,
    /// A pause: further connections wait in the backlog.
    Pause,
}

/// What is counted of a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tries to accept a connection that failed.
    pub errors: u64,
    /// Connections that were closed because there was no place for them.
    pub refused: u64,
}

/// The counts of all listeners, by their names.
#[derive(Debug, Default)]
pub struct Table(Mutex<BTreeMap<String, Counts>>);

impl Table {
    fn change(&self, listener: &str, change: impl FnOnce(&mut Counts)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(listener) {
            Some(counts) => change(counts),
            None => change(all.entry(listener.to_owned()).or_default()),
        }
    }

    /// The counts of listeners that had anything to count.
    pub fn all(&self) -> BTreeMap<String, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Accepts the connections of one listener.
#[derive(Debug)]
pub struct Acceptor {
    name: String,
    table: Arc<Table>,
    clock: Arc<dyn Clock>,
    errors: Reasons,
    refused: Reasons,
}

impl Acceptor {
    /// One for a listener of this name, which counts in a table.
    pub fn new(name: &str, table: Arc<Table>, clock: Arc<dyn Clock>) -> Self {
        let (errors, refused) = (Reasons::default(), Reasons::default());
        Acceptor { name: name.to_owned(), table, clock, errors, refused }
    }

    /// Accepts connections and gives them to `take`, until `end` is ready.
    pub async fn run<L: Listen>(
        &self,
        listener: &L,
        end: impl Future<Output = ()>,
        mut take: impl FnMut(L::Stream, Peer) -> Next,
    ) {
        tokio::pin!(end);
        let mut broken = 0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut end => return,
            };
            let next = match accepted {
                Ok((stream, peer)) => {
                    broken = 0;
                    take(stream, peer)
                }
                Err(error) => {
                    self.failed(&error);
                    broken += 1;
                    if is_of_the_peer(&error) && broken < BROKEN { Next::Go } else { Next::Pause }
                }
            };
            if next == Next::Pause {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = &mut end => return,
                }
            }
        }
    }

    fn failed(&self, error: &io::Error) {
        self.table.change(&self.name, |counts| counts.errors += 1);
        if let Some(suppressed) = self.errors.allow(error.raw_os_error(), self.clock.now().mono) {
            let hint = if is_of_the_peer(error) {
                "the peer has gone"
            } else {
                "raise the limit of descriptors (LimitNOFILE= of the unit, `ulimit -n`)"
            };
            tracing::warn!(suppressed, %error, "{} cannot accept a connection, trying again; {hint}", self.name);
        }
    }

    /// Counts a connection that is closed because there is no place for it, and says why, unless that was said a short time
    /// ago.
    pub fn refused(&self, peer: Peer, why: &str) {
        self.table.change(&self.name, |counts| counts.refused += 1);
        if let Some(suppressed) = self.refused.allow(why, self.clock.now().mono) {
            tracing::warn!(from = %peer, suppressed, "{} refuses a connection: {why}", self.name);
        }
    }
}

/// Whether an error is about the connection and not about this process: accept(2) passes on what happened to it while it
/// waited.
fn is_of_the_peer(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let of_the_peer = [
        Errno::ECONNABORTED,
        Errno::EINTR,
        Errno::ENETDOWN,
        Errno::EPROTO,
        Errno::ENOPROTOOPT,
        Errno::EHOSTDOWN,
        Errno::ENONET,
        Errno::EHOSTUNREACH,
        Errno::EOPNOTSUPP,
        Errno::ENETUNREACH,
    ];
    error.raw_os_error().is_some_and(|code| of_the_peer.contains(&Errno::from_raw(code)))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::time::clock::{Now, TestClock};

    /// A listener that has these errors and then gives connections for ever.
    struct Fake {
        errors: Mutex<VecDeque<i32>>,
        tries: Mutex<u32>,
    }

    impl Listen for Fake {
        type Stream = ();

        async fn accept(&self) -> io::Result<((), Peer)> {
            *self.tries.lock().unwrap() += 1;
            let error = self.errors.lock().unwrap().pop_front();
            match error {
                Some(code) => Err(io::Error::from_raw_os_error(code)),
                None => Ok(((), Peer::Local(None))),
            }
        }
    }

    /// Accepts one connection; returns the virtual time that took, and the counts.
    async fn one_connection(errors: &[i32]) -> (Duration, Counts, u32) {
        let fake = Fake { errors: Mutex::new(errors.iter().copied().collect()), tries: Mutex::default() };
        let (table, clock) = (Arc::new(Table::default()), Arc::new(TestClock::at(Now::default())));
        let acceptor = Acceptor::new("test", table.clone(), clock);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let mut end = Some(end);
        let start = tokio::time::Instant::now();
        let end_of_it = async {
            let _ = ended.await;
        };
        acceptor
            .run(&fake, end_of_it, |(), _| {
                drop(end.take());
                Next::Pause
            })
            .await;
        let tries = *fake.tries.lock().unwrap();
        (start.elapsed(), table.all().remove("test").unwrap_or_default(), tries)
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_without_descriptors_pauses_and_goes_on() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EINVAL] {
            let (took, counts, tries) = one_connection(&[code; 50]).await;
            assert_eq!((counts.errors, tries), (50, 51));
            assert!(took >= 50 * PAUSE, "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_broke_while_it_waited_costs_no_pause_but_many_do() {
        let (took, counts, _) = one_connection(&[libc::ECONNABORTED; 5]).await;
        assert_eq!((took, counts.errors), (Duration::ZERO, 5));
        let (took, ..) = one_connection(&[libc::ECONNABORTED; 100]).await;
        assert!(took >= 80 * PAUSE, "{took:?}");
    }
}
