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
    /// Report everything that is wrong in configuration, rules and MIBs
    Check(check::CheckArgs),
    /// Run the tests that rules carry
    Test(test::TestArgs),
    /// Show what a message becomes: decoded, which rule takes it and why not the others, what is sent where
    Explain(explain::ExplainArgs),
    /// Messages that no rule takes, by kind: list, show or forget them
    Unmatched(unmatched::UnmatchedArgs),
    /// Outcomes of the past: search, filter, export as CSV or JSON
    History(history::HistoryArgs),
    /// A report on a time of the history: totals, changes of state, what is not ok; a page, CSV or JSON
    Report(report::ReportArgs),
    /// What rules keep over time: what is open, since when, and what comes next; clear it
    State(state::StateArgs),
    /// How services that check in are: a plugin for active checks
    Checkin(checkin::CheckInArgs),
    /// Mute what is known: planned work, a repair under way; list the mutes, end them
    Mute(mute::MuteArgs),
    /// Print the hosts and services that the monitoring core needs, as its configuration
    Objects(objects::ObjectsArgs),
    /// Send test messages, one or a load of them
    Send(Box<send::SendArgs>),
    /// Who sends, who is refused and what would let them in, and which known hosts are silent
    Senders(senders::SendersArgs),
    /// What the loaded MIBs know
    Mib(mib::MibArgs),
    /// Rules in force and the shipped packs: list, show and copy them
    Rule(rule::RuleArgs),
    /// Make rules of the configuration of other programs
    Import(import::ImportArgs),
    /// Outcomes that a far end will never take: show, send again or forget them
    Dead(dead::DeadArgs),
    /// Sinks and what waits for them, also for those that are no longer configured
    Sinks(sinks::SinksArgs),
    /// Have the running daemon reload its configuration, and show the result
    Reload(reload::ReloadArgs),
    /// Show the running daemon: rates, drops, sinks and how far behind each is
    Status(status::StatusArgs),
    /// Who may use the API and the console: add, list and remove tokens
    Token(token::TokenArgs),
    /// Show messages as they come, and what becomes of each
    Tap(tap::TapArgs),
    /// A screen of rates, drops, sinks and their lag, the loudest senders, and what no rule takes
    Top(top::TopArgs),
    /// Write a first configuration for this machine: it finds the monitoring core, its pipe, and who has which port
    Init(init::InitArgs),
    /// Report what is wrong with Trapline on this machine, and what to do: ports, permissions, buffers, disk, sinks, clock
    Doctor(doctor::DoctorArgs),
    /// Print the script with which a shell completes the command line
    Completions(completions::CompletionsArgs),
    /// Print or write manual pages
    Man(man::ManArgs),
}

impl Cli {
    /// Runs the command that was asked for.
    ///
    /// # Errors
    ///
    /// What stood in its way, in words for the user.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        helpers::end_with_daemon();
        if matches!(&self.command, Command::Check(_) | Command::Test(_) | Command::Doctor(_))
            || matches!(&self.command, Command::Status(args) if args.checks())
            || matches!(&self.command, Command::State(args) if args.query().is_some())
            || matches!(&self.command, Command::Checkin(_))
        {
            terminal::answers_by_status();
        }
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
