use futures_util::FutureExt as _;
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::files::disk::Disk;
use crate::files::faulty::{Faults, Faulty};
use crate::journal::segment::{self, Header, segment_path};
use crate::outcome::result::{CheckResult, Common, Event, Labels, Outcome, State};
use crate::outcome::{Record, codec};

fn check(output: &str) -> Outcome<'static> {
    Outcome::CheckResult(CheckResult {
        common: Common {
            time: 1_700_000_000_000_000,
            rule: "r".into(),
            state: State::Critical,
            output: output.to_owned().into(),
            long_output: "".into(),
            source: "192.0.2.1".into(),
            labels: Labels::default(),
        },
        host: "h".into(),
        service: Some("s".into()),
        perfdata: "".into(),
    })
}

pub(super) fn batch(outputs: &[String]) -> Batch {
    let mut batch = Batch::default();
    for output in outputs {
        batch.push(&check(output));
    }
    batch
}

fn open(directory: &Path) -> (Arc<Journal>, Recovery) {
    open_sized(directory, MIN_SIZE * 64)
}

fn open_sized(directory: &Path, max_size: u64) -> (Arc<Journal>, Recovery) {
    Journal::open(Options { directory: directory.to_owned(), max_size, when_full: WhenFull::DropOldest }, 7)
        .unwrap()
}

pub(super) fn read_all(reader: &mut Reader) -> Vec<(u64, String)> {
    let mut got = Vec::new();
    loop {
        let taken = reader
            .read(10, |record| {
                got.push((record.sequence, record.outcome.common().output.to_string()));
                true
            })
            .unwrap();
        if taken == 0 {
            return got;
        }
    }
}

fn outputs(got: &[(u64, String)]) -> Vec<&str> {
    got.iter().map(|(_, output)| output.as_str()).collect()
}

#[test]
fn what_is_appended_is_read_in_order_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let cursor = journal.register("a").unwrap();
    journal.append(&batch(&["one".into(), "two".into()])).unwrap();
    let mut reader = journal.reader(cursor.position());
    assert_eq!(read_all(&mut reader), [(1, "one".into()), (2, "two".into())]);
    cursor.advance(2).unwrap();
    drop((journal, reader, cursor));
    let (journal, recovery) = open(dir.path());
    assert_eq!((recovery.records, recovery.torn_bytes), (2, 0));
    let cursor = journal.register("a").unwrap();
    journal.append(&batch(&["three".into()])).unwrap();
    let got = read_all(&mut journal.reader(cursor.position()));
    assert_eq!(got, [(2, "two".into()), (3, "three".into())]);
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_journal, _) = open(dir.path());
    let options = Options { directory: dir.path().to_owned(), max_size: 0, when_full: WhenFull::DropOldest };
    assert!(matches!(Journal::open(options, 1), Err(OpenError::Locked(_))));
}

#[test]
fn a_torn_tail_is_cut_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let _cursor = journal.register("a").unwrap();
    journal.append(&batch(&["whole".into(), "torn".into()])).unwrap();
    drop(journal);
    let path = segment_path(dir.path(), 1);
    let length = std::fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 3).unwrap();
    let (journal, recovery) = open(dir.path());
    assert_eq!(recovery.records, 1);
    assert!(recovery.torn_bytes > 0);
    let cursor = journal.register("a").unwrap();
    journal.append(&batch(&["after".into()])).unwrap();
    assert_eq!(outputs(&read_all(&mut journal.reader(cursor.position()))), ["whole", "after"]);
}

#[test]
fn a_flipped_bit_costs_one_record() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let cursor = journal.register("a").unwrap();
    journal.append(&batch(&["one".into(), "two".into(), "three".into()])).unwrap();
    let path = segment_path(dir.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(3).position(|w| w == b"two").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(outputs(&read_all(&mut journal.reader(cursor.position()))), ["one", "three"]);
    assert_eq!(journal.damaged(), 1);
    drop((journal, cursor));
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.records, recovery.torn_bytes), (2, 0));
}

#[test]
fn segments_go_when_every_sink_is_past_them() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open_sized(dir.path(), MIN_SIZE);
    let (fast, slow) = (journal.register("fast").unwrap(), journal.register("slow").unwrap());
    let big = "x".repeat(30_000);
    for _ in 0..15 {
        journal.append(&batch(std::slice::from_ref(&big))).unwrap();
    }
    let segments = || {
        std::fs::read_dir(dir.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "seg"))
            .count()
    };
    let before = segments();
    assert!(before >= 4, "{before}");
    fast.advance(journal.next()).unwrap();
    journal.clean();
    assert_eq!(segments(), before);
    slow.advance(journal.next()).unwrap();
    journal.clean();
    assert_eq!(segments(), 1);
}

