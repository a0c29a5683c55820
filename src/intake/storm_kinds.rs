//! What a storm consists of, in memory of a fixed size.

use std::time::Duration;

use crate::time::clock::Mono;

/// How many kinds are counted at a time (Space-Saving: Metwally, Agrawal, El Abbadi, 2005).
const COUNTED: usize = 32;
/// How many kinds are named.
const NAMED: usize = 5;
/// The time in which one message of each kind is processed.
const WINDOW: Duration = Duration::from_secs(10);
/// Of how many kinds one is processed in that time: whoever makes up kinds gets no more.
const FIRSTS: usize = 64;
/// How long the name of a kind may be, in characters.
const NAME: usize = 80;

/// The kinds of a storm's messages.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// When the window began.
    since: Option<Mono>,
    /// The kinds of which one was processed in it.
    firsts: Vec<u64>,
    counted: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    id: u64,
    name: String,
    count: u64,
}

/// About how many messages there were of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) name: String,
    pub(super) count: u64,
}

impl Kinds {
    /// Counts a message that stands for so many; whether it is to be processed.
    pub(super) fn add(&mut self, id: u64, stands_for: u32, now: Mono, name: impl FnOnce() -> String) -> bool {
        self.tally(id, stands_for.into(), name);
        if self.since.is_none_or(|since| now - since >= WINDOW) {
            self.since = Some(now);
            self.firsts.clear();
        }
        if self.firsts.len() >= FIRSTS || self.firsts.contains(&id) {
            return false;
        }
        self.firsts.push(id);
        true
    }

    fn tally(&mut self, id: u64, count: u64, name: impl FnOnce() -> String) {
        if let Some(kind) = self.counted.iter_mut().find(|kind| kind.id == id) {
            kind.count += count;
            return;
        }
        let name = name().chars().take(NAME).collect();
        if self.counted.len() < COUNTED {
            self.counted.push(Kind { id, name, count });
        } else if let Some(least) = self.counted.iter_mut().min_by_key(|kind| kind.count) {
            // It may have had as many messages as the one whose place it gets.
            *least = Kind { id, name, count: least.count + count };
        }
    }

    /// The kinds with most messages.
    pub(super) fn most(&self) -> Vec<Share> {
        let mut all: Vec<&Kind> = self.counted.iter().collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        all.iter().take(NAMED).map(|kind| Share { name: kind.name.clone(), count: kind.count }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::default() + Duration::from_millis(millis)
    }

    #[test]
    fn one_of_each_kind_is_processed_in_ten_seconds() {
        let mut kinds = Kinds::default();
        for (millis, id, first) in [
            (0, 1, true),
            (1, 1, false),
            (2, 2, true),
            (9999, 2, false),
            (10_000, 1, true),
            (10_001, 2, true),
        ] {
            assert_eq!(kinds.add(id, 1, at(millis), || id.to_string()), first, "{id} at {millis}");
        }
        assert_eq!(kinds.most()[0], Share { name: "1".into(), count: 3 });
    }

    #[test]
    fn made_up_kinds_get_no_more_than_others_and_do_not_push_out_what_is_frequent() {
        let mut kinds = Kinds::default();
        let mut processed = 0;
        for n in 0..100_000u64 {
            let id = if n % 3 == 0 { 7 } else { 1000 + n };
            processed += usize::from(kinds.add(id, 1, at(n / 100), || format!("kind {id}")));
        }
        assert_eq!(processed, FIRSTS);
        let most = kinds.most();
        assert_eq!((most[0].name.as_str(), most.len()), ("kind 7", NAMED));
        assert!(most[0].count >= 33_334, "{most:?}");
    }

    #[test]
    fn a_sample_stands_for_what_was_not_decoded() {
        let mut kinds = Kinds::default();
        assert!(kinds.add(1, 64, at(0), || "x".repeat(500)));
        assert!(!kinds.add(1, 64, at(1), || unreachable!("it has a name")));
        assert_eq!(kinds.most(), [Share { name: "x".repeat(NAME), count: 128 }]);
    }
}
