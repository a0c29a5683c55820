//! What stands where RFC 3164 has its tag: a program with its process id, or what vendors write there.
//!
//! Each form is read by a function of its own. What it does not take is left to the next one, and in the end to the message.

use nom::Parser;
use nom::bytes::complete::{tag, take_until, take_while, take_while1};
use nom::character::complete::{char, digit1, one_of};
use nom::combinator::{map_opt, opt, peek, recognize, rest, verify};
use nom::multi::many1_count;
use nom::sequence::{delimited, preceded, terminated};

use crate::syslog::SEVERITIES;
use crate::syslog::stamp::{self, Read};

/// What a form says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tag<'l> {
    /// Where the form names a host, too.
    pub(super) host: Option<&'l str>,
    pub(super) program: Option<&'l str>,
    pub(super) pid: Option<&'l str>,
    pub(super) msgid: Option<&'l str>,
}

impl<'l> Tag<'l> {
    fn of(program: &'l str) -> Self {
        Tag { program: Some(program), ..Tag::default() }
    }
}

const NOTHING: nom::Err<()> = nom::Err::Error(());

/// Any form, and the message behind it.
pub(super) fn any(input: &str) -> Read<'_, Tag<'_>> {
    let found = match input.as_bytes() {
        [b'%' | b'#', ..] => kind(input),
        [b'[', ..] => ontap(input),
        [b'<', ..] => exos(input),
        [b'0'..=b'9', ..] => numbered(input),
        [b'C' | b'L', ..] => event_format(input).or_else(|_| ise(input)),
        [b'M' | b'F', ..] => forwarded(input),
        [b'(', ..] => watchguard(input),
        _ => Err(NOTHING),
    };
    match found.or_else(|_| program(input)) {
        // The hardware of UniFi stands before the tag and looks like one.
        Ok((_, Tag { program: Some(name), .. })) if name.contains(',') => {
            unifi(input).or_else(|_| program(input))
        }
        Ok(found) => Ok(found),
        Err(_) => unusual(input),
    }
}

/// Forms that few products write, tried where there is no tag.
fn unusual(input: &str) -> Read<'_, Tag<'_>> {
    // The first sign tells most of them apart, so that a host, which nearly all lines have here, is looked at once.
    let sign = input.bytes().position(|b| matches!(b, b' ' | b'\t' | b',' | b'('));
    match sign.map(|at| (input.as_bytes()[at], at)) {
        None => return Err(NOTHING),
        Some((b' ', 12 | 13)) => return watchguard(input).or_else(|_| behind_severity(input)),
        Some((b' ', at)) if is_severity(&input[..at]) => return behind_severity(input),
        Some((b' ', _)) => return Err(NOTHING),
        Some(_) => {}
    }
    snare(input)
        .or_else(|_| topics(input))
        .or_else(|_| unifi(input))
        .or_else(|_| watchguard(input))
        .or_else(|_| behind_severity(input))
}

/// `name:`, `name[pid]:` or `name[pid] `, and a message's type behind it.
pub(super) fn program(input: &str) -> Read<'_, Tag<'_>> {
    let (rest, tag) = named(input)?;
    if tag.pid.is_some() && !rest.starts_with(':') {
        return match rest.as_bytes() {
            [] | [b' ' | b'\t', ..] => Ok((less_a_space(rest), tag)),
            _ => Err(NOTHING),
        };
    }
    let message = less_a_space(&rest[1..]);
    let (message, msgid) = match message.as_bytes() {
        [b'%' | b'#', ..] => match kind(message) {
            Ok((message, kind)) => (message, kind.msgid),
            Err(_) => (message, None),
        },
        [b'[', b'I', ..] => match solaris(message) {
            Ok((message, number)) => (message, Some(number)),
            Err(_) => (message, None),
        },
        _ => (message, None),
    };
    Ok((message, Tag { msgid, ..tag }))
}

/// Name and process id, up to the colon or behind the bracket.
fn named(input: &str) -> Read<'_, Tag<'_>> {
    let (name, rest) = input.split_at(length_of_name(input));
    if !is_name(name) {
        return Err(NOTHING);
    }
    match rest.as_bytes() {
        [b':', b'/', b'/', ..] => Err(NOTHING),
        [b':', ..] => Ok((rest, Tag::of(name))),
        [b'[', ..] => {
            let rest = &rest[1..];
            let ends = |b: &u8| matches!(b, b'[' | b']') || b.is_ascii_whitespace();
            let end = rest.as_bytes().iter().position(ends).ok_or(NOTHING)?;
            let (pid, rest) = rest.split_at(end);
            let rest = rest.strip_prefix(']').ok_or(NOTHING)?;
            // An empty pair of brackets has no process id, but it is a tag.
            let pid = Some(pid).filter(|pid| !pid.is_empty());
            match rest.as_bytes() {
                [b':', ..] => Ok((rest, Tag { pid, ..Tag::of(name) })),
                _ if pid.is_some() => Ok((rest, Tag { pid, ..Tag::of(name) })),
                _ => Err(NOTHING),
            }
        }
        _ => Err(NOTHING),
    }
}

