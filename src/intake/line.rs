//! How a line of syslog is read: by the daemon, and by who tries out what the daemon makes of one. Pure.

use std::borrow::Cow;

use ipnet::IpNet;

use crate::intake::shared::Active;
use crate::lookup::hosts::Hosts;
use crate::lookup::zones::Zones;
use crate::message::{Source, SyslogLine};
use crate::snmp::access;
use crate::syslog::framing::{of_datagram, within};
use crate::{syslog, text};

/// What the settings say about it.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'s> {
    /// Networks whose lines are let in; none for all.
    pub allow: Option<&'s [IpNet]>,
    /// How many octets of a message are read.
    pub max_message: usize,
    /// The time zones of times that name none.
    pub zones: &'s Zones,
    /// The character sets of senders.
    pub hosts: &'s Hosts,
}

/// A line is not processed, as its sender is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line from a sender that is not let in; add its network to [syslog] allow if it should be")]
pub struct NotLetIn;

impl NotLetIn {
    /// The word by which it is counted.
    pub fn reason(self) -> &'static str {
        access::Denied::Source.reason()
    }
}

/// A line that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'l> {
    /// Its text.
    pub text: Cow<'l, str>,
    /// Whether its end is missing.
    pub truncated: bool,
    /// Whether that is because it is too long.
    pub too_long: bool,
}

impl<'s> Reading<'s> {
    /// What is in force.
    pub fn of(active: &'s Active, hosts: &'s Hosts) -> Self {
        let allow = active.syslog_allow.as_deref();
        Reading { allow, max_message: active.lines.max_message, zones: &active.zones, hosts }
    }

    /// Takes a message. `cut`: its end is missing already.
    ///
    /// # Errors
    ///
    /// [`NotLetIn`].
    pub fn receive<'l>(&self, octets: &'l [u8], cut: bool, source: &Source) -> Result<Line<'l>, NotLetIn> {
        // Who may use a socket of this machine is up to the permissions of its file.
        if !source.peer.is_local() && !access::knows(self.allow, source.address()) {
            return Err(NotLetIn);
        }
        let (octets, too_long) = within(octets, self.max_message);
        let text = text::line(octets, self.hosts.charset_of(source));
        Ok(Line { text, truncated: cut || too_long, too_long })
    }

    /// Takes a datagram, or what somebody has copied of one.
    ///
    /// # Errors
    ///
    /// [`NotLetIn`].
    pub fn datagram<'l>(&self, octets: &'l [u8], source: &Source) -> Result<Line<'l>, NotLetIn> {
        self.receive(of_datagram(octets), false, source)
    }

    /// What a line says.
    pub fn parse<'l>(&self, line: &'l Line<'_>, source: &Source) -> SyslogLine<'l> {
        let mut parsed = syslog::parse_line_in(&line.text, source.received, self.zones.of(source));
        parsed.truncated = line.truncated;
        parsed
    }
}

impl<'l> Line<'l> {
    /// The text of a line that was received before, and is kept. `cut`: its end was missing then.
    pub fn kept(text: &'l str, cut: bool) -> Self {
        Line { text: Cow::Borrowed(text), truncated: cut, too_long: false }
    }
}
