//! System calls and context switches of a trap.

use std::time::Duration;

use crate::Run;
use crate::daemon::{Daemon, SNMP, Setup};
use crate::measure::{self, Cost};
use crate::process::SystemCalls;
use crate::rates::RATES;
use crate::sender::{Load, Message};
use crate::table::{Table, cell, rate};

/// How long perf may take until it counts.
const ATTACH: Duration = Duration::from_millis(300);

pub fn run(run: &Run) {
    run.title("System calls (perf stat) and context switches of a trap; one round", "calls");
    let mut table = Table::new(
        &["rate, at a time", "binary"],
        &["system calls each", "switches each", "of them sleeps", "preemptions"],
    );
    for at in RATES {
        for program in &run.programs {
            let daemon = Daemon::start(program, &Setup::default());
            let count = at.0 * run.seconds;
            measure::run(&daemon, &Load::new(Message::Trap, SNMP, (50_000, 64), 2_000));
            let calls = SystemCalls::of(daemon.pid());
            std::thread::sleep(ATTACH);
            let cost = measure::run(&daemon, &Load::new(Message::Trap, SNMP, at, count));
            let calls = calls.and_then(SystemCalls::stop);
            table.row(vec![
                format!("{}, {}", rate(at.0), at.1),
                program.name.clone(),
                calls.map_or("no perf".to_owned(), |calls| cell(calls as f64 / cost.taken as f64, 2)),
                cell(Cost::switches(&cost), 3),
                cell(cost.usage.voluntary as f64 / cost.taken as f64, 3),
                cell(cost.usage.involuntary as f64 / cost.taken as f64, 3),
            ]);
        }
    }
    table.print();
}
