//! The conditions of a rule other than `where`.

use std::fmt;
use std::sync::OnceLock;

use ipnet::IpNet;
use regex::Regex;

use crate::body::Form;
use crate::language::{budget, pattern};
use crate::message::{PostKind, Posted, SecurityAction, SyslogLine, WrapperAction};
use crate::oid::Oid;
use crate::rules::context::{Captures, MessageContext};

/// The messages that a rule is for, before `from` and `where`.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are thousands at most, and each line follows what it has"
)]
pub enum Matcher {
    /// Notifications whose trap OID is one of these.
    Trap(Vec<TrapPattern>),
    /// Syslog lines.
    Syslog(LinePattern),
    /// What is posted over HTTP.
    Posted(PostedPattern),
}

/// What is posted, by its name.
#[derive(Debug)]
pub struct PostedPattern {
    /// Check-ins or events.
    pub kind: PostKind,
    /// The services, or the names of `[[intake.json]]`.
    pub names: Vec<Glob>,
}

impl PostedPattern {
    /// Whether a message matches.
    pub fn matches(&self, posted: &Posted<'_>) -> bool {
        self.kind == posted.kind() && self.names.iter().any(|glob| glob.matches(posted.name))
    }
}

/// A trap OID or a subtree of trap OIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapPattern {
    /// The OID; empty with `subtree` for all traps.
    pub oid: Oid<'static>,
    /// Whether the pattern includes everything below the OID.
    pub subtree: bool,
}

impl TrapPattern {
    /// Whether a trap OID matches.
    pub fn matches(&self, oid: &Oid<'_>) -> bool {
        if self.subtree { oid.starts_with(&self.oid) } else { *oid == self.oid }
    }
}

impl Matcher {
    /// The OIDs of the notifications that the rule names; none of subtrees.
    pub fn trap_oids(&self) -> Vec<Oid<'static>> {
        match self {
            Matcher::Trap(patterns) => patterns
                .iter()
                .filter(|pattern| !pattern.subtree)
                .map(|pattern| pattern.oid.clone())
                .collect(),
            Matcher::Syslog(_) | Matcher::Posted(_) => Vec::new(),
        }
    }
}

/// Conditions on a syslog line. An omitted condition always holds.
#[derive(Debug, Default)]
pub struct LinePattern {
    /// The actions of TCP Wrappers.
    pub tcp_wrappers: Option<Vec<WrapperAction>>,
    /// The actions of lines about security.
    pub security: Option<Vec<SecurityAction>>,
    /// What writes such lines.
    pub source: Option<Vec<Glob>>,
    /// The program names.
    pub program: Option<Vec<Glob>>,
    /// The types of messages.
    pub msgid: Option<Vec<Glob>>,
    /// The pattern of the message.
    pub message: Option<Pattern>,
    /// The facilities, one bit each.
    pub facilities: Option<u32>,
    /// The severities, one bit each.
    pub severities: Option<u32>,
    /// The forms of the message.
    pub bodies: Option<Vec<Form>>,
    /// The names of values with commas between them, each with its position from 1.
    pub columns: Vec<(usize, String)>,
}

/// Why a rule does not match a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// Access control: the sender may not trigger the rule.
    Access,
    /// Another trap OID, or no trap.
    Trap,
    /// Not a line of TCP Wrappers, or another action.
    TcpWrappers,
    /// Not a line about security, or another action.
    Security,
    /// Not a line about security, or of another source.
    SecuritySource,
    /// Another program, or no syslog line.
    Program,
    /// Another type of message.
    MsgId,
    /// Another service or event, or neither.
    Posted,
    /// The message does not match the pattern.
    Message,
    /// Another facility.
    Facility,
    /// Another severity.
    Severity,
    /// The message has none of these forms.
    Body,
    /// The sender is not listed in `from`.
    From,
    /// The message came at another time than `when` says.
    When,
    /// The condition `where` does not hold.
    Where,
    /// The pattern or the condition is over [budget] for the message.
    OverBudget,
}

impl LinePattern {
    /// The groups of the message pattern.
    ///
    /// # Errors
    ///
    /// The first condition that does not hold.
    pub fn matches<'m>(&self, line: &'m SyslogLine<'m>) -> Result<Captures<'m>, RejectReason> {
        let among = |bits: Option<u32>, number: Option<u8>| {
            bits.is_none_or(|bits| number.is_some_and(|n| bits & (1 << n) != 0))
        };
        if let Some(actions) = &self.tcp_wrappers
            && !line.tcp_wrappers.as_ref().is_some_and(|w| actions.contains(&w.action))
        {
            return Err(RejectReason::TcpWrappers);
        }
        let security = line.security.as_ref();
        if let Some(actions) = &self.security
            && !security.is_some_and(|security| actions.contains(&security.action))
        {
            return Err(RejectReason::Security);
        }
        if let Some(sources) = &self.source
            && !security.is_some_and(|security| sources.iter().any(|glob| glob.matches(security.source)))
        {
            return Err(RejectReason::SecuritySource);
        }
        if let Some(programs) = &self.program
            && !line.program.is_some_and(|p| programs.iter().any(|glob| glob.matches(p)))
        {
            return Err(RejectReason::Program);
        }
        if let Some(types) = &self.msgid
            && !line.msgid.is_some_and(|msgid| types.iter().any(|glob| glob.matches(msgid)))
        {
            return Err(RejectReason::MsgId);
        }
        if !among(self.facilities, line.facility) {
            return Err(RejectReason::Facility);
        }
        if !among(self.severities, line.severity) {
            return Err(RejectReason::Severity);
        }
        let groups = match &self.message {
            Some(pattern) => match budget::field(|| pattern.matches(line.message)) {
                (_, true) => return Err(RejectReason::OverBudget),
                (groups, false) => groups.ok_or(RejectReason::Message)?,
            },
            None => Captures::new(),
        };
        // Last, as it costs most.
        if let Some(kinds) = &self.bodies
            && !kinds.iter().any(|kind| line.body(*kind).is_some())
        {
            return Err(RejectReason::Body);
        }
        Ok(groups)
    }
}

