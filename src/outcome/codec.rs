//! Outcomes as bytes.
//!
//! ```text
//! kind 1 (1 check result, 2 event)   state 1   flags 1 (1: has a service or resource, 2: is muted, 4: is the last word of a mute,
//! 8: has labels, 16: has the original)
//! time 8 (microseconds)   if it is muted or a last word: the names of sinks that this is for, a text
//! if it has the original: the SNMP message that it was made of, its length as LEB128 before it
//! texts, each: length as LEB128, UTF-8
//!   check result: rule, output, long output, source, host, service, labels, perfdata
//!   event:        rule, output, long output, source, component, resource, labels, then names and values by turns
//! labels, only with their flag: their number as LEB128, then names and values by turns
//! ```

use std::borrow::Cow;

use unsigned_varint as varint;

use crate::outcome::result::{CheckResult, Common, Event, Labels, Outcome, State};
use crate::outcome::room;

pub(super) const CHECK_RESULT: u8 = 1;
pub(super) const EVENT: u8 = 2;
pub(super) const HAS_SECOND: u8 = 1;
pub(super) const HAS_LABELS: u8 = 8;
const MUTED: u8 = 2;
const LAST: u8 = 4;
const HAS_ORIGINAL: u8 = 16;
/// Where the flags are.
const FLAGS: usize = 2;
/// How many bytes are before the texts.
const HEAD: usize = 11;

/// Appends an outcome.
pub fn encode(outcome: &Outcome<'_>, out: &mut Vec<u8>) {
    encode_with(outcome, None, out);
}

/// The same, with the SNMP message that it was made of.
pub fn encode_with(outcome: &Outcome<'_>, original: Option<&[u8]>, out: &mut Vec<u8>) {
    let common = outcome.common();
    let (kind, second) = match outcome {
        Outcome::CheckResult(check) => (CHECK_RESULT, check.service.is_some()),
        Outcome::Event(event) => (EVENT, event.resource.is_some()),
    };
    let state = State::ALL.iter().position(|s| *s == common.state).unwrap_or(0) as u8;
    let flags = u8::from(second) * HAS_SECOND
        + u8::from(!common.labels.is_empty()) * HAS_LABELS
        + u8::from(original.is_some()) * HAS_ORIGINAL;
    let mut head = [kind, state, flags, 0, 0, 0, 0, 0, 0, 0, 0];
    head[3..].copy_from_slice(&common.time.to_le_bytes());
    let perfdata = match outcome {
        Outcome::CheckResult(check) => &*check.perfdata,
        Outcome::Event(_) => "",
    };
    let texts = [
        &common.rule,
        &common.output,
        &common.long_output,
        &common.source,
        outcome.host(),
        outcome.service().unwrap_or(""),
        perfdata,
    ];
    // Nearly all outcomes have neither labels nor long texts.
    let (longest, length) =
        texts.iter().fold((0, 0), |(longest, length), text| (longest | text.len(), length + 1 + text.len()));
    if flags & !HAS_SECOND == 0 && kind == CHECK_RESULT && longest < 0x80 {
        return room::append(out, HEAD + length, |room| {
            room.push(&head);
            for text in &texts {
                room.push_octet(text.len() as u8);
                room.push(text.as_bytes());
            }
        });
    }
    out.extend_from_slice(&head);
    if let Some(original) = original {
        push_number(out, original.len());
        out.extend_from_slice(original);
    }
    for text in &texts[..6] {
        push_text(out, text);
    }
    if !common.labels.is_empty() {
        push_number(out, common.labels.len());
        push_pairs(out, &common.labels);
    }
    match outcome {
        Outcome::CheckResult(_) => push_text(out, perfdata),
        Outcome::Event(event) => push_pairs(out, &event.fields),
    }
}

/// The state of an encoded outcome.
pub fn state_of(bytes: &[u8]) -> Option<State> {
    State::ALL.get(usize::from(*bytes.get(1)?)).copied()
}

/// Gives an encoded outcome another state.
pub fn set_state(bytes: &mut [u8], state: State) {
    if let Some(at) = bytes.get_mut(1) {
        *at = State::ALL.iter().position(|s| *s == state).unwrap_or(0) as u8;
    }
}

