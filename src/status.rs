//! What the running daemon tells about itself: on the control socket, as metrics, to systemd.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::intake::Shared;
use crate::sinks::Running;
use crate::time::clock::now;

/// What the daemon tells.
#[derive(Debug)]
pub struct Status {
    /// What the intakes share.
    pub shared: Arc<Shared>,
    /// The sinks.
    pub sinks: Vec<Running>,
    /// When the daemon started.
    pub started: Instant,
    /// How reloads went.
    pub reloads: std::sync::Mutex<Reloads>,
}

/// How reloads went.
#[derive(Debug, Default, Clone)]
pub struct Reloads {
    /// Reloads that were put in force.
    pub done: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// What was wrong with the last one, if it was refused.
    pub error: Option<String>,
}

impl Status {
    /// The state as JSON.
    pub fn to_json(&self) -> Value {
        let journal = &self.shared.journal;
        let (next, now) = (journal.next(), now());
        let sinks: Vec<Value> = self
            .sinks
            .iter()
            .map(|sink| {
                let get = |counter: &std::sync::atomic::AtomicU64| {
                    counter.load(std::sync::atomic::Ordering::Relaxed)
                };
                let error = sink.stats.error.lock().map(|e| e.clone()).unwrap_or_default();
                json!({
                    "name": sink.name,
                    "behind": next.saturating_sub(sink.cursor.position()),
                    "delivered": get(&sink.stats.delivered),
                    "skipped": get(&sink.stats.skipped),
                    "cut": get(&sink.stats.cut),
                    "dead": get(&sink.stats.dead),
                    "retried": get(&sink.stats.retried),
                    "failures": get(&sink.stats.failures),
                    "lag_seconds": sink.stats.lag(now),
                    "expired": journal.expired(&sink.name),
                    "error": error,
                })
            })
            .collect();
        let reloads = self.reloads.lock().map(|r| r.clone()).unwrap_or_default();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "rules": self.shared.active().rules.rules().len(),
            "reloads": { "done": reloads.done, "refused": reloads.refused, "error": reloads.error },
            "intake": self.shared.stats.to_json(),
            "refused": self.shared.refusals.to_json(),
            "journal": { "bytes": journal.size(), "next": next, "damaged": journal.damaged() },
            "sinks": sinks,
        })
    }

    /// Why the daemon is not ready, if it is not.
    pub fn trouble(&self) -> Option<String> {
        if self.shared.stopping() {
            return Some("stopping".to_owned());
        }
        self.shared.refusing().then(|| "the journal takes no outcomes".to_owned())
    }
}
