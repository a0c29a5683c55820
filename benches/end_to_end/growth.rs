//! Long floods, and how the cost of a message grows with rules, varbinds and senders.

use crate::Run;
use crate::common::LINE;
use crate::daemon::{Daemon, Program, SNMP, SYSLOG, Setup};
use crate::measure::{self, Cost, by_turns, cost, ratio};
use crate::process;
use crate::rates::{figures, trapline_cost};
use crate::sender::{Load, Message};
use crate::table::{Table, cell};
use crate::v3::VARBINDS;

/// A flood lasts so many times as long as other measurements.
const FLOOD: u64 = 5;
/// Lines of a TCP flood a second that it lasts.
const STREAM: u64 = 400_000;
const RATE: (u64, u64) = (150_000, 64);
const VARBINDS_RATE: u64 = 100_000;
const SENDERS_RATE: u64 = 20_000;

pub fn run(run: &Run) {
    floods(run);
    run.title("How the CPU of a message grows", "growth");
    let mut table =
        Table::new(&["what", "binary"], &["sent/s", "late p99 us", "lost", "CPU us each", "x first"]);
    let flood = |message: Message| move |port: u16| Load::new(message, port, RATE, RATE.0 * run.seconds);
    for (name, message) in [("rules, traps", Message::Trap), ("rules, patterns", Message::Pattern)] {
        grow(run, &mut table, name, &[10, 100, 1_000, 10_000], |program, rules| {
            trapline_cost(program, &Setup { rules, ..Setup::default() }, message, flood(message))
        });
    }
    grow(run, &mut table, "varbinds", &[4, 8, 16, 32], |program, count| {
        let daemon = Daemon::start(program, &Setup::default());
        cost(&daemon, Message::Trap, &varbinds(run, count))
    });
    grow(run, &mut table, "senders", &[1, 100, 5_000], |program, count| {
        let daemon = Daemon::start(program, &Setup::default());
        let mut load = Load::new(Message::Trap, SNMP, (SENDERS_RATE, 1), SENDERS_RATE * run.seconds);
        load.add(&["--senders", &count.to_string()]);
        cost(&daemon, Message::Trap, &load)
    });
    table.print();
}

fn grow(
    run: &Run,
    table: &mut Table,
    what: &str,
    steps: &[usize],
    measure: impl Fn(&Program, usize) -> Cost,
) {
    for program in &run.programs {
        let results = by_turns(steps.len(), run.rounds, |n| measure(program, steps[n]));
        for (step, all) in steps.iter().zip(&results) {
            let mut cells = vec![format!("{what}: {step}"), program.name.clone()];
            cells.extend(figures(all));
            cells.push(cell(ratio(all, &results[0], Cost::each), 2));
            table.row(cells);
        }
    }
}

fn varbinds(run: &Run, count: usize) -> Load {
    let to = format!("127.0.0.1:{SNMP}");
    let more: Vec<String> = (VARBINDS.len()..count).map(|n| format!("1.3.6.1.4.1.9999.{n}={n}")).collect();
    let mut args = vec!["trap", "--to", &to, "IF-MIB::linkDown"];
    args.extend(VARBINDS);
    args.extend(more.iter().map(String::as_str));
    Load::trapline(&run.built().path, &args, Some(VARBINDS_RATE), VARBINDS_RATE * run.seconds)
}

fn floods(run: &Run) {
    run.title("Floods of 5 times --seconds, 1,000 rules, journal on disk, one pipe; one round", "growth");
    let mut table = Table::new(
        &["what", "binary"],
        &["sent/s", "late p99 us", "lost", "CPU us each", "resident MiB at most"],
    );
    let seconds = FLOOD * run.seconds;
    for program in &run.programs {
        for (what, message) in [("v2c traps", Message::Trap), ("lines over UDP", Message::Line)] {
            let daemon = Daemon::start(program, &Setup::default());
            let load = Load::new(message, measure::Receiver::port(&daemon, message), RATE, RATE.0 * seconds);
            flood(&mut table, what, program, &daemon, &load);
        }
        let daemon = Daemon::start(program, &Setup::default());
        let to = format!("tcp://127.0.0.1:{SYSLOG}");
        let args = ["syslog", "--to", &to, LINE];
        let load = Load::trapline(&run.built().path, &args, None, STREAM * seconds);
        flood(&mut table, "lines over one TCP stream", program, &daemon, &load);
    }
    table.print();
}

fn flood(table: &mut Table, what: &str, program: &Program, daemon: &Daemon, load: &Load) {
    let cost = measure::run(daemon, load);
    let mut cells = vec![what.to_owned(), program.name.clone()];
    cells.extend(figures(&[cost]));
    cells.push(cell(process::memory(daemon.pid()), 1));
    table.row(cells);
}
