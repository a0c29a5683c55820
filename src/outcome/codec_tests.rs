use proptest::prelude::*;

use super::*;
use crate::outcome::name::Name;

/// Reads parts up to the first one that is no UTF-8.
fn has_the_parts<'b>(mut texts: impl Source<'b>, parts: &[Vec<u8>]) -> Result<(), TestCaseError> {
    for part in parts {
        let text = std::str::from_utf8(part).ok();
        prop_assert_eq!(texts.next(), text);
        if text.is_none() {
            return Ok(());
        }
    }
    prop_assert_eq!((texts.left(), texts.next()), (0, None));
    Ok(())
}

proptest! {
    /// Short and long texts, of ASCII and not, and bytes that are none.
    #[test]
    fn texts_are_those_that_are_utf_8_by_themselves(
        parts in prop::collection::vec(prop_oneof![
            4 => "[ -~]{0,20}".prop_map(String::into_bytes),
            2 => "\\PC{0,20}".prop_map(String::into_bytes),
            2 => "[a-zä]{100,300}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..6),
        ], 0..10),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        for part in &parts {
            push_number(&mut bytes, part.len());
            bytes.extend(part);
        }
        if let Ok(whole) = std::str::from_utf8(&bytes) {
            has_the_parts(Whole(whole), &parts)?;
        }
        has_the_parts(Texts::new(&bytes), &parts)?;
        let torn = &bytes[..cut.index(bytes.len() + 1)];
        let (mut torn_texts, mut torn_whole) = (Texts::new(torn), std::str::from_utf8(torn).ok().map(Whole));
        while torn_texts.text().is_some() {}
        while torn_whole.as_mut().and_then(Source::next).is_some() {}
    }

    /// Both ways to read bytes that are no outcome, or one that is damaged, and what is known of those that are one.
    #[test]
    fn an_outline_is_that_of_the_outcome(
        parts in prop::collection::vec(prop_oneof![3 => "[ -~]{0,12}", 1 => "\\PC{0,12}", 1 => "[a-zä]{100,300}", 1 => "[a-zä]{8000,9000}"], 6..12),
        (kind, state, flags) in (0u8..4, 0u8..8, 0u8..32),
        time: i64,
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut bytes = vec![kind, state, flags];
        bytes.extend(time.to_le_bytes());
        for part in &parts {
            push_text(&mut bytes, part);
        }
        if let Some((at, octet)) = damage {
            *at.get_mut(&mut bytes) = octet;
        }
        let outcome = decode(&bytes);
        if let Some(head) = Head::read(&bytes) {
            prop_assert_eq!(&head.outcome(Texts::new(head.texts)), &outcome);
            prop_assert_eq!(head.check(Texts::new(head.texts)).is_some(), is_outcome(&bytes));
        }
        prop_assert_eq!(is_outcome(&bytes), outcome.is_some());
        let (outline, read) = (outline(&bytes), names(&bytes));
        let Some(outcome) = outcome else { return Ok(()) };
        let outline = outline.unwrap();
        prop_assert_eq!(outline.time, outcome.common().time);
        prop_assert_eq!(outline.is_event, matches!(outcome, Outcome::Event(_)));
        let (read, has_second) = read.unwrap();
        prop_assert_eq!(has_second, outcome.service().is_some());
        let mut again = Vec::new();
        encode(&outcome, &mut again);
        let mut texts = Texts::new(read);
        let (first, second) = (texts.text().unwrap(), texts.text().unwrap());
        // Names that are clean, as all that were written are, are the same when they are written again.
        let is_clean = |name: &str| Name::new(name).as_str() == name;
        if is_clean(first) && is_clean(second) && (has_second || second.is_empty()) {
            prop_assert_eq!(names(&again), Some((read, has_second)));
            prop_assert_eq!(outcome.host(), first);
            prop_assert_eq!(outcome.service().unwrap_or(second), second);
        }
    }
}

/// What a release without labels has written is read as it was, and written so.
#[test]
fn outcomes_without_labels_are_as_before_there_were_any() {
    let check = b"\x01\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01\x01r\x01o\x00\x01s\x01h\x02Gi\x03a=1";
    let event = b"\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01r\x01o\x00\x01s\x01c\x00\x04tags\x01x";
    for bytes in [&check[..], &event[..]] {
        let outcome = decode(bytes).unwrap();
        assert!(outcome.common().labels.is_empty());
        let mut again = Vec::new();
        encode(&outcome, &mut again);
        assert_eq!(again, bytes);
    }
    let Some(Outcome::CheckResult(check)) = decode(check) else { unreachable!("it is a check result") };
    assert_eq!((check.service.as_deref(), &*check.perfdata), (Some("Gi"), "a=1"));
}

#[test]
fn the_original_stays_whatever_mutes_and_states_do() {
    let plain = b"\x01\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01\x01r\x01o\x00\x01s\x01h\x02Gi\x03a=1";
    let outcome = decode(plain).unwrap();
    assert_eq!(original_of(plain), None);
    let original = [0x30, 0x80, 0, 0xff].repeat(100);
    let mut bytes = Vec::new();
    encode_with(&outcome, Some(&original), &mut bytes);
    let marked = muted(&bytes, "a,b", false);
    for bytes in [&bytes, &marked, &muted(&bytes, "*", true)] {
        assert_eq!((original_of(bytes), decode(bytes)), (Some(&original[..]), Some(outcome.clone())));
    }
    assert_eq!(&*unmuted(&marked), &bytes);
    set_state(&mut bytes, State::Ok);
    assert_eq!((state_of(&bytes), original_of(&bytes)), (Some(State::Ok), Some(&original[..])));
    for length in 0..bytes.len() {
        let _ = (original_of(&bytes[..length]), decode(&bytes[..length]));
    }
}

#[test]
fn a_number_of_labels_that_are_not_there_is_no_outcome() {
    let mut bytes = b"\x01\x02\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01h\x00".to_vec();
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert_eq!(decode(&bytes), None);
}
