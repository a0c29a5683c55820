//! The state of rules on disk.
//!
//! An [append log](AppendLog) in the journal directory has [entries](crate::correlate::record): each decision's outcomes and
//! what it changed, written before the outcomes are journaled. So a crash at any moment leaves either nothing of a decision,
//! or all of it: outcomes that are in the log and not in the journal are journaled at the next start.
//!
//! The log grows, so now and then another one begins, with all state, and takes its place: `correlation.1`,
//! `correlation.2` and so on. While both are there the newer one counts where they differ.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use crate::correlate::record::{Change, Entry};
use crate::correlate::{Correlator, Secret, Told};
use crate::files::entries::Form;
use crate::files::{AppendLog, Folder};
use crate::intake::state_found::{Found, Pending};
use crate::journal::{Batch, Journal, SyncPolicy};
use crate::outcome::codec;

/// What the names of its files start with.
const PREFIX: &str = "correlation.";
/// The longest entry in bytes; a longer length is damage.
const LONGEST: u32 = 1 << 30;
const FORM: Form = Form::Frames { longest: LONGEST };
/// How many bytes of images an entry has where all state is written.
const PART: usize = 1 << 20;
/// How much a log grows before another one takes its place, in bytes; if it began with more, by as much as that.
const GROWTH: u64 = 16 << 20;
/// How long informs are known to the next process, in microseconds, and how many of them: longer than devices repeat one.
const INFORMS_KNOWN: i64 = 300_000_000;
const MOST_INFORMS: usize = 1 << 17;
/// How many records are read from the journal at a time.
const AT_ONCE: usize = 1000;
/// After about how many outcomes that were journaled after the last entry one looks no further.
const MOST_NEWER: usize = 100_000;
/// How many bytes of entries with outcomes are kept until a log that has them is synced.
const MOST_UNSYNCED: usize = 8 << 20;

/// How far the clocks may move apart before that is written, in microseconds: more than what two of them drift between two
/// messages.
const CLOCKS_APART: i64 = 1_000_000;

/// The log that is written.
#[derive(Debug)]
pub struct StateLog {
    journal: Arc<Journal>,
    policy: SyncPolicy,
    folder: Folder,
    /// The number of the newest file; 0 if there is none.
    number: u64,
    /// None if nothing can be written, or nothing is to be.
    open: Option<AppendLog>,
    /// The length of the file from which on another one should take its place.
    long: u64,
    /// Whether there may be files before the newest.
    has_older: bool,
    /// The informs that were taken lately, with the engine time, the oldest first.
    informs: VecDeque<(i64, u64)>,
    unsynced: Unsynced,
    /// By how much the wall clock is ahead of the engine time, as it is written.
    ahead: Option<i64>,
    /// Whether outcomes of decisions wait for the journal.
    waits: bool,
    /// The number below which everything was safe when none waited last.
    safe: u64,
    /// Whether there is no state, and what is there is still to be removed.
    is_left: bool,
}

/// Entries with outcomes that no log has, or only one that is not synced. The next log has the state after them: without them a
/// power cut could leave that state, and not what was said.
#[derive(Debug, Default)]
struct Unsynced {
    entries: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How many there were in all.
    count: u64,
    /// The count when there were too many to be kept, and those were forgotten: no further log may begin before the journal is safe.
    forgot: Option<u64>,
}

impl Unsynced {
    fn add(&mut self, entry: Vec<u8>) {
        self.count += 1;
        self.bytes += entry.len();
        self.entries.push_back(entry);
        if self.bytes > MOST_UNSYNCED {
            self.forgot = Some(self.count);
            (self.entries, self.bytes) = (VecDeque::new(), 0);
        }
    }

