//! Rules that are tried out: what is wrong with them, what becomes of messages that are kept, and what sinks would send.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::bounds::{ALL, NEW as MOST, TooMuch};
use super::explained::explain;
use super::ground::Ground;
use super::workshop::{Workshop, first_shipped};
use crate::correlate::steps;
use crate::inbox::{Group, Sample};
use crate::lookup::tables::Tables;
use crate::mib::Mib;
use crate::rules::compile::{Compiled, RuleFile, RuleTest, compile_until};
use crate::rules::doubts;
use crate::rules::{MatchResult, MessageContext, RuleSet, Scratch, testing};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::time::clock::rfc3339;

/// The name of rules that are not saved yet, in what is said of them.
pub const NEW: &str = "new rule";

/// What is tried.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The rules.
    pub toml: String,
    /// Whether they stand in the place of all rules of the console. Else they stand behind these.
    #[serde(default)]
    pub whole: bool,
    /// The number of a group of the inbox.
    #[serde(default)]
    pub group: Option<u64>,
    /// Which of its messages is explained, from 0, the oldest first. Default: the newest.
    #[serde(default)]
    pub sample: Option<usize>,
}

/// What rules are tried against.
#[derive(Clone, Copy)]
pub struct Bench<'b> {
    /// What is in force.
    pub workshop: &'b Workshop,
    /// The names.
    pub mib: &'b Arc<Mib>,
    /// The tables.
    pub tables: &'b Arc<Tables>,
    /// What is known of senders.
    pub ground: Ground<'b>,
    /// The most bytes of a message that rules see.
    pub max_message: usize,
    /// Whether looking at messages has taken long enough.
    pub late: &'b dyn Fn() -> bool,
    /// Whether compiling and testing has.
    pub spent: &'b dyn Fn() -> bool,
}

/// Why rules are not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTried {
    /// The inbox has no such group.
    #[error("there is no group {0}")]
    NoGroup(u64),
    /// They are too many.
    #[error("{0}")]
    TooMuch(#[from] TooMuch),
    /// They cost too much.
    #[error(
        "compiling the rules and running their tests takes too long; try fewer at a time, and write patterns and templates that cost less"
    )]
    TooLong,
}

/// How many mistakes are told.
pub const DIAGNOSTICS: usize = 100;

/// Rules with what was found in them.
struct Tried {
    rules: Option<RuleSet>,
    /// The name of the file that is tried.
    name: Arc<str>,
    found: Diagnostics,
    passed: usize,
    failed: usize,
}

