use super::*;
use crate::sinks::sink::{Key, Order};
use crate::time::receipts::Moment;

pub(super) fn at(ms: u64) -> Mono {
    Mono::from_nanos(1_000_000_000_000 + ms * 1_000_000)
}

pub(super) fn limits(order: Order, lanes: usize, items: usize) -> Limits {
    Limits { lanes, items, bytes: usize::MAX, order, linger: Duration::ZERO }
}

pub(super) fn machine(limits: Limits) -> Machine {
    Machine::new(Settings { limits, rate: None, give_up: GIVE_UP }, Progress::before(1), 1)
}

/// Done before a cursor, and from each first number up to its second.
fn progress(cursor: u64, done: &[(u64, u64)]) -> Progress {
    Progress { cursor, done: done.iter().map(|(start, end)| *start..*end).collect() }
}

pub(super) fn item(id: Id, key: u64) -> Item {
    let (Id::Journal(sequence) | Id::Letter(sequence)) = id;
    let (key, received) = (Key::Known(key), Moment::default());
    Item { id, epoch: 1, sequence, key, time: 0, received, payload: vec![0; 10].into() }
}

pub(super) fn read(machine: &mut Machine, keys: &[u64]) {
    for key in keys {
        machine.read(item(Id::Journal(machine.position()), *key), at(0));
    }
}

pub(super) fn numbers(batch: Option<Batch>) -> Vec<u64> {
    batch.map(|batch| batch.items.iter().map(|item| item.sequence).collect()).unwrap_or_default()
}

#[allow(clippy::unnecessary_wraps, reason = "an answer as a lane gives it")]
pub(super) fn taken(count: usize) -> Result<Vec<Fate>, Trouble> {
    Ok(vec![Fate::Taken; count])
}

fn later() -> Fate {
    Fate::Later("not now".into())
}

#[allow(clippy::unnecessary_wraps, reason = "an answer as a lane gives it")]
fn away() -> Result<Vec<Fate>, Trouble> {
    Err(Trouble::Away("nobody there".into(), "start it"))
}

#[test]
fn one_by_one_sends_the_oldest_of_each_key() {
    let mut machine = machine(limits(Order::OneByOne, 2, 2));
    read(&mut machine, &[7, 7, 8, 9, 9]);
    assert_eq!(numbers(machine.next(0, at(0))), [1, 3]);
    assert_eq!(numbers(machine.next(1, at(0))), [4]);
    assert_eq!(machine.answered(0, taken(2), at(1)).taken, 2);
    assert_eq!(machine.cursor(), 2);
    assert_eq!(numbers(machine.next(0, at(1))), [2]);
    machine.answered(1, taken(1), at(2));
    assert_eq!(machine.progress(), progress(2, &[(3, 5)]));
    assert_eq!(numbers(machine.next(1, at(2))), [5]);
    machine.answered(0, taken(1), at(3));
    machine.answered(1, taken(1), at(3));
    assert_eq!((machine.progress(), machine.open()), (Progress::before(6), 0));
}

#[test]
fn kept_sends_all_of_a_key_in_one_request_and_none_beside_it() {
    let mut machine = machine(limits(Order::Kept, 2, 3));
    read(&mut machine, &[7, 7, 8, 7, 8]);
    assert_eq!(numbers(machine.next(0, at(0))), [1, 2, 3]);
    assert_eq!(numbers(machine.next(1, at(0))), [] as [u64; 0]);
    read(&mut machine, &[9]);
    assert_eq!(numbers(machine.next(1, at(0))), [6]);
    machine.answered(0, taken(2), at(1));
    assert_eq!(machine.cursor(), 3, "what is beyond the answer was not sent");
    assert_eq!(numbers(machine.next(0, at(1))), [3, 4, 5]);
}

#[test]
fn what_follows_an_item_that_is_sent_again_follows_it() {
    let mut machine = machine(limits(Order::Kept, 1, 9));
    read(&mut machine, &[7, 7, 8]);
    assert_eq!(numbers(machine.next(0, at(0))), [1, 2, 3]);
    let settled = machine.answered(0, Ok(vec![later(), Fate::Taken, Fate::Taken]), at(1));
    assert_eq!((settled.taken, settled.later), (1, 1));
    machine.tick(at(300));
    assert_eq!(numbers(machine.next(0, at(300))), [1, 2]);
}

