//! kill -9 in the middle: what was journaled is delivered.

use std::collections::HashSet;
use std::process::Stdio;

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::wait_until;

/// The sequence numbers in the file sink's file, and how many lines there are.
fn delivered(daemon: &Daemon) -> (HashSet<u64>, usize) {
    let text = crate::support::read(&daemon.path("out.jsonl"));
    let mut lines = 0;
    let sequences = text
        .lines()
        .filter_map(|line| {
            // A line may be cut where the process was killed; its outcome comes again.
            let outcome: serde_json::Value = serde_json::from_str(line).ok()?;
            lines += 1;
            outcome["id"].as_str()?.rsplit_once('-')?.1.parse().ok()
        })
        .collect();
    (sequences, lines)
}

fn flood(daemon: &Daemon, count: u64) -> crate::support::Program {
    let to = format!("127.0.0.1:{}", daemon.snmp);
    let count = count.to_string();
    crate::support::Program::start(
        trapline()
            .args(["send", "trap", "--to", &to, "--count", &count, "--rate", "50000", "IF-MIB::linkDown"])
            .args(["ifIndex.3=3", "ifAdminStatus.3=up", "ifOperStatus.3=down", "ifDescr.3=Gi0/3"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
}

#[test]
fn every_journaled_outcome_survives_kill_9() {
    let mut daemon = Daemon::start(FILE_SINK);
    let mut restarts = 0;
    for at in [5_000, 20_000, 40_000] {
        let mut sender = flood(&daemon, 100_000);
        wait_until("some were journaled", || daemon.status()["intake"]["outcomes"].as_u64() >= Some(at));
        daemon.kill();
        restarts += 1;
        sender.kill();
        daemon.restart();
    }
    let mut sender = flood(&daemon, 100_000);
    assert!(sender.0.wait().unwrap().success());
    wait_until("all is delivered", || {
        let status = daemon.status();
        status["sinks"][0]["behind"] == 0 && status["intake"]["snmp_received"].as_u64() >= Some(50_000)
    });
    let next = daemon.status()["journal"]["next"].as_u64().unwrap();
    let (sequences, lines) = delivered(&daemon);
    let missing: Vec<u64> = (1..next).filter(|s| !sequences.contains(s)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} missing: {:?}",
        missing.len(),
        next - 1,
        &missing[..missing.len().min(10)]
    );
    println!(
        "{} outcomes journaled over {restarts} kills, all delivered, {} twice",
        next - 1,
        lines - sequences.len()
    );
    assert!(next > 65_000);
}

#[test]
fn stopping_drains_and_starting_goes_on() {
    let mut daemon = Daemon::start(FILE_SINK);
    let mut sender = flood(&daemon, 20_000);
    assert!(sender.0.wait().unwrap().success());
    daemon.wait_count("snmp_received", 20_000);
    daemon.stop();
    let (sequences, lines) = delivered(&daemon);
    assert_eq!((sequences.len(), lines), (20_000, 20_000));
    daemon.restart();
    assert_eq!(daemon.status()["sinks"][0]["behind"], 0);
    assert_eq!(daemon.status()["journal"]["next"], 20_001);
}
