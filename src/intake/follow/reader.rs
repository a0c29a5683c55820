//! Reads the lines of one file.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::place::{HEAD, Place};
use crate::settings::input;
use crate::syslog::framing::MAX_MESSAGE;

/// How much is read at once, in octets.
const CHUNK: usize = 64 << 10;

/// A line, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'l> {
    Whole(&'l [u8]),
    /// The beginning of one that is too long.
    Beginning(&'l [u8]),
}

/// A file that is open.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    device: u64,
    inode: u64,
    /// The first octet that was not given.
    offset: u64,
    /// What stands there and was read.
    buffer: Vec<u8>,
    /// Whether the rest of a line that was too long is passed over.
    skips: bool,
    /// What stands at the beginning of the file, as far as it was given.
    head: Vec<u8>,
}

impl Reader {
    /// Opens a file, to read it from its beginning.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = input::regular(path)?;
        let meta = file.metadata()?;
        let (device, inode) = (meta.dev(), meta.ino());
        Ok(Reader { file, device, inode, offset: 0, buffer: Vec::new(), skips: false, head: Vec::new() })
    }

    /// Goes on elsewhere. Of a line that has begun before, the rest is a line.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.offset = offset;
        self.buffer.clear();
        self.skips = false;
        self.head = self.beginning((HEAD as u64).min(offset) as usize)?;
        Ok(())
    }

    /// Its length by now.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// What stands at its beginning.
    pub(super) fn beginning(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut head = vec![0; most];
        let mut have = 0;
        while have < most {
            match self.file.read_at(&mut head[have..], have as u64) {
                Ok(0) => break,
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        head.truncate(have);
        Ok(head)
    }

    /// Whether it is the file of a place.
    pub(super) fn is(&self, place: &Place) -> bool {
        self.is_file(place.device, place.inode) && self.has_head_of(place)
    }

    /// Whether it begins as the file of a place.
    pub(super) fn has_head_of(&self, place: &Place) -> bool {
        place.begins(|most| self.beginning(most))
    }

    /// Whether it is this file, whatever its name.
    pub(super) fn is_file(&self, device: u64, inode: u64) -> bool {
        (self.device, self.inode) == (device, inode)
    }

    /// When it was written last: seconds and nanoseconds.
    pub(super) fn written(&self) -> (i64, i64) {
        self.file.metadata().map_or((0, 0), |meta| (meta.mtime(), meta.mtime_nsec()))
    }

    /// Where reading it goes on.
    pub(super) fn place(&self) -> Place {
        let (device, inode, offset) = (self.device, self.inode, self.offset);
        let (head, sum) = (self.head.len() as u64, crc32c::crc32c(&self.head));
        Place { device, inode, offset, head, sum, written: Some(self.written()) }
    }

    /// Whether it was cut and written anew: it is shorter than what was read of it, or begins otherwise.
    pub(super) fn is_cut(&self) -> io::Result<bool> {
        let read = self.offset + self.buffer.len() as u64;
        Ok(self.length()? < read || !self.has_head_of(&self.place()))
    }

    /// Reads on, and gives the lines that are whole. False if nothing has come.
    pub(super) fn read(&mut self, give: &mut dyn FnMut(Line<'_>)) -> io::Result<bool> {
        let have = self.buffer.len();
        self.buffer.resize(have + CHUNK, 0);
        let read = loop {
            match self.file.read_at(&mut self.buffer[have..], self.offset + have as u64) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(have + *read.as_ref().unwrap_or(&0));
        let read = read?;
        let mut given = 0;
        while let Some(length) = self.buffer[given..].iter().position(|octet| *octet == b'\n') {
            let line = &self.buffer[given..given + length];
            if !std::mem::take(&mut self.skips) && !line.is_empty() {
                give(Line::Whole(line));
            }
            given += length + 1;
        }
        if self.buffer.len() - given > MAX_MESSAGE {
            if !std::mem::replace(&mut self.skips, true) {
                give(Line::Beginning(&self.buffer[given..]));
            }
            given = self.buffer.len();
        }
        self.gone(given);
        Ok(read > 0)
    }

    /// Gives what has no newline, as nothing follows.
    pub(super) fn finish(&mut self, give: &mut dyn FnMut(Line<'_>)) {
        let rest = self.buffer.len();
        if rest > 0 && !self.skips {
            give(Line::Whole(&self.buffer));
        }
        self.gone(rest);
    }

    /// So many octets were given.
    fn gone(&mut self, count: usize) {
        // Only what stands at the beginning.
        if let Some(room) = HEAD.checked_sub(self.offset as usize).filter(|_| self.offset < HEAD as u64) {
            self.head.extend_from_slice(&self.buffer[..count.min(room)]);
        }
        self.offset += count as u64;
        self.buffer.drain(..count);
    }
}
