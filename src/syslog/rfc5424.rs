//! RFC 5424. syslog_loose reads headers with structured data that is sound; what it does not take is read here, so that one
//! bad field does not take the others with it.

use std::borrow::Cow;

use nom::Parser;
use nom::bytes::complete::{tag, take_till1, take_while_m_n};
use nom::character::complete::{char, space1};
use nom::combinator::{opt, recognize, verify};
use nom::multi::{many0, many0_count, many1, many1_count};
use nom::sequence::{delimited, preceded, separated_pair, terminated};
use syslog_loose::Variant;

use crate::message::StructuredElement;
use crate::syslog::header::Header;
use crate::syslog::stamp::{self, Read, Stamp};
use crate::syslog::tag::{self, Tag};

/// The fields of a line.
#[derive(Debug, Default)]
pub(super) struct Fields<'l> {
    pub(super) header: Header<'l>,
    /// The time in microseconds since 1970 UTC, if syslog_loose has read it.
    pub(super) time: Option<i64>,
    pub(super) structured_data: Vec<StructuredElement<'l>>,
}

const NOTHING: nom::Err<()> = nom::Err::Error(());

/// The fields and the message of a line. `behind` is the part of it behind its priority.
pub(super) fn read<'l>(line: &'l str, behind: &'l str) -> Option<(Fields<'l>, &'l str)> {
    match behind.as_bytes() {
        [b'1'..=b'9', b' ' | b'0'..=b'9', ..] => {}
        [b'2', ..] => return unversioned(behind),
        _ => return None,
    }
    match versioned(behind) {
        Ok((message, tokens)) => Some((fields(line, message, tokens), message)),
        Err(_) => without_data(behind).or_else(|| unversioned(behind)),
    }
}

/// The tokens of a header.
struct Tokens<'l> {
    stamp: Option<Stamp>,
    host: &'l str,
    program: &'l str,
    pid: &'l str,
    msgid: &'l str,
    data: Data<'l>,
}

/// STRUCTURED-DATA as it stands in the line.
enum Data<'l> {
    /// `-`, or elements alone.
    Sound(&'l str),
    /// Elements before the first one that is broken, with which the message begins.
    Broken(&'l str),
}

fn versioned(behind: &str) -> Read<'_, Tokens<'_>> {
    let version = take_while_m_n(1, 3, |c: char| c.is_ascii_digit());
    let (rest, _) = (version, space1).parse(behind)?;
    let (rest, stamp) = terminated(time, space1).parse(rest)?;
    let (rest, (host, program, pid, msgid)) = (word, word, word, word).parse(rest)?;
    // With a colon it is the tag of RFC 3164, whose text may look like the other fields.
    if program.ends_with(':') {
        return Err(NOTHING);
    }
    let (message, data) = data(rest)?;
    Ok((message, Tokens { stamp, host, program, pid, msgid, data }))
}

/// `-` or a time of RFC 3339.
fn time(input: &str) -> Read<'_, Option<Stamp>> {
    let (rest, text) = take_till1(|c: char| c == ' ').parse(input)?;
    match text {
        "-" => Ok((rest, None)),
        text => match stamp::whole(text) {
            Some(stamp @ Stamp::Civil(_)) => Ok((rest, Some(stamp))),
            _ => Err(NOTHING),
        },
    }
}

fn word(input: &str) -> Read<'_, &str> {
    terminated(take_till1(|c: char| c == ' '), space1).parse(input)
}

/// Structured data, and the message behind one space (section 6.4).
fn data(input: &str) -> Read<'_, Data<'_>> {
    let sound = |rest: &str| rest.is_empty() || rest.starts_with(' ');
    if let Some(rest) = input.strip_prefix('-').filter(|rest| sound(rest)) {
        return Ok((tag::less_a_space(rest), Data::Sound("-")));
    }
    if !input.starts_with('[') {
        return Err(NOTHING);
    }
    let elements: Read<'_, &str> = recognize(many1_count(recognize_element)).parse(input);
    match elements {
        Ok((rest, data)) if !rest.starts_with('[') => Ok((tag::less_a_space(rest), Data::Sound(data))),
        Ok((rest, data)) => Ok((rest, Data::Broken(data))),
        Err(_) => Ok((input, Data::Broken(""))),
    }
}

/// SD-NAME (section 6.3.2), of any length.
fn name(input: &str) -> Read<'_, &str> {
    take_till1(|c: char| matches!(c, '=' | ']' | '"') || c.is_ascii_whitespace() || c.is_control())
        .parse(input)
}

/// A parameter; an unescaped `]` in its value is tolerated.
fn parameter(input: &str) -> Read<'_, (&str, &str)> {
    preceded(space1, separated_pair(name, char('='), value)).parse(input)
}

