//! A sink that publishes to an AMQP exchange, and its lanes: a connection each. Messages are persistent, and count as taken
//! when the broker has confirmed them.

use std::collections::HashSet;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ErrorKind, ExchangeKind, PublisherConfirm};

use crate::amqp;
use crate::net::Network;
use crate::outcome::name::{breaks_line, turns};
use crate::outcome::record::Record;
use crate::settings::tls_keys::Tls;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::settings::{Key, Options};
use crate::sinks::sink::{
    Destination, Fate, Hint, Item, Lane, Limits, Order, Pieces, Said, Seat, Sending, Sink, Trouble, Unopened,
    Working,
};
use crate::sinks::tls;

/// The longest routing key in bytes: a short string of AMQP 0-9-1.
pub const MAX_ROUTING_KEY: usize = 255;
/// How many messages are published before their confirmations are awaited.
const WINDOW: usize = 2048;
/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a sink waits while the broker blocks publishers.
const BLOCKED: Duration = Duration::from_secs(1);

const HINT: Hint = "see whether the broker runs, and whether user, password and vhost of url are right";

/// What becomes of an outcome for which the exchange has no queue: the broker confirms that it has dropped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unroutable {
    /// It is a dead letter.
    Dead,
    /// It is published again later: the queue may come.
    Retry,
    /// That is meant: nobody is interested.
    Drop,
}

impl Unroutable {
    /// Its key. `default` is one of its words in quotes.
    pub const fn key(default: &'static str) -> Key {
        Key {
            name: "unroutable",
            default,
            says: "What to do with an outcome that the broker drops because no queue is bound for it: `\"dead\"`: it becomes a dead letter; `\"retry\"`: it is published again, and becomes a dead letter after `give_up`; `\"drop\"`: it counts as delivered.",
        }
    }
}

/// What is published for an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The routing key.
    pub routing_key: RoutingKey,
    /// The body, JSON.
    pub body: Vec<u8>,
}

/// A routing key of at most [`MAX_ROUTING_KEY`] bytes without control characters, which become `_`. A longer one keeps its
/// start and gets a checksum of the whole, so that the same long key is always the same short one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingKey {
    key: String,
    cut: bool,
}

impl RoutingKey {
    /// Cleans and shortens a key.
    pub fn new(key: &str) -> Self {
        let key: String = key.chars().map(|c| if breaks_line(c) || turns(c) { '_' } else { c }).collect();
        if key.len() <= MAX_ROUTING_KEY {
            return RoutingKey { key, cut: false };
        }
        let suffix = format!("~{:08x}", crc32c::crc32c(key.as_bytes()));
        let end = key.floor_char_boundary(MAX_ROUTING_KEY - suffix.len());
        RoutingKey { key: format!("{}{suffix}", &key[..end]), cut: true }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// The fate of an outcome that was taken with it.
    fn taken(&self) -> Fate {
        if self.cut { Fate::Cut } else { Fate::Taken }
    }
}

/// Makes messages of outcomes.
pub trait Encoder: Debug + Send + Sync + 'static {
    /// The message for a record.
    ///
    /// # Errors
    ///
    /// Why there is none: the outcome becomes a dead letter.
    fn message(&self, record: &Record<'_>) -> Result<Message, Said>;

    /// As [`Sink::sets`].
    fn sets(&self) -> &'static [&'static str] {
        &[]
    }
}

/// An exchange of a broker.
#[derive(Clone)]
pub struct Broker {
    /// The broker and virtual host, with user and password.
    url: String,
    /// The exchange; empty for the default one.
    exchange: String,
    /// Whether to declare the exchange (durable, topic).
    declare: bool,
    /// What becomes of an outcome that no queue takes.
    unroutable: Unroutable,
    tls: Tls,
}