#[test]
fn a_full_journal_gives_up_the_oldest_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open_sized(dir.path(), MIN_SIZE);
    let cursor = journal.register("dead").unwrap();
    let big = "x".repeat(30_000);
    for _ in 0..100 {
        journal.append(&batch(std::slice::from_ref(&big))).unwrap();
    }
    assert!(journal.size() <= MIN_SIZE);
    let expired = cursor.expired();
    assert!(expired > 0);
    assert_eq!((journal.oldest(), journal.behind(&cursor)), (1 + expired, 100 - expired));
    assert_eq!(read_all(&mut journal.reader(cursor.position())).len() as u64, 100 - expired);
}

#[test]
fn a_new_sink_starts_now_and_a_damaged_cursor_at_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    journal.append(&batch(&["one".into()])).unwrap();
    assert_eq!(journal.register("new").unwrap().position(), 2);
    std::fs::write(dir.path().join("cursors/broken"), [9; 48]).unwrap();
    assert_eq!(journal.register("broken").unwrap().position(), 1);
}

#[test]
fn ids_differ_between_epochs() {
    let record = |epoch| Record { epoch, sequence: 5, outcome: check("x") };
    assert_eq!(record(7).id(), "0000000000000007-5");
    assert_ne!(record(7).id(), record(8).id());
}

/// What can happen to a journal.
#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    Read { sink: usize, most: usize },
    Clean,
    Sync,
    Restart,
    Crash { cut: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(1usize..9000, 1..20).prop_map(Step::Append),
        4 => (0usize..2, 1usize..40).prop_map(|(sink, most)| Step::Read { sink, most }),
        1 => Just(Step::Clean),
        1 => Just(Step::Sync),
        1 => Just(Step::Restart),
        1 => (1usize..30).prop_map(|cut| Step::Crash { cut }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Two sinks read through appends, restarts and torn tails: each sees every record once and in order, as in
    /// a plain queue.
    #[test]
    fn it_is_a_queue_per_sink(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path()).0;
        let mut cursors = [journal.register("a").unwrap(), journal.register("b").unwrap()];
        let mut model: [VecDeque<(u64, String)>; 2] = Default::default();
        let mut next = 1;
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(sizes) => {
                    let texts: Vec<String> = sizes.iter().map(|size| format!("{n}-{}", "y".repeat(*size))).collect();
                    journal.append(&batch(&texts)).unwrap();
                    for text in texts {
                        for queue in &mut model {
                            queue.push_back((next, text.clone()));
                        }
                        next += 1;
                    }
                }
                Step::Read { sink, most } => {
                    let mut got = Vec::new();
                    let mut reader = journal.reader(cursors[sink].position());
                    reader.read(most, |r| { got.push((r.sequence, r.outcome.common().output.to_string())); true }).unwrap();
                    let expected: Vec<_> = model[sink].drain(..got.len()).collect();
                    prop_assert!(got.len() == most || model[sink].is_empty());
                    prop_assert_eq!(got, expected);
                    cursors[sink].advance(reader.position()).unwrap();
                }
                Step::Clean => journal.clean(),
                Step::Sync => journal.sync(0).unwrap(),
                Step::Restart | Step::Crash { .. } => {
                    drop(journal);
                    if let Step::Crash { cut } = step {
                        // A record that was being written when the machine stopped.
                        let newest = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path())
                            .filter(|p| p.extension().is_some_and(|ending| ending == "seg")).max().unwrap();
                        let mut torn = Vec::new();
                        segment::push_record(&mut torn, next, b"never finished, so never promised");
                        torn.truncate(cut);
                        OpenOptions::new().append(true).open(newest).unwrap().write_all(&torn).unwrap();
                    }
                    journal = open(dir.path()).0;
                    cursors = [journal.register("a").unwrap(), journal.register("b").unwrap()];
                    prop_assert_eq!(journal.next(), next);
                }
            }
        }
    }

    #[test]
    fn outcomes_round_trip(texts in prop::collection::vec(any::<String>(), 9), state in 0usize..7, time: i64, second: bool, fields in 0usize..3, labels in 0usize..3) {
        let text = |n: usize| std::borrow::Cow::from(texts[n].clone());
        let common = Common { time, rule: text(0), state: State::ALL[state], output: text(1), long_output: text(2), source: text(3), labels: Labels::Own(vec![(text(4), text(6)); labels]) };
        let check = Outcome::CheckResult(CheckResult { common: common.clone(), host: text(4).into(), service: second.then(|| text(5).into()), perfdata: text(6) });
        let event = Outcome::Event(Event { common, component: text(4).into(), resource: second.then(|| text(5).into()), fields: (0..fields).map(|_| (text(7), text(8))).collect() });
        for outcome in [check, event] {
            let mut bytes = Vec::new();
            codec::encode(&outcome, &mut bytes);
            prop_assert_eq!(codec::decode(&bytes), Some(outcome));
        }
    }

    #[test]
    fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = codec::decode(&bytes);
        let _ = segment::record(&bytes);
        let _ = Header::decode(&bytes);
    }
}

