//! A daemon that has nothing to do: its wake-ups, how it starts, how large it is.

use std::time::{Duration, Instant};

use crate::Run;
use crate::daemon::{self, Daemon, Program, SNMP, SYSLOG, Setup};
use crate::measure;
use crate::process::{self, SystemCalls};
use crate::sender::{Load, Message};
use crate::table::{Table, cell, median};

/// How long it is watched.
const WATCH: Duration = Duration::from_secs(10);
/// How long before that it has had nothing to do.
const REST: Duration = Duration::from_secs(2);
const STARTS: usize = 7;

pub fn run(run: &Run) {
    run.title(
        "Idle: three UDP sockets and a TCP one, one pipe, 1,000 rules; after 2,000 traps and 2 s of rest",
        "idle",
    );
    let mut table =
        Table::new(&["binary"], &["wake-ups/s", "system calls/s", "CPU us/s", "resident MiB at most"]);
    for program in &run.programs {
        table.row(idle(program));
    }
    table.print();
    run.title("Start until ready, shipped rules and MIBs, and the resident memory then", "idle");
    let mut table = Table::new(&["binary"], &["start ms", "resident MiB", "binary MB"]);
    for program in &run.programs {
        table.row(start(program));
    }
    table.print();
}

fn idle(program: &Program) -> Vec<String> {
    let setup = Setup { snmp: &["127.0.0.1", "127.0.0.2"], ..Setup::default() };
    let daemon = Daemon::start(program, &setup);
    measure::run(&daemon, &Load::new(Message::Trap, SNMP, (50_000, 64), 2_000));
    std::thread::sleep(REST);
    let calls = SystemCalls::of(daemon.pid());
    let (before, start) = (daemon.usage(), Instant::now());
    std::thread::sleep(WATCH);
    let (usage, seconds) = (daemon.usage().since(before), start.elapsed().as_secs_f64());
    let calls = calls.and_then(SystemCalls::stop);
    vec![
        program.name.clone(),
        cell(usage.voluntary as f64 / seconds, 1),
        calls.map_or("no perf".to_owned(), |calls| cell(calls as f64 / seconds, 1)),
        cell(usage.cpu as f64 / 1000.0 / seconds, 0),
        cell(process::memory(daemon.pid()), 1),
    ]
}

fn start(program: &Program) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "snmp.listen = [\"127.0.0.1:{SNMP}\"]\nsyslog.listen = [\"udp://127.0.0.1:{SYSLOG}\"]\n{}\n",
        program.set.join("\n")
    );
    std::fs::write(dir.path().join("trapline.toml"), config).unwrap();
    let mut times = Vec::new();
    let mut resident = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        let mut child = daemon::start_and_wait(program, dir.path());
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        resident.push(process::memory(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let size = std::fs::metadata(&program.path).map_or(f64::NAN, |file| file.len() as f64 / 1e6);
    vec![
        program.name.clone(),
        cell(median(times), 1),
        cell(median(resident), 1),
        // Not stripped, the baseline may hold symbols.
        cell(size, 1),
    ]
}
