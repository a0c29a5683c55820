//! `rollup.db`: the current states, and how many outcomes there were in each minute.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use rusqlite::Connection;

use super::error::HistoryError;
use super::part::{code, state};
use super::schema::{self, Written, meta, set_meta};
use super::states::States;
use crate::files::Folder;
use crate::files::disk::Identity;
use crate::outcome::result::{Outcome, State};

/// The name of the file.
pub(super) const FILE: &str = "rollup.db";
/// How many hosts a minute has by name.
const HOSTS: usize = 1000;
/// How the others are called.
pub const OTHER: &str = "(other)";
/// How many bytes of a name a minute has.
const NAME: usize = 255;
/// How many rows of minutes are removed at once.
const AT_ONCE: i64 = 20_000;
const MINUTE: i64 = 60_000_000;

/// The file of states and counts.
#[derive(Debug)]
pub(super) struct Rollup {
    written: Written,
    identity: Option<Identity>,
    /// The number of the record that it wants next, and the epoch of the journal then.
    pub(super) next: Option<u64>,
    pub(super) epoch: u64,
    counts: Counts,
    most: u64,
}

/// Counts that are to be written.
#[derive(Debug, Default)]
struct Counts {
    hash: RandomState,
    all: HashMap<u64, Count>,
    /// The hosts of the newest minute.
    minute: i64,
    hosts: HashSet<u64>,
}

#[derive(Debug)]
struct Count {
    minute: i64,
    rule: String,
    host: String,
    state: State,
    count: u64,
}

fn name(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME)]
}

impl Counts {
    fn add(&mut self, outcome: &Outcome<'_>) {
        let common = outcome.common();
        let minute = common.time.div_euclid(MINUTE);
        if minute > self.minute {
            self.minute = minute;
            self.hosts.clear();
        }
        let (rule, mut host) = (name(&common.rule), name(outcome.host()));
        let hashed = self.hash.hash_one(host);
        if !self.hosts.contains(&hashed) {
            if self.hosts.len() < HOSTS {
                self.hosts.insert(hashed);
            } else {
                host = OTHER;
            }
        }
        let key = self.hash.hash_one((minute, rule, host, common.state));
        let count = self.all.entry(key).or_insert_with(|| Count {
            minute,
            rule: rule.to_owned(),
            host: host.to_owned(),
            state: common.state,
            count: 0,
        });
        count.count += 1;
    }
}

impl Rollup {
    /// Opens the file, or makes it. It may have so many bytes.
    pub(super) fn open(folder: &Folder, most: u64) -> Result<Self, HistoryError> {
        let written = schema::writable(folder, FILE, schema::ROLLUP)?;
        let of = HistoryError::of(&written.path);
        let number = |name: &str| meta(&written.connection, name).map_err(&of);
        let (next, epoch) = (number("next")?.map(|next| next as u64), number("epoch")?.unwrap_or(0) as u64);
        let identity = folder.identity(FILE).ok();
        Ok(Rollup { written, identity, next, epoch, counts: Counts::default(), most })
    }

    pub(super) fn path(&self) -> &Path {
        &self.written.path
    }

    /// Whether its name still leads to it.
    pub(super) fn is_in_place(&self, folder: &Folder) -> bool {
        let now = folder.identity(FILE).ok();
        now.is_some() && now == self.identity
    }

    /// The states that it has.
    pub(super) fn states(&self) -> Result<States, HistoryError> {
        let read = || {
            let mut select = self.written.connection.prepare("SELECT host, service, state FROM state")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, state(row.get(2)?))))?;
            rows.collect::<rusqlite::Result<Vec<(String, Option<String>, State)>>>()
        };
        let known = read().map_err(HistoryError::of(&self.written.path))?;
        Ok(States::new(known.into_iter(), self.most / 2))
    }

    /// Counts an outcome.
    pub(super) fn count(&mut self, outcome: &Outcome<'_>) {
        self.counts.add(outcome);
    }

    /// Writes what was counted and the states that have changed, all or nothing.
    pub(super) fn write(
        &mut self,
        states: &States,
        next: Option<u64>,
        epoch: u64,
    ) -> Result<(), HistoryError> {
        let of = HistoryError::of(&self.written.path);
        let write = || {
            let transaction = self.written.connection.unchecked_transaction()?;
            write_counts(&transaction, &self.counts)?;
            write_states(&transaction, states)?;
            if let Some(next) = next {
                set_meta(&transaction, "next", next as i64)?;
                set_meta(&transaction, "epoch", epoch as i64)?;
            }
            transaction.commit()
        };
        write().map_err(of)?;
        self.counts.all.clear();
        (self.next, self.epoch) = (next, epoch);
        Ok(())
    }

    /// Whether it has more than it should.
    pub(super) fn is_full(&self) -> Result<bool, HistoryError> {
        let used = schema::used(&self.written.connection).map_err(HistoryError::of(&self.written.path))?;
        Ok(used > self.most - self.most / 8)
    }

    /// Removes minutes that are older than so many microseconds since 1970, and the oldest ones while the file is too large.
    pub(super) fn make_room(&mut self, oldest: i64) -> Result<(), HistoryError> {
        let make_room = || {
            let oldest = oldest.div_euclid(MINUTE);
            self.written.connection.execute("DELETE FROM minute WHERE t < ?", [oldest])?;
            self.written
                .connection
                .execute("DELETE FROM state WHERE last < ?", [oldest.saturating_mul(MINUTE)])?;
            while schema::used(&self.written.connection)? > self.most - self.most / 8 {
                let gone = self.written.connection.execute(
                    "DELETE FROM minute WHERE (t, rule, host, state) IN (SELECT t, rule, host, state FROM minute ORDER BY t LIMIT ?)",
                    [AT_ONCE],
                )?;
                if gone == 0 {
                    break;
                }
            }
            Ok(())
        };
        make_room().map_err(HistoryError::of(&self.written.path))
    }

    pub(super) fn checkpoint(&self) -> Result<(), HistoryError> {
        schema::checkpoint(&self.written.connection).map_err(HistoryError::of(&self.written.path))
    }

    pub(super) fn close(self) {
        schema::close(self.written);
    }
}

fn write_counts(connection: &Connection, counts: &Counts) -> rusqlite::Result<()> {
    let mut add = connection.prepare(
        "INSERT INTO minute VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
    )?;
    for count in counts.all.values() {
        add.execute((count.minute, &count.rule, &count.host, code(count.state), count.count as i64))?;
    }
    Ok(())
}

fn write_states(connection: &Connection, states: &States) -> rusqlite::Result<()> {
    let mut change = connection.prepare(
        "INSERT INTO state VALUES(?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET state = excluded.state, previous = excluded.previous, \
         since = excluded.since, last = excluded.last, rule = excluded.rule, output = excluded.output",
    )?;
    let mut again = connection.prepare("UPDATE state SET last = ?, rule = ?, output = ? WHERE key = ?")?;
    for one in states.changed() {
        match one.change {
            Some((previous, since)) => change.execute((
                one.key(),
                &one.host,
                one.service.as_deref(),
                code(one.state),
                previous.map(code),
                since,
                one.last,
                &one.rule,
                &one.output,
            ))?,
            None => again.execute((one.last, &one.rule, &one.output, one.key()))?,
        };
    }
    Ok(())
}
