//! Dead letters: what a far end will never take.

use std::io;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::sinks::dead::{DeadLetters, Letter, Taken};
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::problem::Problem;
use crate::web::api::role::Role;
use crate::web::api::route::{Does, Gives, Method, Param, Route};
use crate::web::api::schema;

/// The most letters of a page, and how many there are unless told.
const MOST: u64 = 1000;
const USUAL: u64 = 100;

fn chosen() -> Value {
    schema::only(&[], &[("ids", schema::list(schema::text())), ("all", schema::flag())])
}

fn count() -> Value {
    schema::with(&[("ok", schema::flag()), ("count", schema::number()), ("unsendable", schema::number())])
}

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        role: Role::Operate,
        query: &[
            Param { name: "limit", says: "how many at most, up to 1000; 100 unless told" },
            Param { name: "cursor", says: "`next` of the page before" },
        ],
        gives: Gives::Json(|| {
            schema::with(&[
                ("items", schema::list(schema::object())),
                ("next", schema::maybe_text()),
                ("total", schema::number()),
                ("retrying", schema::number()),
            ])
        }),
        ..Route::get(
            "/api/v1/sinks/{name}/dead",
            "The dead letters of a sink, the oldest first",
            Does::Blocking(list),
        )
    },
    Route {
        body: Some(chosen),
        gives: Gives::Json(count),
        ..Route::change(
            Method::Post,
            "/api/v1/sinks/{name}/dead/retry",
            "Send dead letters again: those of these ids, or all",
            Does::Blocking(|ask| take(ask, true)),
        )
    },
    Route {
        body: Some(chosen),
        gives: Gives::Json(count),
        ..Route::change(
            Method::Post,
            "/api/v1/sinks/{name}/dead/drop",
            "Forget dead letters: those of these ids, or all",
            Does::Blocking(|ask| take(ask, false)),
        )
    },
];

fn failed(error: &io::Error) -> Problem {
    Problem::unavailable(format!("the dead letters cannot be used: {error}; check the disk"))
}

/// The letters of a sink that is configured or has some.
fn letters(ask: &Ask) -> Result<(DeadLetters, bool), Problem> {
    let (name, status) = (&ask.path[0], &ask.desk.status);
    let directory = status.shared.journal.directory();
    let configured = status.sinks().iter().any(|sink| sink.name == *name);
    if !configured && !DeadLetters::sinks(directory).map_err(|error| failed(&error))?.contains(name) {
        return Err(Problem::absent(format!(
            "there is no sink '{}'; GET /api/v1/sinks",
            name.escape_debug()
        )));
    }
    Ok((DeadLetters::new(directory, name), configured))
}

fn list(ask: &Ask) -> Result<Answer, Problem> {
    let (dead, _) = letters(ask)?;
    let limit = ask.number("limit", USUAL, MOST)? as usize;
    let all = dead.list().map_err(|error| failed(&error))?;
    let from = match ask.query.get("cursor") {
        None => 0,
        // One that is gone: the letters behind it are not known, so it begins anew.
        Some(id) => all.iter().position(|letter| letter.id() == id).map_or(0, |at| at + 1),
    };
    let page: Vec<&Letter> = all.iter().skip(from).take(limit).collect();
    let next = page.last().filter(|_| from + page.len() < all.len()).map(|letter| letter.id().to_owned());
    let items: Vec<Value> = page
        .iter()
        .map(|letter| {
            let mut item = letter.as_json().clone();
            item["id"] = letter.id().into();
            item
        })
        .collect();
    let retrying = dead.retrying().map_err(|error| failed(&error))?.len();
    Ok(Answer::json(&json!({ "items": items, "next": next, "total": all.len(), "retrying": retrying })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    all: bool,
}

fn take(ask: &Ask, retry: bool) -> Result<Answer, Problem> {
    let chosen: Chosen = ask.json()?;
    if chosen.all != chosen.ids.is_empty() {
        return Err(Problem::wrong("say which: {\"ids\":[...]} or {\"all\":true}"));
    }
    let (dead, configured) = letters(ask)?;
    if retry && !configured {
        return Err(Problem::wrong("this sink is not configured, so nothing can be sent; add it and reload"));
    }
    let of = |letter: &Letter| chosen.all || chosen.ids.iter().any(|id| id == letter.id());
    let Taken { count, unsendable } = dead.take(retry, of).map_err(|error| failed(&error))?;
    if let Some(sink) = ask.desk.status.sinks().iter().find(|sink| sink.name == ask.path[0] && count > 0) {
        sink.look_at_letters();
    }
    Ok(Answer::json(&json!({ "ok": true, "count": count, "unsendable": unsendable })))
}
