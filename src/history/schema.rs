//! The tables, and how their files are opened.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::error::{HistoryError, Why};
use super::parts::BESIDE;
use crate::files::Folder;
use crate::files::disk::{DiskFile, Opening};

/// The form of the tables (`PRAGMA user_version`).
const FORM: i64 = 2;
/// The first form whose rows have tokens for marks, events and changes of state.
pub(super) const TOKENS: i64 = 2;
/// How long a statement waits for another process.
const BUSY: Duration = Duration::from_secs(2);

/// A file of rows. The view is for people and other programs; the tables may change between releases.
pub(super) const ROWS: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
CREATE TABLE word(n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE outcome(
  n INTEGER PRIMARY KEY, late INTEGER NOT NULL, run INTEGER NOT NULL, sequence INTEGER NOT NULL, kind INTEGER NOT NULL,
  state INTEGER NOT NULL, previous INTEGER, count INTEGER NOT NULL, mark INTEGER NOT NULL, rule INTEGER NOT NULL,
  host INTEGER NOT NULL, service INTEGER, source INTEGER NOT NULL, output TEXT NOT NULL, rest TEXT);
CREATE VIRTUAL TABLE search USING fts5(tokens, content='', detail=none, columnsize=0, tokenize='ascii');
CREATE TABLE name_of_state(n INTEGER PRIMARY KEY, text TEXT NOT NULL);
INSERT INTO name_of_state VALUES
  (0,'ok'),(1,'warning'),(2,'critical'),(3,'unknown'),(4,'up'),(5,'down'),(6,'unreachable');
CREATE VIEW outcomes AS SELECT
  strftime('%Y-%m-%dT%H:%M:%S', (o.n - o.late) / 1000000, 'unixepoch') || printf('.%06dZ', (o.n - o.late) % 1000000) AS time,
  run.text || '-' || o.sequence AS id, CASE o.kind & 1 WHEN 1 THEN 'event' ELSE 'check_result' END AS kind,
  (SELECT text FROM name_of_state WHERE n = o.state) AS state,
  (SELECT text FROM name_of_state WHERE n = o.previous) AS previous,
  o.count AS count, rule.text AS rule, host.text AS host, service.text AS service, source.text AS source, o.output AS output,
  json_extract(o.rest, '$.long_output') AS long_output, json_extract(o.rest, '$.perfdata') AS perfdata,
  json_extract(o.rest, '$.labels') AS labels, json_extract(o.rest, '$.fields') AS fields, o.mark = 1 AS muted, o.n AS n
FROM outcome AS o JOIN word AS run ON run.n = o.run JOIN word AS rule ON rule.n = o.rule
  JOIN word AS host ON host.n = o.host JOIN word AS source ON source.n = o.source LEFT JOIN word AS service ON service.n = o.service
WHERE o.mark < 3;
CREATE TABLE name_of_reason(n INTEGER PRIMARY KEY, text TEXT NOT NULL);
INSERT INTO name_of_reason VALUES
  (3,'threshold'),(4,'held'),(5,'cancelled'),(6,'flapping'),(7,'duplicate'),(8,'throttled'),(9,'worse'),(10,'still_open'),
  (11,'orphan'),(12,'reordered'),(13,'dropped'),(14,'unmatched');
CREATE VIEW untold AS SELECT
  strftime('%Y-%m-%dT%H:%M:%S', (o.n - o.late) / 1000000, 'unixepoch') || printf('.%06dZ', (o.n - o.late) % 1000000) AS time,
  (SELECT text FROM name_of_reason WHERE n = o.mark) AS why, o.count AS count, rule.text AS rule, host.text AS host,
  service.text AS service, source.text AS source, o.output AS output, o.n AS n
FROM outcome AS o JOIN word AS rule ON rule.n = o.rule
  JOIN word AS host ON host.n = o.host JOIN word AS source ON source.n = o.source LEFT JOIN word AS service ON service.n = o.service
WHERE o.mark >= 3;
";

/// States and counts.
pub(super) const ROLLUP: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
CREATE TABLE state(
  key TEXT PRIMARY KEY, host TEXT NOT NULL, service TEXT, state INTEGER NOT NULL, previous INTEGER, since INTEGER NOT NULL,
  last INTEGER NOT NULL, rule TEXT NOT NULL, output TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE minute(
  t INTEGER NOT NULL, rule TEXT NOT NULL, host TEXT NOT NULL, state INTEGER NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY(t, rule, host, state)) WITHOUT ROWID;
CREATE TABLE name_of_state(n INTEGER PRIMARY KEY, text TEXT NOT NULL);
INSERT INTO name_of_state VALUES
  (0,'ok'),(1,'warning'),(2,'critical'),(3,'unknown'),(4,'up'),(5,'down'),(6,'unreachable');
CREATE VIEW states AS SELECT s.key AS endpoint, s.host AS host, s.service AS service, now.text AS state, before.text AS previous,
  strftime('%Y-%m-%dT%H:%M:%SZ', s.since / 1000000, 'unixepoch') AS since,
  strftime('%Y-%m-%dT%H:%M:%SZ', s.last / 1000000, 'unixepoch') AS last, s.rule AS rule, s.output AS output
FROM state AS s JOIN name_of_state AS now ON now.n = s.state LEFT JOIN name_of_state AS before ON before.n = s.previous;
CREATE VIEW minutes AS SELECT strftime('%Y-%m-%dT%H:%M:%SZ', m.t * 60, 'unixepoch') AS time, m.rule AS rule, m.host AS host,
  s.text AS state, m.count AS count FROM minute AS m JOIN name_of_state AS s ON s.n = m.state;
";

/// The path of a file, without links: the folder may be reached by one, the file may not be one.
fn path(folder: &Folder, name: &str) -> Result<PathBuf, HistoryError> {
    let path = folder.path();
    let resolved = path.canonicalize().map_err(HistoryError::io(path))?;
    Ok(resolved.join(name))
}

/// A file that is written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    /// Closed after the connection: a process loses its locks on a file as soon as it closes any descriptor of it, and other programs
    /// that close the database would remove its write-ahead log.
    _file: Arc<dyn DiskFile>,
}

/// Refuses what another user may have put in the place of the files that SQLite has beside a file: it would write to them, and give them
/// away.
fn are_own(folder: &Folder, name: &str) -> Result<(), HistoryError> {
    for end in BESIDE {
        let beside = format!("{name}{end}");
        match folder.measure(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(HistoryError::io(&folder.path().join(beside))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Opens a file to write, and makes it with its tables if it does not exist.
pub(super) fn writable(folder: &Folder, name: &str, tables: &str) -> Result<Written, HistoryError> {
    let path = path(folder, name)?;
    // Made by the folder, it has its owner and mode, and so have the files that SQLite makes beside it.
    let file = folder.open_file(name, Opening::Make).map_err(HistoryError::io(&path))?;
    are_own(folder, name)?;
    let of = HistoryError::of(&path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(&path, flags).map_err(&of)?;
    connection.busy_timeout(BUSY).map_err(&of)?;
    let form = form(&connection, &path)?;
    if form > FORM {
        return Err(HistoryError { file: path, why: Why::Newer(form) });
    }
    let set = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=1048576; PRAGMA wal_autocheckpoint=256; PRAGMA temp_store=MEMORY;";
    connection.execute_batch(set).map_err(&of)?;
    if form == 0 {
        let made = connection.transaction().map_err(&of)?;
        made.execute_batch(tables).map_err(&of)?;
        made.pragma_update(None, "user_version", FORM).map_err(&of)?;
        made.commit().map_err(&of)?;
    }
    Ok(Written { connection, path, _file: file })
}

/// Opens a file to read.
pub(super) fn readable(folder: &Folder, name: &str) -> Result<(Connection, PathBuf), HistoryError> {
    let path = path(folder, name)?;
    // SQLite would wait for a writer of a FIFO.
    folder.measure(name).map_err(HistoryError::io(&path))?;
    are_own(folder, name)?;
    let of = HistoryError::of(&path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(&path, flags).map_err(&of)?;
    connection.busy_timeout(BUSY).map_err(&of)?;
    let form = form(&connection, &path)?;
    if form > FORM {
        return Err(HistoryError { file: path, why: Why::Newer(form) });
    }
    Ok((connection, path))
}

/// The form of a file; 0 before it has tables.
pub(super) fn form(connection: &Connection, path: &Path) -> Result<i64, HistoryError> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(HistoryError::of(path))
}

/// Whether a file that is read has its tables yet.
pub(super) fn is_made(connection: &Connection, path: &Path) -> Result<bool, HistoryError> {
    Ok((1..=FORM).contains(&form(connection, path)?))
}

/// A number that a file keeps.
pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT value FROM meta WHERE name = ?", [name], |row| row.get(0)).optional()
}

/// Keeps a number.
pub(super) fn set_meta(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    connection.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (name, value)).map(drop)
}

/// The bytes of the pages of a file that are in use.
pub(super) fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    Ok(u64::try_from(pages * number("PRAGMA page_size")?).unwrap_or(0))
}

/// Moves what the write-ahead log has into the file and empties the log, if no reader is in the way.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    let result = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    connection.busy_timeout(BUSY)?;
    result
}

/// Looks with the eyes of another reader whether a file is still a database with all its pages: who writes it has what it read once
/// in memory.
pub(super) fn look(folder: &Folder, name: &str) -> Result<(), HistoryError> {
    let (connection, path) = readable(folder, name)?;
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let wanted = number("PRAGMA page_count").and_then(|pages| Ok(pages * number("PRAGMA page_size")?));
    let wanted = u64::try_from(wanted.map_err(HistoryError::of(&path))?).unwrap_or(0);
    let length = folder.measure(name).map_err(HistoryError::io(&path))?;
    // What the write-ahead log has may not be in the file yet.
    let is_in_log = folder.measure(&format!("{name}-wal")).is_ok_and(|length| length > 0);
    if length < wanted && !is_in_log {
        let why = Why::Damaged(format!("it has {length} of its {wanted} bytes"));
        return Err(HistoryError { file: path, why });
    }
    Ok(())
}

/// Looks at all of a file in the same way. Reads all of it.
pub(super) fn prove(folder: &Folder, name: &str) -> Result<(), HistoryError> {
    let (connection, path) = readable(folder, name)?;
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(HistoryError::of(&path))?;
    if found == "ok" { Ok(()) } else { Err(HistoryError { file: path, why: Why::Damaged(found) }) }
}

/// Closes a file so that it needs no others beside it to be read. If a reader is in the way it stays as it is.
pub(super) fn close(written: Written) {
    let Written { connection, path: _, _file } = written;
    let _ = connection.busy_timeout(Duration::ZERO);
    let _ = connection.query_row("PRAGMA journal_mode=DELETE", [], |_| Ok(()));
    // What cannot be closed is released when it is dropped.
    let _ = connection.close();
}
