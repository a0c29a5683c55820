//! The daemon under load, with a pipe that is read.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Commands, and when they came out of the pipe.
pub type Lines = Arc<Mutex<Vec<(Instant, String)>>>;

/// A daemon with a pipe that is read.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub daemon: Child,
    pub taken: Arc<AtomicU64>,
    pub stop: Arc<AtomicBool>,
    pub lines: Lines,
}

pub fn trapline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapline"));
    command.stdin(Stdio::null());
    command
}

pub const SNMP: u16 = 31_162;
pub const SYSLOG: u16 = 31_514;

impl Bench {
    /// `keep`: whether the reader keeps the commands and when they came.
    pub fn start(rules: usize, sync: &str, keep: bool) -> Self {
        Self::with_files(rules, sync, keep, 0)
    }

    /// The same, with so many file sinks beside the pipe.
    pub fn with_files(rules: usize, sync: &str, keep: bool, files: usize) -> Self {
        Self::with_sinks(rules, sync, keep, files, "")
    }

    /// The same, with further sinks.
    pub fn with_sinks(rules: usize, sync: &str, keep: bool, files: usize, more: &str) -> Self {
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
        std::fs::write(dir.path().join("trapline.toml"), config + &files + more).unwrap();
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

    pub fn status(&self) -> Value {
        let config = self.dir.path().join("trapline.toml");
        let output = trapline().args(["status", "--json", "--config"]).arg(config).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until the pipe has as many commands as the journal has outcomes.
    pub fn settle(&self) -> Value {
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

pub fn nix_mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

pub fn read_pipe(path: PathBuf, taken: Arc<AtomicU64>, stop: Arc<AtomicBool>, lines: Option<Lines>) {
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
pub fn rule_file(count: usize) -> String {
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

/// User and system time of a process.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// The most resident memory of a process, in MB.
pub fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