fn is_of_name(c: char) -> bool {
    if c.is_ascii() { is_ascii_of_name(c as u8) } else { !c.is_whitespace() && !c.is_control() }
}

const fn is_ascii_of_name(b: u8) -> bool {
    let ends =
        matches!(b, b':' | b'[' | b']' | b'=' | b'"' | b'\'' | b'|' | b'{' | b'}' | b'<' | b'>' | b';');
    b.is_ascii_graphic() && !ends
}

/// Whether each octet is a character that a name may have.
const OF_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0;
    while octet < 128 {
        table[octet as usize] = is_ascii_of_name(octet);
        octet += 1;
    }
    table
};

/// How many octets of what a text begins with are of a name.
fn length_of_name(text: &str) -> usize {
    let mut at = 0;
    loop {
        match text.as_bytes().get(at) {
            Some(octet) if OF_NAME[usize::from(*octet)] => at += 1,
            // Few names have characters beyond ASCII.
            Some(128..) => match text[at..].chars().next().filter(|c| is_of_name(*c)) {
                Some(c) => at += c.len_utf8(),
                None => return at,
            },
            _ => return at,
        }
    }
}

/// Whether a word can name a program: it has a letter, and is no list that begins with a number, nor an address.
fn is_name(name: &str) -> bool {
    let is_of_letters = |b: &u8| b.is_ascii_alphabetic() || *b == b'_' || !b.is_ascii();
    let octets = name.as_bytes();
    match octets.first() {
        Some(b'0'..=b'9') => {
            let digits = octets.iter().take_while(|b| b.is_ascii_digit()).count();
            octets.get(digits) != Some(&b',') && octets.iter().any(is_of_letters)
        }
        _ => octets.iter().any(is_of_letters),
    }
}

/// What follows a tag, less one space.
pub(super) fn less_a_space(text: &str) -> &str {
    text.strip_prefix(' ').unwrap_or(text)
}

/// The type of a message: of Cisco and its kin, Huawei or H3C.
pub(super) fn kind(input: &str) -> Read<'_, Tag<'_>> {
    match input.as_bytes() {
        [b'%', b'%', ..] => huawei(input),
        _ => cisco_kind(input),
    }
}

/// `%LINK-3-UPDOWN: `, `%PKT_INFRA-LINK-3-UPDOWN : `, `#DOT1X-4-MAX_EAPOL_KEY_RETRANS: ` (WLC), `%AUTH-4: ` (Junos).
fn cisco_kind(input: &str) -> Read<'_, Tag<'_>> {
    let (rest, msgid) =
        recognize((one_of("%#"), take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))))
            .parse(input)?;
    let (rest, _) = (opt(char(' ')), char(':')).parse(rest)?;
    let mut parts = msgid[1..].split('-');
    let module = parts.next().unwrap_or_default();
    let is_severity = |part: &str| matches!(part.as_bytes(), [b'0'..=b'7']);
    if module.is_empty() || !parts.any(is_severity) {
        return Err(NOTHING);
    }
    Ok((less_a_space(rest), Tag { msgid: Some(msgid), ..Tag::of(module) }))
}

/// `%%01IFNET/4/LINK_STATE(l)[23]:` (Huawei; 10 for 01: H3C).
fn huawei(input: &str) -> Read<'_, Tag<'_>> {
    let word = || take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let number =
        || verify(nom::bytes::complete::take(2_usize), |n: &str| n.bytes().all(|b| b.is_ascii_digit()));
    let mut module = preceded((tag("%%"), number()), word());
    let (rest, module) = module.parse(input)?;
    let (rest, _) = (char('/'), one_of("01234567"), char('/'), word()).parse(rest)?;
    let msgid = &input[..input.len() - rest.len()];
    let kind = delimited(char('('), take_while(|c: char| c.is_ascii_alphanumeric()), char(')'));
    let (rest, (_, pid, _)) =
        (opt(kind), opt(delimited(char('['), digit1, char(']'))), char(':')).parse(rest)?;
    Ok((less_a_space(rest), Tag { pid, msgid: Some(msgid), ..Tag::of(module) }))
}

