//! Reads rows, in pages, across files.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params_from_iter, types::Value};

use super::error::HistoryError;
use super::filter::Filter;
use super::part::{code, facet, state, tally};
use super::parts;
use super::row::{Mark, Rest, Row};
use super::schema;
use crate::files::Folder;

/// How many names a filter may mean until the index is not asked for them.
const NAMES: usize = 32;
/// How many rows are looked at before the index is asked.
const SCAN: usize = if cfg!(test) { 7 } else { 20_000 };
/// How many words are remembered with their numbers.
const WORDS: usize = 50_000;
/// After so many steps of SQLite it is asked whether the time is over.
const STEPS: i32 = 10_000;

/// Says whether a search must end.
pub type IsOver = Arc<dyn Fn() -> bool + Send + Sync>;

/// A search.
#[derive(Clone)]
pub struct Search {
    /// Which rows.
    pub filter: Filter,
    /// Whether the oldest row comes first.
    pub oldest_first: bool,
    /// Says when to end before everything was looked at.
    pub is_over: Option<IsOver>,
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Search({:?}, oldest first: {})", self.filter, self.oldest_first)
    }
}

/// Some rows.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows, in the order that was asked for.
    pub rows: Vec<Row>,
    /// The key behind which the next page begins; none at the end.
    pub next: Option<i64>,
    /// Whether the time was over before everything was looked at: there may be more behind `next`.
    pub partial: bool,
    /// Files that could not be read, and why.
    pub unreadable: Vec<String>,
}

/// How far a search is.
struct Visit<'t> {
    /// The key of the last row.
    seen: Option<i64>,
    /// Whether no more rows are wanted.
    is_full: bool,
    /// Whether the time is over.
    partial: bool,
    /// How many rows are still looked at without the index.
    scan_left: usize,
    /// How many of these had the words, and how many fitted the rest of the filter.
    of_words: u64,
    of_rest: u64,
    /// Takes a row; whether it wants more.
    take: &'t mut dyn FnMut(Row) -> bool,
}

/// Where a page is looked for.
#[derive(Debug, Clone, Copy)]
struct Range {
    /// The lowest and the highest key.
    low: i64,
    high: i64,
}

/// Opens the folder of a history to read it; none if there is no history.
///
/// # Errors
///
/// If it cannot be opened.
pub fn folder(directory: &Path) -> Result<Option<Folder>, HistoryError> {
    match Folder::existing(directory) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HistoryError::io(directory)(error)),
    }
}

impl Search {
    /// At most `limit` rows behind a key.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read. Files that cannot be read are named in the page.
    pub fn page(&self, folder: &Folder, behind: Option<i64>, limit: usize) -> Result<Page, HistoryError> {
        let mut rows = Vec::new();
        let page = self.visit(folder, behind, &mut |row| {
            rows.push(row);
            rows.len() < limit
        })?;
        Ok(Page { rows, ..page })
    }

