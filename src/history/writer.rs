//! Takes records of the journal in order and writes them in batches.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::counters::Counters;
use super::error::HistoryError;
use super::part::{self, Part, Tally};
use super::parts::{self, Name};
use super::rollup::{self, Rollup};
use super::row::Row;
use super::schema;
use super::settings::Settings;
use super::states::{Seen, States};
use super::thin::{Budget, Kinds, Newest, Worth};
use super::untold::{Place, Rows};
use super::why::Untold;
use crate::files::Folder;
use crate::outcome::record::Record;
use crate::time::clock::Now;

/// The most rows of a batch.
const ROWS: usize = 2000;
/// The most outcomes of a batch.
const OUTCOMES: u64 = 50_000;

/// Writes the history. After an error it is to be opened again: what was not committed is read from the journal again.
#[derive(Debug)]
pub struct Writer {
    folder: Folder,
    settings: Settings,
    part: Part,
    rollup: Rollup,
    states: States,
    budget: Budget,
    kinds: Kinds,
    untold: Rows,
    hash: RandomState,
    batch: Batch,
    /// The bytes of the files of rows before the newest one.
    closed: u64,
}

/// What waits for its commit.
#[derive(Debug, Default)]
struct Batch {
    rows: Vec<Row>,
    /// Outcomes that rows of earlier batches stand for, by their keys.
    more: Vec<(i64, u64)>,
    bytes: usize,
    read: u64,
    thinned: u64,
    missed: u64,
    unstored: u64,
    /// How many of the rows are of messages without an outcome.
    untold: u64,
    /// The highest key, and by how much one is ahead of its time at most.
    last: i64,
    late: i64,
    /// The number of the record after the last one.
    next: Option<u64>,
    epoch: u64,
}

impl Batch {
    /// The key of a row of this time.
    fn key(&mut self, time: i64) -> i64 {
        let n = time.max(self.last.saturating_add(1));
        (self.last, self.late) = (n, self.late.max(n - time));
        n
    }

    fn push(&mut self, row: Row) {
        self.bytes += row.bytes();
        self.rows.push(row);
    }

    /// A row stands for so many more.
    fn count(&mut self, n: i64, count: u64) {
        // Keys rise.
        match self.rows.binary_search_by_key(&n, |row| row.n) {
            Ok(at) => self.rows[at].count += count,
            Err(_) => match self.more.binary_search_by_key(&n, |more| more.0) {
                Ok(at) => self.more[at].1 += count,
                Err(at) => self.more.insert(at, (n, count)),
            },
        }
    }
}

/// What is done with the number of a record that comes.
fn gap(next: Option<u64>, sequence: u64) -> Option<u64> {
    match next {
        Some(next) if sequence < next => None,
        Some(next) => Some(sequence - next),
        None => Some(0),
    }
}

impl Writer {
    /// Opens the history, or makes it. What is no database any more is set aside, and said.
    ///
    /// # Errors
    ///
    /// If its files cannot be used.
    pub fn open(settings: Settings, now: Now) -> Result<Self, HistoryError> {
        let folder = Folder::open(&settings.directory).map_err(HistoryError::io(&settings.directory))?;
        let rollup = sound(&folder, rollup::FILE, || Rollup::open(&folder, settings.rollup_size()))?;
        let states = rollup.states()?;
        let part = newest(&folder, now)?;
        let budget = Budget::new(settings.rows_per_second, now.mono);
        let mut writer = Writer {
            folder,
            settings,
            part,
            rollup,
            states,
            budget,
            kinds: Kinds::default(),
            untold: Rows::default(),
            hash: RandomState::new(),
            batch: Batch::default(),
            closed: 0,
        };
        writer.batch = writer.fresh();
        writer.make_room(now).map_err(HistoryError::io(writer.folder.path()))?;
        Ok(writer)
    }

    fn fresh(&self) -> Batch {
        let Tally { last, late, next, epoch, .. } = self.part.tally;
        Batch { last, late, next, epoch, ..Batch::default() }
    }

