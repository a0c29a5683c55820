use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::files::faulty::{Faults, Faulty};

const FRAMES: Form = Form::Frames { longest: 3000 };
const LINES: Form = Form::Lines { whole: is_whole };

/// Whether a line is one that [`entry`] made, or a test.
fn is_whole(line: &[u8]) -> bool {
    let inner = line.strip_prefix(b"(").and_then(|line| line.strip_suffix(b")"));
    inner.is_some_and(|inner| inner.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b':'))
}

fn all(mut entries: Entries) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(entry) = entries.next().unwrap() {
        all.push(entry.to_vec());
    }
    all
}

fn as_slices(entries: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    entries.iter().map(Vec::as_slice)
}

/// An entry for either form: unlike others, of this length, and whole as a line.
fn entry(number: usize, length: usize) -> Vec<u8> {
    let mut entry = format!("({number}:").into_bytes();
    entry.resize(entry.len() + length, b'x');
    entry.push(b')');
    entry
}

fn written(folder: &Folder, form: Form, entries: &[Vec<u8>]) -> Vec<u8> {
    let (mut log, _) = AppendLog::open(folder, "log", form, u64::MAX).unwrap();
    assert_eq!(log.append(as_slices(entries)).unwrap(), entries.len());
    folder.read("log", u64::MAX - 1).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn wherever_a_log_is_cut_off_its_whole_entries_stay_and_the_next_one_is_whole(
        lengths in prop::collection::vec(0usize..40, 1..6),
        frames in any::<bool>(),
    ) {
        let form = if frames { FRAMES } else { LINES };
        let folder = Folder::on(Arc::new(Faulty::new(1)), Path::new("/state"));
        let entries: Vec<_> = lengths.iter().enumerate().map(|(n, length)| entry(n, *length)).collect();
        let bytes = written(&folder, form, &entries);
        for length in 0..=bytes.len() {
            folder.replace("log", |out| out.write_all(&bytes[..length])).unwrap();
            let (mut log, recovered) = AppendLog::open(&folder, "log", form, u64::MAX).unwrap();
            let kept = all(log.entries(0));
            prop_assert!(entries.starts_with(&kept), "cut at {} of {}", length, bytes.len());
            // A last line that lacks nothing but its newline is whole.
            let lost = length as u64 - recovered.torn;
            prop_assert!(lost == log.length() || (!frames && lost + 1 == log.length()));
            log.append([&b"(next)"[..]]).unwrap();
            let mut expected = kept;
            expected.push(b"(next)".to_vec());
            prop_assert_eq!(all(log.entries(0)), expected.clone());
            let (log, recovered) = AppendLog::open(&folder, "log", form, u64::MAX).unwrap();
            prop_assert_eq!((all(log.entries(0)), recovered), (expected, Recovered::default()));
        }
    }

    #[test]
    fn garbage_at_the_end_is_cut_off(
        lengths in prop::collection::vec(0usize..40, 0..4),
        garbage in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let entries: Vec<_> = lengths.iter().enumerate().map(|(n, length)| entry(n, *length)).collect();
        let mut bytes = written(&folder, FRAMES, &entries);
        if bytes.is_empty() {
            return Ok(());
        }
        bytes.extend(&garbage);
        std::fs::write(dir.path().join("log"), &bytes).unwrap();
        let (mut log, recovered) = AppendLog::open(&folder, "log", FRAMES, u64::MAX).unwrap();
        prop_assert_eq!(recovered, Recovered { torn: garbage.len() as u64, damaged: 0 });
        log.append([&b"next"[..]]).unwrap();
        prop_assert_eq!(all(log.entries(0)).len(), entries.len() + 1);
    }

    #[test]
    fn damage_costs_no_other_frame(
        lengths in prop::collection::vec(0usize..3000, 3..6),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let entries: Vec<_> = lengths.iter().enumerate().map(|(n, length)| entry(n, length.saturating_sub(20))).collect();
        let mut bytes = written(&folder, FRAMES, &entries);
        let at = HEADER + at.index(bytes.len() - HEADER);
        bytes[at] ^= 1 << bit;
        std::fs::write(dir.path().join("log"), &bytes).unwrap();
        let (log, recovered) = AppendLog::open(&folder, "log", FRAMES, u64::MAX).unwrap();
        let kept = all(log.entries(0));
        prop_assert_eq!(kept.len(), entries.len() - 1);
        prop_assert!(kept.iter().all(|entry| entries.contains(entry)));
        prop_assert!((recovered.damaged > 0) != (recovered.torn > 0));
    }

    #[test]
    fn whatever_a_disk_does_to_a_log_what_was_synced_stays(
        seed in any::<u64>(),
        frames in any::<bool>(),
        steps in prop::collection::vec((0u8..10, 1usize..4, 0usize..300), 1..60),
    ) {
        let form = if frames { FRAMES } else { LINES };
        Model::new(seed, form).run(&steps);
    }
}

