//! Ends circles: a packet that comes again and again with the same sender goes on only a few times. Pure.

use std::time::Duration;

use crate::time::clock::Mono;

/// How often the same packet goes on within [`WITHIN`]: lines without fractions of a second are often the same.
const MOST: u32 = 8;
/// See [`MOST`].
const WITHIN: Duration = Duration::from_secs(10);
/// How many packets are known. A circle is as fast as the network, so it finds its own place again.
const PLACES: usize = 4096;

/// What went on a short time ago. The hashes that it is given must be unpredictable.
#[derive(Debug)]
pub(super) struct Guard(Vec<Place>);

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    hash: u64,
    since: Mono,
    count: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Guard(vec![Place::default(); PLACES])
    }
}

impl Guard {
    /// Whether a packet with this hash may go on.
    pub(super) fn passes(&mut self, hash: u64, now: Mono) -> bool {
        let place = &mut self.0[(hash % PLACES as u64) as usize];
        if place.hash != hash || now.since(place.since) >= WITHIN {
            *place = Place { hash, since: now, count: 0 };
        }
        place.count += 1;
        place.count <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_and_again_goes_on_a_few_times() {
        let mut guard = Guard::default();
        let at = |seconds: u64| Mono::from_nanos((seconds + 100) * 1_000_000_000);
        let passed = |guard: &mut Guard, hash, now| (0..100).filter(|_| guard.passes(hash, at(now))).count();
        assert_eq!(passed(&mut guard, 7, 0), 8);
        assert_eq!(passed(&mut guard, 7, 9), 0);
        assert_eq!(passed(&mut guard, 8, 9), 8);
        // What is the same again after a while is no circle.
        assert_eq!(passed(&mut guard, 7, 10), 8);
        // Many others at the same time.
        let all: usize = (0..PLACES as u64).map(|hash| passed(&mut guard, hash + 1000, 20)).sum();
        assert_eq!(all, 8 * PLACES);
    }
}
