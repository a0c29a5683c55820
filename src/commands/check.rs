//! `trapline check`

use data_encoding::HEXLOWER;

use crate::commands::args::ConfigArg;
use crate::config::Config;
use crate::config::loaded as setup;
use crate::intake::engine_id;
use crate::rules::hostile;
use crate::terminal::println;

/// Reports everything that is wrong; false if anything is.
///
/// # Errors
///
/// None; what is wrong is printed.
pub fn run(args: &ConfigArg) -> anyhow::Result<bool> {
    let Some(setup) = setup::ready(args.path().as_deref()) else { return Ok(false) };
    if let Some(rules) = &setup.compiled.rules {
        setup::print(&hostile::check(rules, &setup.compiled.places));
    }
    let rules = setup.compiled.rules.as_ref().map_or(0, |r| r.rules().len());
    println!(
        "{} rules with {} tests, {} MIB modules, {} hosts, {} sinks: no errors",
        rules,
        setup.compiled.tests.len(),
        setup.mibs.mib.modules().len(),
        setup.config.hosts.len(),
        setup.config.sinks.len(),
    );
    say_engine(&setup.config);
    Ok(true)
}

/// Senders of SNMPv3 informs know the daemon by an id; its form tells whether it is one that everybody takes.
fn say_engine(config: &Config) {
    if config.snmp.users.is_empty() {
        return;
    }
    // A file that cannot be read is for the daemon to say, which refuses to start.
    if let Ok(Some((id, _))) = engine_id::read(&config.journal.directory.join("engine")) {
        println!("SNMPv3 engine id 0x{}: {}", HEXLOWER.encode(&id), engine_id::form(&id));
    }
}
