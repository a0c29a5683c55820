//! Encoded outcomes without what is known otherwise, for those who keep many of them.
//!
//! ```text
//! head 1: 1 an event, 2 has a service or resource, 4 its rule is a number, 8 its source is its host, 16 only names,
//!         and 32 times the number of its state
//! rule: two bytes, or a text
//! without names alone: flags and time as they are, output, long output
//! source, if that is not the host; host; service or resource; everything behind as it is, of names alone without the end
//! ```
//!
//! Where the rule is a number, output, host and service are written as what they have between the beginning and the end that
//! they share with those of an earlier outcome of the rule: 0 if there is no difference, else the length between plus one, how much is
//! shared at the beginning and at the end, a byte each, and what is between. Where the earlier one has no such text, they are as they are.
//!
//! What is not encoded like this, as an outcome that mutes say something of, stays as it is behind a head of 255.

use super::codec::{CHECK_RESULT, EVENT, HAS_LABELS, HAS_SECOND, Texts, push_number};
use super::result::State;

const IS_EVENT: u8 = 1;
const SECOND: u8 = 2;
const NUMBERED: u8 = 4;
const AT_HOST: u8 = 8;
const NAMES: u8 = 16;
/// From which bit on the head has the number of the state.
const STATE: u32 = 5;
/// No state has the number that this would be.
const PLAIN: u8 = u8::MAX;
/// Flags and time.
const MARKS: usize = 9;

/// What an outcome of a rule has had: output, host or component, service or resource. A longer one is cut.
#[derive(Debug, Clone, Default)]
pub struct Earlier([Box<[u8]>; 3]);

/// How much of an earlier text counts.
const MOST_SHARED: usize = 255;

impl Earlier {
    /// That of these texts.
    pub fn new(texts: [&[u8]; 3]) -> Self {
        Earlier(texts.map(|text| text[..text.len().min(MOST_SHARED)].into()))
    }
}

/// Appends an outcome, packed. `number` gives the number of a rule's id, with what an outcome of it has had, for which it gets the texts
/// of this one. The same number must have the same texts for ever.
pub fn pack<'e>(
    outcome: &[u8],
    number: impl FnOnce(&[u8], [&[u8]; 3]) -> Option<(u16, &'e Earlier)>,
    out: &mut Vec<u8>,
) {
    let before = out.len();
    if try_pack(outcome, number, out).is_none() {
        out.truncate(before);
        out.push(PLAIN);
        out.extend_from_slice(outcome);
    }
}

fn try_pack<'e>(
    outcome: &[u8],
    number: impl FnOnce(&[u8], [&[u8]; 3]) -> Option<(u16, &'e Earlier)>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let (&[kind, state, flags], rest) = outcome.split_first_chunk::<3>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let unusual = flags & !(HAS_SECOND | HAS_LABELS) != 0 || ![CHECK_RESULT, EVENT].contains(&kind);
    if unusual || usize::from(state) >= State::ALL.len() {
        return None;
    }
    let mut texts = Texts::of_octets(rest);
    let (rule, output, long) = (texts.octets()?, texts.octets()?, texts.octets()?);
    let (source, host, second) = (texts.octets()?, texts.octets()?, texts.octets()?);
    let end: &[u8] = if kind == EVENT { &[] } else { &[0] };
    let alone = *time == [0; 8] && output.is_empty() && long.is_empty() && flags & HAS_LABELS == 0;
    let is_names = alone && texts.rest == end;
    let number = number(rule, [output, host, second]);
    let bits = [
        (IS_EVENT, kind == EVENT),
        (SECOND, flags & HAS_SECOND != 0),
        (NUMBERED, number.is_some()),
        (AT_HOST, source == host),
        (NAMES, is_names),
    ];
    out.push(bits.iter().fold(state << STATE, |head, (bit, is)| if *is { head | bit } else { head }));
    match number {
        Some((number, _)) => out.extend_from_slice(&number.to_le_bytes()),
        None => push_octets(out, rule),
    }
    let earlier = number.map(|(_, earlier)| &earlier.0);
    let like = |at: usize| earlier.map_or(&[][..], |earlier| &earlier[at]);
    if !is_names {
        out.push(flags);
        out.extend_from_slice(time);
        push_like(out, output, like(0));
        push_octets(out, long);
    }
    if source != host {
        push_octets(out, source);
    }
    push_like(out, host, like(1));
    push_like(out, second, like(2));
    out.extend_from_slice(if is_names { &[] } else { texts.rest });
    Some(())
}

