//! What most commands begin with: configuration, MIBs and rules, loaded and checked together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Config;
use super::file;
use super::sinks::SinkSection;
use crate::correlate::steps;
use crate::intake::Active;
use crate::intake::forward::settings::Kinds;
use crate::intake::http::site::Sites;
use crate::lookup::hosts::Hosts;
use crate::lookup::load;
use crate::lookup::tables::Tables;
use crate::mib::load::modules::system_mibs;
use crate::mib::load::{self as mib, Held, with_own};
use crate::outcome::record::Record;
use crate::rules::RuleSet;
use crate::rules::compile::{Compiled, RuleFile, compile_with, is_shipped};
use crate::rules::doubts;
use crate::rules::files;
use crate::rules::testing::{self, Report};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, did_you_mean};
use crate::settings::input;
use crate::sinks::settings::SinkConfig;
use crate::snmp::Usm;
use crate::snmp::access::TagUse;
use crate::snmp::usm::Memory;
use crate::terminal::{eprint, eprintln};

/// The most warnings about MIB modules that are printed one by one.
const MOST_OF_MODULES: usize = 5;

/// Everything that the files say, and what is wrong in them.
#[derive(Debug)]
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The rule files, as they were read.
    pub files: Arc<[RuleFile]>,
    /// The names.
    pub mibs: Held,
    /// The rules and their tests.
    pub compiled: Compiled,
    /// What was found; no rules are there if it has errors.
    pub found: Diagnostics,
    /// What is wrong with tables whose last good version is used in their place. `found` has it as warnings.
    pub broken: Diagnostics,
    /// The hosts without those of tables, which `config` has as well.
    pub own_hosts: Arc<Hosts>,
}

/// The configuration of a file, or the built-in one.
///
/// # Errors
///
/// What is wrong in it.
pub fn config(path: Option<&Path>) -> Result<(Config, Diagnostics), Diagnostics> {
    match path {
        Some(path) => Config::load(path),
        None => {
            let (mib_paths, rule_paths) = (system_mibs(), file::default_rules(Path::new("")));
            let mut config = Config { rule_paths, ..Config::default() };
            config.mib_paths = with_own(mib_paths, &config.journal.directory);
            Ok((config, Diagnostics::default()))
        }
    }
}

/// Loads a configuration and all that it names; of the MIBs what is held stays where nothing has changed.
///
/// # Errors
///
/// What is wrong, if the configuration itself is.
pub fn load(path: Option<&Path>, held: &Held) -> Result<Setup, Diagnostics> {
    let (config, found) = config(path)?;
    Ok(with_config(config, found, held))
}

/// Loads a configuration and all that it names, and prints what was found; none if anything is wrong.
pub fn ready(path: Option<&Path>) -> Option<Setup> {
    let setup = load(path, &Held::default()).map_err(|found| print(&found)).ok()?;
    print(&setup.found);
    setup.compiled.rules.is_some().then_some(setup)
}

/// The tables of a configuration, without a word about what is wrong with them.
pub fn tables(config: &Config) -> Arc<Tables> {
    Arc::new(load::begin(&config.lookups, &config.journal.directory).tables)
}

/// Where the index of the MIBs is kept.
pub fn mib_index(config: &Config) -> PathBuf {
    config.journal.directory.join("mibs.index")
}

/// Says something where it is heard: the daemon has a log, the others a terminal.
pub fn say(what: String) {
    if tracing::dispatcher::has_been_set() {
        tracing::info!("{what}");
    } else {
        eprintln!("trapline: {what}");
    }
}

/// The modules of a configuration and more, through its index where that can be kept.
pub fn mibs(config: &Config, more: &[PathBuf]) -> (Held, Vec<PathBuf>) {
    let paths: Vec<PathBuf> = config.mib_paths.iter().chain(more).cloned().collect();
    // With others the index is another one, and not to be kept in the place of the daemon's.
    let index = Some(mib_index(config)).filter(|_| more.is_empty() && config.journal.directory.is_dir());
    (mib::cache::load(&paths, index.as_deref(), &Held::default(), &say).0, paths)
}

