//! The delivery of one sink: reads the journal, feeds the [`machine`](crate::sinks::machine), sends over lanes, keeps dead
//! letters and progress. It decides nothing: the machine does.
//!
//! Runs on the sink's own thread, so that files and locks of a sink block nobody else.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::watch;

use crate::journal::{Encoded, Follower, Journal, Reader};
use crate::sinks::dead::{Added, DeadLetters, Letter};
use crate::sinks::fields::Filter;
use crate::sinks::gate::Gate;
use crate::sinks::keeper::Keeper;
use crate::sinks::machine::{Batch, DeadItem, Machine, Settings};
use crate::sinks::read_again::{ReadAgain, item};
use crate::sinks::report::Report;
use crate::sinks::retries::{self, Retries};
use crate::sinks::running::Running;
use crate::sinks::settings::SinkConfig;
use crate::sinks::sink::{Fate, Id, Keys, Lane, Seat, Sink, Trouble};
use crate::time::clock::{Clock, Mono, Now};
use crate::time::receipts::Receipts;
use crate::world::World;

/// How long a sink whose records follow closely sleeps at most before it looks for more, so that no append has to wake it.
const LINGER: Duration = Duration::from_millis(1);
/// The most records that are read at once.
const MOST_READ: usize = 4096;
/// How long is waited after the disk has failed.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// Delivers until `stop` turns true; then what is under way is awaited. If this is dropped before, what was under way is
/// sent again.
pub async fn deliver(
    config: &SinkConfig,
    running: Running,
    journal: Arc<Journal>,
    world: World,
    stop: watch::Receiver<bool>,
) {
    let sink = &*config.sink;
    let options = Options {
        only: config.only.clone(),
        rate: config.rate,
        give_up: config.give_up,
        gate: config.gate.clone(),
    };
    running.stats.honours_mutes.store(config.gate.honours_mutes, Ordering::Relaxed);
    Delivery::new(sink, options, running, journal, &world).run(stop).await;
}

/// What is configured beside the sink itself.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// Which outcomes it takes; none for all.
    pub(super) only: Option<Filter>,
    /// The most outcomes a second.
    pub(super) rate: Option<u32>,
    /// See [`Settings::give_up`].
    pub(super) give_up: Duration,
    /// When it takes outcomes.
    pub(super) gate: Gate,
}

/// The delivery of one sink.
pub(super) struct Delivery<'s> {
    sink: &'s dyn Sink,
    options: Options,
    running: Running,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    machine: Machine,
    reader: Reader,
    read_again: ReadAgain,
    follower: Follower,
    /// Where the visible records ended when it read last.
    seen: u64,
    /// Up to where something new is looked for before what goes behind it is sent.
    looks_to: Option<u64>,
    /// Those that are not under way.
    lanes: Vec<Option<Box<dyn Lane>>>,
    flights: FuturesUnordered<Flight>,
    letters: DeadLetters,
    /// Whether somebody else may have changed the dead letters since they were counted.
    uncounted: bool,
    retries: Retries,
    /// Items whose dead letters could not be written yet.
    dead: Vec<DeadItem>,
    keeper: Keeper,
    report: Report,
    keys: Keys,
    /// When records were received, and how often that had changed when it was read.
    receipts: (Receipts, u64),
    /// Nothing is read from the journal until then, as its disk has failed.
    disk_paused: Option<Mono>,
    /// Nothing is done with dead letters until then, as the disk has failed. What is not dead is delivered all the same.
    letters_paused: Option<Mono>,
    /// Whether there is more to read at once.
    more: bool,
    /// Whether records follow closely.
    lingering: bool,
    /// Whether the last sleep was for the records that follow.
    lingered: bool,
}

type Flight = Pin<Box<dyn Future<Output = Landed> + Send>>;

/// A lane that has ended what it was doing.
struct Landed {
    lane: usize,
    back: Box<dyn Lane>,
    done: Done,
}

enum Done {
    Sent(Batch, Result<Vec<Fate>, Trouble>),
    Worked(Result<(), Trouble>),
}

