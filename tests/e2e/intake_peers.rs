//! Real programs on the other side of the intake: Prometheus and Alertmanager send alerts, Icinga 2 and Nagios ask for check-ins by the
//! definitions that docs/checkins.md prints, and thousands of services check in.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::{Daemon, FILE_SINK};
use crate::icinga2::Icinga;
use crate::nagios::Nagios;
use crate::support::{Program, port, read, wait_for, wait_until};

/// A daemon that takes alerts of both kinds.
fn taking_alerts(listen: u16) -> Daemon {
    Daemon::start(&format!(
        "{FILE_SINK}[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{listen}\"\n[[intake.json]]\nformat = \"prometheus\"\n\
         [[intake.json]]\nformat = \"alertmanager\"\npath = \"/alertmanager\"\n"
    ))
}

fn states(daemon: &Daemon) -> Vec<[String; 3]> {
    let text = |outcome: &Value, key: &str| outcome[key].as_str().unwrap_or("-").to_owned();
    let all = daemon.outcomes("out.jsonl");
    all.iter().map(|outcome| ["host", "service", "state"].map(|key| text(outcome, key))).collect()
}

/// A Prometheus whose only rule fires until it is told otherwise.
struct Prometheus {
    dir: TempDir,
    program: Program,
}

impl Prometheus {
    fn start(alertmanagers: &[u16]) -> Self {
        let dir = TempDir::new().unwrap();
        let targets: Vec<String> = alertmanagers.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        let config = format!(
            "global:\n  evaluation_interval: 1s\nrule_files: ['{}/rules.yml']\nalerting:\n  alertmanagers:\n  - static_configs:\n    - targets: [{}]\n",
            dir.path().display(),
            targets.join(", ")
        );
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        write_rule(dir.path(), "vector(1)");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command
            .arg(format!("--web.listen-address=127.0.0.1:{}", port()))
            .arg("--rules.alert.resend-delay=1s");
        let program = Program::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        Prometheus { dir, program }
    }

    /// Ends the alert.
    fn resolve(&self) {
        write_rule(self.dir.path(), "vector(1) > 1");
        self.program.signal("HUP");
    }
}

fn write_rule(dir: &Path, expression: &str) {
    let rule = format!(
        "groups:\n- name: g\n  rules:\n  - alert: DiskFull\n    expr: {expression}\n    labels: {{ severity: warning, instance: 'db1:9100' }}\n    \
         annotations: {{ summary: 'the disk is full' }}\n"
    );
    std::fs::write(dir.join("rules.yml"), rule).unwrap();
}

