use std::collections::BTreeMap;

use super::tests::{at, item, limits, machine, read, taken};
use super::*;
use crate::sinks::acks::in_order;
use crate::sinks::sink::Order;
use crate::sinks::trouble::MOST_REFUSED;

/// What a server says to a request with an item that it does not like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Away,
    Refused,
    Busy,
    /// It asks for more than the sink would pause by itself.
    BusyForLong,
    Unanswered,
    /// It answers the others of the request.
    Unacknowledged,
    Halve,
}

impl Says {
    const ALL: [Says; 7] = [
        Says::Away,
        Says::Refused,
        Says::Busy,
        Says::BusyForLong,
        Says::Unanswered,
        Says::Unacknowledged,
        Says::Halve,
    ];

    fn trouble(self) -> (Duration, Trouble) {
        let ms = Duration::from_millis;
        match self {
            Says::Away => (ms(1), Trouble::Away("too long".into(), "start it")),
            Says::Refused => (ms(20), Trouble::Refused("403".into(), "check it")),
            Says::Busy => (ms(20), Trouble::Busy("503".into(), Duration::ZERO)),
            Says::BusyForLong => (ms(20), Trouble::Busy("503".into(), Duration::from_mins(1))),
            Says::Unanswered | Says::Unacknowledged => {
                (Duration::from_secs(30), Trouble::Unanswered("closed".into(), "see its log"))
            }
            Says::Halve => (ms(20), Trouble::Halve("one of them".into())),
        }
    }
}

/// A request under way.
struct Flight {
    due: Mono,
    lane: usize,
    result: Result<Vec<Fate>, Trouble>,
    numbers: Vec<u64>,
}

/// A machine with a server that does not like some items.
struct Sim {
    machine: Machine,
    says: Says,
    bad: Vec<u64>,
    /// Whether it says so to everything.
    all: bool,
    now: Mono,
    flights: Vec<Flight>,
    requests: usize,
    /// Requests with items that it does not like, and when they were sent.
    tries: Vec<(Mono, Vec<u64>)>,
    /// When each was taken or died.
    taken: BTreeMap<u64, Mono>,
    dead: BTreeMap<u64, (Mono, String)>,
}

impl Sim {
    fn new(limits: Limits, says: Says, bad: &[u64]) -> Self {
        Sim {
            machine: machine(limits),
            says,
            bad: bad.to_vec(),
            all: false,
            now: at(0),
            flights: Vec::new(),
            requests: 0,
            tries: Vec::new(),
            taken: BTreeMap::new(),
            dead: BTreeMap::new(),
        }
    }

    /// Goes on for some time, or until nothing is open.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.machine.open() > 0 {
            self.machine.tick(self.now);
            for lane in 0..8 {
                if let Some(batch) = self.machine.next(lane, self.now) {
                    self.send(lane, &batch);
                }
            }
            let due = self.flights.iter().map(|flight| flight.due).min();
            let next = due.into_iter().chain(self.machine.wake()).min().expect("it waits for nothing");
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            while let Some(at) = self.flights.iter().position(|flight| flight.due <= self.now) {
                let Flight { lane, result, numbers, .. } = self.flights.swap_remove(at);
                for (number, _) in
                    numbers.iter().zip(result.iter().flatten()).filter(|(_, fate)| **fate == Fate::Taken)
                {
                    self.taken.insert(*number, self.now);
                }
                self.machine.answered(lane, result, self.now);
            }
            for dead in self.machine.take_dead() {
                let reason = dead.reason.as_str().to_owned();
                self.dead.insert(dead.item.sequence, (self.now, reason));
                self.machine.letter_written(&dead);
            }
        }
    }

    fn send(&mut self, lane: usize, batch: &Batch) {
        self.requests += 1;
        let numbers: Vec<u64> = batch.items.iter().map(|item| item.sequence).collect();
        let is_bad = |number: &u64| self.all || self.bad.contains(number);
        let bad = numbers.iter().filter(|number| is_bad(number)).count();
        if bad > 0 {
            self.tries.push((self.now, numbers.clone()));
        }
        let (takes, result) = if self.says == Says::Unacknowledged && bad > 0 && bad < numbers.len() {
            let mut fates: Vec<Fate> = numbers
                .iter()
                .map(|n| if is_bad(n) { Fate::Unanswered("none".into()) } else { Fate::Taken })
                .collect();
            if self.machine.limits.order == Order::Kept {
                in_order(&batch.items, &mut fates);
            }
            (Duration::from_secs(5), Ok(fates))
        } else if bad > 0 {
            let (takes, trouble) = self.says.trouble();
            (takes, Err(trouble))
        } else {
            (Duration::from_millis(5), taken(numbers.len()))
        };
        self.flights.push(Flight { due: self.now + takes, lane, result, numbers });
    }
}

