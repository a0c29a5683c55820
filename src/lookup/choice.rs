//! Which host a message is about. There is no second place that decides it.
//!
//! Candidates are what the message claims (the agent of a notification, the host name of a line), its sender, and its SNMP
//! engine. The first one that the table of hosts knows names the host; if it knows none, the first one that can name a host at
//! all.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use super::hosts::{Hosts, Prefer};
use super::names::{HostWord, clean, is_of_a_host};
use crate::message::{Message, SecurityLevel, Source};

/// A message, and what the choice of its host depends on.
#[derive(Clone, Copy)]
pub struct Received<'r, 'm> {
    /// The message.
    pub message: &'r Message<'m>,
    /// Its sender.
    pub source: &'r Source,
    /// The sender's address as text.
    pub address: &'m str,
    /// Whether the sender may speak for other hosts: a relay.
    pub relay: bool,
    /// The name of an address in the DNS, if it is known at once.
    pub reverse: &'r dyn Fn(IpAddr) -> Option<String>,
}

/// The host that a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'m> {
    /// Its name; the sender's address if there is none.
    pub host: Cow<'m, str>,
    /// The name of the sender.
    pub source_name: Option<Cow<'m, str>>,
    /// What became of the agent that a notification names.
    pub agent: Agent,
}

/// The agent that a notification names, or the host that a line names where that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// None that is another host than the sender.
    None,
    /// One that the sender may speak for.
    Believed,
    /// One that the sender may not speak for.
    Refused(Ipv4Addr),
    /// A line names another host, which its sender may not.
    RefusedName,
}

/// What a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The agent of a notification.
    Agent,
    /// The host name of a line.
    Line,
    /// The host of a check-in or an event, as the configuration says.
    Posted,
    /// The sender.
    Sender,
    /// The SNMP engine.
    Engine,
}

impl Origin {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Agent => "agent",
            Origin::Line => "name in the line",
            Origin::Posted => "configured host",
            Origin::Sender => "sender",
            Origin::Engine => "engine",
        }
    }
}

/// A candidate, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'m> {
    /// What it is.
    pub origin: Origin,
    /// The address, name or engine id.
    pub value: Cow<'m, str>,
    /// The name of the address in the DNS.
    pub reverse: Option<String>,
    /// What is said of it.
    pub verdict: Verdict<'m>,
}

