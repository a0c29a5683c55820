//! The time: wall-clock for what people read, monotonic for what is measured.
//!
//! `daemon` makes one [`Clock`] and hands it to every loop. Pure modules do not have a clock; they get the time as an
//! argument.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// A wall-clock time (CLOCK_REALTIME), in microseconds since 1970-01-01 UTC. It may jump in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(i64);

impl Wall {
    /// The time this many microseconds after 1970-01-01 UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Wall(micros)
    }

    /// Microseconds since 1970-01-01 UTC; negative before.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01 UTC; 0 before.
    pub const fn seconds(self) -> u64 {
        if self.0 < 0 { 0 } else { (self.0 / 1_000_000) as u64 }
    }
}

impl fmt::Display for Wall {
    /// RFC 3339, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rfc3339(self.0))
    }
}

/// A monotonic time (CLOCK_BOOTTIME), in nanoseconds since the machine booted. It never goes back and includes the time
/// that the machine was suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(u64);

impl Mono {
    /// The time this many nanoseconds after the machine booted.
    pub const fn from_nanos(nanos: u64) -> Self {
        Mono(nanos)
    }

    /// Nanoseconds since the machine booted.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the machine booted.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The time from `earlier` to this one; zero if `earlier` is later.
    pub const fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, time: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Mono {
    type Output = Duration;

    /// The same as [`Mono::since`].
    fn sub(self, earlier: Mono) -> Duration {
        self.since(earlier)
    }
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For what people read and what is stored.
    pub wall: Wall,
    /// For durations, deadlines and rates.
    pub mono: Mono,
}

impl Now {
    /// The moment before this one at which the wall clock said something; this one if it says so later.
    #[must_use]
    pub fn earlier(self, wall: Wall) -> Now {
        let before = u64::try_from(self.wall.0.saturating_sub(wall.0)).unwrap_or(0);
        Now { wall, mono: Mono(self.mono.0.saturating_sub(before.saturating_mul(1000))) }
    }
}

/// Tells the time. Every loop holds one.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Now;
}

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { wall: Wall(now()), mono: monotonic() }
    }
}

fn monotonic() -> Mono {
    // Fails only for a clock that the kernel does not know; Linux knows this one since 2.6.39.
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    Mono(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// The time, in microseconds since 1970 UTC.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Microseconds since 1970 UTC as RFC 3339.
pub fn rfc3339(time: i64) -> String {
    Timestamp::from_microsecond(time).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A clock for tests: it stands still until it is told to move on.
#[cfg(test)]
#[derive(Debug, Default)]
pub struct TestClock(std::sync::Mutex<Now>);

#[cfg(test)]
impl TestClock {
    /// A clock that stands at this time.
    pub fn at(now: Now) -> Self {
        TestClock(std::sync::Mutex::new(now))
    }

    /// Moves both clocks on.
    pub fn advance(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        now.wall = Wall(now.wall.0 + i64::try_from(time.as_micros()).unwrap());
        now.mono = now.mono + time;
    }

    /// Sets the wall clock, by so many microseconds.
    pub fn step(&self, micros: i64) {
        let mut now = self.0.lock().unwrap();
        now.wall = Wall(now.wall.0 + micros);
    }
}

#[cfg(test)]
impl Clock for TestClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_both_times() {
        let clock: &dyn Clock = &SystemClock;
        let (first, second) = (clock.now(), clock.now());
        assert!(first.mono > Mono::default() && second.mono >= first.mono);
        assert!(first.wall > Wall::from_micros(1_700_000_000_000_000));
    }

    #[test]
    fn differences_do_not_overflow() {
        let (early, late) = (Mono::from_nanos(5), Mono::from_nanos(2_000_000_000));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(late - early, Duration::from_nanos(1_999_999_995));
        assert_eq!((late.seconds(), early + Duration::MAX), (2, Mono::from_nanos(u64::MAX)));
        assert_eq!((Wall::from_micros(-1).seconds(), Wall::from_micros(1_999_999).seconds()), (0, 1));
    }

    #[test]
    fn a_test_clock_moves_when_told_to() {
        let clock = TestClock::at(Now { wall: Wall::from_micros(7), mono: Mono::from_nanos(1000) });
        clock.advance(Duration::from_micros(3));
        assert_eq!(clock.now(), Now { wall: Wall::from_micros(10), mono: Mono::from_nanos(4000) });
        assert_eq!(clock.now().wall.to_string(), "1970-01-01T00:00:00.00001Z");
    }
}
