//! Outcomes as records of topics.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::answer;
use super::batch::{self, Record};
use super::connection::Connection;
use super::topic;
use super::view::{Cluster, View};
use super::wire::{self, PRODUCE, Part, Produced};
use crate::net::Network;
use crate::outcome::json;
use crate::outcome::record;
use crate::sinks::acks::{Ack, Means, settle};
use crate::sinks::fields::Template;
use crate::sinks::http::escape::{MAX_KEY, key_of};
use crate::sinks::piece::{Format, Piece};
use crate::sinks::sink::{
    Destination, Fate, Item, Lane, Limits, Order, Pieces, Said, Seat, Sending, Sink, Trouble, Working,
};
use crate::time::clock::{Clock, Mono, Now};

/// How many outcomes go in one request.
const MOST: usize = 512;
/// How many octets go in one batch of a partition: brokers take 1 MiB unless they are told otherwise.
const BATCH: usize = 900_000;
/// How long a broker may wait for its replicas, in milliseconds: less than we wait for it.
const REPLICAS: i32 = 25_000;
/// After how long of silence connections are ended: brokers do it after ten minutes.
const IDLE: Duration = Duration::from_mins(4);

/// A cluster, and what is written there.
#[derive(Debug, Clone)]
pub(super) struct KafkaSink {
    pub(super) cluster: Arc<Cluster>,
    /// The topic of an outcome.
    pub(super) topic: Template,
}

impl KafkaSink {
    /// The topic and the record of an outcome.
    fn message(&self, of: &record::Record<'_>) -> Result<(String, Record), Said> {
        let topic = self.topic.render(of);
        let topic = topic.map_err(|error| Said::from(format!("'topic' cannot be computed: {error}")))?;
        topic::check(&topic)?;
        let mut value = Vec::new();
        json::push(&mut value, of);
        let time = of.outcome.common().time / 1000;
        Ok((topic, Record { time, key: key_of(of, MAX_KEY), id: of.id(), value }))
    }
}

impl Sink for KafkaSink {
    fn limits(&self) -> Limits {
        Limits { items: MOST, bytes: 4 << 20, order: Order::Kept, ..Limits::default() }
    }

    fn pieces(&self, record: &record::Record<'_>) -> Option<Pieces> {
        Some(self.message(record).map(|(topic, record)| {
            vec![
                Piece::new(Format::KafkaTopic, topic),
                Piece::new(Format::RecordKey, record.key),
                Piece::new(Format::Json, record.value),
            ]
        }))
    }

    fn destination(&self) -> Destination {
        match &*self.cluster.addresses {
            [only] => Destination::Server(only.host.clone(), only.port),
            // One of them is enough: who greets tries all.
            _ => Destination::Unknown,
        }
    }

    fn greet(&self, network: Arc<dyn Network>) -> Working<'_> {
        Box::pin(async move { View::new(self.cluster.clone(), network).learn(&[]).await.map(drop) })
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        let view = View::new(self.cluster.clone(), seat.network.clone());
        let (clock, used) = (seat.clock.clone(), Mono::default());
        Box::new(KafkaLane { sink: self.clone(), clock, view, used })
    }
}

struct KafkaLane {
    sink: KafkaSink,
    clock: Arc<dyn Clock>,
    view: View,
    /// When something was said last.
    used: Mono,
}

/// A partition of a topic.
type Place = (String, usize);

/// What waits for a partition: batches in their order, each of places in the request.
type Queues = BTreeMap<Place, VecDeque<Vec<usize>>>;

impl Lane for KafkaLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }

    fn wants(&self) -> Option<Mono> {
        self.view.is_connected().then(|| self.used + IDLE)
    }

    fn own(&mut self, _now: Now) -> Working<'_> {
        self.view.disconnect();
        Box::pin(std::future::ready(Ok(())))
    }
}

