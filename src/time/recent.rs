//! What came lately, by its hash: bounded in time and in number. Pure, time is an argument.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

/// Hashes, which are not hashed a second time.
type Hashes = HashSet<u64, BuildHasherDefault<AsItIs>>;

/// The hash of a number is the number.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, octets: &[u8]) {
        // Not used: only numbers of 64 bits are kept.
        self.0 = octets.iter().fold(self.0, |hash, octet| hash.rotate_left(8) ^ u64::from(*octet));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

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
        Recent {
            hasher: RandomState::new(),
            current: Hashes::default(),
            before: Hashes::default(),
            began: 0,
            window,
            most,
        }
    }

    /// The hash by which a thing is known here.
    pub fn key(&self, thing: impl Hash) -> u64 {
        self.hasher.hash_one(thing)
    }

    /// Whether it came lately. `now` is in seconds.
    pub fn contains(&mut self, key: u64, now: u64) -> bool {
        self.turn(now);
        self.current.contains(&key) || self.before.contains(&key)
    }

    /// Keeps it; false if it came lately. `now` is in seconds.
    pub fn insert(&mut self, key: u64, now: u64) -> bool {
        self.turn(now);
        !self.before.contains(&key) && self.current.insert(key)
    }

    /// All that is kept.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        self.before.iter().chain(&self.current).copied()
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
        if age >= self.window || self.current.len() >= self.most {
            self.before = std::mem::take(&mut self.current);
            if age >= 2 * self.window {
                self.before = Hashes::default();
            }
            self.began = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_for_a_window_and_bounded() {
        let mut recent = Recent::new(10, 1000);
        let key = recent.key(b"a");
        assert!(recent.insert(key, 100));
        assert!(!recent.insert(key, 109), "within the window");
        assert!(recent.contains(key, 112), "one generation on");
        assert!(!recent.contains(key, 140), "long ago");
        for n in 0..100_000u32 {
            let key = recent.key(n);
            recent.insert(key, 150);
        }
        assert!(recent.current.len() + recent.before.len() <= 2000);
        let last = recent.key(99_999u32);
        assert!(recent.contains(last, 150));
        assert!(recent.contains(last, 20), "a clock that went back");
        recent.clear();
        assert!(!recent.contains(last, 20));
    }
}
