//! A mute: what it covers, and until when.

use serde::{Deserialize, Serialize};

use crate::outcome::result::Outcome;
use crate::rules::matching::Glob;

#[cfg(test)]
thread_local! {
    /// How often a mute was compared with an outcome.
    pub(super) static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Which outcomes a mute covers: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Covers {
    /// Hosts or components like this.
    pub host: Option<String>,
    /// Services or resources like this.
    pub service: Option<String>,
    /// Rules whose id is like this.
    pub rule: Option<String>,
    /// The names of the sinks that are muted; empty for all that honour mutes.
    pub sinks: Vec<String>,
    /// Why, for people.
    pub reason: String,
}

impl Covers {
    /// The first pattern that is empty. It would cover nothing, as no name is.
    pub fn empty(&self) -> Option<&'static str> {
        let all = [("host", &self.host), ("service", &self.service), ("rule", &self.rule)];
        let is_empty = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
        all.into_iter().find(|(_, text)| is_empty(text)).map(|(key, _)| key)
    }

    /// Whether nothing is given but sinks and a reason.
    pub fn is_everything(&self) -> bool {
        self.host.is_none() && self.service.is_none() && self.rule.is_none()
    }
}

/// The patterns of what a mute covers. They are made once a mute: to make one costs a thousand times as much as to use it.
#[derive(Debug, Clone)]
pub(super) struct Patterns {
    host: Option<Glob>,
    service: Option<Glob>,
    rule: Option<Glob>,
}

impl Patterns {
    pub(super) fn new(covers: &Covers) -> Self {
        let glob = |text: &Option<String>, fold| text.as_ref().map(|text| Glob::new(text, fold));
        Patterns {
            host: glob(&covers.host, true),
            service: glob(&covers.service, true),
            rule: glob(&covers.rule, false),
        }
    }

    pub(super) fn has(&self, outcome: &Outcome<'_>) -> bool {
        #[cfg(test)]
        COMPARED.with(|compared| compared.set(compared.get() + 1));
        let fits = |glob: &Option<Glob>, name: Option<&str>| {
            glob.as_ref().is_none_or(|glob| name.is_some_and(|name| glob.matches(name)))
        };
        fits(&self.host, Some(outcome.host()))
            && fits(&self.service, outcome.service())
            && fits(&self.rule, Some(&outcome.common().rule))
    }
}

/// A mute by command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ordered {
    pub(super) id: u64,
    pub(super) covers: Covers,
    /// In microseconds since 1970 UTC.
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) swallowed: u64,
}

impl Ordered {
    pub(super) fn is_active(&self, now: i64) -> bool {
        now < self.until
    }
}

/// What a service is known by.
pub(super) fn endpoint(outcome: &Outcome<'_>) -> String {
    format!("{}\0{}\0{}", outcome.kind(), outcome.host(), outcome.service().unwrap_or("\0"))
}