    /// The first so many of all are safe.
    fn synced(&mut self, count: u64) {
        self.forgot.take_if(|forgot| *forgot <= count);
        while self.count - (self.entries.len() as u64) < count {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.len();
        }
    }
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub struct Left {
    /// The state, as [`Correlator::decode`] takes it; none if there is none.
    pub state: Option<Vec<u8>>,
    /// Outcomes that are not in the journal. They stay in the files until a [sync](StateLog::to_sync) when none waits.
    pub outcomes: Batch,
    /// What the journal has that no log has, as the last process could not write one any more.
    pub told: Vec<Told>,
    /// How many bytes of the files are no entries.
    pub damaged: u64,
    /// The informs that it has taken lately.
    pub informs: Vec<u64>,
    /// By how much the wall clock was ahead of the engine time; 0 if that is not known.
    pub ahead: i64,
}

impl StateLog {
    /// The log in the directory of a journal. Nothing is written before [`StateLog::begin`].
    ///
    /// # Errors
    ///
    /// If the directory cannot be used.
    pub fn new(journal: &Arc<Journal>, policy: SyncPolicy) -> io::Result<Self> {
        Ok(Self::within(Folder::existing(journal.directory())?, journal, policy))
    }

    /// The log in a folder.
    pub(super) fn within(folder: Folder, journal: &Arc<Journal>, policy: SyncPolicy) -> Self {
        StateLog {
            journal: journal.clone(),
            policy,
            folder,
            number: 0,
            open: None,
            long: 0,
            has_older: false,
            informs: VecDeque::new(),
            unsynced: Unsynced::default(),
            ahead: None,
            waits: false,
            safe: 0,
            is_left: false,
        }
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The numbers of the files, the oldest first. Only names that [`name`] gives are those of the log.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        self.folder.numbered(PREFIX)
    }

    /// Reads what an earlier process left. A file that cannot be read is renamed, and the others count.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn recover(&mut self) -> io::Result<Left> {
        let mut found = Found::new();
        for number in self.numbers()? {
            self.number = number;
            found.begin();
            if let Err(error) = self.read(number, &mut found) {
                self.folder.set_aside_unread(
                    &name(number),
                    &error,
                    "the state of rules in",
                    "the state goes on without what only it had",
                );
            }
            found.end();
        }
        let Found { secret, engine, safe, last, images, mut pending, damaged, informs, ahead, .. } = found;
        self.ahead = ahead;
        self.informs = informs;
        self.forget_informs(engine);
        pending.retain(|decision| decision.lower >= safe);
        let state = secret.map(|secret| Correlator::with_head(secret, engine, images));
        let (mut outcomes, mut told) = (Batch::default(), Vec::new());
        match self.rest((safe, last), secret, &pending) {
            Ok((rest, newer)) => {
                told = newer;
                for Pending { engine, outcomes: missing, .. } in &rest {
                    let missing: Vec<&[u8]> = missing.iter().map(|outcome| &**outcome).collect();
                    for outcome in &missing {
                        let _ = outcomes.push_encoded(outcome);
                    }
                    self.take_over(*engine, missing);
                }
            }
            Err(error) => tracing::error!(
                %error, outcomes = pending.iter().map(|decision| decision.outcomes.len()).sum::<usize>(),
                "the last process ended before it could journal outcomes, and the journal cannot be read: they are lost; check the disk"
            ),
        }
        let informs = self.informs.iter().map(|(_, inform)| *inform).collect();
        Ok(Left { state, outcomes, told, damaged, informs, ahead: ahead.unwrap_or(0) })
    }

    /// The next log has outcomes that are to be journaled now: what the last process wrote may not be safe from a power cut.
    fn take_over(&mut self, engine: i64, outcomes: Vec<&[u8]>) {
        let lower = self.journal.next();
        let change = Change { engine, lower, safe: 0, informs: Vec::new(), outcomes, images: &[] };
        self.unsynced.add(Entry::Change(change).encode());
    }

    /// Adds what a file has.
    fn read(&self, number: u64, found: &mut Found) -> io::Result<()> {
        let mut entries = AppendLog::entries_of(&self.folder, &name(number), FORM)?;
        while let Some(bytes) = entries.next()? {
            match Entry::decode(bytes) {
                Some(entry) => found.add(entry),
                None => found.damaged += bytes.len() as u64,
            }
        }
        found.damaged += entries.damaged();
        Ok(())
    }

