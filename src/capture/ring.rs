//! The files of the ring: the oldest go when all have their size, or when what they hold is too old.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use super::buffer::LONGEST;
use super::entry::Entry;
use super::settings::Settings;
use crate::files::entries::Form;
use crate::files::{AppendLog, Folder};

/// The name of the folder in the state directory.
pub const FOLDER: &str = "capture";
/// Into how many files the size and the age are divided.
const PARTS: u64 = 16;
/// The size of a file, whatever the size of all.
const LARGEST_PART: u64 = 64 << 20;
/// The bytes around an entry in a file.
const FRAME: u64 = 12;
const FORM: Form = Form::Frames { longest: LONGEST as u32 };
/// The name of the file that has the age, in seconds, for when nothing is captured any more.
const AGE: &str = "age.json";
/// The most bytes of it that are read.
const MOST_AGE: u64 = 64;

/// A file of the ring. Its name has its number, so that files sort by it, and when its first entry was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    number: u64,
    /// In microseconds since 1970 UTC.
    from: i64,
    /// When it was closed.
    until: Option<i64>,
    bytes: u64,
}

impl Part {
    fn name(&self) -> String {
        format!("{:010}-{}", self.number, self.from)
    }

    fn parse(name: &str) -> Option<Self> {
        let (number, from) = name.split_once('-')?;
        let part = Part { number: number.parse().ok()?, from: from.parse().ok()?, until: None, bytes: 0 };
        (part.name() == name).then_some(part)
    }
}

/// The parts in a folder, in their order. Each was closed when the next one began.
fn parts(folder: &Folder) -> io::Result<VecDeque<Part>> {
    let mut parts: Vec<Part> = folder.list()?.iter().filter_map(|name| Part::parse(name)).collect();
    parts.sort_by_key(|part| part.number);
    let begins: Vec<i64> = parts.iter().skip(1).map(|part| part.from).collect();
    for (part, next) in parts.iter_mut().zip(begins) {
        part.until = Some(next);
    }
    Ok(parts.into())
}

/// Writes into the ring.
#[derive(Debug)]
pub struct Ring {
    folder: Folder,
    settings: Settings,
    parts: VecDeque<Part>,
    /// The last part, while it is open.
    open: Option<AppendLog>,
    /// The age that its file has.
    kept_age: Option<Duration>,
}

impl Ring {
    /// Opens the ring of a state directory, or creates it.
    ///
    /// # Errors
    ///
    /// If its folder cannot be used.
    pub fn open(directory: &Path, settings: Settings, now: i64) -> io::Result<Self> {
        let folder = Folder::open(directory)?.sub(FOLDER)?;
        let mut parts = parts(&folder)?;
        if let Some(last) = parts.back_mut() {
            last.until = Some(now);
        }
        for part in &mut parts {
            part.bytes = folder.reader(&part.name()).and_then(|file| file.length()).unwrap_or(0);
        }
        let mut ring = Ring { folder, settings, parts, open: None, kept_age: None };
        ring.make_room(0, now)?;
        Ok(ring)
    }

    /// What an earlier capture has left in a state directory, with the age that it had; none if there is nothing.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn left(directory: &Path) -> io::Result<Option<Self>> {
        let folder = match Folder::existing(&directory.join(FOLDER)) {
            Ok(folder) => folder,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut parts = parts(&folder)?;
        for part in &mut parts {
            part.bytes = folder.reader(&part.name()).and_then(|file| file.length()).unwrap_or(0);
        }
        if let Some(last) = parts.back_mut() {
            // Not the time of this start: with a start a day it would stay for ever.
            last.until = Some(last_entry(&folder, last)?.unwrap_or(last.from));
        }
        let age =
            folder.read(AGE, MOST_AGE).ok().and_then(|bytes| serde_json::from_slice::<u64>(&bytes).ok());
        let age = age.map_or(Settings::default().age, Duration::from_secs);
        let settings = Settings { size: u64::MAX, age };
        Ok(Some(Ring { folder, settings, parts, open: None, kept_age: Some(age) }))
    }

    /// Whether nothing is left of what was captured.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Closes the open file: nothing follows.
    pub fn close(&mut self, now: i64) {
        if let (Some(_), Some(part)) = (self.open.take(), self.parts.back_mut()) {
            part.until = Some(now);
        }
    }

