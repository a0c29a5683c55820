//! Requests and their answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{
    ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::inbound::places::Place;
use crate::intake::http::site::{Hook, Site};
use crate::intake::informs::Known;
use crate::intake::listener::Transport;
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::Shared;
use crate::intake::storm_buckets::Tap;
use crate::peer::Peer;
use crate::posted::checkin::{self, CheckIn};
use crate::posted::events::{Event, Format, Mistake};
use crate::posted::form;
use crate::sys::Arrival;
use crate::time::clock::rfc3339;

/// How long the body of a request may take.
const BODY: Duration = Duration::from_secs(20);
/// How long a sender is asked to wait while the journal refuses outcomes, in seconds.
const LATER: &str = "5";
/// What browsers say of a request (Fetch Metadata Request Headers).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where clients of Canopsis have their key.
const CANOPSIS_KEY: HeaderName = HeaderName::from_static("x-canopsis-authkey");

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers the requests of one connection.
pub(super) struct Desk {
    at: Arc<Transport>,
    peer: Peer,
    shared: Arc<Shared>,
    place: Option<Place>,
    pipeline: Mutex<Pipeline>,
    /// How much the sender may send.
    sent: Mutex<Tap>,
}

/// Why a request is not taken.
struct Refused {
    status: StatusCode,
    /// The word by which it is counted.
    reason: &'static str,
    /// What the sender is told.
    why: String,
}

impl Refused {
    fn new(status: StatusCode, reason: &'static str, why: impl Into<String>) -> Self {
        Refused { status, reason, why: why.into() }
    }
}

impl Desk {
    pub(super) fn new(
        at: Arc<Transport>,
        peer: Peer,
        shared: Arc<Shared>,
        place: Option<Place>,
        pipeline: Pipeline,
    ) -> Self {
        Desk { at, peer, shared, place, pipeline: Mutex::new(pipeline), sent: Mutex::default() }
    }

