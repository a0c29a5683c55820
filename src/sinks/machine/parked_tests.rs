//! Hosts and services that are put off hold up no others, however many outcomes they have, and lose nothing.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::{at, item};
use super::*;
use crate::sinks::parking::Room;
use crate::sinks::sink::Order;

/// What the server says to an outcome that it does not take now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Later,
    Away,
    Unanswered,
    Busy,
}

/// A machine with a journal, and a server that does not like some keys.
struct Sim {
    machine: Machine,
    /// The keys of the records, from number 1 on.
    journal: Vec<u64>,
    again: u64,
    says: Says,
    /// Keys below this are not taken.
    noisy: u64,
    now: Mono,
    flights: Vec<Option<(Mono, Batch, bool)>>,
    /// What was taken of each key, in order.
    taken: BTreeMap<u64, Vec<u64>>,
}

impl Sim {
    fn new(limits: Limits, room: Room, says: Says) -> Self {
        let mut machine = tests::machine(limits);
        machine.queue.parking.room = room;
        let flights = (0..limits.lanes).map(|_| None).collect();
        let (journal, again, noisy, now, taken) = (Vec::new(), 0, 0, at(0), BTreeMap::new());
        Sim { machine, journal, again, says, noisy, now, flights, taken }
    }

    /// As the delivery does it.
    fn read(&mut self) {
        while let Some(first) = self.machine.wanted(self.again) {
            let from = if first < self.again { first } else { self.again };
            for number in from..=first {
                if self.machine.wants(number, from) {
                    self.machine.read_again(item(Id::Journal(number), self.journal[number as usize - 1]));
                }
            }
            self.again = first + 1;
            assert_eq!(self.machine.lose(from..self.again), 0);
        }
        while self.machine.is_hungry(self.now)
            && let number = self.machine.position()
            && let Some(key) = self.journal.get(number as usize - 1)
        {
            self.machine.read(item(Id::Journal(number), *key), self.now);
        }
    }

    fn step(&mut self) {
        self.machine.tick(self.now);
        for lane in 0..self.flights.len() {
            let Some((_, batch, dislikes)) = self.flights[lane].take_if(|(due, ..)| *due <= self.now) else {
                continue;
            };
            let mut fates = Vec::new();
            let mut broken = BTreeSet::new();
            for item in &*batch.items {
                let is_noisy = (dislikes && item.key() < self.noisy) || broken.contains(&item.key());
                if is_noisy {
                    broken.insert(item.key());
                }
                fates.push(if is_noisy { Fate::Later("not now".into()) } else { Fate::Taken });
            }
            let result = match self.says {
                Says::Away if !broken.is_empty() => Err(Trouble::Away("gone".into(), "start it")),
                Says::Unanswered if !broken.is_empty() => Err(Trouble::Unanswered("silent".into(), "see it")),
                Says::Busy if !broken.is_empty() => Err(Trouble::Busy("busy".into(), Duration::ZERO)),
                _ => {
                    for item in batch.items.iter().filter(|item| !broken.contains(&item.key())) {
                        self.taken.entry(item.key()).or_default().push(item.sequence);
                    }
                    Ok(fates)
                }
            };
            self.machine.answered(lane, result, self.now);
        }
        self.machine.tick(self.now);
        self.read();
        for lane in 0..self.flights.len() {
            if self.flights[lane].is_none()
                && let Some(batch) = self.machine.next(lane, self.now)
            {
                self.flights[lane] = Some((self.now + Duration::from_millis(20), batch, self.noisy > 0));
            }
        }
        let parked = self.machine.parked();
        assert!(self.machine.open() - parked <= self.machine.queue.parking.room.items);
        let due = self.flights.iter().flatten().map(|(due, ..)| *due);
        let next = due.chain(self.machine.wake()).min().unwrap_or(self.now);
        self.now = next.max(self.now + Duration::from_millis(1));
    }

    fn taken_from(&self, keys: std::ops::Range<u64>) -> usize {
        self.taken.range(keys).map(|(_, numbers)| numbers.len()).sum()
    }

    fn until(&mut self, what: &str, longest: Duration, holds: impl Fn(&Self) -> bool) {
        let start = self.now;
        while !holds(self) {
            assert!(self.now.since(start) < longest, "{what}: {:?}", self.taken);
            self.step();
        }
    }

    /// So many records of each noisy key, with others among them; then the server takes all.
    fn run(&mut self, noisy: u64, noise: u64, longest: Duration) {
        self.noisy = noisy;
        let healthy = 60;
        for n in 0..healthy {
            self.journal.extend((0..noise / healthy).map(|n| n % noisy));
            self.journal.push(noisy + n % 4);
        }
        self.until("others", longest, |sim| sim.taken_from(noisy..u64::MAX) == healthy as usize);
        assert_eq!((self.taken_from(0..noisy), self.machine.cursor()), (0, 1));
        let done: u64 = self.machine.progress().done.iter().map(|range| range.end - range.start).sum();
        assert_eq!(done, healthy, "what waits is not done");
        self.noisy = 0;
        // A key waits for up to five minutes, and a half more.
        let all = self.journal.len();
        self.until("all", Duration::from_mins(30), |sim| sim.taken_from(0..u64::MAX) == all);
        self.until("what is under way", Duration::from_mins(1), |sim| sim.machine.is_quiet());
        assert_eq!((self.machine.open(), self.machine.parked()), (0, 0));
        assert_eq!(self.machine.progress(), Progress::before(all as u64 + 1));
        for (key, numbers) in &self.taken {
            let expected = (1..).zip(&self.journal).filter(|(_, of)| *of == key).map(|(number, _)| number);
            let mut numbers = numbers.clone();
            if self.machine.limits.order == Order::Free {
                numbers.sort_unstable();
            }
            assert!(expected.eq(numbers.iter().copied()), "{key}: {numbers:?}");
        }
    }
}

