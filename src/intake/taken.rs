//! The keys of what was taken, for the next process: it knows again what a sender repeats.
//!
//! Append logs in the journal directory, `taken.1`, `taken.2` and so on. Each begins with the secret that its keys are made with;
//! then come the keys of one commit each, with the time. A key is written after its outcomes are in the journal, and before its
//! sender is answered: what is known here is never lost, and what was answered is known here. After five minutes, or so many keys as
//! one process keeps, another file begins, and only the one before it stays. Nothing is written for messages without a key.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::correlate::Secret;
use crate::files::append_log::ToSync;
use crate::files::entries::Form;
use crate::files::{AppendLog, Folder};
use crate::time::clock::{Mono, Now};

/// How long an inform is known, in seconds: longer than devices repeat one, and than the time window of SNMPv3 accepts a
/// copy of one.
pub(super) const KNOWN_FOR: u64 = 300;
/// How many informs are known.
pub(super) const MAX_INFORMS: usize = 1 << 17;
/// What the names of its files start with.
const PREFIX: &str = "taken.";
/// How many keys one entry has.
const AT_ONCE: usize = 1 << 13;
/// The longest entry in bytes; a longer length is damage.
const LONGEST: u32 = 1 << 17;
const FORM: Form = Form::Frames { longest: LONGEST };
/// How long another file is not tried, after one could not be begun.
const PAUSE: Duration = Duration::from_millis(200);
/// What entries begin with: those with a time and the secret, and those with a time and keys.
const HEAD: u8 = 1;
const KEYS: u8 = 2;

/// In which file keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

/// The files. Without a folder nothing is kept.
#[derive(Debug, Default)]
pub(super) struct Taken {
    files: Mutex<Option<Files>>,
    /// Held while something is synced: who comes meanwhile finds its keys safe, or lost.
    syncing: Mutex<()>,
}

#[derive(Debug)]
struct Files {
    folder: Folder,
    secret: Secret,
    /// The number of the newest file; 0 if there is none.
    number: u64,
    /// The newest file, and when it began; none if the next one has to have all keys.
    open: Option<Open>,
    /// The file before it, which stays, until it is synced, and its number.
    before: Option<AppendLog>,
    stays: u64,
    /// What was written into a file of this number or a lower one may be lost.
    lost: u64,
    /// Whether what was known when they were lost is in no other file yet.
    is_behind: bool,
    /// Whether something is not synced.
    dirty: bool,
    /// Whether there are files that are to be removed.
    has_older: bool,
    /// What an earlier process left, with its times, until another file has it.
    left: Vec<(i64, u64)>,
    /// When another file could not be begun.
    refused: Option<Mono>,
}

#[derive(Debug)]
struct Open {
    log: AppendLog,
    /// How many keys it has.
    count: usize,
    /// When it began.
    began: Mono,
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The secret, if there is one.
    pub(super) secret: Option<Secret>,
    /// The keys, the oldest first.
    pub(super) keys: Vec<u64>,
    /// Where they are.
    pub(super) place: Option<Place>,
}

/// What one file has.
#[derive(Default)]
struct Read {
    secret: Option<Secret>,
    keys: Vec<(i64, u64)>,
    damaged: u64,
}

