//! What is known of each table while the daemon runs: how many rows, since when, and what was wrong with the last try.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::time::clock::Mono;

/// All tables by their names.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<Arc<str>, Entry>>);

/// What is known of a table.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How many rows it has.
    pub rows: usize,
    /// When the version in use was last seen to be the newest; none if that was before this process began.
    pub good: Option<Mono>,
    /// How often it could not be read.
    pub failures: u64,
    /// What was wrong with the last try; none if it was good.
    pub error: Option<Arc<str>>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only these tables are there from now on.
    pub fn keep(&self, names: &[Arc<str>]) {
        self.lock().retain(|name, _| names.contains(name));
    }

    /// A table has so many rows, of a version that is the newest (`now`), or of the last copy.
    pub fn has(&self, name: &Arc<str>, rows: usize, now: Option<Mono>) {
        let mut all = self.lock();
        let entry = all.entry(name.clone()).or_default();
        entry.rows = rows;
        if now.is_some() {
            entry.good = now;
            entry.error = None;
        }
    }

    /// A table could not be read; true if the reason is another one than before.
    pub fn failed(&self, name: &Arc<str>, error: &str) -> bool {
        let mut all = self.lock();
        let entry = all.entry(name.clone()).or_default();
        entry.failures += 1;
        let news = entry.error.as_deref() != Some(error);
        if news {
            entry.error = Some(error.into());
        }
        news
    }

    /// All entries.
    pub fn all(&self) -> Vec<(Arc<str>, Entry)> {
        self.lock().iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    /// All entries as JSON.
    pub fn to_json(&self, now: Mono) -> Value {
        let entry = |(name, entry): (Arc<str>, Entry)| {
            json!({
                "name": &*name,
                "rows": entry.rows,
                "age_seconds": entry.good.map(|good| now.since(good).as_secs()),
                "failures": entry.failures,
                "error": entry.error.as_deref(),
            })
        };
        self.all().into_iter().map(entry).collect()
    }
}
