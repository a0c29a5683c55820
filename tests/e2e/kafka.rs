//! The mock cluster of librdkafka, in kcat: outcomes as records of Kafka's topics, read back by its consumer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::{Daemon, output, trapline};
use crate::pages::block;
use crate::support::{Program, link_trap, port, read, run, wait_for, wait_until};

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";

/// A cluster of three brokers, in memory, which makes topics that are asked for, each with four partitions.
struct Cluster {
    program: Program,
    addresses: Vec<String>,
    _dir: TempDir,
}

/// A record: its partition, key, headers and value.
struct Record {
    partition: String,
    key: String,
    headers: String,
    value: Value,
}

impl Cluster {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("kcat");
        command.args(["-P", "-b", "none:1", "-t", "trapline", "-X", "test.mock.num.brokers=3"]);
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        // It lives as long as its standard input is open.
        let program = Program::start_with(&mut command, Stdio::piped());
        let addresses = wait_for("the cluster says where it is", || {
            let text = read(&log);
            let (_, behind) = text.split_once("replaced with ")?;
            let (line, _) = behind.split_once('\n')?;
            Some(line.trim().split(',').map(str::to_owned).collect::<Vec<_>>())
        });
        assert_eq!(addresses.len(), 3);
        Cluster { program, addresses, _dir: dir }
    }

    /// A configuration of the page with these addresses.
    fn of_page(&self, block: &str) -> String {
        let list =
            self.addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ");
        let line = |line: &str| {
            if line.starts_with("addresses = ") {
                format!("addresses = [{list}]\n")
            } else {
                format!("{line}\n")
            }
        };
        block.lines().map(line).collect()
    }

    /// All records of a topic, those of a partition in their order.
    fn records(&self, topic: &str) -> Vec<Record> {
        let read = run(Command::new("kcat")
            .args(["-C", "-q", "-e", "-o", "beginning", "-b", &self.addresses[1], "-t", topic])
            .args(["-X", "allow.auto.create.topics=true", "-f", "%p\t%k\t%h\t%s\n"]));
        let text = String::from_utf8(read.stdout).unwrap();
        let record = |line: &str| {
            let mut fields = line.splitn(4, '\t').map(str::to_owned);
            let mut next = || fields.next().unwrap();
            let (partition, key, headers) = (next(), next(), next());
            Record { partition, key, headers, value: serde_json::from_str(&next()).unwrap() }
        };
        text.lines().map(record).collect()
    }
}

fn delivered(daemon: &Daemon) -> bool {
    let sink = &daemon.status()["sinks"][0];
    sink["behind"] == 0 && sink["dead"] == 0
}

/// The daemon is killed, and the cluster stands still, at any time: each outcome is there, those of a service in their order.
#[test]
fn every_outcome_is_in_its_topic_in_its_order_though_the_daemon_is_killed() {
    let cluster = Cluster::start();
    let mut daemon = Daemon::start(&cluster.of_page(&block("kafka.md", &[])));
    let to = format!("127.0.0.1:{}", daemon.snmp);
    let send = |interface: &str, count: &str| {
        let description = format!("ifDescr.3={interface}");
        Program::start(
            trapline()
                .args(["send", "trap", "--to", &to, "--count", count, "--rate", "500", "IF-MIB::linkDown"])
                .args(["ifIndex.3=3", "ifAdminStatus.3=up", "ifOperStatus.3=down", &description])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
    };
    for interface in ["Gi0/1", "Gi0/2.7", "Gi0/3"] {
        let mut sender = send(interface, "200");
        assert!(sender.0.wait().unwrap().success());
    }
    wait_until("all is delivered", || delivered(&daemon));
    // Brokers that stand still lose nothing.
    cluster.program.signal("STOP");
    let mut sender = send("Gi0/1", "300");
    assert!(sender.0.wait().unwrap().success());
    wait_until("some wait", || daemon.status()["sinks"][0]["behind"].as_u64() > Some(0));
    cluster.program.signal("CONT");
    wait_until("all is delivered", || delivered(&daemon));
    for _ in 0..2 {
        let before = daemon.status()["sinks"][0]["delivered"].as_u64();
        // What is sent while nobody listens is lost.
        let _sender = send("Gi0/2.7", "500");
        wait_until("more are there", || daemon.status()["sinks"][0]["delivered"].as_u64() > before);
        daemon.kill();
        daemon.restart();
    }
    wait_until("all is delivered", || delivered(&daemon));
    let expected = daemon.status()["journal"]["next"].as_u64().unwrap() - 1;
    let records = cluster.records("trapline");
    let mut seen = BTreeSet::new();
    let mut of_key: BTreeMap<&str, (&str, Vec<u64>)> = BTreeMap::new();
    for record in &records {
        let id = record.value["id"].as_str().unwrap();
        assert_eq!(record.headers, format!("trapline-id={id},content-type=application/json"));
        let (partition, order) = of_key.entry(&record.key).or_insert((&record.partition, Vec::new()));
        assert_eq!(*partition, record.partition, "a service has one partition");
        // What is there twice was sent again after a kill.
        if seen.insert(id) {
            order.push(id.rsplit('-').next().unwrap().parse().unwrap());
        }
    }
    assert_eq!(seen.len() as u64, expected, "none is missing");
    assert!(of_key.values().all(|(_, order)| order.is_sorted()), "in their order");
    assert!(of_key.contains_key("127.0.0.1/Interface%20Gi0%2F2.7"), "{:?}", of_key.keys());
}

#[test]
fn names_from_messages_stay_in_their_words_and_what_makes_no_topic_is_a_dead_letter() {
    let cluster = Cluster::start();
    let sink = cluster.of_page(&block("kafka.md", &[]));
    let topic = "topic = \"net.{{ outcome.service }}\"\n";
    let daemon = Daemon::start(&format!("{sink}{topic}"));
    let send =
        |port: &str| link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], port, "2");
    send("x./ _%");
    send(&"x".repeat(300));
    wait_until("both are settled", || {
        let sink = &daemon.status()["sinks"][0];
        (&sink["behind"], &sink["delivered"], &sink["dead"]) == (&0.into(), &1.into(), &1.into())
    });
    daemon.wait_log("the topic has");
    let records = cluster.records("net.Interface_20x_2E_2F_20_5F_25");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].value["service"], "Interface x./ _%");
}

#[test]
fn the_check_says_whether_a_broker_is_there() {
    let cluster = Cluster::start();
    let daemon = Daemon::start(&cluster.of_page(&block("kafka.md", &[])));
    let config = daemon.path("trapline.toml");
    let check = || output(&["check", "--config", config.to_str().unwrap()]);
    let checked = check();
    assert!(checked.status.success(), "{checked:?}");
    let text = read(&config);
    let nobody = text
        .replace(&cluster.of_page("addresses = \n"), &format!("addresses = [\"127.0.0.1:{}\"]\n", port()));
    assert_ne!(text, nobody);
    std::fs::write(&config, nobody).unwrap();
    let checked = check();
    assert!(String::from_utf8_lossy(&checked.stderr).contains("Connection refused"), "{checked:?}");
    // The mock cluster knows no logins, and closes the connection.
    let login = "type = \"kafka\"\nuser = \"trapline\"\npassword = \"secret\"\n";
    std::fs::write(&config, text.replace("type = \"kafka\"\n", login)).unwrap();
    let checked = check();
    assert!(String::from_utf8_lossy(&checked.stderr).contains("Kafka broker"), "{checked:?}");
}
