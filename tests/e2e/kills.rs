//! The daemon is killed in the middle of every window that a rule can have, under load: what is sent is the same as without kills.
//! `TRAPLINE_CHAOS=34 cargo test --test e2e kills -- --nocapture` kills it 200 times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use trapline::message::{Notification, NotificationKind, Value, Varbind, Version};
use trapline::snmp::{self, encode};

use crate::daemon::{Daemon, FILE_SINK};
use crate::hostile::notification;
use crate::support::{Ends, PATIENCE, Random, let_pass, pace, times, wait_or, wait_until};

/// The rules: each has a window of another kind, which lasts for `T`. The trap of each has its number.
const RULES: &str = r#"
[[rule]]
id = "dedup"
trap = "1.3.6.1.4.1.99999.0.1"
dedup = { window = "T", summary = "{{ seen.count }} times" }
[rule.check]
service = "{{ v[1] }}"
state = "critical"
output = "{{ v[1] }}"
[[rule]]
id = "threshold"
trap = "1.3.6.1.4.1.99999.0.2"
threshold = { count = 3, within = "1h", recover = "T" }
[rule.recovery]
output = "recovered"
[rule.check]
service = "{{ v[1] }}"
state = "warning"
output = "{{ v[1] }}"
[[rule]]
id = "hold"
trap = "1.3.6.1.4.1.99999.0.3"
hold = { for = "T" }
[rule.check]
service = "{{ v[1] }}"
state = "critical"
output = "{{ v[1] }}"
[[rule]]
id = "clear"
trap = "1.3.6.1.4.1.99999.0.4"
[rule.check]
service = "{{ v[1] }}"
state = "ok"
output = "over"
[[rule]]
id = "flaps"
trap = "1.3.6.1.4.1.99999.0.5"
hold = { for = "1h", flaps = 2, within = "T" }
[rule.check]
service = "{{ v[1] }}"
state = "critical"
output = "{{ v[1] }}"
[[rule]]
id = "cancelled"
trap = "1.3.6.1.4.1.99999.0.6"
hold = { for = "1h" }
[rule.check]
service = "{{ v[1] }}"
state = "critical"
output = "{{ v[1] }}"
[[rule]]
id = "throttle"
trap = "1.3.6.1.4.1.99999.0.7"
throttle = { count = 1, per = "T", key = "{{ v[2] }}", summary = "{{ seen.count }} more" }
[rule.check]
service = "{{ v[1] }}"
state = "warning"
output = "{{ v[1] }}"
[[rule]]
id = "escalate"
trap = "1.3.6.1.4.1.99999.0.8"
escalate = [{ after = "T", state = "critical" }]
[rule.check]
service = "{{ v[1] }}"
state = "warning"
output = "{{ v[1] }}"
[[rule]]
id = "expire"
trap = "1.3.6.1.4.1.99999.0.9"
expire = { after = "T", state = "unknown", output = "expired" }
[rule.check]
service = "{{ v[1] }}"
state = "critical"
output = "{{ v[1] }}"
[[rule]]
id = "remind"
trap = "1.3.6.1.4.1.99999.0.10"
remind = "T"
[rule.check]
service = "{{ v[1] }}"
state = "warning"
output = "{{ v[1] }}"
[[rule]]
id = "expect"
trap = "1.3.6.1.4.1.99999.0.11"
expect = { every = "T", key = "{{ v[1] }}", service = "late {{ key }}", output = "late" }
[rule.check]
service = "{{ v[1] }}"
state = "ok"
output = "{{ v[1] }}"
[[rule]]
id = "load"
trap = "1.3.6.1.4.1.99999.0.12"
dedup = { window = "1h" }
[rule.check]
service = "load"
state = "critical"
"#;

/// What is sent in each set of windows: the number of the trap, and the service without the number of the set.
const MESSAGES: &[(u32, &str)] = &[
    (1, "dedup"),
    (2, "threshold"),
    (3, "hold"),
    (6, "cancelled"),
    (5, "flaps"),
    (7, "throttle-a"),
    (8, "escalate"),
    (9, "expire"),
    (10, "remind"),
    (11, "expect"),
    (1, "dedup"),
    (2, "threshold"),
    (4, "flaps"),
    (7, "throttle-b"),
    (1, "dedup"),
    (2, "threshold"),
    (5, "flaps"),
    (4, "cancelled"),
    (4, "flaps"),
    (7, "throttle-c"),
    (2, "threshold"),
];

