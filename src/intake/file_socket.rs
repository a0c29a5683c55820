//! Sockets in the file system: a file that nobody serves any more is replaced, and what is no socket is left alone.

use std::fs::{remove_file, symlink_metadata};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use nix::unistd::{Gid, Uid, fchownat};
use socket2::{Domain, SockAddr, Socket, Type};

use super::listener::FileAccess;
use crate::files::PinnedFile;

/// The file of a bound socket. It is removed when this is dropped, unless it is another one by then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    file: PinnedFile,
}

impl SocketFile {
    /// Sets who may use the socket.
    pub(super) fn set_access(&self, access: &FileAccess) -> io::Result<()> {
        let (owner, group) = (access.owner.map(Uid::from_raw), access.group.map(Gid::from_raw));
        if owner.is_some() || group.is_some() {
            fchownat(AT_FDCWD, &self.path, owner, group, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        // Last: a change of the owner takes permissions away.
        let mode = Mode::from_bits_truncate(access.mode);
        Ok(fchmodat(AT_FDCWD, &self.path, mode, FchmodatFlags::NoFollowSymlink)?)
    }
}

impl Drop for SocketFile {
    #[expect(clippy::disallowed_methods, reason = "the name of a socket goes at once")]
    fn drop(&mut self) {
        if self.file.is_at(&self.path) {
            let _ = remove_file(&self.path);
        }
    }
}

/// Binds a socket of this type to a path.
///
/// # Errors
///
/// `AddrInUse` if a process serves a socket there, `AlreadyExists` if there is something else; and what the system says.
pub(super) fn bind(socket: &Socket, path: &Path, kind: Type, access: &FileAccess) -> io::Result<SocketFile> {
    make_space(path, kind)?;
    // The file gets no more permissions than its socket has, so that nobody uses it before its owner and mode are set.
    fchmod(socket, Mode::from_bits_truncate(access.mode & 0o700))?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.to_owned(), file: PinnedFile::at(path)? };
    file.set_access(access)?;
    Ok(file)
}

/// Removes the file of a socket that nobody serves.
#[expect(clippy::disallowed_methods, reason = "the name of a socket goes at once")]
fn make_space(path: &Path, kind: Type) -> io::Result<()> {
    let there = match symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !there.file_type().is_socket() {
        let what = if there.is_symlink() { "a symbolic link" } else { "no socket" };
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is {what}", path.display())));
    }
    let probe = Socket::new(Domain::UNIX, kind, None)?;
    // A full backlog answers at once as well.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // It is served, or served as another type of socket (EPROTOTYPE).
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
#[path = "file_socket_tests.rs"]
mod tests;
