//! `trapline senders`: who sends, who is refused, and who is silent.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::commands::args::ConfigArg;
use crate::commands::daemon::{self, PATIENCE};
use crate::daemon::control::Request;
use crate::outcome::name::visible;
use crate::settings::values::parse_duration;
use crate::terminal::println;

/// Arguments of `trapline senders`.
#[derive(Debug, Args)]
pub struct SendersArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Only senders that [hosts] does not know
    #[arg(long)]
    unknown: bool,
    /// Only refused senders, with the configuration that would accept them
    #[arg(long)]
    refused: bool,
    /// Hosts in [hosts] without a message since the start; with AGE, such as 7d, also hosts whose last message is older
    #[arg(long, value_name = "AGE", num_args = 0..=1, default_missing_value = "0", conflicts_with_all = ["unknown", "refused"])]
    silent: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Lists the senders of the running daemon; false if the configuration is wrong.
///
/// # Errors
///
/// If no daemon answers, or AGE is no duration.
pub fn run(args: &SendersArgs) -> anyhow::Result<bool> {
    let silent = match args.silent.as_deref() {
        None => None,
        Some("0") => Some(0),
        Some(text) => match parse_duration(text) {
            Some(age) => Some(age.as_secs()),
            None => bail!("--silent {text}: no duration; write 12h or 7d"),
        },
    };
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let mut answer = daemon::ask(&directory, &Request::Senders { silent }, Some(PATIENCE))?;
    if let Some(error) = answer["error"].as_str() {
        bail!("{error}");
    }
    if let Some(senders) = answer["senders"].as_array_mut() {
        senders.retain(|sender| {
            (!args.unknown || sender["known_as"].is_null()) && (!args.refused || !sender["refusal"].is_null())
        });
    }
    if args.json {
        answer.as_object_mut().map(|answer| answer.remove("ok"));
        println!("{answer}");
    } else if silent.is_some() {
        print_silent(&answer);
    } else {
        print_senders(&answer, args);
    }
    Ok(true)
}

fn list<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer[key].as_array().map_or(&[], Vec::as_slice)
}

fn print_senders(answer: &Value, args: &SendersArgs) {
    let (senders, since) = (list(answer, "senders"), &text(&answer["since"])[..]);
    if senders.is_empty() {
        let which = match (args.unknown, args.refused) {
            (true, true) => "unknown and refused ",
            (true, false) => "unknown ",
            (false, true) => "refused ",
            (false, false) => "",
        };
        println!("no {which}sender since {since}");
    } else {
        println!(
            "{:<24}{:<24}{:<14}{:<21}{:>10}{:>10}{:>10}  last",
            "address", "host", "speaks", "first", "matched", "unmatched", "refused"
        );
    }
    for sender in senders {
        let host = if sender["known_as"].is_null() { &sender["host"] } else { &sender["known_as"] };
        let speaks: Vec<String> = list(sender, "speaks").iter().map(text).collect();
        println!(
            "{:<23} {:<23} {:<13} {:<21}{:>10}{:>10}{:>10}  {}",
            text(&sender["address"]),
            if host.is_null() { "-".to_owned() } else { text(host) },
            if speaks.is_empty() { "-".to_owned() } else { speaks.join(",") },
            seconds(&sender["first"]),
            sender["matched"].as_u64().unwrap_or(0) + sender["dropped"].as_u64().unwrap_or(0),
            sender["unmatched"].as_u64().unwrap_or(0),
            sender["refused"].as_u64().unwrap_or(0),
            seconds(&sender["last"]),
        );
        let refusal = &sender["refusal"];
        if refusal.is_null() {
            continue;
        }
        println!("    refused ({}): {}", text(&refusal["reason"]), text(&refusal["advice"]));
        if args.refused {
            let toml = &refusal["toml"];
            if toml["table"].is_string() {
                println!("    in {}:", text(&toml["table"]));
            }
            for line in toml["lines"].as_str().unwrap_or_default().lines() {
                println!("        {}", visible(line));
            }
        }
    }
    if let Some(others @ 1..) = answer["others"].as_u64() {
        println!("and {others} messages of further addresses: the table is full");
    }
}

fn print_silent(answer: &Value) {
    let (silent, since) = (list(answer, "silent"), text(&answer["since"]));
    let known = answer["known_hosts"].as_u64().unwrap_or(0);
    if known == 0 {
        println!(
            "[hosts] knows no host, so that none can be missed; name the core's objects or a file there"
        );
        return;
    }
    println!("{} of {known} known hosts are silent; the daemon has listened since {since}", silent.len());
    for host in silent {
        let addresses: Vec<String> = list(host, "addresses").iter().map(text).collect();
        let last = if host["last"].is_null() { "never".to_owned() } else { seconds(&host["last"]) };
        println!("{:<31} {:<21} {}", text(&host["host"]), last, addresses.join(", "));
    }
}

/// A time without its fraction of a second.
fn seconds(time: &Value) -> String {
    let text = text(time);
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

fn text(value: &Value) -> String {
    visible(value.as_str().unwrap_or_default())
}

#[cfg(test)]
#[path = "senders_tests.rs"]
mod tests;
