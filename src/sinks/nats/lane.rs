//! Outcomes as messages for a stream.

use std::sync::Arc;
use std::time::Duration;

use super::protocol::Message;
use super::session::{Flight, QUIET, Server, Session};
use super::subject;
use crate::net::Network;
use crate::outcome::json;
use crate::outcome::record::Record;
use crate::sinks::acks::Ack;
use crate::sinks::fields::Template;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::session_lane::{Progress, Publisher, SessionLane};
use crate::sinks::sink::{
    Destination, Lane, Limits, Order, Pieces, Said, Seat, Sink, Trouble, Unopened, Working,
};

/// How many messages go in one batch.
const MOST: usize = 256;

/// A server, and what is published there.
#[derive(Debug, Clone)]
pub(super) struct NatsSink {
    pub(super) server: Server,
    /// The subject of an outcome.
    pub(super) subject: Template,
}

impl Sink for NatsSink {
    fn limits(&self) -> Limits {
        Limits { items: MOST, bytes: 4 << 20, order: Order::Kept, ..Limits::default() }
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        Some(self.message(record).map(|Message { subject, payload, .. }| {
            vec![Piece::new(Format::Subject, subject), Piece::new(Format::Json, payload)]
        }))
    }

    fn destination(&self) -> Destination {
        Destination::Server(self.server.address.host.clone(), self.server.address.port)
    }

    fn greet(&self, network: Arc<dyn Network>) -> Working<'_> {
        Box::pin(async move { Ok(Session::open(&self.server, &*network).await.map(drop)?) })
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        Box::new(SessionLane::new(Arc::new(self.clone()), seat))
    }
}

impl Publisher for NatsSink {
    type Message = Message;
    type Session = Session;
    type Flight = Flight;

    fn message(&self, record: &Record<'_>) -> Result<Message, Said> {
        let subject = self.subject.render(record);
        let subject =
            subject.map_err(|error| Said::from(format!("'subject' cannot be computed: {error}")))?;
        subject::check(&subject)?;
        let mut payload = Vec::new();
        json::push(&mut payload, record);
        Ok(Message { subject, id: record.id(), payload })
    }

    async fn open(&self, network: &dyn Network) -> Result<Session, Unopened> {
        Session::open(&self.server, network).await
    }

    async fn advance(
        session: &mut Session,
        flight: &mut Flight,
        messages: &[Option<Message>],
        acks: &mut [Ack],
    ) -> Result<Progress, Trouble> {
        session.advance(flight, messages, acks).await
    }

    fn silent(session: &Session, patience: Duration) -> Trouble {
        session.silent(patience)
    }

    async fn ping(session: &mut Session) -> Result<(), Trouble> {
        session.ping().await
    }

    fn keep_alive(_: &Session) -> Option<Duration> {
        Some(QUIET)
    }
}
