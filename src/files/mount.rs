//! File systems in memory in the place of directories, for simulations: what this thread opens below such a directory
//! through this module is there and not on the disk.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::faulty::Faulty;

thread_local! {
    static MOUNTS: RefCell<Vec<(PathBuf, Faulty)>> = const { RefCell::new(Vec::new()) };
}

/// Puts a file system in the place of a directory, or another one in the place of that.
pub fn mount(directory: &Path, disk: Faulty) {
    MOUNTS.with_borrow_mut(|mounts| {
        mounts.retain(|(path, _)| path != directory);
        mounts.push((directory.to_owned(), disk));
    });
}

/// Takes the file system of a directory away.
pub fn unmount(directory: &Path) {
    MOUNTS.with_borrow_mut(|mounts| mounts.retain(|(path, _)| path != directory));
}

/// The file system that a path is on; none if that is the disk.
pub(super) fn of(path: &Path) -> Option<Arc<dyn Disk>> {
    MOUNTS.with_borrow(|mounts| {
        let (_, disk) = mounts.iter().find(|(directory, _)| path.starts_with(directory))?;
        Some(Arc::new(disk.clone()) as Arc<dyn Disk>)
    })
}