/// An Alertmanager that gives what it gets to a webhook.
fn alertmanager(dir: &Path, listen: u16, webhook: u16) -> Program {
    let config = format!(
        "route:\n  receiver: trapline\n  group_wait: 0s\n  group_interval: 1s\nreceivers:\n- name: trapline\n  webhook_configs:\n  - url: \
         http://127.0.0.1:{webhook}/alertmanager\n    send_resolved: true\n"
    );
    std::fs::write(dir.join("alertmanager.yml"), config).unwrap();
    let mut command = Command::new("prometheus-alertmanager");
    command.arg(format!("--config.file={}", dir.join("alertmanager.yml").display()));
    command.arg(format!("--storage.path={}", dir.join("alerts").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{listen}")).arg("--cluster.listen-address=");
    Program::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

#[test]
fn prometheus_and_alertmanager_send_their_alerts() {
    let (straight, behind, between) = (port(), port(), port());
    let daemons = [taking_alerts(straight), taking_alerts(behind)];
    let dir = TempDir::new().unwrap();
    let _alertmanager = alertmanager(dir.path(), between, behind);
    wait_until("Alertmanager listens", || TcpStream::connect(("127.0.0.1", between)).is_ok());
    let prometheus = Prometheus::start(&[straight, between]);
    let of = |state: &str| ["db1", "DiskFull", state].map(str::to_owned);
    for daemon in &daemons {
        wait_until("it fires", || states(daemon) == [of("warning")]);
        let outcome = daemon.outcomes("out.jsonl").remove(0);
        assert!(outcome["output"].as_str().unwrap().contains("the disk is full"), "{outcome}");
    }
    // Prometheus repeats it each second; a repeat goes no further.
    wait_until("it is repeated", || daemons[0].status()["intake"]["posts_received"].as_u64() >= Some(3));
    prometheus.resolve();
    for daemon in &daemons {
        wait_until("it is resolved", || states(daemon) == [of("warning"), of("ok")]);
    }
}

/// The definition of docs/checkins.md that begins with this line, for this machine.
fn definition(begin: &str, listen: u16) -> String {
    let page = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/checkins.md")));
    let block = page.split("```\n").find(|block| block.starts_with(begin)).unwrap();
    let here = block.replace("https://trapline.example.org:5000", &format!("http://127.0.0.1:{listen}"));
    here.replace("/usr/bin/trapline", env!("CARGO_BIN_EXE_trapline"))
}

/// A daemon at which `backup` checks in, without a token.
fn taking_checkins(listen: u16) -> Daemon {
    Daemon::start(&format!(
        "{FILE_SINK}[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{listen}\"\n[[intake.checkin]]\nservice = \"backup\"\nhost = \"laptop\"\n"
    ))
}

fn check_in(listen: u16, status: &str, info: &str) {
    let body = format!("{{\"service\": \"backup\", \"status\": \"{status}\", \"info\": \"{info}\"}}");
    let url = format!("http://127.0.0.1:{listen}/");
    crate::support::run(Command::new("curl").args(["-s", "--fail", "--data", &body, &url]));
}

#[test]
fn icinga_2_asks_for_a_check_in_by_an_active_check() {
    let listen = port();
    let daemon = taking_checkins(listen);
    let mut icinga = Icinga::prepare();
    let config = PathBuf::from(icinga.path("icinga2.conf"));
    let service = "object Service \"Backup\" {\n  host_name = \"router1\"\n  check_command = \"checkin\"\n  vars.checkin_service = \"backup\"\n  \
                   check_interval = 1s\n  retry_interval = 1s\n  max_check_attempts = 1\n}\n";
    let all = read(&config) + &definition("object CheckCommand \"checkin\"", listen) + service;
    std::fs::write(&config, all).unwrap();
    icinga.start();
    wait_until("nothing is known", || {
        icinga.service("Backup") == (3, "TRAPLINE UNKNOWN - no report yet".to_owned())
    });
    for (status, state) in [("WARNING", 1), ("CRITICAL", 2), ("OK", 0)] {
        check_in(listen, status, "12 files");
        wait_until(status, || {
            let (is, output) = icinga.service("Backup");
            is == state && output.contains("12 files")
        });
    }
    drop(daemon);
    wait_until("who cannot be asked is unknown", || icinga.service("Backup").0 == 3);
}

#[test]
fn nagios_asks_for_a_check_in_by_an_active_check() {
    let listen = port();
    let _daemon = taking_checkins(listen);
    let dir = TempDir::new().unwrap();
    let mut nagios = Nagios::prepare(dir.path(), &[]);
    let main = dir.path().join("nagios/nagios.cfg");
    let text = read(&main).replace("execute_service_checks=0", "execute_service_checks=1\ninterval_length=1");
    std::fs::write(&main, text).unwrap();
    let service = "define service {\n host_name sw1\n service_description Backup\n check_command check_checkin!backup\n check_interval 1\n \
                   retry_interval 1\n max_check_attempts 1\n check_period always\n contacts ops\n notification_period always\n}\n";
    let objects = definition("define command {\n    command_name    check_checkin", listen) + service;
    std::fs::write(dir.path().join("nagios/objects/checkin.cfg"), objects).unwrap();
    nagios.start();
    nagios.wait_service("Backup", "3", "no report yet");
    for (status, state) in [("WARNING", "1"), ("CRITICAL", "2"), ("OK", "0")] {
        check_in(listen, status, "12 files");
        nagios.wait_service("Backup", state, "12 files");
    }
}

const SERVICES: usize = 10_000;

/// Checks some services in, over one connection.
fn check_in_all(listen: u16, services: impl Iterator<Item = usize>) {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", listen)).unwrap());
    for service in services {
        let body = format!("service=c-{service}&status=ok&info=fine");
        let request = format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1:{listen}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 204"), "{line}");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
    }
}

/// Of ten thousand services the one that is late is reported, and no other.
#[test]
fn of_ten_thousand_services_the_late_one_is_reported() {
    let listen = port();
    let services: String = (0..SERVICES)
        .map(|n| format!("[[intake.checkin]]\nservice = \"c-{n}\"\nhost = \"h-{n}\"\n"))
        .collect();
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[journal]\nsync = \"interval\"\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n[[intake]]\ntype = \"http\"\n\
         listen = \"127.0.0.1:{listen}\"\n{services}"
    ));
    let rule = |id: &str, checkin: &str, every: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\ncheckin = \"{checkin}\"\nexpect = {{ every = \"{every}\", key = \"{{{{ checkin }}}}\", host = \"{{{{ key }}}}\", \
             service = \"Backup\", output = \"no report\" }}\n[rule.check]\nhost = \"{{{{ checkin }}}}\"\nservice = \"Backup\"\nstate = \"status\"\n"
        )
    };
    let rules = rule("late", "c-7777", "500ms") + &rule("others", "c-*", "1d");
    std::fs::write(daemon.path("rules.toml"), rules).unwrap();
    daemon.restart();
    std::thread::scope(|scope| {
        for part in 0..8 {
            scope.spawn(move || {
                check_in_all(listen, (0..SERVICES).filter(move |n| n % 8 == part && *n != 7777));
            });
        }
    });
    check_in_all(listen, std::iter::once(7777));
    let late = wait_for("the late one", || {
        daemon.outcomes("out.jsonl").into_iter().find(|outcome| outcome["state"] != "ok")
    });
    assert_eq!((&late["host"], &late["output"]), (&"c-7777".into(), &"no report".into()));
    let all = daemon.outcomes("out.jsonl");
    assert_eq!(all.iter().filter(|outcome| outcome["state"] == "ok").count(), SERVICES);
    assert!(all.iter().all(|outcome| outcome["state"] == "ok" || outcome["host"] == "c-7777"));
    let report = all.iter().find(|outcome| outcome["host"] == "c-7777" && outcome["state"] == "ok").unwrap();
    println!("reported {}, missed {}: 500 ms and what the daemon needs", report["time"], late["time"]);
}
