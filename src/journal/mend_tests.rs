use std::sync::Arc;

use super::*;
use crate::files::disk::Disk;
use crate::files::faulty::{Faults, Faulty};
use crate::journal::place::Looked;
use crate::journal::segment::segment_path;
use crate::journal::tests::{batch, read_all};

fn journal_on(disk: &Faulty, epoch: u64) -> Arc<Journal> {
    let options = Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full: WhenFull::Refuse };
    Journal::open_on(Arc::new(disk.clone()), options, epoch).unwrap().0
}

#[test]
fn what_a_failed_sync_was_for_is_not_safe_while_it_is_there_as_it_is() {
    let disk = Faulty::new(1);
    let journal = journal_on(&disk, 7);
    let cursor = journal.register("sink").unwrap();
    let append = |text: &str| journal.append(&batch(&[text.to_owned()])).unwrap();
    append("safe");
    journal.sync(0).unwrap();
    assert_eq!(journal.safe(), 2);
    append("not safe");
    disk.set_faults(Faults { sync: 1, ..Faults::default() });
    assert!(journal.sync(2).is_err() && journal.safe() == 2);
    append("neither");
    assert!(journal.sync(3).is_err() && journal.safe() == 2);
    disk.set_faults(Faults::default());
    append("safe again");
    journal.sync(4).unwrap();
    assert_eq!(journal.safe(), 2, "those before are still there");
    assert!(journal.sync(3).is_err() && journal.sync(4).is_ok() && !journal.has_safe(&(2..4)));
    cursor.advance(4).unwrap();
    journal.clean();
    assert_eq!((journal.oldest(), journal.safe()), (4, 5));
    assert!(journal.has_safe(&(2..5)) && journal.is_mended());
}

#[test]
fn what_a_failed_sync_was_for_is_safe_once_it_is_written_again() {
    let disk = Faulty::new(1);
    let open = |epoch| journal_on(&disk, epoch);
    let journal = open(7);
    let cursor = journal.register("sink").unwrap();
    let append = |text: &str| journal.append(&batch(&[text.to_owned()])).unwrap();
    append("safe");
    journal.sync(0).unwrap();
    disk.set_faults(Faults { sync: 1, ..Faults::default() });
    for number in 2..5 {
        append(&format!("not safe {number}"));
        assert!(journal.sync(number).is_err() && journal.mend().is_err(), "{number}");
    }
    assert!(journal.safe() == 2 && !journal.has_safe(&(3..4)) && !journal.is_mended());
    disk.set_faults(Faults::default());
    append("safe again");
    assert!(journal.mend().unwrap() && journal.sync(0).is_ok());
    assert_eq!((journal.safe(), journal.has_safe(&(1..6))), (6, true));
    drop((journal, cursor));
    disk.cut_power();
    let journal = open(8);
    let cursor = journal.register("sink").unwrap();
    assert_eq!(read_all(&mut journal.reader_for(&cursor)).len(), 5);
}

/// After a failed sync the system may drop what it could not write, and then reads what the disk has.
#[test]
fn what_cannot_be_read_any_more_is_not_promised() {
    let disk = Faulty::new(1);
    let journal = journal_on(&disk, 7);
    let _cursor = journal.register("sink").unwrap();
    for (number, text) in (1..).zip(["safe", "lost", "not lost"]) {
        journal.append(&batch(&[text.to_owned()])).unwrap();
        disk.set_faults(Faults { sync: u64::from(text != "safe"), ..Faults::default() });
        assert_eq!(journal.sync(number).is_ok(), text == "safe");
    }
    disk.set_faults(Faults::default());
    let file = disk.open(&segment_path("/journal".as_ref(), 1), false).unwrap();
    let length = file.length().unwrap();
    file.write(&[0; 9], length - 9).unwrap();
    assert!(journal.mend().unwrap(), "nothing more can be done");
    assert!(journal.has_lost(&(2..3)) && !journal.has_safe(&(2..3)) && journal.safe() == 2);
    assert!(journal.has_safe(&(3..4)) && !journal.has_lost(&(3..4)));
    assert!(journal.sync(2).is_err() && journal.sync(3).is_ok());
}

#[test]
fn what_is_lost_of_one_segment_is_not_lost_of_another() {
    let disk = Faulty::new(1);
    let journal = journal_on(&disk, 7);
    let _cursor = journal.register("sink").unwrap();
    // More than half of a segment each.
    for _ in 1..3 {
        journal.append(&batch(&["x".repeat(100_000)])).unwrap();
    }
    assert_eq!(journal.newest(), 2);
    disk.set_faults(Faults { sync: 1, ..Faults::default() });
    assert!(journal.sync(1).is_err());
    disk.set_faults(Faults::default());
    let file = disk.open(&segment_path("/journal".as_ref(), 2), false).unwrap();
    let length = file.length().unwrap();
    file.write(&[0; 9], length - 9).unwrap();
    assert!(journal.mend().unwrap());
    assert!(journal.has_safe(&(1..2)) && !journal.has_lost(&(1..2)));
    assert!(journal.has_lost(&(2..3)) && !journal.has_safe(&(2..3)) && journal.safe() == 2);
}

#[test]
fn what_was_removed_before_it_was_written_again_is_lost() {
    let disk = Faulty::new(1);
    let journal = journal_on(&disk, 7);
    let _cursor = journal.register("sink").unwrap();
    let append = |text: &str| journal.append(&batch(&[text.to_owned()])).unwrap();
    append("not safe");
    disk.set_faults(Faults { sync: 1, ..Faults::default() });
    assert!(journal.sync(1).is_err());
    append("safe");
    disk.set_faults(Faults::default());
    disk.lose_for_good(|path| path.extension().is_some_and(|extension| extension == "seg"));
    assert_eq!(journal.look().unwrap(), Looked::Restored { segments: 1 });
    // With the new segment what is lost is forgotten, and there is nothing to write again.
    append("after");
    assert!(journal.mend().unwrap() && journal.sync(0).is_ok());
    assert!(journal.has_lost(&(1..2)) && !journal.has_safe(&(1..2)));
    assert!(journal.has_safe(&(2..4)) && !journal.has_lost(&(2..4)) && journal.has_safe(&(0..0)));
}
