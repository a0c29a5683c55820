//! Sinks that speak to a web server: one loop for all ([`Web`]), and one file for each [`Api`].
//!
//! Outcomes go over a few connections, those of one host and service always over the same, so that their order stays.
//! What an answer means is the API's to say ([`Verdict`]).

pub mod alignak;
pub mod canopsis;
pub mod icinga2;
pub mod nrdp;
pub mod splunk;
pub mod webhook;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};

use crate::http::client::{Answer, Client, HttpError};
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::sinks::adapter::{PushSink, Pushed, SinkError, Taken};
use crate::sinks::dead::Dead;
use crate::sinks::settings::ServerConfig;

/// How long is waited where the far end asks for a pause and does not say how long.
const PAUSE: Duration = Duration::from_secs(5);
/// How long an indexer may take to say that it has what it took.
const ACK_PATIENCE: Duration = Duration::from_mins(2);
/// How often it is asked.
const ACK_EVERY: Duration = Duration::from_millis(250);

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path below the server's URL, with its query; empty for the URL itself.
    pub path: String,
    /// Headers beside those of every request.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// One outcome, made ready for an API.
#[derive(Debug, Clone)]
pub struct Item {
    sequence: u64,
    /// The path that it goes to, where that is its own.
    pub path: String,
    /// What is said of it.
    pub body: Vec<u8>,
}

/// What an answer means for the outcomes that were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All were taken.
    Taken,
    /// All will be, once this is acknowledged.
    Later(u64),
    /// Some can never be taken: their places, and why. The others were.
    Dead(Vec<(usize, String)>),
    /// One of them can never be taken; each must be sent alone to find out which.
    Apart(String),
    /// None was taken; later perhaps.
    Retry(String),
    /// None was taken; the far end asks to wait.
    Pause(String, Duration),
    /// Who we are is not known, or no longer.
    Stranger(String),
    /// This is not the server that it should be.
    Wrong(String),
}

/// What one kind of server is told, and how it answers. Pure.
pub trait Api: Send + Sync + 'static {
    /// What is sent of a record: the path, where it is the record's own, and the body or its part of one. None for an
    /// outcome that the server does not know.
    fn item(&self, record: &Record<'_>) -> Option<(String, Vec<u8>)>;

    /// How many outcomes a request may have.
    fn most(&self) -> usize {
        1
    }

    /// The request for some outcomes, at least one and at most [`Api::most`].
    fn call(&self, items: &[Item]) -> Call;

    /// What the answer to it means.
    fn verdict(&self, answer: &Answer, items: &[Item]) -> Verdict;

    /// The request that begins a session, where there are any.
    fn login(&self) -> Option<Call> {
        None
    }

    /// The headers of a session, from the answer to [`Api::login`].
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn session(&self, _answer: &Answer) -> Result<HeaderMap, String> {
        Ok(HeaderMap::new())
    }

    /// The request that asks after acknowledgements.
    fn acks(&self, _ids: &[u64]) -> Option<Call> {
        None
    }

    /// Those that the answer to it leaves open.
    fn open_acks(&self, _answer: &Answer, _ids: &[u64]) -> Vec<u64> {
        Vec::new()
    }
}

/// What a status means where an API has nothing more to say of it; `dead` are those that condemn the outcome.
fn by_status(answer: &Answer, dead: &[StatusCode]) -> Verdict {
    let what = || format!("it answered {}: {}", answer.status, answer.excerpt());
    match answer.status {
        status if status.is_success() => Verdict::Taken,
        status if dead.contains(&status) => Verdict::Apart(what()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Verdict::Stranger(what()),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Verdict::Pause(what(), answer.retry_after.unwrap_or(PAUSE))
        }
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            match answer.retry_after {
                Some(after) => Verdict::Pause(what(), after),
                None => Verdict::Retry(what()),
            }
        }
        _ => Verdict::Wrong(what()),
    }
}

