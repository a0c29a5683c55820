//! An outcome and its identity in the journal.

use super::result::Outcome;

/// An outcome in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'r> {
    /// The epoch of its segment.
    pub epoch: u64,
    /// Its sequence number.
    pub sequence: u64,
    /// The outcome.
    pub outcome: Outcome<'r>,
}

impl Record<'_> {
    /// Its id, unique for good.
    pub fn id(&self) -> String {
        format!("{:016x}-{}", self.epoch, self.sequence)
    }
}
