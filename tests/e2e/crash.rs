//! kill -9 in the middle: what was journaled is delivered.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::{snmptrap, wait_until};

/// The sequence numbers in the file sink's file, and how many lines there are.
fn delivered(daemon: &Daemon) -> (HashSet<u64>, usize) {
    let text = crate::support::read(&daemon.path("out.jsonl"));
    let mut lines = 0;
    let sequences = text
        .lines()
        .filter_map(|line| {
            // A line may be cut where the process was killed; its outcome comes again.
            let outcome: Value = serde_json::from_str(line).ok()?;
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
    // Some still wait in the socket.
    daemon.stop();
    let (sequences, lines) = delivered(&daemon);
    assert_eq!((sequences.len(), lines), (20_000, 20_000));
    daemon.restart();
    assert_eq!(daemon.status()["sinks"][0]["behind"], 0);
    assert_eq!(daemon.status()["journal"]["next"], 20_001);
}

#[test]
fn a_full_disk_is_said_and_survived() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    std::fs::create_dir(daemon.path("var")).unwrap();
    let mut command = Command::new("unshare");
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs {} && exec {} run --config {}",
        daemon.path("var").display(),
        env!("CARGO_BIN_EXE_trapline"),
        daemon.path("trapline.toml").display()
    );
    command.args(["--mount", "--map-root-user", "bash", "-c", &script]);
    daemon.start_as(command);
    // The daemon's own view of its journal's disk.
    let disk = PathBuf::from(format!("/proc/{}/root{}", daemon.pid(), daemon.path("var").display()));
    let status = || -> Value {
        let mut socket = UnixStream::connect(disk.join("control.sock")).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    let cold_start = || snmptrap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", "1.3.6.1.6.3.1.1.5.1"]);
    cold_start();
    wait_until("the first outcome", || daemon.outcomes("out.jsonl").len() == 1);
    let mut filler = std::fs::File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    // Until no record fits any more: the journal's last page has some room left.
    wait_until("the daemon says so", || {
        cold_start();
        daemon.log().contains("cannot take outcomes")
    });
    let inform = Command::new("snmpinform")
        .args([
            "-m",
            "",
            "-v2c",
            "-c",
            "public",
            "-r",
            "0",
            "-t",
            "1",
            &daemon.snmp_target(),
            "",
            "1.3.6.1.6.3.1.1.5.1",
        ])
        .output()
        .unwrap();
    assert!(!inform.status.success(), "an inform was answered that is not in the journal");
    wait_until("it is counted", || status()["intake"]["informs_unanswered"] == 1);
    drop(filler);
    std::fs::remove_file(disk.join("filler")).unwrap();
    // With room again, what waited goes on its way.
    wait_until("nothing is lost", || {
        let intake = status()["intake"].clone();
        intake["outcomes"] == intake["snmp_received"] && intake["outcomes_lost"] == 0
    });
    let all = status()["intake"]["outcomes"].as_u64().unwrap();
    wait_until("all is delivered", || daemon.outcomes("out.jsonl").len() as u64 == all);
}
