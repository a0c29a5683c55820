//! How far a sink is: a set of sequence numbers, and the file that keeps it.
//!
//! # The file
//!
//! Two slots of [`SLOT`] bytes, little-endian:
//!
//! ```text
//! "TLC2"  4   crc32c of what follows, up to the last range  4   generation  8   cursor  8   number of ranges  4   annex  4
//! ranges, each: gap 4 (numbers between the cursor or the range before, and this range)   length 4
//! ```
//!
//! A slot holds the [`MAX_RANGES`] lowest ranges. Where there are more, the file is longer: behind the slots each has an annex of
//! `ANNEX` bytes, which holds as many as a sink can have open, and is known by its checksum in the slot; 0 is none:
//!
//! ```text
//! crc32c of what follows  4   number of ranges  4   the end of the range before  8   ranges, as in the slot
//! ```
//!
//! The whole slot with the higher generation counts, before others if its annex is whole, too. Releases that know no annex read the slot
//! alone, and deliver again what is beyond it.
//!
//! A write goes to one slot and its annex, and a sync makes them durable. **The slot that was synced last is never written before the
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
/// The room for an annex in bytes: with its slot it holds more ranges than a sink has outcomes open (8,192 in memory and 262,144 that are
/// read again).
const ANNEX: usize = 528 * SLOT;

const HEADER: usize = 32;
/// What is before the ranges of an annex.
const ANNEX_HEADER: usize = 16;
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

    /// A slot that holds it, and its annex, which is empty where the slot has room for all.
    fn encode(&self, generation: u64) -> (Vec<u8>, Vec<u8>) {
        let mut slot = Vec::with_capacity(HEADER + 8 * self.done.len().min(MAX_RANGES));
        slot.extend(MAGIC);
        slot.extend([0; 4]);
        slot.extend(generation.to_le_bytes());
        slot.extend(self.cursor.to_le_bytes());
        slot.extend([0; 8]);
        let mut place = Place { range: 0, from: 0, before: self.cursor };
        let count = self.push_ranges(&mut place, MAX_RANGES, &mut slot);
        slot[24..28].copy_from_slice(&count.to_le_bytes());
        let mut annex = Vec::new();
        if place.range < self.done.len() {
            annex.extend([0; 8]);
            annex.extend(place.before.to_le_bytes());
            let count = self.push_ranges(&mut place, (ANNEX - ANNEX_HEADER) / 8, &mut annex);
            annex[4..8].copy_from_slice(&count.to_le_bytes());
            let crc = crc32c::crc32c(&annex[4..]).to_le_bytes();
            annex[..4].copy_from_slice(&crc);
            slot[28..32].copy_from_slice(&annex_mark(&annex).to_le_bytes());
        }
        let crc = crc32c::crc32c(&slot[8..]);
        slot[4..8].copy_from_slice(&crc.to_le_bytes());
        (slot, annex)
    }

    /// Writes ranges from a place on, so many at most. Gives how many.
    fn push_ranges(&self, place: &mut Place, most: usize, out: &mut Vec<u8>) -> u32 {
        let mut count = 0;
        while let Some(range) = self.done.get(place.range).filter(|_| (count as usize) < most) {
            let start = range.start.max(place.from);
            let Ok(gap) = u32::try_from(start.saturating_sub(place.before)) else {
                // What a gap cannot say comes again.
                place.range = self.done.len();
                break;
            };
            // A range longer than a length can say is written in parts.
            let length = u32::try_from(range.end - start).unwrap_or(u32::MAX);
            out.extend(gap.to_le_bytes());
            out.extend(length.to_le_bytes());
            count += 1;
            place.from = start + u64::from(length);
            place.before = place.from;
            place.range += usize::from(place.from == range.end);
        }
        count
    }

    /// Adds ranges that begin behind a number.
    fn read_ranges(&mut self, mut end: u64, ranges: &[u8]) -> Option<()> {
        for range in ranges.chunks_exact(8) {
            let start = end.checked_add(u64::from(read_u32(range)))?;
            end = start.checked_add(u64::from(read_u32(&range[4..])))?;
            match self.done.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => self.done.push(start..end),
            }
        }
        Some(())
    }

    /// What a slot holds without its annex, its generation, and what its annex is known by; none if it is not whole.
    fn decode(slot: &[u8]) -> Option<(u64, Self, u32)> {
        let header = slot.first_chunk::<HEADER>().filter(|header| header[..4] == *MAGIC)?;
        let count = read_u32(&header[24..]) as usize;
        let ranges = slot.get(HEADER..HEADER + count.checked_mul(8).filter(|_| count <= MAX_RANGES)?)?;
        if crc32c::crc32c(&slot[8..HEADER + ranges.len()]) != read_u32(&header[4..]) {
            return None;
        }
        let mut progress = Progress::before(read_u64(&header[16..]));
        progress.read_ranges(progress.cursor, ranges)?;
        Some((read_u64(&header[8..]), progress, read_u32(&header[28..])))
    }

    /// The same with what is in the annex that is known by this; none if that is not whole.
    fn with_annex(mut self, mark: u32, annex: &[u8]) -> Option<Self> {
        if mark == 0 {
            return Some(self);
        }
        let header = annex.first_chunk::<ANNEX_HEADER>()?;
        let ranges = (read_u32(&header[4..]) as usize).checked_mul(8)?;
        let annex = annex.get(..ranges.checked_add(ANNEX_HEADER)?)?;
        if crc32c::crc32c(&annex[4..]) != read_u32(annex) || annex_mark(annex) != mark {
            return None;
        }
        let end = read_u64(&header[8..]);
        if self.done.last().is_some_and(|last| last.end > end) {
            return None;
        }
        self.read_ranges(end, &annex[ANNEX_HEADER..])?;
        Some(self)
    }
}

