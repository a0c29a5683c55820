//! TCP listeners, for syslog and for SNMP (RFC 3430): a task a stream, bounded in number and in what each may hold.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::intake::listener::Protocol;
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::Shared;
use crate::snmp::framing::{FrameError, Framer as MessageFramer};
use crate::sys::Arrival;
use crate::syslog::Framer as LineFramer;
use crate::time::log_limit::Kind;

/// How long a stream may be silent before it is closed.
const IDLE: Duration = Duration::from_hours(24);
/// How long the far end may take to take its answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before the journal is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// How much is read at a time, in bytes.
const CHUNK: usize = 64 * 1024;

/// Accepts streams until told to stop; `most` at once.
pub(super) async fn run(
    listener: TcpListener,
    protocol: Protocol,
    shared: Arc<Shared>,
    most: usize,
    mut stop: watch::Receiver<bool>,
    running: mpsc::Sender<()>,
) {
    let mut opened = shared.opened();
    tokio::select! {
        _ = opened.wait_for(|open| *open) => {}
        _ = stop.changed() => return,
    }
    let places = Arc::new(Semaphore::new(most));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, mostly: waiting is all that helps.
                tracing::warn!(%error, "cannot accept a stream; trying again");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        if shared.refusing() {
            // Whoever comes now would only wait; senders keep what they have and come again.
            shared.stats.streams_refused.add(1);
            drop(stream);
            tokio::time::sleep(RETRY).await;
            continue;
        }
        let Ok(place) = places.clone().try_acquire_owned() else {
            shared.stats.streams_refused.add(1);
            if let Some(left_out) = shared.limiter.allow(Kind::Stream, shared.now().wall.micros()) {
                let section = protocol.as_str().to_lowercase();
                tracing::warn!(from = %peer, left_out, "a stream was turned away: {most} are open; raise [{section}] max_connections");
            }
            continue;
        };
        let intake = Intake { peer, pipeline: Pipeline::new(shared.clone()), shared: shared.clone() };
        let (stop, running) = (stop.clone(), running.clone());
        tokio::spawn(async move {
            match protocol {
                Protocol::Snmp => intake.messages(stream, stop).await,
                Protocol::Syslog => intake.lines(stream, stop).await,
            }
            drop((place, running));
        });
    }
}

/// What was read, until the stream ends, is silent for too long, or the daemon stops.
async fn read(stream: &mut TcpStream, chunk: &mut [u8], stop: &mut watch::Receiver<bool>) -> Option<usize> {
    let read = tokio::select! {
        read = tokio::time::timeout(IDLE, stream.read(chunk)) => read,
        _ = stop.changed() => return None,
    };
    read.ok()?.ok().filter(|count| *count > 0)
}

/// One stream's way into the journal.
struct Intake {
    peer: SocketAddr,
    pipeline: Pipeline,
    shared: Arc<Shared>,
}

impl Intake {
    async fn lines(mut self, mut stream: TcpStream, mut stop: watch::Receiver<bool>) {
        let mut framer = LineFramer::default();
        let mut chunk = vec![0; CHUNK];
        let mut oversized = 0;
        while let Some(count) = read(&mut stream, &mut chunk, &mut stop).await {
            framer.push(&chunk[..count]);
            let received = self.shared.now().wall.micros();
            self.pipeline.refresh();
            while let Some(line) = framer.next_message() {
                self.pipeline.line(line, self.peer, received);
            }
            drop(self.pipeline.commit());
            if self.pipeline.has_kept() {
                break;
            }
            if framer.oversized() > oversized {
                self.shared.stats.oversized.add(framer.oversized() - oversized);
                oversized = framer.oversized();
                if let Some(left_out) = self.shared.limiter.allow(Kind::Stream, received) {
                    tracing::warn!(from = %self.peer, left_out, "a message of more than 64 KiB was cut");
                }
            }
        }
        drop(stream);
        if let Some(line) = framer.finish() {
            let received = self.shared.now().wall.micros();
            self.pipeline.line(line, self.peer, received);
        }
        self.finish(stop).await;
    }

    async fn messages(mut self, mut stream: TcpStream, mut stop: watch::Receiver<bool>) {
        let mut framer = MessageFramer::default();
        let mut chunk = vec![0; CHUNK];
        while let Some(count) = read(&mut stream, &mut chunk, &mut stop).await {
            framer.push(&chunk[..count]);
            let (answers, broken) = self.take(&mut framer);
            let sent = tokio::time::timeout(PATIENCE, stream.write_all(&answers)).await;
            if broken || self.pipeline.has_kept() || !matches!(sent, Ok(Ok(()))) {
                break;
            }
        }
        drop(stream);
        self.finish(stop).await;
    }

    /// With the stream closed, so that its sender keeps what follows: what the journal has not taken yet is tried
    /// again until it does.
    async fn finish(mut self, mut stop: watch::Receiver<bool>) {
        drop(self.pipeline.commit());
        if !self.pipeline.has_kept() {
            return;
        }
        self.shared.stats.streams_refused.add(1);
        while self.pipeline.has_kept() && !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                _ = stop.changed() => {}
            }
            drop(self.pipeline.commit());
        }
    }

    /// Takes all whole messages. Gives the answers, and whether the stream cannot be read on.
    fn take(&mut self, framer: &mut MessageFramer) -> (Vec<u8>, bool) {
        let received = self.shared.now().wall.micros();
        self.pipeline.refresh();
        let arrival = Arrival { peer: self.peer, local: None };
        let end = loop {
            match framer.next_message() {
                Ok(Some(message)) => self.pipeline.packet(message, arrival, received),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = end {
            self.broken(error, received);
        }
        let answers = self.pipeline.commit().flat_map(|(answer, _)| answer).collect();
        (answers, end.is_some())
    }

    fn broken(&self, error: FrameError, received: i64) {
        self.shared.stats.streams_broken.add(1);
        if let Some(left_out) = self.shared.limiter.allow(Kind::Stream, received) {
            tracing::warn!(from = %self.peer, left_out, "a stream of SNMP was closed: {error}; is it SNMP that comes to this port?");
        }
    }
}
