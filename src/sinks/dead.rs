//! Dead letters: outcomes of which the far end says that it can never take them. Kept in `dead/<sink>.jsonl` of the
//! journal directory, one JSON object a line with the reason, until somebody retries or drops them.
//!
//! A retry moves letters to `<sink>.retry`; the daemon takes that file as `<sink>.retrying`, and letters out of it when they
//! were delivered or have died again. All of it happens under a lock, as the daemon and `trapline dead` both write.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::files::disk::Identity;
use crate::files::entries::{Form, JSON_LINES};
use crate::files::lock::Lock;
use crate::files::{AppendLog, Folder, is_without_room};
use crate::outcome::json::{self, Json};
use crate::outcome::record::Record;

/// The directory of the letters, in that of the journal.
const FOLDER: &str = "dead";
/// The size in bytes at which a sink's letters are moved aside as `.old`, over what was moved there before.
const MAX_SIZE: u64 = 64 << 20;
/// A file that holds room for letters, for all sinks. A sink that is done with nothing holds the segments of the journal, so on a full
/// disk its dead letters are what brings room back.
const RESERVE: &str = "reserve";
/// Its size in bytes.
const RESERVED: usize = 64 << 10;
/// How long a process waits while another one changes letters, which takes milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The dead letters of one sink.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    journal: PathBuf,
    sink: String,
}

/// What was added.
#[derive(Debug)]
pub struct Added {
    /// How many letters, from the first one on.
    pub count: usize,
    /// Whether those that were there before were too many, and were moved aside.
    pub alone: bool,
    /// Why the others were not.
    pub rest: Option<io::Error>,
}

/// What [`DeadLetters::take`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many letters were taken out.
    pub count: usize,
    /// How many stay although they were chosen: they say no outcome that could be sent.
    pub unsendable: usize,
}

/// What [`DeadLetters::retries`] gives.
#[derive(Debug, Default)]
pub struct Asked {
    /// The letters to send, each of which says an outcome.
    pub letters: Vec<Letter>,
    /// Whether lines were put among the letters that are kept.
    pub put_back: bool,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter(Value);

impl Letter {
    /// A letter about a record. `died` is in microseconds since 1970 UTC.
    pub fn new(record: &Record<'_>, sink: &str, reason: &str, died: i64) -> Self {
        let outcome = serde_json::to_value(Json(record)).unwrap_or_default();
        Letter(json!({
            "id": record.id(), "sink": sink, "died": crate::time::clock::rfc3339(died), "reason": reason, "outcome": outcome,
        }))
    }

    /// The id of the outcome.
    pub fn id(&self) -> &str {
        self.0["id"].as_str().unwrap_or_default()
    }

    /// Why the far end does not take it.
    pub fn reason(&self) -> &str {
        self.0["reason"].as_str().unwrap_or_default()
    }

    /// The whole letter.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    /// The record that it is about; none if somebody has changed the file.
    pub fn record(&self) -> Option<Record<'_>> {
        let (epoch, sequence) = self.id().split_once('-')?;
        Some(Record {
            epoch: u64::from_str_radix(epoch, 16).ok()?,
            sequence: sequence.parse().ok()?,
            outcome: json::outcome(&self.0["outcome"])?,
        })
    }
}

impl DeadLetters {
    /// The letters of a sink of this journal.
    pub fn new(journal: &Path, sink: &str) -> Self {
        DeadLetters { journal: journal.to_owned(), sink: sink.to_owned() }
    }

    /// The sinks of a journal that have letters, also such that are to be sent again; sorted.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn sinks(journal: &Path) -> io::Result<Vec<String>> {
        let Some(folder) = existing(journal)? else { return Ok(Vec::new()) };
        let names = folder.list()?;
        let letters = |name: &String| {
            let (sink, suffix) = name.split_once('.')?;
            matches!(suffix, "jsonl" | "retry" | "retrying").then(|| sink.to_owned())
        };
        Ok(names.iter().filter_map(letters).collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn name(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.sink)
    }

    /// The directory, created if needed, locked.
    fn locked(&self) -> io::Result<(Folder, Lock)> {
        let folder = Folder::open(&self.journal)?.sub(FOLDER)?;
        let lock = folder.lock("lock", LOCK_WAIT)?;
        Ok((folder, lock))
    }

