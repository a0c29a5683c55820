//! Runs the tests of rules that have steps in time.
//!
//! Each runs twice: once as it is, and once with all state written and read back before each step. Both must have the same
//! outcomes, as a restart must change nothing.

use super::correlator::Correlator;
use super::effects::{Effects, Now};
use super::key::{Facts, Secret};
use crate::lookup::hosts::Hosts;
use crate::outcome::codec;
use crate::outcome::result::Outcome;
use crate::rules::apply::RenderFailure;
use crate::rules::asks::{Question, State};
use crate::rules::compile::{RuleFile, RuleTest};
use crate::rules::test_schema::{StepText, StepTime, TestKind, TestMessage};
use crate::rules::testing::{Misplaced, Report, TEST_TIME, compare, receive};
use crate::rules::{MessageContext, RuleSet, Scratch};
use crate::settings::diagnostic::{Diagnostic, SourceText};

/// Gives the rules that are in force after the file of a test is replaced by another one, which the test names.
pub type Reload<'r> = dyn Fn(&RuleFile, &str) -> Result<RuleSet, String> + 'r;

/// How many timers fire between two looks at the time.
const MOST: usize = 1000;
/// How many outcomes a test may have.
const MAX_OUTCOMES: usize = 100_000;
/// The secret of tests: what they show does not depend on it.
const SECRET: Secret = Secret([1, 2]);

/// Runs the tests that have steps.
pub fn run(rules: &RuleSet, tests: &[RuleTest], hosts: &Hosts, reload: &Reload<'_>) -> Report {
    let mut report = Report::default();
    for test in tests {
        let TestKind::Steps(steps) = &test.text.kind else { continue };
        let source = SourceText { file: &test.file.name, text: &test.file.text };
        let run = |reencode| Run::new(rules, hosts, steps, reencode).all(steps, &test.file, &source, reload);
        let (plain, reencoded) = (run(false), run(true));
        let mut found = plain.found;
        if found.is_empty() && plain.outcomes != reencoded.outcomes {
            found.push(source.error(
                &test.text.span,
                "state that is written and read back before each step leads to other outcomes",
                Some("this is a fault of the program; please report it with the rule".to_owned()),
            ));
        }
        report.add(test.rule, found);
    }
    report
}

/// What rules are told about the state.
#[derive(Debug)]
struct Answers<'c> {
    correlator: &'c Correlator,
    now: Now,
}

impl State for Answers<'_> {
    fn answer(&self, question: &Question, texts: &[&str]) -> u64 {
        self.correlator.answer(self.now, question, texts)
    }
}

struct Run<'r> {
    rules: &'r RuleSet,
    reloaded: Option<RuleSet>,
    hosts: &'r Hosts,
    reencode: bool,
    correlator: Correlator,
    start: i64,
    now: Now,
    scratch: Scratch,
    effects: Effects,
    /// The outcomes since those that were looked at last.
    new: Vec<Vec<u8>>,
}

/// What a run has shown.
struct Ran {
    found: Vec<Diagnostic>,
    outcomes: Vec<Vec<u8>>,
}

impl<'r> Run<'r> {
    fn new(rules: &'r RuleSet, hosts: &'r Hosts, steps: &[StepText], reencode: bool) -> Self {
        let start = match steps.first().map(|step| step.at) {
            Some(StepTime::At(at)) => at,
            _ => TEST_TIME,
        };
        let now = Now { engine: start, wall: start };
        let correlator = Correlator::new(rules.plan().clone(), SECRET, super::Limits::default(), now);
        let (scratch, effects) = (Scratch::for_trial(), Effects::default());
        Run {
            rules,
            reloaded: None,
            hosts,
            reencode,
            correlator,
            start,
            now,
            scratch,
            effects,
            new: Vec::new(),
        }
    }

    fn all(
        mut self,
        steps: &[StepText],
        file: &RuleFile,
        source: &SourceText<'_>,
        reload: &Reload<'_>,
    ) -> Ran {
        let mut ran = Ran { found: Vec::new(), outcomes: Vec::new() };
        for step in steps {
            if let Err((span, message, hint)) = self.step(step, file, reload) {
                ran.found.push(source.error(&span, message, hint));
                break;
            }
            if let Some(expected) = &step.expect {
                let made = std::mem::take(&mut self.new);
                let outcomes: Vec<Outcome<'_>> =
                    made.iter().filter_map(|bytes| codec::decode(bytes)).collect();
                ran.found.extend(compare(&step.span, expected, &outcomes, source));
                ran.outcomes.extend(made);
            }
        }
        ran.outcomes.append(&mut self.new);
        ran
    }

