//! What is followed, and what is known of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::settings::Source;

/// All that is followed.
#[derive(Debug)]
pub struct Board {
    wanted: watch::Sender<Vec<Arc<Source>>>,
    entries: Mutex<BTreeMap<Arc<str>, Entry>>,
}

/// What is known of one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whether it is read.
    pub open: bool,
    /// Lines that were read.
    pub lines: u64,
    /// Why it is not read, or what could not be; none if all is well.
    pub error: Option<Arc<str>>,
}

impl Default for Board {
    fn default() -> Self {
        Board { wanted: watch::Sender::new(Vec::new()), entries: Mutex::default() }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are followed from now on.
    pub fn want(&self, sources: &[Arc<Source>]) {
        self.lock().retain(|name, _| sources.iter().any(|source| source.name == *name));
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted != sources;
            if changed {
                *wanted = sources.to_vec();
            }
            changed
        });
    }

    /// Those that are followed.
    pub fn wanted(&self) -> watch::Receiver<Vec<Arc<Source>>> {
        self.wanted.subscribe()
    }

    /// Changes what is known of one.
    pub fn note(&self, name: &Arc<str>, change: impl FnOnce(&mut Entry)) {
        change(self.lock().entry(name.clone()).or_default());
    }

    /// It is not read; true if the reason is another one than before.
    pub fn failed(&self, name: &Arc<str>, error: &str) -> bool {
        let mut all = self.lock();
        let entry = all.entry(name.clone()).or_default();
        entry.open = false;
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
    pub fn to_json(&self) -> Value {
        let entry = |(name, entry): (Arc<str>, Entry)| json!({ "name": &*name, "open": entry.open, "lines": entry.lines, "error": entry.error.as_deref() });
        self.all().into_iter().map(entry).collect()
    }
}
