//! Gathers the facts, and prints what they mean.

use std::path::Path;

use clap::Args;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use serde_json::Value;

use super::certificates::{self, Account};
use super::finding::{self, Finding};
use super::machine::{self, Directory};
use super::ports::{self, Daemon, Wanted};
use super::{probe, running, sockets};
use crate::commands::args::ConfigArg;
use crate::commands::daemon::{PATIENCE, try_ask};
use crate::commands::greet;
use crate::config::Config;
use crate::config::loaded;
use crate::daemon::control::Request;
use crate::intake::listener::Listener;
use crate::mib::load::Held;
use crate::settings::diagnostic::{Diagnostics, Severity};
use crate::settings::input;
use crate::sys;
use crate::terminal::println;
use crate::time::clock;

/// CAP_NET_BIND_SERVICE and CAP_NET_ADMIN: capabilities(7).
const BIND: u32 = 10;
const NET_ADMIN: u32 = 12;

/// Arguments of `trapline doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// One JSON document
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
    let listeners: Vec<&Listener> = config.listeners().collect();
    let of_listener = |listener: &&Listener| {
        Some(Wanted {
            section: listener.protocol.section(),
            datagram: listener.transport.udp().is_some(),
            address: listener.transport.address()?,
            optional: listener.optional,
        })
    };
    let mut wanted: Vec<Wanted> = listeners.iter().filter_map(of_listener).collect();
    wanted.extend(config.http.as_ref().map(|http| Wanted {
        section: "[http]",
        datagram: false,
        address: http.listen,
        optional: http.optional,
    }));
    // With port 0 the kernel chooses one.
    wanted.retain(|wanted| wanted.address.port() != 0);
    let mut numbers: Vec<u16> = wanted.iter().map(|wanted| wanted.address.port()).collect();
    numbers.extend([162, 514]);
    let capabilities = |process: &str| proc(&format!("{process}/status"));
    let who = match daemon {
        Some(id) => Daemon::Runs(id),
        None if machine::has_capability(&capabilities("self"), BIND) => Daemon::Not(0),
        None => Daemon::Not(number("sys/net/ipv4/ip_unprivileged_port_start").unwrap_or(1024)),
    };
    findings.extend(ports::judge(&wanted, &sockets::on_ports(&numbers), who));
    let buffer =
        listeners.iter().filter(|one| one.transport.udp().is_some()).map(|one| one.limits.receive_buffer);
    if let Some(buffer) = buffer.max() {
        let status = daemon.map_or_else(|| capabilities("self"), |id| capabilities(&id.to_string()));
        let most = number("sys/net/core/rmem_max").ok_or_else(|| std::io::ErrorKind::NotFound.into());
        findings.push(machine::buffers(buffer, most, machine::has_capability(&status, NET_ADMIN)));
    }
    findings.extend(machine::journal(&directory(config)));
    let of_http = config.intake.iter().filter_map(|one| one.site.tls.as_ref());
    let of_web = config.http.iter().filter_map(|http| http.tls.as_ref());
    for tls in config.syslog.tls.iter().chain(of_http).chain(of_web) {
        let account = match daemon {
            Some(id) => Account::of_process(&proc(&format!("{id}/status"))),
            // The directory is made by the daemon's user.
            None => Account::of_owner(&config.journal.directory).ok(),
        };
        let now = clock::now() / 1_000_000;
        findings.extend(certificates::judge(tls, account.as_ref(), now));
    }
}

fn directory(config: &Config) -> Directory<'_> {
    use std::os::unix::fs::PermissionsExt as _;

    let path = config.journal.directory.as_path();
    let may_write = |path: &Path| access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    // A relative path has the empty one above it.
    let there = |path: &&Path| !path.as_os_str().is_empty() && path.exists();
    let above = path.ancestors().find(there).unwrap_or(Path::new("."));
    let free = statvfs(above).ok().map(|stat| stat.blocks_available().saturating_mul(stat.fragment_size()));
    Directory {
        path,
        found: path.metadata().map(|meta| (meta.permissions().mode(), may_write(path))),
        can_be_made: may_write(above),
        free,
        max_size: config.journal.max_size,
    }
}

/// A file of `/proc`; empty if it cannot be read.
fn proc(name: &str) -> String {
    let text = input::text(&Path::new("/proc").join(name), 1 << 16);
    text.map_or_else(|_| String::new(), |text| text.to_string())
}

fn number<N: std::str::FromStr>(name: &str) -> Option<N> {
    proc(name).trim().parse().ok()
}