    /// The number of the record that it wants next; none for a new history. `resume` says where a journal goes on of which
    /// everything before a number was read in an epoch.
    pub fn resume(&mut self, resume: impl Fn(u64, u64) -> u64) -> Option<u64> {
        let tally = &mut self.part.tally;
        tally.next = tally.next.map(|next| resume(tally.epoch, next));
        self.rollup.next = self.rollup.next.map(|next| resume(self.rollup.epoch, next));
        self.batch = self.fresh();
        match (self.part.tally.next, self.rollup.next) {
            (Some(part), Some(rollup)) => Some(part.min(rollup)),
            (part, rollup) => part.or(rollup),
        }
    }

    /// Whether the batch is to be committed before more is taken.
    pub fn is_full(&self) -> bool {
        let most = usize::try_from(self.settings.part_size() / 8).unwrap_or(usize::MAX).min(4 << 20);
        self.batch.rows.len() >= ROWS || self.batch.read >= OUTCOMES || self.batch.bytes >= most
    }

    /// Takes a record and its encoded outcome. What was taken before, by its number, is left out.
    pub fn take(&mut self, record: &Record<'_>, payload: &[u8], now: Now) {
        let (outcome, sequence) = (&record.outcome, record.sequence);
        let for_rollup = gap(self.rollup.next, sequence).is_some();
        let missed = gap(self.batch.next, sequence);
        let looked = self.states.look(outcome);
        let mut shown = false;
        if let Some(missed) = missed {
            self.batch.missed += missed;
            self.batch.read += 1;
            (self.batch.next, self.batch.epoch) = (Some(sequence + 1), record.epoch);
            shown = self.show(record, payload, looked.1, now);
        }
        if for_rollup {
            self.rollup.count(outcome);
            self.states.set(looked, outcome, shown);
            (self.rollup.next, self.rollup.epoch) = (Some(sequence + 1), record.epoch);
        }
    }

    /// Gives an outcome a row, or counts it in another one. Whether it has a row.
    fn show(&mut self, record: &Record<'_>, payload: &[u8], seen: Seen, now: Now) -> bool {
        let outcome = &record.outcome;
        let common = outcome.common();
        let kind = self.hash.hash_one((&*common.rule, outcome.host(), outcome.service(), common.state));
        let (newest, second) = (self.kinds.get(kind), common.time.div_euclid(1_000_000));
        let worth = match newest {
            _ if seen.is_change => Worth::Change,
            Some(newest) if newest.second == second => Worth::Sample,
            _ => Worth::First,
        };
        let batch = &mut self.batch;
        if self.budget.spend(worth, now.mono) {
            let n = batch.key(common.time);
            let change =
                (seen.previous.filter(|_| seen.is_change), seen.is_change && seen.previous.is_none());
            batch.push(Row::of(record, payload, n, change));
            self.kinds.set(kind, Newest { second, n });
            return true;
        }
        batch.thinned += 1;
        match newest {
            None => batch.unstored += 1,
            Some(Newest { n, .. }) => batch.count(n, 1),
        }
        false
    }

    /// Takes messages that made no outcome. They have rows, and count nowhere else. Whether there is something to commit.
    pub fn tell(&mut self, untold: Vec<Untold>, now: Now) -> bool {
        let any = !untold.is_empty();
        for one in untold {
            let count = one.count;
            match self.untold.place(one, now.wall.micros()) {
                Place::In(n) => self.batch.count(n, count),
                Place::New(new) => {
                    let n = self.batch.key(new.time);
                    self.batch.push(Row::of_untold(&new, n));
                    self.batch.untold += 1;
                    self.untold.keep(&new, n);
                }
            }
        }
        any
    }

    /// Writes what was taken. Begins another file if this one has its size or its day is over.
    ///
    /// # Errors
    ///
    /// If it cannot be written. The writer is to be opened again then.
    pub fn commit(&mut self, now: Now, counters: &Counters) -> Result<(), HistoryError> {
        let batch = &self.batch;
        let before = self.part.tally;
        let tally = Tally {
            next: batch.next,
            epoch: batch.epoch,
            read: before.read + batch.read,
            unstored: before.unstored + batch.unstored,
            missed: before.missed + batch.missed,
            late: batch.late,
            last: batch.last,
            until: now.wall.micros(),
        };
        // First the rows: states that were ahead of them would hide changes when what is between is read again.
        self.part.write(&batch.rows, &batch.more, tally)?;
        self.rollup.write(&self.states, self.rollup.next, self.rollup.epoch)?;
        self.states.written();
        for (counter, count) in [
            (&counters.read, batch.read),
            (&counters.rows, batch.rows.len() as u64 - batch.untold),
            (&counters.untold, batch.untold),
            (&counters.thinned, batch.thinned),
            (&counters.missed, batch.missed),
        ] {
            counter.fetch_add(count, Ordering::Relaxed);
        }
        self.batch = self.fresh();
        if self.rollup.is_full()? {
            self.rollup.make_room(self.oldest_minute(now))?;
        }
        let size = parts::bytes(&self.folder, &self.part.name.file());
        if size >= self.settings.part_size() || self.part.name.date != parts::date(now.wall.micros()) {
            self.begin(now)?;
        }
        Ok(())
    }

