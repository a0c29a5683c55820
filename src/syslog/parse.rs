//! One line of syslog to a [`SyslogLine`].

use std::borrow::Cow;

use jiff::{Timestamp, tz::TimeZone};
use syslog_loose::{ProcId, Variant};

use crate::message::{StructuredElement, SyslogLine};
use crate::syslog::wrappers;

/// Reads a line of RFC 5424 or RFC 3164; what is neither becomes the message as it is.
///
/// `received` is in microseconds since 1970 UTC. It gives the year that a RFC 3164 time lacks; such a time is
/// read in the time zone of this machine.
pub fn parse_line(line: &str, received: i64) -> SyslogLine<'_> {
    let line = line.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
    let parsed =
        syslog_loose::parse_message_with_year(line, |date| year_of(date.0, received), Variant::Either);
    let (facility, severity) = priority(line);
    let (mut host, mut program) = (parsed.hostname, parsed.appname);
    let mut pid = parsed.procid.map(|p| match p {
        ProcId::PID(number) => Cow::Owned(number.to_string()),
        ProcId::Name(name) => Cow::Borrowed(name),
    });
    let mut message = parsed.msg;
    if program.is_none() {
        if let Some(tag) = host.filter(|_| message.starts_with(' ') || parsed.timestamp.is_some()) {
            // A line without a host, as libc's syslog() writes it, whose tag has no pid: `cron: text`.
            if let Some(at) = tag.strip_suffix(':') {
                (host, program) = (None, Some(at));
            } else if follows_with_colon(line, tag) {
                (host, program) = (None, Some(tag));
            }
        } else if host.is_none() && parsed.timestamp.is_none() {
            let (tag, found, rest) = bare_tag(message);
            (program, message) = (tag, rest);
            pid = found.map(Cow::Borrowed);
        }
    }
    SyslogLine {
        facility,
        severity,
        time: parsed.timestamp.map(|t| t.timestamp_micros()),
        host,
        program,
        pid,
        msgid: parsed.msgid,
        structured_data: parsed
            .structured_data
            .into_iter()
            .map(|element| StructuredElement {
                id: element.id,
                params: element.params.into_iter().map(|(name, value)| (name, unescape(value))).collect(),
            })
            .collect(),
        message,
        tcp_wrappers: wrappers::parse(program, message),
    }
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

fn follows_with_colon(line: &str, tag: &str) -> bool {
    // `tag` is a slice of `line`, so the place after it is known.
    let end = (tag.as_ptr() as usize + tag.len()).checked_sub(line.as_ptr() as usize);
    end.and_then(|end| line.get(end..)).is_some_and(|rest| rest.starts_with(':'))
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

/// The year of a date of this month (1 to 12) that was received at this time: the one nearest to it.
fn year_of(month: u32, received: i64) -> i32 {
    let now = Timestamp::from_microsecond(received).unwrap_or(Timestamp::UNIX_EPOCH);
    let now = TimeZone::UTC.to_datetime(now);
    let year = i32::from(now.year());
    match (now.month(), month) {
        (1, 12) => year - 1,
        (12, 1) => year + 1,
        _ => year,
    }
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
    fn the_year_turns() {
        let january = 1_798_761_600_000_000 + 3_600_000_000; // 2027-01-01 01:00 UTC
        assert_eq!(year_of(12, january), 2026);
        assert_eq!(year_of(1, january - 2 * 3_600_000_000), 2027);
        assert_eq!(year_of(6, NOW), 2026);
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
