//! Outcomes on their way into the journal, encoded where they arise.

use crate::journal::segment::MAX_PAYLOAD;
use crate::outcome::codec;
use crate::outcome::result::Outcome;

/// Encoded outcomes that wait to be appended together.
#[derive(Debug, Default)]
pub struct Batch {
    payloads: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// Adds an outcome; false, if it is larger than a record can be.
    pub fn push(&mut self, outcome: &Outcome<'_>) -> bool {
        let start = self.payloads.len();
        codec::encode(outcome, &mut self.payloads);
        if self.payloads.len() - start > MAX_PAYLOAD {
            self.payloads.truncate(start);
            return false;
        }
        self.ends.push(self.payloads.len());
        true
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
    }

    /// The encoded outcomes.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.payloads[start..*end])
    }
}
