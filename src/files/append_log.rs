//! A file that entries are appended to, and that a crash or a full disk cannot spoil: on opening, a torn last entry is cut
//! off; a failed append is cut back.
//!
//! # Frames
//!
//! All numbers are little-endian.
//!
//! ```text
//! header  magic "TRAPLOG1" 8   salt 8   crc32c of the 16 4   0 4
//! frame   length of payload 4   crc32c of payload 4   crc32c of salt and the 8 4   payload
//! ```
//!
//! A damaged frame is skipped and counted; reading goes on with the next whole one. The salt is random, so that nobody
//! who decides on a payload can put something in it that is taken for a frame.
//!
//! # Lines
//!
//! Plain text, one entry per line. The last line is torn if it has no newline and is not a whole entry. In a file that may only
//! grow (`chattr +a`), it gets a newline instead of being cut off.
//!
//! # Shared files
//!
//! Several logs may append to one shared file, in one process or in several. What one log is writing looks torn to another,
//! which would cut it off. So a log holds a lock on a shared file from looking at its end to having synced what it appended.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{DiskFile, Opening};
use super::entries::{Entries, Form, last_line};
use super::folder::Folder;
use super::frame::{self, HEADER, Header, Salt};

/// How long a log waits for another one to append to a shared file, which takes milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often it looks.
const LOCK_LOOK: Duration = Duration::from_millis(1);

/// What was found and done when a log was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The bytes of a torn last entry, which were cut off.
    pub torn: u64,
    /// The bytes before the last entry that are no entries. They stay and are skipped.
    pub damaged: u64,
}

/// A file that is appended to.
#[derive(Debug)]
pub struct AppendLog {
    folder: Folder,
    name: String,
    form: Form,
    /// Whether other logs may append to the file.
    shared: bool,
    /// The most bytes that it may have.
    most: u64,
    file: Arc<dyn DiskFile>,
    salt: Salt,
    length: u64,
    /// The length up to which entries are durable, or were when the file was opened.
    synced: u64,
    /// Whether `length` is known to be the end of the last whole entry.
    known: bool,
    /// Whether another program has written what is at the end.
    foreign: bool,
    /// Whether something may stand behind `length` that is to be cut off first.
    spoiled: bool,
    /// Whether the name of the file may not be durable.
    fresh: bool,
    /// The second in which the log checked last that the file is still there.
    checked: Option<i64>,
    /// What is written next, kept for its memory.
    buffer: Vec<u8>,
}

/// How much memory an [`AppendLog`] keeps for what it writes next.
const MOST_KEPT: usize = 1 << 20;

impl AppendLog {
    /// Opens a file of at most `most` bytes, or creates it, and cuts off what a crash left at its end.
    ///
    /// # Errors
    ///
    /// If it cannot be used; [`ErrorKind::InvalidData`] if frames are asked for and it has none.
    pub fn open(folder: &Folder, name: &str, form: Form, most: u64) -> io::Result<(Self, Recovered)> {
        Self::open_as(folder, name, form, most, false)
    }

    /// Opens a file of any size that other logs append to as well, if they open it with this too; use
    /// [`AppendLog::append_synced`] for it.
    ///
    /// # Errors
    ///
    /// As [`AppendLog::open`]; [`ErrorKind::TimedOut`] if another program holds a lock on the file for 5 s.
    pub fn open_shared(folder: &Folder, name: &str, form: Form) -> io::Result<(Self, Recovered)> {
        Self::open_as(folder, name, form, u64::MAX, true)
    }

    fn open_as(
        folder: &Folder,
        name: &str,
        form: Form,
        most: u64,
        shared: bool,
    ) -> io::Result<(Self, Recovered)> {
        let file = folder.open_file(name, Opening::Append)?;
        let mut log = AppendLog {
            folder: folder.clone(),
            name: name.to_owned(),
            form,
            shared,
            most,
            file,
            salt: [0; 8],
            length: 0,
            synced: 0,
            known: false,
            foreign: false,
            spoiled: false,
            fresh: true,
            checked: None,
            buffer: Vec::new(),
        };
        let _lock = log.lock()?;
        let recovered = log.recover()?;
        Ok((log, recovered))
    }

