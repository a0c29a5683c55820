//! What the writer tells about itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// Counts since the start of the daemon, and sizes.
#[derive(Debug, Default)]
pub struct Counters {
    /// Whether there is a history.
    pub on: AtomicBool,
    /// Outcomes that were read and counted.
    pub read: AtomicU64,
    /// Rows that were written.
    pub rows: AtomicU64,
    /// Rows of messages that made no outcome.
    pub untold: AtomicU64,
    /// Outcomes that another row or the counts of a minute stand for.
    pub thinned: AtomicU64,
    /// Outcomes that the journal had removed before they were read.
    pub missed: AtomicU64,
    /// The bytes on disk.
    pub bytes: AtomicU64,
    error: Mutex<Option<String>>,
}

impl Counters {
    /// Sets why nothing is written at the moment; none if something is. Whether that has changed.
    pub fn set_error(&self, error: Option<String>) -> bool {
        let mut now = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *now != error;
        *now = error;
        changed
    }

    /// Why nothing is written at the moment.
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As JSON; null if there is no history.
    pub fn to_json(&self) -> Value {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        if !self.on.load(Ordering::Relaxed) {
            return Value::Null;
        }
        json!({
            "read": get(&self.read),
            "rows": get(&self.rows),
            "untold": get(&self.untold),
            "thinned": get(&self.thinned),
            "missed": get(&self.missed),
            "bytes": get(&self.bytes),
            "error": self.error(),
        })
    }
}
