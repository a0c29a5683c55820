//! The configuration file to a [`Config`].

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeValue;
use zeroize::Zeroizing;

use super::config::Config;
use super::log::{self, LogFormat};
use super::{mutes, ports, sinks};
use crate::capture;
use crate::history;
use crate::intake;
use crate::intake::amqp::settings::Queue;
use crate::intake::follow::settings::Source;
use crate::intake::listener::Listener;
use crate::journal;
use crate::lookup;
use crate::mib::load::modules::system_mibs;
use crate::mib::load::with_own;
use crate::report;
use crate::rules::console::ConsoleRules;
use crate::rules::looks::Looks;
use crate::rules::rule::MAX_MESSAGE;
use crate::rules::settings::max_message;
use crate::rules::shipped::{self, Packs};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText, did_you_mean};
use crate::settings::input;
use crate::settings::section::{self, Section};
use crate::snmp::access::without_relays;
use crate::vitals;
use crate::web;

impl Config {
    /// Reads a configuration file; every mistake in it and in the host files that it names is found at once.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn load(path: &Path) -> Result<(Config, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::default();
        let name = path.display().to_string();
        let Some(text) = text(path, &mut found) else { return Err(found) };
        let source = SourceText { file: &name, text: &text };
        let config = read(&source, path, &mut found);
        match config {
            Some(config) if !found.has_errors() => Ok((config, found)),
            _ => Err(found),
        }
    }
}

/// The journal directory that a configuration file names, even if it is wrong elsewhere; without a file that of the
/// built-in configuration.
///
/// # Errors
///
/// If the file cannot be read, or is no TOML.
pub fn journal_directory(path: Option<&Path>) -> Result<PathBuf, Diagnostics> {
    Ok(directories(path)?.0)
}

/// The directory of the history that a configuration file names, even if it is wrong elsewhere; that of the default if there is
/// no `[history]`.
///
/// # Errors
///
/// If the file cannot be read, or is no TOML.
pub fn history_directory(path: Option<&Path>) -> Result<PathBuf, Diagnostics> {
    Ok(directories(path)?.1)
}

/// Whether a configuration file has `[history]`, even if it is wrong elsewhere.
pub fn has_history(path: Option<&Path>) -> bool {
    let mut ignored = Diagnostics::default();
    let Some(text) = path.and_then(|path| text(path, &mut ignored)) else { return false };
    let source = SourceText { file: "", text: &text };
    section::read(&source, &mut ignored).is_some_and(|root| root.get_ref().contains_key("history"))
}

/// The directories of the journal and of the history.
fn directories(path: Option<&Path>) -> Result<(PathBuf, PathBuf), Diagnostics> {
    let Some(path) = path else {
        let journal = Config::default().journal.directory;
        let history = history::Settings::default_in(&journal).directory;
        return Ok((journal, history));
    };
    let mut found = Diagnostics::default();
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.display().to_string();
    let Some(text) = text(path, &mut found) else { return Err(found) };
    let source = SourceText { file: &name, text: &text };
    let Some(root) = section::read(&source, &mut found) else { return Err(found) };
    let root = Section::new(&source, root.get_ref(), root.span(), "the configuration");
    // Mistakes are the daemon's to report.
    let mut ignored = Diagnostics::default();
    let journal = root.section("journal", &mut ignored);
    let settings = journal.map(|section| journal::Settings::read(section, folder, &mut ignored));
    let journal = settings.unwrap_or_else(|| journal::Settings::default_in(folder)).directory;
    let history = root.section("history", &mut ignored);
    let resolve = |text: &str| folder.join(text);
    let history = history.map(|section| history::Settings::read(section, &journal, &resolve, &mut ignored));
    let history = history.unwrap_or_else(|| history::Settings::default_in(&journal)).directory;
    Ok((journal, history))
}

fn text(path: &Path, found: &mut Diagnostics) -> Option<Zeroizing<String>> {
    match input::text(path, input::TEXT) {
        Ok(text) => Some(text),
        Err(error) => {
            let name = path.display().to_string();
            found.file_error(&name, format!("cannot read the configuration: {error}"), unread(error.kind()));
            None
        }
    }
}

/// What to do about a configuration that cannot be read.
fn unread(why: ErrorKind) -> &'static str {
    match why {
        ErrorKind::PermissionDenied => {
            "run this as root or as the daemon's user (`sudo -u trapline trapline ...`), or as a user in the group that may read the file \
             and enter the folders on the way"
        }
        ErrorKind::NotFound => "name another with --config, or write a first one with `trapline init`",
        ErrorKind::IsADirectory => "name the file in this folder with --config",
        ErrorKind::InvalidData => "save the file as UTF-8",
        _ => "name another with --config",
    }
}

/// The name of this machine.
pub(super) fn node() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

