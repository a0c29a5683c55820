//! The rows of a query in an SQLite database.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, limits::Limit};
use serde_json::{Map, Value};

use super::copy::LONGEST;

/// How long a query may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long is waited for a program that writes.
const BUSY: Duration = Duration::from_secs(5);
/// After how many steps of SQLite's machine the time is looked at.
const STEPS: i32 = 10_000;

/// Why a query gives no rows.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The file cannot be used.
    #[error("cannot read the database {0}: {1}")]
    File(String, io::Error),
    /// What SQLite says.
    #[error("the database {0} says: {1}")]
    Sqlite(String, rusqlite::Error),
    /// It is no single query.
    #[error("'query' must be one SELECT, which changes nothing")]
    Changes,
    /// It does not end.
    #[error("the query gives more than {0}")]
    Endless(String),
    /// It takes too long.
    #[error("the query has taken longer than {} s", PATIENCE.as_secs())]
    Slow,
}

/// The rows of a query, at most `max`, as objects in JSON: numbers and texts as they are, octets in hex.
///
/// # Errors
///
/// Why there are none.
pub fn rows(path: &Path, query: &str, max: usize) -> Result<Vec<Value>, QueryError> {
    let name = || path.display().to_string();
    // SQLite would wait for somebody at the other end of a pipe.
    let meta = std::fs::metadata(path).map_err(|error| QueryError::File(name(), error))?;
    if !meta.is_file() {
        let error = io::Error::new(ErrorKind::InvalidInput, "it is no file");
        return Err(QueryError::File(name(), error));
    }
    let began = Instant::now();
    let read = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        // A query can neither attach another file nor make a value that does not fit into memory.
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(LONGEST).unwrap_or(i32::MAX))?;
        connection.progress_handler(STEPS, Some(move || began.elapsed() > PATIENCE))?;
        take(&connection, query, max)
    };
    read().unwrap_or_else(|error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => Err(QueryError::Slow),
        _ if matches!(error, rusqlite::Error::MultipleStatement) => Err(QueryError::Changes),
        _ => Err(QueryError::Sqlite(name(), error)),
    })
}

fn take(
    connection: &Connection,
    query: &str,
    max: usize,
) -> rusqlite::Result<Result<Vec<Value>, QueryError>> {
    let mut statement = connection.prepare(query)?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Ok(Err(QueryError::Changes));
    }
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let (mut all, mut bytes) = (Vec::new(), 0);
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if all.len() == max {
            return Ok(Err(QueryError::Endless(format!("{max} rows; raise 'max' in [[lookups]]"))));
        }
        let mut object = Map::new();
        for (at, name) in names.iter().enumerate() {
            let value = value(row.get_ref(at)?);
            bytes += name.len() + value.as_str().map_or(8, str::len);
            if !value.is_null() {
                object.insert(name.clone(), value);
            }
        }
        if bytes as u64 > LONGEST {
            return Ok(Err(QueryError::Endless(format!("{LONGEST} bytes"))));
        }
        all.push(Value::Object(object));
    }
    Ok(Ok(all))
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
        ValueRef::Blob(octets) => data_encoding::HEXLOWER.encode(octets).into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn database(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("inventory.db");
        let connection = Connection::open(&path).unwrap();
        let sql = "CREATE TABLE device (address TEXT, city TEXT, rack INTEGER, load REAL, key BLOB);
            INSERT INTO device VALUES ('192.0.2.1', 'Vienna', 7, 0.5, x'00ff'), ('192.0.2.2', NULL, NULL, NULL, NULL)";
        connection.execute_batch(sql).unwrap();
        path
    }

    #[test]
    fn rows_keep_their_types() {
        let dir = tempfile::tempdir().unwrap();
        let path = database(dir.path());
        let all = rows(&path, "SELECT * FROM device ORDER BY address", 10).unwrap();
        let first =
            json!({ "address": "192.0.2.1", "city": "Vienna", "rack": 7, "load": 0.5, "key": "00ff" });
        assert_eq!(all, [first, json!({ "address": "192.0.2.2" })]);
    }

    /// Whatever the query is, the database stays as it is, nothing else is read, and the answer ends.
    #[test]
    fn nothing_but_one_query_is_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = database(dir.path());
        let before = std::fs::read(&path).unwrap();
        let other = dir.path().join("other.db");
        for (query, says) in [
            ("DELETE FROM device", "one SELECT"),
            ("SELECT 1; DELETE FROM device", "one SELECT"),
            ("CREATE TABLE x (a)", "one SELECT"),
            ("", "SQL is empty"),
            (&format!("ATTACH '{}' AS other", other.display()), "one SELECT"),
            ("SELECT absent FROM device", "no such column"),
            ("SELECT a.address FROM device a, device b, device c", "more than 5 rows"),
            ("SELECT zeroblob(2000000000)", "too big"),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
                "more than 5 rows",
            ),
        ] {
            let error = rows(&path, query, 5).unwrap_err().to_string();
            assert!(error.contains(says), "{query}: {error}");
        }
        assert!(std::fs::read(&path).unwrap() == before && !other.exists());
    }

    #[test]
    fn what_is_no_database_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text");
        std::fs::write(&text, "address,city\n".repeat(100)).unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (path, says) in [
            (text, "not a database"),
            (fifo, "it is no file"),
            (dir.path().to_owned(), "it is no file"),
            (dir.path().join("nothing"), "No such file"),
        ] {
            let error = rows(&path, "SELECT 1", 5).unwrap_err().to_string();
            assert!(error.contains(says) || error.contains("SELECT"), "{}: {error}", path.display());
        }
        assert!(!dir.path().join("nothing").exists());
    }
}
