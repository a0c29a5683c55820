//! What each further sink costs.

use crate::Run;
use crate::daemon::Setup;
use crate::measure::{Cost, by_turns, middle};
use crate::rates::trapline_cost;
use crate::sender::{Load, Message};
use crate::table::{Table, cell, median};

const RATE: (u64, u64) = (150_000, 64);
/// Pipes and files; the first is what the others are compared with.
const SINKS: [(usize, usize); 4] = [(1, 0), (2, 0), (1, 1), (1, 4)];

pub fn run(run: &Run) {
    run.title("CPU of further sinks at 150,000 traps a second, 64 at a time", "sinks");
    let count = SINKS.len() * run.programs.len();
    let results = by_turns(count, run.rounds, |n| {
        let (pipes, files) = SINKS[n % SINKS.len()];
        let setup = Setup { pipes, files, ..Setup::default() };
        let load = |port: u16| Load::new(Message::Trap, port, RATE, RATE.0 * run.seconds);
        trapline_cost(&run.programs[n / SINKS.len()], &setup, Message::Trap, load)
    });
    let mut table =
        Table::new(&["sinks", "binary"], &["lost in the pipes", "CPU us each", "us a trap and further sink"]);
    for (n, all) in results.iter().enumerate() {
        let (pipes, files) = SINKS[n % SINKS.len()];
        let alone = &results[n - n % SINKS.len()];
        let further = (pipes + files - 1) as f64;
        let more = all.iter().zip(alone).map(|(all, alone)| (all.each() - alone.each()) / further);
        let name = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        };
        let mut sinks = name(pipes, "pipe");
        if files > 0 {
            sinks += &format!(", {}", name(files, "file"));
        }
        table.row(vec![
            sinks,
            run.programs[n / SINKS.len()].name.clone(),
            all.iter().map(Cost::lost).sum::<u64>().to_string(),
            cell(middle(all, Cost::each), 2),
            cell(median(more), 2),
        ]);
    }
    table.print();
}
