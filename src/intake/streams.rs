//! Stream listeners: a task per stream, bounded in number and in what each may hold.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::intake::commit::RETRY;
use crate::intake::conversation::{Conversation, Frame};
use crate::intake::listener::Protocol;
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::Shared;
use crate::intake::stop::Stop;
use crate::snmp;
use crate::sys::Arrival;
use crate::syslog;
use crate::time::log_limit::Kind;

/// How long a stream may be silent before it is closed.
const IDLE: Duration = Duration::from_hours(24);
/// How long a sender may take to read its answers.
const WRITE: Duration = Duration::from_secs(10);
/// How long a stream is read after its listener was told to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// How many octets are read at a time.
const CHUNK: usize = 64 * 1024;

/// How many streams a listener has, and how many it may have.
#[derive(Debug)]
pub(super) struct Capacity {
    open: AtomicUsize,
    max: AtomicUsize,
}

impl Capacity {
    /// Space for this many streams.
    pub(super) fn new(max: usize) -> Self {
        Capacity { open: AtomicUsize::new(0), max: AtomicUsize::new(max) }
    }

    /// Changes how many there may be. Streams that are open stay open.
    pub(super) fn set(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Takes one more stream; none if there are enough.
    fn take(self: &Arc<Self>) -> Option<Place> {
        let max = self.max.load(Ordering::Relaxed);
        // Only the task that accepts takes places, so the count cannot rise in between.
        (self.open.load(Ordering::Relaxed) < max).then(|| {
            self.open.fetch_add(1, Ordering::Relaxed);
            Place(self.clone())
        })
    }
}

/// The place of one stream, free again when dropped.
struct Place(Arc<Capacity>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A listener for streams.
pub(super) struct Streams {
    protocol: Protocol,
    shared: Arc<Shared>,
    capacity: Arc<Capacity>,
    stop: Arc<Stop>,
    /// Held by every task of the listener, so that its receiver knows when all have ended.
    running: mpsc::Sender<()>,
}

impl Streams {
    /// Accepts streams of a protocol.
    pub(super) fn new(
        protocol: Protocol,
        shared: Arc<Shared>,
        capacity: Arc<Capacity>,
        stop: Arc<Stop>,
        running: mpsc::Sender<()>,
    ) -> Self {
        Streams { protocol, shared, capacity, stop, running }
    }

    /// Accepts until told to stop, once there are rules.
    pub(super) async fn run(self, listener: TcpListener) {
        let (mut stop, mut opened) = (self.stop.subscribe(), self.shared.opened());
        tokio::select! {
            _ = opened.wait_for(|open| *open) => {}
            () = told(&mut stop) => return,
        }
        loop {
            let pause = match tokio::select! {
                accepted = listener.accept() => accepted,
                () = told(&mut stop) => return,
            } {
                Ok((stream, peer)) => {
                    self.start(stream, peer);
                    // While the journal refuses, further streams wait in the backlog.
                    self.shared.refusing()
                }
                Err(error) => {
                    // Out of descriptors, mostly: only waiting helps.
                    if let Some(suppressed) = self.allow(Kind::Socket) {
                        tracing::warn!(suppressed, %error, "cannot accept a stream; trying again");
                    }
                    true
                }
            };
            if pause {
                tokio::select! {
                    () = sleep(RETRY) => {}
                    () = told(&mut stop) => return,
                }
            }
        }
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(place) = self.capacity.take() else {
            self.shared.stats.streams_refused.add(1);
            if let Some(suppressed) = self.allow(Kind::Stream) {
                let (section, max) = (self.protocol.section(), self.capacity.max.load(Ordering::Relaxed));
                tracing::warn!(
                    from = %peer, suppressed,
                    "a stream was refused: {max} are open; raise {section} max_connections"
                );
            }
            return;
        };
        let stream = take(self.protocol, stream, peer, self.shared.clone(), self.stop.subscribe());
        let running = self.running.clone();
        tokio::spawn(async move {
            stream.await;
            drop((place, running));
        });
    }

    fn allow(&self, kind: Kind) -> Option<Option<u64>> {
        self.shared.limiter.allow(kind, self.shared.now().mono)
    }
}

/// Returns once the listener is told to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    // The sender is gone only when its listener is.
    let _ = stop.wait_for(|told| *told).await;
}

/// Takes all messages of a stream, until it ends or `stop` turns true.
pub async fn take(
    protocol: Protocol,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let pipeline = Pipeline::of_stream(shared.clone());
    let stream = Stream { protocol, peer, stream, pipeline, shared, stop };
    match protocol {
        Protocol::Snmp => stream.run(snmp::framing::Framer::default()).await,
        Protocol::Syslog => stream.run(syslog::Framer::default()).await,
    }
}

/// One stream.
struct Stream<S> {
    protocol: Protocol,
    peer: SocketAddr,
    stream: S,
    pipeline: Pipeline,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its sender has closed it.
    Closed,
    /// It broke, was silent for too long, or its messages cannot be told apart.
    Lost,
    /// The listener was told to stop.
    Stopped,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Reads the stream to its end.
    async fn run(mut self, mut conversation: impl Conversation) {
        let mut chunk = vec![0; CHUNK];
        let mut end = self.read(&mut conversation, &mut chunk).await;
        if end == End::Stopped {
            end = self.drain(&mut conversation, &mut chunk).await;
        }
        match conversation.end() {
            Some(Frame::Message(octets)) if end == End::Closed => {
                let now = self.shared.now();
                self.pipeline.message(self.protocol, octets, self.arrival(), now);
            }
            // Half a message is none.
            Some(_) => self.shared.stats.unfinished.add(1),
            None => {}
        }
        self.commit().await;
    }

