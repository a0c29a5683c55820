//! What is done when a journal is opened: find the segments, cut a torn tail, set aside what is unreadable.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::disk::{Disk, read_all};
use crate::journal::segment::{Found, HEADER, Header, Meta, next_record, record};

/// What was found and done when the journal was opened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Whole records.
    pub records: u64,
    /// Bytes that were cut off the end of the newest segment.
    pub torn_bytes: u64,
    /// Records between others that are in no segment.
    pub missing: u64,
    /// Segments that could not be read and were set aside.
    pub unreadable: Vec<PathBuf>,
}

pub(crate) struct Recovered {
    pub(crate) segments: Vec<Meta>,
    pub(crate) next: u64,
    pub(crate) report: Recovery,
}

pub(crate) fn recover(disk: &dyn Disk, directory: &Path) -> io::Result<Recovered> {
    let mut paths: Vec<PathBuf> = disk
        .list(directory)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    // Names are numbers of one width: their order is that of the numbers.
    paths.sort();
    let mut recovered = Recovered { segments: Vec::new(), next: 1, report: Recovery::default() };
    // The newest first: what a failed write left behind in a segment, and could not be cut off, has the numbers of the
    // segment after it.
    let mut limit = u64::MAX;
    for path in paths.into_iter().rev() {
        let file = disk.open(&path, false)?;
        let bytes = read_all(&*file)?;
        if bytes.iter().all(|byte| *byte == 0) {
            // Made, and not written when the power was cut.
            disk.remove(&path)?;
            continue;
        }
        let Some(header) = Header::decode(&bytes).filter(|h| h.first < limit) else {
            // Kept for people to look at, out of the way of the journal.
            disk.rename(&path, &free_name(disk, &path))?;
            recovered.report.unreadable.push(path);
            continue;
        };
        let (end, length) = scan(&bytes, header.first, limit, &mut recovered.report.records);
        recovered.next = recovered.next.max(end);
        if end == header.first {
            disk.remove(&path)?;
            recovered.report.torn_bytes += bytes.len().saturating_sub(HEADER) as u64;
            continue;
        }
        if length < bytes.len() && recovered.segments.is_empty() {
            file.set_length(length as u64)?;
            recovered.report.torn_bytes += (bytes.len() - length) as u64;
        }
        // A process that was killed may not have synced it, and from now on only new segments are synced. After a failed sync the
        // system may take for written what the disk has not, and only what is written now is synced. A disk that does not let it
        // is as it was.
        let _ = file.write(&bytes[..length], 0);
        file.sync()?;
        let Header { first, epoch } = header;
        // Records that are in no segment are lost. Sinks that lack them count them when they come there, as they count those that
        // are damaged: this segment is not delivered before.
        let end = if limit == u64::MAX {
            end
        } else {
            recovered.report.missing += limit - end;
            limit
        };
        recovered.segments.push(Meta::new(epoch, first, end, length as u64));
        limit = first;
    }
    recovered.segments.reverse();
    Ok(recovered)
}

/// A name for a segment that cannot be read: that of none that was set aside before.
fn free_name(disk: &dyn Disk, segment: &Path) -> PathBuf {
    let mut name = segment.with_extension("unreadable");
    let mut count = 1;
    while disk.identity(&name).is_ok() {
        count += 1;
        name = segment.with_extension(format!("unreadable.{count}"));
    }
    name
}

/// The sequence number after the last whole record of a segment.
pub(crate) fn end(bytes: &[u8], first: u64) -> u64 {
    scan(bytes, first, u64::MAX, &mut 0).0
}

/// The sequence number after the last whole record, and where that record ends. Damaged records before it are
/// passed over: readers skip and count them. Records from `limit` on are none of this segment's.
fn scan(bytes: &[u8], first: u64, limit: u64, records: &mut u64) -> (u64, usize) {
    let (mut end, mut length, mut at) = (first, HEADER, HEADER);
    loop {
        match record(&bytes[at..]) {
            Found::Record { sequence, .. } if sequence >= limit => return (end, length),
            Found::Record { sequence, length: size, .. } => {
                at += size;
                if sequence >= end {
                    *records += 1;
                    (end, length) = (sequence + 1, at);
                }
            }
            _ => match next_record(&bytes[at..], end) {
                Some(offset) => at += offset,
                None => return (end, length),
            },
        }
    }
}
