//! Datagram listeners: a thread per socket takes datagrams in batches.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::intake::bind::DatagramSocket;
use crate::intake::budget::{Batch, Budget};
use crate::intake::commit::RETRY;
use crate::intake::listener::{Limits, Protocol};
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::{Beat, Shared};
use crate::intake::stop::Stop;
use crate::sys::{self, Receiver};
use crate::syslog::framing::of_datagram;
use crate::time::clock::{Mono, Now};
use crate::time::log_limit::Kind;

/// How many datagrams are taken at a time.
const BATCH: usize = 128;
/// How long a listener that is told to stop goes on while datagrams wait in its socket. What waits there for longer is kept on
/// disk for the next start, which takes a fraction of the time.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a listener keeps datagrams on disk at the end, if they arrive without a pause.
const KEEP: Duration = Duration::from_secs(1);
/// How often the kernel is asked how many datagrams it dropped, while datagrams arrive.
const COUNT_DROPS: Duration = Duration::from_secs(1);

/// The limits of a listener that may change while it runs.
#[derive(Debug)]
pub(super) struct Tuning {
    /// In nanoseconds.
    latency: AtomicU64,
    /// Octets of its receive buffer, with the kernel's overhead.
    buffer: AtomicUsize,
}

impl Tuning {
    /// From the limits of a listener, and the buffer that its socket got.
    pub(super) fn new(limits: &Limits, buffer: usize) -> Self {
        let tuning = Tuning { latency: AtomicU64::new(0), buffer: AtomicUsize::new(0) };
        tuning.set(limits, buffer);
        tuning
    }

    /// Changes the limits.
    pub(super) fn set(&self, limits: &Limits, buffer: usize) {
        let latency = u64::try_from(limits.latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency.store(latency, Ordering::Relaxed);
        self.buffer.store(buffer, Ordering::Relaxed);
    }

    fn budget(&self) -> Budget {
        Budget {
            latency: Duration::from_nanos(self.latency.load(Ordering::Relaxed)),
            buffer: self.buffer.load(Ordering::Relaxed),
        }
    }
}

/// One socket of a listener, with what its thread needs.
pub(super) struct Datagrams {
    protocol: Protocol,
    socket: Arc<DatagramSocket>,
    tuning: Arc<Tuning>,
    shared: Arc<Shared>,
    stop: Arc<Stop>,
    beat: Arc<Beat>,
    drops: Drops,
}

/// Datagrams that the kernel dropped at a socket.
#[derive(Debug, Default)]
struct Drops {
    /// How many there were when they were counted last.
    counted: u32,
    /// When that was.
    at: Mono,
    /// Whether datagrams have arrived since.
    stale: bool,
}

impl Datagrams {
    /// Reads from a socket of a listener.
    pub(super) fn new(
        protocol: Protocol,
        socket: Arc<DatagramSocket>,
        tuning: Arc<Tuning>,
        shared: Arc<Shared>,
        stop: Arc<Stop>,
    ) -> Self {
        let beat = shared.beat();
        Datagrams { protocol, socket, tuning, shared, stop, beat, drops: Drops::default() }
    }

    /// Receives until told to stop, and then what waits in the socket: for at most [`DRAIN`] it is processed, and the rest is kept
    /// for the next start.
    pub(super) fn run(&mut self) {
        let mut pipeline = Pipeline::new(self.shared.clone());
        let mut receiver = Receiver::new(BATCH);
        let mut waits_for_rules = true;
        let (mut last, mut last_inform) = (Mono::default(), None);
        let mut until: Option<Mono> = None;
        loop {
            let received = receiver.receive(&self.socket.socket);
            let now = self.shared.now();
            if self.stop.told() && now.mono >= *until.get_or_insert(now.mono + DRAIN) {
                self.keep_rest(&mut receiver, received);
                break;
            }
            let count = match received {
                Ok(0) if until.is_some() => break,
                Ok(0) => {
                    self.wait(now);
                    continue;
                }
                Ok(count) => count,
                Err(error) => {
                    self.failed(&error, now);
                    continue;
                }
            };
            self.beat.work(now.mono);
            self.drops.stale = true;
            waits_for_rules = waits_for_rules && self.keep(&receiver, now);
            if waits_for_rules {
                continue;
            }
            pipeline.refresh();
            let mut octets = 0;
            for (datagram, arrival) in receiver.datagrams() {
                octets += datagram.len();
                let message = match self.protocol {
                    Protocol::Snmp | Protocol::Http => datagram,
                    Protocol::Syslog => of_datagram(datagram),
                };
                pipeline.datagram(self.protocol, message, arrival, now);
            }
            if self.answer(&mut pipeline, now) {
                last_inform = Some(now.mono);
            }
            if now.mono - self.drops.at >= COUNT_DROPS {
                self.count_drops(now);
            }
            let batch = Batch {
                since_last: now.mono - last,
                datagrams: count,
                octets,
                full: count == BATCH,
                since_inform: last_inform.map_or(Duration::MAX, |at| now.mono - at),
            };
            last = now.mono;
            if until.is_none() && !batch.full {
                match self.tuning.budget().pause(&batch) {
                    Duration::ZERO => self.wait(now),
                    pause => self.pause(pause),
                }
            }
        }
        self.answer(&mut pipeline, self.shared.now());
    }

