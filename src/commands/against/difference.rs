//! Outcomes of the rules in force beside those of edited rules.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Value, json};

use crate::outcome::result::{Outcome, State};

/// How an outcome differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only the edited rules make it.
    New,
    /// Only the rules in force make it.
    Gone,
    /// It has another state.
    State,
    /// It has the same state and another text or other fields.
    Text,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::New, Kind::Gone, Kind::State, Kind::Text];

    /// The name in JSON.
    fn name(self) -> &'static str {
        match self {
            Kind::New => "new",
            Kind::Gone => "gone",
            Kind::State => "state",
            Kind::Text => "text",
        }
    }
}

/// One outcome that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The rule that makes it now; of one that is gone, the rule that made it.
    pub rule: String,
    /// How.
    pub kind: Kind,
    before: Option<Shown>,
    after: Option<Shown>,
}

/// What is shown of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    state: State,
    host: String,
    service: Option<String>,
    output: String,
}

impl Shown {
    fn new(outcome: &Outcome<'_>) -> Self {
        Shown {
            state: outcome.common().state,
            host: outcome.host().to_owned(),
            service: outcome.service().map(str::to_owned),
            output: outcome.common().output.clone().into_owned(),
        }
    }

    fn to_text(&self) -> String {
        let place = match &self.service {
            Some(service) => format!("{} / {service}", self.host),
            None => self.host.clone(),
        };
        format!("{place}: {}: {}", self.state.as_str(), self.output)
    }

    fn to_json(&self) -> Value {
        json!({ "host": self.host, "service": self.service, "state": self.state.as_str(), "output": self.output })
    }
}

/// Whether receivers see the same: all but the id of the rule.
fn same(one: &Outcome<'_>, other: &Outcome<'_>) -> bool {
    let mut other = other.clone();
    other.common_mut().rule.clone_from(&one.common().rule);
    *one == other
}

fn about_the_same(one: &Outcome<'_>, other: &Outcome<'_>) -> bool {
    (one.kind(), one.host(), one.service()) == (other.kind(), other.host(), other.service())
}

/// What differs between the outcomes of one message.
pub fn compare(before: &[Outcome<'_>], after: &[Outcome<'_>]) -> Vec<Difference> {
    let mut before: Vec<&Outcome<'_>> = before.iter().collect();
    let mut after: Vec<&Outcome<'_>> = after.iter().collect();
    // First those that are the same, so that no two of one service are mixed up.
    before.retain(|old| match after.iter().position(|new| same(old, new)) {
        Some(at) => {
            after.remove(at);
            false
        }
        None => true,
    });
    let mut found = Vec::new();
    for new in after {
        let rule = new.common().rule.clone().into_owned();
        let old = before.iter().position(|old| about_the_same(old, new)).map(|at| before.remove(at));
        let kind = match old {
            None => Kind::New,
            Some(old) if old.common().state != new.common().state => Kind::State,
            Some(_) => Kind::Text,
        };
        found.push(Difference { rule, kind, before: old.map(Shown::new), after: Some(Shown::new(new)) });
    }
    found.extend(before.into_iter().map(|old| Difference {
        rule: old.common().rule.clone().into_owned(),
        kind: Kind::Gone,
        before: Some(Shown::new(old)),
        after: None,
    }));
    found
}

/// All differences, by rule: how many, and the first of each kind.
#[derive(Debug, Default)]
pub struct Differences(BTreeMap<String, BTreeMap<Kind, OfKind>>);

#[derive(Debug)]
struct OfKind {
    count: u64,
    /// By the states: of a new one and of one that is gone its state, otherwise from which to which.
    states: BTreeMap<String, u64>,
    first: Difference,
    message: String,
}

impl Differences {
    /// Adds one. `message` gives the message in a line.
    pub fn add(&mut self, difference: Difference, message: impl FnOnce() -> String) {
        let word = |shown: &Option<Shown>| shown.as_ref().map(|shown| shown.state.as_str());
        let states = match (word(&difference.before), word(&difference.after)) {
            (Some(before), Some(after)) if before != after => format!("{before} to {after}"),
            (Some(state), _) | (None, Some(state)) => state.to_owned(),
            (None, None) => return,
        };
        let of_rule = self.0.entry(difference.rule.clone()).or_default();
        let of_kind = match of_rule.entry(difference.kind) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(OfKind {
                count: 0,
                states: BTreeMap::new(),
                first: difference,
                message: message(),
            }),
        };
        of_kind.count += 1;
        *of_kind.states.entry(states).or_default() += 1;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).map(|of_kind| of_kind.count).sum()
    }

    /// How many rules make outcomes that differ.
    pub fn rules(&self) -> usize {
        self.0.len()
    }

    /// A paragraph a rule.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (rule, kinds) in &self.0 {
            text += &format!("\n{rule}\n");
            for (kind, OfKind { count, states, first, message }) in kinds {
                let states: Vec<String> =
                    states.iter().map(|(state, count)| format!("{count} {state}")).collect();
                let words = match kind {
                    Kind::New => "more",
                    Kind::Gone => "less",
                    Kind::State => "with another state",
                    Kind::Text => "with another text",
                };
                text += &format!("  {count} {words}: {}; the first, of {message}\n", states.join(", "));
                for (sign, shown) in [("-", &first.before), ("+", &first.after)] {
                    if let Some(shown) = shown {
                        text += &format!("    {sign} {}\n", shown.to_text());
                    }
                }
            }
        }
        text
    }

    /// As JSON: a document a rule.
    pub fn to_json(&self) -> Value {
        let of_rule = |(rule, kinds): (&String, &BTreeMap<Kind, OfKind>)| {
            let mut all = json!({ "rule": rule });
            for kind in Kind::ALL {
                all[kind.name()] = kinds.get(&kind).map_or(Value::Null, |of_kind| {
                    let shown = |shown: &Option<Shown>| shown.as_ref().map(Shown::to_json);
                    json!({
                        "count": of_kind.count,
                        "states": of_kind.states,
                        "first": {
                            "message": of_kind.message,
                            "before": shown(&of_kind.first.before),
                            "after": shown(&of_kind.first.after),
                        },
                    })
                });
            }
            all
        };
        self.0.iter().map(of_rule).collect()
    }
}
