//! Files that are rotated in every way, while they are read and while they are not.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::file::{Follower, Start};
use super::place::Place;
use super::reader::Line;
use crate::time::clock::Mono;

/// All lines that a follower gives by now.
fn lines(follower: &mut Follower, now: u64) -> Vec<String> {
    let mut all = Vec::new();
    let mut give = |line: Line<'_>| match line {
        Line::Whole(line) => all.push(String::from_utf8_lossy(line).into_owned()),
        Line::Beginning(line) => all.push(format!("{}...", line.len())),
    };
    let now = Mono::from_nanos(now * 1_000_000_000);
    loop {
        follower.look(now).unwrap();
        if !follower.read(now, &mut give).unwrap() {
            break;
        }
    }
    all
}

fn follower(path: &Path, places: &[Place], start: Start) -> Follower {
    Follower::new(path, places, start, Mono::default()).unwrap()
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    (dir, path)
}

#[test]
fn reading_begins_at_the_end_or_at_the_start() {
    let (_dir, path) = place();
    append(&path, "a\n");
    let (mut end, mut start) = (follower(&path, &[], Start::End), follower(&path, &[], Start::Beginning));
    append(&path, "b\nc");
    assert_eq!(lines(&mut end, 0), ["b"]);
    assert_eq!(lines(&mut start, 0), ["a", "b"]);
    append(&path, "d\n\n");
    assert_eq!(lines(&mut end, 0), ["cd"]);
    // A file that comes later is read from its start.
    let later = path.with_extension("later");
    let mut later_one = follower(&later, &[], Start::End);
    assert!(!later_one.is_open());
    append(&later, "x\n");
    assert_eq!(lines(&mut later_one, 0), ["x"]);
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_its_successor_from_the_start() {
    let (_dir, path) = place();
    append(&path, "a\n");
    let mut follower = follower(&path, &[], Start::Beginning);
    assert_eq!(lines(&mut follower, 0), ["a"]);
    std::fs::rename(&path, path.with_extension("1")).unwrap();
    append(&path.with_extension("1"), "b\n");
    assert_eq!(lines(&mut follower, 1), ["b"], "nothing has its name yet");
    append(&path, "c\n");
    append(&path.with_extension("1"), "d\ne");
    assert_eq!(lines(&mut follower, 2), ["d", "c"]);
    assert_eq!(follower.places().len(), 2);
    // A minute later the program has been told for long.
    assert_eq!(lines(&mut follower, 100), ["e"]);
    assert_eq!(follower.places().len(), 1);
}

#[test]
fn a_file_that_was_cut_is_read_from_the_start_and_its_copy_to_its_end() {
    let (_dir, path) = place();
    append(&path, "a\n");
    let mut follower = follower(&path, &[], Start::Beginning);
    assert_eq!(lines(&mut follower, 0), ["a"]);
    append(&path, "b\n");
    // As copytruncate of logrotate does.
    std::fs::copy(&path, path.with_extension("1")).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, "c\nlonger than what was there\n");
    assert_eq!(lines(&mut follower, 1), ["b", "c", "longer than what was there"]);
    assert_eq!(follower.take_lost(), None);
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, "d\n");
    assert_eq!(lines(&mut follower, 2), ["d"]);
    assert!(follower.take_lost().unwrap().contains("is not there any more"));
}

#[test]
fn a_line_that_is_too_long_is_cut() {
    let (_dir, path) = place();
    let mut follower = follower(&path, &[], Start::Beginning);
    append(&path, &"x".repeat(300_000));
    append(&path, "end\nnext\n");
    let all = lines(&mut follower, 0);
    assert!(all[0].ends_with("...") && all[1..] == ["next"], "{all:?}");
}

/// Files beside one that is rotated while nobody follows it; each was written after it.
#[test]
fn of_files_with_similar_names_only_rotated_ones_are_read_after_a_downtime() {
    for (suffix, read, said) in [
        (".1", true, None),
        ("-20261127", true, None),
        (".2026-11-27", true, None),
        (".old", true, None),
        (".1.gz", false, Some("compressed")),
        (".warn", false, Some("no rotation that is known")),
        (".warn.1", false, Some("no rotation that is known")),
        ("man", false, None),
    ] {
        let (dir, path) = place();
        append(&path, "a\n");
        let mut before = follower(&path, &[], Start::Beginning);
        assert_eq!(lines(&mut before, 0), ["a"]);
        append(&path, "b\n");
        // It is found by what it is, whatever its name.
        std::fs::rename(&path, dir.path().join("first of all")).unwrap();
        let beside = dir.path().join(format!("log{suffix}"));
        append(&beside, "beside\n");
        let later =
            std::fs::metadata(&beside).unwrap().modified().unwrap() + std::time::Duration::from_secs(5);
        File::options().append(true).open(&beside).unwrap().set_modified(later).unwrap();
        append(&path, "c\n");
        let mut after = follower(&path, &before.places(), Start::End);
        let wanted = if read { &["b", "beside", "c"][..] } else { &["b", "c"] };
        assert_eq!(lines(&mut after, 1), wanted, "log{suffix}");
        match (after.take_lost(), said) {
            (None, None) => {}
            (Some(text), Some(said)) => assert!(text.contains(said) && text.contains(suffix), "{text}"),
            other => panic!("log{suffix}: {other:?}"),
        }
        // A copy, too, is known by its name and how it begins.
        let mut cut = follower(&path, &[], Start::Beginning);
        assert_eq!(lines(&mut cut, 1), ["c"]);
        append(&path, "d\n");
        std::fs::copy(&path, &beside).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        let wanted = if read { &["d"][..] } else { &[] };
        assert_eq!(lines(&mut cut, 2), wanted, "a copy log{suffix}");
        assert_eq!(cut.take_lost().is_some(), !read, "a copy log{suffix}");
    }
}

