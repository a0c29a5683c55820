//! Records in order, across segments, as they become visible.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::files::disk::DiskFile;
use crate::journal::cursor::Cursor;
use crate::journal::log::{Held, Journal};
use crate::journal::payload::Payload;
use crate::journal::segment::{
    Found, HEADER, MAX_PAYLOAD, Meta, RECORD_HEADER, record, record_among, segment_path,
};
use crate::outcome::codec::{self, Outline};
use crate::outcome::record::Record;

/// How much is read from a segment at a time, in bytes.
const CHUNK: usize = 256 << 10;
/// How much memory is kept for it, where a long record or a search has needed more.
const MOST_KEPT: usize = 2 * CHUNK;
/// In how much of it is looked for a record at a time. Behind each place of the first [`CHUNK`] there is room for a whole one.
const SEARCHED: usize = CHUNK + RECORD_HEADER + MAX_PAYLOAD;
/// The least memory that it is read into. Little, as a single outcome that waits for others may hold it.
const LEAST: usize = 512;

/// Reads a journal from some place on.
#[derive(Debug)]
pub struct Reader {
    journal: Arc<Journal>,
    next: u64,
    open: Option<Open>,
    /// The sink that reads.
    cursor: Option<Arc<Cursor>>,
}

/// A record as it is in the journal.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'r> {
    /// The epoch of its segment.
    pub epoch: u64,
    /// Its sequence number.
    pub sequence: u64,
    /// Its outcome.
    pub payload: &'r [u8],
    /// What it was read with, and where it is there.
    octets: &'r Arc<Vec<u8>>,
    at: usize,
}

impl Encoded<'_> {
    /// Its outcome, for longer.
    pub fn shared(&self) -> Payload {
        Payload::among(self.octets, self.at, self.payload.len())
    }

    /// The record; none if the outcome is none.
    pub fn record(&self) -> Option<Record<'_>> {
        let outcome = codec::decode(self.payload)?;
        Some(Record { epoch: self.epoch, sequence: self.sequence, outcome })
    }
}

