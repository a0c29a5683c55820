//! The command line.

use std::error::Error as _;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use super::args::ConfigArg;
use super::{
    check, checkin, completions, dead, doctor, explain, history, import, init, man, mib, mute, objects,
    reload, report, rule, run, send, senders, sinks, state, state_query, status, tap, test, token, top,
    unmatched,
};
use crate::daemon::helpers;
use crate::outcome::name::visible;
use crate::sys::survive_file_limit;
use crate::terminal::{self, eprintln, print, println};
use crate::vitals::{Judgement, Level};

/// SNMP traps and security syslog in, passive check results and events out, nothing lost on the way.
#[derive(Debug, Parser)]
#[command(name = "trapline", version = env!("TRAPLINE_VERSION"), about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground; SIGHUP reloads, SIGTERM drains and stops
    Run(ConfigArg),
    /// Report all errors in the configuration, rules and MIBs
    Check(check::CheckArgs),
    /// Run the tests that rules carry
    Test(test::TestArgs),
    /// Show how a message is processed: decoded, the rule that takes it, why others do not, and what each sink would send
    Explain(explain::ExplainArgs),
    /// List, show or forget messages that no rule takes, by kind
    Unmatched(unmatched::UnmatchedArgs),
    /// Search and export past outcomes, as text, CSV or JSON
    History(history::HistoryArgs),
    /// Make a report on a period of the history: totals, changes of state, problems; as a page, CSV or JSON
    Report(report::ReportArgs),
    /// List, show or clear the state of rules: open problems, since when, and what happens next
    State(state::StateArgs),
    /// Query services that check in, as a plugin for active checks
    Checkin(checkin::CheckInArgs),
    /// Mute hosts and services during planned work or a repair; list and end mutes
    Mute(mute::MuteArgs),
    /// Print the hosts and services that the monitoring core needs, as its configuration
    Objects(objects::ObjectsArgs),
    /// Send test messages, one or many
    Send(Box<send::SendArgs>),
    /// List senders: active, refused (with the configuration that would accept them) and silent
    Senders(senders::SendersArgs),
    /// Load, search and add MIBs, and make rules from them
    Mib(mib::MibArgs),
    /// List, show and copy rules in force and shipped packs, and make new rules
    Rule(rule::RuleArgs),
    /// Convert the configuration of other programs
    Import(import::ImportArgs),
    /// List dead letters (outcomes that a server will never accept), send them again or delete them
    Dead(dead::DeadArgs),
    /// List sinks and their waiting outcomes, including sinks that are no longer configured
    Sinks(sinks::SinksArgs),
    /// Make the running daemon reload its configuration, and show the result
    Reload(reload::ReloadArgs),
    /// Show the status of the running daemon: rates, drops, sinks and how far behind each is
    Status(status::StatusArgs),
    /// Add, list and remove tokens for the API and the console
    Token(token::TokenArgs),
    /// Show messages and their outcomes as they arrive
    Tap(tap::TapArgs),
    /// Show a live screen of rates, drops, sinks and their lag, the busiest senders, and unmatched messages
    Top(top::TopArgs),
    /// Write a first configuration for this machine: finds the monitoring core, its command pipe, and the programs that use the ports
    Init(init::InitArgs),
    /// Find problems of Trapline on this machine, and say what to do: ports, permissions, buffers, disk, sinks, clock
    Doctor(doctor::DoctorArgs),
    /// Print the completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print or write manual pages
    Man(man::ManArgs),
}

impl Command {
    /// Whether the command changes nothing, and its exit status says nothing but whether it could print. Only such a command may end
    /// before it is done; what is not named here goes on.
    fn only_prints(&self) -> bool {
        match self {
            Command::Explain(_) | Command::History(_) | Command::Tap(_) | Command::Top(_) => true,
            Command::Status(args) => !args.checks(),
            _ => false,
        }
    }

