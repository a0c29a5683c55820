//! The header of RFC 3164 and of what vendors made of it: a time, a host and a tag, each of which may be missing.

use std::net::IpAddr;

use nom::Parser;
use nom::bytes::complete::{tag as text, take_till1, take_while1};
use nom::character::complete::{char, one_of, space0};
use nom::combinator::{opt, peek, verify};
use nom::sequence::terminated;

use crate::syslog::stamp::{self, Read, Stamp};
use crate::syslog::tag::{self, Element, Tag, is_host, less_a_space};

/// What stands before the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Header<'l> {
    pub(super) stamp: Option<Stamp>,
    /// Whether the sender says that its clock is not set: `*` or `.` before the time (Cisco).
    pub(super) unsure: bool,
    pub(super) tag: Tag<'l>,
}

const NOTHING: nom::Err<()> = nom::Err::Error(());

/// The header of a line behind its priority, and the message. `None` if the line has none.
pub(super) fn header(line: &str) -> Option<(Header<'_>, &str)> {
    let input = line.trim_start_matches(' ');
    let marked = input.strip_prefix(['*', '.']);
    match stamp::stamp(marked.unwrap_or(input)) {
        Ok((rest, stamp)) => {
            let (tag, message) = behind_time(rest);
            Some((Header { stamp: Some(stamp), unsure: marked.is_some(), tag }, message))
        }
        Err(_) => without_time(input),
    }
}

/// What follows a time: a tag, or a host and a tag.
fn behind_time(rest: &str) -> (Tag<'_>, &str) {
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let input = rest.trim_start_matches(' ');
    let input = zone_of_several(input).map_or(input, |(rest, ())| rest);
    if tag::repeated(input).is_some() {
        return (Tag::default(), input);
    }
    // A colon with spaces around it stands between the time and the type of a message (IOS-XR).
    if let Some((message, tag)) = input.strip_prefix(": ").and_then(|rest| processed(rest).ok()) {
        return (tag, message);
    }
    if let Some((host, rest)) = host_with_colons(input) {
        return behind_host(host, rest);
    }
    if let Ok((message, tag)) = tag::any(input) {
        return of_a_host(input, tag, message);
    }
    match host(input) {
        Ok((rest, host)) => behind_host(host, rest),
        Err(_) => (Tag::default(), input),
    }
}

/// A tag that stands where a host may stand: what looks like a tag may be the host before another one.
fn of_a_host<'l>(input: &'l str, tag: Tag<'l>, message: &'l str) -> (Tag<'l>, &'l str) {
    if let (Some(program), None, None, None) = (tag.program, tag.pid, tag.msgid, tag.host)
        && input.as_bytes().get(program.len()) == Some(&b':')
    {
        if tag::is_of_ontap(message) {
            return (Tag { host: Some(program), ..Tag::default() }, message);
        }
        if let Some((tag, message)) = cisco_behind(input, message) {
            return (tag, message);
        }
    }
    (tag, message)
}

/// What follows a host.
fn behind_host<'l>(host: &'l str, rest: &'l str) -> (Tag<'l>, &'l str) {
    let input = rest.trim_start_matches(' ');
    let with_host = |tag: Tag<'l>| Tag { host: tag.host.or(Some(host)), ..tag };
    // ASA: `asa1 : %ASA-4-106023: `.
    if let Some((message, tag)) = input.strip_prefix(": ").and_then(|rest| tag::kind(rest).ok()) {
        return (with_host(tag), message);
    }
    if let Ok((message, tag)) = tag::any(input) {
        let may_be_part = tag.pid.is_none() && tag.msgid.is_none();
        return match cisco_behind(input, message).filter(|_| may_be_part) {
            Some((inner, message)) => (with_host(inner), message),
            None => (with_host(tag), message),
        };
    }
    if let Some((inner, message)) = inner_header(input) {
        return (with_host(inner), message);
    }
    match tag::two_words(input) {
        Ok((message, tag)) => (with_host(tag), message),
        Err(_) => (with_host(Tag::default()), less_a_space(rest)),
    }
}