/// Loads all that a configuration names; of the MIBs what is held stays where nothing has changed.
pub fn with_config(mut config: Config, mut found: Diagnostics, held: &Held) -> Setup {
    let nowhere = config.missing.iter().chain(&config.absent_hosts);
    nowhere.for_each(|(_, diagnostic)| found.push(diagnostic.clone()));
    let is_there = |path: &&PathBuf| !config.missing.iter().any(|(missing, _)| missing == *path);
    let there = |paths: &[PathBuf]| paths.iter().filter(is_there).cloned().collect::<Vec<_>>();
    let files =
        files::rule_files(&there(&config.rule_paths), Some(&config.console), &config.rule_packs, &mut found);
    let (mut mibs, _) = mib::cache::load(&there(&config.mib_paths), Some(&mib_index(&config)), held, &say);
    // Rules need names and types only.
    if let Some(mib) = Arc::get_mut(&mut mibs.mib) {
        mib.forget_texts();
    }
    found.extend(of_modules(&mibs.found));
    let begun = load::begin(&config.lookups, &config.journal.directory);
    found.extend(begun.found);
    let (mut tables, mut broken) = (Arc::new(begun.tables), begun.broken);
    let mut compiled = compile_with(&files, mibs.mib.clone(), &tables);
    let lacking = lacking(&config, &compiled, &tables);
    if let Some(other) = load::with_copies(&tables, &lacking, &config.journal.directory, &mut broken) {
        tables = Arc::new(other);
        compiled = compile_with(&files, mibs.mib.clone(), &tables);
    }
    found.extend(as_warnings(&broken));
    config.looks.set(&tables);
    for (table, column) in config.looks.missing(&tables) {
        let file = config.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
        let message =
            format!("a sink looks into the column '{column}' of the table '{table}', which has none");
        found.file_error(&file, message, "write the name of one of its columns");
    }
    found.extend(config.hosts.check_tables(&tables));
    let own_hosts = Arc::new(config.hosts.clone());
    if !config.hosts.from.is_empty() {
        config.hosts = own_hosts.with_tables(&tables);
    }
    // A test runs against all rules. Where the user has rules, these may take what a shipped rule is tested with.
    if files.iter().any(|file| !is_shipped(&file.name)) {
        compiled.tests.retain(|test| !is_shipped(&test.file.name));
    }
    found.extend(std::mem::take(&mut compiled.found));
    if let Some(rules) = &mut compiled.rules {
        rules.max_message = config.max_message;
        unknown_tags(&config, rules, &mut found);
        found.extend(networks(&config));
        found.extend(doubts::unreachable(rules, &files));
        found.extend(doubts::types_as_programs(rules, &files));
        found.extend(doubts::ended_by_others(rules, &files, false));
        found.extend(doubts::outside(rules, config.syslog.allow.as_deref(), &files));
        let sets = |name: &str| {
            let sets = |sink: &&SinkSection| sink.settings.sink.sets().contains(&name);
            config.sinks.iter().find(sets).map(|sink| sink.settings.name.clone())
        };
        found.extend(doubts::own_fields(rules, &compiled.places, sets));
        found.extend(doubts::names(rules, &compiled.places, |record| refusal(&config.sinks, record)));
    }
    if found.has_errors() {
        compiled.rules = None;
    }
    Setup { config, files: files.into(), mibs, compiled, found, broken, own_hosts }
}

/// The columns that rules, sinks and hosts use and that tables do not have, by the places of the tables.
fn lacking(config: &Config, compiled: &Compiled, tables: &Tables) -> Vec<(usize, Box<str>)> {
    let of_sinks = config.looks.missing(tables).into_iter();
    let of_sinks = of_sinks.filter_map(|(table, column)| Some((tables.place(&table)?, column)));
    let of_hosts = config.hosts.from.iter().filter_map(|from| {
        let place = tables.place(&from.table)?;
        Some((place, from.lacks(tables.at(place)?)?.into()))
    });
    compiled.lacking.iter().cloned().chain(of_sinks).chain(of_hosts).collect()
}

/// Runs the tests of all rule files.
pub fn prove(setup: &Setup) -> Report {
    let Some(rules) = &setup.compiled.rules else { return Report::default() };
    let (tests, hosts) = (&setup.compiled.tests, &setup.config.hosts);
    let mut report = testing::run(rules, tests, hosts);
    let timed = steps::run(rules, tests, hosts, &|file, name| reloaded(setup, file, name));
    report.passed += timed.passed;
    report.failed += timed.failed;
    report.found.extend(timed.found);
    report.results.extend(timed.results);
    report
}

/// The rules after `file` was replaced by one that a test names, relative to `file`.
fn reloaded(setup: &Setup, file: &RuleFile, name: &str) -> Result<RuleSet, String> {
    let folder = Path::new(&*file.name).parent().unwrap_or(Path::new(""));
    let path = folder.join(name);
    let text = input::text(&path, input::TEXT)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let rules = setup.compiled.rules.as_ref().ok_or("the rules have mistakes")?;
    steps::replaced(&setup.files, file, &text, rules)
}

/// What is wrong with tables, as warnings: versions from before are used in their place.
fn as_warnings(broken: &Diagnostics) -> Diagnostics {
    let mut found = Diagnostics::default();
    for diagnostic in broken.clone().sorted() {
        let hint = diagnostic.hint.as_ref().map_or_else(String::new, |hint| format!("{hint}; "));
        let hint = Some(format!("{hint}the last good version is used"));
        found.push(Diagnostic { severity: Severity::Warning, hint, ..diagnostic });
    }
    found
}