    /// Gives rows behind a key, one by one, until there are no more or `take` wants no more. The page that is given has no rows.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn visit(
        &self,
        folder: &Folder,
        behind: Option<i64>,
        take: &mut dyn FnMut(Row) -> bool,
    ) -> Result<Page, HistoryError> {
        let mut names = parts::all(folder).map_err(HistoryError::io(folder.path()))?;
        if !self.oldest_first {
            names.reverse();
        }
        let mut page = Page::default();
        let scan_left = SCAN;
        let mut visit =
            Visit { seen: behind, is_full: false, partial: false, scan_left, of_words: 0, of_rest: 0, take };
        for name in names {
            match self.read(folder, &name.file(), &mut visit) {
                Ok(()) => {}
                Err(error) if error.is_cut() => visit.partial = true,
                Err(error) if error.is_absent() => {}
                Err(error) => page.unreadable.push(error.to_string()),
            }
            if visit.is_full || visit.partial {
                page.next = visit.seen;
                break;
            }
        }
        page.partial = visit.partial;
        Ok(page)
    }

    fn is_over(&self) -> bool {
        self.is_over.as_ref().is_some_and(|is_over| is_over())
    }

    /// Adds rows of a file.
    fn read(&self, folder: &Folder, file: &str, visit: &mut Visit<'_>) -> Result<(), HistoryError> {
        let (mut connection, path) = schema::readable(folder, file)?;
        if let Some(is_over) = self.is_over.clone() {
            let set = connection.progress_handler(STEPS, Some(move || is_over()));
            set.map_err(HistoryError::of(&path))?;
        }
        if !schema::is_made(&connection, &path)? {
            return Ok(());
        }
        let has_tokens = schema::form(&connection, &path)? >= schema::TOKENS;
        // One view of the file, whatever the daemon writes meanwhile.
        let view = connection.unchecked_transaction().map_err(HistoryError::of(&path))?;
        self.read_rows(&view, has_tokens, visit).map_err(HistoryError::of(&path))
    }

    fn range(&self, connection: &Connection, behind: Option<i64>) -> rusqlite::Result<Option<Range>> {
        let late = tally(connection)?.late;
        // Keys are never less than times, and never ahead of them by more than `late`.
        let mut low = self.filter.from.unwrap_or(i64::MIN);
        let mut high = self.filter.to.map_or(i64::MAX, |to| to.saturating_sub(1).saturating_add(late));
        match behind {
            Some(behind) if self.oldest_first => low = low.max(behind.saturating_add(1)),
            Some(behind) => high = high.min(behind.saturating_sub(1)),
            None => {}
        }
        let ends = "SELECT min(n) FROM outcome UNION ALL SELECT max(n) FROM outcome";
        let mut ends = connection.prepare(ends)?;
        let ends: Vec<Option<i64>> =
            ends.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let (Some(Some(first)), Some(Some(last))) = (ends.first(), ends.get(1)) else { return Ok(None) };
        let range = Range { low: low.max(*first), high: high.min(*last) };
        Ok((range.low <= range.high).then_some(range))
    }

    fn read_rows(
        &self,
        connection: &Connection,
        has_tokens: bool,
        visit: &mut Visit<'_>,
    ) -> rusqlite::Result<()> {
        let Some(mut range) = self.range(connection, visit.seen)? else { return Ok(()) };
        let of_index = self.expressions(connection, has_tokens)?;
        let Some((words, rest)) = of_index else { return Ok(()) };
        if words.is_empty() && rest.is_empty() {
            return self.select(connection, (range, &[], usize::MAX), visit);
        }
        // The index makes a list of all rows that a beginning of a word finds. What many rows have is found faster without it.
        if visit.scan_left > 0 {
            let before = visit.seen;
            self.select(connection, (range, &[], visit.scan_left), visit)?;
            if visit.is_full || visit.partial {
                return Ok(());
            }
            if let Some(seen) = visit.seen.filter(|_| visit.seen != before) {
                if self.oldest_first {
                    range.low = seen.saturating_add(1);
                } else {
                    range.high = seen.saturating_sub(1);
                }
            }
            if range.low > range.high {
                return Ok(());
            }
        }
        // Of two parts the one that finds less narrows the search; the filter decides.
        let is_narrow = !rest.is_empty() && visit.of_rest * 4 < visit.of_words;
        let parts: Vec<&str> = words.iter().filter(|_| !is_narrow).chain(&rest).map(String::as_str).collect();
        self.select(connection, (range, &parts, usize::MAX), visit)
    }

    /// Gives rows of a range, of the index if it is asked for something; looks at so many at most.
    fn select(
        &self,
        connection: &Connection,
        (range, parts, most): (Range, &[&str], usize),
        visit: &mut Visit<'_>,
    ) -> rusqlite::Result<()> {
        let order = if self.oldest_first { "ASC" } else { "DESC" };
        let columns = "o.n, o.late, o.run, o.sequence, o.kind, o.state, o.previous, o.count, o.mark, o.rule, o.host, o.service, \
                       o.source, o.output, o.rest";
        let (sql, values) = if parts.is_empty() {
            let sql =
                format!("SELECT {columns} FROM outcome AS o WHERE o.n BETWEEN ? AND ? ORDER BY o.n {order}");
            (sql, vec![Value::Integer(range.low), Value::Integer(range.high)])
        } else {
            let sql = format!(
                "SELECT {columns} FROM search CROSS JOIN outcome AS o ON o.n = search.rowid WHERE search MATCH ? AND search.rowid >= ? \
                 AND search.rowid <= ? ORDER BY search.rowid {order}"
            );
            (
                sql,
                vec![Value::Text(parts.join(" AND ")), Value::Integer(range.low), Value::Integer(range.high)],
            )
        };
        let mut select = connection.prepare(&sql)?;
        let mut words = Words { connection, known: HashMap::new() };
        let mut rows = select.query(params_from_iter(values))?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let row = read_row(row, &mut words)?;
            visit.seen = Some(row.n);
            count += 1;
            let (of_words, of_rest) = (self.filter.matches_words(&row), self.filter.matches_but_words(&row));
            if visit.scan_left > 0 {
                visit.scan_left -= 1;
                visit.of_words += u64::from(of_words);
                visit.of_rest += u64::from(of_rest);
            }
            if of_words && of_rest && !(visit.take)(row) {
                visit.is_full = true;
                return Ok(());
            }
            if self.is_over() {
                visit.partial = true;
                return Ok(());
            }
            if count >= most {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What the index of a file is asked for, for the words and for the rest: it may find more than the filter, never less. Empty if it
    /// need not be asked, none if the file can have nothing.
    fn expressions(
        &self,
        connection: &Connection,
        has_tokens: bool,
    ) -> rusqlite::Result<Option<(Vec<String>, Vec<String>)>> {
        let filter = &self.filter;
        let words: Vec<String> = filter.words.expression().into_iter().collect();
        let mut all: Vec<String> = Vec::new();
        let globs = [('h', &filter.host), ('s', &filter.service), ('r', &filter.rule), ('a', &filter.source)];
        if globs.iter().any(|(_, glob)| glob.is_some()) {
            let mut found: [Vec<i64>; 4] = Default::default();
            let mut select = connection.prepare("SELECT n, text FROM word")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let (n, text) = (row.get(0)?, row.get_ref(1)?.as_str().unwrap_or_default());
                for ((_, glob), found) in globs.iter().zip(&mut found) {
                    if found.len() <= NAMES && glob.as_ref().is_some_and(|glob| glob.matches(text)) {
                        found.push(n);
                    }
                }
            }
            for ((what, glob), found) in globs.iter().zip(&found) {
                if glob.is_none() || found.len() > NAMES {
                    continue;
                }
                if found.is_empty() {
                    return Ok(None);
                }
                all.push(any_of(*what, found.iter().copied()));
            }
        }
        if !filter.states.is_empty() {
            all.push(any_of('t', filter.states.iter().map(|state| code(*state))));
        }
        if has_tokens {
            if !filter.marks.is_empty() {
                all.push(any_of('m', filter.marks.iter().map(|mark| mark.code())));
            }
            if filter.changes {
                all.push(any_of('c', [1].into_iter()));
            }
            if filter.is_event == Some(true) {
                all.push(any_of('e', [1].into_iter()));
            }
        }
        Ok(Some((words, all)))
    }
}

