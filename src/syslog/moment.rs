//! From the time that a line carries to the moment that it means: its year and its zone.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::syslog::stamp::{Civil, Stamp};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The moment in microseconds since 1970 UTC; none for an uptime and for a date that does not exist.
///
/// A time without a year is the one nearest to `received`. A time without a zone is one of `zone`: of two such moments
/// (clocks go back) the earlier one, and where there is none (clocks go forward) the one by the offset before.
pub(super) fn micros(stamp: Stamp, received: i64, zone: &TimeZone) -> Option<i64> {
    match stamp {
        Stamp::Epoch(micros) => Some(micros),
        Stamp::Uptime => None,
        Stamp::Civil(civil) => match civil.year {
            Some(year) => in_year(&civil, year.into(), zone),
            None => nearest(&civil, received, zone),
        },
    }
}

/// The moment of the year that is nearest to the time of reception. February 29 belongs to the nearest year that has it.
fn nearest(civil: &Civil, received: i64, zone: &TimeZone) -> Option<i64> {
    let year = year_of(received);
    let this = in_year(civil, year, zone);
    // Nearly all lines are of this year.
    if let Some(this) = this.filter(|this| this.abs_diff(received) < 182 * DAY as u64) {
        return Some(this);
    }
    // Leap years are up to eight years apart.
    let reach = if (civil.month, civil.day) == (2, 29) { 8 } else { 1 };
    let years = (year - reach..=year + reach).filter_map(|year| in_year(civil, year, zone));
    years.min_by_key(|moment| moment.abs_diff(received))
}

fn in_year(civil: &Civil, year: i64, zone: &TimeZone) -> Option<i64> {
    let (month, day) = (i64::from(civil.month), i64::from(civil.day));
    // A leap second is the second before it.
    let second = if civil.second == 60 { 59 } else { civil.second };
    let is_time = civil.hour < 24 && civil.minute < 60 && second < 60;
    if !is_time || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let of_day = i64::from(civil.hour) * 3600 + i64::from(civil.minute) * 60 + i64::from(second);
    let local = days_before(year, month, day) * 86_400 + of_day;
    let offset = match civil.offset {
        Some(offset) => i64::from(offset),
        None => offset_at(year, civil, second, local, zone)?,
    };
    Some((local - offset) * SECOND + i64::from(civil.micros))
}

/// The offset of a zone at a local time, in seconds.
fn offset_at(year: i64, civil: &Civil, second: u8, local: i64, zone: &TimeZone) -> Option<i64> {
    if let Ok(fixed) = zone.to_fixed_offset() {
        return Some(fixed.seconds().into());
    }
    let (year, month, day) = (i16::try_from(year).ok()?, civil.month as i8, civil.day as i8);
    let time = (civil.hour as i8, civil.minute as i8, second as i8);
    let time = DateTime::new(year, month, day, time.0, time.1, time.2, 0).ok()?;
    Some(local - zone.to_ambiguous_timestamp(time).compatible().ok()?.as_second())
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days from 1970-01-01 to a day. Years begin in March, so that the leap day is the last one.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

/// The year of a moment, in UTC.
fn year_of(micros: i64) -> i64 {
    let days = micros.div_euclid(DAY);
    // The average length of a year is right up to a day.
    let year = 1970 + (days * 400).div_euclid(146_097);
    if days < days_before(year, 1, 1) {
        year - 1
    } else if days >= days_before(year + 1, 1, 1) {
        year + 1
    } else {
        year
    }
}

#[cfg(test)]
#[path = "moment_tests.rs"]
mod tests;
