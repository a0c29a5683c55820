//! What came in each of the last 60 minutes, made of counters that only rise. Pure, time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::clock::Mono;

/// How many minutes are kept, with the one that has begun.
pub const MINUTES: u64 = 60;
const MINUTE: Duration = Duration::from_mins(1);

/// What is counted, in the order of [`Counts`].
pub const NAMES: [&str; 7] = ["received", "matched", "unmatched", "kernel", "malformed", "refused", "lost"];

/// Counters of the daemon, since it started: messages received, taken by a rule, taken by none; datagrams that the kernel dropped;
/// packets that are no notification; messages that were refused; messages and outcomes that were lost.
pub type Counts = [u64; NAMES.len()];

/// The counters at the beginning of each minute.
#[derive(Debug, Default)]
pub struct Minutes(VecDeque<(u64, Counts)>);

fn minute(at: Mono) -> u64 {
    at.since(Mono::default()).as_secs() / MINUTE.as_secs()
}

impl Minutes {
    /// Notes the counters, if a minute has begun since the last time. The daemon started with zero.
    pub fn note(&mut self, now: Mono, counts: Counts) {
        let now = minute(now);
        match self.0.back() {
            None => self.0.push_back((now, Counts::default())),
            Some((last, _)) if *last < now => self.0.push_back((now, counts)),
            Some(_) => {}
        }
        // The first one is what the second is compared with.
        while self.0.front().is_some_and(|(first, _)| first + MINUTES <= now) {
            self.0.pop_front();
        }
    }

    /// How long ago each minute has begun, and by how much the counters rose in it, the oldest first; the last one has begun. Minutes
    /// before the start, and those in which the machine slept, are left out.
    pub fn grown(&self, now: Mono, counts: Counts) -> Vec<(Duration, Counts)> {
        let ends = self.0.iter().skip(1).map(|(_, counts)| counts).chain([&counts]);
        let rose = |begun: &Counts, ended: &Counts| {
            let mut grown = Counts::default();
            for (place, (begun, ended)) in grown.iter_mut().zip(begun.iter().zip(ended)) {
                *place = ended.saturating_sub(*begun);
            }
            grown
        };
        let since = now.since(Mono::default());
        let begun = |minute: u64| {
            since.saturating_sub(MINUTE.saturating_mul(u32::try_from(minute).unwrap_or(u32::MAX)))
        };
        self.0.iter().zip(ends).map(|((at, first), end)| (begun(*at), rose(first, end))).collect()
    }

    /// How long it is until the next minute begins.
    pub fn until_next(now: Mono) -> Duration {
        let into = now.since(Mono::default()).as_nanos() % MINUTE.as_nanos();
        MINUTE.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_nanos(seconds * 1_000_000_000)
    }

    fn received(n: u64) -> Counts {
        let mut counts = Counts::default();
        counts[0] = n;
        counts
    }

    #[test]
    fn each_minute_has_what_came_in_it_and_an_hour_is_kept() {
        let mut minutes = Minutes::default();
        // It starts in the middle of a minute; one message a second comes.
        for second in 30..=7200 {
            minutes.note(at(second), received(second - 30));
        }
        let grown = minutes.grown(at(7210), received(7180));
        assert_eq!(grown.len(), MINUTES as usize);
        assert_eq!(grown[0], (Duration::from_secs(59 * 60 + 10), received(60)));
        assert_eq!(grown[59], (Duration::from_secs(10), received(10)));
    }

    #[test]
    fn what_came_before_the_first_look_counts_and_a_machine_that_slept_has_no_minutes() {
        let mut minutes = Minutes::default();
        minutes.note(at(65), received(5));
        minutes.note(at(600), received(7));
        let all: Vec<(u64, u64)> = minutes
            .grown(at(601), received(8))
            .into_iter()
            .map(|(age, counts)| (age.as_secs(), counts[0]))
            .collect();
        assert_eq!(all, [(541, 7), (1, 1)]);
        assert_eq!(Minutes::until_next(at(61)), Duration::from_secs(59));
        assert_eq!(Minutes::until_next(at(120)), Duration::from_mins(1));
    }

    #[test]
    fn a_counter_that_is_read_a_little_early_is_no_negative_number() {
        let mut minutes = Minutes::default();
        minutes.note(at(60), received(5));
        minutes.note(at(120), received(5));
        assert_eq!(minutes.grown(at(130), received(4))[1].1, received(0));
    }
}
