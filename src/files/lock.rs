//! Files whose lock says who may change their neighbours: the daemon's and those of commands, which may run as another
//! user.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

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