#[derive(Debug)]
struct Open {
    file: Arc<dyn DiskFile>,
    meta: Meta,
    /// The place in the file of `octets[0]`.
    offset: u64,
    /// What was read is from `start` to `end`.
    octets: Arc<Vec<u8>>,
    /// What somebody still had when it was last looked at: mostly it is free again when the next memory is needed.
    other: Arc<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Journal {
    /// A reader from a sequence number on.
    pub fn reader(self: &Arc<Self>, from: u64) -> Reader {
        Reader { journal: self.clone(), next: from, open: None, cursor: None }
    }

    /// A reader for a sink, from its cursor on. It counts for the sink what it cannot read.
    pub fn reader_for(self: &Arc<Self>, cursor: &Arc<Cursor>) -> Reader {
        let from = cursor.progress().cursor;
        Reader { journal: self.clone(), next: from, open: None, cursor: Some(cursor.clone()) }
    }
}

impl Reader {
    /// The sequence number of the next record, if it comes.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Gives up to `most` records to `take`, in order, as long as it says so; gives none if there is none yet.
    /// Returns how many it took.
    ///
    /// # Errors
    ///
    /// If a segment cannot be read. What was taken before stays taken.
    pub fn read(&mut self, most: usize, mut take: impl FnMut(Record<'_>) -> bool) -> io::Result<usize> {
        self.read_encoded(most, |record, _| take(record))
    }

    /// The same, with each outcome as it is encoded.
    ///
    /// # Errors
    ///
    /// As [`Reader::read`].
    pub fn read_encoded(
        &mut self,
        most: usize,
        mut take: impl FnMut(Record<'_>, &[u8]) -> bool,
    ) -> io::Result<usize> {
        self.read_each(most, |found| found.record().map(|record| take(record, found.payload)))
    }

    /// The same with no more than the outlines of the outcomes, for those that decode them later.
    ///
    /// # Errors
    ///
    /// As [`Reader::read`].
    pub fn read_payloads(
        &mut self,
        most: usize,
        mut take: impl FnMut(Encoded<'_>, Outline) -> bool,
    ) -> io::Result<usize> {
        let epoch = self.journal.shape.epoch;
        self.read_each(most, |found| {
            // What this process has written is an outcome, as it has the checksum of one.
            let is_outcome = found.epoch == epoch || codec::is_outcome(found.payload);
            let outline = codec::outline(found.payload).filter(|_| is_outcome)?;
            Some(take(found, outline))
        })
    }

    /// `take` says nothing of a record that is no outcome.
    fn read_each(
        &mut self,
        most: usize,
        mut take: impl FnMut(Encoded<'_>) -> Option<bool>,
    ) -> io::Result<usize> {
        let visible = self.journal.next();
        let mut taken = 0;
        while taken < most && self.next < visible {
            let before = self.next;
            if self.open.is_none() && !self.open_segment()? && self.next == before {
                break;
            }
            let Some(open) = &mut self.open else { continue };
            match record(open.octets.get(open.start..open.end).unwrap_or_default()) {
                Found::Record { sequence, payload, length } => {
                    let (epoch, at) = (open.meta.epoch, open.start + RECORD_HEADER);
                    let found = Encoded { epoch, sequence, payload, octets: &open.octets, at };
                    open.start += length;
                    if sequence < self.next {
                        continue;
                    }
                    let gap = sequence - self.next;
                    match take(found) {
                        Some(true) => taken += 1,
                        Some(false) => {
                            open.start -= length;
                            break;
                        }
                        None => {
                            self.damaged(sequence);
                            self.lost(1);
                        }
                    }
                    self.lost(gap);
                    self.next = sequence + 1;
                }
                Found::Partial(needed) => {
                    // Never past what is visible: what a failed write left there may yet be overwritten.
                    let end = open.meta.length();
                    if !open.fill(needed, end)? && !self.skip_damage(end)? {
                        self.leave_segment(end);
                    }
                }
                Found::Damaged(_) | Found::Nonsense => {
                    let end = open.meta.length();
                    if !self.skip_damage(end)? {
                        self.damaged(self.next);
                        self.skip_segment();
                    }
                }
            }
        }
        if self.holds().is_some() && self.journal.lacks_room() {
            self.open = None;
        }
        self.let_go();
        Ok(taken)
    }

    /// Of which segment it has the file open though it has read all of it, by the number of its first record. Its file takes room as
    /// long as it is open, also when it was removed: see [`Reader::let_go`].
    pub fn holds(&self) -> Option<u64> {
        self.open.as_ref().filter(|open| self.next >= open.meta.end()).map(|open| open.meta.first)
    }

    /// Closes that file if the segment was removed. Who waits for records calls this when [`Follower::removed`](super::Follower::removed) returns.
    pub fn let_go(&mut self) {
        if self.holds().is_some_and(|first| self.journal.tail.is_removed(first)) {
            self.open = None;
        }
    }

    /// The sink that reads does not get so many outcomes.
    fn lost(&self, count: u64) {
        if let Some(cursor) = self.cursor.as_ref().filter(|_| count > 0) {
            cursor.add_expired(count);
        }
    }

    fn damaged(&self, sequence: u64) {
        self.journal.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::error!(sequence, "a damaged record in the journal was skipped; check the disk");
    }

    /// Opens the segment of the next record. There may be none, or none with records yet: then another one may take its place.
    fn open_segment(&mut self) -> io::Result<bool> {
        let held = self.journal.hold_segment_of(self.next, self.cursor.as_deref());
        let Some(Held { meta, file, oldest, empty }) = held else { return Ok(false) };
        if meta.first > self.next && self.next >= oldest {
            self.journal.damaged.fetch_add(1, Ordering::Relaxed);
            let missing = meta.first - self.next;
            tracing::error!(
                outcomes = missing,
                "the journal has no records from {} to {}: a segment is missing; see who removes files there",
                self.next,
                meta.first - 1
            );
            self.lost(missing);
        }
        self.next = self.next.max(meta.first);
        if empty {
            return Ok(false);
        }
        let path = segment_path(self.journal.directory(), meta.first);
        let file = file.map_or_else(|| self.journal.shape.disk.open(&path, false), Ok);
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // If the journal does not know it any more, it was given up in this moment because the journal is full.
                let known = self.journal.segment_of(self.next).filter(|now| now.first == meta.first);
                if known.is_some() {
                    self.journal.damaged.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(
                        "the journal segment {} is gone and its outcomes are lost; see who removes files there",
                        path.display()
                    );
                }
                let end = known.map_or(meta.end(), |known| known.end());
                self.lost(end - self.next);
                self.next = end;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        self.open = Some(Open {
            file,
            meta,
            offset: HEADER as u64,
            octets: Arc::default(),
            other: Arc::default(),
            start: 0,
            end: 0,
        });
        Ok(true)
    }

    /// Goes on behind what is no record, if a whole one stands there before `end`.
    fn skip_damage(&mut self, end: u64) -> io::Result<bool> {
        let next = self.next;
        let Some(open) = &mut self.open else { return Ok(false) };
        let from = open.position();
        let found = open.find_record(next, end);
        match found {
            Ok(true) => self.damaged(next),
            // It may be that there is one later.
            Ok(false) | Err(_) => open.seek(from),
        }
        found
    }

    /// The segment has no more records up to this length: on to the next one.
    fn leave_segment(&mut self, length: u64) {
        let Some(open) = &self.open else { return };
        if self.next >= open.meta.end() {
            // It is held until the next one is: what was read of it is on its way.
            self.open = None;
        } else if open.meta.length() == length {
            // Nothing has come since: a record that should be there is not.
            self.damaged(self.next);
            self.skip_segment();
        }
    }

    fn skip_segment(&mut self) {
        if let Some(open) = &self.open {
            let end = open.meta.end().max(self.next);
            self.lost(end - self.next);
            self.next = end;
        }
        self.close();
    }

    /// Ends to read a segment. It may be the newest one, which gets more records and is removed before it is read again.
    fn close(&mut self) {
        let open = self.open.take().map(|open| open.meta);
        if let Some(cursor) = &self.cursor {
            // Of a segment that is removed nobody else can read the rest.
            self.journal.let_go(cursor, open.as_ref(), self.next);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.close();
    }
}

impl Open {
    /// What was read and not taken.
    fn unread(&self) -> &[u8] {
        self.octets.get(self.start..self.end).unwrap_or_default()
    }

    /// The place in the file of what is read next.
    fn position(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// Goes on at another place.
    fn seek(&mut self, position: u64) {
        (self.offset, self.start, self.end) = (position, 0, 0);
    }

    /// Goes to the next whole record behind this place and before `end`, with a number from `least` on, if there is one. Reads a part
    /// of the file at a time.
    fn find_record(&mut self, least: u64, end: u64) -> io::Result<bool> {
        let end = end.min(self.file.length()?);
        let mut passed = 0;
        loop {
            let left = usize::try_from(end.saturating_sub(self.position())).unwrap_or(usize::MAX);
            let is_last = !self.fill(left.min(SEARCHED), end)? || left <= SEARCHED;
            let places = usize::from(passed == 0)..if is_last { self.unread().len() } else { CHUNK };
            if let Some(offset) = record_among(self.unread(), places, passed, least) {
                self.start += offset;
                return Ok(true);
            }
            if is_last {
                return Ok(false);
            }
            self.start += CHUNK;
            passed += CHUNK;
        }
    }

    /// Reads on until there are so many bytes from `start`, if the file has them before `end`.
    fn fill(&mut self, needed: usize, end: u64) -> io::Result<bool> {
        while self.end - self.start < needed {
            let at = self.offset + self.end as u64;
            let more = CHUNK.max(needed - (self.end - self.start));
            let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(more);
            let file = self.file.clone();
            let read = file.read(self.make_room(room), at)?;
            self.end += read;
            if read == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Memory for so many bytes behind those that were read. Where somebody still has what was read before, other memory takes its
    /// place.
    fn make_room(&mut self, room: usize) -> &mut [u8] {
        let unread = self.start..self.end;
        let length = unread.len() + room;
        self.offset += self.start as u64;
        (self.start, self.end) = (0, unread.len());
        // What a long record or a search has needed is not kept for what follows.
        let fits = |octets: &mut Arc<Vec<u8>>| {
            Arc::get_mut(octets).is_some_and(|octets| octets.len() <= length.max(MOST_KEPT))
        };
        let moves = !fits(&mut self.octets);
        if moves {
            std::mem::swap(&mut self.octets, &mut self.other);
            if !fits(&mut self.octets) {
                self.octets = Arc::default();
            }
        }
        let Some(octets) = Arc::get_mut(&mut self.octets) else { return &mut [] };
        if octets.len() < length {
            // What grows a little with each batch is not moved each time.
            let capacity = if length > MOST_KEPT { length } else { length.next_power_of_two().max(LEAST) };
            octets.resize(capacity, 0);
        }
        if moves {
            octets[..unread.len()].copy_from_slice(&self.other[unread]);
        } else {
            octets.copy_within(unread, 0);
        }
        if self.other.len() > MOST_KEPT {
            self.other = Arc::default();
        }
        octets.get_mut(self.end..length).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
