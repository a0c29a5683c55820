//! What is done when a journal is opened: find the segments, cut a torn tail, set aside what is unreadable.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::Recovery;
use super::segment::{Found, HEADER, Header, Meta, record};

pub(super) struct Recovered {
    pub(super) segments: Vec<Meta>,
    pub(super) next: u64,
    pub(super) report: Recovery,
}

pub(super) fn recover(directory: &Path) -> io::Result<Recovered> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<Vec<_>>>()?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    // Names are numbers of one width: their order is that of the numbers.
    paths.sort();
    let mut recovered = Recovered { segments: Vec::new(), next: 1, report: Recovery::default() };
    let count = paths.len();
    for (at, path) in paths.into_iter().enumerate() {
        let bytes = std::fs::read(&path)?;
        let Some(header) = Header::decode(&bytes).filter(|h| h.first >= recovered.next) else {
            // Kept for people to look at, out of the way of the journal.
            std::fs::rename(&path, path.with_extension("unreadable"))?;
            recovered.report.unreadable.push(path);
            continue;
        };
        let (end, length) = scan(&bytes, header.first, &mut recovered.report.records);
        if end == header.first {
            std::fs::remove_file(&path)?;
            recovered.report.torn_bytes += bytes.len().saturating_sub(HEADER) as u64;
        } else {
            if length < bytes.len() && at + 1 == count {
                let file = OpenOptions::new().write(true).open(&path)?;
                file.set_len(length as u64)?;
                file.sync_all()?;
                recovered.report.torn_bytes += (bytes.len() - length) as u64;
            }
            recovered.segments.push(Meta {
                first: header.first,
                end,
                length: length as u64,
                epoch: header.epoch,
            });
        }
        recovered.next = recovered.next.max(end);
    }
    Ok(recovered)
}

/// The sequence number after the last whole record, and where that record ends. Damaged records before it are
/// passed over: readers skip and count them.
fn scan(bytes: &[u8], first: u64, records: &mut u64) -> (u64, usize) {
    let (mut end, mut length, mut at) = (first, HEADER, HEADER);
    loop {
        match record(&bytes[at..]) {
            Found::Record { sequence, length: size, .. } if sequence >= end => {
                *records += 1;
                at += size;
                (end, length) = (sequence + 1, at);
            }
            Found::Record { length: size, .. } | Found::Damaged(size) => at += size,
            Found::Partial(_) | Found::Nonsense => return (end, length),
        }
    }
}