/// Gives an encoded outcome another time, in microseconds since 1970 UTC.
pub fn set_time(bytes: &mut [u8], time: i64) {
    if let Some(at) = bytes.get_mut(3..11) {
        at.copy_from_slice(&time.to_le_bytes());
    }
}

/// What mutes say of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mute<'b> {
    /// Whether it is the last word, sent again for those that had missed it; otherwise it is muted.
    pub last: bool,
    /// The names of the sinks that it is muted for, or sent to, with commas between; `*` for all.
    sinks: &'b str,
}

impl Mute<'_> {
    /// Whether this is for the sink of a name.
    pub fn is_for(&self, name: &str) -> bool {
        self.sinks == "*" || self.sinks.split(',').any(|sink| sink == name)
    }
}

/// What mutes say of an encoded outcome; none if it is not muted.
#[inline]
pub fn mute_of(bytes: &[u8]) -> Option<Mute<'_>> {
    let flags = bytes.get(FLAGS)?;
    if flags & (MUTED | LAST) == 0 {
        return None;
    }
    let (length, rest) = varint::decode::usize(bytes.get(HEAD..)?).ok()?;
    let sinks = std::str::from_utf8(rest.get(..length)?).ok()?;
    Some(Mute { last: flags & LAST != 0, sinks })
}

/// An encoded outcome, which mutes say nothing of yet, with what they say.
pub fn muted(bytes: &[u8], sinks: &str, last: bool) -> Vec<u8> {
    let (head, texts) = bytes.split_at(HEAD.min(bytes.len()));
    let mut marked = Vec::with_capacity(bytes.len() + sinks.len() + 2);
    marked.extend_from_slice(head);
    if let Some(flags) = marked.get_mut(FLAGS) {
        *flags |= if last { LAST } else { MUTED };
    }
    push_text(&mut marked, sinks);
    marked.extend_from_slice(texts);
    marked
}

/// An encoded outcome without what mutes say of it. One that mutes say nothing of, and one that was sent again as the last word, stay
/// as they are.
pub fn unmuted(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (Some(Mute { last: false, sinks }), Some(head)) = (mute_of(bytes), bytes.get(..HEAD)) else {
        return Cow::Borrowed(bytes);
    };
    let mut mark = Vec::new();
    push_text(&mut mark, sinks);
    let mut plain = head.to_vec();
    plain[FLAGS] &= !MUTED;
    plain.extend_from_slice(bytes.get(HEAD + mark.len()..).unwrap_or_default());
    Cow::Owned(plain)
}

/// The SNMP message that an encoded outcome was made of, where that is kept.
pub fn original_of(bytes: &[u8]) -> Option<&[u8]> {
    let flags = bytes.get(FLAGS)?;
    let mut texts = Texts::new(bytes.get(HEAD..).filter(|_| flags & HAS_ORIGINAL != 0)?);
    if flags & (MUTED | LAST) != 0 {
        texts.text()?;
    }
    texts.octets()
}

#[inline]
pub(super) fn push_number(out: &mut Vec<u8>, number: usize) {
    match u8::try_from(number) {
        // Most texts are that short.
        Ok(number @ ..0x80) => out.push(number),
        _ => push_long_number(out, number),
    }
}

#[cold]
fn push_long_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(varint::encode::usize(number, &mut varint::encode::usize_buffer()));
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn push_pairs(out: &mut Vec<u8>, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) {
    for (name, value) in pairs {
        push_text(out, name);
        push_text(out, value);
    }
}

/// The outcome that some bytes are; none if they are none.
pub fn decode(bytes: &[u8]) -> Option<Outcome<'_>> {
    let head = Head::read(bytes)?;
    match std::str::from_utf8(head.texts) {
        Ok(texts) => head.outcome(Whole(texts)),
        Err(_) => head.outcome(Texts::new(head.texts)),
    }
}

/// What an encoded outcome begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// Whether it is an event.
    pub is_event: bool,
    /// When the message was received, in microseconds since 1970 UTC.
    pub time: i64,
}

/// The outline of an encoded outcome; none if it is none. What follows is not looked at.
#[inline]
pub fn outline(bytes: &[u8]) -> Option<Outline> {
    let head = Head::read(bytes)?;
    let is_event = match head.kind {
        CHECK_RESULT => false,
        EVENT => true,
        _ => return None,
    };
    Some(Outline { is_event, time: head.time })
}

