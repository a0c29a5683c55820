//! Damage in a segment costs what stands in it, and little memory.

use std::ops::Range;
use std::path::Path;

use super::*;
use crate::journal::tests::batch;
use crate::journal::{Options, WhenFull};

/// Numbers that follow from a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % limit
    }
}

fn open(directory: &Path) -> Arc<Journal> {
    let options =
        Options { directory: directory.to_owned(), max_size: 1 << 30, when_full: WhenFull::DropOldest };
    Journal::open(options, 7).unwrap().0
}

/// Appends outcomes of some length; gives where each stands in the segment.
fn append(journal: &Journal, lengths: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    for length in lengths {
        let start = journal.segment_of(1).map_or(HEADER, |segment| segment.length() as usize);
        journal.append(&batch(&["x".repeat(length)])).unwrap();
        places.push(start..journal.segment_of(1).unwrap().length() as usize);
    }
    places
}

/// The numbers of all records, and the most memory that one of them has held, in the first half and the second.
fn read(journal: &Arc<Journal>, count: usize) -> (Vec<usize>, usize, usize) {
    let (mut reader, mut read) = (journal.reader(1), (Vec::new(), 0, 0));
    while reader
        .read_payloads(10, |found, _| {
            let (number, kept) = (found.sequence as usize, found.shared().kept());
            read.0.push(number);
            let most = if number <= count / 2 { &mut read.1 } else { &mut read.2 };
            *most = kept.max(*most);
            true
        })
        .unwrap()
        > 0
    {}
    read
}

/// Changes a part of the segment.
fn damage(directory: &Path, change: impl FnOnce(&mut [u8])) {
    let path = segment_path(directory, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn every_whole_record_behind_damage_is_read_however_long_that_is() {
    for seed in 0..40 {
        let mut draw = Draw(seed);
        let directory = tempfile::tempdir().unwrap();
        let journal = open(directory.path());
        let lengths = (0..400).map(|_| match draw.below(20) {
            0 => draw.below((1 << 20) - 1000),
            1..4 => draw.below(60_000),
            _ => draw.below(500),
        });
        let places = append(&journal, lengths.collect::<Vec<_>>());
        let end = places.last().unwrap().end;
        let from = HEADER + draw.below(end - HEADER);
        let to = (from + 1 + draw.below(3 << 20) / (1 + draw.below(1000))).min(end);
        damage(directory.path(), |bytes| match seed % 3 {
            0 => bytes[from..to].fill(0),
            1 => bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x55),
            // What stands before, so that there are whole records with numbers that are over.
            _ => bytes.copy_within(HEADER..HEADER + (to - from).min(from - HEADER), from),
        });
        let is_whole = |place: &Range<usize>| place.end <= from || place.start >= to;
        let whole: Vec<usize> = (1..).zip(&places).filter(|(_, at)| is_whole(at)).map(|(n, _)| n).collect();
        let (read, ..) = read(&journal, places.len());
        let missed: Vec<&usize> = whole.iter().filter(|number| !read.contains(number)).collect();
        assert!(missed.is_empty(), "seed {seed}, {from} to {to}: {missed:?} of {}", places.len());
        assert!(read.is_sorted(), "seed {seed}: {read:?}");
    }
}

#[test]
fn a_long_record_or_damage_is_forgotten_with_the_next_records() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let long = (1 << 20) - 1000;
    // 20 MiB, in the first half with records as long as they can be.
    let lengths = (0..5000).map(|n| if n < 2500 && n % 500 == 7 { long } else { 4000 });
    let places = append(&journal, lengths);
    let (all, most, later) = read(&journal, places.len());
    assert_eq!(all.len(), places.len());
    assert!(most > long && most <= SEARCHED && later <= MOST_KEPT, "{most}, {later}");
    // The length of the third record, and a part that is longer than what is searched at a time.
    let (from, to) = (places[20].start, places[20].start + (5 << 20));
    damage(directory.path(), |bytes| {
        bytes[places[2].start + 2] ^= 1;
        bytes[from..to].fill(0);
    });
    let (read, most, later) = read(&journal, places.len());
    let whole = (1..).zip(&places).filter(|(n, at)| *n != 3 && (at.end <= from || at.start >= to));
    assert_eq!(read, whole.map(|(n, _)| n).collect::<Vec<_>>());
    assert_eq!(journal.damaged(), 2);
    assert!(most <= SEARCHED + CHUNK && later <= MOST_KEPT, "{most}, {later}");
}
