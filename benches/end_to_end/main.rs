//! The whole way, measured: a load generator, the daemon, a reader of its pipe, and, where they are installed,
//! the peers of the field on the same work in the same run.
//!
//! `cargo bench --bench end_to_end` takes about three minutes; `-- --long` runs the flood for 60 s, `-- --security`
//! only compares v3 with v2c, `-- --dead-sink` only live sinks without and with a dead one.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod daemon;
mod peers;

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{LINE, packet};
use daemon::{Bench, SNMP, SYSLOG, cpu_seconds, memory, trapline};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{setsockopt, sockopt};
use trapline::message::NotificationKind;
use trapline::sys;

const VARBINDS: [&str; 4] =
    ["ifIndex.3=3", "ifAdminStatus.3=up", "ifOperStatus.3=down", "ifDescr.3=GigabitEthernet0/3"];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test --benches` only wants to know that it builds.
    if !args.iter().any(|a| a == "--bench") {
        return;
    }
    if args.iter().any(|a| a == "--security") {
        return security();
    }
    if args.iter().any(|a| a == "--dead-sink") {
        return dead_sink();
    }
    let seconds = if args.iter().any(|a| a == "--long") { 60 } else { 5 };
    println!("{:<44}{:>10}{:>10}{:>8}{:>12}{:>9}", "", "sent/s", "taken/s", "lost", "us CPU each", "MB");
    let null = null_receiver(150_000, 3);
    println!(
        "{:<44}{:>10.0}{:>10.0}{:>8}{:>12.2}",
        "null receiver (recvmmsg alone)", null.0, null.0, 0, null.1
    );
    for (what, load, rate) in [
        ("trapline: v2c traps, 1,000 rules", Load::Traps, Some(150_000)),
        ("trapline: syslog over UDP, 1,000 rules", Load::Udp, Some(150_000)),
        ("trapline: syslog over one TCP stream", Load::Tcp, None),
    ] {
        throughput(what, load, rate, seconds, 1000).print(what);
    }
    println!("\ncost by number of rules (us CPU each, against 10 rules)");
    for (what, load) in [("traps", Load::Traps), ("lines matched by pattern", Load::Pattern)] {
        let costs: Vec<f64> =
            [10, 100, 1000, 10_000].map(|n| throughput("", load, Some(150_000), 3, n).cpu_each()).into();
        let ratios: Vec<String> =
            costs.iter().map(|c| format!("{c:.2} ({:+.0} %)", (c / costs[0] - 1.0) * 100.0)).collect();
        println!("{what:<28}{}", ratios.join("   "));
    }
    security();
    growth();
    dead_sink();
    latency();
    informs();
    idle();
    peers::peers(null.1);
}

#[derive(Clone, Copy, PartialEq)]
enum Load {
    Traps,
    /// The same, authenticated by SHA-256 and encrypted by AES-128.
    Secured,
    Udp,
    Tcp,
    Pattern,
}

struct Result {
    sent: u64,
    outcomes: u64,
    seconds: f64,
    cpu: f64,
    memory: f64,
}

impl Result {
    fn cpu_each(&self) -> f64 {
        self.cpu / self.outcomes as f64 * 1e6
    }

    fn print(&self, what: &str) {
        println!(
            "{what:<44}{:>10.0}{:>10.0}{:>8}{:>12.2}{:>9.1}",
            self.sent as f64 / self.seconds,
            self.outcomes as f64 / self.seconds,
            self.sent - self.outcomes,
            self.cpu_each(),
            self.memory
        );
    }
}

fn throughput(what: &str, load: Load, rate: Option<u64>, seconds: u64, rules: usize) -> Result {
    let bench = Bench::start(rules, "interval", false);
    let count = rate.unwrap_or(400_000) * seconds;
    let mut sender = trapline();
    match load {
        Load::Traps | Load::Secured => {
            sender
                .args(["send", "trap", "--to", &format!("127.0.0.1:{SNMP}"), "IF-MIB::linkDown"])
                .args(VARBINDS);
            if load == Load::Secured {
                sender.args(["--user", "ops", "--auth", "SHA-256", "--auth-password", "auth-password"]);
                sender.args(["--priv", "AES-128", "--priv-password", "priv-password"]);
            }
        }
        Load::Udp => {
            sender.args(["send", "syslog", "--to", &format!("udp://127.0.0.1:{SYSLOG}"), LINE]);
        }
        Load::Tcp => {
            sender.args(["send", "syslog", "--to", &format!("tcp://127.0.0.1:{SYSLOG}"), LINE]);
        }
        Load::Pattern => {
            let line = "<36>Nov 20 12:00:01 db1 guard[411]: door 17 was opened by nobody in particular";
            sender.args(["send", "syslog", "--to", &format!("udp://127.0.0.1:{SYSLOG}"), line]);
        }
    }
    sender.args(["--count", &count.to_string()]).stdout(Stdio::null());
    if let Some(rate) = rate {
        sender.args(["--rate", &rate.to_string()]);
    }
    let before = cpu_seconds(bench.daemon.id());
    let start = Instant::now();
    assert!(sender.status().unwrap().success());
    if load == Load::Tcp {
        while bench.status()["intake"]["outcomes"].as_u64() < Some(count) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let took = start.elapsed().as_secs_f64();
    let status = bench.settle();
    let result = Result {
        sent: count,
        outcomes: status["intake"]["outcomes"].as_u64().unwrap(),
        seconds: took,
        cpu: cpu_seconds(bench.daemon.id()) - before,
        memory: memory(bench.daemon.id()),
    };
    let drops = status["intake"]["kernel_drops"].as_u64().unwrap();
    if drops > 0 && !what.is_empty() {
        println!("({drops} dropped by the kernel)");
    }
    result
}

/// A pipe and two files, without and with a broker beside them that is not there: what the live ones take, and when.
fn dead_sink() {
    println!("\none dead sink beside three live ones, by turns");
    let dead = "[[sinks]]\nname = \"dead\"\ntype = \"amqp\"\nurl = \"amqp://guest:guest@127.0.0.1:1/%2f\"\n\
                [[sinks]]\nname = \"gone\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n";
    let live = |more: &str| {
        let bench = Bench::with_sinks(1000, "interval", false, 2, more);
        let before = cpu_seconds(bench.daemon.id());
        let status = trapline()
            .args(["send", "trap", "--to", &format!("127.0.0.1:{SNMP}"), "IF-MIB::linkDown"])
            .args(["--count", "300000", "--rate", "100000"])
            .args(VARBINDS)
            .stdout(Stdio::null())
            .status();
        let start = Instant::now();
        assert!(status.unwrap().success());
        while bench.taken.load(Ordering::Relaxed) < 300_000 {
            assert!(start.elapsed() < Duration::from_mins(1), "the pipe did not get all");
            std::thread::sleep(Duration::from_millis(1));
        }
        let behind = start.elapsed().as_secs_f64() * 1000.0;
        let cpu = (cpu_seconds(bench.daemon.id()) - before) / 300_000.0 * 1e6;
        drop(bench);
        let bench = Bench::with_sinks(1000, "interval", true, 2, more);
        let latency = latencies(&bench, 15_000);
        (cpu, behind, percentile(&latency, 0.5), percentile(&latency, 0.99))
    };
    for _ in 0..3 {
        let (alone, beside) = (live(""), live(dead));
        println!(
            "all in the pipe {:.0} and {:.0} ms after the last was sent; CPU {:.2} and {:.2} us ({:.2}); \
             median {:.3} and {:.3} ms ({:.2}), p99 {:.3} and {:.3} ms ({:.2})",
            alone.1,
            beside.1,
            alone.0,
            beside.0,
            beside.0 / alone.0,
            alone.2,
            beside.2,
            beside.2 / alone.2,
            alone.3,
            beside.3,
            beside.3 / alone.3,
        );
    }
}

/// What a trap of v3 costs beside one of v2c with the same content, by turns so that noise hits both.
fn security() {
    println!("\ncost of security (us CPU each, 50,000 traps a second)");
    for _ in 0..3 {
        let cost = |load| throughput("", load, Some(50_000), 4, 1000).cpu_each();
        let (open, secured) = (cost(Load::Traps), cost(Load::Secured));
        println!("v2c {open:.2}   v3 authPriv (SHA-256, AES-128) {secured:.2}   {:.2} more", secured - open);
    }
}

/// What a trap costs by how many varbinds it has, senders there are and sinks take it.
fn growth() {
    let show = |what: &str, costs: Vec<(usize, f64)>| {
        let all: Vec<String> = costs.iter().map(|(n, cost)| format!("{n}: {cost:.2}")).collect();
        println!("{what:<28}{}", all.join("   "));
    };
    println!("\ncost of a trap (us CPU each)");
    let flood = |bench: &Bench, varbinds: usize| {
        let more: Vec<String> =
            (0..varbinds - VARBINDS.len()).map(|n| format!("1.3.6.1.4.1.9999.{n}={n}")).collect();
        let to = format!("127.0.0.1:{SNMP}");
        let before = cpu_seconds(bench.daemon.id());
        let status = trapline()
            .args(["send", "trap", "--to", &to, "--count", "300000", "--rate", "100000", "IF-MIB::linkDown"])
            .args(VARBINDS)
            .args(more)
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
        let outcomes = bench.settle()["intake"]["outcomes"].as_u64().unwrap();
        (cpu_seconds(bench.daemon.id()) - before) / outcomes as f64 * 1e6
    };
    show("by varbinds", [4, 8, 16, 32].map(|n| (n, flood(&Bench::start(1000, "interval", false), n))).into());
    let sinks = |n: usize| (n, flood(&Bench::with_files(1000, "interval", false, n - 1), 4));
    show("by sinks (pipe, then files)", [1, 2, 4].map(sinks).into());
    show("by senders", [1, 100, 5000].map(|n| (n, from_many(n))).into());
}

/// The cost of a trap with so many addresses sending by turns.
fn from_many(senders: usize) -> f64 {
    let bench = Bench::start(1000, "interval", false);
    let packet = packet("GigabitEthernet0/3", NotificationKind::Trap, 0);
    let sockets: Vec<UdpSocket> = (0..senders)
        .map(|n| {
            let socket = UdpSocket::bind((Ipv4Addr::from(0x7f01_0000 + n as u32), 0)).unwrap();
            socket.connect((Ipv4Addr::LOCALHOST, SNMP)).unwrap();
            socket
        })
        .collect();
    let (count, rate) = (200_000, 50_000.0);
    let (before, start) = (cpu_seconds(bench.daemon.id()), Instant::now());
    for n in 0..count {
        sockets[n % senders].send(&packet).unwrap();
        let due = Duration::from_secs_f64(n as f64 / rate);
        if n % 32 == 0 && due > start.elapsed() {
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    let outcomes = bench.settle()["intake"]["outcomes"].as_u64().unwrap();
    (cpu_seconds(bench.daemon.id()) - before) / outcomes as f64 * 1e6
}

/// What receiving alone costs: rate taken, and CPU of this thread for a packet.
fn null_receiver(rate: u64, seconds: u64) -> (f64, f64) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).unwrap();
    let to = socket.local_addr().unwrap().to_string();
    let count = rate * seconds;
    let mut sender = trapline()
        .args([
            "send",
            "trap",
            "--to",
            &to,
            "--count",
            &count.to_string(),
            "--rate",
            &rate.to_string(),
            "IF-MIB::linkDown",
        ])
        .args(VARBINDS)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let cpu = || {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) as f64 / 100.0
    };
    let mut receiver = sys::Receiver::new(128);
    let (before, start) = (cpu(), Instant::now());
    let mut taken = 0;
    while taken < count && start.elapsed() < Duration::from_secs(seconds + 5) {
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, 1000u16).unwrap();
        taken += receiver.receive(&socket).unwrap() as u64;
    }
    sender.wait().unwrap();
    (taken as f64 / start.elapsed().as_secs_f64(), (cpu() - before) / taken as f64 * 1e6)
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// Milliseconds from socket to pipe, sorted, at 5,000 a second.
fn latencies(bench: &Bench, count: usize) -> Vec<f64> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", SNMP)).unwrap();
    let rate = 5_000.0;
    let start = Instant::now();
    let mut sent = Vec::with_capacity(count);
    for n in 0..count {
        let due = Duration::from_secs_f64(n as f64 / rate);
        while start.elapsed() < due {
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        let packet = packet(&n.to_string(), NotificationKind::Trap, 0);
        sent.push(Instant::now());
        socket.send(&packet).unwrap();
    }
    while bench.taken.load(Ordering::Relaxed) < count as u64 {
        assert!(start.elapsed() < Duration::from_mins(1), "the pipe did not get all");
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = |(at, line): &(Instant, String)| {
        let n: usize = line.split("Interface ").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
        (*at - sent[n]).as_secs_f64() * 1000.0
    };
    let mut all: Vec<f64> = bench.lines.lock().unwrap().iter().map(took).collect();
    all.sort_by(f64::total_cmp);
    all
}

fn latency() {
    let bench = Bench::start(1000, "interval", true);
    let took = latencies(&bench, 25_000);
    println!(
        "\nfrom socket to pipe at 5,000/s, sync = \"interval\": median {:.3} ms, p99 {:.3} ms, most {:.3} ms",
        percentile(&took, 0.5),
        percentile(&took, 0.99),
        took[took.len() - 1]
    );
}

fn informs() {
    let bench = Bench::start(1000, "batch", false);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", SNMP)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut took: Vec<f64> = (0..3000)
        .map(|n| {
            let packet = packet("3", NotificationKind::Inform, n);
            let start = Instant::now();
            socket.send(&packet).unwrap();
            socket.recv(&mut [0; 2048]).unwrap();
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    println!(
        "informs until answered, one after the other, sync = \"batch\": median {:.3} ms, p99 {:.3} ms",
        percentile(&took, 0.5),
        percentile(&took, 0.99)
    );
    drop(bench);
}

fn idle() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "[snmp]\nlisten = [\"127.0.0.1:{SNMP}\"]\n[syslog]\nlisten = [\"udp://127.0.0.1:{SYSLOG}\"]\n"
    );
    std::fs::write(dir.path().join("trapline.toml"), config).unwrap();
    let mut times = Vec::new();
    let mut resident = 0.0;
    for _ in 0..5 {
        let start = Instant::now();
        let mut daemon = trapline()
            .args(["run", "--config"])
            .arg(dir.path().join("trapline.toml"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = std::io::BufReader::new(daemon.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening: ") {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut log, &mut line).unwrap() > 0);
        }
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        resident = memory(daemon.id());
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }
    times.sort_by(f64::total_cmp);
    println!(
        "from start to listening, shipped rules and MIBs: {:.0} ms; resident then: {resident:.1} MB",
        times[2]
    );
}
