//! From a request to its answer: which route, who asks, whether they may.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, StatusCode};

use super::access::Refused;
use super::answer::Answer;
use super::ask::Ask;
use super::audit;
use super::caller::Demand;
use super::desk::Desk;
use super::origin::Kind;
use super::problem::Problem;
use super::role::Role;
use super::route::{Cost, Does, Method, Route};
use super::table;
use crate::web::query::Query;

/// The longest body of a request, in octets.
const LONGEST: usize = 1 << 20;
/// The longest file that is uploaded, in octets, and how long it may take to come.
const UPLOAD: usize = 32 << 20;
const UPLOADING: Duration = Duration::from_mins(1);
/// How long a body may take to come.
const BODY: Duration = Duration::from_secs(10);
/// How long a lock, the disk or a database may keep an answer waiting.
const PATIENCE: Duration = Duration::from_secs(8);

/// The name of the audit among what is wrong with the daemon.
const AUDIT: &str = "the audit of the API";

/// Where a request came in.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    /// Who is at the other end.
    pub address: IpAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

/// The answer to a request.
pub async fn answer(request: Request<Incoming>, desk: Arc<Desk>, door: Door) -> Answer {
    match answered(request, desk, door).await {
        Ok(answer) => answer,
        Err(problem) => problem.into(),
    }
}

async fn answered(mut request: Request<Incoming>, desk: Arc<Desk>, door: Door) -> Result<Answer, Problem> {
    let (route, path) = table::find(request.method(), request.uri().path())?;
    let upgrade = route.opens.then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let now = desk.status.clock.now();
    desk.freshen(now).await;
    let asked = Asked {
        desk: desk.clone(),
        route,
        address: door.address,
        path: head.uri.path().to_owned(),
        time: is_change(route).then(|| now.wall.micros()),
    };
    let caller = match desk.access.caller(demand(route), &head.headers, door.address, now) {
        Ok(caller) => caller,
        Err(Refused { problem, is_wrong }) => {
            if is_wrong {
                let _ = asked.note(None, Some(problem.status)).await;
            }
            return Err(problem);
        }
    };
    let query = Query::parse(head.uri.query().unwrap_or_default()).map_err(Problem::wrong)?;
    known(route, &query)?;
    let mut upload = None;
    let body = match route.body {
        Some(_) if route.cost == Cost::Upload => {
            // Before it is read: bodies of this size are held one at a time.
            upload = Some(desk.access.at_once.upload()?);
            read(body, route.cost).await?
        }
        Some(_) => read(body, route.cost).await?,
        None => Bytes::new(),
    };
    // Not before: who sends slowly has no place of others.
    let place = desk.access.at_once.take(route.cost, caller.hash.unwrap_or_default()).await?;
    let who = (caller.token.clone(), caller.role);
    let ask =
        Ask { desk, caller, secure: door.secure, path, query, fields: head.headers, body, upgrade, place };
    if is_change(route) && asked.note(Some(who.clone()), None).await.is_err() {
        return Err(Problem::unavailable(
            "nothing is changed, as the audit cannot be written: check the disk of the journal directory",
        ));
    }
    let done = run(route, ask).await;
    drop(upload);
    let status = done.as_ref().map_or_else(|problem| problem.status, |answer| answer.status);
    if is_noted(route, status) {
        let login = done.as_ref().ok().and_then(|answer| answer.login.clone());
        // What was changed is changed; its announcement is there.
        let _ = asked.note(Some(login.map_or(who, |(name, role)| (Some(name), role))), Some(status)).await;
    }
    done
}

fn demand(route: &Route) -> Demand {
    let kind = match (route.method, route.cost) {
        (Method::Post, Cost::Login) => Kind::LogsIn,
        (Method::Get, _) if route.opens => Kind::Opens,
        (Method::Get, _) => Kind::Reads,
        _ => Kind::Changes,
    };
    Demand { role: route.role, local: route.local, kind, has_body: route.body.is_some() }
}

/// Whether a request goes into the audit. Who has no token yet can fill it with wrong tokens alone, and of those only few are judged.
fn is_noted(route: &Route, status: StatusCode) -> bool {
    let is_login = route.cost == Cost::Login && matches!(status, StatusCode::OK | StatusCode::UNAUTHORIZED);
    is_login || is_change(route)
}

/// Whether a request may change something: it is announced in the audit before it is carried out.
fn is_change(route: &Route) -> bool {
    route.method != Method::Get && route.role >= Role::Operate
}

/// What goes into the audit.
struct Asked {
    desk: Arc<Desk>,
    route: &'static Route,
    address: IpAddr,
    path: String,
    /// When, in microseconds since 1970 UTC; none for what is noted once.
    time: Option<i64>,
}

impl Asked {
    /// Writes an entry; the error is logged.
    async fn note(&self, who: Option<(Option<String>, Role)>, status: Option<StatusCode>) -> Result<(), ()> {
        let health = self.desk.status.health.clone();
        let (desk, address, path) = (self.desk.clone(), self.address, self.path.clone());
        let (method, asked) = (self.route.method.as_str(), self.time);
        let noted = tokio::task::spawn_blocking(move || {
            let (token, role) = who.unwrap_or((None, Role::Open));
            let entry = audit::Entry {
                token: token.as_deref(),
                role: role.as_str(),
                address,
                method,
                path: &path,
                status: status.map(|status| status.as_u16()),
                asked,
            };
            let folder = desk.access.folder()?;
            audit::append(&folder, desk.status.clock.now().wall, &entry)
        });
        match noted.await {
            Ok(Ok(())) => {
                health.recovered(AUDIT);
                return Ok(());
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the audit of the API cannot be written; check the disk of the journal directory");
                let why = format!("cannot be written: {error}; check the disk of the journal directory");
                health.failed(AUDIT, why);
            }
            Err(_) => health.failed(AUDIT, "cannot be written; see the log".to_owned()),
        }
        Err(())
    }
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

async fn read(body: Incoming, cost: Cost) -> Result<Bytes, Problem> {
    let (longest, patience) = if cost == Cost::Upload { (UPLOAD, UPLOADING) } else { (LONGEST, BODY) };
    let limited = Limited::new(body, longest).collect();
    match tokio::time::timeout(patience, limited).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("this body has at most {longest} octets"),
        )),
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
                Err(_) => Err(Problem::unavailable(format!(
                    "no answer within {} s: a disk is stuck, or the machine is busy; `trapline status` says more",
                    PATIENCE.as_secs()
                ))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_without_a_token_fills_the_audit() {
        for route in table::all().filter(|route| route.role == Role::Open) {
            for status in [400, 403, 413, 415, 429, 503] {
                assert!(!is_noted(route, StatusCode::from_u16(status).unwrap()), "{} {status}", route.path);
            }
        }
        let (login, _) = table::find(&hyper::Method::POST, "/api/v1/session").unwrap();
        assert!(is_noted(login, StatusCode::OK) && is_noted(login, StatusCode::UNAUTHORIZED));
        let (reload, _) = table::find(&hyper::Method::POST, "/api/v1/reload").unwrap();
        assert!(is_noted(reload, StatusCode::UNPROCESSABLE_ENTITY));
    }
}
