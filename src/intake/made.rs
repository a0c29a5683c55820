//! What was made of messages, on its way into the journal.

use crate::intake::undecided::Undecided;
use crate::journal::Batch;

/// What was made of some messages and is not in the journal yet.
#[derive(Debug, Default)]
pub struct Made {
    /// The outcomes.
    pub batch: Batch,
    /// Outcomes about which the state of rules decides first. What it lets pass comes behind those in `batch`.
    pub undecided: Undecided,
    /// The informs among the messages, by their keys.
    pub(super) informs: Vec<u64>,
    /// Whether the sender of a message is told that it is safe, without being an inform.
    pub(super) acknowledged: bool,
    /// The number of the first of its outcomes, if some are in the journal already.
    pub(super) first: Option<u64>,
    /// Whether the state of rules has changed with it.
    pub(super) stateful: bool,
    /// Whether the log of that state has its informs.
    pub(super) kept: bool,
    /// By which number the mutes know the first outcome of the batch.
    pub(super) marked: Option<u64>,
    /// Whether mutes were asked.
    pub(super) is_marked: bool,
    /// Whether it is among those that the state knows to stay with their streams.
    pub(super) stays: bool,
}

impl Made {
    /// Adds an inform whose outcomes are in the batch.
    pub fn add_inform(&mut self, key: u64) {
        self.informs.push(key);
    }

    /// A sender is told of a message that it is safe.
    pub fn acknowledge(&mut self) {
        self.acknowledged = true;
    }

    /// How many bytes of outcomes it has.
    pub fn bytes(&self) -> usize {
        self.batch.bytes() + self.undecided.bytes()
    }

    /// How many outcomes it has.
    pub fn outcomes(&self) -> usize {
        self.batch.len() + self.undecided.len()
    }

    /// Whether this inform is among the messages.
    pub fn has_inform(&self, key: u64) -> bool {
        self.informs.contains(&key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.undecided.is_empty() && self.informs.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.batch.clear();
        self.undecided.clear();
        self.informs.clear();
        self.acknowledged = false;
        self.first = None;
        self.stateful = false;
        self.kept = false;
        self.marked = None;
        self.is_marked = false;
    }
}
