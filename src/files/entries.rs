//! Reading an append log (see [`append_log`](super::append_log) for the layout).

use std::io;
use std::sync::Arc;

use super::disk::DiskFile;
use super::frame::{FRAME, Salt, read_from, read_head};

/// How many bytes are read at a time.
const CHUNK: usize = 64 << 10;
/// The longest line in bytes that is kept in memory. Longer ones were not written by this program.
const LONGEST_LINE: usize = 16 << 20;

/// How entries are told apart.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// Each has its length and checksum.
    Frames {
        /// The longest entry in bytes.
        longest: u32,
    },
    /// Each is a line of text. Entries contain no newline.
    Lines {
        /// Whether a last line without a newline is whole.
        whole: fn(&[u8]) -> bool,
    },
}

/// Lines of JSON.
pub const JSON_LINES: Form = Form::Lines { whole: is_json };

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

/// The entries of a log. Reads the file in parts.
#[derive(Debug)]
pub struct Entries {
    file: Arc<dyn DiskFile>,
    form: Form,
    salt: Salt,
    buffer: Vec<u8>,
    /// Where in the buffer the next entry begins.
    start: usize,
    /// The offset of the buffer in the file.
    offset: u64,
    /// The offset at which reading ends.
    end: u64,
    damaged: u64,
}

impl Entries {
    pub(super) fn new(file: Arc<dyn DiskFile>, form: Form, salt: Salt, from: u64, end: u64) -> Self {
        Entries { file, form, salt, buffer: Vec::new(), start: 0, offset: from, end, damaged: 0 }
    }

    /// The next entry.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    #[allow(clippy::should_implement_trait)] // The entry is borrowed from the reader, which an iterator cannot do.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let found = match self.form {
            Form::Frames { longest } => self.next_frame(longest)?,
            Form::Lines { whole } => self.next_line(whole)?,
        };
        Ok(found.map(|(from, to)| &self.buffer[from..to]))
    }

    /// The offset of the end of the last entry that was given.
    pub fn position(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// How many bytes before that were skipped because they are no entries.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    fn next_frame(&mut self, longest: u32) -> io::Result<Option<(usize, usize)>> {
        let (from, mut skipped) = (self.position(), 0);
        while self.fill(FRAME)? {
            let head =
                read_head(self.salt, &self.buffer[self.start..]).filter(|(length, _)| *length <= longest);
            if let Some((length, sum)) = head
                && self.fill(FRAME + length as usize)?
            {
                let payload = (self.start + FRAME, self.start + FRAME + length as usize);
                if crc32c::crc32c(&self.buffer[payload.0..payload.1]) == sum {
                    self.damaged += skipped;
                    self.start = payload.1;
                    return Ok(Some(payload));
                }
            }
            self.start += 1;
            skipped += 1;
        }
        // What follows the last entry is no entry yet, or a torn one.
        (self.offset, self.start) = (from, 0);
        self.buffer.clear();
        Ok(None)
    }

    fn next_line(&mut self, whole: fn(&[u8]) -> bool) -> io::Result<Option<(usize, usize)>> {
        let mut seen = 0;
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(at) = rest[seen..].iter().position(|byte| *byte == b'\n') {
                let end = self.start + seen + at;
                // No line of ours has a zero. After a failed sync a power cut can leave zeros in the place of lines, and their newlines.
                let zero = self.buffer[self.start..end].iter().rposition(|byte| *byte == 0);
                let from = zero.map_or(self.start, |zero| self.start + zero + 1);
                self.damaged += (from - self.start) as u64;
                self.start = end + 1;
                return Ok(Some((from, end)));
            }
            seen = rest.len();
            if seen > LONGEST_LINE {
                self.damaged += seen as u64;
                self.start = self.buffer.len();
                seen = 0;
            }
            if !self.more()? {
                let line = (self.start, self.buffer.len());
                if line.0 == line.1 || !whole(&self.buffer[line.0..]) {
                    return Ok(None);
                }
                self.start = line.1;
                return Ok(Some(line));
            }
        }
    }

    /// Has so many bytes from `start` on in the buffer; false if the file ends before.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.buffer.len() - self.start < wanted {
            if !self.more()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the next part of the file into the buffer; false at the end.
    fn more(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.offset += self.start as u64;
        self.start = 0;
        let kept = self.buffer.len();
        let at = self.offset + kept as u64;
        let count = CHUNK.min(usize::try_from(self.end.saturating_sub(at)).unwrap_or(CHUNK));
        self.buffer.resize(kept + count, 0);
        let read = read_from(&*self.file, &mut self.buffer[kept..], at);
        self.buffer.truncate(kept + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }
}

/// The bytes that follow the last newline of a file; none if there are more than a line can have.
pub(super) fn last_line(file: &dyn DiskFile, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut size = CHUNK;
    loop {
        let from = length.saturating_sub(size as u64);
        let mut tail = vec![0; (length - from) as usize];
        if read_from(file, &mut tail, from)? < tail.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let newline = tail.iter().rposition(|byte| *byte == b'\n');
        if newline.is_some() || from == 0 {
            tail.drain(..newline.map_or(0, |at| at + 1));
            return Ok(Some(tail).filter(|tail| tail.len() <= LONGEST_LINE));
        }
        if size > LONGEST_LINE {
            return Ok(None);
        }
        size = (2 * size).min(LONGEST_LINE + 1);
    }
}
