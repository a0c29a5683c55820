//! Stream listeners: a task per stream, bounded in number, by address, and in what each may hold.

use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::inbound::accept::{Acceptor, Listen, Next};
use crate::inbound::places::{Group, Place, Places, Taken};
use crate::intake::commit::RETRY;
use crate::intake::conversation::{Conversation, Frame, Speech};
use crate::intake::http::connection::{self, Door};
use crate::intake::incoming::{Accepted, Incoming};
use crate::intake::listener::{Protocol, Transport};
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::Shared;
use crate::intake::stop::{Stop, told, told_for};
use crate::intake::storm_buckets::Tap;
use crate::intake::stream_end::{End, Given};
use crate::intake::tls;
use crate::net;
use crate::peer::Peer;
use crate::settings::tls_server::Identity;
use crate::snmp;
use crate::sys::Arrival;
use crate::syslog;
use crate::time::log_limit::Kind;

/// How long a stream may take to bring its first octet.
const FIRST: Duration = Duration::from_secs(30);
/// How long a stream of SNMP may be silent after that; of syslog the configuration says it.
const IDLE: Duration = Duration::from_hours(24);
/// How long a message waits for what follows it, where only that says how long it is.
const QUIET: Duration = Duration::from_secs(2);
/// How long a sender may take to read its answers.
const WRITE: Duration = Duration::from_secs(10);
/// How long the end of a stream may take that its sender does not read.
const FAREWELL: Duration = Duration::from_millis(200);
/// How long a stream is read after its listener was told to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// For how long at most what has arrived is read where nothing is waited for.
const AT_HAND: Duration = Duration::from_millis(200);
/// How many octets are read at a time.
const CHUNK: usize = 64 * 1024;

/// A listener for streams.
pub(super) struct Streams {
    speech: Speech,
    /// What its listener listens on.
    at: Arc<Transport>,
    shared: Arc<Shared>,
    places: Arc<Places>,
    acceptor: Acceptor,
    stop: Arc<Stop>,
    /// Held by every task of the listener, so that its receiver knows when all have ended.
    running: mpsc::Sender<()>,
}

impl Streams {
    /// Accepts streams on which this is spoken, over TLS or not; `name` is that of the listener.
    pub(super) fn new(
        (speech, at): (Speech, Arc<Transport>),
        name: &str,
        shared: Arc<Shared>,
        places: Arc<Places>,
        stop: Arc<Stop>,
        running: mpsc::Sender<()>,
    ) -> Self {
        let acceptor = Acceptor::new(name, shared.accepted.clone(), shared.clock());
        Streams { speech, at, shared, places, acceptor, stop, running }
    }

    /// Accepts until told to stop, once there are rules.
    pub(super) async fn run(self, listener: Incoming) {
        let (mut stop, mut opened) = (self.stop.subscribe(), self.shared.opened());
        tokio::select! {
            _ = opened.wait_for(|open| *open) => {}
            () = told(&mut stop) => return,
        }
        let listener = HeldBack { listener, speech: self.speech, shared: self.shared.clone() };
        let start = |stream, peer| {
            self.start(stream, peer);
            Next::Go
        };
        self.acceptor.run(&listener, told(&mut stop), start).await;
    }

    fn start(&self, stream: Accepted, peer: Peer) {
        let Taken { place, displaced } = match self.places.take(peer, self.shared.now().mono) {
            Ok(taken) => taken,
            Err(refusal) => {
                self.shared.stats.streams_refused.add(1);
                let section = self.speech.protocol().section();
                let keys = "max_connections or max_connections_per_address";
                return self.acceptor.refused(peer, &format!("{refusal}; raise {section} {keys}"));
            }
        };
        if let Some((group, silent)) = displaced {
            self.shared.stats.streams_displaced.add(1);
            let (now, section) = (self.shared.now().mono, self.speech.protocol().section());
            if let Some(suppressed) = self.shared.limiter.allow_for(Kind::Stream, section, now) {
                tracing::warn!(
                    from = %group, suppressed,
                    "a stream that was silent for {} s was closed to make space for one of {}; raise {} max_connections",
                    silent.as_secs(), Group::from(peer), section
                );
            }
        }
        let arrived = Arrived {
            speech: self.speech,
            at: self.at.clone(),
            peer,
            identity: None,
            heard: false,
            shared: self.shared.clone(),
            stop: self.stop.subscribe(),
            place: Some(place),
        };
        let (stream, secure, running) = (stream.into_stream(), self.at.is_tls(), self.running.clone());
        tokio::spawn(async move {
            if secure {
                arrived.secure(stream).await;
            } else {
                arrived.take(stream).await;
            }
            drop(running);
        });
    }
}

