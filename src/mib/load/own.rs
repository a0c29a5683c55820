//! The folder of modules that were added through the daemon.

use std::path::{Path, PathBuf};

/// The folder of a journal directory for modules that were uploaded.
pub fn own_folder(directory: &Path) -> PathBuf {
    directory.join("mibs")
}

/// Paths of a configuration, and that folder if it is there.
pub fn with_own(mut paths: Vec<PathBuf>, directory: &Path) -> Vec<PathBuf> {
    let own = own_folder(directory);
    if own.is_dir() && !paths.contains(&own) {
        paths.push(own);
    }
    paths
}
