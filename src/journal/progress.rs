//! How far a sink is: a set of sequence numbers, and the file that keeps it.
//!
//! # The file
//!
//! Two slots of [`SLOT`] bytes, little-endian:
//!
//! ```text
//! "TLC2"  4   crc32c of what follows, up to the last range  4   generation  8   cursor  8   number of ranges  4   0  4
//! ranges, each: gap 4 (numbers between the cursor or the range before, and this range)   length 4
//! ```
//!
//! The whole slot with the higher generation counts. A slot holds the [`MAX_RANGES`] lowest ranges; what is beyond them
//! is delivered again after a crash.
//!
//! A write goes to one slot and a sync makes it durable. **The slot that was synced last is never written before the
//! other one is synced**, so a torn write costs at most what was written since the last sync.
//!
//! Up to 0.1 the file had 48 bytes: two slots of `generation 8, cursor 8, crc32c of both 4, 0 4`. Such a file is read,
//! and written in the new form. An earlier release that finds the new form starts with the oldest record in the journal and
//! writes the old form over the first slot; then that counts.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::segment::read_u64;
use crate::files::disk::{Disk, DiskFile, Opening, read_all};

/// The size of a slot in bytes.
pub const SLOT: usize = 4096;
/// The most ranges that a slot holds.
pub const MAX_RANGES: usize = (SLOT - HEADER) / 8;

const HEADER: usize = 32;
const MAGIC: &[u8; 4] = b"TLC2";
/// The size of a slot up to 0.1.
const OLD_SLOT: usize = 24;

/// Which records a sink is done with: all before the cursor, and some behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The lowest number that the sink is not done with.
    pub cursor: u64,
    /// What it is done with behind the cursor: sorted, without overlaps, none empty.
    pub done: Vec<Range<u64>>,
}

impl Progress {
    /// Done with everything before a number.
    pub fn before(cursor: u64) -> Self {
        Progress { cursor, done: Vec::new() }
    }

    /// Whether the sink is done with a number.
    pub fn contains(&self, number: u64) -> bool {
        let at = self.done.partition_point(|range| range.end <= number);
        number < self.cursor || self.done.get(at).is_some_and(|range| range.contains(&number))
    }

    /// How many numbers before `end` it is not done with.
    pub fn open_before(&self, end: u64) -> u64 {
        let done: u64 =
            self.done.iter().map(|range| range.end.min(end).saturating_sub(range.start.min(end))).sum();
        end.saturating_sub(self.cursor).saturating_sub(done)
    }

    /// The same for a journal whose records are `oldest..next`: what is before is gone, what is from `next` on does not
    /// exist and will be another record.
    #[must_use]
    pub fn within(mut self, oldest: u64, next: u64) -> Self {
        self.cursor = self.cursor.clamp(oldest.min(next), next);
        for range in &mut self.done {
            range.end = range.end.min(next);
            range.start = range.start.max(self.cursor).min(range.end);
        }
        self.done.retain(|range| !range.is_empty());
        // What is done from the cursor on moves it.
        while self.done.first().is_some_and(|range| range.start == self.cursor) {
            self.cursor = self.done.remove(0).end;
        }
        self
    }

    /// A slot that holds it.
    fn encode(&self, generation: u64) -> Vec<u8> {
        let mut slot = Vec::with_capacity(HEADER + 8 * self.done.len().min(MAX_RANGES));
        slot.extend(MAGIC);
        slot.extend([0; 4]);
        slot.extend(generation.to_le_bytes());
        slot.extend(self.cursor.to_le_bytes());
        slot.extend([0; 8]);
        let (mut count, mut before) = (0u32, self.cursor);
        'ranges: for range in &self.done {
            let Ok(mut gap) = u32::try_from(range.start.saturating_sub(before)) else { break };
            let mut start = range.start;
            // A range longer than a length can say is written in parts.
            while start < range.end {
                if count as usize == MAX_RANGES {
                    break 'ranges;
                }
                let length = u32::try_from(range.end - start).unwrap_or(u32::MAX);
                slot.extend(gap.to_le_bytes());
                slot.extend(length.to_le_bytes());
                count += 1;
                start += u64::from(length);
                gap = 0;
            }
            before = range.end;
        }
        slot[24..28].copy_from_slice(&count.to_le_bytes());
        let crc = crc32c::crc32c(&slot[8..]);
        slot[4..8].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    /// What a slot holds, and its generation; none if it is not whole.
    fn decode(slot: &[u8]) -> Option<(u64, Self)> {
        let header = slot.first_chunk::<HEADER>().filter(|header| header[..4] == *MAGIC)?;
        let count = read_u32(&header[24..]) as usize;
        let ranges = slot.get(HEADER..HEADER + count.checked_mul(8).filter(|_| count <= MAX_RANGES)?)?;
        if crc32c::crc32c(&slot[8..HEADER + ranges.len()]) != read_u32(&header[4..]) {
            return None;
        }
        let mut progress = Progress::before(read_u64(&header[16..]));
        let mut end = progress.cursor;
        for range in ranges.chunks_exact(8) {
            let start = end.checked_add(u64::from(read_u32(range)))?;
            end = start.checked_add(u64::from(read_u32(&range[4..])))?;
            match progress.done.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => progress.done.push(start..end),
            }
        }
        Some((read_u64(&header[8..]), progress))
    }
}

