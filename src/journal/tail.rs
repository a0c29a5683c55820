//! The segments of a journal, and how records get into the newest one. All of it happens under the lock of the journal,
//! so nothing here waits for the disk: what has to is left to be done after it, in [`Rest`].

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::files::disk::{DiskFile, Identity};
use crate::journal::batch::Batch;
use crate::journal::cursor::Cursor;
use crate::journal::segment::{self, HEADER, Header, Meta};
use crate::journal::settings::WhenFull;
use crate::journal::shape::Shape;
use crate::journal::spare::Spare;

/// What is left to do once the lock is given back.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Segments that are no longer part of the journal.
    pub(super) removed: Vec<Meta>,
    /// Sinks, and how many outcomes that they had not read have gone with segments.
    pub(super) expired: Vec<(String, u64)>,
}

/// A closed segment that may not be safe from a power cut.
#[derive(Debug, Clone)]
pub(super) struct Unsynced {
    pub(super) first: u64,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) identity: Identity,
}

/// What a failed write left in a segment that could not be cut back and was given up for a new one. Recovery does not take it
/// for records as long as the new segment is there, which a power cut can change.
#[derive(Debug, Clone)]
pub(super) struct Leftover {
    pub(super) first: u64,
    pub(super) file: Arc<dyn DiskFile>,
    /// Where the records of the segment end.
    pub(super) length: u64,
}

/// A segment with records that were not safe when a sync failed. The disk may not have them: they are safe once they are
/// [written again](crate::journal::Journal::mend).
#[derive(Debug, Clone)]
pub(super) struct Doubtful {
    pub(super) segment: Meta,
    /// What it has before this number was safe.
    pub(super) from: u64,
    /// Whether they cannot be written again, as they cannot be read.
    pub(super) lost: bool,
}

impl Doubtful {
    /// Whether some of these records are among those.
    pub(super) fn meets(&self, records: &Range<u64>) -> bool {
        self.from < records.end && records.start < self.segment.end()
    }
}

/// How many of these are remembered. Each has a descriptor.
const MOST_LEFTOVERS: usize = 4;

/// What the lock of the journal guards.
#[derive(Debug)]
pub(crate) struct Tail {
    /// All segments, oldest first; the last one is appended to.
    pub(super) segments: Vec<Meta>,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) identity: Identity,
    /// The number of the next record.
    pub(super) next: u64,
    /// What is before is safe from a power cut, but for what is doubtful.
    pub(super) synced: u64,
    /// What was not safe when a sync failed, the oldest first.
    pub(super) doubtful: Vec<Doubtful>,
    /// Whether a sync failed, or what a failed write left in the newest segment: nothing more goes into it.
    pub(super) spoiled: bool,
    /// Whether the directory, the newest segment or a closed one that is not safe was found to be gone: nothing is appended
    /// until it is back.
    pub(super) gone: bool,
    /// Whether it is gone because the disk had no room for it when the journal was opened.
    pub(super) without_room: bool,
    /// Whether nothing is appended until every cursor has its file, as the disk had no room for one at the start.
    pub(super) unsettled: bool,
    /// Whether outcomes were refused last because the journal has its full size.
    pub(super) full: bool,
    /// The length that the newest segment may have. 0 if the limit of the journal was not checked when it was made: then the
    /// first append replaces it.
    pub(super) reserved: u64,
    /// Closed segments since the last sync.
    pub(super) unsynced: Vec<Unsynced>,
    /// What is still to be cut off.
    pub(super) leftovers: Vec<Leftover>,
    /// Raised with each new name in the directory.
    pub(super) names: u64,
    /// The value of `names` up to which names are safe from a power cut.
    pub(super) names_synced: u64,
    /// The file of the next segment.
    pub(super) spare: Option<Spare>,
    pub(super) cursors: HashMap<String, Arc<Cursor>>,
    /// What cursors need that are being opened.
    pub(super) pins: Vec<u64>,
    buffer: Vec<u8>,
}

impl Tail {
    /// Whether the file of the next segment is to be made.
    pub(super) fn lacks_spare(&self) -> bool {
        self.spare.is_none() && !self.gone
    }

    /// Why nothing is appended or promised while it is gone, or nothing appended while cursors have no files.
    pub(super) fn why_gone(&self) -> io::Error {
        let (kind, text) = if self.without_room {
            (io::ErrorKind::StorageFull, "its disk has no room for a segment")
        } else if !self.gone {
            (io::ErrorKind::StorageFull, "its disk has no room for the cursor of a sink")
        } else {
            (io::ErrorKind::NotFound, "its directory or one of its newest segments was removed")
        };
        io::Error::new(kind, text)
    }

