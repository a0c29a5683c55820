//! `trapline rule new`: a rule, with its test, from a message that no rule takes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use crate::commands::args::ConfigArg;
use crate::commands::daemon;
use crate::commands::mib::comments;
use crate::commands::rule_file::ChangedFile;
use crate::commands::unmatched;
use crate::config::Config;
use crate::config::loaded as setup;
use crate::daemon::control::Request;
use crate::import::observed::Expected;
use crate::inbox::{Group, Key};
use crate::maker::suggest::{self, Made};
use crate::maker::{Choices, Ground};
use crate::mib::load::Held;
use crate::mib::{Kind, Mib};
use crate::rules::compile::{RuleFile, compile_with};
use crate::rules::{RuleSet, files, testing};
use crate::settings::diagnostic::Diagnostics;
use crate::terminal::{eprint, eprintln, print};
use crate::time::clock::rfc3339;

/// Arguments of `trapline rule new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// A group of `trapline unmatched`, or a notification by name or OID. Default: the group whose last message is the newest
    what: Option<String>,
    /// Also make rules for the notifications that clear the problem or raise it
    #[arg(long)]
    with_pair: bool,
    /// Replace the addresses in the message with documentation addresses (RFC 5737), so that you can share the test
    #[arg(long)]
    example_addresses: bool,
    /// Append to this rule file, check, test and reload; nothing changes if anything is wrong
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl NewArgs {
    /// Whether it does something besides what it prints.
    pub(super) fn changes(&self) -> bool {
        self.write.is_some()
    }
}

/// Proposes a rule; false if it does not pass the check and its test, or cannot be made.
///
/// # Errors
///
/// If the inbox or the rules cannot be read, or the file cannot be written.
pub fn run(args: &NewArgs) -> anyhow::Result<bool> {
    let Ok((config, _)) = setup::config(args.config.path().as_deref()).map_err(|found| setup::print(&found))
    else {
        return Ok(false);
    };
    let (Held { mib, .. }, mib_paths) = setup::mibs(&config, &[]);
    let modules: Vec<&str> = mib.modules().iter().map(AsRef::as_ref).collect();
    let comments = comments(&mib_paths, &modules);
    let maker = Maker { mib: &mib, comments: &comments, config: &config, args };
    let (text, group) = match wanted(&config, &mib, args.what.as_deref())? {
        Wanted::Group(group) => (maker.of_group(&group)?, Some(group)),
        Wanted::Defined(place) => (maker.of_definition(place), None),
    };
    let path = args.write.clone().unwrap_or_else(|| PathBuf::from("new rule"));
    let file = match &args.write {
        Some(path) => {
            belongs_to(&config, path)?;
            Some(ChangedFile::open(path)?)
        }
        None => None,
    };
    let before = file.as_ref().and_then(ChangedFile::before);
    let whole = match before.map(str::trim_end) {
        None | Some("") => text.clone(),
        Some(before) => format!("{before}\n\n{text}"),
    };
    print!("{text}");
    let Some(rules) = checked(&config, &mib, &path, &whole) else {
        eprintln!("trapline: the rule is not in force; change it, or give it another id");
        return Ok(false);
    };
    if let Some(group) = &group {
        show(&rules, &config, group);
    }
    match &file {
        Some(file) => write(args, file, &whole),
        None => {
            eprintln!("to put it in force, save it in a rule file, or add --write FILE");
            Ok(true)
        }
    }
}

/// What a rule is made for.
enum Wanted {
    /// Messages that no rule takes.
    Group(Box<Group>),
    /// A notification, by its place in [`Mib::objects`], of which no message is kept.
    Defined(usize),
}

fn wanted(config: &Config, mib: &Mib, what: Option<&str>) -> anyhow::Result<Wanted> {
    let directory = &config.journal.directory;
    let Some(what) = what else {
        let groups = unmatched::groups(directory)?;
        let newest = groups.into_iter().find(|group| matches!(group.key, Key::Trap(_) | Key::Line { .. }));
        return match newest {
            Some(group) => Ok(Wanted::Group(Box::new(group))),
            None => bail!("no unmatched message is kept; name a notification, such as IF-MIB::linkDown"),
        };
    };
    if let Ok(id) = what.parse() {
        return Ok(Wanted::Group(Box::new(unmatched::group(directory, id)?)));
    }
    let Some(oid) = mib.resolve(what).or_else(|| what.parse().ok()) else {
        bail!(
            "no loaded MIB knows '{}'; `trapline mib find` searches, `trapline unmatched` lists the groups",
            what.escape_debug()
        );
    };
    let key = Key::Trap(oid.to_string());
    if let Some(group) = unmatched::groups(directory).unwrap_or_default().into_iter().find(|g| g.key == key) {
        return Ok(Wanted::Group(Box::new(group)));
    }
    let defined = mib.lookup(&oid).filter(|o| o.kind == Kind::Notification && o.oid == oid);
    match defined.and_then(|object| mib.place(object)) {
        Some(place) => Ok(Wanted::Defined(place)),
        None => bail!(
            "'{}' is no notification of a loaded module, and no message of it is kept; `trapline mib find` searches",
            what.escape_debug()
        ),
    }
}

