//! What there was in a time, over all files: changes of state one by one, counts by name, and what has no row.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::Connection;

use super::error::HistoryError;
use super::part::{state, tally};
use super::rollup::FILE;
use super::search::IsOver;
use super::{parts, schema};
use crate::files::Folder;
use crate::outcome::result::State;

/// After so many steps of SQLite it is asked whether the time is over.
const STEPS: i32 = 10_000;
/// How many words are remembered with their numbers.
const WORDS: usize = 50_000;
const MINUTE: i64 = 60_000_000;

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// When the message was received, in microseconds since 1970 UTC.
    pub time: i64,
    /// The host, or the component.
    pub host: &'a str,
    /// The service, or the resource.
    pub service: Option<&'a str>,
    /// The state before.
    pub previous: State,
    /// The state.
    pub state: State,
}

/// What the files of rows have of a time, and what they lack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Rows of the time.
    pub rows: u64,
    /// For how many outcomes these stand.
    pub stand_for: u64,
    /// Outcomes without a row, of the files that have rows of the time: their counts are of files, which are longer than it.
    pub unstored: u64,
    /// Outcomes that the journal had removed before they were read, of the same files.
    pub missed: u64,
    /// The time of the oldest row of all.
    pub oldest: Option<i64>,
    /// Files that could not be read, and why.
    pub unreadable: Vec<String>,
    /// Whether the search was ended before its end.
    pub is_cut: bool,
}

/// Reads the rows of a time, from one time on and before another, in microseconds since 1970 UTC, and gives each change of state.
///
/// # Errors
///
/// If the folder cannot be read. Files that cannot be read are named in the answer.
pub fn account(
    folder: &Folder,
    (from, to): (i64, i64),
    is_over: Option<&IsOver>,
    mut change: impl FnMut(Change<'_>),
) -> Result<Account, HistoryError> {
    let mut account = Account::default();
    for name in parts::all(folder).map_err(HistoryError::io(folder.path()))? {
        match read(folder, &name.file(), (from, to), is_over, &mut account, &mut change) {
            Ok(()) => {}
            Err(error) if error.is_cut() => {
                account.is_cut = true;
                break;
            }
            Err(error) if error.is_absent() => {}
            Err(error) => account.unreadable.push(error.to_string()),
        }
    }
    Ok(account)
}

fn read(
    folder: &Folder,
    file: &str,
    range: (i64, i64),
    is_over: Option<&IsOver>,
    account: &mut Account,
    change: &mut dyn FnMut(Change<'_>),
) -> Result<(), HistoryError> {
    let (mut connection, path) = schema::readable(folder, file)?;
    if let Some(is_over) = is_over.cloned() {
        let set = connection.progress_handler(STEPS, Some(move || is_over()));
        set.map_err(HistoryError::of(&path))?;
    }
    if !schema::is_made(&connection, &path)? {
        return Ok(());
    }
    let mut read = || {
        // One view of the file, whatever the daemon writes meanwhile.
        let view = connection.unchecked_transaction()?;
        read_part(&view, range, account, change)
    };
    read().map_err(HistoryError::of(&path))
}

fn read_part(
    view: &Connection,
    (from, to): (i64, i64),
    account: &mut Account,
    change: &mut dyn FnMut(Change<'_>),
) -> rusqlite::Result<()> {
    let tally = tally(view)?;
    let oldest: Option<i64> = view
        .query_row("SELECT n - late FROM outcome WHERE mark < 3 ORDER BY n LIMIT 1", [], |row| row.get(0))
        .ok();
    account.oldest = [account.oldest, oldest].into_iter().flatten().min();
    // Keys are never less than times, and never ahead of them by more than `late`.
    let keys = (from, to.saturating_sub(1).saturating_add(tally.late));
    let range = (keys.0, keys.1, from, to);
    let among = "FROM outcome WHERE n BETWEEN ?1 AND ?2 AND n - late >= ?3 AND n - late < ?4 AND mark < 3";
    let (rows, stand_for): (i64, i64) =
        view.query_row(&format!("SELECT count(*), coalesce(sum(count), 0) {among}"), range, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if rows > 0 {
        account.unstored += tally.unstored;
        account.missed += tally.missed;
    }
    account.rows += u64::try_from(rows).unwrap_or(0);
    account.stand_for += u64::try_from(stand_for).unwrap_or(0);
    let mut select = view.prepare(&format!(
        "SELECT n - late, host, service, previous, state {among} AND previous IS NOT NULL ORDER BY n"
    ))?;
    let mut changes = select.query(range)?;
    let mut words: HashMap<i64, String> = HashMap::new();
    while let Some(row) = changes.next()? {
        let (host, service): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
        if words.len() >= WORDS {
            words.clear();
        }
        for n in [Some(host), service].into_iter().flatten() {
            if let Entry::Vacant(place) = words.entry(n) {
                place.insert(view.query_row("SELECT text FROM word WHERE n = ?", [n], |row| row.get(0))?);
            }
        }
        let word = |n: i64| words.get(&n).map_or("", String::as_str);
        change(Change {
            time: row.get(0)?,
            host: word(host),
            service: service.map(word),
            previous: state(row.get(3)?),
            state: state(row.get(4)?),
        });
    }
    Ok(())
}

/// What is counted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Hosts and components.
    Host,
    /// Rules.
    Rule,
}

/// The names with most outcomes in the minutes of a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Most {
    /// The names and how many outcomes each has, the largest first.
    pub first: Vec<(String, u64)>,
    /// How many names there are.
    pub names: u64,
}

/// The names with most outcomes from one time on and before another, in microseconds, by whole minutes.
///
/// # Errors
///
/// If the file of counts cannot be read, or the time is over.
pub fn most(
    folder: &Folder,
    named: Named,
    (from, to): (i64, i64),
    limit: usize,
    is_over: Option<&IsOver>,
) -> Result<Most, HistoryError> {
    let (mut connection, path) = match schema::readable(folder, FILE) {
        Err(error) if error.is_absent() => return Ok(Most::default()),
        opened => opened?,
    };
    if let Some(is_over) = is_over.cloned() {
        let set = connection.progress_handler(STEPS, Some(move || is_over()));
        set.map_err(HistoryError::of(&path))?;
    }
    if !schema::is_made(&connection, &path)? {
        return Ok(Most::default());
    }
    let column = match named {
        Named::Host => "host",
        Named::Rule => "rule",
    };
    let (first, end) = (from.div_euclid(MINUTE), to.saturating_add(MINUTE - 1).div_euclid(MINUTE));
    let read = || {
        let view = connection.unchecked_transaction()?;
        let names: i64 = view.query_row(
            &format!("SELECT count(DISTINCT {column}) FROM minute WHERE t >= ? AND t < ?"),
            (first, end),
            |row| row.get(0),
        )?;
        let mut select = view.prepare(&format!(
            "SELECT {column}, sum(count) FROM minute WHERE t >= ? AND t < ? GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?"
        ))?;
        let rows = select.query_map((first, end, limit as i64), |row| {
            Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
        })?;
        Ok(Most { first: rows.collect::<rusqlite::Result<_>>()?, names: u64::try_from(names).unwrap_or(0) })
    };
    read().map_err(HistoryError::of(&path))
}
