//! `trapline unmatched`: the messages that no rule takes, by kind.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::commands::args::{ConfigArg, ListArgs, listed};
use crate::commands::daemon::{self, PATIENCE};
use crate::commands::decoded::print_message;
use crate::config::{Config, loaded};
use crate::daemon::control::Request;
use crate::inbox::{Group, Key, store};
use crate::intake::line::Reading;
use crate::maker::groups::{message, summary, what, with_messages};
use crate::mib::Mib;
use crate::terminal::{println, say};
use crate::time::clock::rfc3339;

/// How many senders a line of the list names.
const SENDERS: usize = 3;

/// How much a line of the list shows of the values of a notification, in bytes.
const VALUES: usize = 100;

/// Arguments of `trapline unmatched`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct UnmatchedArgs {
    #[command(flatten)]
    list: ListArgs,
    #[command(subcommand)]
    what: Option<What>,
}

impl UnmatchedArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        matches!(self.what, Some(What::Forget(_)))
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show a group: its senders and its last messages, decoded
    Show(ShowArgs),
    /// Forget groups
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    list: ListArgs,
    /// The number of the group, as the list has it
    #[arg(value_parser = listed("a group", "trapline unmatched"))]
    group: u64,
}

#[derive(Debug, Args)]
struct ForgetArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The numbers of the groups from the list
    #[arg(required_unless_present = "all", value_parser = listed("a group", "trapline unmatched"))]
    groups: Vec<u64>,
    /// All groups
    #[arg(long, conflicts_with = "groups")]
    all: bool,
}

/// Lists, shows or forgets; false if the configuration is wrong or there is nothing to show or to forget.
///
/// # Errors
///
/// If the daemon does not answer, or the inbox cannot be read.
pub fn run(args: &UnmatchedArgs) -> anyhow::Result<bool> {
    match &args.what {
        None => list(&args.list),
        Some(What::Show(args)) => show(args),
        Some(What::Forget(args)) => forget(args),
    }
}

/// The groups of the daemon that runs, or of the last one that ran.
///
/// # Errors
///
/// If the daemon does not answer, or the inbox cannot be read.
pub fn groups(directory: &Path) -> anyhow::Result<Vec<Group>> {
    match daemon::try_ask(directory, &Request::Unmatched, Some(PATIENCE))? {
        Some(mut answer) => {
            serde_json::from_value(answer["groups"].take()).context("the daemon gave no list; restart it")
        }
        None => {
            let file = || format!("cannot read {}", directory.join(store::FILE).display());
            let mut groups = store::read(directory).with_context(file)?;
            groups.sort_by_key(|group| std::cmp::Reverse(group.age_rank()));
            Ok(groups)
        }
    }
}

/// The group of this number.
///
/// # Errors
///
/// If there is none, or as [`groups`].
pub fn group(directory: &Path, id: u64) -> anyhow::Result<Group> {
    match groups(directory)?.into_iter().find(|group| group.id == id) {
        Some(group) => Ok(group),
        None => bail!("there is no group {id}; `trapline unmatched` lists the groups"),
    }
}

fn list(args: &ListArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let groups = groups(&directory)?;
    let (mib, config) = names(args);
    if args.json {
        let groups: Vec<Value> = groups.iter().map(|group| summary(group, &mib)).collect();
        println!("{}", json!({ "groups": groups }));
        return Ok(true);
    }
    if groups.is_empty() {
        println!("no unmatched message");
        return Ok(true);
    }
    println!("{:>5}{:>10}  {:<21}{:<21}{:<32}what", "group", "count", "first", "last", "from");
    for group in &groups {
        say!(
            "{:>5}{:>10}  {:<21}{:<21}{:<32}{}{}",
            group.id,
            group.count,
            seconds(group.first),
            seconds(group.last),
            senders(group),
            what(group, &mib),
            values(group, &config.lines(), &mib),
        );
    }
    println!(
        "\n`trapline unmatched show GROUP` shows its messages, `trapline explain --unmatched GROUP` why no rule takes them"
    );
    Ok(true)
}

/// What the last notification of a group carries; the last line is what its group is named by.
fn values(group: &Group, lines: &Reading<'_>, mib: &Mib) -> String {
    let (Key::Trap(_), Some(sample)) = (&group.key, group.samples.back()) else { return String::new() };
    let last = message(sample, lines, mib);
    let varbinds = last["varbinds"].as_array().into_iter().flatten();
    let texts: Vec<&str> = varbinds.filter_map(|varbind| varbind["text"].as_str()).collect();
    let texts = texts.join(", ");
    let shown = &texts[..texts.floor_char_boundary(VALUES)];
    if shown.is_empty() { String::new() } else { format!(": {}", shown.escape_debug()) }
}

/// The names of OIDs, and the configuration, which says how lines are read; the shipped names and the defaults if it is wrong, as the
/// list is useful then too.
fn names(args: &ListArgs) -> (Arc<Mib>, Config) {
    let config = loaded::config(args.config.path().as_deref()).map(|(config, _)| config).unwrap_or_default();
    (loaded::mibs(&config, &[]).0.mib, config)
}

fn seconds(micros: i64) -> String {
    rfc3339(micros / 1_000_000 * 1_000_000)
}

fn senders(group: &Group) -> String {
    let mut senders: Vec<_> = group.senders.iter().collect();
    senders.sort_by_key(|(address, count)| (std::cmp::Reverse(**count), **address));
    let named: Vec<String> = senders.iter().take(SENDERS).map(|(address, _)| address.to_string()).collect();
    let more = senders.len().saturating_sub(SENDERS);
    match (more, group.other_senders) {
        (0, 0) => named.join(", "),
        (more, 0) => format!("{} and {more} more", named.join(", ")),
        _ => format!("{} and many more", named.join(", ")),
    }
}

fn show(args: &ShowArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.list.config) else { return Ok(false) };
    let group = group(&directory, args.group)?;
    let (mib, config) = names(&args.list);
    let lines = config.lines();
    if args.list.json {
        println!("{:#}", with_messages(&group, &lines, &mib));
        return Ok(true);
    }
    say!("{}", what(&group, &mib));
    println!("{} messages from {} to {}", group.count, seconds(group.first), seconds(group.last));
    for (address, count) in &group.senders {
        println!("  {count:>10} from {address}");
    }
    if group.other_senders > 0 {
        println!("  {:>10} from other senders", group.other_senders);
    }
    for sample in &group.samples {
        println!("\n{}", "-".repeat(40));
        print_message(&message(sample, &lines, &mib));
    }
    Ok(true)
}

fn forget(args: &ForgetArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let request = Request::ForgetUnmatched { groups: args.groups.clone() };
    let forgotten = match daemon::try_ask(&directory, &request, Some(PATIENCE))? {
        Some(answer) => answer["forgotten"].as_u64().unwrap_or(0),
        None => forget_in_file(&directory, args)?,
    };
    let plural = if forgotten == 1 { "group" } else { "groups" };
    println!("{forgotten} {plural} forgotten");
    Ok(forgotten > 0 || args.all)
}

fn forget_in_file(directory: &Path, args: &ForgetArgs) -> anyhow::Result<u64> {
    let groups = store::read(directory)?;
    let before = groups.len();
    let kept: Vec<Group> =
        groups.into_iter().filter(|group| !args.all && !args.groups.contains(&group.id)).collect();
    store::write(directory, &kept)
        .with_context(|| format!("cannot write {}", directory.join(store::FILE).display()))?;
    Ok((before - kept.len()) as u64)
}
