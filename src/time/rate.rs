//! `rate`: how many outcomes a second a sink takes at most. Pure, time is an argument.

/// A bucket that fills at a rate and holds one second's worth.
#[derive(Debug)]
pub struct Rate {
    per_second: u32,
    /// In millionths of an outcome.
    level: u64,
    /// When it was last filled, in microseconds.
    filled: i64,
}

impl Rate {
    /// So many outcomes a second.
    pub fn new(per_second: u32) -> Self {
        Rate { per_second, level: u64::from(per_second) * 1_000_000, filled: 0 }
    }

    /// How many outcomes may go now. `now` is in microseconds.
    pub fn allowed(&mut self, now: i64) -> usize {
        let passed = u64::try_from(now.saturating_sub(self.filled)).unwrap_or(0).min(1_000_000);
        self.level += passed * u64::from(self.per_second);
        self.level = self.level.min(u64::from(self.per_second) * 1_000_000);
        self.filled = now;
        (self.level / 1_000_000) as usize
    }

    /// So many have gone.
    pub fn spend(&mut self, count: usize) {
        self.level = self.level.saturating_sub(count as u64 * 1_000_000);
    }

    /// Microseconds until the next one may go.
    pub fn wait(&self) -> u64 {
        1_000_000u64.saturating_sub(self.level).div_ceil(u64::from(self.per_second.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_the_rate_says() {
        let mut rate = Rate::new(50);
        let (mut now, mut gone) = (1_000_000_000, 0);
        while now < 1_010_000_000 {
            let allowed = rate.allowed(now).min(7);
            rate.spend(allowed);
            gone += allowed;
            now += if allowed == 0 { rate.wait() as i64 } else { 1 };
        }
        assert!((500..=551).contains(&gone), "{gone} in ten seconds");
        let mut back = Rate::new(1);
        let all = back.allowed(5_000_000);
        back.spend(all);
        assert_eq!(back.allowed(1_000_000), 0, "a clock that went back gives nothing away");
        assert_eq!(back.allowed(2_000_000), 1);
    }
}