/// What was found in MIB modules, with warnings of modules in folders as one: vendors' modules have thousands, in which
/// the user's own mistakes would drown.
fn of_modules(found: &Diagnostics) -> Diagnostics {
    let (warnings, mut rest): (Vec<_>, Vec<_>) =
        found.clone().sorted().into_iter().partition(|d| d.severity == Severity::Warning);
    let mut all = Diagnostics::default();
    if warnings.len() > MOST_OF_MODULES {
        let files: BTreeSet<&str> = warnings.iter().map(|warning| warning.file.as_str()).collect();
        all.push(Diagnostic {
            severity: Severity::Warning,
            file: "mibs".to_owned(),
            place: None,
            message: format!("{} things in {} MIB modules could not be read", warnings.len(), files.len()),
            hint: Some("`trapline mib load` lists them".to_owned()),
        });
    } else {
        rest.extend(warnings);
    }
    for diagnostic in rest {
        all.push(diagnostic);
    }
    all
}

/// Warns of tags that access speaks of and no rule has.
fn unknown_tags(config: &Config, rules: &RuleSet, found: &mut Diagnostics) {
    let known: BTreeSet<&str> =
        rules.rules().iter().flat_map(|rule| rule.tags.iter().map(String::as_str)).collect();
    for TagUse { tag, warning } in &config.snmp.tags {
        if !known.contains(tag.as_str()) {
            let hint = did_you_mean(tag, known.iter().copied())
                .unwrap_or_else(|| "give it to the rules that are meant: tags = [...]".to_owned());
            found.push(Diagnostic { hint: Some(hint), ..warning.clone() });
        }
    }
}

/// Warns of networks in `[snmp]` from which `allow` lets nothing in.
fn networks(config: &Config) -> Diagnostics {
    let mut found = Diagnostics::default();
    let access = &config.snmp.access;
    // An empty list has a warning of its own.
    let Some(allow) = access.allow.as_ref().filter(|allow| !allow.is_empty()) else { return found };
    let grants = access.grants.iter().flat_map(|grant| grant.from.iter().flatten());
    let named = grants.map(|net| ("[[snmp.access]] from", net));
    let relays = access.relays.iter().flatten().map(|net| ("[snmp] relays", net));
    for (key, net) in named.chain(relays).filter(|(_, net)| !doubts::meets(allow, net)) {
        found.push(Diagnostic {
            severity: Severity::Warning,
            file: config.file.as_ref().map_or_else(String::new, |file| file.display().to_string()),
            place: None,
            message: format!("{key}: nothing comes from {net}, which [snmp] 'allow' does not let in"),
            hint: Some("correct the network, or add it to 'allow'".to_owned()),
        });
    }
    found
}

/// The first sink that makes a dead letter of an outcome, and its reason.
fn refusal(sinks: &[SinkSection], record: &Record<'_>) -> Option<(String, String)> {
    sinks.iter().find_map(|sink| {
        let SinkConfig { name, only, sink, .. } = &sink.settings;
        only.as_ref().is_none_or(|only| only.takes(record)).then_some(())?;
        Some((name.clone(), sink.pieces(record)?.err()?.to_string()))
    })
}

/// Prints what was found to standard error.
pub fn print(found: &Diagnostics) {
    eprint!("{}", found.to_text());
}

impl Setup {
    /// The security of v3 for the configured users; none if there are none.
    pub fn usm(&self, memory: &Arc<Memory>) -> Option<Usm> {
        let users = &self.config.snmp.users;
        (!users.is_empty()).then(|| Usm::new(users.clone(), memory.clone()))
    }

    /// What the listeners need; none if something is wrong.
    pub fn into_active(mut self, memory: &Arc<Memory>) -> Option<Active> {
        let mut hosts = std::mem::take(&mut self.config.hosts);
        hosts.machine = file::node().into();
        let mut own_hosts = (*self.own_hosts).clone();
        own_hosts.machine.clone_from(&hosts.machine);
        let keeps = |section: &SinkSection| section.settings.sink.wants_originals();
        Some(Active {
            keeps_originals: self.config.sinks.iter().any(keeps),
            engine: memory.engine().id.clone(),
            usm: self.usm(memory).map(Arc::new),
            rules: self.compiled.rules?,
            hosts: Arc::new(hosts),
            own_hosts: Arc::new(own_hosts),
            looks: self.config.looks,
            access: self.config.snmp.access,
            syslog_allow: self.config.syslog.allow,
            zones: self.config.syslog.zones,
            syslog_relays: self.config.syslog.relays,
            lines: self.config.syslog.lines,
            tls: self.config.syslog.tls,
            http: Sites(
                self.config.intake.into_iter().map(|one| (one.listener.transport, one.site)).collect(),
            ),
            queues: self.config.queues,
            followed: self.config.followed,
            forwarded: Kinds::of(&self.config.forwards),
            forwards: self.config.forwards,
            storm: self.config.storm,
            mutes: self.config.mutes,
        })
    }
}
