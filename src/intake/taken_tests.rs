//! Processes that die, and power that is cut, where no rule keeps state: what a sender repeats is known again exactly if it was answered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::files::disk::Disk;
use crate::files::faulty::{Faults, Faulty};
use crate::intake::commit::{Commit, Committed, Refused};
use crate::intake::informs::Known;
use crate::intake::made::Made;
use crate::intake::state_log::StateLog;
use crate::journal::{Journal, Options, SyncPolicy, WhenFull};
use crate::outcome::testing::{event, seeds};
use crate::time::clock::Wall;

const DIRECTORY: &str = "/journal";
const POLICIES: [SyncPolicy; 3] = [SyncPolicy::Batch, SyncPolicy::Interval, SyncPolicy::Never];

/// A process, and the disk that outlives it.
struct Process {
    disk: Faulty,
    journal: Arc<Journal>,
    commit: Commit,
    policy: SyncPolicy,
    /// Seconds.
    now: u64,
}

fn at(seconds: u64) -> Now {
    let nanos = (1_000_000 + seconds) * 1_000_000_000;
    Now { wall: Wall::from_micros((nanos / 1000).cast_signed()), mono: Mono::from_nanos(nanos) }
}

impl Process {
    fn start(disk: Faulty, policy: SyncPolicy, now: u64) -> Self {
        let directory = Path::new(DIRECTORY);
        let options =
            Options { directory: directory.to_owned(), max_size: 1 << 30, when_full: WhenFull::Refuse };
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let (journal, _) = Journal::open_on(shared.clone(), options, 7).unwrap();
        // A sink that takes nothing, so that nothing is deleted.
        journal.register("none").unwrap();
        let commit = Commit::new(journal.clone(), policy, Arc::default(), Arc::default(), at(now));
        let log = StateLog::within(Folder::on(shared, directory), &journal, policy);
        commit.resume_with(log, at(now)).unwrap();
        Process { disk, journal, commit, policy, now }
    }

    fn die(self) -> Self {
        Self::start(self.disk.crash(), self.policy, self.now)
    }

    /// An inform comes, or what else has a key; whether its sender is answered.
    fn take(&self, key: u64) -> bool {
        match self.commit.claim(key, at(self.now).mono) {
            Known::Safe => true,
            Known::Waits => false,
            Known::No => self.commit.may_answer(self.commit_one(key, true)),
        }
    }

    fn commit_one(&self, output: u64, has_key: bool) -> Committed {
        let mut made = Made::default();
        assert!(made.batch.push(&event(&output.to_string())));
        if has_key {
            made.add_inform(output);
        }
        made.acknowledge();
        self.commit.batch(at(self.now), &mut made, Refused::Queues)
    }

    /// What is known of a key, which stays new if it is.
    fn known(&self, key: u64) -> Known {
        let known = self.commit.claim(key, at(self.now).mono);
        if known == Known::No {
            self.commit.release(key);
        }
        known
    }

    /// A second passes.
    fn pass(&mut self) {
        self.now += 1;
        self.commit.retry(at(self.now));
        self.commit.keep_state(at(self.now));
    }

    /// How many outcomes of a key are in the journal.
    fn count(&self, key: u64) -> usize {
        let (mut reader, mut count, key) = (self.journal.reader(1), 0, key.to_string());
        let mut each = |output: &str| count += usize::from(output == key);
        while reader
            .read(100, |record| {
                each(&record.outcome.common().output);
                true
            })
            .unwrap()
            > 0
        {}
        count
    }

    fn files(&self) -> Vec<PathBuf> {
        let is_ours = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(PREFIX);
        let mut files: Vec<PathBuf> = self.disk.names().into_iter().filter(is_ours).collect();
        files.sort();
        files
    }

    fn segment(&self) -> PathBuf {
        let names = self.disk.names().into_iter();
        names.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).max().unwrap()
    }
}

