//! What rules are applied to: a message with what the intake knows of it.

use std::borrow::Cow;

use crate::lookup::hosts::Hosts;
use crate::message::{Message, Notification, Source, SyslogLine};
use crate::rules::value::Val;

/// A message, and what is known of where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'m> {
    /// The message.
    pub message: &'m Message<'m>,
    /// Where and when it was received.
    pub source: &'m Source,
    /// The sender's address as text.
    pub address: &'m str,
    /// The core's name for the host that the message is about.
    pub host: &'m str,
    /// The core's names of all hosts.
    pub hosts: &'m Hosts,
    /// The tags of the rules that it may reach; none for all rules.
    pub tags: Option<&'m [String]>,
}

impl<'m> Subject<'m> {
    /// The notification, if it is one.
    pub fn notification(&self) -> Option<&'m Notification<'m>> {
        match self.message {
            Message::Notification(notification) => Some(notification),
            Message::Syslog(_) => None,
        }
    }

    /// The core's name for the host that sent it, its address if there is none.
    pub fn source_host(&self) -> Val<'m> {
        Val::Str(Cow::Borrowed(self.hosts.of_address(self.source.address()).unwrap_or(self.address)))
    }

    /// When it was received, in seconds since 1970 UTC.
    pub fn received(&self) -> Val<'static> {
        Val::Int(i128::from(self.source.received / 1_000_000))
    }

    /// The line of syslog, if it is one.
    pub fn syslog(&self) -> Option<&'m SyslogLine<'m>> {
        match self.message {
            Message::Syslog(line) => Some(line),
            Message::Notification(_) => None,
        }
    }
}

/// The groups of a rule's message pattern, as they matched.
pub type Captures<'m> = Vec<Option<&'m str>>;