    /// Begins another file of rows.
    fn begin(&mut self, now: Now) -> Result<(), HistoryError> {
        let name = Name::new(self.part.name.number + 1, now.wall.micros());
        let Tally { next, epoch, last, .. } = self.part.tally;
        let mut part = Part::open(&self.folder, name)?;
        part.tally = Tally { next, epoch, last, ..Tally::default() };
        let before = std::mem::replace(&mut self.part, part);
        before.close();
        self.kinds.clear();
        self.untold.clear();
        self.batch = self.fresh();
        self.make_room(now).map_err(HistoryError::io(self.folder.path()))
    }

    /// Removes files that are too old or too much, so that the newest one may have its size.
    fn make_room(&mut self, now: Now) -> io::Result<()> {
        let budget = self.settings.rows_size().saturating_sub(self.settings.part_size());
        let mut old = parts::all(&self.folder)?;
        old.retain(|name| *name != self.part.name);
        // What is no database any more goes first.
        let aside = parts::unreadable(&self.folder)?;
        let mut files: Vec<(String, bool)> = aside.into_iter().map(|file| (file, false)).collect();
        files.extend(old.iter().map(|name| (name.file(), self.is_old(name, now))));
        let sizes: Vec<u64> = files.iter().map(|(file, _)| parts::bytes(&self.folder, file)).collect();
        self.closed = sizes.iter().sum();
        for ((file, is_old), bytes) in files.iter().zip(sizes) {
            if !is_old && self.closed <= budget {
                continue;
            }
            parts::remove(&self.folder, file)?;
            self.closed -= bytes;
        }
        Ok(())
    }

    /// Whether all of a file is too old. One whose end cannot be read is not, as its size counts.
    fn is_old(&self, name: &Name, now: Now) -> bool {
        let age = i64::try_from(self.settings.age.as_micros()).unwrap_or(i64::MAX);
        let Ok((connection, _)) = schema::readable(&self.folder, &name.file()) else { return false };
        let until = part::tally(&connection).ok().map(|tally| tally.until).filter(|until| *until > 0);
        until.is_some_and(|until| until.saturating_add(age) < now.wall.micros())
    }

    /// What is due once a second: empties the write-ahead logs and looks whether the files are still there and databases. Gives the
    /// bytes of all files.
    ///
    /// # Errors
    ///
    /// If files were removed or damaged, or cannot be written.
    pub fn tend(&mut self, counters: &Counters) -> Result<(), HistoryError> {
        for (is_there, path) in [
            (self.part.is_in_place(&self.folder), self.part.path()),
            (self.rollup.is_in_place(&self.folder), self.rollup.path()),
        ] {
            if !is_there {
                let gone = io::Error::new(io::ErrorKind::NotFound, "somebody has removed it");
                return Err(HistoryError::io(path)(gone));
            }
        }
        self.part.checkpoint()?;
        self.rollup.checkpoint()?;
        schema::look(&self.folder, &self.part.name.file())?;
        schema::look(&self.folder, rollup::FILE)?;
        let newest = parts::bytes(&self.folder, &self.part.name.file());
        let bytes = self.closed + newest + parts::bytes(&self.folder, rollup::FILE);
        counters.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// What is due once an hour, and first of all: looks whether the files that are written are whole.
    ///
    /// # Errors
    ///
    /// If one is damaged.
    pub fn prove(&self) -> Result<(), HistoryError> {
        schema::prove(&self.folder, &self.part.name.file())?;
        schema::prove(&self.folder, rollup::FILE)
    }

    /// Ends after an error. A file that is damaged is set aside, so that a new one can take its place.
    pub fn fail(self, error: &HistoryError) {
        let folder = self.folder.clone();
        self.close();
        let file = error.file.file_name().and_then(|name| name.to_str()).filter(|_| error.is_corrupt());
        if let Some(file) = file {
            match parts::set_aside(&folder, file) {
                Ok(aside) => say_aside(error, &aside),
                Err(failed) => tracing::error!("{error}, and cannot be set aside: {failed}"),
            }
        }
    }

    /// What is due once an hour: removes what is too old.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn retain(&mut self, now: Now) -> Result<(), HistoryError> {
        if self.part.name.date != parts::date(now.wall.micros()) && self.part.tally.until > 0 {
            self.begin(now)?;
        }
        self.make_room(now).map_err(HistoryError::io(self.folder.path()))?;
        self.rollup.make_room(self.oldest_minute(now))
    }

