//! `trapline check`

use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::commands::args::ConfigArg;
use crate::commands::{doctor, greet};
use crate::config::Config;
use crate::config::loaded::{self as setup, Setup};
use crate::engine_id;
use crate::mib::load::Held;
use crate::rules::compile::is_shipped;
use crate::rules::hostile;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::settings::input;
use crate::snmp::access;
use crate::terminal::println;

/// Arguments of `trapline check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Configurations to check, and files or folders of rules, which replace the rules of the configurations
    files: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Check only files: skip ports, the journal directory, sinks and the logins to their servers
    #[arg(long)]
    offline: bool,
}

/// Reports everything that is wrong; false if anything is.
///
/// # Errors
///
/// None; what is wrong is printed.
pub fn run(args: &CheckArgs) -> anyhow::Result<bool> {
    let (rules, configurations): (Vec<PathBuf>, Vec<PathBuf>) =
        args.files.iter().cloned().partition(|path| has_rules(path));
    let all = args.config.paths(configurations);
    // All of them are checked, whatever is wrong in the first.
    let checked: Vec<Checked> = all.iter().map(|path| one(path.as_deref(), &rules, args.offline)).collect();
    let valid = checked.iter().all(|one| one.summary.is_some());
    if args.json {
        let all: Vec<Value> = checked.iter().map(Checked::to_json).collect();
        println!("{}", json!({ "ok": valid, "configurations": all }));
    } else {
        checked.iter().for_each(Checked::print);
    }
    Ok(valid)
}

/// A configuration that was checked.
struct Checked {
    /// None for the built-in one.
    file: Option<PathBuf>,
    /// What was found, in the order of the checks.
    found: Vec<Diagnostics>,
    /// What it has; none if it has errors.
    summary: Option<Summary>,
}

struct Summary {
    rules: usize,
    /// How many rules are not shipped ones.
    own: usize,
    /// Of own rules, where there are any.
    tests: usize,
    modules: usize,
    hosts: usize,
    sinks: usize,
    engine: Option<(String, String)>,
}

impl Checked {
    fn print(&self) {
        self.found.iter().for_each(setup::print);
        let Some(summary) = &self.summary else { return };
        println!("{}: no errors", summary.text());
        if let Some((id, form)) = &summary.engine {
            println!("SNMPv3 engine id {id}: {form}");
        }
    }

    fn to_json(&self) -> Value {
        let mut found = Diagnostics::default();
        self.found.iter().for_each(|one| found.extend(one.clone()));
        let mut all = json!({ "file": self.file, "ok": self.summary.is_some(), "found": found.to_json() });
        if let Some(summary) = &self.summary {
            all["rules"] = summary.rules.into();
            all["own_rules"] = summary.own.into();
            all["tests"] = summary.tests.into();
            all["mib_modules"] = summary.modules.into();
            all["hosts"] = summary.hosts.into();
            all["sinks"] = summary.sinks.into();
        }
        all
    }
}

impl Summary {
    /// The tests of shipped rules do not count beside own rules, which may take what those are tested with.
    fn text(&self) -> String {
        let Summary { rules, own, tests, modules, hosts, sinks, .. } = self;
        let rules = if *own == 0 || own == rules {
            format!("{rules} rules with {tests} tests")
        } else {
            format!("{rules} rules, {own} of them your own with {tests} tests")
        };
        format!("{rules}, {modules} MIB modules, {hosts} hosts, {sinks} sinks")
    }
}

/// Whether a path leads to rules: a folder, or a file with a `[[rule]]`, even one that is written with one bracket or as `[[rules]]`. Any
/// other is a configuration.
fn has_rules(path: &Path) -> bool {
    let begins = |line: &str| ["[[rule", "[rule]", "[rule."].iter().any(|head| line.starts_with(head));
    let is_rule = |text: &str| text.lines().any(|line| begins(line.trim_start()));
    // What a pipe gives is gone once it is read: it is a configuration.
    path.is_dir() || (path.is_file() && input::text(path, input::TEXT).is_ok_and(|text| is_rule(&text)))
}

fn one(path: Option<&Path>, rules: &[PathBuf], offline: bool) -> Checked {
    let mut checked = Checked { file: path.map(Path::to_owned), found: Vec::new(), summary: None };
    let (mut config, found) = match setup::config(path) {
        Ok(loaded) => loaded,
        Err(found) => {
            checked.found.push(found);
            return checked;
        }
    };
    if !rules.is_empty() {
        config.rule_paths = rules.to_vec();
    }
    let setup = setup::with_config(config, found, &Held::default());
    let mut first = broken_as_errors(&setup);
    first.extend(believes_all(&setup.config));
    checked.found.push(first);
    if !setup.broken.is_empty() {
        return checked;
    }
    let Some(rules) = &setup.compiled.rules else { return checked };
    checked.found.push(hostile::check(rules, &setup.compiled.places));
    checked.found.push(without_effect(&setup, rules.rules().len()));
    if !offline {
        checked.found.push(doctor::obstacles(&setup.config));
        checked.found.push(queues(&setup.config));
    }
    checked.summary = Some(Summary {
        rules: rules.rules().len(),
        own: rules.rules().iter().filter(|rule| !is_shipped(&rule.file)).count(),
        tests: setup.compiled.tests.len(),
        modules: setup.mibs.mib.modules().len(),
        hosts: setup.config.hosts.len(),
        sinks: setup.config.sinks.len(),
        engine: engine(&setup.config),
    });
    checked
}

