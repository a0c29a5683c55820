//! What thresholds and throttles count.

use super::image::{Reader, Writer};
use super::key::Key;
use super::moment::Moment;
use super::table::Entry;
use crate::rules::plan::Threshold;

/// Up to how many messages a threshold knows the time of each; above, it counts in [`PARTS`] of its window.
const EXACT: u32 = 64;
/// In how many parts the window of a large threshold is counted.
const PARTS: i64 = 60;

/// Messages by when they came.
type Hit = (Moment, u32);

/// When messages came, the oldest first, and how many at once. Most keys have one message: it takes no room of its own.
#[derive(Debug, Clone, PartialEq)]
struct Hits {
    earlier: Box<[Hit]>,
    /// The newest ones; 0 of them if there are none at all.
    newest: Hit,
}

impl Hits {
    const NONE: Hit = (Moment::NEVER, 0);

    fn iter(&self) -> impl Iterator<Item = Hit> {
        self.earlier.iter().copied().chain(Some(self.newest).filter(|newest| newest.1 > 0))
    }

    /// Forgets those that came before some time.
    fn forget(&mut self, old: impl Fn(Hit) -> bool) {
        let many = self.earlier.iter().take_while(|hit| old(**hit)).count();
        let all = many == self.earlier.len();
        self.forget_first(many);
        if all && old(self.newest) {
            self.newest = Hits::NONE;
        }
    }

    fn forget_first(&mut self, many: usize) {
        if many > 0 {
            self.earlier = self.earlier.get(many..).unwrap_or_default().into();
        }
    }

    fn push(&mut self, hit: Hit) {
        let before = std::mem::replace(&mut self.newest, hit);
        if before.1 > 0 {
            let mut earlier = std::mem::take(&mut self.earlier).into_vec();
            earlier.reserve_exact(1);
            earlier.push(before);
            self.earlier = earlier.into_boxed_slice();
        }
    }
}

/// Where a message leaves a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Below,
    /// This message reaches it.
    Reaches,
    /// One before has reached it, and there were not less since.
    Above,
}

/// What a threshold counts for one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Count {
    pub(super) key: Key,
    pub(super) rule: u32,
    pub(super) armed: u32,
    /// When its last message came.
    pub(super) last: i64,
    hits: Hits,
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
        Count {
            key,
            rule,
            armed: 0,
            last: now,
            hits: Hits { earlier: Box::default(), newest: Hits::NONE },
            fired: None,
        }
    }

    /// Counts a message.
    pub(super) fn hit(&mut self, threshold: &Threshold, now: i64) -> Level {
        self.hit_of(threshold.count, threshold.within, now)
    }

    fn hit_of(&mut self, count: u32, within: i64, now: i64) -> Level {
        self.last = now;
        let exact = count <= EXACT;
        self.hits.forget(|(at, _)| at.micros().saturating_add(within) <= now);
        let before = self.total();
        let at = if exact {
            now
        } else {
            let part = (within / PARTS).max(1);
            now - now.rem_euclid(part)
        };
        let (at, many) = (Moment::at(at), self.hits.earlier.len());
        match &mut self.hits.newest {
            (last, many) if !exact && *last == at => *many = many.saturating_add(1),
            // As many as it needs are enough.
            newest if exact && newest.1 > 0 && many + 1 >= count as usize => {
                let before = std::mem::replace(newest, (at, 1));
                self.hits.earlier.rotate_left(many.min(1));
                if let Some(last) = self.hits.earlier.last_mut() {
                    *last = before;
                }
            }
            _ => self.hits.push((at, 1)),
        }
        match self.total() >= count {
            false => Level::Below,
            true if before < count => Level::Reaches,
            true => Level::Above,
        }
    }

    /// When the first message came that it counts.
    pub(super) fn first(&self) -> Option<i64> {
        self.hits.iter().next().map(|(at, _)| at.micros())
    }

    /// How many messages it counts.
    pub(super) fn total(&self) -> u32 {
        self.hits.iter().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// How many messages it counts at a time.
    pub(super) fn within(&self, threshold: &Threshold, now: i64) -> u32 {
        let inside = self.hits.iter().filter(|(at, _)| at.micros() + threshold.within > now);
        inside.fold(0, |sum, (_, count)| sum.saturating_add(count))
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
        out.number(self.hits.iter().count() as u64);
        for (at, count) in self.hits.iter() {
            out.time(at.micros());
            out.number(count.into());
        }
        out.blob(self.fired.as_ref().map(|fired| &*fired.1));
        out.key(self.fired.as_ref().map_or(Key::new(0), |fired| fired.0));
    }

    pub(super) fn read(image: &mut Reader<'_>) -> Option<(u64, Count)> {
        let (key, rule, last) = (image.key()?, image.fixed()?, image.time()?);
        let mut hits = (0..image.number()?)
            .map(|_| Some((Moment::at(image.time()?), image.small()?)))
            .collect::<Option<Vec<Hit>>>()?;
        let newest = hits.pop().unwrap_or(Hits::NONE);
        let hits = Hits { earlier: hits.into(), newest };
        let (outcome, problem) = (image.blob()?, image.key()?);
        let fired = outcome.map(|outcome| Box::new((problem, outcome.into())));
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list that forgets nothing.
        #[test]
        fn a_threshold_counts_the_messages_of_its_window(
            (count, within) in (prop_oneof![1..6u32, 60..70u32], prop_oneof![1..40i64, Just(600i64)]),
            gaps in prop::collection::vec(prop_oneof![3 => 0..4i64, 1 => 0..90i64], 1..150),
        ) {
            let second = 1_000_000;
            let within = within * second;
            let mut counted = Count::new(Key::new(1), 0, 0);
            let (mut now, mut all) = (1_000 * second, VecDeque::new());
            for gap in gaps {
                now += gap * second;
                let part = if count <= EXACT { 1 } else { within / PARTS };
                while all.front().is_some_and(|at| at + within <= now) {
                    all.pop_front();
                }
                let before = all.len();
                let at = now - now % part;
                all.push_back(at - at % 1000);
                let level = match (before >= count as usize, all.len() >= count as usize) {
                    (_, false) => Level::Below,
                    (false, true) => Level::Reaches,
                    (true, true) => Level::Above,
                };
                prop_assert_eq!(counted.hit_of(count, within, now), level);
                if count <= EXACT {
                    while all.len() > count as usize {
                        all.pop_front();
                    }
                }
                prop_assert_eq!(counted.total() as usize, all.len());
                prop_assert_eq!(counted.first(), all.front().copied());
                let mut image = Writer::default();
                counted.write(7, &mut image);
                prop_assert_eq!(Count::read(&mut Reader(&image.0)), Some((7, counted.clone())));
            }
        }
    }
}
