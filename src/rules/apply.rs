//! Applying rules to a message.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use crate::language::budget;
use crate::language::jinja::RenderError;
use crate::language::template::Template;
use crate::message::Message;
use crate::outcome::name::Name;
use crate::outcome::result::{CheckResult, Common, Event, Labels, Outcome, State};
use crate::rules::context::{Captures, MessageContext};
use crate::rules::cut::cut;
use crate::rules::labels::label;
use crate::rules::matching::{Matcher, RejectReason};
use crate::rules::plan::{KeyTemplates, Keys};
use crate::rules::rule::{CheckTemplate, EventTemplate, Rule, RuleSet, StateTemplate};
use crate::rules::values::MessageValues;
use crate::rules::variable::Variable;

/// The result of applying all rules to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchResult {
    /// At least one rule matched and made an outcome.
    Matched,
    /// A rule dropped the message on purpose.
    Dropped,
    /// No rule matched.
    Unmatched,
}

/// A field of an outcome that could not be rendered for a message, or a condition that is over budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderFailure {
    /// The index of the rule in [`RuleSet::rules`].
    pub rule: usize,
    /// The field, such as `service`; `where` for a condition or pattern.
    pub field: String,
    /// Why.
    pub error: RenderError,
}

/// An outcome and the rule that made it.
#[derive(Debug, Clone, Copy)]
pub struct Emitted<'e, 'm> {
    /// The rule.
    pub rule: &'e Rule,
    /// Its index in [`RuleSet::rules`].
    pub at: usize,
    /// The outcome.
    pub outcome: &'e Outcome<'m>,
    /// What its state is told apart by.
    pub keys: Keys<'e>,
}

/// The keys of a rule for one message.
struct RenderedKeys<'m> {
    key: Option<Cow<'m, str>>,
    threshold: Option<Cow<'m, str>>,
    throttle: Option<Cow<'m, str>>,
    expect: Option<Cow<'m, str>>,
}

impl RenderedKeys<'_> {
    fn keys(&self) -> Keys<'_> {
        Keys {
            key: self.key.as_deref(),
            threshold: self.threshold.as_deref(),
            throttle: self.throttle.as_deref(),
            expect: self.expect.as_deref(),
        }
    }
}

/// Buffers that [`RuleSet::apply`] reuses from message to message.
#[derive(Debug, Default)]
pub struct Scratch {
    candidates: Vec<u32>,
    failures: Vec<RenderFailure>,
    rooms: Rooms,
    cut: bool,
    /// The rule that dropped the last message, if one did.
    dropped: Option<usize>,
    /// Whether rules do not count what they match.
    trial: bool,
}

/// The room of texts that were made, for those of the next messages.
#[derive(Debug, Default)]
struct Rooms(Vec<String>);

impl Rooms {
    /// How many are kept.
    const MOST: usize = 8;
    /// Of more bytes than that they are not kept.
    const LONGEST: usize = 4096;

    fn take(&mut self) -> String {
        self.0.pop().unwrap_or_default()
    }

    /// Takes back the room of texts of an outcome that is done with.
    fn take_back(&mut self, outcome: &mut Outcome<'_>) {
        self.of(std::mem::take(&mut outcome.common_mut().output));
        match outcome {
            Outcome::CheckResult(CheckResult { host, service, .. }) => {
                self.of(host.take());
                if let Some(service) = service {
                    self.of(service.take());
                }
            }
            Outcome::Event(Event { component, resource, .. }) => {
                self.of(component.take());
                if let Some(resource) = resource {
                    self.of(resource.take());
                }
            }
        }
    }

    #[inline]
    fn of(&mut self, text: Cow<'_, str>) {
        if let Cow::Owned(mut text) = text
            && self.0.len() < Self::MOST
            && (1..=Self::LONGEST).contains(&text.capacity())
        {
            text.clear();
            self.0.push(text);
        }
    }
}

impl Scratch {
    /// For messages that are tried out: the counters of rules stay as they are.
    pub fn for_trial() -> Self {
        Scratch { trial: true, ..Scratch::default() }
    }

