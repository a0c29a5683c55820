//! Events from a queue of a real RabbitMQ.

use std::collections::HashMap;

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::daemon::{Daemon, FILE_SINK};
use crate::support::wait_until;

/// Publishes with confirmations.
struct Publisher {
    runtime: tokio::runtime::Runtime,
    _connection: Connection,
    channel: Channel,
}

impl Publisher {
    fn open(broker: &Broker) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (connection, channel) = runtime.block_on(async {
            let connection =
                Connection::connect(&broker.url(), ConnectionProperties::default()).await.unwrap();
            let channel = connection.create_channel().await.unwrap();
            channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
            let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let (name, kind) = ("canopsis.events".into(), ExchangeKind::Topic);
            channel.exchange_declare(name, kind, durable, FieldTable::default()).await.unwrap();
            (connection, channel)
        });
        Publisher { runtime, _connection: connection, channel }
    }

    fn publish(&self, id: Option<&str>, body: &str) {
        self.runtime.block_on(async {
            let mut properties = BasicProperties::default().with_delivery_mode(2);
            if let Some(id) = id {
                properties = properties.with_message_id(id.into());
            }
            let (exchange, key) = ("canopsis.events".into(), "a.b.check.resource.h".into());
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let confirm = self.channel.basic_publish(exchange, key, options, body.as_bytes(), properties);
            let confirm = confirm.await.unwrap().await.unwrap();
            assert!(confirm.is_ack() && confirm.take_message().is_none(), "no queue is bound");
        });
    }

    /// How many messages wait in the queue.
    fn waiting(&self) -> u32 {
        self.runtime.block_on(async {
            let passive =
                QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
            self.channel
                .queue_declare("trapline".into(), passive, FieldTable::default())
                .await
                .unwrap()
                .message_count()
        })
    }
}

fn event(resource: &str, state: u8) -> String {
    json!({
        "connector": "c", "connector_name": "n", "event_type": "check", "source_type": "resource", "component": "db1",
        "resource": resource, "state": state, "output": format!("{resource} is {state}"),
    })
    .to_string()
}

fn config(broker: &Broker) -> String {
    format!(
        "{FILE_SINK}[[intake]]\ntype = \"amqp\"\nurl = \"{}\"\nqueue = \"trapline\"\nexchange = \"canopsis.events\"\nformat = \"canopsis\"\nprefetch = 100\n",
        broker.url()
    )
}

fn queue(daemon: &Daemon) -> Value {
    daemon.status()["queues"][0].clone()
}

/// How often each service has an outcome.
fn services(daemon: &Daemon) -> HashMap<String, u32> {
    let mut all = HashMap::new();
    for outcome in daemon.outcomes("out.jsonl") {
        *all.entry(outcome["service"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    all
}

#[test]
fn events_of_a_queue_are_taken_and_what_is_none_is_rejected() {
    let mut broker = Broker::start();
    let publisher = Publisher::open(&broker);
    let daemon = Daemon::start(&config(&broker));
    wait_until("it is connected", || queue(&daemon)["connected"] == true);
    publisher.publish(None, &event("Disk", 2));
    publisher.publish(None, "no JSON");
    publisher.publish(None, "{}");
    publisher.publish(None, &format!("[{},{}]", event("Load", 1), event("CPU", 0)));
    wait_until("all are settled", || {
        let queue = queue(&daemon);
        (queue["taken"].as_u64(), queue["rejected"].as_u64()) == (Some(2), Some(2))
    });
    wait_until("three outcomes", || daemon.outcomes("out.jsonl").len() == 3);
    let disk = daemon.outcomes("out.jsonl").into_iter().find(|outcome| outcome["service"] == "Disk").unwrap();
    assert_eq!(
        (&disk["host"], &disk["state"], &disk["output"]),
        (&"db1".into(), &"critical".into(), &"Disk is 2".into())
    );
    assert_eq!(publisher.waiting(), 0);
    assert!(
        daemon.log().contains("a request over HTTP was not taken")
            || daemon.log().contains("was not taken (malformed)")
    );
    assert!(!daemon.log().contains("guest:guest"));

    // The broker goes and comes back.
    drop(publisher);
    broker.ctl(&["stop"]);
    broker.program.as_mut().unwrap().0.wait().unwrap();
    wait_until("the daemon says so", || {
        let queue = queue(&daemon);
        queue["connected"] == false && queue["error"].is_string()
    });
    broker.go();
    let publisher = Publisher::open(&broker);
    publisher.publish(None, &event("Swap", 2));
    wait_until("it reads on", || services(&daemon).contains_key("Swap"));

    // A reload without the queue ends it, one with it reads on.
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.split("[[intake]]").next().unwrap()).unwrap();
    daemon.reload();
    wait_until("no queue", || daemon.status()["queues"] == json!([]));
    publisher.publish(None, &event("Later", 2));
    // The broker may not know yet that nobody reads, and gets it back.
    wait_until("it waits in the queue", || publisher.waiting() == 1);
    std::fs::write(&path, text).unwrap();
    daemon.reload();
    wait_until("it reads on", || services(&daemon).contains_key("Later"));
}

#[test]
fn nothing_is_lost_when_the_daemon_is_killed_in_the_middle() {
    const EVENTS: usize = 2000;
    let broker = Broker::start();
    let publisher = Publisher::open(&broker);
    let mut daemon = Daemon::start(&config(&broker));
    wait_until("it is connected", || queue(&daemon)["connected"] == true);
    let mut kills = 0;
    for n in 0..EVENTS {
        publisher.publish(Some(&format!("id-{n}")), &event(&format!("S{n}"), 2));
        if n % 500 == 250 {
            daemon.kill();
            daemon.restart();
            kills += 1;
        }
    }
    wait_until("all are there", || services(&daemon).len() == EVENTS);
    wait_until("all are acknowledged", || publisher.waiting() == 0);
    let all = services(&daemon);
    let twice = all.values().filter(|count| **count > 1).count();
    println!(
        "{EVENTS} events over {kills} kills, {twice} taken twice, {} delivered again",
        queue(&daemon)["redelivered"]
    );
    assert!((0..EVENTS).all(|n| all.contains_key(&format!("S{n}"))));
    // With an id, one that comes again is known.
    let before = daemon.status()["intake"]["outcomes"].as_u64();
    publisher.publish(Some("id-1999"), &event("S1999", 2));
    let taken = queue(&daemon)["taken"].as_u64().unwrap();
    publisher.publish(None, &event("Last", 2));
    wait_until("both are acknowledged", || queue(&daemon)["taken"].as_u64() > Some(taken));
    wait_until("the last one is there", || services(&daemon).contains_key("Last"));
    assert!(daemon.status()["intake"]["outcomes"].as_u64().unwrap() <= before.unwrap() + 1);
}
