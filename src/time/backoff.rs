//! How long to wait before the next try.

use std::time::Duration;

/// The pause after so many failures in a row: `first`, then twice as long each time up to `most`, shortened by up to a half
/// as `random` says, so that many clients do not retry at once.
pub fn pause(first: Duration, most: Duration, failures: u32, random: u32) -> Duration {
    let full = first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(most);
    full.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

/// Pauses that double up to a limit, each shortened by up to a half at random, so that many do not knock at once.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    /// Pauses from `first` to `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Backoff { first, most, tries: 0 }
    }

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        self.tries += 1;
        // Without random numbers, which the kernel gives to every process, there is no jitter.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        pause(self.first, self.most, self.tries, random)
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stays_within_bounds() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for tries in 0..40 {
            let pause = backoff.next_pause();
            let full = Duration::from_millis(100 << tries.min(10)).min(Duration::from_secs(2));
            assert!(pause >= full / 2 && pause <= full, "{pause:?} {full:?}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= Duration::from_millis(100));
    }
}
