//! A sink that speaks HTTP, and its lanes: one connection each, with one request under way.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderMap};

use super::api::{Api, Call, Part, basic, judge};
use super::server::Server;
use crate::http::client::{Answer, Client, HttpError};
use crate::outcome::record::Record;
use crate::sinks::settings::{Ends, one_end};
use crate::sinks::sink::{Fate, Item, Lane, Limits, Said, Seat, Sending, Sink, Trouble};
use crate::time::clock::Clock;

/// How long a server may take to acknowledge what it has taken.
const ACK_PATIENCE: Duration = Duration::from_mins(2);
/// How often it is asked.
const ACK_EVERY: Duration = Duration::from_millis(250);

/// A sink that speaks HTTP.
#[derive(Debug)]
pub struct Web {
    server: Server,
    api: Arc<dyn Api>,
}

impl Web {
    /// A sink for this server.
    pub fn new(server: Server, api: impl Api) -> Self {
        Web { server, api: Arc::new(api) }
    }

    /// The only end of a sink for this server.
    pub fn end(server: Server, api: impl Api) -> Ends {
        one_end(Web::new(server, api))
    }
}

impl Sink for Web {
    fn limits(&self) -> Limits {
        let batch = self.api.batch();
        Limits {
            lanes: self.server.connections,
            items: batch.items,
            bytes: batch.bytes,
            order: batch.order,
            ..Limits::default()
        }
    }

    fn takes(&self, record: &Record<'_>) -> bool {
        self.api.takes(record)
    }

    fn preview(&self, record: &Record<'_>) -> Option<String> {
        if !self.api.takes(record) {
            return None;
        }
        Some(match self.api.part(record) {
            Ok(part) => self.api.shown(&part),
            Err(reason) => format!("nothing: {reason}"),
        })
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        let mut headers = self.server.headers.clone();
        if let Some((user, password)) = &self.server.login {
            headers.insert(AUTHORIZATION, basic(user, password));
        }
        let client = Client::new(self.server.target.clone(), self.server.tls.clone(), headers);
        let (api, clock) = (self.api.clone(), seat.clock.clone());
        Box::new(WebLane { api, client, clock, session: None })
    }
}

/// One connection.
struct WebLane {
    api: Arc<dyn Api>,
    client: Client,
    clock: Arc<dyn Clock>,
    session: Option<HeaderMap>,
}

impl Lane for WebLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl WebLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let most = self.api.batch().bytes;
        let mut parts = Vec::new();
        // What can never be sent, by its place.
        let mut dead = Vec::new();
        let mut bytes = 0;
        for (place, item) in items.iter().enumerate() {
            let Some(record) = item.record() else {
                dead.push((place, Said::from("the outcome is damaged")));
                continue;
            };
            match self.api.part(&record) {
                Ok(part) => {
                    bytes += part.body.len();
                    if bytes > most && !parts.is_empty() {
                        break;
                    }
                    parts.push(part);
                }
                Err(reason) => dead.push((place, reason)),
            }
        }
        let mut fates = if parts.is_empty() { Vec::new() } else { self.exchange(&parts).await? };
        for (place, reason) in dead {
            fates.insert(place.min(fates.len()), Fate::Dead(reason));
        }
        Ok(fates)
    }

    async fn exchange(&mut self, parts: &[Part]) -> Result<Vec<Fate>, Trouble> {
        let call = self.api.call(parts);
        loop {
            let old = self.session.is_some();
            if !old {
                self.session = Some(self.login().await?);
            }
            let answer = self.call(&call).await?;
            match judge(&*self.api, self.client.server(), &answer, parts) {
                Ok(fates) => {
                    if let Some(ticket) = self.api.ticket(&answer) {
                        self.acknowledged(ticket).await?;
                    }
                    return Ok(fates);
                }
                Err(trouble) => {
                    let refused = matches!(trouble, Trouble::Refused(..));
                    if refused {
                        self.session = None;
                    }
                    // A session may have ended; a new one is tried once.
                    if !(refused && old && self.api.login().is_some()) {
                        return Err(trouble);
                    }
                }
            }
        }
    }

    async fn login(&mut self) -> Result<HeaderMap, Trouble> {
        let Some(call) = self.api.login() else { return Ok(HeaderMap::new()) };
        let answer = self.call(&call).await?;
        self.api.session(&answer).map_err(|reason| {
            let what = format!("{} refuses the login: {reason}", self.client.server());
            Trouble::Refused(what.into(), "check user and password of this sink")
        })
    }

    async fn acknowledged(&mut self, ticket: u64) -> Result<(), Trouble> {
        let start = self.clock.now().mono;
        while let Some(call) = self.api.ask(ticket) {
            let answer = self.call(&call).await?;
            let unanswered = |what: String| Trouble::Unanswered(what.into(), "see its log");
            if !answer.status.is_success() {
                let server = self.client.server();
                return Err(unanswered(format!(
                    "{server} answered {} when asked for acknowledgements",
                    answer.status
                )));
            }
            if self.api.acknowledged(&answer, ticket) {
                break;
            }
            if self.clock.now().mono.since(start) >= ACK_PATIENCE {
                let minutes = ACK_PATIENCE.as_secs() / 60;
                let server = self.client.server();
                return Err(unanswered(format!("{server} has not acknowledged for {minutes} minutes")));
            }
            tokio::time::sleep(ACK_EVERY).await;
        }
        Ok(())
    }

    async fn call(&mut self, call: &Call) -> Result<Answer, Trouble> {
        let mut headers = call.headers.clone();
        if let Some(session) = &self.session {
            headers.extend(session.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let sent = self.client.send(&call.method, &call.path, &headers, call.body.clone()).await;
        sent.map_err(|error| {
            let said = Said::from(error.to_string());
            match error {
                HttpError::Connect(..) => {
                    Trouble::Away(said, "see whether it runs, and whether the url of this sink is right")
                }
                HttpError::Tls(..) => {
                    Trouble::Away(said, "check ca_file, fingerprint and server_name of this sink")
                }
                HttpError::Broken(..) | HttpError::Answer(..) | HttpError::Timeout(..) => {
                    Trouble::Unanswered(said, "see its log")
                }
            }
        })
    }
}
