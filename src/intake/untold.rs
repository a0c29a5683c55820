//! What made no outcome, and why: gathered for the history, which has a row of it.
//!
//! Without a history nothing is gathered. A pipeline counts in a batch of its own, and adds it once a commit. The history takes
//! what there is a few times a second, so that it is bounded by the kinds, not by the messages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::correlate::Reason;
use crate::fast_map::FastMap;
use crate::history::{Untold, Why};
use crate::outcome::codec;

/// How many kinds are told apart until the history takes them.
const MOST: usize = 1000;

/// What tells kinds apart: the reason, the rule, and a hash of what it is about.
pub type Key = (Why, u32, u128);

/// Messages of some kinds.
#[derive(Debug, Default)]
pub struct Batch {
    kinds: FastMap<Key, Untold>,
    /// Those of further kinds, with the time of the first.
    others: FastMap<Why, (u64, i64)>,
}

impl Batch {
    /// Counts a message; the first of its kind is described.
    pub fn note(&mut self, key: Key, make: impl FnOnce() -> Option<Untold>) {
        if let Some(known) = self.kinds.get_mut(&key) {
            known.count += 1;
        } else if let Some(made) = make() {
            self.insert(key, made);
        }
    }

    fn insert(&mut self, key: Key, made: Untold) {
        if self.kinds.len() < MOST {
            self.kinds.insert(key, made);
        } else {
            self.others.entry(made.why).or_insert((0, made.time)).0 += made.count;
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.others.is_empty()
    }
}

/// What all listeners have gathered.
#[derive(Debug, Default)]
pub struct Table {
    on: AtomicBool,
    state: Mutex<Batch>,
    begun: Notify,
}

impl Table {
    /// Whether there is a history that wants it.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Begins or ends gathering.
    pub fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
        if !on {
            *self.state() = Batch::default();
        }
    }

    /// Adds a batch, which is empty afterwards.
    pub fn add(&self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        let mut state = self.state();
        let first = state.is_empty();
        for (key, made) in batch.kinds.drain() {
            match state.kinds.get_mut(&key) {
                Some(known) => known.count += made.count,
                None => state.insert(key, made),
            }
        }
        for (why, (count, time)) in batch.others.drain() {
            state.others.entry(why).or_insert((0, time)).0 += count;
        }
        drop(state);
        if first {
            self.begun.notify_one();
        }
    }

    /// Takes what there is, in the order of its times.
    pub fn take(&self) -> Vec<Untold> {
        let Batch { kinds, others } = std::mem::take(&mut *self.state());
        let others = others.into_iter().map(|(why, (count, time))| Untold::others(why, time, count));
        let mut all: Vec<Untold> = kinds.into_values().chain(others).collect();
        all.sort_by_key(|one| one.time);
        all
    }

    /// Returns once there is something.
    pub async fn begun(&self) {
        self.begun.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, Batch> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reason of an outcome that the state of rules has swallowed.
pub(super) fn why(reason: Reason) -> Why {
    match reason {
        Reason::Threshold => Why::Threshold,
        Reason::Held => Why::Held,
        Reason::Cancelled => Why::Cancelled,
        Reason::Flapping => Why::Flapping,
        Reason::Duplicate => Why::Duplicate,
        Reason::Throttled => Why::Throttled,
        Reason::Worse => Why::Worse,
        Reason::StillOpen => Why::StillOpen,
        Reason::Orphan => Why::Orphan,
        Reason::Reordered => Why::Reordered,
    }
}

/// An outcome that was swallowed.
pub(super) fn swallowed(why: Why, payload: &[u8]) -> Option<Untold> {
    let outcome = codec::decode(payload)?;
    let common = outcome.common();
    Some(Untold {
        why,
        rule: common.rule.as_ref().to_owned(),
        host: outcome.host().to_owned(),
        service: outcome.service().map(str::to_owned),
        is_event: matches!(outcome, crate::outcome::result::Outcome::Event(_)),
        state: common.state,
        source: common.source.as_ref().to_owned(),
        output: common.output.as_ref().to_owned(),
        time: common.time,
        count: 1,
        about: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_bounded_and_every_message_counts() {
        let table = Table::default();
        let mut batch = Batch::default();
        for n in 0..5000u128 {
            batch.note((Why::Dropped, 1, n % 2500), || Some(Untold::others(Why::Dropped, n as i64, 1)));
        }
        table.add(&mut batch);
        assert!(batch.is_empty());
        batch.note((Why::Dropped, 1, 0), || Some(Untold::others(Why::Dropped, 1, 1)));
        table.add(&mut batch);
        let taken = table.take();
        assert_eq!((taken.len(), taken.iter().map(|one| one.count).sum::<u64>()), (MOST + 1, 5001));
        assert!(taken.is_sorted_by_key(|one| one.time) && table.take().is_empty());
    }
}
