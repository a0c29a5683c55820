use proptest::prelude::*;

use super::*;

/// What happens to a stream.
#[derive(Debug, Clone)]
enum Step<'s> {
    Push(&'s [u8]),
    Quiet,
}

/// The messages of a stream, those that were cut with a mark, and how often counts were lost. At its end the stream is closed.
fn run<'s>(steps: impl IntoIterator<Item = Step<'s>>) -> (Vec<String>, u64) {
    let mut framer = Framer::default();
    let mut got = Vec::new();
    let shown = |framed: Framed<'_>| {
        assert!(!framed.message.is_empty() && framed.message.len() <= MAX_MESSAGE);
        let text = String::from_utf8_lossy(framed.message).into_owned();
        if framed.cut { format!("{text} (cut)") } else { text }
    };
    for step in steps {
        match step {
            Step::Push(octets) => {
                framer.push(octets);
                while let Some(framed) = framer.next_message() {
                    got.push(shown(framed));
                }
                assert!(framer.buffer.len() <= MAX_MESSAGE + 32 + octets.len(), "it keeps one message");
            }
            Step::Quiet => {
                framer.quiet();
                while let Some(framed) = framer.next_message() {
                    got.push(shown(framed));
                }
                assert!(!framer.waits());
            }
        }
    }
    while let Some(framed) = framer.finish() {
        got.push(shown(framed));
    }
    (got, framer.take_lost())
}

fn all(stream: &[u8]) -> Vec<String> {
    run([Step::Push(stream)]).0
}

#[test]
fn lines_and_counts_by_what_the_stream_has_been() {
    let cases: [(&str, &[&str]); 29] = [
        ("<1>one\n<2>two\r\n<3>last", &["<1>one", "<2>two", "<3>last"]),
        ("6 <1>one6 <2>two7 <3>last", &["<1>one", "<2>two", "<3>last"]),
        // What stands between messages.
        ("\r\n <1>one\n \n\0<2>two\0<3>three\n\0", &["<1>one", "<2>two", "<3>three"]),
        ("6 <1>one\n6 <2>two\r\n 6 <3>six\n", &["<1>one", "<2>two", "<3>six"]),
        // A count that is none.
        ("42 is the answer\n<1>one\n", &["42 is the answer", "<1>one"]),
        ("<1>one\n5 <b>bold</b>\n<2>two\n", &["<1>one", "5 <b>bold</b>", "<2>two"]),
        ("<1>one\n5 <13>abcdef\n<2>two\n", &["<1>one", "5 <13>abcdef", "<2>two"]),
        ("<1>see 200 <13> there\n<2>two\n", &["<1>see 200 <13> there", "<2>two"]),
        ("0 <1>a\n", &["0 <1>a"]),
        ("1234567890 <1>a\n", &["1234567890 <1>a"]),
        ("01 <1>a\n", &["01 <1>a"]),
        // A count whose message ends where it says.
        ("<1>one\n6 <2>two<3>three\n", &["<1>one", "<2>two", "<3>three"]),
        ("<1>one\n6 <2>two6 <3>six\n", &["<1>one", "<2>two", "<3>six"]),
        ("12 <4>with\nline<5>last", &["<4>with\nline", "<5>last"]),
        // Without a priority: at the beginning only, unless the stream is counted.
        ("3 one<2>two\n", &["one", "<2>two"]),
        ("3 one3 two", &["one", "two"]),
        ("3 one3 two5 three", &["one", "two", "three"]),
        ("3 one3 two\n", &["one", "two"]),
        ("5 hits 12 misses\n", &["5 hits 12 misses"]),
        ("5 hits 2 of 3\n", &["5 hits 2 of 3"]),
        ("<1>one\n3 two<2>two\n", &["<1>one", "3 two<2>two"]),
        ("6 <1>one6 <2>two5 three", &["<1>one", "<2>two", "three"]),
        // The end.
        ("40 <2>tw", &["<2>tw (cut)"]),
        ("40 <2>tw\nmore", &["40 <2>tw", "more"]),
        ("<1>one\n40 <2>tw", &["<1>one", "40 <2>tw"]),
        ("6 <1>one40 <2>tw\nmore", &["<1>one", "<2>tw\nmore (cut)"]),
        ("6 <1>one6 <2>two40 ", &["<1>one", "<2>two"]),
        ("6 <1>one6 <2>two40", &["<1>one", "<2>two", "40"]),
        ("", &[]),
    ];
    for (stream, expected) in cases {
        assert_eq!(all(stream.as_bytes()), expected, "{stream:?}");
    }
}

#[test]
fn a_datagram_is_one_message_without_its_count() {
    for (datagram, message) in [
        ("6 <1>one", "<1>one"),
        ("7 <1>one", "7 <1>one"),
        ("5 <1>one", "5 <1>one"),
        ("<1>one\n<2>two", "<1>one\n<2>two"),
        ("1", "1"),
        ("", ""),
    ] {
        assert_eq!(of_datagram(datagram.as_bytes()), message.as_bytes());
    }
}

#[test]
fn counts_that_are_lost_are_counted_and_found_again() {
    let stream = b"6 <1>one<2>two\n<3>three\n6 <4>fou6 <5>fivx";
    let (got, lost) = run([Step::Push(stream)]);
    assert_eq!(got, ["<1>one", "<2>two", "<3>three", "<4>fou", "<5>fiv", "x"]);
    assert_eq!(lost, 2);
}

