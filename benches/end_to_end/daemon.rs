//! A daemon under load, with pipes that are read.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::rule_file;
use crate::process::{self, Usage};
use crate::sender::now_nanos;

pub const SNMP: u16 = 31_162;
pub const SYSLOG: u16 = 31_514;

/// How long a daemon may take to start.
const START: Duration = Duration::from_mins(1);

/// A Trapline binary, and what its configuration says beside the usual.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its name in the tables.
    pub name: String,
    pub path: PathBuf,
    /// Lines such as `snmp.latency = "5ms"`.
    pub set: Vec<String>,
}

impl Program {
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.stdin(Stdio::null());
        command
    }

    /// The same with its latency budget turned off; nothing if the binary does not know the key.
    pub fn without_latency(&self) -> Option<Program> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("trapline.toml");
        ["0", "\"0s\"", "\"0ms\""].into_iter().find_map(|off| {
            let others = self.set.iter().filter(|line| !line.contains(".latency"));
            let off = [format!("snmp.latency = {off}"), format!("syslog.latency = {off}")];
            let set: Vec<String> = others.cloned().chain(off).collect();
            std::fs::write(&file, format!("{}\n", set.join("\n"))).unwrap();
            let output = self.command().args(["check", "--config"]).arg(&file).output().unwrap();
            let name = format!("{}, latency = 0", self.name);
            output.status.success().then(|| Program { name, path: self.path.clone(), set })
        })
    }
}

/// How a daemon is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    pub rules: usize,
    pub sync: &'static str,
    /// Addresses that take SNMP.
    pub snmp: &'static [&'static str],
    pub pipes: usize,
    pub files: usize,
    /// More of the configuration, after all else.
    pub more: String,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { rules: 1000, sync: "interval", snmp: &["127.0.0.1"], pipes: 1, files: 0, more: String::new() }
    }
}

/// Commands, and when they came out of the pipe, in nanoseconds since 1970.
pub type Lines = Arc<Mutex<Vec<(u64, String)>>>;

/// A running daemon.
pub struct Daemon {
    dir: tempfile::TempDir,
    child: Child,
    /// Lines that came out of each pipe.
    taken: Vec<Arc<AtomicU64>>,
    pipes: Vec<PathBuf>,
    files: Vec<PathBuf>,
    stop: Arc<AtomicBool>,
    /// Those of the first pipe, if they are kept.
    pub lines: Lines,
}

impl Daemon {
    pub fn start(program: &Program, setup: &Setup) -> Self {
        Self::start_keeping(program, setup, false)
    }

