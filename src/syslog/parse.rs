//! One line of syslog to a [`SyslogLine`].

use std::borrow::Cow;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use syslog_loose::{IncompleteDate, ProcId, Protocol, Variant};

use crate::message::{StructuredElement, SyslogLine};
use crate::syslog::wrappers;

/// Reads a line of RFC 5424 or RFC 3164; what is neither becomes the message as it is.
///
/// `received` is in microseconds since 1970 UTC. It gives the year that a RFC 3164 time lacks; such a time is
/// read in the time zone of this machine.
pub fn parse_line(line: &str, received: i64) -> SyslogLine<'_> {
    let line = line.trim_start_matches(BOM);
    let line = line.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
    let parsed = syslog_loose::parse_message_with_year(line, |date| year_of(date, received), Variant::Either);
    let (facility, severity) = priority(line);
    let mut fields = Fields {
        time: parsed.timestamp.map(|t| t.timestamp_micros()),
        host: parsed.hostname,
        program: parsed.appname,
        pid: parsed.procid.map(|p| match p {
            ProcId::PID(number) => Cow::Owned(number.to_string()),
            ProcId::Name(name) => Cow::Borrowed(name),
        }),
        structured_data: parsed.structured_data.into_iter().map(element).collect(),
        message: parsed.msg,
    };
    if parsed.protocol == Protocol::RFC3164 {
        fields.of_rfc_3164(line);
    }
    // RFC 5424, section 6.4: it marks the encoding and is no part of the text.
    let message = fields.message.trim_start_matches(BOM);
    SyslogLine {
        facility,
        severity,
        time: fields.time,
        host: fields.host,
        program: fields.program,
        pid: fields.pid,
        msgid: parsed.msgid,
        structured_data: fields.structured_data,
        message,
        tcp_wrappers: wrappers::parse(fields.program, message),
    }
}

const BOM: char = '\u{feff}';

fn element(element: syslog_loose::StructuredElement<&str>) -> StructuredElement<'_> {
    StructuredElement {
        id: element.id,
        params: element.params.into_iter().map(|(name, value)| (name, unescape(value))).collect(),
    }
}

/// What depends on how the header is read.
struct Fields<'l> {
    time: Option<i64>,
    host: Option<&'l str>,
    program: Option<&'l str>,
    pid: Option<Cow<'l, str>>,
    structured_data: Vec<StructuredElement<'l>>,
    message: &'l str,
}

impl<'l> Fields<'l> {
    /// Corrects what was taken for host and tag: any two words, if there is a time before them.
    fn of_rfc_3164(&mut self, line: &'l str) {
        if self.program.is_none() {
            self.tag_alone(line);
        }
        if self.time.is_none() {
            return;
        }
        if let Some(year) = self.host.and_then(year) {
            self.year_behind_time(line, year);
        }
        if let Some(text) = self.host.filter(|host| !may_be_host(host)) {
            self.give_back(line, text);
            self.host = None;
        }
        if let Some(text) = self.program.filter(|program| program.contains(['=', '"', '{'])) {
            self.give_back(line, text);
        }
        let brackets = |host: &'l str| host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        self.host = self.host.map(|host| brackets(host).unwrap_or(host));
    }

    /// Finds the tag of a line that names no host or has no time.
    fn tag_alone(&mut self, line: &'l str) {
        if let Some(tag) = self.host.filter(|_| self.message.starts_with(' ') || self.time.is_some()) {
            // A line without a host, as libc's syslog() writes it, whose tag has no pid: `cron: text`.
            if let Some(at) = tag.strip_suffix(':') {
                (self.host, self.program) = (None, Some(at));
            } else if from(line, tag).is_some_and(|rest| rest[tag.len()..].starts_with(':')) {
                (self.host, self.program) = (None, Some(tag));
            }
        } else if self.host.is_none() && self.time.is_none() {
            let (tag, found, rest) = bare_tag(self.message);
            (self.program, self.message) = (tag, rest);
            self.pid = found.map(Cow::Borrowed);
        }
    }

