use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::sync::mpsc;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use super::*;
use crate::files::faulty::{Faults, Faulty};

/// A user who is not root and not this one.
const OTHER: u32 = 65_534;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn write(folder: &Folder, name: &str, text: &str) -> io::Result<()> {
    folder.replace(name, |out| out.write_all(text.as_bytes()))
}

#[test]
fn files_are_private_whatever_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("above/state");
    let folder = Folder::open(&state).unwrap();
    write(&folder, "new", "x").unwrap();
    folder.open_file("made", Opening::Make).unwrap();
    folder.sub("sub").unwrap();
    let _lock = folder.lock("lock", Duration::ZERO).unwrap();
    for name in ["new", "made", "lock"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
    assert_eq!((mode(&state), mode(&state.join("sub"))), (0o700, 0o700));
    // Files of earlier versions were readable by all; they are not once they were opened to write.
    for opening in [Opening::Write, Opening::Make, Opening::Append] {
        std::fs::write(state.join("old"), "x").unwrap();
        std::fs::set_permissions(state.join("old"), PermissionsExt::from_mode(0o644)).unwrap();
        folder.open_file("old", opening).unwrap();
        assert_eq!(mode(&state.join("old")), 0o600, "{opening:?}");
    }
}

#[test]
fn shared_files_are_for_a_group_and_keep_their_mode() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::shared(&dir.path().join("logs")).unwrap();
    folder.open_file("out", Opening::Append).unwrap();
    let out = dir.path().join("logs/out");
    assert_eq!(mode(&out) & 0o137, 0);
    std::fs::set_permissions(&out, PermissionsExt::from_mode(0o644)).unwrap();
    folder.open_file("out", Opening::Append).unwrap();
    assert_eq!(mode(&out), 0o644);
    // A link of the user's is followed, to a file that is there or not.
    symlink(dir.path().join("elsewhere"), dir.path().join("logs/link")).unwrap();
    folder.open_file("link", Opening::Append).unwrap().write(b"x", 0).unwrap();
    folder.open_file("link", Opening::Append).unwrap().write(b"y", 0).unwrap();
    assert_eq!(std::fs::read(dir.path().join("elsewhere")).unwrap(), b"xy");
}

#[test]
fn public_files_are_for_everybody_whatever_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::public(&dir.path().join("mibs")).unwrap();
    let (file, other) = (dir.path().join("mibs/A.txt"), dir.path().join("private"));
    std::fs::write(&other, "").unwrap();
    std::fs::set_permissions(&other, PermissionsExt::from_mode(0o600)).unwrap();
    for before in ["nothing", "private", "link"] {
        match before {
            "private" => std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap(),
            "link" => {
                std::fs::remove_file(&file).unwrap();
                symlink(&other, &file).unwrap();
            }
            _ => {}
        }
        folder.replace("A.txt", |out| out.write_all(b"x")).unwrap();
        assert_eq!(mode(&file), 0o644, "{before}");
    }
    assert_eq!((mode(&other), std::fs::read(&other).unwrap().len()), (0o600, 0), "what a link led to stays");
}

#[test]
fn a_link_in_place_of_a_file_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (state, victim) = (dir.path().join("state"), dir.path().join("victim"));
    let folder = Folder::open(&state).unwrap();
    std::fs::write(&victim, "precious").unwrap();
    for target in [victim.clone(), dir.path().join("not there")] {
        symlink(&target, state.join("file")).unwrap();
        for opening in [Opening::Read, Opening::Write, Opening::Make, Opening::Append] {
            let error = folder.open_file("file", opening).unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{opening:?}: {error}");
        }
        assert_eq!(folder.open_file("file", Opening::New).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(matches!(folder.lock("file", Duration::ZERO), Err(LockError::Io { .. })));
        assert!(!dir.path().join("not there").exists());
        // The link itself is replaced or removed, not what it names.
        write(&folder, "file", "new").unwrap();
        assert!(state.join("file").is_file() && !state.join("file").is_symlink());
        folder.remove("file").unwrap();
    }
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_link_in_place_of_a_directory_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (state, elsewhere) = (dir.path().join("state"), dir.path().join("elsewhere"));
    let folder = Folder::open(&state).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, state.join("dead")).unwrap();
    let error = folder.sub("dead").unwrap_err();
    assert!(error.to_string().contains("symbolic link"), "{error}");
    // Put there after it was opened.
    std::fs::remove_file(state.join("dead")).unwrap();
    let dead = folder.sub("dead").unwrap();
    std::fs::remove_dir(state.join("dead")).unwrap();
    symlink(&elsewhere, state.join("dead")).unwrap();
    assert!(write(&dead, "file", "x").is_err());
    assert!(dead.list().is_err() && dead.sync().is_err() && !dead.exists("file"));
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn a_link_that_was_put_where_a_new_file_is_written_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (state, victim) = (dir.path().join("state"), dir.path().join("victim"));
    let folder = Folder::open(&state).unwrap();
    std::fs::write(&victim, "precious").unwrap();
    // The names that earlier versions used, and one of the form that this one uses.
    for name in ["mibs.new", "engine.new", ".file.0123456789abcdef.new"] {
        symlink(&victim, state.join(name)).unwrap();
    }
    for name in ["mibs.index", "engine", "file"] {
        write(&folder, name, "x").unwrap();
    }
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    assert!(!folder.exists(".file.0123456789abcdef.new"), "what a crash left goes");
}

