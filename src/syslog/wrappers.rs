//! Lines that TCP Wrappers write: libwrap 7.6.q itself, and programs that ask it and log the answer in their own words.

use std::borrow::Cow;

use crate::message::WrapperLine;
use crate::syslog::wrapper_forms::FORMS;
use crate::text::has_either;

/// What the message of a syslog line says, if TCP Wrappers wrote it.
pub fn parse<'a>(program: Option<&'a str>, message: &'a str) -> Option<WrapperLine<'a>> {
    let (text, repeated) = without_prefix(message);
    // Forms of any program are told by their first letter, which spares the table for nearly all other lines.
    let of_any = matches!(text.as_bytes().first(), Some(b'r' | b'c' | b't' | b'w' | b'e'));
    let program_name = program.unwrap_or_default();
    let mut line = FORMS
        .iter()
        .filter(|form| if form.programs.is_empty() { of_any } else { form.is_of(program_name) })
        .find_map(|form| (form.read)(text))?;
    line.repeated = repeated;
    line.daemon = line.daemon.or(program);
    line.client_host = line.client_host.map(canonical);
    line.client_address = line.client_address.map(canonical);
    Some(line)
}

/// Whether a message that [`parse`] does not read says that TCP Wrappers refused something: a form that is not known yet.
pub fn is_unknown_refusal(message: &str) -> bool {
    // A look for what all have in common spares the rest for nearly all lines.
    if !message.contains("wrap") && !message.contains("Wrap") {
        return false;
    }
    let lower = message.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // sshd says it at level debug before the line that is read.
    let echo = message.ends_with("Connection refused by tcp wrapper");
    any(&["libwrap", "tcpwrap", "tcp_wrap", "tcp wrap", "tcp-wrap"])
        && any(&["refused", "denied", "denial", "reject"])
        && !echo
}

/// A message without what syslog daemons put before it, and how often it came.
fn without_prefix(message: &str) -> (&str, Option<u32>) {
    let (text, repeated) = folded(solaris_id(message));
    (solaris_id(text), repeated)
}

/// Without the identifier that Solaris' syslog() writes before each message: `[ID 947420 auth.warning] text`.
fn solaris_id(message: &str) -> &str {
    let text = message.strip_prefix("[ID ").and_then(|rest| {
        let (id, text) = rest.split_once("] ")?;
        let (number, priority) = id.split_once(' ')?;
        let is_id = number.bytes().all(|b| b.is_ascii_digit()) && priority.contains('.');
        (is_id && !priority.contains(' ')).then_some(text)
    });
    text.unwrap_or(message)
}

/// The message that rsyslog has folded, and how often it came: `message repeated 3 times: [ text]`
/// (`$RepeatedMsgReduction`, runtime/ratelimit.c).
pub(super) fn folded(message: &str) -> (&str, Option<u32>) {
    let read = || {
        let (times, rest) = message.strip_prefix("message repeated ")?.split_once(" times: [")?;
        Some((rest.strip_suffix(']')?.trim_start(), Some(times.parse().ok()?)))
    };
    read().unwrap_or((message, None))
}

/// An address in its canonical form, an IPv4 one that came as `::ffff:a.b.c.d` as IPv4; names as they are.
pub(super) fn canonical(text: Cow<'_, str>) -> Cow<'_, str> {
    // Only IPv6 has several forms.
    if !has_either(text.as_bytes(), b':', b':') {
        return text;
    }
    match text.parse::<std::net::IpAddr>().map(|address| address.to_canonical().to_string()) {
        Ok(address) if address != text => Cow::Owned(address),
        _ => text,
    }
}

#[cfg(test)]
#[path = "wrappers_tests.rs"]
mod tests;
