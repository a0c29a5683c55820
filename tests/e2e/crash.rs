//! kill -9 in the middle: what was journaled is delivered.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use trapline::message::{NotificationKind, Version};
use trapline::snmp::usm::originate::{Asked, Originator, Peer, Reply};
use trapline::snmp::{self, encode};

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::hostile::{discover, notification, now, originator};
use crate::support::{Ends, let_pass, pace, wait_until};

/// The sequence numbers in the file sink's file, and how many lines there are.
fn delivered(daemon: &Daemon) -> (HashSet<u64>, usize) {
    let text = crate::support::read(&daemon.path("out.jsonl"));
    let mut lines = 0;
    let sequences = text
        .lines()
        .filter_map(|line| {
            // A line may be cut where the process was killed; its outcome comes again.
            let outcome: Value = serde_json::from_str(line).ok()?;
            lines += 1;
            outcome["id"].as_str()?.rsplit_once('-')?.1.parse().ok()
        })
        .collect();
    (sequences, lines)
}

fn flood(daemon: &Daemon, count: u64) -> crate::support::Program {
    flood_at(daemon, count, 50_000)
}

fn flood_at(daemon: &Daemon, count: u64, per_second: u32) -> crate::support::Program {
    let to = format!("127.0.0.1:{}", daemon.snmp);
    let (count, rate) = (count.to_string(), per_second.to_string());
    crate::support::Program::start(
        trapline()
            .args(["send", "trap", "--to", &to, "--count", &count, "--rate", &rate, "IF-MIB::linkDown"])
            .args(["ifIndex.3=3", "ifAdminStatus.3=up", "ifOperStatus.3=down", "ifDescr.3=Gi0/3"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
}

/// How many datagrams the sockets of a UDP port had no room for. The file that tells it is described in proc_net_udp(5).
fn kernel_drops(port: u16) -> usize {
    let own = format!(":{port:04X}");
    let table = crate::support::read("/proc/net/udp".as_ref());
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&own)).map(|row| row.last().unwrap().parse::<usize>().unwrap()).sum()
}

#[test]
fn every_journaled_outcome_survives_kill_9() {
    let mut daemon = Daemon::start(FILE_SINK);
    let mut restarts = 0;
    for at in [5_000, 20_000, 40_000] {
        let mut sender = flood(&daemon, 100_000);
        wait_until("some were journaled", || daemon.status()["intake"]["outcomes"].as_u64() >= Some(at));
        daemon.kill();
        restarts += 1;
        sender.kill();
        daemon.restart();
    }
    let mut sender = flood_at(&daemon, 20_000, 5_000);
    assert!(sender.0.wait().unwrap().success());
    wait_until("all is delivered", || {
        let status = daemon.status();
        let intake = |name: &str| status["intake"][name].as_u64().unwrap();
        // A slow machine may leave some in the kernel's buffer until it is full; those are counted.
        status["sinks"][0]["behind"] == 0 && intake("snmp_received") + intake("kernel_drops") == 20_000
    });
    let next = daemon.status()["journal"]["next"].as_u64().unwrap();
    let (sequences, lines) = delivered(&daemon);
    let missing: Vec<u64> = (1..next).filter(|s| !sequences.contains(s)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} missing: {:?}",
        missing.len(),
        next - 1,
        &missing[..missing.len().min(10)]
    );
    println!(
        "{} outcomes journaled over {restarts} kills, all delivered, {} twice",
        next - 1,
        lines - sequences.len()
    );
    assert!(next > 65_000);
}

/// Sends informs, each until it is answered, and gives the texts of those that were.
struct Informer {
    to: SocketAddr,
    socket: UdpSocket,
    name: &'static str,
    /// With v3, who sends.
    from: Option<Originator>,
    peer: Option<Peer>,
}

impl Informer {
    fn new(daemon: &Daemon, name: &'static str, from: Option<Originator>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Informer { to: ([127, 0, 0, 1], daemon.snmp).into(), socket, name, from, peer: None }
    }

    /// One try; whether it was answered.
    fn ask(&mut self, text: &str, number: i32) -> bool {
        let version = if self.from.is_some() { Version::V3 } else { Version::V2c };
        let inform = notification(NotificationKind::Inform, version, text, number);
        let packet = match &self.from {
            None => encode::encode(&inform),
            Some(from) => {
                self.peer = self.peer.take().or_else(|| discover(from, &self.socket, self.to));
                let Some(peer) = &self.peer else { return false };
                from.inform(peer, &inform, number, now()).unwrap()
            }
        };
        let _ = self.socket.send_to(&packet, self.to);
        let mut answer = [0; 1500];
        while let Ok((length, _)) = self.socket.recv_from(&mut answer) {
            let answer = &answer[..length];
            match (&self.from, &self.peer) {
                (Some(from), Some(peer)) => {
                    let asked = Asked { message_id: number, request_id: number };
                    match from.reply(peer, asked, answer, now()) {
                        Reply::Acknowledged => return true,
                        // It was started anew.
                        Reply::Engine(told) => {
                            self.peer = Some(*told);
                            return false;
                        }
                        _ => {}
                    }
                }
                _ if Some(answer) == snmp::decode(&packet).unwrap().answer(65_507).as_deref() => return true,
                _ => {}
            }
        }
        false
    }

