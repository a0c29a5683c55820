//! Faults, again and again: in minutes here; `TRAPLINE_CHAOS=20 cargo test --test e2e chaos -- --nocapture` for hours.

use std::collections::HashMap;
use std::io::{ErrorKind, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;
use trapline::message::{NotificationKind, Version};
use trapline::snmp::encode;

use crate::broker::Broker;
use crate::daemon::{Daemon, FILE_SINK};
use crate::hostile::notification;
use crate::support::{Ends, Random, let_pass, pace, times, wait_until};
use crate::web_server::WebServer;

/// How many outcomes the file sink writes and syncs together.
const WINDOW: u64 = 2048;

const EVERYTHING: &str = "[[rule]]\nid = \"any\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\noutput = \"{{ v[1] }}\"\n\
    [[rule]]\nid = \"n\"\nsyslog = { message = '^(?<service>s\\d+) (?<number>\\d+)$' }\n[rule.check]\nhost = \"h\"\n\
    service = \"{{ service }}\"\nstate = \"ok\"\noutput = \"{{ number }}\"\n";

fn prepare(rest: &str) -> Daemon {
    let daemon = Daemon::prepare(&format!("{rest}\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    std::fs::write(daemon.path("rules.toml"), EVERYTHING).unwrap();
    daemon
}

#[test]
fn three_hundred_kills_under_five_thousand_traps_a_second() {
    let kills = times(300);
    let mut daemon = prepare(FILE_SINK);
    daemon.restart();
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut random = Random::new();
    let port = daemon.snmp;
    let journaled = std::thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let trap = encode::encode(&notification(NotificationKind::Trap, Version::V2c, "x", 1));
            let start = Instant::now();
            while !done.load(Ordering::Relaxed) {
                let due = (start.elapsed().as_secs_f64() * 5000.0) as u64;
                while sent.load(Ordering::Relaxed) < due {
                    let _ = socket.send_to(&trap, ("127.0.0.1", port));
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                pace(Duration::from_millis(1));
            }
        });
        let ends = Ends(&done);
        for _ in 0..kills {
            let_pass(Duration::from_micros(random.below(80_000)));
            daemon.kill();
            daemon.restart();
        }
        drop(ends);
        wait_until("all is delivered", || daemon.status()["sinks"][0]["behind"] == 0);
        daemon.status()["journal"]["next"].as_u64().unwrap() - 1
    });
    let text = crate::support::read(&daemon.path("out.jsonl"));
    let mut times_seen = vec![0u32; journaled as usize + 1];
    let (mut last, mut longest, mut lines) = (0, 0, 0u64);
    for line in text.lines() {
        // One may be cut where the process was killed; its outcome comes again.
        let Ok(outcome) = serde_json::from_str::<Value>(line) else { continue };
        let sequence: u64 = outcome["id"].as_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap();
        times_seen[sequence as usize] += 1;
        lines += 1;
        if sequence <= last {
            longest = longest.max(last - sequence + 1);
        }
        last = sequence;
    }
    let missing = times_seen.iter().skip(1).filter(|count| **count == 0).count();
    println!(
        "{kills} kills, {} traps sent, {journaled} outcomes journaled, {missing} missing, {} twice, at most {longest} in a row",
        sent.load(Ordering::Relaxed),
        lines - (journaled - missing as u64)
    );
    assert_eq!(missing, 0);
    assert!(longest <= WINDOW, "repeats beyond what was under way: {longest}");
    assert!(journaled > u64::from(kills) * 20);
}

/// The most that a process has had resident, in kB.
fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Numbers by service, as they came; each service's must rise.
#[derive(Default)]
struct Order {
    last: HashMap<String, u64>,
    count: u64,
    again: u64,
}

impl Order {
    fn take(&mut self, service: &str, number: u64) {
        let last = self.last.entry(service.to_owned()).or_insert(number);
        // What was under way when the far end went comes again, in order from there.
        if number < *last {
            self.again += 1;
            assert!(*last - number < 100 * 8192, "{service}: {number} after {last}");
        } else {
            self.count += 1;
        }
        *last = (*last).max(number);
    }
}

const SERVICES: u64 = 100;