impl Broker {
    /// Reads `url`, `exchange`, `declare` and `unroutable`, with the defaults of the first and the last.
    pub fn read(options: &mut Options<'_, '_, '_>, exchange: &str, unroutable: Unroutable) -> Option<Self> {
        let url = url(options);
        let place = url.as_deref().and_then(|url| url.parse::<AMQPUri>().ok());
        let place = place.as_ref().map(|uri| (uri.authority.host.as_str(), uri.scheme == AMQPScheme::AMQPS));
        let tls = tls::read(options, place, ("there is no TLS with an amqp:// url", "write amqps:// in url"));
        let exchange = options.text("exchange", exchange);
        let declare = options.boolean("declare", true);
        let words = [("dead", Unroutable::Dead), ("retry", Unroutable::Retry), ("drop", Unroutable::Drop)];
        let given = options.get("unroutable").is_some();
        let word = options.word("unroutable", &words, "way with what no queue takes");
        let unroutable = word.filter(|_| given).unwrap_or(unroutable);
        Some(Broker { url: url?, exchange, declare, unroutable, tls: tls? })
    }

    /// The broker for messages: without user and password.
    fn name(&self) -> &str {
        self.url.rsplit_once('@').map_or(self.url.as_str(), |(_, rest)| rest)
    }
}

impl Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("broker", &self.name())
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}

fn url(options: &mut Options<'_, '_, '_>) -> Option<String> {
    let url = options.required("url", "amqp://guest:guest@127.0.0.1:5672/canopsis")?;
    let uri = match amqp::uri(&url) {
        Ok(uri) => uri,
        Err(error) => {
            let hint = Some("write amqp://USER:PASSWORD@HOST:5672/VHOST, or amqps:// for TLS");
            options.report_at(&url.span, error, hint);
            return None;
        }
    };
    if let Some(said) = amqp::exposed(&url, &uri, "url") {
        options.warn(&said, amqp::EXPOSED);
    }
    Some(url.value)
}

/// A sink that publishes to an exchange.
#[derive(Debug)]
pub struct Bus {
    broker: Broker,
    encoder: Arc<dyn Encoder>,
    /// Messages for which no queue was bound.
    unroutable: Arc<AtomicU64>,
}

impl Bus {
    /// A sink for this exchange.
    pub fn new(broker: Broker, encoder: impl Encoder) -> Self {
        Bus { broker, encoder: Arc::new(encoder), unroutable: Arc::default() }
    }
}

impl Sink for Bus {
    fn limits(&self) -> Limits {
        // While one lane awaits confirmations, the other publishes.
        Limits { lanes: 2, items: WINDOW, order: Order::Kept, ..Limits::default() }
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        let message = self.encoder.message(record);
        Some(message.map(|Message { routing_key, body }| {
            vec![Piece::new(Format::RoutingKey, routing_key.key), Piece::new(Format::Json, body)]
        }))
    }

    fn sets(&self) -> &'static [&'static str] {
        self.encoder.sets()
    }

    fn destination(&self) -> Destination {
        let url = self.broker.url.parse::<AMQPUri>();
        url.map_or(Destination::Unknown, |url| Destination::Server(url.authority.host, url.authority.port))
    }

    fn greet(&self, _network: Arc<dyn Network>) -> Working<'_> {
        // The exchange may be another's to declare: a connection declares none.
        let broker = Broker { declare: false, ..self.broker.clone() };
        let lane = BusLane { broker, ..self.bus_lane() };
        Box::pin(async move { Ok(lane.connect().await.map(drop)?) })
    }

    fn lane(&self, _seat: &Seat) -> Box<dyn Lane> {
        Box::new(self.bus_lane())
    }
}

impl Bus {
    fn bus_lane(&self) -> BusLane {
        BusLane {
            broker: self.broker.clone(),
            encoder: self.encoder.clone(),
            unroutable: self.unroutable.clone(),
            link: None,
        }
    }
}

/// One connection.
#[derive(Debug)]
struct BusLane {
    broker: Broker,
    encoder: Arc<dyn Encoder>,
    unroutable: Arc<AtomicU64>,
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    connection: Connection,
    channel: Channel,
}

/// What becomes of an item.
enum Step {
    /// It was published with this routing key.
    Published(PublisherConfirm, RoutingKey),
    /// It makes no message.
    Dead(Said),
}

