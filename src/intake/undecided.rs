//! What the state of rules is asked about.

use std::sync::Arc;

use crate::correlate::Facts;
use crate::journal::segment::MAX_PAYLOAD;
use crate::outcome::codec;
use crate::outcome::result::Outcome;
use crate::rules::plan::Plan;

/// Outcomes of rules that keep state, about which nothing is decided yet.
#[derive(Debug, Default)]
pub struct Undecided {
    pub(super) plan: Option<Arc<Plan>>,
    /// Each with the end of its payload.
    pub(super) outcomes: Vec<(Facts, usize)>,
    pub(super) payloads: Vec<u8>,
}

impl Undecided {
    /// Adds an outcome; false, if it is larger than a record can be.
    pub fn push(
        &mut self,
        plan: &Arc<Plan>,
        facts: Facts,
        outcome: &Outcome<'_>,
        original: Option<&[u8]>,
    ) -> bool {
        let start = self.payloads.len();
        codec::encode_with(outcome, original, &mut self.payloads);
        if self.payloads.len() - start > MAX_PAYLOAD {
            self.payloads.truncate(start);
            return false;
        }
        if self.plan.is_none() {
            self.plan = Some(plan.clone());
        }
        self.outcomes.push((facts, self.payloads.len()));
        true
    }

    /// Whether all outcomes in it are of this plan.
    pub fn is_of(&self, plan: &Arc<Plan>) -> bool {
        self.plan.as_ref().is_none_or(|own| Arc::ptr_eq(own, plan))
    }

    /// How many outcomes it has.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.payloads.len()
    }

    /// Empties it and keeps its room.
    pub fn clear(&mut self) {
        self.plan = None;
        self.outcomes.clear();
        self.payloads.clear();
    }
}
