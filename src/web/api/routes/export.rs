//! A range of the history as one file, and the metrics under another path.

use std::io;

use futures_util::stream;
use hyper::body::Bytes;
use hyper::header::CONTENT_DISPOSITION;
use serde_json::Value;

use crate::files::Folder;
use crate::history::export::{CSV_HEAD, csv};
use crate::history::series::{self, By};
use crate::history::{Row, Search};
use crate::time::clock::rfc3339;
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::asked::{self, FILTER};
use crate::web::api::limits::Place;
use crate::web::api::problem::Problem;
use crate::web::api::role::Role;
use crate::web::api::route::{Answering, Cost, Does, Gives, Param, Route};
use crate::web::api::routes::outcomes::unreadable;
use crate::web::metrics;

/// How many rows are read at a time.
const PAGE: usize = 1000;

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        cost: Cost::Export,
        query: &[
            Param { name: "format", says: "csv, or json for a document a line" },
            Param { name: "bucket", says: "none for rows; minute, hourly or daily for counts" },
            Param { name: "startTime", says: "the beginning, as from" },
            Param {
                name: "endTime",
                says: "the end, as to; now unless told: what comes later is not in the file",
            },
            FILTER[2],
            FILTER[3],
            FILTER[4],
            FILTER[5],
            FILTER[6],
            FILTER[7],
            FILTER[8],
            FILTER[9],
            FILTER[10],
            FILTER[11],
            FILTER[12],
        ],
        gives: Gives::Other("text/csv"),
        ..Route::get("/api/export/history", "A range of the history as a file", Does::Later(export))
    },
    Route {
        role: Role::Open,
        gives: Gives::Other("text/plain"),
        ..Route::get(
            "/api/metrics",
            "Metrics for Prometheus, as /metrics",
            Does::Blocking(|ask| {
                Ok(Answer::of(hyper::StatusCode::OK, metrics::CONTENT_TYPE, metrics::of(&ask.desk.status)))
            }),
        )
    },
];

/// What is being sent.
struct Export {
    folder: Folder,
    search: Search,
    behind: Option<i64>,
    is_csv: bool,
    head: Option<&'static str>,
    is_done: bool,
    _place: Option<Place>,
}

fn line(row: &Row, is_csv: bool) -> String {
    if is_csv { csv(row) } else { format!("{}\n", row.to_json()) }
}

impl Export {
    /// The next piece. Blocks.
    fn piece(&mut self) -> Result<String, String> {
        let mut text = self.head.take().unwrap_or_default().to_owned();
        let page = self.search.page(&self.folder, self.behind, PAGE).map_err(|error| error.to_string())?;
        if let Some(error) = page.unreadable.first() {
            return Err(error.clone());
        }
        for row in &page.rows {
            text.push_str(&line(row, self.is_csv));
        }
        self.behind = page.next;
        self.is_done = page.next.is_none();
        Ok(text)
    }
}

fn export(mut ask: Ask) -> Answering {
    Box::pin(async move {
        let is_csv = match ask.query.get("format").unwrap_or("csv") {
            "csv" => true,
            "json" => false,
            other => {
                return Err(Problem::wrong(format!(
                    "format={}: there are csv and json",
                    other.escape_debug()
                )));
            }
        };
        let now = ask.desk.status.clock.now().wall.micros();
        let (from, to) = asked::range(ask.query.get("startTime"), ask.query.get("endTime"), now)?;
        if let Some(minutes) = bucket(&ask)? {
            if let Some(given) = unfit(&ask) {
                let why = format!(
                    "bucket counts all outcomes of the range; leave out {given}, or leave out bucket"
                );
                return Err(Problem::wrong(why));
            }
            return tokio::task::spawn_blocking(move || counts(&ask, (from, to), minutes, is_csv))
                .await
                .unwrap_or_else(|_| Err(Problem::unavailable("the export has failed; see the log")));
        }
        let mut filter = asked::filter(&ask)?;
        (filter.from, filter.to) = (Some(from), Some(to));
        // It may take as long as somebody reads it.
        let search = Search { is_over: None, ..asked::search(&ask, filter)? };
        let desk = ask.desk.clone();
        let folder = tokio::task::spawn_blocking(move || desk.folder()).await;
        let folder = folder.map_err(|_| Problem::unavailable("the history cannot be opened"))??;
        let head = is_csv.then_some(CSV_HEAD);
        let export =
            Export { folder, search, behind: None, is_csv, head, is_done: false, _place: ask.place.take() };
        let pieces = stream::unfold(Some(export), |export| async move {
            let mut export = export.filter(|export| !export.is_done)?;
            let read = tokio::task::spawn_blocking(move || (export.piece(), export)).await;
            match read {
                Ok((Ok(text), export)) => Some((Ok(Bytes::from(text)), Some(export))),
                // A file that ends early must not look whole.
                Ok((Err(error), _)) => {
                    tracing::error!("an export has ended early: {error}");
                    Some((Err(io::Error::other(error)), None))
                }
                Err(error) => Some((Err(io::Error::other(error)), None)),
            }
        });
        Ok(named(Answer::pieces(kind(is_csv), Box::pin(pieces)), is_csv))
    })
}

fn kind(is_csv: bool) -> &'static str {
    if is_csv { "text/csv; charset=utf-8" } else { "application/x-ndjson" }
}

fn named(answer: Answer, is_csv: bool) -> Answer {
    let name = if is_csv { "history.csv" } else { "history.jsonl" };
    answer.with(CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""))
}

/// A filter that is given, which counts cannot have.
fn unfit(ask: &Ask) -> Option<&'static str> {
    let given = |name: &&str| ask.query.get(name).is_some_and(|text| !text.is_empty());
    FILTER[2..].iter().map(|param| param.name).find(given)
}

/// Minutes of a bucket; none for rows.
fn bucket(ask: &Ask) -> Result<Option<i64>, Problem> {
    Ok(match ask.query.get("bucket") {
        None | Some("" | "none") => None,
        Some("minute") => Some(1),
        Some("hourly") => Some(60),
        Some("daily") => Some(24 * 60),
        Some(other) => {
            let why = format!("bucket={}: there are none, minute, hourly and daily", other.escape_debug());
            return Err(Problem::wrong(why));
        }
    })
}

/// Counts by state. Blocks.
fn counts(ask: &Ask, range: (i64, i64), minutes: i64, is_csv: bool) -> Result<Answer, Problem> {
    let (points, whole) = series::points(
        &ask.desk.folder()?,
        By::State,
        &series::Of::default(),
        range,
        minutes,
        Some(asked::is_over(ask)),
    )
    .map_err(|error| unreadable(&error))?;
    if !whole {
        return Err(Problem::wrong(
            "this range has too many buckets; ask for a shorter one, or for longer buckets",
        ));
    }
    let mut text = if is_csv { "\"time\",\"state\",\"count\"\r\n".to_owned() } else { String::new() };
    for point in points {
        let (time, state, count) = (rfc3339(point.time), point.series, point.value);
        if is_csv {
            text.push_str(&format!("\"{time}\",\"{state}\",\"{count}\"\r\n"));
        } else {
            let json: Value = serde_json::json!({ "time": time, "state": state, "count": count });
            text.push_str(&format!("{json}\n"));
        }
    }
    Ok(named(Answer::of(hyper::StatusCode::OK, kind(is_csv), text), is_csv))
}