    /// The outcomes that are not in the journal from a sequence number on, and what only the journal has from another one on.
    fn rest(
        &self,
        (safe, last): (u64, u64),
        secret: Option<Secret>,
        pending: &[Pending],
    ) -> io::Result<(Vec<Pending>, Vec<Told>)> {
        // What sinks had taken may have been deleted already. What one of them had not is lost where the journal has it no more.
        let oldest = self.journal.oldest().min(self.journal.taken_before().unwrap_or(u64::MAX));
        let hasher = RandomState::new();
        let mut known: HashMap<u64, usize> = HashMap::new();
        let mut newer: Vec<(u64, Told)> = Vec::new();
        let wants_all = pending.iter().any(|decision| decision.lower >= oldest);
        if let Some(secret) = secret {
            let mut reader = self.journal.reader(if wants_all { safe } else { last }.max(oldest));
            // The log has them as rules make them, the journal with what mutes said of them.
            while reader.read_encoded(AT_ONCE, |record, bytes| {
                let (outcome, hash) = (&record.outcome, hasher.hash_one(&*codec::unmuted(bytes)));
                *known.entry(hash).or_default() += 1;
                // The last words of a mute were said before.
                let is_repeated = codec::mute_of(bytes).is_some_and(|mute| mute.last);
                if record.sequence >= last && !is_repeated && newer.len() < MOST_NEWER {
                    let common = outcome.common();
                    let service = secret.service(outcome);
                    newer.push((
                        hash,
                        Told { service, state: common.state, rule: common.rule.as_ref().into() },
                    ));
                }
                true
            })? > 0
                && (wants_all || newer.len() < MOST_NEWER)
            {}
        }
        let mut is_missing = |outcome: &[u8]| match known.get_mut(&hasher.hash_one(outcome)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        let mut rest = Vec::new();
        for Pending { engine, lower, outcomes } in pending.iter().filter(|decision| decision.lower >= oldest)
        {
            let missing: Vec<_> = outcomes.iter().filter(|outcome| is_missing(outcome)).cloned().collect();
            if !missing.is_empty() {
                rest.push(Pending { engine: *engine, lower: *lower, outcomes: missing });
            }
        }
        // Of those that are the same, the first ones are in the log.
        let only_here = |(hash, _): &(u64, Told)| match known.get_mut(hash) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        };
        let mut told: Vec<Told> = newer.into_iter().rev().filter(only_here).map(|(_, told)| told).collect();
        told.reverse();
        Ok((rest, told))
    }

    /// Whether changes are written.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Begins another log with all state. Those before stay until it is [synced](StateLog::synced).
    ///
    /// # Errors
    ///
    /// If it cannot be written. Nothing of it is left then, and changes are written where they were before.
    pub fn begin(&mut self, correlator: &Correlator, engine: i64) -> io::Result<()> {
        if self.unsynced.forgot.is_some() {
            if !is_safe(&self.journal) {
                return Err(io::Error::other("the journal, which is to be safe before, cannot be synced"));
            }
            self.unsynced.forgot = None;
        }
        let number = self.numbers()?.last().map_or(1, |last| last.saturating_add(1));
        match self.write_all(number, correlator, engine) {
            Ok(log) => {
                self.long = log.length() + log.length().max(GROWTH);
                (self.number, self.open, self.has_older) = (number, Some(log), true);
                self.is_left = false;
                Ok(())
            }
            Err(error) => {
                // A part of it would take the room that the journal needs.
                match self.folder.remove(&name(number)) {
                    // It is not tried again with every change.
                    Ok(()) => self.long = self.open.as_ref().map_or(0, |log| log.length() + GROWTH),
                    Err(why) if why.kind() == ErrorKind::NotFound => {}
                    // It would count more than what is added to an older one.
                    Err(_) => self.open = None,
                }
                Err(error)
            }
        }
    }

