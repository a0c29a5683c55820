//! Encoded outcomes without what is known otherwise, for those who keep many of them.
//!
//! ```text
//! head 1: 1 an event, 2 has a service or resource, 4 its rule is a number, 8 its source is its host, 16 only names,
//!         and 32 times the number of its state
//! without names alone: flags and time as they are, output, long output
//! rule: two bytes, or a text; source, if that is not the host; everything from the host on as it is, of names alone without
//! the end
//! ```
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

/// Appends an outcome, packed. `number` gives the number of a rule's id.
pub fn pack(outcome: &[u8], number: impl FnOnce(&[u8]) -> Option<u16>, out: &mut Vec<u8>) {
    let before = out.len();
    if try_pack(outcome, number, out).is_none() {
        out.truncate(before);
        out.push(PLAIN);
        out.extend_from_slice(outcome);
    }
}

fn try_pack(outcome: &[u8], number: impl FnOnce(&[u8]) -> Option<u16>, out: &mut Vec<u8>) -> Option<()> {
    let (&[kind, state, flags], rest) = outcome.split_first_chunk::<3>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let unusual = flags & !(HAS_SECOND | HAS_LABELS) != 0 || ![CHECK_RESULT, EVENT].contains(&kind);
    if unusual || usize::from(state) >= State::ALL.len() {
        return None;
    }
    let mut texts = Texts::of_octets(rest);
    let rule = texts.octets()?;
    let said = texts.rest;
    let (output, long) = (texts.octets()?, texts.octets()?);
    let said = &said[..said.len() - texts.rest.len()];
    let source = texts.octets()?;
    let names = texts.rest;
    let host = texts.octets()?;
    texts.octets()?;
    let end: &[u8] = if kind == EVENT { &[] } else { &[0] };
    let alone = *time == [0; 8] && output.is_empty() && long.is_empty() && flags & HAS_LABELS == 0;
    let is_names = alone && texts.rest == end;
    let number = number(rule);
    let bits = [
        (IS_EVENT, kind == EVENT),
        (SECOND, flags & HAS_SECOND != 0),
        (NUMBERED, number.is_some()),
        (AT_HOST, source == host),
        (NAMES, is_names),
    ];
    out.push(bits.iter().fold(state << STATE, |head, (bit, is)| if *is { head | bit } else { head }));
    if !is_names {
        out.push(flags);
        out.extend_from_slice(time);
        out.extend_from_slice(said);
    }
    match number {
        Some(number) => out.extend_from_slice(&number.to_le_bytes()),
        None => push_octets(out, rule),
    }
    if source != host {
        push_octets(out, source);
    }
    out.extend_from_slice(names.get(..names.len() - if is_names { end.len() } else { 0 })?);
    Some(())
}

/// The outcome as it was; none if the bytes are none. `rule` gives the id of the rule with a number.
pub fn unpack<'r>(packed: &[u8], rule: impl FnOnce(u16) -> Option<&'r [u8]>) -> Option<Vec<u8>> {
    let (head, rest) = packed.split_first()?;
    if *head == PLAIN {
        return Some(rest.to_vec());
    }
    let has = |bit: u8| head & bit != 0;
    let mut texts = Texts::of_octets(rest);
    let mut out = Vec::with_capacity(packed.len() + 64);
    out.extend([if has(IS_EVENT) { EVENT } else { CHECK_RESULT }, head >> STATE]);
    let mut said: &[u8] = &[0, 0];
    if has(NAMES) {
        out.push(if has(SECOND) { HAS_SECOND } else { 0 });
        out.extend([0; 8]);
    } else {
        let (marks, behind) = rest.split_at_checked(MARKS)?;
        out.extend_from_slice(marks);
        texts.rest = behind;
        texts.octets()?;
        texts.octets()?;
        said = &behind[..behind.len() - texts.rest.len()];
    }
    if has(NUMBERED) {
        let (number, behind) = texts.rest.split_first_chunk::<2>()?;
        texts.rest = behind;
        push_octets(&mut out, rule(u16::from_le_bytes(*number))?);
    } else {
        push_octets(&mut out, texts.octets()?);
    }
    out.extend_from_slice(said);
    let source = if has(AT_HOST) { Texts::of_octets(texts.rest).octets()? } else { texts.octets()? };
    push_octets(&mut out, source);
    out.extend_from_slice(texts.rest);
    if has(NAMES) && !has(IS_EVENT) {
        out.push(0);
    }
    Some(out)
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
        let mut packed = vec![7];
        let number =
            |rule: &[u8]| rules.iter().position(|known| known.as_bytes() == rule).map(|at| at as u16);
        pack(outcome, number, &mut packed);
        let unpacked = unpack(&packed[1..], |at| rules.get(usize::from(at)).map(|rule| rule.as_bytes()));
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
            let _ = unpack(&bytes, |_| Some(b"x"));
        }
    }

    #[test]
    fn names_alone_take_little_more_than_their_texts() {
        let names = b"\x01\x02\x01\0\0\0\0\0\0\0\0\x04rule\0\0\x01h\x01h\x02Gi\0";
        assert_eq!(there_and_back(names, &["rule"]), (8, names.to_vec()));
    }
}
