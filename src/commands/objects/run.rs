//! `trapline objects`

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::Value;

use super::need::{Have, Needs, Seen, Sender};
use super::write::{Core, write};
use crate::commands::args::ConfigArg;
use crate::commands::daemon::{self, PATIENCE};
use crate::config::loaded as setup;
use crate::daemon::control::Request;
use crate::intake::state_view::StateFilter;
use crate::settings::input;
use crate::terminal::{eprintln, print};

/// The most entries of the state that are asked for.
const MOST: usize = 100_000;

/// Arguments of `trapline objects`.
#[derive(Debug, Args)]
pub struct ObjectsArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The monitoring core
    core: Core,
    /// Skip objects in these files: Nagios' object cache or object files, or answers of Icinga 2's API in JSON
    #[arg(long, value_name = "FILE")]
    have: Vec<PathBuf>,
    /// Use this template instead of the built-in one
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Print the built-in template
    #[arg(long, conflicts_with_all = ["have", "template"])]
    print_template: bool,
}

/// Prints the objects; false if the configuration is wrong or the core cannot have one of them.
///
/// # Errors
///
/// If the daemon or a file cannot be read, or the template is wrong.
pub fn run(args: &ObjectsArgs) -> anyhow::Result<bool> {
    if args.print_template {
        print!("{}", args.core.template());
        return Ok(true);
    }
    let Some(setup) = setup::ready(args.config.path().as_deref()) else { return Ok(false) };
    let Some(rules) = &setup.compiled.rules else { return Ok(false) };
    let read = |path: &PathBuf| {
        input::text(path, input::DATA).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut have = Have::default();
    let own = setup.config.hosts.nagios_objects.iter().filter(|_| args.core != Core::Icinga2);
    for path in args.have.iter().chain(own) {
        have.add(&read(path)?).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    }
    let template = args.template.as_ref().map(read).transpose()?;
    let seen = seen(&setup.config.journal.directory)?;
    let needs = Needs::new(&seen, &rules.makes()).without(&have);
    let template = template.as_ref().map_or(args.core.template(), |text| text.as_str());
    let written = write(args.core, template, &needs).map_err(|error| match &args.template {
        Some(path) => anyhow!("{}:{}: {error}", path.display(), error.line().unwrap_or(1)),
        None => anyhow!("{error}"),
    })?;
    print!("{}", written.text);
    for (name, why) in &written.left_out {
        eprintln!(
            "trapline: left out '{}': {why}; give it another name in the rule or in [hosts]",
            name.escape_debug()
        );
    }
    Ok(written.left_out.is_empty())
}

/// What the running daemon has seen; without a daemon nothing.
fn seen(directory: &std::path::Path) -> anyhow::Result<Seen> {
    let ask = |request: &Request| daemon::try_ask(directory, request, Some(PATIENCE));
    let mut seen = Seen::default();
    let Some(endpoints) = ask(&Request::Endpoints)? else {
        eprintln!("trapline: no daemon answers, so that only hosts and services that rules name are printed");
        return Ok(seen);
    };
    let filter = StateFilter::default();
    let state = ask(&Request::State { filter, most: MOST })?.unwrap_or_default();
    let senders = ask(&Request::Senders { silent: None })?.unwrap_or_default();
    for answer in [&endpoints, &state, &senders] {
        if let Some(error) = answer["error"].as_str() {
            bail!("{error}");
        }
    }
    if endpoints["complete"] == false {
        eprintln!("trapline: the journal has more outcomes than were looked at; only the newest count");
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let results = list(&endpoints["endpoints"])
        .iter()
        .chain(list(&state["entries"]).iter().filter(|entry| entry["kind"] == "check_result"));
    seen.results = results.filter_map(|one| Some((text(&one["host"])?, text(&one["service"])))).collect();
    seen.senders = list(&senders["senders"]).iter().filter_map(sender).collect();
    Ok(seen)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A sender of which something was taken.
fn sender(one: &Value) -> Option<Sender> {
    let speaks = |word: &str| {
        list(&one["speaks"]).iter().filter_map(Value::as_str).any(|spoken| spoken.starts_with(word))
    };
    let taken = ["matched", "dropped", "unmatched"].iter().any(|count| one[count].as_u64().unwrap_or(0) > 0);
    taken.then_some(())?;
    Some(Sender {
        address: one["address"].as_str()?.parse().ok()?,
        host: one["host"].as_str()?.to_owned(),
        speaks: [speaks("v"), speaks("syslog")],
    })
}
