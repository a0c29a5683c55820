//! `trapline state`: what rules keep over time.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::commands::args::{ConfigArg, glob, whole};
use crate::commands::daemon::{self, PATIENCE};
use crate::commands::state_query::{self, QueryArgs};
use crate::daemon::control::Request;
use crate::intake::state_view::StateFilter;
use crate::terminal::{eprintln, println, say};

/// Arguments of `trapline state`.
#[derive(Debug, Args)]
pub struct StateArgs {
    #[command(subcommand)]
    what: What,
}

impl StateArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        matches!(self.what, What::Clear(_))
    }

    /// The arguments of the plugin, if it is to work as one.
    pub fn query(&self) -> Option<&QueryArgs> {
        match &self.what {
            What::Query(args) => Some(args),
            _ => None,
        }
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// List problems that are open, held or flapping, the oldest first
    List(ListArgs),
    /// Show everything about one entry
    Show(ShowArgs),
    /// Print the open problems of a host in one line, as a plugin for active checks; the exit status is 0 (OK), 1 (WARNING),
    /// 2 (CRITICAL) or 3 (UNKNOWN)
    Query(QueryArgs),
    /// End entries: open problems are sent as ok, as if their clear had arrived. They stay cleared after a restart
    Clear(ClearArgs),
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// Only this rule; * and ? are wildcards
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    rule: Option<String>,
    /// Only of this host or component, in any case
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    host: Option<String>,
    /// Only this service or resource, case-insensitive
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    service: Option<String>,
    /// Only entries with this text of the rule's `key`
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// Also show the counts of thresholds and throttles, and expected keys
    #[arg(long)]
    counts: bool,
}

impl FilterArgs {
    fn filter(&self, ids: &[String]) -> StateFilter {
        StateFilter {
            ids: ids.to_vec(),
            rule: self.rule.clone(),
            host: self.host.clone(),
            service: self.service.clone(),
            key: self.key.clone(),
            counts: self.counts,
        }
    }
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    filter: FilterArgs,
    /// Maximum number of entries, up to 100000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = whole::<usize>(0..=u64::MAX, 5000))]
    limit: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The id of the entry from the list
    id: String,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ClearArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The ids of entries from the list
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// All entries
    #[arg(long, conflicts_with_all = ["ids", "rule", "host", "service", "key"])]
    all: bool,
    /// The output that is sent. Default: Cleared by hand
    #[arg(long, value_name = "TEXT")]
    output: Option<String>,
    /// Send nothing: receivers keep the state that they have
    #[arg(long, conflicts_with = "output")]
    silent: bool,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
}

/// Lists, shows or clears; false if the configuration is wrong or there is nothing to show or to clear.
///
/// # Errors
///
/// If no daemon answers.
pub fn run(args: &StateArgs) -> anyhow::Result<bool> {
    match &args.what {
        What::List(args) => list(args),
        What::Show(args) => show(args),
        What::Clear(args) => clear(args),
        What::Query(args) => Ok(state_query::run(args) == 0),
    }
}

fn ask(directory: &Path, request: &Request) -> anyhow::Result<Value> {
    let answer = daemon::ask(directory, request, Some(PATIENCE))?;
    match answer["error"].as_str() {
        Some(error) => Err(anyhow!("{error}")),
        None => Ok(answer),
    }
}

/// The entries, and how many there are.
fn entries(directory: &Path, filter: StateFilter, most: usize) -> anyhow::Result<(Value, Vec<Value>, u64)> {
    let answer = ask(directory, &Request::State { filter, most })?;
    let entries = answer["entries"].as_array().context("the daemon gave no list; restart it")?.clone();
    let total = answer["total"].as_u64().unwrap_or(0);
    Ok((answer, entries, total))
}

fn list(args: &ListArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let (mut answer, entries, total) = entries(&directory, args.filter.filter(&[]), args.limit)?;
    if args.json {
        answer.as_object_mut().map(|answer| answer.remove("ok"));
        println!("{answer}");
        return Ok(true);
    }
    if entries.is_empty() {
        println!("nothing is open");
        return Ok(true);
    }
    println!(
        "{:<18}{:<11}{:<13}{:<22}{:>8}  {:<32}rule: whose",
        "id", "what", "state", "since", "count", "next"
    );
    for entry in &entries {
        say!("{}", line(entry));
    }
    let more = total.saturating_sub(entries.len() as u64);
    if more > 0 {
        eprintln!("trapline: {more} more; ask for them with --limit, or for fewer with --rule or --host");
    }
    Ok(true)
}

fn text(entry: &Value, name: &str) -> String {
    entry[name].as_str().map_or_else(|| "-".to_owned(), |text| text.escape_debug().to_string())
}

/// A time without its fraction, which nobody reads in a list.
fn seconds(entry: &Value, name: &str) -> String {
    let time = text(entry, name);
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time,
    }
}

fn whose(entry: &Value) -> String {
    let service = entry["service"].as_str().map(|s| format!(" / {}", s.escape_debug())).unwrap_or_default();
    format!("{}{service}", text(entry, "host"))
}

fn next(entry: &Value) -> String {
    match entry["next"].as_str() {
        Some(next) => format!("{next} at {}", seconds(entry, "due")),
        None => "-".to_owned(),
    }
}

fn line(entry: &Value) -> String {
    format!(
        "{:<18}{:<11}{:<13}{:<22}{:>8}  {:<32}{}: {}",
        text(entry, "id"),
        text(entry, "what"),
        text(entry, "state"),
        seconds(entry, "since"),
        entry["count"],
        next(entry),
        text(entry, "rule"),
        whose(entry),
    )
}

fn show(args: &ShowArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let filter = StateFilter { ids: vec![args.id.clone()], ..StateFilter::default() };
    let (_, entries, _) = entries(&directory, filter, 1)?;
    let Some(entry) = entries.first() else {
        bail!("there is no entry {}; it may have ended: `trapline state list` shows what is open", args.id);
    };
    if args.json {
        println!("{entry:#}");
        return Ok(true);
    }
    println!("{:<10}{}", "id", text(entry, "id"));
    println!("{:<10}{}", "what", text(entry, "what"));
    println!("{:<10}{}", "rule", text(entry, "rule"));
    println!("{:<10}{}", "whose", whose(entry));
    println!("{:<10}{}", "state", text(entry, "state"));
    println!("{:<10}{}", "sent", text(entry, "sent"));
    println!("{:<10}{}", "since", text(entry, "since"));
    println!("{:<10}{}", "last", text(entry, "last"));
    println!("{:<10}{}", "count", entry["count"]);
    println!("{:<10}{}", "repeats", entry["repeats"]);
    println!("{:<10}{}", "next", next(entry));
    println!("{:<10}{}", "output", text(entry, "output"));
    Ok(true)
}

fn clear(args: &ClearArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let filter = args.filter.filter(&args.ids);
    if filter.is_empty() && !args.all {
        bail!("say what to clear: ids, --rule, --host, --service or --key; or --all");
    }
    let request = Request::ClearState { filter, output: args.output.clone(), silent: args.silent };
    let mut answer = ask(&directory, &request)?;
    let cleared = answer["cleared"].as_u64().unwrap_or(0);
    if answer["safe"] == false {
        eprintln!(
            "trapline: what was cleared cannot be written to disk: a crash would bring it back; check the disk"
        );
    }
    if args.json {
        answer.as_object_mut().map(|answer| answer.remove("ok"));
        println!("{answer}");
    } else {
        println!("{cleared} {} cleared", if cleared == 1 { "entry" } else { "entries" });
    }
    Ok(cleared > 0 || args.all)
}
