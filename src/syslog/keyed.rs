//! Lines without a header whose fields are keys and values: FortiGate, SonicWall, Sophos.

use crate::syslog::stamp::{self, Civil, Stamp};

/// How many fields are looked at: the time and the host stand among the first ones.
const MOST: usize = 24;

/// The time and the host of a line that begins with a key; none if it does not.
pub(super) fn header(text: &str) -> Option<(Option<Stamp>, Option<&str>)> {
    let mut fields = Fields(text).take(MOST).peekable();
    fields.peek()?;
    let (mut date, mut time, mut zone, mut whole, mut host) = (None, None, None, None, None);
    for (key, value) in fields {
        let place = match key {
            "date" => &mut date,
            "time" => &mut time,
            "tz" | "timezone" => &mut zone,
            "timestamp" => &mut whole,
            "devname" | "device_name" => &mut host,
            _ => continue,
        };
        // The first of equal keys holds: what an attacker has a say in comes later.
        place.get_or_insert(value);
    }
    let stamp = match (date, time, whole) {
        (Some(date), Some(time), _) => joined(date, time),
        (None, Some(time), None) => stamp::whole(time),
        (_, _, Some(whole)) => stamp::whole(whole),
        _ => None,
    };
    let offset = zone.and_then(stamp::zone);
    let stamp = stamp.map(|stamp| match stamp {
        Stamp::Civil(civil) => Stamp::Civil(Civil { offset: civil.offset.or(offset), ..civil }),
        other => other,
    });
    Some((stamp, host.filter(|host| !host.is_empty())))
}

/// The time of a date and a time of day.
fn joined(date: &str, time: &str) -> Option<Stamp> {
    // The longest one: `2026-11-20 12:00:01.123456789 +0100`.
    if date.len() + time.len() > 40 {
        return None;
    }
    stamp::whole(&format!("{date} {time}"))
}

/// `key=value` or `key="value"`, with a space or a comma between them.
struct Fields<'l>(&'l str);

impl<'l> Iterator for Fields<'l> {
    type Item = (&'l str, &'l str);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.trim_start_matches([' ', ',']);
        let (key, rest) = text.split_once('=')?;
        let is_key = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if key.is_empty() || key.len() > 64 || !key.bytes().all(is_key) {
            return None;
        }
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find([' ', ',']).unwrap_or(rest.len())),
        };
        self.0 = rest;
        Some((key, value))
    }
}