/// Whether some bytes are an outcome, all of them. It costs two thirds of [`decode`].
pub fn is_outcome(bytes: &[u8]) -> bool {
    let Some(head) = Head::read(bytes) else { return false };
    let whole = match std::str::from_utf8(head.texts) {
        Ok(texts) => head.check(Whole(texts)),
        Err(_) => head.check(Texts::new(head.texts)),
    };
    whole.is_some()
}

/// Host and service, or component and resource, of an encoded outcome, as they are encoded: the same for the same two. And whether
/// there is a service or resource, which may have an empty name. None if it is no outcome; it is not checked that it is one.
pub fn names(bytes: &[u8]) -> Option<(&[u8], bool)> {
    let head = Head::read(bytes)?;
    let mut texts = Texts::of_octets(head.texts);
    let marks = [MUTED | LAST, HAS_ORIGINAL].into_iter().filter(|mark| head.flags & mark != 0).count();
    // Rule, output, long output, source.
    for _ in 0..marks + 4 {
        texts.octets()?;
    }
    let before = texts.rest;
    texts.octets()?;
    texts.octets()?;
    let names = before.get(..before.len() - texts.rest.len())?;
    Some((names, head.flags & HAS_SECOND != 0))
}

/// What comes before the texts.
struct Head<'b> {
    kind: u8,
    state: State,
    flags: u8,
    time: i64,
    texts: &'b [u8],
}

impl<'b> Head<'b> {
    fn read(bytes: &'b [u8]) -> Option<Self> {
        let (&[kind, state, flags], rest) = bytes.split_first_chunk::<3>()?;
        let (time, texts) = rest.split_first_chunk::<8>()?;
        let state = *State::ALL.get(usize::from(state))?;
        Some(Head { kind, state, flags, time: i64::from_le_bytes(*time), texts })
    }

    /// Leaves out what is no part of the outcome.
    #[inline]
    fn skip_marks(&self, texts: &mut impl Source<'b>) -> Option<()> {
        if self.flags & (MUTED | LAST) != 0 {
            texts.next()?;
        }
        if self.flags & HAS_ORIGINAL != 0 {
            texts.octets()?;
        }
        Some(())
    }

    #[inline]
    fn outcome(&self, mut texts: impl Source<'b>) -> Option<Outcome<'b>> {
        self.skip_marks(&mut texts)?;
        let mut common = Common {
            time: self.time,
            state: self.state,
            rule: texts.next()?.into(),
            output: texts.next()?.into(),
            long_output: texts.next()?.into(),
            source: texts.next()?.into(),
            labels: Labels::default(),
        };
        let first = texts.next()?.into();
        let second = Some(texts.next()?.into()).filter(|_| self.flags & HAS_SECOND != 0);
        if self.flags & HAS_LABELS != 0 {
            let mut labels = Vec::new();
            for _ in 0..texts.number()? {
                labels.push((texts.next()?.into(), texts.next()?.into()));
            }
            common.labels = Labels::Own(labels);
        }
        match self.kind {
            CHECK_RESULT => {
                let perfdata = texts.next()?.into();
                Some(Outcome::CheckResult(CheckResult { common, host: first, service: second, perfdata }))
            }
            EVENT => {
                let mut fields = Vec::new();
                while texts.left() > 0 {
                    fields.push((texts.next()?.into(), texts.next()?.into()));
                }
                Some(Outcome::Event(Event { common, component: first, resource: second, fields }))
            }
            _ => None,
        }
    }

    /// The outcome is there, all of it.
    #[inline]
    fn check(&self, mut texts: impl Source<'b>) -> Option<()> {
        self.skip_marks(&mut texts)?;
        // Rule, output, long output, source, both names.
        for _ in 0..6 {
            texts.next()?;
        }
        if self.flags & HAS_LABELS != 0 {
            for _ in 0..texts.number()? {
                texts.next()?;
                texts.next()?;
            }
        }
        match self.kind {
            // Performance data.
            CHECK_RESULT => {
                texts.next()?;
            }
            EVENT => {
                while texts.left() > 0 {
                    texts.next()?;
                    texts.next()?;
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// Texts and numbers, one after the other.
trait Source<'b> {
    fn number(&mut self) -> Option<usize>;
    fn octets(&mut self) -> Option<&'b [u8]>;
    fn next(&mut self) -> Option<&'b str>;
    /// How many bytes there are still.
    fn left(&self) -> usize;
}

/// The texts of an outcome that is UTF-8 as a whole, as nearly all are: the length of a short text is ASCII.
struct Whole<'b>(&'b str);

impl<'b> Source<'b> for Whole<'b> {
    #[inline]
    fn number(&mut self) -> Option<usize> {
        if let Some(number @ ..=0x7f) = self.0.as_bytes().first() {
            self.0 = self.0.get(1..)?;
            return Some((*number).into());
        }
        let (number, rest) = varint::decode::usize(self.0.as_bytes()).ok()?;
        self.0 = self.0.get(self.0.len() - rest.len()..)?;
        Some(number)
    }

    #[inline]
    fn octets(&mut self) -> Option<&'b [u8]> {
        self.next().map(str::as_bytes)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call costs more than it does for a short text")]
    fn next(&mut self) -> Option<&'b str> {
        // What is whole characters of UTF-8 is UTF-8 by itself, and nothing else is.
        if let Some(length @ ..=0x7f) = self.0.as_bytes().first() {
            let (text, rest) = self.0.split_at_checked(usize::from(*length) + 1)?;
            self.0 = rest;
            return text.get(1..);
        }
        self.next_long()
    }

    #[inline]
    fn left(&self) -> usize {
        self.0.len()
    }
}

impl<'b> Whole<'b> {
    #[inline(never)]
    fn next_long(&mut self) -> Option<&'b str> {
        let length = self.number()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}

/// The texts of any outcome.
pub(super) struct Texts<'b> {
    pub(super) rest: &'b [u8],
    /// As much of what `rest` begins with as is known to be UTF-8: the length of a short text is ASCII, so one check does for
    /// many texts.
    known: &'b str,
}

impl<'b> Texts<'b> {
    fn new(rest: &'b [u8]) -> Self {
        Texts { rest, known: utf_8_at_start(rest) }
    }

