//! How each peer is set up: as its own manual advises for much traffic.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::{SNMP, SYSLOG};
use crate::measure::Receiver;
use crate::process::{self, Usage};
use crate::sender::Message;

/// How long one may take to listen.
const START: Duration = Duration::from_secs(20);
/// rsyslog's file writer keeps lines up to a second.
const SILENCE: Duration = Duration::from_millis(2_500);

/// module, input and queue: rsyslog's manual, "Receiving massive amounts of messages with high performance", but for
/// one thread of imudp and one worker, which cost less on two cores, and a longer queue; `rcvbufSize`: imudp's page.
const RSYSLOG: &str = r#"
module(load="imudp" threads="1" timeRequery="8" batchSize="128")
input(type="imudp" address="127.0.0.1" port="PORT" ruleset="r" rcvbufSize="64m")
template(name="t" type="string" string="[%timegenerated:::date-unixtimestamp%] PROCESS_SERVICE_CHECK_RESULT;%hostname%;TCP Wrappers;2;%msg%\n")
ruleset(name="r" queue.type="FixedArray" queue.size="2000000" queue.dequeueBatchSize="4096" queue.workerThreads="1") {
    if re_match($msg, 'refused connect from ([^ ]+) \\(([^)]+)\\)') then
        action(type="omfile" file="FOLDER/output" template="t" ioBufferSize="64k" flushOnTXEnd="off" asyncWriting="on")
}
"#;

/// syslog-ng's administration guide, "Handling large message load" (no DNS, `so-rcvbuf`, `flush-lines`), and its pages
/// on `log-fetch-limit`, `log-iw-size` and `log-fifo-size`.
const SYSLOG_NG: &str = r#"@version: 3.38
options { threaded(yes); use-dns(no); dns-cache(no); keep-hostname(yes); flush-lines(1000); stats-freq(0); log-fifo-size(2000000); };
source s { network(ip(127.0.0.1) port(PORT) transport(udp) so-rcvbuf(67108864) log-fetch-limit(10000) log-iw-size(250000)); };
filter f { match("refused connect from ([^ ]+) \\(([^)]+)\\)" value("MESSAGE")); };
destination d { file("FOLDER/output" template("[$S_UNIXTIME] PROCESS_SERVICE_CHECK_RESULT;$HOST;TCP Wrappers;2;$MSG\n")); };
log { source(s); filter(f); destination(d); };
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    Rsyslog,
    SyslogNg,
    Snmptrapd,
}

impl Software {
    pub fn name(self) -> &'static str {
        match self {
            Software::Rsyslog => "rsyslog",
            Software::SyslogNg => "syslog-ng",
            Software::Snmptrapd => "snmptrapd",
        }
    }

    /// The program, from the system or as `benches/fetch_peers` unpacks it.
    fn command(self) -> Command {
        let system = match self {
            Software::Rsyslog => "/usr/sbin/rsyslogd",
            Software::SyslogNg => "/usr/sbin/syslog-ng",
            Software::Snmptrapd => "/usr/sbin/snmptrapd",
        };
        let unpacked = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(self.name());
        let program = unpacked.join(system.trim_start_matches('/'));
        if PathBuf::from(system).exists() || !program.exists() {
            return Command::new(system);
        }
        let mut command = Command::new(program);
        let libraries = [
            "usr/lib/syslog-ng/3.38",
            "usr/lib/syslog-ng",
            "usr/lib/x86_64-linux-gnu",
            "lib/x86_64-linux-gnu",
        ];
        let libraries = libraries.map(|folder| unpacked.join(folder).display().to_string());
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
        command.arg("--module-path").arg(&libraries[0]);
        command
    }

    /// What it says of its version; nothing if it cannot be run.
    fn says(self) -> Option<String> {
        let option = if self == Software::SyslogNg { "-V" } else { "-v" };
        let output = self.command().arg(option).stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        output.status.success().then_some(said)
    }

    pub fn is_installed(self) -> bool {
        self.says().is_some()
    }

    /// Its name and version.
    pub fn version(self) -> String {
        let text = self.says().unwrap_or_default();
        // The first word that is a number with points.
        let version = text
            .split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .find(|word| word.matches('.').count() > 1 && word.starts_with(|c: char| c.is_ascii_digit()));
        format!("{} {}", self.name(), version.unwrap_or("?").trim_end_matches(".0"))
    }

    fn port(self) -> u16 {
        if self == Software::Snmptrapd { SNMP } else { SYSLOG }
    }
}

/// A running peer that writes lines to a file.
pub struct Peer {
    pub port: u16,
    child: Child,
    dir: tempfile::TempDir,
    read: RefCell<Progress>,
}

/// What its output file had so far.
struct Progress {
    file: Option<File>,
    lines: u64,
}

impl Peer {
    pub fn start(software: Software) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (d, port) = (dir.path().display().to_string(), software.port());
        let write = |name: &str, text: &str| {
            let text = text.replace("PORT", &port.to_string()).replace("FOLDER", &d);
            std::fs::write(dir.path().join(name), text).unwrap();
        };
        let mut command = software.command();
        match software {
            Software::Rsyslog => {
                write("conf", RSYSLOG);
                command.args(["-n", "-f", &format!("{d}/conf"), "-i", &format!("{d}/pid")]);
            }
            Software::SyslogNg => {
                write("conf", SYSLOG_NG);
                command.args(["-F", "--no-caps", "-f", &format!("{d}/conf"), "-p", &format!("{d}/pid")]);
                command.args(["-R", &format!("{d}/persist"), "-c", &format!("{d}/control")]);
            }
            Software::Snmptrapd => {
                // snmptrapd(8): no names of senders are asked for; snmp.conf(5): the receive buffer.
                write("snmp.conf", "serverRecvBuf 67108864\n");
                write("snmptrapd.conf", "disableAuthorization yes\n");
                command.args(["-f", "-n", "-On", "-m", "", "-Lf", &format!("{d}/output")]);
                command.arg(format!("udp:127.0.0.1:{port}"));
                command.env("SNMPCONFPATH", &d).env("SNMP_PERSISTENT_DIR", &d);
            }
        }
        let log = File::create(dir.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + START;
        while !process::is_bound(port) {
            let ended = child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
                panic!("{} does not listen: {ended:?}\n{log}", software.name());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Peer { port, child, dir, read: RefCell::new(Progress { file: None, lines: 0 }) }
    }
}

impl Receiver for Peer {
    fn port(&self, _: Message) -> u16 {
        self.port
    }

    fn taken(&self) -> u64 {
        let progress = &mut *self.read.borrow_mut();
        if progress.file.is_none() {
            progress.file = File::open(self.dir.path().join("output")).ok();
        }
        let mut new = Vec::new();
        if let Some(file) = &mut progress.file {
            file.read_to_end(&mut new).unwrap();
        }
        progress.lines += new.iter().filter(|octet| **octet == b'\n').count() as u64;
        progress.lines
    }

    fn usage(&self) -> Usage {
        process::of_process(self.child.id())
    }

    fn keep_to(&self, core: &str) {
        process::keep_to(core, true, &self.child.id().to_string());
    }

    fn silence(&self) -> Duration {
        SILENCE
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