#[test]
fn what_follows_a_dead_item_is_not_done_before_its_letter() {
    let mut machine = machine(limits(Order::Kept, 1, 9));
    read(&mut machine, &[7, 7, 7]);
    machine.next(0, at(0));
    machine.answered(0, Ok(vec![Fate::Dead("no".into()), Fate::Taken]), at(1));
    assert_eq!((machine.cursor(), machine.open()), (1, 3));
    assert_eq!(machine.next(0, at(1)), None);
    let dead = machine.take_dead();
    assert_eq!((dead[0].reason.as_str(), machine.take_dead().len()), ("no", 0));
    machine.letter_written(&dead[0]);
    assert_eq!(machine.cursor(), 3);
    assert_eq!(numbers(machine.next(0, at(1))), [3]);
}

#[test]
fn a_waiting_item_holds_its_own_key_only_and_longer_each_time() {
    let mut machine = machine(limits(Order::OneByOne, 1, 1));
    read(&mut machine, &[7, 7, 8]);
    let mut now = at(0);
    let mut waited = Vec::new();
    for _ in 0..20 {
        assert_eq!(numbers(machine.next(0, now)), [1]);
        machine.answered(0, Ok(vec![later()]), now);
        if let Some(batch) = machine.next(0, now) {
            assert_eq!(batch.items[0].sequence, 3);
            machine.answered(0, taken(1), now);
        }
        let wake = machine.wake();
        waited.push(wake.unwrap().since(now));
        now = wake.unwrap();
        machine.tick(now);
    }
    assert!(waited[0] >= FIRST_PAUSE / 2 && waited[0] <= FIRST_PAUSE, "{waited:?}");
    assert!(waited[19] >= LONGEST_WAIT / 2 && waited[19] <= LONGEST_WAIT, "{waited:?}");
    assert_eq!(machine.progress(), progress(1, &[(3, 4)]));
}

#[test]
fn what_is_not_taken_for_a_day_is_given_up_and_what_waited_behind_it_at_once() {
    let mut machine = machine(limits(Order::OneByOne, 1, 1));
    read(&mut machine, &[7, 7]);
    let mut now = at(0);
    let mut died = Vec::new();
    while machine.open() > 0 {
        machine.tick(now);
        if machine.next(0, now).is_some() {
            machine.answered(0, Ok(vec![later()]), now);
        }
        for dead in machine.take_dead() {
            assert_eq!(dead.reason.as_str(), "not taken for 1d; the last answer: not now");
            died.push(now.since(at(0)));
            machine.letter_written(&dead);
        }
        now = machine.wake().map_or(now, |wake| wake.max(now));
    }
    assert!(died[0] >= GIVE_UP && died[0] < GIVE_UP + LONGEST_WAIT, "{died:?}");
    assert_eq!(died[1], died[0]);
}

/// A lane that keeps an order of its own: however often the others were not tried, they follow when the first is taken.
#[test]
fn what_is_behind_another_follows_it_at_once() {
    for items in [1, 10, 100] {
        let mut machine = machine(limits(Order::Free, 1, items));
        read(&mut machine, &[7; 200]);
        let (mut now, mut first, mut failed) = (at(0), None, 0);
        while machine.open() > 0 {
            machine.tick(now);
            while let Some(batch) = machine.next(0, now) {
                let mut cursor = machine.cursor();
                let mut fate = |item: &Item| {
                    if item.sequence > cursor {
                        return Fate::Behind("an earlier one waits".into());
                    }
                    if now < at(3_600_000) {
                        failed += 1;
                        return later();
                    }
                    cursor += 1;
                    first.get_or_insert(now);
                    Fate::Taken
                };
                let fates = batch.items.iter().map(&mut fate).collect();
                machine.answered(0, Ok(fates), now);
            }
            now = machine.wake().map_or(now, |wake| wake.max(now));
        }
        assert!(failed < 40, "the first one waits longer each time: {failed}");
        assert!(now.since(first.unwrap()) <= BEHIND, "{items}: {:?}", now.since(first.unwrap()));
    }
}

