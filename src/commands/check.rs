//! `trapline check`

use super::{ConfigArg, setup};

/// Reports everything that is wrong; false if anything is.
///
/// # Errors
///
/// None; what is wrong is printed.
pub fn run(args: &ConfigArg) -> anyhow::Result<bool> {
    let setup = match setup::load(args.config.as_deref()) {
        Ok(setup) => setup,
        Err(found) => {
            setup::print(&found);
            return Ok(false);
        }
    };
    setup::print(&setup.found);
    let Some(rules) = &setup.compiled.rules else { return Ok(false) };
    println!(
        "{} rules with {} tests, {} MIB modules, {} hosts, {} sinks: no errors",
        rules.rules().len(),
        setup.compiled.tests.len(),
        setup.mib.modules().len(),
        setup.config.hosts.len(),
        setup.config.sinks.len(),
    );
    Ok(true)
}