/// It dies at each byte that it writes: of the outcome, and of the key behind it; in the first file, one that is there, and one
/// that begins.
#[test]
fn what_comes_again_is_known_exactly_if_it_was_answered_wherever_the_process_dies() {
    let first = |policy| Process::start(Faulty::new(1), policy, 0);
    let second = |policy| {
        let process = first(policy);
        assert!(process.take(1));
        process.die()
    };
    let begins = |policy| {
        let mut process = second(policy);
        process.now += KNOWN_FOR;
        process
    };
    for policy in POLICIES {
        for (what, run) in
            [("first", &first as &dyn Fn(_) -> Process), ("second", &second), ("next", &begins)]
        {
            let lengths = |process: &Process| {
                let files = process.files();
                let length = |path: &PathBuf| process.disk.length(path).unwrap();
                (length(&process.segment()), files.last().map_or(0, length), files)
            };
            let run = |policy| {
                let process = run(policy);
                process.commit_one(100, false);
                process
            };
            let process = run(policy);
            let (segment, mut taken, before) = lengths(&process);
            assert!(process.take(2), "{what}, {policy:?}");
            let (segment_end, taken_end, after) = lengths(&process);
            if after.len() > before.len() {
                taken = 0;
            }
            assert!(segment < segment_end && taken < taken_end && after.len() <= 2);
            let cuts = (segment..segment_end).map(|cut| (cut, taken));
            for (segment, taken) in cuts.chain((taken..=taken_end).map(|cut| (segment_end, cut))) {
                let process = run(policy);
                process.take(2);
                let disk = process.disk.crash();
                let cut = |path: &Path, length| disk.open(path, true).unwrap().set_length(length).unwrap();
                cut(&process.segment(), segment);
                cut(process.files().last().unwrap(), taken);
                let mut process = Process::start(disk, policy, process.now);
                let at = format!("{what}, {policy:?}: cut at {segment} and {taken} of {taken_end}");
                let answered = (segment, taken) == (segment_end, taken_end);
                assert_eq!(process.known(2) != Known::No, answered, "{at}");
                process.take(2);
                process.pass();
                assert!(process.take(2), "{at}");
                // The outcome whose key was not written may come twice, and never goes.
                assert_eq!(process.count(2), 1 + usize::from(!answered && segment == segment_end), "{at}");
                assert_eq!(
                    process.die().known(2),
                    if policy == SyncPolicy::Batch { Known::Waits } else { Known::Safe }
                );
            }
        }
    }
}

/// Whatever writes, syncs and names fail, and whenever it dies.
#[test]
fn what_was_answered_is_never_taken_again_and_what_is_known_is_never_lost() {
    let (seeds, mut kills, mut cuts, mut unanswered) = (seeds(600), 0, 0, 0);
    for seed in 0..seeds {
        let policy = POLICIES[seed as usize % 3];
        let mut bits = seed;
        let mut below = |limit: u64| {
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (bits >> 33) % limit
        };
        let mut process = Process::start(Faulty::new(seed), policy, 0);
        let (mut answered, mut trace) = ([None; 8], Vec::new());
        for step in 0..60 {
            let key = 1 + below(8);
            let mut rate = || [0, 0, 0, 2, 4][below(5) as usize];
            let faults = Faults { write: rate(), sync: rate(), names: rate(), ..Faults::default() };
            process.disk.set_faults(faults);
            if process.take(key) {
                answered[key as usize - 1].get_or_insert_with(|| process.count(key));
            } else {
                unanswered += 1;
            }
            if below(3) == 0 {
                process.pass();
            }
            process.disk.set_faults(Faults::default());
            if below(6) == 0 {
                if policy == SyncPolicy::Batch && below(2) == 0 {
                    process.disk.cut_power();
                    cuts += 1;
                    // Of the last second, the outcomes are there and the keys may not be.
                    answered = [None; 8];
                }
                process = process.die();
                kills += 1;
            }
            let all: Vec<Known> = (1..9).map(|key| process.known(key)).collect();
            trace.push(format!(
                "{step}: key {key}, {faults:?}, {kills} kills, {cuts} cuts, {:?}, {all:?}",
                process.files()
            ));
            for (key, answered) in (1..).zip(answered) {
                let (known, count) = (process.known(key), process.count(key));
                if let Some(before) = answered {
                    assert!(
                        known != Known::No && before == count && count > 0,
                        "{policy:?}, seed {seed}, {key}: {known:?}, {before} and {count}, {trace:#?}"
                    );
                }
                assert!(known != Known::Safe || count > 0, "{policy:?}, seed {seed}, {key}: {known:?}");
            }
        }
        for key in 1..9 {
            (0..5).for_each(|_| process.pass());
            process.take(key);
            process.pass();
            assert!(process.take(key), "{policy:?}, seed {seed}: {key} is never answered");
        }
        assert!(process.files().len() <= 2, "{:?}", process.files());
    }
    assert!(
        kills > 5 * seeds && cuts > seeds * 5 / 6 && unanswered > seeds * 5 / 3,
        "{kills} {cuts} {unanswered}"
    );
}

