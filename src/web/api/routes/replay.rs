//! Edited rules and the messages that were captured.

use serde::Deserialize;
use serde_json::json;

use super::mibs::done;
use crate::maker::bounds;
use crate::settings::values::parse_duration;
use crate::web::api::ask::Ask;
use crate::web::api::desk::Job;
use crate::web::api::problem::Problem;
use crate::web::api::route::{Answering, Does, Gives, Method, Route};
use crate::web::api::schema;
use hyper::StatusCode;

/// The longest time, in seconds.
const LONGEST: u64 = 366 * 86_400;

pub(in crate::web::api) const ROUTES: &[Route] = &[Route {
    body: Some(|| schema::only(&["since"], &[("since", schema::text()), ("toml", schema::maybe_text())])),
    gives: Gives::Json(|| {
        schema::with(&[
            ("messages", schema::number()),
            ("from", schema::maybe_text()),
            ("to", schema::maybe_text()),
            ("left_out", schema::number()),
            ("differences", schema::number()),
            ("rules", schema::any()),
        ])
    }),
    ..Route::change(
        Method::Post,
        "/api/v1/rules/replay",
        "Which outcomes edited rules would change, of the messages captured since then, as `trapline test --against`: `toml` in the place of the rules of the console, or the files as they are now",
        Does::Later(replay),
    )
}];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    since: String,
    #[serde(default)]
    toml: Option<String>,
}

fn replay(ask: Ask) -> Answering {
    Box::pin(async move {
        let wanted: Wanted = ask.json()?;
        let seconds = parse_duration(&wanted.since).map(|time| time.as_secs());
        let Some(seconds) = seconds.filter(|seconds| (1..=LONGEST).contains(seconds)) else {
            return Err(Problem::wrong(
                json!({ "since": wanted.since }).to_string() + ": write a time such as 24h",
            ));
        };
        if let Some(text) = &wanted.toml {
            bounds::ALL
                .check(text)
                .map_err(|error| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
        }
        Ok(done(ask.desk.help(Job::Replay { seconds, console: wanted.toml }).await?))
    })
}