/// A listener that accepts nothing while the journal refuses outcomes: streams wait in the backlog, with what they bring. Who waits for
/// an answer to each request is told to come again later.
struct HeldBack {
    listener: Incoming,
    speech: Speech,
    shared: Arc<Shared>,
}

impl Listen for HeldBack {
    type Stream = Accepted;

    async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        while self.speech.holds_back() && self.shared.refusing() {
            sleep(RETRY).await;
            self.shared.commit.retry(self.shared.now());
        }
        Listen::accept(&self.listener).await
    }
}

/// Returns once a stream is to end, and why.
async fn ends(stop: &mut watch::Receiver<bool>, displaced: Option<&mut watch::Receiver<bool>>) -> End {
    let displaced = async {
        match displaced {
            Some(displaced) => drop(displaced.wait_for(|displaced| *displaced).await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = told(stop) => End::Stopped,
        () = displaced => End::Displaced,
    }
}

/// Takes all messages of a stream, until it ends or `stop` turns true.
pub async fn take(
    protocol: Protocol,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: impl Into<Peer>,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let speech = match protocol {
        Protocol::Snmp => Speech::Snmp,
        Protocol::Syslog => Speech::Syslog,
        Protocol::Http => Speech::Http,
    };
    let (at, peer) = (Arc::new(Transport::Unix(Path::new("").into())), peer.into());
    Arrived { speech, at, peer, identity: None, heard: false, shared, stop, place: None }.take(stream).await;
}

/// A stream that has come in.
struct Arrived {
    speech: Speech,
    at: Arc<Transport>,
    peer: Peer,
    /// Who is at its other end, where a certificate says so.
    identity: Option<Arc<Identity>>,
    /// Whether it has brought anything.
    heard: bool,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    /// It has this until its end.
    place: Option<Place>,
}

impl Arrived {
    /// Begins TLS and takes all messages, with the certificates that are in force now.
    async fn secure(mut self, stream: Box<dyn net::Stream>) {
        // The configuration has no listener for TLS without it; one that has ended may outlive it.
        let active = self.shared.active();
        let site = active.http.of(&self.at);
        let Some(server) = site.map_or(&active.tls, |site| &site.tls).clone() else { return };
        let mut displaced = self.place.as_ref().map(Place::displaced);
        let begun = tokio::select! {
            biased;
            _ = ends(&mut self.stop, displaced.as_mut()) => return,
            begun = tls::begin(&server, stream) => begun,
        };
        match begun {
            Ok((stream, identity)) => {
                (self.identity, self.heard) = (identity, true);
                self.take(stream).await;
            }
            Err(failure) => {
                self.shared.stats.tls_failed.add(1);
                let (now, why) = (self.shared.now().mono, failure.to_string());
                if let Some(suppressed) = self.shared.limiter.allow_for(Kind::Tls, ("stream", why), now) {
                    tracing::warn!(from = %self.peer, suppressed, "a stream was closed, as TLS did not begin: {failure}");
                }
            }
        }
    }

    /// Takes all its messages.
    async fn take(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Arrived { speech, at, peer, identity, heard, shared, stop, place } = self;
        if speech == Speech::Http {
            return connection::serve(stream, Door { at, peer, identity, shared, stop, place }).await;
        }
        let pipeline = Pipeline::of_stream(shared.clone(), identity);
        let displaced = place.as_ref().map(Place::displaced);
        let most = pipeline.active().lines.max_message;
        let stream = Stream {
            speech,
            peer,
            stream,
            pipeline,
            shared,
            stop,
            displaced,
            place,
            heard,
            given: 0,
            sent: Tap::default(),
        };
        match speech {
            Speech::Snmp => stream.run(snmp::framing::Framer::default()).await,
            Speech::Syslog | Speech::Http => stream.run(syslog::Framer::new(most)).await,
            Speech::Relp => stream.run(syslog::relp_server::Session::new(most)).await,
        }
    }
}

/// One stream.
struct Stream<S> {
    speech: Speech,
    peer: Peer,
    stream: S,
    pipeline: Pipeline,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    displaced: Option<watch::Receiver<bool>>,
    place: Option<Place>,
    /// Whether it has brought anything.
    heard: bool,
    /// How many messages were given to the pipeline since that was looked at last.
    given: u64,
    /// How much it may send.
    sent: Tap,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Reads the stream to its end.
    async fn run<C: Conversation>(mut self, mut conversation: C) {
        let mut chunk = vec![0; CHUNK];
        let mut end = self.read(&mut conversation, &mut chunk).await;
        // What a sender has begun long ago it does not send again.
        let silent = matches!(end, End::Displaced | End::Silent);
        match end {
            // What cannot be kept is not read: in the kernel it is the sender's, which sees that the connection broke.
            End::Stopped if self.pipeline.holds() || self.shared.refusing() => {}
            End::Stopped => end = self.drain(&mut conversation, &mut chunk, DRAIN).await,
            // What has arrived is taken; nothing is awaited, as the place is needed.
            End::Displaced | End::Silent => {
                end = self.drain(&mut conversation, &mut chunk, Duration::ZERO).await;
            }
            End::Closed | End::Lost => {}
        }
        if end != End::Closed && conversation.waits() {
            // Nothing follows any more that could tell what it is.
            conversation.quiet();
            let _ = self.take(&mut conversation, false).await;
        }
        if end == End::Closed || (silent && end == End::Stopped) {
            while let Some(frame) = conversation.end() {
                let (now, protocol) = (self.shared.now(), self.speech.protocol());
                match frame {
                    Frame::Message(octets) if end == End::Closed => {
                        self.pipeline.message(protocol, octets, self.arrival(), now);
                    }
                    Frame::Message(octets) | Frame::Cut(octets) => {
                        self.shared.stats.unfinished.add(1);
                        self.pipeline.beginning(protocol, octets, self.arrival(), now);
                    }
                    Frame::Unfinished | Frame::Broken { .. } | Frame::Closed => {
                        self.shared.stats.unfinished.add(1);
                        break;
                    }
                }
                if self.pipeline.holds() {
                    self.commit().await;
                }
            }
        } else {
            // Half a message is none.
            self.shared.stats.unfinished.add(u64::from(conversation.end().is_some()));
        }
        self.shared.stats.framing_lost.add(conversation.lost());
        self.commit().await;
        self.count_left(&mut conversation);
        // TLS has a word for the end (RFC 8446, section 6.1): without it a sender cannot tell that nobody has cut it off.
        let _ = timeout(FAREWELL, self.stream.shutdown()).await;
    }

    /// Counts messages that were read, and that the journal has no room for at the end: at most what was read at once.
    fn count_left<C: Conversation>(&self, conversation: &mut C) {
        // A sender that waits for an answer sends them again.
        if C::ACKNOWLEDGES || !self.pipeline.holds() {
            return;
        }
        let mut left = 0;
        while matches!(conversation.next(), Some(Frame::Message(_) | Frame::Cut(_))) {
            left += 1;
        }
        self.shared.left(self.peer, left);
    }

    /// Reads and answers, until the stream ends or the listener is told to stop.
    async fn read(&mut self, conversation: &mut impl Conversation, chunk: &mut [u8]) -> End {
        loop {
            // A sender is held back while the journal refuses what others send.
            while self.shared.refusing() {
                tokio::select! {
                    biased;
                    end = ends(&mut self.stop, self.displaced.as_mut()) => return end,
                    () = sleep(RETRY) => {}
                }
                self.shared.commit.retry(self.shared.now());
            }
            let waits = conversation.waits();
            let patience = match (waits, self.heard) {
                (true, _) => QUIET,
                (false, true) => self.idle(),
                (false, false) => FIRST,
            };
            let read = tokio::select! {
                biased;
                end = ends(&mut self.stop, self.displaced.as_mut()) => return end,
                read = timeout(patience, self.stream.read(chunk)) => read,
            };
            let count = match read {
                Ok(Ok(0)) => return End::Closed,
                Ok(Ok(count)) => count,
                // TLS that ends without a word (RFC 8446, section 6.1): many senders just close.
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return End::Closed,
                Ok(Err(_)) => return End::Lost,
                Err(_) if waits => {
                    conversation.quiet();
                    if let Err(end) = self.take(conversation, true).await {
                        return end;
                    }
                    continue;
                }
                Err(_) => {
                    self.shared.stats.streams_silent.add(1);
                    return End::Silent;
                }
            };
            self.heard = true;
            if let Some(place) = &self.place {
                place.heard(self.shared.now().mono);
            }
            conversation.push(&chunk[..count]);
            if let Err(end) = self.take(conversation, true).await {
                return end;
            }
            let pause = self.over_the_limit();
            if !pause.is_zero() {
                self.shared.stats.streams_held_back.add(1);
                tokio::select! {
                    biased;
                    end = ends(&mut self.stop, self.displaced.as_mut()) => return end,
                    () = sleep(pause) => {}
                }
            }
        }
    }

    /// How long its sender has to wait, as it has sent more than `[storm]` lets it.
    fn over_the_limit(&mut self) -> Duration {
        let given = std::mem::take(&mut self.given);
        let storm = self.pipeline.active().storm.as_ref().filter(|_| !self.peer.is_local());
        self.sent.pause(storm, given, self.peer.ip(), self.shared.now().mono)
    }

    /// Takes what has arrived already and answers it; then tells the sender that nothing more is read, and takes what it
    /// had sent until it knew, for so long at most.
    async fn drain(&mut self, conversation: &mut impl Conversation, chunk: &mut [u8], most: Duration) -> End {
        let begun = Instant::now();
        // Who sends as fast as this reads is told all the same.
        let (told_by, until) = (begun + (most / 2).max(AT_HAND), begun + most);
        let (mut answers, mut takes) = (true, true);
        loop {
            let read = if answers {
                // As much as is there, whatever the task has done before its turn ends.
                let ready = if Instant::now() < told_by {
                    tokio::task::unconstrained(self.stream.read(chunk)).now_or_never()
                } else {
                    None
                };
                match ready {
                    None => {
                        answers = false;
                        let goodbye = conversation.goodbye();
                        let told = async {
                            self.stream.write_all(goodbye.unwrap_or_default()).await?;
                            self.stream.flush().await?;
                            self.stream.shutdown().await
                        };
                        if !matches!(timeout(most.max(FAREWELL), told).await, Ok(Ok(()))) {
                            return End::Lost;
                        }
                        takes = goodbye.is_none();
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
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return End::Closed,
                Ok(count) if answers || Instant::now() < until => count,
                Ok(_) => return End::Stopped,
                Err(_) => return End::Lost,
            };
            // What comes after the farewell is read only so that the sender gets to see it.
            if !takes {
                continue;
            }
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
            let given = self.give(conversation);
            let now = self.shared.now();
            let (mut out, mut informs) = (Vec::new(), 0);
            let committed: Vec<Vec<u8>> = self
                .pipeline
                .commit(now)
                .map(|answer| {
                    informs += u64::from(answer.inform);
                    answer.octets
                })
                .collect();
            let safe = self.pipeline.all_safe();
            conversation.answer(&mut committed.into_iter(), safe, &mut out);
            let sent = answers && (out.is_empty() || self.answer(&out).await);
            let stats = &self.shared.stats;
            if sent { &stats.informs_answered } else { &stats.informs_unanswered }.add(informs);
            if answers && !sent {
                return Err(End::Lost);
            }
            if !self.pipeline.holds() {
                match given {
                    // They are not safe and never will be here: the sender sends them again.
                    _ if conversation.owes() => return Err(End::Lost),
                    Given::All => return Ok(()),
                    Given::Some => continue,
                    Given::Closed => return Err(End::Closed),
                    Given::Broken => return Err(End::Lost),
                }
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

    /// Sends answers; false if the sender does not take them.
    async fn answer(&mut self, answers: &[u8]) -> bool {
        let Self { stream, stop, .. } = self;
        let sent = async {
            stream.write_all(answers).await?;
            // TLS holds back what it could not write at once.
            stream.flush().await
        };
        tokio::select! {
            biased;
            sent = timeout(WRITE, sent) => matches!(sent, Ok(Ok(()))),
            () = told_for(stop, DRAIN) => false,
        }
    }

    /// How long it may be silent.
    fn idle(&self) -> Duration {
        match self.speech.protocol() {
            Protocol::Snmp | Protocol::Http => IDLE,
            Protocol::Syslog => self.pipeline.active().lines.idle,
        }
    }

    /// Gives whole messages to the pipeline for as long as it takes them.
    fn give<C: Conversation>(&mut self, conversation: &mut C) -> Given {
        self.shared.stats.framing_lost.add(conversation.lost());
        let (now, arrival, protocol) = (self.shared.now(), self.arrival(), self.speech.protocol());
        self.pipeline.refresh();
        while !self.pipeline.holds() {
            let Some(frame) = conversation.next() else { return Given::All };
            if C::ACKNOWLEDGES {
                self.pipeline.acknowledge();
            }
            self.given += 1;
            match frame {
                Frame::Message(octets) => self.pipeline.message(protocol, octets, arrival, now),
                Frame::Cut(octets) => {
                    self.shared.oversized(self.peer, now.mono);
                    self.pipeline.beginning(protocol, octets, arrival, now);
                }
                Frame::Unfinished => {}
                Frame::Closed => return Given::Closed,
                Frame::Broken { why, reason } => {
                    let protocol = self.speech.as_str();
                    self.shared.stats.streams_broken.add(1);
                    if let Some(suppressed) =
                        self.shared.limiter.allow_for(Kind::Framing, (protocol, reason), now.mono)
                    {
                        tracing::warn!(
                            from = %self.peer, suppressed,
                            "a stream was closed because its messages cannot be told apart: {why}; check that its sender speaks {protocol}"
                        );
                    }
                    return Given::Broken;
                }
            }
        }
        Given::Some
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

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
