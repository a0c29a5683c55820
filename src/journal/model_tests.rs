//! The journal against a model, on a disk that fails: whatever was promised is there, whatever is there was appended.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::files::disk::Disk;
use crate::files::faulty::{Faults, Faulty};
use crate::outcome::testing::event;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    Sync,
    Mend,
    /// By a reader that stays as it is, as that of a sink, or by a new one.
    Read(usize, bool),
    Clean,
    Kill,
    CutPower,
    FlipABit,
    Faults(Faults),
    ReadOnly(bool),
    /// Somebody removes the newest segment, or everything.
    Lose {
        everything: bool,
    },
    Look,
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
        // More than a segment of a small journal, and more than such a journal, which is one record of the largest size.
        2 => prop::collection::vec(1usize..60_000, 1..40).prop_map(Step::Append),
        1 => (0usize..3).prop_map(|few| Step::Append(vec![LARGEST - few])),
        4 => Just(Step::Sync),
        2 => Just(Step::Mend),
        5 => (1usize..40, any::<bool>()).prop_map(|(most, anew)| Step::Read(most, anew)),
        1 => Just(Step::Clean),
        1 => Just(Step::Kill),
        1 => Just(Step::CutPower),
        1 => Just(Step::FlipABit),
        2 => faults().prop_map(Step::Faults),
        1 => any::<bool>().prop_map(Step::ReadOnly),
        1 => any::<bool>().prop_map(|everything| Step::Lose { everything }),
        2 => Just(Step::Look),
    ]
}

/// The largest output of a record, but for the rest of it.
const LARGEST: usize = segment::MAX_PAYLOAD - 200;

/// The journal, and what is known of it.
struct Model {
    options: Options,
    disk: Faulty,
    epoch: u64,
    journal: Option<Arc<Journal>>,
    cursor: Option<Arc<Cursor>>,
    reader: Option<Reader>,
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
    /// How many outcomes the journal says that the sink has lost, in epochs before.
    expired: u64,
    /// Whether something other than its limit can have cost outcomes.
    lossy: bool,
    /// The first number of the newest segment, if its file was removed and that is not mended.
    unlinked: Option<u64>,
    next_text: u64,
}

const DIRECTORY: &str = "/journal";

/// The number with which a text begins.
fn number(text: &str) -> u64 {
    text.split(' ').next().unwrap().parse().unwrap()
}

impl Model {
    fn new(seed: u64, max_size: u64, when_full: WhenFull) -> Self {
        let mut model = Model {
            options: Options { directory: DIRECTORY.into(), max_size, when_full },
            disk: Faulty::new(seed),
            epoch: 0,
            journal: None,
            cursor: None,
            reader: None,
            appended: BTreeMap::new(),
            refused: BTreeMap::new(),
            owed: BTreeMap::new(),
            safe: Vec::new(),
            unsynced_from: u64::MAX,
            flips: 0,
            excused: 0,
            expired: 0,
            lossy: false,
            unlinked: None,
            next_text: 0,
        };
        model.open();
        model
    }

    fn close(&mut self) {
        self.reader = None;
        self.expired += self.cursor.take().map_or(0, |cursor| cursor.expired());
        self.journal = None;
    }

    /// How many outcomes the journal says that the sink has lost.
    fn expired(&self) -> u64 {
        self.expired + self.cursor.as_ref().map_or(0, |cursor| cursor.expired())
    }

    /// Outcomes are gone without the journal's fault.
    fn forget(&mut self, gone: impl Fn(u64, u64) -> bool) {
        self.owed.retain(|(epoch, number), _| !gone(*epoch, *number));
        self.safe.retain(|(epoch, number)| !gone(*epoch, *number));
    }

