//! Ports: whether Trapline has what it wants, and who receives in its place.

use std::net::SocketAddr;

use super::finding::Finding;
use super::sockets::{Bound, Process};
use crate::intake::listener::overlap;

const AREA: &str = "ports";

/// An address that the configuration wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The section that has the key `listen`.
    pub section: &'static str,
    /// Whether it is for UDP.
    pub datagram: bool,
    /// The address.
    pub address: SocketAddr,
    /// Whether the daemon runs without it.
    pub optional: bool,
}

/// The daemon that uses the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// It runs as this process.
    Runs(u32),
    /// It does not. The lowest port that this user could bind.
    Not(u16),
}

/// The standard ports, for devices that cannot be told another one: RFC 3411 section 1.3 and RFC 5426 section 3.3.
const STANDARD: [(&str, u16, &str); 2] = [("[snmp]", 162, "traps"), ("[syslog]", 514, "syslog")];

/// What is to be said of the ports.
pub fn judge(wanted: &[Wanted], bound: &[Bound], daemon: Daemon) -> Vec<Finding> {
    let mut findings: Vec<Finding> = wanted.iter().filter_map(|wanted| one(wanted, bound, daemon)).collect();
    for (section, port, what) in STANDARD {
        let mut of_section = wanted.iter().filter(|one| one.section == section).peekable();
        if of_section.peek().is_some() && of_section.all(|one| one.address.port() != port) {
            findings.push(standard(section, port, what, bound));
        }
    }
    findings
}

/// What is to be said of an address; nothing if the daemon runs without it.
pub fn one(wanted: &Wanted, bound: &[Bound], daemon: Daemon) -> Option<Finding> {
    let name = name(wanted.address, wanted.datagram);
    let in_the_way =
        |one: &&Bound| one.datagram == wanted.datagram && overlap(wanted.address, one.address, true);
    let of = |one: &&Bound, id: u32| one.owner.as_ref().is_some_and(|owner| owner.id == id);
    let exact = |one: &&Bound| in_the_way(one) && one.address == wanted.address;
    let mut taken = bound.iter().filter(in_the_way);
    match daemon {
        Daemon::Runs(id) if bound.iter().any(|one| exact(&one) && of(&one, id)) => {
            Some(Finding::good(AREA, format!("{name}: Trapline receives (process {id})")))
        }
        Daemon::Runs(id) => match taken.find(|one| !of(one, id)) {
            // Only root sees whose it is.
            Some(Bound { owner: None, .. }) => Some(Finding::note(
                AREA,
                format!("{name} is bound, perhaps by Trapline"),
                "run this as root to see by whom",
            )),
            Some(other) => Some(stolen(&name, other, wanted)),
            None if wanted.optional => None,
            None => Some(Finding::error(
                AREA,
                format!("{name}: the running daemon does not listen there"),
                "run `trapline reload`, or restart the daemon; its log says why it does not",
            )),
        },
        Daemon::Not(lowest) => match taken.next() {
            Some(other) => Some(stolen(&name, other, wanted)),
            None if wanted.address.port() < lowest => Some(Finding::warning(
                AREA,
                format!("{name} is free, but this user may not bind a port below {lowest}"),
                "start Trapline with the capability CAP_NET_BIND_SERVICE, as config/trapline.service does",
            )),
            None => Some(Finding::good(AREA, format!("{name} is free"))),
        },
    }
}

fn stolen(name: &str, by: &Bound, wanted: &Wanted) -> Finding {
    let what = match &by.owner {
        Some(Process { id, name: program }) => format!("{name} is in use by {program} (process {id})"),
        None => format!("{name} is in use by a process that only root can see"),
    };
    Finding::error(AREA, what, remedy(by.owner.as_ref(), wanted.section))
}

/// Where devices send to if nobody tells them otherwise, and Trapline does not listen.
fn standard(section: &str, port: u16, what: &str, bound: &[Bound]) -> Finding {
    let here = |one: &&Bound| one.datagram && one.address.port() == port && !one.address.ip().is_loopback();
    match bound.iter().find(here).map(|one| one.owner.as_ref()) {
        Some(owner) => {
            let who = owner.map_or("another program".to_owned(), |owner| {
                format!("{} (process {})", owner.name, owner.id)
            });
            Finding::warning(
                AREA,
                format!(
                    "{who} receives what devices send to the standard port {port}/udp, and {section} listen does not have it"
                ),
                format!("{}; then add port {port} to {section} listen", remedy(owner, section)),
            )
        }
        None => Finding::note(
            AREA,
            format!(
                "{section} listen does not have {port}/udp, the port that devices send {what} to by default"
            ),
            format!(
                "add it, or configure the port on the devices; port {port} needs CAP_NET_BIND_SERVICE, which config/trapline.service gives"
            ),
        ),
    }
}

fn remedy(owner: Option<&Process>, section: &str) -> String {
    match owner.map(|owner| owner.name.as_str()) {
        Some("snmptrapd") => "run `systemctl disable --now snmptrapd.socket snmptrapd.service`; `trapline import snmptrapd` takes its configuration over".to_owned(),
        Some("rsyslogd") => "remove imudp and imtcp from the configuration of rsyslog (or have it forward), and restart it".to_owned(),
        Some("syslog-ng") => "remove the network() and udp() sources of syslog-ng, and restart it".to_owned(),
        Some("systemd") => "a socket unit holds it; `systemctl list-sockets` shows which, disable it".to_owned(),
        Some("trapline") => "another trapline runs; stop it, or name its configuration with --config".to_owned(),
        Some(_) => format!("stop it, or change {section} listen"),
        None => format!("run this as root to see which, stop it, or change {section} listen"),
    }
}

fn name(address: SocketAddr, datagram: bool) -> String {
    format!("{address}/{}", if datagram { "udp" } else { "tcp" })
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
