//! How many messages of a kind came in each minute of the last hour. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::clock::{Mono, Now, Wall};

/// How many minutes are kept.
pub const MINUTES: usize = 60;

/// Counts by minute; only minutes with messages take space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course {
    here: VecDeque<Minute>,
    /// Those of the run before. Its monotonic clock may be another one, so they have the minute of the wall clock.
    earlier: Vec<(i64, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Minute {
    at: u64,
    wall: i64,
    count: u32,
}

fn minute(at: Mono) -> u64 {
    at.since(Mono::from_nanos(0)).as_secs() / 60
}

fn wall_minute(at: Wall) -> i64 {
    at.micros().div_euclid(60_000_000)
}

impl Course {
    /// Counts a message.
    pub fn count(&mut self, now: Now) {
        let (at, wall) = (minute(now.mono), wall_minute(now.wall));
        match self.here.back_mut() {
            Some(last) if last.at == at => last.count = last.count.saturating_add(1),
            _ => {
                self.here.push_back(Minute { at, wall, count: 1 });
                self.earlier.retain(|(earlier, _)| is_kept(wall, *earlier));
            }
        }
        while self.here.front().is_some_and(|first| first.at + MINUTES as u64 <= at) {
            self.here.pop_front();
        }
    }

    /// The counts of the last [`MINUTES`] minutes, the oldest first; the last one has begun.
    pub fn minutes(&self, now: Now) -> Vec<u32> {
        let (at, wall, mut counts) = (minute(now.mono), wall_minute(now.wall), vec![0_u32; MINUTES]);
        let here = self.here.iter().map(|one| (at.checked_sub(one.at), one.count));
        let earlier =
            self.earlier.iter().map(|(earlier, count)| (u64::try_from(wall - earlier).ok(), *count));
        for (age, count) in here.chain(earlier) {
            let age = age.and_then(|age| usize::try_from(age).ok());
            if let Some(place) = age.and_then(|age| (MINUTES - 1).checked_sub(age)) {
                counts[place] = counts[place].saturating_add(count);
            }
        }
        counts
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.here.is_empty() && self.earlier.is_empty()
    }
}

/// Whether a minute is one of the last [`MINUTES`] ones. What is ahead of the wall clock is not shown, and goes with the hour.
fn is_kept(now: i64, earlier: i64) -> bool {
    now.saturating_sub(earlier).unsigned_abs() < MINUTES as u64
}

/// As `[minute since 1970, count]` each.
impl Serialize for Course {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let last = self.here.back().map(|last| last.wall);
        let earlier = self.earlier.iter().filter(|(at, _)| last.is_none_or(|last| is_kept(last, *at)));
        to.collect_seq(earlier.copied().chain(self.here.iter().map(|one| (one.wall, one.count))))
    }
}

impl<'de> Deserialize<'de> for Course {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut earlier = Vec::<(i64, u32)>::deserialize(from)?;
        // Runs that follow each other within an hour have up to two entries for a minute, and no more is kept of any file.
        earlier.drain(..earlier.len().saturating_sub(2 * MINUTES));
        Ok(Course { here: VecDeque::new(), earlier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many seconds after a start, at which the monotonic clock begins.
    fn after(start: i64, seconds: u64) -> Now {
        let wall = Wall::from_micros((start + i64::try_from(seconds).unwrap()) * 1_000_000);
        Now { wall, mono: Mono::from_nanos(seconds * 1_000_000_000) }
    }

    fn at(seconds: u64) -> Now {
        after(1_700_000_000, seconds)
    }

    fn again(course: &Course) -> Course {
        serde_json::from_str(&serde_json::to_string(course).unwrap()).unwrap()
    }

    #[test]
    fn a_restart_and_one_of_the_machine_keep_what_came_in_the_last_hour() {
        let mut course = Course::default();
        (0..600).for_each(|second| course.count(after(6_000_000, second)));
        // The monotonic clock of the machine begins anew; ten minutes have passed meanwhile.
        let mut later = again(&course);
        later.count(after(6_001_200, 5));
        let counts = later.minutes(after(6_001_200, 5));
        assert_eq!(
            (&counts[38..41], &counts[49..51], counts[59]),
            (&[0, 60, 60][..], &[0, 0][..], 1),
            "{counts:?}"
        );
        assert_eq!(counts.iter().sum::<u32>(), 601);
        // Once more in the same minute.
        let mut last = again(&later);
        last.count(after(6_001_200, 6));
        assert_eq!(last.minutes(after(6_001_200, 6))[59], 2);
        assert_eq!(again(&last).minutes(after(6_001_200, 6)), last.minutes(after(6_001_200, 6)));
        // After an hour nothing of it is left, and no file makes it larger.
        last.count(after(6_001_200, 7200));
        assert!(last.earlier.is_empty());
        let long: Course =
            serde_json::from_value((0..10_000).map(|n| serde_json::json!([n, 1])).collect()).unwrap();
        assert_eq!(long.earlier.len(), 2 * MINUTES);
    }

    #[test]
    fn steps_of_the_wall_clock_do_not_change_what_came_since_the_start() {
        let mut course = Course::default();
        course.count(at(5));
        for wall in [0, 1_700_000_000, 9_000_000_000] {
            assert_eq!(course.minutes(after(wall, 10))[59], 1);
        }
        let course = again(&course);
        for wall in [0, 9_000_000_000] {
            assert_eq!(course.minutes(after(wall, 10)).iter().sum::<u32>(), 0);
        }
    }

    #[test]
    fn an_hour_is_kept() {
        let mut course = Course::default();
        for second in 0..7200 {
            course.count(at(second));
        }
        assert_eq!(course.minutes(at(7199)), vec![60; MINUTES]);
        assert_eq!(course.here.len(), MINUTES);
        let later = course.minutes(at(7200 + 30 * 60));
        assert_eq!((later[0], later[28], later[29], later[59]), (60, 60, 0, 0));
        assert_eq!(course.minutes(at(9_999_999)), vec![0; MINUTES]);
    }
}
