//! The history: outcomes, current states, counts over time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::history::filter::Filter;
use crate::history::series::{self, By, Wanted};
use crate::history::{Facets, HistoryError};
use crate::rules::matching::Glob;
use crate::time::clock::rfc3339;
use crate::vitals::minutes::{Counts, NAMES};
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::asked::{self, FILTER};
use crate::web::api::problem::Problem;
use crate::web::api::route::{Cost, Does, Gives, Param, Route};
use crate::web::api::schema;

/// The most rows of a page, and how many there are unless told.
const MOST: u64 = 1000;
const USUAL: u64 = 100;
/// How many points of a line there are unless told.
const POINTS: i64 = 300;
const MINUTE: i64 = 60_000_000;

fn page() -> Value {
    let row = schema::with(&[
        ("id", schema::text()),
        ("time", schema::text()),
        ("kind", json!({ "enum": ["check_result", "event"] })),
        ("state", schema::maybe_text()),
        ("previous", schema::maybe_text()),
        ("count", schema::number()),
        ("rule", schema::text()),
        ("host", schema::text()),
        ("service", schema::maybe_text()),
        ("endpointId", schema::text()),
        ("source", schema::text()),
        ("output", schema::text()),
        ("long_output", schema::text()),
        ("perfdata", schema::text()),
    ]);
    schema::with(&[("items", schema::list(row)), ("next", schema::maybe_text()), ("partial", schema::flag())])
}

const OF_ONE: &[Param] = &[
    FILTER[0], FILTER[1], FILTER[2], FILTER[6], FILTER[7], FILTER[9], FILTER[10], FILTER[11], FILTER[12],
    FILTER[13], FILTER[14],
];

/// A filter without order and pages.
const MATCHING: &[Param] = &[
    FILTER[0], FILTER[1], FILTER[2], FILTER[3], FILTER[4], FILTER[5], FILTER[6], FILTER[7], FILTER[8],
    FILTER[9], FILTER[10], FILTER[11],
];

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        cost: Cost::Search,
        query: FILTER,
        gives: Gives::Json(page),
        ..Route::get(
            "/api/v1/outcomes",
            "Outcomes of the history, in pages. `partial` says that the time was over before all was looked at; `next` goes on",
            Does::Blocking(|ask| page_of(ask, asked::filter(ask)?)),
        )
    },
    Route {
        cost: Cost::Search,
        query: MATCHING,
        gives: Gives::Json(|| {
            schema::with(&[
                ("rows", schema::number()),
                ("outcomes", schema::number()),
                ("partial", schema::flag()),
                ("facets", schema::object()),
            ])
        }),
        ..Route::get(
            "/api/v1/facets",
            "How outcomes of the history are spread over states, hosts, services, rules, senders and reasons: the 20 largest of each",
            Does::Blocking(facets),
        )
    },
    Route {
        cost: Cost::Search,
        query: OF_ONE,
        gives: Gives::Json(page),
        ..Route::get(
            "/api/v1/states/{host}/history",
            "Outcomes of a host itself",
            Does::Blocking(|ask| of_endpoint(ask, None)),
        )
    },
    Route {
        cost: Cost::Search,
        query: OF_ONE,
        gives: Gives::Json(page),
        ..Route::get(
            "/api/v1/states/{host}/{service}/history",
            "Outcomes of a service. `endpointId` of other answers is the part of the path between",
            Does::Blocking(|ask| of_endpoint(ask, Some(&ask.path[1]))),
        )
    },
    Route {
        cost: Cost::Search,
        query: &[FILTER[3], FILTER[4], FILTER[6], FILTER[13], FILTER[14]],
        gives: Gives::Json(|| {
            let row = schema::with(&[
                ("endpointId", schema::text()),
                ("host", schema::text()),
                ("service", schema::maybe_text()),
                ("status", schema::text()),
                ("previousStatus", schema::maybe_text()),
                ("since", schema::text()),
                ("last", schema::text()),
                ("rule", schema::text()),
                ("output", schema::text()),
            ]);
            schema::with(&[("items", schema::list(row)), ("next", schema::maybe_text())])
        }),
        ..Route::get(
            "/api/v1/endpoints",
            "The current state of each host and service, by name",
            Does::Blocking(endpoints),
        )
    },
    Route {
        cost: Cost::Search,
        query: &[
            Param {
                name: "metric",
                says: "outcomes of the history, or messages: what came in the last 60 minutes, without a history",
            },
            Param {
                name: "by",
                says: "a line for: all, state, host or rule; of messages there is a line for each of their counters",
            },
            FILTER[0],
            FILTER[1],
            FILTER[3],
            FILTER[6],
            FILTER[7],
            Param {
                name: "step",
                says: "seconds from point to point, at least 60; about 300 points unless told",
            },
        ],
        gives: Gives::Json(|| {
            schema::list(schema::with(&[
                ("time", schema::text()),
                ("series", schema::text()),
                ("value", schema::number()),
            ]))
        }),
        ..Route::get(
            "/api/v1/series",
            "How many outcomes or messages there were over time",
            Does::Blocking(of_series),
        )
    },
    Route {
        cost: Cost::Search,
        query: FILTER,
        gives: Gives::Json(|| {
            schema::list(schema::with(&[
                ("time", schema::text()),
                ("timeEnd", schema::maybe_text()),
                ("title", schema::text()),
                ("text", schema::text()),
                ("tags", schema::list(schema::text())),
            ]))
        }),
        ..Route::get(
            "/api/v1/events",
            "Outcomes as annotations of a plot: changes of state unless told otherwise",
            Does::Blocking(events),
        )
    },
];