#[test]
fn one_bad_item_of_five_hundred_costs_nineteen_requests() {
    for bad in [1, 2, 250, 251, 333, 500] {
        let mut machine = machine(limits(Order::OneByOne, 1, 500));
        read(&mut machine, &(1..=500).collect::<Vec<_>>());
        // More is there, and is not drawn in.
        read(&mut machine, &(501..=600).collect::<Vec<_>>());
        let mut requests = 0;
        while machine.cursor() <= 500 {
            requests += 1;
            let batch = numbers(machine.next(0, at(0)));
            let answer = if batch.contains(&bad) {
                Err(Trouble::Halve("one of these".into()))
            } else {
                taken(batch.len())
            };
            machine.answered(0, answer, at(0));
            for dead in machine.take_dead() {
                assert_eq!(dead.item.sequence, bad);
                machine.letter_written(&dead);
            }
        }
        assert!(requests <= 19, "{requests} for {bad}");
    }
}

#[test]
fn a_server_that_is_away_is_tried_again_and_nothing_is_given_up() {
    let mut machine = machine(limits(Order::OneByOne, 4, 1));
    read(&mut machine, &[1, 2, 3, 4, 5]);
    let (mut now, mut pauses) = (at(0), Vec::new());
    while pauses.len() < 5000 {
        let sent: Vec<usize> = (0..4).filter(|lane| machine.next(*lane, now).is_some()).collect();
        // What was tried twice goes behind what was not, and then one by one.
        assert!(sent.len() <= if pauses.len() < 5 { 4 } else { 1 }, "after {pauses:?}");
        let before = now;
        for lane in &sent {
            machine.answered(*lane, away(), now);
        }
        assert_eq!(machine.next(0, now), None);
        now = machine.wake().unwrap();
        machine.tick(now);
        if !sent.is_empty() {
            pauses.push(now.since(before));
        }
    }
    assert!(
        pauses[0] <= FIRST_PAUSE && pauses[1] <= 2 * FIRST_PAUSE,
        "several lanes are one failure: {pauses:?}"
    );
    assert!(pauses[4999] >= LONGEST_PAUSE / 2 && pauses[4999] <= LONGEST_PAUSE);
    assert!(now.since(at(0)) > GIVE_UP && machine.take_dead().is_empty());
    while machine.next(0, now).is_none() {
        now = machine.wake().unwrap();
        machine.tick(now);
    }
    machine.answered(0, taken(1), now);
    machine.next(0, now);
    machine.answered(0, away(), now);
    assert!(machine.wake().unwrap().since(now) <= FIRST_PAUSE, "an answer ends the doubling");
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let mut machine = machine(limits(Order::OneByOne, 2, 1));
    read(&mut machine, &[1, 2, 3]);
    machine.next(0, at(0));
    machine.next(1, at(0));
    machine.answered(0, Err(Trouble::Busy("slow down".into(), Duration::from_secs(20))), at(0));
    machine.answered(1, taken(1), at(10));
    assert_eq!(machine.next(1, at(19_999)), None);
    assert_eq!(machine.wake(), Some(at(20_000)));
    machine.tick(at(20_000));
    assert_eq!(numbers(machine.next(1, at(20_000))), [1]);
    machine.answered(1, Err(Trouble::Busy("for ever".into(), Duration::MAX)), at(20_000));
    assert_eq!(machine.wake(), Some(at(20_000) + LONGEST_BUSY));
}

#[test]
fn letters_go_beside_the_journal_and_before_what_is_newer_of_their_key() {
    let mut machine = machine(limits(Order::OneByOne, 1, 2));
    read(&mut machine, &[7, 7, 7]);
    assert_eq!(numbers(machine.next(0, at(0))), [1]);
    machine.retry(item(Id::Letter(101), 7), at(0));
    machine.retry(item(Id::Letter(100), 8), at(0));
    machine.retry(item(Id::Letter(102), 7), at(0));
    machine.answered(0, away(), at(0));
    machine.tick(at(500));
    assert_eq!(numbers(machine.next(0, at(500))), [100, 101]);
    machine.answered(0, Ok(vec![Fate::Taken, Fate::Dead("still not".into())]), at(500));
    assert_eq!(machine.take_letters_done(), [100]);
    assert_eq!(machine.next(0, at(500)), None, "its key waits for the letter");
    let dead = machine.take_dead();
    machine.letter_written(&dead[0]);
    assert_eq!(machine.take_letters_done(), [101]);
    for expected in [102, 1, 2, 3] {
        assert_eq!(numbers(machine.next(0, at(500))), [expected]);
        machine.answered(0, taken(1), at(500));
    }
    assert_eq!((machine.cursor(), machine.open(), machine.letters()), (4, 0, 0));
}