/// The number of `[ID 800047 auth.info] ` (Solaris).
fn solaris(input: &str) -> Read<'_, &str> {
    let priority = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '.');
    delimited(tag("[ID "), digit1, (char(' '), verify(priority, |text: &str| text.contains('.')), tag("] ")))
        .parse(input)
}

/// `<Warn:AAA.authFail> ` (EXOS).
fn exos(input: &str) -> Read<'_, Tag<'_>> {
    let severity = verify(take_while1(|c: char| c.is_ascii_alphabetic()), |word: &str| {
        matches!(word, "Crit" | "Erro" | "Warn" | "Noti" | "Info" | "Summ" | "Debu" | "Verb")
    });
    let event = take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    let (rest, msgid) = delimited((char('<'), severity, char(':')), event, char('>')).parse(input)?;
    let module = msgid.split('.').next().unwrap_or(msgid);
    Ok((less_a_space(rest), Tag { msgid: Some(msgid), ..Tag::of(module) }))
}

/// `[na1:raid.rg.scrub:notice]: `, `[na1: secd: secd.auth.fail:error]: ` (ONTAP).
fn ontap(input: &str) -> Read<'_, Tag<'_>> {
    let inner = take_while(|c: char| c != '[' && c != ']');
    let (rest, inner) = delimited(char('['), inner, tag("]:")).parse(input)?;
    let mut parts = inner.split(':').map(str::trim);
    let (host, second, third, fourth) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (process, event, severity) = match fourth {
        Some(severity) => (second, third, Some(severity)),
        None => (None, second, third),
    };
    let is_severity = severity.is_some_and(|word| is_severity(&word.to_ascii_lowercase()));
    match (host, event) {
        (Some(host), Some(event)) if is_severity && parts.next().is_none() && !host.is_empty() => {
            let program = Some(process.unwrap_or(event));
            Ok((less_a_space(rest), Tag { host: Some(host), program, pid: None, msgid: Some(event) }))
        }
        _ => Err(NOTHING),
    }
}

/// Whether `[kern_audit:info:2042]` begins a text, as ONTAP writes it behind `host:`.
pub(super) fn is_of_ontap(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let severity = verify(take_while1(word), is_severity);
    let inner = (take_while1(word), char(':'), severity, char(':'), digit1);
    let found: Read<'_, _> = delimited(char('['), inner, char(']')).parse(text);
    found.is_ok()
}

fn is_severity(word: &str) -> bool {
    let long = ["emergency", "critical", "error", "warn", "informational"];
    SEVERITIES.contains(&word) || long.contains(&word)
}

/// What begins with a digit: `00077 ports: ` (ProCurve), or a serial number or an address of the hardware before a tag.
fn numbered(input: &str) -> Read<'_, Tag<'_>> {
    let number = verify(digit1, |number: &str| number.len() == 5);
    let (rest, number) = terminated(number, char(' ')).parse(input)?;
    let (rest, tag) = program(rest)?;
    Ok((rest, Tag { msgid: tag.msgid.or(Some(number)), ..tag }))
}

/// `CEF:0|` and `LEEF:1.0|`: the message begins with it.
fn event_format(input: &str) -> Read<'_, Tag<'_>> {
    let name = nom::branch::alt((tag("CEF"), tag("LEEF")));
    let (_, name) =
        terminated(name, (char(':'), take_while1(|c: char| c.is_ascii_digit() || c == '.'), char('|')))
            .parse(input)?;
    Ok((input, Tag::of(name)))
}

/// `CISE_Failed_Attempts ` (ISE).
fn ise(input: &str) -> Read<'_, Tag<'_>> {
    let word = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let name = verify(word, |name: &str| name.starts_with("CISE_"));
    let (rest, name) = terminated(name, char(' ')).parse(input)?;
    Ok((rest, Tag::of(name)))
}

/// `MSWinEventLog`, a tab, a level and a tab (Snare, and agents that write its form).
fn snare(input: &str) -> Read<'_, Tag<'_>> {
    let (rest, name) = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_').parse(input)?;
    let (rest, _) = char('\t').parse(rest)?;
    let (_, _) = peek((one_of("0123456789"), char('\t'))).parse(rest)?;
    Ok((rest, Tag::of(name)))
}

