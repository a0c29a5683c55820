//! What rsyslog and syslog-ng send arrives byte for byte, over every transport, and nothing is lost when the daemon restarts.
//! Numbers are those of the table in docs/syslog-transports.md. `TRAPLINE_SYSLOG_LINES` sets how many lines each transport carries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::certificates::Authority;
use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{PATIENCE, Program, look_again, port};

const RULES: &str = "[[rule]]\nid = \"all\"\nsyslog = {}\n[rule.event]\nstate = \"ok\"\n\
    output = \"{{ program }}|{{ message }}\"\n";

/// A line that is hard to carry; no two are the same.
fn line(n: usize) -> String {
    let starts = [
        "- a dash",
        "[a b=\"c\"] brackets",
        "  spaces",
        "5 <13>x counts",
        "200 <13> 42",
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
        "\"quoted\" \\back|pipe %percent%",
        "name: tag",
        "\u{fc}mlaut \u{2713} {\"json\": [1]}",
        "1 2026-11-20T12:00:00Z h a - - - header",
    ];
    format!("{} {n} end", starts[n % starts.len()])
}

/// How many lines each transport carries.
fn count(usual: usize) -> usize {
    std::env::var("TRAPLINE_SYSLOG_LINES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The ports and paths of a daemon that listens on every transport.
pub struct Ways {
    udp: u16,
    pub tcp: u16,
    pub tls: u16,
    relp: u16,
    relp_tls: u16,
    datagrams: PathBuf,
    stream: PathBuf,
}

/// A daemon, not started, that listens on every transport; with `clients` those with TLS need a certificate.
pub fn prepare(clients: bool) -> (Daemon, Ways) {
    let daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    let authority = Authority::new(&daemon.path("ca.pem"));
    authority.issue(daemon.dir.path(), "server", &["localhost"]);
    authority.issue(daemon.dir.path(), "client", &["client.example.org"]);
    let ways = Ways {
        udp: daemon.syslog_udp,
        tcp: daemon.syslog_tcp,
        tls: port(),
        relp: port(),
        relp_tls: port(),
        datagrams: daemon.path("datagrams"),
        stream: daemon.path("stream"),
    };
    let listen = format!(
        "\"udp://127.0.0.1:{}\", \"tcp://127.0.0.1:{}\", \"tls://127.0.0.1:{}\", \"relp://127.0.0.1:{}\", \
         \"relp+tls://127.0.0.1:{}\", \"unix://{}\", \"unix-stream://{}\"",
        ways.udp,
        ways.tcp,
        ways.tls,
        ways.relp,
        ways.relp_tls,
        ways.datagrams.display(),
        ways.stream.display(),
    );
    let peers = if clients { "client_ca_file = \"ca.pem\"\npeers = [\"*.example.org\"]\n" } else { "" };
    let tls = format!("[syslog.tls]\ncert_file = \"server.pem\"\nkey_file = \"server.key\"\n{peers}");
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, after) = text.split_once("[syslog]\n").unwrap();
    let (_, after) = after.split_once("[mibs]").unwrap();
    std::fs::write(&path, format!("{before}[syslog]\nlisten = [{listen}]\n{tls}[mibs]{after}")).unwrap();
    (daemon, ways)
}

/// Writes all lines to a file at once.
fn write_lines(path: &Path, lines: &[String]) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
}

/// An rsyslogd that sends the lines of the file `lines` in a folder by these actions, each with its name as the program.
fn rsyslog(daemon: &Daemon, folder: &Path, clients: bool, actions: &[(&str, String)]) -> Program {
    let (d, certificates) = (folder.display(), daemon.dir.path().display());
    let own = if clients {
        format!(
            "defaultNetstreamDriverCertFile=\"{certificates}/client.pem\" defaultNetstreamDriverKeyFile=\"{certificates}/client.key\""
        )
    } else {
        String::new()
    };
    let mut config = format!(
        "global(workDirectory=\"{d}\" maxMessageSize=\"64k\" defaultNetstreamDriverCAFile=\"{certificates}/ca.pem\" {own})\n\
         main_queue(queue.type=\"FixedArray\" queue.workerThreads=\"1\")\n\
         module(load=\"imfile\" mode=\"polling\" pollingInterval=\"1\")\nmodule(load=\"omrelp\")\nmodule(load=\"omuxsock\")\n\
         input(type=\"imfile\" file=\"{d}/lines\" tag=\"x\")\n"
    );
    for (name, action) in actions {
        let template = format!("\"<13>Nov 26 06:00:00 web1 {name}[7]: %msg%\"");
        let _ = writeln!(config, "template(name=\"{name}\" type=\"string\" string={template})");
        let retry = "action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\"";
        let _ = match action.strip_prefix('$') {
            Some(legacy) => writeln!(config, "${legacy};{name}"),
            None => writeln!(config, "action({action} template=\"{name}\" {retry})"),
        };
    }
    std::fs::write(folder.join("rsyslog.conf"), config).unwrap();
    let mut command = Command::new("rsyslogd");
    command.args(["-n", "-f"]).arg(folder.join("rsyslog.conf")).arg("-i").arg(folder.join("pid"));
    let log = File::create(folder.join("rsyslog.log")).unwrap();
    Program::start(command.stdout(log.try_clone().unwrap()).stderr(log))
}