/// What must come of it, by service, in order: the state and the output, of which `*` stands for the service.
const OUTCOMES: &[(&str, &[&str])] = &[
    ("dedup", &["critical *", "critical 3 times"]),
    ("threshold", &["warning *", "ok recovered"]),
    ("hold", &["critical *"]),
    // The first clear of a service is sent: rules without state may have told of it before.
    ("cancelled", &["ok over"]),
    ("flaps", &["ok over", "warning Flapping: 2 short problems within 3600 s; the last: *", "ok over"]),
    ("throttle-a", &["warning *"]),
    ("throttle-b", &["warning *"]),
    ("throttle-c", &["warning 2 more"]),
    ("escalate", &["warning *", "critical *"]),
    ("expire", &["critical *", "unknown expired"]),
    // At least one reminder.
    ("remind", &["warning *", "warning *"]),
    ("expect", &["ok *"]),
    ("late expect", &["critical late"]),
];

fn packet(kind: NotificationKind, number: u32, service: &str, set: &str, request: i32) -> Vec<u8> {
    let basic = notification(kind, Version::V2c, service, request);
    let mut varbinds = basic.varbinds.clone();
    varbinds.push(Varbind {
        oid: "1.3.6.1.4.1.99999.2".parse().unwrap(),
        value: Value::OctetString(set.as_bytes()),
    });
    let oid = format!("1.3.6.1.4.1.99999.0.{number}");
    encode::encode(&Notification { oid: oid.parse().unwrap(), varbinds, ..basic })
}

/// Sends sets of messages, each until it is answered, until enough have come. Gives how many sets.
fn send(port: u16, done: &AtomicBool, asked: &AtomicU64) -> u32 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut request = 0;
    for set in 0.. {
        if done.load(Ordering::Relaxed) {
            return set;
        }
        for (number, service) in MESSAGES {
            request += 1;
            let inform = packet(
                NotificationKind::Inform,
                *number,
                &format!("{service} {set}"),
                &set.to_string(),
                request,
            );
            let mut answer = [0; 1500];
            let right = snmp::decode(&inform).unwrap().answer(answer.len()).unwrap();
            let begun = Instant::now();
            loop {
                assert!(begun.elapsed() < PATIENCE, "nobody answers {service} {set}");
                let _ = socket.send_to(&inform, ("127.0.0.1", port));
                asked.fetch_add(1, Ordering::Relaxed);
                if socket.recv(&mut answer).is_ok_and(|length| answer[..length] == right) {
                    break;
                }
            }
        }
    }
    0
}

/// What was sent, by service. What a sink repeats has the same number.
fn outcomes(daemon: &Daemon) -> BTreeMap<String, Vec<String>> {
    let (mut known, mut by_service) = (BTreeSet::new(), BTreeMap::<String, Vec<String>>::new());
    for line in std::fs::read_to_string(daemon.path("out.jsonl")).unwrap_or_default().lines() {
        // One may be cut where the process was killed; its outcome comes again.
        let Ok(outcome) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let text = |key: &str| outcome[key].as_str().unwrap().to_owned();
        let sequence: u64 = text("id").rsplit_once('-').unwrap().1.parse().unwrap();
        if known.insert(sequence) {
            let said = format!("{} {}", text("state"), text("output"));
            by_service.entry(text("service")).or_default().push(said);
        }
    }
    by_service.remove("load");
    by_service
}

/// What is not as it must be.
fn wrong(daemon: &Daemon, sets: u32) -> Vec<String> {
    let mut found = outcomes(daemon);
    let mut wrong = Vec::new();
    for set in 0..sets {
        for (service, right) in OUTCOMES {
            let service = format!("{service} {set}");
            let right: Vec<String> = right.iter().map(|text| text.replace('*', &service)).collect();
            let mut sent = found.remove(&service).unwrap_or_default();
            if service.starts_with("remind") {
                // Each time the same.
                sent.dedup();
                sent.extend(sent.first().cloned().filter(|_| sent.len() == 1));
            }
            if sent != right {
                wrong.push(format!("{service}: {sent:?}, not {right:?}"));
            }
        }
    }
    wrong.extend(found.into_iter().map(|(service, sent)| format!("{service}: {sent:?}, not []")));
    wrong
}

