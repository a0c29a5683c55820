//! Days and times of day in a time zone.

use std::collections::BTreeSet;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// For how many days the next time is looked for: more than four years, so that a 29th of February comes.
const DAYS_AHEAD: usize = 1500;
/// The names of the days of the week.
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Certain days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Days {
    /// A bit for each day of the week, Monday first.
    week: u8,
    /// Days that are none of them.
    except: BTreeSet<Date>,
}

impl Default for Days {
    fn default() -> Self {
        Days { week: 0x7f, except: BTreeSet::new() }
    }
}

impl Days {
    /// Reads days of the week: `mon`, `mon-fri`, `sat,sun`; a range may go over Sunday.
    ///
    /// # Errors
    ///
    /// The part that is no day.
    pub fn of_week(text: &str) -> Result<Self, String> {
        let mut week = 0;
        for part in text.split(',').map(str::trim) {
            let day = |name: &str| NAMES.iter().position(|known| *known == name.trim().to_ascii_lowercase());
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Some(first), Some(last)) = (day(first), day(last)) else { return Err(part.to_owned()) };
            let mut at = first;
            week |= 1 << last;
            while at != last {
                week |= 1 << at;
                at = (at + 1) % 7;
            }
        }
        Ok(Days { week, except: BTreeSet::new() })
    }

    /// The same without a day.
    pub fn exclude(&mut self, date: Date) {
        self.except.insert(date);
    }

    /// Whether a day is one of them.
    pub fn has(&self, date: Date) -> bool {
        let day = match date.weekday() {
            Weekday::Monday => 0,
            Weekday::Tuesday => 1,
            Weekday::Wednesday => 2,
            Weekday::Thursday => 3,
            Weekday::Friday => 4,
            Weekday::Saturday => 5,
            Weekday::Sunday => 6,
        };
        self.week & (1 << day) != 0 && !self.except.contains(&date)
    }
}

/// A time of day on certain days in a time zone.
#[derive(Debug, Clone)]
pub struct Daily {
    /// The time of day.
    pub time: Time,
    /// The days.
    pub days: Days,
    /// The time zone.
    pub zone: TimeZone,
}

