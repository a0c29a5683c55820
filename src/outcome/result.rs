//! What a rule makes of a message: a [`CheckResult`] for a monitoring core or an [`Event`] for a bus.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::ops::Deref;

use serde::Serialize;

use crate::outcome::name::Name;

/// One outcome. Borrows from the message or the rule while it is made, from the journal while it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// A passive check result.
    CheckResult(CheckResult<'a>),
    /// An event.
    Event(Event<'a>),
}

impl<'a> Outcome<'a> {
    /// What both kinds carry.
    pub fn common(&self) -> &Common<'a> {
        match self {
            Outcome::CheckResult(check) => &check.common,
            Outcome::Event(event) => &event.common,
        }
    }

    /// What both kinds carry.
    pub fn common_mut(&mut self) -> &mut Common<'a> {
        match self {
            Outcome::CheckResult(check) => &mut check.common,
            Outcome::Event(event) => &mut event.common,
        }
    }

    /// The host, or the component.
    pub fn host(&self) -> &str {
        match self {
            Outcome::CheckResult(check) => &check.host,
            Outcome::Event(event) => &event.component,
        }
    }

    /// The service, or the resource.
    pub fn service(&self) -> Option<&str> {
        match self {
            Outcome::CheckResult(check) => check.service.as_deref(),
            Outcome::Event(event) => event.resource.as_deref(),
        }
    }

    /// Whether it is an event.
    pub fn is_event(&self) -> bool {
        matches!(self, Outcome::Event(_))
    }

    /// "check_result" or "event".
    pub fn kind(&self) -> &'static str {
        match self {
            Outcome::CheckResult(_) => "check_result",
            Outcome::Event(_) => "event",
        }
    }
}

/// What every outcome carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common<'a> {
    /// When the message was received, in microseconds since 1970 UTC.
    pub time: i64,
    /// The id of the rule that made it.
    pub rule: Cow<'a, str>,
    /// The state.
    pub state: State,
    /// One line of text.
    pub output: Cow<'a, str>,
    /// Further lines.
    pub long_output: Cow<'a, str>,
    /// The address that the message came from.
    pub source: Cow<'a, str>,
    /// What else the rule says of it, for routing and search.
    pub labels: Labels<'a>,
}

/// Names and values, sorted by name, each name once.
///
/// No [`Cow`], which would be invariant in the lifetime of what it borrows.
#[derive(Clone)]
pub enum Labels<'a> {
    /// Those that are the same for all outcomes of a rule.
    Shared(&'a [Label<'a>]),
    /// Those of one outcome.
    Own(Vec<Label<'a>>),
}

/// A name and its value.
pub type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

impl Default for Labels<'_> {
    fn default() -> Self {
        Labels::Shared(&[])
    }
}

impl<'a> Deref for Labels<'a> {
    type Target = [Label<'a>];

    fn deref(&self) -> &[Label<'a>] {
        match self {
            Labels::Shared(labels) => labels,
            Labels::Own(labels) => labels,
        }
    }
}

impl Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&**self, f)
    }
}

impl PartialEq for Labels<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Labels<'_> {}

impl<'a> FromIterator<Label<'a>> for Labels<'a> {
    fn from_iter<I: IntoIterator<Item = Label<'a>>>(labels: I) -> Self {
        Labels::Own(labels.into_iter().collect())
    }
}

impl<'l, 'a> IntoIterator for &'l Labels<'a> {
    type Item = &'l Label<'a>;
    type IntoIter = std::slice::Iter<'l, Label<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The longest name of a label, in characters, which are ASCII: what fits where syslog has names (RFC 5424, section 6.3.3).
pub const MAX_LABEL_NAME: usize = 32;

/// Whether a label can have this name: letters, digits and `_`, without a digit at the start, as in Prometheus.
pub fn is_label_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= MAX_LABEL_NAME
        && chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A passive check result for a host or a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult<'a> {
    /// What every outcome carries.
    pub common: Common<'a>,
    /// The host's name in the core.
    pub host: Name<'a>,
    /// The service's description; none for a result of the host itself.
    pub service: Option<Name<'a>>,
    /// Performance data in the plugin format, or empty.
    pub perfdata: Cow<'a, str>,
}

/// An event for a bus or a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// What every outcome carries.
    pub common: Common<'a>,
    /// What the event is about.
    pub component: Name<'a>,
    /// The part of the component, where there is one.
    pub resource: Option<Name<'a>>,
    /// Further fields of the rule, in its order.
    pub fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// The state of a service or a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Service: 0.
    Ok,
    /// Service: 1.
    Warning,
    /// Service: 2.
    Critical,
    /// Service: 3.
    Unknown,
    /// Host: 0.
    Up,
    /// Host: 1.
    Down,
    /// Host: 2.
    Unreachable,
}

impl State {
    /// All states, in the order of their journal codes.
    pub const ALL: [State; 7] = [
        State::Ok,
        State::Warning,
        State::Critical,
        State::Unknown,
        State::Up,
        State::Down,
        State::Unreachable,
    ];

    /// The state's word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Critical => "critical",
            State::Unknown => "unknown",
            State::Up => "up",
            State::Down => "down",
            State::Unreachable => "unreachable",
        }
    }

    /// The number that plugins and external commands use: 0 to 3 for services, 0 to 2 for hosts.
    pub fn code(self) -> u8 {
        match self {
            State::Ok | State::Up => 0,
            State::Warning | State::Down => 1,
            State::Critical | State::Unreachable => 2,
            State::Unknown => 3,
        }
    }

    /// Whether nothing is wrong: ok, up.
    pub fn is_good(self) -> bool {
        self.code() == 0
    }

    /// How bad it is, among the states of services or among those of hosts: ok, warning, unknown, critical; up,
    /// unreachable, down.
    pub fn severity(self) -> u8 {
        match self {
            State::Ok | State::Up => 0,
            State::Warning | State::Unreachable => 1,
            State::Unknown | State::Down => 2,
            State::Critical => 3,
        }
    }

    /// Whether this is a state of hosts.
    pub fn is_host(self) -> bool {
        matches!(self, State::Up | State::Down | State::Unreachable)
    }

    /// The state of a service that a word (any case) or a number names.
    pub fn service(word: &str) -> Option<State> {
        Self::parse(word, &[State::Ok, State::Warning, State::Critical, State::Unknown])
    }

    /// The state of a host that a word (any case) or a number names.
    pub fn host(word: &str) -> Option<State> {
        Self::parse(word, &[State::Up, State::Down, State::Unreachable])
    }

    fn parse(word: &str, states: &[State]) -> Option<State> {
        let word = word.trim();
        states.iter().copied().find(|s| {
            s.as_str().eq_ignore_ascii_case(word) || matches!(word.as_bytes(), [d] if *d == b'0' + s.code())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_by_word_and_number() {
        assert_eq!(State::service("Critical"), Some(State::Critical));
        assert_eq!(State::service("3"), Some(State::Unknown));
        assert_eq!(State::service("up"), None);
        assert_eq!(State::host("1"), Some(State::Down));
        assert_eq!(State::host("3"), None);
    }
}
