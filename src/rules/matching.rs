//! Which messages a rule is for.

use std::sync::OnceLock;

use ipnet::IpNet;
use regex::Regex;

use crate::message::{SyslogLine, WrapperAction};
use crate::oid::Oid;
use crate::rules::subject::{Captures, Subject};

/// The messages that a rule is for, before `from` and `where`.
#[derive(Debug)]
pub enum Matcher {
    /// Notifications whose trap OID is one of these.
    Trap(Vec<TrapPattern>),
    /// Lines of syslog.
    Syslog(LinePattern),
}

/// One trap OID or a subtree of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapPattern {
    /// The OID; empty with `subtree` for all traps.
    pub oid: Oid<'static>,
    /// Whether everything below it is meant too.
    pub subtree: bool,
}

impl TrapPattern {
    /// Whether a trap OID is meant.
    pub fn matches(&self, oid: &Oid<'_>) -> bool {
        if self.subtree { oid.starts_with(&self.oid) } else { *oid == self.oid }
    }
}

/// Conditions on a line of syslog; what is left out holds always.
#[derive(Debug, Default)]
pub struct LinePattern {
    /// What TCP Wrappers did.
    pub tcp_wrappers: Option<Vec<WrapperAction>>,
    /// The program.
    pub program: Option<Vec<Glob>>,
    /// The message.
    pub message: Option<Pattern>,
    /// Facilities, by bit.
    pub facilities: Option<u32>,
    /// Severities, by bit.
    pub severities: Option<u32>,
}

/// Why a rule does not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The sender may not reach it.
    Access,
    /// The trap OID is another.
    Trap,
    /// TCP Wrappers did not write the line, or did something else.
    TcpWrappers,
    /// The program is another.
    Program,
    /// The pattern does not match the message.
    Message,
    /// The facility is another.
    Facility,
    /// The severity is another.
    Severity,
    /// The sender is not in `from`.
    From,
    /// The condition does not hold.
    Where,
}

impl LinePattern {
    /// The groups of the message pattern, if the line is meant.
    pub fn matches<'m>(&self, line: &'m SyslogLine<'m>) -> Result<Captures<'m>, Because> {
        let among = |bits: Option<u32>, number: Option<u8>| {
            bits.is_none_or(|bits| number.is_some_and(|n| bits & (1 << n) != 0))
        };
        if let Some(actions) = &self.tcp_wrappers
            && !line.tcp_wrappers.as_ref().is_some_and(|w| actions.contains(&w.action))
        {
            return Err(Because::TcpWrappers);
        }
        if let Some(programs) = &self.program
            && !line.program.is_some_and(|p| programs.iter().any(|glob| glob.matches(p)))
        {
            return Err(Because::Program);
        }
        if !among(self.facilities, line.facility) {
            return Err(Because::Facility);
        }
        if !among(self.severities, line.severity) {
            return Err(Because::Severity);
        }
        match &self.message {
            Some(pattern) => pattern.matches(line.message).ok_or(Because::Message),
            None => Ok(Captures::new()),
        }
    }
}

/// A regular expression over the message. Checked when the rule is compiled, built when a message first needs
/// it: of thousands of patterns few ever do, and each takes room.
#[derive(Debug)]
pub struct Pattern {
    source: String,
    /// The named groups, in order.
    names: Vec<String>,
    built: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Checks a regular expression.
    ///
    /// # Errors
    ///
    /// If it is none, or too large.
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        let regex = Regex::new(source)?;
        let names = regex.capture_names().flatten().map(str::to_owned).collect();
        Ok(Pattern { source: source.to_owned(), names, built: OnceLock::new() })
    }

    /// Its source.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The named groups, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The named groups as they matched, if it matches.
    pub fn matches<'m>(&self, message: &'m str) -> Option<Captures<'m>> {
        // It was built once before, when it was checked.
        let regex = self.built.get_or_init(|| Regex::new(&self.source).ok()).as_ref()?;
        if self.names.is_empty() {
            return regex.is_match(message).then(Captures::new);
        }
        let groups = regex.captures(message)?;
        Some(self.names.iter().map(|name| groups.name(name).map(|g| g.as_str())).collect())
    }
}

/// A name with `*` and `?`.
#[derive(Debug, Clone)]
pub enum Glob {
    /// Without either.
    Exact(String),
    /// With them.
    Pattern(Regex),
}

impl Glob {
    /// The glob that a text is. Case does not matter where `fold` says so.
    pub fn new(text: &str, fold: bool) -> Self {
        if !text.contains(['*', '?']) && !fold {
            return Glob::Exact(text.to_owned());
        }
        let mut pattern = String::from(if fold { "(?is)^" } else { "(?s)^" });
        for c in text.chars() {
            match c {
                '*' => pattern.push_str(".*"),
                '?' => pattern.push('.'),
                c => pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        pattern.push('$');
        // An escaped text with wildcards is a pattern, unless it is too large; then it stands for itself.
        Regex::new(&pattern).map_or_else(|_| Glob::Exact(text.to_owned()), Glob::Pattern)
    }

    /// Whether a name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Glob::Exact(exact) => exact == name,
            Glob::Pattern(pattern) => pattern.is_match(name),
        }
    }
}

/// One entry of `from`.
#[derive(Debug)]
pub enum From {
    /// A network or an address.
    Net(IpNet),
    /// A host by name or glob.
    Host(Glob),
}

impl From {
    /// Whether the sender, the agent or the host that the message is about is meant.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        match self {
            From::Net(net) => {
                net.contains(&subject.source.address())
                    || subject
                        .notification()
                        .and_then(|n| n.agent)
                        .is_some_and(|a| net.contains(&std::net::IpAddr::V4(a)))
            }
            From::Host(glob) => {
                glob.matches(subject.host)
                    || subject.syslog().and_then(|l| l.host).is_some_and(|host| glob.matches(host))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let glob = Glob::new("core-*", true);
        assert!(glob.matches("core-1") && glob.matches("CORE-") && !glob.matches("edge-core-1"));
        let glob = Glob::new("in.?elnetd", false);
        assert!(glob.matches("in.telnetd") && !glob.matches("inxtelnetd"));
        assert!(Glob::new("sshd", false).matches("sshd") && !Glob::new("sshd", false).matches("SSHD"));
    }
}
