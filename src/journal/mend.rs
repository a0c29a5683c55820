//! What a failed sync was for is written again.

use std::io;
use std::ops::Range;

use crate::files::disk::read_all;
use crate::journal::log::Journal;
use crate::journal::segment::{Found, HEADER, Header, record, segment_path};
use crate::journal::tail::Doubtful;

/// How many segments are written again in one turn: nobody else syncs meanwhile.
const AT_ONCE: usize = 16;

impl Journal {
    /// Writes again what was not safe when a sync failed, and syncs it; each record stays where it is. Whether nothing of that is
    /// left. Blocks.
    ///
    /// # Errors
    ///
    /// If the disk does not let it. What is done then stays done.
    pub fn mend(&self) -> io::Result<bool> {
        let _turn = self.turn();
        let (gone, mut todo) = {
            let tail = self.tail.lock();
            (tail.gone, tail.doubtful.clone())
        };
        todo.retain(|doubtful| !doubtful.lost);
        if gone || todo.is_empty() {
            return Ok(self.is_mended());
        }
        let (mut written, mut result) = (Vec::new(), Ok(()));
        for doubtful in todo.iter().take(AT_ONCE) {
            let first = doubtful.segment.first;
            match self.write_again(doubtful) {
                Ok(true) => written.push(first),
                Ok(false) => self.say_lost(doubtful),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if !written.is_empty() {
            let disk = &self.shape.disk;
            disk.sync_directory(&self.shape.directory)?;
            if disk.is_current()? {
                self.tail.lock().doubtful.retain(|doubtful| !written.contains(&doubtful.segment.first));
            }
        }
        result.map(|()| self.is_mended())
    }

    /// Whether there is nothing that was not safe when a sync failed, or it cannot be written again.
    pub fn is_mended(&self) -> bool {
        self.tail.lock().doubtful.iter().all(|doubtful| doubtful.lost)
    }

    /// Whether these records are safe from a power cut, or not in the journal any more.
    pub fn has_safe(&self, records: &Range<u64>) -> bool {
        let tail = self.tail.lock();
        records.end <= tail.synced && !tail.doubtful.iter().any(|doubtful| doubtful.meets(records))
    }

    /// Whether some of these records may be lost with the next power cut, and cannot be written again.
    pub fn has_lost(&self, records: &Range<u64>) -> bool {
        self.tail.lock().doubtful.iter().any(|doubtful| doubtful.lost && doubtful.meets(records))
    }

    /// Makes a segment safe; false if not all of it can be read any more.
    fn write_again(&self, doubtful: &Doubtful) -> io::Result<bool> {
        let path = segment_path(&self.shape.directory, doubtful.segment.first);
        let file = match self.shape.disk.open(&path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        let bytes = read_all(&*file)?;
        let Some(part) = unsafe_part(doubtful, &bytes) else { return Ok(false) };
        // The same octets in the same place: what is safe of them already cannot be lost by it.
        file.write(&bytes[part.clone()], part.start as u64)?;
        file.sync()?;
        Ok(true)
    }

    fn say_lost(&self, lost: &Doubtful) {
        let mut tail = self.tail.lock();
        let this = |doubtful: &&mut Doubtful| doubtful.segment.first == lost.segment.first;
        let Some(doubtful) = tail.doubtful.iter_mut().find(this) else { return };
        doubtful.lost = true;
        drop(tail);
        tracing::error!(
            outcomes = lost.segment.end().saturating_sub(lost.from),
            "outcomes that a failed sync was for cannot be read from the journal any more: sinks that have not taken them may lack them; check the disk"
        );
    }
}

/// Where in the content of a segment the records stand that are not safe, with all before them that is not either; none if they are
/// not what was written.
fn unsafe_part(doubtful: &Doubtful, bytes: &[u8]) -> Option<Range<usize>> {
    let segment = &doubtful.segment;
    let bytes = bytes.get(..usize::try_from(segment.length()).ok()?)?;
    let header = Header { epoch: segment.epoch, first: segment.first };
    if Header::decode(bytes) != Some(header) {
        return None;
    }
    let (mut at, mut next) = (HEADER, segment.first);
    let mut start = (doubtful.from <= next).then_some(0);
    while at < bytes.len() {
        let Found::Record { sequence, length, .. } = record(&bytes[at..]) else { return None };
        if sequence != next {
            return None;
        }
        if start.is_none() && sequence >= doubtful.from {
            start = Some(at);
        }
        (at, next) = (at + length, next + 1);
    }
    start.filter(|_| next == segment.end()).map(|start| start..bytes.len())
}
