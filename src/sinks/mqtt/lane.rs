//! Outcomes as messages for a broker.

use std::sync::Arc;
use std::time::Duration;

use super::packet::Message;
use super::session::{Broker, Flight, Session};
use super::topic;
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
const MOST: usize = 512;

/// A broker, and what is published there.
#[derive(Debug, Clone)]
pub(super) struct MqttSink {
    pub(super) broker: Broker,
    /// The topic of an outcome.
    pub(super) topic: Template,
    /// For how long the broker keeps messages.
    pub(super) expiry: Option<Duration>,
}

impl Sink for MqttSink {
    fn limits(&self) -> Limits {
        Limits { items: MOST, bytes: 4 << 20, order: Order::Kept, ..Limits::default() }
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        Some(self.message(record).map(|Message { topic, payload, .. }| {
            vec![Piece::new(Format::Topic, topic), Piece::new(Format::Json, payload)]
        }))
    }

    fn destination(&self) -> Destination {
        Destination::Server(self.broker.address.host.clone(), self.broker.address.port)
    }

    fn greet(&self, network: Arc<dyn Network>) -> Working<'_> {
        Box::pin(async move {
            // A connection under the same name would end that of a running daemon.
            let name = &self.broker.client_id;
            let name = if name.is_empty() { String::new() } else { format!("{name}-check") };
            Session::open(&self.broker, &*network, &name).await?.close().await;
            Ok(())
        })
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        Box::new(SessionLane::new(Arc::new(self.clone()), seat))
    }
}

impl Publisher for MqttSink {
    type Message = Message;
    type Session = Session;
    type Flight = Flight;

    fn message(&self, record: &Record<'_>) -> Result<Message, Said> {
        let topic = self.topic.render(record);
        let topic = topic.map_err(|error| Said::from(format!("'topic' cannot be computed: {error}")))?;
        topic::check(&topic)?;
        let mut payload = Vec::new();
        json::push(&mut payload, record);
        let expiry = self.expiry.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        Ok(Message { topic, id: record.id(), payload, retain: self.broker.retain, expiry })
    }

    async fn open(&self, network: &dyn Network) -> Result<Session, Unopened> {
        Session::open(&self.broker, network, &self.broker.client_id).await
    }

    async fn advance(
        session: &mut Session,
        flight: &mut Flight,
        messages: &[Option<Message>],
        acks: &mut [Ack],
    ) -> Result<Progress, Trouble> {
        session.advance(flight, messages, acks).await
    }

    fn sent(flight: &Flight) -> usize {
        flight.next
    }

    fn silent(session: &Session, patience: Duration) -> Trouble {
        session.silent(patience)
    }

    async fn ping(session: &mut Session) -> Result<(), Trouble> {
        session.ping().await
    }

    fn keep_alive(session: &Session) -> Option<Duration> {
        session.keep_alive()
    }
}
