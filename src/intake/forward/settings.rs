//! `[[forward]]`

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::intake::listener::{Listener, Protocol, Transport};
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::{network, parse_all, word};

/// A receiver of packets as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// How status and metrics call it.
    pub name: Arc<str>,
    /// What it gets.
    pub protocol: Protocol,
    /// Where it is.
    pub to: SocketAddr,
    /// Networks whose packets it gets; none for all.
    pub senders: Option<Vec<IpNet>>,
    /// Whether it sees the sender's address, where that can be.
    pub keeps_sender: bool,
}

/// Which kinds of messages are forwarded.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Kinds {
    /// SNMP packets.
    pub snmp: bool,
    /// Lines of syslog.
    pub syslog: bool,
}

impl Kinds {
    /// Those of some receivers.
    pub fn of(forwards: &[Arc<Forward>]) -> Self {
        let any = |protocol| forwards.iter().any(|forward| forward.protocol == protocol);
        Kinds { snmp: any(Protocol::Snmp), syslog: any(Protocol::Syslog) }
    }
}

/// Reads all `[[forward]]` of a configuration with these listeners.
pub fn read(
    sections: Vec<Section<'_, '_>>,
    listeners: &[&Listener],
    found: &mut Diagnostics,
) -> Vec<Arc<Forward>> {
    let mut all: Vec<Arc<Forward>> = Vec::new();
    for section in sections {
        let span = section.span();
        let source = section.source();
        let Some(one) = forward(section, listeners, found) else { continue };
        if all.iter().any(|other| other.name == one.name) {
            let hint = Some("give each a name of its own".to_owned());
            found.push(source.error(&span, format!("two [[forward]] have the name '{}'", one.name), hint));
            continue;
        }
        all.push(Arc::new(one));
    }
    all
}

fn forward(section: Section<'_, '_>, listeners: &[&Listener], found: &mut Diagnostics) -> Option<Forward> {
    let source = section.source();
    let protocols = [("snmp", Protocol::Snmp), ("syslog", Protocol::Syslog)];
    let protocol = word(&section, "what", &protocols, "kind of messages", found);
    if section.get("what").is_none() {
        found.push(section.error("[[forward]] without 'what'", "add what = \"snmp\" or \"syslog\""));
    }
    let protocol = protocol.filter(|_| section.get("what").is_some());
    let text = section.string("to", found);
    if section.get("to").is_none() {
        found.push(section.error("[[forward]] without 'to'", "add to = \"192.0.2.50:162\""));
    }
    let to = text.as_ref().and_then(|text| {
        let to = text.parse::<SocketAddr>().ok().filter(|to| to.port() > 0 && !to.ip().is_unspecified());
        if to.is_none() {
            let message = format!("'{}' is no address with a port", text.value.escape_debug());
            let hint = Some("write 192.0.2.50:162 or [2001:db8::50]:162; names are not looked up".to_owned());
            found.push(source.error(&text.span, message, hint));
        }
        to
    });
    if let (Some(to), Some(text), Some(protocol)) = (to, &text, protocol) {
        let own = |listener: &&&Listener| listener.protocol == protocol && has(&listener.transport, to);
        if let Some(own) = listeners.iter().find(own) {
            let message =
                format!("this daemon itself listens on {}: packets would go in a circle", own.transport);
            let hint = Some("name another receiver".to_owned());
            found.push(source.error(&text.span, message, hint));
        }
    }
    let name = section.string("name", found);
    if let Some(name) = name.as_ref().filter(|name| name.is_empty() || name.chars().any(char::is_control)) {
        let message = "a name has no control characters, and is not empty";
        found.push(source.error(&name.span, message, None));
    }
    let senders = section.strings("senders", found).map(|all| parse_all(&section, all, network, found));
    let keeps_sender = section.boolean("keep_sender", found).is_none_or(|keeps| keeps.value);
    section.finish(found);
    let (protocol, to) = (protocol?, to?);
    let name = name.map_or_else(|| format!("{} to {to}", protocol.as_str()), |name| name.value);
    Some(Forward { name: name.into(), protocol, to, senders, keeps_sender })
}

/// Whether what is sent to an address comes in at a listener of this machine, as far as that is certain.
fn has(transport: &Transport, to: SocketAddr) -> bool {
    let Transport::Udp(at) = transport else { return false };
    let all = at.ip().is_unspecified() && to.ip().is_loopback();
    at.port() == to.port() && (at.ip() == to.ip() || all)
}
