//! A real RabbitMQ: events in a queue that is bound to the exchange of Canopsis.

use std::collections::HashSet;
use std::process::Stdio;

use lapin::options::{BasicAckOptions, BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use serde_json::Value;

use crate::broker::Broker;
use crate::daemon::{Daemon, FILE_SINK, output, trapline};
use crate::support::{Program, link_trap, wait_until};

/// A queue, bound to an exchange for everything.
struct Queue {
    runtime: tokio::runtime::Runtime,
    _connection: Connection,
    channel: Channel,
}

/// A message in the queue.
struct Got {
    key: String,
    persistent: bool,
    id: String,
    body: Value,
}

impl Queue {
    /// Binds a durable queue; the exchange must be there.
    fn bind(broker: &Broker, exchange: &str) -> Self {
        let queue = Self::open(broker);
        queue.runtime.block_on(async {
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            queue.channel.queue_declare("test".into(), durable, FieldTable::default()).await.unwrap();
            queue
                .channel
                .queue_bind(
                    "test".into(),
                    exchange.into(),
                    "#".into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .unwrap();
        });
        queue
    }

    fn open(broker: &Broker) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (connection, channel) = runtime.block_on(async {
            let connection =
                Connection::connect(&broker.url(), ConnectionProperties::default()).await.unwrap();
            let channel = connection.create_channel().await.unwrap();
            (connection, channel)
        });
        Queue { runtime, _connection: connection, channel }
    }

    fn get(&self) -> Option<Got> {
        self.runtime.block_on(async {
            let message = self.channel.basic_get("test".into(), BasicGetOptions::default()).await.unwrap()?;
            message.acker.ack(BasicAckOptions::default()).await.unwrap();
            Some(Got {
                key: message.routing_key.to_string(),
                persistent: *message.properties.delivery_mode() == Some(2),
                id: message.properties.message_id().as_ref().unwrap().to_string(),
                body: serde_json::from_slice(&message.data).unwrap(),
            })
        })
    }

    fn wait(&self) -> Got {
        crate::support::wait_for("a message in the queue", || self.get())
    }
}

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";

#[test]
fn traps_arrive_as_events_and_wait_for_the_broker() {
    let mut broker = Broker::start();
    let mut daemon = Daemon::start(&format!(
        "{FILE_SINK}[hosts]\nmap = {{ \"127.0.0.1\" = \"sw1\" }}\n\
         [[sinks]]\nname = \"bus\"\ntype = \"canopsis\"\nurl = \"{}\"\nconnector_name = \"edge1\"\n",
        broker.url()
    ));
    // The first outcome makes the sink connect and declare the exchange; nobody listens yet.
    daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    wait_until("the broker returns it", || daemon.log().contains("no queue is bound"));
    let queue = Queue::bind(&broker, "canopsis.events");
    assert_eq!(
        queue.wait().body["resource"],
        "SNMP agent",
        "what came before the queue comes when it is there"
    );
    assert_eq!(daemon.status()["sinks"][1]["dead"], 0);

    let target = daemon.snmp_target();
    link_trap(&["-v2c", "-c", "public", &target, "", LINK_DOWN], "Gi0/3", "2");
    link_trap(
        &["-v1", "-c", "public", &target, "1.3.6.1.4.1.9.1.1", "127.0.0.1", "2", "0", "100"],
        "Gi0/3",
        "2",
    );
    let mut ids = HashSet::new();
    for _ in 0..2 {
        let got = queue.wait();
        assert_eq!(got.key, "trapline.edge1.check.resource.sw1.Interface Gi0/3");
        assert!(got.persistent);
        assert!(ids.insert(got.id.clone()));
        let body = &got.body;
        assert_eq!(body["trapline_id"], got.id.as_str());
        for (field, value) in [
            ("connector", "trapline"),
            ("connector_name", "edge1"),
            ("event_type", "check"),
            ("source_type", "resource"),
            ("component", "sw1"),
            ("resource", "Interface Gi0/3"),
            ("output", "Link down on Gi0/3 (admin up, oper down)"),
        ] {
            assert_eq!(body[field], value, "{body}");
        }
        assert_eq!((&body["state"], &body["state_type"]), (&2.into(), &1.into()));
        assert!(body["timestamp"].as_u64().unwrap() > 1_700_000_000);
    }

    // A load, with the broker gone in the middle of it.
    let to = format!("127.0.0.1:{}", daemon.snmp);
    let load = || {
        let args =
            ["send", "trap", "--to", &to, "--count", "2500", "--rate", "1000", "SNMPv2-MIB::warmStart"];
        Program::start(trapline().args(args).stdout(Stdio::null()))
    };
    let mut sender = load();
    wait_until("a part is out", || daemon.status()["sinks"][1]["delivered"].as_u64() > Some(500));
    drop(queue);
    broker.ctl(&["stop"]);
    broker.program.as_mut().unwrap().0.wait().unwrap();
    assert!(sender.0.wait().unwrap().success());
    // However slow the broker was in going, it misses these.
    assert!(load().0.wait().unwrap().success());
    wait_until("the sink says so", || daemon.log().contains("cannot publish to the AMQP broker"));
    daemon.wait_count("outcomes", 5003);
    broker.go();
    wait_until("the rest is out", || daemon.status()["sinks"][1]["behind"] == 0);
    let queue = Queue::open(&broker);
    let mut got = HashSet::new();
    let mut repeats = 0;
    while let Some(message) = queue.get() {
        assert_eq!(message.body["resource"], "SNMP agent");
        repeats += u32::from(!got.insert(message.id));
    }
    let sent: HashSet<String> = daemon
        .outcomes("out.jsonl")
        .iter()
        .filter(|o| o["rule"] == "warm-start")
        .map(|o| o["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(sent.len(), 5000);
    assert_eq!(sent.difference(&got).count(), 0, "missing events");
    println!("5000 events over a broker's restart, {repeats} repeated");
    daemon.stop();
}

#[test]
fn outcomes_as_json_on_an_exchange_of_their_own() {
    let broker = Broker::start();
    let daemon = Daemon::start(&format!(
        "[hosts]\nmap = {{ \"127.0.0.1\" = \"sw.1\" }}\n\
         [[sinks]]\nname = \"bus\"\ntype = \"amqp\"\nurl = \"{}\"\nexchange = \"outcomes\"\n",
        broker.url()
    ));
    let config = daemon.path("trapline.toml");
    let check = |more: &[&str]| {
        let args = ["check", "--config", config.to_str().unwrap()];
        String::from_utf8(output(&[&args, more].concat()).stderr).unwrap()
    };
    assert!(!check(&[]).contains("cannot deliver"));
    let right = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, right.replace("guest:guest", "guest:wrong")).unwrap();
    assert!(check(&[]).contains("the sink 'bus' cannot deliver now"), "{}", check(&[]));
    assert!(!check(&["--offline"]).contains("cannot deliver"));
    std::fs::write(&config, right).unwrap();
    daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    wait_until("no queue takes the first", || daemon.status()["sinks"][0]["dead"] == 1);
    assert_eq!(daemon.status()["sinks"][0]["delivered"], 0);
    let queue = Queue::bind(&broker, "outcomes");
    daemon.trap(&["1.3.6.1.6.3.1.1.5.2"]);
    let got = queue.wait();
    assert_eq!(got.key, "check_result.ok.sw_1");
    assert_eq!((&got.body["rule"], &got.body["host"]), (&"warm-start".into(), &"sw.1".into()));
    assert!(got.persistent && got.body["id"] == got.id.as_str());
}

#[test]
fn the_sinks_as_their_pages_print_them() {
    let broker = Broker::start();
    for (page, exchange) in [("canopsis.md", "canopsis.events"), ("amqp.md", "trapline")] {
        let daemon = Daemon::start(&crate::pages::block(page, &[("url", &broker.url())]));
        let send = || daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
        send();
        wait_until(page, || daemon.log().contains("no queue is bound"));
        let _queue = Queue::bind(&broker, exchange);
        send();
        wait_until(page, || daemon.status()["sinks"][0]["delivered"].as_u64() >= Some(1));
    }
}