impl Lane for BusLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl BusLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let link = match self.link.take() {
            Some(link) => link,
            None => self.connect().await?,
        };
        if link.connection.status().blocked() {
            self.link = Some(link);
            return Err(Trouble::Busy(self.said("blocks publishers: memory or disk alarm").into(), BLOCKED));
        }
        let mut steps = Vec::with_capacity(items.len());
        let mut failed = None;
        for item in items {
            match self.publish(&link, item).await {
                Ok(step) => steps.push(step),
                Err(error) => {
                    failed = Some(self.trouble(&error));
                    break;
                }
            }
        }
        let mut fates = Vec::with_capacity(items.len());
        // Once one is refused, later ones of its host and service must come after it again.
        let mut refused = HashSet::new();
        for (step, item) in steps.into_iter().zip(items) {
            match self.confirmed(step, &link).await {
                Ok(Fate::Taken | Fate::Cut) if !refused.is_empty() && refused.contains(&item.key()) => {
                    fates.push(Fate::Later("one before it was refused".into()));
                }
                Ok(fate) => {
                    if matches!(fate, Fate::Later(_)) {
                        refused.insert(item.key());
                    }
                    fates.push(fate);
                }
                Err(trouble) => {
                    failed = Some(trouble);
                    break;
                }
            }
        }
        match failed {
            // A broken connection is not used again. What was confirmed before counts.
            Some(trouble) if fates.is_empty() => Err(trouble),
            Some(_) => Ok(fates),
            None => {
                self.link = Some(link);
                Ok(fates)
            }
        }
    }

    async fn publish(&self, link: &Link, item: &Item) -> lapin::Result<Step> {
        let message = match item.record().map(|record| (record.id(), self.encoder.message(&record))) {
            Some((id, Ok(message))) => (id, message),
            Some((_, Err(reason))) => return Ok(Step::Dead(reason)),
            None => return Ok(Step::Dead("the outcome is damaged".into())),
        };
        let (id, Message { routing_key, body }) = message;
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_app_id("trapline".into())
            .with_timestamp(u64::try_from(item.time / 1_000_000).unwrap_or(0))
            .with_message_id(id.into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let exchange = ShortString::from(self.broker.exchange.as_str());
        let key = ShortString::from(routing_key.as_str());
        let publish = link.channel.basic_publish(exchange, key, options, &body, properties);
        // A broker that is there may read nothing.
        let confirm = tokio::time::timeout(PATIENCE, publish).await;
        let confirm = confirm.map_err(|_| io::Error::other("it has read nothing for 30 s"))??;
        Ok(Step::Published(confirm, routing_key))
    }

    /// Waits for the broker's confirmation.
    async fn confirmed(&self, step: Step, link: &Link) -> Result<Fate, Trouble> {
        let (confirm, key) = match step {
            Step::Published(confirm, key) => (confirm, key),
            Step::Dead(reason) => return Ok(Fate::Dead(reason)),
        };
        let Ok(confirmation) = tokio::time::timeout(PATIENCE, confirm).await else {
            let why = if link.connection.status().blocked() {
                "has not confirmed for 30 s: it blocks publishers, memory or disk alarm"
            } else {
                "has not confirmed for 30 s"
            };
            return Err(Trouble::Unanswered(self.said(why).into(), "see its log"));
        };
        match confirmation {
            Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => Ok(key.taken()),
            Ok(Confirmation::Ack(Some(_))) => {
                let unroutable = self.broker.unroutable;
                if unroutable == Unroutable::Drop {
                    self.no_queue();
                }
                Ok(returned(unroutable, &self.broker.exchange, &key))
            }
            Ok(Confirmation::Nack(_)) => Ok(Fate::Later(self.said("refuses the message (nack)").into())),
            Err(error) => Err(self.trouble(&error)),
        }
    }

    /// Counts a message that the broker has taken and dropped.
    fn no_queue(&self) {
        let messages = self.unroutable.fetch_add(1, Ordering::Relaxed) + 1;
        if messages.is_power_of_two() {
            tracing::warn!(
                exchange = self.broker.exchange,
                messages,
                "no queue is bound to the exchange for these messages: the broker dropped them; bind a queue"
            );
        }
    }

    async fn connect(&self) -> Result<Link, Unopened> {
        match tokio::time::timeout(PATIENCE, connect(&self.broker)).await {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => Err(self.trouble(&error).into()),
            Err(_) => Err(Unopened::Away(self.said("has not answered for 30 s").into(), HINT)),
        }
    }

    fn trouble(&self, error: &lapin::Error) -> Trouble {
        let said = format!("cannot publish to the AMQP broker {}: {error}", self.broker.name()).into();
        match refusal(error) {
            Some(hint) => Trouble::Refused(said, hint),
            None => Trouble::Unanswered(said, HINT),
        }
    }

    fn said(&self, what: &str) -> String {
        format!("the AMQP broker {} {what}", self.broker.name())
    }
}

