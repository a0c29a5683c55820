//! `trapline test`

use std::path::PathBuf;

use clap::Args;

use crate::commands::args::ConfigArg;
use crate::config::loaded as setup;
use crate::mib::load::Held;
use crate::rules::compile::is_shipped;
use crate::rules::testing;
use crate::terminal::{eprintln, println};

/// Arguments of `trapline test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Rule files or folders, in the place of those of the configuration
    rules: Vec<PathBuf>,
}

/// Runs the tests that rules carry; false if one fails or there is none.
///
/// # Errors
///
/// None; what is wrong is printed.
pub fn run(args: &TestArgs) -> anyhow::Result<bool> {
    let (mut config, found) = match setup::config(args.config.path().as_deref()) {
        Ok(loaded) => loaded,
        Err(found) => {
            setup::print(&found);
            return Ok(false);
        }
    };
    if !args.rules.is_empty() {
        config.rule_paths.clone_from(&args.rules);
    }
    let setup = setup::with_config(config, found, &Held::default());
    setup::print(&setup.found);
    let Some(rules) = &setup.compiled.rules else { return Ok(false) };
    let report = testing::run(rules, &setup.compiled.tests, &setup.config.hosts);
    setup::print(&report.found);
    let own: Vec<usize> =
        (0..rules.rules().len()).filter(|at| !is_shipped(&rules.rules()[*at].file)).collect();
    let untested = own.iter().filter(|at| !setup.compiled.tests.iter().any(|t| t.rule == **at)).count();
    if untested > 0 {
        eprintln!("{untested} of {} rules have no test; add [[rule.test]] to them", own.len());
    }
    println!("{} passed, {} failed", report.passed, report.failed);
    Ok(report.failed == 0)
}
