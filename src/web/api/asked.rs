//! What queries ask of the history.

use std::sync::Arc;
use std::time::Duration;

use super::ask::Ask;
use super::problem::Problem;
use super::route::Param;
use crate::history::filter::time;
use crate::history::search::IsOver;
use crate::history::{Filter, Search};

/// How long a search may take.
const LONGEST: Duration = Duration::from_secs(2);

/// What filters take.
pub const FILTER: &[Param] = &[
    Param {
        name: "from",
        says: "received at this time or later: RFC 3339, or seconds or milliseconds since 1970",
    },
    Param { name: "to", says: "received before this time" },
    Param {
        name: "q",
        says: "words, each at the beginning of a word in output, host, service, labels or fields",
    },
    Param { name: "host", says: "the host or component, with the wildcards * and ?" },
    Param { name: "service", says: "the service or resource, with the wildcards * and ?" },
    Param { name: "source", says: "the address that the message came from, with the wildcards * and ?" },
    Param { name: "state", says: "states with commas between" },
    Param { name: "rule", says: "the id of the rule, with the wildcards * and ?" },
    Param { name: "kind", says: "check_result or event" },
    Param {
        name: "changes",
        says: "1 for changes of state only, and the first outcome of each host and service",
    },
    Param { name: "untold", says: "1 for messages that made no outcome, too" },
    Param {
        name: "why",
        says: "only what nobody was told of for one of these reasons, with commas between, such as held, duplicate or muted",
    },
    Param { name: "order", says: "desc, the newest first, or asc" },
    Param { name: "limit", says: "how many at most, up to 1000; 100 unless told" },
    Param { name: "cursor", says: "`next` of the page before" },
];

/// The filter of a query; parameters that are no part of a filter are left to others.
///
/// # Errors
///
/// 400.
pub fn filter(ask: &Ask) -> Result<Filter, Problem> {
    let mut filter = Filter::default();
    for (name, value) in &ask.query.0 {
        if !value.is_empty() {
            filter.set(name, value).map_err(Problem::wrong)?;
        }
    }
    Ok(filter)
}

/// Says whether a search has taken too long.
pub fn is_over(ask: &Ask) -> IsOver {
    let clock = ask.desk.status.clock.clone();
    let end = clock.now().mono + LONGEST;
    Arc::new(move || clock.now().mono >= end)
}

/// The search of a query.
///
/// # Errors
///
/// 400.
pub fn search(ask: &Ask, filter: Filter) -> Result<Search, Problem> {
    let oldest_first = match ask.query.get("order") {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(other) => {
            return Err(Problem::wrong(format!("order={} is neither asc nor desc", other.escape_debug())));
        }
    };
    Ok(Search { filter, oldest_first, is_over: Some(is_over(ask)) })
}

/// The key behind which a page begins.
///
/// # Errors
///
/// 400.
pub fn cursor(ask: &Ask) -> Result<Option<i64>, Problem> {
    let wrong = |_| Problem::wrong("the cursor is none of this server; ask without it for the first page");
    ask.query.get("cursor").map(|text| text.parse().map_err(wrong)).transpose()
}

/// A range of time in microseconds; without its ends the last day.
///
/// # Errors
///
/// 400.
pub fn range(from: Option<&str>, to: Option<&str>, now: i64) -> Result<(i64, i64), Problem> {
    const DAY: i64 = 86_400_000_000;
    let of = |text: Option<&str>| text.map(|text| time(text).map_err(Problem::wrong)).transpose();
    let to = of(to)?.unwrap_or(now);
    let from = of(from)?.unwrap_or_else(|| to.saturating_sub(DAY));
    if from >= to {
        return Err(Problem::wrong("the range is empty: 'from' is not before 'to'"));
    }
    Ok((from, to))
}
