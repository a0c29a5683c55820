//! Sessions, tokens, the audit.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::SET_COOKIE;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::web::api::access::Refused;
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::audit;
use crate::web::api::problem::Problem;
use crate::web::api::role::Role;
use crate::web::api::route::{Cost, Does, Gives, Method, Param, Route};
use crate::web::api::schema;
use crate::web::api::sessions::COOKIE;
use crate::web::api::tokens::{self, TokenError};

/// The longest life of a token.
const LONGEST: u64 = 10 * 366 * 24 * 3600;
/// The most entries of the audit in an answer.
const MOST: u64 = 10_000;

fn who() -> Value {
    schema::with(&[("role", schema::text()), ("token", schema::maybe_text())])
}

fn token() -> Value {
    schema::with(&[
        ("name", schema::text()),
        ("role", schema::text()),
        ("created", schema::text()),
        ("expires", schema::maybe_text()),
    ])
}

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        role: Role::Open,
        cost: Cost::Login,
        body: Some(|| schema::only(&["token"], &[("token", schema::text())])),
        gives: Gives::Json(who),
        ..Route::change(
            Method::Post,
            "/api/v1/session",
            "Begin a session: a token is exchanged for a cookie",
            Does::Blocking(begin),
        )
    },
    Route { gives: Gives::Json(who), ..Route::get("/api/v1/session", "Who asks", Does::Now(asks)) },
    Route {
        role: Role::Open,
        gives: Gives::Nothing,
        ..Route::change(Method::Delete, "/api/v1/session", "End the session", Does::Blocking(end))
    },
    Route {
        role: Role::Admin,
        gives: Gives::Json(|| schema::with(&[("tokens", schema::list(token()))])),
        ..Route::get("/api/v1/tokens", "The tokens, without their secrets", Does::Now(list))
    },
    Route {
        role: Role::Admin,
        body: Some(|| {
            schema::only(
                &["name", "role"],
                &[
                    ("name", schema::text()),
                    ("role", json!({ "enum": ["read", "operate", "admin"] })),
                    (
                        "expires_seconds",
                        json!({ "type": ["integer", "null"], "minimum": 1, "maximum": LONGEST }),
                    ),
                ],
            )
        }),
        gives: Gives::Json(|| {
            schema::with(&[("name", schema::text()), ("role", schema::text()), ("token", schema::text())])
        }),
        ..Route::change(
            Method::Post,
            "/api/v1/tokens",
            "Add a token. Its secret is shown this once",
            Does::Blocking(add),
        )
    },
    Route {
        role: Role::Admin,
        gives: Gives::Nothing,
        ..Route::change(
            Method::Delete,
            "/api/v1/tokens/{name}",
            "Remove a token, and end the sessions that were begun with it",
            Does::Blocking(remove),
        )
    },
    Route {
        role: Role::Admin,
        query: &[Param { name: "limit", says: "how many entries at most; 1000 unless told" }],
        gives: Gives::Json(|| schema::with(&[("items", schema::list(schema::object()))])),
        ..Route::get("/api/v1/audit", "Who has changed what, the newest first", Does::Blocking(audit_log))
    },
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

fn begin(ask: &Ask) -> Result<Answer, Problem> {
    let login: Login = ask.json()?;
    let now = ask.desk.status.clock.now();
    let caller = ask
        .desk
        .access
        .by_token(login.token.trim(), ask.caller.address, now)
        .map_err(|Refused { problem, .. }| problem)?;
    let failed = |_| Problem::unavailable("the system has no random numbers");
    let cookie = ask.desk.access.begin(caller.hash.unwrap_or_default(), now).map_err(failed)?;
    let secure = if ask.secure { "; Secure" } else { "" };
    let answer = Answer::json(&json!({ "role": caller.role.as_str(), "token": caller.token }));
    let answer =
        answer.with(SET_COOKIE, &format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}"));
    Ok(Answer { login: caller.token.map(|name| (name, caller.role)), ..answer })
}

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn asks(ask: &Ask) -> Result<Answer, Problem> {
    Ok(Answer::json(&json!({ "role": ask.caller.role.as_str(), "token": ask.caller.token })))
}

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn end(ask: &Ask) -> Result<Answer, Problem> {
    ask.desk.access.end(&ask.fields, ask.desk.status.clock.now());
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok(Answer::done().with(SET_COOKIE, &gone))
}

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn list(ask: &Ask) -> Result<Answer, Problem> {
    let now = ask.desk.status.clock.now().mono;
    let tokens = ask.desk.access.tokens().into_iter().map(|(token, used)| {
        let mut json = token.to_json();
        json["used_seconds_ago"] = used.map(|used| now.since(used).as_secs()).into();
        json
    });
    Ok(Answer::json(&json!({ "tokens": tokens.collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    role: String,
    expires_seconds: Option<u64>,
}

fn problem(error: TokenError) -> Problem {
    let status = match error {
        TokenError::File(_) | TokenError::Locked(_) => StatusCode::SERVICE_UNAVAILABLE,
        TokenError::Name(_) => StatusCode::BAD_REQUEST,
        TokenError::There(_) | TokenError::Full => StatusCode::CONFLICT,
        TokenError::Absent(_) => StatusCode::NOT_FOUND,
    };
    Problem::new(status, error.to_string())
}

fn add(ask: &Ask) -> Result<Answer, Problem> {
    let new: NewToken = ask.json()?;
    let role = Role::of_token(&new.role).ok_or_else(|| {
        Problem::wrong(format!("'{}' is no role; there are read, operate and admin", new.role.escape_debug()))
    })?;
    if new.expires_seconds.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
        return Err(Problem::wrong(format!("expires_seconds is a number from 1 to {LONGEST}")));
    }
    let folder = ask.desk.access.folder().map_err(|error| problem(error.into()))?;
    let now = ask.desk.status.clock.now();
    let lasts = new.expires_seconds.map(Duration::from_secs);
    let secret = tokens::add(&folder, &new.name, role, now.wall, lasts).map_err(problem)?;
    ask.desk.access.refresh(now);
    Ok(Answer::json(&json!({ "name": new.name, "role": new.role, "token": secret })))
}

fn remove(ask: &Ask) -> Result<Answer, Problem> {
    let folder = ask.desk.access.folder().map_err(|error| problem(error.into()))?;
    tokens::remove(&folder, &ask.path[0]).map_err(problem)?;
    ask.desk.access.refresh(ask.desk.status.clock.now());
    Ok(Answer::done())
}

fn audit_log(ask: &Ask) -> Result<Answer, Problem> {
    let most = ask.number("limit", 1000, MOST)?;
    let read = ask.desk.access.folder().and_then(|folder| audit::last(&folder, most as usize));
    let entries = read.map_err(|error| Problem::unavailable(format!("the audit cannot be read: {error}")))?;
    Ok(Answer::json(&json!({ "items": entries })))
}
