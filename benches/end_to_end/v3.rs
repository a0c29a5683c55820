//! What a trap of SNMPv3 costs on top of one of v2c with the same content.

use crate::Run;
use crate::daemon::{Daemon, SNMP, Setup};
use crate::measure::{Cost, by_turns, cost};
use crate::rates::figures;
use crate::sender::{Load, Message};
use crate::table::{Table, cell, median};

/// Traps a second: the sender encrypts each.
const RATE: u64 = 50_000;
pub const VARBINDS: [&str; 4] =
    ["ifIndex.3=3", "ifAdminStatus.3=up", "ifOperStatus.3=down", "ifDescr.3=GigabitEthernet0/3"];
const SECURITY: [&str; 10] = [
    "--user",
    "ops",
    "--auth",
    "SHA-256",
    "--auth-password",
    "auth-password",
    "--priv",
    "AES-128",
    "--priv-password",
    "priv-password",
];

pub fn run(run: &Run) {
    run.title("SNMPv3 authPriv (SHA-256, AES-128) on top of v2c, 50,000 traps a second", "v3");
    let count = RATE * run.seconds;
    // The built binary sends to both, so that both get the same.
    let load = |secured: bool| {
        let to = format!("127.0.0.1:{SNMP}");
        let mut args = vec!["trap", "--to", &to, "IF-MIB::linkDown"];
        args.extend(VARBINDS);
        if secured {
            args.extend(SECURITY);
        }
        Load::trapline(&run.built().path, &args, Some(RATE), count)
    };
    let results = by_turns(2 * run.programs.len(), run.rounds, |n| {
        let daemon = Daemon::start(&run.programs[n / 2], &Setup::default());
        cost(&daemon, Message::Trap, &load(n % 2 == 1))
    });
    let mut table =
        Table::new(&["binary", "version"], &["sent/s", "late p99 us", "lost", "CPU us each", "more us"]);
    for (n, all) in results.iter().enumerate() {
        let more = match n % 2 {
            0 => f64::NAN,
            _ => {
                let open: &[Cost] = &results[n - 1];
                median(all.iter().zip(open).map(|(secured, open)| secured.each() - open.each()))
            }
        };
        let version = if n % 2 == 0 { "v2c" } else { "v3 authPriv" };
        let mut cells = vec![run.programs[n / 2].name.clone(), version.to_owned()];
        cells.extend(figures(all));
        cells.push(cell(more, 2));
        table.row(cells);
    }
    table.print();
}