    /// The same for whoever wants octets, which are not checked.
    pub(super) fn of_octets(rest: &'b [u8]) -> Self {
        Texts { rest, known: "" }
    }

    pub(super) fn number(&mut self) -> Option<usize> {
        // Most texts are that short.
        if let [number @ ..0x80, rest @ ..] = self.rest {
            (self.rest, self.known) = (rest, self.known.get(1..).unwrap_or_default());
            return Some((*number).into());
        }
        let (number, rest) = varint::decode::usize(self.rest).ok()?;
        (self.rest, self.known) = (rest, "");
        Some(number)
    }

    /// The next text, not checked.
    pub(super) fn octets(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        let (octets, rest) = self.rest.split_at_checked(length)?;
        (self.rest, self.known) = (rest, "");
        Some(octets)
    }

    #[inline]
    fn text(&mut self) -> Option<&'b str> {
        // A short text whose octets are known: its length is their first character.
        if let [length @ ..0x80, rest @ ..] = self.rest
            && let Some((text, known)) =
                self.known.get(1..).and_then(|known| known.split_at_checked((*length).into()))
        {
            (self.rest, self.known) = (&rest[text.len()..], known);
            return Some(text);
        }
        self.check_next()
    }

    /// The next text, where its octets are not known to be UTF-8, or it is long.
    #[inline(never)]
    fn check_next(&mut self) -> Option<&'b str> {
        let text = std::str::from_utf8(self.octets()?).ok()?;
        self.known = utf_8_at_start(self.rest);
        Some(text)
    }
}

impl<'b> Source<'b> for Texts<'b> {
    fn number(&mut self) -> Option<usize> {
        Texts::number(self)
    }

    fn octets(&mut self) -> Option<&'b [u8]> {
        Texts::octets(self)
    }

    fn next(&mut self) -> Option<&'b str> {
        self.text()
    }

    fn left(&self) -> usize {
        self.rest.len()
    }
}

/// As much as is UTF-8 of what some bytes begin with.
fn utf_8_at_start(bytes: &[u8]) -> &str {
    let end = match std::str::from_utf8(bytes) {
        Ok(text) => return text,
        Err(error) => error.valid_up_to(),
    };
    std::str::from_utf8(&bytes[..end]).unwrap_or_default()
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
