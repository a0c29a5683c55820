//! Informs for a real snmptrapd, and circles of daemons.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{Program, link_trap, port, read, wait_until};

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";
const MIBS: &str = "/nowhere";

/// An snmptrapd that writes what it gets into a file, with numbers for names.
struct Receiver {
    program: Program,
    log: PathBuf,
    config: PathBuf,
    port: u16,
}

impl Receiver {
    fn start(daemon: &Daemon, config: &str) -> Self {
        Self::start_at(daemon, config, port())
    }

    fn start_at(daemon: &Daemon, config: &str, port: u16) -> Self {
        let (log, path) = (daemon.path("snmptrapd.log"), daemon.path("snmptrapd.conf"));
        std::fs::write(&path, config).unwrap();
        let before = read(&log).matches("NET-SNMP version").count();
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let program = Program::start(
            Command::new("snmptrapd")
                .args(["-f", "-Lo", "-On", "-m", "", "-M", MIBS, "-C", "-c"])
                .arg(&path)
                .arg(format!("127.0.0.1:{port}"))
                .env("SNMP_PERSISTENT_DIR", daemon.path("persistent"))
                .stdout(Stdio::from(file.try_clone().unwrap()))
                .stderr(Stdio::from(file)),
        );
        wait_until("snmptrapd listens", || read(&log).matches("NET-SNMP version").count() > before);
        Receiver { program, log, config: path, port }
    }

    fn log(&self) -> String {
        read(&self.log)
    }

    fn wait(&self, what: &str) {
        wait_until(&format!("{what} in {}", self.config.display()), || self.log().contains(what));
    }
}

/// Another sink of a daemon, which is then reloaded.
fn with_sink(daemon: &Daemon, sink: &str) {
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let before = daemon.log().matches("reloaded").count();
    std::fs::write(&path, format!("{text}\n[[sinks]]\nname = \"nms\"\ntype = \"snmp\"\n{sink}\n")).unwrap();
    daemon.reload();
    wait_until("it has reloaded", || daemon.log().matches("reloaded").count() > before);
}

fn delivered(daemon: &Daemon) -> u64 {
    let status = daemon.status();
    let sinks = status["sinks"].as_array().unwrap();
    sinks.iter().find(|sink| sink["name"] == "nms").unwrap()["delivered"].as_u64().unwrap()
}

#[test]
fn notifications_of_all_versions_as_informs_of_v2c() {
    let daemon = Daemon::start(FILE_SINK);
    let receiver = Receiver::start(&daemon, "authCommunity log secret1\n");
    with_sink(&daemon, &format!("to = \"127.0.0.1:{}\"\ncommunity = \"secret1\"", receiver.port));
    let target = daemon.snmp_target();
    let head = ["-v1", "-c", "public", &target, "1.3.6.1.4.1.9.1.1", "198.51.100.7", "2", "0", "100"];
    link_trap(&head, "Gi0/1", "2");
    receiver.wait(".1.3.6.1.2.1.2.2.1.2.3 = STRING: \"Gi0/1\"");
    let log = receiver.log();
    for varbind in [
        ".1.3.6.1.2.1.1.3.0 = Timeticks: (100)",
        ".1.3.6.1.6.3.1.1.4.1.0 = OID: .1.3.6.1.6.3.1.1.5.3",
        ".1.3.6.1.6.3.18.1.3.0 = IpAddress: 198.51.100.7",
        ".1.3.6.1.6.3.18.1.4.0 = \"\"",
        ".1.3.6.1.6.3.1.1.4.3.0 = OID: .1.3.6.1.4.1.9.1.1",
    ] {
        assert!(log.contains(varbind), "no {varbind}:\n{log}");
    }
    link_trap(&["-v2c", "-c", "public", &target, "", LINK_DOWN], "Gi0/2", "2");
    receiver.wait(".1.3.6.1.2.1.2.2.1.2.3 = STRING: \"Gi0/2\"");
    wait_until("both are acknowledged", || delivered(&daemon) == 2);
    // A line is no notification.
    let line = "<36>Nov 20 12:00:01 db1 in.telnetd[411]: refused connect from evil.example (203.0.113.9)";
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
    receiver.wait(".1.3.6.1.4.1.32473.162.1.2.0 = STRING: \"TCP Wrappers\"");
    receiver.wait(".1.3.6.1.4.1.32473.162.1.3.0 = INTEGER: 2");
    wait_until("it is acknowledged", || delivered(&daemon) == 3);
    assert!(!read(&daemon.path("log")).contains("secret1"));
}

