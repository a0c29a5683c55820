//! The delivery loop, one for all sinks: from the journal to the far end, in order, until it is there.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::journal::Journal;
use crate::outcome::record::Record;
use crate::sinks::dead::{DeadLetters, Letter};
use crate::sinks::filter::Filter;
use crate::sinks::{Pushed, Running, Sink, SinkError, Taken};
use crate::time::backoff::Backoff;
use crate::time::clock::{Clock as _, SystemClock, now};
use crate::time::rate::Rate;

/// How many records are given to a sink before it is asked to send them.
const BATCH: usize = 512;
/// How often a sink is asked what has been taken, while nothing new comes.
const SETTLE: Duration = Duration::from_millis(20);
/// How often is looked whether dead letters are to be sent again.
const LOOK_UP: Duration = Duration::from_secs(1);
/// The longest pause that a far end may ask for.
const LONGEST: Duration = Duration::from_hours(1);

/// One sink's delivery.
pub(crate) struct Delivery {
    pub(crate) running: Running,
    pub(crate) journal: Arc<Journal>,
    pub(crate) only: Option<Filter>,
    pub(crate) rate: Option<Rate>,
    pub(crate) letters: DeadLetters,
    /// Sequence numbers that were skipped and that the cursor has not passed yet.
    pub(crate) skipped: VecDeque<u64>,
    /// What was pushed and not taken: sequence number, and when it was received.
    pub(crate) waiting: VecDeque<(u64, i64)>,
    /// What has died and the cursor has not passed yet.
    pub(crate) dead: BTreeSet<u64>,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Delivery {
    pub(crate) async fn run<S: Sink>(mut self, mut sink: S) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        while !*self.stop.borrow() {
            match self.deliver(&mut sink, &mut backoff).await {
                Ok(()) => return,
                Err(error) => {
                    self.failed(&error);
                    sink.reset();
                    self.skipped.clear();
                    self.waiting.clear();
                    self.pause(backoff.next_pause().max(error.pause().min(LONGEST))).await;
                }
            }
        }
    }

    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.stop.changed() => {}
        }
    }

    /// Delivers until told to stop, or until something fails.
    async fn deliver<S: Sink>(&mut self, sink: &mut S, backoff: &mut Backoff) -> Result<(), SinkError> {
        let mut appended = self.journal.watch();
        let mut reader = self.journal.reader(self.running.cursor.position());
        let mut clean_at = reader.position();
        loop {
            if self.letters.has_retries() && reader.position() == self.running.cursor.position() {
                self.retry(sink).await?;
            }
            let most =
                self.rate.as_mut().map_or(BATCH, |rate| rate.allowed(SystemClock.now().mono).min(BATCH));
            let read = reader.read(most, |record| {
                self.push(sink, &record);
                true
            })?;
            let waiting = reader.position() > self.running.cursor.position();
            if read > 0 || waiting {
                let flushed = sink.flush().await;
                self.bury(sink)?;
                let taken = match flushed? {
                    Taken::All => reader.position(),
                    Taken::Before(sequence) => sequence,
                };
                if taken > self.running.cursor.position() {
                    self.succeeded(taken);
                    backoff.reset();
                }
                if taken > clean_at + 65_536 {
                    self.journal.clean();
                    clean_at = taken;
                }
            }
            if read > 0 {
                continue;
            }
            let waiting = reader.position() > self.running.cursor.position();
            if *self.stop.borrow() {
                return Ok(());
            }
            if most == 0 && !waiting {
                let pause = self.rate.as_ref().map_or(Duration::ZERO, Rate::wait);
                self.pause(pause.max(Duration::from_millis(1))).await;
                continue;
            }
            tokio::select! {
                changed = appended.changed() => if changed.is_err() { return Ok(()) },
                _ = self.stop.changed() => {}
                () = tokio::time::sleep(if waiting { SETTLE } else { LOOK_UP }) => {}
            }
        }
    }

    fn push<S: Sink>(&mut self, sink: &mut S, record: &Record<'_>) {
        let takes = self.only.as_ref().is_none_or(|only| only.takes(record));
        let alive = !self.dead.contains(&record.sequence);
        let pushed = if takes && alive { sink.push(record) } else { Pushed::Skipped };
        match pushed {
            Pushed::Queued => {}
            Pushed::Cut => {
                self.running.stats.cut.fetch_add(1, Ordering::Relaxed);
            }
            Pushed::Skipped => return self.skipped.push_back(record.sequence),
        }
        if let Some(rate) = &mut self.rate {
            rate.spend(1);
        }
        let time = record.outcome.common().time;
        if self.waiting.is_empty() {
            self.running.stats.oldest.store(time, Ordering::Relaxed);
        }
        self.waiting.push_back((record.sequence, time));
    }

    /// Puts what the far end will never take among the dead letters, before the cursor passes it.
    fn bury<S: Sink>(&mut self, sink: &mut S) -> Result<(), SinkError> {
        let dead = sink.dead();
        if dead.is_empty() {
            return Ok(());
        }
        let mut letters = Vec::new();
        for dead in &dead {
            let mut reader = self.journal.reader(dead.sequence);
            reader.read(1, |record| {
                letters.push(Letter::new(&record, &self.running.name, &dead.reason, now()));
                true
            })?;
        }
        self.letters.add(&letters).map_err(SinkError::DeadLetters)?;
        self.dead.extend(dead.iter().map(|dead| dead.sequence));
        self.mourn(&letters);
        Ok(())
    }

    fn mourn(&self, letters: &[Letter]) {
        self.running.stats.dead.fetch_add(letters.len() as u64, Ordering::Relaxed);
        if let Some(last) = letters.last() {
            tracing::warn!(
                sink = self.running.name,
                outcomes = letters.len(),
                "the far end will never take this: {}; see `trapline dead list {}`",
                last.reason(),
                self.running.name
            );
        }
    }

    /// Sends dead letters again, with nothing else on the way.
    async fn retry<S: Sink>(&mut self, sink: &mut S) -> Result<(), SinkError> {
        let letters = self.letters.retries().map_err(SinkError::DeadLetters)?;
        let mut dead_again = Vec::new();
        for chunk in letters.chunks(BATCH) {
            let mut open: Vec<&Letter> = chunk.iter().collect();
            for letter in chunk {
                match letter.record() {
                    Some(record) => {
                        sink.push(&record);
                    }
                    // Somebody has changed it: kept as it is, for people.
                    None => dead_again.push(letter.clone()),
                }
            }
            loop {
                let flushed = sink.flush().await;
                for dead in sink.dead() {
                    let of = |letter: &&Letter| {
                        letter.record().is_some_and(|record| record.sequence == dead.sequence)
                    };
                    // Each letter once: after a power cut two may have the same number.
                    let Some(at) = open.iter().position(of) else { continue };
                    let record = open.remove(at).record();
                    dead_again.extend(
                        record.map(|record| Letter::new(&record, &self.running.name, &dead.reason, now())),
                    );
                }
                if flushed? == Taken::All {
                    break;
                }
                tokio::time::sleep(SETTLE).await;
            }
        }
        if !dead_again.is_empty() {
            self.letters.add(&dead_again).map_err(SinkError::DeadLetters)?;
            self.mourn(&dead_again);
        }
        self.letters.retried().map_err(SinkError::DeadLetters)?;
        let delivered = letters.len().saturating_sub(dead_again.len());
        self.running.stats.delivered.fetch_add(delivered as u64, Ordering::Relaxed);
        tracing::info!(
            sink = self.running.name,
            delivered,
            dead = dead_again.len(),
            "dead letters were sent again"
        );
        Ok(())
    }

    fn succeeded(&mut self, taken: u64) {
        let stats = &self.running.stats;
        let skipped = self.skipped.iter().take_while(|sequence| **sequence < taken).count();
        let dead = self.skipped.drain(..skipped).filter(|sequence| self.dead.contains(sequence)).count();
        stats.skipped.fetch_add((skipped - dead) as u64, Ordering::Relaxed);
        let now = now();
        let mut delivered = 0;
        while let Some((sequence, received)) = self.waiting.front().copied().filter(|(s, _)| *s < taken) {
            self.waiting.pop_front();
            if !self.dead.contains(&sequence) {
                delivered += 1;
                stats.latency.observe(u64::try_from(now - received).unwrap_or(0));
            }
        }
        self.dead = self.dead.split_off(&taken);
        stats.oldest.store(self.waiting.front().map_or(0, |(_, received)| *received), Ordering::Relaxed);
        stats.delivered.fetch_add(delivered, Ordering::Relaxed);
        if let Err(error) = self.running.cursor.advance(taken) {
            tracing::error!(sink = self.running.name, %error, "cannot write the cursor; after a restart outcomes will be delivered again");
        }
        let mut last = stats.error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.take().is_some() {
            tracing::info!(sink = self.running.name, "delivering again");
        }
    }

    fn failed(&self, error: &SinkError) {
        let stats = &self.running.stats;
        stats.failures.fetch_add(1, Ordering::Relaxed);
        stats.retried.fetch_add(self.waiting.len() as u64, Ordering::Relaxed);
        let text = error.to_string();
        let mut last = stats.error.lock().unwrap_or_else(PoisonError::into_inner);
        // The same trouble is said once, not at every try.
        if last.as_deref() != Some(text.as_str()) {
            let behind = self.journal.next().saturating_sub(self.running.cursor.position());
            tracing::warn!(sink = self.running.name, behind, "cannot deliver, trying again: {text}");
            *last = Some(text);
        }
    }
}