    fn step(&mut self, step: &StepText, file: &RuleFile, reload: &Reload<'_>) -> Result<(), Misplaced> {
        let wrong = |message: String, hint: &str| Err((step.span.clone(), message, Some(hint.to_owned())));
        let at = match step.at {
            StepTime::After(after) => self.start + after,
            StepTime::At(at) => at,
        };
        let stopped = at - step.restart.unwrap_or(0);
        if stopped < self.now.engine {
            return wrong(
                "the step is earlier than the one before it".to_owned(),
                "put the steps in their order",
            );
        }
        if !self.wait(stopped) {
            return wrong(
                format!("more than {MAX_OUTCOMES} outcomes"),
                "make shorter steps, or longer intervals",
            );
        }
        if self.reencode || step.restart.is_some() {
            self.restart(at, step.restart.is_some());
        }
        self.go_to(at);
        self.now.wall += step.clock;
        // Time goes on in small steps, so the jump is noticed at once.
        self.correlator.advance(self.now, MOST, &mut self.effects);
        self.collect();
        if let Some(other) = &step.reload {
            let rules = reload(file, &other.value).map_err(|error| {
                let hint = "'reload' names a rule file, from the folder of this one on";
                (other.span.clone(), error, Some(hint.to_owned()))
            })?;
            self.correlator.replace(rules.plan().clone(), self.now, &mut self.effects);
            self.collect();
            self.reloaded = Some(rules);
        }
        // What is due by now comes before the message.
        self.wait(at);
        if let Some(message) = &step.message {
            self.message(message)?;
        }
        Ok(())
    }

    fn go_to(&mut self, engine: i64) {
        self.now.wall += engine - self.now.engine;
        self.now.engine = engine;
    }

    /// Lets time pass; false if too much happens.
    fn wait(&mut self, until: i64) -> bool {
        while let Some(due) = self.correlator.next_due().filter(|due| *due <= until) {
            self.go_to(due.max(self.now.engine));
            self.correlator.advance(self.now, MOST, &mut self.effects);
            self.collect();
            if self.new.len() > MAX_OUTCOMES {
                return false;
            }
        }
        self.go_to(until);
        true
    }

    fn restart(&mut self, at: i64, real: bool) {
        let bytes = self.correlator.encode(self.now);
        if real {
            self.go_to(at);
        }
        let (plan, limits) = (self.correlator.plan().clone(), super::Limits::default());
        let decoded = Correlator::decode(&bytes, plan, limits, self.now, &mut self.effects);
        self.collect();
        // What cannot be read back shows as a difference.
        let empty = || Correlator::new(self.correlator.plan().clone(), SECRET, limits, self.now);
        let quiet = self.correlator.quiet_until();
        let mut correlator = decoded.unwrap_or_else(empty);
        correlator.stay_quiet_until(if real { self.now.engine + super::QUIET } else { quiet });
        self.correlator = correlator;
    }

    fn message(&mut self, message: &TestMessage) -> Result<(), Misplaced> {
        let rules = self.reloaded.as_ref().unwrap_or(self.rules);
        let mut made: Vec<(Facts, Vec<u8>)> = Vec::new();
        let (scratch, secret) = (&mut self.scratch, self.correlator.secret());
        let answers = Answers { correlator: &self.correlator, now: self.now };
        receive(message, rules.mib(), self.hosts, self.now.wall, |context| {
            let context = &MessageContext { state: Some(&answers), ..*context };
            rules.apply_keyed(context, scratch, |emitted| {
                let mut bytes = Vec::new();
                codec::encode(emitted.outcome, &mut bytes);
                made.push((Facts::new(secret, rules.plan(), emitted, context), bytes));
            });
        })?;
        if let Some(RenderFailure { rule, field, error }) = scratch.failures().first() {
            let rule = &rules.rules()[*rule].id;
            return Err((
                message.span.clone(),
                format!("cannot render {field} of rule '{rule}': {error}"),
                None,
            ));
        }
        for (facts, payload) in made {
            self.correlator.decide(self.now, &facts, &payload, &mut self.effects);
        }
        self.collect();
        Ok(())
    }

    fn collect(&mut self) {
        self.new.extend(self.effects.outcomes().map(<[u8]>::to_vec));
        self.effects.clear();
    }
}

/// The rules after one of their files was replaced by a text.
///
/// # Errors
///
/// What is wrong with the new file.
pub fn replaced(files: &[RuleFile], file: &RuleFile, text: &str, with: &RuleSet) -> Result<RuleSet, String> {
    let files: Vec<RuleFile> = files
        .iter()
        .map(|other| {
            if other.name == file.name {
                RuleFile { name: file.name.clone(), text: text.into() }
            } else {
                other.clone()
            }
        })
        .collect();
    let compiled = crate::rules::compile::compile_with(&files, with.mib_handle().clone(), with.tables());
    compiled.rules.ok_or_else(|| compiled.found.to_text())
}