    /// Adds letters, as many as the disk has room for; they are safe from a power cut when this returns.
    ///
    /// # Errors
    ///
    /// If none can be written. Then none of them is there.
    pub fn add(&self, letters: &[Letter]) -> io::Result<Added> {
        let (folder, _lock) = self.locked()?;
        let mut log = self.open(&folder, "jsonl")?;
        let alone = log.length() > MAX_SIZE;
        if alone {
            self.move_aside(&folder, &mut log)?;
        }
        let (mut count, mut rest) = append_most(&mut log, letters);
        if rest.is_none() {
            reserve(&folder);
        } else if rest.as_ref().is_some_and(lacks_room) && folder.remove(RESERVE).is_ok() {
            let (more, why) = append_most(&mut log, &letters[count..]);
            (count, rest) = (count + more, why);
        }
        match rest {
            Some(error) if count == 0 => Err(error),
            rest => Ok(Added { count, alone, rest }),
        }
    }

    /// Reserves room for letters, which [`DeadLetters::add`] uses where the disk is full. Where there is no room for it either, it is
    /// reserved with a later letter.
    ///
    /// # Errors
    ///
    /// If the directory cannot be used.
    pub fn reserve(&self) -> io::Result<()> {
        let (folder, _lock) = self.locked()?;
        reserve(&folder);
        Ok(())
    }

    /// Opens a file of letters; a half letter at its end, which a crash has left, is cut off.
    fn open(&self, folder: &Folder, suffix: &str) -> io::Result<AppendLog> {
        let name = self.name(suffix);
        let (log, recovered) = AppendLog::open(folder, &name, JSON_LINES, u64::MAX)?;
        if recovered.torn > 0 {
            let path = folder.path().join(name);
            tracing::warn!(
                sink = self.sink,
                bytes = recovered.torn,
                "a dead letter in {} was not written to its end and is removed; it is delivered or added again",
                path.display()
            );
        }
        Ok(log)
    }

    fn move_aside(&self, folder: &Folder, log: &mut AppendLog) -> io::Result<()> {
        let old = self.name("old");
        let dropped = match Lines::read(folder, &old) {
            Ok(lines) => lines.letters().count(),
            Err(_) => 0,
        };
        log.rotate(&old)?;
        tracing::error!(
            sink = self.sink,
            dropped,
            "the dead letters have grown beyond 64 MiB and were moved to {}, in place of those that were there; see `trapline dead list`",
            folder.path().join(old).display()
        );
        Ok(())
    }

