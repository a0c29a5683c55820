//! The state behind the journal's lock, and what readers see of it.
//!
//! Tests compile this file a second time, with loom's locks in the place of [`sync`](super::sync) (see `visible_tests.rs`).

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::sync::{AtomicU64, Mutex, MutexGuard, Notify, PoisonError};

/// Some state, and the number of the next record as readers see it.
#[derive(Debug)]
pub(crate) struct Visible<T> {
    state: Mutex<T>,
    end: Arc<End>,
}

/// Where the records end that readers see.
#[derive(Debug)]
struct End {
    next: AtomicU64,
    /// Told when that grows. One list of those that wait: who wakes up while others are still told, and waits again, is not told a
    /// second time.
    grows: Notify,
    /// See [`Follower::patience`], in microseconds.
    patience: AtomicU64,
    /// Segments that begin before this number were removed.
    removed: AtomicU64,
    /// Told when that grows.
    removes: Notify,
}

impl<T> Visible<T> {
    /// Nothing is visible from `next` on.
    pub(crate) fn new(state: T, next: u64) -> Self {
        let end = End {
            next: AtomicU64::new(next),
            grows: Notify::new(),
            patience: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            removes: Notify::new(),
        };
        Visible { state: Mutex::new(state), end: Arc::new(end) }
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
        if self.end.next.fetch_max(next, Ordering::AcqRel) < next {
            self.end.grows.notify_waiters();
        }
        result
    }

    /// The number that the next record gets.
    pub(crate) fn next(&self) -> u64 {
        self.end.next.load(Ordering::Acquire)
    }

    /// Whether the segment that begins with a record was removed.
    pub(crate) fn is_removed(&self, first: u64) -> bool {
        self.end.removed.load(Ordering::Acquire) > first
    }

    /// For those that wait for records.
    pub(crate) fn follower(&self) -> Follower {
        Follower(self.end.clone())
    }

    /// The segments that begin before this number were removed: see [`Follower::removed`].
    pub(crate) fn remove_before(&self, number: u64) {
        if self.end.removed.fetch_max(number, Ordering::AcqRel) < number {
            self.end.removes.notify_waiters();
        }
    }

    /// Sets [`Follower::patience`].
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.end.patience.store(u64::try_from(patience.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Waits for records.
#[derive(Debug, Clone)]
pub struct Follower(Arc<End>);

impl Follower {
    /// One of no journal, with its patience, and how the number of the next record is changed.
    #[cfg(test)]
    pub(crate) fn of_nothing(patience: Duration) -> (Self, impl Fn(u64)) {
        let visible = Visible::new((), 0);
        visible.set_patience(patience);
        (visible.follower(), move |next| visible.change(|()| ((), next)))
    }

    /// The number that the next record gets.
    pub fn next(&self) -> u64 {
        self.0.next.load(Ordering::Acquire)
    }

    /// Returns when the next record gets a number beyond this one. Can be dropped before.
    pub async fn beyond(&self, number: u64) {
        loop {
            // Told of what comes from here on, so also of what comes behind the look.
            let grows = self.0.grows.notified();
            if self.next() > number {
                return;
            }
            grows.await;
        }
    }

    /// Returns when the segment that begins with a record is removed; never for none. Can be dropped before. Who has its file open
    /// closes it then: it takes room until the last one has.
    pub async fn removed(&self, segment: Option<u64>) {
        let Some(first) = segment else { return std::future::pending().await };
        loop {
            let removes = self.0.removes.notified();
            if self.0.removed.load(Ordering::Acquire) > first {
                return;
            }
            removes.await;
        }
    }

    /// How long outcomes may wait for their readers, for the sake of fewer wake-ups. Zero at first.
    pub fn patience(&self) -> Duration {
        Duration::from_micros(self.0.patience.load(Ordering::Relaxed))
    }
}
