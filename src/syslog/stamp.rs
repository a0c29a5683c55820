//! Times as senders write them, before anything is known of their year or zone.

use nom::branch::alt;
use nom::bytes::complete::{take, take_while_m_n, take_while1};
use nom::character::complete::{char, one_of, space1};
use nom::combinator::{map, map_opt, opt, peek, rest, verify};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

/// What reads a part of a line.
pub(super) type Read<'l, T> = IResult<&'l str, T, ()>;

/// A time of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// A date and a time of day.
    Civil(Civil),
    /// Microseconds since 1970 UTC.
    Epoch(i64),
    /// The time since the sender started, which is no date.
    Uptime,
}

/// A date and a time of day. Its numbers have the right number of digits, but may be of no day that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: Option<i16>,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    pub(super) micros: u32,
    /// Seconds east of UTC.
    pub(super) offset: Option<i32>,
}

/// A time of day, and microseconds.
type Clock = (u8, u8, u8, u32);

/// A time with its year and zone, and nothing but a space or a colon behind it.
pub(super) fn stamp(input: &str) -> Read<'_, Stamp> {
    match input.as_bytes() {
        [b'A'..=b'Z', ..] => map(by_month, Stamp::Civil).parse(input),
        // A year with a separator, a day or month with a slash, or seconds with a fraction; other numbers are counters.
        [b'0'..=b'9', _, b'/', ..]
        | [b'0'..=b'9', _, _, _, b'-' | b'/' | b':' | b' ' | b'\t' | b'\r' | b'\n', ..]
        | [b'0'..=b'9', _, _, _, _, _, _, _, _, _, b'.', ..] => {
            alt((map(by_number, Stamp::Civil), epoch)).parse(input)
        }
        _ => Err(nom::Err::Error(())),
    }
}

/// The time since a device started, as Cisco writes it in the place of a time: `00:01:01`, `13w1d`, `2y10w`.
pub(super) fn uptime(input: &str) -> Read<'_, Stamp> {
    let unit = |c: char| c.is_ascii_digit() || matches!(c, 'y' | 'w' | 'd' | 'h' | 'm' | 's');
    let units = verify(take_while1(unit), |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_alphabetic())
    });
    let (rest, ()) = terminated(alt((map(clock, |_| ()), map(units, |_| ()))), end).parse(input)?;
    Ok((rest, Stamp::Uptime))
}

/// `Nov 20 12:00:01` with a year before the time of day or behind it, a day of the week first.
fn by_month(input: &str) -> Read<'_, Civil> {
    // Nearly all times are of this form, which is read in a tenth of what the rest takes.
    if let Some((rest, (month, day, clock))) = fixed(input) {
        let (rest, (year, offset)) = year_and_zone(true, rest)?;
        return Ok((rest, civil(year, month, day, clock, offset)));
    }
    let (input, _) = opt(weekday).parse(input)?;
    let (input, (month, _, day, _)) = (month, space1, day, space1).parse(input)?;
    let (input, between) = opt(terminated(year, char(' '))).parse(input)?;
    let (input, clock) = clock(input)?;
    let (input, (behind, offset)) = year_and_zone(between.is_none(), input)?;
    Ok((input, civil(between.or(behind), month, day, clock, offset)))
}

/// `Nov 20 12:00:01` as RFC 3164 has it, and nothing that could be a fraction behind it.
fn fixed(input: &str) -> Option<(&str, (u8, u8, Clock))> {
    let (text, rest) = input.split_at_checked(15)?;
    let (month, behind) = text.as_bytes().split_at_checked(3)?;
    let &[b' ', day1, day2, b' ', hour1, hour2, b':', minute1, minute2, b':', second1, second2] = behind
    else {
        return None;
    };
    if matches!(rest.as_bytes(), [b'.' | b',', ..]) {
        return None;
    }
    // The tens of a day may be a space.
    let day1 = if day1 == b' ' { b'0' } else { day1 };
    let digits = [day1, day2, hour1, hour2, minute1, minute2, second1, second2];
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |tens: u8, ones: u8| (tens - b'0') * 10 + (ones - b'0');
    let clock = (number(hour1, hour2), number(minute1, minute2), number(second1, second2), 0);
    Some((rest, (number_of_month(month)?, number(day1, day2), clock)))
}

