//! What this program asks of a file system, so that tests can use one in memory that fails as disks fail.

use std::fmt::Debug;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory and the files below it. Paths begin with the path of that directory.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Creates a directory and its parents; does nothing if it exists.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// The files in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Opens a file.
    fn open_as(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file; replaces a file that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates and locks a file; dropping the guard unlocks it.
    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError>;
    /// Which file a path names at the moment.
    fn identity(&self, path: &Path) -> io::Result<Identity>;
    /// The length of a regular file, which is not opened. It is refused where another user may have put it there.
    fn measure(&self, path: &Path) -> io::Result<u64>;

    /// Opens a file to read and write; creates it if `make` is true.
    fn open(&self, path: &Path, make: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.open_as(path, if make { Opening::Make } else { Opening::Write })
    }

    /// Who holds the lock of a file, as far as the system tells.
    fn holder(&self, _path: &Path) -> Option<String> {
        None
    }

    /// Whether its path still leads to the directory that was opened.
    fn is_current(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Checks that the directory is still the one that was opened. If it was removed or replaced, opens the one that has
    /// its path now, creates it if needed, and returns true.
    fn renew(&self) -> io::Result<bool> {
        Ok(false)
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// To read.
    Read,
    /// To read and write.
    Write,
    /// To read and write; created if it does not exist.
    Make,
    /// To read and to write at the end only; created if it does not exist.
    Append,
    /// To read and write; an error if it exists.
    New,
}

/// Identifies a file as long as it exists: two names with one identity are the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The device that it is on.
    pub(crate) device: u64,
    /// Its number on that device.
    pub(crate) inode: u64,
}

/// An open file. Reads and writes are positional.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Writes all bytes at an offset. After an error some of them may have been written. A file that was opened with
    /// [`Opening::Append`] is written at its end whatever the offset.
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Reads some bytes from an offset; 0 at the end.
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts it, or extends it with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Makes its content durable.
    fn sync(&self) -> io::Result<()>;
    /// Which file it is.
    fn identity(&self) -> io::Result<Identity>;

    /// Locks it for this handle alone, among those that ask for the lock; false if another handle has the lock. A file
    /// system without locks says true.
    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Gives the lock up.
    fn unlock(&self) {}
}

/// The whole content of a file.
pub(crate) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(0)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