fn text(entries: &[Vec<u8>]) -> String {
    entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry[..entry.len().min(6)]).into_owned() + " ")
        .collect()
}

/// What must be in a log, beside the log.
struct Model {
    disk: Faulty,
    folder: Folder,
    form: Form,
    log: Option<AppendLog>,
    /// Entries that an append took, in order.
    taken: Vec<Vec<u8>>,
    /// How many of them are durable.
    synced: usize,
    /// Entries of failed appends and syncs, which may be found after a crash.
    failed: BTreeSet<Vec<u8>>,
    count: usize,
}

impl Model {
    fn new(seed: u64, form: Form) -> Self {
        let disk = Faulty::new(seed);
        let folder = Folder::on(Arc::new(disk.clone()), Path::new("/state"));
        let (taken, failed) = (Vec::new(), BTreeSet::new());
        Model { disk, folder, form, log: None, taken, synced: 0, failed, count: 0 }
    }

    fn run(&mut self, steps: &[(u8, usize, usize)]) {
        for (what, entries, length) in steps {
            match what {
                0..=4 => self.append(*entries, *length),
                5 | 6 => self.sync(),
                7 => self.disk.set_faults(Faults { write: *entries as u64, sync: 3, read: 0, names: 0 }),
                8 => self.reopen(false),
                _ => self.reopen(true),
            }
        }
        self.reopen(true);
    }

    fn log(&mut self) -> &mut AppendLog {
        let (folder, form) = (self.folder.clone(), self.form);
        self.log.get_or_insert_with(|| AppendLog::open(&folder, "log", form, u64::MAX).unwrap().0)
    }

    fn append(&mut self, entries: usize, length: usize) {
        let new: Vec<_> = (0..entries).map(|n| entry(self.count + n, length)).collect();
        self.count += entries;
        match self.log().append(as_slices(&new)) {
            Ok(appended) => {
                assert_eq!(appended, entries);
                self.taken.extend(new);
            }
            Err(_) => self.failed.extend(new),
        }
    }

    fn sync(&mut self) {
        match self.log().sync() {
            Ok(()) => self.synced = self.taken.len(),
            Err(_) => {
                self.failed.extend(self.taken.drain(self.synced..));
                // The process does not crash before it could cut off what the disk has forgotten.
                self.disk.set_faults(Faults::default());
                self.log().append([]).unwrap();
            }
        }
    }

    /// The process ends, and the power is cut or not.
    fn reopen(&mut self, power_cut: bool) {
        self.log = None;
        self.disk.set_faults(Faults::default());
        if power_cut {
            self.disk.cut_power();
        }
        // The header of a file of frames is not repaired if no sync ever made it durable.
        self.log().sync().unwrap();
        let found = all(self.log().entries(0));
        let found: Vec<_> = match self.form {
            // Who reads lines tells those that a power cut has spoiled by what is in them.
            Form::Lines { .. } => found.into_iter().filter(|line| is_whole(line)).collect(),
            Form::Frames { .. } => found,
        };
        let known: Vec<_> = found.iter().filter(|entry| !self.failed.contains(*entry)).cloned().collect();
        let least = if power_cut { self.synced } else { self.taken.len() };
        assert!(known.starts_with(&self.taken[..least]), "{} of {}", text(&known), text(&self.taken));
        let mut rest = self.taken.iter();
        let in_order = known.iter().all(|entry| rest.any(|taken| taken == entry));
        assert!(in_order, "{} of {}", text(&known), text(&self.taken));
        let distinct: BTreeSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), found.len(), "an entry is there twice");
        self.synced = known.len();
        self.taken = known;
    }
}

