//! One file of rows.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, Statement, params};

use super::error::HistoryError;
use super::parts::Name;
use super::row::{Mark, Row};
use super::schema::{self, Written};
use super::words::{folded, tokens};
use crate::files::Folder;
use crate::files::disk::Identity;
use crate::outcome::result::State;

/// How many words are remembered with their numbers.
const WORDS: usize = 20_000;

/// What a file counts of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// The number of the record that it wants next; none for a new history.
    pub(super) next: Option<u64>,
    /// The epoch of the journal then.
    pub(super) epoch: u64,
    /// Outcomes that were read.
    pub(super) read: u64,
    /// Outcomes that stand neither in a row nor in the count of one.
    pub(super) unstored: u64,
    /// Outcomes that the journal had removed before.
    pub(super) missed: u64,
    /// By how much keys are ahead of times at most.
    pub(super) late: i64,
    /// The highest key.
    pub(super) last: i64,
    /// The wall clock at the last commit.
    pub(super) until: i64,
}

/// The file that rows are written to.
#[derive(Debug)]
pub(super) struct Part {
    written: Written,
    pub(super) name: Name,
    identity: Option<Identity>,
    words: HashMap<String, i64>,
    pub(super) tally: Tally,
}

pub(super) fn tally(connection: &Connection) -> rusqlite::Result<Tally> {
    let mut tally = Tally::default();
    let mut statement = connection.prepare("SELECT name, value FROM meta")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let value: i64 = row.get(1)?;
        match row.get_ref(0)?.as_str().unwrap_or_default() {
            "next" => tally.next = Some(value as u64),
            "epoch" => tally.epoch = value as u64,
            "read" => tally.read = value as u64,
            "unstored" => tally.unstored = value as u64,
            "missed" => tally.missed = value as u64,
            "late" => tally.late = value,
            "last" => tally.last = value,
            "until" => tally.until = value,
            _ => {}
        }
    }
    Ok(tally)
}

fn keep(connection: &Connection, tally: &Tally) -> rusqlite::Result<()> {
    let mut set = connection.prepare("INSERT OR REPLACE INTO meta VALUES(?, ?)")?;
    for (name, value) in [
        ("next", tally.next.map(|next| next as i64)),
        ("epoch", Some(tally.epoch as i64)),
        ("read", Some(tally.read as i64)),
        ("unstored", Some(tally.unstored as i64)),
        ("missed", Some(tally.missed as i64)),
        ("late", Some(tally.late)),
        ("last", Some(tally.last)),
        ("until", Some(tally.until)),
    ] {
        if let Some(value) = value {
            set.execute((name, value))?;
        }
    }
    Ok(())
}

/// The number of a state in the tables.
pub(super) fn code(state: State) -> i64 {
    State::ALL.iter().position(|one| *one == state).unwrap_or(0) as i64
}

/// The state of a number in the tables.
pub(super) fn state(code: i64) -> State {
    usize::try_from(code).ok().and_then(|code| State::ALL.get(code).copied()).unwrap_or(State::Unknown)
}

/// The token by which the index finds rows with a word, a state or a kind: what is looked for, and its number.
pub(super) fn facet(what: char, number: i64) -> String {
    format!("qz{what}{number}")
}

impl Part {
    /// Opens a file, or makes it.
    pub(super) fn open(folder: &Folder, name: Name) -> Result<Self, HistoryError> {
        let written = schema::writable(folder, &name.file(), schema::ROWS)?;
        let tally = tally(&written.connection).map_err(HistoryError::of(&written.path))?;
        let identity = folder.identity(&name.file()).ok();
        Ok(Part { written, name, identity, words: HashMap::new(), tally })
    }

    pub(super) fn path(&self) -> &Path {
        &self.written.path
    }

    /// Whether its name still leads to it.
    pub(super) fn is_in_place(&self, folder: &Folder) -> bool {
        let now = folder.identity(&self.name.file()).ok();
        now.is_some() && now == self.identity
    }