/// Every way to send: order, lanes, items a request, and how many keys.
fn ways() -> impl Iterator<Item = (Limits, u64)> {
    let orders = [Order::OneByOne, Order::Kept, Order::Free];
    let ways = orders.into_iter().flat_map(|order| {
        [(1, 1), (1, 50), (4, 1), (4, 50)].map(|(lanes, items)| limits(order, lanes, items))
    });
    ways.flat_map(|limits| [3, 40, 1000].map(|keys| (limits, keys)))
}

/// What a server says to one outcome only must not hold up those of other keys, and that outcome is given up in the end.
#[test]
fn what_one_item_meets_is_not_what_the_server_says() {
    for says in Says::ALL {
        for (limits, keys) in ways() {
            let what = format!("{says:?}, {limits:?}, {keys} keys");
            let bad = [1, 77, 78];
            let mut sim = Sim::new(limits, says, &bad);
            read(&mut sim.machine, &(1..=200).map(|n| n % keys).collect::<Vec<_>>());
            // Each half waits as long as the server asks.
            sim.run(Duration::from_mins(if says == Says::BusyForLong { 60 } else { 20 }));
            let bad_keys = bad.map(|number| number % keys);
            let others = (1..=200).filter(|n| !bad_keys.contains(&(n % keys)));
            for number in others {
                assert!(sim.taken.contains_key(&number), "{number} is held up: {what}");
            }
            // What comes later is delivered soon.
            let mut longest = Duration::ZERO;
            for key in 10_000..10_030 {
                let (number, before) = (sim.machine.position(), sim.now);
                read(&mut sim.machine, &[key]);
                sim.run(Duration::from_mins(5));
                sim.now = sim.now.max(before + Duration::from_mins(5));
                let taken = sim.taken.get(&number);
                assert!(taken.is_some(), "{number} waits for 5 min: {what}");
                longest = longest.max(taken.unwrap().since(before));
            }
            // A lane may be with the bad one, and waits for its answer.
            assert!(longest < Duration::from_secs(62), "{longest:?}: {what}");
            // While there is something else that is taken now and then, what is bad is given up.
            for key in 20_000..20_400 {
                if sim.dead.len() == bad.len() {
                    break;
                }
                read(&mut sim.machine, &[key]);
                let before = sim.now;
                sim.run(Duration::from_mins(15));
                sim.now = sim.now.max(before + Duration::from_mins(15));
            }
            assert!(sim.dead.keys().eq(&bad), "{:?}: {what}", sim.dead.keys());
            for (when, reason) in sim.dead.values() {
                if says == Says::Halve {
                    assert_eq!(reason, "one of them", "{what}");
                } else {
                    assert!(reason.starts_with("not taken for 1d; the last answer: "), "{reason}: {what}");
                    assert!(when.since(at(0)) >= GIVE_UP, "{what}");
                }
            }
            assert_eq!(sim.machine.open(), 0, "{what}");
        }
    }
}

/// While there is always something else to send, what is never answered has half of the time of its lane at most, is tried ever more seldom,
/// never goes with what is new again, and delays nothing by more than one of its tries.
#[test]
fn what_is_never_answered_has_half_of_the_time_at_most() {
    let one_lane = ways().filter(|(limits, keys)| limits.lanes == 1 && *keys == 1000);
    for (limits, _) in one_lane {
        for says in [Says::Unanswered, Says::Unacknowledged] {
            for bad in [&[77][..], &[20, 77, 78, 140]] {
                let what = format!("{says:?}, {limits:?}, {bad:?}");
                let mut sim = Sim::new(limits, says, bad);
                let (mut longest, mut came) = (Duration::ZERO, Vec::new());
                for second in 0..7200 {
                    let (number, now) = (sim.machine.position(), at(second * 1000));
                    sim.now = sim.now.max(now);
                    sim.machine.read(item(Id::Journal(number), number), now);
                    came.push((number, now));
                    sim.run(at((second + 1) * 1000).since(sim.now));
                }
                sim.run(Duration::from_secs(40));
                let settled = at(1_800_000);
                for (number, when) in came.iter().filter(|(number, _)| !bad.contains(number)) {
                    let taken = sim.taken.get(number).unwrap_or_else(|| panic!("{number} waits: {what}"));
                    longest = if *when < settled { longest } else { longest.max(taken.since(*when)) };
                }
                assert!(longest < Duration::from_secs(32), "{longest:?}: {what}");
                let tries: Vec<_> = sim.tries.iter().filter(|(when, _)| *when >= settled).collect();
                let half = (7200 - 1800) / 2 / 30;
                assert!(tries.len() <= half + 1, "{} tries: {what}", tries.len());
                for number in bad {
                    let own: Vec<&Mono> =
                        tries.iter().filter(|(_, own)| own.contains(number)).map(|(when, _)| when).collect();
                    // Five minutes at most, and up to a half of that at least.
                    let (least, most) = ((7200 - 1800) / 360, (7200 - 1800) / 150 + 2);
                    assert!((least..=most).contains(&own.len()), "{} of {number}: {what}", own.len());
                }
                if says == Says::Unacknowledged {
                    for number in bad {
                        let mixed = sim.tries.iter().filter(|(_, own)| {
                            own.contains(number) && own.iter().any(|other| !bad.contains(other))
                        });
                        let mixed = mixed.count();
                        assert!(mixed <= 1, "{number} was mixed {mixed} times: {what}");
                    }
                }
            }
        }
    }
}