#[test]
fn a_payload_cannot_pass_for_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    // A sender knows the format, not the salt.
    let mut forged = Vec::new();
    frame::push_frame(&mut forged, [0; 8], b"forged");
    let mut bytes = written(&folder, FRAMES, &[b"one".to_vec(), forged, b"three".to_vec()]);
    // The length of the frame that has it is damaged.
    bytes[HEADER + 12 + 3] ^= 0xff;
    std::fs::write(dir.path().join("log"), &bytes).unwrap();
    let (log, recovered) = AppendLog::open(&folder, "log", FRAMES, u64::MAX).unwrap();
    assert_eq!(all(log.entries(0)), [b"one".to_vec(), b"three".to_vec()]);
    assert_eq!(recovered, Recovered { torn: 0, damaged: 12 + 18 });
}

#[test]
fn what_is_no_log_is_refused_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    std::fs::write(dir.path().join("log"), "something else altogether").unwrap();
    let error = AppendLog::open(&folder, "log", FRAMES, u64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(std::fs::read(dir.path().join("log")).unwrap(), b"something else altogether");
    // Zeros are what a power cut leaves of the first write.
    std::fs::write(dir.path().join("log"), [0; 1000]).unwrap();
    let (_, recovered) = AppendLog::open(&folder, "log", FRAMES, u64::MAX).unwrap();
    assert_eq!(recovered.torn, 1000);
}

#[test]
fn a_log_has_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let (mut log, _) = AppendLog::open(&folder, "log", FRAMES, 60).unwrap();
    let entries = vec![b"1234".to_vec(); 4];
    assert_eq!(log.append(as_slices(&entries)).unwrap(), 2, "24 + 2 * (12 + 4) bytes");
    assert_eq!(log.append(as_slices(&entries)).unwrap(), 0);
    assert_eq!((log.length(), all(log.entries(0)).len()), (56, 2));
    assert!(log.append([&[0; 3001][..]]).is_err());
}

#[test]
fn lines_of_others_are_not_run_into() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let path = dir.path().join("log");
    let (mut log, _) = AppendLog::open(&folder, "log", LINES, u64::MAX).unwrap();
    log.append([&b"(one)"[..]]).unwrap();
    // An editor, or another daemon.
    std::fs::write(&path, "(one)\n(theirs").unwrap();
    log.append([&b"(two)"[..]]).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "(one)\n(theirs\n(two)\n");
    // logrotate's copytruncate.
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    log.append([&b"(three)"[..]]).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "(three)\n");
    assert!(log.append([&b"two\nlines"[..]]).is_err());
}

#[test]
fn a_last_line_that_no_one_of_ours_wrote_is_not_cut() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let file = std::fs::File::create(dir.path().join("log")).unwrap();
    let length = 17 << 20;
    file.set_len(length).unwrap();
    file.write_all_at(b"x", length - 1).unwrap();
    let (mut log, recovered) = AppendLog::open(&folder, "log", LINES, u64::MAX).unwrap();
    assert_eq!((recovered.torn, log.length()), (0, length + 1));
    log.append([&b"(one)"[..]]).unwrap();
    let mut entries = log.entries(0);
    // What is left of the long line, and the new one.
    assert!(entries.next().unwrap().unwrap().ends_with(b"x"));
    assert_eq!(entries.next().unwrap(), Some(&b"(one)"[..]));
    assert!(entries.damaged() > 16 << 20);
}

#[test]
fn a_file_or_directory_that_vanished_is_noticed_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let folder = Folder::open(&state).unwrap().sub("sub").unwrap();
    let (mut log, _) = AppendLog::open(&folder, "log", FRAMES, u64::MAX).unwrap();
    let mut append = |now: i64| {
        let vanished = log.check(now).unwrap();
        log.append([&b"entry"[..]]).unwrap();
        vanished
    };
    assert!(!append(1_000_000));
    std::fs::remove_file(state.join("sub/log")).unwrap();
    assert!(!append(1_999_999), "it looks once a second");
    assert!(append(2_000_000));
    std::fs::rename(state.join("sub"), dir.path().join("moved")).unwrap();
    assert!(append(3_000_000));
    std::fs::remove_dir_all(&state).unwrap();
    assert!(append(4_000_000));
    assert!(!append(5_000_000));
    assert_eq!(all(AppendLog::entries_of(&folder, "log", FRAMES).unwrap()).len(), 2);
    assert_eq!(std::fs::read_dir(state.join("sub")).unwrap().count(), 1);
}