/// A syslog-ng that does the same.
fn syslog_ng(folder: &Path, destinations: &[(&str, String)]) -> Program {
    let d = folder.display();
    let mut config = format!(
        "options {{ stats-freq(0); keep-hostname(yes); time-reopen(1); log-msg-size(65536); }};\n\
         source s {{ file(\"{d}/lines\" flags(no-parse) follow-freq(0.2)); }};\n"
    );
    for (name, destination) in destinations {
        // Two that go to one port are told apart by it.
        let destination = destination.strip_suffix(");").unwrap();
        let destination = format!("{destination} persist-name(\"{name}\"));");
        let _ = writeln!(
            config,
            "rewrite r_{name} {{ set(\"{name}\" value(\"PROGRAM\")); }};\ndestination d_{name} {{ {destination} }};\n\
             log {{ source(s); rewrite(r_{name}); destination(d_{name}); flags(flow-control); }};"
        );
    }
    start_syslog_ng(folder, &config)
}

/// A syslog-ng with this configuration behind its version, whose files are in this folder.
pub fn start_syslog_ng(folder: &Path, config: &str) -> Program {
    let mut command = syslog_ng_with(folder, config);
    command.args(["-F", "--no-caps"]);
    for (option, file) in [("persist-file", "persist"), ("pidfile", "ng-pid"), ("control", "ng-control")] {
        command.arg(format!("--{option}={}", folder.join(file).display()));
    }
    let log = File::create(folder.join("syslog-ng.log")).unwrap();
    Program::start(command.stdout(log.try_clone().unwrap()).stderr(log))
}

/// The command that reads this configuration, behind the version that it needs.
pub fn syslog_ng_with(folder: &Path, config: &str) -> Command {
    // Debian's package cannot be installed beside rsyslog, so tests/run only unpacks it.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/syslog-ng");
    let libraries = root.join("usr/lib");
    let modules = std::fs::read_dir(libraries.join("syslog-ng")).expect("run tests/run").flatten();
    let modules = modules.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
    let version = modules.file_name().unwrap().to_str().unwrap();
    std::fs::write(folder.join("syslog-ng.conf"), format!("@version: {version}\n{config}")).unwrap();
    let triplet = |above: &str| {
        let above = root.join(above);
        std::fs::read_dir(&above).unwrap().flatten().map(|entry| entry.path()).find(|path| {
            path.is_dir()
                && path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-linux-gnu"))
        })
    };
    let folders = [triplet("usr/lib"), triplet("lib"), Some(libraries.join("syslog-ng"))];
    let folders: Vec<String> = folders.into_iter().flatten().map(|path| path.display().to_string()).collect();
    let mut command = Command::new(root.join("usr/sbin/syslog-ng"));
    command.arg("-f").arg(folder.join("syslog-ng.conf"));
    command.arg(format!("--module-path={}", modules.display())).env("LD_LIBRARY_PATH", folders.join(":"));
    command
}

/// What has come over each transport, in its order. Reads each line of the sink's file once.
struct Arrived {
    file: File,
    rest: Vec<u8>,
    by_name: BTreeMap<String, Vec<String>>,
}

impl Arrived {
    fn new(daemon: &Daemon) -> Self {
        let path = daemon.path("out.jsonl");
        let file = File::options().create(true).append(true).read(true).open(path).unwrap();
        Arrived { file, rest: Vec::new(), by_name: BTreeMap::new() }
    }

    /// Reads what is new. Returns whether something is.
    fn read(&mut self) -> bool {
        let new = self.file.read_to_end(&mut self.rest).unwrap();
        let whole = self.rest.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        for line in self.rest.drain(..whole).collect::<Vec<u8>>().split(|octet| *octet == b'\n') {
            if !line.is_empty() {
                let outcome: serde_json::Value = serde_json::from_slice(line).unwrap();
                let (name, text) = outcome["output"].as_str().unwrap().split_once('|').unwrap();
                self.by_name.entry(name.to_owned()).or_default().push(text.to_owned());
            }
        }
        new > 0
    }