impl LinePattern {
    /// Whether there is a pattern of the message, and it matches.
    pub fn message_matches(&self, line: &SyslogLine<'_>) -> bool {
        let pattern = self.message.as_ref();
        pattern.is_some_and(|pattern| budget::field(|| pattern.matches(line.message).is_some()).0)
    }
}

/// A regular expression over the message. It is checked when the rule is compiled, and built again when a message
/// first needs it: most of thousands of patterns are never needed, and each takes memory.
#[derive(Debug)]
pub struct Pattern {
    source: String,
    /// The named groups, in their order.
    names: Vec<String>,
    built: OnceLock<Option<pattern::Pattern>>,
}

impl Pattern {
    /// Checks a pattern.
    ///
    /// # Errors
    ///
    /// If it is no regular expression, or too large.
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        let regex = Regex::new(source)?;
        let names = regex.capture_names().flatten().map(str::to_owned).collect();
        Ok(Pattern { source: source.to_owned(), names, built: OnceLock::new() })
    }

    /// The source of the pattern.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The named groups, in their order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Looks for the pattern in a text, as [`Pattern::matches`] does.
    pub(super) fn tried(&self, text: &str) {
        self.matches(text);
    }

    /// The matches of the named groups, if the pattern matches.
    fn matches<'m>(&self, message: &'m str) -> Option<Captures<'m>> {
        // It has compiled before, in `new`.
        let pattern = self.built.get_or_init(|| pattern::Pattern::new(&self.source).ok()).as_ref()?;
        if self.names.is_empty() {
            return pattern.is_match(message).then(Captures::new);
        }
        let groups = pattern.captures(message)?;
        Some(pattern.names().map(|(at, _)| message.get(groups[at].clone()?)).collect())
    }
}

/// A name with the wildcards `*` and `?`.
#[derive(Debug, Clone)]
pub enum Glob {
    /// A name without wildcards.
    Exact(String),
    /// A name with wildcards, or one whose case does not matter: its text and the pattern.
    Pattern(String, Regex),
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Glob::Exact(text) | Glob::Pattern(text, _) => f.write_str(text),
        }
    }
}

impl Glob {
    /// Parses a glob. With `fold`, case does not matter.
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
        // This fails only if the text is too large for a pattern; then it has no wildcards.
        match Regex::new(&pattern) {
            Ok(regex) => Glob::Pattern(text.to_owned(), regex),
            Err(_) => Glob::Exact(text.to_owned()),
        }
    }

    /// Whether a name matches.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Glob::Exact(exact) => exact == name,
            Glob::Pattern(_, regex) => regex.is_match(name),
        }
    }
}

/// An entry of `from`.
#[derive(Debug)]
pub enum SenderPattern {
    /// A network or an address.
    Net(IpNet),
    /// A host name with wildcards.
    Host(Glob),
}

impl SenderPattern {
    /// Whether a message matches: a network the addresses of the sender and of the agent, if the sender may speak for it; a host
    /// name the host that the message is about, the names of sender and agent, and the name in the syslog line.
    pub fn matches(&self, context: &MessageContext<'_>) -> bool {
        match self {
            SenderPattern::Net(net) => {
                net.contains(&context.source.address())
                    || context.agent().is_some_and(|agent| net.contains(&agent))
            }
            SenderPattern::Host(glob) => {
                let agent = || context.hosts.of_address(context.agent()?);
                glob.matches(context.host)
                    || context.source_name.is_some_and(|name| glob.matches(name))
                    || agent().is_some_and(|name| glob.matches(name))
                    || context.syslog().and_then(|l| l.host).is_some_and(|host| glob.matches(host))
            }
        }
    }

    /// Whether it surely matches whatever another one matches.
    pub fn includes(&self, other: &SenderPattern) -> bool {
        match (self, other) {
            (SenderPattern::Net(net), SenderPattern::Net(other)) => net.contains(other),
            (SenderPattern::Host(glob), SenderPattern::Host(other)) => glob.to_string() == other.to_string(),
            _ => false,
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