#[test]
fn kills_in_the_middle_of_every_window_change_no_outcome() {
    let kills = times(6);
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npaths = [\"rules.toml\"]\npacks = []\n"));
    std::fs::write(daemon.path("rules.toml"), RULES.replace("\"T\"", "\"1h\"")).unwrap();
    daemon.restart();
    let (done, asked, loads) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (mut random, port) = (Random::new(), daemon.snmp);
    let sets = std::thread::scope(|scope| {
        let ends = Ends(&done);
        let sender = scope.spawn(|| send(port, &done, &asked));
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
            let trap = packet(NotificationKind::Trap, 12, "load", "", 1);
            while !done.load(Ordering::Relaxed) {
                for _ in 0..5 {
                    let _ = socket.send_to(&trap, ("127.0.0.1", port));
                    loads.fetch_add(1, Ordering::Relaxed);
                }
                pace(Duration::from_millis(2));
            }
        });
        for _ in 0..kills {
            let_pass(Duration::from_micros(random.below(150_000)));
            daemon.kill();
            daemon.restart();
        }
        drop(ends);
        sender.join().unwrap()
    });
    // No window has ended. Now each is shorter, so that it ends at once; and so it does where that is interrupted.
    std::fs::write(daemon.path("rules.toml"), RULES.replace("\"T\"", "\"1s\"")).unwrap();
    daemon.reload();
    for _ in 0..times(1).min(6) {
        // What was due meanwhile is due five seconds after the start.
        let_pass(Duration::from_micros(random.below(6_500_000)));
        daemon.kill();
        daemon.restart();
    }
    let right = || wrong(&daemon, sets).is_empty().then_some(());
    wait_or(|| format!("{sets} sets are right, but {:?}", wrong(&daemon, sets)), right);
    wait_until("nothing is held", || daemon.status()["state"]["held"] == 0);
    daemon.stop();
    assert_eq!(wrong(&daemon, sets), Vec::<String>::new(), "{sets} sets, after the stop");
    println!(
        "{kills} kills, {sets} sets of windows, {} informs and {} other traps sent",
        asked.into_inner(),
        loads.into_inner()
    );
}

/// What is due while the journal refuses is written once there is room, even if no message comes.
#[test]
fn what_was_due_while_the_journal_was_full_is_sent_when_there_is_room() {
    const COUNT: usize = 3000;
    let mut daemon = Daemon::prepare(
        "[journal]\nmax_size = \"1MiB\"\nwhen_full = \"refuse\"\n\
         [[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"DIR/pipe\"\n\
         [rules]\npaths = [\"rules.toml\"]\npacks = []\n",
    );
    std::fs::write(daemon.path("rules.toml"), RULES.replace("\"T\"", "\"1h\"")).unwrap();
    daemon.restart();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    wait_until("all are held", || {
        for n in 0..COUNT {
            let trap = packet(NotificationKind::Trap, 3, &format!("hold {n} {}", "x".repeat(200)), "", 1);
            socket.send_to(&trap, ("127.0.0.1", daemon.snmp)).unwrap();
            if n % 100 == 0 {
                pace(Duration::from_millis(2));
            }
        }
        daemon.status()["state"]["held"] == COUNT
    });
    std::fs::write(daemon.path("rules.toml"), RULES.replace("\"T\"", "\"1s\"")).unwrap();
    daemon.reload();
    daemon.wait_log("when_full is \"refuse\"");
    wait_until("all are due", || daemon.status()["state"]["open"] == COUNT);
    // The core comes, and nothing else.
    let pipe = daemon.path("pipe");
    crate::support::run(std::process::Command::new("mkfifo").arg(&pipe));
    let reader = std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        for line in BufReader::new(File::options().read(true).write(true).open(pipe).unwrap()).lines() {
            let line = line.unwrap();
            seen.extend(
                line.split("hold ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok()),
            );
            if seen.len() == COUNT {
                break;
            }
        }
        seen.len()
    });
    wait_until("all are sent", || reader.is_finished());
    assert_eq!(reader.join().unwrap(), COUNT);
    assert_eq!(daemon.status()["intake"]["outcomes_lost"], 0);
}