    /// Opens the journal, with the disk in order: a daemon that cannot open it does not start.
    fn open(&mut self) {
        self.close();
        self.disk.set_faults(Faults::default());
        self.disk.set_read_only(false);
        self.epoch += 1;
        if let Some(first) = self.unlinked.take() {
            // Nobody has looked in time.
            let before = self.epoch - 1;
            self.forget(|epoch, number| epoch == before && number >= first);
        }
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (journal, _) = Journal::open_on(disk.clone(), self.options.clone(), self.epoch).unwrap();
        assert!(matches!(Journal::open_on(disk, self.options.clone(), 0), Err(OpenError::Locked(_))));
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
            batch.push(&event(&text));
            texts.push(text);
        }
        let before = journal.next();
        let result = journal.append(&batch);
        let all = result.is_ok();
        match result {
            Ok(first) => {
                assert_eq!((first, journal.next()), (before, before + texts.len() as u64));
                self.unsynced_from = self.unsynced_from.min(first);
                for (number, text) in (first..).zip(texts) {
                    self.appended.insert((self.epoch, number), text.clone());
                    self.owed.insert((self.epoch, number), text);
                }
            }
            // Then it has what was before that.
            Err(AppendError { first, taken, .. }) => {
                assert_eq!((first, journal.next()), (before, before + taken as u64));
                if taken > 0 {
                    self.unsynced_from = self.unsynced_from.min(first);
                }
                for (at, text) in texts.into_iter().enumerate() {
                    let key = (self.epoch, before + at as u64);
                    if at < taken {
                        self.appended.insert(key, text.clone());
                        self.owed.insert(key, text);
                    } else {
                        self.refused.entry(key).or_default().push(text);
                    }
                }
            }
        }
        // Segments that could not be removed are there again after a restart, until a new one is begun.
        let limit = self.options.max_size.max((LARGEST + 1000) as u64);
        assert!(!all || journal.size() <= limit, "{} bytes", journal.size());
        if self.options.when_full == WhenFull::Refuse && !self.lossy {
            assert_eq!(self.expired(), 0, "nothing is given up");
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

    /// What syncs have failed for is safe, too.
    fn mend(&mut self) {
        let journal = self.journal.clone().unwrap();
        if journal.mend().is_ok() && journal.sync(0).is_ok() {
            self.unsynced_from = u64::MAX;
            self.safe.extend(self.owed.keys().filter(|(epoch, _)| *epoch == self.epoch).copied());
        }
    }

    fn read(&mut self, most: usize, anew: bool) {
        let (journal, cursor) = (self.journal.clone().unwrap(), self.cursor.clone().unwrap());
        let kept = self.reader.take().filter(|_| !anew);
        let mut reader = kept.unwrap_or_else(|| journal.reader_for(&cursor));
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
        let position = reader.position();
        self.reader = Some(reader);
        // What reading has passed will not come any more: only damage may have swallowed it.
        let passed: Vec<_> = self
            .owed
            .keys()
            .filter(|(epoch, number)| *epoch <= self.epoch && *number < position)
            .copied()
            .collect();
        for key in passed {
            self.excused += 1;
            self.owed.remove(&key);
            let excuses = self.flips + self.expired() as usize;
            assert!(self.excused <= excuses, "{key:?} was passed over, and only {excuses} were lost");
        }
    }

    fn cut_power(&mut self) {
        self.close();
        self.lossy = true;
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
            Step::Mend => self.mend(),
            Step::Read(most, anew) => self.read(most, anew),
            Step::Clean => self.journal.as_ref().unwrap().clean(),
            Step::Kill => self.open(),
            Step::CutPower => self.cut_power(),
            Step::FlipABit => {
                self.lossy = true;
                self.flips += usize::from(self.disk.flip_a_bit());
            }
            Step::Lose { everything } => self.lose(everything),
            Step::Look => self.look(),
            Step::Faults(faults) => self.disk.set_faults(faults),
            Step::ReadOnly(read_only) => self.disk.set_read_only(read_only),
        }
    }

    fn lose(&mut self, everything: bool) {
        self.lossy = true;
        let open = self.journal.as_ref().unwrap().newest();
        let newest = segment::segment_path(DIRECTORY.as_ref(), open);
        self.disk.lose_for_good(|path| everything || path == newest);
        if everything {
            let now = self.epoch;
            self.forget(|epoch, number| epoch < now || number < open);
        }
        self.unlinked = Some(self.unlinked.map_or(open, |first| first.min(open)));
    }

    fn look(&mut self) {
        if self.journal.as_ref().unwrap().look().is_ok() {
            assert!(self.journal.as_ref().unwrap().is_in_place());
            self.unlinked = None;
        }
    }

    fn drain(&mut self) {
        for _ in 0..10_000 {
            self.read(100, false);
            let (journal, cursor) = (self.journal.as_ref().unwrap(), self.cursor.as_ref().unwrap());
            if cursor.position() == journal.next() {
                break;
            }
        }
    }

    /// With the disk in order, everything that is owed comes, and the journal takes outcomes again.
    fn finish(&mut self) {
        self.disk.set_faults(Faults::default());
        self.disk.set_read_only(false);
        self.look();
        self.drain();
        // More than fits into a small journal.
        let many = if self.options.max_size == MIN_SIZE { &[50_000; 30][..] } else { &[1] };
        for sizes in [&[1][..], &[LARGEST], many] {
            let before = self.next_text;
            self.append(sizes);
            self.drain();
            let took = self.appended.values().filter(|text| number(text) > before).count();
            if self.options.when_full == WhenFull::DropOldest || sizes.len() == 1 {
                assert_eq!(took, sizes.len(), "all delivered, and nothing more is taken");
            } else {
                assert!(took >= 5, "a batch that is larger than the journal goes in in parts");
            }
        }
        let excuses = self.flips + self.expired() as usize;
        assert!(self.owed.len() <= excuses.saturating_sub(self.excused), "owed: {:?}", self.owed.keys());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("TRAPLINE_CHAOS").ok().and_then(|n| n.parse().ok()).unwrap_or(1) * 400,
        max_shrink_iters: 2000,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_was_promised_is_there_on_a_disk_that_fails(
        seed in any::<u64>(),
        max_size in prop_oneof![Just(MIN_SIZE), Just(MIN_SIZE * 64)],
        when_full in prop_oneof![Just(WhenFull::DropOldest), Just(WhenFull::Refuse)],
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut model = Model::new(seed, max_size, when_full);
        for step in steps {
            model.run(step);
        }
        model.finish();
    }
}