impl<'s> Delivery<'s> {
    pub(super) fn new(
        sink: &'s dyn Sink,
        options: Options,
        running: Running,
        journal: Arc<Journal>,
        world: &World,
    ) -> Self {
        let keys = Keys([world.random.next(), world.random.next()]);
        let limits = sink.limits();
        let settings = Settings { limits, rate: options.rate, give_up: options.give_up };
        let progress = running.cursor.progress();
        let reader = journal.reader_for(&running.cursor);
        let machine = Machine::new(settings, progress, world.random.next());
        let seat = Seat {
            name: running.name.as_str().into(),
            memory: journal.directory().join("sinks").join(&running.name),
            clock: world.clock.clone(),
            network: world.network.clone(),
            engine: journal.directory().join("engine"),
            follower: journal.follower(),
        };
        let letters = DeadLetters::new(journal.directory(), &running.name);
        let changed = journal.receipts_changed();
        let receipts = (journal.receipts(world.clock.now()), changed);
        Delivery {
            lanes: (0..limits.lanes.max(1)).map(|_| Some(sink.lane(&seat))).collect(),
            flights: FuturesUnordered::new(),
            follower: journal.follower(),
            seen: 0,
            looks_to: None,
            keeper: Keeper::new(&machine),
            report: Report::new(&running),
            retries: Retries::new(letters.clone()),
            letters,
            uncounted: true,
            dead: Vec::new(),
            sink,
            options,
            running,
            journal,
            clock: world.clock.clone(),
            machine,
            reader,
            read_again: ReadAgain::default(),
            keys,
            receipts,
            disk_paused: None,
            letters_paused: None,
            more: false,
            lingering: false,
            lingered: false,
        }
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut stopping = false;
        if let Err(error) = self.letters.reserve() {
            self.report.disk("reserve room for dead letters", &error, self.clock.now().mono);
        }
        loop {
            let now = self.clock.now();
            self.machine.tick(now.mono);
            self.machine.set_journal_full(self.journal.is_full());
            self.disk_paused = self.disk_paused.filter(|until| *until > now.mono);
            self.letters_paused = self.letters_paused.filter(|until| *until > now.mono);
            if self.letters_paused.is_none() {
                self.write_letters(now);
                self.count_letters();
            }
            if !stopping {
                self.retry(now);
                self.fill(now);
                self.work(now);
            }
            self.keep(now);
            if stopping && self.flights.is_empty() {
                break;
            }
            if self.wait(now, &mut stop, stopping).await {
                stopping = true;
                self.machine.stop();
            }
        }
        let now = self.clock.now();
        self.write_letters(now);
        let finished = self.machine.take_letters_done();
        if let Err(error) = self.retries.finish(&finished, now.mono, true) {
            self.report.disk("keep dead letters", &error, now.mono);
        }
        self.keeper.end(&self.running.name, &self.running.cursor, &self.machine, now.mono);
    }