    /// `keep`: whether the lines of the first pipe are kept.
    pub fn start_keeping(program: &Program, setup: &Setup, keep: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pipes: Vec<PathBuf> = (0..setup.pipes).map(|n| dir.path().join(format!("pipe{n}"))).collect();
        let files: Vec<PathBuf> = (0..setup.files).map(|n| dir.path().join(format!("file{n}"))).collect();
        std::fs::write(dir.path().join("rules.toml"), rule_file(setup.rules)).unwrap();
        let config = config(program, setup, &pipes, &files);
        std::fs::write(dir.path().join("trapline.toml"), config).unwrap();
        let (stop, lines) = (Arc::new(AtomicBool::new(false)), Lines::default());
        let mut taken = Vec::new();
        for (n, pipe) in pipes.iter().enumerate() {
            assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
            let count = Arc::new(AtomicU64::new(0));
            read_pipe(pipe, count.clone(), stop.clone(), (keep && n == 0).then(|| lines.clone()));
            taken.push(count);
        }
        let child = start_and_wait(program, dir.path());
        Daemon { dir, child, taken, pipes, files, stop, lines }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says of itself.
    pub fn status(&self, program: &Program) -> serde_json::Value {
        let mut command = program.command();
        command.args(["status", "--json", "--config"]).arg(self.dir.path().join("trapline.toml"));
        let output = command.output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    pub fn usage(&self) -> Usage {
        process::of_process(self.pid())
    }

    /// How many lines all pipes have given at least.
    pub fn taken(&self) -> u64 {
        self.taken.iter().map(|taken| taken.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    /// Grows while a file sink writes.
    pub fn file_octets(&self) -> u64 {
        self.files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|file| file.len()).sum()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.child.kill();
        let _ = self.child.wait();
        // So that the readers see that they are to end.
        for pipe in &self.pipes {
            let _ = File::options().write(true).open(pipe).and_then(|mut pipe| pipe.write_all(b"\n"));
        }
    }
}

fn config(program: &Program, setup: &Setup, pipes: &[PathBuf], files: &[PathBuf]) -> String {
    let snmp: Vec<String> = setup.snmp.iter().map(|address| format!("{address}:{SNMP}")).collect();
    let mut config = format!(
        "snmp.listen = {snmp:?}\nsnmp.receive_buffer = \"64MiB\"\n\
         syslog.listen = [\"udp://127.0.0.1:{SYSLOG}\", \"tcp://127.0.0.1:{SYSLOG}\"]\n\
         syslog.receive_buffer = \"64MiB\"\njournal.sync = \"{}\"\nrules.paths = [\"rules.toml\"]\n",
        setup.sync
    );
    for line in &program.set {
        config.push_str(&format!("{line}\n"));
    }
    config.push_str(
        "[[snmp.users]]\nname = \"ops\"\nauth = \"SHA-256\"\nauth_password = \"auth-password\"\n\
         priv = \"AES-128\"\npriv_password = \"priv-password\"\n",
    );
    for (n, pipe) in pipes.iter().enumerate() {
        let path = pipe.display();
        config.push_str(&format!(
            "[[sinks]]\nname = \"pipe{n}\"\ntype = \"nagios\"\ncommand_file = \"{path}\"\n"
        ));
    }
    for (n, file) in files.iter().enumerate() {
        let path = file.display();
        config.push_str(&format!("[[sinks]]\nname = \"file{n}\"\ntype = \"file\"\npath = \"{path}\"\n"));
    }
    config + &setup.more
}

/// Starts a daemon on `trapline.toml` in this folder and waits until it is ready, as systemd does.
pub fn start_and_wait(program: &Program, folder: &Path) -> Child {
    let (notify, log) = (folder.join("notify"), folder.join("log"));
    let _ = std::fs::remove_file(&notify);
    let socket = UnixDatagram::bind(&notify).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut command = program.command();
    command.args(["run", "--config"]).arg(folder.join("trapline.toml")).env("NOTIFY_SOCKET", &notify);
    let spawned = command.stderr(File::create(&log).unwrap()).spawn();
    let mut child =
        spawned.unwrap_or_else(|error| panic!("cannot start {}: {error}", program.path.display()));
    let deadline = Instant::now() + START;
    let mut told = [0; 4096];
    loop {
        let count = socket.recv(&mut told).unwrap_or(0);
        if String::from_utf8_lossy(&told[..count]).contains("READY=1") {
            return child;
        }
        let ended = child.try_wait().unwrap();
        if ended.is_some() || Instant::now() > deadline {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("{} does not start: {ended:?}\n{log}", program.path.display());
        }
    }
}

fn read_pipe(path: &Path, taken: Arc<AtomicU64>, stop: Arc<AtomicBool>, lines: Option<Lines>) {
    // Open for both, so that it never ends and opening waits for nobody.
    let mut pipe = File::options().read(true).write(true).open(path).unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        let mut rest = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let count = pipe.read(&mut buffer).unwrap();
            let octets = &buffer[..count];
            if let Some(lines) = &lines {
                let now = now_nanos();
                rest.extend_from_slice(octets);
                let mut lines = lines.lock().unwrap();
                while let Some(at) = rest.iter().position(|octet| *octet == b'\n') {
                    let line: Vec<u8> = rest.drain(..=at).collect();
                    lines.push((now, String::from_utf8_lossy(&line).into_owned()));
                }
            }
            taken.fetch_add(octets.iter().filter(|octet| **octet == b'\n').count() as u64, Ordering::Relaxed);
        }
    });
}
