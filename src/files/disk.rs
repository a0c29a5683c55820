//! What the journal needs of a file system, so that tests can stand in for it and fail where disks fail.

use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file system.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a directory and those above it.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory safe from a power cut.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// The files in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Opens a file to read and write; makes it if asked to.
    fn open(&self, path: &Path, make: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Locks a file, which is made, until what is returned goes.
    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError>;
}

/// An open file. Every read and write says where.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Writes all bytes there; after an error some of them may have been written.
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Reads some bytes from there; 0 at the end.
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
    /// Its length.
    fn length(&self) -> io::Result<u64>;
    /// Cuts it, or makes it longer by zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Makes its content safe from a power cut.
    fn sync(&self) -> io::Result<()>;
}

/// All of a file.
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

/// The file system of the machine.
#[derive(Debug)]
pub(crate) struct System;

impl Disk for System {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        // What was received stands in there in clear: not for everybody.
        DirBuilder::new().recursive(true).mode(0o750).create(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(path)?.map(|entry| entry.map(|e| e.path())).collect()
    }

    fn open(&self, path: &Path, make: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(make).truncate(false).open(path)?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = file.map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Box::new(file))
    }
}

impl DiskFile for File {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.read_at(bytes, at)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
