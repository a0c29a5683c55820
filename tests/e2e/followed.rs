//! Lines of files that a real logrotate rotates, and entries of real journal files.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{run, wait_until};

const RULES: &str = "
[[rule]]
id = \"numbers\"
syslog = { program = \"app\", message = '^number (?<number>[0-9]+)$' }
[rule.check]
service = \"Number {{ number }}\"
state = \"critical\"
output = \"it is {{ number }}\"
";

fn daemon(intake: &str) -> Daemon {
    let daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n[[intake]]\n{intake}\n"
    ));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    daemon
}

/// How often each service has an outcome.
fn services(daemon: &Daemon) -> HashMap<String, u32> {
    let mut all = HashMap::new();
    for outcome in daemon.outcomes("out.jsonl") {
        *all.entry(outcome["service"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    all
}

fn wait_numbers(daemon: &Daemon, count: u32) {
    wait_until(&format!("{count} numbers are there"), || services(daemon).len() as u32 >= count);
    let all = services(daemon);
    assert!((0..count).all(|n| all.get(&format!("Number {n}")) == Some(&1)), "{all:?}");
}

/// A log that is written to line by line, each time by its name.
struct Log {
    dir: PathBuf,
    next: u32,
}

impl Log {
    fn path(&self) -> PathBuf {
        self.dir.join("app.log")
    }

    fn write(&mut self, count: u32) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
        for _ in 0..count {
            writeln!(file, "Nov 26 12:00:00 db1 app[7]: number {}", self.next).unwrap();
            self.next += 1;
        }
    }

    /// Has logrotate rotate it now.
    fn rotate(&self, how: &str) {
        let config = self.dir.join("logrotate.conf");
        // Files of others in folders of others are not for root to rotate.
        let text = format!("{} {{\n rotate 9\n missingok\n {how}\n}}\n", self.path().display());
        std::fs::write(&config, text).unwrap();
        run(Command::new("chmod").arg("644").arg(&config));
        run(Command::new("/usr/sbin/logrotate")
            .args(["--force", "--state"])
            .arg(self.dir.join("state"))
            .arg(&config));
    }
}

#[test]
fn files_are_followed_over_rotations_and_restarts() {
    for how in ["create", "copytruncate", "nocreate"] {
        let mut daemon = daemon("type = \"file\"\npath = \"DIR/logs/app.log\"");
        let dir = daemon.path("logs");
        std::fs::create_dir(&dir).unwrap();
        let mut log = Log { dir, next: 0 };
        // What is there before is not read.
        std::fs::write(log.path(), "Nov 26 12:00:00 db1 app[7]: number 999\n").unwrap();
        daemon.restart();
        wait_until("it is open", || daemon.status()["followed"][0]["open"] == true);
        log.write(20);
        wait_numbers(&daemon, 20);
        // Rotated while it is read; what was not read yet is in the file that has another name.
        log.write(5);
        log.rotate(how);
        log.write(10);
        wait_numbers(&daemon, 35);
        // Rotated while the daemon is down.
        daemon.stop();
        log.write(10);
        log.rotate(how);
        log.write(10);
        daemon.restart();
        wait_numbers(&daemon, 55);
        // Twice, while it is down.
        daemon.stop();
        log.write(3);
        log.rotate(how);
        if how != "copytruncate" {
            log.write(3);
            log.rotate(how);
        }
        log.write(3);
        daemon.restart();
        wait_numbers(&daemon, log.next);
        daemon.stop();
        daemon.restart();
        log.write(1);
        wait_numbers(&daemon, log.next);
        assert_eq!(services(&daemon).len() as u32, log.next, "{how}: what was there before is not read");
        let status = daemon.status();
        assert_eq!(status["followed"][0]["error"], serde_json::Value::Null, "{how}: {status}");
    }
}

/// Killed at any time, nothing is lost; what was read in the last second may come again.
#[test]
fn killed_daemons_lose_no_line() {
    let mut daemon = daemon("type = \"file\"\npath = \"DIR/logs/app.log\"\nfrom = \"start\"");
    let dir = daemon.path("logs");
    std::fs::create_dir(&dir).unwrap();
    let mut log = Log { dir, next: 0 };
    daemon.restart();
    for _ in 0..4 {
        log.write(200);
        let some = log.next - 100;
        wait_until("some are there", || services(&daemon).len() as u32 >= some);
        daemon.kill();
        log.write(50);
        log.rotate("create");
        daemon.restart();
    }
    wait_until("all are there", || services(&daemon).len() as u32 == log.next);
}

/// Appends entries to a journal file, as systemd-journal-remote writes them.
fn journal(file: &Path, numbers: std::ops::Range<u32>) {
    let mut entries = String::new();
    for n in numbers {
        let micros = 1_700_000_000_000_000_u64 + u64::from(n);
        entries.push_str(&format!(
            "__REALTIME_TIMESTAMP={micros}\n__MONOTONIC_TIMESTAMP={micros}\n_BOOT_ID=00000000000000000000000000000001\nMESSAGE=number {n}\n\
             PRIORITY=4\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=app\n_PID=411\n_HOSTNAME=db1\n_SYSTEMD_UNIT=app.service\n\n\
             __REALTIME_TIMESTAMP={micros}\n__MONOTONIC_TIMESTAMP={micros}\n_BOOT_ID=00000000000000000000000000000001\nMESSAGE=number 99{n}\n\
             SYSLOG_IDENTIFIER=app\n_SYSTEMD_UNIT=other.service\n\n"
        ));
    }
    let mut remote = Command::new("/lib/systemd/systemd-journal-remote")
        .arg(format!("--output={}", file.display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("systemd-journal-remote; run tests/run");
    remote.stdin.take().unwrap().write_all(entries.as_bytes()).unwrap();
    assert!(remote.wait().unwrap().success());
}

#[test]
fn systemds_journal_is_followed_from_its_cursor_on() {
    let mut daemon =
        daemon("type = \"journald\"\ndirectory = \"DIR/journal\"\nmatches = [\"_SYSTEMD_UNIT=app.service\"]");
    std::fs::create_dir(daemon.path("journal")).unwrap();
    let file = daemon.path("journal/remote.journal");
    // What is there before is not read.
    journal(&file, 900..903);
    daemon.restart();
    wait_until("it is open", || daemon.status()["followed"][0]["open"] == true);
    journal(&file, 0..10);
    wait_numbers(&daemon, 10);
    let outcome = daemon.outcomes("out.jsonl").remove(0);
    assert_eq!(outcome["host"], "db1");
    daemon.stop();
    journal(&file, 10..20);
    daemon.restart();
    wait_numbers(&daemon, 20);
    // Nothing is written where reading goes on while nothing comes: a stop and a start read nothing twice.
    daemon.stop();
    daemon.restart();
    journal(&file, 20..21);
    wait_numbers(&daemon, 21);
    assert_eq!(services(&daemon).len(), 21);
}