pub(super) fn read(source: &SourceText<'_>, path: &Path, found: &mut Diagnostics) -> Option<Config> {
    let root = section::read(source, found)?;
    let root = Section::new(source, root.get_ref(), root.span(), "the configuration");
    let folder = path.parent().unwrap_or(Path::new(""));
    let resolve = |text: &str| folder.join(text);
    let snmp = root.section("snmp", found).map(|s| intake::settings::snmp(s, &resolve, found));
    if snmp.is_none() {
        found.push(root.follows(&["snmp"], without_relays(source, None)));
    }
    let syslog = root.section("syslog", found);
    let syslog_place = syslog.as_ref().map(|section| source.place_of(&section.span()));
    let syslog = syslog.map(|s| intake::settings::syslog(s, &resolve, found));
    let is = |section: &Section<'_, '_>, kinds: &[&str]| {
        kind_of(section).is_some_and(|kind| kinds.contains(&kind))
    };
    let (queues, others): (Vec<_>, Vec<_>) =
        root.sections("intake", found).into_iter().partition(|section| is(section, &["amqp"]));
    let (followed, posts) = others.into_iter().partition(|section| is(section, &["file", "journald"]));
    let queues = queues_of(queues, &resolve, found);
    let followed = followed_of(followed, &resolve, found);
    let posts = intake::http::settings::read(posts, &resolve, found);
    let storm = root.section("storm", found).map(|s| intake::storm::read(s, found));
    let mut missing = Vec::new();
    let mib_paths = root.section("mibs", found).and_then(|s| paths(s, &resolve, &mut missing, found));
    let is_file_of_rules = |value: &DeValue<'_>| {
        let what = "write [rules], and its keys below it";
        match value {
            DeValue::Array(_) => {
                format!("{what}; rules are [[rule]] in files of their own, which [rules] paths names")
            }
            _ => what.to_owned(),
        }
    };
    let rules = root
        .section_such_as("rules", is_file_of_rules, found)
        .map(|s| rules(s, &resolve, &mut missing, found));
    let rules = rules.unwrap_or(RuleSettings { paths: None, packs: Packs::All, max_message: MAX_MESSAGE });
    let mut absent_hosts = Vec::new();
    let hosts = root.section("hosts", found);
    let hosts = hosts.map(|s| lookup::read::hosts(s, &resolve, &mut absent_hosts, found));
    let lookups = lookup::settings::read(&root, &resolve, found);
    let looks = Looks::new(&lookups);
    let (journal, journal_place) = match root.section("journal", found) {
        Some(section) => {
            let place = source.place_of(&section.span());
            (journal::Settings::read(section, folder, found), Some(place))
        }
        None => (journal::Settings::default_in(folder), None),
    };
    let log = root.section("log", found);
    let log_place = log.as_ref().map(|section| source.place_of(&section.span()));
    let log = log.map_or(LogFormat::Human, |s| log::read(s, found));
    let sinks = sinks::read(source, &root, (&resolve, &looks), found);
    let capture = root.section("capture", found).map(|s| capture::Settings::read(s, found));
    let history = root.section("history", found);
    let history = history.map(|s| history::Settings::read(s, &journal.directory, &resolve, found));
    let written = root.get("sinks").and_then(|sinks| sinks.get_ref().as_array()).map_or(0, |all| all.len());
    // Who names a sink that has a mistake makes none.
    let all_read = written == sinks.len();
    let is_mailer = |name: &str| {
        let sink = sinks.iter().find(|sink| sink.settings.name == name);
        let posts = sink.map(|sink| sink.settings.sink.post().is_some());
        posts.or((!all_read).then_some(true))
    };
    let mailers =
        report::schedule::Mailers { is_mailer: &is_mailer, is_address: crate::sinks::email::is_address };
    let reports = report::schedule::read(&root, history.is_some(), &resolve, mailers, found);
    let mutes = mutes::read(&root, all_read.then_some(&sinks[..]), found);
    let own_service = root.section("self", found).map(|s| vitals::settings::read(s, &node(), found));
    let http =
        root.section("http", found).and_then(|s| web::settings::read(s, &resolve, history.is_some(), found));
    let forward_sections = root.sections("forward", found);
    root.are_elsewhere(
        &["rule"],
        "a rule file: name its folder in [rules] paths; `trapline check FILE` checks files that begin with [[rule]]",
    );
    root.finish(found);
    let (snmp, syslog) = (snmp.unwrap_or_default(), syslog.unwrap_or_default());
    let http_listeners = posts.iter().map(|one| &one.listener);
    let listeners: Vec<&Listener> = snmp.listen.iter().chain(&syslog.listen).chain(http_listeners).collect();
    ports::check(&listeners, http.as_ref(), found);
    let forwards = intake::forward::settings::read(forward_sections, &listeners, found);
    if found.has_errors() {
        absent_hosts.drain(..).for_each(|(_, diagnostic)| found.push(diagnostic));
    }
    Some(Config {
        file: Some(path.to_owned()),
        snmp,
        syslog,
        syslog_place,
        intake: posts,
        queues,
        followed,
        forwards,
        storm,
        mib_paths: with_own(mib_paths.unwrap_or_else(system_mibs), &journal.directory),
        rule_paths: rules.paths.unwrap_or_else(|| default_rules(folder)),
        console: ConsoleRules::In(journal.directory.clone()),
        rule_packs: rules.packs,
        max_message: rules.max_message,
        missing,
        absent_hosts,
        hosts: hosts.unwrap_or_default(),
        lookups,
        looks,
        journal,
        journal_place,
        capture,
        history,
        reports,
        own_service,
        http,
        sinks,
        mutes,
        log,
        log_place,
    })
}

