//! The state behind the journal's lock, and what readers see of it.
//!
//! Tests compile this file a second time, with loom's locks in the place of [`sync`](super::sync) (see `visible_tests.rs`).

use super::sync::{Mutex, MutexGuard, PoisonError, watch};

/// Some state, and the number of the next record as readers see it.
#[derive(Debug)]
pub(crate) struct Visible<T> {
    state: Mutex<T>,
    next: watch::Sender<u64>,
}

impl<T> Visible<T> {
    /// Nothing is visible from `next` on.
    pub(crate) fn new(state: T, next: u64) -> Self {
        Visible { state: Mutex::new(state), next: watch::channel(next).0 }
    }

    /// The state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // What a panicking thread left is whole: every change ends in one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state. `change` says which number the next record gets now, which only grows. That is published when this
    /// returns, and after the lock is given back: readers wake up by it, and would wait for the lock. A change that is published
    /// before an earlier one includes it.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> (R, u64)) -> R {
        let mut state = self.lock();
        let (result, next) = change(&mut state);
        drop(state);
        self.next.send_if_modified(|visible| {
            let grows = *visible < next;
            *visible = next.max(*visible);
            grows
        });
        result
    }

    /// The number that the next record gets.
    pub(crate) fn next(&self) -> u64 {
        *self.next.borrow()
    }

    /// The same, for those that wait for records.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }
}