    /// Keeps what arrived for the first rules; false if they are there.
    fn keep(&self, receiver: &Receiver, now: Now) -> bool {
        let datagrams = receiver.datagrams().map(|(octets, arrival)| (octets, arrival.peer));
        let lost = self.shared.waiting.keep(self.protocol, now.wall.micros(), datagrams);
        self.shared.stats.waiting_lost.add(lost.unwrap_or(0));
        lost.is_some()
    }

    /// Keeps for the next start what was received and what still waits in the socket.
    fn keep_rest(&self, receiver: &mut Receiver, mut received: io::Result<usize>) {
        let stats = &self.shared.stats;
        let (mut kept, mut lost) = (0, 0);
        let until = self.shared.now().mono + KEEP;
        self.shared.waiting.reopen();
        while let Ok(count @ 1..) = received {
            let now = self.shared.now();
            let datagrams = receiver.datagrams().map(|(octets, arrival)| (octets, arrival.peer));
            let of_these = self.shared.waiting.keep(self.protocol, now.wall.micros(), datagrams).unwrap_or(0);
            (kept, lost) = (kept + count as u64, lost + of_these);
            if now.mono >= until {
                tracing::warn!(
                    "datagrams arrive at {} faster than they can be kept; the last are lost",
                    self.socket.at()
                );
                break;
            }
            received = receiver.receive(&self.socket.socket);
        }
        stats.waiting_lost.add(lost);
        if kept > 0 {
            tracing::info!(
                datagrams = kept.saturating_sub(lost),
                lost,
                "the socket of {} held more than can be processed before the stop; the next start processes it",
                self.socket.at()
            );
        }
    }

    /// Commits, and sends the answers that may be sent. Whether there was one, or one was refused.
    fn answer(&self, pipeline: &mut Pipeline, now: Now) -> bool {
        let stats = &self.shared.stats;
        let mut any = pipeline.has_pending();
        for answer in pipeline.commit(now) {
            any = true;
            // An answer that cannot be sent is as good as lost on the way: the inform comes again.
            let sent = sys::answer(&self.socket.socket, &answer.octets, answer.to).is_ok();
            if answer.inform {
                let counter = if sent { &stats.informs_answered } else { &stats.informs_unanswered };
                counter.add(1);
            }
        }
        any
    }

    /// Sleeps, unless it is told to stop.
    fn pause(&self, pause: Duration) {
        self.beat.rest();
        wait_for(&mut [PollFd::new(self.stop.as_fd(), PollFlags::POLLIN)], Some(pause));
    }

    /// Waits for a datagram or the stop; not longer than until something else is to be done.
    fn wait(&mut self, now: Now) {
        self.shared.commit.retry(now);
        if self.drops.stale && now.mono - self.drops.at >= COUNT_DROPS {
            self.count_drops(now);
        }
        let retry = self.shared.commit.refusing().then_some(RETRY);
        let count = self.drops.stale.then(|| COUNT_DROPS.saturating_sub(now.mono - self.drops.at));
        let timeout = [retry, count].into_iter().flatten().min();
        self.beat.rest();
        let mut ready = [
            PollFd::new(self.socket.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stop.as_fd(), PollFlags::POLLIN),
        ];
        wait_for(&mut ready, timeout);
    }

    fn failed(&self, error: &io::Error, now: Now) {
        if let Some(suppressed) = self.shared.limiter.allow_for(Kind::Socket, self.socket.at(), now.mono) {
            tracing::error!(suppressed, %error, "cannot receive at {}; trying again", self.socket.at());
        }
        self.pause(RETRY);
    }

    fn count_drops(&mut self, now: Now) {
        let counted = sys::drops(&self.socket.socket).unwrap_or(self.drops.counted);
        let new = counted.wrapping_sub(self.drops.counted);
        self.drops = Drops { counted, at: now.mono, stale: false };
        if new == 0 {
            return;
        }
        self.shared.stats.kernel_drops.add(new.into());
        if let Some(suppressed) = self.shared.limiter.allow_for(Kind::KernelDrops, self.socket.at(), now.mono)
        {
            tracing::warn!(
                datagrams = new,
                suppressed,
                "the kernel dropped datagrams at {}: they arrived faster than Trapline takes them; raise receive_buffer and net.core.rmem_max",
                self.socket.at()
            );
        }
    }
}

/// Waits for input, or for as long as said.
fn wait_for(ready: &mut [PollFd<'_>], timeout: Option<Duration>) {
    // A signal or an error ends the wait early; the next receive tells more.
    let _ = ppoll(ready, timeout.map(TimeSpec::from_duration), None);
}
