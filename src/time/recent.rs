//! What came lately, by its hash: bounded in time and in number. Pure, time is an argument.

use std::hash::{BuildHasher, Hash, RandomState};

/// Hashes of what came within a window, and at most as long again before it.
///
/// The hash is keyed at random, so that nobody can make up two things that are taken for one; of a million at once
/// the chance that another one collides is below 10^-13.
#[derive(Debug)]
pub struct Recent {
    hasher: RandomState,
    current: Hashes,
    before: Hashes,
    /// When the current generation began, in seconds.
    began: u64,
    window: u64,
    most: usize,
}

impl Recent {
    /// Keeps for `window` seconds at least; less, where more than `most` come in that time.
    pub fn new(window: u64, most: usize) -> Self {
        let hasher = RandomState::new();
        let empty = Hashes::new(hasher.hash_one(0));
        Recent { before: empty.clone(), current: empty, hasher, began: 0, window, most }
    }

    /// The hash by which a thing is known here.
    pub fn key(&self, thing: impl Hash) -> u64 {
        self.hasher.hash_one(thing)
    }

    /// Whether it came lately. `now` is in seconds.
    pub fn contains(&mut self, key: u64, now: u64) -> bool {
        self.turn(now);
        self.current.contains(key) || self.before.contains(key)
    }

    /// The places that a look-up of this key begins with. To have them at hand before they are needed.
    pub fn places(&self, key: u64) -> impl Iterator<Item = &u64> {
        [&self.before, &self.current].into_iter().filter_map(move |hashes| hashes.place(marked(key)))
    }

    /// Keeps it; false if it came lately. `now` is in seconds.
    pub fn insert(&mut self, key: u64, now: u64) -> bool {
        self.turn(now);
        !self.before.contains(key) && self.current.insert(key)
    }

    /// All that is kept.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        self.before.iter().chain(self.current.iter())
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.current.clear();
        self.before.clear();
    }

    fn turn(&mut self, now: u64) {
        // A clock that goes back begins a generation anew: nothing is forgotten early.
        self.began = self.began.min(now);
        let age = now - self.began;
        if age >= self.window || self.current.count >= self.most {
            self.before.clear();
            std::mem::swap(&mut self.before, &mut self.current);
            if age >= 2 * self.window {
                self.before.clear();
            }
            self.began = now;
        }
    }
}

/// A set of hashes. Each stands at the place that its upper bits give, or behind those that stand there.
///
/// A look-up touches a part of memory that no processor's cache has at hand, and that is nearly all that it costs. Here that is one
/// place, where a set of the standard library touches two: its marks, and the hash itself.
#[derive(Debug, Clone)]
struct Hashes {
    /// Zero where there is none. Empty, or a power of two; never more than five eighths are in use.
    slots: Vec<u64>,
    count: usize,
    /// Secret and odd: whoever chooses hashes does not know their places.
    factor: u64,
}

/// The fewest slots.
const LEAST: usize = 16;

impl Hashes {
    fn new(secret: u64) -> Self {
        Hashes { slots: Vec::new(), count: 0, factor: secret | 1 }
    }

    /// Where a hash belongs; none if there are no slots.
    fn home(&self, hash: u64) -> Option<usize> {
        let last = self.slots.len().checked_sub(1)?;
        Some((hash.wrapping_mul(self.factor) >> (last as u64).leading_zeros()) as usize)
    }

    fn place(&self, hash: u64) -> Option<&u64> {
        self.slots.get(self.home(hash)?)
    }

    /// The slot of a hash, or the free one where it belongs; none if there are no slots.
    fn find(&self, hash: u64) -> Option<usize> {
        let mut at = self.home(hash)?;
        let last = self.slots.len() - 1;
        while self.slots[at] != hash && self.slots[at] != 0 {
            at = (at + 1) & last;
        }
        Some(at)
    }

    fn contains(&self, hash: u64) -> bool {
        let hash = marked(hash);
        self.find(hash).is_some_and(|at| self.slots[at] == hash)
    }

    /// False if it is there already.
    fn insert(&mut self, hash: u64) -> bool {
        let hash = marked(hash);
        if (self.count + 1) * 8 > self.slots.len() * 5 {
            self.grow();
        }
        let Some(at) = self.find(hash).filter(|at| self.slots[*at] == 0) else { return false };
        self.slots[at] = hash;
        self.count += 1;
        true
    }

    /// In the order of the places, so that the new ones are written from one end to the other.
    fn grow(&mut self) {
        let twice = (self.slots.len() * 2).max(LEAST);
        let old = std::mem::replace(&mut self.slots, vec![0; twice]);
        for hash in old.into_iter().filter(|hash| *hash != 0) {
            if let Some(at) = self.find(hash) {
                self.slots[at] = hash;
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().copied().filter(|hash| *hash != 0)
    }

    fn clear(&mut self) {
        *self = Hashes { slots: Vec::new(), count: 0, factor: self.factor };
    }
}

/// Zero stands for no hash, so that one takes its place.
fn marked(hash: u64) -> u64 {
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a set of the standard library does, whatever the hashes are.
        #[test]
        fn a_set_of_hashes(
            hashes in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..50, (0u64..50).prop_map(|n| n << 40)], 0..400),
            secret: u64,
        ) {
            let (mut ours, mut theirs) = (Hashes::new(secret), HashSet::new());
            for hash in hashes {
                let hash = hash.max(1);
                prop_assert_eq!(ours.contains(hash), theirs.contains(&hash));
                prop_assert_eq!(ours.insert(hash), theirs.insert(hash));
                prop_assert!(ours.contains(hash));
            }
            prop_assert_eq!(ours.count, theirs.len());
            prop_assert_eq!(ours.iter().collect::<HashSet<_>>(), theirs);
        }
    }

    #[test]
    fn kept_for_a_window_and_bounded() {
        let mut recent = Recent::new(10, 1000);
        let key = recent.key(b"a");
        assert!(recent.insert(key, 100));
        assert!(recent.places(key).any(|place| *place == key));
        assert!(!recent.insert(key, 109), "within the window");
        assert!(recent.contains(key, 112), "one generation on");
        assert!(!recent.contains(key, 140), "long ago");
        for n in 0..100_000u32 {
            let key = recent.key(n);
            recent.insert(key, 150);
        }
        assert!(recent.current.count + recent.before.count <= 2000);
        let last = recent.key(99_999u32);
        assert!(recent.contains(last, 150));
        assert!(recent.contains(last, 20), "a clock that went back");
        recent.clear();
        assert!(!recent.contains(last, 20));
    }
}
