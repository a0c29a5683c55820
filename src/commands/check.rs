//! `trapline check`

use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::HEXLOWER;

use crate::commands::args::ConfigArg;
use crate::config::Config;
use crate::config::loaded::{self as setup, Setup};
use crate::intake::engine_id;
use crate::mib::load::Held;
use crate::rules::hostile;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::settings::input;
use crate::terminal::println;

/// Arguments of `trapline check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Configurations to check, and files or folders of rules, which are checked in the place of those of the configurations
    files: Vec<PathBuf>,
}

/// Reports everything that is wrong; false if anything is.
///
/// # Errors
///
/// None; what is wrong is printed.
pub fn run(args: &CheckArgs) -> anyhow::Result<bool> {
    let (rules, configurations): (Vec<PathBuf>, Vec<PathBuf>) =
        args.files.iter().cloned().partition(|path| has_rules(path));
    let named = args.config.config.clone().into_iter().chain(configurations);
    let mut all: Vec<Option<PathBuf>> = named.map(Some).collect();
    if all.is_empty() {
        all.push(args.config.path());
    }
    // All of them are checked, whatever is wrong in the first.
    let valid: Vec<bool> = all.iter().map(|path| one(path.as_deref(), &rules)).collect();
    Ok(!valid.contains(&false))
}

/// Whether a path leads to rules: a folder, or a file with a `[[rule]]`. Any other is a configuration.
fn has_rules(path: &Path) -> bool {
    let is_rule = |text: &str| text.lines().any(|line| line.trim_start().starts_with("[[rule"));
    path.is_dir() || input::text(path, input::TEXT).is_ok_and(|text| is_rule(&text))
}

fn one(path: Option<&Path>, rules: &[PathBuf]) -> bool {
    let (mut config, found) = match setup::config(path) {
        Ok(loaded) => loaded,
        Err(found) => {
            setup::print(&found);
            return false;
        }
    };
    if !rules.is_empty() {
        config.rule_paths = rules.to_vec();
    }
    let setup = setup::with_config(config, found, &Held::default());
    setup::print(&setup.found);
    let Some(rules) = &setup.compiled.rules else { return false };
    setup::print(&hostile::check(rules, &setup.compiled.places));
    setup::print(&without_effect(&setup, rules.rules().len()));
    println!(
        "{} rules with {} tests, {} MIB modules, {} hosts, {} sinks: no errors",
        rules.rules().len(),
        setup.compiled.tests.len(),
        setup.mibs.mib.modules().len(),
        setup.config.hosts.len(),
        setup.config.sinks.len(),
    );
    say_engine(&setup.config);
    true
}

/// Warns of a configuration that is valid and does nothing.
fn without_effect(setup: &Setup, rules: usize) -> Diagnostics {
    let mut found = Diagnostics::default();
    let file = setup.config.file.as_ref().map_or("configuration".into(), |file| file.display().to_string());
    let mut warn = |message: &str, hint: &str| {
        let (file, message, hint) = (file.clone(), message.to_owned(), Some(hint.to_owned()));
        found.push(Diagnostic { severity: Severity::Warning, file, place: None, message, hint });
    };
    if rules == 0 {
        warn(
            "there are no rules: no message makes an outcome",
            "name rules in [rules] paths, or choose packs",
        );
    }
    if setup.config.sinks.is_empty() {
        warn("there are no sinks: outcomes go nowhere", "add [[sinks]]");
    }
    found
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_rules_or_sinks_is_doubtful() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let (mut config, found) = setup::config(Some(&path)).unwrap();
            config.mib_paths.clear();
            let setup = setup::with_config(config, found, &Held::default());
            let rules = setup.compiled.rules.as_ref().map_or(0, |rules| rules.rules().len());
            without_effect(&setup, rules).to_text().replace(&path.display().to_string(), "t.toml")
        };
        let neither = "[snmp]\nrelays = []\n[journal]\ndirectory = \"j\"\n[rules]\npacks = []\n";
        insta::assert_snapshot!(said(neither));
        let both =
            neither.replace("packs = []", "packs = [\"ups\"]\n[[sinks]]\ntype = \"file\"\npath = \"o\"");
        assert_eq!(said(&both), "");
    }

    #[test]
    fn rules_are_told_from_configurations() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        assert!(has_rules(folder.path()));
        assert!(has_rules(&file("r.toml", "# rules\n  [[rule]]\nid = 'a'\n")));
        assert!(!has_rules(&file("c.toml", "[rules]\npaths = []\n")));
        assert!(!has_rules(&folder.path().join("nowhere.toml")));
    }
}