    /// Reads and answers, until the stream ends or the listener is told to stop.
    async fn read(&mut self, conversation: &mut impl Conversation, chunk: &mut [u8]) -> End {
        loop {
            // A sender is held back while the journal refuses what others send.
            while self.shared.refusing() {
                tokio::select! {
                    biased;
                    () = told(&mut self.stop) => return End::Stopped,
                    () = sleep(RETRY) => {}
                }
                self.shared.commit.retry(self.shared.now());
            }
            let read = tokio::select! {
                biased;
                () = told(&mut self.stop) => return End::Stopped,
                read = timeout(IDLE, self.stream.read(chunk)) => read,
            };
            let count = match read {
                Ok(Ok(0)) => return End::Closed,
                Ok(Ok(count)) => count,
                Ok(Err(_)) | Err(_) => return End::Lost,
            };
            conversation.push(&chunk[..count]);
            if let Err(end) = self.take(conversation, true).await {
                return end;
            }
        }
    }

    /// Takes what has arrived already and answers it; then tells the sender that nothing more is read, and takes what it
    /// had sent until it knew.
    async fn drain(&mut self, conversation: &mut impl Conversation, chunk: &mut [u8]) -> End {
        let until = Instant::now() + DRAIN;
        let mut answers = true;
        loop {
            let read = if answers {
                // As much as is there, whatever the task has done before its turn ends.
                let ready = tokio::task::unconstrained(self.stream.read(chunk)).now_or_never();
                match ready {
                    None => {
                        answers = false;
                        if self.stream.shutdown().await.is_err() {
                            return End::Lost;
                        }
                        continue;
                    }
                    Some(read) => read,
                }
            } else {
                match timeout_at(until, self.stream.read(chunk)).await {
                    Ok(read) => read,
                    Err(_) => return End::Stopped,
                }
            };
            let count = match read {
                Ok(0) => return End::Closed,
                Ok(count) if Instant::now() < until => count,
                Ok(_) => return End::Stopped,
                Err(_) => return End::Lost,
            };
            conversation.push(&chunk[..count]);
            if let Err(end) = self.take(conversation, answers).await {
                return end;
            }
        }
    }

    /// Takes all whole messages that have been read, commits them, and sends their answers. While the journal refuses them
    /// it waits, and with it the stream.
    async fn take(&mut self, conversation: &mut impl Conversation, answers: bool) -> Result<(), End> {
        loop {
            let broken = self.give(conversation);
            let now = self.shared.now();
            let (mut out, mut informs) = (Vec::new(), 0);
            let mut committed = self.pipeline.commit(now).map(|answer| {
                informs += u64::from(answer.inform);
                answer.octets
            });
            conversation.answer(&mut committed, &mut out);
            drop(committed);
            let sent = answers
                && (out.is_empty()
                    || matches!(timeout(WRITE, self.stream.write_all(&out)).await, Ok(Ok(()))));
            let stats = &self.shared.stats;
            if sent { &stats.informs_answered } else { &stats.informs_unanswered }.add(informs);
            if broken || (answers && !sent) {
                return Err(End::Lost);
            }
            if !self.pipeline.holds() {
                return Ok(());
            }
            if *self.stop.borrow() {
                return Err(End::Stopped);
            }
            tokio::select! {
                biased;
                () = told(&mut self.stop) => {}
                () = sleep(RETRY) => {}
            }
        }
    }

    /// Gives whole messages to the pipeline for as long as it takes them. True if the stream is broken.
    fn give(&mut self, conversation: &mut impl Conversation) -> bool {
        let (now, arrival) = (self.shared.now(), self.arrival());
        self.pipeline.refresh();
        while !self.pipeline.holds() {
            let Some(frame) = conversation.next() else { break };
            match frame {
                Frame::Message(octets) => self.pipeline.message(self.protocol, octets, arrival, now),
                Frame::Cut(octets) => {
                    self.shared.stats.oversized.add(1);
                    if let Some(suppressed) = self.shared.limiter.allow(Kind::Oversized, now.mono) {
                        tracing::warn!(from = %self.peer, suppressed, "a message of more than 64 KiB was cut");
                    }
                    self.pipeline.message(self.protocol, octets, arrival, now);
                }
                Frame::Unfinished => {}
                Frame::Broken(error) => {
                    let protocol = self.protocol.as_str();
                    self.shared.stats.streams_broken.add(1);
                    if let Some(suppressed) = self.shared.limiter.allow(Kind::Framing, now.mono) {
                        tracing::warn!(
                            from = %self.peer, suppressed,
                            "a stream was closed because its messages cannot be told apart: {error}; check that its sender speaks {protocol}"
                        );
                    }
                    return true;
                }
            }
        }
        false
    }

    /// Commits what is left, without answers, trying again until it is in the journal or the listener is told to stop.
    async fn commit(&mut self) {
        loop {
            let unanswered = self.pipeline.commit(self.shared.now()).filter(|answer| answer.inform).count();
            self.shared.stats.informs_unanswered.add(unanswered as u64);
            if !self.pipeline.holds() || *self.stop.borrow() {
                return;
            }
            tokio::select! {
                biased;
                () = told(&mut self.stop) => {}
                () = sleep(RETRY) => {}
            }
        }
    }

    fn arrival(&self) -> Arrival {
        Arrival { peer: self.peer, local: None }
    }
}