    /// The answer to a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        if let Some(place) = &self.place {
            place.heard(self.shared.now().mono);
        }
        let Some(site) = self.shared.active().http.of(&self.at).cloned() else {
            // A reload has removed its listener, which ends with its connections.
            return later("this listener ends");
        };
        match self.routed(&site, request).await {
            Ok(answer) => answer,
            Err(refused) => {
                self.say(&refused);
                let mut answer = text(refused.status, format!("{}\n", refused.why));
                if refused.status == StatusCode::UNAUTHORIZED {
                    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                answer
            }
        }
    }

    async fn routed(&self, site: &Site, request: Request<Incoming>) -> Result<Answer, Refused> {
        let from = self.peer.ip();
        if !self.peer.is_local() && !site.allows(from) {
            let why = "this address may not send; see allow of [[intake]]";
            return Err(Refused::new(StatusCode::FORBIDDEN, "source", why));
        }
        let (head, path) = (request.headers(), request.uri().path().to_owned());
        if head.contains_key(ORIGIN) || head.contains_key(FETCH_SITE) {
            let why = "pages in browsers may not send or ask";
            return Err(Refused::new(StatusCode::FORBIDDEN, "browser", why));
        }
        match (request.method(), path.as_str()) {
            (&Method::GET | &Method::HEAD, "/alive") => Ok(text(StatusCode::OK, "alive\n".to_owned())),
            (&Method::GET | &Method::HEAD, path) if path.starts_with("/state/") => {
                let name = &path["/state/".len()..];
                self.state(site, name, request.headers())
            }
            (&Method::POST, "/") => self.check_in(site, request).await,
            (method, path)
                if let Some(hook) =
                    site.hooks.iter().find(|hook| hook.paths.iter().any(|own| own == path)) =>
            {
                if *method != Method::POST {
                    return Ok(only("POST"));
                }
                self.events(site, hook, request).await
            }
            (_, "/") => Ok(only("POST")),
            (_, path) if path == "/alive" || path.starts_with("/state/") => Ok(only("GET, HEAD")),
            _ => {
                let known = "not here; POST a check-in to /, and GET /alive or /state/SERVICE";
                Ok(text(StatusCode::NOT_FOUND, format!("{known}\n")))
            }
        }
    }

    /// How a service is, by its last report.
    fn state(&self, site: &Site, name: &str, head: &HeaderMap) -> Result<Answer, Refused> {
        let name = form::decoded(name, false)
            .map_err(|why| Refused::new(StatusCode::BAD_REQUEST, "malformed", why))?;
        let (token, from) = (bearer(head), self.peer.ip());
        let reads = site.reads(from) || (from.is_loopback() && names_this_machine(head));
        let Some(service) = site.readable(&name, token, reads) else {
            let why =
                "there is no such service, or it may not be asked for from here; see readers of [[intake]]";
            return Err(Refused::new(StatusCode::UNAUTHORIZED, "token", why));
        };
        let now = self.shared.now();
        let last = self.shared.latest.of(&name, now);
        let known = service.known(last.as_ref(), now.mono);
        let body = json!({
            "service": name,
            "state": known.state.as_str(),
            "output": known.output,
            "age": known.age.map(|age| age.as_secs()),
            "late": known.late,
            "received": last.map(|last| rfc3339(last.at.wall.micros())),
        });
        let mut answer = text(StatusCode::OK, format!("{body}\n"));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(answer)
    }

    /// A service reports.
    async fn check_in(&self, site: &Site, request: Request<Incoming>) -> Result<Answer, Refused> {
        let by_header = bearer(request.headers()).map(str::to_owned);
        let body = self.body(site, request).await?;
        let checkin = checkin::read(&body)
            .map_err(|mistake| Refused::new(StatusCode::BAD_REQUEST, "malformed", mistake.to_string()))?;
        let token = checkin.token.as_ref().map(|token| token.as_str()).or(by_header.as_deref());
        let Some(service) = site.proven(&checkin.service, token) else {
            let why = "there is no such service, or the token is not its own";
            return Err(Refused::new(StatusCode::UNAUTHORIZED, "token", why));
        };
        if self.refuses() {
            return Ok(later("the journal refuses outcomes"));
        }
        Ok(self.take(checkin, service.host.as_deref()))
    }

    /// Commits a check-in, and answers when it is safe.
    fn take(&self, checkin: CheckIn, host: Option<&str>) -> Answer {
        let now = self.shared.now();
        let key = checkin.id.as_ref().map(|id| self.shared.commit.key(("check-in", &checkin.service, id)));
        let kept = checkin.into_kept(host);
        let mut pipeline = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        pipeline.refresh();
        let known = pipeline.posted(&kept, key, Arrival { peer: self.peer, local: None }, now);
        drop(pipeline.commit(now));
        let (all_safe, all_kept) = (pipeline.all_safe(), pipeline.all_kept());
        drop(pipeline);
        let safe = all_safe && (all_kept || key.is_none());
        match known {
            Known::Safe => return text(StatusCode::CONFLICT, "this report was taken before\n".to_owned()),
            Known::Waits => return later("this report waits for the journal"),
            // One with an id is taken all the same, and only its answer waits: its repeat is not taken again.
            Known::No => {
                if let Some(status) = kept.status.filter(|_| safe || key.is_some()) {
                    self.shared.latest.put(&kept.name, status, &kept.info, now);
                }
            }
        }
        if safe { empty(StatusCode::NO_CONTENT) } else { later("the journal cannot store the report") }
    }

    /// Another program sends events.
    async fn events(&self, site: &Site, hook: &Hook, request: Request<Incoming>) -> Result<Answer, Refused> {
        let token = secret(request.headers());
        if hook.token.as_ref().is_some_and(|wanted| !wanted.is(token.as_deref().unwrap_or_default())) {
            let why = "the token is not that of this path";
            return Err(Refused::new(StatusCode::UNAUTHORIZED, "token", why));
        }
        let body = self.body(site, request).await?;
        let now = self.shared.now();
        let malformed = |why: String| Refused::new(StatusCode::BAD_REQUEST, "malformed", why);
        let events = hook.source.read(&body, now.wall.micros()).map_err(|mistake| match mistake {
            Mistake::Many(_) => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", mistake.to_string()),
            mistake => malformed(mistake.to_string()),
        })?;
        // Who is told of each event gets the others taken.
        let tells = hook.source.format == Format::Canopsis;
        let bad = events.iter().enumerate().find_map(|(at, event)| Some((at, event.kept.as_ref().err()?)));
        if let Some((at, why)) = bad.filter(|_| !tells) {
            return Err(malformed(format!("{why} (the one at {at}); none was taken")));
        }
        if self.refuses() {
            return Ok(later("the journal refuses outcomes"));
        }
        let arrival = Arrival { peer: self.peer, local: None };
        let mut pipeline = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        pipeline.refresh();
        for kept in events.iter().filter_map(|event| event.kept.as_ref().ok()) {
            pipeline.posted(kept, None, arrival, now);
        }
        drop(pipeline.commit(now));
        let safe = pipeline.all_safe();
        drop(pipeline);
        if !safe {
            return Ok(later("the journal cannot store the events"));
        }
        if !tells {
            return Ok(empty(StatusCode::OK));
        }
        let (sent, failed): (Vec<Event>, Vec<Event>) =
            events.into_iter().partition(|event| event.kept.is_ok());
        let [sent, failed] =
            [sent, failed].map(|events| events.into_iter().map(|event| event.sent).collect::<Vec<_>>());
        let body = json!({ "sent_events": sent, "retry_events": [], "failed_events": failed });
        let mut answer = text(StatusCode::OK, format!("{body}\n"));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(answer)
    }

    /// Whether the journal refuses outcomes, also now that it was tried again.
    fn refuses(&self) -> bool {
        if self.shared.refusing() {
            self.shared.commit.retry(self.shared.now());
        }
        self.shared.refusing()
    }

    /// The body of a request, within the limits of time, size and rate.
    async fn body(&self, site: &Site, request: Request<Incoming>) -> Result<Bytes, Refused> {
        let encoding = request.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            let why = "send the body as it is, without Content-Encoding";
            return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "malformed", why));
        }
        let multipart = |kind: &HeaderValue| kind.as_bytes().to_ascii_lowercase().starts_with(b"multipart/");
        if request.headers().get(CONTENT_TYPE).is_some_and(multipart) {
            let why = "send JSON, or a form without parts (curl --data, not --form)";
            return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "malformed", why));
        }
        let too_large = || {
            let why = format!("the body is longer than {} octets; see max_body of [[intake]]", site.max_body);
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why)
        };
        if request.body().size_hint().lower() > site.max_body as u64 {
            return Err(too_large());
        }
        let pause = {
            let active = self.shared.active();
            let storm = active.storm.as_ref().filter(|_| !self.peer.is_local());
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.pause(storm, 1, self.peer.ip(), self.shared.now().mono)
        };
        if !pause.is_zero() {
            self.shared.stats.streams_held_back.add(1);
            sleep(pause).await;
        }
        match timeout(BODY, Limited::new(request.into_body(), site.max_body).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(Refused::new(StatusCode::BAD_REQUEST, "malformed", "the body is not whole")),
            Err(_) => {
                let why = format!("the body did not come within {} s", BODY.as_secs());
                Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "slow", why))
            }
        }
    }

    /// Counts what is refused, and says it.
    fn say(&self, refused: &Refused) {
        let now = self.shared.now();
        let pipeline = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        pipeline.post_refused(refused.reason, &refused.why, self.peer, now);
    }
}

