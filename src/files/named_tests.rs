use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use nix::sys::stat::Mode as Bits;
use nix::unistd::mkfifo;

use super::*;

/// What there is at a name before, and what a command that replaces and one that makes a new file do.
struct Row {
    kind: &'static str,
    make: fn(&Path),
    /// What is at the name afterwards, or what is said.
    replaced: Result<&'static str, &'static str>,
    created: Result<&'static str, &'static str>,
}

const EXISTS: Result<&str, &str> = Err("exists");

/// `other` is a file in the folder.
const KINDS: [Row; 9] = [
    Row { kind: "nothing", make: |_| {}, replaced: Ok("file"), created: Ok("file") },
    Row {
        kind: "a file",
        make: |path| std::fs::write(path, "old").unwrap(),
        replaced: Ok("file"),
        created: EXISTS,
    },
    Row {
        kind: "a link to a file",
        make: |path| symlink("other", path).unwrap(),
        replaced: Ok("link to file"),
        created: EXISTS,
    },
    Row {
        kind: "a link to a link to a file elsewhere",
        make: |path| {
            std::fs::create_dir(path.with_file_name("elsewhere")).unwrap();
            symlink("../other", path.with_file_name("elsewhere/link")).unwrap();
            symlink("elsewhere/link", path).unwrap();
        },
        replaced: Ok("link to file"),
        created: EXISTS,
    },
    Row {
        kind: "a link to nothing",
        make: |path| symlink("nothing", path).unwrap(),
        replaced: Ok("link to file"),
        created: EXISTS,
    },
    Row {
        kind: "a FIFO",
        make: |path| mkfifo(path, Bits::S_IRWXU).unwrap(),
        replaced: Ok("fifo"),
        created: Ok("fifo"),
    },
    Row {
        kind: "a link to a FIFO",
        make: |path| {
            mkfifo(&path.with_file_name("fifo"), Bits::S_IRWXU).unwrap();
            symlink("fifo", path).unwrap();
        },
        replaced: Ok("link to fifo"),
        created: Ok("link to fifo"),
    },
    Row {
        kind: "a folder",
        make: |path| std::fs::create_dir(path).unwrap(),
        replaced: Err("is a folder; name a file in it"),
        created: Err("is a folder; name a file in it"),
    },
    Row {
        kind: "a socket",
        make: |path| drop(UnixListener::bind(path).unwrap()),
        replaced: Err("is a socket; name a file"),
        created: Err("is a socket; name a file"),
    },
];

fn kind_of(path: &Path) -> String {
    let link = if path.symlink_metadata().unwrap().is_symlink() { "link to " } else { "" };
    let kind = path.metadata().unwrap().file_type();
    let kind = if kind.is_fifo() { "fifo" } else { "file" };
    format!("{link}{kind}")
}

/// Writes `new` with a function, and gives what can be read from the name then.
fn written(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<String> {
    let reader = path.metadata().is_ok_and(|found| found.file_type().is_fifo()).then(|| {
        let path = path.to_owned();
        std::thread::spawn(move || std::fs::read_to_string(path).unwrap())
    });
    write(path)?;
    match reader {
        Some(reader) => Ok(reader.join().unwrap()),
        None => std::fs::read_to_string(path),
    }
}

fn new_text(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"new")
}

#[test]
fn what_is_at_a_name_is_written_to_as_its_kind_asks() {
    for row in KINDS {
        for (how, expected) in [("replace", row.replaced), ("create", row.created)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("named");
            std::fs::write(folder.path().join("other"), "old").unwrap();
            (row.make)(&path);
            let before = path.symlink_metadata().map(|found| found.ino()).ok();
            let said = written(&path, |path| match how {
                "replace" => replace(path, 0o640, new_text),
                _ => create(path, 0o640, new_text).map(drop),
            });
            match expected {
                Ok(kind) => {
                    assert_eq!(said.unwrap(), "new", "{} {how}", row.kind);
                    assert_eq!(kind_of(&path), kind, "{} {how}", row.kind);
                }
                Err(why) => {
                    let said = said.unwrap_err().to_string();
                    assert!(said.contains(why), "{} {how}: {said}", row.kind);
                    assert_eq!(said.matches(path.to_str().unwrap()).count(), 1, "{said}");
                    let after = path.symlink_metadata().map(|found| found.ino()).ok();
                    assert_eq!(after, before, "{} {how}", row.kind);
                }
            }
            let left = std::fs::read_dir(folder.path()).unwrap();
            let left = left.filter(|entry| entry.as_ref().unwrap().path().extension().is_some()).count();
            assert_eq!(left, 0, "{} {how}", row.kind);
        }
    }
}

