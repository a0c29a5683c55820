//! Outcomes as alerts of two real Alertmanagers, which do not know each other.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::daemon::Daemon;
use crate::support::{Program, port, wait_until};

const RULES: &str = "
[[rule]]
id = \"ups\"
syslog = { program = \"ups\", message = '^(?<battery>[^:]+): (?<what>.+)$' }
[rule.check]
service = \"Battery {{ battery }}\"
state = \"'ok' if what == 'fine' else 'warning' if what == 'low' else 'critical'\"
output = \"{{ what }}\"
[rule.labels]
team = \"power\"
";

/// An Alertmanager without a notification to anybody.
struct Server {
    dir: tempfile::TempDir,
    port: u16,
    program: Option<Program>,
}

impl Server {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = "route:\n  receiver: nobody\n  group_wait: 0s\nreceivers:\n- name: nobody\n";
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        Server { dir, port: port(), program: None }
    }

    /// Starts it without a memory of what was before.
    fn start(&mut self) {
        self.program = None;
        let (dir, port) = (self.dir.path(), self.port);
        let data = dir.join("data");
        let _ = std::fs::remove_dir_all(&data);
        let mut command = Command::new("prometheus-alertmanager");
        command.arg(format!("--config.file={}", dir.join("config.yml").display()));
        command.arg(format!("--storage.path={}", data.display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--cluster.listen-address=");
        self.program = Some(Program::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        wait_until("Alertmanager listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// The labels of its open alerts, sorted.
    fn open(&self) -> Vec<[String; 4]> {
        let url = format!("http://127.0.0.1:{}/api/v2/alerts", self.port);
        let all = Command::new("curl").args(["-s", &url]).output().unwrap().stdout;
        let all: Vec<Value> = serde_json::from_slice(&all).unwrap_or_default();
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        let labels = ["alertname", "instance", "severity", "team"];
        let mut open: Vec<_> = all.iter().map(|alert| labels.map(|name| label(alert, name))).collect();
        open.sort();
        open
    }

    fn has(&self, expected: &[[&str; 4]]) -> bool {
        self.open() == expected
    }
}

fn line(daemon: &Daemon, text: &str) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = format!("<13>Oct 11 22:14:15 ups1 ups: {text}");
    socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
}

fn delivered(daemon: &Daemon) -> u64 {
    daemon.status()["sinks"][0]["delivered"].as_u64().unwrap()
}

#[test]
fn alerts_are_open_until_they_are_ended() {
    let (mut a, mut b) = (Server::new(), Server::new());
    let mut daemon = Daemon::prepare(&format!(
        "[[sinks]]\ntype = \"alertmanager\"\nurls = [\"http://127.0.0.1:{}\", \"http://127.0.0.1:{}/\"]\nresend = \"1s\"\n\
         only = \"outcome.labels.team == 'power'\"\n[hosts]\nmap = {{ \"127.0.0.1\" = \"ups1\" }}\nprefer = \"sender\"\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n",
        a.port, b.port
    ));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    daemon.restart();
    line(&daemon, "1: low");
    wait_until("it is said", || daemon.log().contains("cannot connect to 127.0.0.1"));
    a.start();
    let warning = ["Battery 1", "ups1", "warning", "power"];
    let critical = ["Battery 1", "ups1", "critical", "power"];
    let second = ["Battery 2", "ups1", "critical", "power"];
    wait_until("one member is enough", || a.has(&[warning]));
    line(&daemon, "1: empty");
    line(&daemon, "2: empty");
    wait_until("the alert before it has ended", || a.has(&[critical, second]));
    line(&daemon, "3: fine");
    wait_until("what never was open is no alert", || delivered(&daemon) == 4);
    assert!(a.has(&[critical, second]), "{:?}", a.open());
    b.start();
    wait_until("a member that was away gets all that is open", || b.has(&[critical, second]));
    a.start();
    wait_until("so does one that has forgotten all", || a.has(&[critical, second]));
    daemon.kill();
    b.start();
    daemon.restart();
    wait_until("what was open before a crash is open", || b.has(&[critical, second]));
    line(&daemon, "1: fine");
    line(&daemon, "2: fine");
    wait_until("both have ended", || a.has(&[]) && b.has(&[]));
    let status = daemon.status();
    assert_eq!(status["sinks"][0]["dead"], 0, "{status}");
}
