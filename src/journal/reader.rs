//! Records in order, across segments, as they become visible.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::files::disk::DiskFile;
use crate::journal::log::Journal;
use crate::journal::segment::{Found, HEADER, Meta, next_record, record, segment_path};
use crate::outcome::codec;
use crate::outcome::record::Record;

/// How much is read from a segment at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// Reads a journal from some place on.
#[derive(Debug)]
pub struct Reader {
    journal: Arc<Journal>,
    next: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: Arc<dyn DiskFile>,
    meta: Meta,
    /// The place in the file of `buffer[0]`.
    offset: u64,
    buffer: Vec<u8>,
    start: usize,
}

impl Journal {
    /// A reader from a sequence number on.
    pub fn reader(self: &Arc<Self>, from: u64) -> Reader {
        Reader { journal: self.clone(), next: from, open: None }
    }

    /// When the outcome of a sequence number was received, or of the first one after it that there is; in
    /// microseconds since 1970.
    pub fn time_of(self: &Arc<Self>, sequence: u64) -> Option<i64> {
        let mut time = None;
        let read = self.reader(sequence).read(1, |record| {
            time = Some(record.outcome.common().time);
            true
        });
        read.ok().and(time)
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
        let visible = self.journal.next();
        let mut taken = 0;
        while taken < most && self.next < visible {
            if self.open.is_none() && !self.open_segment()? {
                break;
            }
            let Some(open) = &mut self.open else { break };
            match record(&open.buffer[open.start..]) {
                Found::Record { sequence, payload, length } => {
                    open.start += length;
                    if sequence < self.next {
                        continue;
                    }
                    match codec::decode(payload) {
                        Some(outcome) => {
                            if !take(Record { epoch: open.meta.epoch, sequence, outcome }) {
                                open.start -= length;
                                break;
                            }
                            taken += 1;
                        }
                        None => self.damaged(sequence),
                    }
                    self.next = sequence + 1;
                }
                Found::Partial(needed) => {
                    // Never past what is visible: what a failed write left there may yet be overwritten.
                    let end = match self.journal.length_of(open.meta.first) {
                        Some(length) => length,
                        None => open.file.length()?,
                    };
                    if !open.fill(needed, end)? && !self.skip_damage(end)? {
                        self.leave_segment(end);
                    }
                }
                Found::Damaged(_) | Found::Nonsense => {
                    let end = self.journal.length_of(open.meta.first).unwrap_or(u64::MAX);
                    if !self.skip_damage(end)? {
                        self.damaged(self.next);
                        self.skip_segment();
                    }
                }
            }
        }
        Ok(taken)
    }

    fn damaged(&self, sequence: u64) {
        self.journal.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::error!(sequence, "a damaged record in the journal was skipped; check the disk");
    }

    /// Opens the segment of the next record; there may be none.
    fn open_segment(&mut self) -> io::Result<bool> {
        let Some(meta) = self.journal.segment_of(self.next) else { return Ok(false) };
        self.next = self.next.max(meta.first);
        let path = segment_path(self.journal.directory(), meta.first);
        let file = match self.journal.disk.open(&path, false) {
            Ok(file) => file,
            // Given up in this moment because the journal is full: the next one follows.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        self.open = Some(Open { file, meta, offset: HEADER as u64, buffer: Vec::new(), start: 0 });
        Ok(true)
    }

    /// Goes on behind what is no record, if a whole one stands there before `end`.
    fn skip_damage(&mut self, end: u64) -> io::Result<bool> {
        let next = self.next;
        let Some(open) = &mut self.open else { return Ok(false) };
        let left = end.min(open.file.length()?).saturating_sub(open.offset + open.start as u64);
        if left == 0 {
            return Ok(false);
        }
        open.fill(usize::try_from(left).unwrap_or(usize::MAX), end)?;
        let Some(offset) = next_record(&open.buffer[open.start..], next) else { return Ok(false) };
        open.start += offset;
        self.damaged(next);
        Ok(true)
    }

    /// The segment has no more records up to this length: on to the next one.
    fn leave_segment(&mut self, end: u64) {
        let Some(open) = &self.open else { return };
        match self.journal.segment_of(self.next) {
            Some(meta) if meta.first == open.meta.first => {
                // Unless more has come since, a record that should be there is not.
                if meta.length == end {
                    self.damaged(self.next);
                    self.skip_segment();
                }
            }
            _ => self.open = None,
        }
    }

    fn skip_segment(&mut self) {
        if let Some(meta) = self.journal.segment_of(self.next) {
            self.next = meta.end;
        }
        self.open = None;
    }
}

impl Open {
    /// Reads on until there are so many bytes from `start`, if the file has them before `end`.
    fn fill(&mut self, needed: usize, end: u64) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.offset += self.start as u64;
        self.start = 0;
        while self.buffer.len() < needed {
            let filled = self.buffer.len();
            let at = self.offset + filled as u64;
            let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(CHUNK.max(needed));
            self.buffer.resize(filled + room, 0);
            let read = self.file.read(&mut self.buffer[filled..], at);
            self.buffer.truncate(filled + read.as_ref().copied().unwrap_or(0));
            if read? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