/// The header of a sender behind that of its relay. It counts only with a tag or a type: a text may begin with a time.
fn inner_header(input: &str) -> Option<(Tag<'_>, &str)> {
    if let Ok((message, (_, tag))) = cisco(input) {
        return Some((tag, message));
    }
    let (rest, _) = stamp::stamp(input).ok()?;
    let (tag, message) = behind_time(rest);
    tag.program.is_some().then_some((tag, message))
}

/// What follows the priority at once.
fn without_time(input: &str) -> Option<(Header<'_>, &str)> {
    let of_tag = |tag| Header { tag, ..Header::default() };
    if let Ok((message, header)) = meraki(input) {
        return Some((header, message));
    }
    if let Ok((message, (header, tag))) = cisco(input) {
        return Some((Header { tag, ..header }, message));
    }
    if let Ok((message, tag)) = screen_os(input) {
        return Some((of_tag(tag), message));
    }
    if tag::repeated(input).is_some() {
        return Some((Header::default(), input));
    }
    if let Ok((message, tag)) = tag::any(input) {
        let is_strict = tag.msgid.is_some() || is_strict(input, &tag);
        return is_strict.then(|| (of_tag(tag), message));
    }
    // A host without a time is told by the process id of the tag behind it.
    let (rest, host) = host(input).ok()?;
    let (message, tag) = tag::program(rest.trim_start_matches(' ')).ok()?;
    let follows = tag.pid.is_some() && rest.contains("]:");
    follows.then(|| (of_tag(Tag { host: Some(host), ..tag }), message))
}

/// Whether what looks like a tag is one in a line without a time, which may be any text: its name has no odd characters,
/// and a colon and a space follow.
fn is_strict(input: &str, tag: &Tag<'_>) -> bool {
    let Some(program) = tag.program else { return tag.host.is_some() };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@');
    let Some(behind) = input.strip_prefix(program) else { return true };
    if !program.bytes().all(plain) || program.len() > 64 {
        // Forms of their own: topics of MikroTik.
        return program.contains(',');
    }
    match (behind.as_bytes(), tag.pid) {
        ([b':', b' ', ..] | [b':'], None) => true,
        ([b'[', ..], pid) => {
            let behind = &behind[pid.map_or(2, |pid| pid.len() + 2)..];
            matches!(behind.as_bytes(), [b':', b' ', ..] | [b':'])
        }
        // CEF, LEEF, ISE, Snare.
        ([b':' | b'\t', ..], None) => behind.starts_with('\t') || program == "CEF" || program == "LEEF",
        _ => program.starts_with("CISE_"),
    }
}

/// `1 1795176001.774247467 MX84 events ` (Meraki).
fn meraki(input: &str) -> Read<'_, Header<'_>> {
    let (rest, _) = text("1 ").parse(input)?;
    let (rest, stamp) = verify(stamp::stamp, |stamp| matches!(stamp, Stamp::Epoch(_))).parse(rest)?;
    let word = |input| terminated(take_till1(|c: char| c == ' '), char(' ')).parse(input);
    let (rest, _) = char(' ').parse(rest)?;
    let (rest, host) = word(rest)?;
    let (rest, kind): (_, &str) = word(rest)?;
    let tag = Tag { host: Some(host), program: Some(kind), ..Tag::default() };
    Ok((rest, Header { stamp: Some(stamp), unsure: false, tag }))
}

/// `ns5gt: NetScreen device_id=ns5gt  ` (ScreenOS).
fn screen_os(input: &str) -> Read<'_, Tag<'_>> {
    let host = take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let (rest, host) = terminated(host, text(": ")).parse(input)?;
    let (rest, program) = terminated(text("NetScreen"), char(' ')).parse(rest)?;
    let tag = Tag { host: Some(host), program: Some(program), ..Tag::default() };
    if rest.starts_with("device_id=") { Ok((rest, tag)) } else { Err(NOTHING) }
}

/// The head of Cisco's messages behind a part that looks like a tag: `sw1: 4711: Nov 20 12:00:01: %SYS-5-RESTART: `.
fn cisco_behind<'l>(input: &'l str, message: &str) -> Option<(Tag<'l>, &'l str)> {
    let may_be = matches!(message.as_bytes().first(), Some(b'0'..=b'9' | b'*' | b'.' | b'A'..=b'Z'));
    if !may_be {
        return None;
    }
    cisco(input).ok().map(|(message, (_, tag))| (tag, message))
}

