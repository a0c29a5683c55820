use proptest::prelude::*;

use super::*;
use crate::outcome::result::{CheckResult, Common, Event, Labels, Outcome, State};

fn common(output: &str) -> Common<'static> {
    Common {
        time: 1_795_176_000_123_456,
        rule: "r".into(),
        state: State::Critical,
        output: output.to_owned().into(),
        long_output: "more".into(),
        source: "192.0.2.1".into(),
        labels: Labels::default(),
    }
}

#[test]
fn letters_are_kept_retried_and_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let dead = DeadLetters::new(dir.path(), "first");
    let check = Outcome::CheckResult(CheckResult {
        common: common("a\n\"b\""),
        host: "h".into(),
        service: Some("s".into()),
        perfdata: "x=1".into(),
    });
    let event = Outcome::Event(Event {
        common: common("e"),
        component: "c".into(),
        resource: None,
        fields: vec![("b".into(), "1".into()), ("a".into(), "2".into())],
    });
    let records = [check, event].map(|outcome| Record { epoch: 0xabc, sequence: 7, outcome });
    let letters: Vec<Letter> = records.iter().map(|r| Letter::new(r, "first", "no such host", 1)).collect();
    dead.add(&letters).unwrap();
    dead.add(&[Letter::new(&Record { sequence: 8, ..records[0].clone() }, "first", "x", 1)]).unwrap();
    let listed = dead.list().unwrap();
    assert_eq!(listed.len(), 3);
    for (letter, record) in listed.iter().zip(&records) {
        assert_eq!(letter.record().as_ref(), Some(record), "as it went in");
    }
    assert_eq!(DeadLetters::sinks(dir.path()).unwrap(), ["first"]);
    assert_eq!(dead.take(true, |letter| letter.id().ends_with("-7")).unwrap().count, 2);
    assert_eq!((dead.list().unwrap().len(), dead.has_retries()), (1, true));
    assert_eq!(DeadLetters::sinks(dir.path()).unwrap(), ["first"]);
    assert_eq!(dead.retrying().unwrap().len(), 2);
    assert_eq!(dead.retries().unwrap().letters.len(), 2);
    assert_eq!(dead.retrying().unwrap().len(), 2);
    assert_eq!(dead.retries().unwrap().letters.len(), 2, "until they were retried");
    dead.retried(&dead.retries().unwrap().letters.iter().map(|letter| letter.id().to_owned()).collect())
        .unwrap();
    assert!(!dead.has_retries());
    let renamed = DeadLetters::new(dir.path(), "second");
    renamed.add(&letters[..1]).unwrap();
    renamed.adopt("first").unwrap();
    renamed.adopt("first").unwrap();
    assert_eq!((renamed.list().unwrap().len(), dead.list().unwrap().len()), (2, 0));
    assert_eq!(DeadLetters::sinks(dir.path()).unwrap(), ["second"]);
    let dead = renamed;
    assert_eq!(dead.take(false, |_| true).unwrap().count, 2);
    assert!(dead.list().unwrap().is_empty() && !dead.has_retries());
    assert!(DeadLetters::sinks(dir.path()).unwrap().is_empty());
    dead.add(&letters[..1]).unwrap();
    dead.take(true, |_| true).unwrap();
    assert_eq!(DeadLetters::sinks(dir.path()).unwrap(), ["second"], "all of them are to be sent again");
}

fn letter_of(sequence: u64) -> Letter {
    let outcome = Outcome::Event(Event {
        common: common("e"),
        component: "c".into(),
        resource: None,
        fields: Vec::new(),
    });
    Letter::new(&Record { epoch: 1, sequence, outcome }, "hook", "no", 1)
}

/// A sink with letters 1 and 2 whose file has these bytes as well.
fn with(bytes: &str) -> (tempfile::TempDir, PathBuf, DeadLetters) {
    let dir = tempfile::tempdir().unwrap();
    let dead = DeadLetters::new(dir.path(), "hook");
    dead.add(&[letter_of(1), letter_of(2)]).unwrap();
    let path = dir.path().join("dead/hook.jsonl");
    let content = std::fs::read_to_string(&path).unwrap() + bytes;
    std::fs::write(&path, content).unwrap();
    (dir, path, dead)
}

#[test]
fn a_letter_that_was_not_written_to_its_end_spoils_no_other() {
    let whole = letter_of(3).0.to_string();
    for length in (0..whole.len()).step_by(13) {
        let (_dir, _, dead) = with(&whole[..length]);
        assert_eq!(dead.list().unwrap().len(), 2, "{length}");
        dead.add(&[letter_of(4)]).unwrap();
        let ids: Vec<_> = dead.list().unwrap().iter().map(|letter| letter.id().to_owned()).collect();
        assert_eq!(ids, [1, 2, 4].map(|n| format!("{:016x}-{n}", 1)), "{length}");
        assert_eq!(dead.unreadable().unwrap(), 0);
    }
    // All but its newline: an editor leaves files so.
    let (_dir, _, dead) = with(&whole);
    dead.add(&[letter_of(4)]).unwrap();
    assert_eq!(dead.list().unwrap().len(), 4);
}

#[test]
fn what_is_no_letter_stays_when_others_go() {
    let glued = format!("{{\"id\":\"ha{}\n", letter_of(3).0);
    let (_dir, path, dead) = with(&glued);
    assert_eq!((dead.list().unwrap().len(), dead.unreadable().unwrap()), (2, 1));
    assert_eq!(dead.take(false, |letter| letter.id().ends_with("-1")).unwrap().count, 1);
    assert_eq!(dead.take(true, |_| true).unwrap().count, 1);
    assert_eq!(std::fs::read_to_string(path).unwrap(), glued);
    assert_eq!(dead.retries().unwrap().letters.len(), 1);
}

