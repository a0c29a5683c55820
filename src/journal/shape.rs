//! How a journal is kept: what does not change while it is open.

use std::path::PathBuf;
use std::sync::Arc;

use crate::files::disk::Disk;
use crate::journal::settings::WhenFull;

/// How a journal is kept.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) directory: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) epoch: u64,
    pub(super) max_size: u64,
    /// The size in bytes at which a segment is closed. Only a single record can make one larger.
    pub(super) segment_size: u64,
    pub(super) when_full: WhenFull,
}
