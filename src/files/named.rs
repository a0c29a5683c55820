//! Files that a user names for what a command writes.
//!
//! A name leads to what the user has put there: a device, a FIFO or a pipe is written to, of a link the file that it leads to is
//! replaced or made, and a file has the old content or the new one at any moment.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};

use nix::fcntl::readlinkat;
use nix::unistd::geteuid;

/// The most links that a name may lead through, as in the kernel.
const MOST_LINKS: usize = 40;
/// The bits of a folder in which everybody makes files, and nobody removes those of others, such as /tmp.
const OF_ALL: u32 = 0o1002;

/// Writes a file; what is there is replaced as a whole, and keeps its permissions and, where this user may give files away, its owner
/// and group. A new file has `mode`, whatever the process takes off.
///
/// # Errors
///
/// What is wrong, with its path. A file is as it was before then.
pub fn replace(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let (path, there) = match target(path)? {
        Target::Stream(mut stream) => return fill(&mut stream, write).map_err(|error| at(path, error)),
        Target::File { path, there } => (path, there),
    };
    put(&path, Mode::Just(mode), there.as_ref(), write).map_err(|error| at(&path, error))
}

/// Writes a new file, with `mode` less what the process takes off, and gives it. A device, a FIFO or a pipe is written to; then there
/// is no file.
///
/// # Errors
///
/// [`ErrorKind::AlreadyExists`] if there is a file or a link to one, or to nothing. What else is wrong, with its path; a new file is
/// removed then.
pub fn create(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Option<File>> {
    if let Some(mut stream) = stream(path)? {
        fill(&mut stream, write).map_err(|error| at(path, error))?;
        return Ok(None);
    }
    let mut file = new(path, mode).map_err(|error| at(path, error))?;
    match fill(&mut file, write).and_then(|()| file.sync_all()) {
        Ok(()) => Ok(Some(file)),
        Err(error) => {
            let _ = std::fs::remove_file(path);
            Err(at(path, error))
        }
    }
}

/// Whether a name means standard output.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes a text to what [`stream`] has opened.
///
/// # Errors
///
/// What is wrong, with the path.
pub fn write_to(mut stream: File, path: &Path, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).map_err(|error| at(path, error))
}

/// The device, FIFO or pipe that a name leads to, open to be written to, or standard output for `-`; none if it leads to a file or to
/// nothing. Of a FIFO, who reads it is waited for.
///
/// # Errors
///
/// What is wrong, with the path; it is wrong to name a folder.
pub fn stream(path: &Path) -> io::Result<Option<File>> {
    if is_stdout(path) {
        return Ok(Some(File::from(io::stdout().as_fd().try_clone_to_owned()?)));
    }
    let found = match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|error| at(path, error))?,
    };
    let kind = found.file_type();
    if kind.is_dir() {
        let text = format!("{} is a folder; name a file in it", path.display());
        return Err(io::Error::new(ErrorKind::IsADirectory, text));
    }
    let is_open = led(path)?.1;
    if kind.is_file() && !is_open {
        return Ok(None);
    }
    if is_open && let Some(own) = own(&found)? {
        return Ok(Some(own));
    }
    if kind.is_socket() {
        let text = format!("{} is a socket; name a file, a FIFO or a device", path.display());
        return Err(io::Error::other(text));
    }
    // What is open as a file, such as /dev/fd/3, has been written to before.
    let mut options = OpenOptions::new();
    options.write(true).append(kind.is_file()).custom_flags(libc::O_NOCTTY);
    options.open(path).map(Some).map_err(|error| at(path, error))
}

/// The mode of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// This one.
    Just(u32),
    /// This one, less what the process takes off.
    AtMost(u32),
}

/// Replaces or makes the file of a path, which leads through no link. `there` is what has the name now.
///
/// # Errors
///
/// If it cannot be written; then it is as it was.
pub fn put(
    path: &Path,
    mode: Mode,
    there: Option<&Metadata>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    // It has no ending of a file that anything reads out of a folder, and is no longer than a name may be.
    let temporary = path.with_file_name(format!(".{:016x}.new", getrandom::u64()?));
    let (Mode::Just(at_first) | Mode::AtMost(at_first)) = mode;
    let mut file = new(&temporary, at_first)?;
    let written = || {
        fill(&mut file, write)?;
        if let Some(there) = there {
            // By the handle: whoever may write to the folder could have put a link in the place of the name. Who may not give
            // it away may still be in its group.
            let _ = fchown(&file, Some(there.uid()), Some(there.gid()))
                .or_else(|_| fchown(&file, None, Some(there.gid())));
        }
        match (there, mode) {
            (Some(there), _) => file.set_permissions(there.permissions())?,
            (None, Mode::Just(mode)) => file.set_permissions(Permissions::from_mode(mode))?,
            (None, Mode::AtMost(_)) => {}
        }
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder_of(path))?.sync_all()
    };
    let written = written();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// What a name leads to.
