//! `trapline check`

use crate::commands::args::ConfigArg;
use crate::config::loaded as setup;
use crate::rules::hostile;
use crate::terminal::println;

/// Reports everything that is wrong; false if anything is.
///
/// # Errors
///
/// None; what is wrong is printed.
pub fn run(args: &ConfigArg) -> anyhow::Result<bool> {
    let Some(setup) = setup::ready(args.config.as_deref()) else { return Ok(false) };
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
    Ok(true)
}