/// The outcome as it was; none if the bytes are none. `rule` gives the id of the rule with a number, and what an outcome of it has had.
pub fn unpack<'r>(
    packed: &[u8],
    rule: impl FnOnce(u16) -> Option<(&'r [u8], &'r Earlier)>,
) -> Option<Vec<u8>> {
    let (head, rest) = packed.split_first()?;
    if *head == PLAIN {
        return Some(rest.to_vec());
    }
    let has = |bit: u8| head & bit != 0;
    let mut texts = Texts::of_octets(rest);
    let (id, earlier) = if has(NUMBERED) {
        let (number, behind) = rest.split_first_chunk::<2>()?;
        texts.rest = behind;
        let (id, earlier) = rule(u16::from_le_bytes(*number))?;
        (id, Some(&earlier.0))
    } else {
        (texts.octets()?, None)
    };
    let like = |at: usize| earlier.map_or(&[][..], |earlier| &earlier[at]);
    let mut out = Vec::with_capacity(2 * packed.len() + 64);
    out.extend([if has(IS_EVENT) { EVENT } else { CHECK_RESULT }, head >> STATE]);
    if has(NAMES) {
        out.push(if has(SECOND) { HAS_SECOND } else { 0 });
        out.extend([0; 8]);
        push_octets(&mut out, id);
        out.extend([0, 0]);
    } else {
        let (marks, behind) = texts.rest.split_at_checked(MARKS)?;
        out.extend_from_slice(marks);
        texts.rest = behind;
        push_octets(&mut out, id);
        take_like(&mut texts, like(0))?.push(&mut out);
        push_octets(&mut out, texts.octets()?);
    }
    let source = if has(AT_HOST) { None } else { Some(texts.octets()?) };
    let host = take_like(&mut texts, like(1))?;
    match source {
        Some(source) => push_octets(&mut out, source),
        None => host.push(&mut out),
    }
    host.push(&mut out);
    take_like(&mut texts, like(2))?.push(&mut out);
    out.extend_from_slice(texts.rest);
    if has(NAMES) && !has(IS_EVENT) {
        out.push(0);
    }
    Some(out)
}

/// A text in three parts.
#[derive(Debug, Clone, Copy)]
struct Parts<'b>([&'b [u8]; 3]);

impl Parts<'_> {
    fn push(self, out: &mut Vec<u8>) {
        push_number(out, self.0.iter().map(|part| part.len()).sum());
        self.0.iter().for_each(|part| out.extend_from_slice(part));
    }
}