#[test]
fn letters_that_are_retried_can_be_dropped() {
    let (_dir, _, dead) = with("");
    dead.take(true, |letter| letter.id().ends_with("-1")).unwrap();
    assert_eq!(dead.retries().unwrap().letters.len(), 1);
    dead.take(true, |_| true).unwrap();
    assert_eq!((dead.list().unwrap().len(), dead.retrying().unwrap().len()), (0, 2));
    assert_eq!(dead.take(false, |_| true).unwrap().count, 2);
    assert!(!dead.has_retries() && dead.retrying().unwrap().is_empty());
    dead.retried(&dead.retries().unwrap().letters.iter().map(|letter| letter.id().to_owned()).collect())
        .unwrap();
}

#[test]
fn links_are_not_followed() {
    for suffix in ["jsonl", "retry", "lock"] {
        let (dir, path, dead) = with("");
        let victim = dir.path().join("victim");
        let name = if suffix == "lock" { "lock".to_owned() } else { format!("hook.{suffix}") };
        let link = path.with_file_name(name);
        let letters = std::fs::read(&path).unwrap();
        std::fs::write(&victim, &letters).unwrap();
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let error = dead.take(true, |_| true).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{suffix}: {error}");
        assert_eq!(std::fs::read(&victim).unwrap(), letters, "{suffix}");
        if suffix != "retry" {
            assert!(dead.add(&[letter_of(3)]).is_err(), "{suffix}");
        }
    }
}

#[test]
fn many_letters_are_moved_aside() {
    let (_dir, path, dead) = with("");
    let long = format!("{{\"x\":\"{}\"}}\n", "x".repeat(1 << 20));
    std::fs::write(&path, long.repeat(65)).unwrap();
    dead.add(&[letter_of(1)]).unwrap();
    assert_eq!(dead.list().unwrap().len(), 1);
    let old = std::fs::metadata(path.with_extension("old")).unwrap();
    assert_eq!(old.len(), 65 * long.len() as u64);
    dead.add(&[letter_of(2)]).unwrap();
    assert_eq!(dead.list().unwrap().len(), 2);
}

#[test]
fn nothing_is_created_for_who_only_asks() {
    let dir = tempfile::tempdir().unwrap();
    for journal in [dir.path().to_owned(), dir.path().join("none")] {
        let dead = DeadLetters::new(&journal, "hook");
        assert!(dead.list().unwrap().is_empty() && dead.retrying().unwrap().is_empty());
        assert_eq!((dead.take(true, |_| true).unwrap().count, dead.unreadable().unwrap()), (0, 0));
        assert!(DeadLetters::sinks(&journal).unwrap().is_empty());
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_letter_that_says_no_outcome_is_not_asked_for_again() {
    let (_dir, path, dead) = with("{\"id\":\"x\"}\n");
    assert_eq!(dead.take(true, |_| true).unwrap(), Taken { count: 2, unsendable: 1 });
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"id\":\"x\"}\n");
    assert_eq!(dead.take(true, |_| true).unwrap(), Taken { count: 0, unsendable: 1 });
    // With the two that are asked for.
    assert_eq!(dead.take(false, |_| true).unwrap(), Taken { count: 3, unsendable: 0 });
}

/// Pieces of which files of letters are made: such as are whole, and such as no program has written.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let whole = letter_of(7).0.to_string();
    let torn = whole[..whole.len() / 2].to_owned();
    let piece = prop_oneof![
        any::<Vec<u8>>(),
        Just(whole.into_bytes()),
        Just(torn.into_bytes()),
        Just(b"{\"id\":\"x\"}".to_vec()),
        Just(b"\n".to_vec()),
        Just(vec![0; 9]),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the files have in them that say what is to be sent again.
    #[test]
    fn what_cannot_be_sent_is_in_nobodys_way(
        asked in proptest::option::of(pieces()),
        taken in proptest::option::of(pieces()),
    ) {
        let (_dir, path, dead) = with("");
        for (suffix, bytes) in [("retry", &asked), ("retrying", &taken)] {
            if let Some(bytes) = bytes {
                std::fs::write(path.with_extension(suffix), bytes).unwrap();
            }
        }
        prop_assert_eq!(dead.take(true, |_| true).unwrap().count, 2);
        let mut sent = BTreeSet::new();
        for _ in 0..3 {
            let ids: BTreeSet<String> = dead.retries().unwrap().letters.iter().map(|l| l.id().to_owned()).collect();
            sent.extend(ids.iter().cloned());
            dead.retried(&ids).unwrap();
        }
        prop_assert!([1, 2].iter().all(|n| sent.contains(letter_of(*n).id())), "{:?}", sent);
        prop_assert!(!dead.has_retries());
        // What is no letter is kept for people.
        let says = |bytes: &Option<Vec<u8>>| {
            let lines = bytes.as_deref().unwrap_or_default().split(|byte| *byte == b'\n');
            // Zeros are what a power cut leaves before a line.
            let lines = lines.filter_map(|line| line.rsplit(|byte| *byte == 0).next());
            lines.filter(|line| line.starts_with(b"{\"id\":\"x\"}") && letter(line).is_some()).count()
        };
        let kept = std::fs::read(&path).unwrap_or_default();
        prop_assert_eq!(says(&Some(kept)), says(&asked) + says(&taken));
    }
}