/// `2026-11-20T12:00:01` and its kin, `2026 Nov 20 12:00:01`, `2026:11:20-12:00:01`, `11/20/2026:12:00:01`.
fn by_number(input: &str) -> Read<'_, Civil> {
    let month_first = |input| {
        let (input, (first, _, second, _, year, _)) =
            (digits(2), char('/'), digits(2), char('/'), year, char(':')).parse(input)?;
        // No month is above 12.
        let (month, day) = if first > 12 { (second, first) } else { (first, second) };
        Ok((input, (year, month as u8, day as u8)))
    };
    let numbers = |input| {
        let (input, (year, separator)) = (year, one_of("-/:")).parse(input)?;
        let between = if separator == ':' { "-" } else { "T ,t" };
        let (input, (month, _, day, _)) =
            (digits(2), char(separator), digits(2), one_of(between)).parse(input)?;
        Ok((input, (year, month as u8, day as u8)))
    };
    let year_first =
        map((year, space1, month, space1, day, space1), |(year, _, month, _, day, _)| (year, month, day));
    let (input, (year, month, day)) = alt((numbers, year_first, month_first)).parse(input)?;
    let (input, clock) = clock(input)?;
    let (input, (_, offset)) = year_and_zone(false, input)?;
    Ok((input, civil(Some(year), month, day, clock, offset)))
}

fn civil(year: Option<i16>, month: u8, day: u8, clock: Clock, offset: Option<i32>) -> Civil {
    let (hour, minute, second, micros) = clock;
    Civil { year, month, day, hour, minute, second, micros, offset }
}

/// What may stand behind the time of day: a zone at once or behind a space, a year before or behind it.
fn year_and_zone(may_have_year: bool, input: &str) -> Read<'_, (Option<i16>, Option<i32>)> {
    // Nearly all times end here.
    let mut bytes = input.bytes();
    let is_done = match (bytes.next(), bytes.next()) {
        (Some(b' '), Some(next)) => !matches!(next, b'0'..=b'9' | b'A'..=b'Z' | b'+' | b'-'),
        _ => false,
    };
    if is_done {
        return Ok((input, (None, None)));
    }
    let (input, glued) = opt(alt((offset, map(one_of("Zz"), |_| 0)))).parse(input)?;
    // `2001:db8::1` is no year with a colon behind it.
    let year_ends = verify(rest, |rest: &str| {
        !rest.starts_with(':') || matches!(rest.as_bytes(), [b':'] | [b':', b' ', ..])
    });
    let mut spaced_year = terminated(preceded(char(' '), year), peek((end, year_ends)));
    let spaced_zone =
        |input| terminated(preceded(char(' '), alt((offset, zone_name))), peek(end)).parse(input);
    let mut at = input;
    let (mut year, mut zone) = (None, glued);
    for _ in 0..2 {
        if may_have_year
            && year.is_none()
            && let Ok((rest, found)) = spaced_year.parse(at)
        {
            (at, year) = (rest, Some(found));
        }
        if zone.is_none()
            && let Ok((rest, found)) = spaced_zone(at)
        {
            (at, zone) = (rest, Some(found));
        }
    }
    let (at, ()) = peek(end).parse(at)?;
    Ok((at, (year, zone)))
}

/// The end of a time: a space, a colon or nothing at all.
fn end(input: &str) -> Read<'_, ()> {
    match input.as_bytes() {
        [] | [b' ' | b':' | b'\t', ..] => Ok((input, ())),
        _ => Err(nom::Err::Error(())),
    }
}

/// Seconds since 1970 with a fraction, which tells them from a count.
fn epoch(input: &str) -> Read<'_, Stamp> {
    let seconds = verify(digits(10), |seconds| *seconds >= 1_000_000_000);
    let (rest, (seconds, _, micros, ())) = (seconds, peek(char('.')), fraction, end).parse(input)?;
    Ok((rest, Stamp::Epoch(i64::from(seconds) * 1_000_000 + i64::from(micros))))
}

fn weekday(input: &str) -> Read<'_, ()> {
    let name = verify(take(3_usize), |name: &str| {
        matches!(name, "Mon" | "Tue" | "Wed" | "Thu" | "Fri" | "Sat" | "Sun")
    });
    map((name, opt(char(',')), space1), |_| ()).parse(input)
}