#[test]
fn what_cannot_be_kept_is_not_answered_and_holds_back_nothing_without_a_key() {
    for policy in POLICIES {
        let mut process = Process::start(Faulty::new(1), policy, 0);
        process.commit_one(100, false);
        process.disk.set_faults(Faults { names: 1, ..Faults::default() });
        assert_eq!(process.commit_one(1, true), Committed::Forgettable);
        for key in 2..5 {
            assert!(!process.take(key));
            assert!(process.commit.may_answer(process.commit_one(100, false)), "{policy:?}");
        }
        process.pass();
        assert!(!process.take(2));
        process.disk.set_faults(Faults::default());
        process.pass();
        assert_eq!((process.known(2), process.count(2)), (Known::Safe, 1), "{policy:?}");
        assert_ne!(process.die().known(2), Known::No);
    }
}

#[test]
fn there_are_two_files_at_most_for_five_minutes_or_a_number_of_keys_each() {
    for restarts in [false, true] {
        let mut process = Process::start(Faulty::new(1), SyncPolicy::Interval, 0);
        for key in 0..80 {
            process.now += 30;
            assert!(process.take(key));
            process.pass();
            assert!(process.files().len() <= 2, "{:?}", process.files());
            if restarts {
                process = process.die();
            }
        }
        assert_eq!(process.files().len(), 2);
        process = process.die();
        let known = (0..80).map(|key| process.known(key) == Known::Safe);
        let known: Vec<bool> = known.collect();
        assert!(
            known[71..].iter().all(|known| *known) && !known[..69].iter().any(|known| *known),
            "{known:?}"
        );
        // Nothing that comes is forgotten for good, whatever the clock says.
        process.now -= 1000;
        assert_eq!(process.die().known(79), Known::Safe);
    }
    let mut process = Process::start(Faulty::new(1), SyncPolicy::Interval, 0);
    let per_batch = MAX_INFORMS as u64 / 4;
    for batch in 0..10 {
        let mut made = Made::default();
        made.batch.push(&event("x"));
        (0..per_batch).for_each(|n| made.add_inform(batch * per_batch + n));
        process.commit.batch(at(process.now), &mut made, Refused::Queues);
        process.pass();
        assert!(process.files().len() <= 2);
    }
    let longest = process.files().iter().map(|path| process.disk.length(path).unwrap()).max().unwrap();
    assert!(longest < 9 * MAX_INFORMS as u64, "{longest}");
    let process = process.die();
    assert_eq!(
        [0, 6 * per_batch, 10 * per_batch - 1].map(|key| process.known(key)),
        [Known::No, Known::Safe, Known::Safe]
    );
}

#[test]
fn keys_are_made_the_same_by_the_next_process_and_others_by_another_installation() {
    let process = Process::start(Faulty::new(1), SyncPolicy::Batch, 0);
    process.take(1);
    let key = process.commit.key("a packet");
    let process = process.die();
    assert_eq!(process.commit.key("a packet"), key);
    let process = process.die();
    assert_eq!(process.commit.key("a packet"), key);
    assert_ne!(Process::start(Faulty::new(1), SyncPolicy::Batch, 0).commit.key("a packet"), key);
}

#[test]
fn a_file_that_cannot_be_read_is_renamed_and_other_names_are_left_alone() {
    let process = Process::start(Faulty::new(1), SyncPolicy::Batch, 0);
    process.take(1);
    let disk = process.disk.crash();
    for (name, text) in
        [("taken.2", "no entries at all, but more than a head"), ("taken.03", "x"), ("taken.x", "y")]
    {
        disk.open(&Path::new(DIRECTORY).join(name), true).unwrap().write(text.as_bytes(), 0).unwrap();
    }
    let process = Process::start(disk, SyncPolicy::Batch, 1);
    assert_ne!(process.known(1), Known::No);
    assert!(process.take(2));
    let names: Vec<String> =
        process.files().iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["taken.03", "taken.1", "taken.2", "taken.2.unreadable", "taken.x"]);
    // Somebody removes the file that is written: the next one has all.
    process.disk.lose(&Path::new(DIRECTORY).join("taken.2"));
    let mut process = process;
    (0..2).for_each(|_| process.pass());
    assert!(process.take(3));
    let process = process.die();
    assert_eq!([1, 2, 3].map(|key| process.known(key)), [Known::Waits; 3]);
}

#[test]
fn quick_restarts_keep_each_key_once() {
    let mut process = Process::start(Faulty::new(1), SyncPolicy::Batch, 0);
    let mut taken = Vec::new();
    for _ in 0..12 {
        for _ in 0..3 {
            // As different as digests are.
            taken.push((taken.len() as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            assert!(process.take(taken[taken.len() - 1]));
        }
        process = process.die();
        let folder = Folder::on(Arc::new(process.disk.clone()), Path::new(DIRECTORY));
        assert_eq!(Taken::default().open(&folder, at(process.now)).unwrap().keys, taken);
    }
}