enum Target {
    /// A device, a FIFO or a pipe.
    Stream(File),
    /// A file, and what is there now.
    File { path: PathBuf, there: Option<Metadata> },
}

fn target(path: &Path) -> io::Result<Target> {
    if let Some(stream) = stream(path)? {
        return Ok(Target::Stream(stream));
    }
    let (path, _) = led(path)?;
    if path.file_name().is_none() {
        let text = format!("{} has no name of a file; name one", path.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    let folder = folder_of(&path);
    if !folder.is_dir() {
        let text = format!("{} is no folder; make it first", folder.display());
        return Err(io::Error::new(ErrorKind::NotADirectory, text));
    }
    match path.symlink_metadata() {
        Ok(there) if there.is_file() => Ok(Target::File { path, there: Some(there) }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Target::File { path, there: None }),
        // It was another thing a moment ago.
        Ok(_) => Err(io::Error::other(format!("{} is changing; try again", path.display()))),
        Err(error) => Err(at(&path, error)),
    }
}

/// Where the links of a name lead, and whether one of them is an open file of a process, as /dev/stdout is.
///
/// In a folder such as /tmp only links of this user, of root and of the owner of the folder are followed, as the kernel has it where
/// `fs.protected_symlinks` is set: others could have root replace what they name.
fn led(path: &Path) -> io::Result<(PathBuf, bool)> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let handle = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(&path);
        let handle = match handle {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((path, false)),
            handle => handle.map_err(|error| at(&path, error))?,
        };
        let link = handle.metadata().map_err(|error| at(&path, error))?;
        if !link.is_symlink() {
            return Ok((path, false));
        }
        let folder = folder_of(&path).canonicalize().map_err(|error| at(&path, error))?;
        if folder.starts_with("/proc") {
            return Ok((path, true));
        }
        let of_folder = folder.metadata().map_err(|error| at(&folder, error))?;
        let known = [0, geteuid().as_raw(), of_folder.uid()];
        if of_folder.mode() & OF_ALL == OF_ALL && !known.contains(&link.uid()) {
            let text = format!(
                "{} is a link of user {} in a folder of all users; name the file that it leads to",
                path.display(),
                link.uid()
            );
            return Err(io::Error::new(ErrorKind::PermissionDenied, text));
        }
        path = folder.join(readlinkat(&handle, "").map_err(|error| at(&path, error.into()))?);
    }
    Err(at(&path, io::Error::from_raw_os_error(libc::ELOOP)))
}

/// Standard output or standard error, if it is this file. What it is may not be opened again, as a socket, or has been written to.
fn own(found: &Metadata) -> io::Result<Option<File>> {
    for own in [io::stdout().as_fd(), io::stderr().as_fd()] {
        let own = File::from(own.try_clone_to_owned()?);
        let of_own = own.metadata()?;
        if (of_own.dev(), of_own.ino()) == (found.dev(), found.ino()) {
            return Ok(Some(own));
        }
    }
    Ok(None)
}

/// A file that is new for certain: no link in its place is followed.
fn new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

fn fill(file: &mut File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, file);
    write(&mut out)?;
    out.flush()
}

/// The folder of a path.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An error with the path that it is about, and what to do.
fn at(path: &Path, error: io::Error) -> io::Error {
    let todo = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "name a file in a folder that you may write to"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => "name a file in a folder that is there",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room, or name a file elsewhere",
        ErrorKind::FileTooLarge => super::RAISE_LIMIT,
        ErrorKind::BrokenPipe => "what reads it has ended",
        ErrorKind::AlreadyExists => "name a new file",
        _ => "name another file",
    };
    io::Error::new(error.kind(), format!("{}: {error}; {todo}", path.display()))
}

#[cfg(test)]
#[path = "named_tests.rs"]
mod tests;
