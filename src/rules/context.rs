//! A message with what the intake knows about it: what rules are applied to.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::language::value::Val;
use crate::lookup::choice::{Agent, Choice, Received};
use crate::lookup::hosts::Hosts;
use crate::lookup::tables::Tables;
use crate::message::{Message, Notification, Posted, Source, SyslogLine, Varbind};
use crate::rules::asks::State;
use crate::text::Charset;

/// A message and its origin.
#[derive(Debug, Clone, Copy)]
pub struct MessageContext<'m> {
    /// The message.
    pub message: &'m Message<'m>,
    /// The sender and the time of reception.
    pub source: &'m Source,
    /// The sender's address as text.
    pub address: &'m str,
    /// The monitoring core's name for the host that the message is about.
    pub host: &'m str,
    /// The monitoring core's name for the sender, if it has one.
    pub source_name: Option<&'m str>,
    /// Whether the sender may speak for the agent that the notification names.
    pub agent_believed: bool,
    /// The host names that the monitoring core uses.
    pub hosts: &'m Hosts,
    /// The character set of a sender that does not write UTF-8.
    pub charset: Charset,
    /// The tags of the rules that the message may reach; none if it may reach all rules.
    pub tags: Option<&'m [String]>,
    /// The state of rules; without it no problem is open.
    pub state: Option<&'m dyn State>,
    /// The tables that rules look into; without them those that the rules were compiled with.
    pub tables: Option<&'m Arc<Tables>>,
}

impl<'m> MessageContext<'m> {
    /// A message that was received, and the host that it is about.
    pub fn new(
        received: &Received<'m, 'm>,
        choice: &'m Choice<'m>,
        hosts: &'m Hosts,
        tags: Option<&'m [String]>,
    ) -> Self {
        MessageContext {
            message: received.message,
            source: received.source,
            address: received.address,
            host: &choice.host,
            source_name: choice.source_name.as_deref(),
            agent_believed: choice.agent == Agent::Believed,
            hosts,
            charset: hosts.charset_of(received.source),
            tags,
            state: None,
            tables: None,
        }
    }

    /// The agent that the notification names, if the sender may speak for it.
    pub fn agent(&self) -> Option<IpAddr> {
        self.notification()?.agent.filter(|_| self.agent_believed).map(IpAddr::V4)
    }

    /// The notification, if the message is one.
    pub fn notification(&self) -> Option<&'m Notification<'m>> {
        match self.message {
            Message::Notification(notification) => Some(notification),
            Message::Syslog(_) | Message::Posted(_) => None,
        }
    }

    /// The varbinds of the notification; none of another message.
    pub fn varbinds(&self) -> &'m [Varbind<'m>] {
        self.notification().map_or(&[], |notification| &notification.varbinds)
    }

    /// The syslog line, if the message is one.
    pub fn syslog(&self) -> Option<&'m SyslogLine<'m>> {
        match self.message {
            Message::Syslog(line) => Some(line),
            Message::Notification(_) | Message::Posted(_) => None,
        }
    }

    /// What was posted, if the message was.
    pub fn posted(&self) -> Option<&'m Posted<'m>> {
        match self.message {
            Message::Posted(posted) => Some(posted),
            Message::Notification(_) | Message::Syslog(_) => None,
        }
    }

    /// The monitoring core's name for the sender, or the sender's address.
    pub fn source_host(&self) -> Val<'m> {
        Val::Str(Cow::Borrowed(self.source_name.unwrap_or(self.address)))
    }

    /// The time of reception in seconds since 1970 UTC.
    pub fn received(&self) -> Val<'static> {
        Val::Int(i128::from(self.source.received / 1_000_000))
    }
}

/// The groups of a rule's message pattern; none for a group that did not take part in the match.
pub type Captures<'m> = Vec<Option<&'m str>>;