#[test]
fn a_link_to_the_directory_is_followed_only_if_it_is_of_root_or_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    symlink("real", &link).unwrap();
    write(&Folder::open(&link).unwrap(), "file", "x").unwrap();
    assert!(real.join("file").exists());
    // A loop ends.
    symlink("loop", dir.path().join("loop")).unwrap();
    assert!(Folder::open(&dir.path().join("loop")).is_err());
    if !geteuid().is_root() {
        eprintln!("not root: the rest needs links of another user");
        return;
    }
    lchown(&link, Some(OTHER), None).unwrap();
    for path in [link.clone(), link.join("sub"), dir.path().join("real/../link")] {
        let error = Folder::open(&path).unwrap_err();
        assert!(error.to_string().contains("belongs to user 65534"), "{error}");
    }
    // Nor to where the directory was before.
    lchown(&link, Some(0), None).unwrap();
    let folder = Folder::open(&link).unwrap();
    lchown(&link, Some(OTHER), None).unwrap();
    assert!(folder.renew().is_err());
}

#[test]
fn what_root_creates_belongs_to_the_owner_of_the_directory() {
    if !geteuid().is_root() {
        eprintln!("not root: nothing to give away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (state, victim) = (dir.path().join("state"), dir.path().join("victim"));
    let folder = Folder::open(&state).unwrap();
    chown(&state, Some(OTHER), Some(OTHER)).unwrap();
    let folder = Folder::open(folder.path()).unwrap();
    write(&folder, "new", "x").unwrap();
    folder.open_file("made", Opening::Append).unwrap();
    let _lock = folder.lock("lock", Duration::ZERO).unwrap();
    let sub = folder.sub("sub").unwrap();
    write(&sub, "new", "x").unwrap();
    for name in ["new", "made", "lock", "sub", "sub/new"] {
        let meta = std::fs::metadata(state.join(name)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (OTHER, OTHER), "{name}");
    }
    // A file of root's that the owner has linked in stays as it is.
    std::fs::write(&victim, "precious").unwrap();
    std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::hard_link(&victim, state.join("linked")).unwrap();
    for opening in [Opening::Write, Opening::Make, Opening::Append] {
        let error = folder.open_file("linked", opening).unwrap_err();
        assert!(error.to_string().contains("hard link"), "{error}");
    }
    let meta = std::fs::metadata(&victim).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o777), (0, 0o644));
    // So does a directory of root's that has something in it.
    std::fs::create_dir(state.join("full")).unwrap();
    std::fs::write(state.join("full/file"), "x").unwrap();
    folder.sub("full").unwrap();
    assert_eq!(std::fs::metadata(state.join("full")).unwrap().uid(), 0);
}