#[test]
fn readers_never_see_what_a_failed_write_left() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let cursor = journal.register("a").unwrap();
    journal.append(&batch(&["one".into()])).unwrap();
    let path = segment_path(dir.path(), 1);
    let length = std::fs::metadata(&path).unwrap().len();
    // Half a record, as a write leaves it that the disk had no room for.
    let mut torn = Vec::new();
    segment::push_record(&mut torn, 2, b"left behind by a failed write");
    let file = OpenOptions::new().append(true).open(&path).unwrap();
    (&file).write_all(&torn[..30]).unwrap();
    let mut reader = journal.reader(cursor.position());
    assert_eq!(outputs(&read_all(&mut reader)), ["one"]);
    file.set_len(length).unwrap();
    journal.append(&batch(&["two".into()])).unwrap();
    assert_eq!(outputs(&read_all(&mut reader)), ["two"]);
    assert_eq!(journal.damaged(), 0);
}

#[test]
fn a_reader_follows_while_others_append() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open_sized(dir.path(), MIN_SIZE * 16);
    let cursor = journal.register("a").unwrap();
    let writers: Vec<_> = (0..2)
        .map(|w| {
            let journal = journal.clone();
            std::thread::spawn(move || {
                for n in 0..2000 {
                    journal.append(&batch(&[format!("{w}-{n}"), "z".repeat(n % 500)])).unwrap();
                }
            })
        })
        .collect();
    let mut reader = journal.reader(cursor.position());
    let mut got = Vec::new();
    while got.len() < 8000 {
        got.extend(read_all(&mut reader));
        cursor.advance(reader.position()).unwrap();
        journal.clean();
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(got.iter().enumerate().all(|(at, (sequence, _))| *sequence == at as u64 + 1));
    assert_eq!(journal.damaged(), 0);
}

#[test]
fn a_segment_that_somebody_has_removed_is_passed_over_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open_sized(dir.path(), MIN_SIZE);
    let cursor = journal.register("a").unwrap();
    let big = "x".repeat(30_000);
    for _ in 0..20 {
        journal.append(&batch(std::slice::from_ref(&big))).unwrap();
    }
    let mut segments: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    segments.sort();
    assert!(segments.len() > 3);
    std::fs::remove_file(&segments[1]).unwrap();
    let first = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let gone = first(&segments[2]) - first(&segments[1]);
    let mut reader = journal.reader_for(&cursor);
    let mut read = 0;
    while reader.position() < journal.next() {
        read += read_all(&mut reader).len() as u64;
    }
    assert_eq!((read, journal.damaged(), cursor.expired()), (20 - gone, 1, gone));
    // After a restart the gap is known too.
    drop((journal, reader, cursor));
    let (journal, _) = open_sized(dir.path(), MIN_SIZE);
    let cursor = journal.register("a").unwrap();
    let mut reader = journal.reader_for(&cursor);
    assert_eq!(read_all(&mut reader).len() as u64, 20 - gone);
    assert_eq!((journal.damaged(), cursor.expired()), (1, gone));
}

#[test]
fn what_a_killed_process_had_not_synced_is_safe_once_the_journal_is_open_again() {
    for seed in 1..50 {
        let disk = Faulty::new(seed);
        let options =
            || Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full: WhenFull::DropOldest };
        // Several segments, none of them synced by whoever wrote it.
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options(), 1).unwrap();
        // Without a sink nothing is kept.
        journal.register("sink").unwrap();
        for number in 0..40 {
            journal.append(&batch(&[format!("{number} {}", "x".repeat(8000))])).unwrap();
            if seed % 2 == 0 && number % 5 == 4 {
                // What was to be synced is taken for written from now on, and is not on the disk.
                disk.set_faults(Faults { sync: 1, ..Faults::default() });
                assert!(journal.sync(0).is_err());
                disk.set_faults(Faults::default());
            }
        }
        let killed = disk.crash();
        drop(journal);
        let (journal, recovery) = Journal::open_on(Arc::new(killed.clone()), options(), 2).unwrap();
        assert_eq!(recovery.records, 40);
        let dark = killed.crash();
        drop(journal);
        dark.cut_power();
        let (_, recovery) = Journal::open_on(Arc::new(dark), options(), 3).unwrap();
        assert_eq!(recovery.records, 40, "seed {seed}");
    }
}

