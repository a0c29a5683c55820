//! The delivery loop, one for all sinks: from the journal to the server, in order, until it is there.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::journal::{Cursor, Journal};
use crate::outcome::codec;
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::sinks::dead::{DeadLetters, Letter};
use crate::sinks::settings::SinkConfig;
use crate::sinks::sink::{Fate, Id, Item, Lane, Seat, Sink, Trouble};
use crate::sinks::stats::SinkStats;
use crate::time::backoff::Backoff;
use crate::time::clock::{Clock as _, SystemClock, now};
use crate::time::rate::Rate;

/// A running sink.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// What is counted.
    pub stats: Arc<SinkStats>,
    /// How far it is.
    pub cursor: Arc<Cursor>,
}

impl Running {
    /// Registers the cursor of a sink.
    pub fn open(name: &str, journal: &Journal) -> std::io::Result<Self> {
        let cursor = journal.register(name)?;
        Ok(Running { name: name.to_owned(), stats: Arc::default(), cursor })
    }
}

/// Delivers until `stop` turns true.
pub async fn deliver(
    config: &SinkConfig,
    running: Running,
    journal: Arc<Journal>,
    stop: watch::Receiver<bool>,
) {
    let name = &config.name;
    let sink = config.ends[0].1.clone();
    let seat = Seat {
        name: name.as_str().into(),
        memory: journal.directory().join("sinks").join(name),
        clock: Arc::new(SystemClock),
    };
    let delivery = Delivery {
        running: running.clone(),
        journal: journal.clone(),
        config: config.clone(),
        letters: DeadLetters::new(journal.directory(), name),
        lane: sink.lane(&seat),
        sink,
        stop,
    };
    delivery.run().await;
}

struct Delivery {
    running: Running,
    journal: Arc<Journal>,
    config: SinkConfig,
    letters: DeadLetters,
    sink: Arc<dyn Sink>,
    lane: Box<dyn Lane>,
    stop: watch::Receiver<bool>,
}

fn item(record: &Record<'_>, id: Id) -> Item {
    let mut hasher = DefaultHasher::new();
    match &record.outcome {
        Outcome::CheckResult(check) => (&check.host, &check.service).hash(&mut hasher),
        Outcome::Event(event) => (&event.component, &event.resource).hash(&mut hasher),
    }
    let mut payload = Vec::new();
    codec::encode(&record.outcome, &mut payload);
    Item {
        id,
        epoch: record.epoch,
        sequence: record.sequence,
        key: hasher.finish(),
        time: record.outcome.common().time,
        payload: payload.into(),
    }
}

impl Delivery {
    async fn run(mut self) {
        let mut appended = self.journal.watch();
        let mut reader = self.journal.reader(self.running.cursor.position());
        let mut rate = self.config.rate.map(Rate::new);
        while !*self.stop.borrow() {
            if self.letters.has_retries() {
                self.retry().await;
            }
            let most = rate.as_mut().map_or(512, |rate| rate.allowed(SystemClock.now().mono).min(512));
            let mut items = VecDeque::new();
            let (mut read, mut skipped) = (0, 0);
            let done = reader.read(most, |record| {
                read += 1;
                let takes = self.config.only.as_ref().is_none_or(|only| only.takes(&record));
                if takes && self.sink.takes(&record) {
                    items.push_back(item(&record, Id::Journal(record.sequence)));
                } else {
                    skipped += 1;
                }
                true
            });
            if done.is_err() || read == 0 {
                tokio::select! {
                    changed = appended.changed() => if changed.is_err() { return },
                    _ = self.stop.changed() => {}
                    () = tokio::time::sleep(Duration::from_millis(if most == 0 { 10 } else { 1000 })) => {}
                }
                continue;
            }
            if let Some(rate) = &mut rate {
                rate.spend(items.len());
            }
            self.running.stats.skipped.fetch_add(skipped, Ordering::Relaxed);
            if !self.deliver(items).await {
                return;
            }
            let _ = self.running.cursor.advance(reader.position());
        }
    }

    async fn retry(&mut self) {
        let Ok(letters) = self.letters.retries() else { return };
        let items =
            letters.iter().enumerate().filter_map(|(n, l)| Some(item(&l.record()?, Id::Letter(n as u64))));
        let items = items.collect();
        if self.deliver(items).await {
            let _ = self.letters.retried();
        }
    }

    async fn deliver(&mut self, mut items: VecDeque<Item>) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        let limits = self.sink.limits();
        let mut most = limits.items;
        while !items.is_empty() {
            if *self.stop.borrow() {
                return false;
            }
            let count = items.len().min(most);
            let (mut pause, mut text) = (Duration::ZERO, None);
            let oldest = items.front().map_or(0, |item| item.time);
            self.running.stats.oldest.store(oldest, Ordering::Relaxed);
            match self.lane.send(&items.make_contiguous()[..count]).await {
                Ok(fates) => {
                    most = limits.items;
                    for fate in fates {
                        let item = items.pop_front().unwrap();
                        let stats = &self.running.stats;
                        match fate {
                            Fate::Taken | Fate::Cut => {
                                if fate == Fate::Cut {
                                    stats.cut.fetch_add(1, Ordering::Relaxed);
                                }
                                stats.delivered.fetch_add(1, Ordering::Relaxed);
                                stats.latency.observe(u64::try_from(now() - item.time).unwrap_or(0));
                            }
                            Fate::Stale(_) => {}
                            Fate::Dead(reason) => self.dead(&item, reason.as_str()),
                            Fate::Later(said) => {
                                items.push_back(item);
                                (pause, text) = (backoff.next_pause(), Some(said.to_string()));
                            }
                        }
                    }
                }
                Err(Trouble::Halve(said)) if count == 1 => {
                    let item = items.pop_front().unwrap();
                    self.dead(&item, said.as_str());
                }
                Err(Trouble::Halve(_)) => most = count / 2,
                Err(trouble) => {
                    let asked = if let Trouble::Busy(_, asked) = &trouble { *asked } else { Duration::ZERO };
                    (pause, text) = (backoff.next_pause().max(asked), Some(trouble.to_string()));
                }
            }
            self.report(text);
            if !pause.is_zero() {
                tokio::select! { () = tokio::time::sleep(pause) => {}, _ = self.stop.changed() => {} }
            }
        }
        self.running.stats.oldest.store(0, Ordering::Relaxed);
        true
    }

    fn report(&self, text: Option<String>) {
        let stats = &self.running.stats;
        let mut last = stats.error.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = &text {
            stats.failures.fetch_add(1, Ordering::Relaxed);
            if last.as_ref() != Some(text) {
                tracing::warn!(sink = self.running.name, "cannot deliver, trying again: {text}");
            }
        }
        *last = text;
    }

    fn dead(&self, item: &Item, reason: &str) {
        let Some(record) = item.record() else { return };
        let _ = self.letters.add(&[Letter::new(&record, &self.running.name, reason, now())]);
        self.running.stats.dead.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(sink = self.running.name, outcomes = 1, "the far end will never take this: {reason}");
    }
}
