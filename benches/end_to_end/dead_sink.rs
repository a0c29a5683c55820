//! A pipe and two files, without and with a broker and a server beside them that are not there: what the live ones
//! cost, and how late they get it.

use crate::Run;
use crate::daemon::{Program, Setup};
use crate::latency::{Latency, to_pipe};
use crate::measure::{Cost, by_turns, middle, ratio};
use crate::rates::{figures, trapline_cost};
use crate::sender::{Load, Message};
use crate::table::{Table, cell};

const DEAD: &str = "[[sinks]]\nname = \"dead\"\ntype = \"amqp\"\nurl = \"amqp://guest:guest@127.0.0.1:1/%2f\"\n\
                    [[sinks]]\nname = \"gone\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n";
const RATE: (u64, u64) = (100_000, 64);
const EVEN: (u64, u64) = (5_000, 1);

pub fn run(run: &Run) {
    run.title(
        "Two dead sinks beside three live ones, 100,000 traps a second; latency at 5,000/s",
        "dead-sink",
    );
    let mut table = Table::new(
        &["binary", "sinks"],
        &["sent/s", "late p99 us", "lost", "CPU us each", "x alone", "median ms", "p99 ms"],
    );
    for program in &run.programs {
        let results =
            by_turns(2, run.rounds, |n| round(program, [String::new(), DEAD.to_owned()][n].clone(), run));
        for (n, all) in results.iter().enumerate() {
            let costs: Vec<Cost> = all.iter().map(|(cost, _)| *cost).collect();
            let mut cells = vec![program.name.clone(), ["3 live", "3 live, 2 dead"][n].to_owned()];
            cells.extend(figures(&costs));
            cells.push(cell(ratio(all, &results[0], |(cost, _)| cost.each()), 2));
            cells.push(cell(middle(all, |(_, latency)| latency.median), 3));
            cells.push(cell(middle(all, |(_, latency)| latency.p99), 3));
            table.row(cells);
        }
    }
    table.print();
}

fn round(program: &Program, more: String, run: &Run) -> (Cost, Latency) {
    let setup = Setup { files: 2, more, ..Setup::default() };
    let load = |port: u16| Load::new(Message::Trap, port, RATE, RATE.0 * run.seconds);
    let cost = trapline_cost(program, &setup, Message::Trap, load);
    (cost, to_pipe(program, &setup, EVEN, EVEN.0 * run.seconds))
}
