//! `trapline sinks`: sinks and their cursors, also those that are no longer configured.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::commands::args::{ConfigArg, ListArgs};
use crate::commands::daemon::{self, PATIENCE};
use crate::config::{Config, loaded};
use crate::daemon::control::Request;
use crate::journal::inspect::{Known, Stopped};
use crate::sinks::dead::DeadLetters;
use crate::sinks::memory;
use crate::terminal::{println, say};

/// Arguments of `trapline sinks`.
#[derive(Debug, Args)]
pub struct SinksArgs {
    #[command(subcommand)]
    what: What,
}

impl SinksArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        !matches!(self.what, What::List(_))
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// List all sinks: whether they are configured, their waiting outcomes and dead letters
    List(ListArgs),
    /// Discard the outcomes that the journal keeps for a sink that is no longer configured
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
struct ForgetArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The name of the sink
    sink: String,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
}

/// Lists or forgets; false if the configuration is wrong or nothing was forgotten.
///
/// # Errors
///
/// If the daemon does not answer, or the files cannot be used.
pub fn run(args: &SinksArgs) -> anyhow::Result<bool> {
    match &args.what {
        What::List(args) => list(args),
        What::Forget(args) => forget(args),
    }
}

fn list(args: &ListArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let mut sinks = match daemon::try_ask(&directory, &Request::Sinks, Some(PATIENCE))? {
        Some(mut answer) => answer["sinks"].take(),
        None => match config(&args.config) {
            Some(config) => stopped_sinks(&config)?,
            None => return Ok(false),
        },
    };
    let sinks = sinks.as_array_mut().map(std::mem::take).unwrap_or_default();
    let sinks = sinks.into_iter().map(|sink| with_dead_letters(&directory, sink));
    let sinks = sinks.collect::<anyhow::Result<Vec<Value>>>()?;
    if args.json {
        println!("{}", json!({ "sinks": sinks }));
        return Ok(true);
    }
    println!("{:<24}{:>12}{:>12}{:>14}{:>12}", "sink", "configured", "behind", "dead letters", "retrying");
    for sink in &sinks {
        let text = |value: &Value| value.as_u64().map_or_else(|| "?".to_owned(), |n| n.to_string());
        say!(
            "{:<24}{:>12}{:>12}{:>14}{:>12}",
            sink["name"].as_str().unwrap_or_default(),
            if sink["configured"] == true { "yes" } else { "no" },
            text(&sink["behind"]),
            text(&sink["dead_letters"]),
            text(&sink["retrying"]),
        );
    }
    for sink in sinks.iter().filter(|sink| sink["configured"] != true) {
        daemon::warn_unconfigured(sink["name"].as_str().unwrap_or_default());
    }
    Ok(true)
}

fn with_dead_letters(directory: &Path, mut sink: Value) -> anyhow::Result<Value> {
    let name = sink["name"].as_str().unwrap_or_default().to_owned();
    let letters = DeadLetters::new(directory, &name);
    let context = || format!("cannot read the dead letters of '{name}'");
    sink["dead_letters"] = letters.list().with_context(context)?.len().into();
    sink["retrying"] = letters.retrying().with_context(context)?.len().into();
    Ok(sink)
}

fn config(arg: &ConfigArg) -> Option<Config> {
    loaded::config(arg.path().as_deref())
        .map_err(|found| loaded::print(&found))
        .ok()
        .map(|(config, _)| config)
}

/// The sinks of a daemon that does not run, in the form of the daemon's answer.
fn stopped_sinks(config: &Config) -> anyhow::Result<Value> {
    let directory = &config.journal.directory;
    let cursors = match Stopped::open(directory)? {
        Some(journal) => journal.cursors().with_context(|| cannot_read(directory))?,
        None => Vec::new(),
    };
    let mut sinks = Vec::new();
    for section in &config.sinks {
        let name = &section.settings.name;
        sinks.push(match cursors.iter().find(|cursor| cursor.name == *name) {
            Some(cursor) => entry(cursor, true),
            // It was never started, so nothing waits for it.
            None => json!({ "name": name, "configured": true, "behind": 0 }),
        });
    }
    let configured = |cursor: &Known| config.sinks.iter().any(|s| s.settings.name == cursor.name);
    sinks.extend(cursors.iter().filter(|cursor| !configured(cursor)).map(|cursor| entry(cursor, false)));
    Ok(sinks.into())
}

fn entry(cursor: &Known, configured: bool) -> Value {
    json!({ "name": cursor.name, "configured": configured, "behind": cursor.behind })
}

fn cannot_read(directory: &Path) -> String {
    format!("cannot read the journal in {}", directory.display())
}

fn forget(args: &ForgetArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let request = Request::Forget { sink: args.sink.clone() };
    let answer = match daemon::try_ask(&directory, &request, Some(PATIENCE))? {
        Some(answer) => answer,
        None => match config(&args.config) {
            Some(config) => forget_stopped(&config, &args.sink)?,
            None => return Ok(false),
        },
    };
    let done = answer["ok"] == true;
    if args.json {
        println!("{answer}");
        return Ok(done);
    }
    if !done {
        return Err(anyhow!("{}", answer["error"].as_str().unwrap_or_default()));
    }
    let outcomes = answer["outcomes"].as_u64().unwrap_or(0);
    println!("forgot '{}': {outcomes} outcomes that it had not taken", args.sink);
    if DeadLetters::sinks(&directory).is_ok_and(|sinks| sinks.contains(&args.sink)) {
        println!("its dead letters are still there; `trapline dead drop {}` drops them", args.sink);
    }
    Ok(true)
}

fn forget_stopped(config: &Config, sink: &str) -> anyhow::Result<Value> {
    if config.sinks.iter().any(|section| section.settings.name == sink) {
        bail!("sink '{sink}' is configured; remove its [[sinks]] first");
    }
    let directory = &config.journal.directory;
    let unknown = || anyhow!("there is no sink '{sink}'; see `trapline sinks list`");
    let journal = Stopped::open(directory)?.ok_or_else(unknown)?;
    let cursors = journal.cursors().with_context(|| cannot_read(directory))?;
    let cursor = cursors.into_iter().find(|cursor| cursor.name == sink).ok_or_else(unknown)?;
    journal.forget(sink).with_context(|| format!("cannot remove the cursor of '{sink}'"))?;
    memory::forget(directory, sink).with_context(|| format!("cannot remove what '{sink}' remembers"))?;
    let outcomes = cursor.behind.unwrap_or(0);
    Ok(json!({ "ok": true, "sink": sink, "outcomes": outcomes }))
}