    /// Whether it does something besides what it prints, so that not all is lost with that.
    fn does_more(&self) -> bool {
        match self {
            Command::Run(_) | Command::Reload(_) | Command::Send(_) => true,
            Command::Unmatched(args) => args.changes(),
            Command::Report(args) => args.changes(),
            Command::State(args) => args.changes(),
            Command::Mute(args) => args.changes(),
            Command::Mib(args) => args.changes(),
            Command::Rule(args) => args.changes(),
            Command::Import(args) => args.changes(),
            Command::Dead(args) => args.changes(),
            Command::Sinks(args) => args.changes(),
            Command::Token(args) => args.changes(),
            Command::Init(args) => args.changes(),
            Command::Man(args) => args.changes(),
            Command::Check(_)
            | Command::Test(_)
            | Command::Explain(_)
            | Command::History(_)
            | Command::Checkin(_)
            | Command::Objects(_)
            | Command::Senders(_)
            | Command::Status(_)
            | Command::Tap(_)
            | Command::Top(_)
            | Command::Doctor(_)
            | Command::Completions(_) => false,
        }
    }

    /// Whether the exit status is that of a plugin.
    fn is_plugin(&self) -> bool {
        match self {
            Command::Status(args) => args.checks(),
            Command::State(args) => args.query().is_some(),
            Command::Checkin(_) => true,
            _ => false,
        }
    }
}

impl Cli {
    /// The command of these words, of which the first is the name of the program.
    ///
    /// # Errors
    ///
    /// The exit status, where the words are no command or ask for help; what there is to say is said.
    pub fn of(words: Vec<OsString>) -> Result<Self, ExitCode> {
        // Before anything is written, which may go to a file.
        survive_file_limit();
        Cli::try_parse_from(&words).map_err(|error| {
            let text = said_of(error, &words);
            match text {
                Shown::Help(text) => {
                    print!("{text}");
                    terminal::finish().map_or_else(
                        |error| {
                            eprintln!("{}", terminal::not_printed(error));
                            ExitCode::FAILURE
                        },
                        |()| ExitCode::SUCCESS,
                    )
                }
                Shown::Mistake(text) if asks_plugin(&words) => {
                    println!("{}", wrong_call(&text));
                    let _ = terminal::finish();
                    Level::Unknown.exit_status().into()
                }
                Shown::Mistake(text) => {
                    terminal::err(format_args!("{text}"));
                    ExitCode::from(2)
                }
            }
        })
    }