    fn write_all(&self, number: u64, correlator: &Correlator, engine: i64) -> io::Result<AppendLog> {
        let (mut log, _) = AppendLog::open(&self.folder, &name(number), FORM, u64::MAX)?;
        let (lower, safe) = self.marks();
        log.append([&*Entry::Head(correlator.secret()).encode()])?;
        if let Some(ahead) = self.ahead {
            log.append([&*Entry::Clocks(ahead).encode()])?;
        }
        for entry in &self.unsynced.entries {
            // The state is that after all of them.
            if let Some(Entry::Change(change)) = Entry::decode(entry) {
                log.append([&*Entry::Change(Change { images: &[], ..change }).encode()])?;
            }
        }
        let mut images = Vec::new();
        let mut informs: Vec<u64> = self.informs.iter().map(|(_, inform)| *inform).collect();
        let mut write = |images: &mut Vec<u8>| {
            let informs = std::mem::take(&mut informs);
            let change = Change { engine, lower, safe, informs, outcomes: Vec::new(), images };
            log.append([&*Entry::Change(change).encode()])?;
            images.clear();
            io::Result::Ok(())
        };
        for (kind, key) in correlator.entries() {
            correlator.image(kind, key, &mut images);
            if images.len() > PART {
                write(&mut images)?;
            }
        }
        // Without any entry it has the time.
        write(&mut images)?;
        log.append([&*Entry::All.encode()])?;
        Ok(log)
    }

    /// Removes the logs before one that is safe.
    fn remove_older(&self, than: u64) -> io::Result<()> {
        self.numbers()?
            .into_iter()
            .filter(|number| *number < than)
            .try_for_each(|number| self.remove_one(number))
    }

