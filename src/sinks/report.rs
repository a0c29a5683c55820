//! What is counted and logged of a delivery. The same trouble is said once, not at every try, and once a minute if what comes in between
//! is delivered.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use crate::sinks::machine::{DeadItem, Settled};
use crate::sinks::running::Running;
use crate::sinks::sink::{Fate, Trouble};
use crate::time::clock::Mono;

/// How often the same trouble is logged that ends and comes again.
const EVERY: Duration = Duration::from_mins(1);
/// How often new dead letters are logged.
const EVERY_DEAD: Duration = Duration::from_secs(10);
/// How many different troubles are logged until the sink delivers again, and in [`EVERY`].
const MOST: usize = 16;

/// When a trouble was logged.
#[derive(Debug)]
struct Logged {
    at: Mono,
    /// Whether the sink has delivered since.
    is_over: bool,
}

/// Which troubles are logged. A trouble that goes on is logged once. That it was over for a moment makes it no news: a server of which every
/// second connection breaks would fill the log.
#[derive(Debug, Default)]
struct Limit {
    /// By their words.
    logged: BTreeMap<String, Logged>,
    /// How many were not logged since the last one that was, but for those that go on.
    left_out: u64,
}

impl Limit {
    /// Whether a trouble is logged now; if so, how many others were left out.
    fn logs(&mut self, words: String, now: Mono) -> Option<u64> {
        let is_old = |logged: &Logged| logged.is_over && now.since(logged.at) >= EVERY;
        let is_due = match self.logged.get(&words) {
            Some(known) if !known.is_over => return None,
            Some(known) => is_old(known),
            None => {
                if self.logged.len() >= MOST {
                    self.logged.retain(|_, logged| !is_old(logged));
                }
                self.logged.len() < MOST
            }
        };
        if !is_due {
            self.left_out += 1;
            return None;
        }
        self.logged.insert(words, Logged { at: now, is_over: false });
        Some(std::mem::take(&mut self.left_out))
    }

    /// The sink has delivered; whether a trouble was logged that is over now.
    fn is_over(&mut self) -> bool {
        let mut any = false;
        for logged in self.logged.values_mut() {
            any |= !std::mem::replace(&mut logged.is_over, true);
        }
        any
    }
}

/// Counts and logs.
#[derive(Debug)]
pub(super) struct Report {
    running: Running,
    /// Troubles without their digits: times and counts change from try to try.
    troubles: Limit,
    /// Whether the server puts outcomes off.
    puts_off: bool,
    /// When that was logged last.
    put_off: Option<Mono>,
    /// When dead letters were logged last, and how many there were since.
    dead: (Option<Mono>, usize),
    /// When lost outcomes were logged last, and how many there were since.
    lost: (Option<Mono>, u64),
    /// What the disk says.
    disk: Limit,
}

impl Report {
    pub(super) fn new(running: &Running) -> Self {
        Report {
            running: running.clone(),
            troubles: Limit::default(),
            puts_off: false,
            put_off: None,
            dead: (None, 0),
            lost: (None, 0),
            disk: Limit::default(),
        }
    }

    /// The server may have put outcomes off.
    pub(super) fn put_off(&mut self, fates: &[Fate], now: Mono) {
        let later = fates.iter().find_map(|fate| match fate {
            Fate::Later(said) | Fate::Unanswered(said) => Some(said),
            _ => None,
        });
        let Some(said) = later else { return };
        self.puts_off = true;
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
        self.disk.is_over();
        if settled.taken + settled.dead == 0 || (self.puts_off && put_off() > 0) {
            return;
        }
        let was_said = self.troubles.is_over();
        let put_off = std::mem::take(&mut self.puts_off);
        // What was not logged needs no end in the log.
        if self.error().take().is_some() && (was_said || put_off) {
            tracing::info!(sink = self.running.name, "delivering again");
        }
    }

    /// A request has failed as a whole.
    pub(super) fn failed(&mut self, trouble: &Trouble, now: Mono, behind: impl FnOnce() -> u64) {
        if matches!(trouble, Trouble::Halve(_)) {
            // Half of it is tried next; what is said of the last one goes into its dead letter.
            return;
        }
        self.running.stats.failures.fetch_add(1, Ordering::Relaxed);
        let text = trouble.to_string();
        *self.error() = Some(text.clone());
        let words = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        if let Some(left_out) = self.troubles.logs(words, now) {
            tracing::warn!(
                sink = self.running.name,
                behind = behind(),
                left_out = (left_out > 0).then_some(left_out),
                "cannot deliver, trying again: {text}"
            );
        }
    }