    /// `Nov 24 10:00:00 2026 host tag[pid]: text`, as Aruba's devices write it: the year was taken for the host.
    fn year_behind_time(&mut self, line: &'l str, year: i32) {
        let Some(behind) = self.host.and_then(|host| from(line, host)) else { return };
        let (head, rest) = (&line[..line.len() - behind.len()], &behind[4..]);
        let dated = syslog_loose::parse_message_with_year(head.trim_end(), |_| year, Variant::RFC3164);
        self.time = dated.timestamp.map(|t| t.timestamp_micros());
        let (first, text) = word(rest.trim_start());
        let (host, text) = if tag(first).is_some() { (None, rest.trim_start()) } else { (Some(first), text) };
        self.host = host.filter(|host| !host.is_empty());
        (self.program, self.pid, self.message) = match tag_of(text) {
            Some((name, pid, message)) => (Some(name), pid.map(Cow::Borrowed), message),
            None => (None, None, text),
        };
        self.structured_data.clear();
    }

    /// What begins with this part of the line is the message, and no header.
    fn give_back(&mut self, line: &'l str, text: &'l str) {
        if let Some(message) = from(line, text) {
            (self.program, self.pid, self.message) = (None, None, message);
            self.structured_data.clear();
        }
    }
}

/// Whether a word can be a host's name or address (RFC 952, RFC 4291), with what devices put around it.
fn may_be_host(word: &str) -> bool {
    !word.contains(['=', '"', ',', ';', '/', '{', '}'])
}

/// The line from a part of it on.
fn from<'l>(line: &'l str, part: &'l str) -> Option<&'l str> {
    // `part` is a slice of `line`, so that the addresses tell where it begins.
    line.get((part.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?..)
}

/// A year that a device may write.
fn year(word: &str) -> Option<i32> {
    let digits = word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|year| digits && (1970..2200).contains(year))
}

/// The first word and what is behind it.
fn word(text: &str) -> (&str, &str) {
    text.split_once(' ').map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

/// Name and pid of `name:`, `name[pid]:` or `name[pid]`.
fn tag(word: &str) -> Option<(&str, Option<&str>)> {
    let name = word.strip_suffix(':');
    match name.unwrap_or(word).strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((name, pid)) => Some((name, Some(pid))),
        None => name.map(|name| (name, None)),
    }
    .filter(|(name, _)| !name.is_empty())
}

/// A tag with name and pid, and the text behind it.
fn tag_of(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let (first, rest) = word(text);
    tag(first).map(|(name, pid)| (name, pid, rest))
}

/// Facility and severity out of `<pri>`; 0 to 191 (RFC 5424, section 6.2.1).
fn priority(line: &str) -> (Option<u8>, Option<u8>) {
    let number =
        line.strip_prefix('<').and_then(|l| l.split_once('>')).map(|(n, _)| n).filter(|n| n.len() <= 3);
    match number.and_then(|n| n.parse::<u8>().ok()) {
        Some(number) if number < 192 => (Some(number / 8), Some(number % 8)),
        _ => (None, None),
    }
}

