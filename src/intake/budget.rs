//! How long a datagram listener waits before it takes the next batch, so that more datagrams share one wake-up.
//!
//! A wake-up costs far more than a datagram. A listener that sleeps its latency budget after a batch pays one wake-up per
//! budget, however many datagrams come in it. It sleeps only where a stream of datagrams flows, so that a lone message is
//! never delayed; not after an inform, whose sender waits for the answer; and not longer than its receive buffer holds
//! what comes in the meantime.

use std::time::Duration;

/// Within how many budgets batches must follow each other to be a stream, and how many budgets after an inform no batch is
/// delayed.
const FOLLOWS: u32 = 4;
/// From how many datagrams a second on a shorter wait is enough for large batches.
const BUSY: u128 = 20_000;
/// That wait.
const BUSY_LATENCY: Duration = Duration::from_millis(1);
/// What a datagram may occupy in the receive buffer beside its octets: drivers hand over pages.
const OVERHEAD: u128 = 4096;
/// For how many datagrams a second the buffer must have space at any time, whatever the rate is now: bursts begin without
/// a warning.
const BURST: u128 = 100_000;

/// What a listener has just taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The time from the batch before to this one.
    pub since_last: Duration,
    /// How many datagrams it has.
    pub datagrams: usize,
    /// How many octets they have.
    pub octets: usize,
    /// Whether more may wait in the socket than it could take.
    pub full: bool,
    /// The time since the last inform: zero if it has one.
    pub since_inform: Duration,
}

/// Decides how long a listener waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The longest wait; zero for none at all.
    pub latency: Duration,
    /// The receive buffer that the kernel granted, in octets, with its overhead.
    pub buffer: usize,
}

impl Budget {
    /// How long to wait after a batch; zero to wait for the next datagram instead.
    pub fn pause(&self, batch: &Batch) -> Duration {
        let near = self.latency * FOLLOWS;
        if batch.full || batch.since_last >= near || batch.since_inform < near {
            return Duration::ZERO;
        }
        let nanos = batch.since_last.as_nanos().max(1);
        let rate = batch.datagrams as u128 * 1_000_000_000 / nanos;
        let wanted = if rate > BUSY { self.latency.min(BUSY_LATENCY) } else { self.latency };
        wanted.min(self.holds(batch, rate))
    }

    /// How long half the buffer holds what comes at this rate.
    fn holds(&self, batch: &Batch, rate: u128) -> Duration {
        let octets = OVERHEAD + (batch.octets / batch.datagrams.max(1)) as u128;
        let nanos = self.buffer as u128 / 2 * 1_000_000_000 / (octets * rate.max(BURST));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LATENCY: Duration = Duration::from_millis(5);
    const DEFAULT: Budget = Budget { latency: LATENCY, buffer: 32 << 20 };

    /// Datagrams of 100 octets that come at a rate, without informs.
    fn at_rate(per_second: u32, since_last: Duration) -> Batch {
        let datagrams = (f64::from(per_second) * since_last.as_secs_f64()).round() as usize;
        Batch { since_last, datagrams, octets: datagrams * 100, full: false, since_inform: Duration::MAX }
    }

    #[test]
    fn a_lone_message_is_not_delayed_and_a_stream_is_gathered() {
        let lone = Batch { since_last: Duration::from_millis(20), ..at_rate(50, Duration::from_millis(20)) };
        assert_eq!(DEFAULT.pause(&lone), Duration::ZERO);
        for rate in [200, 1000, 5000, 20_000] {
            assert_eq!(DEFAULT.pause(&at_rate(rate, Duration::from_millis(5))), LATENCY, "{rate}");
        }
        for rate in [21_000, 150_000, 1_000_000] {
            assert_eq!(DEFAULT.pause(&at_rate(rate, Duration::from_millis(1))), BUSY_LATENCY, "{rate}");
        }
    }

    #[test]
    fn nothing_is_delayed_near_an_inform() {
        let stream = at_rate(1000, LATENCY);
        for (since_inform, pause) in [(0, Duration::ZERO), (19, Duration::ZERO), (20, LATENCY)] {
            let batch = Batch { since_inform: Duration::from_millis(since_inform), ..stream };
            assert_eq!(DEFAULT.pause(&batch), pause, "{since_inform} ms after an inform");
        }
    }

    #[test]
    fn a_full_batch_is_followed_at_once() {
        let full = Batch { full: true, ..at_rate(150_000, Duration::from_millis(1)) };
        assert_eq!(DEFAULT.pause(&full), Duration::ZERO);
    }

    #[test]
    fn zero_turns_it_off() {
        let off = Budget { latency: Duration::ZERO, ..DEFAULT };
        for rate in [200, 20_000, 400_000] {
            assert_eq!(off.pause(&at_rate(rate, Duration::from_millis(1))), Duration::ZERO);
        }
    }

    #[test]
    fn a_small_buffer_shortens_the_wait() {
        // What Linux grants without privilege and without a sysctl.
        let small = Budget { buffer: 2 * 212_992, ..DEFAULT };
        let pause = small.pause(&at_rate(1000, LATENCY));
        assert!(pause > Duration::from_micros(400) && pause < Duration::from_micros(600), "{pause:?}");
    }

    proptest! {
        #[test]
        fn the_buffer_is_never_more_than_half_full_after_a_wait(
            latency in 0u64..1_000_000,
            buffer in 2048usize..(128 << 20),
            since_last in 1u64..10_000_000,
            datagrams in 1usize..128,
            size in 0usize..65_536,
        ) {
            let budget = Budget { latency: Duration::from_micros(latency), buffer };
            let batch = Batch {
                since_last: Duration::from_micros(since_last),
                datagrams,
                octets: datagrams * size,
                full: false,
                since_inform: Duration::MAX,
            };
            let pause = budget.pause(&batch);
            prop_assert!(pause <= budget.latency);
            let arrived = pause.as_secs_f64() * (datagrams as f64 / batch.since_last.as_secs_f64());
            prop_assert!(arrived * (4096 + size) as f64 <= buffer as f64 / 2.0 + 1.0);
        }
    }
}
