//! Reading files that users name. Whatever a name leads to, reading it ends: a pipe or a terminal that gives nothing is an
//! error after a while, and so is a file that is larger than such a file can be.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use zeroize::Zeroizing;

/// The largest text that people write: configuration, rules, tables of hosts, certificates.
pub const TEXT: u64 = 64 << 20;
/// The largest file that a program writes: the object cache of a monitoring core, a MIB module.
pub const DATA: u64 = 1 << 30;

/// How many bytes say whether the rest is to be read.
pub const HEAD: usize = 4096;
/// How long a pipe may give nothing, in milliseconds.
const PATIENCE: u16 = 5000;

/// The content of a file of at most `most` bytes.
///
/// # Errors
///
/// If it cannot be read, is larger, or is a pipe that is empty, or gives nothing for 5 s.
pub fn bytes(path: &Path, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    bytes_within(path, most, PollTimeout::from(PATIENCE), &mut |_| Ok(()))
}

/// The same of what `begins` lets pass by its first [`HEAD`] bytes, or all of fewer: what never ends is not read for long.
///
/// # Errors
///
/// As [`bytes`], and what `begins` says.
pub fn bytes_that(
    begins: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    path: &Path,
    most: u64,
) -> io::Result<Zeroizing<Vec<u8>>> {
    bytes_within(path, most, PollTimeout::from(PATIENCE), begins)
}

fn bytes_within(
    path: &Path,
    most: u64,
    patience: PollTimeout,
    begins: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    // Without O_NONBLOCK, opening a FIFO waits for somebody who writes into it.
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    // The size of a directory says nothing: reading it says what it is.
    let length = if meta.is_file() { meta.len() } else { 0 };
    if length > most {
        return Err(too_large(most));
    }
    // A pipe that nobody has opened to write is at its end for who reads without waiting, as is one that was read before: that it
    // is empty is never what somebody has written.
    let is_pipe = meta.file_type().is_fifo();
    let mut may_be_unopened = is_pipe;
    // Passwords may be in it: memory that is left behind where a vector grows is not wiped.
    let mut content = Zeroizing::new(Vec::with_capacity(length as usize + 1));
    let mut chunk = Zeroizing::new([0; 8192]);
    loop {
        let waits = match file.read(&mut *chunk) {
            Ok(0) if may_be_unopened => true,
            Ok(0) if is_pipe && content.is_empty() => {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "it is a pipe that gave nothing"));
            }
            Ok(0) => {
                if content.len() < HEAD {
                    begins(&content)?;
                }
                return Ok(content);
            }
            Ok(count) => {
                let before = content.len();
                content.extend_from_slice(&chunk[..count]);
                if before < HEAD && content.len() >= HEAD {
                    begins(&content[..HEAD])?;
                }
                false
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Err(error) => return Err(error),
        };
        may_be_unopened = false;
        if waits {
            let mut waiting = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
            if poll(&mut waiting, patience)? == 0 {
                return Err(io::Error::new(ErrorKind::TimedOut, "it is a pipe that gives nothing"));
            }
        }
        if content.len() as u64 > most {
            return Err(too_large(most));
        }
    }
}

/// What standard input gives until its end, of at most `most` bytes, if `begins` lets it pass as in [`bytes_that`].
///
/// # Errors
///
/// If it cannot be read or gives more, and what `begins` says.
pub fn standard(begins: &mut dyn FnMut(&[u8]) -> io::Result<()>, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut input = io::stdin().lock().take(most + 1);
    input.by_ref().take(HEAD as u64).read_to_end(&mut content)?;
    begins(&content)?;
    input.read_to_end(&mut content)?;
    if content.len() as u64 > most { Err(too_large(most)) } else { Ok(content) }
}

/// A regular file, opened to read it as it grows. Opening does not wait, whatever the name leads to.
///
/// # Errors
///
/// If it cannot be opened or is no regular file.
pub fn regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"))
}

fn too_large(most: u64) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes"))
}

/// The same as [`bytes`] for a file of text.
///
/// # Errors
///
/// As [`bytes`]; [`ErrorKind::InvalidData`] if it is not UTF-8.
pub fn text(path: &Path, most: u64) -> io::Result<Zeroizing<String>> {
    let mut bytes = bytes(path, most)?;
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        drop(Zeroizing::new(error.into_bytes()));
        io::Error::new(ErrorKind::InvalidData, format!("it is not UTF-8 at byte {at}"))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::files::only_here_tests::sources;

    #[test]
    fn files_and_pipes_are_read_to_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let (file, fifo) = (dir.path().join("file"), dir.path().join("fifo"));
        let long = "ä".repeat(100_000);
        std::fs::write(&file, &long).unwrap();
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        assert_eq!(*text(&file, 200_000).unwrap(), long);
        // As `<(command)` of a shell: the writer is there before the reader, and slow.
        let mut writer = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| text(&fifo, 200_000).unwrap().len());
            for part in long.as_bytes().chunks(30_000) {
                writer.write_all(part).unwrap();
            }
            drop(writer);
            assert_eq!(reader.join().unwrap(), long.len());
        });
    }

    #[test]
    fn a_fifo_is_not_empty_because_nobody_writes() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let read = |patience| bytes_within(&fifo, 10, patience, &mut |_| Ok(())).map(|bytes| bytes.to_vec());
        let error = read(PollTimeout::from(20_u8)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        // Whoever writes may come later than who reads, with something or nothing.
        for text in ["text", ""] {
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| read(PollTimeout::NONE).map_err(|error| error.kind()));
                let mut writer = OpenOptions::new().write(true).open(&fifo).unwrap();
                writer.write_all(text.as_bytes()).unwrap();
                drop(writer);
                let written = Some(text.as_bytes().to_vec()).filter(|text| !text.is_empty());
                assert_eq!(reader.join().unwrap(), written.ok_or(ErrorKind::UnexpectedEof));
            });
        }
    }

    #[test]
    fn what_has_no_end_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "12345").unwrap();
        let kind = |path: &Path, most| bytes(path, most).map(drop).unwrap_err().kind();
        assert_eq!(kind(&file, 4), ErrorKind::FileTooLarge);
        assert_eq!(kind(Path::new("/dev/zero"), 100_000), ErrorKind::FileTooLarge);
        assert_eq!(kind(dir.path(), 10), ErrorKind::IsADirectory);
        assert_eq!(kind(&dir.path().join("none"), 10), ErrorKind::NotFound);
        std::fs::write(&file, b"ok \xff").unwrap();
        assert_eq!(text(&file, 10).unwrap_err().to_string(), "it is not UTF-8 at byte 3");
    }

    #[test]
    fn files_that_users_name_are_read_here() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = Vec::new();
        sources(&root, &mut paths);
        let mut readers: Vec<String> = paths
            .into_iter()
            .filter(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                ["fs::read(", "fs::read_to_string(", " File::open("].iter().any(|read| program.contains(read))
            })
            .map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned())
            .filter(|name| !name.ends_with("tests.rs"))
            .collect();
        readers.sort();
        // Those of /proc, and folders that are locked or synced.
        assert_eq!(
            readers,
            ["commands/mib/run.rs", "commands/rule_file.rs", "files/holder.rs", "files/named.rs"]
        );
    }
}
