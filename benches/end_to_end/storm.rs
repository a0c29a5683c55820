//! One sender floods beside others that send as ever: what others lose, how late their messages are, and whether the total of
//! the storm is exact.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Run;
use crate::daemon::{Daemon, Program, SNMP, Setup};
use crate::latency::Latency;
use crate::measure::{self, by_turns, middle};
use crate::sender::{Load, Message};
use crate::table::{Table, cell};

/// What one sender sends, in a second and at a time.
const FLOOD: (u64, u64) = (100_000, 64);
/// What others send together, and how many they are.
const OTHERS: (u64, u64) = (500, 1);
const SENDERS: &str = "50";
const STORM: &str = "[storm]\nrate = 1000\nhard = 10000\n";
/// How long a daemon may need until it has said everything.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of one round.
#[derive(Debug, Clone, Copy)]
struct Round {
    others: Latency,
    /// Of the flood: how many were sent, how many came out, and how many were counted and not processed.
    sent: u64,
    processed: u64,
    counted: u64,
    /// CPU of a message of the flood, in microseconds.
    each: f64,
}

pub fn run(run: &Run) {
    run.title("Others send 500/s from 50 addresses, without and with one that sends 100,000/s", "storm");
    let mut table = Table::new(
        &["binary", "beside"],
        &[
            "lost",
            "median ms",
            "p99 ms",
            "most ms",
            "flood sent",
            "processed",
            "counted",
            "missing",
            "CPU us each",
        ],
    );
    for program in &run.programs {
        let results = by_turns(2, run.rounds, |n| round(program, n == 1, run.seconds));
        for (n, rounds) in results.iter().enumerate() {
            let sum = |of: fn(&Round) -> u64| rounds.iter().map(of).sum::<u64>();
            let missing =
                rounds.iter().map(|r| r.sent as i64 - (r.processed + r.counted) as i64).sum::<i64>();
            table.row(vec![
                program.name.clone(),
                ["nobody", "a flood"][n].to_owned(),
                sum(|round| round.others.lost()).to_string(),
                cell(middle(rounds, |round| round.others.median), 3),
                cell(middle(rounds, |round| round.others.p99), 3),
                cell(middle(rounds, |round| round.others.most), 3),
                sum(|round| round.sent).to_string(),
                sum(|round| round.processed).to_string(),
                sum(|round| round.counted).to_string(),
                missing.to_string(),
                cell(middle(rounds, |round| round.each), 2),
            ]);
        }
    }
    table.print();
}

fn round(program: &Program, floods: bool, seconds: u64) -> Round {
    let setup = Setup { more: STORM.to_owned(), ..Setup::default() };
    let daemon = Daemon::start_keeping(program, &setup, true);
    let mut others = Load::new(Message::Stamped, SNMP, OTHERS, OTHERS.0 * seconds);
    others.add(&["--senders", SENDERS]);
    let before = daemon.usage();
    let sent = if floods { FLOOD.0 * seconds } else { 0 };
    let flood = floods.then(|| Load::new(Message::Trap, SNMP, FLOOD, sent).start());
    measure::run(&daemon, &others);
    if let Some(flood) = flood {
        assert!(flood.wait_with_output().unwrap().status.success(), "the sender failed");
    }
    let received = |status: &Value| status["intake"]["snmp_received"].as_u64().unwrap_or(0);
    let counted = |status: &Value| status["intake"]["storm_left_out"].as_u64().unwrap_or(0);
    let deadline = Instant::now() + PATIENCE;
    let processed = |daemon: &Daemon| {
        let lines = daemon.lines.lock().unwrap();
        lines.iter().filter(|(_, line)| line.contains("GigabitEthernet0/3")).count() as u64
    };
    let mut status = daemon.status(program);
    while (received(&status) < sent + others.count || processed(&daemon) + counted(&status) < sent)
        && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(100));
        status = daemon.status(program);
    }
    let each = daemon.usage().since(before).cpu as f64 / 1000.0 / (sent + others.count) as f64;
    let (processed, counted) = (processed(&daemon), counted(&status));
    let latency = Latency::of_lines(&daemon.lines.lock().unwrap(), others.count);
    Round { others: latency, sent, processed, counted, each }
}
