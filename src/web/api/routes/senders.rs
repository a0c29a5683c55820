//! Who sends, and what is muted.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::intake::mute::Covers;
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::problem::Problem;
use crate::web::api::route::{Answering, Does, Gives, Method, Param, Route};
use crate::web::api::schema;

/// The longest mute, in seconds.
const LONGEST: u64 = 366 * 86_400;

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        query: &[Param {
            name: "silent",
            says: "seconds: the known hosts that no message was about for so long, or ever, in the place of senders",
        }],
        ..Route::get(
            "/api/v1/senders",
            "Who sends, who is refused and what would let them in",
            Does::Blocking(senders),
        )
    },
    Route {
        gives: Gives::Json(|| schema::with(&[("mutes", schema::list(schema::object()))])),
        ..Route::get(
            "/api/v1/mutes",
            "The mutes, and what they have muted so far",
            Does::Blocking(|ask| {
                let (mutes, now) = (&ask.desk.status.shared.commit.mutes, ask.desk.status.clock.now());
                Ok(Answer::json(&mutes.to_json(now.wall)))
            }),
        )
    },
    Route {
        body: Some(|| {
            let covers = schema::only(
                &[],
                &[
                    ("host", schema::maybe_text()),
                    ("service", schema::maybe_text()),
                    ("rule", schema::maybe_text()),
                    ("sinks", schema::list(schema::text())),
                    ("reason", schema::text()),
                ],
            );
            schema::only(
                &["covers", "seconds"],
                &[
                    ("covers", covers),
                    ("seconds", json!({ "type": "integer", "minimum": 1, "maximum": LONGEST })),
                    ("everything", schema::flag()),
                ],
            )
        }),
        ..Route::change(Method::Post, "/api/v1/mutes", "Mute, as `trapline mute`", Does::Later(mute))
    },
    Route::change(
        Method::Delete,
        "/api/v1/mutes/{id}",
        "End a mute; the last state of what was muted is sent now",
        Does::Later(end),
    ),
];

fn senders(ask: &Ask) -> Result<Answer, Problem> {
    let status = &ask.desk.status;
    Ok(Answer::json(&match ask.query.get("silent") {
        None => status.senders_to_json(),
        Some(text) => {
            let seconds = text.parse().map_err(|_| Problem::wrong("silent is a number of seconds"))?;
            status.silent_to_json(Duration::from_secs(seconds))
        }
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMute {
    covers: NewCovers,
    seconds: u64,
    #[serde(default)]
    everything: bool,
}

/// What may be asked for. A key that is not known narrows nothing, so that more would be muted than is meant. What is kept on disk may
/// have others, of a later version.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NewCovers {
    host: Option<String>,
    service: Option<String>,
    rule: Option<String>,
    sinks: Vec<String>,
    reason: String,
}

impl From<NewCovers> for Covers {
    fn from(new: NewCovers) -> Self {
        let NewCovers { host, service, rule, sinks, reason } = new;
        Covers { host, service, rule, sinks, reason }
    }
}

fn mute(ask: Ask) -> Answering {
    Box::pin(async move {
        let new: NewMute = ask.json()?;
        let covers = Covers::from(new.covers);
        if !(1..=LONGEST).contains(&new.seconds) {
            return Err(Problem::wrong(format!("seconds is a number from 1 to {LONGEST}")));
        }
        if let Some(key) = covers.empty() {
            let hint = "write names, or leave it out to mute them all";
            return Err(Problem::wrong(format!("'{key}' is empty, and no name is; {hint}")));
        }
        if covers.is_everything() && !new.everything {
            return Err(Problem::wrong("say which host, service or rule; or \"everything\":true"));
        }
        if new.everything && !covers.is_everything() {
            let what = "\"everything\":true goes with no host, service or rule";
            return Err(Problem::wrong(format!("{what}; leave it out to mute what these name")));
        }
        let request = json!({ "command": "mute", "covers": covers, "seconds": new.seconds });
        Ok(Answer::json(&ask.desk.control(request).await?))
    })
}

fn end(ask: Ask) -> Answering {
    Box::pin(async move {
        let id: u64 = ask.path[0].parse().map_err(|_| Problem::absent("there is no mute of this number"))?;
        let ended = ask.desk.control(json!({ "command": "end_mutes", "ids": [id] })).await?;
        if ended["ended"] == 0 {
            return Err(Problem::absent("there is no mute of this number; GET /api/v1/mutes"));
        }
        Ok(Answer::json(&ended))
    })
}
