//! What is known of informs, and of what else has a key.
//!
//! An inform whose outcomes could not be synced is not answered, so it comes again. It must not be processed again, as its first
//! copy counts already: it stays claimed until what it has brought about is safe.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;

use crate::intake::taken::{KNOWN_FOR, MAX_INFORMS, Place};
use crate::time::clock::Mono;
use crate::time::recent::Recent;

/// What is known of an inform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is new.
    No,
    /// Its outcomes are not in the journal yet, or could not be synced: it must not be processed again, nor answered yet.
    Waits,
    /// Its outcomes are as safe as the sync policy asks for: it may be answered.
    Safe,
}

/// Informs of one batch whose outcomes could not be synced, or whose keys could not be kept for the next process.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// Their keys.
    pub(super) informs: Vec<u64>,
    /// The numbers of their outcomes, perhaps with those of others among and behind them.
    pub(super) records: Range<u64>,
    /// Where their keys are for the next process, if they were written.
    pub(super) place: Option<Place>,
    /// Whether they have to be there: the next process knows them by nothing else.
    pub(super) to_keep: bool,
}

/// All informs, by their keys.
#[derive(Debug)]
pub(super) struct Informs {
    /// Those that may be answered.
    safe: Recent,
    /// Those whose outcomes are on their way into the journal, or there and not synced.
    claimed: HashSet<u64>,
    /// Those of them whose outcomes could not be synced, the oldest first, and how many they are.
    unsettled: (VecDeque<Unsettled>, usize),
}

impl Informs {
    /// None is known.
    pub(super) fn new() -> Self {
        Informs {
            safe: Recent::new(KNOWN_FOR, MAX_INFORMS),
            claimed: HashSet::new(),
            unsettled: (VecDeque::new(), 0),
        }
    }

    /// What is known of an inform. One that is new is claimed from now on.
    pub(super) fn claim(&mut self, key: u64, now: Mono) -> Known {
        if self.safe.contains(key, now.seconds()) {
            return Known::Safe;
        }
        if self.claimed.insert(key) { Known::No } else { Known::Waits }
    }

    /// These may be answered.
    pub(super) fn settle(&mut self, keys: &[u64], now: Mono) {
        for key in keys {
            self.claimed.remove(key);
            self.safe.insert(*key, now.seconds());
        }
    }

    /// These are new when they come again.
    pub(super) fn release(&mut self, keys: &[u64]) {
        for key in keys {
            self.claimed.remove(key);
        }
    }

    /// What these have brought about could not be synced. If there are too many, the oldest are new when they come again.
    pub(super) fn unsettle(&mut self, batch: Unsettled) {
        if batch.informs.is_empty() {
            return;
        }
        self.claimed.extend(&batch.informs);
        let (batches, count) = &mut self.unsettled;
        *count += batch.informs.len();
        batches.push_back(batch);
        self.give_up_oldest();
    }

    /// All that may be answered, the newest last.
    pub(super) fn safe(&self) -> Vec<u64> {
        self.safe.keys().collect()
    }

    /// Takes back what [`Informs::take_unsettled`] gave, before those that came meanwhile.
    pub(super) fn put_back(&mut self, mut left: VecDeque<Unsettled>) {
        let (batches, count) = &mut self.unsettled;
        *count += left.iter().map(|batch| batch.informs.len()).sum::<usize>();
        left.append(batches);
        *batches = left;
        self.give_up_oldest();
    }

    fn give_up_oldest(&mut self) {
        let (batches, count) = &mut self.unsettled;
        let mut given_up = Vec::new();
        while *count > MAX_INFORMS {
            let Some(oldest) = batches.pop_front() else { break };
            *count -= oldest.informs.len();
            given_up.extend(oldest.informs);
        }
        self.release(&given_up);
    }

    /// Gives those whose outcomes could not be synced. They stay claimed.
    pub(super) fn take_unsettled(&mut self) -> VecDeque<Unsettled> {
        std::mem::take(&mut self.unsettled).0
    }

    /// Whether there are none of these.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_that_cannot_be_synced_the_newest_stay_claimed() {
        let (mut informs, now) = (Informs::new(), Mono::default());
        let batch = |key: u64| Unsettled { informs: vec![key], records: 0..0, place: None, to_keep: false };
        let more = MAX_INFORMS as u64 + 2;
        (0..more).for_each(|key| informs.unsettle(batch(key)));
        let known = [0, 1, 2, more - 1].map(|key| informs.claim(key, now));
        assert_eq!(known, [Known::No, Known::No, Known::Waits, Known::Waits]);
        let left = informs.take_unsettled();
        assert_eq!((left.len(), informs.is_settled()), (MAX_INFORMS, true));
        informs.unsettle(batch(more));
        informs.put_back(left);
        let known = [2, 3, more].map(|key| informs.claim(key, now));
        assert_eq!(known, [Known::No, Known::Waits, Known::Waits], "one more: the oldest is given up");
    }
}