    /// Keeps the age beside what is captured: it holds also when nothing is captured any more.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn keep_age(&mut self) -> io::Result<()> {
        let age = self.settings.age;
        if self.kept_age != Some(age) {
            self.folder.replace(AGE, |out| Ok(serde_json::to_writer(out, &age.as_secs())?))?;
            self.kept_age = Some(age);
        }
        Ok(())
    }

    /// Removes the file with the age.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn forget_age(&mut self) -> io::Result<()> {
        self.kept_age = None;
        if self.folder.exists(AGE) { self.folder.remove(AGE) } else { Ok(()) }
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Changes the size and the age.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// When something becomes too old next, in microseconds; none if there is nothing.
    pub fn next_due(&self) -> Option<i64> {
        let age = micros(self.settings.age);
        let of_part = |part: &Part| match part.until {
            Some(until) => until.saturating_add(age),
            None => part.from.saturating_add(age / PARTS as i64),
        };
        self.parts.iter().map(of_part).min()
    }

    /// Appends entries; what was too old or is too much goes before.
    ///
    /// # Errors
    ///
    /// If they cannot be written: then none of them is in the ring.
    pub fn append<'e>(&mut self, entries: impl IntoIterator<Item = &'e [u8]>, now: i64) -> io::Result<()> {
        let entries: Vec<&[u8]> = entries.into_iter().collect();
        let largest = self.largest_part();
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let mut fits = 0;
            for entry in rest {
                bytes += entry.len() as u64 + FRAME;
                if bytes > largest && fits > 0 {
                    break;
                }
                fits += 1;
            }
            let (some, after) = rest.split_at(fits);
            self.append_some(some, now)?;
            rest = after;
        }
        Ok(())
    }

    fn append_some(&mut self, entries: &[&[u8]], now: i64) -> io::Result<()> {
        let bytes: u64 = entries.iter().map(|entry| entry.len() as u64 + FRAME).sum();
        self.make_room(bytes, now)?;
        if self.open.is_none() {
            let number = self.parts.back().map_or(0, |part| part.number + 1);
            let part = Part { number, from: now, until: None, bytes: 0 };
            let (log, _) = AppendLog::open(&self.folder, &part.name(), FORM, u64::MAX)?;
            self.parts.push_back(part);
            self.open = Some(log);
        }
        let (Some(log), Some(part)) = (&mut self.open, self.parts.back_mut()) else { return Ok(()) };
        // Somebody may have removed the file. On a full disk it stays, so that tries do not leave a file each.
        log.check(now)?;
        let appended = log.append(entries.iter().copied());
        part.bytes = log.length();
        appended.map(drop)
    }

    /// Closes the open file if it has its size or its age, and removes files that are too old or too much.
    ///
    /// # Errors
    ///
    /// If a file cannot be removed.
    pub fn make_room(&mut self, bytes: u64, now: i64) -> io::Result<()> {
        let (age, largest) = (micros(self.settings.age), self.largest_part());
        if let (Some(_), Some(part)) = (&self.open, self.parts.back_mut()) {
            // The wall clock may have been set back.
            let old = now >= part.from.saturating_add(age / PARTS as i64) || now < part.from;
            if old || part.bytes + bytes > largest {
                part.until = Some(now);
                self.open = None;
            }
        }
        while let Some(first) = self.parts.front() {
            let Some(until) = first.until else { break };
            let old = until.saturating_add(age) <= now;
            if !old && self.bytes() + bytes <= self.settings.size {
                break;
            }
            match self.folder.remove(&first.name()) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => drop(self.parts.pop_front()),
            }
        }
        Ok(())
    }

    fn largest_part(&self) -> u64 {
        (self.settings.size / PARTS).min(LARGEST_PART)
    }
}

/// When the last message of a part was received; none if it has none.
fn last_entry(folder: &Folder, part: &Part) -> io::Result<Option<i64>> {
    let mut entries = match AppendLog::entries_of(folder, &part.name(), FORM) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            return Ok(None);
        }
        entries => entries?,
    };
    let mut last = None;
    while let Some(bytes) = entries.next()? {
        last = Entry::decode(bytes).map(|entry| entry.received).or(last);
    }
    Ok(last)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Reads the ring, also while the daemon writes into it.
#[derive(Debug)]
pub struct Reader {
    folder: Folder,
    parts: VecDeque<Part>,
    since: i64,
    /// Bytes that are no entries.
    pub damaged: u64,
}

impl Reader {
    /// What was received since then, in microseconds since 1970 UTC. None if nothing was ever captured.
    ///
    /// # Errors
    ///
    /// If the ring cannot be read.
    pub fn open(directory: &Path, since: i64) -> io::Result<Option<Self>> {
        let folder = match Folder::existing(&directory.join(FOLDER)) {
            Ok(folder) => folder,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut parts = parts(&folder)?;
        parts.retain(|part| part.until.is_none_or(|until| until >= since));
        Ok(Some(Reader { folder, parts, since, damaged: 0 }))
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Calls this with each entry, in the order in which they were written.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or what `take` says.
    pub fn each(&mut self, mut take: impl FnMut(&Entry<'_>) -> io::Result<()>) -> io::Result<()> {
        while let Some(part) = self.parts.pop_front() {
            let mut entries = match AppendLog::entries_of(&self.folder, &part.name(), FORM) {
                Ok(entries) => entries,
                // The daemon has removed it meanwhile; or it is of another program, or was never whole.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            while let Some(bytes) = entries.next()? {
                if let Some(entry) = Entry::decode(bytes).filter(|entry| entry.received >= self.since) {
                    take(&entry)?;
                }
            }
            self.damaged += entries.damaged();
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