    /// Waits until something happens. Returns whether the sink is to stop.
    async fn wait(&mut self, now: Now, stop: &mut watch::Receiver<bool>, stopping: bool) -> bool {
        let reads = self.disk_paused.is_none() && self.machine.is_hungry(now.mono);
        let linger = self.follower.patience().min(LINGER);
        let lingers = reads && self.lingering && !linger.is_zero();
        let mut wake = self.wake();
        if lingers {
            let until = now.mono + linger;
            wake = Some(wake.map_or(until, |wake| wake.min(until)));
        }
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep(at.since(now.mono)).await,
                None => std::future::pending().await,
            }
        };
        let mut stops = false;
        if self.more {
            // Nothing is waited for, but whoever else runs here, and what has ended, has its turn.
            tokio::task::yield_now().await;
            stops = !stopping && *stop.borrow();
        } else {
            tokio::select! {
                // In this order, so that a simulation repeats it. None of them starves another: all that is ready has its
                // turn before the next wait.
                biased;
                Some(landed) = self.flights.next(), if !self.flights.is_empty() => self.landed(landed),
                () = self.follower.beyond(self.seen), if reads && !lingers => {
                    // After a short time: perhaps more follows as fast.
                    self.lingering = self.clock.now().mono.since(now.mono) <= linger;
                }
                () = self.follower.removed(self.reader.holds()) => self.reader.let_go(),
                stopped = stop.wait_for(|stop| *stop), if !stopping => { let _ = stopped; stops = true }
                () = self.running.letters.notified() => {
                    self.retries.ask();
                    self.uncounted = true;
                }
                () = timer => self.lingered = lingers,
            }
        }
        while let Some(Some(landed)) = self.flights.next().now_or_never() {
            self.landed(landed);
        }
        stops
    }

    /// When there is something to do, if nothing happens before.
    fn wake(&self) -> Option<Mono> {
        let paused = self.machine.paused().unwrap_or_default();
        let idle = self.lanes.iter().flatten();
        let wanted = idle.filter_map(|lane| lane.wants()).map(|at| at.max(paused)).min();
        let disk = self.disk_paused.into_iter().chain(self.letters_paused).min();
        let kept = self.keeper.due(&self.machine, self.journal.is_full());
        let letters = self.retries.due();
        [self.machine.wake(), wanted, disk, kept, letters].into_iter().flatten().min()
    }

    /// Gives idle lanes what they can send, and reads as much as that takes.
    fn fill(&mut self, now: Now) {
        self.more = false;
        if self.disk_paused.is_none() {
            self.read_again(now);
        }
        let reads = self.disk_paused.is_none();
        let limits = self.sink.limits();
        let some = limits.items.saturating_mul(limits.lanes).clamp(64, MOST_READ);
        if reads && self.machine.gathers() {
            // What came meanwhile goes along.
            self.read(some, now);
        }
        self.start(now);
        if self.more {
            return;
        }
        if reads && self.machine.is_hungry(now.mono) {
            let read = self.read(some, now);
            self.start(now);
            // What comes from now on is told.
            let behind = self.reader.position() < self.journal.next();
            self.more |= read > 0 && behind && self.machine.is_hungry(now.mono);
            if self.lingered && read == 0 {
                self.lingering = false;
            }
        }
        self.more |= self.disk_paused.is_none() && self.machine.wanted(0).is_some();
        self.lingered = false;
    }

    /// Looks for something new while all that could be sent goes behind it, in all that the journal has when this begins: a try of what is
    /// never answered takes long. Returns whether there is more to look at.
    fn looks_on(&mut self, now: Now) -> bool {
        let looks = |delivery: &Self| {
            let machine = &delivery.machine;
            delivery.disk_paused.is_none() && machine.lacks_new(now.mono) && machine.is_hungry(now.mono)
        };
        if !looks(self) {
            self.looks_to = None;
            return false;
        }
        let end = *self.looks_to.get_or_insert_with(|| self.journal.next());
        let read = self.read(MOST_READ, now);
        // If the room is full, some is made before the next look.
        let more = read > 0 && self.reader.position() < end && self.machine.lacks_new(now.mono);
        if !more {
            self.looks_to = None;
        }
        more
    }

    /// Reads some of what is parked.
    fn read_again(&mut self, now: Now) {
        self.renew_receipts(now);
        let (keys, receipts) = (self.keys, &self.receipts.0);
        let item = |record: Encoded<'_>, outline| item(record, outline, keys, receipts, now.mono);
        let (lost, read) = self.read_again.read(&mut self.machine, &self.journal, item);
        if lost > 0 {
            self.running.cursor.add_expired(lost);
            self.report.lost(lost, now.mono);
        }
        if let Err(error) = read {
            self.disk_failed(&error, now);
        }
    }

    fn renew_receipts(&mut self, now: Now) {
        let changed = self.journal.receipts_changed();
        if changed != self.receipts.1 {
            self.receipts = (self.journal.receipts(now), changed);
        }
    }

    fn disk_failed(&mut self, error: &io::Error, now: Now) {
        self.report.disk("read the journal", error, now.mono);
        self.disk_paused = Some(now.mono + DISK_PAUSE);
    }

    /// Reads so many records at most; returns how many.
    fn read(&mut self, most: usize, now: Now) -> usize {
        self.renew_receipts(now);
        self.seen = self.follower.next();
        let before = self.reader.position();
        let (machine, sink, only) = (&mut self.machine, self.sink, &self.options.only);
        let (gate, name) = (&self.options.gate, &self.running.name);
        let mut skipped = 0;
        let keys = self.keys;
        let receipts = &self.receipts.0;
        let takes_events = sink.takes_events();
        let read = self.reader.read_payloads(most, |record, outline| {
            let payload = record.payload;
            if !machine.is_new(record.sequence) {
                return true;
            }
            // What is skipped takes no room: many are skipped at once, also where a request has one item.
            if !machine.fits(payload.len()) || !machine.has_room() {
                return false;
            }
            let in_only = |only: &Filter| record.record().is_some_and(|record| only.takes(&record));
            let taken = (takes_events || !outline.is_event)
                && gate.takes(name, outline.time, payload)
                && only.as_ref().is_none_or(in_only);
            if !taken {
                machine.pass(record.sequence + 1);
                skipped += 1;
                return true;
            }
            machine.read(item(record, outline, keys, receipts, now.mono), now.mono);
            true
        });
        // Behind what was read there may be records that are lost.
        self.machine.pass(self.reader.position());
        self.running.stats.skipped.fetch_add(skipped, Ordering::Relaxed);
        if let Err(error) = read {
            self.disk_failed(&error, now);
        }
        (self.reader.position() - before) as usize
    }

    /// Has idle lanes send, until there is more to look at before.
    fn start(&mut self, now: Now) {
        for at in 0..self.lanes.len() {
            if self.lanes[at].is_none() {
                continue;
            }
            if self.looks_on(now) {
                self.more = true;
                return;
            }
            let Some(batch) = self.machine.next(at, now.mono) else { continue };
            let Some(mut lane) = self.lanes[at].take() else { continue };
            self.running.stats.retried.fetch_add(batch.again as u64, Ordering::Relaxed);
            self.flights.push(Box::pin(async move {
                let result = lane.send(&batch.items).await;
                Landed { lane: at, back: lane, done: Done::Sent(batch, result) }
            }));
        }
    }

    /// Has idle lanes do what they want to do by themselves.
    fn work(&mut self, now: Now) {
        for (at, place) in self.lanes.iter_mut().enumerate() {
            let due = place.as_ref().and_then(|lane| lane.wants()).is_some_and(|due| due <= now.mono);
            if !due || !self.machine.work(at, now.mono) {
                continue;
            }
            let Some(mut lane) = place.take() else { continue };
            self.flights.push(Box::pin(async move {
                let result = lane.own(now).await;
                Landed { lane: at, back: lane, done: Done::Worked(result) }
            }));
        }
    }

    fn landed(&mut self, landed: Landed) {
        let Landed { lane, back, done } = landed;
        let now = self.clock.now();
        self.lanes[lane] = Some(back);
        match done {
            Done::Sent(batch, result) => {
                let answered = result.is_ok();
                match &result {
                    Ok(fates) => {
                        self.report.put_off(fates, now.mono);
                        self.observe(&batch, fates, now);
                    }
                    Err(trouble) => {
                        self.report.failed(trouble, now.mono, || self.journal.behind(&self.running.cursor));
                    }
                }
                // Nobody else has the items now: the machine can use their memory again.
                drop(batch);
                let settled = self.machine.answered(lane, result, now.mono);
                self.retries.drop_returned(&mut self.machine);
                if answered {
                    self.report.answered(settled, || self.machine.put_off());
                }
                let stats = &self.running.stats;
                stats.delivered.fetch_add(settled.taken as u64, Ordering::Relaxed);
                stats.cut.fetch_add(settled.cut as u64, Ordering::Relaxed);
                stats.stale.fetch_add(settled.stale as u64, Ordering::Relaxed);
            }
            Done::Worked(result) => {
                if let Err(trouble) = &result {
                    self.report.failed(trouble, now.mono, || self.journal.behind(&self.running.cursor));
                }
                self.machine.worked(lane, result, now.mono);
            }
        }
    }

    fn observe(&self, batch: &Batch, fates: &[Fate], now: Now) {
        let taken = batch.items.iter().zip(fates).filter(|(item, fate)| {
            let taken = matches!(fate, Fate::Taken | Fate::Cut | Fate::Stale(_));
            taken && matches!(item.id, Id::Journal(_))
        });
        let ages = taken.map(|(item, _)| item.received.age(now.mono));
        let ages = ages.map(|age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
        self.running.stats.latency.observe_all(ages);
    }

    /// Writes dead letters: of the record that was sent, before its number is done.
    fn write_letters(&mut self, now: Now) {
        self.dead.extend(self.machine.take_dead());
        self.leave_dropped(now);
        if self.dead.is_empty() {
            return;
        }
        let letter = |(at, dead): (usize, &DeadItem)| {
            let record = dead.item.record()?;
            Some((at, Letter::new(&record, &self.running.name, dead.reason.as_str(), now.wall.micros())))
        };
        let (places, letters): (Vec<usize>, Vec<Letter>) =
            self.dead.iter().enumerate().filter_map(letter).unzip();
        let (written, rest) = match self.letters.add(&letters) {
            Ok(Added { count, alone, rest }) => {
                let letters = &self.running.stats.letters;
                if alone {
                    letters.store(count as u64, Ordering::Relaxed);
                } else {
                    letters.fetch_add(count as u64, Ordering::Relaxed);
                }
                (places.get(count).copied().unwrap_or(self.dead.len()), rest)
            }
            Err(error) => (0, Some(error)),
        };
        if let Some(error) = rest {
            self.report.disk(
                "keep dead letters, for which their part of the journal stays",
                &error,
                now.mono,
            );
            self.letters_paused = Some(now.mono + DISK_PAUSE);
        }
        if written > 0 {
            self.report.dead(&self.dead[..written], now.mono);
        }
        for dead in self.dead.drain(..written) {
            self.machine.letter_written(&dead);
        }
    }

    /// Writes no letter of what was sent again and is dead again, if somebody has dropped it meanwhile.
    fn leave_dropped(&mut self, now: Now) {
        if !self.dead.iter().any(|dead| matches!(dead.item.id, Id::Letter(_))) {
            return;
        }
        if let Err(error) = self.retries.look_again(&mut self.machine, now.mono) {
            self.report.disk("keep dead letters", &error, now.mono);
        }
        let (machine, retries) = (&mut self.machine, &self.retries);
        self.dead.retain(|dead| {
            let dropped = retries.is_dropped(dead.item.id);
            if dropped {
                machine.letter_written(dead);
            }
            !dropped
        });
    }

    /// Counts the dead letters that are kept. What this sink adds is counted where it is added, as the file may be long.
    fn count_letters(&mut self) {
        if !std::mem::take(&mut self.uncounted) {
            return;
        }
        match self.letters.list() {
            Ok(all) => self.running.stats.letters.store(all.len() as u64, Ordering::Relaxed),
            Err(error) => self.report.disk("count dead letters", &error, self.clock.now().mono),
        }
    }

    /// Has dead letters sent again that somebody has asked for.
    fn retry(&mut self, now: Now) {
        if self.letters_paused.is_some() {
            return;
        }
        let finished = self.machine.take_letters_done();
        let keys = self.keys;
        let item = |letter: &Letter, id| retries::item(letter, id, keys);
        let result = self.retries.finish(&finished, now.mono, false);
        let result = result.and_then(|()| self.retries.give(&mut self.machine, now.mono, item));
        self.uncounted |= self.retries.has_put_back();
        if let Err(error) = result {
            self.report.disk("keep dead letters", &error, now.mono);
            self.letters_paused = Some(now.mono + DISK_PAUSE);
        }
    }

    fn keep(&mut self, now: Now) {
        self.running.stats.set_oldest(self.machine.oldest());
        let hurry = self.journal.is_full();
        let (name, cursor) = (&self.running.name, &self.running.cursor);
        if self.keeper.keep(name, cursor, &self.machine, now.mono, hurry) && hurry {
            self.journal.clean();
        }
    }
}

impl Drop for Delivery<'_> {
    /// What is known is kept, also if what is under way was not awaited. Not after a panic: then the machine may be half
    /// changed.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let now = self.clock.now().mono;
            self.keeper.end(&self.running.name, &self.running.cursor, &self.machine, now);
        }
        self.journal.rest(&self.running.cursor);
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
