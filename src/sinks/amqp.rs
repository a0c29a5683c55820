//! The AMQP sinks: persistent messages, each confirmed by the broker before it counts as taken.

use std::collections::VecDeque;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind, PublisherConfirm,
};

use crate::outcome::json::Json;
use crate::outcome::record::Record;
use crate::sinks::adapter::{PushSink, Pushed, SinkError, Taken};
use crate::sinks::settings::AmqpConfig;
use crate::sinks::template::OutcomeTemplate;

/// The longest routing key in bytes: a short string of AMQP 0-9-1.
pub const MAX_ROUTING_KEY: usize = 255;
/// How many messages may wait for their confirmations.
const WINDOW: usize = 4096;
/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a sink makes of a record for the bus.
pub trait Form: Send {
    /// Routing key and body; none for a record that the far end does not know.
    fn message(&mut self, record: &Record<'_>) -> Option<(String, Vec<u8>)>;
}

/// A sink that publishes to an exchange.
#[derive(Debug)]
pub struct Amqp<F> {
    url: String,
    exchange: ShortString,
    declare: bool,
    form: F,
    link: Option<Link>,
    pending: VecDeque<Message>,
    /// Messages whose confirmations are awaited, in order.
    unconfirmed: VecDeque<(u64, PublisherConfirm)>,
    unroutable: u64,
}

#[derive(Debug)]
struct Link {
    // Kept: the channel ends with it.
    _connection: Connection,
    channel: Channel,
}

#[derive(Debug)]
struct Message {
    sequence: u64,
    id: String,
    time: u64,
    routing_key: String,
    body: Vec<u8>,
}

impl<F: Form> Amqp<F> {
    /// A sink for an exchange of this broker.
    pub fn new(url: String, exchange: String, declare: bool, form: F) -> Self {
        Amqp {
            url,
            exchange: exchange.into(),
            declare,
            form,
            link: None,
            pending: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            unroutable: 0,
        }
    }

    /// The exchange, if it is to be declared.
    fn declared(&self) -> Option<ShortString> {
        Some(self.exchange.clone()).filter(|e| self.declare && !e.as_str().is_empty())
    }

    fn trouble(&self, error: &lapin::Error) -> SinkError {
        // The address without its password.
        let broker = self.url.rsplit_once('@').map_or(self.url.as_str(), |(_, rest)| rest);
        SinkError::unavailable(
            format!("cannot publish to the AMQP broker {broker}"),
            error,
            "see whether the broker runs, and whether user, password and vhost of url are right",
        )
    }

    /// Waits for confirmations, until so few are outstanding.
    async fn settle(&mut self, most: usize) -> Result<(), SinkError> {
        while self.unconfirmed.len() > most {
            let Some((_, confirm)) = self.unconfirmed.front_mut() else { break };
            let confirmation = tokio::time::timeout(PATIENCE, confirm)
                .await
                .map_err(|_| SinkError::NotTaken("the broker has not confirmed for 30 s".to_owned()))?;
            self.unconfirmed.pop_front();
            match confirmation {
                Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => {}
                Ok(Confirmation::Ack(Some(_))) => self.nobody_listens(),
                Ok(Confirmation::Nack(_)) => {
                    return Err(SinkError::NotTaken("the broker refused messages (nack)".to_owned()));
                }
                Err(error) => return Err(self.trouble(&error)),
            }
        }
        Ok(())
    }

    fn nobody_listens(&mut self) {
        if self.unroutable.is_power_of_two() || self.unroutable == 0 {
            tracing::warn!(
                exchange = self.exchange.as_str(),
                messages = self.unroutable + 1,
                "no queue is bound to the exchange for these messages: the broker dropped them; bind a queue"
            );
        }
        self.unroutable += 1;
    }
}

impl<F: Form> PushSink for Amqp<F> {
    fn push(&mut self, record: &Record<'_>) -> Pushed {
        let Some((routing_key, body)) = self.form.message(record) else { return Pushed::Skipped };
        let (routing_key, cut) = bounded_key(routing_key);
        self.pending.push_back(Message {
            sequence: record.sequence,
            id: record.id(),
            time: u64::try_from(record.outcome.common().time / 1_000_000).unwrap_or(0),
            routing_key,
            body,
        });
        if cut { Pushed::Cut } else { Pushed::Queued }
    }

