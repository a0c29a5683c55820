//! Files that somebody damages while they are written.

use std::os::unix::fs::{MetadataExt, symlink};

use nix::unistd::geteuid;

use super::tests::{START, all, now, outcome, settings, take, writer_file};
use super::*;
use crate::outcome::result::State;

/// Whoever damages a file that is written is noticed, though the writer has in memory what it needs of it; a new one is begun.
#[test]
fn files_that_are_damaged_while_they_are_written_are_noticed_and_made_anew() {
    type Damage = fn(&mut Vec<u8>);
    let ways: [(&str, bool, Damage); 4] = [
        ("cut off", true, |bytes| bytes.truncate(bytes.len() / 2)),
        ("emptied in part", true, |bytes| bytes.truncate(4096)),
        ("its head", true, |bytes| bytes[..100].fill(b'x')),
        ("all but its head", false, |bytes| bytes[4096..].fill(0xff)),
    ];
    for ((what, soon, damage), of_rows) in ways.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let dir = tempfile::tempdir().unwrap();
        let counters = Counters::default();
        let settings = settings(dir.path());
        let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
        let write = |writer: &mut Writer, from: u64| {
            for n in from..from + 200 {
                let host = format!("h{n}");
                take(writer, n, outcome(START + n as i64, "r", &host, None, State::Ok, "one"), now(0));
            }
            writer.commit(now(0), &counters)
        };
        write(&mut writer, 1).unwrap();
        writer.tend(&counters).unwrap();
        writer.prove().unwrap();
        let name = if of_rows { writer_file(&settings.directory) } else { "rollup.db".to_owned() };
        let path = settings.directory.join(&name);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        // The same file, as another program or a disk would do it.
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        let noticed = if soon { writer.tend(&counters) } else { writer.prove() };
        let error = noticed.expect_err(what);
        assert!(error.is_corrupt() && error.file == path.canonicalize().unwrap(), "{what}: {error}");
        writer.fail(&error);
        assert!(settings.directory.join(format!("{name}.unreadable")).exists(), "{what} {name}");
        let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
        write(&mut writer, 201).unwrap();
        writer.tend(&counters).unwrap();
        writer.prove().unwrap();
        writer.close();
        let rows = all(&settings.directory, Filter::default(), true, 9).len();
        assert_eq!(rows, if of_rows { 200 } else { 400 }, "{what} {name}");
    }
}

/// Neither by the daemon nor by who reads, for root in a folder of another user.
#[test]
fn what_another_user_has_linked_beside_a_file_is_not_written() {
    if !geteuid().is_root() {
        return;
    }
    for (file, end, is_hard, reads) in ["outcomes", "rollup"].iter().flat_map(|file| {
        let ways = [(true, true), (true, false), (false, true), (false, false)];
        ["-wal", "-shm", "-journal"]
            .into_iter()
            .flat_map(move |end| ways.map(|(is_hard, reads)| (file, end, is_hard, reads)))
    }) {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let counters = Counters::default();
        let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
        take(&mut writer, 1, outcome(START, "r", "h", None, State::Ok, "one"), now(0));
        writer.commit(now(0), &counters).unwrap();
        writer.close();
        let all = std::fs::read_dir(&settings.directory).unwrap().map(|entry| entry.unwrap().path());
        let path = all.into_iter().find(|path| path.to_str().unwrap().contains(file)).unwrap();
        std::os::unix::fs::chown(&settings.directory, Some(65534), Some(65534)).unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "top secret").unwrap();
        let beside = settings.directory.join(format!("{}{end}", path.file_name().unwrap().to_str().unwrap()));
        if is_hard {
            std::fs::hard_link(&secret, &beside).unwrap();
        } else {
            symlink(&secret, &beside).unwrap();
        }
        if reads {
            let folder = search::folder(&settings.directory).unwrap().unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(schema::readable(&folder, name).is_err(), "{file}{end} {is_hard}");
        } else {
            assert!(Writer::open(settings, now(0)).is_err(), "{file}{end} {is_hard}");
        }
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "top secret", "{file}{end} {is_hard}");
        assert_eq!(std::fs::metadata(&secret).unwrap().uid(), 0);
    }
}