/// What the server says to everything is its trouble: nothing is given up, whatever time it takes, and all is sent soon
/// when it is well again, in not many more requests than without.
#[test]
fn what_the_server_says_to_all_makes_no_dead_letters() {
    for says in Says::ALL {
        for (limits, keys) in ways() {
            let what = format!("{says:?}, {limits:?}, {keys} keys");
            let mut well = Sim::new(limits, says, &[]);
            let mut sim = Sim::new(limits, says, &[]);
            sim.all = true;
            for hour in 0..60 {
                for sim in [&mut well, &mut sim] {
                    read(&mut sim.machine, &(0..10).map(|n| (hour * 10 + n) % keys).collect::<Vec<_>>());
                }
                sim.run(Duration::from_hours(1));
            }
            let most = if says == Says::Halve { MOST_REFUSED as usize } else { 0 };
            assert!(sim.dead.len() <= most, "{} are dead: {what}", sim.dead.len());
            well.run(Duration::from_hours(1));
            sim.all = false;
            let (before, requests) = (sim.now, sim.requests);
            sim.run(Duration::from_hours(1));
            assert_eq!(sim.machine.open(), 0, "{what}");
            // The last request before may take its time, and so may the last pause.
            let took = sim.now.since(before);
            assert!(took < Duration::from_secs(100), "{took:?}: {what}");
            let requests = sim.requests - requests;
            assert!(requests <= 2 * well.requests + 40, "{requests}, else {}: {what}", well.requests);
        }
    }
}

/// An item that makes the server close the connection must not hold up the others, with one lane either.
#[test]
fn an_item_that_is_never_answered_is_found_and_given_up() {
    for (lanes, items) in [(1, 1), (1, 100), (3, 100)] {
        let mut machine = machine(limits(Order::OneByOne, lanes, items));
        read(&mut machine, &(1..=200).collect::<Vec<_>>());
        let (mut now, mut others_done, mut next_key) = (at(0), None, 1000);
        let timeout = Duration::from_secs(30);
        while machine.cursor() <= 200 {
            assert!(now.since(at(0)) < 2 * GIVE_UP, "{lanes} lanes, {items} items");
            machine.tick(now);
            let mut bad = None;
            for lane in 0..lanes {
                while let Some(batch) = machine.next(lane, now) {
                    if batch.items.iter().any(|item| item.sequence == 50) {
                        bad = Some(lane);
                        break;
                    }
                    machine.answered(lane, taken(batch.items.len()), now);
                }
            }
            if let Some(lane) = bad {
                now = now + timeout;
                machine.answered(lane, Err(Trouble::Unanswered("closed".into(), "see its log")), now);
            }
            for dead in machine.take_dead() {
                assert_eq!(dead.item.sequence, 50);
                assert!(now.since(at(0)) >= GIVE_UP);
                machine.letter_written(&dead);
            }
            if machine.open() == 1 && others_done.is_none() {
                others_done = Some(now.since(at(0)));
            }
            if bad.is_none() {
                now = machine.wake().unwrap_or(now).max(now + Duration::from_secs(1));
            }
            // There is always something else that the server takes.
            if machine.open() == 1 {
                next_key += 1;
                read(&mut machine, &[next_key]);
            }
        }
        let others_done = others_done.unwrap();
        assert!(others_done < Duration::from_mins(20), "{others_done:?} with {lanes} lanes, {items} items");
    }
}

