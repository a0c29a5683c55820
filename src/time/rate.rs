//! `rate`: how many outcomes a second a sink takes at most. Pure, time is an argument.

use std::time::Duration;

use super::clock::Mono;

/// A token bucket that fills at a rate and holds one second's worth.
#[derive(Debug)]
pub struct Rate {
    per_second: u32,
    /// In millionths of an outcome.
    level: u64,
    /// When it was last filled.
    filled: Mono,
}

impl Rate {
    /// So many outcomes a second.
    pub fn new(per_second: u32) -> Self {
        Rate { per_second, level: u64::from(per_second) * 1_000_000, filled: Mono::default() }
    }

    /// How many outcomes may go now.
    pub fn allowed(&mut self, now: Mono) -> usize {
        let passed = now.since(self.filled).min(Duration::from_secs(1)).as_micros() as u64;
        self.level += passed * u64::from(self.per_second);
        self.level = self.level.min(u64::from(self.per_second) * 1_000_000);
        self.filled = now;
        (self.level / 1_000_000) as usize
    }

    /// So many have gone.
    pub fn spend(&mut self, count: usize) {
        self.level = self.level.saturating_sub(count as u64 * 1_000_000);
    }

    /// So many have not gone after all.
    pub fn refund(&mut self, count: usize) {
        self.level += count as u64 * 1_000_000;
    }

    /// How long until the next one may go.
    pub fn wait(&self) -> Duration {
        let missing = 1_000_000u64.saturating_sub(self.level);
        Duration::from_micros(missing.div_ceil(u64::from(self.per_second.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_the_rate_says() {
        let mut rate = Rate::new(50);
        let (mut now, mut gone) = (Mono::from_nanos(1_000_000_000_000), 0);
        while now < Mono::from_nanos(1_010_000_000_000) {
            let allowed = rate.allowed(now).min(7);
            rate.spend(allowed);
            gone += allowed;
            now = now + if allowed == 0 { rate.wait() } else { Duration::from_micros(1) };
        }
        assert!((500..=551).contains(&gone), "{gone} in ten seconds");
        let mut refunded = Rate::new(5);
        refunded.spend(5);
        refunded.refund(2);
        assert_eq!(refunded.allowed(Mono::default()), 2);
    }
}
