//! Sources that are read rather than listened to: which are wanted, and what is known of each.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

/// A source: a queue, or what is followed.
pub trait Source: PartialEq + Debug {
    /// What is known of it.
    type Entry: Entry;

    /// Its name, which no other of its kind has.
    fn name(&self) -> &Arc<str>;
}

/// What is known of a source.
pub trait Entry: Default + Clone + Debug {
    /// It is not read. Gives the place of the reason.
    fn stopped(&mut self) -> &mut Option<Arc<str>>;

    /// The source as JSON.
    fn to_json(&self, name: &str) -> Value;
}

/// All sources of a kind.
#[derive(Debug)]
pub struct Board<S: Source> {
    wanted: watch::Sender<Vec<Arc<S>>>,
    entries: Mutex<BTreeMap<Arc<str>, S::Entry>>,
}

impl<S: Source> Default for Board<S> {
    fn default() -> Self {
        Board { wanted: watch::Sender::new(Vec::new()), entries: Mutex::new(BTreeMap::new()) }
    }
}

impl<S: Source> Board<S> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, S::Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are read from now on.
    pub fn want(&self, sources: &[Arc<S>]) {
        self.lock().retain(|name, _| sources.iter().any(|source| source.name() == name));
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted != sources;
            if changed {
                *wanted = sources.to_vec();
            }
            changed
        });
    }

    /// Those that are read.
    pub fn wanted(&self) -> watch::Receiver<Vec<Arc<S>>> {
        self.wanted.subscribe()
    }

    /// Changes what is known of one.
    pub fn note(&self, name: &Arc<str>, change: impl FnOnce(&mut S::Entry)) {
        change(self.lock().entry(name.clone()).or_default());
    }

    /// One is not read; true if the reason is another one than before.
    pub fn failed(&self, name: &Arc<str>, error: &str) -> bool {
        let mut all = self.lock();
        let reason = all.entry(name.clone()).or_default().stopped();
        let news = reason.as_deref() != Some(error);
        if news {
            *reason = Some(error.into());
        }
        news
    }

    /// All entries.
    pub fn all(&self) -> Vec<(Arc<str>, S::Entry)> {
        self.lock().iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    /// All entries as JSON.
    pub fn to_json(&self) -> Value {
        self.lock().iter().map(|(name, entry)| entry.to_json(name)).collect()
    }
}