    /// Runs the command that was asked for.
    ///
    /// # Errors
    ///
    /// What stood in its way, in words for the user.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        helpers::end_with_daemon();
        if self.command.only_prints() {
            terminal::only_prints();
        }
        let (plugin, does_more) = (self.command.is_plugin(), self.command.does_more());
        let code = self.work();
        match (terminal::finish(), &code) {
            (Ok(()), _) => code,
            (Err(error), Ok(done)) => {
                let done = *done == ExitCode::SUCCESS && does_more;
                let done = if done { "; what was asked for is done" } else { "" };
                eprintln!("{}{done}", terminal::not_printed(error));
                // Who asks a plugin takes 1 for a warning.
                Ok(if plugin { Level::Unknown.exit_status().into() } else { ExitCode::FAILURE })
            }
            (Err(error), Err(_)) => {
                eprintln!("{}", terminal::not_printed(error));
                code
            }
        }
    }

    fn work(self) -> anyhow::Result<ExitCode> {
        let done = match self.command {
            Command::Run(args) => run::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Test(args) => test::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Unmatched(args) => unmatched::run(&args),
            Command::History(args) => history::run(&args),
            Command::Report(args) => report::run(&args),
            Command::State(args) => match args.query() {
                Some(query) => return Ok(state_query::run(query).into()),
                None => state::run(&args),
            },
            Command::Checkin(args) => return Ok(checkin::run(&args).into()),
            Command::Mute(args) => mute::run(&args),
            Command::Objects(args) => objects::run(&args),
            Command::Send(args) => send::run(&args),
            Command::Senders(args) => senders::run(&args),
            Command::Mib(args) => mib::run(&args),
            Command::Rule(args) => rule::run(&args),
            Command::Import(args) => import::run(&args),
            Command::Dead(args) => dead::run(&args),
            Command::Sinks(args) => sinks::run(&args),
            Command::Reload(args) => reload::run(&args),
            Command::Status(args) if args.checks() => return Ok(status::check(&args).into()),
            Command::Status(args) => status::run(&args),
            Command::Token(args) => token::run(&args),
            Command::Tap(args) => tap::run(&args),
            Command::Top(args) => top::run(&args),
            Command::Init(args) => init::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Completions(args) => completions::run(&args, Cli::command()),
            Command::Man(args) => man::run(&args, Cli::command()),
        };
        if let Some((error, status)) = done.as_ref().err().and_then(|e| Some((e, helpers::status_of(e)?))) {
            eprintln!("trapline: {error:#}");
            return Ok(status.into());
        }
        done.map(|done| if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Whether words that are no command to run are those of a plugin. Who asks a plugin takes the status of a wrong command for CRITICAL,
/// and reads standard output only.
fn asks_plugin(words: &[OsString]) -> bool {
    let mut words = words.iter().skip(1).map(|word| word.to_string_lossy());
    match words.next().as_deref() {
        Some("checkin") => true,
        Some("state") => words.next().is_some_and(|word| word == "query"),
        Some("status") => words.any(|word| word == "--check" || word.starts_with("--check=")),
        _ => false,
    }
}

/// The line of a plugin that is called wrongly.
fn wrong_call(text: &str) -> String {
    let what = text.split("\n\n").next().unwrap_or_default();
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    // Without any word there is only the help.
    let usage = || text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("trapline --help");
    let lacks = || format!("a command is missing: {}", usage().trim());
    let what = what.strip_prefix("error: ").map_or_else(lacks, str::to_owned);
    Judgement::without_numbers(Level::Unknown, &format!("wrong call: {what}; --help shows the options"))
        .line()
}

/// What is said of words that are no command to run.
#[derive(Debug)]
enum Shown {
    /// What they ask for.
    Help(String),
    /// What is wrong with them.
    Mistake(String),
}

/// Says it so that an argument with line breaks and control characters stays in its line.
fn said_of(mut error: clap::Error, words: &[OsString]) -> Shown {
    if !error.use_stderr() {
        return Shown::Help(error.render().to_string());
    }
    let escaped = |value: &ContextValue| match value {
        ContextValue::String(text) => Some(ContextValue::String(visible(text))),
        ContextValue::Strings(all) => {
            Some(ContextValue::Strings(all.iter().map(|text| visible(text)).collect()))
        }
        ContextValue::StyledStrs(all) => {
            Some(ContextValue::StyledStrs(all.iter().map(|text| visible(&text.to_string()).into()).collect()))
        }
        // The usage, which has lines, and has no argument in it.
        _ => None,
    };
    let values: Vec<_> = error.context().filter_map(|(kind, value)| Some((kind, escaped(value)?))).collect();
    for (kind, value) in values {
        error.insert(kind, value);
    }
    if let Some(advice) = without_sign(&error, words) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
    let text = error.render().to_string();
    // What reads a value may quote it as well.
    Shown::Mistake(match error.source().map(ToString::to_string).filter(|why| !why.is_empty()) {
        Some(why) => text.replace(&why, &visible(&why)),
        None => text,
    })
}

/// What to write in place of a negative number that follows an option: it looks like an option, and none takes one.
fn without_sign(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(taken))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    taken.strip_prefix('-').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let [option, value] = words.windows(2).find_map(|two| match two {
        [option, value] if option.starts_with("--") && value.starts_with(&**taken) => Some([option, value]),
        _ => None,
    })?;
    Some(visible(&format!(
        "{option} takes no negative value; write {option} {}",
        value.trim_start_matches('-')
    )))
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
