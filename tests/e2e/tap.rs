//! `trapline tap`: messages as they come.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::{run, snmptrap, wait_for};

struct Tap {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tap {
    fn start(daemon: &Daemon, args: &[&str]) -> Self {
        let mut command = trapline();
        command.arg("tap").args(args).arg("--config").arg(daemon.path("trapline.toml"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Tap { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn document(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
    }
}

/// Sends until the tap has seen something: nothing says when it looks on.
fn once_it_looks_on(daemon: &Daemon, tap: &mut Tap) -> Value {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let port = daemon.syslog_udp;
    let sending = std::thread::spawn(move || {
        wait_for("the tap looks on", || {
            let line = b"<13>Nov 20 12:00:01 h1 pump[1]: marker";
            socket.send_to(line, ("127.0.0.1", port)).unwrap();
            stopped.recv_timeout(std::time::Duration::from_millis(50)).ok()
        });
    });
    let first = tap.document();
    stop.send(()).unwrap();
    sending.join().unwrap();
    first
}

#[test]
fn what_comes_is_shown_with_what_becomes_of_it() {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[[snmp.access]]\ncommunities = [\"public\"]\n"));
    daemon.restart();
    let mut tap = Tap::start(&daemon, &["--json"]);
    let first = once_it_looks_on(&daemon, &mut tap);
    assert_eq!((&first["result"], &first["message"]["program"]), (&"unmatched".into(), &"pump".into()));
    let target = daemon.snmp_target();
    daemon.link_down("Gi0/3");
    let not_marker = |tap: &mut Tap| loop {
        let document = tap.document();
        if document["message"]["program"] != "pump" {
            return document;
        }
    };
    let link = not_marker(&mut tap);
    assert_eq!((&link["result"], &link["message"]["name"]), (&"matched".into(), &"IF-MIB::linkDown".into()));
    assert_eq!(link["outcomes"][0]["service"], "Interface Gi0/3", "{link:#}");
    assert!(link["message"].get("community").is_none(), "{link:#}");
    snmptrap(&["-v2c", "-c", "wrong", &target, "", "1.3.6.1.6.3.1.1.5.3"]);
    let refused = not_marker(&mut tap);
    assert_eq!(refused["result"], "refused", "{refused:#}");
    // A daemon that stops does not wait for who looks on, and says so.
    daemon.stop();
    while !tap.line().is_empty() {}
    assert_eq!(tap.child.wait().unwrap().code(), Some(1));
}

#[test]
fn filters_and_words() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    daemon.restart();
    let mut json = Tap::start(&daemon, &["--json", "--unmatched", "--from", "127.0.0.1", "Gi0/4"]);
    let mut words = Tap::start(&daemon, &["--count", "1", "linkdown"]);
    let mut elsewhere = Tap::start(&daemon, &["--json", "--from", "192.0.2.0/24"]);
    let target = daemon.snmp_target();
    let seen = wait_for("it is shown in words", || {
        daemon.link_down("Gi0/3");
        words.child.try_wait().unwrap()
    });
    assert!(seen.success());
    let (first, second) = (words.line(), words.line());
    assert!(
        first.contains("127.0.0.1 trap IF-MIB::linkDown") && first.contains("IF-MIB::ifDescr"),
        "{first}"
    );
    assert!(second.contains(" / Interface Gi0/3: critical: "), "{second}");
    // The other two have missed nothing and seen nothing: an unmatched message of the text is the first one.
    let mut sent = 0;
    let shown = std::thread::scope(|scope| {
        let reader = scope.spawn(|| json.document());
        wait_for("it is shown", || {
            sent += 1;
            let value = ["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1.1", "s", "Gi0/4"];
            snmptrap(&[&["-v2c", "-c", "public", &target, ""][..], &value].concat());
            reader.is_finished().then_some(())
        });
        reader.join().unwrap()
    });
    assert_eq!(
        (&shown["result"], &shown["message"]["varbinds"][0]["text"]),
        (&"unmatched".into(), &"Gi0/4".into())
    );
    elsewhere.child.kill().unwrap();
    assert_eq!(elsewhere.line(), "");
}

/// Commands that talk to a daemon that does not answer end within seconds, and say what is wrong.
#[test]
fn a_daemon_that_hangs_is_an_error_soon() {
    let daemon = Daemon::start(FILE_SINK);
    let signal = |name: &str| {
        let id = daemon.pid().to_string();
        run(std::process::Command::new("kill").args([name, &id]));
    };
    signal("-STOP");
    let commands = [
        &["tap"][..],
        &["tap", "--json"],
        &["reload"],
        &["status"],
        &["unmatched"],
        &["senders"],
        &["top", "--once"],
    ];
    let started: Vec<Child> = commands
        .iter()
        .map(|args| {
            let mut command = trapline();
            command.args(*args).arg("--config").arg(daemon.path("trapline.toml"));
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for (child, args) in started.into_iter().zip(commands) {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("has not answered on") && said.contains("for 5s"), "{args:?}: {said}");
    }
    signal("-CONT");
}