fn read_u32(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b))
}

/// What was found when a [`ProgressFile`] was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// There was no file: a new sink.
    Nothing,
    /// A whole slot. So many records that the sink was not done with are no longer in the journal.
    Progress {
        /// How many.
        lost: u64,
    },
    /// No slot is whole. The sink starts with the oldest record: twice is better than never.
    Damage,
}

impl Found {
    fn say(&self, path: &Path) {
        match self {
            Found::Progress { lost: 0 } | Found::Nothing => {}
            Found::Progress { lost } => tracing::error!(
                cursor = %path.display(),
                outcomes = lost,
                "the journal no longer has outcomes that this sink has not taken: they are lost"
            ),
            Found::Damage => tracing::error!(
                cursor = %path.display(),
                "the cursor is damaged: its sink starts with the oldest outcome in the journal, so outcomes are delivered again"
            ),
        }
    }
}

/// The file that keeps a sink's [`Progress`].
#[derive(Debug)]
pub struct ProgressFile {
    file: Arc<dyn DiskFile>,
    generation: u64,
    /// The slot that was synced last. It is not written.
    durable: u64,
    /// Whether its name is safe from a power cut.
    named: bool,
}

impl ProgressFile {
    /// Opens the file, or makes it. `oldest` is the first record of the journal, `recovered` the number that its recovery
    /// gave to the next one.
    ///
    /// A sink without a file starts at `next`. What the file says is brought within `oldest..recovered`, and is durable
    /// in both slots when [`ProgressFile::settle`] has returned: no slot of before can speak of numbers that are given anew.
    ///
    /// # Errors
    ///
    /// If the file cannot be made or read.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        oldest: u64,
        recovered: u64,
        next: u64,
    ) -> io::Result<(Self, Progress, Found)> {
        let file = disk.open(path, true)?;
        let bytes = read_all(&*file)?;
        let (generation, best, progress, found) = match newest(&bytes) {
            Some(Slot { generation, place, progress }) => {
                let lost = progress.open_before(oldest.min(recovered));
                (generation, place, progress.within(oldest, recovered), Found::Progress { lost })
            }
            None if bytes.is_empty() => (0, 0, Progress::before(next), Found::Nothing),
            None => (0, 0, Progress::before(oldest), Found::Damage),
        };
        // Said before it is written: from then on the file does not tell it any more.
        found.say(path);
        Ok((ProgressFile { file, generation, durable: best, named: false }, progress, found))
    }

    /// Makes the file and its name safe from a power cut, with this progress in both slots.
    ///
    /// # Errors
    ///
    /// If it cannot be written or synced. [`ProgressFile::follow`] tries it again.
    pub(super) fn settle(&mut self, disk: &dyn Disk, path: &Path, progress: &Progress) -> io::Result<()> {
        // What counts may have been written by a process that was killed before it synced.
        self.file.sync()?;
        self.save(progress)?;
        self.save(progress)?;
        path.parent().map_or(Ok(()), |folder| disk.sync_directory(folder))?;
        self.named = true;
        Ok(())
    }

    /// [`ProgressFile::open`] for the tests of other modules.
    #[cfg(test)]
    pub(crate) fn open_for_tests(
        disk: &dyn Disk,
        path: &Path,
        oldest: u64,
        next: u64,
    ) -> (Self, Progress, Found) {
        let (mut file, progress, found) = Self::open(disk, path, oldest, next, next).unwrap();
        file.settle(disk, path, &progress).unwrap();
        (file, progress, found)
    }

    /// Checks that the file is still the one at this path. If it was removed or replaced, or is not safe yet, makes it anew, safe
    /// from a power cut, and returns true.
    ///
    /// # Errors
    ///
    /// If that cannot be found out, or it cannot be made.
    pub(super) fn follow(&mut self, disk: &dyn Disk, path: &Path, progress: &Progress) -> io::Result<bool> {
        match disk.identity(path) {
            Ok(found) if self.named && found == self.file.identity()? => return Ok(false),
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(error);
            }
            _ => {}
        }
        self.file = disk.open(path, true)?;
        self.named = false;
        self.settle(disk, path, progress)?;
        Ok(true)
    }

    /// Writes the progress. It survives the end of the process, but not yet a power cut.
    ///
    /// # Errors
    ///
    /// If it cannot be written. What was synced last still counts.
    pub fn write(&mut self, progress: &Progress) -> io::Result<()> {
        self.generation += 1;
        self.file.write(&progress.encode(self.generation), (1 - self.durable) * SLOT as u64)
    }

    /// Writes the progress and makes it safe from a power cut.
    ///
    /// # Errors
    ///
    /// If it cannot be written or synced, or its name is not safe. What was synced last still counts.
    pub fn sync(&mut self, progress: &Progress) -> io::Result<()> {
        self.save(progress)?;
        if self.named { Ok(()) } else { Err(io::Error::other("its file is not safe yet")) }
    }

    /// Writes the progress and syncs the file.
    fn save(&mut self, progress: &Progress) -> io::Result<()> {
        self.write(progress)?;
        self.file.sync()?;
        self.durable = 1 - self.durable;
        Ok(())
    }
}