#[test]
fn a_rotated_log_goes_on_in_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let (mut log, _) = AppendLog::open(&folder, "log", LINES, u64::MAX).unwrap();
    log.append([&b"(one)"[..]]).unwrap();
    log.rotate("log.1").unwrap();
    log.append([&b"(two)"[..]]).unwrap();
    log.sync().unwrap();
    let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!((read("log.1"), read("log")), ("(one)\n".to_owned(), "(two)\n".to_owned()));
}

#[test]
fn half_a_line_that_cannot_be_cut_off_is_a_line_of_its_own() {
    let disk = Faulty::new(7);
    let folder = Folder::on(Arc::new(disk.clone()), Path::new("/state"));
    folder.replace("log", |out| out.write_all(b"(one)\n(torn")).unwrap();
    disk.set_append_only(true);
    let (mut log, recovered) = AppendLog::open(&folder, "log", LINES, u64::MAX).unwrap();
    assert_eq!(recovered, Recovered { torn: 0, damaged: 5 });
    log.append([&b"(two)"[..]]).unwrap();
    disk.set_faults(Faults { write: 1, ..Faults::default() });
    assert!(log.append([&b"(half)"[..]]).is_err());
    disk.set_faults(Faults::default());
    log.append([&b"(three)"[..]]).unwrap();
    let text = String::from_utf8(folder.read("log", 1000).unwrap()).unwrap();
    let (before, after) = ("(one)\n(torn\n(two)\n", "(three)\n");
    assert!(text.starts_with(before) && text.ends_with(after), "{text}");
    let half = text[before.len()..text.len() - after.len()].trim_end();
    assert!("(half)".starts_with(half), "{text}");
}

#[test]
fn several_logs_that_append_to_one_file_lose_and_spoil_nothing() {
    const LOGS: usize = 4;
    const BATCHES: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let append = |number: usize| {
        let folder = Folder::shared(dir.path()).unwrap();
        for batch in 0..BATCHES {
            // Opened anew for each batch, as after a reload: a log that looks at the end of the file cuts off no other's line.
            let (mut log, recovered) = AppendLog::open_shared(&folder, "log", LINES).unwrap();
            assert_eq!(recovered, Recovered::default());
            let of = |n| entry((number * BATCHES + batch) * 100 + n, 1000);
            let (first, second): (Vec<_>, Vec<_>) = ((0..50).map(of).collect(), (50..100).map(of).collect());
            for entries in [first, second] {
                assert_eq!(log.append_synced(as_slices(&entries)).unwrap(), entries.len());
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..LOGS).map(|number| scope.spawn(move || append(number))).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let folder = Folder::shared(dir.path()).unwrap();
    let lines = all(AppendLog::entries_of(&folder, "log", LINES).unwrap());
    let whole: BTreeSet<_> = (0..LOGS * BATCHES * 100).map(|n| entry(n, 1000)).collect();
    assert_eq!(lines.len(), whole.len());
    assert_eq!(lines.into_iter().collect::<BTreeSet<_>>(), whole);
}

/// A line that could neither be synced nor be cut off is taken for written by who opens the file next, and is not on the disk.
#[test]
fn zeros_that_a_power_cut_leaves_in_the_place_of_a_line_spoil_no_other() {
    let mut zeros = 0;
    for seed in 1..100 {
        let disk = Faulty::new(seed);
        let folder = Folder::on(Arc::new(disk.clone()), Path::new("/state"));
        let lines: Vec<_> = (0..4).map(|number| entry(number, 20)).collect();
        let open = || AppendLog::open(&folder, "log", LINES, u64::MAX).unwrap().0;
        let mut log = open();
        log.append_synced([&*lines[0]]).unwrap();
        log.append([&*lines[1]]).unwrap();
        disk.set_faults(Faults { write: 1, sync: 1, ..Faults::default() });
        assert!(log.sync().is_err());
        disk.set_faults(Faults::default());
        let mut log = open();
        log.append_synced([&*lines[2]]).unwrap();
        log.append_synced([&*lines[3]]).unwrap();
        disk.cut_power();
        zeros += usize::from(folder.read("log", u64::MAX - 1).unwrap().contains(&0));
        let read = all(AppendLog::entries_of(&folder, "log", LINES).unwrap());
        assert!(
            [&lines[0], &lines[2], &lines[3]].iter().all(|line| read.contains(line)),
            "{seed}: {}",
            text(&read)
        );
    }
    assert!(zeros > 0);
}