/// Why the history gives nothing.
pub(in crate::web::api) fn unreadable(error: &HistoryError) -> Problem {
    Problem::unavailable(format!(
        "the history has no answer: {error}; ask for a shorter range if it took too long"
    ))
}

fn page_of(ask: &Ask, filter: Filter) -> Result<Answer, Problem> {
    let limit = ask.number("limit", USUAL, MOST)? as usize;
    let search = asked::search(ask, filter)?;
    let page =
        search.page(&ask.desk.folder()?, asked::cursor(ask)?, limit).map_err(|error| unreadable(&error))?;
    let items: Vec<Value> = page.rows.iter().map(crate::history::Row::to_json).collect();
    let mut answer = json!({
        "items": items,
        "next": page.next.map(|next| next.to_string()),
        "partial": page.partial,
    });
    if !page.unreadable.is_empty() {
        answer["unreadable"] = json!(page.unreadable);
    }
    Ok(Answer::json(&answer))
}

fn facets(ask: &Ask) -> Result<Answer, Problem> {
    let search = asked::search(ask, asked::filter(ask)?)?;
    let found = Facets::of(&search, &ask.desk.folder()?).map_err(|error| unreadable(&error))?;
    Ok(Answer::json(&found.to_json()))
}

fn of_endpoint(ask: &Ask, service: Option<&str>) -> Result<Answer, Problem> {
    let mut filter = asked::filter(ask)?;
    // A name is none but itself: its signs are no wildcards, and no service is not any service.
    filter.host = Some(Glob::Exact(ask.path[0].clone()));
    filter.service = service.map(|service| Glob::Exact(service.to_owned()));
    filter.no_service = service.is_none();
    page_of(ask, filter)
}

fn endpoints(ask: &Ask) -> Result<Answer, Problem> {
    let filter = asked::filter(ask)?;
    let behind = ask.query.get("cursor").unwrap_or_default().to_owned();
    let wanted = Wanted { host: filter.host, service: filter.service, states: filter.states, behind };
    let limit = ask.number("limit", USUAL, MOST)? as usize;
    let (items, more) = series::states(&ask.desk.folder()?, &wanted, limit, Some(asked::is_over(ask)))
        .map_err(|error| unreadable(&error))?;
    let next = items.last().filter(|_| more).map(|last| last["endpointId"].clone());
    Ok(Answer::json(&json!({ "items": items, "next": next })))
}

/// Minutes from point to point.
pub(in crate::web::api) fn step(seconds: Option<u64>, (from, to): (i64, i64)) -> i64 {
    match seconds {
        Some(seconds) => (seconds as i64 / 60).max(1),
        None => ((to - from) / MINUTE / POINTS).max(1),
    }
}

/// What lines there are for.
///
/// # Errors
///
/// 400.
pub(in crate::web::api) fn by(name: &str) -> Result<By, Problem> {
    By::of(name).ok_or_else(|| {
        Problem::wrong(format!("by={}: there are all, state, host and rule", name.escape_debug()))
    })
}

