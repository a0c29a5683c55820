//! One line of syslog to a [`SyslogLine`].

use std::borrow::Cow;

use jiff::tz::TimeZone;

use crate::body::Bodies;
use crate::message::{SyslogClock, SyslogLine};
use crate::syslog::header::{self, Header};
use crate::syslog::tag::repeated;
use crate::syslog::{keyed, moment, rfc5424, security, wrappers};

/// Reads a line that was received at a time in microseconds since 1970 UTC, with times without a zone in the time zone of
/// this machine. See [`parse_line_in`].
pub fn parse_line(line: &str, received: i64) -> SyslogLine<'_> {
    parse_line_in(line, received, &TimeZone::system())
}

/// Reads a line of RFC 5424, of RFC 3164 or of what vendors make of it. All text is in a field or in the message, except
/// what separates fields, counters and the kinds of numbers that docs/syslog.md lists.
///
/// `received` is in microseconds since 1970 UTC; it gives the year that a time may lack. `zone` is that of times that name
/// none.
pub fn parse_line_in<'l>(line: &'l str, received: i64, zone: &TimeZone) -> SyslogLine<'l> {
    let line = without_boms(line.trim_end_matches(['\0', '\r', '\n']));
    let start = match line.as_bytes().first() {
        // Nearly all lines.
        Some(b'<') => line,
        _ => line.trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '\0' | BOM)),
    };
    let (facility, severity, behind) = match priority(start) {
        Some((facility, severity, behind)) => (facility, severity, Some(behind)),
        None => (None, None, None),
    };
    let text = behind.unwrap_or(start);
    let of_rfc_5424 = behind.and_then(|behind| rfc5424::read(start, behind));
    let (fields, message) = of_rfc_5424.unwrap_or_else(|| match bsd(text) {
        Some((header, message)) => (rfc5424::Fields { header, ..rfc5424::Fields::default() }, message),
        // Without a header the text is the message as it is.
        None => (rfc5424::Fields::default(), behind.unwrap_or(line)),
    });
    let Header { stamp, unsure, tag } = fields.header;
    let time = fields.time.or_else(|| moment::micros(stamp?, received, zone));
    // RFC 5424, section 6.4: it marks the encoding and is no part of the text.
    let message = without_boms(message);
    let is_unsure = unsure || !is_synchronized(&fields) || time.is_some_and(|time| is_far(time, received));
    // rsyslog writes the space behind a tag also where it sends RFC 5424, as the first character of the message.
    let text = message.strip_prefix(' ').unwrap_or(message);
    let tcp_wrappers = wrappers::parse(tag.program, text);
    SyslogLine {
        facility,
        severity,
        time,
        clock: is_unsure.then_some(SyslogClock::Unsure),
        host: tag.host,
        program: tag.program,
        pid: tag.pid.map(Cow::Borrowed),
        msgid: tag.msgid,
        structured_data: fields.structured_data,
        message,
        repeated: repeated(message),
        truncated: false,
        tls: None,
        security: security::parse(tag.program, text, tcp_wrappers.as_ref()),
        tcp_wrappers,
        bodies: Bodies::default(),
    }
}

const BOM: char = '\u{feff}';

/// A text without the byte order marks that it begins with. Its first octet says whether there may be any.
fn without_boms(text: &str) -> &str {
    match text.as_bytes().first() {
        Some(0xef) => text.trim_start_matches(BOM),
        _ => text,
    }
}

/// A line behind its priority that is not of RFC 5424; none if it has no header.
fn bsd(text: &str) -> Option<(Header<'_>, &str)> {
    let start = text.trim_start_matches(' ');
    // A key in small letters, as all of them are.
    if start.starts_with(|c: char| c.is_ascii_lowercase())
        && let Some((stamp, host)) = keyed::header(start)
    {
        let mut header = Header { stamp, ..Header::default() };
        header.tag.host = host;
        return Some((header, start));
    }
    header::header(text)
}

/// Facility and severity out of `<pri>`, and what is behind it. Numbers above 191 have neither (RFC 5424, section 6.2.1).
fn priority(line: &str) -> Option<(Option<u8>, Option<u8>, &str)> {
    let (digits, behind) = line.strip_prefix('<')?.split_once('>')?;
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match digits.parse::<u8>() {
        Ok(number) if number < 192 => Some((Some(number / 8), Some(number % 8), behind)),
        _ => Some((None, None, behind)),
    }
}

/// Whether the sender does not say that its clock is not set (RFC 5424, section 7.1.2).
fn is_synchronized(fields: &rfc5424::Fields<'_>) -> bool {
    let quality = fields.structured_data.iter().filter(|element| element.id == "timeQuality");
    !quality.flat_map(|element| &element.params).any(|(name, value)| *name == "isSynced" && value == "0")
}

/// Whether a time is more than a day away from the reception.
fn is_far(time: i64, received: i64) -> bool {
    time.abs_diff(received) > 86_400_000_000
}

#[cfg(test)]
#[path = "corpus_tests.rs"]
mod corpus_tests;
#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod dialect_tests;