    /// The letters that wait for somebody to retry or drop them.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn list(&self) -> io::Result<Vec<Letter>> {
        self.in_files(&["jsonl"])
    }

    /// The letters that were retried and whose outcome is not known yet.
    ///
    /// # Errors
    ///
    /// If the files cannot be read.
    pub fn retrying(&self) -> io::Result<Vec<Letter>> {
        self.in_files(&["retrying", "retry"])
    }

    fn in_files(&self, suffixes: &[&str]) -> io::Result<Vec<Letter>> {
        let Some(folder) = existing(&self.journal)? else { return Ok(Vec::new()) };
        let mut letters = Vec::new();
        for suffix in suffixes {
            letters.extend(Lines::read(&folder, &self.name(suffix))?.letters());
        }
        Ok(letters)
    }

    /// How many lines of the sink's file are no letters. They stay where they are.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn unreadable(&self) -> io::Result<usize> {
        let Some(folder) = existing(&self.journal)? else { return Ok(0) };
        Ok(Lines::read(&folder, &self.name("jsonl"))?.unreadable())
    }

    /// Takes the letters out for which `chosen` is true, to be delivered again or, with `retry` false, for good; then also
    /// those that were retried before. Lines that are no letters stay, and so do letters to be delivered that say no outcome.
    ///
    /// # Errors
    ///
    /// If the files cannot be written. Then nothing has changed, or letters are retried and still there.
    pub fn take(&self, retry: bool, chosen: impl Fn(&Letter) -> bool) -> io::Result<Taken> {
        let suffixes: &[&str] = if retry { &["jsonl"] } else { &["jsonl", "retry", "retrying"] };
        let mut taken = Taken::default();
        // No directory is created for somebody who only asks.
        let there = existing(&self.journal)?
            .is_some_and(|folder| suffixes.iter().any(|suffix| folder.exists(&self.name(suffix))));
        if !there {
            return Ok(taken);
        }
        let (folder, _lock) = self.locked()?;
        for suffix in suffixes {
            let lines = Lines::read(&folder, &self.name(suffix))?;
            let stays = |letter: &Letter| retry && letter.record().is_none();
            taken.unsendable += lines.letters().filter(|letter| chosen(letter) && stays(letter)).count();
            let (out, rest) = lines.split(|letter| chosen(letter) && !stays(letter));
            taken.count += self.take_from(&folder, suffix, retry, &out, &rest)?;
        }
        Ok(taken)
    }

    fn take_from(
        &self,
        folder: &Folder,
        suffix: &str,
        retry: bool,
        out: &[Letter],
        rest: &[u8],
    ) -> io::Result<usize> {
        let (name, asked) = (self.name(suffix), self.name("retry"));
        if out.is_empty() {
            return Ok(0);
        }
        if retry && rest.is_empty() && !folder.exists(&asked) {
            // Needs no room, which a full disk has not.
            folder.rename(&name, &asked)?;
            return Ok(out.len());
        }
        if retry {
            // The daemon takes the file as it is, so it never has half of what was asked for.
            let Lines(mut lines) = Lines::all(folder, &asked)?;
            lines.extend(out.iter().map(|letter| letter.0.to_string().into_bytes()));
            folder.replace(&asked, |file| write_lines(file, &lines))?;
        }
        if rest.is_empty() {
            folder.remove(&name)?;
        } else {
            folder.replace(&name, |file| file.write_all(rest))?;
        }
        Ok(out.len())
    }

    /// Takes over the letters of a sink that has this name now.
    ///
    /// # Errors
    ///
    /// If the files cannot be written. Then some letters may still have the former name; this can be called again.
    pub fn adopt(&self, from: &str) -> io::Result<()> {
        if existing(&self.journal)?.is_none() {
            return Ok(());
        }
        let (folder, _lock) = self.locked()?;
        let former = DeadLetters::new(&self.journal, from);
        for suffix in ["jsonl", "retrying", "retry", "old"] {
            let (theirs, ours) = (former.name(suffix), self.name(suffix));
            if !folder.exists(&theirs) {
                continue;
            }
            if folder.exists(&ours) {
                // All lines, also those that are no letters.
                let Lines(lines) = Lines::read(&folder, &theirs)?;
                let mut log = self.open(&folder, suffix)?;
                log.append_synced(lines.iter().map(Vec::as_slice))?;
                folder.remove(&theirs)?;
            } else {
                folder.rename(&theirs, &ours)?;
            }
        }
        Ok(())
    }

    /// Whether letters wait to be delivered again.
    pub fn has_retries(&self) -> bool {
        // What cannot be looked at is said by who reads it.
        let there =
            |folder: Folder| folder.exists(&self.name("retry")) || folder.exists(&self.name("retrying"));
        existing(&self.journal).map_or(true, |folder| folder.is_some_and(there))
    }

    /// What changes when somebody else takes letters out that are sent again.
    pub(super) fn stamp(&self) -> Option<(Identity, u64)> {
        let (folder, name) = (existing(&self.journal).ok().flatten()?, self.name("retrying"));
        Some((folder.identity(&name).ok()?, folder.measure(&name).ok()?))
    }

    /// The letters to deliver again. They stay until [`DeadLetters::retried`]. What was asked for and says no outcome is put among the
    /// letters that are kept, whatever it is: a file without a letter to send would be in the way of all that are asked for later.
    ///
    /// # Errors
    ///
    /// If the files cannot be used.
    pub fn retries(&self) -> io::Result<Asked> {
        let (folder, _lock) = self.locked()?;
        let (asked, taken) = (self.name("retry"), self.name("retrying"));
        let mut all = Asked::default();
        loop {
            if folder.exists(&taken) {
                all.letters = self.settle(&folder, &taken, &mut all.put_back)?;
            }
            if !all.letters.is_empty() || !folder.exists(&asked) {
                return Ok(all);
            }
            folder.rename(&asked, &taken)?;
        }
    }

    /// The letters of a file that say an outcome. Other lines are taken out of it; without letters it is removed.
    fn settle(&self, folder: &Folder, name: &str, put_back: &mut bool) -> io::Result<Vec<Letter>> {
        let Lines(lines) = Lines::all(folder, name)?;
        let sendable = |line: &[u8]| letter(line).filter(|letter| letter.record().is_some());
        let letters: Vec<Letter> = lines.iter().filter_map(|line| sendable(line)).collect();
        if !letters.is_empty() && letters.len() == lines.len() {
            return Ok(letters);
        }
        let (good, bad): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| sendable(line).is_some());
        let bad: Vec<&[u8]> = bad.iter().map(Vec::as_slice).filter(|line| says_something(line)).collect();
        let file = folder.path().join(name);
        if !bad.is_empty() {
            let kept = self.name("jsonl");
            self.open(folder, "jsonl")?.append_synced(bad.iter().copied())?;
            *put_back = true;
            tracing::warn!(
                sink = self.sink,
                lines = bad.len(),
                "lines of {} say no outcome and cannot be sent again; they are kept in {}; see `trapline dead list {}`",
                file.display(),
                folder.path().join(kept).display(),
                self.sink
            );
        }
        if good.is_empty() {
            if bad.is_empty() {
                tracing::warn!(
                    sink = self.sink,
                    "{} has no dead letter in it and is removed",
                    file.display()
                );
            }
            folder.remove(name)?;
        } else {
            folder.replace(name, |file| write_lines(file, &good))?;
        }
        Ok(letters)
    }

    /// Letters that [`DeadLetters::retries`] gave, by their ids, were delivered or have died again.
    ///
    /// # Errors
    ///
    /// If the files cannot be written. Then they are still to be retried.
    pub fn retried(&self, done: &BTreeSet<String>) -> io::Result<()> {
        let (folder, _lock) = self.locked()?;
        let name = self.name("retrying");
        // What is no letter stays until the next look at the file.
        let (_, rest) = Lines::all(&folder, &name)?.split(|letter| done.contains(letter.id()));
        if !rest.is_empty() {
            return folder.replace(&name, |file| file.write_all(&rest));
        }
        match folder.remove(&name) {
            // All of them were dropped meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

fn write_lines(file: &mut dyn Write, lines: &[Vec<u8>]) -> io::Result<()> {
    lines.iter().try_for_each(|line| {
        file.write_all(line)?;
        file.write_all(b"\n")
    })
}

/// Whether a line has more than blanks, and zeros, which a power cut leaves.
fn says_something(line: &[u8]) -> bool {
    line.iter().any(|byte| *byte != 0 && !byte.is_ascii_whitespace())
}

fn reserve(folder: &Folder) {
    if !folder.exists(RESERVE) {
        // If it fails, there is no room, which is no matter for who has written a letter.
        let _ = folder.create(RESERVE, |file| file.write_all(&vec![0; RESERVED]));
    }
}

/// The directory of the letters, if there is one.
fn existing(journal: &Path) -> io::Result<Option<Folder>> {
    match Folder::existing(journal).and_then(|folder| folder.existing_sub(FOLDER)) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn append(log: &mut AppendLog, letters: &[Letter]) -> io::Result<()> {
    let lines: Vec<String> = letters.iter().map(|letter| letter.0.to_string()).collect();
    log.append_synced(lines.iter().map(String::as_bytes)).map(drop)
}

/// Appends as many letters as there is room for, in halves. Gives how many, and why not the others.
fn append_most(log: &mut AppendLog, letters: &[Letter]) -> (usize, Option<io::Error>) {
    match append(log, letters) {
        Ok(()) => (letters.len(), None),
        Err(error) if letters.len() > 1 && lacks_room(&error) => {
            let (first, second) = letters.split_at(letters.len() / 2);
            let (count, why) = append_most(log, first);
            if why.is_some() {
                return (count, why);
            }
            let (more, why) = append_most(log, second);
            (count + more, why)
        }
        Err(error) => (0, Some(error)),
    }
}

fn lacks_room(error: &io::Error) -> bool {
    is_without_room(error.kind())
}

/// The lines of a file of letters, whatever they are.
struct Lines(Vec<Vec<u8>>);

impl Lines {
    /// Reads a file; one that is not there has no lines. A last line that is still being written is left out.
    fn read(folder: &Folder, name: &str) -> io::Result<Self> {
        Self::read_as(folder, name, JSON_LINES)
    }

    /// The same with the last line, whatever it is. For who holds the lock, under which nobody writes.
    fn all(folder: &Folder, name: &str) -> io::Result<Self> {
        Self::read_as(folder, name, Form::Lines { whole: |_| true })
    }

    fn read_as(folder: &Folder, name: &str, form: Form) -> io::Result<Self> {
        let mut entries = match AppendLog::entries_of(folder, name, form) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Lines(Vec::new())),
            Err(error) => return Err(error),
        };
        let mut lines = Vec::new();
        while let Some(line) = entries.next()? {
            lines.push(line.to_vec());
        }
        Ok(Lines(lines))
    }

    fn letters(&self) -> impl Iterator<Item = Letter> {
        self.0.iter().filter_map(|line| letter(line))
    }

    fn unreadable(&self) -> usize {
        self.0.iter().filter(|line| letter(line).is_none()).count()
    }

    /// The letters for which `chosen` is true, and the bytes of all other lines as they are.
    fn split(&self, chosen: impl Fn(&Letter) -> bool) -> (Vec<Letter>, Vec<u8>) {
        let (mut out, mut rest) = (Vec::new(), Vec::new());
        for line in &self.0 {
            match letter(line).filter(&chosen) {
                Some(letter) => out.push(letter),
                None => {
                    rest.extend(line);
                    rest.push(b'\n');
                }
            }
        }
        (out, rest)
    }
}

fn letter(line: &[u8]) -> Option<Letter> {
    serde_json::from_slice(line).ok().filter(Value::is_object).map(Letter)
}

/// What a sink reports of an outcome that the far end will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Its sequence number.
    pub sequence: u64,
    /// Why, in the far end's words as far as it has any.
    pub reason: Cow<'static, str>,
}

#[cfg(test)]
#[path = "dead_tests.rs"]
mod tests;