    /// The end of a journal with older segments and a newest one without records.
    pub(super) fn new(mut segments: Vec<Meta>, first: u64, shape: &Shape, spare: Spare) -> Self {
        segments.push(Meta::empty(shape.epoch, first));
        Tail {
            segments,
            file: spare.file,
            identity: spare.identity,
            next: first,
            synced: 0,
            doubtful: Vec::new(),
            spoiled: false,
            gone: false,
            without_room: false,
            unsettled: false,
            full: false,
            reserved: 0,
            unsynced: Vec::new(),
            leftovers: Vec::new(),
            names: 1,
            names_synced: 0,
            spare: None,
            cursors: HashMap::new(),
            pins: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// The segment that has a record, or the next one after it.
    pub(super) fn segment_of(&self, sequence: u64) -> Option<Meta> {
        self.segments.iter().find(|s| s.end() > sequence).cloned()
    }

    /// The number of the oldest record, or of the next one if there is none.
    pub(super) fn oldest(&self) -> u64 {
        self.segments.first().map_or(self.next, |segment| segment.first)
    }

    /// The bytes that it has on disk.
    pub(super) fn size(&self) -> u64 {
        self.segments.iter().map(Meta::length).sum()
    }

    /// The number that every cursor is past.
    pub(super) fn needed(&self) -> u64 {
        self.cursors
            .values()
            .map(|cursor| cursor.needed())
            .chain(self.pins.iter().copied())
            .min()
            .unwrap_or(self.next)
    }

    /// The newest segment.
    pub(super) fn open(&self) -> (u64, u64) {
        self.segments.last().map_or((self.next, HEADER as u64), |open| (open.first, open.length()))
    }

    /// What is before is safe from a power cut, or not in the journal any more.
    pub(super) fn safe(&self) -> u64 {
        self.doubtful.first().map_or(self.synced, |doubtful| doubtful.from)
    }

    /// The segments that are not safe from a power cut, and which files they are: only they can be restored.
    pub(super) fn unsafe_files(&self) -> Vec<(u64, Identity)> {
        let closed = self.unsynced.iter().map(|closed| (closed.first, closed.identity));
        closed.chain([(self.open().0, self.identity)]).collect()
    }

    /// Whether some of these are still not safe, and should be there: they may have been delivered and removed, and where they had no
    /// records, another file may have taken their place.
    pub(super) fn misses(&self, missing: &[(u64, Identity)]) -> bool {
        self.unsafe_files().iter().any(|file| missing.contains(file))
    }

    /// Whether a segment is part of the journal: it may have been delivered and removed.
    pub(super) fn has(&self, first: u64) -> bool {
        self.segments.iter().any(|segment| segment.first == first)
    }

    /// Appends outcomes in order. Each segment gets as many as fit into it. Returns how many were appended, and why it
    /// were not all.
    pub(super) fn append(
        &mut self,
        shape: &Shape,
        batch: &Batch,
        rest: &mut Rest,
    ) -> (usize, io::Result<()>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut taken = 0;
        let result = loop {
            if self.gone || self.unsettled {
                break Err(self.why_gone());
            }
            let (_, length) = self.open();
            let room = if self.spoiled { 0 } else { self.reserved.saturating_sub(length) };
            let fit = self.seal(batch, taken, room, &mut buffer);
            if !buffer.is_empty()
                && let Err(error) = self.write(shape, &buffer, self.next + (fit - taken) as u64, rest)
            {
                break Err(error);
            }
            taken = fit;
            if taken == batch.len() {
                break Ok(());
            }
            if let Err(error) = self.roll(shape, batch.length_of(taken) as u64, rest) {
                break Err(error);
            }
        };
        if buffer.capacity() <= 4 << 20 {
            self.buffer = buffer;
        }
        (taken, result)
    }

    /// The records of a batch from a place on that fit into so many bytes, numbered from the next one on. Gives the place of the
    /// first that does not fit.
    fn seal(&self, batch: &Batch, from: usize, room: u64, buffer: &mut Vec<u8>) -> usize {
        let (mut to, mut length) = (from, 0);
        while to < batch.len() && length + batch.length_of(to) as u64 <= room {
            length += batch.length_of(to) as u64;
            to += 1;
        }
        buffer.clear();
        batch.copy(from, to, buffer);
        let mut rest = &mut buffer[..];
        for (at, sequence) in (from..to).zip(self.next..) {
            let (record, behind) = rest.split_at_mut(batch.length_of(at));
            segment::seal_record(record, sequence);
            rest = behind;
        }
        to
    }

    /// Writes records into the newest segment, all or none of them.
    fn write(&mut self, shape: &Shape, records: &[u8], next: u64, rest: &mut Rest) -> io::Result<()> {
        let (first, length) = self.open();
        if let Err(error) = self.file.write(records, length) {
            // What was written in part must not be taken for records when the journal is opened again.
            if self.file.set_length(length).is_err() {
                self.spoiled = true;
                self.leftovers.truncate(MOST_LEFTOVERS - 1);
                self.leftovers.insert(0, Leftover { first, file: self.file.clone(), length });
                // If no new segment can be made now, the next append tries again.
                let _ = self.roll(shape, 0, rest);
            } else if self.next > first && self.needed() >= self.next {
                // On a disk without room, what every sink has taken makes some: nothing else of the journal is left to go.
                let _ = self.roll(shape, 0, rest);
            }
            return Err(error);
        }
        if let Some(segment) = self.segments.last() {
            segment.grow(records.len() as u64, next);
        }
        self.next = next;
        Ok(())
    }

    /// Starts a new segment, for a record of so many bytes, and drops what is not needed or too much.
    pub(super) fn roll(&mut self, shape: &Shape, record: u64, rest: &mut Rest) -> io::Result<()> {
        self.drop_delivered(rest);
        let wanted = shape.segment_size.max(HEADER as u64 + record);
        if shape.when_full == WhenFull::Refuse {
            self.full = !self.has_space(shape, wanted);
            if self.full {
                let limit = shape.max_size;
                let text = format!("it has reached max_size, {limit} bytes, and when_full is \"refuse\"");
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
            }
        }
        let spare = self.spare.take().map_or_else(|| Spare::make(shape), Ok)?;
        let header = Header { epoch: shape.epoch, first: self.next };
        if let Err(error) = spare.become_segment(shape, header) {
            self.spare = Some(spare);
            return Err(error);
        }
        let (first, _) = self.open();
        if first == self.next {
            // Without records it had the name of the new one, which has taken its place.
            self.segments.pop();
        } else if self.synced < self.next {
            self.unsynced.push(Unsynced { first, file: self.file.clone(), identity: self.identity });
        }
        self.segments.push(Meta::empty(shape.epoch, self.next));
        (self.file, self.identity, self.reserved) = (spare.file, spare.identity, wanted);
        self.names += 1;
        self.spoiled = false;
        self.drop_delivered(rest);
        // What is wanted has the header of the new segment in it.
        let mut size = self.size() - HEADER as u64;
        while size + wanted > shape.max_size && self.segments.len() > 1 {
            let oldest = self.segments.remove(0);
            size -= oldest.length();
            self.expire(&oldest, rest);
            rest.removed.push(oldest);
        }
        self.forget_removed();
        Ok(())
    }

    /// Whether there is space for so many bytes more, once the newest segment is closed.
    pub(super) fn has_space(&self, shape: &Shape, wanted: u64) -> bool {
        let needed = self.needed();
        let kept: u64 =
            self.segments.iter().filter(|s| s.end() > needed && s.end() > s.first).map(Meta::length).sum();
        // An empty journal takes any record.
        kept == 0 || kept + wanted <= shape.max_size
    }

    /// Removes closed segments that every cursor is past.
    pub(super) fn drop_delivered(&mut self, rest: &mut Rest) {
        self.drop_before(self.needed(), rest);
    }

    /// Removes closed segments without records from a number on.
    pub(super) fn drop_before(&mut self, needed: u64, rest: &mut Rest) {
        let closed = self.segments.len().saturating_sub(1);
        let delivered = self.segments[..closed].iter().take_while(|segment| segment.end() <= needed).count();
        if delivered > 0 {
            rest.removed.extend(self.segments.drain(..delivered));
            self.forget_removed();
        }
    }

    /// Counts what cursors lose when a segment goes.
    pub(super) fn expire(&self, segment: &Meta, rest: &mut Rest) {
        for (name, cursor) in &self.cursors {
            let lost = cursor.loses(segment.first, segment.end());
            if lost > 0 {
                cursor.add_expired(lost);
                match rest.expired.iter_mut().find(|(known, _)| known == name) {
                    Some((_, count)) => *count += lost,
                    None => rest.expired.push((name.clone(), lost)),
                }
            }
        }
    }

    /// Segments that are no longer part of the journal need not be synced, nor cut back.
    pub(super) fn forget_removed(&mut self) {
        let oldest = self.oldest();
        self.unsynced.retain(|closed| closed.first >= oldest);
        self.doubtful.retain(|doubtful| doubtful.segment.first >= oldest);
        self.leftovers.retain(|left| left.first >= oldest);
    }

    /// A sync has failed: what was not safe may be lost already, with the header of the segment if that was not.
    pub(super) fn give_up(&mut self) {
        let (from, newest) = (self.synced, self.open().0);
        let is_unsafe = |segment: &&Meta| {
            let is_open = segment.first == newest && segment.end() > from.max(newest);
            is_open || self.unsynced.iter().any(|closed| closed.first == segment.first)
        };
        let doubtful = |segment: &Meta| {
            // What others before it have may be written again, and this one not.
            Doubtful { segment: segment.clone(), from: from.max(segment.first), lost: false }
        };
        let more: Vec<_> = self.segments.iter().filter(is_unsafe).map(doubtful).collect();
        if !more.is_empty() {
            self.doubtful.extend(more);
            self.synced = self.next;
        }
        self.spoiled = true;
        self.unsynced.clear();
    }
}
