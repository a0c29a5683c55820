//! Which queues are read, and what is known of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::intake::amqp::settings::Queue;

/// All queues.
#[derive(Debug)]
pub struct Board {
    wanted: watch::Sender<Vec<Arc<Queue>>>,
    entries: Mutex<BTreeMap<Arc<str>, Entry>>,
}

/// What is known of a queue.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whether its messages come.
    pub connected: bool,
    /// Messages that were taken and acknowledged.
    pub taken: u64,
    /// Messages that the broker delivered again.
    pub redelivered: u64,
    /// Messages that have no event, and were rejected.
    pub rejected: u64,
    /// Why its messages do not come; none if they do.
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

    /// These queues are read from now on.
    pub fn want(&self, queues: &[Arc<Queue>]) {
        self.lock().retain(|name, _| queues.iter().any(|queue| queue.name == *name));
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted != queues;
            if changed {
                *wanted = queues.to_vec();
            }
            changed
        });
    }

    /// Those that are read.
    pub fn wanted(&self) -> watch::Receiver<Vec<Arc<Queue>>> {
        self.wanted.subscribe()
    }

    /// Changes what is known of a queue.
    pub fn note(&self, name: &Arc<str>, change: impl FnOnce(&mut Entry)) {
        change(self.lock().entry(name.clone()).or_default());
    }

    /// Its messages do not come; true if the reason is another one than before.
    pub fn failed(&self, name: &Arc<str>, error: &str) -> bool {
        let mut all = self.lock();
        let entry = all.entry(name.clone()).or_default();
        entry.connected = false;
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
        let entry = |(name, entry): (Arc<str>, Entry)| {
            json!({
                "name": &*name,
                "connected": entry.connected,
                "taken": entry.taken,
                "redelivered": entry.redelivered,
                "rejected": entry.rejected,
                "error": entry.error.as_deref(),
            })
        };
        self.all().into_iter().map(entry).collect()
    }
}