#[test]
fn what_is_no_file_neither_blocks_nor_is_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    mkfifo(&dir.path().join("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    std::fs::create_dir(dir.path().join("directory")).unwrap();
    for name in ["fifo", "directory"] {
        for opening in [Opening::Read, Opening::Write, Opening::Make, Opening::Append] {
            assert!(folder.open_file(name, opening).is_err(), "{name} {opening:?}");
        }
    }
}

#[test]
fn names_stay_in_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    for name in ["", ".", "..", "a/b", "/etc/passwd", "../x", "a/"] {
        let error = write(&folder, name, "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
    }
}

#[test]
fn one_process_holds_a_lock_and_the_others_learn_which() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let held = folder.lock("lock", Duration::ZERO).unwrap();
    let start = Instant::now();
    let error = folder.lock("lock", Duration::from_millis(60)).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(60));
    let text = error.to_string();
    assert!(text.contains(&format!("process {} (", std::process::id())), "{text}");
    assert_eq!(io::Error::from(error).kind(), ErrorKind::TimedOut);
    // Many wait, one after the other gets it.
    let (done, order) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (folder, done) = (folder.clone(), done.clone());
            scope.spawn(move || {
                let _lock = folder.lock("lock", Duration::from_mins(1)).unwrap();
                done.send("in").unwrap();
                std::thread::yield_now();
                done.send("out").unwrap();
            });
        }
        drop(held);
    });
    drop(done);
    let order: Vec<_> = order.iter().collect();
    assert_eq!(order, ["in", "out"].repeat(8));
}

#[test]
fn a_lock_whose_file_was_removed_is_worth_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let held = folder.lock("lock", Duration::ZERO).unwrap();
    let path = dir.path().join("lock");
    std::fs::remove_file(&path).unwrap();
    let waiting = std::fs::File::create(&path).unwrap();
    waiting.lock().unwrap();
    // Held on the file that has the name now.
    assert!(matches!(folder.lock("lock", Duration::ZERO), Err(LockError::Held { .. })));
    drop((held, waiting));
    folder.lock("lock", Duration::ZERO).unwrap();
}

#[test]
fn a_file_that_cannot_be_used_is_set_aside_and_none_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    for expected in ["file.unreadable", "file.unreadable.2", "file.unreadable.3"] {
        write(&folder, "file", expected).unwrap();
        assert_eq!(folder.set_aside("file").unwrap(), expected);
    }
    let mut names = folder.list().unwrap();
    names.sort();
    assert_eq!(names, ["file.unreadable", "file.unreadable.2", "file.unreadable.3"]);
    assert_eq!(folder.read("file.unreadable.2", 100).unwrap(), b"file.unreadable.2");
    assert_eq!(folder.read("file.unreadable.2", 16).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn a_directory_that_vanished_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let folder = Folder::open(&state).unwrap();
    assert!(!folder.renew().unwrap());
    std::fs::remove_dir(&state).unwrap();
    assert!(write(&folder, "file", "x").is_err(), "nothing is written into a directory without a name");
    assert!(folder.renew().unwrap());
    write(&folder, "file", "x").unwrap();
    assert_eq!(std::fs::read(state.join("file")).unwrap(), b"x");
    std::fs::rename(&state, dir.path().join("moved")).unwrap();
    std::fs::create_dir(&state).unwrap();
    assert!(folder.renew().unwrap());
    write(&folder, "file", "y").unwrap();
    assert_eq!(std::fs::read(state.join("file")).unwrap(), b"y");
}

/// A replacement on a disk that fails, and then a power cut: the file is the old one or the new one.
#[test]
fn a_replaced_file_is_the_old_one_or_the_new_one() {
    let mut failed = 0;
    for seed in 1..300 {
        let disk = Faulty::new(seed);
        let folder = Folder::on(Arc::new(disk.clone()), Path::new("/state"));
        let (old, new) = (vec![b'o'; 70_000], vec![b'n'; 150_000]);
        folder.replace("file", |out| out.write_all(&old)).unwrap();
        disk.set_faults(Faults { write: 6, sync: 4, names: 8, ..Faults::default() });
        let replaced = folder.replace("file", |out| out.write_all(&new));
        disk.set_faults(Faults::default());
        if replaced.is_err() {
            failed += 1;
            let now = folder.read("file", 1 << 20).unwrap();
            assert!(now == old || now == new, "seed {seed}");
        }
        disk.cut_power();
        let now = folder.read("file", 1 << 20).unwrap();
        assert!(now == new || (replaced.is_err() && now == old), "seed {seed}: {} bytes", now.len());
        // What was left of a failed one goes with the next.
        write(&folder, "file", "x").unwrap();
        assert_eq!(folder.list().unwrap(), ["file"]);
    }
    assert!(failed > 50, "{failed}");
}

#[test]
fn a_replacement_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    write(&folder, "file", "old").unwrap();
    let result = folder.replace("file", |out| {
        out.write_all(b"half")?;
        Err(ErrorKind::StorageFull.into())
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(folder.list().unwrap(), ["file"]);
    assert_eq!(folder.read("file", 100).unwrap(), b"old");
}
