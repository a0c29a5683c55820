use super::*;
use crate::files::disk::Disk;
use crate::files::faulty::{Faults, Faulty};
use crate::intake::taken::KNOWN_FOR;
use crate::journal::{Options, Reader, WhenFull};
use crate::outcome::testing::event;
use crate::time::clock::Wall;

/// A commit into a journal on a disk that can be told to fail.
struct Bench {
    commit: Commit,
    disk: Faulty,
    reader: Reader,
    stats: Arc<Stats>,
    now: Now,
}

impl Bench {
    fn new(policy: SyncPolicy) -> Self {
        let disk = Faulty::new(7);
        let options =
            Options { directory: "/journal".into(), max_size: 1 << 30, when_full: WhenFull::DropOldest };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap();
        let stats = Arc::<Stats>::default();
        let reader = journal.reader(journal.next());
        let now = Now { wall: Wall::from_micros(1), mono: Mono::from_nanos(1_000_000_000) };
        let commit = Commit::new(journal, policy, stats.clone(), Arc::default(), now);
        Bench { commit, disk, reader, stats, now }
    }

    fn refuses(&self, refuses: bool) {
        self.disk.set_faults(Faults { write: refuses.into(), ..Faults::default() });
    }

    /// Commits one outcome with this output, and an inform with this key.
    fn batch(&self, output: &str, inform: Option<u64>, refused: Refused) -> (Committed, Made) {
        let mut made = Made::default();
        assert!(made.batch.push(&event(output)));
        if let Some(key) = inform {
            self.commit.claim(key, self.now.mono);
            made.add_inform(key);
        }
        let committed = self.commit.batch(self.now, &mut made, refused);
        (committed, made)
    }

    fn queue(&self, output: &str, inform: Option<u64>) -> Committed {
        let (committed, made) = self.batch(output, inform, Refused::Queues);
        assert!(made.is_empty());
        committed
    }

    fn known(&self, key: u64) -> Known {
        let known = self.commit.claim(key, self.now.mono);
        if known == Known::No {
            self.commit.release(key);
        }
        known
    }

    /// The first letters of what is in the journal and was not read yet.
    fn journaled(&mut self) -> String {
        let mut all = String::new();
        while self
            .reader
            .read(100, |record| {
                all.extend(record.outcome.common().output.chars().next());
                true
            })
            .unwrap()
            > 0
        {}
        all
    }
}

#[test]
fn what_is_refused_waits_and_goes_first() {
    let mut bench = Bench::new(SyncPolicy::Interval);
    assert_eq!(bench.queue("a", None), Committed::Written);
    bench.refuses(true);
    assert_eq!((bench.queue("b", None), bench.queue("c", None)), (Committed::Kept, Committed::Kept));
    assert!(bench.commit.refusing());
    assert_eq!(bench.journaled(), "a");
    bench.refuses(false);
    assert_eq!(bench.queue("d", None), Committed::Written);
    assert_eq!(bench.journaled(), "bcd");
    assert!(!bench.commit.refusing());
    assert_eq!((bench.stats.outcomes.get(), bench.stats.outcomes_lost.get()), (4, 0));
}

#[test]
fn without_another_batch_it_is_tried_again_now_and_then() {
    let mut bench = Bench::new(SyncPolicy::Interval);
    bench.refuses(true);
    bench.queue("a", None);
    bench.commit.retry(bench.now);
    bench.refuses(false);
    bench.commit.retry(bench.now);
    assert_eq!(bench.journaled(), "", "so soon it is not");
    bench.now.mono = bench.now.mono + RETRY;
    bench.commit.retry(bench.now);
    assert_eq!(bench.journaled(), "a");
    assert!(!bench.commit.refusing());
}