    fn oldest_minute(&self, now: Now) -> i64 {
        let age = i64::try_from(self.settings.rollup_age.as_micros()).unwrap_or(i64::MAX);
        now.wall.micros().saturating_sub(age)
    }

    /// How many hosts and services have a state, and how many outcomes found no place for theirs.
    pub fn states(&self) -> (usize, u64) {
        (self.states.count(), self.states.refused)
    }

    /// Closes the files, so that they need no others beside them to be read.
    pub fn close(self) {
        self.part.close();
        self.rollup.close();
    }
}

fn say_aside(error: &HistoryError, aside: &str) {
    tracing::error!("{error}; the file is set aside as {aside} and a new one is begun; check the disk");
}

/// Opens a file; one that is no database any more is set aside, and a new one made.
fn sound<T>(
    folder: &Folder,
    file: &str,
    open: impl Fn() -> Result<T, HistoryError>,
) -> Result<T, HistoryError> {
    match open() {
        Err(error) if error.is_corrupt() => {
            let aside = parts::set_aside(folder, file).map_err(HistoryError::io(folder.path()))?;
            say_aside(&error, &aside);
            open()
        }
        other => other,
    }
}

/// The newest file of rows, or a new one, with the place from which to go on.
fn newest(folder: &Folder, now: Now) -> Result<Part, HistoryError> {
    let names = parts::all(folder).map_err(HistoryError::io(folder.path()))?;
    let number = names.last().map_or(1, |name| name.number);
    let mut known = Tally::default();
    for name in names.iter().rev() {
        match schema::readable(folder, &name.file()).and_then(|(connection, path)| {
            if schema::is_made(&connection, &path)? {
                part::tally(&connection).map_err(HistoryError::of(&path))
            } else {
                Ok(Tally::default())
            }
        }) {
            Ok(tally) if tally.next.is_some() => {
                known = tally;
                break;
            }
            // What cannot be read may have had the place: then some is counted twice or missed.
            _ => {}
        }
    }
    let carried = Tally { next: known.next, epoch: known.epoch, last: known.last, ..Tally::default() };
    let goes_on = |name: &Name| {
        let is_of_now = schema::readable(folder, &name.file())
            .and_then(|(connection, path)| schema::form(&connection, &path))
            .is_ok_and(|form| form == 0 || form >= schema::TOKENS);
        name.date == parts::date(now.wall.micros()) && is_of_now
    };
    let is_unreadable = |name: &Name| {
        name.date == parts::date(now.wall.micros()) && schema::readable(folder, &name.file()).is_err()
    };
    // One of an earlier release is not written any more; one that cannot be read is set aside below.
    let name = names.last().cloned().filter(|name| goes_on(name) || is_unreadable(name));
    let name = name.unwrap_or_else(|| Name::new(number + u64::from(!names.is_empty()), now.wall.micros()));
    let mut part = match Part::open(folder, name) {
        Err(error) if error.is_corrupt() => {
            let file = names.last().map(Name::file).unwrap_or_default();
            let aside = parts::set_aside(folder, &file).map_err(HistoryError::io(folder.path()))?;
            say_aside(&error, &aside);
            Part::open(folder, Name::new(number + 1, now.wall.micros()))?
        }
        other => other?,
    };
    if part.tally.next.is_none() {
        let last = part.tally.last.max(carried.last);
        part.tally = Tally { next: carried.next, epoch: carried.epoch, last, ..part.tally };
    }
    Ok(part)
}

/// How long records are gathered until they are written.
pub const DELAY: Duration = Duration::from_millis(200);
