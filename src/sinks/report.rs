//! What is counted and logged of a delivery. The same trouble is said once, not at every try.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use crate::sinks::machine::{DeadItem, Settled};
use crate::sinks::running::Running;
use crate::sinks::sink::{Fate, Trouble};
use crate::time::clock::Mono;

/// How often it is logged that the server puts outcomes off.
const EVERY: Duration = Duration::from_mins(1);
/// How often new dead letters are logged.
const EVERY_DEAD: Duration = Duration::from_secs(10);
/// How many different troubles are logged until the sink delivers again.
const MOST: usize = 16;

/// Counts and logs.
#[derive(Debug)]
pub(super) struct Report {
    running: Running,
    /// The troubles that were logged since the sink delivered last, without their digits: times and counts change from try
    /// to try.
    logged: BTreeSet<String>,
    /// When it was logged last that the server puts outcomes off, while it does.
    put_off: Option<Mono>,
    /// When dead letters were logged last, and how many there were since.
    dead: (Option<Mono>, usize),
    /// What the disk said last, while it fails.
    disk: Option<String>,
}

impl Report {
    pub(super) fn new(running: &Running) -> Self {
        Report {
            running: running.clone(),
            logged: BTreeSet::new(),
            put_off: None,
            dead: (None, 0),
            disk: None,
        }
    }

    /// The server may have put outcomes off.
    pub(super) fn put_off(&mut self, fates: &[Fate], now: Mono) {
        let later =
            fates.iter().find_map(|fate| if let Fate::Later(said) = fate { Some(said) } else { None });
        let Some(said) = later else { return };
        *self.error() = Some(format!("some outcomes are not taken now: {said}"));
        if self.put_off.is_none_or(|at| now.since(at) >= EVERY) {
            tracing::warn!(
                sink = self.running.name,
                "the server does not take some outcomes now: {said}; they are tried again, and others go on"
            );
            self.put_off = Some(now);
        }
    }

    /// The server has answered; `put_off` says for how many hosts and services it has outcomes put off.
    pub(super) fn answered(&mut self, settled: Settled, put_off: impl FnOnce() -> usize) {
        self.disk = None;
        if settled.taken + settled.dead == 0 || (self.put_off.is_some() && put_off() > 0) {
            return;
        }
        self.put_off = None;
        self.logged.clear();
        if self.error().take().is_some() {
            tracing::info!(sink = self.running.name, "delivering again");
        }
    }

    /// A request has failed as a whole.
    pub(super) fn failed(&mut self, trouble: &Trouble, behind: impl FnOnce() -> u64) {
        if matches!(trouble, Trouble::Halve(_)) {
            // Half of it is tried next; what is said of the last one goes into its dead letter.
            return;
        }
        self.running.stats.failures.fetch_add(1, Ordering::Relaxed);
        let text = trouble.to_string();
        *self.error() = Some(text.clone());
        let words = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.logged.len() < MOST && self.logged.insert(words) {
            tracing::warn!(
                sink = self.running.name,
                behind = behind(),
                "cannot deliver, trying again: {text}"
            );
        }
    }

    /// The journal's disk has failed.
    pub(super) fn disk(&mut self, what: &str, error: &io::Error) {
        self.running.stats.failures.fetch_add(1, Ordering::Relaxed);
        let text = format!("cannot {what}: {error}; check the journal's disk");
        *self.error() = Some(text.clone());
        if self.disk.as_deref() != Some(text.as_str()) {
            tracing::error!(sink = self.running.name, "{text}");
            self.disk = Some(text);
        }
    }

    /// Dead letters were written. The first ones are logged at once, then how many came in each 10 s.
    pub(super) fn dead(&mut self, dead: &[DeadItem], now: Mono) {
        self.running.stats.dead.fetch_add(dead.len() as u64, Ordering::Relaxed);
        let (logged, count) = &mut self.dead;
        *count += dead.len();
        let due = logged.is_none_or(|at| now.since(at) >= EVERY_DEAD);
        if let Some(last) = dead.last().filter(|_| due) {
            let name = &self.running.name;
            tracing::warn!(
                sink = name,
                outcomes = *count,
                "the server will never accept this: {}; see `trapline dead list {name}`",
                last.reason
            );
            self.dead = (Some(now), 0);
        }
    }

    fn error(&self) -> MutexGuard<'_, Option<String>> {
        // Each change is one assignment: what a panicking thread left is whole.
        self.running.stats.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
