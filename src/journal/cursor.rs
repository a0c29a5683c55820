//! How far a sink is: what the sink and the journal know of it together, and its file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::files::disk::Disk;
use crate::journal::progress::{Found, Progress, ProgressFile, peek};

/// How far a sink is. The sink moves it; the journal keeps what it needs.
#[derive(Debug)]
pub struct Cursor {
    /// The lowest number that the sink is not done with.
    position: AtomicU64,
    /// The same as a power cut would leave it: what is before is not needed any more.
    needed: AtomicU64,
    /// The number from which on the sink has read nothing.
    read: AtomicU64,
    /// How many numbers before `read` the sink is not done with: it holds them in memory.
    open: AtomicU64,
    /// How many numbers from `read` on it is done with, by a run before.
    ahead: AtomicU64,
    /// The first number of the segment that the sink has open: it reads all of it, even if the journal removes it. 0 for
    /// none.
    held: AtomicU64,
    /// How many outcomes that the sink had not read are gone.
    expired: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: ProgressFile,
    progress: Progress,
}

impl Kept {
    /// Replaces the progress. A delivery that ends late, when its successor is further already, changes nothing.
    fn renew(&mut self, progress: Progress) {
        if progress.cursor >= self.progress.cursor {
            self.progress = progress;
        }
    }
}

/// What a sink at work knows of its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The lowest number that it is not done with.
    pub position: u64,
    /// The number from which on it has read nothing.
    pub read: u64,
    /// How many numbers before `read` it is not done with.
    pub open: u64,
}