    /// The fields that could not be rendered for the last message.
    pub fn failures(&self) -> &[RenderFailure] {
        &self.failures
    }

    /// The place in [`RuleSet::rules`] of the rule that dropped the last message; of no meaning if none did.
    pub fn dropped_by(&self) -> Option<usize> {
        self.dropped
    }

    /// Whether rules saw only a part of the last message, as it was longer than [`RuleSet::max_message`].
    pub fn was_cut(&self) -> bool {
        self.cut
    }
}

impl RuleSet {
    /// Applies the rules to a message. `emit` gets the outcomes, in the order of the rules.
    ///
    /// A field that cannot be rendered, or a name that is empty, gets a safe value instead, and is listed in [`Scratch::failures`]: `host` and
    /// `component` the message's host, `service` and `resource` the id of the rule, `output` and `long_output` the
    /// error in parentheses, `state` unknown (of a host unreachable), `perfdata` nothing; other fields and labels are left out.
    ///
    /// All rules together have one [budget] for a message. A rule whose pattern or condition goes over it does not match.
    pub fn apply(
        &self,
        context: &MessageContext<'_>,
        scratch: &mut Scratch,
        mut emit: impl FnMut(&Rule, &Outcome<'_>),
    ) -> MatchResult {
        self.apply_keyed(context, scratch, |made| emit(made.rule, made.outcome))
    }

    /// The same, with what the state of each rule is told apart by. A key that cannot be rendered is none.
    pub fn apply_keyed(
        &self,
        context: &MessageContext<'_>,
        scratch: &mut Scratch,
        mut emit: impl FnMut(&Emitted<'_, '_>),
    ) -> MatchResult {
        let _budget = budget::Message::begin();
        let cut = cut(context.message, self.max_message);
        let context = &cut.as_ref().map_or(*context, |message| MessageContext { message, ..*context });
        budget::field(|| self.candidates(context, &mut scratch.candidates));
        scratch.failures.clear();
        scratch.cut = cut.is_some();
        scratch.dropped = None;
        let mut result = MatchResult::Unmatched;
        for at in &scratch.candidates {
            let rule = &self.rules[*at as usize];
            let captures = match self.matches(rule, context) {
                Ok(captures) => captures,
                Err(RejectReason::OverBudget) => {
                    rule.over_budget.fetch_add(u64::from(!scratch.trial), Ordering::Relaxed);
                    scratch.failures.push(RenderFailure {
                        rule: *at as usize,
                        field: "where".to_owned(),
                        error: RenderError::OverBudget,
                    });
                    continue;
                }
                Err(_) => continue,
            };
            // For people; nothing depends on it.
            if !scratch.trial {
                rule.match_count.fetch_add(1, Ordering::Relaxed);
                rule.last_match.store(context.source.received, Ordering::Relaxed);
            }
            let tables = context.tables.unwrap_or(&self.tables);
            let values = MessageValues { context, captures: &captures, mib: &self.mib, tables };
            let mut making = Making {
                rules: self,
                at: *at as usize,
                values,
                failures: &mut scratch.failures,
                rooms: &mut scratch.rooms,
                trial: scratch.trial,
            };
            let rendered = rule.keys.as_deref().map(|keys| making.keys(keys));
            let keys = rendered.as_ref().map_or_else(Keys::default, RenderedKeys::keys);
            let at = *at as usize;
            if let Some(check) = &rule.check {
                let mut outcome = making.check(rule, check);
                emit(&Emitted { rule, at, outcome: &outcome, keys });
                making.rooms.take_back(&mut outcome);
            }
            if let Some(event) = &rule.event {
                let mut outcome = making.event(rule, event);
                emit(&Emitted { rule, at, outcome: &outcome, keys });
                making.rooms.take_back(&mut outcome);
            }
            if rule.check.is_some() || rule.event.is_some() {
                result = MatchResult::Matched;
            } else if result == MatchResult::Unmatched {
                result = MatchResult::Dropped;
                scratch.dropped = Some(at);
            }
            if !rule.continues {
                break;
            }
        }
        result
    }

    /// The rules that take a message, in their order.
    pub fn matching(&self, context: &MessageContext<'_>) -> Vec<&Rule> {
        let _budget = budget::Message::begin();
        let cut = cut(context.message, self.max_message);
        let context = &cut.as_ref().map_or(*context, |message| MessageContext { message, ..*context });
        let mut candidates = Vec::new();
        budget::field(|| self.candidates(context, &mut candidates));
        let mut matching = Vec::new();
        for at in candidates {
            let rule = &self.rules[at as usize];
            if self.matches(rule, context).is_ok() {
                matching.push(rule);
                if !rule.continues {
                    break;
                }
            }
        }
        matching
    }

    fn candidates(&self, context: &MessageContext<'_>, candidates: &mut Vec<u32>) {
        match context.message {
            Message::Notification(notification) => self.index.for_trap(&notification.oid, candidates),
            Message::Syslog(line) => self.index.for_line(line, candidates),
            Message::Posted(posted) => self.index.for_posted(posted, candidates),
        }
    }

    /// Whether a rule matches: the groups of its pattern if it does, the first reason if it does not.
    pub(super) fn matches<'m>(
        &'m self,
        rule: &'m Rule,
        context: &MessageContext<'m>,
    ) -> Result<Captures<'m>, RejectReason> {
        if context.tags.is_some_and(|reach| !rule.tags.iter().any(|tag| reach.contains(tag))) {
            return Err(RejectReason::Access);
        }
        let captures = match (&rule.matcher, context.message) {
            (Matcher::Trap(traps), Message::Notification(notification)) => {
                if !traps.iter().any(|t| t.matches(&notification.oid)) {
                    return Err(RejectReason::Trap);
                }
                Captures::new()
            }
            (Matcher::Syslog(pattern), Message::Syslog(line)) => pattern.matches(line)?,
            (Matcher::Posted(pattern), Message::Posted(posted)) if pattern.matches(posted) => Captures::new(),
            (Matcher::Trap(_), _) => return Err(RejectReason::Trap),
            (Matcher::Syslog(_), _) => return Err(RejectReason::Program),
            (Matcher::Posted(_), _) => return Err(RejectReason::Posted),
        };
        if !rule.from.is_empty() && !rule.from.iter().any(|from| from.matches(context)) {
            return Err(RejectReason::From);
        }
        if rule.when.as_ref().is_some_and(|when| !when.covers(context.source.received)) {
            return Err(RejectReason::When);
        }
        if let Some((_, condition)) = &rule.where_ {
            let tables = context.tables.unwrap_or(&self.tables);
            let values = MessageValues { context, captures: &captures, mib: &self.mib, tables };
            match condition.eval(&self.environment, &values) {
                Ok(value) if value.is_true() => {}
                Err(RenderError::OverBudget) => return Err(RejectReason::OverBudget),
                // A condition that cannot be computed does not hold.
                Ok(_) | Err(_) => return Err(RejectReason::Where),
            }
        }
        Ok(captures)
    }
}