impl Bench<'_> {
    /// Tries rules as they would stand: behind the user's files and before the shipped packs. `groups` is the inbox.
    ///
    /// # Errors
    ///
    /// [`NotTried`].
    pub fn run(&self, trial: &Trial, groups: &[Group]) -> Result<Value, NotTried> {
        let group = match trial.group {
            None => None,
            Some(id) => Some(groups.iter().find(|group| group.id == id).ok_or(NotTried::NoGroup(id))?),
        };
        let tried = self.compiled(trial)?;
        let of_new = |rules: &RuleSet| {
            let own = rules.rules().iter().filter(|rule| rule.file == tried.name);
            own.map(|rule| rule.id.clone()).collect::<Vec<_>>()
        };
        let ok = tried.rules.is_some() && tried.failed == 0;
        let mut answer = json!({
            "ok": ok,
            "diagnostics": tried.found.clone().first(DIAGNOSTICS).to_json(),
            "tests": { "passed": tried.passed, "failed": tried.failed },
            "rules": tried.rules.as_ref().map(of_new),
        });
        if let Some(rules) = &tried.rules {
            self.of_messages(rules, &tried.name, (group, trial.sample), groups, &mut answer);
        }
        Ok(answer)
    }

    /// What becomes of messages.
    fn of_messages(
        &self,
        rules: &RuleSet,
        name: &Arc<str>,
        (group, sample): (Option<&Group>, Option<usize>),
        groups: &[Group],
        answer: &mut Value,
    ) {
        let mut partial = false;
        let mut count = |group: &Group| {
            let (mut matches, mut looked_at) = (0u64, 0u64);
            for sample in &group.samples {
                if (self.late)() {
                    partial = true;
                    break;
                }
                looked_at += 1;
                matches += u64::from(self.takes(rules, name, sample));
            }
            (matches, looked_at)
        };
        let here = group.map(&mut count);
        let (mut elsewhere, mut of) = (0, 0);
        for other in groups.iter().filter(|other| group.is_none_or(|group| other.id != group.id)) {
            let (matches, looked_at) = count(other);
            elsewhere += matches;
            of += looked_at;
        }
        answer["matches"] = json!({
            "here": here.map(|here| here.0), "of": here.map(|here| here.1),
            "elsewhere": elsewhere, "of_elsewhere": of, "partial": partial,
        });
        let Some(group) = group else { return };
        answer["samples"] = group.samples.iter().map(|sample| self.becomes(rules, sample)).collect();
        let shown = match sample {
            Some(at) => group.samples.get(at),
            None => group.samples.back(),
        };
        let explained = shown.map(|sample| {
            let explained = self.ground.with_sample(sample, |context, candidates| {
                explain(rules, self.workshop.sinks.iter(), context, candidates).to_json()
            });
            explained.unwrap_or_else(|error| json!({ "error": error.to_string() }))
        });
        answer["explained"] = explained.unwrap_or(Value::Null);
        if let Some(message) = answer["explained"]["message"].as_object_mut() {
            message.shift_remove("community");
        }
    }

    fn compiled(&self, trial: &Trial) -> Result<Tried, NotTried> {
        let most = if trial.whole { ALL } else { MOST };
        most.check(&trial.toml)?;
        let files = if trial.whole {
            self.workshop.files_with(&trial.toml)
        } else {
            let mut files = self.workshop.files.to_vec();
            let new = RuleFile { name: NEW.into(), text: trial.toml.as_str().into() };
            files.insert(first_shipped(&files), new);
            files
        };
        let name: Arc<str> = if trial.whole { self.workshop.console.clone() } else { NEW.into() };
        let mut tried =
            Tried { rules: None, name: name.clone(), found: Diagnostics::default(), passed: 0, failed: 0 };
        let Compiled { rules, tests, found, .. } =
            compile_until(&files, self.mib.clone(), self.tables, (&name, self.spent));
        if (self.spent)() {
            return Err(NotTried::TooLong);
        }
        // What is doubtful in other files is not about these rules.
        let of_new = |diagnostics: Diagnostics| {
            let mut own = Diagnostics::default();
            let is_own = |one: &Diagnostic| *one.file == *name || one.severity == Severity::Error;
            diagnostics.sorted().into_iter().filter(is_own).for_each(|one| own.push(one));
            own
        };
        tried.found.extend(of_new(found));
        let Some(mut rules) = rules else { return Ok(tried) };
        rules.max_message = self.max_message;
        let doubts = of_new(doubts::unreachable(&rules, &files));
        tried.found.extend(doubts);
        for test in tests.iter().filter(|test| test.file.name == name) {
            if (self.spent)() {
                return Err(NotTried::TooLong);
            }
            self.test(&rules, test, &mut tried);
        }
        tried.rules = Some(rules);
        Ok(tried)
    }

    fn test(&self, rules: &RuleSet, test: &RuleTest, tried: &mut Tried) {
        let (test, hosts) = (std::slice::from_ref(test), self.ground.hosts);
        let no_reload = |_: &RuleFile, _: &str| Err("a reload needs a rule file of its own".to_owned());
        for report in [testing::run(rules, test, hosts), steps::run(rules, test, hosts, &no_reload)] {
            tried.passed += report.passed;
            tried.failed += report.failed;
            tried.found.extend(report.found);
        }
    }

    /// Whether a rule of a file takes a message.
    fn takes(&self, rules: &RuleSet, name: &Arc<str>, sample: &Sample) -> bool {
        let takes = |context: &MessageContext<'_>| {
            let matched = rules.matching(context);
            matched.iter().any(|rule| rule.file == *name)
        };
        self.ground.with_sample(sample, |context, _| takes(context)).unwrap_or(false)
    }

    /// What becomes of a message, in short.
    fn becomes(&self, rules: &RuleSet, sample: &Sample) -> Value {
        let made = self.ground.with_sample(sample, |context, _| {
            let by: Vec<&str> = rules.matching(context).into_iter().map(|rule| rule.id.as_str()).collect();
            let mut outcomes = Vec::new();
            let result = rules.apply(context, &mut Scratch::for_trial(), |_, outcome| {
                let common = outcome.common();
                outcomes.push(json!({
                    "host": outcome.host(), "service": outcome.service(), "state": common.state.as_str(), "output": common.output,
                }));
            });
            (by.join(", "), result, outcomes)
        });
        let mut shown = json!({ "received": rfc3339(sample.received), "from": sample.from.to_string() });
        match made {
            Ok((by, result, outcomes)) => {
                shown["by"] = by.into();
                shown["result"] = word(result).into();
                shown["outcomes"] = outcomes.into();
            }
            Err(error) => shown["error"] = error.to_string().into(),
        }
        shown
    }
}

/// What became of a message, in a word.
pub fn word(result: MatchResult) -> &'static str {
    match result {
        MatchResult::Matched => "matched",
        MatchResult::Dropped => "dropped",
        MatchResult::Unmatched => "unmatched",
    }
}

/// The groups whose messages rules take now, all that are kept of each.
pub fn settled(rules: &RuleSet, ground: &Ground<'_>, groups: &[Group], late: &dyn Fn() -> bool) -> Vec<u64> {
    let is_taken = |sample: &Sample| {
        let takes = |context: &MessageContext<'_>| {
            rules.apply(context, &mut Scratch::for_trial(), |_, _| {}) != MatchResult::Unmatched
        };
        ground.with_sample(sample, |context, _| takes(context)).unwrap_or(false)
    };
    let is_settled =
        |group: &&Group| !late() && !group.samples.is_empty() && group.samples.iter().all(is_taken);
    groups.iter().filter(is_settled).map(|group| group.id).collect()
}