/// What was found, with what is wrong with tables as errors, although the daemon goes on with what it had.
fn broken_as_errors(setup: &Setup) -> Diagnostics {
    let mut found = setup.broken.clone();
    let known = setup.broken.clone().sorted();
    let same =
        |one: &Diagnostic| known.iter().any(|other| other.file == one.file && other.message == one.message);
    setup.found.clone().sorted().into_iter().filter(|one| !same(one)).for_each(|one| found.push(one));
    found
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

/// Warns of queues that cannot be read now: the daemon starts all the same.
fn queues(config: &Config) -> Diagnostics {
    let mut found = Diagnostics::default();
    let file = config.file.as_ref().map_or("configuration".into(), |file| file.display().to_string());
    for (queue, wrong) in config.queues.iter().zip(greet::queues(&config.queues)) {
        let Some(wrong) = wrong else { continue };
        let message =
            format!("the queue '{}' of {} cannot be read now: {wrong}", queue.queue, queue.broker());
        let hint = Some("see whether the broker runs, and user, password and vhost of url".to_owned());
        found.push(Diagnostic {
            severity: Severity::Warning,
            file: file.clone(),
            place: None,
            message,
            hint,
        });
    }
    found
}

/// Warns if every sender of syslog may name any host.
fn believes_all(config: &Config) -> Diagnostics {
    let mut found = Diagnostics::default();
    let open = config.syslog.listen.iter().any(|one| one.transport.address().is_some());
    if let (true, true, Some(file)) = (config.syslog.relays.are_all(), open, &config.file) {
        let place = config.syslog_place.as_ref().map(|place| (place.line, place.column));
        let what = "every sender may name another host in its lines";
        found.push(access::believes_all("syslog", what, &file.display().to_string(), place));
    }
    found
}

/// The id by which senders of SNMPv3 informs know the daemon, and its form, which tells whether it is one that everybody
/// takes.
fn engine(config: &Config) -> Option<(String, String)> {
    if config.snmp.users.is_empty() {
        return None;
    }
    // A file that cannot be read is for the daemon to say, which refuses to start.
    let (id, _) = engine_id::read(&config.journal.directory.join("engine")).ok().flatten()?;
    Some((format!("0x{}", HEXLOWER.encode(&id)), engine_id::form(&id)))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod mistakes;

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
    fn senders_that_may_name_any_host_are_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        for (text, warns) in [
            ("", true),
            ("[syslog]\nrelays = []", false),
            ("[syslog]\nrelays = [\"192.0.2.10\"]", false),
            ("[syslog]\nlisten = [\"unix:///run/log\"]", false),
            ("[syslog]\nlisten = []", false),
        ] {
            std::fs::write(&path, format!("{text}\n[snmp]\nrelays = []\n[journal]\ndirectory = \"j\"\n"))
                .unwrap();
            let (config, _) = setup::config(Some(&path)).unwrap();
            assert_eq!(believes_all(&config).to_text().contains("relays = []"), warns, "{text}");
        }
    }

    /// The same of both sections: nobody sends to a section without listeners, and one that is not written has no place.
    #[test]
    fn a_section_that_believes_all_is_told_of_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        for section in ["snmp", "syslog"] {
            let other = if section == "snmp" { "syslog" } else { "snmp" };
            for (text, said) in [
                (String::new(), Some(format!("t.toml: warning: there is no [{section}], and without"))),
                (
                    format!("[{section}]\n"),
                    Some(format!("t.toml:3:2: warning: without 'relays' in [{section}], ")),
                ),
                (format!("[{section}]\nlisten = []\n"), None),
                (format!("[{section}]\nrelays = []\n"), None),
            ] {
                std::fs::write(
                    &path,
                    format!("[{other}]\nrelays = []\n{text}[journal]\ndirectory = \"j\"\n"),
                )
                .unwrap();
                let (config, mut found) = setup::config(Some(&path)).unwrap();
                found.extend(believes_all(&config));
                let all = found.to_text();
                let warnings: Vec<&str> = all.lines().filter(|line| line.contains("'relays'")).collect();
                assert_eq!(warnings.len(), usize::from(said.is_some()), "{section} {text}: {all}");
                assert!(said.is_none_or(|said| warnings[0].contains(&said)), "{section} {text}: {all}");
            }
        }
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
        assert!(has_rules(&file("one.toml", "[rule]\nid = 'a'\n")));
        assert!(has_rules(&file("below.toml", "[rule.check]\nservice = 'a'\n")));
        assert!(has_rules(&file("many.toml", "[[rules]]\nid = 'a'\n")));
        assert!(!has_rules(&file("c.toml", "[rules]\npaths = []\n")));
        assert!(!has_rules(&folder.path().join("nowhere.toml")));
        // A pipe is not read here: its reader comes later.
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"[[rule]]\n").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        assert!(!has_rules(Path::new(&path)));
        assert_eq!(*input::text(Path::new(&path), 100).unwrap(), "[[rule]]\n");
    }
}
