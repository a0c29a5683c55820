//! How many messages of a kind came in each minute of the last hour. Pure.

use std::collections::VecDeque;

use crate::time::clock::Mono;

/// How many minutes are kept.
pub const MINUTES: usize = 60;

/// Counts by minute; only minutes with messages take space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course(VecDeque<(u64, u32)>);

fn minute(at: Mono) -> u64 {
    at.since(Mono::from_nanos(0)).as_secs() / 60
}

impl Course {
    /// Counts a message.
    pub fn count(&mut self, now: Mono) {
        let minute = minute(now);
        match self.0.back_mut() {
            Some((last, count)) if *last == minute => *count = count.saturating_add(1),
            _ => self.0.push_back((minute, 1)),
        }
        while self.0.front().is_some_and(|(first, _)| first + MINUTES as u64 <= minute) {
            self.0.pop_front();
        }
    }

    /// The counts of the last [`MINUTES`] minutes, the oldest first; the last one has begun.
    pub fn minutes(&self, now: Mono) -> Vec<u32> {
        let (minute, mut counts) = (minute(now), vec![0; MINUTES]);
        for (at, count) in &self.0 {
            if let Some(place) =
                minute.checked_sub(*at).and_then(|age| (MINUTES - 1).checked_sub(age as usize))
            {
                counts[place] = *count;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept() {
        let at = |seconds: u64| Mono::from_nanos(seconds * 1_000_000_000);
        let mut course = Course::default();
        for second in 0..7200 {
            course.count(at(second));
        }
        assert_eq!(course.minutes(at(7199)), vec![60; MINUTES]);
        assert_eq!(course.0.len(), MINUTES);
        let later = course.minutes(at(7200 + 30 * 60));
        assert_eq!((later[0], later[28], later[29], later[59]), (60, 60, 0, 0));
        assert_eq!(course.minutes(at(9_999_999)), vec![0; MINUTES]);
    }
}
