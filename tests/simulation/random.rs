//! Random numbers from the seed.

use std::sync::{Arc, Mutex};

use trapline::world;

/// A source of random numbers (splitmix64). Clones are the same one.
#[derive(Debug, Clone)]
pub struct Random(Arc<Mutex<u64>>);

impl Random {
    /// A source that depends on the seed and on what it is for.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let random = Random(Arc::new(Mutex::new(seed ^ purpose.rotate_left(32))));
        random.next();
        random
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit.
    pub fn below(&self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A number from `from` up to `to`, which is among them.
    pub fn range(&self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True once in so many times.
    pub fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn pick<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

impl world::Random for Random {
    fn next(&self) -> u64 {
        Random::next(self)
    }
}
