//! A machine with runs against one without: they send, know and keep the same, whatever comes in between.

use proptest::prelude::*;

use super::tests::at;
use super::*;
use crate::journal::{Batch as Records, Journal, Options, WhenFull};
use crate::sinks::sink::{Key, Order};
use crate::sinks::testing;
use crate::time::clock::Mono;

#[derive(Debug, Clone)]
enum Step {
    /// So many records come, each of them ours or not, by its key.
    Read(Vec<Option<u64>>),
    Next,
    Work,
    Answer(Answer),
    Letter(u64),
    Forget(u64),
    Written,
    Later(u64),
    Full(bool),
}

#[derive(Debug, Clone)]
enum Answer {
    All,
    /// The fates of the first items; those behind them are taken, or left out.
    Fates(Vec<u8>, bool),
    Trouble(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let answer = prop_oneof![
        4 => Just(Answer::All),
        2 => (prop::collection::vec(0..6_u8, 0..6), any::<bool>()).prop_map(|(fates, whole)| Answer::Fates(fates, whole)),
        1 => (0..5_u8).prop_map(Answer::Trouble),
    ];
    prop_oneof![
        8 => prop::collection::vec(prop::option::weighted(0.8, 0..4_u64), 1..8).prop_map(Step::Read),
        8 => Just(Step::Next),
        1 => Just(Step::Work),
        6 => answer.prop_map(Step::Answer),
        1 => (0..4_u64).prop_map(Step::Letter),
        1 => (1..6_u64).prop_map(Step::Forget),
        2 => Just(Step::Written),
        4 => prop_oneof![0..100_u64, 0..100_000_u64].prop_map(Step::Later),
        1 => any::<bool>().prop_map(Step::Full),
    ]
}

fn fate(kind: u8) -> Fate {
    match kind {
        0 => Fate::Cut,
        1 => Fate::Stale("old".into()),
        2 => Fate::Dead("no".into()),
        3 => Fate::Later("not now".into()),
        4 => Fate::Behind("behind".into()),
        _ => Fate::Taken,
    }
}

fn result(answer: &Answer, count: usize) -> Result<Vec<Fate>, Trouble> {
    match answer {
        Answer::All => Ok(vec![Fate::Taken; count]),
        Answer::Fates(kinds, whole) => {
            let first = kinds.iter().take(count).map(|kind| fate(*kind));
            let more = if *whole { count.saturating_sub(kinds.len()) } else { 0 };
            Ok(first.chain(std::iter::repeat_n(Fate::Taken, more)).collect())
        }
        Answer::Trouble(0) => Err(Trouble::Away("gone".into(), "start it")),
        Answer::Trouble(1) => Err(Trouble::Unanswered("silent".into(), "see it")),
        Answer::Trouble(2) => Err(Trouble::Busy("busy".into(), Duration::from_secs(3))),
        Answer::Trouble(3) => Err(Trouble::Refused("no".into(), "change it")),
        Answer::Trouble(_) => Err(Trouble::Halve("too much".into())),
    }
}

fn item(id: Id, key: u64, now: Mono) -> Item {
    let (Id::Journal(sequence) | Id::Letter(sequence)) = id;
    let payload = vec![0; 10 + sequence as usize % 7].into();
    Item { id, epoch: 1, sequence, key: Key::Known(key), time: 0, received: now.into(), payload }
}

/// What a machine says of itself.
fn known(machine: &Machine) -> impl PartialEq + std::fmt::Debug + use<> {
    let progress = machine.progress();
    let numbers = (machine.cursor(), machine.position(), machine.done_ahead(), machine.open());
    let sends =
        (machine.wake(), machine.is_hungry(at(0)), machine.gathers(), machine.fits(30), machine.paused());
    let rest = (machine.oldest(), machine.put_off(), machine.letters(), machine.letters_fit());
    let new: Vec<bool> = (0..60).map(|number| machine.is_new(number)).collect();
    (progress, numbers, sends, rest, new, machine.is_quiet())
}

/// Both machines, and what both have been asked.
struct Twins {
    machines: [Machine; 2],
    now: Mono,
    letter: u64,
    /// How many items are under way, and whether the lane works by itself.
    under_way: Option<usize>,
    works: bool,
}

impl Twins {
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now;
        match step {
            Step::Read(keys) => {
                for key in keys {
                    let number = (self.machines[0].position()..u64::MAX)
                        .find(|number| self.machines[0].is_new(*number))
                        .unwrap_or_default();
                    for machine in self.machines.iter_mut().filter(|machine| machine.fits(20)) {
                        match key {
                            Some(key) => machine.read(item(Id::Journal(number), *key, now), now),
                            None => machine.pass(number + 1),
                        }
                    }
                }
            }
            Step::Next => {
                let [runs, plain] = self.machines.each_mut().map(|machine| machine.next(0, now));
                prop_assert_eq!(&runs, &plain);
                self.under_way = runs.map(|batch| batch.items.len()).or(self.under_way);
            }
            Step::Work => {
                let [runs, plain] = self.machines.each_mut().map(|machine| machine.work(0, now));
                prop_assert_eq!(runs, plain);
                self.works |= runs;
            }
            Step::Answer(_) if self.works => {
                for machine in &mut self.machines {
                    machine.worked(0, Ok(()), now);
                }
                self.works = false;
            }
            Step::Answer(answer) => {
                let Some(count) = self.under_way.take() else { return Ok(()) };
                let answered = |machine: &mut Machine| machine.answered(0, result(answer, count), now);
                let [runs, plain] = self.machines.each_mut().map(answered);
                prop_assert_eq!(runs, plain);
            }
            Step::Letter(key) => {
                self.letter += 1;
                let letter = item(Id::Letter(self.letter), *key, now);
                for machine in &mut self.machines {
                    machine.retry(letter.clone(), now);
                }
            }
            Step::Forget(number) => {
                let [runs, plain] = self.machines.each_mut().map(|machine| machine.forget_letter(*number));
                prop_assert_eq!(runs, plain);
            }
            Step::Written => {
                let [runs, plain] = self.machines.each_mut().map(|machine| {
                    let dead = machine.take_dead();
                    for dead in &dead {
                        machine.letter_written(dead);
                    }
                    let dead: Vec<(Id, Said)> =
                        dead.into_iter().map(|dead| (dead.item.id, dead.reason)).collect();
                    (dead, machine.take_letters_done())
                });
                prop_assert_eq!(runs, plain);
            }
            Step::Later(ms) => {
                self.now = now + Duration::from_millis(*ms);
                let now = self.now;
                for machine in &mut self.machines {
                    machine.tick(now);
                }
            }
            Step::Full(full) => {
                for machine in &mut self.machines {
                    machine.set_journal_full(*full);
                }
            }
        }
        let [runs, plain] = self.machines.each_ref().map(known);
        prop_assert_eq!(runs, plain);
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_run_is_what_its_items_are(
        steps in prop::collection::vec(step(), 1..60),
        (kept, items, bytes) in (any::<bool>(), prop::sample::select(vec![1_usize, 3, 10, 100]), prop::sample::select(vec![usize::MAX, 60])),
        (linger, rate) in (prop::sample::select(vec![0, 20, 500]), prop::option::weighted(0.2, 1..50_u32)),
        done in prop::option::weighted(0.2, (6..9_u64, 1..5_u64)),
        seed: u64,
    ) {
        let order = if kept { Order::Kept } else { Order::Free };
        let limits = Limits { lanes: 1, items, bytes, order, linger: Duration::from_millis(linger) };
        let settings = Settings { limits, rate, give_up: Duration::from_mins(1) };
        let done = done.map(|(first, count)| first..first + count).into_iter().collect();
        let progress = Progress { cursor: 3, done };
        let mut plain = Machine::new(settings, progress.clone(), seed);
        plain.queue = Queue::plain(limits, progress.clone());
        let machines = [Machine::new(settings, progress, seed), plain];
        let mut twins = Twins { machines, now: Mono::from_nanos(1 << 40), letter: 0, under_way: None, works: false };
        for step in &steps {
            twins.step(step)?;
        }
    }
}

/// Records are read with those around them, of which one may be ours. It waits for others without them.
#[test]
fn what_waits_for_long_keeps_no_more_than_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (directory, when_full) = (directory.path().to_owned(), WhenFull::DropOldest);
    let journal = Journal::open(Options { directory, max_size: 1 << 20, when_full }, 7).unwrap().0;
    let mut records = Records::default();
    for number in 0..10 {
        records.push_encoded(&testing::item(number, "h", Some("s"), "text").payload);
    }
    journal.append(&records).unwrap();
    let now = Mono::from_nanos(1 << 40);
    for (linger, is_long) in [(0, false), (100, false), (300_000, true)] {
        let linger = Duration::from_millis(linger);
        let limits = Limits { lanes: 1, items: 2, bytes: usize::MAX, order: Order::Free, linger };
        let settings = Settings { limits, rate: None, give_up: Duration::from_mins(1) };
        let mut machine = Machine::new(settings, Progress::before(1), 7);
        let mut reader = journal.reader(1);
        let read = reader.read_payloads(10, |record, _| {
            let room = machine.has_room();
            if room {
                let payload = record.shared();
                machine.read(Item { payload, ..item(Id::Journal(record.sequence), 1, now) }, now);
            }
            room
        });
        assert_eq!((read.unwrap(), machine.has_room()), (2, false), "as many as one request has");
        let batch = machine.next(0, now).unwrap();
        for item in &*batch.items {
            assert_eq!(item.payload.kept() == item.payload.len(), is_long, "{linger:?}");
        }
        machine.answered(0, Ok(vec![Fate::Taken; 2]), now);
        assert!(machine.has_room());
    }
}