/// What is said of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'m> {
    /// The table of hosts knows it, by this name.
    Known(Cow<'m, str>),
    /// The table does not know it; this would be its name.
    Unknown(Cow<'m, str>),
    /// The table does not know it, and it is no name.
    UnknownEngine,
    /// It cannot name a host.
    NoHost,
    /// The sender may not speak for it.
    NotARelay,
    /// It came without authentication.
    NotAuthenticated,
    /// The user is bound to another engine.
    OtherEngine,
}

impl Hosts {
    /// The host that a message is about. `seen` gets all candidates in their order, if somebody wants them.
    pub fn choose<'m>(
        &'m self,
        received: &Received<'_, 'm>,
        mut seen: Option<&mut Vec<Candidate<'m>>>,
    ) -> Choice<'m> {
        let source = received.source.address();
        let claim = self.claim(received);
        let agent = match (&claim, received.message) {
            (Some(Candidate { verdict: Verdict::NotARelay, .. }), Message::Syslog(_)) => Agent::RefusedName,
            (Some(claim), Message::Notification(n)) => match (&claim.verdict, n.agent) {
                (Verdict::NotARelay, Some(agent)) => Agent::Refused(agent),
                (Verdict::NoHost, _) => Agent::None,
                _ => Agent::Believed,
            },
            _ => Agent::None,
        };
        let sender = self.sender(received);
        let source_name = match &sender.verdict {
            Verdict::Known(name) => Some(name.clone()),
            Verdict::Unknown(name) if sender.reverse.is_some() => Some(name.clone()),
            _ => None,
        };
        let engine = self.engine(received, seen.is_some());
        if let (None, None, None) = (&claim, &engine, &seen) {
            // Nobody but the sender says where nearly all messages come from.
            let host = match sender.verdict {
                Verdict::Known(name) | Verdict::Unknown(name) => name,
                _ => Cow::Borrowed(received.address),
            };
            return Choice { host, source_name, agent };
        }
        let order = match self.prefer.of(source) {
            Some(Prefer::Sender) => [Some(&sender), claim.as_ref(), engine.as_ref()],
            Some(Prefer::Claim) | None => [claim.as_ref(), Some(&sender), engine.as_ref()],
        };
        let (mut known, mut left) = (None, None);
        for candidate in order.into_iter().flatten() {
            match &candidate.verdict {
                Verdict::Known(name) if known.is_none() => known = Some(name.clone()),
                Verdict::Unknown(name) if left.is_none() => left = Some(name.clone()),
                _ => {}
            }
            if let Some(seen) = seen.as_deref_mut() {
                seen.push(candidate.clone());
            }
        }
        let host = known.or(left).unwrap_or(Cow::Borrowed(received.address));
        Choice { host, source_name, agent }
    }

    /// What the message says of its origin; none if it says nothing, or that it comes from its sender.
    fn claim<'m>(&'m self, received: &Received<'_, 'm>) -> Option<Candidate<'m>> {
        let source = received.source.address();
        match received.message {
            Message::Notification(notification) => {
                let agent = IpAddr::V4(notification.agent?);
                if agent == source {
                    return None;
                }
                let same =
                    || self.of_address(agent).is_some_and(|name| self.of_address(source) == Some(name));
                let value = Cow::Owned(agent.to_string());
                if !is_of_a_host(agent) {
                    return Some(Candidate::plain(Origin::Agent, value, Verdict::NoHost));
                }
                if !received.relay && !same() {
                    return Some(Candidate::plain(Origin::Agent, value, Verdict::NotARelay));
                }
                Some(self.by_address(Origin::Agent, agent, value, received))
            }
            Message::Syslog(line) => {
                let word = line.host?;
                match clean(word) {
                    Some(HostWord::Address(address)) if address == source => None,
                    Some(named) if !received.relay && !self.is_of(&named, source) => {
                        Some(Candidate::plain(Origin::Line, word.into(), Verdict::NotARelay))
                    }
                    None => Some(Candidate::plain(Origin::Line, word.into(), Verdict::NoHost)),
                    Some(HostWord::Address(address)) => {
                        Some(self.by_address(Origin::Line, address, address.to_string().into(), received))
                    }
                    Some(HostWord::Name(name)) => {
                        Some(Candidate::plain(Origin::Line, name.into(), self.by_name(name.into())))
                    }
                }
            }
            // Only who has proven it gets here, and the configuration says which host it may name.
            Message::Posted(posted) => {
                let word = posted.host?;
                Some(match clean(word) {
                    None => Candidate::plain(Origin::Posted, word.into(), Verdict::NoHost),
                    Some(HostWord::Address(address)) => {
                        self.by_address(Origin::Posted, address, address.to_string().into(), received)
                    }
                    Some(HostWord::Name(name)) => {
                        Candidate::plain(Origin::Posted, name.into(), self.by_name(name.into()))
                    }
                })
            }
        }
    }

    /// Whether the table knows a host by this name or address, and by the sender's address.
    fn is_of(&self, named: &HostWord<'_>, source: IpAddr) -> bool {
        let known = match named {
            HostWord::Address(address) => self.of_address(*address),
            HostWord::Name(name) => self.of_name(name),
        };
        known.is_some_and(|name| self.of_address(source) == Some(name))
    }

    /// The sender. It names the host even by an address that no other may use, as there is nothing else.
    fn sender<'m>(&'m self, received: &Received<'_, 'm>) -> Candidate<'m> {
        if received.source.peer.is_local() {
            return self.this_machine(received.source.address());
        }
        self.by_address(Origin::Sender, received.source.address(), received.address.into(), received)
    }

    /// A program of this machine, by the machine's name, or by the name of the address that is its own everywhere.
    fn this_machine(&self, address: IpAddr) -> Candidate<'_> {
        let name = if self.machine.is_empty() { "localhost" } else { &*self.machine };
        let verdict = match (self.by_name(name.into()), self.of_address(address)) {
            (Verdict::Unknown(_), Some(known)) => Verdict::Known(known.into()),
            (verdict, _) => verdict,
        };
        Candidate::plain(Origin::Sender, name.into(), verdict)
    }

    /// The SNMP engine; its id is written only if it is shown to somebody.
    fn engine<'m>(&'m self, received: &Received<'_, 'm>, shown: bool) -> Option<Candidate<'m>> {
        let Message::Notification(notification) = received.message else { return None };
        let security = notification.security.filter(|security| !security.engine.is_empty())?;
        let verdict = match self.of_engine(security.engine) {
            Some(_) if security.level == SecurityLevel::NoAuthNoPriv => Verdict::NotAuthenticated,
            Some(_) if !security.of_engine => Verdict::OtherEngine,
            Some(name) => Verdict::Known(name.into()),
            None => Verdict::UnknownEngine,
        };
        let value = if shown { security.engine_id() } else { String::new() };
        Some(Candidate::plain(Origin::Engine, value.into(), verdict))
    }

    fn by_address<'m>(
        &'m self,
        origin: Origin,
        address: IpAddr,
        value: Cow<'m, str>,
        received: &Received<'_, 'm>,
    ) -> Candidate<'m> {
        if let Some(name) = self.of_address(address) {
            return Candidate::plain(origin, value, Verdict::Known(name.into()));
        }
        let reverse = (received.reverse)(address);
        let name = reverse.as_deref().and_then(clean).and_then(|word| match word {
            HostWord::Name(name) => Some(name.to_owned()),
            HostWord::Address(_) => None,
        });
        let verdict = match &name {
            Some(name) => self.by_name(Cow::Owned(name.clone())),
            None => Verdict::Unknown(value.clone()),
        };
        Candidate { origin, value, reverse: name, verdict }
    }

    fn by_name<'m>(&'m self, name: Cow<'m, str>) -> Verdict<'m> {
        if let Some(known) = self.of_name(&name) {
            return Verdict::Known(known.into());
        }
        let Some(rewritten) = self.spelling.rewritten(&name) else {
            return Verdict::Unknown(self.spelling.in_case(name));
        };
        match self.of_name(&rewritten) {
            Some(known) => Verdict::Known(known.into()),
            None => Verdict::Unknown(self.spelling.in_case(rewritten.into())),
        }
    }
}

impl<'m> Candidate<'m> {
    fn plain(origin: Origin, value: Cow<'m, str>, verdict: Verdict<'m>) -> Self {
        Candidate { origin, value, reverse: None, verdict }
    }

    /// What is said of it in words; `source` is the sender's address.
    pub fn in_words(&self, source: &str) -> String {
        let Candidate { origin, value, reverse, verdict } = self;
        let what = match reverse {
            Some(name) => format!("{} {value} ({name})", origin.as_str()),
            None => format!("{} {value}", origin.as_str()),
        };
        match verdict {
            Verdict::Known(name) => format!("{what}: known as {name}"),
            Verdict::Unknown(_) | Verdict::UnknownEngine => format!("{what}: not known"),
            Verdict::NoHost => format!("{what}: cannot name a host"),
            Verdict::NotARelay => format!("{what}: {source} claims to be {value}: not a relay"),
            Verdict::NotAuthenticated => format!("{what}: not authenticated"),
            Verdict::OtherEngine => format!("{what}: the user is bound to another engine"),
        }
    }
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
