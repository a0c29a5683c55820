//! `trapline tap`: live messages and what becomes of them.

use std::io::BufRead as _;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::commands::args::{ConfigArg, whole};
use crate::commands::daemon;
use crate::daemon::control::{self, Request};
use crate::intake::tap::{Filter, network};
use crate::outcome::name::visible;
use crate::terminal::{eprintln, println};

/// Arguments of `trapline tap`.
#[derive(Debug, Args)]
pub struct TapArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Only messages whose JSON contains this text, case-insensitive
    text: Option<String>,
    /// Only messages from this network or address
    #[arg(long, value_name = "NETWORK", value_parser = checked)]
    from: Option<String>,
    /// Only unmatched and refused messages
    #[arg(long)]
    unmatched: bool,
    /// Stop after this number of messages
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX, 10))]
    count: Option<u64>,
    /// Print one JSON document per line
    #[arg(long)]
    json: bool,
}

fn checked(text: &str) -> Result<String, String> {
    network(text).map(|_| text.to_owned())
}

/// Shows what arrives until it is interrupted, or as many messages as are wanted; false if the configuration is wrong.
///
/// # Errors
///
/// If no daemon answers, or it stops.
pub fn run(args: &TapArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let filter = Filter { from: args.from.clone(), unmatched: args.unmatched, text: args.text.clone() };
    let socket = control::socket(&directory);
    let Some((first, lines)) = control::follow(&socket, &Request::Tap { filter }, daemon::PATIENCE)? else {
        bail!(
            "no daemon answers on {}; start it with `trapline run`, or name its configuration with --config",
            socket.display()
        );
    };
    if first["ok"] != true || first["tap"] != true {
        bail!(
            "{}",
            first["error"]
                .as_str()
                .unwrap_or("the running daemon is of an older release, which does not know this; restart it")
        );
    }
    let mut left = args.count.unwrap_or(u64::MAX);
    if left == 0 {
        return Ok(true);
    }
    if args.count.is_none() && !args.json {
        eprintln!("trapline: messages appear here as they come; Ctrl-C ends it");
    }
    for line in lines.lines() {
        let line = line?;
        let Ok(document) = serde_json::from_str::<Value>(&line) else { continue };
        let missed = document["missed"].as_u64();
        if args.json {
            println!("{line}");
        } else if let Some(missed) = missed {
            println!("-- {missed} messages missed --");
        } else {
            print(&document);
        }
        left -= u64::from(missed.is_none());
        if left == 0 {
            return Ok(true);
        }
    }
    bail!("the daemon has stopped")
}

/// A message in a line, and each of its outcomes in another one.
fn print(document: &Value) {
    let text = |value: &Value| visible(value.as_str().unwrap_or_default());
    let message = &document["message"];
    let (time, source) = (text(&message["received"]), text(&message["source"]));
    if let Some(refused) = document["refused"].as_str() {
        println!("{time} {source} refused: {}", visible(refused));
        return;
    }
    let what = if message["kind"] == "syslog" {
        format!("{}: {}", text(&message["program"]), text(&message["message"]))
    } else {
        let varbinds = message["varbinds"].as_array().into_iter().flatten();
        let varbinds: Vec<String> =
            varbinds.map(|v| format!("{}={}", text(&v["name"]), text(&v["text"]))).collect();
        format!("{} {} {}", text(&message["kind"]), text(&message["name"]), varbinds.join(" "))
    };
    println!("{time} {source} {what}");
    let result = document["result"].as_str().unwrap_or_default();
    let outcomes = document["outcomes"].as_array().map_or(&[][..], Vec::as_slice);
    if outcomes.is_empty() {
        let words = match result {
            "dropped" => "dropped by a rule",
            "unmatched" => "no rule matches",
            _ => "no outcome",
        };
        println!("    {words}");
    }
    for outcome in outcomes {
        let place = |one: &str, other: &str| {
            text(if outcome[one].is_null() { &outcome[other] } else { &outcome[one] })
        };
        println!(
            "    {}: {} / {}: {}: {}",
            text(&outcome["rule"]),
            place("host", "component"),
            place("service", "resource"),
            text(&outcome["state"]),
            text(&outcome["output"])
        );
    }
}