/// A whole slot.
struct Slot {
    generation: u64,
    /// Which of the two it is.
    place: u64,
    progress: Progress,
}

/// The slot that counts.
fn newest(bytes: &[u8]) -> Option<Slot> {
    let slot = |place: u64| {
        let (generation, progress) = Progress::decode(bytes.get(place as usize * SLOT..)?)?;
        Some(Slot { generation, place, progress })
    };
    let newest = [0, 1].into_iter().filter_map(slot).max_by_key(|slot| slot.generation);
    // The first new slot to be written is the second one, so the old form is whole until that is durable.
    let old = if bytes.starts_with(MAGIC) {
        None
    } else {
        bytes.chunks(OLD_SLOT).take(2).filter_map(decode_old).max()
    };
    let Some((generation, cursor)) = old else { return newest };
    // Unless that new slot was made of the old form, an earlier release has written the file since, over the first slot.
    newest
        .filter(|slot| slot.generation == generation + 1)
        .or_else(|| Some(Slot { generation, place: 0, progress: Progress::before(cursor) }))
}

/// The progress in a file that is not used; none if it is damaged.
pub(super) fn peek(disk: &dyn Disk, path: &Path) -> io::Result<Option<Progress>> {
    let bytes = read_all(&*disk.open_as(path, Opening::Read)?)?;
    Ok(newest(&bytes).map(|slot| slot.progress))
}

/// Generation and cursor of a slot as it was up to 0.1, if it is whole.
fn decode_old(slot: &[u8]) -> Option<(u64, u64)> {
    let slot = slot.first_chunk::<OLD_SLOT>()?;
    let whole = crc32c::crc32c(&slot[..16]).to_le_bytes() == slot[16..20];
    whole.then(|| (read_u64(slot), read_u64(&slot[8..])))
}

#[cfg(test)]
mod tests {
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
            prop_assert_eq!(Progress::decode(&progress.encode(generation)), Some((generation, progress)));
        }

        #[test]
        fn a_slot_holds_the_lowest_ranges(progress in some_progress(800)) {
            let slot = progress.encode(1);
            prop_assert!(slot.len() <= SLOT);
            let (_, read) = Progress::decode(&slot).unwrap();
            let kept = progress.done.len().min(MAX_RANGES);
            prop_assert_eq!((read.cursor, &read.done[..]), (progress.cursor, &progress.done[..kept]));
        }

        #[test]
        fn a_turned_bit_is_noticed(progress in some_progress(20), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut slot = progress.encode(7);
            let at = at.index(slot.len());
            slot[at] ^= 1 << bit;
            prop_assert_eq!(Progress::decode(&slot), None);
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Progress::decode(&bytes);
            let _ = Progress::decode(&[MAGIC, &bytes[..]].concat());
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
        assert_eq!(Progress::decode(&progress.encode(1)), Some((1, progress)));
        let far = Progress { cursor: 0, done: vec![1..2, long..long + 1] };
        let (_, read) = Progress::decode(&far.encode(1)).unwrap();
        assert_eq!(read.done, far.done[..1], "what a gap cannot say comes again");
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
                    assert!(
                        found.cursor >= synced.cursor,
                        "{found:?} after {synced:?} was synced, seed {seed}"
                    );
                    (file, last, synced) = (reopened, found.clone(), found);
                } else if written.is_ok() && (seed ^ step) % 7 == 1 {
                    let (reopened, found, _) = open(&disk, 1, 1000);
                    assert_eq!(found, last, "seed {seed}, step {step}");
                    (file, synced) = (reopened, found);
                }
            }
        }
    }
}
