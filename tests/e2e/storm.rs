//! Storms: one sender floods, another one loses nothing.

use std::net::{SocketAddr, UdpSocket};

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK};
use crate::informs::inform;
use crate::support::wait_until;

const RULES: &str = "[[rule]]\nid = \"start\"\ntrap = \"1.3.6.1.6.3.1.1.5.1\"\n[rule.check]\nservice = \"Start\"\nstate = \"ok\"\n\
                     [[rule]]\nid = \"line\"\nsyslog = { message = '^line' }\n[rule.check]\nservice = \"Line\"\nstate = \"ok\"\n";
/// How many informs flood.
const FLOOD: i32 = 600;

fn of<'o>(outcomes: &'o [Value], host: &str, service: &str) -> Vec<&'o Value> {
    outcomes.iter().filter(|outcome| outcome["host"] == host && outcome["service"] == service).collect()
}

/// How many answers wait in a socket by now.
fn answers(socket: &UdpSocket) -> u64 {
    socket.set_nonblocking(true).unwrap();
    let mut octets = [0; 1500];
    std::iter::from_fn(|| socket.recv_from(&mut octets).ok()).count() as u64
}

#[test]
fn a_storm_of_one_sender_takes_nothing_from_another_and_has_a_begin_and_an_end() {
    let rules = format!("{FILE_SINK}[rules]\npaths = [\"rules.toml\"]\npacks = []\n");
    let mut daemon = Daemon::prepare(&format!("{rules}[storm]\nrate = 20\nhard = 200\n"));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    daemon.restart();
    let (traps, lines): (SocketAddr, SocketAddr) =
        (([127, 0, 0, 1], daemon.snmp).into(), ([127, 0, 0, 1], daemon.syslog_udp).into());
    let (loud, calm) = (UdpSocket::bind("127.0.0.2:0").unwrap(), UdpSocket::bind("127.0.0.3:0").unwrap());
    for n in 0..FLOOD {
        loud.send_to(&inform("public", n), traps).unwrap();
        if n % 20 == 0 {
            calm.send_to(&inform("public", 100_000 + n), traps).unwrap();
            calm.send_to(format!("<13>Nov 20 12:00:00 h app: line {n}").as_bytes(), lines).unwrap();
        }
    }
    daemon.wait_count("snmp_received", FLOOD as u64 + 30);
    daemon.wait_count("syslog_received", 30);
    // The other one has lost nothing.
    wait_until("its messages are processed", || {
        let outcomes = daemon.outcomes("out.jsonl");
        of(&outcomes, "127.0.0.3", "Start").len() + of(&outcomes, "h", "Line").len() == 60
    });
    let mut answered = 0;
    wait_until("they are answered", || {
        answered += answers(&calm);
        answered >= 30
    });
    assert_eq!(answered, 30);
    // Of the storm each message was processed and answered, or counted and not answered.
    let (mut answered, mut left_out) = (0, 0);
    wait_until("the storm is answered or counted", || {
        answered += answers(&loud);
        left_out = daemon.status()["intake"]["storm_left_out"].as_u64().unwrap();
        answered + left_out >= FLOOD as u64
    });
    let status = daemon.status();
    assert!(left_out > 400, "{status}");
    assert_eq!(answered + left_out, FLOOD as u64, "{status}");
    wait_until("what was answered is processed", || {
        of(&daemon.outcomes("out.jsonl"), "127.0.0.2", "Start").len() as u64 >= answered
    });
    assert_eq!(of(&daemon.outcomes("out.jsonl"), "127.0.0.2", "Start").len() as u64, answered);
    wait_until("the storm is reported", || {
        !of(&daemon.outcomes("out.jsonl"), "127.0.0.2", "Message storm").is_empty()
    });
    let outcomes = daemon.outcomes("out.jsonl");
    let [begin] = of(&outcomes, "127.0.0.2", "Message storm")[..] else { panic!("{outcomes:?}") };
    assert_eq!(begin["state"], "warning");
    assert!(begin["output"].as_str().unwrap().contains("127.0.0.2 sends more than 20 SNMPv2c"), "{begin}");
    let storm = status["storms"][0].clone();
    assert_eq!(storm["not_processed"], left_out, "{status}");

    // A crash forgets no storm, and a stop no message of it.
    daemon.kill();
    daemon.restart();
    wait_until("the storm is known again", || daemon.status()["storms"][0]["address"] == "127.0.0.2");
    assert_eq!(daemon.status()["storms"][0]["since"], storm["since"]);
    let config = std::fs::read_to_string(daemon.path("trapline.toml")).unwrap();
    std::fs::write(daemon.path("trapline.toml"), config.replace("[storm]\nrate = 20\nhard = 200\n", ""))
        .unwrap();
    daemon.reload();
    wait_until("the storm has an end", || {
        of(&daemon.outcomes("out.jsonl"), "127.0.0.2", "Message storm").len() > 1
    });
    let outcomes = daemon.outcomes("out.jsonl");
    let end = *of(&outcomes, "127.0.0.2", "Message storm").last().unwrap();
    assert_eq!(end["state"], "ok", "{end}");
    wait_until("nothing is left of it", || !daemon.path("var/storms.json").exists());
}
