//! Running listeners: each can be stopped on its own.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::runtime::Handle;

use super::bind::{Bound, DatagramSocket, Sockets};
use super::listener::{Key, Listener, Protocol};
use super::shared::Shared;
use super::stop::Stop;
use super::{datagrams, streams};

/// A running listener.
#[derive(Debug)]
pub struct Serving {
    listener: Listener,
    address: SocketAddr,
    stop: Arc<Stop>,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Threads(Vec<JoinHandle<()>>),
    /// Disconnected once the task that accepts and those of all its streams have ended.
    Tasks(mpsc::Receiver<()>),
}

/// Starts a listener. Datagrams are taken at once, and wait on disk until there are rules; streams are accepted once
/// there are. `streams` is the runtime that streams run on.
///
/// # Errors
///
/// If the system has no thread or descriptor left.
pub fn serve(bound: Bound, shared: &Arc<Shared>, streams: &Handle) -> io::Result<Serving> {
    let (address, stop) = (bound.address(), Arc::new(Stop::new()?));
    let Bound { listener, sockets, .. } = bound;
    let work = match sockets {
        Sockets::Datagrams(sockets) => {
            let start = |socket| thread(socket, listener.protocol, shared.clone(), stop.clone());
            Work::Threads(sockets.into_iter().map(start).collect::<io::Result<_>>()?)
        }
        Sockets::Streams(socket) => {
            let (running, ended) = mpsc::channel();
            let task = {
                let _within = streams.enter();
                streams::run(
                    tokio::net::TcpListener::from_std(socket)?,
                    listener.protocol,
                    shared.clone(),
                    listener.limits.max_connections,
                    stop.subscribe(),
                    running,
                )
            };
            streams.spawn(task);
            Work::Tasks(ended)
        }
    };
    Ok(Serving { listener, address, stop, work })
}

impl Serving {
    /// The listener, as configured.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// What tells it apart from the others.
    pub fn key(&self) -> Key {
        self.listener.key()
    }

    /// The address that it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells it to stop, and returns at once. It takes the datagrams that wait in its sockets (for at most 1 s); its
    /// streams are closed for writing and read to their end (for at most 2 s).
    pub fn stop(&self) {
        self.stop.tell();
    }

    /// Tells it to stop and returns once it has: its messages are committed, its sockets closed. Blocks.
    pub fn join(self) {
        self.stop.tell();
        match self.work {
            Work::Threads(threads) => threads.into_iter().for_each(|thread| drop(thread.join())),
            // Nothing is ever sent: this returns when the last sender is dropped.
            Work::Tasks(ended) => drop(ended.recv()),
        }
    }
}

fn thread(
    socket: DatagramSocket,
    protocol: Protocol,
    shared: Arc<Shared>,
    stop: Arc<Stop>,
) -> io::Result<JoinHandle<()>> {
    let name = protocol.as_str();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // No message is known to make it panic. Should one, a listener that goes on is better than none.
        while let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            datagrams::run(&socket.socket, protocol, &shared, &stop);
        })) {
            let what = panic.downcast_ref::<&str>().copied().unwrap_or("no message");
            tracing::error!(
                "the {name} listener panicked ({what}); the messages it held are lost; please report it"
            );
        }
    })
}
