//! The file of the next segment, made before it is needed: a journal without a free descriptor can still begin one more
//! segment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::files::disk::{Disk, DiskFile, Identity, Opening};
use crate::journal::segment::{HEADER, Header, segment_path};
use crate::journal::shape::Shape;

/// The ending of the names of such files.
const ENDING: &str = "spare";

/// Tells the files of a process apart: each has a new name, so that nobody opens the file of another one.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A file that can become a segment.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) identity: Identity,
    path: PathBuf,
}

impl Spare {
    /// Makes a new file.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn make(shape: &Shape) -> io::Result<Self> {
        let path = new_path(shape);
        let file = shape.disk.open_as(&path, Opening::New)?;
        let made = file.identity().and_then(|identity| {
            // The room for its header, so that it can become a segment where there is no room any more.
            file.write(&[0; HEADER], 0)?;
            Ok(identity)
        });
        match made {
            Ok(identity) => Ok(Spare { file, identity, path }),
            Err(error) => {
                let _ = shape.disk.remove(&path);
                Err(error)
            }
        }
    }

    /// Makes a file without the room for its header, on a disk that has none. It stands for a segment that cannot be made yet.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn without_room(shape: &Shape) -> io::Result<Self> {
        let path = new_path(shape);
        let file = shape.disk.open_as(&path, Opening::New)?;
        let identity = file.identity()?;
        Ok(Spare { file, identity, path })
    }

    /// Writes the header of a segment and gives the file its name. The name is not safe from a power cut until the directory
    /// is synced.
    ///
    /// # Errors
    ///
    /// What the system says. It is still a spare file then.
    pub(super) fn become_segment(&self, shape: &Shape, header: Header) -> io::Result<()> {
        // In this order a segment always has a whole header.
        self.file.write(&header.encode(), 0)?;
        shape.disk.rename(&self.path, &segment_path(&shape.directory, header.first))
    }

    /// Removes the file.
    pub(super) fn discard(self, disk: &dyn Disk) {
        // One that stays is removed when the journal is opened.
        let _ = disk.remove(&self.path);
    }
}

fn new_path(shape: &Shape) -> PathBuf {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    shape.directory.join(format!("{count}.{ENDING}"))
}

/// Removes the files that a process before has left.
///
/// # Errors
///
/// What the system says.
pub(super) fn clear(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    for path in disk.list(directory)? {
        if path.extension().is_some_and(|ending| ending == ENDING) {
            disk.remove(&path)?;
        }
    }
    Ok(())
}
