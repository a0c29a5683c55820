//! `trapline history`: outcomes of the past, out of the files of `[history]`, whether a daemon runs or not.

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};

use crate::commands::args::{ConfigArg, glob, moment, no_history, whole};
use crate::config::{file, loaded};
use crate::history::search::{self, Page, Search};
use crate::history::{Filter, Row, export};
use crate::outcome::name::visible;
use crate::terminal::{eprintln, print, println};
use crate::time::clock::{self, rfc3339};

/// How many rows are read at once.
const AT_ONCE: usize = 1000;

/// Arguments of `trapline history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Only outcomes with all of these words, case-insensitive, at the beginning of words: gi0 finds Gi0/3
    words: Vec<String>,
    /// Only since this time: an age such as 2h, or a time such as 2026-11-26T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only this host or component, case-insensitive; * and ? are wildcards
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    host: Option<String>,
    /// Only this service or resource, case-insensitive
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    service: Option<String>,
    /// Only this rule
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    rule: Option<String>,
    /// Only messages from this address
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    source: Option<String>,
    /// Only these states, separated by commas: critical,down
    #[arg(long, value_name = "STATES")]
    state: Option<String>,
    /// Only changes of state, and the first outcome of each host and service
    #[arg(long)]
    changes: bool,
    /// Also messages that made no outcome, with the reason
    #[arg(long)]
    untold: bool,
    /// Only unreported messages with one of these reasons, separated by commas: held,duplicate,muted
    #[arg(long, value_name = "REASONS")]
    why: Option<String>,
    /// Maximum number of rows; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole::<usize>(0..=u64::MAX, 1000))]
    limit: usize,
    /// Print the oldest first
    #[arg(long)]
    reverse: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text
    Text,
    /// One JSON document per line
    Json,
    /// CSV for spreadsheets (RFC 4180), without formulas
    Csv,
}

/// Prints what was asked for; false if the configuration cannot be read, or a file of the history.
///
/// # Errors
///
/// If there is no history, it cannot be read, or an argument is wrong.
pub fn run(args: &HistoryArgs) -> anyhow::Result<bool> {
    let directory = match file::history_directory(args.config.path().as_deref()) {
        Ok(directory) => directory,
        Err(found) => {
            loaded::print(&found);
            return Ok(false);
        }
    };
    let search = Search { filter: filter(args, clock::now())?, oldest_first: args.reverse, is_over: None };
    let Some(folder) = search::folder(&directory)? else {
        bail!(no_history(args.config.path().as_deref(), &directory));
    };
    if args.format == Format::Csv {
        print!("{}", export::CSV_HEAD);
    }
    let mut left = if args.limit == 0 { usize::MAX } else { args.limit };
    let (mut behind, mut is_whole, mut is_empty) = (None, true, true);
    while left > 0 {
        // Each page opens the files anew, so that none is kept from the daemon.
        let Page { rows, next, unreadable, .. } = search.page(&folder, behind, left.min(AT_ONCE))?;
        for why in unreadable {
            eprintln!("trapline: {why}; run it as root or as the user of the daemon");
            is_whole = false;
        }
        left -= rows.len();
        is_empty &= rows.is_empty();
        for row in &rows {
            print_row(row, args.format);
        }
        behind = next;
        if behind.is_none() {
            break;
        }
    }
    if is_empty && args.format == Format::Text {
        println!("no outcome is in the history that fits");
    } else if behind.is_some() && args.limit > 0 {
        eprintln!(
            "trapline: there may be more; ask for them with --limit, or for fewer with --since or --host"
        );
    }
    Ok(is_whole)
}

fn filter(args: &HistoryArgs, now: i64) -> anyhow::Result<Filter> {
    let mut filter = Filter { changes: args.changes, untold: args.untold, ..Filter::default() };
    for (option, value, place) in
        [("--since", &args.since, &mut filter.from), ("--until", &args.until, &mut filter.to)]
    {
        if let Some(text) = value {
            *place = Some(moment(text, now).map_err(|error| anyhow!("{option}: {error}"))?);
        }
    }
    for (option, name, value) in [
        ("--host", "host", &args.host),
        ("--service", "service", &args.service),
        ("--rule", "rule", &args.rule),
        ("--source", "source", &args.source),
        ("--state", "state", &args.state),
        ("--why", "why", &args.why),
        ("the words", "q", &Some(args.words.join(" "))),
    ] {
        if let Some(value) = value
            && let Err(error) = filter.set(name, value)
        {
            bail!("{option}: {error}");
        }
    }
    Ok(filter)
}

fn print_row(row: &Row, format: Format) {
    match format {
        Format::Json => println!("{}", row.to_json()),
        Format::Csv => print!("{}", export::csv(row)),
        Format::Text => println!("{}", line(row)),
    }
}

/// A row for people.
fn line(row: &Row) -> String {
    let previous = row.previous.map_or(String::new(), |state| format!(" (was {})", state.as_str()));
    let count = if row.count > 1 { format!(" [{} times]", row.count) } else { String::new() };
    let service = row.service.as_deref().map_or(String::new(), |service| format!(" / {service}"));
    let because = row.because().map_or(String::new(), |because| format!(" ({because})"));
    let text = format!(
        "{} {}{previous}{count} {}{service}: {} [{}]{because}",
        rfc3339(row.time),
        row.state_word().unwrap_or("-"),
        row.host,
        row.output,
        row.rule
    );
    visible(&text)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: HistoryArgs,
    }

    fn filter_of(args: &[&str]) -> Result<Filter, String> {
        let cli = Cli::try_parse_from([&["history"], args].concat()).unwrap();
        filter(&cli.args, 1_795_694_400_000_000).map_err(|error| error.to_string())
    }

    #[test]
    fn ages_and_times_are_read_and_mistakes_name_their_option() {
        let filter =
            filter_of(&["--since", "2h", "--until", "2026-11-26T11:00:00Z", "link", "down"]).unwrap();
        assert_eq!((filter.from, filter.to), (Some(1_795_687_200_000_000), Some(1_795_690_800_000_000)));
        for (args, part) in [
            (["--since", "yesterday"], "--since: 'yesterday' is no time; write an age such as 7d"),
            (["--state", "bad"], "--state: 'bad' is no state"),
        ] {
            let error = filter_of(&args).unwrap_err();
            assert!(error.starts_with(part), "{error}");
        }
    }
}
