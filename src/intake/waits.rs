//! Whether outcomes wait for the journal.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What waits for the journal.
#[derive(Debug, Default)]
pub struct Waits {
    refusing: AtomicBool,
    staying: AtomicUsize,
}

impl Waits {
    /// The journal refuses outcomes from now on, or takes them again.
    pub fn set_refusing(&self, refusing: bool) {
        self.refusing.store(refusing, Ordering::Release);
    }

    /// Whether the journal has refused outcomes and has not been seen to take some since.
    pub fn refusing(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }

    /// A batch about which the state has decided stays with its stream from now on, as the journal has refused it.
    pub fn stays(&self) {
        self.staying.fetch_add(1, Ordering::AcqRel);
    }

    /// It stays no longer.
    pub fn stays_no_more(&self) {
        self.staying.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether outcomes that were decided about wait for the journal. Some may while it takes those of others.
    pub fn any(&self) -> bool {
        self.refusing() || self.staying.load(Ordering::Acquire) > 0
    }
}