fn order() -> impl Strategy<Value = Order> {
    prop::sample::select(vec![Order::OneByOne, Order::Kept, Order::Free])
}

proptest! {
    /// However small the room is.
    #[test]
    fn keys_that_are_put_off_hold_up_no_other(
        (order, lanes, items) in (order(), 1..4_usize, prop::sample::select(vec![1_usize, 7, 100])),
        (room, wanted, noisy) in (1..60_usize, 1..30_usize, 1..20_u64),
        noise in 60..1000_u64,
    ) {
        let limits = Limits { lanes, items, bytes: usize::MAX, order, linger: Duration::ZERO };
        let room = Room { items: room, parked: 2000, keys: 2000, wanted };
        // With a key for each item, many are tried again in between.
        let longest = Duration::from_mins(if order == Order::Free { 15 } else { 2 });
        Sim::new(limits, room, Says::Later).run(noisy, noise, longest);
    }

    /// The same where the server says nothing of the outcomes that it does not like.
    #[test]
    fn keys_that_silence_the_server_hold_up_no_other(
        (order, lanes, items) in (order(), 1..4_usize, prop::sample::select(vec![1_usize, 7, 100])),
        (room, wanted, noisy) in (10..60_usize, 1..30_usize, 1..20_u64),
        noise in 60..600_u64,
        says in prop::sample::select(vec![Says::Away, Says::Unanswered, Says::Busy]),
    ) {
        // With a key for each item, each has to be tried.
        prop_assume!(order != Order::Free);
        let limits = Limits { lanes, items, bytes: usize::MAX, order, linger: Duration::ZERO };
        let room = Room { items: room, parked: 2000, keys: 2000, wanted };
        // Each is tried twice, and each time there is a pause.
        Sim::new(limits, room, says).run(noisy, noise, Duration::from_mins(15 + 2 * noisy));
    }
}

#[test]
fn where_no_number_can_be_parked_nothing_more_is_read() {
    let limits = Limits { items: 5, order: Order::OneByOne, ..Limits::default() };
    let room = Room { items: 10, parked: 100, keys: 100, wanted: 5 };
    let mut sim = Sim::new(limits, room, Says::Later);
    sim.noisy = 1;
    sim.journal = vec![0; 500];
    for _ in 0..100 {
        sim.step();
    }
    let read = sim.machine.position() - 1;
    assert!((100..=110).contains(&read) && sim.machine.parked() <= 100, "{read}");
    sim.noisy = 0;
    sim.until("all", Duration::from_mins(30), |sim| sim.taken_from(0..1) == 500);
    assert!(sim.taken[&0].iter().copied().eq(1..=500));
}

/// What is parked keeps when it came and what is known of it.
#[test]
fn what_is_parked_is_given_up_as_any_other() {
    let limits = Limits { items: 5, order: Order::OneByOne, ..Limits::default() };
    let room = Room { items: 4, parked: 1000, keys: 100, wanted: 3 };
    let mut sim = Sim::new(limits, room, Says::Later);
    sim.noisy = 1;
    sim.journal = (0..30).flat_map(|n| [0, 0, n + 1]).collect();
    sim.until("others", Duration::from_mins(1), |sim| sim.taken_from(1..100) == 30);
    let start = at(0);
    let mut dead = Vec::new();
    while dead.len() < 60 {
        sim.step();
        assert!(sim.now.since(start) < GIVE_UP + Duration::from_mins(20), "{dead:?}");
        for one in sim.machine.take_dead() {
            assert!(sim.now.since(start) >= GIVE_UP, "{one:?}");
            dead.push(one.item.sequence);
            sim.machine.letter_written(&one);
        }
    }
    assert!(dead.is_sorted());
    assert_eq!((sim.machine.open(), sim.machine.cursor()), (0, 91));
}

/// As many as a file of the progress must hold.
#[test]
fn the_most_open_outcomes_have_a_place_in_the_file() {
    use crate::files::faulty::Faulty;
    use crate::journal::progress::ProgressFile;
    use crate::sinks::parking::MOST_PARKED;

    let ranges = (MOST_PARKED + MOST_OPEN + 1) as u64;
    let progress = Progress { cursor: 1, done: (1..=ranges).map(|n| 2 * n..2 * n + 1).collect() };
    let (disk, path) = (Faulty::new(1), std::path::Path::new("/journal/cursors/sink"));
    for _ in 0..2 {
        let (mut file, ..) = ProgressFile::open_for_tests(&disk, path, 1, 1 << 40);
        file.sync(&progress).unwrap();
        assert!(ProgressFile::open_for_tests(&disk, path, 1, 1 << 40).1 == progress);
    }
}
