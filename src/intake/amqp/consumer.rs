//! Reads the queues: a task each, which connects again with pauses when the broker goes.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, Consumer};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::amqp;
use crate::intake::amqp::settings::Queue;
use crate::intake::commit::RETRY;
use crate::intake::informs::Known;
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::Shared;
use crate::peer::Peer;
use crate::posted::kept::Kept;
use crate::sys::Arrival;
use crate::time::backoff::Backoff;

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first and the longest pause before it is connected to again.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];
/// The most messages that are committed at once.
const AT_ONCE: usize = 500;
/// How long messages that could not be stored wait before the broker delivers them again.
const UNSAFE: Duration = Duration::from_secs(1);

/// Reads the queues that are wanted, until told to stop. `stop` becomes true then.
pub async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut wanted = shared.queues.wanted();
    let told = async {
        // The sender is gone only with the daemon.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    tokio::pin!(told);
    let mut reading = FuturesUnordered::new();
    let mut queues: Vec<Arc<Queue>> = Vec::new();
    loop {
        // One that has changed is dropped: what it has not acknowledged comes again.
        let now = wanted.borrow_and_update().clone();
        if now != queues {
            reading = now.iter().map(|queue| read(shared.clone(), queue.clone())).collect();
            queues = now;
        }
        tokio::select! {
            biased;
            () = &mut told => return,
            changed = wanted.changed() => if changed.is_err() { return },
            Some(()) = reading.next() => {}
        }
    }
}

/// Reads one queue for good.
async fn read(shared: Arc<Shared>, queue: Arc<Queue>) {
    let mut backoff = Backoff::new(PAUSES[0], PAUSES[1]);
    loop {
        let mut link = match timeout(PATIENCE, Link::open(&shared, &queue)).await {
            Ok(Ok(link)) => link,
            failed => {
                let why = failed.map_or("it has not answered for 30 s".to_owned(), |link| {
                    link.err().map_or_else(String::new, |error| error.to_string())
                });
                lost(&shared, &queue, &why);
                sleep(backoff.next_pause()).await;
                continue;
            }
        };
        backoff.reset();
        shared.queues.note(&queue.name, |entry| (entry.connected, entry.error) = (true, None));
        tracing::info!(queue = &*queue.name, "reading the queue {} of {}", queue.queue, queue.broker());
        let why = link.read(&shared, &queue).await;
        lost(&shared, &queue, &why);
        sleep(backoff.next_pause()).await;
    }
}

fn lost(shared: &Shared, queue: &Queue, why: &str) {
    if shared.queues.failed(&queue.name, why) {
        tracing::warn!(
            queue = &*queue.name,
            "cannot read the queue {} of {}: {why}; it is tried again; see whether the broker runs, and user, password, vhost and queue of [[intake]]",
            queue.queue,
            queue.broker()
        );
    }
}

/// A connection whose messages come.
struct Link {
    /// Closed when it is dropped.
    _connection: Connection,
    channel: Channel,
    consumer: Consumer,
    arrival: Arrival,
    pipeline: Pipeline,
}

impl Link {
    async fn open(shared: &Arc<Shared>, queue: &Queue) -> lapin::Result<Self> {
        let arrival = Arrival { peer: peer(queue).await, local: None };
        let connection = amqp::connect(&queue.url, &queue.tls).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(queue.prefetch, BasicQosOptions::default()).await?;
        let name = ShortString::from(queue.queue.as_str());
        if let Some((exchange, keys)) = &queue.bind {
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(name.clone(), durable, FieldTable::default()).await?;
            for key in keys {
                let (exchange, key) = (ShortString::from(exchange.as_str()), ShortString::from(key.as_str()));
                let options = QueueBindOptions::default();
                channel.queue_bind(name.clone(), exchange, key, options, FieldTable::default()).await?;
            }
        }
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(name, "".into(), options, FieldTable::default()).await?;
        let pipeline = Pipeline::of_posts(shared.clone(), None);
        Ok(Link { _connection: connection, channel, consumer, arrival, pipeline })
    }