fn value(input: &str) -> Read<'_, &str> {
    let text = input.strip_prefix('"').ok_or(NOTHING)?;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Ok((&text[at + 1..], &text[..at])),
            _ => {}
        }
    }
    Err(NOTHING)
}

fn recognize_element(input: &str) -> Read<'_, &str> {
    recognize((char('['), name, many0_count(parameter), opt(space1), char(']'))).parse(input)
}

fn element(input: &str) -> Read<'_, StructuredElement<'_>> {
    let inner = (name, terminated(many0(parameter), opt(space1)));
    let (rest, (id, params)) = delimited(char('['), inner, char(']')).parse(input)?;
    let params = params.into_iter().map(|(name, value)| (name, unescape(value))).collect();
    Ok((rest, StructuredElement { id, params }))
}

fn fields<'l>(line: &'l str, message: &'l str, tokens: Tokens<'l>) -> Fields<'l> {
    let tag = Tag {
        host: some(tokens.host),
        program: some(tokens.program),
        pid: some(tokens.pid),
        msgid: some(tokens.msgid),
    };
    let header = Header { stamp: tokens.stamp, unsure: false, tag };
    let (data, is_sound) = match tokens.data {
        // Nothing is left to read, as in nearly all lines.
        Data::Sound("-") => return Fields { header, ..Fields::default() },
        Data::Sound(data) => (data, true),
        Data::Broken(data) => (data, false),
    };
    if is_sound {
        let head = &line[..line.len() - message.len()];
        let read = syslog_loose::parse_message_with_year_exact(head, |_| 1970, Variant::RFC5424);
        if let Ok(read) = read {
            let time = read.timestamp.map(|time| time.timestamp_micros());
            let structured_data = read.structured_data.into_iter().map(of_loose).collect();
            return Fields { header, time, structured_data };
        }
    }
    let structured_data = match many1(element).parse(data) {
        Ok((_, elements)) => elements,
        Err(_) => Vec::new(),
    };
    Fields { header, time: None, structured_data }
}

fn of_loose(element: syslog_loose::StructuredElement<&str>) -> StructuredElement<'_> {
    StructuredElement {
        id: element.id,
        params: element.params.into_iter().map(|(name, value)| (name, unescape(value))).collect(),
    }
}

/// The value of a field that is not `-`.
fn some(token: &str) -> Option<&str> {
    (token != "-").then_some(token)
}

/// A header whose structured data is missing. With a tag behind the host the rest is that of RFC 3164; otherwise the message
/// begins where the first field is in doubt.
fn without_data(behind: &str) -> Option<(Fields<'_>, &str)> {
    let head = |input| {
        let version = take_while_m_n(1, 3, |c: char| c.is_ascii_digit());
        let (rest, _) = (version, space1).parse(input)?;
        let (rest, stamp) = terminated(verify(time, Option::is_some), space1).parse(rest)?;
        let (rest, host) = word(rest)?;
        Ok::<_, nom::Err<()>>((rest, (stamp, host)))
    };
    let (rest, (stamp, host)) = head(behind).ok()?;
    let with = |tag| Fields { header: Header { stamp, unsure: false, tag }, ..Fields::default() };
    let host = some(host);
    if let Ok((message, tag)) = tag::any(rest) {
        return Some((with(Tag { host: tag.host.or(host), ..tag }), message));
    }
    let number = |word: &&str| *word == "-" || word.bytes().all(|b| b.is_ascii_digit());
    match (word, verify(word, number)).parse(rest) {
        Ok((rest, (program, pid))) => {
            let message = rest.strip_prefix("- ").unwrap_or(rest);
            Some((with(Tag { host, program: some(program), pid: some(pid), msgid: None }), message))
        }
        Err(_) => Some((with(Tag { host, ..Tag::default() }), rest)),
    }
}

/// A header without the version, as iLO writes it: `2026-11-24T10:00:00Z ilo1 #ILO4 - - - `. As RFC 3164 may look the
/// same, the fields must be empty or numbers.
fn unversioned(behind: &str) -> Option<(Fields<'_>, &str)> {
    let (rest, stamp) = terminated(stamp::stamp, tag(" ")).parse(behind).ok()?;
    if behind.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let (rest, (host, program, pid, msgid)) = (word, word, word, word).parse(rest).ok()?;
    let is_tag = program.ends_with([':', ']']);
    let is_number = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
    if is_tag || !(pid == "-" || is_number(pid)) || msgid != "-" {
        return None;
    }
    let (message, data) = data(rest).ok()?;
    let Data::Sound(data) = data else { return None };
    let structured_data = many0(element).parse(data).map(|(_, elements)| elements).unwrap_or_default();
    let tag = Tag { host: some(host), program: some(program), pid: some(pid), msgid: None };
    let header = Header { stamp: Some(stamp), unsure: false, tag };
    Some((Fields { header, time: None, structured_data }, message))
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
