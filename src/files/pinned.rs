//! Whether the file at a path is still the one that was put there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A file that is known again, of any type. It is held open, as file systems give the number of a removed file to the next one:
/// device and number alone may name two files.
#[derive(Debug)]
pub struct PinnedFile(File);

impl PinnedFile {
    /// The file at a path; a symbolic link is not followed. Sockets, pipes and files that may not be read can be pinned as well.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn at(path: &Path) -> io::Result<Self> {
        // O_PATH opens nothing but the name: no pipe waits, no device answers, no permission is needed.
        let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        OpenOptions::new().read(true).custom_flags(flags).open(path).map(PinnedFile)
    }

    /// Whether it is the file at a path.
    pub fn is_at(&self, path: &Path) -> bool {
        let (Ok(ours), Ok(there)) = (self.0.metadata(), path.symlink_metadata()) else { return false };
        (ours.dev(), ours.ino()) == (there.dev(), there.ino())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_file_that_gets_the_number_of_a_removed_one_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        for _ in 0..50 {
            let bound = UnixListener::bind(&path).unwrap();
            let pinned = PinnedFile::at(&path).unwrap();
            assert!(pinned.is_at(&path));
            drop(bound);
            std::fs::remove_file(&path).unwrap();
            assert!(!pinned.is_at(&path));
            let _another = UnixListener::bind(&path).unwrap();
            assert!(!pinned.is_at(&path), "the number was used again");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn links_are_not_followed_and_other_types_and_modes_change_nothing() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let (pinned, of_link) = (PinnedFile::at(&file).unwrap(), PinnedFile::at(&link).unwrap());
        assert!(!pinned.is_at(&link) && of_link.is_at(&link) && !of_link.is_at(&file));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
        std::fs::rename(&file, dir.path().join("moved")).unwrap();
        assert!(pinned.is_at(&dir.path().join("moved")) && !pinned.is_at(&file));
        assert!(PinnedFile::at(&file).is_err());
    }
}