/// Each key once, with its last time: a file begins with what is in the one before.
fn newest_of_each(mut keys: Vec<(i64, u64)>) -> Vec<(i64, u64)> {
    let mut seen = HashSet::new();
    keys.reverse();
    keys.retain(|(_, key)| seen.insert(*key));
    keys.reverse();
    keys
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

impl Taken {
    /// Keeps keys in this folder from now on. What is there stays known by its keys, if [`Taken::use_secret`] does not name another
    /// secret.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub(super) fn open(&self, folder: &Folder, now: Now) -> io::Result<Left> {
        let numbers = folder.numbered(PREFIX)?;
        let mut files = Files {
            folder: folder.clone(),
            secret: Secret([0; 2]),
            number: 0,
            open: None,
            before: None,
            stays: 0,
            lost: 0,
            is_behind: false,
            dirty: false,
            has_older: false,
            left: Vec::new(),
            refused: None,
        };
        let left = files.recover(&numbers, now);
        *self.files() = Some(files);
        Ok(left)
    }

    /// Keys are made with this from now on. Those of another one are of no use.
    pub(super) fn use_secret(&self, secret: Secret) {
        if let Some(files) = self.files().as_mut().filter(|files| files.secret != secret) {
            // What is there is of no use.
            (files.lost, files.is_behind, files.left) = (files.number, false, Vec::new());
            files.secret = secret;
        }
    }

    /// Adds keys. `known` gives all that are known, for a file that takes the place of one that is lost.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub(super) fn add(
        &self,
        keys: &[u64],
        now: Now,
        known: impl FnOnce() -> Vec<u64>,
    ) -> io::Result<Option<Place>> {
        let mut files = self.files();
        let Some(files) = &mut *files else { return Ok(None) };
        files.add(keys, now, known).map(Some)
    }

    /// Whether keys that were written are still there.
    pub(super) fn has(&self, place: Option<Place>) -> bool {
        let files = self.files();
        files.as_ref().is_none_or(|files| !files.is_behind && place.is_some_and(|place| place.0 > files.lost))
    }

    /// What is known is not all there: it is written anew.
    pub(super) fn lose(&self) {
        if let Some(files) = &mut *self.files() {
            files.lose();
        }
    }

    /// Writes anew what was lost, also where that was refused just now. Called once a second.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(super) fn renew(&self, now: Now, known: impl FnOnce() -> Vec<u64>) -> io::Result<()> {
        let mut files = self.files();
        let Some(files) = &mut *files else { return Ok(()) };
        files.refused = None;
        if files.is_behind { files.add(&[], now, known).map(drop) } else { Ok(()) }
    }

    /// Removes what no key is needed of any more, as another file has all, as safe as it is to be.
    pub(super) fn tidy(&self) {
        if let Some(files) = self.files().as_mut().filter(|files| files.has_older && files.open.is_some()) {
            files.left = Vec::new();
            files.remove_older();
        }
    }

    /// Makes what was added safe from a power cut. Blocks.
    ///
    /// # Errors
    ///
    /// If the system cannot promise it: then what is in these files is lost, and is to be added again.
    pub(super) fn sync(&self) -> io::Result<()> {
        let _turn = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = self.files().as_mut().and_then(Files::take_unsynced) else {
            return Ok(());
        };
        // Without the lock: others add meanwhile.
        let synced = work.iter().try_for_each(|(_, work)| work.sync());
        if let Some(files) = &mut *self.files() {
            match &synced {
                Ok(()) => files.synced(&work),
                Err(_) => files.lose(),
            }
        }
        synced
    }

    fn files(&self) -> MutexGuard<'_, Option<Files>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    /// Reads the files. One that cannot be read is renamed, and the others count. None is written on: what another process could not
    /// sync is not safe with the next sync, so this one writes all that is left anew.
    fn recover(&mut self, numbers: &[u64], now: Now) -> Left {
        let mut all = Vec::new();
        for number in numbers {
            match self.read(*number) {
                Ok(read) => all.push(read),
                Err(error) => {
                    self.folder.set_aside_unread(
                        &name(*number),
                        &error,
                        "what was taken lately from",
                        "what senders repeat may be processed twice",
                    );
                    continue;
                }
            }
            self.number = *number;
        }
        let secret = all.iter().rev().find_map(|read| read.secret);
        let damaged: u64 = all.iter().map(|read| read.damaged).sum();
        if damaged > 0 {
            tracing::error!(
                bytes = damaged,
                "parts of the files of what was taken are damaged and were skipped; check the disk"
            );
        }
        let is_young = |at: i64| now.wall.micros().saturating_sub(at) < KNOWN_FOR as i64 * 1_000_000;
        let ours = all.into_iter().filter(|read| read.secret == secret).flat_map(|read| read.keys);
        self.left = newest_of_each(ours.filter(|(at, _)| is_young(*at)).collect());
        drop(self.left.drain(..self.left.len().saturating_sub(MAX_INFORMS)));
        self.secret = secret.unwrap_or(self.secret);
        (self.lost, self.is_behind, self.has_older) = (self.number, !self.left.is_empty(), self.number > 0);
        let keys = self.left.iter().map(|(_, key)| *key).collect();
        Left { secret, keys, place: Some(Place(self.number.saturating_add(1))) }
    }

    fn read(&self, number: u64) -> io::Result<Read> {
        let mut read = Read::default();
        let mut entries = AppendLog::entries_of(&self.folder, &name(number), FORM)?;
        while let Some(entry) = entries.next()? {
            if !read.add(entry) {
                read.damaged += entry.len() as u64;
            }
        }
        read.damaged += entries.damaged();
        Ok(read)
    }

    fn add(&mut self, keys: &[u64], now: Now, known: impl FnOnce() -> Vec<u64>) -> io::Result<Place> {
        let there = self.open.as_mut().map(|open| open.log.check(now.wall.micros()));
        // Somebody has removed it, or it cannot be told.
        if matches!(there, Some(Ok(true) | Err(_))) {
            self.lose();
        }
        match &self.open {
            None => self.begin(known(), now)?,
            // What cannot begin another one goes on as it is.
            Some(open) if open.is_long(keys.len(), now.mono) => drop(self.begin(Vec::new(), now)),
            Some(_) => {}
        }
        let Some(open) = &mut self.open else { return Err(ErrorKind::NotFound.into()) };
        if !keys.is_empty() {
            open.log.append(entries(keys, now.wall.micros()).iter().map(Vec::as_slice))?;
            open.count += keys.len();
            self.dirty = true;
        }
        Ok(Place(self.number))
    }

    /// Begins another file, with these keys.
    fn begin(&mut self, mut known: Vec<u64>, now: Now) -> io::Result<()> {
        if self.refused.is_some_and(|at| now.mono.since(at) < PAUSE) {
            return Err(io::Error::new(ErrorKind::StorageFull, "another file was refused just now"));
        }
        let begun = self.try_begin(&mut known, now);
        self.refused = begun.is_err().then_some(now.mono);
        begun
    }

    fn try_begin(&mut self, known: &mut Vec<u64>, now: Now) -> io::Result<()> {
        let number = self.folder.numbered(PREFIX)?.last().map_or(1, |last| last.saturating_add(1));
        let anew = self.open.is_none();
        let left = if anew { &*self.left } else { &[] };
        let is_left: HashSet<u64> = left.iter().map(|(_, key)| *key).collect();
        known.retain(|key| !is_left.contains(key));
        drop(known.drain(..(known.len() + left.len()).saturating_sub(MAX_INFORMS).min(known.len())));
        let count = known.len() + left.len();
        let written =
            AppendLog::open(&self.folder, &name(number), FORM, u64::MAX).and_then(|(mut log, _)| {
                let same_time = left.chunk_by(|one, other| one.0 == other.0);
                let before = same_time.flat_map(|keys| {
                    let numbers: Vec<u64> = keys.iter().map(|(_, key)| *key).collect();
                    entries(&numbers, keys[0].0)
                });
                let all: Vec<Vec<u8>> = std::iter::once(head(self.secret, now))
                    .chain(before)
                    .chain(entries(known, now.wall.micros()))
                    .collect();
                log.append(all.iter().map(Vec::as_slice))?;
                Ok(log)
            });
        let log = match written {
            Ok(log) => log,
            Err(error) => {
                // A part of it would take the room that the journal needs.
                let _ = self.folder.remove(&name(number));
                return Err(error);
            }
        };
        let before = self.open.replace(Open { log, count, began: now.mono });
        self.before = before.map(|before| before.log);
        (self.stays, self.number) = (self.number, number);
        (self.is_behind, self.dirty, self.has_older) = (false, true, true);
        // What only older files have is needed until one that has all is safe.
        if !anew {
            self.remove_older();
        }
        Ok(())
    }

    fn remove_older(&mut self) {
        let Ok(numbers) = self.folder.numbered(PREFIX) else { return };
        let older = numbers.into_iter().filter(|number| *number < self.number && *number != self.stays);
        // What cannot be removed is tried again.
        self.has_older = older.filter(|number| self.folder.remove(&name(*number)).is_err()).count() > 0;
    }

    /// What is in the files is not to be counted on: the next one has all keys.
    fn lose(&mut self) {
        (self.lost, self.is_behind, self.dirty) = (self.number, true, false);
        (self.open, self.before) = (None, None);
    }

    fn take_unsynced(&mut self) -> Option<Vec<(u64, ToSync)>> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        let before = self.before.as_ref().map(|log| (self.stays, log.to_sync()));
        let open = self.open.as_ref().map(|open| (self.number, open.log.to_sync()));
        Some(before.into_iter().chain(open).collect())
    }

    fn synced(&mut self, done: &[(u64, ToSync)]) {
        for (number, work) in done {
            match (&mut self.open, &mut self.before) {
                (Some(open), _) if *number == self.number => open.log.was_synced(work),
                (_, before) if *number == self.stays => *before = None,
                _ => {}
            }
        }
    }
}

