//! From a request to its answer: which route, who asks, whether they may.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, StatusCode};

use super::answer::Answer;
use super::ask::{Ask, Caller};
use super::desk::Desk;
use super::problem::Problem;
use super::role::Role;
use super::route::{Does, Route};
use super::table;
use crate::web::query::Query;

/// The longest body of a request, in octets.
const LONGEST: usize = 1 << 20;
/// How long a body may take to come.
const BODY: Duration = Duration::from_secs(10);
/// How long a lock, the disk or a database may keep an answer waiting.
const PATIENCE: Duration = Duration::from_secs(8);

/// The answer to a request.
pub async fn answer(request: Request<Incoming>, desk: Arc<Desk>, address: IpAddr) -> Answer {
    match answered(request, desk, address).await {
        Ok(answer) => answer,
        Err(problem) => problem.into(),
    }
}

async fn answered(request: Request<Incoming>, desk: Arc<Desk>, address: IpAddr) -> Result<Answer, Problem> {
    let (route, path) = table::find(request.method(), request.uri().path())?;
    let caller = Caller { token: None, role: Role::Admin, address, by_cookie: false };
    let query = Query::parse(request.uri().query().unwrap_or_default()).map_err(Problem::wrong)?;
    known(route, &query)?;
    let (head, body) = request.into_parts();
    let body = match route.body {
        Some(_) => read(body).await?,
        None => Bytes::new(),
    };
    run(route, Ask { desk, caller, path, query, fields: head.headers, body }).await
}

/// Refuses parameters that a route does not know: a misspelled filter would find too much.
fn known(route: &Route, query: &Query) -> Result<(), Problem> {
    let is_known = |name: &str| route.query.iter().any(|param| param.name == name);
    match query.0.iter().find(|(name, _)| !is_known(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let all: Vec<&str> = route.query.iter().map(|param| param.name).collect();
            let there = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            Err(Problem::wrong(format!("unknown parameter '{}'; there are: {there}", name.escape_debug())))
        }
    }
}

async fn read(body: Incoming) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, LONGEST).collect();
    match tokio::time::timeout(BODY, limited).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {LONGEST} octets")))
        }
        Ok(Err(_)) => Err(Problem::wrong("the body has ended early")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body does not come")),
    }
}

async fn run(route: &'static Route, ask: Ask) -> Result<Answer, Problem> {
    match route.does {
        Does::Now(does) => does(&ask),
        Does::Later(does) => does(ask).await,
        Does::Blocking(does) => {
            let running = tokio::task::spawn_blocking(move || does(&ask));
            match tokio::time::timeout(PATIENCE, running).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the daemon has failed to answer; see its log",
                )),
                Err(_) => Err(Problem::unavailable("the daemon waits for a disk; is it stuck?")),
            }
        }
    }
}
