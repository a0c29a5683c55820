//! The machine and its progress file against a model: a server that answers partially, wrongly, with errors, never; crashes
//! at any moment, on a disk that tears what was not synced; dead letters that are sent again.
//!
//! `TRAPLINE_CHAOS=100 cargo test --lib machine::model` runs a hundred times as many histories. A failing run says its seed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::server::{Mood, Nature, Rng, Server, Uid};
use super::*;
use crate::files::faulty::{Faults, Faulty};
use crate::journal::progress::{Found, ProgressFile};
use crate::sinks::parking::Room;
use crate::sinks::sink::{Key, Order};

mod crash;

#[derive(Debug, Clone, Copy)]
struct Record {
    uid: Uid,
    epoch: u64,
    key: u64,
    /// Whether it is for this sink.
    ours: bool,
}

/// A request under way.
struct Flight {
    items: Arc<Vec<Item>>,
    due: Mono,
    result: Result<Vec<Fate>, Trouble>,
}

/// What the harness knows of a number that the machine was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Open,
    /// The server has confirmed it to us.
    Confirmed,
    /// Its letter is written.
    Dead,
    /// The journal had dropped it when it was to be read again.
    Lost,
}

struct Model {
    random: Rng,
    settings: Settings,
    now: Mono,
    // What survives a crash.
    disk: Faulty,
    epoch: u64,
    /// Record `n` has the number `n + 1`.
    journal: Vec<Record>,
    /// So many records are safe from a power cut.
    journal_synced: usize,
    /// What is before was dropped.
    oldest: u64,
    /// Whether the journal drops something.
    drops: bool,
    /// What it has dropped before the server had it.
    expired: BTreeSet<Uid>,
    keys: HashMap<Uid, u64>,
    letters: Vec<Uid>,
    retrying: BTreeMap<u64, Uid>,
    next_letter: u64,
    server: Server,
    // The run.
    machine: Machine,
    room: Room,
    /// How far the journal was read again.
    again: u64,
    /// How many items were read again.
    reread: u64,
    file: ProgressFile,
    written: Progress,
    synced: Progress,
    flights: Vec<Option<Flight>>,
    known: BTreeMap<Id, (Uid, Known)>,
    /// What of it is open, by key.
    open: HashMap<u64, BTreeSet<Id>>,
    retried_keys: BTreeSet<u64>,
    faults: bool,
    crashes: u32,
}

