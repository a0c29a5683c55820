//! Many who ask the daemon for something at once.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{run, wait_until};

#[test]
fn a_reload_serves_all_who_wait_for_it_and_keeps_nobody_from_asking() {
    const ALL: u64 = 40;
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npaths = [\"slow.toml\"]\n"));
    let slow = daemon.path("slow.toml");
    std::fs::write(&slow, "").unwrap();
    daemon.restart();
    std::fs::remove_file(&slow).unwrap();
    run(Command::new("mkfifo").arg(&slow));
    // As long as this is open, rules may still come.
    let rules = std::fs::File::options().read(true).write(true).open(&slow).unwrap();
    let reload = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trapline"));
        command.args(["reload", "--json", "--config"]).arg(daemon.path("trapline.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let asking: Vec<_> = (0..ALL).map(|_| reload()).collect();
    let count = |status: &Value| {
        ["done", "refused"].iter().map(|key| status["reloads"][key].as_u64().unwrap()).sum::<u64>()
    };
    assert!(count(&daemon.status()) < ALL, "the status is told meanwhile");
    drop(rules);
    for one in asking {
        let done = one.wait_with_output().unwrap();
        let answer: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"));
        assert!(answer["ok"].is_boolean(), "{answer}");
    }
    wait_until("all reloads are counted", || count(&daemon.status()) > 0);
    assert!(count(&daemon.status()) < ALL, "{}", daemon.status());
}
