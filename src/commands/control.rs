//! The socket in the journal directory on which the running daemon tells its state: one JSON document a
//! connection.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::intake::Shared;
use crate::metrics::{self, Gauges};
use crate::sinks::Running;

/// What the daemon tells.
#[derive(Debug)]
pub struct State {
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

impl State {
    /// The state as JSON.
    pub fn to_json(&self) -> Value {
        let journal = &self.shared.journal;
        let (next, now) = (journal.next(), crate::intake::now());
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
}

impl State {
    /// The state as Prometheus reads it.
    pub fn metrics(&self) -> String {
        let journal = &self.shared.journal;
        let now = crate::intake::now();
        let oldest = self.sinks.iter().map(|sink| sink.cursor.position()).min();
        let gauges = Gauges {
            uptime: self.started.elapsed().as_secs(),
            journal_bytes: journal.size(),
            journal_age: oldest
                .and_then(|at| journal.time_of(at))
                .map_or(0.0, |time| (now - time).max(0) as f64 / 1e6),
            journal_damaged: journal.damaged(),
            journal_next: journal.next(),
            now,
        };
        let active = self.shared.active();
        let intake = self.shared.stats.to_json();
        metrics::render(&intake, active.rules.rules(), &self.sinks, gauges, |sink| journal.expired(sink))
    }

    /// Why the daemon is not ready, if it is not.
    pub fn trouble(&self) -> Option<String> {
        if self.shared.stopping() {
            return Some("stopping".to_owned());
        }
        self.shared.refusing().then(|| "the journal takes no outcomes".to_owned())
    }
}

/// Binds the socket; one that a process before has left is taken over.
///
/// # Errors
///
/// What the system says.
pub fn bind(path: &Path) -> std::io::Result<UnixListener> {
    // The lock on the journal says that no other daemon uses this directory.
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path)
}

/// Answers until told to stop.
pub async fn serve(listener: UnixListener, state: Arc<State>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((mut stream, _)) = accepted else { continue };
                let answer = format!("{}\n", state.to_json());
                let _ = tokio::time::timeout(std::time::Duration::from_secs(1), stream.write_all(answer.as_bytes())).await;
            }
            _ = stop.changed() => return,
        }
    }
}