/// Several rotations while nobody follows: of the files that had the name, the oldest are compressed or removed. What is left is read once,
/// and what is not is named; what was read before is not read again.
#[test]
fn of_several_rotations_while_down_each_file_that_is_left_is_read_once() {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Gone {
        Compressed,
        Removed,
        Copied,
    }
    let base = std::time::SystemTime::now() - std::time::Duration::from_secs(1000);
    let dated = |path: &Path, text: &str, at: u64| {
        append(path, text);
        let time = base + std::time::Duration::from_secs(at);
        File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    };
    for gone in [Gone::Compressed, Gone::Removed, Gone::Copied] {
        for rotations in 1..4_u64 {
            for lost in 0..=rotations {
                for stored in [true, false] {
                    let case = format!("{gone:?} {rotations} {lost} {stored}");
                    let (dir, path) = place();
                    // Rotated before, and read.
                    dated(&dir.path().join("log.9"), "long ago\n", 1);
                    dated(&dir.path().join("log.8.gz"), "long ago\n", 2);
                    dated(&path, "read\n", 10);
                    let mut before = follower(&path, &[], Start::Beginning);
                    assert_eq!(lines(&mut before, 0), ["read"]);
                    let mut places = before.places();
                    if !stored {
                        // As an earlier release has written it.
                        places[0].written = None;
                    }
                    drop(before);
                    dated(&path, "0\n", 20);
                    for at in 0..rotations {
                        let rotated = dir.path().join(format!("log.{}", rotations - at));
                        let time = 20 + 10 * at;
                        if gone == Gone::Copied {
                            std::fs::copy(&path, &rotated).unwrap();
                            dated(&rotated, "", time + 1);
                            File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
                        } else {
                            std::fs::rename(&path, &rotated).unwrap();
                        }
                        if at < lost {
                            std::fs::remove_file(&rotated).unwrap();
                            if gone != Gone::Removed {
                                dated(
                                    &dir.path().join(format!("log.{}.gz", rotations - at)),
                                    "packed\n",
                                    time,
                                );
                            }
                        }
                        dated(&path, &format!("{}\n", at + 1), time + 10);
                    }
                    let mut after = follower(&path, &places, Start::End);
                    // Without a time, what was rotated since cannot be told from what was read before.
                    let from = if stored || lost == 0 { lost } else { rotations };
                    let wanted: Vec<String> = (from..=rotations).map(|at| at.to_string()).collect();
                    assert_eq!(lines(&mut after, 1), wanted, "{case}");
                    let said = after.take_lost();
                    assert_eq!(said.is_some(), lost > 0, "{case}: {said:?}");
                    let said = said.unwrap_or_default();
                    assert!(lost == 0 || said.contains("after 5 octets"), "{case}: {said}");
                    for at in 0..rotations {
                        let name = format!("log.{}", rotations - at);
                        let named = said.contains(&format!("{name}.gz"));
                        assert_eq!(named, at < lost && gone != Gone::Removed, "{case}: {said}");
                        let unread = at >= lost && !stored && lost > 0;
                        assert!(!unread || said.contains(&name), "{case}: {said}");
                    }
                    assert!(!said.contains("log.8.gz") || !stored, "{case}: {said}");
                }
            }
        }
    }
}

/// What happens between two looks of a follower.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write(u8),
    /// Renamed, with a successor.
    Rename,
    /// Copied and cut.
    Cut,
    /// Read.
    Read,
    /// Ended and begun anew.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u8..5).prop_map(Step::Write),
        1 => Just(Step::Rename),
        1 => Just(Step::Cut),
        3 => Just(Step::Read),
        2 => Just(Step::Restart),
    ]
}

proptest! {
    /// Whatever happens, each line is given once. One rotation at most between two looks, as a rotation takes hours.
    #[test]
    fn each_line_is_given_once(steps in proptest::collection::vec(step(), 1..40)) {
        let (_dir, path) = place();
        append(&path, "");
        let mut follower = follower(&path, &[], Start::Beginning);
        let (mut written, mut read, mut rotations, mut since) = (0_u32, Vec::new(), 0, 0);
        // Each look is so late that files that were renamed are closed by the next.
        let mut now = 0;
        for step in steps.into_iter().chain([Step::Read]) {
            match step {
                Step::Write(count) => {
                    for _ in 0..count {
                        append(&path, &format!("line {written}\n"));
                        written += 1;
                    }
                }
                Step::Rename | Step::Cut if since > 0 => {}
                // Of a file of which nothing was read, a copy cannot be told from others.
                Step::Cut if follower.places().last().is_none_or(|place| place.head == 0) => {}
                Step::Rename => {
                    rotations += 1;
                    since += 1;
                    std::fs::rename(&path, path.with_extension(format!("{rotations}"))).unwrap();
                    append(&path, "");
                }
                Step::Cut => {
                    rotations += 1;
                    since += 1;
                    std::fs::copy(&path, path.with_extension(format!("{rotations}"))).unwrap();
                    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
                }
                Step::Read => {
                    since = 0;
                    now += 100;
                    read.extend(lines(&mut follower, now));
                }
                Step::Restart => {
                    let places = follower.places();
                    now += 100;
                    let time = Mono::from_nanos(now * 1_000_000_000);
                    follower = Follower::new(&path, &places, Start::End, time).unwrap();
                    read.extend(lines(&mut follower, now));
                    since = 0;
                }
            }
        }
        let mut sorted: Vec<u32> =
            read.iter().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..written).collect::<Vec<_>>());
    }
}
