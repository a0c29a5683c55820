//! The command line.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::args::ConfigArg;
use super::{
    check, checkin, completions, dead, doctor, explain, history, import, init, man, mib, mute, objects,
    reload, report, rule, run, send, senders, sinks, state, state_query, status, tap, test, token, top,
    unmatched,
};
use crate::daemon::helpers;
use crate::terminal;
use crate::vitals::Level;

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
        let plugin = self.command.is_plugin();
        let code = self.work();
        match (terminal::finish(), &code) {
            (Ok(()), _) => code,
            (Err(error), Ok(done)) => {
                let done = *done == ExitCode::SUCCESS && !plugin;
                let done = if done { "; what was asked for is done" } else { "" };
                terminal::err(format_args!("trapline: cannot write to standard output: {error}{done}\n"));
                // Who asks a plugin takes 1 for a warning.
                Ok(if plugin { Level::Unknown.exit_status().into() } else { ExitCode::FAILURE })
            }
            (Err(error), Err(_)) => {
                terminal::err(format_args!("trapline: cannot write to standard output: {error}\n"));
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
            terminal::err(format_args!("trapline: {error:#}\n"));
            return Ok(status.into());
        }
        done.map(|done| if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
