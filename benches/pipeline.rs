//! The pipeline without sockets: packets from memory through decoding, 1,000 rules and rendering into a journal on
//! disk, by one thread and by two with one journal.
//!
//! `cargo bench --bench pipeline` prints a table; `-- N` takes N million traps a thread and round (default: 1).
#![allow(
    missing_docs,
    dead_code,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic
)]

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::{packet, rule_file};
use trapline::intake::pipeline::Pipeline;
use trapline::intake::{Active, Shared};
use trapline::journal::{Journal, Options, SyncPolicy, WhenFull};
use trapline::message::NotificationKind;
use trapline::mib;
use trapline::rules::compile::{RuleFile, compile};
use trapline::sys::Arrival;
use trapline::time::clock::{Clock as _, SystemClock};

const RULES: usize = 1_000;
const ROUNDS: usize = 5;
/// Packets between two appends, as a full batch of a listener has.
const BATCH: u64 = 128;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        return;
    }
    let millions: u64 = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(1);
    let shared_by = [1, 2];
    let mut rounds: Vec<[Figures; 2]> =
        (0..ROUNDS).map(|_| shared_by.map(|threads| measure(threads, millions * 1_000_000))).collect();
    println!(
        "v2c linkDown from memory into a journal on disk, {RULES} rules, {BATCH} an append; {ROUNDS} rounds"
    );
    println!("$ cargo bench --bench pipeline -- {millions}");
    println!("threads  traps/s, median  least      most       CPU us each");
    for (n, threads) in shared_by.iter().enumerate() {
        rounds.sort_by(|a, b| a[n].rate.total_cmp(&b[n].rate));
        let at = |round: usize| rounds[round][n].rate;
        let mut cpu: Vec<f64> = rounds.iter().map(|round| round[n].cpu).collect();
        cpu.sort_by(f64::total_cmp);
        println!(
            "{threads:<7}  {:<15.0}  {:<9.0}  {:<9.0}  {:.2}",
            at(ROUNDS / 2),
            at(0),
            at(ROUNDS - 1),
            cpu[ROUNDS / 2]
        );
    }
}

#[derive(Clone, Copy)]
struct Figures {
    /// Traps a second of all threads together.
    rate: f64,
    /// Microseconds a trap.
    cpu: f64,
}

/// `count` traps by each of so many threads.
fn measure(threads: u8, count: u64) -> Figures {
    let dir = tempfile::tempdir().unwrap();
    let shared = shared(dir.path().to_owned());
    let start = Instant::now();
    let cpu = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|n| {
                scope.spawn({
                    let shared = shared.clone();
                    move || take(&shared, n, count)
                })
            })
            .collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    let (seconds, taken) = (start.elapsed().as_secs_f64(), u64::from(threads) * count);
    assert_eq!(shared.journal.next(), 1 + taken, "each trap gives one outcome");
    Figures { rate: taken as f64 / seconds, cpu: cpu as f64 / 1000.0 / taken as f64 }
}

/// Gives the CPU time of this thread in nanoseconds.
fn take(shared: &Arc<Shared>, n: u8, count: u64) -> u64 {
    let mut pipeline = Pipeline::new(shared.clone());
    let packet = packet("GigabitEthernet0/3", NotificationKind::Trap, 1);
    let arrival = Arrival { peer: ([192, 0, 2, n], 162).into(), local: None };
    let mut taken = 0;
    let now = SystemClock.now();
    while taken < count {
        for _ in 0..BATCH.min(count - taken) {
            pipeline.packet(&packet, arrival, now);
            taken += 1;
        }
        assert_eq!(pipeline.commit(now).count(), 0, "a trap is not answered");
    }
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split_whitespace().next().unwrap().parse().unwrap()
}

/// Rules in force and a journal that no sink reads.
fn shared(directory: std::path::PathBuf) -> Arc<Shared> {
    let options = Options { directory, max_size: 1 << 30, when_full: WhenFull::DropOldest };
    let (journal, _) = Journal::open(options, 7).unwrap();
    let shared = Arc::new(Shared::new(journal, SyncPolicy::Interval, Arc::new(SystemClock)));
    let file = RuleFile { name: "rules.toml".into(), text: rule_file(RULES).into() };
    let compiled = compile(&[file], Arc::new(mib::load::load(&[]).mib));
    let rules = compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
    shared.replace(Active { rules, ..Active::default() });
    shared
}
