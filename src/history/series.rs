//! Numbers over time, and the current states, out of `rollup.db`.

use rusqlite::{Connection, params_from_iter, types::Value};
use serde_json::{Value as Json, json};

use super::endpoint;
use super::error::HistoryError;
use super::part::state;
use super::rollup::FILE;
use super::schema;
use super::search::IsOver;
use crate::files::Folder;
use crate::outcome::result::State;
use crate::rules::matching::Glob;
use crate::time::clock::rfc3339;

/// The most points of an answer.
pub const MOST_POINTS: usize = 50_000;
/// After so many steps of SQLite it is asked whether the time is over.
const STEPS: i32 = 10_000;
const MINUTE: i64 = 60_000_000;

/// What the lines of a plot are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// One line for all.
    All,
    /// A line a state.
    State,
    /// A line a host.
    Host,
    /// A line a rule.
    Rule,
}

impl By {
    /// By its name.
    pub fn of(name: &str) -> Option<By> {
        Some(match name {
            "all" => By::All,
            "state" => By::State,
            "host" => By::Host,
            "rule" => By::Rule,
            _ => return None,
        })
    }

    fn column(self) -> &'static str {
        match self {
            By::All => "'outcomes'",
            By::State => "(SELECT text FROM name_of_state WHERE n = state)",
            By::Host => "host",
            By::Rule => "rule",
        }
    }
}

/// Whose outcomes are counted; all that is given must fit.
#[derive(Debug, Clone, Default)]
pub struct Of {
    /// Of these hosts.
    pub host: Option<Glob>,
    /// Made by these rules.
    pub rule: Option<Glob>,
    /// With one of these states; any if none is given.
    pub states: Vec<State>,
}

/// The names of a column that fit, as SQLite reads a list; null for all.
fn names(
    connection: &Connection,
    column: &str,
    glob: Option<&Glob>,
    (first, end): (i64, i64),
) -> rusqlite::Result<Option<String>> {
    let Some(glob) = glob else { return Ok(None) };
    let mut select =
        connection.prepare(&format!("SELECT DISTINCT {column} FROM minute WHERE t >= ?1 AND t < ?2"))?;
    let mut rows = select.query((first, end))?;
    let mut fitting = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if glob.matches(&name) {
            fitting.push(Json::String(name));
        }
    }
    Ok(Some(Json::Array(fitting).to_string()))
}

/// How many outcomes there were in a step of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The beginning of the step, in microseconds since 1970 UTC.
    pub time: i64,
    /// Of which line.
    pub series: String,
    /// How many.
    pub value: u64,
}

/// Opens the file; none if there is none.
fn open(
    folder: &Folder,
    is_over: Option<IsOver>,
) -> Result<Option<(Connection, std::path::PathBuf)>, HistoryError> {
    let (mut connection, path) = match schema::readable(folder, FILE) {
        Err(error) if error.is_absent() => return Ok(None),
        opened => opened?,
    };
    if let Some(is_over) = is_over {
        let set = connection.progress_handler(STEPS, Some(move || is_over()));
        set.map_err(HistoryError::of(&path))?;
    }
    let is_made = schema::is_made(&connection, &path)?;
    Ok(is_made.then_some((connection, path)))
}

/// Counts of outcomes from one time on and before another, in microseconds, by steps of whole minutes. Whether all of them are
/// there: a long answer is cut.
///
/// # Errors
///
/// If the file cannot be read, or the time is over.
pub fn points(
    folder: &Folder,
    by: By,
    of: &Of,
    (from, to): (i64, i64),
    step: i64,
    is_over: Option<IsOver>,
) -> Result<(Vec<Point>, bool), HistoryError> {
    let Some((connection, path)) = open(folder, is_over)? else { return Ok((Vec::new(), true)) };
    let step = step.max(1);
    let sql = format!(
        "SELECT t - ((t % ?1) + ?1) % ?1, {}, sum(count) FROM minute WHERE t >= ?2 AND t < ?3 \
         AND (?5 IS NULL OR host IN (SELECT value FROM json_each(?5))) AND (?6 IS NULL OR rule IN (SELECT value FROM json_each(?6))) \
         AND (?7 IS NULL OR state IN (SELECT n FROM name_of_state WHERE text IN (SELECT value FROM json_each(?7)))) GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?4",
        by.column()
    );
    let read = || {
        let mut select = connection.prepare(&sql)?;
        let states: Vec<&str> = of.states.iter().map(|state| state.as_str()).collect();
        let states = (!states.is_empty()).then(|| json!(states).to_string());
        let (first, end) = (from.div_euclid(MINUTE), to.saturating_add(MINUTE - 1).div_euclid(MINUTE));
        let host = names(&connection, "host", of.host.as_ref(), (first, end))?;
        let rule = names(&connection, "rule", of.rule.as_ref(), (first, end))?;
        let most = MOST_POINTS as i64 + 1;
        let rows = select.query_map((step, first, end, most, host, rule, states), |row| {
            Ok(Point {
                time: row.get::<_, i64>(0)?.saturating_mul(MINUTE),
                series: row.get(1)?,
                value: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            })
        })?;
        rows.collect::<rusqlite::Result<Vec<Point>>>()
    };
    let mut points = read().map_err(HistoryError::of(&path))?;
    let whole = points.len() <= MOST_POINTS;
    points.truncate(MOST_POINTS);
    Ok((points, whole))
}

/// Which current states somebody asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of these hosts.
    pub host: Option<Glob>,
    /// Of these services.
    pub service: Option<Glob>,
    /// One of these; any if none is given.
    pub states: Vec<State>,
    /// Behind this endpoint.
    pub behind: String,
}

/// The current states, ordered by endpoint, at most `limit`, and whether there are more.
///
/// # Errors
///
/// If the file cannot be read, or the time is over.
pub fn states(
    folder: &Folder,
    wanted: &Wanted,
    limit: usize,
    is_over: Option<IsOver>,
) -> Result<(Vec<Json>, bool), HistoryError> {
    let Some((connection, path)) = open(folder, is_over)? else { return Ok((Vec::new(), false)) };
    let read = || {
        let mut select = connection.prepare(
            "SELECT key, host, service, state, previous, since, last, rule, output FROM state WHERE key > ? ORDER BY key",
        )?;
        let mut rows = select.query(params_from_iter([Value::Text(wanted.behind.clone())]))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (host, service): (String, Option<String>) = (row.get(1)?, row.get(2)?);
            let now = state(row.get(3)?);
            let fits = wanted.host.as_ref().is_none_or(|glob| glob.matches(&host))
                && wanted
                    .service
                    .as_ref()
                    .is_none_or(|glob| service.as_deref().is_some_and(|text| glob.matches(text)))
                && (wanted.states.is_empty() || wanted.states.contains(&now));
            if !fits {
                continue;
            }
            if found.len() >= limit {
                return Ok((found, true));
            }
            let previous: Option<i64> = row.get(4)?;
            found.push(json!({
                "endpointId": endpoint::encode(&host, service.as_deref()),
                "host": host,
                "service": service,
                "status": now.as_str(),
                "previousStatus": previous.map(|code| state(code).as_str()),
                "since": rfc3339(row.get(5)?),
                "last": rfc3339(row.get(6)?),
                "rule": row.get::<_, String>(7)?,
                "output": row.get::<_, String>(8)?,
            }));
        }
        Ok((found, false))
    };
    read().map_err(HistoryError::of(&path))
}