impl Daily {
    /// The first such time after another one, both in microseconds since 1970 UTC; none if there is none in four years. Where
    /// clocks are put forward over it, it is as much later; where they are put back, it is the second one.
    pub fn after(&self, micros: i64) -> Option<i64> {
        let from = Timestamp::from_microsecond(micros).ok()?;
        // The day before, as a time that was put forward can be on the next day.
        let mut date = from.to_zoned(self.zone.clone()).date().yesterday().ok()?;
        for _ in 0..DAYS_AHEAD {
            if self.days.has(date) {
                let at = self.zone.to_ambiguous_timestamp(date.to_datetime(self.time)).later().ok()?;
                if at > from {
                    return Some(at.as_microsecond());
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }
}

/// A part of the day on certain days in a time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// The days. A part that goes over midnight belongs to the day on which it begins.
    pub days: Days,
    /// The time of day at which it begins.
    pub from: Time,
    /// The time of day at which it ends, on the next day if that is not later; what is at this time is outside.
    pub to: Time,
    /// The time zone.
    pub zone: TimeZone,
}

impl Hours {
    /// Whether a time, in microseconds since 1970 UTC, is inside.
    pub fn covers(&self, micros: i64) -> bool {
        let Ok(at) = Timestamp::from_microsecond(micros) else { return false };
        let at = at.to_zoned(self.zone.clone());
        let (date, time) = (at.date(), at.time());
        if self.from < self.to {
            return self.days.has(date) && self.from <= time && time < self.to;
        }
        let of_before = || date.yesterday().is_ok_and(|before| self.days.has(before));
        (time >= self.from && self.days.has(date)) || (time < self.to && of_before())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_go_over_midnight_and_follow_the_clocks_of_their_zone() {
        let hours = |days: &str, from: &str, to: &str| Hours {
            days: Days::of_week(days).unwrap(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            zone: TimeZone::get("Europe/Vienna").unwrap(),
        };
        let covers =
            |hours: &Hours, at: &str| hours.covers(at.parse::<Timestamp>().unwrap().as_microsecond());
        let work = hours("mon-fri", "07:00", "19:00");
        // A Friday in November, CET, and one in July, CEST.
        for (at, inside) in [
            ("2026-11-27T05:59:59Z", false),
            ("2026-11-27T06:00:00Z", true),
            ("2026-11-27T17:59:59Z", true),
            ("2026-11-27T18:00:00Z", false),
            ("2026-11-28T12:00:00Z", false),
            ("2026-07-03T05:00:00Z", true),
            ("2026-07-03T17:00:00Z", false),
        ] {
            assert_eq!(covers(&work, at), inside, "{at}");
        }
        let mut night = hours("fri", "22:00", "06:00");
        for (at, inside) in [
            ("2026-11-27T04:00:00Z", false),
            ("2026-11-27T21:00:00Z", true),
            ("2026-11-28T04:59:59Z", true),
            ("2026-11-28T05:00:00Z", false),
            ("2026-11-28T21:30:00Z", false),
        ] {
            assert_eq!(covers(&night, at), inside, "{at}");
        }
        night.days.exclude("2026-11-27".parse().unwrap());
        assert!(!covers(&night, "2026-11-28T03:00:00Z"), "the night of a holiday");
        let whole = hours("sat", "00:00", "00:00");
        for (at, inside) in [
            ("2026-11-27T22:59:59Z", false),
            ("2026-11-27T23:00:00Z", true),
            ("2026-11-28T22:59:59Z", true),
            ("2026-11-28T23:00:00Z", false),
        ] {
            assert_eq!(covers(&whole, at), inside, "{at}");
        }
    }

    fn daily(time: &str, days: &str, zone: &str) -> Daily {
        Daily {
            time: time.parse().unwrap(),
            days: Days::of_week(days).unwrap(),
            zone: TimeZone::get(zone).unwrap(),
        }
    }

    fn next(daily: &Daily, after: &str) -> String {
        let after: Timestamp = after.parse().unwrap();
        let at = daily.after(after.as_microsecond()).unwrap();
        Timestamp::from_microsecond(at).unwrap().to_string()
    }

    #[test]
    fn clocks_that_are_put_forward_or_back_mean_the_later_time() {
        let vienna = daily("02:30", "mon-sun", "Europe/Vienna");
        // There is no 02:30 on this day: 03:30 CEST.
        assert_eq!(next(&vienna, "2027-03-27T12:00:00Z"), "2027-03-28T01:30:00Z");
        assert_eq!(next(&vienna, "2027-03-28T01:30:00Z"), "2027-03-29T00:30:00Z");
        // There are two: the second, in CET.
        assert_eq!(next(&vienna, "2026-10-24T12:00:00Z"), "2026-10-25T01:30:00Z");
        assert_eq!(next(&vienna, "2026-10-25T00:30:00Z"), "2026-10-25T01:30:00Z");
    }

    #[test]
    fn days_of_the_week_and_exceptions() {
        let mut work = daily("06:00", "mon-fri", "UTC");
        assert_eq!(next(&work, "2026-11-27T06:00:00Z"), "2026-11-30T06:00:00Z");
        work.days.exclude("2026-11-30".parse().unwrap());
        assert_eq!(next(&work, "2026-11-27T06:00:00Z"), "2026-12-01T06:00:00Z");
        let weekend = daily("06:00", "Sat - mon", "UTC");
        assert_eq!(next(&weekend, "2026-11-23T07:00:00Z"), "2026-11-28T06:00:00Z");
        assert_eq!(Days::of_week("mon,xyz"), Err("xyz".to_owned()));
    }
}
