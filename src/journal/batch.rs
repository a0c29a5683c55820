//! Outcomes on their way into the journal, encoded where they arise.

use crate::journal::segment::MAX_PAYLOAD;
use crate::outcome::codec;
use crate::outcome::result::Outcome;
use crate::time::clock::Now;

/// Encoded outcomes that wait to be appended together.
#[derive(Debug, Default)]
pub struct Batch {
    payloads: Vec<u8>,
    ends: Vec<usize>,
    received: Option<Now>,
}

impl Batch {
    /// Adds an outcome; false, if it is larger than a record can be.
    pub fn push(&mut self, outcome: &Outcome<'_>) -> bool {
        self.push_with(outcome, None)
    }

    /// The same, with the SNMP message that it was made of.
    pub fn push_with(&mut self, outcome: &Outcome<'_>, original: Option<&[u8]>) -> bool {
        let start = self.payloads.len();
        codec::encode_with(outcome, original, &mut self.payloads);
        if self.payloads.len() - start > MAX_PAYLOAD {
            self.payloads.truncate(start);
            return false;
        }
        self.ends.push(self.payloads.len());
        true
    }

    /// Adds an outcome that is encoded already; false, if it is larger than a record can be.
    pub fn push_encoded(&mut self, outcome: &[u8]) -> bool {
        if outcome.len() > MAX_PAYLOAD {
            return false;
        }
        self.payloads.extend_from_slice(outcome);
        self.ends.push(self.payloads.len());
        true
    }

    /// Puts other outcomes in the place of those for which `change` gives one. One that is larger than a record can be stays.
    pub fn rewrite(&mut self, mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
        let changed: Vec<Option<Vec<u8>>> =
            self.payloads().map(|payload| change(payload).filter(|new| new.len() <= MAX_PAYLOAD)).collect();
        if changed.iter().all(Option::is_none) {
            return;
        }
        let mut next = Batch { received: self.received, ..Batch::default() };
        for (payload, changed) in self.payloads().zip(&changed) {
            next.payloads.extend_from_slice(changed.as_deref().unwrap_or(payload));
            next.ends.push(next.payloads.len());
        }
        *self = next;
    }

    /// Its messages were received at about this time, unless an earlier one is known.
    pub fn set_received(&mut self, now: Now) {
        self.received.get_or_insert(now);
    }

    /// When its messages were received, if that is known.
    pub fn received(&self) -> Option<Now> {
        self.received
    }

    /// How many outcomes it has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.payloads.len()
    }

    /// Empties it and keeps its room.
    pub fn clear(&mut self) {
        self.payloads.clear();
        self.ends.clear();
        self.received = None;
    }

    /// Removes outcomes from its front.
    pub fn drop_front(&mut self, count: usize) {
        let Some(end) = count.checked_sub(1).and_then(|last| self.ends.get(last).copied()) else { return };
        self.payloads.drain(..end);
        self.ends.drain(..count);
        self.ends.iter_mut().for_each(|place| *place -= end);
    }

    /// The encoded outcomes.
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| {
            let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.payloads[start..self.ends[at]]
        })
    }
}