impl Cursor {
    /// Opens a cursor, or makes it. A new sink starts at `next`. `recovered` is the number that the recovery of the journal
    /// gave to the next record. Also tells whether its file is safe from a power cut; [`Cursor::follow`] tries that again.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        oldest: u64,
        recovered: u64,
        next: u64,
    ) -> io::Result<(Self, io::Result<()>)> {
        let (mut file, progress, found) = ProgressFile::open(disk, path, oldest, recovered, next)?;
        let settled = file.settle(disk, path, &progress);
        let lost = if let Found::Progress { lost } = found { lost } else { 0 };
        let cursor = Cursor {
            position: AtomicU64::new(0),
            needed: AtomicU64::new(progress.cursor),
            read: AtomicU64::new(0),
            open: AtomicU64::new(0),
            ahead: AtomicU64::new(0),
            held: AtomicU64::new(0),
            expired: AtomicU64::new(lost),
            kept: Mutex::new(Kept { file, progress }),
        };
        cursor.rest(oldest);
        Ok((cursor, settled))
    }

    /// The lowest number that the sink is not done with.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// The lowest number that the sink may ask for again, also after a power cut.
    pub fn needed(&self) -> u64 {
        self.needed.load(Ordering::Acquire)
    }

    /// The number from which on the sink has read nothing.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    /// How many records of a journal with the records `oldest..next` the sink has not taken.
    pub(crate) fn behind(&self, oldest: u64, next: u64) -> u64 {
        let unread = next.saturating_sub(self.read().max(oldest));
        let ahead = self.ahead.load(Ordering::Acquire);
        unread.saturating_sub(ahead) + self.open.load(Ordering::Acquire)
    }

    /// How many outcomes are gone before the sink had them, because the journal was full or damaged.
    pub fn expired(&self) -> u64 {
        self.expired.load(Ordering::Acquire)
    }

    /// Outcomes are gone that the sink has not read.
    pub(crate) fn add_expired(&self, count: u64) {
        self.expired.fetch_add(count, Ordering::AcqRel);
    }

    /// The sink opens the segment that starts with this number; 0 for none. Under the lock of the journal, as
    /// [`Cursor::loses`].
    pub(crate) fn hold(&self, first: u64) {
        self.held.store(first, Ordering::Release);
    }

    /// How many of the records `first..end` the sink has not read and cannot read when the journal removes their segment.
    pub(crate) fn loses(&self, first: u64, end: u64) -> u64 {
        let held = self.held.load(Ordering::Acquire) == first;
        if held { 0 } else { end.saturating_sub(self.read().max(first)) }
    }

    /// What the sink is done with, as it was kept last.
    pub fn progress(&self) -> Progress {
        self.lock().progress.clone()
    }

    /// Tells how far the sink is, without keeping it.
    pub fn reach(&self, reached: Reached, progress_ahead: u64) {
        self.position.store(reached.position, Ordering::Release);
        self.open.store(reached.open, Ordering::Release);
        self.ahead.store(progress_ahead, Ordering::Release);
        self.read.store(reached.read, Ordering::Release);
    }

    /// The sink is not at work any more. What it held in memory is lost where the journal, whose oldest record is
    /// `oldest`, does not have it any more.
    pub(crate) fn rest(&self, oldest: u64) {
        let kept = self.lock();
        let (position, done) = (kept.progress.cursor, &kept.progress.done);
        self.add_expired(kept.progress.open_before(oldest.min(self.read())));
        let ahead = done.iter().map(|range| range.end - range.start).sum();
        self.reach(Reached { position, read: position, open: 0 }, ahead);
    }

    /// Keeps the progress of the sink. It survives the end of the process, but not yet a power cut.
    ///
    /// # Errors
    ///
    /// If the file cannot be written. The progress counts all the same, until the process ends.
    pub fn write(&self, progress: Progress) -> io::Result<()> {
        let mut kept = self.lock();
        kept.renew(progress);
        let Kept { file, progress } = &mut *kept;
        file.write(progress)
    }

    /// Keeps the progress of the sink, safe from a power cut.
    ///
    /// # Errors
    ///
    /// If the file cannot be written or synced. The progress counts all the same, until the process ends.
    pub fn sync(&self, progress: Progress) -> io::Result<()> {
        let mut kept = self.lock();
        kept.renew(progress);
        let Kept { file, progress } = &mut *kept;
        file.sync(progress)?;
        self.needed.store(progress.cursor, Ordering::Release);
        Ok(())
    }

    /// Checks that the file is still the one at this path. If it was removed or replaced, makes it anew and returns true.
    ///
    /// # Errors
    ///
    /// If that cannot be found out, or it cannot be made.
    pub(crate) fn follow(&self, disk: &dyn Disk, path: &Path) -> io::Result<bool> {
        let mut kept = self.lock();
        let Kept { file, progress } = &mut *kept;
        file.follow(disk, path, progress)
    }

    /// The sink is done with everything before a number.
    #[cfg(test)]
    pub(crate) fn advance(&self, to: u64) -> io::Result<()> {
        let progress = Progress::before(to.max(self.position()));
        let result = self.sync(progress);
        self.rest(0);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // The progress is replaced in one assignment: what a panicking thread left is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// The number before which every sink has taken everything, as their files say; none without sinks.
pub(crate) fn taken(disk: &dyn Disk, directory: &Path) -> io::Result<Option<u64>> {
    let folder = folder(directory);
    let mut taken: Option<u64> = None;
    for name in names(disk, directory)? {
        if let Some(progress) = peek(disk, &folder.join(name))? {
            taken = Some(taken.map_or(progress.cursor, |taken| taken.min(progress.cursor)));
        }
    }
    Ok(taken)
}

/// The highest number that a sink has come to, as their files say; 0 without sinks.
pub(crate) fn highest(disk: &dyn Disk, directory: &Path) -> io::Result<u64> {
    let folder = folder(directory);
    let mut highest = 0;
    for name in names(disk, directory)? {
        highest = peek(disk, &folder.join(name))?.map_or(highest, |progress| highest.max(progress.cursor));
    }
    Ok(highest)
}

/// Whether it is a sink's name, and no file that a write left.
fn valid(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
