//! Asks the daemon: once, again and again, or as a plugin.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::view;
use crate::commands::args::ConfigArg;
use crate::commands::daemon::{self, PATIENCE};
use crate::config::file;
use crate::daemon::control::Request;
use crate::settings::values::parse_duration;
use crate::sinks::dead::DeadLetters;
use crate::terminal::{self, println, say};
use crate::vitals::{Judgement, Level, Limits, Vitals, judge};

/// Arguments of `trapline status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print one JSON document; with --watch one per line
    #[arg(long)]
    json: bool,
    /// Refresh every second until interrupted
    #[arg(long)]
    watch: bool,
    /// Print one line with performance data, as a Nagios plugin; the exit status is 0 (OK), 1 (WARNING), 2 (CRITICAL) or 3 (UNKNOWN)
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    check: bool,
    /// With --check: the age of an undelivered outcome for a warning, such as 5min
    #[arg(long, value_name = "AGE", requires = "check")]
    warning: Option<String>,
    /// With --check: the age of an undelivered outcome for critical, such as 1h
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
        return Judgement::without_numbers(Level::Unknown, &args.config.unreadable());
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
    let ask = |request: &Request| daemon::ask(&directory, request, Some(PATIENCE));
    let status = || Ok::<Value, anyhow::Error>(with_dead_letters(&directory, ask(&Request::Status)?));
    let mut before = status()?;
    loop {
        if args.json {
            println!("{before}");
            if !args.watch {
                return Ok(true);
            }
        }
        std::thread::sleep(Duration::from_secs(1));
        let now = status()?;
        if !args.json {
            let groups = ask(&Request::Kinds)?;
            if args.watch {
                terminal::clear();
            }
            for line in view::lines(&before, &now, &groups) {
                // A part of the page begins with an empty line.
                let line = line.strip_prefix('\n').inspect(|_| println!()).unwrap_or(&line);
                say!("{line}");
            }
            if !args.watch {
                return Ok(true);
            }
        }
        before = now;
    }
}

/// How many dead letters wait of each sink, also of those from before the start; null where the file cannot be read.
fn with_dead_letters(directory: &Path, mut status: Value) -> Value {
    for sink in status["sinks"].as_array_mut().into_iter().flatten() {
        let letters = sink["name"].as_str().and_then(|name| DeadLetters::new(directory, name).list().ok());
        sink["dead_letters"] = letters.map(|letters| letters.len()).into();
    }
    status
}