#[test]
fn forty_thousand_wait_for_a_broker_an_api_and_a_pipe() {
    let waiting = u64::from(times(40_000));
    let broker = Broker::start();
    let order = std::sync::Arc::new(std::sync::Mutex::new(Order::default()));
    let (kept, there) = (order.clone(), std::sync::Arc::new(AtomicBool::new(false)));
    let up = there.clone();
    let api = WebServer::start(move |request| {
        if !up.load(Ordering::Relaxed) {
            return (503, "retry-after: 1\r\n", "away".to_owned());
        }
        let json = request.json();
        kept.lock()
            .unwrap()
            .take(json["service"].as_str().unwrap(), json["output"].as_str().unwrap().parse().unwrap());
        (200, "", String::new())
    });
    let mut daemon = prepare(&format!(
        "[[sinks]]\nname = \"bus\"\ntype = \"amqp\"\nurl = \"{}\"\nexchange = \"outcomes\"\n\
         [[sinks]]\nname = \"api\"\ntype = \"webhook\"\nurl = \"{}\"\nconnections = 8\n\
         [[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"DIR/pipe\"\n",
        broker.url(),
        api.url()
    ));
    let pipe = daemon.path("pipe");
    crate::support::run(Command::new("mkfifo").arg(&pipe));
    // The exchange and a queue on it, then the broker goes.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let durable = lapin::options::ExchangeDeclareOptions { durable: true, ..Default::default() };
        let topic = lapin::ExchangeKind::Topic;
        channel.exchange_declare("outcomes".into(), topic, durable, FieldTable::default()).await.unwrap();
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare("all".into(), durable, FieldTable::default()).await.unwrap();
        let bind = QueueBindOptions::default();
        channel
            .queue_bind("all".into(), "outcomes".into(), "#".into(), bind, FieldTable::default())
            .await
            .unwrap();
    });
    broker.ctl(&["stop_app"]);
    daemon.restart();
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
    let mut text = String::new();
    for n in 0..waiting {
        text.push_str(&format!("<13>Nov 20 12:00:00 h t: s{} {n}\n", n % SERVICES));
    }
    stream.write_all(text.as_bytes()).unwrap();
    drop((stream, text));
    wait_until("all wait", || daemon.status()["intake"]["outcomes"].as_u64() == Some(waiting));
    let behind = || -> Vec<u64> {
        let status = daemon.status();
        status["sinks"].as_array().unwrap().iter().map(|s| s["behind"].as_u64().unwrap()).collect()
    };
    assert_eq!(behind(), [waiting; 3]);
    let waiting_peak = peak(&daemon);
    // All come back.
    there.store(true, Ordering::Relaxed);
    let reader = std::thread::spawn(move || {
        let mut order = Order::default();
        let file = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
        for line in std::io::BufRead::lines(std::io::BufReader::new(file)) {
            let line = line.unwrap();
            let fields: Vec<&str> = line.split(';').collect();
            order.take(fields[2], fields[4].parse().unwrap());
            if order.count == waiting {
                break;
            }
        }
        order
    });
    broker.ctl(&["start_app"]);
    let from_bus = runtime.block_on(async {
        let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let mut consumer =
            channel.basic_consume("all".into(), "test".into(), options, FieldTable::default()).await.unwrap();
        let mut order = Order::default();
        while order.count < waiting {
            let message = consumer.next().await.unwrap().unwrap();
            let json: Value = serde_json::from_slice(&message.data).unwrap();
            order.take(json["service"].as_str().unwrap(), json["output"].as_str().unwrap().parse().unwrap());
        }
        order
    });
    let from_pipe = reader.join().unwrap();
    wait_until("the API has all", || order.lock().unwrap().count >= waiting);
    wait_until("nothing waits any more", || behind() == [0; 3]);
    let from_api = order.lock().unwrap();
    println!(
        "{waiting} waited for each of three; sent again: broker {}, API {}, pipe {}; at most {} MB resident while they waited, {} MB in all",
        from_bus.again,
        from_api.again,
        from_pipe.again,
        waiting_peak / 1024,
        peak(&daemon) / 1024
    );
    for order in [&from_bus, &from_api, &from_pipe] {
        assert_eq!((order.count, order.last.len() as u64), (waiting, SERVICES));
    }
    assert!(peak(&daemon) < 100 * 1024, "{} kB", peak(&daemon));
}

#[test]
fn a_journal_that_refuses_answers_no_inform_and_holds_streams_back() {
    let mut daemon = prepare(
        "[journal]\nmax_size = \"1MiB\"\nwhen_full = \"refuse\"\n\
         [[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"DIR/pipe\"\n",
    );
    daemon.restart();
    let line = |n: u64| format!("<13>Nov 20 12:00:00 h t: s{} {n}\n", n % 10).into_bytes();
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let (mut lines, mut rest) = (0, Vec::new());
    // Until the stream takes no more because the journal is full.
    loop {
        if rest.is_empty() {
            rest = line(lines);
            lines += 1;
        }
        match stream.write(&rest) {
            Ok(count) => drop(rest.drain(..count)),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                if daemon.log().contains("when_full is \"refuse\"") {
                    break;
                }
            }
        }
    }
    let inform = || {
        Command::new("snmpinform")
            .args(["-m", "", "-v2c", "-c", "public", "-r", "0", "-t", "1", &daemon.snmp_target(), ""])
            .args(["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1", "s", "77"])
            .output()
            .unwrap()
            .status
            .success()
    };
    // A small one may still fit in what is left of the last segment.
    wait_until("an inform is not answered", || !inform());
    assert_eq!(daemon.status()["sinks"][0]["expired"], 0, "nothing is given up");
    // The core is back: there is room again, and what waited in memory is journaled too.
    crate::support::run(Command::new("mkfifo").arg(daemon.path("pipe")));
    let pipe = daemon.path("pipe");
    std::thread::spawn(move || {
        let mut file = std::fs::File::options().read(true).write(true).open(pipe).unwrap();
        while std::io::Read::read(&mut file, &mut [0; 4096]).is_ok() {}
    });
    wait_until("informs are answered again", inform);
    stream.set_write_timeout(None).unwrap();
    stream.write_all(&rest).unwrap();
    drop(stream);
    // What waits goes in bit by bit, as the core takes what is before it.
    wait_until("all that was sent is in the journal, and delivered", || {
        let status = daemon.status();
        let intake = &status["intake"];
        intake["syslog_received"] == lines
            && intake["matched"] == intake["outcomes"]
            && status["sinks"][0]["behind"] == 0
    });
    let intake = daemon.status()["intake"].clone();
    assert_eq!((&intake["outcomes_lost"], &intake["streams_refused"]), (&0.into(), &0.into()));
}