/// The `type` of an `[[intake]]`.
fn kind_of<'s>(section: &'s Section<'_, '_>) -> Option<&'s str> {
    section.get("type").and_then(|kind| kind.get_ref().as_str())
}

fn followed_of(
    sections: Vec<Section<'_, '_>>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Vec<Arc<Source>> {
    sections.into_iter().fold(Vec::new(), |mut all, section| {
        all.extend(intake::follow::settings::read(section, resolve, &all, found).map(Arc::new));
        all
    })
}

fn queues_of(
    sections: Vec<Section<'_, '_>>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Vec<Arc<Queue>> {
    sections.into_iter().fold(Vec::new(), |mut all, section| {
        all.extend(intake::amqp::settings::read(section, resolve, &all, found).map(Arc::new));
        all
    })
}

/// What `[rules]` says.
struct RuleSettings {
    /// None if it does not say.
    paths: Option<Vec<PathBuf>>,
    packs: Packs,
    max_message: usize,
}

fn rules(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    missing: &mut Vec<(PathBuf, Diagnostic)>,
    found: &mut Diagnostics,
) -> RuleSettings {
    let packs = match section.get("packs").map(|value| value.get_ref().as_str()) {
        None => Packs::All,
        Some(Some("all")) => Packs::All,
        Some(Some(_)) => {
            let span = section.key_span("packs");
            let hint = Some("write packs = \"all\", or a list such as [\"if-mib\", \"ups\"]".to_owned());
            found.push(section.source().error(&span, "invalid packs", hint));
            Packs::All
        }
        Some(None) => {
            let names = section.strings("packs", found).unwrap_or_default();
            for name in names.iter().filter(|name| !shipped::names().any(|known| known == name.as_str())) {
                let hint = did_you_mean(name, shipped::names())
                    .unwrap_or_else(|| "`trapline rule list` shows the packs".to_owned());
                let message = format!("unknown pack '{}'", name.value);
                found.push(section.source().error(&name.span, message, Some(hint)));
            }
            Packs::Only(names.into_iter().map(|name| name.value).collect())
        }
    };
    let paths = resolved(&section, resolve, missing, found);
    let max_message = max_message(&section, found);
    section.finish(found);
    RuleSettings { paths, packs, max_message }
}

/// Where rules are if the configuration does not say: the folder `rules` beside it, if there is one.
pub(super) fn default_rules(folder: &Path) -> Vec<PathBuf> {
    let rules = folder.join("rules");
    if rules.is_dir() { vec![rules] } else { Vec::new() }
}

fn paths(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    missing: &mut Vec<(PathBuf, Diagnostic)>,
    found: &mut Diagnostics,
) -> Option<Vec<PathBuf>> {
    let paths = resolved(&section, resolve, missing, found);
    section.finish(found);
    paths
}

/// The entries of `paths`; those that lead nowhere go to `missing` as well.
fn resolved(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    missing: &mut Vec<(PathBuf, Diagnostic)>,
    found: &mut Diagnostics,
) -> Option<Vec<PathBuf>> {
    let entries = section.strings("paths", found)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = resolve(&entry);
        if let Err(error) = std::fs::metadata(&path) {
            let message = format!("cannot read {}: {error}", path.display());
            let hint = Some("correct the path, or create the file or folder".to_owned());
            missing.push((path.clone(), section.source().error(&entry.span, message, hint)));
        }
        paths.push(path);
    }
    Some(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_has_its_own_remedy() {
        for (why, remedy) in [
            (ErrorKind::PermissionDenied, "daemon's user"),
            (ErrorKind::NotFound, "trapline init"),
            (ErrorKind::IsADirectory, "name the file in this folder"),
            (ErrorKind::InvalidData, "UTF-8"),
            (ErrorKind::TimedOut, "name another"),
        ] {
            assert!(unread(why).contains(remedy), "{why}");
            assert_eq!(
                unread(why).contains("--config"),
                !["daemon's user", "UTF-8"].contains(&remedy),
                "{why}"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let said = Config::load(folder.path()).unwrap_err().to_text();
        assert!(said.contains("name the file in this folder"), "{said}");
    }

    #[test]
    fn a_rule_file_in_the_place_of_a_configuration_is_told_where_it_belongs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.toml");
        for head in ["[[rule]]", "[rule]", "[[rules]]"] {
            std::fs::write(&path, format!("{head}\nid = \"a\"\ntrap = \"1.3.6.1\"\ndrop = true\n")).unwrap();
            let said = Config::load(&path).unwrap_err().to_text();
            assert!(said.contains("[rules] paths") && said.contains("[[rule]]"), "{head}: {said}");
            assert!(!said.contains("did you mean"), "{head}: {said}");
            assert_eq!(said.matches(": error: ").count(), 1, "{head}: {said}");
        }
    }
}