/// The token of `Authorization: Bearer` (RFC 6750, section 2.1).
fn bearer(head: &HeaderMap) -> Option<&str> {
    let text = head.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What proves a sender of events: a bearer token, the password of `Authorization: Basic` (RFC 7617), or Canopsis' key.
fn secret(head: &HeaderMap) -> Option<String> {
    if let Some(token) = bearer(head) {
        return Some(token.to_owned());
    }
    if let Some(key) = head.get(CANOPSIS_KEY) {
        return key.to_str().ok().map(str::to_owned);
    }
    let text = head.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    let login = scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(encoded.trim()).ok()).flatten()?;
    let login = String::from_utf8(login).ok()?;
    Some(login.split_once(':')?.1.to_owned())
}

/// Whether a request is for an address or for localhost, and not for a name that somebody else may have given to this machine
/// (DNS rebinding).
fn names_this_machine(head: &HeaderMap) -> bool {
    let Some(host) = head.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => bare,
        _ => host,
    };
    let v6 = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    v6.unwrap_or(bare).parse::<std::net::IpAddr>().is_ok() || bare.eq_ignore_ascii_case("localhost")
}

fn later(why: &str) -> Answer {
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}; send it again\n"));
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(LATER));
    answer
}

fn only(methods: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn text(status: StatusCode, body: String) -> Answer {
    let mut answer = empty(status);
    *answer.body_mut() = Full::new(body.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
