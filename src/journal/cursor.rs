//! How far a sink is (see the [module](super) for the format).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::files::disk::{Disk, DiskFile, Opening, read_all};
use crate::journal::segment::read_u64;

const SLOT: usize = 24;

/// The sequence number that a sink needs next, kept in a file.
#[derive(Debug)]
pub struct Cursor {
    position: AtomicU64,
    generation: AtomicU64,
    file: Arc<dyn DiskFile>,
}

impl Cursor {
    /// Opens a cursor. One that is not there starts at `next`; one that is damaged at `oldest`, as it is better
    /// to deliver twice than not at all; one that is out of bounds is brought within them.
    pub(crate) fn open(disk: &dyn Disk, path: &Path, oldest: u64, next: u64) -> io::Result<Self> {
        let file = disk.open(path, true)?;
        let bytes = read_all(&*file)?;
        let best = best(&bytes);
        let (generation, position) = match best {
            Some((generation, position)) => (generation, position),
            None if bytes.is_empty() => (0, next),
            None => {
                tracing::warn!(cursor = %path.display(), "a damaged cursor: its sink starts with the oldest outcome there is");
                (0, oldest)
            }
        };
        let cursor = Cursor {
            position: AtomicU64::new(position.clamp(oldest, next)),
            generation: AtomicU64::new(generation),
            file,
        };
        // Into both slots, and safe from a power cut: one that took the cursor away, or back to a slot of before with a
        // number that is given anew, would have the sink begin behind what it is there to wait for.
        cursor.write(cursor.position())?;
        cursor.write(cursor.position())?;
        cursor.file.sync()?;
        path.parent().map_or(Ok(()), |folder| disk.sync_directory(folder))?;
        Ok(cursor)
    }

    /// The sequence number in a cursor's file; none if it is damaged.
    pub(crate) fn peek(disk: &dyn Disk, path: &Path) -> io::Result<Option<u64>> {
        let bytes = read_all(&*disk.open_as(path, Opening::Read)?)?;
        Ok(best(&bytes).map(|(_, position)| position))
    }

    /// The sequence number that the sink needs next.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Moves the cursor forward; a step back is none.
    ///
    /// # Errors
    ///
    /// If the file cannot be written. The cursor has moved all the same, until the process ends.
    pub fn advance(&self, to: u64) -> io::Result<()> {
        if self.position.fetch_max(to, Ordering::AcqRel) >= to {
            return Ok(());
        }
        self.write(to)
    }

    fn write(&self, position: u64) -> io::Result<()> {
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        let mut slot = [0; SLOT];
        slot[..8].copy_from_slice(&generation.to_le_bytes());
        slot[8..16].copy_from_slice(&position.to_le_bytes());
        let crc = crc32c::crc32c(&slot[..16]);
        slot[16..20].copy_from_slice(&crc.to_le_bytes());
        self.file.write(&slot, (generation % 2) * SLOT as u64)
    }
}

/// Generation and position of the slot that counts.
fn best(bytes: &[u8]) -> Option<(u64, u64)> {
    bytes.chunks(SLOT).filter_map(read_slot).max()
}

/// Generation and position of a slot, if it is valid.
fn read_slot(slot: &[u8]) -> Option<(u64, u64)> {
    let whole = slot.first_chunk::<SLOT>()?;
    let valid = crc32c::crc32c(&whole[..16]).to_le_bytes() == whole[16..20];
    valid.then(|| (read_u64(whole), read_u64(&whole[8..])))
}

/// Where the cursors of a journal are.
pub(crate) fn folder(directory: &Path) -> PathBuf {
    directory.join("cursors")
}

/// The names of the cursors in a journal directory, in order.
pub(crate) fn names(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<String>> {
    let paths = match disk.list(&folder(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let mut names: Vec<String> = paths
        .into_iter()
        .filter_map(|path| path.file_name()?.to_str().filter(|name| valid(name)).map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

/// A sink's name; behind `~`, which of its servers.
fn valid(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~'))
}