/// `<pri>tag[pid]: text` without a time, as some devices and `logger` before RFC 3164 send it.
fn bare_tag(line: &str) -> (Option<&str>, Option<&str>, &str) {
    let after_pri = match line.strip_prefix('<').and_then(|l| l.split_once('>')) {
        Some((number, rest)) if number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => line,
    };
    let nothing = (None, None, after_pri);
    let Some((tag, text)) = after_pri.split_once(": ") else { return nothing };
    let (name, pid) = match tag.strip_suffix(']').and_then(|t| t.split_once('[')) {
        Some((name, pid)) => (name, Some(pid)),
        None => (tag, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@');
    if name.is_empty() || name.len() > 48 || !name.chars().all(plain) {
        return nothing;
    }
    (Some(name), pid, text)
}

/// RFC 5424, section 6.3.3: `\"`, `\\` and `\]` stand for the character.
fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('"' | '\\' | ']')) => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// The year of a date without one: that of the date nearest to the time of reception (microseconds since 1970). February
/// 29 belongs to the nearest year that has it.
fn year_of((month, day, ..): IncompleteDate, received: i64) -> i32 {
    let now = Timestamp::from_microsecond(received).unwrap_or(Timestamp::UNIX_EPOCH);
    let today = TimeZone::UTC.to_datetime(now).date();
    let date = |year: i16| Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok();
    let distance = |date: Date| date.since(today).map_or(i32::MAX, |span| span.get_days().abs());
    // Nearly all lines are of this year.
    if date(today.year()).is_some_and(|date| distance(date) < 180) {
        return today.year().into();
    }
    // Leap years are up to eight years apart.
    let years = (-8..=8).filter_map(|offset| today.year().checked_add(offset));
    let nearest = years.filter_map(|year| Some((distance(date(year)?), year))).min();
    nearest.map_or(today.year(), |(_, year)| year).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::WrapperAction;

    /// 2026-11-21 12:00 UTC.
    const NOW: i64 = 1_795_262_400_000_000;

    fn line(text: &str) -> SyslogLine<'_> {
        parse_line(text, NOW)
    }

    #[test]
    fn rfc_3164_with_host() {
        let got =
            line("<36>Nov 20 12:00:01 db1 in.telnetd[411]: refused connect from evil.example (203.0.113.9)");
        assert_eq!((got.facility, got.severity), (Some(4), Some(4)));
        assert_eq!(
            (got.host, got.program, got.pid.as_deref()),
            (Some("db1"), Some("in.telnetd"), Some("411"))
        );
        assert_eq!(got.message, "refused connect from evil.example (203.0.113.9)");
        assert_eq!(got.tcp_wrappers.unwrap().action, WrapperAction::Refused);
        assert!((got.time.unwrap() - NOW).abs() < 2 * 86_400_000_000);
    }

    #[test]
    fn lines_as_libc_writes_them_name_no_host() {
        let got = line("<28>Nov 21 05:27:56 in.telnetd[11660]: refused connect from ::1 (::1)");
        assert_eq!((got.host, got.program, got.pid.as_deref()), (None, Some("in.telnetd"), Some("11660")));
        let got = line("<28>Nov 21 05:27:56 cron: nothing to do");
        assert_eq!((got.host, got.program, got.message), (None, Some("cron"), "nothing to do"));
    }

    #[test]
    fn rfc_5424_with_structured_data() {
        let got = line(
            r#"<165>1 2026-11-20T22:14:15.003Z sw1.example app 8710 ID47 [ex@32473 iut="3" note="a \"b\" \]c"] hello"#,
        );
        assert_eq!((got.facility, got.severity), (Some(20), Some(5)));
        assert_eq!((got.host, got.program, got.msgid), (Some("sw1.example"), Some("app"), Some("ID47")));
        assert_eq!(got.pid.as_deref(), Some("8710"));
        assert_eq!(got.structured_data[0].id, "ex@32473");
        assert_eq!(got.structured_data[0].params[1], ("note", Cow::from(r#"a "b" ]c"#)));
        assert_eq!(got.message, "hello");
    }

    #[test]
    fn a_line_without_a_time() {
        let got = line("<13>sshd[7]: hello there");
        assert_eq!((got.program, got.pid.as_deref(), got.message), (Some("sshd"), Some("7"), "hello there"));
        let got = line("just words");
        assert_eq!((got.facility, got.program, got.message), (None, None, "just words"));
    }

    #[test]
    fn the_year_is_that_of_the_nearest_date() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        for (month, day, received, year) in [
            (12, 31, "2027-01-01T01:00:00Z", 2026),
            (1, 1, "2026-12-31T23:00:00Z", 2027),
            (11, 28, "2026-01-05T12:00:00Z", 2025),
            (12, 30, "2026-02-01T12:00:00Z", 2025),
            (2, 1, "2026-12-01T12:00:00Z", 2027),
            (6, 1, "2026-11-21T12:00:00Z", 2026),
            (11, 21, "2026-11-21T12:00:00Z", 2026),
            (2, 29, "2024-03-01T12:00:00Z", 2024),
            (2, 29, "2026-01-01T12:00:00Z", 2024),
            (2, 29, "2027-03-01T12:00:00Z", 2028),
            (2, 29, "2101-03-01T12:00:00Z", 2104),
            (2, 30, "2026-03-01T12:00:00Z", 2026),
        ] {
            let got = year_of((month, day, 0, 0, 0), at(received));
            assert_eq!(got, year, "{month}-{day} received at {received}");
        }
    }

    #[test]
    fn a_year_behind_the_time_is_no_host() {
        let got = line("<134>Nov 24 10:00:00 2025 ap1 stm[1234]: <501000> |AP ap1@192.0.2.1 stm| gone: x");
        assert_eq!((got.host, got.program, got.pid.as_deref()), (Some("ap1"), Some("stm"), Some("1234")));
        assert_eq!(got.message, "<501000> |AP ap1@192.0.2.1 stm| gone: x");
        assert!((NOW - got.time.unwrap() - 362 * 86_400_000_000).abs() < 86_400_000_000);
        let got = line("<134>Nov  4 04:00:01 2026 stm: text");
        assert_eq!((got.host, got.program, got.message), (None, Some("stm"), "text"));
        let got = line("<134>Nov  4 04:00:01 2026 ap1 text alone");
        assert_eq!((got.host, got.program, got.message), (Some("ap1"), None, "text alone"));
    }

    #[test]
    fn what_cannot_be_a_host_or_a_tag_is_message() {
        for (text, host, message) in [
            (
                "timestamp=1683715550 devname=\"fw1\" policy=5",
                None,
                "timestamp=1683715550 devname=\"fw1\" policy=5",
            ),
            ("1,2026/11/24 21:28:49,009,THREAT,url,0", None, "1,2026/11/24 21:28:49,009,THREAT,url,0"),
            ("usg src=\"192.0.2.1:1\" note=\"x\"", Some("usg"), "src=\"192.0.2.1:1\" note=\"x\""),
            (
                "opsaudit {\"user\": \"admin\", \"ip\": \"x\"}",
                Some("opsaudit"),
                "{\"user\": \"admin\", \"ip\": \"x\"}",
            ),
        ] {
            let whole = format!("<190>Nov 24 10:00:00 {text}");
            let got = line(&whole);
            assert_eq!((got.host, got.program, got.message), (host, None, message));
            assert!(got.pid.is_none() && got.structured_data.is_empty() && got.time.is_some());
        }
        let got = line("<30>Nov 24 07:13:39 [localhost] systemd: Started.");
        assert_eq!((got.host, got.program, got.message), (Some("localhost"), Some("systemd"), "Started."));
    }

    #[test]
    fn byte_order_marks_are_no_text() {
        for text in [
            "\u{feff}<36>Nov 24 10:00:00 h1 sshd[1]: refused connect from 192.0.2.1 (192.0.2.1)",
            "<36>Nov 24 10:00:00 h1 sshd[1]: \u{feff}refused connect from 192.0.2.1 (192.0.2.1)",
            "<36>1 2026-11-24T10:00:00Z h1 sshd 1 - - \u{feff}refused connect from 192.0.2.1 (192.0.2.1)",
        ] {
            let got = line(text);
            assert_eq!((got.host, got.program, got.facility), (Some("h1"), Some("sshd"), Some(4)), "{text}");
            assert!(got.message.starts_with("refused") && got.tcp_wrappers.is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_safe(text in any::<String>(), pri in 0u32..1000) {
            let _ = line(&text);
            let _ = line(&format!("<{pri}>{text}"));
            let _ = line(&format!("<{pri}>Nov 20 12:00:01 {text}"));
        }
    }
}