#[test]
fn no_more_waits_than_there_is_space_for() {
    let mut bench = Bench::new(SyncPolicy::Batch);
    bench.refuses(true);
    let large = "x".repeat(1_000_000);
    let (mut kept, mut lost) = (0, 0);
    for key in 0..10 {
        match bench.queue(&large, Some(key)) {
            Committed::Kept => kept += 1,
            Committed::GivenUp => lost += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((kept, lost, bench.stats.outcomes_lost.get()), (8, 2, 2));
    assert_eq!(
        (bench.known(7), bench.known(8)),
        (Known::Waits, Known::No),
        "what is lost is processed again"
    );
    bench.refuses(false);
    assert_eq!(bench.queue("y", None), Committed::Written);
    assert_eq!(bench.journaled(), "xxxxxxxxy");
}

#[test]
fn what_a_stream_brought_stays_with_it() {
    let mut bench = Bench::new(SyncPolicy::Batch);
    bench.refuses(true);
    let (committed, mut made) = bench.batch("a", Some(1), Refused::Stays);
    assert_eq!((committed, made.batch.len(), bench.known(1)), (Committed::Kept, 1, Known::Waits));
    assert!(bench.commit.refusing() && made.has_inform(1));
    bench.refuses(false);
    assert_eq!(bench.commit.batch(bench.now, &mut made, Refused::Stays), Committed::Synced);
    assert!(made.is_empty() && !bench.commit.refusing());
    assert_eq!((bench.journaled().as_str(), bench.known(1)), ("a", Known::Safe));
}

#[test]
fn an_inform_is_answered_when_it_is_as_safe_as_the_policy_asks_for() {
    for (policy, committed) in [
        (SyncPolicy::Batch, Committed::Synced),
        (SyncPolicy::Interval, Committed::Written),
        (SyncPolicy::Never, Committed::Written),
    ] {
        let bench = Bench::new(policy);
        assert_eq!(bench.known(1), Known::No);
        assert_eq!((bench.queue("a", Some(1)), bench.known(1)), (committed, Known::Safe));
        assert!(bench.commit.may_answer(committed));
        assert!(!bench.commit.may_answer(Committed::Kept) && !bench.commit.may_answer(Committed::GivenUp));
    }
}

#[test]
fn what_cannot_be_synced_is_neither_answered_nor_processed_again_until_it_is_safe() {
    let mut bench = Bench::new(SyncPolicy::Batch);
    // What every sink has is not in the journal any more.
    bench.commit.journal.register("sink").unwrap();
    bench.disk.set_faults(Faults { sync: 1, ..Faults::default() });
    let committed = bench.queue("a", Some(1));
    assert_eq!((committed, bench.known(1)), (Committed::Written, Known::Waits));
    assert!(!bench.commit.may_answer(committed) && !bench.commit.keep_state(bench.now));
    bench.queue("b", Some(2));
    bench.refuses(false);
    // The disk may have forgotten what it could not sync: that others can be synced says nothing of it.
    assert_eq!((bench.queue("c", Some(3)), bench.known(3)), (Committed::Synced, Known::Safe));
    assert_eq!((bench.known(1), bench.known(2)), (Known::Waits, Known::Waits));
    assert!(bench.commit.keep_state(bench.now));
    assert_eq!((bench.known(1), bench.known(2), &*bench.journaled()), (Known::Safe, Known::Safe, "abc"));
    bench.disk.cut_power();
    let options =
        Options { directory: "/journal".into(), max_size: 1 << 30, when_full: WhenFull::DropOldest };
    let (journal, recovery) = Journal::open_on(Arc::new(bench.disk.crash()), options, 8).unwrap();
    assert_eq!((journal.oldest(), recovery.records), (1, 3));
}

#[test]
fn an_inform_that_the_disk_has_lost_is_new() {
    let bench = Bench::new(SyncPolicy::Batch);
    bench.commit.journal.register("sink").unwrap();
    bench.disk.set_faults(Faults { sync: 1, ..Faults::default() });
    bench.queue("a", Some(1));
    bench.refuses(false);
    let names = bench.disk.names();
    let segment = names.iter().find(|name| name.to_string_lossy().ends_with("1.seg")).unwrap();
    bench.disk.open(segment, false).unwrap().write(&[0; 99], 0).unwrap();
    assert_eq!(bench.known(1), Known::Waits);
    assert!(bench.commit.keep_state(bench.now), "nothing is left to be done");
    assert_eq!(bench.known(1), Known::No);
}

#[test]
fn an_inform_that_waits_is_neither_processed_again_nor_answered() {
    let mut bench = Bench::new(SyncPolicy::Batch);
    bench.refuses(true);
    assert_eq!((bench.queue("a", Some(1)), bench.known(1)), (Committed::Kept, Known::Waits));
    bench.refuses(false);
    bench.commit.retry(bench.now);
    assert_eq!((bench.known(1), bench.journaled().as_str()), (Known::Safe, "a"));
    bench.now.mono = bench.now.mono + Duration::from_secs(3 * KNOWN_FOR);
    assert_eq!(bench.known(1), Known::No, "not for ever");
}

#[test]
fn one_listener_processes_an_inform_and_the_others_wait() {
    let bench = Bench::new(SyncPolicy::Batch);
    let now = bench.now.mono;
    assert_eq!(bench.commit.claim(1, now), Known::No);
    assert_eq!((bench.commit.claim(1, now), bench.commit.claim(2, now)), (Known::Waits, Known::No));
    bench.commit.release(2);
    assert_eq!(bench.known(2), Known::No);
    assert_eq!((bench.queue("a", Some(1)), bench.known(1)), (Committed::Synced, Known::Safe));
    // A stream that ends while the journal refuses takes its informs with it.
    bench.refuses(true);
    let (_, mut made) = bench.batch("b", Some(3), Refused::Stays);
    assert_eq!(bench.known(3), Known::Waits);
    bench.commit.give_up(&mut made);
    assert_eq!((bench.known(3), bench.stats.outcomes_lost.get()), (Known::No, 1));
}

#[test]
fn an_inform_that_no_rule_takes_needs_no_journal() {
    let bench = Bench::new(SyncPolicy::Batch);
    bench.refuses(true);
    bench.queue("a", None);
    let mut made = Made::default();
    made.add_inform(1);
    assert_eq!(bench.commit.batch(bench.now, &mut made, Refused::Queues), Committed::Synced);
    assert_eq!(bench.known(1), Known::Safe);
}

#[test]
fn what_is_refused_to_the_end_is_counted_as_lost() {
    let bench = Bench::new(SyncPolicy::Batch);
    bench.refuses(true);
    bench.queue("a", Some(1));
    bench.queue("b", None);
    bench.commit.finish(bench.now);
    assert_eq!(bench.known(1), Known::No);
    assert_eq!((bench.stats.outcomes.get(), bench.stats.outcomes_lost.get()), (0, 2));
}