    async fn flush(&mut self) -> Result<Taken, SinkError> {
        let idle = self.pending.is_empty();
        if idle && self.unconfirmed.is_empty() {
            return Ok(Taken::All);
        }
        let link = match self.link.take() {
            Some(link) => link,
            None => match tokio::time::timeout(PATIENCE, connect(self.url.clone(), self.declared())).await {
                Ok(connected) => connected.map_err(|error| self.trouble(&error))?,
                Err(_) => return Err(SinkError::NotTaken("the broker has not answered for 30 s".to_owned())),
            },
        };
        while let Some(message) = self.pending.pop_front() {
            let properties = BasicProperties::default()
                .with_delivery_mode(2)
                .with_content_type("application/json".into())
                .with_app_id("trapline".into())
                .with_timestamp(message.time)
                .with_message_id(message.id.into());
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let key = message.routing_key.into();
            let confirm = link
                .channel
                .basic_publish(self.exchange.clone(), key, options, &message.body, properties)
                .await
                .map_err(|error| self.trouble(&error))?;
            self.unconfirmed.push_back((message.sequence, confirm));
        }
        // While more comes, the window stays half full; when nothing does, all is awaited.
        self.settle(if idle { 0 } else { WINDOW / 2 }).await?;
        self.link = Some(link);
        Ok(self.unconfirmed.front().map_or(Taken::All, |(sequence, _)| Taken::Before(*sequence)))
    }

    fn reset(&mut self) {
        self.link = None;
        self.pending.clear();
        self.unconfirmed.clear();
    }
}

async fn connect(url: String, exchange: Option<ShortString>) -> lapin::Result<Link> {
    let properties = ConnectionProperties::default().with_connection_name("trapline".into());
    let connection = Connection::connect(&url, properties).await?;
    let channel = connection.create_channel().await?;
    if let Some(exchange) = exchange {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(exchange, ExchangeKind::Topic, options, FieldTable::default()).await?;
    }
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(Link { _connection: connection, channel })
}

/// A routing key of at most [`MAX_ROUTING_KEY`] bytes. A longer one keeps its start and gets a checksum of the
/// whole, so that the same long key is always the same short one. Control characters become `_`.
fn bounded_key(key: String) -> (String, bool) {
    let key = if key.chars().any(char::is_control) {
        key.chars().map(|c| if c.is_control() { '_' } else { c }).collect()
    } else {
        key
    };
    if key.len() <= MAX_ROUTING_KEY {
        return (key, false);
    }
    let suffix = format!("~{:08x}", crc32c::crc32c(key.as_bytes()));
    let end = key.floor_char_boundary(MAX_ROUTING_KEY - suffix.len());
    (format!("{}{suffix}", &key[..end]), true)
}

/// Outcomes as JSON, with a routing key by template.
#[derive(Debug)]
pub struct JsonForm {
    routing_key: OutcomeTemplate,
}

impl Form for JsonForm {
    fn message(&mut self, record: &Record<'_>) -> Option<(String, Vec<u8>)> {
        Some((self.routing_key.render(record, one_word), serde_json::to_vec(&Json(record)).ok()?))
    }
}

/// A value as one word of a routing key: what separates words or stands for them is taken out.
fn one_word(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() || c.is_whitespace() || matches!(c, '.' | '*' | '#') { '_' } else { c })
        .collect()
}

/// What the sink of `type = "amqp"` makes of outcomes.
pub fn form(config: &AmqpConfig) -> JsonForm {
    JsonForm { routing_key: config.routing_key.clone() }
}

/// The sink of `type = "amqp"`.
pub fn sink(config: &AmqpConfig) -> Amqp<JsonForm> {
    Amqp::new(config.url.clone(), config.exchange.clone(), config.declare, form(config))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_keys_stay_apart() {
        let long = |end| format!("{}{end}", "k".repeat(300));
        let (a, cut) = bounded_key(long("a"));
        assert!(cut && a.len() == MAX_ROUTING_KEY);
        assert_ne!(a, bounded_key(long("b")).0);
        assert_eq!(a, bounded_key(long("a")).0);
        assert_eq!(bounded_key("a.b".into()), ("a.b".into(), false));
    }

    proptest! {
        #[test]
        fn any_key_fits(key in "\\PC{0,400}|[\u{0}-\u{1f}a.]{0,9}") {
            let (key, _) = bounded_key(key);
            prop_assert!(key.len() <= MAX_ROUTING_KEY && !key.chars().any(char::is_control));
        }

        #[test]
        fn a_value_cannot_forge_a_word(value in any::<String>()) {
            prop_assert!(!one_word(&value).contains(['.', '*', '#', '\n', ' ']));
        }
    }
}
