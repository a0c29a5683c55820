//! `trapline report`: a page, a table or a document on a time of the history, out of its files, whether a daemon runs or not.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use crate::commands::args::{ConfigArg, moment, no_history};
use crate::config::{file, loaded};
use crate::files::named;
use crate::history::search;
use crate::report::{self, Report, figures};
use crate::terminal::{eprintln, print};
use crate::time::clock;

/// The mode of a new file: reports name hosts and what is wrong with them.
const MODE: u32 = 0o640;

/// Arguments of `trapline report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Start of the period: an age such as 7d, or a time such as 2026-11-26T12:00:00Z
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: String,
    /// End of the period. Default: now
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Write the report to this file instead of printing it; an existing file is replaced, a FIFO or a device is written to, - is standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ReportArgs {
    /// What `--output` names, if that is not standard output, which is also what is meant without it.
    fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| !named::is_stdout(path))
    }

    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        self.file().is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A page in a single file, to read and to print
    Html,
    /// CSV for spreadsheets (RFC 4180), without formulas
    Csv,
    /// A JSON document
    Json,
}

/// Makes the report; false if the configuration cannot be read, or a file of the history.
///
/// # Errors
///
/// If there is no history, it cannot be read, an argument is wrong, or the file cannot be written.
pub fn run(args: &ReportArgs) -> anyhow::Result<bool> {
    let directory = match file::history_directory(args.config.path().as_deref()) {
        Ok(directory) => directory,
        Err(found) => {
            loaded::print(&found);
            return Ok(false);
        }
    };
    let now = clock::now();
    let period = period(args, now)?;
    let Some(folder) = search::folder(&directory)? else {
        bail!(no_history(args.config.path().as_deref(), &directory));
    };
    let report = report::gather(&folder, period, now, None)?;
    let text = written(&report, args.format);
    match args.file() {
        Some(path) => named::replace(path, MODE, |out| out.write_all(text.as_bytes()))
            .context("cannot write the report")?,
        None => print!("{text}"),
    }
    for why in &report.account.unreadable {
        eprintln!("trapline: {why}; run it as root or as the user of the daemon");
    }
    Ok(report.account.unreadable.is_empty())
}

fn written(report: &Report, format: Format) -> String {
    match format {
        Format::Html => report::html::page(report),
        Format::Csv => report::csv::text(report),
        Format::Json => report::json::text(report),
    }
}

/// The time of the report.
fn period(args: &ReportArgs, now: i64) -> anyhow::Result<(i64, i64)> {
    let time =
        |option: &str, text: &str| moment(text, now).map_err(|error| anyhow::anyhow!("{option}: {error}"));
    let from = time("--since", &args.since)?;
    let to = args.until.as_ref().map_or(Ok(now), |text| time("--until", text))?;
    if from >= to {
        bail!("--since is not before --until; give an earlier time, or a longer age");
    }
    if to.saturating_sub(from) > figures::LONGEST {
        bail!("a report has at most 3660 days; give a later --since");
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: ReportArgs,
    }

    const NOW: i64 = 1_795_694_400_000_000;

    fn period_of(args: &[&str]) -> Result<(i64, i64), String> {
        let cli = Cli::try_parse_from([&["report"], args].concat()).unwrap();
        period(&cli.args, NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn the_time_is_a_day_if_nothing_is_said_and_mistakes_name_their_option() {
        assert_eq!(period_of(&[]), Ok((NOW - 86_400_000_000, NOW)));
        let hour = period_of(&["--since", "2026-11-26T10:00:00Z", "--until", "1h"]).unwrap();
        assert_eq!(hour, (NOW - 7_200_000_000, NOW - 3_600_000_000));
        for (args, part) in [
            (["--since", "yesterday"], "--since: 'yesterday' is no time"),
            (["--until", "soon"], "--until: 'soon' is no time"),
            (["--until", "2d"], "--since is not before --until"),
            (["--since", "1970-01-01T00:00:00Z"], "at most 3660 days"),
        ] {
            let error = period_of(&args).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