#[test]
fn a_quiet_stream_gives_what_it_has() {
    let push = |text: &'static str| Step::Push(text.as_bytes());
    // Whole, with nothing behind it.
    let mut framer = Framer::default();
    framer.push(b"6 <1>one");
    assert!(framer.next_message().is_none() && framer.waits());
    framer.quiet();
    assert_eq!(framer.next_message().unwrap().message, b"<1>one");
    assert!(!framer.waits());
    // The stream is counted from now on: nothing waits for what follows.
    framer.push(b"6 <2>two");
    assert_eq!(framer.next_message().unwrap().message, b"<2>two");
    // What is not whole after a while was a line.
    assert_eq!(run([push("60 <1>one\n<2>t"), Step::Quiet, push("wo\n")]).0, ["60 <1>one", "<2>two"]);
    assert_eq!(run([push("6 <1>o"), Step::Quiet, push("ne\n<2>two\n")]).0, ["6 <1>one", "<2>two"]);
    // In a counted stream it is not.
    assert_eq!(run([push("6 <1>one6 <2>"), Step::Quiet, push("two")]).0, ["<1>one", "<2>two"]);
}

#[test]
fn what_is_too_long_is_one_message_and_the_next_one_is_whole() {
    let long = "x".repeat(200_000);
    let kept = |before: &str| format!("{before}{} (cut)", "x".repeat(MAX_MESSAGE - before.len()));
    for (stream, first) in [
        (format!("<1>{long}\n<2>next\n"), kept("<1>")),
        (format!("<1>{long}\0<2>next\n"), kept("<1>")),
        (format!("200003 <1>{long}7 <2>next"), kept("<1>")),
        (format!("200000 {long}7 <2>next"), kept("")),
    ] {
        for size in [1000, 65_535, 65_536, 65_537, usize::MAX] {
            let pieces = stream.as_bytes().chunks(size.min(stream.len())).map(Step::Push);
            assert!(run(pieces).0 == [first.clone(), "<2>next".into()], "{} {size}", &stream[..20]);
        }
    }
}

#[test]
fn a_cut_leaves_no_half_character() {
    for (character, width) in [("é", 2), ("€", 3), ("😀", 4)] {
        for before in 0..width {
            let text = format!("<1>{}{}\n<2>next\n", "x".repeat(before), character.repeat(MAX_MESSAGE));
            let got = all(text.as_bytes());
            assert_eq!(got.len(), 2);
            assert!(!got[0].contains('\u{FFFD}'), "{character} {before}");
        }
    }
    // What is no UTF-8 is cut where it must be.
    assert_eq!(cut(&[0xE4; 10]), 9);
    assert_eq!(cut(&[0x80; 10]), 10);
}

/// Streams near what senders write: whole messages in both framings, broken counts, and noise between them.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => "<[0-9]{1,3}>[a-z ]{0,12}(\n|\r\n|\0)".prop_map(String::into_bytes),
        3 => ("(<[0-9]{1,3}>)?[a-z\n ]{0,12}", -2i64..3).prop_map(|(text, off)| {
            format!("{} {text}", (text.len() as i64 + off).max(1)).into_bytes()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..5),
        1 => "[0-9 <>\n]{0,9}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_octets_in_any_pieces_give_the_same(stream in stream(), sizes in prop::collection::vec(1usize..20, 1..12)) {
        let (mut steps, mut rest, mut sizes) = (Vec::new(), &stream[..], sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            steps.push(Step::Push(piece));
            rest = after;
        }
        prop_assert_eq!(run(steps), run([Step::Push(&stream)]));
    }

    /// Every octet that is no framing is in a message.
    #[test]
    fn no_octet_is_lost(stream in stream(), quiet in any::<bool>()) {
        let steps = [Some(Step::Push(&stream)), quiet.then_some(Step::Quiet)];
        let letters = |text: &[u8]| text.iter().copied().filter(u8::is_ascii_lowercase).collect::<Vec<u8>>();
        let (messages, _) = run(steps.into_iter().flatten());
        let texts: String = messages.iter().map(|text| text.strip_suffix(" (cut)").unwrap_or(text)).collect();
        prop_assert_eq!(letters(texts.as_bytes()), letters(&stream));
    }

    /// Streams that keep to one framing come out as they went in, whatever their texts are.
    #[test]
    fn counted_streams_are_taken_by_their_counts(texts in prop::collection::vec("[ -~\n]{1,30}", 1..8)) {
        let messages: Vec<String> = texts.iter().map(|text| format!("<13>{text}")).collect();
        let stream: String = messages.iter().map(|text| format!("{} {text}", text.len())).collect();
        prop_assert_eq!(all(stream.as_bytes()), messages);
    }
}

#[test]
fn what_is_taken_whole_can_be_shorter() {
    for most in [1, 4, 1000] {
        let mut framer = Framer::new(most);
        let long = "x".repeat(most + 1);
        framer.push(format!("{long}\n{}\n", "y".repeat(most)).as_bytes());
        let mut got = Vec::new();
        while let Some(Framed { message, cut }) = framer.next_message() {
            got.push((message.len(), cut));
        }
        assert_eq!(got, [(most, true), (most, false)]);
        assert_eq!(within(long.as_bytes(), most), (&long.as_bytes()[..most], true));
    }
    assert_eq!(within("aü".as_bytes(), 2), (&b"a"[..], true), "no character is cut in two");
}
