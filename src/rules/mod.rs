//! Rules: which messages they take, and what they make of them.
//!
//! A rule file ([`schema`]) is compiled once ([`compile`]): names become OIDs, conditions and templates become
//! nodes that are evaluated on the message as it stands ([`expr`], [`template`]), and an [`index`] leads from a
//! message to the few rules that may take it. [`RuleSet::apply`] is pure: no I/O, no clock.

pub mod compile;
pub mod engine;
pub mod explain;
pub mod expr;
pub mod files;
pub mod functions;
pub mod index;
pub mod matching;
pub mod patterns;
pub mod schema;
pub mod shipped;
pub mod subject;
pub mod template;
pub mod testing;
pub mod value;
pub mod variable;
pub mod walk;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::Engine;
use expr::Context;
use index::Index;
use matching::{Because, From, Matcher};
use subject::Captures;
pub use subject::Subject;
use template::{Expression, Template};

use crate::message::Message;
use crate::mib::Mib;
use crate::outcome::result::{CheckResult, Common, Event, Outcome, State};

/// A rule, compiled.
#[derive(Debug)]
pub struct Rule {
    /// Its id, unique in the rule set.
    pub id: String,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// Where its id stands in the file.
    pub span: Range<usize>,
    /// Which messages it is for.
    pub matcher: Matcher,
    /// Words by which `[[snmp.access]]` speaks of it.
    pub tags: Vec<String>,
    /// The senders that it is for; empty for all.
    pub from: Vec<From>,
    /// A further condition, with its source.
    pub where_: Option<(String, Expression)>,
    /// What it makes.
    pub check: Option<CheckTemplate>,
    /// What it makes.
    pub event: Option<EventTemplate>,
    /// Whether rules after it may take the same message.
    pub goes_on: bool,
    /// How many messages it has taken.
    pub taken: AtomicU64,
}

/// `[rule.check]`, compiled.
#[derive(Debug)]
pub struct CheckTemplate {
    host: Template,
    service: Option<Template>,
    state: StateTemplate,
    output: Template,
    long_output: Option<Template>,
    perfdata: Option<Template>,
}

/// `[rule.event]`, compiled.
#[derive(Debug)]
pub struct EventTemplate {
    component: Template,
    resource: Option<Template>,
    state: StateTemplate,
    output: Template,
    long_output: Option<Template>,
    fields: Vec<(String, Template)>,
}

/// A state, or an expression that gives one.
#[derive(Debug)]
pub enum StateTemplate {
    /// A state.
    Fixed(State),
    /// An expression.
    Expression(Expression),
}

/// All rules, compiled.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    index: Index,
    engine: Engine,
    mib: Arc<Mib>,
}

/// What the rules did with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At least one rule took it and made something.
    Matched,
    /// A rule dropped it on purpose.
    Dropped,
    /// No rule took it.
    Unmatched,
}

/// Buffers that `apply` uses again from message to message.
#[derive(Debug, Default)]
pub struct Scratch {
    candidates: Vec<u32>,
}

impl RuleSet {
    /// The rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The MIB that the rules were compiled with.
    pub fn mib(&self) -> &Mib {
        &self.mib
    }