    /// The journal's disk has failed.
    pub(super) fn disk(&mut self, what: &str, error: &io::Error, now: Mono) {
        self.running.stats.failures.fetch_add(1, Ordering::Relaxed);
        let text = format!("cannot {what}: {error}; check the journal's disk");
        *self.error() = Some(text.clone());
        if let Some(left_out) = self.disk.logs(text.clone(), now) {
            tracing::error!(
                sink = self.running.name,
                left_out = (left_out > 0).then_some(left_out),
                "{text}"
            );
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

    /// The journal has dropped outcomes that the server had put off. The first ones are logged at once, then how many in each 10 s.
    pub(super) fn lost(&mut self, count: u64, now: Mono) {
        let (logged, lost) = &mut self.lost;
        *lost += count;
        if logged.is_none_or(|at| now.since(at) >= EVERY_DEAD) {
            tracing::error!(
                sink = self.running.name,
                outcomes = *lost,
                "the journal no longer has outcomes that the server had put off: they are lost; raise max_size in [journal]"
            );
            self.lost = (Some(now), 0);
        }
    }

    fn error(&self) -> MutexGuard<'_, Option<String>> {
        // Each change is one assignment: what a panicking thread left is whole.
        self.running.stats.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_server_of_which_every_second_connection_breaks_is_said_once_a_minute() {
        let mut limit = Limit::default();
        let (mut lines, mut ends, mut told) = (0, 0, 0);
        // Ten minutes, 30 failures a second.
        for n in 0..18_000u64 {
            let now = Mono::from_nanos(1 + n * 33_333_333);
            if let Some(left_out) = limit.logs("reset by peer".to_owned(), now) {
                lines += 1;
                told += left_out;
            }
            ends += usize::from(limit.is_over());
        }
        assert_eq!((lines, ends), (10, 10));
        assert!(told + limit.left_out + lines as u64 == 18_000, "{told}");
    }

    proptest! {
        /// However troubles and deliveries follow each other.
        #[test]
        fn no_trouble_is_hidden_for_long_and_none_fills_the_log(
            steps in prop::collection::vec((0u64..40_000, 0u8..3, any::<bool>()), 0..200),
        ) {
            let (mut limit, mut now) = (Limit::default(), 1);
            // By their words, when they were logged, and since when they are there without a delivery or a line.
            let mut lines = BTreeMap::<u8, Vec<u64>>::new();
            let mut hidden = BTreeMap::<u8, u64>::new();
            let mut open = false;
            for (pause, words, delivers) in steps {
                now += pause;
                if delivers {
                    prop_assert_eq!(limit.is_over(), open, "what was said has an end, and nothing else");
                    (open, hidden) = (false, BTreeMap::new());
                    continue;
                }
                let before = lines.entry(words).or_default();
                if limit.logs(words.to_string(), Mono::from_nanos(now * 1_000_000)).is_some() {
                    prop_assert!(before.last().is_none_or(|last| now - last >= 60_000), "{} ms", now);
                    before.push(now);
                    hidden.insert(words, u64::MAX);
                    open = true;
                } else {
                    let since = *hidden.entry(words).or_insert(now);
                    prop_assert!(since == u64::MAX || now - since < 60_000, "not said for a minute");
                }
            }
        }
    }

    #[test]
    fn many_troubles_are_as_few_lines() {
        let mut limit = Limit::default();
        let at = |seconds: u64| Mono::from_nanos(1 + seconds * 1_000_000_000);
        let lines = (0..100).filter(|n| limit.logs(format!("trouble {n}"), at(1)).is_some()).count();
        assert_eq!(lines, MOST);
        assert!(limit.is_over() && !limit.is_over());
        assert_eq!(limit.logs("another".to_owned(), at(2)), None);
        assert_eq!(limit.logs("another".to_owned(), at(70)), Some(100 - MOST as u64 + 1));
    }
}