    /// Has a shared file for this log alone.
    fn lock(&self) -> io::Result<Option<Locked>> {
        if !self.shared {
            return Ok(None);
        }
        let until = Instant::now() + LOCK_WAIT;
        while !self.file.try_lock()? {
            if Instant::now() >= until {
                let text = format!(
                    "another program has locked {} for {} s",
                    self.folder.path().join(&self.name).display(),
                    LOCK_WAIT.as_secs()
                );
                return Err(io::Error::new(ErrorKind::TimedOut, text));
            }
            std::thread::sleep(LOCK_LOOK);
        }
        Ok(Some(Locked(self.file.clone())))
    }

    /// The entries of a file, without changing it.
    ///
    /// # Errors
    ///
    /// If it cannot be read; [`ErrorKind::InvalidData`] if frames are asked for and it has none.
    pub fn entries_of(folder: &Folder, name: &str, form: Form) -> io::Result<Entries> {
        let file = folder.open_file(name, Opening::Read)?;
        let length = file.length()?;
        let (start, salt) = match form {
            Form::Lines { .. } => (0, [0; 8]),
            Form::Frames { .. } => match Header::read(&*file)? {
                Header::Whole(salt) => (HEADER as u64, salt),
                Header::Torn => (length, [0; 8]),
                Header::Foreign => return Err(frame::foreign()),
            },
        };
        Ok(Entries::new(file, form, salt, start, length))
    }

    /// Finds the end of the last whole entry and cuts off what follows.
    fn recover(&mut self) -> io::Result<Recovered> {
        (self.known, self.spoiled) = (false, false);
        let length = self.file.length()?;
        self.length = length;
        let recovered = match self.form {
            Form::Frames { .. } => self.recover_frames(length)?,
            Form::Lines { whole } => self.recover_lines(length, whole)?,
        };
        (self.known, self.foreign, self.synced) = (true, false, self.length);
        Ok(recovered)
    }

    fn recover_frames(&mut self, length: u64) -> io::Result<Recovered> {
        match Header::read(&*self.file)? {
            Header::Whole(salt) => self.salt = salt,
            Header::Torn => {
                self.cut(0)?;
                self.salt = getrandom::u64()?.to_le_bytes();
                return Ok(Recovered { torn: length, damaged: 0 });
            }
            Header::Foreign => return Err(frame::foreign()),
        }
        let mut entries = Entries::new(self.file.clone(), self.form, self.salt, HEADER as u64, length);
        let (mut end, mut damaged) = (HEADER as u64, 0);
        while entries.next()?.is_some() {
            (end, damaged) = (entries.position(), entries.damaged());
        }
        self.cut(end)?;
        Ok(Recovered { torn: length - end, damaged })
    }

    fn recover_lines(&mut self, length: u64, whole: fn(&[u8]) -> bool) -> io::Result<Recovered> {
        if length > 0 {
            // What an earlier process left must not turn into zeros without a newline under what is synced later.
            self.file.sync()?;
        }
        let tail = last_line(&*self.file, length)?;
        let torn = tail.as_ref().map_or(0, |tail| if whole(tail) { 0 } else { tail.len() as u64 });
        if torn > 0 {
            if !self.cut_if_allowed(length - torn)? {
                self.write_at_end(b"\n")?;
                return Ok(Recovered { torn: 0, damaged: torn });
            }
        } else if tail.is_none_or(|tail| !tail.is_empty()) {
            self.write_at_end(b"\n")?;
        }
        Ok(Recovered { torn, damaged: 0 })
    }

    /// Cuts the file; false if it may only grow (`chattr +a`).
    fn cut_if_allowed(&mut self, length: u64) -> io::Result<bool> {
        match self.cut(length) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.length = self.file.length()?;
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.length = length;
        if self.file.length()? > length {
            self.file.set_length(length)?;
        }
        Ok(())
    }

