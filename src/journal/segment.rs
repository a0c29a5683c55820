//! One segment file: header and records (see the [module](super) for the format).

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Length of a segment's header in bytes.
pub const HEADER: usize = 40;
/// Length of what stands before a record's payload in bytes.
pub const RECORD_HEADER: usize = 16;
/// The largest payload in bytes; a longer length is damage.
pub const MAX_PAYLOAD: usize = 1 << 20;

const MAGIC: &[u8; 8] = b"TRAPLINE";
const FORMAT: u32 = 1;

/// What a segment's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The epoch that its records were written in.
    pub epoch: u64,
    /// The sequence number of its first record.
    pub first: u64,
}

impl Header {
    /// The header as it stands in the file.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..32]);
        bytes[32..36].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of a segment; none if there is no valid one.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.first_chunk::<HEADER>()?;
        let valid = bytes[..8] == *MAGIC
            && bytes[8..12] == FORMAT.to_le_bytes()
            && bytes[32..36] == crc32c::crc32c(&bytes[..32]).to_le_bytes();
        valid.then(|| Header { epoch: read_u64(&bytes[16..]), first: read_u64(&bytes[24..]) })
    }
}

/// What is known of a segment.
///
/// Clones know the same: who reads a segment that the journal has removed meanwhile knows where its records end, and takes
/// nothing that a failed write left behind them.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The sequence number of its first record.
    pub first: u64,
    /// Its epoch.
    pub epoch: u64,
    extent: Arc<Extent>,
}

#[derive(Debug)]
struct Extent {
    end: AtomicU64,
    length: AtomicU64,
}

impl Meta {
    /// A segment with the records `first..end`, which end after `length` bytes.
    pub fn new(epoch: u64, first: u64, end: u64, length: u64) -> Self {
        let extent = Extent { end: AtomicU64::new(end), length: AtomicU64::new(length) };
        Meta { first, epoch, extent: Arc::new(extent) }
    }

    /// A segment without records.
    pub fn empty(epoch: u64, first: u64) -> Self {
        Self::new(epoch, first, first, HEADER as u64)
    }

    /// The sequence number after its last record. Never more than [`Meta::length`], asked for after it, tells of.
    pub fn end(&self) -> u64 {
        self.extent.end.load(Ordering::Acquire)
    }

    /// Its length in bytes, up to the end of its last record.
    pub fn length(&self) -> u64 {
        self.extent.length.load(Ordering::Acquire)
    }

    /// Records of so many bytes were added, the last one before the number `end`.
    pub fn grow(&self, bytes: u64, end: u64) {
        self.extent.length.fetch_add(bytes, Ordering::AcqRel);
        self.extent.end.store(end, Ordering::Release);
    }
}

/// Where the segment that starts with a sequence number is.
pub fn segment_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.seg"))
}

/// Writes the header of a record, whose payload stands behind it.
pub fn seal_record(record: &mut [u8], sequence: u64) {
    let length = record.len().saturating_sub(RECORD_HEADER) as u32;
    record[8..16].copy_from_slice(&sequence.to_le_bytes());
    let crc = crc32c::crc32c(&record[8..]);
    record[..4].copy_from_slice(&length.to_le_bytes());
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Appends a record to a buffer.
#[cfg(test)]
pub fn push_record(buffer: &mut Vec<u8>, sequence: u64, payload: &[u8]) {
    let start = buffer.len();
    buffer.extend([0; RECORD_HEADER]);
    buffer.extend(payload);
    seal_record(&mut buffer[start..], sequence);
}

/// What stands at the start of some bytes of a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'b> {
    /// A whole record, and how long it is with its header.
    Record {
        /// Its sequence number.
        sequence: u64,
        /// Its outcome, encoded.
        payload: &'b [u8],
        /// Bytes from here to the next record.
        length: usize,
    },
    /// The start of a record that has so many bytes in all.
    Partial(usize),
    /// A record whose checksum is wrong; so many bytes, if its length is right.
    Damaged(usize),
    /// A length that cannot be.
    Nonsense,
}

/// Reads the record at the start of some bytes.
#[inline]
pub fn record(bytes: &[u8]) -> Found<'_> {
    let Some(header) = bytes.first_chunk::<RECORD_HEADER>() else { return Found::Partial(RECORD_HEADER) };
    let payload = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    if payload == 0 || payload > MAX_PAYLOAD {
        return Found::Nonsense;
    }
    let length = RECORD_HEADER + payload;
    let Some(whole) = bytes.get(..length) else { return Found::Partial(length) };
    if crc32c::crc32c(&whole[8..]).to_le_bytes() != header[4..8] {
        return Found::Damaged(length);
    }
    Found::Record { sequence: read_u64(&header[8..]), payload: &whole[RECORD_HEADER..], length }
}

/// Where the next whole record stands behind a place that is none, with a sequence number from `least` on.
pub fn next_record(bytes: &[u8], least: u64) -> Option<usize> {
    record_among(bytes, 1..bytes.len(), 0, least)
}

/// At which of these places a whole record stands, so many bytes behind a place that is none, with a sequence number from `least` on. A
/// number that no record so near can have is not looked at closer, so that this does not take long.
pub fn record_among(bytes: &[u8], mut places: Range<usize>, passed: usize, least: u64) -> Option<usize> {
    places.find(|at| {
        let rest = bytes.get(*at..).unwrap_or_default();
        let Some(header) = rest.first_chunk::<RECORD_HEADER>() else { return false };
        let sequence = read_u64(&header[8..]);
        let most = least.saturating_add(((passed + at) / RECORD_HEADER) as u64 + 1);
        (least..=most).contains(&sequence) && matches!(record(rest), Found::Record { .. })
    })
}

/// The number that the first eight bytes are; 0 if there are fewer.
pub fn read_u64(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b))
}
