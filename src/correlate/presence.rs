//! Which services may have problems, for whoever must not wait for the state.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::key::Key;

/// How many counters there are: so few that they stay in the cache, so many that a thousand problems leave most of them
/// at zero.
const COUNTERS: usize = 1 << 14;

/// Counts problems by a part of the keys of their services. A service that it does not count has none; one that it counts
/// may have one.
pub struct Presence {
    counters: Box<[AtomicU32]>,
    /// The sum of all of them.
    all: AtomicU64,
}

impl Default for Presence {
    fn default() -> Self {
        Presence { counters: (0..COUNTERS).map(|_| AtomicU32::new(0)).collect(), all: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

impl Presence {
    /// Whether no service has a problem.
    pub fn is_empty(&self) -> bool {
        self.all.load(Ordering::Relaxed) == 0
    }

    /// Whether the service with this key may have a problem.
    pub fn may_have(&self, service: Key) -> bool {
        self.counter(service.low()).load(Ordering::Relaxed) > 0
    }

    pub(super) fn add(&self, service: u64) {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.counter(service).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, service: u64) {
        self.counter(service).fetch_sub(1, Ordering::Relaxed);
        self.all.fetch_sub(1, Ordering::Relaxed);
    }

    fn counter(&self, service: u64) -> &AtomicU32 {
        &self.counters[service as usize % COUNTERS]
    }
}
