//! Running listeners: each can be changed and stopped on its own.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::runtime::Handle;

use super::bind::{Bound, DatagramSocket, Sockets};
use super::datagrams::{Datagrams, Tuning};
use super::listener::{Key, Listener};
use super::shared::Shared;
use super::stop::Stop;
use super::streams::{Capacity, Streams};

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
    /// A thread per socket.
    Datagrams(Vec<Thread>),
    /// `ended` is disconnected once the task that accepts and those of all streams have ended.
    Streams { capacity: Arc<Capacity>, ended: mpsc::Receiver<()> },
}

#[derive(Debug)]
struct Thread {
    socket: Arc<DatagramSocket>,
    tuning: Arc<Tuning>,
    thread: JoinHandle<()>,
}

/// Starts a listener. Datagrams are taken at once, and wait on disk until there are rules; streams are accepted once there
/// are. `runtime` is what streams run on; it must have its I/O and time drivers.
///
/// # Errors
///
/// If the system has no thread or descriptor left.
pub fn serve(bound: Bound, shared: &Arc<Shared>, runtime: &Handle) -> io::Result<Serving> {
    let (address, stop) = (bound.address(), Arc::new(Stop::new()?));
    let Bound { listener, sockets, .. } = bound;
    let work = match sockets {
        Sockets::Datagrams(sockets) => {
            let mut threads = Vec::new();
            for socket in sockets {
                match start(&listener, socket, shared, &stop) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        stop.tell();
                        return Err(error);
                    }
                }
            }
            Work::Datagrams(threads)
        }
        Sockets::Streams(socket) => {
            let (running, ended) = mpsc::channel();
            let capacity = Arc::new(Capacity::new(listener.limits.max_connections));
            let within = runtime.enter();
            let socket = tokio::net::TcpListener::from_std(socket)?;
            drop(within);
            let streams =
                Streams::new(listener.protocol, shared.clone(), capacity.clone(), stop.clone(), running);
            runtime.spawn(streams.run(socket));
            Work::Streams { capacity, ended }
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

    /// Gives it the limits of another configuration, without a pause. Returns the keys that take effect only when the
    /// listener is bound anew.
    ///
    /// `other` must have the same key.
    pub fn adjust(&mut self, other: &Listener) -> Vec<&'static str> {
        let (before, limits) = (self.listener.limits, other.limits);
        self.listener = other.clone();
        match &self.work {
            Work::Datagrams(threads) => {
                for Thread { socket, tuning, .. } in threads {
                    if limits.receive_buffer != before.receive_buffer {
                        socket.set_buffer(limits.receive_buffer);
                    }
                    tuning.set(&limits, socket.buffer());
                }
                // The number of sockets stays what it is.
                self.listener.limits.receivers = before.receivers;
                if limits.receivers == before.receivers { Vec::new() } else { vec!["receivers"] }
            }
            Work::Streams { capacity, .. } => {
                capacity.set(limits.max_connections);
                Vec::new()
            }
        }
    }

    /// Tells it to stop, and returns at once. It takes the datagrams that wait in its sockets (for at most 1 s); its streams
    /// are closed for writing and read to their end (for at most 2 s).
    pub fn stop(&self) {
        self.stop.tell();
    }

    /// Tells it to stop and returns once it has: its messages are committed, its sockets closed. Blocks.
    pub fn join(self) {
        self.stop.tell();
        match self.work {
            Work::Datagrams(threads) => threads.into_iter().for_each(|one| drop(one.thread.join())),
            // Nothing is ever sent: this returns when the last sender is dropped.
            Work::Streams { ended, .. } => drop(ended.recv()),
        }
    }
}

fn start(
    listener: &Listener,
    socket: DatagramSocket,
    shared: &Arc<Shared>,
    stop: &Arc<Stop>,
) -> io::Result<Thread> {
    let name = listener.protocol.as_str();
    let socket = Arc::new(socket);
    let tuning = Arc::new(Tuning::new(&listener.limits, socket.buffer()));
    let mut datagrams =
        Datagrams::new(listener.protocol, socket.clone(), tuning.clone(), shared.clone(), stop.clone());
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // No message is known to make it panic. Should one, a listener that goes on is better than none.
        while let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| datagrams.run())) {
            let what = panic.downcast_ref::<&str>().copied().unwrap_or("no message");
            tracing::error!(
                "the {name} listener panicked ({what}); the messages it held are lost; please report it"
            );
        }
    })?;
    Ok(Thread { socket, tuning, thread })
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