/// `system,info,account ` (MikroTik): words in small letters, one of them a level.
fn topics(input: &str) -> Read<'_, Tag<'_>> {
    let word = take_while1(|c: char| c.is_ascii_lowercase() || matches!(c, ',' | '-' | '!'));
    let (rest, topics) = terminated(word, char(' ')).parse(input)?;
    let level = |word: &str| matches!(word, "info" | "warning" | "error" | "critical" | "debug");
    if !topics.contains(',') || topics.starts_with(',') || !topics.split(',').any(level) {
        return Err(NOTHING);
    }
    Ok((rest, Tag::of(topics)))
}

/// The words before the tag of UniFi: `0200aabbccdd,UAP-AC-Pro-6.6.55: ` or `UAP1,00005e005301,v4.0.66.10832: `, which
/// names the host.
fn unifi(input: &str) -> Read<'_, Tag<'_>> {
    let (rest, words) =
        terminated(take_while1(|c: char| !c.is_whitespace() && c != ':'), tag(": ")).parse(input)?;
    let is_hardware = |word: &str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    // Anything else is text, which is not skipped.
    let is_model = |word: &str| word.starts_with(|c: char| c.is_ascii_uppercase());
    let is_version = |word: &str| {
        word.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let parts: Vec<&str> = words.splitn(4, ',').collect();
    let host = match parts.as_slice() {
        [hardware, model] if is_hardware(hardware) && is_model(model) => None,
        [name, hardware] if !name.is_empty() && is_hardware(hardware) => Some(*name),
        [name, hardware, version] if !name.is_empty() && is_hardware(hardware) && is_version(version) => {
            Some(*name)
        }
        _ => return Err(NOTHING),
    };
    let (rest, tag) = program(rest)?;
    Ok((rest, Tag { host, ..tag }))
}

/// A serial number of twelve hexadecimal digits, a time in parentheses or both before a tag (WatchGuard).
fn watchguard(input: &str) -> Read<'_, Tag<'_>> {
    let hex = take_while1(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase());
    let serial = terminated(verify(hex, |word: &str| word.len() == 12 || word.len() == 13), char(' '));
    let time = map_opt(delimited(char('('), take_until(") "), tag(") ")), stamp::whole);
    let (rest, (serial, time)) = (opt(serial), opt(time)).parse(input)?;
    if serial.is_none() && time.is_none() {
        return Err(NOTHING);
    }
    program(rest)
}

/// A severity before a tag with a process id: `notice mcpd[6251]: ` (F5).
fn behind_severity(input: &str) -> Read<'_, Tag<'_>> {
    let word = take_while1(|c: char| c.is_ascii_lowercase());
    let (rest, _) = terminated(verify(word, is_severity), char(' ')).parse(input)?;
    verify(program, |tag: &Tag<'_>| tag.pid.is_some()).parse(rest)
}

/// A name of two words with a process id: `spf filter[15569]: `.
pub(super) fn two_words(input: &str) -> Read<'_, Tag<'_>> {
    let (rest, first) = terminated(take_while1(is_of_name), char(' ')).parse(input)?;
    let (message, tag) = program(rest)?;
    match (tag.program, tag.pid) {
        (Some(second), Some(pid)) if is_name(first) && pid.bytes().all(|b| b.is_ascii_digit()) => {
            let program = &input[..first.len() + 1 + second.len()];
            Ok((message, Tag { program: Some(program), ..tag }))
        }
        _ => Err(NOTHING),
    }
}

/// `Message forwarded from aix1: syslog: `, `From aix1: ` (AIX).
fn forwarded(input: &str) -> Read<'_, Tag<'_>> {
    let words = nom::branch::alt((tag("Message forwarded from "), tag("From ")));
    let host = take_while1(|c: char| !c.is_whitespace() && c != ':');
    let (rest, host) = delimited(words, host, tag(": ")).parse(input)?;
    match any(rest) {
        Ok((rest, tag)) => Ok((rest, Tag { host: Some(host), ..tag })),
        Err(_) => Ok((rest, Tag { host: Some(host), ..Tag::default() })),
    }
}

/// How often a message came: `last message repeated 3 times`, `message repeated 3 times: [ text]`, `above message repeats 3
/// times` (HP-UX).
pub(super) fn repeated(message: &str) -> Option<u32> {
    if !matches!(message.as_bytes().first(), Some(b'l' | b'm' | b'a')) {
        return None;
    }
    let words = nom::branch::alt((
        tag("last message repeated "),
        tag("message repeated "),
        tag("above message repeats "),
    ));
    let number = map_opt(digit1::<&str, ()>, |digits: &str| digits.parse().ok());
    let times = nom::branch::alt((tag(" times"), tag(" time")));
    delimited(words, number, (times, rest)).parse(message).ok().map(|(_, number)| number)
}

/// Parts of the head of Cisco's messages that stand before the time: counters, the host, the node of IOS-XR, the task of
/// a WLC.
pub(super) fn element(input: &str) -> Read<'_, Element<'_>> {
    let mut word = take_while(|c: char| !c.is_whitespace() && c != ':');
    let (rest, text) = word.parse(input)?;
    let is_address = |rest: &str| rest.len() > 1 && !rest[1..].starts_with([' ', ':']);
    match (text, rest.as_bytes()) {
        ("", [b':', ..]) => Ok((&rest[1..], Element::Nothing)),
        (node, [b':', ..]) if is_node(node) => Ok((&rest[1..], Element::Nothing)),
        (_, [b':', ..]) if is_address(rest) => {
            let whole = take_while1(|c: char| !c.is_whitespace());
            let (rest, address) = verify(whole, |word: &str| word.ends_with(':')).parse(input)?;
            let address = &address[..address.len() - 1];
            address.parse::<std::net::Ipv6Addr>().map_err(|_| NOTHING)?;
            Ok((rest, Element::Host(address)))
        }
        (digits, [b':', ..]) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Ok((&rest[1..], Element::Nothing))
        }
        (task, [b':', ..]) if task.len() > 1 && task.starts_with('*') => {
            Ok((&rest[1..], Element::Task(&task[1..])))
        }
        (host, [b':', ..]) if may_be_host(host) && !host.contains('[') => {
            Ok((&rest[1..], Element::Host(host)))
        }
        // IOS-XR writes no colon behind its host, as the node follows.
        (host, [b' ', ..]) if may_be_host(host) => {
            let node = take_while1(|c: char| !c.is_whitespace() && c != ':');
            let (_, _) = peek(terminated(verify(node, is_node), char(':'))).parse(&rest[1..])?;
            Ok((rest, Element::Host(host)))
        }
        _ => Err(NOTHING),
    }
}

/// A part of the head of Cisco's messages.
#[derive(Debug, Clone, Copy)]
pub(super) enum Element<'l> {
    /// A counter, a sequence number, a node or nothing.
    Nothing,
    Host(&'l str),
    Task(&'l str),
}

/// `RP/0/RSP0/CPU0`, `LC/0/1/CPU0`, `0/RP0/CPU0`.
fn is_node(word: &str) -> bool {
    let unit = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let part = |input| terminated(take_while1(unit), opt(char('/'))).parse(input);
    let parts: Read<'_, usize> = many1_count(part).parse(word);
    matches!(parts, Ok(("", 3..=5))) && word.contains("/CPU")
}

/// Whether a word can be a host's name or address (RFC 952, RFC 4291), with what devices put around it.
pub(super) fn may_be_host(word: &str) -> bool {
    in_host(word) & (NO_HOST | NAMES) == NAMES
}

/// The same without brackets, percent signs and asterisks.
pub(super) fn is_host(word: &str) -> bool {
    in_host(word) & (NO_HOST | ODD | NAMES) == NAMES
}

#[inline]
fn in_host(word: &str) -> u8 {
    word.bytes().fold(0, |all, octet| all | IN_HOST[usize::from(octet)])
}

/// What no host has.
const NO_HOST: u8 = 1;
/// What names a host.
const NAMES: u8 = 2;
/// What few hosts have.
const ODD: u8 = 4;
/// Of each octet which of these it is.
const IN_HOST: [u8; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let octet = at as u8;
        if matches!(octet, b'=' | b'"' | b',' | b';' | b'/' | b'{' | b'}' | b'(' | b')' | b'<' | b'>' | b'|')
        {
            table[at] = NO_HOST;
        } else if octet.is_ascii_alphanumeric() || !octet.is_ascii() {
            table[at] = NAMES;
        } else if matches!(octet, b'[' | b']' | b'%' | b'*') {
            table[at] = ODD;
        }
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_ends_where_its_characters_do(text in "[ -~\t\x7fä告\u{85}\u{a0}]{0,20}") {
            let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
            prop_assert_eq!(length_of_name(&text), end);
            let is_of_host = |c: char| !"=\",;/{}()<>|".contains(c);
            let may_be = text.chars().all(is_of_host) && text.contains(|c: char| c.is_ascii_alphanumeric() || !c.is_ascii());
            prop_assert_eq!(may_be_host(&text), may_be);
            prop_assert_eq!(is_host(&text), may_be && !text.contains(['[', ']', '%', '*']));
        }
    }
}