    /// Applies the rules to a message; `emit` takes what they make, in their order.
    pub fn apply(
        &self,
        subject: &Subject<'_>,
        scratch: &mut Scratch,
        mut emit: impl FnMut(&Rule, &Outcome<'_>),
    ) -> Verdict {
        self.candidates(subject, &mut scratch.candidates);
        let mut verdict = Verdict::Unmatched;
        for at in &scratch.candidates {
            let rule = &self.rules[*at as usize];
            let Ok(captures) = self.takes(rule, subject) else { continue };
            // Of the rule set, for people; nothing is decided by it.
            rule.taken.fetch_add(1, Ordering::Relaxed);
            let cx = Context { subject, captures: &captures, mib: &self.mib };
            self.make(rule, cx, &mut emit);
            let made = rule.check.is_some() || rule.event.is_some();
            if made {
                verdict = Verdict::Matched;
            } else if verdict == Verdict::Unmatched {
                verdict = Verdict::Dropped;
            }
            if !rule.goes_on {
                break;
            }
        }
        verdict
    }

    fn candidates(&self, subject: &Subject<'_>, candidates: &mut Vec<u32>) {
        match subject.message {
            Message::Notification(notification) => self.index.for_trap(&notification.oid, candidates),
            Message::Syslog(line) => self.index.for_line(line, candidates),
        }
    }

    /// The groups of the rule's pattern if it takes the message, else the first reason why not.
    fn takes<'m>(&'m self, rule: &'m Rule, subject: &Subject<'m>) -> Result<Captures<'m>, Because> {
        if subject.tags.is_some_and(|reach| !rule.tags.iter().any(|tag| reach.contains(tag))) {
            return Err(Because::Access);
        }
        let captures = match (&rule.matcher, subject.message) {
            (Matcher::Trap(traps), Message::Notification(notification)) => {
                if !traps.iter().any(|t| t.matches(&notification.oid)) {
                    return Err(Because::Trap);
                }
                Captures::new()
            }
            (Matcher::Syslog(pattern), Message::Syslog(line)) => pattern.matches(line)?,
            (Matcher::Trap(_), Message::Syslog(_)) => return Err(Because::Trap),
            (Matcher::Syslog(_), Message::Notification(_)) => return Err(Because::Program),
        };
        if !rule.from.is_empty() && !rule.from.iter().any(|from| from.matches(subject)) {
            return Err(Because::From);
        }
        if let Some((_, condition)) = &rule.where_ {
            let cx = Context { subject, captures: &captures, mib: &self.mib };
            if !condition.eval(&self.engine, cx).is_true() {
                return Err(Because::Where);
            }
        }
        Ok(captures)
    }

    fn make<'m>(&'m self, rule: &'m Rule, cx: Context<'m, '_>, emit: &mut impl FnMut(&Rule, &Outcome<'_>)) {
        let render = |template: &'m Template| template.render(&self.engine, cx);
        let optional = |template: &'m Option<Template>| template.as_ref().map(render);
        let common = |state, output, long_output| Common {
            time: cx.subject.source.received,
            rule: Cow::Borrowed(&rule.id),
            state,
            output: render(output),
            long_output: optional(long_output).unwrap_or_default(),
            source: Cow::Borrowed(cx.subject.address),
        };
        if let Some(check) = &rule.check {
            let state = self.state(&check.state, check.service.is_none(), cx);
            let outcome = Outcome::CheckResult(CheckResult {
                common: common(state, &check.output, &check.long_output),
                host: render(&check.host),
                service: optional(&check.service),
                perfdata: optional(&check.perfdata).unwrap_or_default(),
            });
            emit(rule, &outcome);
        }
        if let Some(event) = &rule.event {
            let state = self.state(&event.state, false, cx);
            let fields = event.fields.iter().map(|(name, template)| (name.as_str().into(), render(template)));
            let outcome = Outcome::Event(Event {
                common: common(state, &event.output, &event.long_output),
                component: render(&event.component),
                resource: optional(&event.resource),
                fields: fields.collect(),
            });
            emit(rule, &outcome);
        }
    }

    /// The state; what an expression gives that is none becomes unknown, of a host unreachable.
    fn state<'m>(&'m self, state: &'m StateTemplate, of_host: bool, cx: Context<'m, '_>) -> State {
        match state {
            StateTemplate::Fixed(state) => *state,
            StateTemplate::Expression(expression) => {
                let value = expression.eval(&self.engine, cx);
                if of_host {
                    State::host(&value.into_text()).unwrap_or(State::Unreachable)
                } else {
                    State::service(&value.into_text()).unwrap_or(State::Unknown)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
