//! `trapline mute`: what is known and need not reach anybody for a while.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::commands::args::{ConfigArg, ListArgs, glob, listed};
use crate::commands::daemon::{self, PATIENCE};
use crate::daemon::control::Request;
use crate::intake::mute::Covers;
use crate::settings::values::parse_duration;
use crate::terminal::{println, say};

/// The longest mute.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// Arguments of `trapline mute`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct MuteArgs {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    mute: NewArgs,
}

impl MuteArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        !matches!(self.what, Some(What::List(_)))
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// List mutes, what they have muted so far, and when they end
    List(ListArgs),
    /// End mutes set by command; the last state of each muted service is sent now
    End(EndArgs),
}

#[derive(Debug, Args)]
struct NewArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Hosts or components with this name, case-insensitive; * and ? are wildcards
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    host: Option<String>,
    /// Services or resources with this name, case-insensitive
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    service: Option<String>,
    /// Rules with this id
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    rule: Option<String>,
    /// Only for this sink; can be repeated. Default: all with honour_mutes = true
    #[arg(long, value_name = "NAME")]
    sink: Vec<String>,
    /// Duration, such as 2h; up to 366d
    #[arg(long = "for", value_name = "TIME")]
    time: Option<String>,
    /// The reason, shown in the list
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Mute everything
    #[arg(long, conflicts_with_all = ["host", "service", "rule"])]
    all: bool,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct EndArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The numbers of mutes from the list
    #[arg(value_parser = listed("a mute", "trapline mute list"))]
    ids: Vec<u64>,
    /// All mutes
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

/// Mutes, lists or ends; false if the configuration is wrong, or there is nothing to end.
///
/// # Errors
///
/// If no daemon answers, or an argument is wrong.
pub fn run(args: &MuteArgs) -> anyhow::Result<bool> {
    match &args.what {
        Some(What::List(args)) => list(args),
        Some(What::End(args)) => end(args),
        None => mute(&args.mute),
    }
}

fn ask(config: &ConfigArg, request: &Request) -> anyhow::Result<Option<Value>> {
    let Some(directory) = daemon::journal_directory(config) else { return Ok(None) };
    let answer = daemon::ask(&directory, request, Some(PATIENCE))?;
    match answer["error"].as_str() {
        Some(error) => Err(anyhow!("{error}")),
        None => Ok(Some(answer)),
    }
}

fn mute(args: &NewArgs) -> anyhow::Result<bool> {
    let Some(time) = &args.time else {
        bail!("say for how long: --for 2h; `trapline mute list` shows the mutes");
    };
    let Some(time) = parse_duration(time).filter(|time| !time.is_zero() && *time <= LONGEST) else {
        bail!("--for {time}: no duration up to 366d; write 30min, 2h or 7d");
    };
    let covers = Covers {
        host: args.host.clone(),
        service: args.service.clone(),
        rule: args.rule.clone(),
        sinks: args.sink.clone(),
        reason: args.reason.clone(),
    };
    if covers.is_everything() && !args.all {
        bail!("say what to mute: --host, --service or --rule; or --all");
    }
    let Some(mut answer) = ask(&args.config, &Request::Mute { covers, seconds: time.as_secs().max(1) })?
    else {
        return Ok(false);
    };
    if args.json {
        answer.as_object_mut().map(|answer| answer.remove("ok"));
        println!("{answer}");
    } else {
        println!("mute {} until {}", answer["id"], answer["until"].as_str().unwrap_or("?"));
        if answer["honoured"] == 0 {
            println!("no sink honours it: set honour_mutes = true in [[sinks]]");
        }
    }
    Ok(true)
}

fn list(args: &ListArgs) -> anyhow::Result<bool> {
    let Some(mut answer) = ask(&args.config, &Request::Mutes)? else { return Ok(false) };
    if args.json {
        answer.as_object_mut().map(|answer| answer.remove("ok"));
        println!("{answer}");
        return Ok(true);
    }
    let mutes = answer["mutes"].as_array().map(Vec::as_slice).unwrap_or_default();
    if mutes.is_empty() {
        println!("nothing is muted");
        return Ok(true);
    }
    println!("{:<6}{:<9}{:<30}{:>8}  what: why", "id", "active", "until", "muted");
    for mute in mutes {
        say!("{}", line(mute));
    }
    Ok(true)
}

fn line(mute: &Value) -> String {
    let id = mute["id"].as_u64().map_or_else(|| "-".to_owned(), |id| id.to_string());
    let until = mute["until"].as_str().unwrap_or("as configured");
    let active = if mute["active"] == true { "yes" } else { "no" };
    let mut what: Vec<String> = ["host", "service", "rule"]
        .iter()
        .filter_map(|key| Some(format!("{key} {}", mute[*key].as_str()?.escape_debug())))
        .collect();
    let sinks: Vec<&str> = mute["sinks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !sinks.is_empty() {
        what.push(format!("for {}", sinks.join(", ").escape_debug()));
    }
    if what.is_empty() {
        what.push("everything".to_owned());
    }
    let reason = mute["reason"].as_str().unwrap_or_default();
    let why = if reason.is_empty() { String::new() } else { format!(": {}", reason.escape_debug()) };
    format!("{id:<6}{active:<9}{until:<30}{:>8}  {}{why}", mute["muted"], what.join(", "))
}

fn end(args: &EndArgs) -> anyhow::Result<bool> {
    if args.ids.is_empty() && !args.all {
        bail!("say which: numbers of `trapline mute list`, or --all");
    }
    let Some(answer) = ask(&args.config, &Request::EndMutes { ids: args.ids.clone() })? else {
        return Ok(false);
    };
    let ended = answer["ended"].as_u64().unwrap_or(0);
    println!("{ended} {} ended", if ended == 1 { "mute" } else { "mutes" });
    Ok(ended > 0 || args.all)
}
