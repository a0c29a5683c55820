//! The programs that Trapline takes the place of, on the same messages in the same run. `benches/fetch_peers` gets
//! them.

mod snmptt;
mod software;

use crate::Run;
use crate::daemon::Setup;
use crate::measure::{Cost, by_turns, cost, ratio};
use crate::rates::{GATHER, figures, null_cost, trapline_cost};
use crate::sender::{Load, Message};
use crate::table::{Table, cell, rate};
use software::{Peer, Software};

/// Rounds, at most: starting and emptying the peers takes time.
const ROUNDS: usize = 2;
const LINES: [(u64, u64); 2] = [(50_000, 64), (150_000, 64)];
const TRAPS: [(u64, u64); 2] = [(5_000, 1), (20_000, 1)];
/// What so much traffic needs.
const BUFFER: u64 = 64 << 20;

pub fn run(run: &Run) {
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
    if limit.trim().parse::<u64>().is_ok_and(|limit| limit < BUFFER) {
        println!(
            "\nsyslog-ng and snmptrapd get a receive buffer of {} octets only; as their manuals advise, raise it before:\n\
             sysctl -w net.core.rmem_max={BUFFER}",
            limit.trim()
        );
    }
    let lines = "Lines of syslog over UDP: rsyslog and syslog-ng match one pattern and write a file; Trapline has \
                 1,000 rules, a journal on disk and a pipe; at most two rounds";
    compare(run, lines, Message::Line, &LINES, &[Software::Rsyslog, Software::SyslogNg]);
    let traps =
        "v2c traps: snmptrapd has no rules and writes log lines; Trapline as above; at most two rounds";
    compare(run, traps, Message::Trap, &TRAPS, &[Software::Snmptrapd]);
    run.title("Traps from snmptthandler's spool files: snmptt as a daemon, 10 EVENTs, log lines", "peers");
    snmptt::run();
}

fn compare(run: &Run, what: &str, message: Message, rates: &[(u64, u64)], peers: &[Software]) {
    run.title(what, "peers");
    let mut table = Table::new(
        &["rate, at a time", "receiver"],
        &["sent/s", "late p99 us", "lost", "CPU us each", "x null", "x null 1 ms"],
    );
    let (installed, missing): (Vec<&Software>, Vec<&Software>) =
        peers.iter().partition(|peer| peer.is_installed());
    for at in rates {
        let load = |port: u16| Load::new(message, port, *at, at.0 * run.seconds);
        let (nulls, ours) = (2, run.programs.len());
        let results = by_turns(nulls + ours + installed.len(), run.rounds.min(ROUNDS), |n| match n {
            0 => null_cost(message, None, load),
            1 => null_cost(message, Some(GATHER), load),
            n if n < nulls + ours => {
                trapline_cost(&run.programs[n - nulls], &Setup::default(), message, load)
            }
            n => {
                let peer = Peer::start(*installed[n - nulls - ours]);
                cost(&peer, message, &load(peer.port))
            }
        });
        let mut names = vec!["null".to_owned(), "null, gathers 1 ms".to_owned()];
        names.extend(run.programs.iter().map(|program| match run.programs.len() {
            1 => program.name.clone(),
            _ => format!("trapline, {}", program.name),
        }));
        names.extend(installed.iter().map(|peer| peer.version()));
        for (name, all) in names.into_iter().zip(&results) {
            let mut cells = vec![format!("{}, {}", rate(at.0), at.1), name];
            cells.extend(figures(all));
            cells.push(cell(ratio(all, &results[0], Cost::each), 2));
            cells.push(cell(ratio(all, &results[1], Cost::each), 2));
            table.row(cells);
        }
    }
    table.print();
    for peer in missing {
        println!("{} is not installed: run benches/fetch_peers", peer.name());
    }
}