impl KafkaLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut acks = vec![Ack::None; items.len()];
        let mut messages = Vec::with_capacity(items.len());
        for (item, ack) in items.iter().zip(&mut acks) {
            let message = item.record().ok_or_else(|| Said::from("the outcome is damaged"));
            let message = message.and_then(|record| self.sink.message(&record));
            messages.push(message.map_err(|said| *ack = Ack::Fate(Fate::Dead(said))).ok());
        }
        let ended = self.publish(&messages, &mut acks).await.err();
        self.used = self.clock.now().mono;
        // A partition takes all of its batch or nothing, so these are no reason to keep them apart.
        settle(items, acks, ended, Fate::Later)
    }

    /// Sends messages, and writes what the brokers say of each to its place in `acks`. An error is why some of them got none.
    async fn publish(
        &mut self,
        messages: &[Option<(String, Record)>],
        acks: &mut [Ack],
    ) -> Result<(), Trouble> {
        self.view.renew();
        let topics: BTreeSet<&String> = messages.iter().flatten().map(|(topic, _)| topic).collect();
        let topics = topics.into_iter().filter(|topic| self.view.leaders(topic).is_none());
        let topics: Vec<String> = topics.cloned().collect();
        if !topics.is_empty() {
            for (topic, error) in self.view.learn(&topics).await? {
                let of_topic = messages.iter().zip(&mut *acks);
                let of_topic = of_topic.filter(|(message, _)| message.as_ref().is_some_and(|m| m.0 == topic));
                of_topic.for_each(|(_, ack)| *ack = answer::ack(error, &topic, None));
            }
        }
        let mut queues = self.sorted(messages);
        let mut ended = Ok(());
        while !queues.is_empty() {
            ended = self.round(messages, &mut queues, acks).await.and(ended);
        }
        ended
    }

    /// Messages by partition, those of a partition in batches that brokers take.
    fn sorted(&self, messages: &[Option<(String, Record)>]) -> Queues {
        let mut queues = Queues::new();
        let mut sizes: BTreeMap<Place, usize> = BTreeMap::new();
        for (at, message) in messages.iter().enumerate() {
            let Some((topic, record)) = message else { continue };
            // An unknown topic has its answer.
            let Some(leaders) = self.view.leaders(topic) else { continue };
            let place = (topic.clone(), batch::partition(&record.key, leaders.len()));
            let size = sizes.entry(place.clone()).or_default();
            let queue = queues.entry(place).or_default();
            match queue.back_mut() {
                Some(batch) if *size + record.size() <= BATCH => batch.push(at),
                _ => {
                    *size = 0;
                    queue.push_back(vec![at]);
                }
            }
            *size += record.size();
        }
        queues
    }

    /// Sends the first batch of each partition to its leader, all leaders at once, and settles it or puts its halves in its place.
    async fn round(
        &mut self,
        messages: &[Option<(String, Record)>],
        queues: &mut Queues,
        acks: &mut [Ack],
    ) -> Result<(), Trouble> {
        let mut by_leader: BTreeMap<i32, Vec<(Place, Vec<usize>)>> = BTreeMap::new();
        for (place, queue) in &mut *queues {
            let leader = self.view.leaders(&place.0).and_then(|leaders| leaders.get(place.1).copied());
            if let Some(batch) = queue.pop_front() {
                by_leader.entry(leader.unwrap_or(-1)).or_default().push((place.clone(), batch));
            }
        }
        let mut ended = Ok(());
        let mut sent = Vec::new();
        for (leader, batches) in by_leader {
            if leader < 0 {
                for (place, batch) in batches {
                    self.give_up(&place, &batch, queues, acks, &answer::ack(5, &place.0, None));
                }
                continue;
            }
            match self.sent(leader, &batches, messages).await {
                Ok(connection) => sent.push((leader, connection, batches)),
                Err(trouble) => {
                    ended = Err(trouble);
                    for (place, batch) in &batches {
                        self.give_up(place, batch, queues, acks, &Ack::None);
                    }
                }
            }
        }
        for (leader, mut connection, batches) in sent {
            match produced(&mut connection).await {
                Ok(answers) => {
                    self.view.keep(leader, connection);
                    for (place, batch) in batches {
                        self.settled(place, batch, &answers, queues, acks);
                    }
                }
                Err(trouble) => {
                    ended = Err(trouble);
                    for (place, batch) in &batches {
                        self.give_up(place, batch, queues, acks, &Ack::None);
                    }
                }
            }
        }
        queues.retain(|_, queue| !queue.is_empty());
        ended
    }

    /// A connection to a broker on which batches were sent.
    async fn sent(
        &mut self,
        leader: i32,
        batches: &[(Place, Vec<usize>)],
        messages: &[Option<(String, Record)>],
    ) -> Result<Connection, Trouble> {
        let mut connection = self.view.connection(leader).await?;
        let version = connection.version(PRODUCE)?;
        let parts: Vec<Part<'_>> = batches
            .iter()
            .map(|((topic, partition), batch)| {
                let records: Vec<&Record> =
                    batch.iter().filter_map(|at| messages[*at].as_ref()).map(|(_, record)| record).collect();
                let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
                Part { topic, partition, batch: batch::encode(&records) }
            })
            .collect();
        connection.request(PRODUCE, version, &wire::produce_request(&parts, REPLICAS)).await?;
        Ok(connection)
    }

    /// What became of a batch.
    fn settled(
        &mut self,
        place: Place,
        batch: Vec<usize>,
        answers: &[Produced],
        queues: &mut Queues,
        acks: &mut [Ack],
    ) {
        let is_ours =
            |answer: &&Produced| answer.topic == place.0 && usize::try_from(answer.partition) == Ok(place.1);
        let Some(answer) = answers.iter().find(is_ours) else {
            let said = format!("the broker says nothing of partition {} of {}", place.1, place.0);
            self.give_up(&place, &batch, queues, acks, &Ack::Fate(Fate::Later(said.into())));
            return;
        };
        if answer.error == 0 {
            for at in batch {
                acks[at] = Ack::Fate(Fate::Taken);
            }
            return;
        }
        let ack = answer::ack(answer.error, &place.0, answer.message.as_deref());
        if answer::means(answer.error) != Means::Dead {
            self.give_up(&place, &batch, queues, acks, &ack);
            return;
        }
        let [only] = batch[..] else {
            let queue = queues.entry(place.clone()).or_default();
            for part in innocent(&batch, answer, &place.0, acks).into_iter().rev() {
                queue.push_front(part);
            }
            return;
        };
        acks[only] = ack;
    }

    /// A partition takes nothing more of this request: what waits for it gets this answer, too, so that its order stays. Where the topic is is
    /// asked for anew.
    fn give_up(&mut self, place: &Place, batch: &[usize], queues: &mut Queues, acks: &mut [Ack], ack: &Ack) {
        let waiting = queues.remove(place).unwrap_or_default();
        waiting.iter().flatten().chain(batch).for_each(|at| acks[*at] = ack.clone());
        self.view.doubt(&place.0);
    }
}

/// What of a batch goes again that has a record at fault: all but those that the broker names, or its halves. Those that are named have their
/// answer.
fn innocent(batch: &[usize], answer: &Produced, topic: &str, acks: &mut [Ack]) -> Vec<Vec<usize>> {
    let mut rest = Vec::with_capacity(batch.len());
    for (number, at) in batch.iter().enumerate() {
        match answer.records.iter().find(|(named, _)| usize::try_from(*named) == Ok(number)) {
            Some((_, words)) => {
                let words = words.as_deref().or(answer.message.as_deref());
                acks[*at] = answer::ack(answer.error, topic, words);
            }
            None => rest.push(*at),
        }
    }
    if rest.is_empty() {
        return Vec::new();
    }
    if rest.len() < batch.len() {
        return vec![rest];
    }
    let (first, second) = batch.split_at(batch.len() / 2);
    vec![first.to_vec(), second.to_vec()]
}

async fn produced(connection: &mut Connection) -> Result<Vec<Produced>, Trouble> {
    let version = connection.version(PRODUCE)?;
    let answer = connection.answer().await?;
    let (answers, pause) = wire::produced(version, &answer).ok_or_else(|| connection.nonsense())?;
    connection.pause(pause);
    Ok(answers)
}