/// A batch that fails leaves whole records behind that cannot be cut off, in a segment that a reader has open and the journal
/// removes: their numbers go to others.
#[test]
fn what_a_failed_write_left_in_a_removed_segment_is_nothing() {
    let disk = Faulty::new(1);
    let options = Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full: WhenFull::Refuse };
    let journal = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap().0;
    let cursor = journal.register("sink").unwrap();
    let mut reader = journal.reader_for(&cursor);
    journal.append(&batch(&["one".to_owned()])).unwrap();
    assert_eq!(read_all(&mut reader), [(1, "one".to_owned())]);
    cursor.advance(2).unwrap();
    disk.set_append_only(true);
    disk.set_room(disk.used() + 500);
    let refused: Vec<String> = (0..5).map(|number| format!("refused {number} {}", "x".repeat(100))).collect();
    assert_eq!(journal.append(&batch(&refused)).unwrap_err().taken, 0);
    disk.set_room(u64::MAX);
    let kept: Vec<String> = (2..6).map(|number| number.to_string()).collect();
    journal.append(&batch(&kept)).unwrap();
    assert_eq!(read_all(&mut reader), (2..6).zip(kept).collect::<Vec<_>>());
    assert_eq!((cursor.expired(), journal.damaged()), (0, 0));
}

/// Whatever a failed write has left, and whatever a power cut takes of what came after it.
#[test]
fn what_a_failed_write_left_is_cut_off_once_the_disk_allows_it() {
    let mut left_something = 0;
    for seed in 1..200 {
        let disk = Faulty::new(seed);
        let options =
            || Options { directory: "/j".into(), max_size: MIN_SIZE, when_full: WhenFull::DropOldest };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options(), 7).unwrap();
        journal.register("sink").unwrap();
        journal.append(&batch(&["before".into()])).unwrap();
        journal.sync(0).unwrap();
        let first = segment_path(Path::new("/j"), 1);
        let length = disk.length(&first).unwrap();
        disk.set_faults(Faults { write: 1, ..Faults::default() });
        let failed: Vec<String> = (0..4).map(|n| format!("failed {n}")).collect();
        assert!(journal.append(&batch(&failed)).is_err());
        journal.clean();
        disk.set_faults(Faults::default());
        left_something += u32::from(disk.length(&first).unwrap() > length);
        journal.append(&batch(&["after".into()])).unwrap();
        journal.clean();
        assert_eq!(disk.length(&first), Some(length), "{seed}");
        let disk = disk.crash();
        disk.cut_power();
        let (journal, _) = Journal::open_on(Arc::new(disk), options(), 8).unwrap();
        let cursor = journal.register("sink").unwrap();
        let got = read_all(&mut journal.reader_for(&cursor));
        assert!(matches!(&outputs(&got)[..], ["before"] | ["before", "after"]), "{seed}: {got:?}");
    }
    assert!(left_something > 100, "{left_something}");
}

/// A sink that ends while it has a segment open that was given up does not get the rest of it, and that is counted.
#[test]
fn who_lets_go_of_a_segment_that_was_given_up_counts_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open_sized(dir.path(), MIN_SIZE);
    let cursor = journal.register("sink").unwrap();
    let mut reader = journal.reader_for(&cursor);
    let large: Vec<String> = (0..60).map(|number| format!("{number} {}", "x".repeat(40_000))).collect();
    journal.append(&batch(&large[..2])).unwrap();
    assert_eq!(reader.read(1, |_| true).unwrap(), 1);
    journal.append(&batch(&large[2..])).unwrap();
    cursor.advance(2).unwrap();
    drop(reader);
    let mut reader = journal.reader_for(&cursor);
    let got = read_all(&mut reader).len() as u64;
    assert_eq!(got + cursor.expired(), 59, "all but the first are read or counted");
}

/// A journal that refuses what it has no room for gives up nothing, however little room is left.
#[test]
fn what_just_fits_takes_the_place_of_nothing() {
    let mut fits = 0;
    for size in segment::MAX_PAYLOAD - 250..segment::MAX_PAYLOAD - 100 {
        let disk: Arc<dyn Disk> = Arc::new(Faulty::new(1));
        let options =
            Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full: WhenFull::Refuse };
        let (journal, _) = Journal::open_on(disk, options, 1).unwrap();
        let cursor = journal.register("sink").unwrap();
        journal.append(&batch(&["small".to_owned()])).unwrap();
        fits += usize::from(journal.append(&batch(&["z".repeat(size)])).is_ok());
        assert_eq!(cursor.expired(), 0, "{size}");
        assert!(journal.size() <= MIN_SIZE, "{size}");
    }
    assert!((1..150).contains(&fits), "{fits}");
}

