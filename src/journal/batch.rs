//! Outcomes on their way into the journal, encoded where they arise.

use crate::journal::segment::{MAX_PAYLOAD, RECORD_HEADER};
use crate::outcome::codec;
use crate::outcome::result::Outcome;
use crate::time::clock::Now;

/// Encoded outcomes that wait to be appended together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Records as they stand in the journal, their headers still empty.
    records: Vec<u8>,
    /// Where each ends.
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
        let start = self.records.len();
        self.records.extend_from_slice(&[0; RECORD_HEADER]);
        codec::encode_with(outcome, original, &mut self.records);
        if self.records.len() - start > RECORD_HEADER + MAX_PAYLOAD {
            self.records.truncate(start);
            return false;
        }
        self.ends.push(self.records.len());
        true
    }

    /// Adds an outcome that is encoded already; false, if it is larger than a record can be.
    pub fn push_encoded(&mut self, outcome: &[u8]) -> bool {
        if outcome.len() > MAX_PAYLOAD {
            return false;
        }
        self.records.extend_from_slice(&[0; RECORD_HEADER]);
        self.records.extend_from_slice(outcome);
        self.ends.push(self.records.len());
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
            next.push_encoded(changed.as_deref().unwrap_or(payload));
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

    /// How many bytes they have in the journal.
    pub fn bytes(&self) -> usize {
        self.records.len()
    }

    /// Empties it and keeps its room.
    pub fn clear(&mut self) {
        self.records.clear();
        self.ends.clear();
        self.received = None;
    }

    /// Removes outcomes from its front.
    pub fn drop_front(&mut self, count: usize) {
        let Some(end) = count.checked_sub(1).and_then(|last| self.ends.get(last).copied()) else { return };
        self.records.drain(..end);
        self.ends.drain(..count);
        self.ends.iter_mut().for_each(|place| *place -= end);
    }

    /// The encoded outcomes.
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| &self.records[self.start(at) + RECORD_HEADER..self.ends[at]])
    }

    /// Where the record at a place begins.
    #[inline]
    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// The bytes of the record at a place, with its header.
    #[inline]
    pub(super) fn length_of(&self, at: usize) -> usize {
        self.ends[at] - self.start(at)
    }

    /// Appends the records from one place up to another to a buffer, with their headers but for what they say.
    pub(super) fn copy(&self, from: usize, to: usize, buffer: &mut Vec<u8>) {
        let end = to.checked_sub(1).map_or(0, |last| self.ends[last]);
        buffer.extend_from_slice(&self.records[self.start(from)..end]);
    }
}
