//! A lane over one connection that stays open between batches, to a server that acknowledges each message.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::net::Network;
use crate::outcome::record::Record;
use crate::sinks::acks::{Ack, settle};
use crate::sinks::sink::{Fate, Item, Lane, Said, Seat, Sending, Trouble, Unopened, Working};
use crate::time::clock::{Clock, Mono, Now};

/// How long a server may take until it says something of a message. Nothing else that it says gives it more time, and writing takes none of
/// its own.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take at least for another one, once it has said something of a batch: what waits behind the batch does not wait
/// longer for a message that is never acknowledged.
const REST: Duration = Duration::from_secs(5);
/// So many times as long as it has ever taken for one it may take for another.
const TIMES: u32 = 4;

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The server has said something of one more message, at least.
    More,
    /// It has said something of each.
    All,
}

/// A server to which messages are published.
pub(super) trait Publisher: Debug + Send + Sync + 'static {
    /// What is sent for an outcome.
    type Message: Send + Sync;
    /// A connection, ready for messages.
    type Session: Send;
    /// A batch under way.
    type Flight: Default + Send;

    /// The message for a record.
    ///
    /// # Errors
    ///
    /// Why there is none: the outcome becomes a dead letter.
    fn message(&self, record: &Record<'_>) -> Result<Self::Message, Said>;

    /// Connects and logs in.
    fn open(&self, network: &dyn Network) -> impl Future<Output = Result<Self::Session, Unopened>> + Send;

    /// Sends messages of a batch, until the server has said something of one more, which goes to its place in `acks`. Places without a
    /// message are left alone. It need not watch the time.
    ///
    /// # Errors
    ///
    /// Why the connection cannot be used any more. What is in `acks` counts.
    fn advance(
        session: &mut Self::Session,
        flight: &mut Self::Flight,
        messages: &[Option<Self::Message>],
        acks: &mut [Ack],
    ) -> impl Future<Output = Result<Progress, Trouble>> + Send;

    /// How many places of the batch were handed to the server, or have no message for it.
    fn sent(_: &Self::Flight) -> usize {
        usize::MAX
    }

    /// What it means that the server said nothing of any message for `patience`.
    fn silent(session: &Self::Session, patience: Duration) -> Trouble;

    /// Asks whether the server is there.
    fn ping(session: &mut Self::Session) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// After how long of silence to ask; none for never.
    fn keep_alive(session: &Self::Session) -> Option<Duration>;
}

/// The lane of a publisher.
pub(super) struct SessionLane<P: Publisher> {
    publisher: Arc<P>,
    network: Arc<dyn Network>,
    clock: Arc<dyn Clock>,
    session: Option<P::Session>,
    /// When something was said last.
    used: Mono,
    /// The longest that the server has taken until it said something of a message.
    longest: Duration,
}

/// How a batch went.
#[derive(Debug, Default)]
struct Published {
    /// Whether the server has said something of a message.
    is_answered: bool,
    /// How many places were handed to it.
    sent: usize,
    /// Whether it has said nothing for too long.
    is_silent: bool,
    /// Why not each message has an answer.
    ended: Option<Trouble>,
}

impl<P: Publisher> SessionLane<P> {
    /// A lane that has not connected yet.
    pub(super) fn new(publisher: Arc<P>, seat: &Seat) -> Self {
        let (network, clock) = (seat.network.clone(), seat.clock.clone());
        SessionLane {
            publisher,
            network,
            clock,
            session: None,
            used: Mono::default(),
            longest: Duration::ZERO,
        }
    }

    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut acks = vec![Ack::None; items.len()];
        let mut messages = Vec::with_capacity(items.len());
        for (item, ack) in items.iter().zip(&mut acks) {
            let message = item.record().ok_or_else(|| Said::from("the outcome is damaged"));
            let message = message.and_then(|record| self.publisher.message(&record));
            messages.push(message.map_err(|said| *ack = Ack::Fate(Fate::Dead(said))).ok());
        }
        let mut kept = self.session.take();
        loop {
            let is_old = kept.is_some();
            let mut session = match kept.take() {
                Some(session) => session,
                None => self.publisher.open(&*self.network).await?,
            };
            let published = self.published(&mut session, &messages, &mut acks).await;
            self.used = self.clock.now().mono;
            let Published { is_answered, sent, is_silent, ended } = published;
            // A server may have ended a connection that was idle.
            if is_old && ended.is_some() && !is_silent && !is_answered {
                continue;
            }
            if ended.is_none() {
                self.session = Some(session);
            }
            if !is_answered {
                return settle(items, acks, ended, Fate::Later);
            }
            acks.truncate(sent);
            return settle(items, acks, ended, Fate::Unanswered);
        }
    }

    /// Publishes messages until the server has said something of each.
    async fn published(
        &mut self,
        session: &mut P::Session,
        messages: &[Option<P::Message>],
        acks: &mut [Ack],
    ) -> Published {
        let mut flight = P::Flight::default();
        let mut published = Published::default();
        while published.ended.is_none() {
            let since = Instant::now();
            let patience = self.patience(published.is_answered);
            let advanced = P::advance(session, &mut flight, messages, acks);
            match tokio::time::timeout(patience, advanced).await {
                Ok(Ok(Progress::More)) => {
                    published.is_answered = true;
                    self.longest = self.longest.max(since.elapsed());
                }
                Ok(Ok(Progress::All)) => break,
                Ok(Err(trouble)) => published.ended = Some(trouble),
                Err(_) => {
                    published.is_silent = true;
                    published.ended = Some(P::silent(session, patience));
                }
            }
        }
        published.sent = P::sent(&flight);
        published
    }

    fn patience(&self, is_answered: bool) -> Duration {
        if is_answered { (self.longest * TIMES).clamp(REST, PATIENCE) } else { PATIENCE }
    }
}

impl<P: Publisher> Lane for SessionLane<P> {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }

    fn wants(&self) -> Option<Mono> {
        Some(self.used + P::keep_alive(self.session.as_ref()?)?)
    }

    fn own(&mut self, _now: Now) -> Working<'_> {
        Box::pin(async move {
            // What a lost connection means is said when there is something to send.
            if let Some(mut session) = self.session.take()
                && P::ping(&mut session).await.is_ok()
            {
                self.session = Some(session);
            }
            self.used = self.clock.now().mono;
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "session_lane_tests.rs"]
mod tests;