    fn of(&self, name: &str) -> &[String] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Reads until this holds; fails when nothing has come for too long, with what the sender says.
    fn wait(&mut self, daemon: &Daemon, said: &Path, mut holds: impl FnMut(&Self) -> bool) {
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            if self.read() {
                deadline = Instant::now() + PATIENCE;
            }
            if holds(self) {
                return;
            }
            let counts = || {
                self.by_name.iter().map(|(name, texts)| format!("{name} {}", texts.len())).collect::<Vec<_>>()
            };
            let log = || std::fs::read_to_string(said).unwrap_or_default();
            assert!(Instant::now() < deadline, "{:?}\n{}\n{}", counts(), log(), daemon.log());
            look_again();
        }
    }
}

/// Waits until all lines have come over each transport, exactly as they were sent, in their order.
fn compare(daemon: &Daemon, names: &[&str], lines: &[String], said: &Path) {
    let mut arrived = Arrived::new(daemon);
    arrived.wait(daemon, said, |arrived| names.iter().all(|name| arrived.of(name).len() >= lines.len()));
    for name in names {
        let got = arrived.of(name);
        let wrong = got.iter().zip(lines).find(|(got, sent)| got != sent);
        assert!(wrong.is_none() && got.len() == lines.len(), "{name}: {} lines, {wrong:?}", got.len());
        println!("{name}: {} lines", got.len());
    }
}

/// Check 6, rsyslog: UDP, TCP in both framings, TLS and RELP over TLS with a client certificate, RELP, unix datagrams.
#[test]
fn rsyslog_over_every_transport() {
    let (mut daemon, ways) = prepare(true);
    daemon.restart();
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..count(400)).map(line).collect();
    write_lines(&folder.path().join("lines"), &lines);
    let certificates = daemon.dir.path().display().to_string();
    let forward =
        |port: u16, rest: &str| format!("type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" {rest}");
    let relp = |port: u16, rest: &str| format!("type=\"omrelp\" target=\"127.0.0.1\" port=\"{port}\" {rest}");
    let tls = "protocol=\"tcp\" StreamDriver=\"ossl\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/name\" \
               StreamDriverPermittedPeers=\"localhost\"";
    let relp_tls = format!(
        "tls=\"on\" tls.caCert=\"{certificates}/ca.pem\" tls.myCert=\"{certificates}/client.pem\" \
         tls.myPrivKey=\"{certificates}/client.key\" tls.authMode=\"name\" tls.permittedPeer=[\"localhost\"]"
    );
    let actions = [
        ("rs-udp", forward(ways.udp, "protocol=\"udp\"")),
        ("rs-lines", forward(ways.tcp, "protocol=\"tcp\"")),
        ("rs-counted", forward(ways.tcp, "protocol=\"tcp\" TCP_Framing=\"octet-counted\"")),
        ("rs-tls", forward(ways.tls, tls)),
        ("rs-tls-counted", forward(ways.tls, &format!("{tls} TCP_Framing=\"octet-counted\""))),
        ("rs-relp", relp(ways.relp, "")),
        ("rs-relp-tls", relp(ways.relp_tls, &relp_tls)),
        ("rs-unix", format!("$OMUxSockSocket {}\n*.* :omuxsock:", ways.datagrams.display())),
    ];
    let _rsyslog = rsyslog(&daemon, folder.path(), true, &actions);
    let names = actions.each_ref().map(|(name, _)| *name);
    compare(&daemon, &names, &lines, &folder.path().join("rsyslog.log"));
    daemon.stop();
}

