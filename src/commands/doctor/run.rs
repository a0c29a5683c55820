//! Gathers the facts, and prints what they mean.

use std::path::Path;

use clap::Args;
use serde_json::Value;

use super::finding::{self, Finding};
use super::machine;
use super::ports::{self, Wanted};
use super::{facts, probe, running, sockets};
use crate::commands::args::ConfigArg;
use crate::commands::daemon::{PATIENCE, try_ask};
use crate::commands::greet;
use crate::config::Config;
use crate::config::loaded;
use crate::daemon::control::Request;
use crate::mib::load::Held;
use crate::settings::diagnostic::{Diagnostics, Severity};
use crate::sys;
use crate::terminal::println;

/// CAP_NET_ADMIN: capabilities(7).
const NET_ADMIN: u32 = 12;

/// Arguments of `trapline doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Looks at the machine and the daemon; false if anything does not work.
///
/// # Errors
///
/// None; what cannot be looked at is a finding.
pub fn run(args: &DoctorArgs) -> anyhow::Result<bool> {
    let path = args.config.path();
    let mut findings = Vec::new();
    if let Some(config) = configuration(path.as_deref(), &mut findings) {
        let daemon = daemon(&config, &mut findings);
        machine(&config, daemon, &mut findings);
        for (sink, wrong) in config.sinks.iter().zip(greet::all(&config.sinks)) {
            findings.push(probe::sink(&sink.settings.name, &sink.settings.sink.destination(), wrong));
        }
        findings.push(machine::clock(sys::clock_is_synchronised()));
    }
    if args.json {
        println!("{}", finding::to_json(&findings));
    } else {
        finding::print(&findings);
    }
    Ok(finding::holds(&findings))
}

/// The configuration, as far as it can be used.
fn configuration(path: Option<&Path>, findings: &mut Vec<Finding>) -> Option<Config> {
    const AREA: &str = "configuration";
    let named = path.map_or("the built-in configuration".to_owned(), |path| path.display().to_string());
    let remedy = "run `trapline check`, which shows every place, and correct it";
    let wrong = |found: &Diagnostics| {
        let all = found.clone().sorted();
        let count = |severity| all.iter().filter(|one| one.severity == severity).count();
        (count(Severity::Error), count(Severity::Warning))
    };
    let setup = match loaded::load(path, &Held::default()) {
        Ok(setup) => setup,
        Err(found) => {
            let (errors, _) = wrong(&found);
            findings.push(Finding::error(AREA, format!("{named} has mistakes: {errors}"), remedy));
            return None;
        }
    };
    findings.push(match wrong(&setup.found) {
        (0, 0) => Finding::good(AREA, named),
        (0, warnings) => {
            Finding::note(AREA, format!("{named} has warnings: {warnings}"), "run `trapline check`")
        }
        (errors, _) => {
            Finding::error(AREA, format!("{named}, its rules or MIBs have mistakes: {errors}"), remedy)
        }
    });
    Some(setup.config)
}

/// Asks the daemon; gives the number of its process if it runs.
fn daemon(config: &Config, findings: &mut Vec<Finding>) -> Option<u32> {
    const AREA: &str = "daemon";
    let status: Value = match try_ask(&config.journal.directory, &Request::Status, Some(PATIENCE)) {
        Ok(Some(status)) => status,
        Ok(None) => {
            findings.push(Finding::warning(
                AREA,
                "no daemon runs with this configuration",
                "start it: `systemctl enable --now trapline`, or `trapline run`",
            ));
            return None;
        }
        Err(error) => {
            findings.push(Finding::error(
                AREA,
                format!("{error:#}"),
                "run this as the daemon's user or root",
            ));
            return None;
        }
    };
    findings.extend(running::judge_status(&status, env!("CARGO_PKG_VERSION")));
    status["pid"].as_u64().and_then(|id| u32::try_from(id).ok())
}

fn machine(config: &Config, daemon: Option<u32>, findings: &mut Vec<Finding>) {
    let wanted: Vec<Wanted> = facts::wanted(config).into_iter().map(|(wanted, _)| wanted).collect();
    let mut numbers: Vec<u16> = wanted.iter().map(|wanted| wanted.address.port()).collect();
    numbers.extend([162, 514]);
    findings.extend(ports::judge(&wanted, &sockets::on_ports(&numbers), facts::who(daemon)));
    let datagrams = config.listeners().filter(|one| one.transport.udp().is_some());
    if let Some(buffer) = datagrams.map(|one| one.limits.receive_buffer).max() {
        let process = daemon.map_or_else(|| "self".to_owned(), |id| id.to_string());
        let most = facts::number("sys/net/core/rmem_max").ok_or_else(|| std::io::ErrorKind::NotFound.into());
        let privileged = machine::has_capability(&facts::status(&process), NET_ADMIN);
        findings.push(machine::buffers(buffer, most, privileged));
    }
    findings.extend(machine::journal(&facts::directory(config)));
    findings.extend(facts::certificates(config, daemon));
}