    fn run(mut self, done: &AtomicBool) -> Vec<String> {
        let mut acknowledged = Vec::new();
        for number in 1.. {
            let text = format!("{} {number}", self.name);
            while !self.ask(&text, number) {
                if done.load(Ordering::Relaxed) {
                    return acknowledged;
                }
            }
            acknowledged.push(text);
            if done.load(Ordering::Relaxed) {
                break;
            }
        }
        acknowledged
    }
}

/// The same with net-snmp's snmpinform.
fn net_snmp_informs(port: u16, done: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 1.. {
        let text = format!("net-snmp {number}");
        let status = Command::new("snmpinform")
            .args([
                "-m",
                "",
                "-v2c",
                "-c",
                "public",
                "-r",
                "100",
                "-t",
                "0.1",
                &format!("udp:127.0.0.1:{port}"),
            ])
            .args(["", "1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1", "s", &text])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        if status.success() {
            acknowledged.push(text);
        }
        if done.load(Ordering::Relaxed) {
            break;
        }
    }
    acknowledged
}

#[test]
fn every_inform_that_was_acknowledged_survives_200_kills() {
    let kills = crate::support::times(200);
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let user = "[[snmp.users]]\nname = \"SHA-256.AES-128\"\nauth = \"SHA-256\"\nauth_password = \"auth-SHA-256-word\"\n\
                priv = \"AES-128\"\npriv_password = \"priv-AES-128-word\"\n[syslog]";
    std::fs::write(&path, config.replacen("[syslog]", user, 1)).unwrap();
    std::fs::write(
        daemon.path("rules.toml"),
        "[[rule]]\nid = \"any\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\noutput = \"{{ v[1] }}\"\n",
    )
    .unwrap();
    daemon.restart();
    let from = || originator("auth-SHA-256-word", b"\x80\x00\x00\x01informer", now() - 1000);
    let done = AtomicBool::new(false);
    let mut random = crate::support::Random::new();
    let port = daemon.snmp;
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let informers = [
            Informer::new(&daemon, "v2c", None),
            Informer::new(&daemon, "v3", Some(from())),
            Informer::new(&daemon, "v3 too", Some(from())),
        ];
        let mut threads: Vec<_> =
            informers.into_iter().map(|informer| scope.spawn(|| informer.run(&done))).collect();
        threads.push(scope.spawn(|| net_snmp_informs(port, &done)));
        // Load beside them; it is lost while nobody listens.
        let flood = scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let load = encode::encode(&notification(NotificationKind::Trap, Version::V2c, "load", 1));
            while !done.load(Ordering::Relaxed) {
                let _ = socket.send_to(&load, ("127.0.0.1", port));
                pace(Duration::from_micros(500));
            }
        });
        let ends = Ends(&done);
        for _ in 0..kills {
            let_pass(Duration::from_micros(random.below(60_000)));
            daemon.kill();
            daemon.restart();
        }
        drop(ends);
        flood.join().unwrap();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    wait_until("all is delivered", || daemon.status()["sinks"][0]["behind"] == 0);
    let text = crate::support::read(&daemon.path("out.jsonl"));
    let mut delivered: HashMap<String, u32> = HashMap::new();
    for outcome in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        *delivered.entry(outcome["output"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let missing: Vec<_> = acknowledged.iter().filter(|text| !delivered.contains_key(*text)).collect();
    let again = acknowledged.iter().filter(|text| delivered.get(*text) > Some(&1)).count();
    println!(
        "{kills} kills: {} informs acknowledged, all delivered but {}, {again} more than once",
        acknowledged.len(),
        missing.len()
    );
    assert!(missing.is_empty(), "{missing:?}");
    // Enough for the rest to say something, however slow the machine is.
    assert!(acknowledged.len() > kills as usize / 4, "{}", acknowledged.len());
}

#[test]
fn stopping_drains_and_starting_goes_on() {
    let mut daemon = Daemon::start(FILE_SINK);
    // What a loaded machine keeps up with: a receive buffer may hold less than all of them.
    let mut sender = flood_at(&daemon, 20_000, 10_000);
    assert!(sender.0.wait().unwrap().success());
    // Some still wait in the socket.
    let expected = 20_000 - kernel_drops(daemon.snmp);
    daemon.stop();
    // A slow machine does not process and deliver all of it within the time that a stop may take, and says so.
    if !daemon.log().contains("the next start") {
        assert_eq!(delivered(&daemon).1, expected);
    }
    daemon.restart();
    wait_until("all is delivered", || daemon.status()["sinks"][0]["behind"] == 0);
    assert_eq!(daemon.status()["journal"]["next"], expected + 1);
    let (sequences, lines) = delivered(&daemon);
    assert_eq!((sequences.len(), lines), (expected, expected));
}

#[test]
fn a_full_disk_is_said_and_survived() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    std::fs::create_dir(daemon.path("var")).unwrap();
    let mut command = Command::new("unshare");
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs {} && exec {} run --config {}",
        daemon.path("var").display(),
        env!("CARGO_BIN_EXE_trapline"),
        daemon.path("trapline.toml").display()
    );
    command.args(["--mount", "--map-root-user", "bash", "-c", &script]);
    daemon.start_as(command);
    // The daemon's own view of its journal's disk.
    let disk = PathBuf::from(format!("/proc/{}/root{}", daemon.pid(), daemon.path("var").display()));
    let status = || -> Value {
        let mut socket = UnixStream::connect(disk.join("control.sock")).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    let cold_start = || daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    cold_start();
    wait_until("the first outcome", || daemon.outcomes("out.jsonl").len() == 1);
    let mut filler = std::fs::File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    // Until no record fits any more: the journal's last page has some room left.
    wait_until("the daemon says so", || {
        cold_start();
        daemon.log().contains("cannot take outcomes")
    });
    assert!(!inform(&daemon), "an inform was answered that is not in the journal");
    wait_until("it is counted", || status()["intake"]["informs_unanswered"] == 1);
    drop(filler);
    std::fs::remove_file(disk.join("filler")).unwrap();
    // With room again, what waited goes on its way.
    wait_until("nothing is lost", || {
        let intake = status()["intake"].clone();
        intake["outcomes"] == intake["snmp_received"] && intake["outcomes_lost"] == 0
    });
    let all = status()["intake"]["outcomes"].as_u64().unwrap();
    wait_until("all is delivered", || daemon.outcomes("out.jsonl").len() as u64 == all);
}

