//! The whole way, measured: a sender, the daemon, readers of its pipes; beside it a receiver that does nothing else
//! and, where they are installed, the peers of the field, on the same messages in the same run.
//!
//! `cargo bench --bench end_to_end` runs the parts of [`DEFAULT`]. Options follow `--`:
//!
//! - `--part rates,v3` runs only these; `--part all` runs all of [`Part`].
//! - `--program BINARY` measures another binary than the built one, which is not linked as a release is: such as
//!   `target/release/trapline`.
//! - `--baseline BINARY` measures one more by turns with that: the tables call it "before", and the other one "after".
//! - `--set 'snmp.latency = "5ms"'` adds a line to the configuration of the built binary, `--baseline-set` to that of
//!   the other one. Both may be given several times.
//! - `--rounds N` and `--seconds N` set how often and how long each figure is taken. Tables show medians; ratios are
//!   taken within a round.
//!
//! What the columns say:
//!
//! - CPU: user and system time of all threads of the receiver, from `/proc/PID/task/*/schedstat`, a message.
//! - x null, x null 1 ms: that in multiples of what recvmmsg alone costs, and of what it costs if the receiver sleeps
//!   1 ms after each call.
//! - late p99: 99 of 100 datagrams (or bursts) left at most so late. More than the distance of two datagrams means that
//!   the machine had other things to do, and that they came in bunches.
//! - lost: what was sent, in all rounds, and has not come out at the end.
//! - switches: context switches, voluntary and not.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod calls;
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod daemon;
mod dead_sink;
mod growth;
mod idle;
mod latency;
mod measure;
mod null;
mod peers;
mod process;
mod rates;
mod sender;
mod sinks;
mod storm;
mod table;
mod v3;

use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};

use daemon::Program;
use sender::SendArgs;

/// What runs if no part is named: less than ten minutes.
const DEFAULT: [Part; 7] =
    [Part::Rates, Part::Sinks, Part::Calls, Part::Idle, Part::Latency, Part::V3, Part::Peers];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// CPU of a trap by rate, beside null receivers
    Rates,
    /// The same with receivers on a core of their own
    Apart,
    /// CPU of each further pipe and file
    Sinks,
    /// System calls and context switches of a trap
    Calls,
    /// Wake-ups of an idle daemon, its start and its memory
    Idle,
    /// From socket to pipe; informs until they are answered
    Latency,
    /// CPU of SNMPv3 on top of v2c
    V3,
    /// rsyslog, syslog-ng, snmptrapd and snmptt
    Peers,
    /// Long floods; CPU by rules, varbinds and senders
    Growth,
    /// Live sinks without and with dead ones
    DeadSink,
    /// One sender that floods beside others
    Storm,
    /// All of them
    All,
}

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Task>,
    /// What to measure
    #[arg(long = "part", value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// A trapline binary that is measured in the place of the built one
    #[arg(long, value_name = "BINARY")]
    program: Option<PathBuf>,
    /// Another trapline binary, measured by turns with that one
    #[arg(long, value_name = "BINARY")]
    baseline: Option<PathBuf>,
    /// A line of configuration for the built binary
    #[arg(long, value_name = "LINE")]
    set: Vec<String>,
    /// A line of configuration for the other one
    #[arg(long, value_name = "LINE", requires = "baseline")]
    baseline_set: Vec<String>,
    /// How often each figure is taken
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long messages are sent for a figure
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// What cargo adds
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Only send
    Send(SendArgs),
}

/// What all parts need.
pub struct Run {
    /// The built binary, and the other one where there is one.
    pub programs: Vec<Program>,
    pub rounds: usize,
    pub seconds: u64,
    /// The options of this run but for its parts.
    options: String,
}

impl Run {
    fn new(args: &Args) -> Self {
        let program = |name: &str, path: PathBuf, set: &[String]| {
            let path = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Program { name: name.to_owned(), path, set: set.to_vec() }
        };
        let built = args.program.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_trapline")));
        let name = if args.baseline.is_some() { "after" } else { "trapline" };
        let mut programs = vec![program(name, built, &args.set)];
        let mut options = String::new();
        if let Some(program) = &args.program {
            options.push_str(&format!(" --program {}", program.display()));
        }
        if let Some(baseline) = &args.baseline {
            programs.push(program("before", baseline.clone(), &args.baseline_set));
            options.push_str(&format!(" --baseline {}", baseline.display()));
        }
        for (option, lines) in [("set", &args.set), ("baseline-set", &args.baseline_set)] {
            options.extend(lines.iter().map(|line| format!(" --{option} '{line}'")));
        }
        options.push_str(&format!(" --rounds {} --seconds {}", args.rounds, args.seconds));
        Run { programs, rounds: args.rounds, seconds: args.seconds, options }
    }

    /// Prints what the next table shows, and the command that makes it.
    pub fn title(&self, what: &str, part: &str) {
        println!("\n{what}");
        println!("$ cargo bench --bench end_to_end -- --part {part}{}", self.options);
    }

    /// The built binary.
    pub fn built(&self) -> &Program {
        &self.programs[0]
    }
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it builds.
    if given.first().is_none_or(|first| first != "send") && !given.iter().any(|arg| arg == "--bench") {
        return;
    }
    let args = Args::parse();
    if let Some(Task::Send(args)) = &args.command {
        return sender::run(args);
    }
    let (run, start) = (Run::new(&args), Instant::now());
    let parts = match args.parts.as_slice() {
        [] => DEFAULT.to_vec(),
        parts if parts.contains(&Part::All) => Part::value_variants().to_vec(),
        parts => parts.to_vec(),
    };
    for part in parts {
        match part {
            Part::Rates => rates::run(&run, "rates"),
            Part::Apart => measure::apart(|| rates::run(&run, "apart")),
            Part::Sinks => sinks::run(&run),
            Part::Calls => calls::run(&run),
            Part::Idle => idle::run(&run),
            Part::Latency => latency::run(&run),
            Part::V3 => v3::run(&run),
            Part::Peers => peers::run(&run),
            Part::Growth => growth::run(&run),
            Part::DeadSink => dead_sink::run(&run),
            Part::Storm => storm::run(&run),
            Part::All => {}
        }
    }
    println!("\nThat took {:.0} s.", start.elapsed().as_secs_f64());
}
