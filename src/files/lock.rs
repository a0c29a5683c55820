//! Locks between processes: the daemon and the commands that change its files.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
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
