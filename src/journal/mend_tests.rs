use std::sync::Arc;

use super::*;
use crate::files::disk::Disk;
use crate::files::faulty::{Faults, Faulty};
use crate::journal::segment::segment_path;
use crate::journal::tests::{batch, read_all};

#[test]
fn what_a_failed_sync_was_for_is_not_safe_while_it_is_there_as_it_is() {
    let disk = Faulty::new(1);
    let options = Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full: WhenFull::Refuse };
    let journal = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap().0;
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
    let options = Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full: WhenFull::Refuse };
    let open = |epoch| Journal::open_on(Arc::new(disk.clone()), options.clone(), epoch).unwrap().0;
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
    let options = Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full: WhenFull::Refuse };
    let journal = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap().0;
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
fn what_is_lost_of_one_segment_is_not_lost_of_those_beside_it() {
    let disk = Faulty::new(1);
    let options = Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full: WhenFull::Refuse };
    let journal = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap().0;
    let _cursor = journal.register("sink").unwrap();
    for number in 1..4 {
        // A segment each.
        assert_eq!(journal.append(&batch(&["x".repeat(100_000)])).unwrap(), number);
    }
    disk.set_faults(Faults { sync: 1, ..Faults::default() });
    assert!(journal.sync(1).is_err() && journal.safe() == 1);
    disk.set_faults(Faults::default());
    disk.open(&segment_path("/journal".as_ref(), 2), false).unwrap().write(&[0; 9], 1000).unwrap();
    assert!(journal.mend().unwrap(), "nothing more can be done");
    let known = |number| (journal.has_safe(&(number..number + 1)), journal.has_lost(&(number..number + 1)));
    assert_eq!([1, 2, 3].map(known), [(true, false), (false, true), (true, false)]);
    assert_eq!((journal.safe(), journal.sync(3).is_ok(), journal.sync(2).is_ok()), (2, true, false));
}