fn month(input: &str) -> Read<'_, u8> {
    map_opt(take(3_usize), |name: &str| number_of_month(name.as_bytes())).parse(input)
}

fn number_of_month(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// A day of one or two digits.
fn day(input: &str) -> Read<'_, u8> {
    map(take_while_m_n(1, 2, |c: char| c.is_ascii_digit()), |text| number(text) as u8).parse(input)
}

/// A year that a device may write.
fn year(input: &str) -> Read<'_, i16> {
    map(verify(digits(4), |year| (1970..2200).contains(year)), |year| year as i16).parse(input)
}

fn clock(input: &str) -> Read<'_, Clock> {
    let (input, (hour, _, minute, _, second)) =
        (digits(2), char(':'), digits(2), char(':'), digits(2)).parse(input)?;
    let (input, micros) = opt(fraction).parse(input)?;
    Ok((input, (hour as u8, minute as u8, second as u8, micros.unwrap_or(0))))
}

/// `.123` or `,123`, in microseconds; what is finer is cut.
fn fraction(input: &str) -> Read<'_, u32> {
    let (input, digits) =
        preceded(one_of(".,"), take_while_m_n(1, 9, |c: char| c.is_ascii_digit())).parse(input)?;
    let first = &digits[..digits.len().min(6)];
    Ok((input, number(first) * 10_u32.pow(6 - first.len() as u32)))
}

/// `+01:00` or `+0100`, in seconds; up to 14 hours (the largest one in use).
fn offset(input: &str) -> Read<'_, i32> {
    let (input, (sign, hours, _, minutes)) =
        (one_of("+-"), digits(2), opt(char(':')), digits(2)).parse(input)?;
    let seconds = (hours * 3600 + minutes * 60) as i32;
    if minutes > 59 || seconds > 14 * 3600 {
        return Err(nom::Err::Error(()));
    }
    Ok((input, if sign == '-' { -seconds } else { seconds }))
}

/// A name that means one offset. There are more names, but they mean several.
pub(super) fn zone_name(input: &str) -> Read<'_, i32> {
    map_opt(take_while1(|c: char| c.is_ascii_uppercase()), zone_of_name).parse(input)
}

/// The offset of a zone's name in seconds.
pub(super) fn zone_of_name(name: &str) -> Option<i32> {
    let hours = match name {
        "Z" | "UTC" | "GMT" | "WET" => 0,
        "WEST" | "CET" => 1,
        "CEST" | "EET" => 2,
        "EEST" => 3,
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        "JST" => 9,
        _ => return None,
    };
    Some(hours * 3600)
}

/// The offset of `+01:00`, `+0100` or a name.
pub(super) fn zone(text: &str) -> Option<i32> {
    match alt((offset, zone_name)).parse(text) {
        Ok(("", offset)) => Some(offset),
        _ => None,
    }
}

/// The whole of a text as a time.
pub(super) fn whole(text: &str) -> Option<Stamp> {
    let (left, stamp) = stamp(text).ok()?;
    let (_, left) = rest::<_, ()>(left).ok()?;
    left.is_empty().then_some(stamp)
}

/// A number of so many digits.
fn digits<'l>(count: usize) -> impl Parser<&'l str, Output = u32, Error = ()> {
    map(take_while_m_n(count, count, |c: char| c.is_ascii_digit()), number)
}

/// The number of at most ten digits; what is beyond a `u32` is the largest.
fn number(digits: &str) -> u32 {
    let number = digits.bytes().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// With a day of the week before it a time is read by the long way.
        #[test]
        fn a_time_of_the_usual_form_is_read_as_any_other(
            date in "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Nev)[ ]{1,2}[0-9 ]{1,2}[ ]{1,2}",
            clock in "[0-9]{2}:[0-9]{2}:[0-9]{2}[0-9.,]?[0-9]{0,3}",
            rest in "(: | |)(2026|CET|Z|[+]01:00|h1|192.0.2.1|)(:| |ä|x)[ -~]{0,6}",
        ) {
            let text = format!("{date}{clock}{rest}");
            let long = format!("Fri {text}");
            prop_assert_eq!(by_month(&text), by_month(&long));
        }
    }
}