fn of_series(ask: &Ask) -> Result<Answer, Problem> {
    match ask.query.get("metric") {
        None | Some("outcomes") => {}
        Some("messages") => return messages(ask),
        Some(other) => {
            let detail = format!("metric={}: there are outcomes and messages", other.escape_debug());
            return Err(Problem::wrong(detail));
        }
    }
    let by = by(ask.query.get("by").unwrap_or("state"))?;
    let now = ask.desk.status.clock.now().wall.micros();
    let range = asked::range(ask.query.get("from"), ask.query.get("to"), now)?;
    let seconds = ask.query.get("step").map(|_| ask.number("step", 60, 366 * 86_400)).transpose()?;
    let filter = asked::filter(ask)?;
    let of = series::Of { host: filter.host, rule: filter.rule, states: filter.states };
    let (points, _) =
        series::points(&ask.desk.folder()?, by, &of, range, step(seconds, range), Some(asked::is_over(ask)))
            .map_err(|error| unreadable(&error))?;
    let points: Vec<Value> = points
        .into_iter()
        .map(|point| json!({ "time": rfc3339(point.time), "series": point.series, "value": point.value }))
        .collect();
    Ok(Answer::json(&Value::Array(points)))
}

/// What came in the last 60 minutes, by the counters of the daemon.
fn messages(ask: &Ask) -> Result<Answer, Problem> {
    if let Some(name) = ["by", "host", "state", "rule"].into_iter().find(|name| ask.query.get(name).is_some())
    {
        return Err(Problem::wrong(format!("{name}: messages are told apart by what became of them alone")));
    }
    let now = ask.desk.status.clock.now().wall.micros();
    let (from, to) = asked::range(ask.query.get("from"), ask.query.get("to"), now)?;
    let seconds = ask.query.get("step").map(|_| ask.number("step", 60, 366 * 86_400)).transpose()?;
    let step = step(seconds.or(Some(60)), (from, to)) * MINUTE;
    let mut sums: BTreeMap<i64, Counts> = BTreeMap::new();
    for (age, counts) in ask.desk.status.minutes() {
        let time = now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let time = time - time.rem_euclid(step);
        if (from - from.rem_euclid(step)..to).contains(&time) {
            let sum = sums.entry(time).or_default();
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    let points: Vec<Value> = sums
        .into_iter()
        .flat_map(|(time, counts)| {
            let of_each = NAMES.iter().zip(counts);
            of_each.map(move |(name, count)| json!({ "time": rfc3339(time), "series": name, "value": count }))
        })
        .collect();
    Ok(Answer::json(&Value::Array(points)))
}

fn events(ask: &Ask) -> Result<Answer, Problem> {
    let mut filter = asked::filter(ask)?;
    if ask.query.get("changes").is_none() && ask.query.get("kind").is_none() {
        filter.changes = true;
    }
    let limit = ask.number("limit", USUAL, MOST)? as usize;
    let search = asked::search(ask, filter)?;
    let page =
        search.page(&ask.desk.folder()?, asked::cursor(ask)?, limit).map_err(|error| unreadable(&error))?;
    let events: Vec<Value> = page
        .rows
        .iter()
        .map(|row| {
            let (title, tags) = annotation(row);
            json!({ "time": rfc3339(row.time), "timeEnd": null, "title": title, "text": row.output, "tags": tags })
        })
        .collect();
    Ok(Answer::json(&Value::Array(events)))
}

/// The title and the tags of an annotation.
pub(in crate::web::api) fn annotation(row: &crate::history::Row) -> (String, Vec<String>) {
    let of = endpoint_words(row);
    let tags = vec![row.state.as_str().to_owned(), row.rule.clone(), row.host.clone()];
    (format!("{of}: {}", row.state.as_str()), tags)
}

fn endpoint_words(row: &crate::history::Row) -> String {
    match &row.service {
        Some(service) => format!("{} / {service}", row.host),
        None => row.host.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_useful_number_of_points() {
        let day = (0, 86_400_000_000);
        assert_eq!((step(None, day), step(Some(1), day), step(Some(3600), day)), (4, 1, 60));
    }
}