/// Check 6, syslog-ng: UDP, TCP in both framings, TLS with a client certificate, unix datagrams and streams.
#[test]
fn syslog_ng_over_every_transport() {
    let (mut daemon, ways) = prepare(true);
    daemon.restart();
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..count(400)).map(line).collect();
    write_lines(&folder.path().join("lines"), &lines);
    let certificates = daemon.dir.path().display().to_string();
    let bsd = "template(\"<13>Nov 26 06:00:00 web1 ${PROGRAM}[7]: ${MSG}\\n\")";
    let datagram = "template(\"<13>Nov 26 06:00:00 web1 ${PROGRAM}[7]: ${MSG}\")";
    let tls = format!(
        "transport(\"tls\") tls(ca-file(\"{certificates}/ca.pem\") cert-file(\"{certificates}/client.pem\") \
         key-file(\"{certificates}/client.key\") peer-verify(required-trusted))"
    );
    let destinations = [
        ("ng-udp", format!("network(\"127.0.0.1\" port({}) transport(\"udp\") {datagram});", ways.udp)),
        ("ng-lines", format!("network(\"127.0.0.1\" port({}) transport(\"tcp\") {bsd});", ways.tcp)),
        ("ng-counted", format!("syslog(\"127.0.0.1\" port({}) transport(\"tcp\"));", ways.tcp)),
        ("ng-tls", format!("network(\"localhost\" port({}) {tls} {bsd});", ways.tls)),
        ("ng-tls-counted", format!("syslog(\"localhost\" port({}) {tls});", ways.tls)),
        ("ng-unix", format!("unix-dgram(\"{}\" {datagram});", ways.datagrams.display())),
        ("ng-stream", format!("unix-stream(\"{}\" {bsd});", ways.stream.display())),
    ];
    let _syslog_ng = syslog_ng(folder.path(), &destinations);
    let names = destinations.each_ref().map(|(name, _)| *name);
    compare(&daemon, &names, &lines, &folder.path().join("syslog-ng.log"));
    daemon.stop();
}

/// Check 6: TLS without client certificates, by rsyslog with GnuTLS and by syslog-ng.
#[test]
fn tls_without_client_certificates() {
    let (mut daemon, ways) = prepare(false);
    daemon.restart();
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..count(400)).map(line).collect();
    write_lines(&folder.path().join("lines"), &lines);
    let action = format!(
        "type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" protocol=\"tcp\" StreamDriver=\"gtls\" StreamDriverMode=\"1\" \
         StreamDriverAuthMode=\"x509/name\" StreamDriverPermittedPeers=\"localhost\"",
        ways.tls
    );
    let _rsyslog = rsyslog(&daemon, folder.path(), false, &[("rs-gtls", action)]);
    let certificates = daemon.dir.path().display();
    let tls =
        format!("transport(\"tls\") tls(ca-file(\"{certificates}/ca.pem\") peer-verify(required-trusted))");
    let _syslog_ng =
        syslog_ng(folder.path(), &[("ng-tls", format!("syslog(\"localhost\" port({}) {tls});", ways.tls))]);
    compare(&daemon, &["rs-gtls"], &lines, &folder.path().join("rsyslog.log"));
    compare(&daemon, &["ng-tls"], &lines, &folder.path().join("syslog-ng.log"));
    daemon.stop();
}

/// Check 7: the daemon is told to stop in the middle of a stream and starts again, three times: rsyslog and syslog-ng lose nothing
/// over TCP.
#[test]
fn a_restart_loses_no_line_over_tcp() {
    let (mut daemon, ways) = prepare(false);
    daemon.restart();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    let all: Vec<String> = (0..count(3000)).map(line).collect();
    let (first, second) = all.split_at(all.len() / 2);
    write_lines(&file, first);
    let action = format!("type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" protocol=\"tcp\"", ways.tcp);
    let _rsyslog = rsyslog(&daemon, folder.path(), false, &[("rs-lines", action)]);
    let bsd = "template(\"<13>Nov 26 06:00:00 web1 ${PROGRAM}[7]: ${MSG}\\n\")";
    let destination = format!("network(\"127.0.0.1\" port({}) transport(\"tcp\") {bsd});", ways.tcp);
    let _syslog_ng = syslog_ng(folder.path(), &[("ng-lines", destination)]);
    let said = folder.path().join("rsyslog.log");
    let mut arrived = Arrived::new(&daemon);
    let names = ["rs-lines", "ng-lines"];
    // They send while it stops, and while it is away.
    write_lines(&file, second);
    for quarter in 0..3 {
        let some = all.len() * quarter / 4;
        arrived.wait(&daemon, &said, |arrived| names.iter().all(|name| arrived.of(name).len() > some));
        daemon.stop();
        daemon.restart();
    }
    let expected: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    let mut lost = names.map(|_| usize::MAX);
    arrived.wait(&daemon, &said, |arrived| {
        lost = names.map(|name| {
            // What cannot be all is not compared.
            let got = arrived.of(name);
            if got.len() < all.len() {
                return all.len() - got.len();
            }
            let got: BTreeSet<&str> = got.iter().map(String::as_str).collect();
            expected.difference(&got).count()
        });
        lost == [0, 0]
    });
    println!("{} lines each, {:?} lines came", all.len(), names.map(|name| arrived.of(name).len()));
    daemon.stop();
}
