//! The bytes of an append log that consists of frames (see [`append_log`](super::append_log) for the layout).

use std::io::{self, ErrorKind};

use super::disk::DiskFile;

const MAGIC: &[u8; 8] = b"TRAPLOG1";
/// The length of the header of a file.
pub(super) const HEADER: usize = 24;
/// The length of the header of a frame.
pub(super) const FRAME: usize = 12;

/// A random number per file, which is in the checksum of every frame.
pub(super) type Salt = [u8; 8];

/// What a file begins with.
pub(super) enum Header {
    /// A header.
    Whole(Salt),
    /// Nothing, or part of a header with zeros behind it, as a power cut leaves it. It was never synced then, nor was any
    /// entry.
    Torn,
    /// Something else.
    Foreign,
}

impl Header {
    /// Reads the header of a file.
    pub(super) fn read(file: &dyn DiskFile) -> io::Result<Self> {
        let mut bytes = [0; HEADER];
        let count = read_from(file, &mut bytes, 0)?;
        let salt: Salt = bytes[8..].first_chunk().copied().unwrap_or_default();
        let mut expected = Vec::with_capacity(HEADER);
        push_header(&mut expected, salt);
        if count == HEADER && expected == bytes {
            return Ok(Header::Whole(salt));
        }
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Ok(if expected.starts_with(&bytes[..written]) { Header::Torn } else { Header::Foreign })
    }
}

/// The error for a file that is not a log.
pub(super) fn foreign() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the file does not begin with the header of a log")
}

/// Adds a header.
pub(super) fn push_header(out: &mut Vec<u8>, salt: Salt) {
    let start = out.len();
    out.extend(MAGIC);
    out.extend(salt);
    let sum = crc32c::crc32c(&out[start..]);
    out.extend(sum.to_le_bytes());
    out.extend([0; 4]);
}

/// Adds a frame.
pub(super) fn push_frame(out: &mut Vec<u8>, salt: Salt, payload: &[u8]) {
    out.extend(head(salt, payload.len() as u32, crc32c::crc32c(payload)));
    out.extend(payload);
}

fn head(salt: Salt, length: u32, sum: u32) -> [u8; FRAME] {
    let mut salted = [0; 16];
    salted[..8].copy_from_slice(&salt);
    salted[8..12].copy_from_slice(&length.to_le_bytes());
    salted[12..].copy_from_slice(&sum.to_le_bytes());
    let mut head = [0; FRAME];
    head[..8].copy_from_slice(&salted[8..]);
    head[8..].copy_from_slice(&crc32c::crc32c(&salted).to_le_bytes());
    head
}

/// The length and the checksum of the payload of a frame that begins with these bytes.
pub(super) fn read_head(salt: Salt, bytes: &[u8]) -> Option<(u32, u32)> {
    let bytes = bytes.first_chunk::<FRAME>()?;
    let number = |at: usize| bytes[at..].first_chunk().copied().map_or(0, u32::from_le_bytes);
    let (length, sum) = (number(0), number(4));
    (head(salt, length, sum) == *bytes).then_some((length, sum))
}

/// Reads as many bytes as there are from an offset on, at most all of the buffer.
pub(super) fn read_from(file: &dyn DiskFile, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..], at + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