    /// Takes what comes until the connection ends; why it has.
    async fn read(&mut self, shared: &Shared, queue: &Queue) -> String {
        loop {
            let mut batch = match self.consumer.next().await {
                Some(Ok(delivery)) => vec![delivery],
                Some(Err(error)) => return error.to_string(),
                None => return "the broker has ended the subscription; is the queue gone?".to_owned(),
            };
            let mut end = None;
            while batch.len() < AT_ONCE {
                match self.consumer.next().now_or_never() {
                    Some(Some(Ok(delivery))) => batch.push(delivery),
                    Some(Some(Err(error))) => {
                        end = Some(error.to_string());
                        break;
                    }
                    Some(None) | None => break,
                }
            }
            if let Err(error) = self.take(shared, queue, &batch).await {
                return error.to_string();
            }
            if let Some(why) = end {
                return why;
            }
        }
    }

    /// Commits the events of some messages, and tells the broker what became of each.
    async fn take(&mut self, shared: &Shared, queue: &Queue, batch: &[Delivery]) -> lapin::Result<()> {
        // Without an acknowledgement the broker sends no more than `prefetch`.
        while shared.refusing() {
            shared.commit.retry(shared.now());
            if shared.refusing() {
                sleep(RETRY).await;
            }
        }
        let again = batch.iter().filter(|delivery| delivery.redelivered).count() as u64;
        shared.queues.note(&queue.name, |entry| entry.redelivered += again);
        let (mut taken, mut waits) = (Vec::new(), Vec::new());
        self.pipeline.refresh();
        for delivery in batch {
            let now = shared.now();
            match events(queue, delivery, now.wall.micros()) {
                Ok(events) => {
                    let has_id = delivery.properties.message_id().is_some();
                    if self.give(shared, queue, delivery, &events) {
                        taken.push((delivery.delivery_tag, has_id));
                    } else {
                        waits.push(delivery.delivery_tag);
                    }
                }
                Err(why) => {
                    self.pipeline.post_refused("malformed", &why, self.arrival.peer, now);
                    shared.queues.note(&queue.name, |entry| entry.rejected += 1);
                    let no_more = BasicRejectOptions { requeue: false };
                    self.channel.basic_reject(delivery.delivery_tag, no_more).await?;
                }
            }
        }
        drop(self.pipeline.commit(shared.now()));
        let (safe, kept) = (self.pipeline.all_safe(), self.pipeline.all_kept());
        // Those without an id are known by nothing that could not be kept.
        waits.extend(taken.extract_if(.., |(_, has_id)| !safe || (*has_id && !kept)).map(|(tag, _)| tag));
        for (tag, _) in &taken {
            self.channel.basic_ack(*tag, BasicAckOptions::default()).await?;
        }
        let count = taken.len() as u64;
        shared.queues.note(&queue.name, |entry| entry.taken += count);
        if waits.is_empty() {
            return Ok(());
        }
        sleep(UNSAFE).await;
        for tag in waits {
            let again = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            self.channel.basic_nack(tag, again).await?;
        }
        Ok(())
    }

    /// Gives the events of a message to the rules. False if it is known already, and is not safe yet.
    fn give(&mut self, shared: &Shared, queue: &Queue, delivery: &Delivery, events: &[Kept]) -> bool {
        let id = delivery.properties.message_id().as_ref();
        let mut safe = true;
        for (at, kept) in events.iter().enumerate() {
            // What was taken before a crash and not acknowledged comes again, and is known by its id.
            let key = id.map(|id| {
                let parts = ("amqp", queue.broker(), &queue.queue, id.as_str(), at, &kept.text);
                shared.commit.key(parts)
            });
            safe &= self.pipeline.posted(kept, key, self.arrival, shared.now()) != Known::Waits;
        }
        safe
    }
}

/// The events of a message, or why it has none. One that is none spoils the message.
fn events(queue: &Queue, delivery: &Delivery, now: i64) -> Result<Vec<Kept>, String> {
    let events = queue.source.read(&delivery.data, now).map_err(|mistake| mistake.to_string())?;
    let kept: Result<Vec<Kept>, &str> = events.into_iter().map(|event| event.kept).collect();
    kept.map_err(str::to_owned)
}

/// The broker as the sender.
async fn peer(queue: &Queue) -> Peer {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let Ok(uri) = queue.url.parse::<AMQPUri>() else { return nobody.into() };
    let (host, port) = (uri.authority.host, uri.authority.port);
    if let Ok(address) = host.parse::<IpAddr>() {
        return SocketAddr::from((address, port)).into();
    }
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    found.ok().and_then(|mut all| all.next()).unwrap_or(nobody).into()
}