/// Makes the text of rules.
struct Maker<'r> {
    mib: &'r Arc<Mib>,
    comments: &'r crate::import::mib::Comments,
    config: &'r Config,
    args: &'r NewArgs,
}

impl Maker<'_> {
    fn of_definition(&self, place: usize) -> String {
        let object = &self.mib.objects()[place];
        let all = crate::import::mib::propose(self.mib, &object.module, self.comments);
        let own = all.iter().find(|proposal| proposal.notification.oid == object.oid);
        let Some(own) = own else { return String::new() };
        let mut rules = vec![crate::import::mib::with_example(own, self.mib)];
        if self.args.with_pair {
            let counterparts = own.counterparts.iter();
            let found = counterparts.filter_map(|c| all.iter().find(|p| p.notification.oid == c.oid));
            rules.extend(found.map(|pair| crate::import::mib::with_example(pair, self.mib)));
        }
        rules.join("\n")
    }

    fn of_group(&self, group: &Group) -> anyhow::Result<String> {
        let maker = suggest::Maker { mib: self.mib, comments: self.comments, ground: ground(self.config) };
        let choices = Choices {
            group: group.id,
            with_pair: self.args.with_pair,
            example_addresses: self.args.example_addresses,
            ..Choices::default()
        };
        Ok(maker.suggest(group, &choices)?.toml)
    }
}

/// What is known of senders without the daemon.
fn ground(config: &Config) -> Ground<'_> {
    Ground {
        hosts: &config.hosts,
        access: &config.snmp.access,
        relays: &config.syslog.relays,
        lines: config.lines(),
        tables: None,
        state: None,
        reverse: &|_| None,
    }
}

/// All rules with the new ones, if they pass the check and the tests of their file.
fn checked(config: &Config, mib: &Arc<Mib>, path: &Path, whole: &str) -> Option<RuleSet> {
    let mut found = Diagnostics::default();
    let mut all =
        files::rule_files(&config.rule_paths, Some(&config.console), &config.rule_packs, &mut found);
    let name: Arc<str> = path.display().to_string().into();
    let new = RuleFile { name: name.clone(), text: whole.into() };
    match all.iter_mut().find(|file| is_same(Path::new(&*file.name), path)) {
        Some(file) => *file = new,
        // Before the shipped ones, as rules of the user's are.
        None => all.insert(0, new),
    }
    let name = all.iter().find(|file| is_same(Path::new(&*file.name), path)).map(|file| file.name.clone())?;
    let compiled = compile_with(&all, mib.clone(), &setup::tables(config));
    setup::print(&compiled.found);
    let rules = compiled.rules?;
    let own: Vec<_> = compiled.tests.into_iter().filter(|test| test.file.name == name).collect();
    let report = testing::run(&rules, &own, &config.hosts);
    setup::print(&report.found);
    eprintln!("tests: {} passed, {} failed", report.passed, report.failed);
    (report.failed == 0).then_some(rules)
}

fn is_same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// What the rules make of the messages of a group.
fn show(rules: &RuleSet, config: &Config, group: &Group) {
    let mut text = format!("of the last {} messages it makes:\n", group.samples.len());
    for sample in &group.samples {
        let made = ground(config).with_sample(sample, |context, _| suggest::outcomes(rules, context));
        let Ok((_, made)) = made else { continue };
        let time = rfc3339(sample.received);
        if made.is_empty() {
            let _ = writeln!(text, "  {time} nothing");
        }
        for Made { host, expected: Expected { service, state }, output } in made {
            let service = service.unwrap_or_else(|| "(the host)".to_owned());
            let line = format!("{host} / {service}: {state}: {output}");
            let _ = writeln!(text, "  {time} {}", line.escape_debug());
        }
    }
    eprint!("{text}");
}

/// A file that the configuration reads as rules, now or once it is there.
fn belongs_to(config: &Config, path: &Path) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    let reads =
        config.rule_paths.iter().any(|known| is_same(known, path) || (is_toml && is_same(known, &folder)));
    if !reads {
        bail!(
            "{} is no rule file of the configuration; name a .toml file in one of its folders, [rules] paths",
            path.display()
        );
    }
    Ok(())
}

/// Writes the file, and has the daemon reload. If it refuses, the file is as it was before.
fn write(args: &NewArgs, file: &ChangedFile, whole: &str) -> anyhow::Result<bool> {
    file.replace(whole)?;
    let path = file.path();
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let answer = match daemon::try_ask(&directory, &Request::Reload, None) {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            eprintln!("trapline: wrote {}; no daemon runs, its next start reads it", path.display());
            return Ok(true);
        }
        Err(error) => {
            eprintln!("trapline: wrote {}; the daemon was not asked to reload: {error:#}", path.display());
            return Ok(false);
        }
    };
    if answer["ok"] == true {
        eprintln!("trapline: wrote {}; the daemon has reloaded", path.display());
        return Ok(true);
    }
    file.restore()?;
    eprint!("{}", answer["error"].as_str().unwrap_or_default());
    eprintln!("trapline: not reloaded: {} is as it was before", path.display());
    Ok(false)
}