/// Answers good items, and never those of these numbers, until nothing is open or a time is over. Gives what became a dead
/// letter, and when.
fn without_answers(machine: &mut Machine, silent: &[u64], time: Duration) -> Vec<(u64, Duration, String)> {
    let (mut now, mut died) = (at(0), Vec::new());
    while machine.open() > 0 && now.since(at(0)) < time {
        machine.tick(now);
        while let Some(batch) = machine.next(0, now) {
            if batch.items.iter().any(|item| silent.contains(&item.sequence)) {
                now = now + Duration::from_secs(30);
                machine.answered(0, Err(Trouble::Unanswered("closed".into(), "see its log")), now);
            } else {
                machine.answered(0, taken(batch.items.len()), now);
            }
        }
        for dead in machine.take_dead() {
            died.push((dead.item.sequence, now.since(at(0)), dead.reason.as_str().to_owned()));
            machine.letter_written(&dead);
        }
        now = machine.wake().unwrap_or(now).max(now + Duration::from_millis(1));
    }
    died
}

/// The journal waits for an item to be done, and so does what would show that the server answers.
#[test]
fn the_last_item_is_given_up_if_nothing_else_can_come() {
    for order in [Order::OneByOne, Order::Kept, Order::Free] {
        for silent in [&[7][..], &[1, 40], &[38, 39, 40]] {
            for (full, days) in [(true, 2), (false, 4)] {
                let mut machine = machine(limits(order, 1, 10));
                read(&mut machine, &(1..=40).collect::<Vec<_>>());
                machine.set_journal_full(full);
                let time = GIVE_UP * days;
                let died = without_answers(&mut machine, silent, time);
                let numbers: Vec<u64> = died.iter().map(|(number, ..)| *number).collect();
                if !full {
                    assert_eq!((numbers.len(), machine.open()), (0, silent.len()), "{order:?} {silent:?}");
                    continue;
                }
                // The later ones may be given up before the first, and all within one more pause.
                let all: std::collections::BTreeSet<u64> = numbers.into_iter().collect();
                assert!(all.iter().eq(silent), "{order:?} {silent:?}: {died:?}");
                for (_, when, reason) in &died {
                    assert!(*when >= GIVE_UP && *when < GIVE_UP + Duration::from_hours(1), "{died:?}");
                    assert_eq!(
                        reason,
                        "not taken for 1d and never answered, while the journal is full: closed"
                    );
                }
            }
        }
    }
}

/// Something that was not tried may be answered: then the server is no reason to give up what was.
#[test]
fn nothing_is_given_up_while_there_is_more_to_try() {
    let mut machine = machine(limits(Order::OneByOne, 1, 1));
    machine.set_journal_full(true);
    read(&mut machine, &[1, 2]);
    let mut now = at(0);
    while now.since(at(0)) < 3 * GIVE_UP {
        machine.tick(now);
        if machine.next(0, now).is_some() {
            machine.answered(0, Err(Trouble::Unanswered("closed".into(), "see its log")), now);
        }
        assert!(machine.take_dead().is_empty(), "after {:?}", now.since(at(0)));
        // Each hour something new, which nobody has tried.
        let key = machine.position() + 100;
        read(&mut machine, &[key]);
        now = now + Duration::from_hours(1);
    }
}

/// One item may be given up while others without an answer wait: its key goes with it, and is not waited for.
#[test]
fn a_key_that_goes_with_its_dead_item_is_not_waited_for() {
    for order in [Order::OneByOne, Order::Kept, Order::Free] {
        let mut queue = Queue::plain(limits(order, 1, 2), Progress::before(1));
        for number in 1..=2 {
            queue.push(item(Id::Journal(number), number), at(0));
        }
        let places = queue.take(2, usize::MAX, false);
        assert!(queue.set_aside(&places));
        for place in places {
            queue.item(place).unanswered = Some(0);
            let keys = queue.keys_of(&[place]);
            match queue.item(place).item.sequence {
                1 => queue.reject(place, "given up".into()),
                _ => queue.again(place),
            }
            queue.settle(&keys);
        }
        let dead = queue.take_dead();
        queue.letter_written(&dead[0]);
        assert!(queue.oldest_ready().is_none(), "{order:?}: the other one is a suspect");
        queue.probe();
        assert!(!queue.has_suspects());
        let next: Vec<u64> = queue
            .take(2, usize::MAX, false)
            .into_iter()
            .map(|place| queue.item(place).item.sequence)
            .collect();
        assert_eq!(next, [2], "{order:?}");
    }
}
