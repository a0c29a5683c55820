//! The time of a simulation: tokio's, which stands still while anything can run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use trapline::time::clock::{Clock, Mono, Now, Wall};

/// 2026-11-20 12:00:00 UTC.
const START: i64 = 1_795_176_000_000_000;
/// How long the machine has run when the simulation starts.
const BOOTED: Duration = Duration::from_secs(1000);

/// The clock. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SimClock {
    start: Instant,
    /// What somebody has set the wall clock forward, in microseconds.
    step: Arc<AtomicI64>,
}

impl SimClock {
    /// Starts now. In a runtime.
    pub fn new() -> Self {
        SimClock { start: Instant::now(), step: Arc::default() }
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Sets the wall clock forward, or back.
    pub fn step(&self, micros: i64) {
        self.step.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        let elapsed = self.elapsed();
        let wall = START + elapsed.as_micros() as i64 + self.step.load(Ordering::Relaxed);
        Now { wall: Wall::from_micros(wall), mono: Mono::from_nanos((BOOTED + elapsed).as_nanos() as u64) }
    }
}
