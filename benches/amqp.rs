//! The AMQP sink against a bare lapin loop with the same confirms, on the same broker in the same run.
//!
//! `cargo bench --bench amqp` needs Debian's `rabbitmq-server`; it starts a broker of its own.
#![allow(
    missing_docs,
    dead_code,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

#[path = "../tests/e2e/broker.rs"]
mod broker;
mod common;
#[path = "../tests/e2e/support.rs"]
mod support;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use broker::Broker;
use common::outcome;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use trapline::journal::{Batch, Journal, Options, WhenFull};
use trapline::outcome::Record;
use trapline::settings::diagnostic::{Diagnostics, SourceText};
use trapline::settings::section::{self, Section};
use trapline::sinks::amqp::lane::Encoder;
use trapline::sinks::canopsis::event::EventEncoder;
use trapline::sinks::registry::{self, KINDS};
use trapline::sinks::settings::SinkConfig;
use trapline::sinks::{self, Running};
use trapline::world::World;

const COUNT: usize = 60_000;
const EXCHANGE: &str = "canopsis.events";

fn main() {
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let broker = Broker::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let url = broker.url();
    for kind in ["classic", "quorum"] {
        let (mut bare, mut sink) = (Vec::new(), Vec::new());
        // By turns, so that a noisy moment falls on both.
        for _ in 0..3 {
            bare.push(runtime.block_on(bare_loop(&url, kind)));
            sink.push(runtime.block_on(through_the_sink(&url, kind)));
        }
        let (bare, sink) = (median(&mut bare), median(&mut sink));
        println!(
            "{kind} queue: bare lapin loop {bare:.0}/s, canopsis sink {sink:.0}/s, {:.0} %",
            sink / bare * 100.0
        );
    }
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn sink(url: &str) -> SinkConfig {
    let text = format!("name = \"bus\"\ntype = \"canopsis\"\nurl = \"{url}\"\nexchange = \"{EXCHANGE}\"\n");
    let source = SourceText { file: "bench", text: &text };
    let mut found = Diagnostics::default();
    let root = section::read(&source, &mut found).unwrap();
    let section = Section::new(&source, root.get_ref(), root.span(), "[[sinks]]");
    registry::read(KINDS, &section, &|path| path.into(), &mut found).unwrap()
}

/// A channel to the broker with an empty queue bound to the exchange.
async fn prepare(url: &str, kind: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default())
        .await
        .unwrap();
    for other in ["classic", "quorum"] {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(other.into()));
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(other.into(), durable, arguments).await.unwrap();
        if other == kind {
            let options = QueueBindOptions::default();
            channel
                .queue_bind(other.into(), EXCHANGE.into(), "#".into(), options, FieldTable::default())
                .await
                .unwrap();
        } else {
            channel
                .queue_unbind(other.into(), EXCHANGE.into(), "#".into(), FieldTable::default())
                .await
                .unwrap();
        }
        channel.queue_purge(other.into(), QueuePurgeOptions::default()).await.unwrap();
    }
    (connection, channel)
}

/// The same messages with the same properties and as many unconfirmed as the sink allows itself.
async fn bare_loop(url: &str, kind: &str) -> f64 {
    let (_connection, channel) = prepare(url, kind).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let record = Record { epoch: 1, sequence: 1, outcome: outcome() };
    let encoder = EventEncoder { connector: "trapline".to_owned(), connector_name: "trapline".to_owned() };
    let message = encoder.message(&record).unwrap();
    let mut unconfirmed = VecDeque::new();
    let start = Instant::now();
    for _ in 0..COUNT {
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_app_id("trapline".into())
            .with_timestamp(1_795_000_000)
            .with_message_id("0000000000000001-1".into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let key = message.routing_key.as_str().into();
        let confirm = channel.basic_publish(EXCHANGE.into(), key, options, &message.body, properties).await;
        unconfirmed.push_back(confirm.unwrap());
        if unconfirmed.len() > 2048 {
            assert!(unconfirmed.pop_front().unwrap().await.unwrap().is_ack());
        }
    }
    for confirm in unconfirmed {
        assert!(confirm.await.unwrap().is_ack());
    }
    COUNT as f64 / start.elapsed().as_secs_f64()
}

/// A journal full of outcomes, delivered by the sink.
async fn through_the_sink(url: &str, kind: &str) -> f64 {
    let (_connection, _channel) = prepare(url, kind).await;
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { directory: dir.path().to_owned(), max_size: 1 << 30, when_full: WhenFull::DropOldest };
    let (journal, _) = Journal::open(options, 7).unwrap();
    let sink = sink(url);
    // Registered first, so that its cursor stands before the outcomes.
    drop(journal.register(&sink.name).unwrap());
    let mut batch = Batch::default();
    for _ in 0..COUNT {
        batch.push(&outcome());
    }
    journal.append(&batch).unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let start = Instant::now();
    let running = Running::open(&sink.name, &journal).unwrap();
    let delivery = sinks::deliver(&sink, running.clone(), journal.clone(), World::default(), stopped);
    let wait = async {
        while running.cursor.position() < journal.next() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let rate = COUNT as f64 / start.elapsed().as_secs_f64();
        stop.send(true).unwrap();
        rate
    };
    tokio::join!(delivery, wait).1
}
