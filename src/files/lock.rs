//! Locks between processes: the daemon and the commands that change its files.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A held lock; dropping it unlocks it.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] pub(super) Box<dyn Debug + Send + Sync>);

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{} has been locked for {} s by {}; wait for it to end, or stop it", path.display(), waited.as_secs(), holder.as_deref().unwrap_or("another process"))]
    Held {
        /// The file.
        path: PathBuf,
        /// The process, as far as the system tells.
        holder: Option<String>,
        /// How long this process has waited.
        waited: Duration,
    },
    /// The file cannot be used.
    #[error("{error}")]
    Io {
        /// What the system says, with the path.
        error: io::Error,
    },
}

impl From<LockError> for io::Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Io { error } => error,
            held @ LockError::Held { .. } => io::Error::new(io::ErrorKind::TimedOut, held),
        }
    }
}

/// Waits for the lock of a file, which is made where it is not there; it is held until what is returned goes.
///
/// # Errors
///
/// If the file can be neither read nor made.
pub fn lock(path: &Path) -> io::Result<File> {
    // To read is enough for a lock: root may have made the file, in the daemon's folder.
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().create(true).truncate(false).write(true).open(path)?
        }
        other => other?,
    };
    file.lock()?;
    Ok(file)
}

/// Gives a file to the owner of its folder, where this user may: what root has made there is the daemon's to change.
pub fn give_to_folder(path: &Path) {
    use std::os::unix::fs::{MetadataExt, chown};
    if let Some(Ok(folder)) = path.parent().map(std::fs::metadata) {
        let _ = chown(path, Some(folder.uid()), Some(folder.gid()));
    }
}
