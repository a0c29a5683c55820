//! A lane over one connection that stays open between batches, to a server that acknowledges each message.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::net::Network;
use crate::outcome::record::Record;
use crate::sinks::acks::{Ack, settle};
use crate::sinks::sink::{Fate, Item, Lane, Said, Seat, Sending, Trouble, Unopened, Working};
use crate::time::clock::{Clock, Mono, Now};

/// How long a server may take until it says something of another message. Nothing else that it says gives it more time, and writing
/// takes none of its own.
const PATIENCE: Duration = Duration::from_secs(30);

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
}

impl<P: Publisher> SessionLane<P> {
    /// A lane that has not connected yet.
    pub(super) fn new(publisher: Arc<P>, seat: &Seat) -> Self {
        let (network, clock) = (seat.network.clone(), seat.clock.clone());
        SessionLane { publisher, network, clock, session: None, used: Mono::default() }
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
            let ended = published::<P>(&mut session, &messages, &mut acks).await;
            self.used = self.clock.now().mono;
            let mut sent = acks.iter().zip(&messages).filter(|(_, message)| message.is_some());
            let answered = sent.any(|(ack, _)| *ack != Ack::None);
            // A server may have ended a connection that was idle.
            if is_old && ended.is_err() && !answered {
                continue;
            }
            if ended.is_ok() {
                self.session = Some(session);
            }
            return settle(items, acks, ended.err());
        }
    }
}

/// Publishes messages until the server has said something of each.
async fn published<P: Publisher>(
    session: &mut P::Session,
    messages: &[Option<P::Message>],
    acks: &mut [Ack],
) -> Result<(), Trouble> {
    let mut flight = P::Flight::default();
    loop {
        let advanced = P::advance(session, &mut flight, messages, acks);
        match tokio::time::timeout(PATIENCE, advanced).await {
            Ok(Ok(Progress::More)) => {}
            Ok(Ok(Progress::All)) => return Ok(()),
            Ok(Err(trouble)) => return Err(trouble),
            Err(_) => return Err(P::silent(session, PATIENCE)),
        }
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
