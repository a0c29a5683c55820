//! What thresholds and throttles count.

use std::collections::VecDeque;

use super::image::{Reader, Writer};
use super::key::Key;
use super::table::Entry;
use crate::rules::plan::Threshold;

/// Up to how many messages a threshold knows the time of each; above, it counts in [`PARTS`] of its window.
const EXACT: u32 = 64;
/// In how many parts the window of a large threshold is counted.
const PARTS: i64 = 60;

/// What a threshold counts for one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Count {
    pub(super) key: Key,
    pub(super) rule: u32,
    pub(super) armed: u32,
    /// When its last message came.
    pub(super) last: i64,
    /// When messages came, the oldest first, and how many at once.
    hits: VecDeque<(i64, u32)>,
    /// The problem that it has opened, with the last outcome: until its recovery.
    pub(super) fired: Option<Box<(Key, Box<[u8]>)>>,
}

impl Entry for Count {
    fn key(&self) -> Key {
        self.key
    }
}

impl Count {
    pub(super) fn new(key: Key, rule: u32, now: i64) -> Self {
        Count { key, rule, armed: 0, last: now, hits: VecDeque::new(), fired: None }
    }

    /// Counts a message; whether it is the one that takes the threshold.
    pub(super) fn hit(&mut self, threshold: &Threshold, now: i64) -> bool {
        self.last = now;
        let exact = threshold.count <= EXACT;
        while self.hits.front().is_some_and(|(at, _)| at + threshold.within <= now) {
            self.hits.pop_front();
        }
        let before = self.total();
        let at = if exact {
            now
        } else {
            let part = (threshold.within / PARTS).max(1);
            now - now.rem_euclid(part)
        };
        match self.hits.back_mut() {
            Some((last, count)) if !exact && *last == at => *count = count.saturating_add(1),
            _ => self.hits.push_back((at, 1)),
        }
        if exact && self.hits.len() > threshold.count as usize {
            self.hits.pop_front();
        }
        before < threshold.count && self.total() >= threshold.count
    }

    /// When the first message came that it counts.
    pub(super) fn first(&self) -> Option<i64> {
        self.hits.front().map(|(at, _)| *at)
    }

    /// How many messages it counts.
    pub(super) fn total(&self) -> u32 {
        self.hits.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// How many messages it counts at a time.
    pub(super) fn within(&self, threshold: &Threshold, now: i64) -> u32 {
        let inside = self.hits.iter().filter(|(at, _)| at + threshold.within > now);
        inside.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// When it ends: with the recovery, or when all its messages are old.
    pub(super) fn due(&self, threshold: Option<&Threshold>) -> i64 {
        let Some(threshold) = threshold else { return self.last };
        match (&self.fired, threshold.recover) {
            (Some(_), Some(recover)) => self.last + recover,
            _ => self.last + threshold.within,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.fired.as_ref().map_or(0, |fired| fired.1.len())
    }

    pub(super) fn write(&self, rule: u64, out: &mut Writer) {
        out.key(self.key);
        out.fixed(rule);
        out.time(self.last);
        out.number(self.hits.len() as u64);
        for (at, count) in &self.hits {
            out.time(*at);
            out.number((*count).into());
        }
        out.blob(self.fired.as_ref().map(|fired| &*fired.1));
        out.key(self.fired.as_ref().map_or(Key(0), |fired| fired.0));
    }

    pub(super) fn read(image: &mut Reader<'_>) -> Option<(u64, Count)> {
        let (key, rule, last) = (image.key()?, image.fixed()?, image.time()?);
        let hits =
            (0..image.number()?).map(|_| Some((image.time()?, image.small()?))).collect::<Option<_>>()?;
        let (outcome, problem) = (image.blob()?, image.key()?);
        let fired = outcome.map(|outcome| Box::new((problem, outcome)));
        Some((rule, Count { key, rule: 0, armed: 0, last, hits, fired }))
    }
}

/// What a throttle counts for one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bucket {
    pub(super) key: Key,
    pub(super) rule: u32,
    pub(super) armed: u32,
    /// When its window began.
    pub(super) since: i64,
    pub(super) passed: u32,
    pub(super) swallowed: u32,
    /// The problems whose last outcome was swallowed, the last one last.
    pub(super) problems: Vec<Key>,
}

impl Entry for Bucket {
    fn key(&self) -> Key {
        self.key
    }
}

impl Bucket {
    pub(super) fn new(key: Key, rule: u32, now: i64) -> Self {
        Bucket { key, rule, armed: 0, since: now, passed: 0, swallowed: 0, problems: Vec::new() }
    }

    pub(super) fn write(&self, rule: u64, out: &mut Writer) {
        out.key(self.key);
        out.fixed(rule);
        out.time(self.since);
        out.number(self.passed.into());
        out.number(self.swallowed.into());
        out.number(self.problems.len() as u64);
        for key in &self.problems {
            out.key(*key);
        }
    }

    pub(super) fn read(image: &mut Reader<'_>) -> Option<(u64, Bucket)> {
        let (key, rule, since) = (image.key()?, image.fixed()?, image.time()?);
        let (passed, swallowed) = (image.small()?, image.small()?);
        let problems = (0..image.number()?).map(|_| image.key()).collect::<Option<_>>()?;
        Some((rule, Bucket { key, rule: 0, armed: 0, since, passed, swallowed, problems }))
    }
}