    fn remove_one(&self, number: u64) -> io::Result<()> {
        match self.folder.remove(&name(number)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes all logs: there is no state. Not before the journal has the outcomes in them: [`StateLog::is_left`] says that this is to
    /// be called again.
    ///
    /// # Errors
    ///
    /// If they cannot be removed.
    pub fn remove(&mut self) -> io::Result<()> {
        (self.open, self.is_left) = (None, true);
        let numbers = self.numbers()?;
        let is_needed = self.waits || (self.policy != SyncPolicy::Never && !is_safe(&self.journal));
        if is_needed && !numbers.is_empty() {
            return Ok(());
        }
        numbers.into_iter().try_for_each(|number| self.remove_one(number))?;
        (self.unsynced, self.is_left) = (Unsynced::default(), false);
        Ok(())
    }

    /// Whether there is no state, and what is there is still to be removed.
    pub fn is_left(&self) -> bool {
        self.is_left
    }

    /// Whether outcomes of decisions before wait for the journal. They are not below the number that was the next one when they were
    /// decided about; others may be journaled meanwhile, and safe.
    pub fn set_waits(&mut self, waits: bool) {
        self.waits = waits;
    }

    /// A number that what is journaled from now on is not below, and one below which everything is safe.
    fn marks(&self) -> (u64, u64) {
        let next = self.journal.next();
        let safe = match self.policy {
            _ if self.waits => self.safe,
            // Who does not ask for syncs counts what is written as safe.
            SyncPolicy::Never => next,
            _ => self.journal.safe().min(next),
        };
        (next, safe)
    }

    /// Adds what a decision has brought about.
    ///
    /// # Errors
    ///
    /// If it cannot be written. Then nothing is until [`StateLog::begin`], as what is there would lack it.
    pub fn add(
        &mut self,
        engine: i64,
        (outcomes, informs): (Vec<&[u8]>, &[u64]),
        images: &[u8],
        now: i64,
    ) -> io::Result<()> {
        self.informs.extend(informs.iter().map(|inform| (engine, *inform)));
        self.forget_informs(engine);
        let (lower, safe) = self.marks();
        self.safe = safe;
        let has_outcomes = !outcomes.is_empty();
        let informs = informs.to_vec();
        let entry = Entry::Change(Change { engine, lower, safe, informs, outcomes, images }).encode();
        let Some(log) = &mut self.open else {
            if has_outcomes {
                self.unsynced.add(entry);
            }
            return Ok(());
        };
        let added = match log.check(now) {
            Ok(false) => log.append([&*entry]).map(drop),
            Ok(true) => Err(io::Error::new(ErrorKind::NotFound, "somebody has removed its file")),
            Err(error) => Err(error),
        };
        if added.is_err() {
            self.open = None;
        }
        if has_outcomes {
            self.unsynced.add(entry);
        }
        added
    }

    /// Tells by how much the wall clock is ahead of the engine time. It is written where the wall clock was set, so that this does not
    /// count as time that has passed between two processes.
    ///
    /// # Errors
    ///
    /// If it cannot be written. Then nothing is until [`StateLog::begin`].
    pub fn tell_clocks(&mut self, ahead: i64) -> io::Result<()> {
        if self.ahead.is_some_and(|known| (known - ahead).abs() < CLOCKS_APART) {
            return Ok(());
        }
        self.ahead = Some(ahead);
        let Some(log) = &mut self.open else { return Ok(()) };
        let added = log.append([&*Entry::Clocks(ahead).encode()]).map(drop);
        if added.is_err() {
            self.open = None;
        }
        added
    }

    /// Forgets informs that do not come again.
    fn forget_informs(&mut self, engine: i64) {
        while self.informs.front().is_some_and(|(at, _)| at.saturating_add(INFORMS_KNOWN) < engine)
            || self.informs.len() > MOST_INFORMS
        {
            self.informs.pop_front();
        }
    }

    /// Whether logs before the one that is written may be there.
    pub fn has_older(&self) -> bool {
        self.has_older
    }

    /// Whether it has grown so much that another one should take its place.
    pub fn is_long(&self) -> bool {
        self.open.as_ref().is_some_and(|log| log.length() > self.long)
    }

    /// What is to be synced; none if nothing can be. Nobody has to wait for it to add more. `waits`: whether outcomes wait for
    /// room in the journal, so that older logs are still needed.
    pub fn to_sync(&self, waits: bool) -> Option<ToSync> {
        let journal = (self.has_older && !waits).then(|| self.journal.clone());
        let count = self.unsynced.count;
        self.open.as_ref().map(|log| ToSync { number: self.number, work: log.to_sync(), journal, count })
    }

    /// What was synced, or could not be: then nothing is written until [`StateLog::begin`].
    ///
    /// # Errors
    ///
    /// If it could not be, or the logs before it cannot be removed.
    pub fn synced(&mut self, done: &ToSync, result: io::Result<Synced>) -> io::Result<()> {
        match (&result, &mut self.open) {
            (Ok(_), Some(log)) if done.number == self.number => log.was_synced(&done.work),
            (Err(_), _) => self.open = None,
            _ => {}
        }
        if result.is_ok() && done.number == self.number {
            self.unsynced.synced(done.count);
        }
        if result? == Synced::WithJournal {
            self.remove_older(done.number)?;
            self.has_older &= done.number != self.number;
        }
        Ok(())
    }
}

/// What is to be synced.
#[derive(Debug)]
pub struct ToSync {
    number: u64,
    work: crate::files::append_log::ToSync,
    /// The journal, if there are older logs.
    journal: Option<Arc<Journal>>,
    /// See [`Unsynced::count`].
    count: u64,
}

/// What was synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    /// The log.
    Log,
    /// The log, and before that all that older ones have for the journal: they are not needed any more.
    WithJournal,
}

impl ToSync {
    /// Makes it safe from a power cut.
    ///
    /// # Errors
    ///
    /// If the system cannot promise it.
    pub fn sync(&self) -> io::Result<Synced> {
        // What cannot be synced there stays in the older logs, and is synced later.
        let journal = self.journal.as_ref().is_some_and(|journal| is_safe(journal));
        self.work.sync()?;
        Ok(if journal { Synced::WithJournal } else { Synced::Log })
    }
}

/// Makes all of the journal safe from a power cut; whether it is. What a failed sync was for is written again.
fn is_safe(journal: &Journal) -> bool {
    let next = journal.next();
    journal.mend().is_ok() && journal.sync(u64::MAX).is_ok() && journal.safe() >= next
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

#[cfg(test)]
#[path = "state_log_tests.rs"]
mod tests;
