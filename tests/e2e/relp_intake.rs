//! Syslog over RELP: what rsyslog sends arrives as it was sent, and nothing is lost when the daemon is killed.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::certificates::Authority;
use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{PATIENCE, Program, port, times, wait_for, wait_until};

const RULES: &str =
    "[[rule]]\nid = \"all\"\nsyslog = {}\n[rule.event]\nstate = \"ok\"\noutput = \"{{ message }}\"\n";

/// A daemon that also takes RELP at a port, with TLS if the scheme is `relp+tls`; then clients need a certificate.
fn daemon(scheme: &str, relp: u16) -> Daemon {
    let rest = format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n");
    let daemon = Daemon::prepare(&rest);
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let tcp = format!("\"tcp://127.0.0.1:{}\"", daemon.syslog_tcp);
    let mut text = text.replace(&tcp, &format!("{tcp}, \"{scheme}://127.0.0.1:{relp}\""));
    if scheme == "relp+tls" {
        let authority = Authority::new(&daemon.path("ca.pem"));
        authority.issue(daemon.dir.path(), "server", &["localhost"]);
        authority.issue(daemon.dir.path(), "client", &["client.example.org"]);
        let tls = "[syslog.tls]\ncert_file = \"server.pem\"\nkey_file = \"server.key\"\nclient_ca_file = \"ca.pem\"\n\
                   peers = [\"client.example.org\"]\n";
        text = text.replacen("[mibs]", &format!("{tls}[mibs]"), 1);
    }
    std::fs::write(&path, text).unwrap();
    daemon
}

/// An rsyslogd that sends each line of a file over RELP.
struct Sender {
    dir: TempDir,
    _program: Program,
}

impl Sender {
    /// `rest` are further parameters of its action.
    fn start(relp: u16, rest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path().display();
        let config = format!(
            "global(workDirectory=\"{d}\")\nmodule(load=\"imfile\" mode=\"polling\" pollingInterval=\"1\")\nmodule(load=\"omrelp\")\n\
             template(name=\"line\" type=\"string\" string=\"<13>Nov 26 06:00:00 web1 app[7]: %msg%\")\n\
             input(type=\"imfile\" file=\"{d}/lines\" tag=\"x\")\n\
             action(type=\"omrelp\" target=\"127.0.0.1\" port=\"{relp}\" template=\"line\" windowSize=\"32\" \
             action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\" {rest})\n"
        );
        std::fs::write(dir.path().join("rsyslog.conf"), config).unwrap();
        std::fs::write(dir.path().join("lines"), "").unwrap();
        let mut command = Command::new("rsyslogd");
        command.args(["-n", "-f"]).arg(dir.path().join("rsyslog.conf")).arg("-i").arg(dir.path().join("pid"));
        let program = Program::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        Sender { dir, _program: program }
    }

    fn send(&self, lines: &[String]) {
        let path = self.dir.path().join("lines");
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    }
}

/// Texts that are hard to carry.
fn line(n: usize) -> String {
    let text = [
        "\"quoted\" \\back|pipe",
        "<13>no header",
        "5 counts",
        "grüße {json: [1]}",
        "%percent% 100 syslog 3",
    ];
    format!("{n} {} end", text[n % text.len()])
}

fn texts(daemon: &Daemon) -> Vec<String> {
    daemon.outcomes("out.jsonl").iter().map(|o| o["output"].as_str().unwrap().to_owned()).collect()
}

/// Check 8.
#[test]
fn kills_lose_no_line_of_rsyslog() {
    let relp = port();
    let daemon = daemon("relp", relp);
    kill_amid_lines(daemon, &Sender::start(relp, ""));
}

/// Check 8, with certificates of both sides.
#[test]
fn kills_lose_no_line_of_rsyslog_over_tls() {
    let relp = port();
    let daemon = daemon("relp+tls", relp);
    let d = daemon.dir.path().display();
    let tls = format!(
        "tls=\"on\" tls.caCert=\"{d}/ca.pem\" tls.myCert=\"{d}/client.pem\" tls.myPrivKey=\"{d}/client.key\" \
         tls.authMode=\"name\" tls.permittedPeer=[\"localhost\"]"
    );
    let sender = Sender::start(relp, &tls);
    kill_amid_lines(daemon, &sender);
}

/// Kills and starts the daemon again and again while lines come. `TRAPLINE_CHAOS=7` kills it 21 times.
fn kill_amid_lines(mut daemon: Daemon, sender: &Sender) {
    daemon.restart();
    let kills = times(3) as usize;
    let each = 200;
    let mut sent = Vec::new();
    for kill in 0..=kills {
        let lines: Vec<String> = (0..each).map(|n| line(kill * each + n)).collect();
        sender.send(&lines);
        sent.extend(lines);
        if kill < kills {
            // In the middle of them, wherever that is.
            let some = kill * each + kill * 37 % (each - 1);
            wait_until("some are there", || texts(&daemon).len() > some);
            daemon.kill();
            daemon.restart();
        }
    }
    let expected: BTreeSet<String> = sent.into_iter().collect();
    let got = wait_for("all are there", || {
        let all = texts(&daemon);
        let got: BTreeSet<String> = all.iter().cloned().collect();
        (got.len() >= expected.len()).then_some((all.len(), got))
    });
    println!("{} lines, {} outcomes, {kills} kills", expected.len(), got.0);
    assert!(got.1 == expected, "{:?}", got.1.symmetric_difference(&expected).take(5).collect::<Vec<_>>());
}

/// Reads until this has come.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the stream ends after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    text
}

#[test]
fn a_session_is_answered_and_ends_with_a_word_when_the_daemon_stops() {
    let relp = port();
    let mut daemon = daemon("relp", relp);
    daemon.restart();
    let open = || {
        let mut stream = TcpStream::connect(("127.0.0.1", relp)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"1 open 30 relp_version=0\ncommands=syslog\n").unwrap();
        assert!(
            read_until(&mut stream, "commands=syslog\n").starts_with("1 rsp 60 200 OK\nrelp_version=0\n")
        );
        stream
    };
    let mut closes = open();
    closes.write_all(b"2 syslog 9 <13>x: on\n3 syslog 9 <13>x: tw\n4 close 0\n").unwrap();
    assert_eq!(
        read_until(&mut closes, "serverclose 0\n"),
        "2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 0\n0 serverclose 0\n"
    );
    assert_eq!(closes.read(&mut [0; 9]).unwrap(), 0);
    let mut nonsense = TcpStream::connect(("127.0.0.1", relp)).unwrap();
    nonsense.write_all(b"<13>Nov 26 06:00:00 web1 app: plain syslog\n").unwrap();
    assert_eq!(read_until(&mut nonsense, "serverclose 0\n"), "0 serverclose 0\n");
    wait_until("it is said", || daemon.log().contains("check that its sender speaks RELP"));

    let mut stays = open();
    stays.write_all(b"2 syslog 9 <13>x: th\n3 syslog 9 <13>half").unwrap();
    assert_eq!(read_until(&mut stays, "OK\n"), "2 rsp 6 200 OK\n");
    daemon.stop();
    assert_eq!(read_until(&mut stays, "serverclose 0\n"), "0 serverclose 0\n");
    let mut got = texts(&daemon);
    got.sort();
    assert_eq!(got, ["on", "th", "tw"]);
}
