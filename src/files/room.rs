//! Disks that take no more.

use std::io::ErrorKind;

/// What to do about [`ErrorKind::FileTooLarge`] from the system.
pub const RAISE_LIMIT: &str =
    "raise the limit of the size of files (LimitFSIZE= of the service, or `ulimit -f`)";

/// Whether a disk says with this that it takes no more; less may fit, and later the same.
pub fn is_without_room(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
