//! Progress in its file, whatever fails.

use proptest::prelude::*;

use super::*;
use crate::files::faulty::{Faults, Faulty};

const PATH: &str = "/journal/cursors/sink";

/// Ranges behind a cursor from pairs of a gap and a length.
fn progress(cursor: u64, pairs: &[(u64, u64)]) -> Progress {
    let mut end = cursor;
    let done = pairs.iter().map(|(gap, length)| {
        let start = end + gap;
        end = start + length;
        start..end
    });
    Progress { cursor, done: done.collect() }
}

fn some_progress(most: usize) -> impl Strategy<Value = Progress> {
    let pairs = prop::collection::vec((1u64..50, 1u64..50), 0..most);
    (0u64..1000, pairs).prop_map(|(cursor, pairs)| progress(cursor, &pairs))
}

fn open(disk: &Faulty, oldest: u64, next: u64) -> (ProgressFile, Progress, Found) {
    ProgressFile::open_for_tests(disk, Path::new(PATH), oldest, next)
}

fn old_slot(generation: u64, cursor: u64) -> Vec<u8> {
    let mut slot = [generation.to_le_bytes(), cursor.to_le_bytes(), [0; 8]].concat();
    let crc = crc32c::crc32c(&slot[..16]);
    slot[16..20].copy_from_slice(&crc.to_le_bytes());
    slot
}

proptest! {
    #[test]
    fn a_slot_says_what_was_written(progress in some_progress(400), generation in any::<u64>()) {
        let (slot, annex) = progress.encode(generation);
        prop_assert_eq!(Progress::decode(&slot), Some((generation, progress, 0)));
        prop_assert!(annex.is_empty());
    }

    #[test]
    fn a_slot_holds_the_lowest_ranges(progress in some_progress(800)) {
        let (slot, annex) = progress.encode(1);
        prop_assert!(slot.len() <= SLOT);
        // All that releases without an annex read.
        let (_, read, mark) = Progress::decode(&slot).unwrap();
        let kept = progress.done.len().min(MAX_RANGES);
        prop_assert_eq!((read.cursor, &read.done[..]), (progress.cursor, &progress.done[..kept]));
        prop_assert_eq!(read.with_annex(mark, &annex), Some(progress));
    }

    /// Whatever a sink has open, and however long its file was before.
    #[test]
    fn a_file_says_all_that_was_written(all in prop::collection::vec((some_progress(9000), any::<bool>()), 1..5)) {
        let disk = Faulty::new(1);
        let (mut file, ..) = open(&disk, 1, 1);
        for (progress, syncs) in all {
            if syncs { file.sync(&progress).unwrap() } else { file.write(&progress).unwrap() }
            let (_, found, how) = ProgressFile::open(&disk, Path::new(PATH), 1, u64::MAX, 1).unwrap();
            prop_assert_eq!((found, how), (progress.clone().within(1, u64::MAX), Found::Progress { lost: progress.open_before(1) }));
        }
    }

    #[test]
    fn a_turned_bit_is_noticed(progress in some_progress(20), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (mut slot, _) = progress.encode(7);
        let at = at.index(slot.len());
        slot[at] ^= 1 << bit;
        prop_assert_eq!(Progress::decode(&slot), None);
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Progress::decode(&bytes);
        let _ = Progress::decode(&[MAGIC, &bytes[..]].concat());
        let _ = Progress::before(1).with_annex(1, &bytes);
    }

    #[test]
    fn bounds_take_away_only_what_is_beyond(
        progress in some_progress(30),
        oldest in 0u64..3000,
        more in 0u64..3000,
    ) {
        let next = oldest + more;
        let bounded = progress.clone().within(oldest, next);
        prop_assert!((oldest..=next).contains(&bounded.cursor));
        for number in oldest..next {
            prop_assert_eq!(bounded.contains(number), progress.contains(number), "{}", number);
        }
        prop_assert!((next..next + 100).all(|number| !bounded.contains(number)));
        let lost = (0..oldest).filter(|number| !progress.contains(*number)).count() as u64;
        prop_assert_eq!(progress.open_before(oldest), lost);
        prop_assert!(bounded.done.iter().zip(bounded.done.iter().skip(1)).all(|(a, b)| a.end <= b.start));
        prop_assert!(bounded.done.first().is_none_or(|range| range.start > bounded.cursor));
    }
}

#[test]
fn long_ranges_are_written_in_parts() {
    let long = u64::from(u32::MAX) * 2 + 7;
    let progress = progress(5, &[(3, long), (1, 2)]);
    assert_eq!(Progress::decode(&progress.encode(1).0), Some((1, progress, 0)));
    let far = Progress { cursor: 0, done: vec![1..2, long..long + 1] };
    let (slot, annex) = far.encode(1);
    assert_eq!(Progress::decode(&slot).unwrap().1.done, far.done[..1], "what a gap cannot say comes again");
    assert!(annex.is_empty());
}

#[test]
fn a_new_sink_starts_at_the_end_and_a_damaged_one_at_the_oldest() {
    let disk = Faulty::new(1);
    let (_, start, found) = open(&disk, 3, 9);
    assert_eq!((start, found), (Progress::before(9), Found::Nothing));
    let file = disk.open(Path::new(PATH), false).unwrap();
    file.write(&[0xff; 2 * SLOT], 0).unwrap();
    let (_, start, found) = open(&disk, 3, 20);
    assert_eq!((start, found), (Progress::before(3), Found::Damage));
    assert_eq!(open(&disk, 3, 20).2, Found::Progress { lost: 0 }, "and it is repaired");
}

