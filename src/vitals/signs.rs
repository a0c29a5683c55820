//! What the daemon is judged by.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::clock::Mono;

/// How far back losses are spoken of.
const WINDOW: Duration = Duration::from_mins(10);
/// The shortest time between two looks that are kept.
const BETWEEN: Duration = Duration::from_secs(20);

/// The signs of the daemon's health at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vitals {
    /// What keeps the daemon from its work: parts that do not run, a journal that takes nothing.
    pub broken: Vec<String>,
    /// What is not as it should be for now: it starts, or stops.
    pub passing: Vec<String>,
    /// Whether the last reload was refused.
    pub reload_refused: bool,
    /// How many rules there are.
    pub rules: usize,
    /// Size of the journal on disk, in octets.
    pub journal_bytes: u64,
    /// The configured sinks.
    pub sinks: Vec<SinkSigns>,
    /// Counters since the start.
    pub total: Totals,
    /// By how much they have grown lately.
    pub recent: Totals,
    /// For how long `recent` speaks, in seconds.
    pub recent_seconds: u64,
}

/// The signs of a sink.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkSigns {
    /// Its name.
    pub name: String,
    /// How many outcomes it has not delivered.
    pub behind: u64,
    /// The age of the oldest of them, in seconds.
    pub age_seconds: f64,
    /// Why delivery fails, if it does.
    pub error: Option<String>,
}

/// Counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Messages received.
    pub received: u64,
    /// Outcomes made.
    pub outcomes: u64,
    /// Outcomes that are lost: the journal could not take them.
    pub lost: u64,
    /// Outcomes that sinks have lost: the journal was full and dropped them.
    pub expired: u64,
    /// Messages lost before they were processed: at sockets, and while there were no rules.
    pub dropped: u64,
    /// Dead letters.
    pub dead: u64,
    /// Fields and conditions of rules that could not be computed.
    pub rule_errors: u64,
}

impl Totals {
    /// By how much they have grown since `before`. Counters of a part that was replaced begin again at zero.
    fn since(&self, before: &Totals) -> Totals {
        let grown = |now: u64, before: u64| if now >= before { now - before } else { now };
        Totals {
            received: grown(self.received, before.received),
            outcomes: grown(self.outcomes, before.outcomes),
            lost: grown(self.lost, before.lost),
            expired: grown(self.expired, before.expired),
            dropped: grown(self.dropped, before.dropped),
            dead: grown(self.dead, before.dead),
            rule_errors: grown(self.rule_errors, before.rule_errors),
        }
    }
}

/// Remembers counters, so that it can be said by how much they have grown in the last ten minutes, or since the look before
/// that. It is asked whenever somebody looks, and needs no timer.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<(Mono, Totals)>);

impl Recent {
    /// By how much the counters have grown, and since when. Before the first look they are zero at `started`.
    pub fn look(&mut self, now: Mono, started: Mono, total: Totals) -> (Totals, Duration) {
        if self.0.is_empty() {
            self.0.push_back((started, Totals::default()));
        }
        // The youngest look that is old enough stays, to compare with.
        while self.0.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.0.pop_front();
        }
        let (since, before) = self.0.front().copied().unwrap_or((started, Totals::default()));
        if self.0.back().is_none_or(|(at, _)| now.since(*at) >= BETWEEN) {
            self.0.push_back((now, total));
        }
        (total.since(&before), now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_grown_in_ten_minutes() {
        let at = |seconds| Mono::default() + Duration::from_secs(seconds);
        let lost = |lost| Totals { lost, ..Totals::default() };
        let mut recent = Recent::default();
        for (now, total, grown, seconds) in [
            (1000, 0, 0, 900),
            (1060, 3, 3, 960),
            (1061, 4, 4, 961),
            (1599, 4, 4, 1499),
            // The look of 1000 is ten minutes ago.
            (1600, 4, 4, 600),
            // The look of 1060 is ten minutes ago.
            (1661, 4, 1, 601),
            (1662, 4, 1, 602),
            (2300, 4, 0, 639),
            // Everything was replaced.
            (2400, 2, 2, 739),
        ] {
            let (got, since) = recent.look(at(now), at(100), lost(total));
            assert_eq!((got.lost, since.as_secs()), (grown, seconds), "at {now}");
        }
        for second in 0..100_000 {
            recent.look(at(3000 + second), at(100), lost(0));
        }
        assert!(recent.0.len() <= 32, "{}", recent.0.len());
    }
}
