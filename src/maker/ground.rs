//! What a message that is tried out stands on: who sent it, which host it is about, and which rules it may reach.

use std::net::IpAddr;
use std::sync::Arc;

use crate::inbox::{Raw, Sample};
use crate::intake::Active;
use crate::intake::line::{Line, Reading};
use crate::intake::relays::Relays;
use crate::intake::shared::InForce;
use crate::lookup::choice::{Candidate, Received};
use crate::lookup::hosts::Hosts;
use crate::lookup::tables::Tables;
use crate::message::{Message, Source};
use crate::posted::kept::Kept;
use crate::rules::MessageContext;
use crate::rules::asks::State;
use crate::settings::values::unhex;
use crate::snmp;
use crate::snmp::access::Access;

/// What is known of senders and hosts.
#[derive(Clone, Copy)]
pub struct Ground<'g> {
    /// The hosts.
    pub hosts: &'g Hosts,
    /// Who may send notifications.
    pub access: &'g Access,
    /// Whose lines may name other hosts.
    pub relays: &'g Relays,
    /// How lines are read.
    pub lines: Reading<'g>,
    /// The tables in their newest versions; none for those that the rules were compiled with.
    pub tables: Option<&'g Arc<Tables>>,
    /// What is open; none where nothing is.
    pub state: Option<&'g dyn State>,
    /// The name of an address by reverse DNS.
    pub reverse: &'g dyn Fn(IpAddr) -> Option<String>,
}

/// Why a message that is kept cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A packet that cannot be decoded.
    #[error("the message cannot be decoded: {0}; no rule can take it")]
    Malformed(#[from] snmp::DecodeError),
    /// Another release has kept it.
    #[error("the message that is kept cannot be read; wait for another one")]
    Kept,
}

impl<'g> Ground<'g> {
    /// What a running daemon knows.
    pub fn of(
        in_force: &'g InForce,
        state: Option<&'g dyn State>,
        reverse: &'g dyn Fn(IpAddr) -> Option<String>,
    ) -> Self {
        let active: &Active = &in_force.active;
        Ground {
            hosts: &in_force.hosts,
            access: &active.access,
            relays: &active.syslog_relays,
            lines: Reading::of(active, &in_force.hosts),
            tables: Some(&in_force.tables),
            state,
            reverse,
        }
    }

    /// Gives `then` a message as the rules see it, and the candidates for its host. `let_in`: it has passed access control before.
    pub fn with<T>(
        &self,
        message: &Message<'_>,
        source: &Source,
        let_in: bool,
        then: impl FnOnce(&MessageContext<'_>, &[Candidate<'_>]) -> T,
    ) -> T {
        let address = source.address().to_string();
        let (tags, relay) = match message {
            Message::Notification(notification) => {
                let tags = match self.access.admit(notification, source) {
                    Ok(reach) => self.access.tags(reach),
                    Err(_) if let_in => None,
                    // It reaches no rule at all.
                    Err(_) => Some(&[][..]),
                };
                (tags, self.access.is_relay(notification, source))
            }
            Message::Syslog(line) => (None, self.relays.believes(line.host, source, None)),
            Message::Posted(_) => (None, true),
        };
        let received = Received { message, source, address: &address, relay, reverse: self.reverse };
        let mut candidates = Vec::new();
        let choice = self.hosts.choose(&received, Some(&mut candidates));
        let context = MessageContext::new(&received, &choice, self.hosts, tags);
        then(&MessageContext { state: self.state, tables: self.tables, ..context }, &candidates)
    }

    /// The same for a message that is kept.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn with_sample<T>(
        &self,
        sample: &Sample,
        then: impl FnOnce(&MessageContext<'_>, &[Candidate<'_>]) -> T,
    ) -> Result<T, Unreadable> {
        let source = source(sample);
        match &sample.raw {
            Raw::Line(line) => {
                let line = Line::kept(line, sample.cut);
                Ok(self.with(&Message::Syslog(self.lines.parse(&line, &source)), &source, true, then))
            }
            Raw::Packet(hex) | Raw::Octets(hex) => {
                let packet = unhex(hex).ok_or(Unreadable::Kept)?;
                let message = Message::Notification(snmp::decode(&packet)?.notification);
                Ok(self.with(&message, &source, true, then))
            }
            Raw::Posted(text) => {
                let kept = Kept::read(text).ok_or(Unreadable::Kept)?;
                Ok(self.with(&kept.message(), &source, true, then))
            }
        }
    }
}

/// Where a message that is kept came from, and when.
pub fn source(sample: &Sample) -> Source {
    Source { peer: (sample.from, 0).into(), received: sample.received }
}
