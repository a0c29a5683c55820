//! What is open at Alertmanager of a host and service, and what an outcome changes about it. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert::Alert;

/// How long the end of an alert is sent again, for servers that were away when it ended. As long as Prometheus does.
const REPEATED: Duration = Duration::from_mins(15);
/// The most ends of a host and service that are sent again.
const MOST_ENDED: usize = 8;

/// What Alertmanager was told of a host and service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Problem {
    /// The epoch and the sequence number of the last outcome.
    pub(super) last: (u64, u64),
    /// When it was told, in microseconds since 1970 UTC.
    pub(super) told: i64,
    /// The alert that is open.
    pub(super) open: Option<Alert>,
    /// Alerts that have ended a short time ago.
    pub(super) ended: Vec<Alert>,
}

/// How an outcome stands to those that were sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the next one.
    New,
    /// It was sent before.
    Same,
    /// A later one was sent before.
    Old,
}

impl Problem {
    /// How an outcome, by epoch and sequence number, stands to the last one. Each start has an epoch of its own, and goes on with the
    /// numbers, unless what they were given to is lost; what comes from the journal comes in its order. A dead letter may be older.
    pub(super) fn place(&self, id: (u64, u64), is_letter: bool) -> Place {
        match (self.last.0 == id.0, self.last.1.cmp(&id.1)) {
            (true, std::cmp::Ordering::Equal) => Place::Same,
            (is_same, std::cmp::Ordering::Greater) if is_same || is_letter => Place::Old,
            _ => Place::New,
        }
    }

    /// What an outcome makes of it, with the alerts that Alertmanager must be told: what has ended, then what is open. `alert` is
    /// none for a state that is good.
    pub(super) fn next(&self, alert: Option<Alert>, id: (u64, u64), now: i64) -> (Problem, Vec<Alert>) {
        let mut next = Problem { last: id, told: now, open: None, ended: self.ended.clone() };
        let mut tell = Vec::new();
        let mut begins = None;
        if let Some(open) = &self.open {
            if alert.as_ref().is_some_and(|alert| alert.labels == open.labels) {
                begins = Some(open.starts);
            } else {
                tell.push(next.end(open.clone(), now));
            }
        }
        if let Some(mut alert) = alert {
            // A clock that was set back makes no alert of the future.
            alert.starts = begins.unwrap_or(alert.starts).min(now);
            next.ended.retain(|ended| ended.labels != alert.labels);
            tell.push(alert.clone());
            next.open = Some(alert);
        }
        (next, tell)
    }

    fn end(&mut self, alert: Alert, now: i64) -> Alert {
        let ended = Alert { ends: Some(now), ..alert };
        self.ended.push(ended.clone());
        let surplus = self.ended.len().saturating_sub(MOST_ENDED);
        self.ended.drain(..surplus);
        ended
    }

    /// The same after some time, with `age` since the last outcome: what was open for `expire` without an outcome has ended, and what
    /// ended long ago is forgotten. None if nothing is left.
    pub(super) fn later(&self, expire: Duration, age: Duration, now: i64) -> Option<Problem> {
        let mut later = self.clone();
        if age >= expire
            && let Some(open) = later.open.take()
        {
            later.end(open, now);
        }
        let ended_long_ago =
            |alert: &Alert| alert.ends.is_none_or(|ends| now.saturating_sub(ends) >= micros(REPEATED));
        later.ended.retain(|alert| !ended_long_ago(alert));
        (later.open.is_some() || !later.ended.is_empty()).then_some(later)
    }
}

pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::alert::Texts;
    use super::*;

    const SECOND: i64 = 1_000_000;
    const DAY: Duration = Duration::from_hours(24);

    fn alert(severity: &str, starts: i64) -> Alert {
        let labels = Texts::from([("severity".to_owned(), severity.to_owned())]);
        Alert { labels, annotations: Texts::new(), starts: starts * SECOND, ends: None }
    }

    /// Severity, begin and end, in seconds.
    fn shown(alerts: &[Alert]) -> Vec<(&str, i64, Option<i64>)> {
        alerts
            .iter()
            .map(|alert| {
                (
                    alert.labels["severity"].as_str(),
                    alert.starts / SECOND,
                    alert.ends.map(|ends| ends / SECOND),
                )
            })
            .collect()
    }

    #[test]
    fn a_problem_from_its_begin_to_its_end() {
        use Place::{New, Old, Same};

        let none = Problem::default();
        let (ok, tell) = none.next(None, (1, 1), 5 * SECOND);
        assert!(tell.is_empty(), "nothing that never was is resolved");
        let (warning, tell) = ok.next(Some(alert("warning", 10)), (1, 2), 11 * SECOND);
        assert_eq!(shown(&tell), [("warning", 10, None)]);
        let (again, tell) = warning.next(Some(alert("warning", 20)), (1, 3), 21 * SECOND);
        assert_eq!(shown(&tell), [("warning", 10, None)], "the same alert, since then");
        let (critical, tell) = again.next(Some(alert("critical", 30)), (1, 4), 31 * SECOND);
        assert_eq!(shown(&tell), [("warning", 10, Some(31)), ("critical", 30, None)]);
        let (back, tell) = critical.next(Some(alert("warning", 40)), (1, 5), 41 * SECOND);
        assert_eq!(shown(&tell), [("critical", 30, Some(41)), ("warning", 40, None)]);
        assert_eq!(
            shown(&back.ended),
            [("critical", 30, Some(41))],
            "the open one is not said to have ended"
        );
        let (ended, tell) = back.next(None, (1, 6), 51 * SECOND);
        assert_eq!(shown(&tell), [("warning", 40, Some(51))]);
        assert_eq!(ended.open, None);
        let (twice, tell) = ended.next(None, (1, 7), 61 * SECOND);
        assert!(tell.is_empty());
        assert_eq!(shown(&twice.ended), [("critical", 30, Some(41)), ("warning", 40, Some(51))]);
        let later = twice.later(DAY, Duration::ZERO, (900 + 41) * SECOND).unwrap();
        assert_eq!(shown(&later.ended), [("warning", 40, Some(51))]);
        assert_eq!(twice.later(DAY, Duration::ZERO, (900 + 51) * SECOND), None);
        let ids = [(1, 6), (1, 7), (1, 8), (2, 1), (2, 7), (2, 8)];
        assert_eq!(ids.map(|id| twice.place(id, false)), [Old, Same, New, New, New, New]);
        assert_eq!(ids.map(|id| twice.place(id, true)), [Old, Same, New, Old, New, New]);
        assert_eq!(ids.map(|id| none.place(id, true)), [New; 6]);
    }

    #[test]
    fn what_nothing_ends_expires() {
        let (open, _) = Problem::default().next(Some(alert("critical", 0)), (1, 1), 0);
        assert_eq!(open.later(DAY, Duration::from_secs(86_399), 86_399 * SECOND), Some(open.clone()));
        let expired = open.later(DAY, DAY, 86_400 * SECOND).unwrap();
        assert_eq!(shown(&expired.ended), [("critical", 0, Some(86_400))]);
        assert_eq!(expired.open, None);
    }

    proptest! {
        /// Whatever comes, Alertmanager has the last alert open and no other: each that was opened was ended before.
        #[test]
        fn at_most_one_alert_is_open(states in prop::collection::vec(0..4_usize, 1..40)) {
            let mut problem = Problem::default();
            let mut server: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
            for (n, state) in (1..).zip(states) {
                let new = (state > 0).then(|| alert(["", "warning", "critical", "unknown"][state], n));
                let (next, tell) = problem.next(new.clone(), (1, n as u64), n * SECOND);
                for alert in &tell {
                    let severity = alert.labels["severity"].clone();
                    match alert.ends {
                        None => drop(server.insert(severity)),
                        Some(_) => prop_assert!(server.remove(&severity), "what never was is not ended"),
                    }
                }
                let open: Vec<String> = new.iter().map(|alert| alert.labels["severity"].clone()).collect();
                prop_assert_eq!(server.iter().cloned().collect::<Vec<_>>(), open);
                prop_assert!(next.ended.len() <= MOST_ENDED);
                prop_assert!(next.ended.iter().all(|ended| next.open.as_ref().is_none_or(|open| open.labels != ended.labels)));
                problem = next;
            }
        }
    }
}