/// The fate of an outcome that the broker has returned, as no queue takes it (AMQP 0-9-1, `basic.return`).
fn returned(unroutable: Unroutable, exchange: &str, key: &RoutingKey) -> Fate {
    let said = || {
        Said::from(format!(
            "no queue is bound to the exchange '{exchange}' for this routing key, so the broker has dropped it; bind a queue: {}",
            key.as_str()
        ))
    };
    match unroutable {
        Unroutable::Dead => Fate::Dead(said()),
        Unroutable::Retry => Fate::Later(said()),
        Unroutable::Drop => key.taken(),
    }
}

/// What to do about an error by which the broker refuses what the configuration says; none for other errors.
fn refusal(error: &lapin::Error) -> Option<Hint> {
    let ErrorKind::ProtocolError(error) = error.kind() else { return None };
    match error.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => {
            Some("the exchange exists with another type: set declare = false")
        }
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
            Some("the exchange does not exist: create it, or set declare = true")
        }
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
        | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
            Some("check user, password and vhost of url, and the permissions of the user")
        }
        _ => None,
    }
}

async fn connect(broker: &Broker) -> lapin::Result<Link> {
    let connection = amqp::connect(&broker.url, &broker.tls).await?;
    let channel = connection.create_channel().await?;
    if broker.declare && !broker.exchange.is_empty() {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let exchange = ShortString::from(broker.exchange.as_str());
        channel.exchange_declare(exchange, ExchangeKind::Topic, options, FieldTable::default()).await?;
    }
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(Link { connection, channel })
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod lane_tests;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_keys_stay_apart() {
        let long = |end| RoutingKey::new(&format!("{}{end}", "k".repeat(300)));
        let a = long("a");
        assert!(a.cut && a.key.len() == MAX_ROUTING_KEY);
        assert_ne!(a.key, long("b").key);
        assert_eq!(a, long("a"));
        assert_eq!(RoutingKey::new("a.b"), RoutingKey { key: "a.b".into(), cut: false });
    }

    #[test]
    fn what_no_queue_takes_is_not_delivered_unless_that_is_meant() {
        let key = RoutingKey::new("a.b");
        let fate = |unroutable| returned(unroutable, "bus", &key);
        let Fate::Dead(said) = fate(Unroutable::Dead) else { panic!() };
        assert!(said.as_str().starts_with("no queue is bound to the exchange 'bus'"), "{said}");
        assert!(said.as_str().ends_with("bind a queue: a.b"), "{said}");
        assert_eq!(fate(Unroutable::Retry), Fate::Later(said));
        assert_eq!(fate(Unroutable::Drop), Fate::Taken);
        let long = RoutingKey::new(&"k".repeat(300));
        assert_eq!(returned(Unroutable::Drop, "bus", &long), Fate::Cut);
    }

    #[test]
    fn the_password_does_not_show() {
        let (url, exchange) = ("amqp://u:secret@h:5672/v".into(), "e".into());
        let broker = Broker { url, exchange, declare: true, unroutable: Unroutable::Dead, tls: None };
        assert_eq!(broker.name(), "h:5672/v");
        assert!(!format!("{broker:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn any_key_fits(key in "\\PC{0,400}|[\u{0}-\u{1f}a.]{0,9}") {
            let RoutingKey { key, .. } = RoutingKey::new(&key);
            prop_assert!(key.len() <= MAX_ROUTING_KEY && !key.chars().any(char::is_control));
        }
    }
}
