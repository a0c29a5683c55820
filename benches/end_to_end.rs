//! The whole way, measured: a load generator, the daemon, a reader of its pipe, and, where they are installed,
//! the peers of the field on the same work in the same run.
//!
//! `cargo bench --bench end_to_end` takes about three minutes; `-- --long` runs the flood for 60 s, `-- --security`
//! only compares v3 with v2c.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{LINE, packet};
use serde_json::Value;
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
    latency();
    informs();
    idle();
    peers(null.1);
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

/// Commands, and when they came out of the pipe.
type Lines = Arc<Mutex<Vec<(Instant, String)>>>;

/// A daemon with a pipe that is read.
struct Bench {
    dir: tempfile::TempDir,
    daemon: Child,
    taken: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    lines: Lines,
}

fn trapline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapline"));
    command.stdin(Stdio::null());
    command
}

const SNMP: u16 = 31_162;
const SYSLOG: u16 = 31_514;

impl Bench {
    /// `keep`: whether the reader keeps the commands and when they came.
    fn start(rules: usize, sync: &str, keep: bool) -> Self {
        Self::with_files(rules, sync, keep, 0)
    }

    /// The same, with so many file sinks beside the pipe.
    fn with_files(rules: usize, sync: &str, keep: bool, files: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path().display();
        std::fs::write(dir.path().join("rules.toml"), rule_file(rules)).unwrap();
        let config = format!(
            "[snmp]\nlisten = [\"127.0.0.1:{SNMP}\"]\nreceive_buffer = \"64MiB\"\n\
             [[snmp.users]]\nname = \"ops\"\nauth = \"SHA-256\"\nauth_password = \"auth-password\"\n\
             priv = \"AES-128\"\npriv_password = \"priv-password\"\n\
             [syslog]\nlisten = [\"udp://127.0.0.1:{SYSLOG}\", \"tcp://127.0.0.1:{SYSLOG}\"]\nreceive_buffer = \"64MiB\"\n\
             [journal]\nsync = \"{sync}\"\n[rules]\npaths = [\"rules.toml\"]\n\
             [[sinks]]\ntype = \"nagios\"\ncommand_file = \"{d}/pipe\"\n"
        );
        let files: String = (0..files)
            .map(|n| format!("[[sinks]]\nname = \"f{n}\"\ntype = \"file\"\npath = \"{d}/f{n}\"\n"))
            .collect();
        std::fs::write(dir.path().join("trapline.toml"), config + &files).unwrap();
        let pipe = dir.path().join("pipe");
        nix_mkfifo(&pipe);
        let (taken, stop, lines) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)), Arc::default());
        read_pipe(pipe, taken.clone(), stop.clone(), keep.then(|| Arc::clone(&lines)));
        let log = File::create(dir.path().join("log")).unwrap();
        let daemon = trapline()
            .args(["run", "--config"])
            .arg(dir.path().join("trapline.toml"))
            .stderr(log)
            .spawn()
            .unwrap();
        let bench = Bench { dir, daemon, taken, stop, lines };
        let deadline = Instant::now() + Duration::from_mins(1);
        while !std::fs::read_to_string(bench.dir.path().join("log")).unwrap().contains("listening: ") {
            assert!(Instant::now() < deadline, "the daemon does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        bench
    }

    fn status(&self) -> Value {
        let config = self.dir.path().join("trapline.toml");
        let output = trapline().args(["status", "--json", "--config"]).arg(config).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until the pipe has as many commands as the journal has outcomes.
    fn settle(&self) -> Value {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let status = self.status();
            let behind = status["sinks"].as_array().unwrap().iter().any(|s| s["behind"] != 0);
            if !behind && self.taken.load(Ordering::Relaxed) >= status["intake"]["outcomes"].as_u64().unwrap()
            {
                return status;
            }
            assert!(Instant::now() < deadline, "not all was delivered: {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn nix_mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn read_pipe(path: PathBuf, taken: Arc<AtomicU64>, stop: Arc<AtomicBool>, lines: Option<Lines>) {
    std::thread::spawn(move || {
        // Open for both, so that it never ends and opening waits for nobody.
        let mut pipe = File::options().read(true).write(true).open(path).unwrap();
        let mut buffer = vec![0; 65_536];
        let mut rest = String::new();
        while !stop.load(Ordering::Relaxed) {
            let count = pipe.read(&mut buffer).unwrap();
            taken
                .fetch_add(buffer[..count].iter().filter(|b| **b == b'\n').count() as u64, Ordering::Relaxed);
            if let Some(lines) = &lines {
                let now = Instant::now();
                rest.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                let mut lines = lines.lock().unwrap();
                while let Some(at) = rest.find('\n') {
                    lines.push((now, rest.drain(..=at).collect()));
                }
            }
        }
    });
}

/// As many rules as asked for; the load is taken by one in the middle.
fn rule_file(count: usize) -> String {
    let mut text = String::new();
    let check = "[rule.check]\nservice = \"S\"\nstate = \"critical\"\noutput = \"{{ text }}\"\n";
    for n in 0..count {
        let matcher = match n % 3 {
            0 => format!("trap = \"1.3.6.1.4.1.{}.0.{n}\"", 90_000 + n),
            1 => format!("trap = \"1.3.6.1.4.1.{}.*\"", 90_000 + n),
            _ => format!("syslog = {{ message = 'event number {n} of (?<who>\\w+)' }}"),
        };
        text.push_str(&format!("[[rule]]\nid = \"other-{n}\"\n{matcher}\n{check}\n"));
        if n == count / 2 {
            text.push_str(
                "[[rule]]\nid = \"link-down\"\ntrap = \"IF-MIB::linkDown\"\nwhere = \"ifAdminStatus == 'up'\"\n[rule.check]\n\
                 host = \"{{ host }}\"\nservice = \"Interface {{ ifDescr }}\"\nstate = \"critical\"\n\
                 output = \"Link down on {{ ifDescr }} (admin {{ ifAdminStatus }}, oper {{ ifOperStatus }})\"\n\
                 [[rule]]\nid = \"tcp-wrappers-refused\"\nsyslog = { tcp_wrappers = \"refused\" }\n[rule.check]\n\
                 host = \"{{ host }}\"\nservice = \"TCP Wrappers\"\nstate = \"critical\"\n\
                 output = \"Denied {{ client_host }} ({{ client_address }}) - {{ program }}\"\n\
                 [[rule]]\nid = \"pattern\"\nsyslog = { message = 'door (?<door>\\d+) was opened' }\n[rule.check]\n\
                 service = \"Doors\"\nstate = \"warning\"\noutput = \"Door {{ door }}\"\n",
            );
        }
    }
    text
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

/// User and system time of a process.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// The most resident memory of a process, in MB.
fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// What receiving alone costs: rate taken, and CPU of this thread for a packet.
fn null_receiver(rate: u64, seconds: u64) -> (f64, f64) {
    let bound = trapline::intake::udp::bind_socket(
        "127.0.0.1:0".parse().unwrap(),
        64 << 20,
        trapline::intake::udp::Protocol::Snmp,
    )
    .unwrap();
    let to = bound.socket.local_addr().unwrap().to_string();
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
        taken += receiver.receive(&bound.socket).unwrap() as u64;
    }
    sender.wait().unwrap();
    (taken as f64 / start.elapsed().as_secs_f64(), (cpu() - before) / taken as f64 * 1e6)
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn latency() {
    let bench = Bench::start(1000, "interval", true);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", SNMP)).unwrap();
    let (count, rate) = (25_000, 5_000.0);
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
    bench.settle();
    let mut took: Vec<f64> = bench
        .lines
        .lock()
        .unwrap()
        .iter()
        .map(|(at, line)| {
            let n: usize =
                line.split("Interface ").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
            (*at - sent[n]).as_secs_f64() * 1000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
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

/// Where they are installed: snmptrapd, snmptt, rsyslog and syslog-ng on the same messages.
fn peers(null: f64) {
    println!("\npeers on the same messages, CPU of the whole process (null receiver: {null:.2} us)");
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    write("snmptrapd.conf", "disableAuthorization yes\n".to_owned());
    let mut snmptrapd = Command::new("snmptrapd");
    snmptrapd
        .args([
            "-f",
            "-C",
            "-c",
            &format!("{d}/snmptrapd.conf"),
            "-Lf",
            &format!("{d}/traps"),
            "-m",
            "",
            "-On",
        ])
        .arg(format!("udp:127.0.0.1:{SNMP}"));
    let to = format!("127.0.0.1:{SNMP}");
    let traps = [&["send", "trap", "--to", &to, "IF-MIB::linkDown"][..], &VARBINDS].concat();
    peer("snmptrapd: decode and log line, no rules", &mut snmptrapd, &traps, 5_000, &format!("{d}/traps"));
    snmptt(dir.path());
    let lines = ["send", "syslog", "--to", &format!("udp://127.0.0.1:{SYSLOG}"), LINE];
    write(
        "rsyslog.conf",
        format!(
            "module(load=\"imudp\" TimeRequery=\"2\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{SYSLOG}\" ruleset=\"r\")\n\
             template(name=\"t\" type=\"string\" string=\"[%timegenerated:::date-unixtimestamp%] PROCESS_SERVICE_CHECK_RESULT;%hostname%;TCP Wrappers;2;%msg%\\n\")\n\
             ruleset(name=\"r\" queue.type=\"LinkedList\" queue.size=\"2000000\") {{ if re_match($msg, 'refused connect from ([^ ]+) \\\\(([^)]+)\\\\)') then action(type=\"omfile\" file=\"{d}/rsyslog\" template=\"t\") }}\n"
        ),
    );
    let mut rsyslogd = Command::new("rsyslogd");
    rsyslogd.args(["-n", "-f", &format!("{d}/rsyslog.conf"), "-i", &format!("{d}/pid")]);
    peer(
        "rsyslog: one regex rule, in-memory queue, to a file",
        &mut rsyslogd,
        &lines,
        50_000,
        &format!("{d}/rsyslog"),
    );
    write(
        "syslog-ng.conf",
        format!(
            "@version: 3.38\nsource s {{ network(ip(127.0.0.1) port({SYSLOG}) transport(udp) so-rcvbuf(16777216)); }};\n\
             filter f {{ match(\"refused connect from ([^ ]+) \\\\(([^)]+)\\\\)\" value(MESSAGE)); }};\n\
             destination d {{ file(\"{d}/syslog-ng\" template(\"[$S_UNIXTIME] PROCESS_SERVICE_CHECK_RESULT;$HOST;TCP Wrappers;2;$MSG\\n\")); }};\n\
             log {{ source(s); filter(f); destination(d); }};\n"
        ),
    );
    let mut syslog_ng = Command::new("syslog-ng");
    syslog_ng.args(["-F", "--no-caps", "-f", &format!("{d}/syslog-ng.conf"), "-p", &format!("{d}/ng.pid")]);
    syslog_ng.args(["-R", &format!("{d}/ng.persist"), "-c", &format!("{d}/ng.ctl")]);
    peer("syslog-ng: the same", &mut syslog_ng, &lines, 50_000, &format!("{d}/syslog-ng"));
}

fn peer(what: &str, command: &mut Command, send: &[&str], rate: u64, output: &str) {
    let Ok(mut process) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    else {
        println!("{what:<52} not installed");
        return;
    };
    std::thread::sleep(Duration::from_secs(1));
    let (before, count) = (cpu_seconds(process.id()), rate * 3);
    let sent = trapline()
        .args(send)
        .args(["--count", &count.to_string(), "--rate", &rate.to_string()])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let taken = std::fs::read_to_string(output).unwrap_or_default().matches('\n').count();
    if sent.success() && taken > 0 {
        let cpu = (cpu_seconds(process.id()) - before) / count as f64 * 1e6;
        println!("{what:<52}{rate:>8}/s{cpu:>10.1} us each");
    } else {
        println!("{what:<52} did not take the load");
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

/// snmptt's daemon on a full spool directory, as snmptthandler fills it.
fn snmptt(dir: &Path) {
    let what = "snmptt daemon: spool file to log line, 10 EVENTs";
    let d = dir.display();
    let count = 2000;
    std::fs::create_dir(dir.join("spool")).unwrap();
    for n in 0..count {
        let text = "1795176000\nrouter1\nUDP: [127.0.0.1]:5000->[127.0.0.1]:162\n.1.3.6.1.2.1.1.3.0 0:0:00:01.00\n\
                    .1.3.6.1.6.3.1.1.4.1.0 .1.3.6.1.6.3.1.1.5.3\n.1.3.6.1.2.1.2.2.1.1.3 3\n.1.3.6.1.2.1.2.2.1.7.3 1\n\
                    .1.3.6.1.2.1.2.2.1.8.3 2\n.1.3.6.1.2.1.2.2.1.2.3 GigabitEthernet0/3\n";
        std::fs::write(dir.join(format!("spool/#snmptt-trap-1795176000{n:06}")), text).unwrap();
    }
    let mut events: String = (0..9)
        .map(|n| {
            format!("EVENT other{n} .1.3.6.1.4.1.9999{n}.0.1 \"Status Events\" Normal\nFORMAT other $1\n")
        })
        .collect();
    events.push_str("EVENT linkDown .1.3.6.1.6.3.1.1.5.3 \"Status Events\" Critical\nFORMAT Link down on $4 (admin $2, oper $3)\n");
    std::fs::write(dir.join("snmptt.conf"), events).unwrap();
    let ini = format!(
        "[General]\nmode = daemon\ndns_enable = 0\nnet_snmp_perl_enable = 0\n\
         [DaemonMode]\ndaemon_fork = 0\npid_file = {d}/snmptt.pid\nspool_directory = {d}/spool/\nsleep = 1\n\
         [Logging]\nstdout_enable = 0\nlog_enable = 1\nlog_file = {d}/snmptt.log\nsyslog_enable = 0\nsyslog_system_enable = 0\n\
         [TrapFiles]\nsnmptt_conf_files = <<END\n{d}/snmptt.conf\nEND\n"
    );
    std::fs::write(dir.join("snmptt.ini"), ini).unwrap();
    let spawned = Command::new("snmptt")
        .args(["--daemon", &format!("--ini={d}/snmptt.ini")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut process) = spawned else {
        println!("{what:<52} not installed");
        return;
    };
    let logged =
        || std::fs::read_to_string(dir.join("snmptt.log")).unwrap_or_default().matches("Link down").count();
    let start = Instant::now();
    while logged() < count && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let taken = logged();
    if taken == count {
        let cpu = cpu_seconds(process.id()) / count as f64 * 1e6;
        println!("{what:<52}{:>8.0}/s{cpu:>10.1} us each", count as f64 / start.elapsed().as_secs_f64());
    } else {
        println!("{what:<52} took {taken} of {count}");
    }
    process.kill().unwrap();
    process.wait().unwrap();
}
