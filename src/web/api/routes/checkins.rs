//! Services that report by themselves.

use serde_json::{Value, json};

use crate::intake::http::site::Service;
use crate::time::clock::Now;
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::problem::Problem;
use crate::web::api::route::{Does, Gives, Route};
use crate::web::api::schema;

pub(in crate::web::api) const ROUTES: &[Route] = &[Route {
    gives: Gives::Json(|| schema::with(&[("checkins", schema::list(schema::object()))])),
    ..Route::get(
        "/api/v1/checkins",
        "The services that check in, by name, with their last reports",
        // The last reports are read from a file when they are first asked for.
        Does::Blocking(checkins),
    )
}];

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn checkins(ask: &Ask) -> Result<Answer, Problem> {
    let status = &ask.desk.status;
    let (active, now) = (status.shared.active(), status.clock.now());
    let mut all: Vec<(&String, Value)> = Vec::new();
    for (_, site) in &active.http.0 {
        all.extend(site.checkins.iter().map(|(name, service)| (name, of_service(ask, name, service, now))));
    }
    all.sort_by_key(|(name, _)| *name);
    let all: Vec<Value> = all.into_iter().map(|(_, service)| service).collect();
    Ok(Answer::json(&json!({ "checkins": all })))
}

fn of_service(ask: &Ask, name: &str, service: &Service, now: Now) -> Value {
    let last = ask.desk.status.shared.latest.of(name, now);
    let known = service.known(last.as_ref(), now.mono);
    json!({
        "service": name,
        "host": service.host,
        "state": known.state.as_str(),
        "output": known.output,
        "age": known.age.map(|age| age.as_secs()),
        "late": known.late,
        "received": last.map(|last| last.at.wall.to_string()),
        "timeout_seconds": service.timeout.map(|timeout| timeout.as_secs()),
    })
}