#[test]
fn a_letter_that_is_dropped_is_not_sent() {
    let mut machine = machine(limits(Order::OneByOne, 1, 1));
    for number in 1..=3 {
        machine.retry(item(Id::Letter(number), 7), at(0));
    }
    assert_eq!(numbers(machine.next(0, at(0))), [1]);
    assert!(!machine.forget_letter(1), "it is under way");
    assert!(machine.forget_letter(2));
    assert!(!machine.forget_letter(2));
    machine.answered(0, Ok(vec![later()]), at(0));
    assert!(machine.forget_letter(1) && machine.forget_letter(3));
    assert_eq!((machine.letters(), machine.wake(), machine.take_letters_done()), (0, None, vec![2, 1, 3]));
    read(&mut machine, &[7]);
    assert_eq!(numbers(machine.next(0, at(0))), [1]);
}

#[test]
fn more_is_read_only_if_a_lane_could_send_it() {
    let mut machine = machine(limits(Order::OneByOne, 2, 1));
    assert!(machine.is_hungry(at(0)));
    read(&mut machine, &[1, 1, 1]);
    assert!(!machine.is_hungry(at(0)), "there is something to send");
    machine.next(0, at(0));
    assert!(machine.is_hungry(at(0)), "all that is left waits for its key");
    read(&mut machine, &[2]);
    machine.next(1, at(0));
    assert!(!machine.is_hungry(at(0)), "all lanes are busy");
    machine.answered(1, away(), at(0));
    assert!(!machine.is_hungry(at(0)), "the server is away");
    machine.answered(0, taken(1), at(0));
    machine.tick(at(1000));
    machine.next(0, at(1000));
    machine.next(1, at(1000));
    machine.answered(0, taken(1), at(1000));
    machine.answered(1, taken(1), at(1000));
    machine.stop();
    assert!(!machine.is_hungry(at(0)));
}

#[test]
fn the_rate_holds_for_all_and_what_was_not_sent_is_not_counted() {
    let settings = Settings { limits: limits(Order::Free, 2, 100), rate: Some(5), give_up: GIVE_UP };
    let mut machine = Machine::new(settings, Progress::before(1), 1);
    read(&mut machine, &[1; 100]);
    machine.retry(item(Id::Letter(1), 1), at(0));
    assert_eq!(numbers(machine.next(0, at(0))).len(), 5);
    machine.answered(0, taken(3), at(0));
    assert_eq!(numbers(machine.next(0, at(0))).len(), 2, "two were not sent");
    machine.answered(0, taken(2), at(0));
    assert_eq!(machine.next(1, at(0)), None);
    assert_eq!(machine.wake(), Some(at(200)));
    machine.tick(at(200));
    assert_eq!(numbers(machine.next(1, at(200))).len(), 1);
    machine.answered(1, away(), at(200));
    let (mut now, mut sent) = (at(1000), 0);
    while now < at(11_000) {
        machine.tick(now);
        let batch = numbers(machine.next(0, now)).len();
        if batch > 0 {
            machine.answered(0, taken(batch), now);
        }
        sent += batch;
        now = machine.wake().unwrap_or(now + Duration::from_millis(1)).max(now);
    }
    assert!((50..=56).contains(&sent), "{sent} in ten seconds");
}

#[test]
fn a_request_waits_until_it_is_full_or_linger_is_over() {
    let limits = Limits { linger: Duration::from_mins(1), ..limits(Order::OneByOne, 1, 3) };
    let mut machine = machine(limits);
    read(&mut machine, &[1, 2]);
    assert_eq!(machine.next(0, at(0)), None);
    assert_eq!(machine.wake(), Some(at(60_000)));
    read(&mut machine, &[3]);
    assert_eq!(numbers(machine.next(0, at(0))), [1, 2, 3]);
    machine.answered(0, taken(3), at(0));
    read(&mut machine, &[4]);
    assert_eq!(machine.next(0, at(1)), None);
    machine.tick(at(60_000));
    assert_eq!(numbers(machine.next(0, at(60_000))), [4]);
}