fn push_like(out: &mut Vec<u8>, text: &[u8], like: &[u8]) {
    if like.is_empty() {
        return push_octets(out, text);
    }
    if text == like {
        return out.push(0);
    }
    let start = text.iter().zip(like).take_while(|(a, b)| a == b).count();
    let (text, rest) = (&text[start..], &like[start..]);
    let end = text.iter().rev().zip(rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let between = &text[..text.len() - end];
    push_number(out, between.len() + 1);
    out.extend([start as u8, end as u8]);
    out.extend_from_slice(between);
}

fn take_like<'b>(texts: &mut Texts<'b>, like: &'b [u8]) -> Option<Parts<'b>> {
    if like.is_empty() {
        return texts.octets().map(|text| Parts([&[], text, &[]]));
    }
    let Some(length) = texts.number()?.checked_sub(1) else { return Some(Parts([like, &[], &[]])) };
    let (&[start, end], rest) = texts.rest.split_first_chunk::<2>()?;
    let (between, rest) = rest.split_at_checked(length)?;
    texts.rest = rest;
    let start = like.get(..start.into())?;
    let end = like.get(like.len().checked_sub(end.into())?..)?;
    Some(Parts([start, between, end]))
}

fn push_octets(out: &mut Vec<u8>, octets: &[u8]) {
    push_number(out, octets.len());
    out.extend_from_slice(octets);
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::outcome::codec;
    use crate::outcome::name::Name;
    use crate::outcome::result::{CheckResult, Common, Event, Labels, Outcome};

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["", "[a-c]{1,3}", "[a-z ]{100,200}"]
    }

    fn there_and_back(outcome: &[u8], rules: &[&str]) -> (usize, Vec<u8>) {
        let mut own = Earlier::default();
        let note = |_: &[u8], texts: [&[u8]; 3]| {
            own = Earlier::new(texts);
            None
        };
        pack(outcome, note, &mut Vec::new());
        let (mut packed, mut unpacked) = (vec![7], None);
        // Beside the texts of another outcome, and beside its own.
        for earlier in [Earlier::new([b"abca", b"a", b"ab aab"]), own] {
            packed.truncate(1);
            let number = |rule: &[u8], _: [&[u8]; 3]| {
                let at = rules.iter().position(|known| known.as_bytes() == rule)?;
                Some((at as u16, &earlier))
            };
            pack(outcome, number, &mut packed);
            let rule = |at| Some((rules.get(usize::from(at))?.as_bytes(), &earlier));
            unpacked = unpack(&packed[1..], rule);
            assert_eq!(unpacked.as_deref(), Some(outcome));
        }
        (packed.len() - 1, unpacked.unwrap())
    }

    proptest! {
        #[test]
        fn outcomes_come_back(
            (event, second, same, time) in (any::<bool>(), any::<bool>(), any::<bool>(), prop_oneof![Just(0i64), any::<i64>()]),
            texts in prop::collection::vec(text(), 7),
            labels in prop::collection::vec((text(), text()), 0..2),
            state in 0..State::ALL.len(),
        ) {
            let of = |at: usize| Cow::Borrowed(&*texts[at]);
            let name = |at: usize| Name::new(texts[at].clone());
            let labels: Vec<_> = labels.iter().map(|(n, v)| (Cow::Borrowed(&**n), Cow::Borrowed(&**v))).collect();
            let common = Common {
                time,
                rule: of(0),
                state: State::ALL[state],
                output: of(1),
                long_output: of(2),
                source: of(if same { 4 } else { 3 }),
                labels: Labels::Own(labels.clone()),
            };
            let service = second.then(|| name(5));
            let outcome = if event {
                Outcome::Event(Event { common, component: name(4), resource: service, fields: labels })
            } else {
                Outcome::CheckResult(CheckResult { common, host: name(4), service, perfdata: of(6) })
            };
            let mut bytes = Vec::new();
            codec::encode(&outcome, &mut bytes);
            prop_assert_eq!(&there_and_back(&bytes, &["a", "b"]).1, &bytes);
            prop_assert_eq!(&there_and_back(&bytes, &[&texts[0]]).1, &bytes);
            let muted = codec::muted(&bytes, "*", false);
            prop_assert_eq!(&there_and_back(&muted, &[]).1, &muted);
        }

        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..60)) {
            prop_assert_eq!(&there_and_back(&bytes, &[]).1, &bytes);
            let earlier = Earlier::new([b"abc", b"", b"x"]);
            let _ = unpack(&bytes, |_| Some((b"x", &earlier)));
        }
    }

    #[test]
    fn names_alone_take_little_more_than_their_texts() {
        let names = b"\x01\x02\x01\0\0\0\0\0\0\0\0\x04rule\0\0\x01h\x01h\x02Gi\0";
        assert_eq!(there_and_back(names, &["rule"]), (5, names.to_vec()));
        assert_eq!(there_and_back(names, &[]).0, 1 + 5 + 2 + 3);
    }
}