/// `Authorization: Basic` for a user (RFC 7617).
fn basic(user: &str, password: &str) -> HeaderValue {
    let mut value =
        HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
            // Base64 has no character that a header cannot have.
            .unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// A body of JSON.
fn json_call(method: Method, path: String, body: Vec<u8>) -> Call {
    let headers =
        HeaderMap::from_iter([(hyper::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    Call { method, path, headers, body: body.into() }
}

/// A sink that speaks to a web server.
pub struct Web<A> {
    api: A,
    lanes: Vec<Lane>,
    dead: Vec<Dead>,
}

/// One connection, and what goes over it.
struct Lane {
    client: Client,
    session: Option<HeaderMap>,
    queue: VecDeque<Item>,
    dead: Vec<Dead>,
    acks: Vec<u64>,
    /// What was sent and waits for them.
    unacknowledged: Vec<Item>,
    /// Whether outcomes go one by one, because one among them is refused.
    alone: usize,
}

impl<A: Api> Web<A> {
    /// A sink for this server.
    pub fn new(server: &ServerConfig, api: A) -> Self {
        let mut headers = server.headers.clone();
        if let Some((user, password)) = &server.login {
            headers.insert(AUTHORIZATION, basic(user, password));
        }
        let lane = || Lane {
            client: Client::new(server.target.clone(), server.tls.clone(), headers.clone()),
            session: None,
            queue: VecDeque::new(),
            dead: Vec::new(),
            acks: Vec::new(),
            unacknowledged: Vec::new(),
            alone: 0,
        };
        Web { api, lanes: (0..server.connections).map(|_| lane()).collect(), dead: Vec::new() }
    }
}

impl<A: Api> PushSink for Web<A> {
    fn push(&mut self, record: &Record<'_>) -> Pushed {
        let Some((path, body)) = self.api.item(record) else { return Pushed::Skipped };
        let mut hasher = DefaultHasher::new();
        match &record.outcome {
            Outcome::CheckResult(check) => (&check.host, &check.service).hash(&mut hasher),
            Outcome::Event(event) => (&event.component, &event.resource).hash(&mut hasher),
        }
        let lane = hasher.finish();
        let place = (lane % self.lanes.len() as u64) as usize;
        self.lanes[place].queue.push_back(Item { sequence: record.sequence, path, body });
        Pushed::Queued
    }

    async fn flush(&mut self) -> Result<Taken, SinkError> {
        let before = self.waiting();
        let api = &self.api;
        let results = join_all(self.lanes.iter_mut().map(|lane| lane.send_all(api))).await;
        for lane in &mut self.lanes {
            self.dead.append(&mut lane.dead);
        }
        let error = results.into_iter().find_map(Result::err);
        match (error, self.lanes.iter().filter_map(Lane::first).min()) {
            // What some lanes have sent counts; the trouble is still there at the next try.
            (Some(error), Some(_)) if self.waiting() == before => Err(error),
            (_, Some(first)) => Ok(Taken::Before(first)),
            (_, None) => Ok(Taken::All),
        }
    }

    fn reset(&mut self) {
        for lane in &mut self.lanes {
            lane.queue.clear();
            lane.unacknowledged.clear();
            lane.acks.clear();
        }
    }

    fn dead(&mut self) -> Vec<Dead> {
        std::mem::take(&mut self.dead)
    }
}

impl<A> Web<A> {
    fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.queue.len() + lane.unacknowledged.len()).sum()
    }
}

impl Lane {
    /// The first sequence number that was not taken.
    fn first(&self) -> Option<u64> {
        self.queue.iter().chain(&self.unacknowledged).map(|item| item.sequence).min()
    }

    /// Sends all that is queued. What an error leaves is still queued.
    async fn send_all<A: Api>(&mut self, api: &A) -> Result<(), SinkError> {
        let sent = self.send_queue(api).await;
        let acknowledged = self.await_acks(api).await;
        sent.and(acknowledged)
    }

    async fn send_queue<A: Api>(&mut self, api: &A) -> Result<(), SinkError> {
        let mut logins = 0;
        while !self.queue.is_empty() {
            if self.session.is_none() {
                self.session = Some(self.login(api).await?);
            }
            let most = if self.alone > 0 { 1 } else { api.most() };
            let count = self.queue.len().min(most);
            let answer = {
                let items = &self.queue.make_contiguous()[..count];
                let call = api.call(items);
                self.call(&call).await?
            };
            let items = &self.queue.make_contiguous()[..count];
            match api.verdict(&answer, items) {
                Verdict::Taken => drop(self.take(count)),
                Verdict::Later(id) => {
                    let taken = self.take(count);
                    self.unacknowledged.extend(taken);
                    self.acks.push(id);
                }
                Verdict::Dead(places) => self.bury(count, places),
                Verdict::Apart(reason) if count == 1 => self.bury(1, vec![(0, reason)]),
                Verdict::Apart(_) => self.alone = count,
                Verdict::Retry(what) => return Err(SinkError::NotTaken(self.said(&what))),
                Verdict::Pause(what, after) => return Err(SinkError::Busy { what: self.said(&what), after }),
                Verdict::Stranger(what) => {
                    self.session = None;
                    logins += 1;
                    if logins > 1 || api.login().is_none() {
                        let hint = "check user, password or token of this sink";
                        return Err(SinkError::unavailable(self.said("does not let us in"), what, hint));
                    }
                }
                Verdict::Wrong(what) => {
                    let hint = "check the url of this sink";
                    return Err(SinkError::unavailable(self.said("is not what it should be"), what, hint));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Vec<Item> {
        self.alone = self.alone.saturating_sub(count);
        self.queue.drain(..count).collect()
    }

    fn bury(&mut self, count: usize, places: Vec<(usize, String)>) {
        let taken = self.take(count);
        for (place, reason) in places {
            self.dead
                .extend(taken.get(place).map(|item| Dead { sequence: item.sequence, reason: reason.into() }));
        }
    }

    async fn login<A: Api>(&mut self, api: &A) -> Result<HeaderMap, SinkError> {
        let Some(call) = api.login() else { return Ok(HeaderMap::new()) };
        let answer = self.call(&call).await?;
        api.session(&answer).map_err(|error| {
            SinkError::unavailable(
                self.said("does not let us in"),
                error,
                "check user and password of this sink",
            )
        })
    }

    async fn await_acks<A: Api>(&mut self, api: &A) -> Result<(), SinkError> {
        let deadline = tokio::time::Instant::now() + ACK_PATIENCE;
        while let (false, Some(call)) = (self.acks.is_empty(), api.acks(&self.acks)) {
            let answer = self.call(&call).await?;
            if !answer.status.is_success() {
                let what = format!("it answered {} when asked for acknowledgements", answer.status);
                return Err(SinkError::NotTaken(self.said(&what)));
            }
            self.acks = api.open_acks(&answer, &self.acks);
            if self.acks.is_empty() {
                break;
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(SinkError::NotTaken(self.said("has not acknowledged for two minutes")));
            }
            tokio::time::sleep(ACK_EVERY).await;
        }
        self.unacknowledged.clear();
        Ok(())
    }

    async fn call(&mut self, call: &Call) -> Result<Answer, SinkError> {
        let mut headers = call.headers.clone();
        if let Some(session) = &self.session {
            headers.extend(session.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let sent = self.client.send(&call.method, &call.path, &headers, call.body.clone()).await;
        sent.map_err(|error| {
            let hint = match error {
                HttpError::Connect(..) => "see whether it runs, and whether the url of this sink is right",
                HttpError::Tls(..) => "check ca_file, fingerprint and server_name of this sink",
                _ => "see its log",
            };
            SinkError::unavailable(self.said("cannot be spoken to"), error, hint)
        })
    }

    fn said(&self, what: &str) -> String {
        format!("{} {what}", self.client.server())
    }
}

/// What would be sent for a record, for people; none if the server does not know such outcomes.
pub fn preview(api: &impl Api, record: &Record<'_>) -> Option<String> {
    let (path, body) = api.item(record)?;
    let call = api.call(&[Item { sequence: 0, path, body }]);
    Some(format!("{} {} {}", call.method, call.path, String::from_utf8_lossy(&call.body)))
}

#[cfg(test)]
mod tests;