fn any_of(what: char, numbers: impl Iterator<Item = i64>) -> String {
    let all: Vec<String> = numbers.map(|n| format!("\"{}\"", facet(what, n))).collect();
    format!("({})", all.join(" OR "))
}

/// The words of a file.
struct Words<'c> {
    connection: &'c Connection,
    known: HashMap<i64, Arc<str>>,
}

impl Words<'_> {
    fn of(&mut self, n: i64) -> rusqlite::Result<String> {
        if let Some(word) = self.known.get(&n) {
            return Ok(word.to_string());
        }
        let word: String =
            self.connection.query_row("SELECT text FROM word WHERE n = ?", [n], |row| row.get(0))?;
        if self.known.len() >= WORDS {
            self.known.clear();
        }
        self.known.insert(n, word.as_str().into());
        Ok(word)
    }
}

fn read_row(row: &rusqlite::Row<'_>, words: &mut Words<'_>) -> rusqlite::Result<Row> {
    let n: i64 = row.get(0)?;
    let late: i64 = row.get(1)?;
    let kind: i64 = row.get(4)?;
    let service: Option<i64> = row.get(11)?;
    let epoch = words.of(row.get(2)?)?;
    Ok(Row {
        n,
        time: n.saturating_sub(late),
        epoch: u64::from_str_radix(&epoch, 16).unwrap_or(0),
        sequence: row.get::<_, i64>(3)? as u64,
        is_event: kind & 1 == 1,
        state: state(row.get(5)?),
        previous: row.get::<_, Option<i64>>(6)?.map(state),
        is_first: kind & 2 == 2,
        count: u64::try_from(row.get::<_, i64>(7)?).unwrap_or(0),
        mark: Mark::of_code(row.get(8)?),
        rule: words.of(row.get(9)?)?,
        host: words.of(row.get(10)?)?,
        service: service.map(|service| words.of(service)).transpose()?,
        source: words.of(row.get(12)?)?,
        output: row.get(13)?,
        rest: Rest::of_column(row.get_ref(14)?.as_str_or_null().unwrap_or_default()),
    })
}
