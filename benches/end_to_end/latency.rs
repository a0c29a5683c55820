//! How long a trap takes from the socket to the pipe, and an inform until it is answered.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use trapline::message::NotificationKind;

use crate::Run;
use crate::common::packet;
use crate::daemon::{Daemon, Program, SNMP, Setup};
use crate::measure::{self, by_turns, middle};
use crate::sender::{Load, Message};
use crate::table::{Table, cell, percentile, rate};

/// Traps a second, one by one, and how many of them a round. At the lowest rate each comes alone.
const RATES: [(u64, u64); 3] = [(10, 20), (1_000, 2_000), (5_000, 10_000)];
const INFORMS: i32 = 500;

/// Milliseconds of one round.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    pub median: f64,
    pub p99: f64,
    pub most: f64,
    lost: u64,
}

impl Latency {
    fn new(mut took: Vec<f64>, sent: u64) -> Self {
        took.sort_by(f64::total_cmp);
        Latency {
            median: percentile(&took, 0.5),
            p99: percentile(&took, 0.99),
            most: percentile(&took, 1.0),
            lost: sent.saturating_sub(took.len() as u64),
        }
    }

    /// Of stamped messages, so many of which were sent, by the lines that a pipe gave.
    pub fn of_lines(lines: &[(u64, String)], count: u64) -> Self {
        let took = |(read, line): &(u64, String)| {
            let sent: u64 = line.split("Interface ").nth(1)?.split(';').next()?.parse().ok()?;
            Some(read.saturating_sub(sent) as f64 / 1e6)
        };
        Latency::new(lines.iter().filter_map(took).collect(), count)
    }

    /// How many have not come out.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

pub fn run(run: &Run) {
    // As they are, and with the latency budget turned off where the binary has one.
    let mut programs: Vec<Program> = run.programs.clone();
    programs.extend(run.programs.iter().filter_map(Program::without_latency));
    run.title("From socket to pipe, traps one by one, sync = \"interval\"", "latency");
    let mut table = Table::new(&["rate", "binary"], &["median ms", "p99 ms", "most ms", "lost"]);
    for (a_second, count) in RATES {
        let results = by_turns(programs.len(), run.rounds, |n| {
            to_pipe(&programs[n], &Setup::default(), (a_second, 1), count)
        });
        add(&mut table, &rate(a_second), &programs, &results);
    }
    table.print();
    run.title("Informs until answered, one after the other, sync = \"batch\"", "latency");
    let mut table = Table::new(&["informs", "binary"], &["median ms", "p99 ms", "most ms", "lost"]);
    let results = by_turns(programs.len(), run.rounds, |n| informs(&programs[n]));
    add(&mut table, "v2c", &programs, &results);
    table.print();
}

fn add(table: &mut Table, what: &str, programs: &[Program], results: &[Vec<Latency>]) {
    for (program, rounds) in programs.iter().zip(results) {
        table.row(vec![
            what.to_owned(),
            program.name.clone(),
            cell(middle(rounds, |round| round.median), 3),
            cell(middle(rounds, |round| round.p99), 3),
            cell(middle(rounds, |round| round.most), 3),
            rounds.iter().map(|round| round.lost).sum::<u64>().to_string(),
        ]);
    }
}

/// From the sender's clock to that of the reader.
pub fn to_pipe(program: &Program, setup: &Setup, at: (u64, u64), count: u64) -> Latency {
    let daemon = Daemon::start_keeping(program, setup, true);
    measure::run(&daemon, &Load::new(Message::Trap, SNMP, (50_000, 64), 2_000));
    daemon.lines.lock().unwrap().clear();
    measure::run(&daemon, &Load::new(Message::Stamped, SNMP, at, count));
    Latency::of_lines(&daemon.lines.lock().unwrap(), count)
}

fn informs(program: &Program) -> Latency {
    let daemon = Daemon::start(program, &Setup { sync: "batch", ..Setup::default() });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", SNMP)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let took = (0..INFORMS).filter_map(|n| {
        let packet = packet("3", NotificationKind::Inform, n);
        let start = Instant::now();
        socket.send(&packet).unwrap();
        socket.recv(&mut [0; 2048]).ok()?;
        Some(start.elapsed().as_secs_f64() * 1000.0)
    });
    let took = took.collect();
    drop(daemon);
    Latency::new(took, INFORMS as u64)
}
