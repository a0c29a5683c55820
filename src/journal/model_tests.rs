//! The journal against a model, on a disk that fails: whatever was promised is there, whatever is there was appended.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::files::disk::Disk;
use crate::files::faulty::{Faults, Faulty};
use crate::outcome::result::{Common, Event, Outcome, State};

fn outcome(text: &str) -> Outcome<'static> {
    Outcome::Event(Event {
        common: Common {
            time: 1,
            rule: "r".into(),
            state: State::Ok,
            output: text.to_owned().into(),
            long_output: "".into(),
            source: "".into(),
        },
        component: "c".into(),
        resource: None,
        fields: Vec::new(),
    })
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    Sync,
    Read(usize),
    Clean,
    Kill,
    CutPower,
    FlipABit,
    Faults(Faults),
    ReadOnly(bool),
}

fn faults() -> impl Strategy<Value = Faults> {
    let rate = || prop_oneof![3 => Just(0u64), 1 => 2u64..6];
    (rate(), rate(), rate(), rate()).prop_map(|(write, sync, read, names)| Faults {
        write,
        sync,
        read,
        names,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(1usize..6000, 1..12).prop_map(Step::Append),
        4 => Just(Step::Sync),
        5 => (1usize..40).prop_map(Step::Read),
        1 => Just(Step::Clean),
        1 => Just(Step::Kill),
        1 => Just(Step::CutPower),
        1 => Just(Step::FlipABit),
        2 => faults().prop_map(Step::Faults),
        1 => any::<bool>().prop_map(Step::ReadOnly),
    ]
}

/// The journal, and what is known of it.
struct Model {
    disk: Faulty,
    epoch: u64,
    journal: Option<Arc<Journal>>,
    cursor: Option<Arc<Cursor>>,
    /// What was appended: its text by the epoch and number that it has.
    appended: BTreeMap<(u64, u64), String>,
    /// What could not be appended. Where not even cutting the segment back worked, it may show up after a restart.
    refused: BTreeMap<(u64, u64), Vec<String>>,
    /// What must be delivered yet, by the same.
    owed: BTreeMap<(u64, u64), String>,
    /// What of it is safe from a power cut.
    safe: Vec<(u64, u64)>,
    /// The first number that was appended since the last sync.
    unsynced_from: u64,
    /// Bits that were turned.
    flips: usize,
    excused: usize,
    next_text: u64,
}

const DIRECTORY: &str = "/journal";

impl Model {
    fn new(seed: u64) -> Self {
        let mut model = Model {
            disk: Faulty::new(seed),
            epoch: 0,
            journal: None,
            cursor: None,
            appended: BTreeMap::new(),
            refused: BTreeMap::new(),
            owed: BTreeMap::new(),
            safe: Vec::new(),
            unsynced_from: u64::MAX,
            flips: 0,
            excused: 0,
            next_text: 0,
        };
        model.open();
        model
    }

    /// Opens the journal, with the disk in order: a daemon that cannot open it does not start.
    fn open(&mut self) {
        self.cursor = None;
        self.journal = None;
        self.disk.set_faults(Faults::default());
        self.disk.set_read_only(false);
        self.epoch += 1;
        let options =
            Options { directory: DIRECTORY.into(), max_size: MIN_SIZE * 64, when_full: WhenFull::DropOldest };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (journal, _) = Journal::open_on(disk.clone(), options.clone(), self.epoch).unwrap();
        assert!(matches!(Journal::open_on(disk, options, 0), Err(OpenError::Locked(_))));
        self.cursor = Some(journal.register("sink").unwrap());
        self.journal = Some(journal);
        self.unsynced_from = u64::MAX;
    }

    fn append(&mut self, sizes: &[usize]) {
        let journal = self.journal.clone().unwrap();
        let mut batch = Batch::default();
        let mut texts = Vec::new();
        for size in sizes {
            self.next_text += 1;
            let text = format!("{} {}", self.next_text, "z".repeat(*size));
            batch.push(&outcome(&text));
            texts.push(text);
        }
        let before = journal.next();
        match journal.append(&batch) {
            Ok(first) => {
                assert_eq!((first, journal.next()), (before, before + texts.len() as u64));
                self.unsynced_from = self.unsynced_from.min(first);
                for (number, text) in (first..).zip(texts) {
                    self.appended.insert((self.epoch, number), text.clone());
                    self.owed.insert((self.epoch, number), text);
                }
            }
            // Then none of it is there.
            Err(_) => {
                assert_eq!(journal.next(), before);
                for (number, text) in (before..).zip(texts) {
                    self.refused.entry((self.epoch, number)).or_default().push(text);
                }
            }
        }
    }

    fn sync(&mut self) {
        let journal = self.journal.clone().unwrap();
        let from = std::mem::replace(&mut self.unsynced_from, u64::MAX);
        if journal.sync(from).is_ok() {
            let promised = self.owed.keys().filter(|(epoch, number)| *epoch == self.epoch && *number >= from);
            self.safe.extend(promised.copied());
        }
    }

    fn read(&mut self, most: usize) {
        let (journal, cursor) = (self.journal.clone().unwrap(), self.cursor.clone().unwrap());
        let mut reader = journal.reader(cursor.position());
        let mut got = Vec::new();
        // What was taken before an error stays taken.
        let _ = reader.read(most, |record| {
            got.push((record.epoch, record.sequence, record.outcome.common().output.to_string()));
            true
        });
        let mut last = cursor.position().wrapping_sub(1);
        for (epoch, number, text) in got {
            assert!(number > last || last == u64::MAX, "in order: {number} after {last}");
            last = number;
            let appended = self.appended.get(&(epoch, number));
            let refused = self.refused.get(&(epoch, number)).is_some_and(|all| all.contains(&text));
            let promised = self.safe.contains(&(epoch, number));
            let left_behind = refused && epoch < self.epoch && !promised;
            assert!(
                appended == Some(&text) || left_behind,
                "({epoch}, {number}) was never appended: {text:.20}"
            );
            self.owed.remove(&(epoch, number));
        }
        let _ = cursor.advance(reader.position());
        // What reading has passed will not come any more: only damage may have swallowed it.
        let passed: Vec<_> = self
            .owed
            .keys()
            .filter(|(epoch, number)| *epoch <= self.epoch && *number < reader.position())
            .copied()
            .collect();
        for key in passed {
            self.excused += 1;
            self.owed.remove(&key);
            assert!(self.excused <= self.flips, "{key:?} was passed over, and {} bits turned", self.flips);
        }
    }

    fn cut_power(&mut self) {
        self.cursor = None;
        self.journal = None;
        self.disk.cut_power();
        // Only what was promised is owed; the rest may be there or not, and if not, its numbers are given again.
        let safe = std::mem::take(&mut self.safe);
        self.owed.retain(|key, _| safe.contains(key));
        self.safe = safe;
        self.open();
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Append(sizes) => self.append(&sizes),
            Step::Sync => self.sync(),
            Step::Read(most) => self.read(most),
            Step::Clean => self.journal.as_ref().unwrap().clean(),
            Step::Kill => self.open(),
            Step::CutPower => self.cut_power(),
            Step::FlipABit => self.flips += usize::from(self.disk.flip_a_bit()),
            Step::Faults(faults) => self.disk.set_faults(faults),
            Step::ReadOnly(read_only) => self.disk.set_read_only(read_only),
        }
    }

    /// With the disk in order, everything that is owed comes.
    fn finish(&mut self) {
        self.disk.set_faults(Faults::default());
        self.disk.set_read_only(false);
        self.append(&[1]);
        for _ in 0..10_000 {
            self.read(100);
            let (journal, cursor) = (self.journal.as_ref().unwrap(), self.cursor.as_ref().unwrap());
            if cursor.position() == journal.next() {
                break;
            }
        }
        assert!(self.owed.len() <= self.flips.saturating_sub(self.excused), "owed: {:?}", self.owed.keys());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("TRAPLINE_CHAOS").ok().and_then(|n| n.parse().ok()).unwrap_or(1) * 400,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_was_promised_is_there_on_a_disk_that_fails(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut model = Model::new(seed);
        for step in steps {
            model.run(step);
        }
        model.finish();
    }
}