const PATH: &str = "/journal/cursors/sink";
const GIVEN_UP: Duration = Duration::from_hours(1);

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Rng(seed);
        let order = [Order::OneByOne, Order::Kept, Order::Free][random.below(3) as usize];
        let limits = Limits {
            lanes: 1 + random.below(4) as usize,
            items: [1, 2, 5, 20, 100][random.below(5) as usize],
            bytes: [usize::MAX, 60][random.below(2) as usize],
            order,
            linger: [Duration::ZERO, Duration::from_millis(50)][random.below(4) as usize / 3],
        };
        let rate = random.once_in(4).then(|| 1 + random.below(1000) as u32);
        let settings = Settings { limits, rate, give_up: GIVEN_UP };
        let disk = Faulty::new(seed);
        let (file, progress, found) = ProgressFile::open_for_tests(&disk, Path::new(PATH), 1, 1);
        assert_eq!(found, Found::Nothing);
        let mut server = Server::new(order, seed);
        // What silences the server is only given up where others are read: as many must be parked as come.
        server.is_gentle = random.once_in(4);
        let room = Room {
            items: [1, 3, 10, 40, 7680][random.below(5) as usize],
            parked: if server.is_gentle { 10 } else { 10_000 },
            keys: if server.is_gentle { 1 + random.below(5) as usize } else { 1000 },
            wanted: [1, 3, 100][random.below(3) as usize],
        };
        let drops = random.once_in(3);
        let mut machine = Machine::new(settings, progress.clone(), seed);
        machine.queue.parking.room = room;
        Model {
            machine,
            room,
            again: 0,
            reread: 0,
            flights: (0..limits.lanes).map(|_| None).collect(),
            random,
            settings,
            now: Mono::from_nanos(1),
            disk,
            epoch: 1,
            journal: Vec::new(),
            journal_synced: 0,
            oldest: 1,
            drops,
            expired: BTreeSet::new(),
            keys: HashMap::new(),
            letters: Vec::new(),
            retrying: BTreeMap::new(),
            next_letter: 1,
            server,
            file,
            written: progress.clone(),
            synced: progress,
            known: BTreeMap::new(),
            open: HashMap::new(),
            retried_keys: BTreeSet::new(),
            faults: true,
            crashes: 0,
        }
    }

    fn next_number(&self) -> u64 {
        self.journal.len() as u64 + 1
    }

    fn record(&self, number: u64) -> Record {
        self.journal[number as usize - 1]
    }

    fn append(&mut self, count: u64, keys: u64) {
        for _ in 0..count {
            let uid = self.server.outcome();
            let key = self.random.below(keys);
            self.keys.insert(uid, key);
            let ours = !self.random.once_in(8);
            self.journal.push(Record { uid, epoch: self.epoch, key, ours });
        }
    }

    fn item(id: Id, uid: Uid, key: u64, epoch: u64) -> Item {
        let payload: Vec<u8> = [&uid.to_le_bytes()[..], &[0; 12][..uid as usize % 12]].concat();
        Item {
            id,
            epoch,
            sequence: uid,
            key: Key::Known(key),
            time: 0,
            received: Moment::from_micros(uid as i64),
            payload: payload.into(),
        }
    }

    fn read(&mut self, most: u64) {
        // As before each look at what there is to do.
        self.machine.tick(self.now);
        let first = self.machine.position().max(self.oldest);
        for number in self.machine.position()..first {
            if self.record(number).ours && self.machine.is_new(number) {
                self.expired.insert(self.record(number).uid);
            }
        }
        self.machine.pass(first);
        let end = self.next_number().min(first.saturating_add(most));
        for number in first..end {
            let record = self.record(number);
            if record.ours && self.machine.is_new(number) {
                let item = Self::item(Id::Journal(number), record.uid, record.key, record.epoch);
                if !self.machine.fits(item.payload.len()) {
                    break;
                }
                assert!(!self.known.contains_key(&item.id), "{number} is read twice");
                self.know(item.id, record.uid, Known::Open);
                self.machine.read(item, self.now);
            } else {
                self.machine.pass(number + 1);
            }
        }
    }

    /// The same of what is wanted again, as [`ReadAgain`](crate::sinks::read_again) does it.
    fn read_again(&mut self, most: u64) {
        let Some(first) = self.machine.wanted(self.again) else { return };
        let from = if first < self.again { first } else { self.again };
        let mut at = from;
        while at < from.saturating_add(most)
            && let Some(next) = self.machine.wanted(at)
            && next >= at
        {
            if next == at && at >= self.oldest && self.machine.wants(at, from) {
                let record = self.record(at);
                self.machine.read_again(Self::item(Id::Journal(at), record.uid, record.key, record.epoch));
                self.reread += 1;
            }
            at += 1;
        }
        let lost = self.machine.lose(from..at);
        self.again = at;
        if lost == 0 {
            return;
        }
        let progress = self.machine.progress();
        let missing = (1..self.oldest).filter(|number| {
            let known = self.known.get(&Id::Journal(*number));
            progress.contains(*number) && known.is_some_and(|(_, known)| *known == Known::Open)
        });
        let missing: Vec<u64> = missing.collect();
        assert_eq!(missing.len() as u64, lost);
        for number in missing {
            self.expired.insert(self.record(number).uid);
            self.know(Id::Journal(number), self.record(number).uid, Known::Lost);
        }
    }

    fn know(&mut self, id: Id, uid: Uid, known: Known) {
        self.known.insert(id, (uid, known));
        let open = self.open.entry(self.keys[&uid]).or_default();
        if known == Known::Open {
            open.insert(id)
        } else {
            open.remove(&id)
        };
    }

    fn send(&mut self) {
        for lane in 0..self.flights.len() {
            if let Some(batch) = self.machine.next(lane, self.now) {
                self.check_batch(&batch);
                let (wait, result) = self.server.serve(&batch.items);
                self.flights[lane] = Some(Flight { items: batch.items, due: self.now + wait, result });
            }
        }
    }

    /// Laws 2 and 4, and the limits.
    fn check_batch(&self, batch: &Batch) {
        let limits = self.settings.limits;
        let bytes: usize = batch.items.iter().map(|item| item.payload.len()).sum();
        assert!(!batch.items.is_empty() && batch.items.len() <= limits.items);
        assert!(bytes <= limits.bytes || batch.items.len() == 1);
        let mut before = BTreeSet::new();
        for item in &*batch.items {
            let (uid, known) = self.known[&item.id];
            assert_eq!(known, Known::Open, "{:?} was confirmed and is sent again", item.id);
            let flying = self.flights.iter().flatten().flat_map(|flight| &*flight.items);
            for other in flying {
                assert_ne!(other.id, item.id, "sent twice at once");
                let apart = limits.order == Order::Free || other.key != item.key;
                assert!(apart, "{:?} is sent beside {:?}", item.id, other.id);
            }
            for older in self.open[&self.keys[&uid]].range(..item.id) {
                let allowed = match limits.order {
                    Order::OneByOne => false,
                    Order::Kept => before.contains(older),
                    Order::Free => true,
                };
                assert!(allowed, "{:?} is sent before {older:?}", item.id);
            }
            assert!(before.insert(item.id), "twice in a request");
        }
    }

    fn answer(&mut self) {
        for lane in 0..self.flights.len() {
            if self.flights[lane].as_ref().is_none_or(|flight| flight.due > self.now) {
                continue;
            }
            let flight = self.flights[lane].take().unwrap();
            if let Ok(fates) = &flight.result {
                let mut broken = BTreeSet::new();
                let kept = self.settings.limits.order == Order::Kept;
                for (item, fate) in flight.items.iter().zip(fates) {
                    match fate {
                        Fate::Later(_) | Fate::Unanswered(_) => {
                            broken.insert(item.key());
                        }
                        Fate::Taken | Fate::Cut | Fate::Stale(_)
                            if !(kept && broken.contains(&item.key())) =>
                        {
                            self.know(item.id, item.sequence, Known::Confirmed);
                        }
                        _ => {}
                    }
                }
            }
            self.machine.answered(lane, flight.result, self.now);
        }
        if self.faults && self.random.once_in(3) {
            return;
        }
        for dead in self.machine.take_dead() {
            // Sometimes written and not confirmed before a crash: then it comes twice.
            self.letters.push(dead.item.sequence);
            self.know(dead.item.id, dead.item.sequence, Known::Dead);
            self.machine.letter_written(&dead);
        }
        for letter in self.machine.take_letters_done() {
            assert!(self.retrying.remove(&letter).is_some(), "letter {letter} is done twice");
        }
    }

    fn retry(&mut self) {
        let count = self.letters.len() as u64;
        if count > 0 && self.machine.letters_fit() > 0 {
            let uid = self.letters.swap_remove(self.random.below(count) as usize);
            self.retrying.insert(self.next_letter, uid);
            self.give_letter(self.next_letter, uid);
            self.next_letter += 1;
        }
    }

    fn give_letter(&mut self, letter: u64, uid: Uid) {
        self.retried_keys.insert(self.keys[&uid]);
        self.know(Id::Letter(letter), uid, Known::Open);
        self.machine.retry(Self::item(Id::Letter(letter), uid, self.keys[&uid], 0), self.now);
    }

    fn set_faults(&self, on: bool) {
        let some = Faults { write: 4, sync: 4, ..Faults::default() };
        self.disk.set_faults(if on { some } else { Faults::default() });
    }

    fn write(&mut self, sync: bool) {
        self.check_progress();
        let progress = self.machine.progress();
        let faulty = self.faults && self.random.once_in(5);
        self.set_faults(faulty);
        let result = if sync { self.file.sync(&progress) } else { self.file.write(&progress) };
        self.set_faults(false);
        match result {
            Ok(()) if sync => (self.written, self.synced) = (progress.clone(), progress),
            Ok(()) => self.written = progress,
            // The slot may be torn. The one that was synced last is whole.
            Err(_) => self.written = self.synced.clone(),
        }
    }

    /// Laws 1, 3, 6, 7 and 11.
    fn check_progress(&self) {
        let progress = self.machine.progress();
        assert_eq!(progress.cursor, self.machine.cursor());
        assert!(progress.cursor >= self.written.cursor || self.crashes > 0);
        let (parked, letters) = (self.machine.parked(), self.machine.letters());
        assert!(self.machine.open() - parked <= self.room.items && parked <= self.room.parked);
        assert!(letters <= MOST_LETTERS);
        let mut open = 0;
        let letters = self.known.range(Id::Letter(0)..=Id::Letter(u64::MAX));
        let letters = letters.filter(|(_, (_, known))| *known == Known::Open);
        let letters: BTreeSet<u64> = letters.map(|(_, (uid, _))| self.keys[uid]).collect();
        let mut waits = BTreeSet::new();
        for number in 1..self.machine.position() {
            let done = progress.contains(number);
            let Some((uid, known)) = self.known.get(&Id::Journal(number)) else {
                assert!(done, "{number} is neither open nor done");
                continue;
            };
            open += usize::from(!done);
            let key = self.keys[uid];
            match known {
                Known::Open => assert!(!done, "{number} is done and was never confirmed"),
                Known::Dead => assert!(done, "{number} is dead and not done"),
                Known::Lost => assert!(done, "{number} is lost and not done"),
                // What follows an open one of its key is not done either: after a crash both come again, in order.
                Known::Confirmed => {
                    let held = self.settings.limits.order != Order::Free && waits.contains(&key);
                    // It may have followed a letter that is open.
                    let behind_letter = !done && letters.contains(&key);
                    assert!(done != held || behind_letter, "{number} was confirmed; done: {done}");
                }
            }
            if !done {
                waits.insert(key);
            }
        }
        assert_eq!(self.machine.open(), open);
    }

    /// Time passes, to the next event or not so far.
    fn pass_time(&mut self) {
        let due = self.flights.iter().flatten().map(|flight| flight.due);
        let next = due.chain(self.machine.wake()).min();
        let some = self.now + Duration::from_millis(self.random.below(100));
        self.now =
            if self.faults && self.random.once_in(2) { some } else { next.unwrap_or(some).max(self.now) };
        self.machine.tick(self.now);
    }

    fn step(&mut self, keys: u64) {
        match self.random.below(100) {
            0..15 => {
                let count = 1 + self.random.below(12);
                self.append(count, keys);
            }
            15..35 => {
                let most = 1 + self.random.below(30);
                self.read(most);
                if self.random.once_in(2) {
                    self.read_again(most);
                }
            }
            35..55 => self.send(),
            55..75 => self.pass_time(),
            75..82 => self.write(false),
            82..86 => self.write(true),
            86..89 => self.journal_synced = self.journal.len(),
            89..91 => self.retry(),
            91..94 => {
                let up = self.random.once_in(2);
                let moods = [Mood::Away, Mood::Busy, Mood::Refusing];
                self.server.mood = if up { Mood::Up } else { moods[self.random.below(3) as usize] };
            }
            94 if self.drops => {
                let most = (self.journal_synced as u64 + 1).max(self.oldest);
                self.oldest += self.random.below(most - self.oldest + 1) / 4;
            }
            95 => self.crash(false),
            96 => self.crash(true),
            _ => {}
        }
        self.answer();
    }

    /// The server is well, and time passes until everything is taken or dead.
    fn finish(&mut self) {
        (self.faults, self.server.faults) = (false, false);
        self.server.mood = Mood::Up;
        let start = self.now;
        let all = self.next_number();
        // Items of one key are given up one after the other.
        let slow = |nature: &&Nature| {
            !matches!(nature, Nature::Good | Nature::Rejected | Nature::Spoils | Nature::Later(_))
        };
        let longest = (self.server.natures.values().filter(slow).count() as u32 + 2) * 2 * GIVEN_UP;
        // An item that silences the server is given up only if the server takes something else.
        let mut fill = 0;
        let mut last = Mono::default();
        while self.machine.cursor() < all || !self.retrying.is_empty() {
            assert!(self.now.since(start) < longest, "not drained: {:?}", self.machine);
            if self.now.since(last) > Duration::from_mins(5) {
                last = self.now;
                fill += 1;
                let uid = self.server.good_outcome();
                self.keys.insert(uid, 1_000_000 + fill);
                self.journal.push(Record { uid, epoch: self.epoch, key: 1_000_000 + fill, ours: true });
            }
            self.read_again(u64::MAX);
            self.read(u64::MAX);
            self.send();
            self.pass_time();
            self.answer();
        }
        self.write(true);
        self.check_end(all);
    }

    fn check_end(&self, all: u64) {
        let order = self.settings.limits.order;
        let letters: BTreeSet<Uid> = self.letters.iter().copied().collect();
        let mut last: HashMap<u64, Uid> = HashMap::new();
        for number in 1..all {
            let record = self.record(number);
            if !record.ours {
                assert!(!self.server.taken.contains_key(&record.uid), "{number} is not for this sink");
                continue;
            }
            let taken = self.server.taken.contains_key(&record.uid);
            let expired = self.expired.contains(&record.uid);
            assert!(taken || letters.contains(&record.uid) || expired, "{number} is neither taken nor dead");
            if taken {
                last.insert(record.key, record.uid);
            }
        }
        for (key, uid) in last {
            if order != Order::Free && !self.retried_keys.contains(&key) {
                let known = self.server.log[&key].iter().rev().find(|uid| !self.lost(**uid, all));
                assert_eq!(known, Some(&uid), "the last state of {key}: {:?}", self.server.log[&key]);
            }
        }
        for (uid, count) in &self.server.taken {
            let excuses = self.server.excuses.get(uid).copied().unwrap_or(0);
            assert!(*count <= 1 + excuses, "{uid} was taken {count} times, with {excuses} excuses");
        }
    }

    /// Whether a power cut has taken an outcome from the journal after the server had it.
    fn lost(&self, uid: Uid, all: u64) -> bool {
        !self.journal[..all as usize - 1].iter().any(|record| record.uid == uid)
    }
}

