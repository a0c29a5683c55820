//! `trapline status`

use std::io::{IsTerminal, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use crate::commands::args::ConfigArg;
use crate::config::loaded as setup;

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
    let config = match setup::config(args.config.config.as_deref()) {
        Ok((config, _)) => config,
        Err(found) => {
            setup::print(&found);
            return Ok(false);
        }
    };
    let socket = config.control_socket();
    let mut before = ask(&socket)?;
    loop {
        if args.json {
            println!("{before}");
            if !args.watch {
                return Ok(true);
            }
        }
        std::thread::sleep(Duration::from_secs(1));
        let now = ask(&socket)?;
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

fn ask(socket: &Path) -> anyhow::Result<Value> {
    let context = || {
        format!(
            "no daemon answers on {}; start it with `trapline run`, or give its configuration with --config",
            socket.display()
        )
    };
    let mut stream = UnixStream::connect(socket).with_context(context)?;
    let mut answer = String::new();
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.read_to_string(&mut answer).with_context(context)?;
    serde_json::from_str(&answer).with_context(context)
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
    println!("\njournal: {} bytes, {} damaged places", now["journal"]["bytes"], now["journal"]["damaged"]);
    println!(
        "\n{:<16}{:>12}{:>10}{:>10}{:>10}{:>10}{:>6}{:>7}{:>10}{:>9}",
        "sink", "delivered", "a second", "behind", "lag s", "skipped", "cut", "dead", "failures", "expired"
    );
    for (at, sink) in now["sinks"].as_array().into_iter().flatten().enumerate() {
        let delivered = number(&sink["delivered"]);
        println!(
            "{:<16}{:>12}{:>10}{:>10}{:>10.1}{:>10}{:>6}{:>7}{:>10}{:>9}",
            sink["name"].as_str().unwrap_or("?"),
            delivered,
            delivered.saturating_sub(number(&before["sinks"][at]["delivered"])),
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
}

fn row(name: &str, total: u64, before: u64) {
    println!("{name:<22}{total:>14}{:>12}", total.saturating_sub(before));
}
