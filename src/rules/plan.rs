//! What rules keep over time, compiled: the settings of duplicates, thresholds, holds and so on.
//!
//! A [`Plan`] has one [`RulePlan`] a rule. It is data for the module that keeps the state; rules themselves have no memory.
//! Durations are microseconds.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::language::jinja::{Environment, RenderError};
use crate::language::template::Template;
use crate::outcome::result::{Outcome, State};
use crate::rules::deferred::{Deferred, DeferredValues, Seen};
use crate::rules::matching::Glob;
use crate::rules::variable::Variable;
use crate::time::calendar::Daily;

/// What a rule is known by in state that outlives it: the start of the SHA-256 of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u64);

impl RuleId {
    /// The identity of a rule with this id.
    pub fn of(id: &str) -> Self {
        RuleId(digest(&[id]))
    }
}

/// The first 64 bits of the SHA-256 of some texts.
pub fn digest(texts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    let bytes: [u8; 32] = hash.finalize().into();
    bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// What all rules keep over time.
#[derive(Debug, Default)]
pub struct Plan {
    /// One for each rule, in their order.
    pub rules: Vec<RulePlan>,
    /// Whether any rule keeps something.
    pub(super) stateful: bool,
    /// Whether any rule closes problems of its host beside its own.
    pub(super) wide: bool,
    pub(super) environment: Environment,
}

/// What one rule keeps over time.
#[derive(Debug)]
pub struct RulePlan {
    /// The identity of the rule.
    pub id: RuleId,
    /// Its id as written.
    pub name: Arc<str>,
    /// Whether it has any of the keys below. Otherwise its outcomes only close problems of other rules.
    pub tracked: bool,
    /// Whether it has a `key` of its own.
    pub explicit: bool,
    /// What its state belongs to: a digest of its id and the templates of its keys.
    pub identity: u64,
    /// What its expectations belong to: the same with the template of `expect.key`.
    pub expects: u64,
    /// Whether its ok and up outcomes close problems.
    pub clears: bool,
    /// Which problems of its host it closes beside its own.
    pub wide: Option<Box<Wide>>,
    /// What becomes of an ok outcome that closes nothing; none for the default of its kind.
    pub orphan: Option<Orphan>,
    /// `dedup`
    pub dedup: Option<Dedup>,
    /// `threshold`
    pub threshold: Option<Threshold>,
    /// `hold`
    pub hold: Option<Hold>,
    /// `throttle`
    pub throttle: Option<Throttle>,
    /// `escalate`, at most [`MAX_STEPS`].
    pub escalate: Vec<Step>,
    /// `expire`
    pub expire: Option<Expire>,
    /// `expect`
    pub expect: Option<Box<Expect>>,
    /// `remind`: how long after the last time that a problem was sent it is sent again.
    pub remind: Option<i64>,
}

/// `clears = { host = true, ... }`: which problems of its host a rule closes beside its own.
#[derive(Debug)]
pub struct Wide {
    /// Of rules with such ids; empty for all rules but those that expect messages.
    pub rules: Vec<Glob>,
    /// Of services or resources like this.
    pub service: Option<Glob>,
    /// The state that is sent; none for ok or up.
    pub state: Option<State>,
    /// The output.
    pub output: Template<Deferred>,
}

/// How many steps `escalate` may have.
pub const MAX_STEPS: usize = 8;

/// What becomes of an ok outcome that closes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphan {
    /// It is sent: it may heal what a receiver still believes.
    Send,
    /// It is swallowed.
    Drop,
}

/// `dedup`
#[derive(Debug)]
pub struct Dedup {
    /// How long repeats of the last state are swallowed.
    pub window: i64,
    /// What is sent at the end, if there were repeats.
    pub summary: Option<Template<Deferred>>,
}

/// `threshold`
#[derive(Debug)]
pub struct Threshold {
    /// How many messages it takes.
    pub count: u32,
    /// Within how long.
    pub within: i64,
    /// Whether it has a key of its own, so that it may count messages of several problems together.
    pub is_of_several: bool,
    /// How long without a message until the recovery.
    pub recover: Option<i64>,
    /// What is sent then.
    pub recovery: Recovery,
}

