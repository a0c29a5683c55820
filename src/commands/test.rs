//! `trapline test`

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::commands::against::{self, Against};
use crate::commands::args::ConfigArg;
use crate::commands::junit::{self, Case};
use crate::config::loaded as setup;
use crate::mib::load::Held;
use crate::rules::compile::is_shipped;
use crate::rules::console::ConsoleRules;
use crate::rules::{RuleSet, testing};
use crate::settings::input;
use crate::terminal::{eprintln, print, println};

/// Arguments of `trapline test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Rule files or folders, in the place of those of the configuration
    rules: Vec<PathBuf>,
    /// Print the results as JUnit XML, for CI systems
    #[arg(long)]
    junit: bool,
    /// Instead of running tests, show which outcomes RULES or the edited rules of the configuration would change, for the
    /// messages that the daemon captured in this time, such as 24h, or for those in a file. The exit status is 1 if any differ
    #[arg(long, value_name = "TIME|FILE", conflicts_with = "junit")]
    against: Option<Against>,
    /// With --against: use this file instead of the console rules
    #[arg(long, value_name = "FILE", requires = "against")]
    console_rules: Option<PathBuf>,
    /// With --against: one JSON document
    #[arg(long, requires = "against")]
    json: bool,
}

/// Runs the tests that rules carry; false if one fails or there is none.
///
/// # Errors
///
/// With `--against`: if messages or rules cannot be read. Otherwise what is wrong is printed.
pub fn run(args: &TestArgs) -> anyhow::Result<bool> {
    let (mut config, found) = match setup::config(args.config.path().as_deref()) {
        Ok(loaded) => loaded,
        Err(found) => {
            setup::print(&found);
            return Ok(false);
        }
    };
    if let Some(against) = &args.against {
        if let Some(path) = &args.console_rules {
            let text = input::text(path, input::DATA).with_context(|| path.display().to_string())?;
            config.console = ConsoleRules::Text(config.journal.directory.clone(), text.as_str().into());
        }
        return against::run(against, config, &args.rules, args.json);
    }
    if !args.rules.is_empty() {
        config.rule_paths.clone_from(&args.rules);
    }
    let setup = setup::with_config(config, found, &Held::default());
    setup::print(&setup.found);
    let Some(rules) = &setup.compiled.rules else { return Ok(false) };
    let report = setup::prove(&setup);
    setup::print(&report.found);
    let own: Vec<usize> =
        (0..rules.rules().len()).filter(|at| !is_shipped(&rules.rules()[*at].file)).collect();
    let untested = own.iter().filter(|at| !setup.compiled.tests.iter().any(|t| t.rule == **at)).count();
    if untested > 0 {
        eprintln!("{untested} of {} rules have no test; add [[rule.test]] to them", own.len());
    }
    if args.junit {
        print!("{}", junit::document(&cases(rules, &report)));
    } else {
        println!("{} passed, {} failed", report.passed, report.failed);
    }
    Ok(report.failed == 0)
}

/// The tests by file; each has the name of its rule and its number among the tests of that.
fn cases(rules: &RuleSet, report: &testing::Report) -> Vec<Case> {
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut results: Vec<&testing::TestResult> = report.results.iter().collect();
    // Those with steps ran later. Sorting is stable, and rules of a file stand together.
    results.sort_by_key(|result| result.rule);
    let case = |result: &testing::TestResult| {
        let number = seen.entry(result.rule).or_default();
        *number += 1;
        let rule = &rules.rules()[result.rule];
        Case {
            file: rule.file.to_string(),
            name: format!("{}, test {number}", rule.id),
            failures: result.failures.iter().map(ToString::to_string).collect(),
        }
    };
    results.into_iter().map(case).collect()
}
