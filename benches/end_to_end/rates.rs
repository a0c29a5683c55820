//! What a trap costs at each rate, in multiples of what receiving alone costs.

use std::time::Duration;

use crate::Run;
use crate::daemon::{Daemon, Program, Setup};
use crate::measure::{Cost, Receiver as _, by_turns, cost, middle, ratio};
use crate::null::Null;
use crate::sender::{Load, Message};
use crate::table::{Table, cell, rate};

/// Rate and burst: one by one as devices send, and in bursts what one by one would need more than a core for.
pub const RATES: [(u64, u64); 5] = [(1_000, 1), (5_000, 1), (20_000, 1), (150_000, 64), (300_000, 64)];
/// How long the second null receiver waits after each call: how much cheaper larger batches are.
pub const GATHER: Duration = Duration::from_millis(1);

pub fn run(run: &Run, part: &str) {
    run.title("CPU of a trap by rate: 1,000 rules, journal on disk, one pipe", part);
    let mut table = Table::new(
        &["rate, at a time", "receiver"],
        &[
            "sent/s",
            "late p99 us",
            "lost",
            "CPU us each",
            "x null",
            "x null 1 ms",
            "x before",
            "switches each",
        ],
    );
    for at in RATES {
        let load = |port: u16| Load::new(Message::Trap, port, at, at.0 * run.seconds);
        let results = by_turns(2 + run.programs.len(), run.rounds, |n| match n.checked_sub(2) {
            None => null_cost(Message::Trap, (n == 1).then_some(GATHER), load),
            Some(program) => trapline_cost(&run.programs[program], &Setup::default(), Message::Trap, load),
        });
        let what = format!("{}, {}", rate(at.0), at.1);
        let names = ["null", "null, gathers 1 ms"].into_iter();
        for (n, name) in names.chain(run.programs.iter().map(|p| p.name.as_str())).enumerate() {
            let (all, each) = (&results[n], Cost::each);
            let before = results.get(3).filter(|_| n == 2);
            let mut cells = vec![what.clone(), name.to_owned()];
            cells.extend(figures(all));
            cells.push(cell(ratio(all, &results[0], each), 2));
            cells.push(cell(ratio(all, &results[1], each), 2));
            cells.push(cell(before.map_or(f64::NAN, |before| ratio(all, before, each)), 2));
            cells.push(cell(middle(all, Cost::switches), 3));
            table.row(cells);
        }
    }
    table.print();
}

/// Sent a second, how late, lost in all rounds, and CPU.
pub fn figures(all: &[Cost]) -> [String; 4] {
    [
        cell(middle(all, |cost| cost.sent as f64 / cost.seconds), 0),
        cell(middle(all, |cost| cost.late), 0),
        all.iter().map(Cost::lost).sum::<u64>().to_string(),
        cell(middle(all, Cost::each), 2),
    ]
}

pub fn null_cost(message: Message, gather: Option<Duration>, load: impl Fn(u16) -> Load) -> Cost {
    let null = Null::start(gather);
    cost(&null, message, &load(null.port))
}

pub fn trapline_cost(program: &Program, setup: &Setup, message: Message, load: impl Fn(u16) -> Load) -> Cost {
    let daemon = Daemon::start(program, setup);
    cost(&daemon, message, &load(daemon.port(message)))
}
