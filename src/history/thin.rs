//! Which outcomes get a row of their own when more come than are kept. Pure: time is an argument.
//!
//! Rows have a budget that refills. Changes of state may use all of it, the first outcome of its kind in a second seven eighths
//! of it, others half. So the others go first when many come, and changes last. An outcome without a row is counted in the
//! newest row of its kind: same rule, host, service and state.

use std::collections::HashMap;
use std::time::Duration;

use crate::time::clock::Mono;

/// For how many seconds of the rate the budget lasts at once.
const BURST: u64 = 10;
/// How many kinds one table has.
const KINDS: usize = 32_768;
/// A row in the unit of the budget.
const ROW: u64 = 1_000_000;

/// What an outcome is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// One of many of its kind in a second.
    Sample,
    /// The first of its kind in a second.
    First,
    /// The state has changed.
    Change,
}

/// How many rows may be written.
#[derive(Debug)]
pub struct Budget {
    left: u64,
    rate: u64,
    at: Mono,
}

impl Budget {
    /// A full budget for so many rows a second.
    pub fn new(rate: usize, now: Mono) -> Self {
        let rate = rate as u64;
        Budget { left: rate * BURST * ROW, rate, at: now }
    }

    /// Whether an outcome of this worth gets a row.
    pub fn spend(&mut self, worth: Worth, now: Mono) -> bool {
        let most = self.rate * BURST * ROW;
        let passed = now.since(self.at).min(Duration::from_secs(BURST));
        let micros = u64::try_from(passed.as_micros()).unwrap_or(0);
        if micros > 0 {
            // A row is a million units, so a rate a second is that many units a microsecond.
            self.left = (self.left + micros * self.rate).min(most);
            self.at = now;
        }
        let reserve = match worth {
            Worth::Change => 0,
            Worth::First => most / 8,
            Worth::Sample => most / 2,
        };
        let enough = self.left >= reserve + ROW;
        if enough {
            self.left -= ROW;
        }
        enough
    }
}

/// The newest row of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The second of its outcome.
    pub second: i64,
    /// Its key.
    pub n: i64,
}

/// The newest rows of the kinds that came last. Bounded: of what came longer ago nothing is known.
#[derive(Debug, Default)]
pub struct Kinds {
    young: HashMap<u64, Newest>,
    old: HashMap<u64, Newest>,
}

impl Kinds {
    /// The newest row of a kind, by its hash.
    pub fn get(&self, kind: u64) -> Option<Newest> {
        self.young.get(&kind).or_else(|| self.old.get(&kind)).copied()
    }

    /// There is a newer one.
    pub fn set(&mut self, kind: u64, newest: Newest) {
        if self.young.len() >= KINDS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(kind, newest);
    }

    /// The rows are in another file from now on.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn changes_come_first_and_samples_last() {
        let now = Mono::from_nanos(1);
        let mut budget = Budget::new(10, now);
        let count = |budget: &mut Budget, worth| (0..1000).filter(|_| budget.spend(worth, now)).count();
        assert_eq!(count(&mut budget, Worth::Sample), 50);
        assert_eq!(count(&mut budget, Worth::First), 37, "a reserve of twelve and a half rows");
        assert_eq!(count(&mut budget, Worth::Change), 13);
        assert_eq!(count(&mut budget, Worth::Change), 0);
        let later = now + Duration::from_secs(1);
        assert_eq!((0..1000).filter(|_| budget.spend(Worth::Change, later)).count(), 10);
    }

    proptest! {
        #[test]
        fn no_more_rows_than_the_rate_and_a_burst(
            rate in 1usize..100,
            steps in prop::collection::vec((0u64..3_000_000, 0usize..3), 0..300),
        ) {
            let mut now = Mono::from_nanos(7);
            let (mut budget, mut rows, start) = (Budget::new(rate, now), 0, now);
            for (micros, worth) in steps {
                now = now + Duration::from_micros(micros);
                rows += u64::from(budget.spend([Worth::Sample, Worth::First, Worth::Change][worth], now));
            }
            let seconds = now.since(start).as_secs() + 1;
            prop_assert!(rows <= rate as u64 * (BURST + seconds));
        }
    }
}
