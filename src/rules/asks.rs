//! Questions that conditions and templates ask the state of rules: `is_open('rule', ...)` and `open_count('rule', ...)`.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::language::names::Doubt;
use crate::settings::diagnostic::did_you_mean;

/// The functions.
pub const FUNCTIONS: [&str; 2] = ["is_open", "open_count"];

/// A question without the texts that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub what: What,
    /// The identity of the rule, by [`RuleId`](crate::rules::plan::RuleId).
    pub rule: u64,
    /// The kind of the rule's outcomes: "check_result" or "event".
    pub kind: &'static str,
    /// What the texts are.
    pub texts: Texts,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Whether a problem is open.
    Open,
    /// How many messages it has.
    Count,
}

/// What the texts of a question are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Texts {
    /// The text of the rule's `key`.
    Key,
    /// The text of its `threshold.key`.
    Threshold,
    /// A host or component; the service or resource is always the same, or there is none.
    Host(Option<String>),
    /// A host and a service, or a component and a resource.
    Names,
}

/// A question with its texts, as one process asks another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Whether the number of messages is asked for.
    count: bool,
    rule: u64,
    kind: String,
    what: Texts,
    texts: Vec<String>,
}

impl Sent {
    /// A question as it is sent.
    pub fn new(question: &Question, texts: &[&str]) -> Self {
        Sent {
            count: question.what == What::Count,
            rule: question.rule,
            kind: question.kind.to_owned(),
            what: question.texts.clone(),
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    /// The answer of a state; none if this is no question of this release.
    pub fn answer(&self, state: &dyn State) -> Option<u64> {
        let kind = ["check_result", "event"].into_iter().find(|kind| *kind == self.kind)?;
        let what = if self.count { What::Count } else { What::Open };
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let needed = 1 + usize::from(self.what == Texts::Names);
        if texts.len() != needed {
            return None;
        }
        let question = Question { what, rule: self.rule, kind, texts: self.what.clone() };
        Some(state.answer(&question, &texts))
    }
}

/// Answers questions.
pub trait State: Debug {
    /// How many messages an open problem, or a threshold, has of these texts; 0 for none.
    fn answer(&self, question: &Question, texts: &[&str]) -> u64;
}

/// What can be asked about a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its identity.
    pub rule: u64,
    /// Whether it keeps state.
    pub tracked: bool,
    /// Whether it has a `key`.
    pub key: bool,
    /// Whether it has a `threshold`, and that a `key`.
    pub threshold: Option<bool>,
    /// The kind of its outcomes; none if it has none.
    pub kind: Option<&'static str>,
    /// Its service or resource: none if it has none, its text if that is always the same.
    pub service: Service,
}

/// The service or resource of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// None.
    None,
    /// Always the same.
    Fixed(String),
    /// A template.
    Template,
}

/// All rules, by their ids, and whether something was asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// The rules.
    pub rules: HashMap<String, Declared>,
    /// Whether a question was compiled since this was reset.
    pub used: Cell<bool>,
}

impl Asked {
    /// The question that a call asks; none if the function is another one. `first` is the first argument, if that is a text.
    pub fn question(&self, name: &str, first: Option<&str>, args: usize) -> Option<Result<Question, Doubt>> {
        let what = match name {
            "is_open" => What::Open,
            "open_count" => What::Count,
            _ => return None,
        };
        Some(self.of_rule(name, what, first, args).inspect(|_| self.used.set(true)))
    }

    fn of_rule(&self, name: &str, what: What, first: Option<&str>, args: usize) -> Result<Question, Doubt> {
        let wrong = |message: String, hint: String| Err(Doubt { message, hint });
        let Some(id) = first else {
            return wrong(
                format!("the first argument of '{name}' is the id of a rule"),
                format!("write {name}('link-down', host ~ ' ' ~ ifIndex)"),
            );
        };
        let Some(rule) = self.rules.get(id) else {
            let hint = did_you_mean(id, self.rules.keys().map(String::as_str));
            return wrong(
                format!("there is no rule '{id}'"),
                hint.unwrap_or_else(|| "`trapline rule list` shows the rules".to_owned()),
            );
        };
        let Some(kind) = rule.kind.filter(|_| rule.tracked) else {
            return wrong(
                format!("the rule '{id}' keeps no state"),
                "give it a key of docs/correlation.md, such as key = \"{{ host }}\"".to_owned(),
            );
        };
        let texts = match (what, rule.threshold, rule.key, &rule.service) {
            (What::Count, Some(true), ..) => Texts::Threshold,
            (What::Count, Some(false), ..) => {
                return wrong(
                    format!("what the threshold of '{id}' counts has no name"),
                    "add 'key' to the threshold, such as threshold = { count = 5, within = \"1m\", key = \"{{ client }}\" }"
                        .to_owned(),
                );
            }
            (_, _, true, _) => Texts::Key,
            (_, _, false, Service::None) => Texts::Host(None),
            (_, _, false, Service::Fixed(service)) => Texts::Host(Some(service.clone())),
            (_, _, false, Service::Template) => Texts::Names,
        };
        let (needed, call) = match &texts {
            Texts::Key => (2, "the text of its key"),
            Texts::Threshold => (2, "the text of its threshold's key"),
            Texts::Host(_) => (2, "a host"),
            Texts::Names => (3, "a host and a service"),
        };
        if args != needed {
            return wrong(
                format!("'{name}' of the rule '{id}' takes {needed} arguments, not {args}"),
                format!(
                    "write the id and {call}: {name}('{id}', {})",
                    if needed == 2 { "..." } else { "host, '...'" }
                ),
            );
        }
        Ok(Question { what, rule: rule.rule, kind, texts })
    }
}

#[cfg(test)]
#[path = "asks_tests.rs"]
mod tests;