impl Open {
    /// Whether another one should take the place, for so many more keys.
    fn is_long(&self, more: usize, now: Mono) -> bool {
        (self.count > 0 && self.count + more > MAX_INFORMS)
            || now.since(self.began) >= Duration::from_secs(KNOWN_FOR)
    }
}

impl Read {
    /// Adds an entry; false if it is none.
    fn add(&mut self, entry: &[u8]) -> bool {
        let Some((kind, rest)) = entry.split_first() else { return false };
        let Some((at, rest)) = rest.split_first_chunk().map(|(at, rest)| (i64::from_le_bytes(*at), rest))
        else {
            return false;
        };
        let mut numbers =
            rest.chunks_exact(8).filter_map(|one| Some(u64::from_le_bytes(one.try_into().ok()?)));
        match *kind {
            HEAD => match (numbers.next(), numbers.next()) {
                (Some(one), Some(two)) => self.secret = Some(Secret([one, two])),
                _ => return false,
            },
            // Without a secret they are of no use.
            KEYS if self.secret.is_some() => self.keys.extend(numbers.map(|key| (at, key))),
            _ => return false,
        }
        true
    }
}

fn entry(kind: u8, at: i64, numbers: &[u64]) -> Vec<u8> {
    let mut entry = vec![kind];
    entry.extend(at.to_le_bytes());
    for number in numbers {
        entry.extend(number.to_le_bytes());
    }
    entry
}

fn head(Secret(secret): Secret, now: Now) -> Vec<u8> {
    entry(HEAD, now.wall.micros(), &secret)
}

fn entries(keys: &[u64], at: i64) -> Vec<Vec<u8>> {
    keys.chunks(AT_ONCE).map(|keys| entry(KEYS, at, keys)).collect()
}

#[cfg(test)]
#[path = "taken_tests.rs"]
mod tests;