#[test]
fn the_old_form_is_read_and_a_torn_change_of_form_keeps_it() {
    for seed in 1..200 {
        let disk = Faulty::new(seed);
        let file = disk.open(Path::new(PATH), true).unwrap();
        disk.sync_directory(Path::new("/journal/cursors")).unwrap();
        file.write(&[old_slot(6, 40), old_slot(7, 41)].concat(), 0).unwrap();
        file.sync().unwrap();
        // Fails at some place, and the power is cut there.
        disk.set_faults(Faults { write: seed % 3, sync: (seed / 3) % 3, ..Faults::default() });
        let _ = ProgressFile::open(&disk, Path::new(PATH), 30, 100, 100);
        disk.set_faults(Faults::default());
        disk.cut_power();
        let (_, progress, found) = open(&disk, 30, 100);
        assert_eq!((progress, found), (Progress::before(41), Found::Progress { lost: 0 }), "seed {seed}");
    }
}

#[test]
fn what_is_no_longer_there_is_counted() {
    let disk = Faulty::new(1);
    let (mut file, ..) = open(&disk, 1, 10);
    file.write(&progress(10, &[(2, 2)])).unwrap();
    let (_, bounded, found) = open(&disk, 16, 20);
    assert_eq!((bounded, found), (Progress::before(16), Found::Progress { lost: 4 }));
}

#[test]
fn what_an_earlier_release_wrote_in_between_counts() {
    for (first, second) in [(40, 80), (80, 40), (7, 7)] {
        let disk = Faulty::new(1);
        let (mut file, ..) = open(&disk, 1, 50);
        for _ in 0..5 {
            file.sync(&progress(50, &[(2, 2)])).unwrap();
        }
        // It takes the cursor for damaged and counts generations from 1.
        let old = [old_slot(2, second), old_slot(1, first)].concat();
        disk.open(Path::new(PATH), false).unwrap().write(&old, 0).unwrap();
        let (mut file, found, how) = open(&disk, 1, 100);
        assert_eq!((found, how), (Progress::before(second), Found::Progress { lost: 0 }));
        file.write(&Progress::before(90)).unwrap();
        assert_eq!(open(&disk, 1, 100).1, Progress::before(90));
    }
}

/// With more ranges than a slot holds, too.
#[test]
fn a_torn_annex_costs_only_what_was_not_synced() {
    for seed in 1..300u64 {
        let disk = Faulty::new(seed);
        let (mut file, ..) = open(&disk, 1, 1);
        let of = |step: u64| progress(step, &vec![(1, 1); 400 + (step * 377 % 5000) as usize]);
        let mut synced = Progress::before(1);
        for step in 1..8 {
            let failing = (seed + step) % 3 == 0;
            disk.set_faults(Faults { write: u64::from(failing) * 2, ..Faults::default() });
            if (seed ^ step) % 2 == 0 && file.sync(&of(step)).is_ok() {
                synced = of(step);
            } else {
                let _ = file.write(&of(step));
            }
            disk.set_faults(Faults::default());
        }
        disk.cut_power();
        let (mut file, found, how) = open(&disk, 1, 100_000);
        assert_ne!(how, Found::Damage, "seed {seed}");
        assert!((1..8).map(of).chain([Progress::before(1)]).any(|one| one == found), "seed {seed}");
        assert!(found.cursor >= synced.cursor, "seed {seed}: {} after {}", found.cursor, synced.cursor);
        file.write(&of(9)).unwrap();
        assert_eq!(open(&disk, 1, 100_000).1, of(9), "seed {seed}");
    }
}

/// What was synced last survives any power cut, and what was written last any end of the process.
#[test]
fn torn_slots_cost_only_what_was_not_synced() {
    for seed in 1..2000u64 {
        let disk = Faulty::new(seed);
        let (mut file, mut last, _) = open(&disk, 1, 1);
        let mut synced = last.clone();
        for step in 1..20 {
            let now = progress(step * 3, &[(1, step % 4 + 1), (2, 1)]);
            let failing = (seed + step) % 5 == 0;
            disk.set_faults(Faults {
                write: u64::from(failing) * 2,
                sync: u64::from(failing),
                ..Faults::default()
            });
            let written = if (seed * step) % 3 == 0 {
                file.sync(&now).map(|()| synced = now.clone())
            } else {
                file.write(&now)
            };
            disk.set_faults(Faults::default());
            if written.is_ok() {
                last = now;
            }
            if (seed ^ step) % 7 == 0 {
                disk.cut_power();
                let (reopened, found, how) = open(&disk, 1, 1000);
                assert_ne!(how, Found::Damage, "seed {seed}, step {step}");
                assert!(found.cursor >= synced.cursor, "{found:?} after {synced:?} was synced, seed {seed}");
                (file, last, synced) = (reopened, found.clone(), found);
            } else if written.is_ok() && (seed ^ step) % 7 == 1 {
                let (reopened, found, _) = open(&disk, 1, 1000);
                assert_eq!(found, last, "seed {seed}, step {step}");
                (file, synced) = (reopened, found);
            }
        }
    }
}
