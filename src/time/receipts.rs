//! When messages were received, by the monotonic clock. Pure.
//!
//! Records keep the time of the wall clock, which people and servers read. How long ago that was must not depend on what the wall
//! clock is set to meanwhile, so [`Receipts`] remembers for each record by how much the wall clock was ahead of the monotonic one
//! when it came: a few numbers, as this changes only where the wall clock is set.
//!
//! What came before this process started has no such number. Its age is estimated: at the start of the process it is the
//! difference of the wall clocks then and when it came, from zero to [`LONGEST_BEFORE`]; from then on it rises with the monotonic
//! clock.

use std::time::Duration;

use super::clock::{Mono, Now};

/// The longest time before the start of a process that is taken for the age of a message.
pub const LONGEST_BEFORE: Duration = Duration::from_hours(31 * 24);
/// Steps of the wall clock of less than this, in microseconds, are not told from the time between two looks at clocks.
const SMALLEST_STEP: i64 = 1000;
/// How many steps are remembered.
const MOST_STEPS: usize = 64;

/// A moment on the monotonic clock, in microseconds since the machine booted. It may be before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(i64);

impl Moment {
    /// This many microseconds after the machine booted; before, if they are negative.
    pub const fn from_micros(micros: i64) -> Self {
        Moment(micros)
    }

    /// Microseconds since the machine booted.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// How long ago it is; zero for a later one.
    pub fn age(self, now: Mono) -> Duration {
        Duration::from_micros(u64::try_from(micros(now).saturating_sub(self.0)).unwrap_or(0))
    }
}

impl From<Mono> for Moment {
    fn from(mono: Mono) -> Self {
        Moment(micros(mono))
    }
}

/// By how much the wall clock was ahead when records were received.
#[derive(Debug, Clone)]
pub struct Receipts {
    start: Now,
    /// By the first record of which it is true.
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    from: u64,
    /// How many microseconds the wall clock was ahead of the monotonic one, at least and at most.
    least: i64,
    most: i64,
}

impl Receipts {
    /// What is known when a process starts.
    pub fn new(start: Now) -> Self {
        Receipts { start, steps: Vec::new() }
    }

    /// The next records, from a number on, were received at about this time. Returns whether that changes anything.
    pub fn note(&mut self, from: u64, now: Now) -> bool {
        let ahead = ahead(now);
        if let Some(last) = self.steps.last_mut() {
            let (least, most) = (last.least.min(ahead), last.most.max(ahead));
            if most.saturating_sub(least) <= SMALLEST_STEP {
                let better = most > last.most;
                (last.least, last.most) = (least, most);
                return better;
            }
        }
        self.steps.push(Step { from, least: ahead, most: ahead });
        if self.steps.len() > MOST_STEPS {
            let forgotten = self.steps.remove(0);
            self.steps[0].from = forgotten.from;
        }
        true
    }

    /// When a record was received, by its number and by what the wall clock said then, in microseconds since 1970. Never later
    /// than `now`.
    #[inline]
    pub fn received(&self, sequence: u64, wall: i64, now: Mono) -> Moment {
        let known = self.steps.partition_point(|step| step.from <= sequence);
        let start = Moment::from(self.start.mono);
        let moment = match known.checked_sub(1).and_then(|at| self.steps.get(at)) {
            // The monotonic clock is read second: whatever comes in between makes the difference smaller, never larger.
            Some(step) => Moment(wall.saturating_sub(step.most)).min(now.into()),
            None => Moment(wall.saturating_sub(ahead(self.start))).min(start),
        };
        let longest = i64::try_from(LONGEST_BEFORE.as_micros()).unwrap_or(i64::MAX);
        moment.max(Moment(start.0.saturating_sub(longest)))
    }
}

fn micros(mono: Mono) -> i64 {
    i64::try_from(mono.nanos() / 1000).unwrap_or(i64::MAX)
}

fn ahead(now: Now) -> i64 {
    now.wall.micros().saturating_sub(micros(now.mono))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::clock::Wall;

    const START: i64 = 1_700_000_000_000_000;
    const HOUR: i64 = 3_600_000_000;

    fn at(seconds: i64, stepped: i64) -> Now {
        let mono = Mono::from_nanos((5000 + seconds as u64) * 1_000_000_000);
        Now { wall: Wall::from_micros(START + seconds * 1_000_000 + stepped), mono }
    }

    #[test]
    fn what_came_before_the_start_is_estimated_within_bounds() {
        let receipts = Receipts::new(at(0, 0));
        let age = |wall, now: Now| receipts.received(1, wall, now.mono).age(now.mono).as_secs();
        assert_eq!(age(START - 60_000_000, at(0, 0)), 60);
        assert_eq!(age(START - 60_000_000, at(10, -5 * HOUR)), 70, "steps from then on change nothing");
        assert_eq!(age(START + HOUR, at(10, 0)), 10, "what comes from the future is new at the start");
        assert_eq!(age(0, at(10, 0)), LONGEST_BEFORE.as_secs() + 10);
        assert_eq!(age(i64::MIN, at(10, 0)), LONGEST_BEFORE.as_secs() + 10);
        assert_eq!(age(i64::MAX, at(10, 0)), 10);
    }

    #[test]
    fn many_steps_take_no_more_room() {
        let mut receipts = Receipts::new(at(0, 0));
        for step in 0..1000 {
            receipts.note(step as u64 + 1, at(step, step * HOUR));
        }
        assert_eq!(receipts.steps.len(), MOST_STEPS);
        let now = at(1000, 0).mono;
        assert_eq!(receipts.received(1000, at(999, 999 * HOUR).wall.micros(), now).age(now).as_secs(), 1);
        assert!(receipts.received(1, START, now).age(now) <= LONGEST_BEFORE + Duration::from_secs(1000));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 1000, ..ProptestConfig::default() })]

        /// Whatever the wall clock is set to, ages are those of the monotonic clock, but for the smallest step.
        #[test]
        fn ages_are_true_whatever_the_wall_clock_does(
            steps in prop::collection::vec((0i64..100_000, prop_oneof![Just(0), -5 * HOUR..5 * HOUR, -2000i64..2000]), 1..40)
        ) {
            let mut receipts = Receipts::new(at(0, 0));
            let (mut seconds, mut records) = (0, Vec::new());
            for (number, (passed, stepped)) in (1u64..).zip(steps) {
                seconds += passed;
                let now = at(seconds, stepped);
                receipts.note(number, now);
                records.push((number, now));
            }
            let end = at(seconds + 1, 0).mono;
            for (number, then) in records {
                let age = receipts.received(number, then.wall.micros(), end).age(end);
                let wrong = age.abs_diff(end.since(then.mono));
                prop_assert!(wrong <= Duration::from_micros(SMALLEST_STEP.unsigned_abs()), "{number}: {wrong:?}");
            }
        }
    }
}
