//! `trapline status`

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::commands::args::ConfigArg;
use crate::commands::daemon::{self, PATIENCE};
use crate::daemon::control::Request;
use crate::terminal::{print, println};

/// Arguments of `trapline status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// One JSON document; with --watch one a line
    #[arg(long)]
    json: bool,
    /// Again every second, until it is interrupted
    #[arg(long)]
    watch: bool,
}

/// Shows the running daemon; false if the configuration is wrong.
///
/// # Errors
///
/// If no daemon answers.
pub fn run(args: &StatusArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let ask = || daemon::ask(&directory, &Request::Status, Some(PATIENCE));
    let mut before = ask()?;
    loop {
        if args.json {
            println!("{before}");
            if !args.watch {
                return Ok(true);
            }
        }
        std::thread::sleep(Duration::from_secs(1));
        let now = ask()?;
        if !args.json {
            if args.watch && std::io::stdout().is_terminal() {
                // To the top, and everything below away.
                print!("\x1b[H\x1b[2J");
            }
            print(&before, &now);
            if !args.watch {
                return Ok(true);
            }
        }
        before = now;
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn print(before: &Value, now: &Value) {
    println!(
        "trapline {} (pid {}), up {} s, {} rules, {} reloads, {} refused",
        now["version"].as_str().unwrap_or("?"),
        now["pid"],
        now["uptime_seconds"],
        now["rules"],
        now["reloads"]["done"],
        now["reloads"]["refused"],
    );
    if let Some(error) = now["reloads"]["error"].as_str() {
        println!("the last reload was refused:\n{error}");
    }
    for problem in now["problems"].as_array().into_iter().flatten() {
        println!("problem: {}", problem.as_str().unwrap_or("?"));
    }
    println!("\n{:<22}{:>14}{:>12}", "", "total", "a second");
    for (name, value) in now["intake"].as_object().into_iter().flatten() {
        if name != "malformed" {
            row(name, number(value), number(&before["intake"][name]));
        }
    }
    for (reason, value) in now["intake"]["malformed"].as_object().into_iter().flatten() {
        if number(value) > 0 {
            row(
                &format!("malformed {reason}"),
                number(value),
                number(&before["intake"]["malformed"][reason]),
            );
        }
    }
    for refused in now["refused"]["sources"].as_array().into_iter().flatten() {
        let reasons: Vec<String> = refused["reasons"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        println!("refused {:<39}{}", refused["source"].as_str().unwrap_or("?"), reasons.join(", "));
    }
    for rule in now["rule_errors"].as_array().into_iter().flatten() {
        println!(
            "rule '{}' in {}: {} fields not rendered, {} times over budget; the log has the reasons",
            rule["rule"].as_str().unwrap_or("?"),
            rule["file"].as_str().unwrap_or("?"),
            number(&rule["render_errors"]),
            number(&rule["over_budget"]),
        );
    }
    for (name, counts) in now["connections"].as_object().into_iter().flatten() {
        let (errors, refused) = (number(&counts["errors"]), number(&counts["refused"]));
        println!("{name}: {refused} connections refused, {errors} not accepted");
    }
    if let Some(reverse) = now["reverse_dns"].as_object() {
        let counts: Vec<String> =
            reverse.iter().map(|(what, count)| format!("{count} {}", what.replace('_', " "))).collect();
        println!("reverse DNS: {}", counts.join(", "));
    }
    let refused = &now["refused"];
    let shown = refused["sources"].as_array().map_or(0, Vec::len) as u64;
    let (known, others) = (number(&refused["known_sources"]), number(&refused["others"]));
    if known > shown || others > 0 {
        println!(
            "refused {} more sources, and {others} messages of sources that are not told apart",
            known - shown
        );
    }
    println!("\njournal: {} bytes, {} damaged places", now["journal"]["bytes"], now["journal"]["damaged"]);
    println!(
        "\n{:<16}{:>12}{:>10}{:>10}{:>10}{:>10}{:>6}{:>7}{:>10}{:>9}",
        "sink", "delivered", "a second", "behind", "lag s", "skipped", "cut", "dead", "failures", "expired"
    );
    for sink in now["sinks"].as_array().into_iter().flatten() {
        // A reload may have changed their order.
        let before = before["sinks"].as_array().into_iter().flatten().find(|s| s["name"] == sink["name"]);
        let delivered_before = before.map_or(0, |sink| number(&sink["delivered"]));
        let delivered = number(&sink["delivered"]);
        println!(
            "{:<16}{:>12}{:>10}{:>10}{:>10.1}{:>10}{:>6}{:>7}{:>10}{:>9}",
            sink["name"].as_str().unwrap_or("?"),
            delivered,
            delivered.saturating_sub(delivered_before),
            number(&sink["behind"]),
            sink["lag_seconds"].as_f64().unwrap_or(0.0),
            number(&sink["skipped"]),
            number(&sink["cut"]),
            number(&sink["dead"]),
            number(&sink["failures"]),
            number(&sink["expired"]),
        );
        if let Some(error) = sink["error"].as_str() {
            println!("  {error}");
        }
    }
    for sink in now["unconfigured_sinks"].as_array().into_iter().flatten() {
        let (name, behind) = (sink["name"].as_str().unwrap_or("?"), number(&sink["behind"]));
        println!("sink '{name}' is not configured; {behind} outcomes wait for it; see `trapline sinks list`");
    }
}

fn row(name: &str, total: u64, before: u64) {
    println!("{name:<22}{total:>14}{:>12}", total.saturating_sub(before));
}