#[test]
fn a_receiver_that_was_away_gets_all_by_v3_and_a_wrong_password_waits() {
    let mut daemon = Daemon::start(FILE_SINK);
    let port = port();
    let sink = |password: &str| {
        format!(
            "to = \"127.0.0.1:{port}\"\nsend = \"outcome\"\nuser = \"ops\"\nauth = \"SHA-256\"\nauth_password = \"{password}\"\n\
             priv = \"AES-128\"\npriv_password = \"privpassword\"\ntimeout = \"200ms\""
        )
    };
    with_sink(&daemon, &sink("wrongpassword"));
    let target = daemon.snmp_target();
    for n in 0..20 {
        link_trap(&["-v2c", "-c", "public", &target, "", LINK_DOWN], &format!("Gi0/{n}"), "2");
    }
    let error =
        |daemon: &Daemon| daemon.status()["sinks"][1]["error"].as_str().unwrap_or_default().to_owned();
    wait_until("nobody is there", || !error(&daemon).is_empty());
    let config = "createUser ops SHA-256 authpassword AES privpassword\nauthUser log ops priv\n";
    let receiver = Receiver::start_at(&daemon, config, port);
    wait_until("the digest is wrong", || error(&daemon).contains("digest is wrong"));
    assert_eq!(delivered(&daemon), 0);
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("wrongpassword", "authpassword");
    std::fs::write(&path, text).unwrap();
    daemon.reload();
    wait_until("all are acknowledged", || delivered(&daemon) == 20);
    for n in 0..20 {
        let service = format!(".1.3.6.1.4.1.32473.162.1.2.0 = STRING: \"Interface Gi0/{n}\"");
        receiver.wait(&service);
    }
    // It starts anew, with another time, and so does the daemon.
    drop(receiver.program);
    daemon.kill();
    let receiver = Receiver::start_at(&daemon, config, port);
    daemon.restart();
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], "Gi1/1", "2");
    receiver.wait("Interface Gi1/1");
}

#[test]
fn a_circle_of_daemons_ends_by_itself() {
    let rules = "[rules]\npacks = []\npaths = [\"all.toml\"]\n";
    let rule = "[[rule]]\nid = \"all\"\ntrap = \"1.3.6.1.*\"\n[rule.check]\nhost = \"h\"\nservice = \"{{ oid }}\"\nstate = \"warning\"\noutput = \"{{ v[1] }}\"\n";
    let daemons: Vec<Daemon> = (0..3)
        .map(|_| {
            let mut daemon = Daemon::prepare(&format!("{rules}{FILE_SINK}"));
            std::fs::write(daemon.path("all.toml"), rule).unwrap();
            daemon.restart();
            daemon
        })
        .collect();
    for (at, daemon) in daemons.iter().enumerate() {
        let form = if at == 1 { "outcome" } else { "original" };
        let next = &daemons[(at + 1) % 3];
        with_sink(
            daemon,
            &format!("to = \"127.0.0.1:{}\"\ncommunity = \"public\"\nsend = \"{form}\"", next.snmp),
        );
    }
    daemons[0].trap(&["1.3.6.1.6.3.1.1.5.1"]);
    daemons[0].wait_count("came_back", 1);
    for daemon in &daemons {
        wait_until("it is acknowledged everywhere", || delivered(daemon) == 1);
        wait_until("its file has it", || !daemon.outcomes("out.jsonl").is_empty());
    }
    for daemon in &daemons {
        assert_eq!(daemon.outcomes("out.jsonl").len(), 1, "each has taken it once");
    }
    assert_eq!(daemons[0].status()["intake"]["came_back"], 1);
}