/// `[rule.recovery]`
#[derive(Debug)]
pub struct Recovery {
    /// The state; none for ok or up.
    pub state: Option<State>,
    /// The output.
    pub output: Template<Deferred>,
}

/// `hold`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// How long a problem must last before it is sent.
    pub time: i64,
    /// How many holds that ended early are flapping, and within how long.
    pub flaps: Option<(u32, i64)>,
}

/// `throttle`
#[derive(Debug)]
pub struct Throttle {
    /// How many outcomes pass.
    pub count: u32,
    /// In how long.
    pub per: i64,
    /// The output of the last one swallowed, at the end.
    pub summary: Option<Template<Deferred>>,
}

/// A step of `escalate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When it is taken.
    pub at: StepAt,
    /// The state from then on.
    pub state: State,
}

/// When a step of `escalate` is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepAt {
    /// So long after the problem opened.
    After(i64),
    /// With so many messages.
    Count(u32),
}

/// `expire`
#[derive(Debug)]
pub struct Expire {
    /// How long after the last message.
    pub after: i64,
    /// The state that is sent then.
    pub state: State,
    /// The output.
    pub output: Template<Deferred>,
}

/// `expect`: messages that must come.
#[derive(Debug)]
pub struct Expect {
    /// When.
    pub when: When,
    /// How much later is still in time.
    pub grace: i64,
    /// Keys that are known before any message.
    pub keys: Vec<Arc<str>>,
    /// Whether other keys become known by their first message.
    pub learn: bool,
    /// How long after the last message a learned key is forgotten.
    pub forget: Option<i64>,
    /// Whether what is sent is an event; otherwise it is a check result.
    pub event: bool,
    /// The host or component.
    pub host: Template<Deferred>,
    /// The service or resource; none for the host itself.
    pub service: Option<Template<Deferred>>,
    /// The state.
    pub state: State,
    /// The output.
    pub output: Template<Deferred>,
    /// Those labels of the rule that are the same for every message.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
}

/// When messages must come.
#[derive(Debug, Clone)]
pub enum When {
    /// So long after the one before.
    Every(i64),
    /// Since the last such time of day.
    By(Daily),
}

/// The templates of a rule that tell its state apart, rendered for each message.
#[derive(Debug)]
pub struct KeyTemplates {
    pub(super) key: Option<Template<Variable>>,
    pub(super) threshold: Option<Template<Variable>>,
    pub(super) throttle: Option<Template<Variable>>,
    pub(super) expect: Option<Template<Variable>>,
}

/// What a rule's state is told apart by for one message; none where the rule has no template for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys<'k> {
    /// `key`
    pub key: Option<&'k str>,
    /// `threshold.key`
    pub threshold: Option<&'k str>,
    /// `throttle.key`
    pub throttle: Option<&'k str>,
    /// `expect.key`
    pub expect: Option<&'k str>,
}

impl Plan {
    /// Whether any rule keeps something.
    pub fn is_stateful(&self) -> bool {
        self.stateful
    }

    /// Whether any rule closes problems of its host beside its own.
    pub fn has_wide_clears(&self) -> bool {
        self.wide
    }

    /// The index of the rule with this id.
    pub fn find(&self, id: RuleId) -> Option<u32> {
        self.rules.iter().position(|rule| rule.id == id).map(|at| at as u32)
    }

    /// The text of a template that is rendered later than the outcome it is about.
    ///
    /// # Errors
    ///
    /// Why it cannot be rendered.
    pub fn render(
        &self,
        template: &Template<Deferred>,
        outcome: &Outcome<'_>,
        seen: Seen,
        key: Option<&str>,
    ) -> Result<String, RenderError> {
        let values = DeferredValues { outcome, seen, key };
        template.render(&self.environment, &values).map(std::borrow::Cow::into_owned)
    }
}