/// Says which run has failed.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

fn run(seed: u64) -> [u64; 5] {
    let _announce = Announce(seed);
    let mut model = Model::new(seed);
    let steps = 20 + model.random.below(400);
    let keys = [1, 3, 50][model.random.below(3) as usize];
    for _ in 0..steps {
        model.step(keys);
    }
    model.finish();
    let (taken, expired) = (model.server.taken.len() as u64, model.expired.len() as u64);
    [model.crashes.into(), model.server.requests, taken, model.reread, expired]
}

#[test]
fn every_outcome_is_taken_or_dead_once_and_in_order() {
    let one = std::env::var("TRAPLINE_SEED").ok().and_then(|seed| seed.parse().ok());
    if let Some(seed) = one {
        run(seed);
        return;
    }
    let factor: u64 = std::env::var("TRAPLINE_CHAOS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let runs = 1000 * factor;
    let mut all = [0; 5];
    for seed in 1..=runs {
        for (sum, more) in all.iter_mut().zip(run(seed)) {
            *sum += more;
        }
    }
    let [crashes, requests, taken, reread, expired] = all;
    println!(
        "{runs} runs: {crashes} crashes, {requests} requests, {taken} outcomes taken, {reread} read again, {expired} lost"
    );
    assert!(crashes > runs / 2 && taken > 10 * runs && reread > 10 * runs && expired > runs);
}