    /// Writes rows, adds to the counts of rows that are there, and keeps the tally, all or nothing.
    pub(super) fn write(
        &mut self,
        rows: &[Row],
        more: &[(i64, u64)],
        tally: Tally,
    ) -> Result<(), HistoryError> {
        let of = HistoryError::of(&self.written.path);
        if self.words.len() > WORDS {
            self.words.clear();
        }
        let transaction = self.written.connection.unchecked_transaction().map_err(&of)?;
        let written = write_rows(&transaction, &mut self.words, rows)
            .and_then(|()| add_counts(&transaction, more))
            .and_then(|()| keep(&transaction, &tally))
            .and_then(|()| transaction.commit());
        if written.is_err() {
            // Their numbers were given in what is rolled back.
            self.words.clear();
        }
        written.map_err(of)?;
        self.tally = tally;
        Ok(())
    }

    pub(super) fn checkpoint(&self) -> Result<(), HistoryError> {
        schema::checkpoint(&self.written.connection).map_err(HistoryError::of(&self.written.path))
    }

    pub(super) fn close(self) {
        schema::close(self.written);
    }
}

fn write_rows(
    connection: &Connection,
    words: &mut HashMap<String, i64>,
    rows: &[Row],
) -> rusqlite::Result<()> {
    let mut numbers = Numbers {
        words,
        find: connection.prepare("SELECT n FROM word WHERE text = ?")?,
        add: connection.prepare("INSERT INTO word(text) VALUES(?) RETURNING n")?,
    };
    let mut outcome = connection.prepare("INSERT INTO outcome VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")?;
    let mut search = connection.prepare("INSERT INTO search(rowid, tokens) VALUES(?, ?)")?;
    let mut text = String::new();
    for row in rows {
        let run = numbers.of(&format!("{:016x}", row.epoch))?;
        let (rule, host, source) = (numbers.of(&row.rule)?, numbers.of(&row.host)?, numbers.of(&row.source)?);
        let service = row.service.as_deref().map(|service| numbers.of(service)).transpose()?;
        let mark = row.mark.code();
        outcome.execute(params![
            row.n,
            row.n - row.time,
            run,
            row.sequence as i64,
            i64::from(row.is_event) + 2 * i64::from(row.is_first),
            code(row.state),
            row.previous.map(code),
            row.count as i64,
            mark,
            rule,
            host,
            service,
            source,
            row.output,
            row.rest.to_column(),
        ])?;
        text.clear();
        for texts in row.texts() {
            for token in tokens(&folded(texts)) {
                text.push_str(token);
                text.push(' ');
            }
        }
        let facets = [('h', Some(host)), ('s', service), ('r', Some(rule)), ('a', Some(source))];
        let marks = [
            ('t', Some(code(row.state))),
            ('m', Some(mark).filter(|_| row.mark != Mark::None)),
            ('c', row.is_change().then_some(1)),
            ('e', row.is_event.then_some(1)),
        ];
        for (what, number) in facets.into_iter().chain(marks) {
            if let Some(number) = number {
                text.push_str(&facet(what, number));
                text.push(' ');
            }
        }
        search.execute((row.n, text.as_str()))?;
    }
    Ok(())
}

fn add_counts(connection: &Connection, more: &[(i64, u64)]) -> rusqlite::Result<()> {
    let mut add = connection.prepare("UPDATE outcome SET count = count + ? WHERE n = ?")?;
    for (n, count) in more {
        add.execute((*count as i64, *n))?;
    }
    Ok(())
}

/// The numbers of words.
struct Numbers<'w, 'c> {
    words: &'w mut HashMap<String, i64>,
    find: Statement<'c>,
    add: Statement<'c>,
}

impl Numbers<'_, '_> {
    fn of(&mut self, word: &str) -> rusqlite::Result<i64> {
        if let Some(n) = self.words.get(word) {
            return Ok(*n);
        }
        let n = match self.find.query_row([word], |row| row.get(0)) {
            Err(rusqlite::Error::QueryReturnedNoRows) => self.add.query_row([word], |row| row.get(0))?,
            found => found?,
        };
        self.words.insert(word.to_owned(), n);
        Ok(n)
    }
}