/// Makes the outcomes of one rule for one message.
struct Making<'m, 'c> {
    rules: &'m RuleSet,
    /// The index of the rule.
    at: usize,
    values: MessageValues<'m, 'c>,
    failures: &'c mut Vec<RenderFailure>,
    rooms: &'c mut Rooms,
    /// Whether nothing is counted.
    trial: bool,
}

impl<'m> Making<'m, '_> {
    fn keys(&mut self, keys: &'m KeyTemplates) -> RenderedKeys<'m> {
        let mut render =
            |template: Option<&'m Template<Variable>>| template.and_then(|t| self.render("key", t).ok());
        RenderedKeys {
            key: render(keys.key.as_ref()),
            threshold: render(keys.threshold.as_ref()),
            throttle: render(keys.throttle.as_ref()),
            expect: render(keys.expect.as_ref()),
        }
    }

    fn check(&mut self, rule: &'m Rule, check: &'m CheckTemplate) -> Outcome<'m> {
        let of_host = check.service.is_none();
        let common = self.common(rule, (&check.state, of_host), &check.output, check.long_output.as_ref());
        let perfdata = check.perfdata.as_ref().and_then(|template| self.render("perfdata", template).ok());
        Outcome::CheckResult(CheckResult {
            common,
            host: self.name("host", &check.host, self.values.context.host),
            service: check.service.as_ref().map(|template| self.name("service", template, &rule.id)),
            perfdata: perfdata.unwrap_or_default(),
        })
    }

    fn event(&mut self, rule: &'m Rule, event: &'m EventTemplate) -> Outcome<'m> {
        let common = self.common(rule, (&event.state, false), &event.output, event.long_output.as_ref());
        Outcome::Event(Event {
            common,
            component: self.name("component", &event.component, self.values.context.host),
            resource: event.resource.as_ref().map(|template| self.name("resource", template, &rule.id)),
            fields: event
                .fields
                .iter()
                .filter_map(|(name, template)| {
                    Some((name.as_str().into(), self.render(name, template).ok()?))
                })
                .collect(),
        })
    }

    #[inline]
    fn common(
        &mut self,
        rule: &'m Rule,
        (state, of_host): (&'m StateTemplate, bool),
        output: &'m Template<Variable>,
        long_output: Option<&'m Template<Variable>>,
    ) -> Common<'m> {
        Common {
            time: self.values.context.source.received,
            rule: Cow::Borrowed(&rule.id),
            state: self.state(state, of_host),
            output: self.text("output", output),
            long_output: long_output.map(|template| self.text("long_output", template)).unwrap_or_default(),
            source: Cow::Borrowed(self.values.context.address),
            labels: self.labels(rule),
        }
    }

    /// Without those that are empty or cannot be rendered.
    fn labels(&mut self, rule: &'m Rule) -> Labels<'m> {
        if let Some(labels) = &rule.constant_labels {
            return Labels::Shared(labels);
        }
        let value = |(name, template): &'m (String, Template<Variable>)| {
            let value = label(self.render(name, template).ok()?);
            (!value.is_empty()).then_some((Cow::Borrowed(name.as_str()), value))
        };
        rule.labels.iter().filter_map(value).collect()
    }

    fn render(&mut self, field: &str, template: &'m Template<Variable>) -> Result<Cow<'m, str>, RenderError> {
        template
            .render_in(&self.rules.environment, &self.values, || self.rooms.take())
            .inspect_err(|error| self.fail(field, error))
    }

    fn fail(&mut self, field: &str, error: &RenderError) {
        let rule = &self.rules.rules[self.at];
        let counter = match error {
            RenderError::OverBudget => &rule.over_budget,
            RenderError::Failed(_) => &rule.render_failures,
        };
        counter.fetch_add(u64::from(!self.trial), Ordering::Relaxed);
        let failure = RenderFailure { rule: self.at, field: field.to_owned(), error: error.clone() };
        self.failures.push(failure);
    }

    /// A name that a message leaves empty is no name.
    fn name(&mut self, field: &str, template: &'m Template<Variable>, default: &'m str) -> Name<'m> {
        let name = self.render(field, template).map_or_else(|_| Name::new(default), Name::new);
        if name.is_empty() && !default.is_empty() {
            self.fail(field, &RenderError::Failed("the name is empty".to_owned()));
            return Name::new(default);
        }
        name
    }

    fn text(&mut self, field: &str, template: &'m Template<Variable>) -> Cow<'m, str> {
        self.render(field, template).unwrap_or_else(|error| Cow::Owned(format!("({error})")))
    }

    fn state(&mut self, state: &'m StateTemplate, of_host: bool) -> State {
        let expression = match state {
            StateTemplate::Fixed(state) => return *state,
            StateTemplate::Expression(expression) => expression,
        };
        let value = match expression.eval(&self.rules.environment, &self.values) {
            Ok(value) => value.into_word(),
            Err(error) => {
                self.fail("state", &error);
                Cow::Borrowed("")
            }
        };
        if of_host {
            State::host(&value).unwrap_or(State::Unreachable)
        } else {
            State::service(&value).unwrap_or(State::Unknown)
        }
    }
}
