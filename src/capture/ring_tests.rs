use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::capture::Body;

const HOUR: i64 = 3_600_000_000;

fn settings(size: u64, hours: u64) -> Settings {
    Settings { size, age: Duration::from_hours(hours) }
}

fn entry(received: i64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Entry { received, from: Ipv4Addr::LOCALHOST.into(), tags: None, body: Body::Packet(body) }
        .encode(&mut bytes);
    bytes
}

fn received(directory: &Path, since: i64) -> Vec<i64> {
    let mut all = Vec::new();
    if let Some(mut reader) = Reader::open(directory, since).unwrap() {
        let each = |entry: &Entry<'_>| {
            all.push(entry.received);
            Ok(())
        };
        reader.each(each).unwrap();
    }
    all
}

#[test]
fn what_is_too_old_goes_and_the_rest_stays_in_order() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Reader::open(dir.path(), 0).unwrap().is_none());
    let mut ring = Ring::open(dir.path(), settings(1 << 20, 16), 0).unwrap();
    for hour in 0..40 {
        ring.append([&*entry(hour * HOUR, b"x")], hour * HOUR).unwrap();
    }
    let kept = received(dir.path(), 0);
    assert!(kept.is_sorted() && kept.last() == Some(&(39 * HOUR)), "{kept:?}");
    assert!(kept[0] >= 21 * HOUR && kept[0] <= 23 * HOUR, "{kept:?}");
    assert_eq!(received(dir.path(), 38 * HOUR), [38 * HOUR, 39 * HOUR]);
    // Without further messages it goes, too.
    while let Some(due) = ring.next_due() {
        ring.make_room(0, due).unwrap();
    }
    assert!(received(dir.path(), 0).is_empty());
}

#[test]
fn a_restart_goes_on_and_the_files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    for start in 0..3 {
        let mut ring = Ring::open(dir.path(), settings(1 << 20, 16), start).unwrap();
        ring.append([&*entry(start, b"x"), &*entry(start, b"y")], start).unwrap();
        assert_eq!(received(dir.path(), 0).len() as i64, 2 * (start + 1));
    }
    let folder = dir.path().join(FOLDER);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.iter().all(|path| mode(path) == 0o600), "{files:?}");
    // Of other names and torn ends nothing is read, and nothing is removed.
    std::fs::write(folder.join("notes"), "mine").unwrap();
    std::fs::write(folder.join("0000000009-5"), "no log").unwrap();
    assert_eq!(received(dir.path(), 0).len(), 6);
    let left = || std::fs::read_dir(&folder).unwrap().count();
    let mut ring = Ring::open(dir.path(), settings(1 << 20, 16), 100 * HOUR).unwrap();
    assert_eq!(left(), 2, "the last one was written until now, as far as anybody knows");
    ring.make_room(0, 117 * HOUR).unwrap();
    assert_eq!(left(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever is written: no more than the size is on disk, and what is there is the end of what was written.
    #[test]
    fn the_ring_is_bounded_and_holds_the_newest(
        batches in prop::collection::vec(prop::collection::vec(1..40_000usize, 1..12), 1..24),
        restart in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let limit = settings(1 << 20, 1000);
        let mut ring = Ring::open(dir.path(), limit, 0).unwrap();
        let (mut now, restart) = (0, restart.index(batches.len()));
        let mut written = Vec::new();
        for (at, batch) in batches.iter().enumerate() {
            if at == restart {
                ring = Ring::open(dir.path(), limit, now).unwrap();
            }
            let entries: Vec<Vec<u8>> = batch.iter().map(|length| {
                now += 1;
                written.push(now);
                entry(now, &vec![0; *length])
            }).collect();
            ring.append(entries.iter().map(Vec::as_slice), now).unwrap();
            let files = std::fs::read_dir(dir.path().join(FOLDER)).unwrap();
            let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
            // Each file has a header.
            prop_assert!(bytes <= limit.size + 24 * PARTS * 2, "{bytes}");
        }
        let kept = received(dir.path(), 0);
        prop_assert!(!kept.is_empty() && written.ends_with(&kept));
    }
}

#[test]
fn what_is_left_goes_at_its_age_however_often_one_looks() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Ring::left(dir.path()).unwrap().is_none());
    let mut ring = Ring::open(dir.path(), settings(1 << 20, 16), 0).unwrap();
    for hour in 0..10 {
        ring.append([&*entry(hour * HOUR, b"x")], hour * HOUR).unwrap();
    }
    ring.keep_age().unwrap();
    drop(ring);
    // A start each hour, none of which captures.
    for hour in 10..=26 {
        let mut left = Ring::left(dir.path()).unwrap().unwrap();
        left.close(hour * HOUR);
        left.make_room(0, hour * HOUR).unwrap();
        let (kept, there) = (received(dir.path(), 0), left.bytes() > 0);
        assert!(kept.iter().all(|received| received + 17 * HOUR >= hour * HOUR), "{hour}: {kept:?}");
        assert_eq!(
            (kept.is_empty(), left.is_empty(), !there),
            (hour >= 25, hour >= 25, hour >= 25),
            "{hour}"
        );
    }
    let mut left = Ring::left(dir.path()).unwrap().unwrap();
    left.forget_age().unwrap();
    assert!(left.folder().list().unwrap().is_empty());
}

#[test]
fn a_ring_that_is_closed_goes_on_in_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), settings(1 << 20, 16), 0).unwrap();
    ring.append([&*entry(0, b"x")], 0).unwrap();
    ring.close(HOUR);
    assert_eq!(ring.next_due(), Some(17 * HOUR));
    ring.append([&*entry(2 * HOUR, b"y")], 2 * HOUR).unwrap();
    assert_eq!(received(dir.path(), 0), [0, 2 * HOUR]);
}
