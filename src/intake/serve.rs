//! Running listeners: each can be changed and stopped on its own. Who calls this module makes the threads and tasks.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use super::bind::{Bound, DatagramSocket, Sockets};
use super::conversation::Speech;
use super::datagrams::{Datagrams, Tuning};
use super::file_socket::SocketFile;
use super::listener::{Key, Listener, Transport};
use super::shared::Shared;
use super::stop::Stop;
use super::streams::Streams;
use crate::inbound::places::Places;

/// A running listener.
#[derive(Debug)]
pub struct Serving {
    listener: Listener,
    at: Transport,
    /// The file of its socket, until it is told to stop.
    file: Mutex<Option<SocketFile>>,
    stop: Arc<Stop>,
    work: Work,
}

#[derive(Debug)]
enum Work {
    /// The sockets, each with a thread.
    Datagrams(Vec<Socket>),
    /// `ended` is disconnected once the task that accepts and those of all streams have ended.
    Streams {
        places: Arc<Places>,
        /// For how many streams there are descriptors.
        descriptors: usize,
        ended: mpsc::Receiver<()>,
    },
}

#[derive(Debug)]
struct Socket {
    socket: Arc<DatagramSocket>,
    tuning: Arc<Tuning>,
}

/// What a listener needs to have run. It returns when the listener is told to stop. If it returns or panics before, it can
/// be run again.
pub enum Worker {
    /// Blocks: for a thread of its own.
    Thread(Box<dyn FnMut() + Send>),
    /// For a runtime with I/O and time, on which its streams run as well.
    Task(Box<dyn FnMut() -> Task + Send>),
}

/// What a [`Worker::Task`] runs.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a listener of its sockets. Once its workers run, it takes datagrams at once, which wait on disk until there are
/// rules; streams are accepted once there are.
///
/// # Errors
///
/// If the system has no descriptor left.
pub fn serve(bound: Bound, shared: &Arc<Shared>) -> io::Result<(Serving, Vec<Worker>)> {
    let (name, stop) = (bound.to_string(), Arc::new(Stop::new()?));
    let Bound { listener, sockets, at, file } = bound;
    let (protocol, transport) = (listener.protocol, &listener.transport);
    let speech = (Speech::of(protocol, transport), Arc::new(transport.clone()));
    let (work, workers) = match sockets {
        Sockets::Datagrams(sockets) => {
            let (mut all, mut workers) = (Vec::new(), Vec::new());
            for socket in sockets {
                let socket = Arc::new(socket);
                let tuning = Arc::new(Tuning::new(&listener.limits, socket.buffer()));
                let (shared, stop) = (shared.clone(), stop.clone());
                let mut datagrams = Datagrams::new(protocol, socket.clone(), tuning.clone(), shared, stop);
                workers.push(Worker::Thread(Box::new(move || datagrams.run())));
                all.push(Socket { socket, tuning });
            }
            (Work::Datagrams(all), workers)
        }
        Sockets::Streams(socket) => {
            let (socket, (running, ended)) = (Arc::new(socket), mpsc::channel());
            let places = Places::new(listener.limits.places(usize::MAX));
            let (shared, stop, taken) = (shared.clone(), stop.clone(), places.clone());
            let task = move || -> Task {
                let socket = socket.clone();
                let (shared, places) = (shared.clone(), taken.clone());
                let streams =
                    Streams::new(speech.clone(), &name, shared, places, stop.clone(), running.clone());
                Box::pin(async move {
                    match socket.on_runtime() {
                        Ok(socket) => streams.run(socket).await,
                        Err(error) => tracing::error!(%error, "cannot accept streams"),
                    }
                })
            };
            let work = Work::Streams { places, descriptors: usize::MAX, ended };
            (work, vec![Worker::Task(Box::new(task))])
        }
    };
    Ok((Serving { listener, at, file: Mutex::new(file), stop, work }, workers))
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

    /// What it is bound to, with the port that the kernel chose if the configuration has port 0.
    pub fn at(&self) -> &Transport {
        &self.at
    }

    /// Gives it the limits of another configuration, without a pause. Returns the keys that take effect only when the
    /// listener is bound anew.
    ///
    /// `other` must have the same key.
    pub fn adjust(&mut self, other: &Listener) -> Vec<&'static str> {
        let (before, limits) = (self.listener.limits, other.limits);
        self.listener = other.clone();
        if limits.file != before.file
            && let Some(Err(error)) = self.file().as_ref().map(|file| file.set_access(&limits.file))
        {
            tracing::error!(%error, "cannot change the mode or the owner of {}", self.at);
        }
        match &self.work {
            Work::Datagrams(sockets) => {
                for Socket { socket, tuning } in sockets {
                    if limits.receive_buffer != before.receive_buffer {
                        socket.set_buffer(limits.receive_buffer);
                    }
                    tuning.set(&limits, socket.buffer());
                }
                // The number of sockets stays what it is.
                self.listener.limits.receivers = before.receivers;
                if limits.receivers == before.receivers { Vec::new() } else { vec!["receivers"] }
            }
            Work::Streams { places, descriptors, .. } => {
                places.set(limits.places(*descriptors));
                Vec::new()
            }
        }
    }

    /// How many streams it may have by its configuration; none if it is for datagrams.
    pub fn wanted_streams(&self) -> Option<usize> {
        matches!(self.work, Work::Streams { .. }).then_some(self.listener.limits.max_connections)
    }

    /// How many sockets it has.
    pub fn sockets(&self) -> usize {
        match &self.work {
            Work::Datagrams(sockets) => sockets.len(),
            Work::Streams { .. } => 1,
        }
    }

    /// There are descriptors for so many streams of it.
    pub fn set_descriptors(&mut self, count: usize) {
        if let Work::Streams { places, descriptors, .. } = &mut self.work {
            *descriptors = count;
            places.set(self.listener.limits.places(count));
        }
    }

    /// Tells it to stop, and returns at once. It takes the datagrams that wait in its sockets (for at most 1 s); its streams
    /// are closed for writing and read to their end (for at most 2 s).
    pub fn stop(&self) {
        // Before the sockets are read empty: whoever comes now finds nobody, and can keep what it has.
        drop(self.file().take());
        self.stop.tell();
    }

    fn file(&self) -> MutexGuard<'_, Option<SocketFile>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it to stop and returns once its streams have ended: their messages are committed. Blocks. The workers end by
    /// themselves.
    pub fn join(self) {
        self.stop();
        if let Work::Streams { ended, .. } = self.work {
            // Nothing is ever sent: this returns when the last sender is dropped.
            #[expect(
                clippy::disallowed_methods,
                reason = "it blocks a thread of a reload or a stop, as it says"
            )]
            let _ = ended.recv();
        }
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