#[test]
fn while_items_are_gathered_for_a_short_time_nothing_wakes_the_sink() {
    for (linger, hungry) in [(20, false), (60_000, true)] {
        let linger = Duration::from_millis(linger);
        let mut machine = machine(Limits { linger, ..limits(Order::Kept, 1, 3) });
        assert!(machine.is_hungry(at(0)));
        read(&mut machine, &[1]);
        assert_eq!(
            (machine.next(0, at(0)), machine.is_hungry(at(0)), machine.gathers()),
            (None, hungry, true)
        );
        read(&mut machine, &[1, 1]);
        assert!(!machine.gathers() && !machine.is_hungry(at(0)), "a full request");
        assert_eq!(numbers(machine.next(0, at(0))), [1, 2, 3]);
    }
}

#[test]
fn requests_are_bounded_by_bytes_and_a_large_item_goes_alone() {
    let mut machine = machine(Limits { bytes: 25, ..limits(Order::Kept, 1, 100) });
    read(&mut machine, &[1, 1, 1]);
    let large = Item { payload: vec![0; 1000].into(), ..item(Id::Journal(4), 1) };
    machine.read(large, at(0));
    for expected in [&[1, 2][..], &[3], &[4]] {
        assert_eq!(numbers(machine.next(0, at(0))), expected);
        machine.answered(0, taken(expected.len()), at(0));
    }
}

#[test]
fn no_more_is_read_than_is_allowed() {
    let mut small = machine(limits(Order::OneByOne, 1, 1));
    while small.fits(10) {
        read(&mut small, &[1]);
    }
    while small.letters_fit() > 0 {
        small.retry(item(Id::Letter(small.letters() as u64), 2), at(0));
    }
    assert_eq!(small.open() + small.letters(), MOST_OPEN);
    let mut large = machine(limits(Order::OneByOne, 1, 1));
    assert!(large.fits(MOST_BYTES + 1), "else it would never go");
    while large.fits(1 << 20) {
        let item = Item { payload: vec![0; 1 << 20].into(), ..item(Id::Journal(large.position()), 1) };
        large.read(item, at(0));
    }
    assert_eq!((large.open(), large.letters_fit()), (32, 0));
}

#[test]
fn a_stopped_machine_sends_nothing_and_takes_answers() {
    let mut machine = machine(limits(Order::OneByOne, 2, 1));
    read(&mut machine, &[1, 2, 3]);
    machine.next(0, at(0));
    machine.stop();
    assert_eq!((machine.next(1, at(0)), machine.wake(), machine.is_quiet()), (None, None, false));
    assert!(!machine.work(1, at(0)));
    machine.answered(0, taken(1), at(1));
    assert_eq!((machine.cursor(), machine.is_quiet()), (2, true));
}

#[test]
fn a_lane_that_does_something_of_its_own_gets_no_items() {
    let mut machine = machine(limits(Order::OneByOne, 1, 1));
    assert!(machine.work(0, at(0)));
    read(&mut machine, &[1]);
    assert_eq!(machine.next(0, at(0)), None);
    machine.worked(0, Err(Trouble::Away("gone".into(), "start it")), at(0));
    assert!(machine.paused().is_some());
    machine.tick(at(100));
    assert_eq!(numbers(machine.next(0, at(100))), [1]);
}

#[test]
fn what_a_run_before_has_done_is_not_read_again() {
    let settings = Settings { limits: limits(Order::OneByOne, 1, 1), rate: None, give_up: GIVE_UP };
    let mut machine = Machine::new(settings, progress(5, &[(7, 9), (12, 13)]), 1);
    let new: Vec<u64> = (1..15).filter(|number| machine.is_new(*number)).collect();
    assert_eq!(new, [5, 6, 9, 10, 11, 13, 14]);
    machine.read(item(Id::Journal(5), 1), at(0));
    assert_eq!(machine.progress(), progress(5, &[(7, 9), (12, 13)]));
    machine.pass(11);
    assert_eq!(machine.progress(), progress(5, &[(6, 11), (12, 13)]));
    machine.next(0, at(0));
    machine.answered(0, taken(1), at(0));
    assert_eq!(machine.progress(), progress(11, &[(12, 13)]));
}