/// How far ranges are written.
struct Place {
    /// The range that is next.
    range: usize,
    /// From where on, where a part of it is written.
    from: u64,
    /// The end of what is written.
    before: u64,
}

/// What a slot knows its annex by.
fn annex_mark(annex: &[u8]) -> u32 {
    read_u32(annex).max(1)
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
        // Also above that of a slot that does not count.
        let above = |counts: u64| highest(&bytes).unwrap_or(0).max(counts);
        let (generation, best, progress, found) = match newest(&bytes) {
            Some(Slot { generation, place, progress }) => {
                let lost = progress.open_before(oldest.min(recovered));
                (above(generation), place, progress.within(oldest, recovered), Found::Progress { lost })
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
        let place = 1 - self.durable;
        let (slot, annex) = progress.encode(self.generation);
        if !annex.is_empty() {
            self.file.write(&annex, (2 * SLOT) as u64 + place * ANNEX as u64)?;
        }
        self.file.write(&slot, place * SLOT as u64)
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
        let (generation, alone, mark) = Progress::decode(bytes.get(place as usize * SLOT..)?)?;
        let annex = bytes.get(2 * SLOT + place as usize * ANNEX..).unwrap_or_default();
        let whole = alone.clone().with_annex(mark, annex);
        let is_whole = whole.is_some();
        Some((is_whole, Slot { generation, place, progress: whole.unwrap_or(alone) }))
    };
    let newest = [0, 1].into_iter().filter_map(slot).max_by_key(|(whole, slot)| (*whole, slot.generation));
    let newest = newest.map(|(_, slot)| slot);
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

/// The highest generation of a slot whose annex is not whole.
fn highest(bytes: &[u8]) -> Option<u64> {
    let slots = [0, SLOT].into_iter().filter_map(|at| Progress::decode(bytes.get(at..)?));
    slots.filter(|(.., mark)| *mark != 0).map(|(generation, ..)| generation).max()
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
#[path = "progress_tests.rs"]
mod tests;
