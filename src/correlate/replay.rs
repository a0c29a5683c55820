//! Rules and their state over messages of the past: what would have been sent.

use super::correlator::Correlator;
use super::effects::{Effects, Now};
use super::key::{Facts, Secret};
use crate::outcome::codec;
use crate::rules::apply::RenderFailure;
use crate::rules::{MatchResult, MessageContext, RuleSet, Scratch};

/// How many timers fire between two looks.
const MOST: usize = 1000;
/// The most outcomes that time makes between two messages: reminders of a year go no further.
const MOST_DUE: usize = 100_000;
/// The secret: what is shown does not depend on it.
const SECRET: Secret = Secret([1, 2]);

/// Rules that see messages of the past, in the order in which they came.
#[derive(Debug)]
pub struct Replay<'r> {
    rules: &'r RuleSet,
    correlator: Correlator,
    now: Now,
    scratch: Scratch,
    effects: Effects,
}

impl<'r> Replay<'r> {
    /// Without anything before. `start` is when the first message was received, in microseconds since 1970 UTC.
    pub fn new(rules: &'r RuleSet, start: i64) -> Self {
        let now = Now { engine: start, wall: start };
        let correlator = Correlator::new(rules.plan().clone(), SECRET, super::Limits::default(), now);
        Replay { rules, correlator, now, scratch: Scratch::default(), effects: Effects::default() }
    }

    /// Gives the outcomes, encoded, that became due before a message, and those of the message. Time does not go back: a message
    /// that was received before another one counts as received with it.
    pub fn message(&mut self, context: &MessageContext<'_>, mut out: impl FnMut(&[u8])) -> MatchResult {
        let until = context.source.received.max(self.now.engine);
        let mut due_outcomes = 0;
        while let Some(due) = self.correlator.next_due().filter(|due| *due <= until) {
            self.go_to(due.max(self.now.engine));
            self.correlator.advance(self.now, MOST, &mut self.effects);
            due_outcomes += self.effects.len();
            self.hand_over(&mut out);
            if due_outcomes > MOST_DUE {
                break;
            }
        }
        self.go_to(until);
        let mut made: Vec<(Facts, Vec<u8>)> = Vec::new();
        let (rules, secret) = (self.rules, self.correlator.secret());
        let result = rules.apply_keyed(context, &mut self.scratch, |emitted| {
            let mut bytes = Vec::new();
            codec::encode(emitted.outcome, &mut bytes);
            made.push((Facts::new(secret, rules.plan(), emitted, context), bytes));
        });
        for (facts, payload) in made {
            self.correlator.decide(self.now, &facts, &payload, &mut self.effects);
        }
        self.hand_over(&mut out);
        result
    }

    /// The fields that could not be rendered for the last message.
    pub fn failures(&self) -> &[RenderFailure] {
        self.scratch.failures()
    }

    fn go_to(&mut self, engine: i64) {
        self.now = Now { engine, wall: engine };
    }

    fn hand_over(&mut self, out: &mut impl FnMut(&[u8])) {
        self.effects.outcomes().for_each(out);
        self.effects.clear();
    }
}
