//! Outcomes as bytes.
//!
//! ```text
//! kind 1 (1 check result, 2 event)   state 1   flags 1 (1: has a service or resource, 2: is muted, 4: is the last word of a mute)
//! time 8 (microseconds)   if it is muted or a last word: the names of sinks that this is for, a text
//! texts, each: length as LEB128, UTF-8
//!   check result: rule, output, long output, source, host, service, perfdata
//!   event:        rule, output, long output, source, component, resource, then names and values by turns
//! ```

use std::borrow::Cow;

use unsigned_varint as varint;

use crate::outcome::result::{CheckResult, Common, Event, Outcome, State};

const CHECK_RESULT: u8 = 1;
const EVENT: u8 = 2;
const HAS_SECOND: u8 = 1;
const MUTED: u8 = 2;
const LAST: u8 = 4;
/// Where the flags are.
const FLAGS: usize = 2;
/// How many bytes are before the texts.
const HEAD: usize = 11;

/// Appends an outcome.
pub fn encode(outcome: &Outcome<'_>, out: &mut Vec<u8>) {
    let common = outcome.common();
    let (kind, second) = match outcome {
        Outcome::CheckResult(check) => (CHECK_RESULT, check.service.is_some()),
        Outcome::Event(event) => (EVENT, event.resource.is_some()),
    };
    let state = State::ALL.iter().position(|s| *s == common.state).unwrap_or(0) as u8;
    out.extend([kind, state, u8::from(second) * HAS_SECOND]);
    out.extend(common.time.to_le_bytes());
    for text in [&common.rule, &common.output, &common.long_output, &common.source] {
        push_text(out, text);
    }
    match outcome {
        Outcome::CheckResult(check) => {
            push_text(out, &check.host);
            push_text(out, check.service.as_deref().unwrap_or(""));
            push_text(out, &check.perfdata);
        }
        Outcome::Event(event) => {
            push_text(out, &event.component);
            push_text(out, event.resource.as_deref().unwrap_or(""));
            for (name, value) in &event.fields {
                push_text(out, name);
                push_text(out, value);
            }
        }
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

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(varint::encode::usize(text.len(), &mut varint::encode::usize_buffer()));
    out.extend_from_slice(text.as_bytes());
}

/// The outcome that some bytes are; none if they are none.
pub fn decode(bytes: &[u8]) -> Option<Outcome<'_>> {
    let (&[kind, state, flags], rest) = bytes.split_first_chunk::<3>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let mut texts = Texts { rest };
    if flags & (MUTED | LAST) != 0 {
        texts.next()?;
    }
    let common = Common {
        time: i64::from_le_bytes(*time),
        state: *State::ALL.get(usize::from(state))?,
        rule: texts.next()?,
        output: texts.next()?,
        long_output: texts.next()?,
        source: texts.next()?,
    };
    let first = texts.next()?.into();
    let second = Some(texts.next()?.into()).filter(|_| flags & HAS_SECOND != 0);
    match kind {
        CHECK_RESULT => {
            let perfdata = texts.next()?;
            Some(Outcome::CheckResult(CheckResult { common, host: first, service: second, perfdata }))
        }
        EVENT => {
            let mut fields = Vec::new();
            while !texts.rest.is_empty() {
                fields.push((texts.next()?, texts.next()?));
            }
            Some(Outcome::Event(Event { common, component: first, resource: second, fields }))
        }
        _ => None,
    }
}

struct Texts<'b> {
    rest: &'b [u8],
}

impl<'b> Texts<'b> {
    fn next(&mut self) -> Option<Cow<'b, str>> {
        let (length, rest) = varint::decode::usize(self.rest).ok()?;
        let (text, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        std::str::from_utf8(text).ok().map(Cow::Borrowed)
    }
}