#[test]
fn a_file_keeps_its_mode_and_a_new_one_has_that_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("named");
    let mode = || path.metadata().unwrap().mode() & 0o7777;
    replace(&path, 0o646, new_text).unwrap();
    assert_eq!(mode(), 0o646);
    std::fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
    replace(&path, 0o640, new_text).unwrap();
    assert_eq!(mode(), 0o604);
}

#[test]
fn what_is_wrong_is_said_with_the_path_once_and_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("old"), "old").unwrap();
    symlink("circle", path("circle")).unwrap();
    let long = "x".repeat(300);
    for (name, part) in [
        ("none/new", "is no folder; make it first"),
        ("circle", "; name another file"),
        (&*long, "; name another file"),
        ("old/new", "; name a file in a folder that is there"),
    ] {
        let said = replace(&path(name), 0o640, new_text).unwrap_err().to_string();
        assert!(said.contains(part), "{said}");
        assert_eq!(said.matches(&*folder.path().to_string_lossy()).count(), 1, "{said}");
    }
    // What cannot be written leaves what was there.
    let fails = |_: &mut dyn Write| Err(io::Error::from_raw_os_error(libc::ENOSPC));
    let said = replace(&path("old"), 0o640, fails).unwrap_err().to_string();
    assert!(said.ends_with("; make room, or name a file elsewhere"), "{said}");
    assert_eq!(std::fs::read_to_string(path("old")).unwrap(), "old");
    assert!(create(&path("new"), 0o640, fails).is_err() && !path("new").exists());
}

#[test]
fn links_of_others_in_a_folder_of_all_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
    std::fs::write(path("other"), "old").unwrap();
    symlink("other", path("link")).unwrap();
    replace(&path("link"), 0o640, new_text).unwrap();
    if !geteuid().is_root() {
        return;
    }
    std::os::unix::fs::lchown(path("link"), Some(1), Some(1)).unwrap();
    let said = replace(&path("link"), 0o640, |out| out.write_all(b"theirs")).unwrap_err();
    assert_eq!(said.kind(), ErrorKind::PermissionDenied, "{said}");
    assert_eq!(std::fs::read_to_string(path("other")).unwrap(), "new");
}

#[test]
fn standard_output_is_written_to_whatever_it_is() {
    // A process of its own, which runs this test alone.
    const WRITES: &str = "TRAPLINE_TEST_WRITES";
    if std::env::var_os(WRITES).is_some() {
        replace(Path::new("/dev/stdout"), 0o640, new_text).unwrap();
        create(Path::new("/dev/fd/1"), 0o640, |out| out.write_all(b", new")).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let run = |out: Stdio| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let this = "files::named::tests::standard_output_is_written_to_whatever_it_is";
        command.args(["--exact", this, "--nocapture"]).env(WRITES, "1");
        command.stdout(out).output().unwrap()
    };
    let piped = run(Stdio::piped());
    assert!(String::from_utf8_lossy(&piped.stdout).contains("new, new"), "{piped:?}");
    // Appended to, as by what else the process writes.
    std::fs::write(&path, "before\n").unwrap();
    let file = OpenOptions::new().append(true).open(&path).unwrap();
    assert!(run(file.into()).status.success());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("before\n") && text.contains("new, new"), "{text}");
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let reader = std::thread::spawn(move || io::read_to_string(ours).unwrap());
    assert!(run(std::os::fd::OwnedFd::from(theirs).into()).status.success());
    assert!(reader.join().unwrap().contains("new, new"));
}