    /// Appends entries, as many as fit, from the first on. Returns how many.
    ///
    /// # Errors
    ///
    /// If they cannot be written. Then none of them is in the file, nor part of one.
    pub fn append<'e>(&mut self, entries: impl IntoIterator<Item = &'e [u8]>) -> io::Result<usize> {
        self.make_ready()?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.start(&mut buffer)?;
        let (start, mut count) = (buffer.len(), 0);
        for entry in entries {
            let end = buffer.len();
            self.push(&mut buffer, entry)?;
            if self.length + buffer.len() as u64 > self.most {
                buffer.truncate(end);
                break;
            }
            count += 1;
        }
        if buffer.len() > start {
            self.write_at_end(&buffer)?;
        }
        if buffer.capacity() <= MOST_KEPT {
            self.buffer = buffer;
        }
        Ok(count)
    }

    /// Appends entries and makes them durable. Returns how many fit.
    ///
    /// # Errors
    ///
    /// As [`AppendLog::append`] and [`AppendLog::sync`]. Then none of them is in the file.
    pub fn append_synced<'e>(&mut self, entries: impl IntoIterator<Item = &'e [u8]>) -> io::Result<usize> {
        let _lock = self.lock()?;
        let count = self.append(entries)?;
        self.sync()?;
        Ok(count)
    }

    /// Appends lines, each with its newline, and makes them durable. For a file of lines that has no limit.
    ///
    /// # Errors
    ///
    /// As [`AppendLog::append`] and [`AppendLog::sync`]. Then none of them is in the file.
    pub fn append_lines_synced(&mut self, lines: &[u8]) -> io::Result<()> {
        let _lock = self.lock()?;
        self.make_ready()?;
        if !lines.is_empty() {
            let mut end_of_foreign = Vec::new();
            self.start(&mut end_of_foreign)?;
            if end_of_foreign.is_empty() {
                self.write_at_end(lines)?;
            } else {
                self.write_at_end(&[&end_of_foreign, lines].concat())?;
            }
        }
        self.sync()
    }

    /// [`AppendLog::follow`] at most once a second. `now` is in microseconds.
    ///
    /// # Errors
    ///
    /// As [`AppendLog::follow`]. The next call tries again.
    pub fn check(&mut self, now: i64) -> io::Result<bool> {
        let second = now.div_euclid(1_000_000);
        if self.checked == Some(second) {
            return Ok(false);
        }
        let vanished = self.follow()?;
        self.checked = Some(second);
        Ok(vanished)
    }

    /// Checks that the file is still the one that has its name. If it was removed, moved or replaced, goes on with the file
    /// that has the name now, created if needed, and returns true.
    ///
    /// # Errors
    ///
    /// If that file cannot be used.
    pub fn follow(&mut self) -> io::Result<bool> {
        self.folder.renew()?;
        if self.is_there()? {
            return Ok(false);
        }
        self.reopen()?;
        Ok(true)
    }

    /// Whether the file is still the one that has its name in the directory that was opened.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn is_there(&self) -> io::Result<bool> {
        match self.folder.identity(&self.name) {
            Ok(identity) => Ok(identity == self.file.identity()?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = self.folder.open_file(&self.name, Opening::Append)?;
        self.fresh = true;
        let _lock = self.lock()?;
        self.recover().map(drop)
    }

    /// Renames the file, over one that has the new name, and goes on with a new one.
    ///
    /// # Errors
    ///
    /// If it cannot be renamed, or there can be no new one.
    pub fn rotate(&mut self, to: &str) -> io::Result<()> {
        self.folder.rename(&self.name, to)?;
        self.reopen()
    }

    /// Cuts off what a failed append left, and looks at what others have changed.
    fn make_ready(&mut self) -> io::Result<()> {
        if !self.known {
            return self.recover().map(drop);
        }
        if self.spoiled {
            match self.form {
                // Others may have appended behind it.
                _ if self.shared => self.foreign = true,
                Form::Frames { .. } => self.cut(self.length)?,
                // What cannot be cut off is a line of its own.
                Form::Lines { .. } => self.foreign |= !self.cut_if_allowed(self.length)?,
            }
            self.spoiled = false;
        }
        let length = self.file.length()?;
        if length != self.length {
            match self.form {
                Form::Frames { .. } => drop(self.recover()?),
                Form::Lines { .. } => {
                    (self.length, self.synced) = (length, length);
                    self.foreign = true;
                }
            }
        }
        Ok(())
    }

    /// What must stand before the next entry: the header of a new file, or the newline that another program left out.
    fn start(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        match self.form {
            Form::Frames { .. } if self.length == 0 => frame::push_header(buffer, self.salt),
            Form::Lines { .. } if self.foreign && self.length > 0 => {
                let mut last = [0];
                if self.file.read(&mut last, self.length - 1)? == 1 && last != *b"\n" {
                    buffer.push(b'\n');
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&self, buffer: &mut Vec<u8>, entry: &[u8]) -> io::Result<()> {
        let fits = match self.form {
            Form::Frames { longest } => entry.len() <= longest as usize,
            Form::Lines { .. } => memchr::memchr(b'\n', entry).is_none(),
        };
        if !fits {
            return Err(io::Error::new(ErrorKind::InvalidInput, "an entry is too long, or has a newline"));
        }
        match self.form {
            Form::Frames { .. } => frame::push_frame(buffer, self.salt, entry),
            Form::Lines { .. } => {
                buffer.extend_from_slice(entry);
                buffer.push(b'\n');
            }
        }
        Ok(())
    }

    fn write_at_end(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write(bytes, self.length) {
            self.spoiled = self.file.set_length(self.length).is_err();
            return Err(error);
        }
        self.length += bytes.len() as u64;
        self.foreign = false;
        Ok(())
    }

    /// Makes all entries durable.
    ///
    /// # Errors
    ///
    /// If the system cannot promise it. It may have forgotten what it could not write, and succeed the next time; so the
    /// entries since the last sync are no longer in the file then.
    pub fn sync(&mut self) -> io::Result<()> {
        let synced = self.file.sync().and_then(|()| if self.fresh { self.folder.sync() } else { Ok(()) });
        match synced {
            Ok(()) => (self.fresh, self.synced) = (false, self.length),
            Err(_) => self.spoiled = self.cut(self.synced).is_err(),
        }
        synced
    }

    /// What [`AppendLog::sync`] would sync, for who must not hold the log meanwhile. If it fails, the log is not to be used any
    /// more: the system may have forgotten what it could not write.
    pub fn to_sync(&self) -> ToSync {
        let folder = self.fresh.then(|| self.folder.clone());
        ToSync { file: self.file.clone(), folder, length: self.length }
    }

    /// Something was synced that [`AppendLog::to_sync`] gave.
    pub fn was_synced(&mut self, done: &ToSync) {
        self.synced = self.synced.max(done.length);
        self.fresh &= done.folder.is_none();
    }

    /// The length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The entries from an offset on, which is 0 or a position that [`Entries`] gave, to those that are there now.
    pub fn entries(&self, from: u64) -> Entries {
        let first = if matches!(self.form, Form::Frames { .. }) { HEADER as u64 } else { 0 };
        let from = from.max(first).min(self.length);
        Entries::new(self.file.clone(), self.form, self.salt, from, self.length)
    }
}

/// What is to be made durable.
#[derive(Debug)]
pub struct ToSync {
    file: Arc<dyn DiskFile>,
    folder: Option<Folder>,
    length: u64,
}

impl ToSync {
    /// Makes it durable.
    ///
    /// # Errors
    ///
    /// If the system cannot promise it.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        self.folder.as_ref().map_or(Ok(()), Folder::sync)
    }
}

/// A locked file; dropping it unlocks it.
struct Locked(Arc<dyn DiskFile>);

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

#[cfg(test)]
#[path = "append_log_tests.rs"]
mod tests;