/// `[counter:] [origin:] [sequence:] [*|.]time [zone]:`, each of which may be missing, before the type of a message. Without
/// a type there is no such head.
fn cisco(input: &str) -> Read<'_, (Header<'_>, Tag<'_>)> {
    let (mut rest, mut header) = (input, Header::default());
    let (mut host, mut task) = (None, None);
    for _ in 0..6 {
        rest = rest.trim_start_matches(' ');
        let marked = rest.strip_prefix(['*', '.']);
        let at = marked.unwrap_or(rest);
        if let Ok((behind, stamp)) = stamp::stamp(at).or_else(|_| stamp::uptime(at)) {
            header = Header { stamp: Some(stamp), unsure: marked.is_some(), ..header };
            rest = behind;
            break;
        }
        if rest.starts_with(['%', '#']) {
            break;
        }
        let (behind, element) = tag::element(rest)?;
        match element {
            Element::Nothing => {}
            Element::Host(name) if host.is_none() => host = Some(name),
            Element::Task(name) if task.is_none() => task = Some(name),
            Element::Host(_) | Element::Task(_) => return Err(NOTHING),
        }
        rest = behind;
    }
    // A zone whose name means several, or one that the administrator has chosen. A word in small letters is none, nor the begin of
    // another word: it would be lost.
    let zone = take_while1(|c: char| c.is_ascii_alphanumeric());
    let zone =
        verify(zone, |name: &str| name.len() <= 7 && name.starts_with(|c: char| c.is_ascii_uppercase()));
    let zone = terminated(zone, peek(one_of(" :")));
    if header.stamp.is_some() {
        (rest, _) = (opt((char(' '), zone)), space0, opt(char(':')), space0).parse(rest)?;
    }
    let (rest, tag) = processed(rest)?;
    Ok((rest, (header, Tag { host, pid: tag.pid.or(task), ..tag })))
}

/// The type of a message, or a process before it.
fn processed(input: &str) -> Read<'_, Tag<'_>> {
    let input = input.trim_start_matches(' ');
    if input.starts_with(['%', '#']) {
        return tag::kind(input);
    }
    verify(tag::program, |tag: &Tag<'_>| tag.msgid.is_some()).parse(input)
}

/// A zone whose name means several: `AEDT: %SYS-5-RESTART: `, `AEDT h1 app[1]: `.
fn zone_of_several(input: &str) -> Option<(&str, ())> {
    let (rest, name) = take_while1::<_, _, ()>(|c: char| c.is_ascii_uppercase()).parse(input).ok()?;
    if !(2..=5).contains(&name.len()) {
        return None;
    }
    if let Some(rest) = rest.strip_prefix(": ").filter(|rest| rest.starts_with(['%', '#'])) {
        return tag::kind(rest).is_ok().then_some((rest, ()));
    }
    let next = rest.strip_prefix(' ').filter(|next| tag::program(next).is_err())?;
    let (behind, _) = host(next).ok()?;
    let (_, tag) = tag::program(behind.trim_start_matches(' ')).ok()?;
    tag.pid.is_some().then_some((next, ()))
}

/// An address with colons in it or behind it, which is no tag: `2001:db8::`, `192.0.2.3:`.
fn host_with_colons(input: &str) -> Option<(&str, &str)> {
    if !input.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') {
        return None;
    }
    let end = input.find(' ').unwrap_or(input.len());
    let word = &input[..end];
    if !word.contains(':') {
        return None;
    }
    let is_address = |word: &str| word.parse::<IpAddr>().is_ok();
    if is_address(word) {
        return Some((word, &input[end..]));
    }
    let name = word.strip_suffix(':').filter(|name| is_address(name))?;
    Some((name, &input[end..]))
}

/// A host before what follows it.
fn host(input: &str) -> Read<'_, &str> {
    let (word, rest) = input.split_at(memchr::memchr2(b' ', b'\t', input.as_bytes()).unwrap_or(input.len()));
    let inner = word.strip_prefix('[').and_then(|word| word.strip_suffix(']'));
    let name = inner.unwrap_or(word);
    if is_host(name) { Ok((rest, name)) } else { Err(NOTHING) }
}