/// A daemon that starts on a disk without a byte free delivers what it has, which makes room, and takes messages again.
#[test]
fn a_start_on_a_full_disk_delivers_what_is_there_and_goes_on() {
    let mut daemon = Daemon::prepare("[[sinks]]\ntype = \"nagios\"\ncommand_file = \"cmd\"\n");
    std::fs::create_dir(daemon.path("var")).unwrap();
    crate::support::run(Command::new("mkfifo").arg(daemon.path("cmd")));
    let run =
        format!("{} run --config {}", env!("CARGO_BIN_EXE_trapline"), daemon.path("trapline.toml").display());
    let var = daemon.path("var").display().to_string();
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs {var} && {{ {run}; rm -f {var}/*.spare; dd if=/dev/zero of={var}/filler bs=4096; exec {run}; }}"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "bash", "-c", &script]);
    daemon.start_as(command);
    let socket = PathBuf::from(format!("/proc/{}/root{var}/control.sock", daemon.pid()));
    let status = || -> Value {
        let mut socket = UnixStream::connect(&socket).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    for _ in 0..200 {
        daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    }
    wait_until("all are in the journal", || status()["intake"]["outcomes"] == 200);
    let parent = daemon.pid().to_string();
    crate::support::run(Command::new("pkill").args(["-KILL", "-P", &parent]));
    daemon.wait_log("has no room for a segment");
    wait_until("it listens again", || daemon.log().matches("listening: ").count() == 2);
    // To write, too: so it does not wait for a writer.
    let pipe = std::fs::File::options().read(true).write(true).open(daemon.path("cmd")).unwrap();
    let mut commands = std::io::BufReader::new(pipe).lines().take(200).map(Result::unwrap);
    assert!(commands.all(|command| command.contains("PROCESS_SERVICE_CHECK_RESULT")));
    wait_until("there is room", || inform(&daemon));
    daemon.wait_log("has room again");
    assert!(std::fs::metadata(socket.with_file_name("filler")).unwrap().len() > 0);
}

/// Sends an inform once; whether it was answered.
fn inform(daemon: &Daemon) -> bool {
    let mut command = Command::new("snmpinform");
    command.args(["-m", "", "-v2c", "-c", "public", "-r", "0", "-t", "1"]);
    command
        .args([daemon.snmp_target().as_str(), "", "1.3.6.1.6.3.1.1.5.1"])
        .output()
        .unwrap()
        .status
        .success()
}
