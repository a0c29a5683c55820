//! What is counted of a sink.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::time::clock::Mono;
use crate::time::receipts::Moment;

/// Upper bounds of the latency histogram, in seconds.
pub const LATENCIES: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0, 60.0, 3600.0];

/// The same in microseconds.
const BOUNDS: [u64; LATENCIES.len()] = {
    let mut bounds = [0; LATENCIES.len()];
    let mut at = 0;
    while at < bounds.len() {
        bounds[at] = (LATENCIES[at] * 1e6 + 0.5) as u64;
        at += 1;
    }
    bounds
};

/// What is counted of a sink.
#[derive(Debug)]
pub struct SinkStats {
    /// Outcomes that the server has taken.
    pub delivered: AtomicU64,
    /// Outcomes that its `only` kept out, or whose kind it does not know.
    pub skipped: AtomicU64,
    /// Outcomes that were cut to fit.
    pub cut: AtomicU64,
    /// Outcomes that came too late: the server had something newer.
    pub stale: AtomicU64,
    /// Outcomes that the server will never take.
    pub dead: AtomicU64,
    /// Dead letters that are kept, also those of before the start.
    pub letters: AtomicU64,
    /// Outcomes that were sent again.
    pub retried: AtomicU64,
    /// Times that delivery failed.
    pub failures: AtomicU64,
    /// Why delivery failed last, while it fails.
    pub error: Mutex<Option<String>>,
    /// When the message of the oldest outcome was received that the server has not taken, as [`Moment::micros`].
    oldest: AtomicI64,
    /// Whether it honours mutes.
    pub honours_mutes: AtomicBool,
    /// From receipt to delivery.
    pub latency: Histogram,
}

/// The server has everything.
const NONE: i64 = i64::MAX;

impl Default for SinkStats {
    fn default() -> Self {
        SinkStats {
            delivered: AtomicU64::default(),
            skipped: AtomicU64::default(),
            cut: AtomicU64::default(),
            stale: AtomicU64::default(),
            dead: AtomicU64::default(),
            letters: AtomicU64::default(),
            retried: AtomicU64::default(),
            failures: AtomicU64::default(),
            error: Mutex::default(),
            oldest: AtomicI64::new(NONE),
            honours_mutes: AtomicBool::default(),
            latency: Histogram::default(),
        }
    }
}

impl SinkStats {
    /// The message of the oldest outcome that the server has not taken was received then.
    pub fn set_oldest(&self, oldest: Option<Moment>) {
        self.oldest.store(oldest.map_or(NONE, Moment::micros), Ordering::Relaxed);
    }

    /// How long ago the message of the oldest outcome was received that the server has not taken, in seconds; 0 if it has all.
    pub fn lag(&self, now: Mono) -> f64 {
        match self.oldest.load(Ordering::Relaxed) {
            NONE => 0.0,
            oldest => Moment::from_micros(oldest).age(now).as_secs_f64(),
        }
    }
}

/// How many outcomes took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// For each bound, and beyond the last.
    buckets: [AtomicU64; LATENCIES.len() + 1],
    microseconds: AtomicU64,
}

impl Histogram {
    /// Counts each of some.
    pub fn observe_all(&self, microseconds: impl Iterator<Item = u64>) {
        let (mut counts, mut sum) = ([0u64; LATENCIES.len() + 1], 0u64);
        for microseconds in microseconds {
            counts[BOUNDS.partition_point(|bound| *bound < microseconds)] += 1;
            sum = sum.wrapping_add(microseconds);
        }
        for (bucket, count) in self.buckets.iter().zip(counts).filter(|(_, count)| *count > 0) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
        self.microseconds.fetch_add(sum, Ordering::Relaxed);
    }

    /// The least bound that this part of all took at most, in seconds; none before the first, and where it is beyond the last bound.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let (below, total, _) = self.cumulated();
        let wanted = (total as f64 * part).ceil() as u64;
        let at = below.iter().position(|count| *count >= wanted)?;
        (total > 0).then(|| LATENCIES[at])
    }

    /// How many took at most each bound, how many there were, and the sum of their seconds.
    pub fn cumulated(&self) -> ([u64; LATENCIES.len()], u64, f64) {
        let mut total = 0;
        let mut below = [0; LATENCIES.len()];
        for (at, bucket) in self.buckets.iter().enumerate() {
            total += bucket.load(Ordering::Relaxed);
            if let Some(place) = below.get_mut(at) {
                *place = total;
            }
        }
        (below, total, self.microseconds.load(Ordering::Relaxed) as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::default();
        histogram.observe_all([100, 500, 501].into_iter());
        histogram.observe_all([2_000_000, 5_000_000_000].into_iter());
        let (below, total, sum) = histogram.cumulated();
        assert_eq!((below[0], below[1], below[9], below[10], below[12], total), (2, 3, 3, 4, 4, 5));
        assert_eq!((histogram.quantile(0.4), histogram.quantile(0.5)), (Some(0.0005), Some(0.001)));
        assert_eq!((histogram.quantile(0.99), Histogram::default().quantile(0.5)), (None, None));
        assert!((sum - 5_002.001_101).abs() < 1e-6, "{sum}");
    }
}
