//! Hangups (SIGHUP) at any moment, from the start to the stop.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::reload::{lines, prepare};
use crate::support::{Program, read, wait_until};

/// Whether a process has a handler for SIGHUP.
fn hears_hangups(pid: u32) -> bool {
    let status = read(Path::new(&format!("/proc/{pid}/status")));
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1)
}

#[test]
fn a_storm_of_hangups_from_start_to_stop_ends_nothing() {
    let mut daemon = prepare(FILE_SINK);
    let log = std::fs::File::create(daemon.path("log")).unwrap();
    let mut started = trapline();
    started.args(["run", "--config"]).arg(daemon.path("trapline.toml"));
    let mut program = Program::start(started.stderr(log));
    let pid = program.0.id();
    wait_until("it hears hangups", || hears_hangups(pid));
    assert!(!daemon.log().contains("listening"), "long before it listens");
    let script = format!("while kill -HUP {pid} 2>/dev/null; do :; done");
    let mut storm = Program::start(Command::new("sh").args(["-c", &script]).stdout(Stdio::null()));
    wait_until("it starts", || {
        assert!(program.0.try_wait().unwrap().is_none(), "{}", daemon.log());
        daemon.log().contains("listening: ")
    });
    wait_until("it reloads", || daemon.status()["reloads"]["done"].as_u64() >= Some(20));
    lines(daemon.syslog_tcp, 0..100);
    wait_until("it works", || daemon.outcomes("out.jsonl").len() == 100);
    program.signal("TERM");
    let end = program.0.wait().unwrap();
    assert!(end.success(), "{end}: {}", daemon.log());
    storm.kill();
    daemon.restart();
    assert_eq!(daemon.status()["reloads"]["done"], 0);
}

#[test]
fn a_hangup_during_the_start_is_not_lost_and_a_stop_then_ends_it() {
    let daemon = Daemon::prepare(&format!("{FILE_SINK}[mibs]\npaths = [\"mibs\"]\n"));
    let slow = daemon.slow_modules();
    let start = || {
        let log = std::fs::File::options().create(true).append(true).open(daemon.path("log")).unwrap();
        let mut command = trapline();
        command.args(["run", "--config"]).arg(daemon.path("trapline.toml"));
        let program = Program::start(command.stderr(log));
        let reads = || {
            let parent = program.0.id().to_string();
            Command::new("pgrep").args(["-P", &parent]).status().unwrap().success()
        };
        wait_until("another process reads", reads);
        program
    };
    let mut first = start();
    assert_eq!(daemon.status()["problems"], serde_json::json!(["starting"]));
    first.signal("HUP");
    first.signal("TERM");
    assert!(first.0.wait().unwrap().success(), "{}", daemon.log());
    let mut second = start();
    second.signal("HUP");
    drop(slow);
    wait_until("it has started and reloaded", || daemon.status()["reloads"]["done"] == 1);
    second.signal("TERM");
    assert!(second.0.wait().unwrap().success(), "{}", daemon.log());
}
