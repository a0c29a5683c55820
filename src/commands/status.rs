//! `trapline status`

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::commands::args::ConfigArg;
use crate::commands::daemon::{self, PATIENCE};
use crate::config::file;
use crate::daemon::control::Request;
use crate::outcome::name::visible;
use crate::settings::values::parse_duration;
use crate::terminal::{self, println};
use crate::vitals::{Judgement, Level, Limits, Vitals, judge};

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
    /// One line with performance data, as a Nagios plugin; the exit status is 0 (OK), 1 (WARNING), 2 (CRITICAL) or 3 (UNKNOWN)
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    check: bool,
    /// With --check: the age of an undelivered outcome from which on there is a warning, such as 5min
    #[arg(long, value_name = "AGE", requires = "check")]
    warning: Option<String>,
    /// With --check: the age of an undelivered outcome from which on it is critical, such as 1h
    #[arg(long, value_name = "AGE", requires = "check")]
    critical: Option<String>,
}

impl StatusArgs {
    /// Whether it is to work as a plugin.
    pub fn checks(&self) -> bool {
        self.check
    }

    fn limits(&self) -> Result<Limits, String> {
        let default = Limits::default();
        let age = |what: &str, text: &Option<String>, default| match text {
            Some(text) => parse_duration(text)
                .ok_or_else(|| format!("--{what} {text}: no duration; write 30s, 5min or 1h")),
            None => Ok(default),
        };
        let warning = age("warning", &self.warning, default.warning)?;
        let critical = age("critical", &self.critical, default.critical.max(warning))?;
        if critical < warning {
            return Err("--critical is below --warning; set it to an age above".to_owned());
        }
        Ok(Limits { warning, critical })
    }
}

/// Judges the running daemon as a plugin: prints a line and gives the exit status.
pub fn check(args: &StatusArgs) -> u8 {
    let judgement = match args.limits() {
        Ok(limits) => judged(args, &limits),
        Err(wrong) => Judgement::without_numbers(Level::Unknown, &wrong),
    };
    println!("{}", judgement.line());
    judgement.level.exit_status()
}

fn judged(args: &StatusArgs, limits: &Limits) -> Judgement {
    let Ok(directory) = file::journal_directory(args.config.path().as_deref()) else {
        let what = "the configuration cannot be read; run `trapline check`";
        return Judgement::without_numbers(Level::Unknown, what);
    };
    let answer = match daemon::ask(&directory, &Request::Status, Some(PATIENCE)) {
        Ok(answer) => answer,
        // A daemon that does not answer does nothing else.
        Err(error) => return Judgement::without_numbers(Level::Critical, &format!("{error:#}")),
    };
    match serde_json::from_value::<Vitals>(answer["vitals"].clone()) {
        Ok(vitals) => judge(&vitals, limits),
        Err(_) => {
            let what = "the running daemon is of an older release, which cannot be judged; restart it";
            Judgement::without_numbers(Level::Unknown, what)
        }
    }
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
            if args.watch {
                terminal::clear();
            }
            print(&before, &now);
            if !args.watch {
                return Ok(true);
            }
        }
        before = now;
    }
}

/// Counters that are shown also while they are 0; all others have something to say only above it.
const ALWAYS: [&str; 6] =
    ["snmp_received", "syslog_received", "kernel_drops", "matched", "unmatched", "outcomes"];

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
        let is_counter = value.is_u64() && (ALWAYS.contains(&name.as_str()) || number(value) > 0);
        if is_counter {
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
    for (reason, value) in now["intake"]["swallowed"].as_object().into_iter().flatten() {
        if number(value) > 0 {
            row(
                &format!("swallowed {reason}"),
                number(value),
                number(&before["intake"]["swallowed"][reason]),
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
    for storm in now["storms"].as_array().into_iter().flatten() {
        println!(
            "storm of {} since {}: {} messages, {} of them not processed",
            storm["address"].as_str().unwrap_or("several senders"),
            storm["since"].as_str().unwrap_or("?"),
            number(&storm["total"]),
            number(&storm["not_processed"]),
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
    for table in now["lookups"].as_array().into_iter().flatten() {
        let age = table["age_seconds"].as_u64();
        let age = age.map_or("not read since the start".to_owned(), |age| format!("read {age} s ago"));
        let failures = match number(&table["failures"]) {
            0 => String::new(),
            failures => format!(", {failures} failures"),
        };
        println!(
            "table {}: {} rows, {age}{failures}",
            table["name"].as_str().unwrap_or("?"),
            number(&table["rows"])
        );
        for line in table["error"].as_str().into_iter().flat_map(str::lines) {
            println!("  {line}");
        }
    }
    for queue in now["queues"].as_array().into_iter().flatten() {
        let connected = if queue["connected"] == true { "connected" } else { "not connected" };
        println!(
            "queue {}: {connected}, {} taken, {} redelivered, {} rejected",
            queue["name"].as_str().unwrap_or("?"),
            number(&queue["taken"]),
            number(&queue["redelivered"]),
            number(&queue["rejected"])
        );
        for line in queue["error"].as_str().into_iter().flat_map(str::lines) {
            println!("  {line}");
        }
    }
    for file in now["followed"].as_array().into_iter().flatten() {
        let open = if file["open"] == true { "open" } else { "not open" };
        println!(
            "followed {}: {open}, {} lines",
            file["name"].as_str().unwrap_or("?"),
            number(&file["lines"])
        );
        for line in file["error"].as_str().into_iter().flat_map(str::lines) {
            println!("  {line}");
        }
    }
    for forward in now["forwards"].as_array().into_iter().flatten() {
        println!(
            "forward {}: {} sent ({} with this machine's address), {} dropped, {} looped",
            forward["name"].as_str().unwrap_or("?"),
            number(&forward["sent"]),
            number(&forward["own_address"]),
            number(&forward["dropped"]),
            number(&forward["looped"])
        );
        for line in forward["error"].as_str().into_iter().flat_map(str::lines) {
            println!("  {line}");
        }
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
    let state = &now["state"];
    let keys = ["open", "held", "flapping", "counts"];
    if keys.iter().any(|key| number(&state[key]) > 0) {
        let all = keys.map(|key| format!("{} {key}", number(&state[key])));
        println!("\nstate of rules: {}", all.join(", "));
    }
    if let Some(capture) = now["capture"].as_object() {
        let get = |key: &str| capture.get(key).map_or(0, number);
        let (messages, lost, bytes) = (get("messages"), get("lost"), get("bytes"));
        println!("\ncaptured: {messages} messages, {lost} lost; {bytes} bytes on disk");
    }
    if let Some(history) = now["history"].as_object() {
        let get = |key: &str| history.get(key).map_or(0, number);
        let (rows, thinned, missed, bytes) = (get("rows"), get("thinned"), get("missed"), get("bytes"));
        println!("\nhistory: {rows} rows, {thinned} thinned, {missed} missed; {bytes} bytes on disk");
        if let Some(error) = history.get("error").and_then(Value::as_str) {
            println!("    it cannot be written: {}", visible(error));
        }
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
