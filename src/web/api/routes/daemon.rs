//! The daemon: its status, its sinks, its rules, a reload.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::time::clock::rfc3339;
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::problem::Problem;
use crate::web::api::route::{Answering, Does, Gives, Method, Route};
use crate::web::api::schema;

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/status",
        "What the daemon does, as `trapline status --json`",
        Does::Blocking(|ask| Ok(Answer::json(&ask.desk.status.to_json()))),
    ),
    Route {
        gives: Gives::Json(|| schema::with(&[("sinks", schema::list(schema::object()))])),
        ..Route::get(
            "/api/v1/sinks",
            "The sinks: what they have delivered, how far they are behind, their last error",
            Does::Blocking(sinks),
        )
    },
    Route {
        gives: Gives::Json(|| schema::with(&[("rules", schema::list(schema::object()))])),
        ..Route::get(
            "/api/v1/rules",
            "The rules in force, in the order in which they are tried, and how often each has matched",
            Does::Now(rules),
        )
    },
    Route::change(
        Method::Post,
        "/api/v1/reload",
        "Reload the configuration, as `trapline reload`",
        Does::Later(reload),
    ),
];

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn sinks(ask: &Ask) -> Result<Answer, Problem> {
    let mut status = ask.desk.status.to_json();
    let (mut sinks, others) = (status["sinks"].take(), status["unconfigured_sinks"].take());
    for sink in sinks.as_array_mut().into_iter().flatten() {
        sink["configured"] = true.into();
    }
    let others = others.as_array().cloned().unwrap_or_default().into_iter().map(|mut sink| {
        sink["configured"] = false.into();
        sink
    });
    let all: Vec<Value> = sinks.as_array().cloned().unwrap_or_default().into_iter().chain(others).collect();
    Ok(Answer::json(&json!({ "sinks": all })))
}

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn rules(ask: &Ask) -> Result<Answer, Problem> {
    let active = ask.desk.status.shared.active();
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let rules: Vec<Value> = active
        .rules
        .rules()
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "file": &*rule.file,
                "line": rule.line,
                "tests": rule.tests,
                "matched": get(&rule.match_count),
                "last": Some(rule.last_match.load(Ordering::Relaxed)).filter(|last| *last != 0).map(rfc3339),
                "render_errors": get(&rule.render_failures),
                "over_budget": get(&rule.over_budget),
            })
        })
        .collect();
    Ok(Answer::json(&json!({ "rules": rules })))
}

fn reload(ask: Ask) -> Answering {
    Box::pin(async move { Ok(Answer::json(&ask.desk.control(json!({ "command": "reload" })).await?)) })
}