/// On a disk without room, what every sink has taken makes some, also where it stands in the segment that is written into, and though
/// somebody has read it and has it open.
#[test]
fn what_is_delivered_makes_room_on_a_full_disk() {
    for when_full in [WhenFull::DropOldest, WhenFull::Refuse] {
        let disk = Faulty::new(1);
        let options = Options { directory: "/journal".into(), max_size: 64 << 20, when_full };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap();
        let cursor = journal.register("sink").unwrap();
        let (mut reader, mut other) = (journal.reader_for(&cursor), journal.reader(0));
        let follower = journal.follower();
        let some = batch(&["x".repeat(1000)]);
        journal.append(&some).unwrap();
        disk.set_room(disk.used() + 20_000);
        for _ in 0..5 {
            while journal.append(&some).is_ok() {}
            let refused = journal.next();
            assert!(journal.append(&some).is_err(), "nobody has taken anything");
            let read = read_all(&mut reader).len();
            assert!(read >= 10 && read_all(&mut other).len() == read);
            assert!(reader.holds().is_some() && reader.holds() == other.holds());
            assert!(follower.removed(reader.holds()).now_or_never().is_none());
            cursor.advance(refused).unwrap();
            // The first attempt finds no room and makes some, once nobody has the file open.
            let _ = journal.append(&some);
            assert!(journal.append(&some).is_err());
            for reader in [&mut reader, &mut other] {
                assert!(follower.removed(reader.holds()).now_or_never().is_some(), "it is told");
                reader.let_go();
                assert_eq!(reader.holds(), None);
            }
            journal.append(&some).unwrap();
            assert_eq!(journal.oldest(), refused, "{when_full:?}");
        }
    }
}

/// On a disk without room at the start, sinks get what is there, nothing is taken meanwhile, and what they take makes room.
#[test]
fn a_start_without_room_delivers_what_is_there_and_goes_on_when_there_is_some() {
    for (when_full, taken) in
        [WhenFull::DropOldest, WhenFull::Refuse].into_iter().flat_map(|w| [(w, 1), (w, 250)])
    {
        let disk = Faulty::new(1);
        let options = Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full };
        let open = |epoch| Journal::open_on(Arc::new(disk.clone()), options.clone(), epoch).unwrap().0;
        let journal = open(7);
        let cursor = journal.register("sink").unwrap();
        for n in 0..300 {
            journal.append(&batch(&[format!("{n} {}", "x".repeat(1000))])).unwrap();
        }
        cursor.advance(taken).unwrap();
        drop((journal, cursor));
        // Somebody else takes what goes at the start, too.
        disk.set_room(disk.used() / 8);
        let journal = open(8);
        let refused = |journal: &Journal| journal.append(&batch(&["new".to_owned()])).unwrap_err();
        assert!(journal.lacks_room() && !journal.is_in_place());
        assert_eq!(
            (refused(&journal).taken, refused(&journal).error.kind()),
            (0, io::ErrorKind::StorageFull)
        );
        assert!(journal.sync(0).is_err() && journal.look().is_err());
        let cursor = journal.register("sink").unwrap();
        let read = read_all(&mut journal.reader_for(&cursor));
        assert_eq!((read.len() as u64, cursor.expired()), (301 - taken, 0), "{when_full:?}");
        cursor.advance(301).unwrap();
        if taken == 1 {
            // The process ends when all is delivered and there is still no room: numbers go on all the same.
            disk.set_room(0);
            journal.clean();
            assert!(journal.lacks_room() && journal.oldest() == 301);
            drop((journal, cursor));
            let journal = open(9);
            assert_eq!(journal.register("sink").unwrap().position(), 301, "{when_full:?}");
            disk.set_room(u64::MAX);
            journal.look().unwrap();
            assert_eq!(journal.append(&batch(&["new".to_owned()])).unwrap(), 301);
            continue;
        }
        journal.clean();
        assert!(!journal.lacks_room() && journal.is_in_place());
        assert_eq!(journal.append(&batch(&["new".to_owned()])).unwrap(), 301);
        journal.sync(301).unwrap();
        drop((journal, cursor));
        let journal = open(9);
        let cursor = journal.register("sink").unwrap();
        assert_eq!(read_all(&mut journal.reader_for(&cursor)).len(), 1);
    }
}
