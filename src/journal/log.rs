//! The journal: segments that are appended to, synced, and deleted when every sink is past them.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::files::disk::{Disk, DiskFile};
use crate::files::folder;
use crate::files::system::Access;
use crate::files::{RAISE_LIMIT, is_without_room};
use crate::journal::batch::Batch;
use crate::journal::begin::begin;
use crate::journal::cursor::{self, Cursor};
use crate::journal::recover::{self, Recovery};
use crate::journal::segment::{Meta, segment_path};
use crate::journal::settings::{MIN_SIZE, WhenFull};
use crate::journal::shape::Shape;
use crate::journal::spare::{self, Spare};
use crate::journal::tail::{Rest, Tail};
use crate::journal::visible::{Follower, Visible};
use crate::time::clock::Now;
use crate::time::receipts::Receipts;

/// How a journal is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its directory.
    pub directory: PathBuf,
    /// The size in bytes that it may have; at least [`MIN_SIZE`].
    pub max_size: u64,
    /// What is done when it has that size.
    pub when_full: WhenFull,
}

/// A moment of a journal, which it knows again after a power cut: see [`Journal::resumes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Its epoch.
    pub epoch: u64,
    /// The number of the next record.
    pub next: u64,
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be used.
    #[error("cannot use the journal directory {}: {error}; {}", path.display(), remedy(error))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("the journal {} is in use by another trapline; stop that one, or give this one a directory of its own in [journal] directory", .0.display())]
    Locked(PathBuf),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "make room on its disk",
        io::ErrorKind::FileTooLarge => RAISE_LIMIT,
        _ => "make it writable for the user that trapline runs as, or name another in [journal] directory",
    }
}

/// Why a batch is not in the journal, or not all of it.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct AppendError {
    /// The sequence number of its first outcome that is in the journal, or would have been.
    pub first: u64,
    /// How many of its outcomes are in the journal, from the first one on.
    pub taken: usize,
    /// What the system says.
    #[source]
    pub error: io::Error,
}

impl From<AppendError> for io::Error {
    fn from(error: AppendError) -> Self {
        error.error
    }
}

/// The journal, shared by those who append and those who deliver.
#[derive(Debug)]
pub struct Journal {
    pub(super) shape: Shape,
    /// The number that the recovery gave to the next record.
    recovered: u64,
    /// Whether there were records and no directory of cursors when it was opened.
    cursors_lost: bool,
    /// See [`Journal::taken_before`].
    taken_before: Option<u64>,
    pub(super) tail: Visible<Tail>,
    /// Held by who syncs: the system tells of a failed sync only once.
    pub(super) syncing: Mutex<()>,
    pub(super) damaged: AtomicU64,
    /// Whether outcomes were refused last, because the journal has its full size.
    is_full: AtomicBool,
    /// Whether its disk had no room for a segment or a cursor at the start: see [`Journal::lacks_room`].
    pub(super) had_no_room: AtomicBool,
    /// When the messages of its records were received, and how often that has changed.
    receipts: Mutex<Option<Receipts>>,
    receipts_changed: AtomicU64,
    /// Told when somebody has found that the directory or a file is gone.
    pub(super) missed: Notify,
    pub(super) locked: Mutex<Box<dyn std::fmt::Debug + Send + Sync>>,
}

/// A segment that a sink reads.
pub(super) struct Held {
    pub(super) meta: Meta,
    /// The file of the newest segment; others are to be opened.
    pub(super) file: Option<Arc<dyn DiskFile>>,
    /// The number of the oldest record of the journal.
    pub(super) oldest: u64,
    /// Whether it has no records yet. Then it is not held.
    pub(super) empty: bool,
}

/// How many closed segments may wait for a sync. Each has a descriptor.
const MOST_UNSYNCED: usize = 16;

impl Journal {
    /// Opens a journal, or makes a new one; mends what a crash left. `epoch` is a random number.
    ///
    /// # Errors
    ///
    /// [`OpenError`], if the directory cannot be used or another process has the journal.
    pub fn open(options: Options, epoch: u64) -> Result<(Arc<Self>, Recovery), OpenError> {
        let disk = folder::disk(&options.directory, true, Access::Private)
            .map_err(|error| OpenError::Io { path: options.directory.clone(), error })?;
        Self::open_on(disk, options, epoch)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        options: Options,
        epoch: u64,
    ) -> Result<(Arc<Self>, Recovery), OpenError> {
        let Options { directory, max_size, when_full } = options;
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Io { path, error }
        };
        let cursors = cursor::folder(&directory);
        let had_cursors =
            !matches!(disk.list(&cursors), Err(error) if error.kind() == io::ErrorKind::NotFound);
        disk.make_directory(&cursors).map_err(io_error(&directory))?;
        let lock = lock(&*disk, &directory)?;
        spare::clear(&*disk, &directory).map_err(io_error(&directory))?;
        let mut recovered = recover::recover(&*disk, &directory).map_err(io_error(&directory))?;
        if recovered.segments.is_empty() {
            // No segment keeps the numbers, as where the disk had no room for one: cursors have them.
            let highest = cursor::highest(&*disk, &directory).map_err(io_error(&directory))?;
            recovered.next = recovered.next.max(highest);
        }
        let taken_before = cursor::taken(&*disk, &directory).map_err(io_error(&directory))?;
        let cursors_lost = !had_cursors && !recovered.segments.is_empty();
        if cursors_lost {
            tracing::error!(
                "somebody has removed {}: every sink starts with the oldest outcome in the journal, so outcomes are delivered again",
                cursors.display()
            );
        }
        let max_size = max_size.max(MIN_SIZE);
        let segment_size = (max_size / 8).clamp(128 << 10, 64 << 20);
        let shape = Shape { directory, disk, epoch, max_size, segment_size, when_full };
        let tail = begin(&shape, recovered.segments, recovered.next, taken_before.unwrap_or(0));
        let tail = tail.map_err(io_error(&shape.directory))?;
        let had_no_room = AtomicBool::new(tail.without_room);
        let journal = Journal {
            shape,
            recovered: recovered.next,
            cursors_lost,
            taken_before,
            tail: Visible::new(tail, recovered.next),
            syncing: Mutex::new(()),
            damaged: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            had_no_room,
            receipts: Mutex::new(None),
            receipts_changed: AtomicU64::new(0),
            missed: Notify::new(),
            locked: Mutex::new(lock),
        };
        journal.prepare();
        if journal.lacks_room() {
            tracing::error!(
                "the disk of the journal in {} has no room for a segment: sinks get what is there, and no outcomes are taken until there is room; make some",
                journal.shape.directory.display()
            );
        }
        Ok((Arc::new(journal), recovered.report))
    }

    /// Appends outcomes; those that are appended are visible to readers when this returns. Gives the sequence number of the
    /// first.
    ///
    /// # Errors
    ///
    /// If not all of them can be written. Those before the first that cannot are in the journal.
    pub fn append(&self, batch: &Batch) -> Result<u64, AppendError> {
        if batch.is_empty() {
            return Ok(self.next());
        }
        let mut rest = Rest::default();
        let (first, taken, result, crowded, lacks_spare) = self.tail.change(|tail| {
            let first = tail.next;
            self.note_receipt(first, batch);
            let (taken, result) = tail.append(&self.shape, batch, &mut rest);
            self.is_full.store(tail.full, Ordering::Relaxed);
            let crowded = tail.unsynced.len() >= MOST_UNSYNCED;
            ((first, taken, result, crowded, tail.lacks_spare()), tail.next)
        });
        self.finish(rest);
        if crowded && let Err(error) = self.sync(first) {
            tracing::error!(%error, "segments of the journal cannot be synced; check the disk");
        }
        // Readers are at work now, and the lock is theirs where nothing is to be done.
        if lacks_spare {
            self.prepare();
        }
        result.map(|()| first).map_err(|error| AppendError { first, taken, error })
    }

    /// Before readers see records of a batch.
    fn note_receipt(&self, first: u64, batch: &Batch) {
        let Some(now) = batch.received() else { return };
        let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        if receipts.get_or_insert_with(|| Receipts::new(now)).note(first, now) {
            self.receipts_changed.fetch_add(1, Ordering::Release);
        }
    }

    /// The process starts now: by this the ages of records of before are estimated. Only the first call counts.
    pub fn start(&self, now: Now) {
        let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        receipts.get_or_insert_with(|| Receipts::new(now));
    }

    /// When the messages of its records were received.
    pub fn receipts(&self, now: Now) -> Receipts {
        let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        receipts.get_or_insert_with(|| Receipts::new(now)).clone()
    }

    /// How often [`Journal::receipts`] has changed.
    pub fn receipts_changed(&self) -> u64 {
        self.receipts_changed.load(Ordering::Acquire)
    }

    /// Makes the file of the next segment, if there is none.
    pub(super) fn prepare(&self) {
        if !self.tail.lock().lacks_spare() {
            return;
        }
        // If it cannot be made now, it is tried again with the next append, and what then fails is reported.
        let Ok(spare) = Spare::make(&self.shape) else { return };
        let mut tail = self.tail.lock();
        if tail.lacks_spare() {
            tail.spare = Some(spare);
        } else {
            drop(tail);
            spare.discard(&*self.shape.disk);
        }
    }

    /// Removes the files of segments and says what sinks have lost with them.
    pub(super) fn finish(&self, rest: Rest) {
        let newest = rest.removed.iter().map(|segment| segment.first).max();
        for segment in rest.removed {
            let path = segment_path(&self.shape.directory, segment.first);
            // One that stays is found again when the journal is opened.
            if let Err(error) = self.shape.disk.remove(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "cannot remove the journal segment {}; it takes room", path.display());
            }
        }
        if let Some(newest) = newest {
            self.tail.remove_before(newest + 1);
        }
        for (sink, outcomes) in rest.expired {
            let limit = self.shape.max_size;
            tracing::error!(
                sink,
                outcomes,
                "the journal has reached its limit of {limit} bytes: outcomes that this sink never took are given up; bring the sink back, or raise [journal] max_size"
            );
        }
    }

    /// The number before which every sink had taken everything when the journal was opened, whether it is at work now or not; none
    /// without sinks.
    pub fn taken_before(&self) -> Option<u64> {
        self.taken_before
    }

    /// Deletes the segments that every sink had taken when the journal was opened.
    pub fn remove_taken(&self) {
        let (taken, mut rest) = (self.taken_before.unwrap_or(0), Rest::default());
        self.tail.change(|tail| {
            tail.drop_before(taken, &mut rest);
            ((), tail.next)
        });
        self.finish(rest);
    }

    /// Deletes the segments that every sink is past, and what failed writes have left in others.
    pub fn clean(&self) {
        self.cut_back();
        let mut rest = Rest::default();
        self.tail.change(|tail| {
            tail.drop_delivered(&mut rest);
            tail.full = tail.full && !tail.has_space(&self.shape, self.shape.segment_size);
            self.is_full.store(tail.full, Ordering::Relaxed);
            ((), tail.next)
        });
        let made_room = !rest.removed.is_empty();
        self.finish(rest);
        if made_room && self.lacks_room() {
            // If it fails, the next look says so.
            let _ = self.look();
        }
    }

    /// The cursor of a sink, which is not at work. A sink that has none yet starts with what is appended from now on.
    ///
    /// # Errors
    ///
    /// If its file cannot be used.
    pub fn register(&self, sink: &str) -> io::Result<Arc<Cursor>> {
        self.registered(sink, Err)
    }

    /// The same at a start. Where the disk has no room for the file, the sink gets what is there, and the journal takes no outcomes
    /// until there is room: else a crash could forget from where on the sink wants them.
    ///
    /// # Errors
    ///
    /// If the file cannot be used for another reason.
    pub fn register_first(&self, sink: &str) -> io::Result<Arc<Cursor>> {
        self.registered(sink, |error| {
            if !is_without_room(error.kind()) {
                return Err(error);
            }
            tracing::error!(
                sink,
                "the disk of the journal in {} has no room for the cursor of the sink: no outcomes are taken until there is room; make some",
                self.shape.directory.display()
            );
            self.tail.lock().unsettled = true;
            self.had_no_room.store(true, Ordering::Release);
            Ok(())
        })
    }

    /// `unsafe_yet` decides whether a cursor can be used whose file is not safe from a power cut.
    fn registered(
        &self,
        sink: &str,
        unsafe_yet: impl FnOnce(io::Error) -> io::Result<()>,
    ) -> io::Result<Arc<Cursor>> {
        if let Some(known) = self.cursor(sink) {
            // What it knows the disk may have refused.
            self.rest(&known);
            return Ok(known);
        }
        let path = cursor::folder(&self.shape.directory).join(sink);
        let (oldest, next) = {
            let mut tail = self.tail.lock();
            let oldest = tail.oldest();
            tail.pins.push(oldest);
            (oldest, tail.next)
        };
        let start = if self.cursors_lost && oldest < self.recovered { oldest } else { next };
        let cursor = Cursor::open(&*self.shape.disk, &path, oldest, self.recovered, start).and_then(
            |(cursor, settled)| {
                settled.or_else(unsafe_yet)?;
                Ok(Arc::new(cursor))
            },
        );
        let mut tail = self.tail.lock();
        if let Some(pin) = tail.pins.iter().position(|pin| *pin == oldest) {
            tail.pins.remove(pin);
        }
        let cursor = cursor?;
        tail.cursors.insert(sink.to_owned(), cursor.clone());
        Ok(cursor)
    }

    /// Where the next record comes.
    pub fn point(&self) -> Point {
        // What another thread appends may not be visible yet.
        Point { epoch: self.shape.epoch, next: self.tail.lock().next }
    }

    /// The number from which a reader goes on that had read what is before `next`, when this epoch was written to: after a power cut
    /// numbers are given again. A number that this epoch has not come to is one of no epoch.
    pub fn resumes(&self, epoch: u64, next: u64) -> u64 {
        if epoch == self.shape.epoch && next <= self.next() { next } else { next.min(self.recovered) }
    }

    /// For those that wait for records.
    pub fn follower(&self) -> Follower {
        self.tail.follower()
    }

    /// The sequence number that the next record gets.
    pub fn next(&self) -> u64 {
        self.tail.next()
    }

    /// What is before is safe from a power cut, or not in the journal any more. What a failed sync was for is not, as long as it
    /// is there and was not [written again](Journal::mend).
    pub fn safe(&self) -> u64 {
        self.tail.lock().safe()
    }

    /// How many bytes it has on disk.
    pub fn size(&self) -> u64 {
        self.tail.lock().size()
    }

    /// Sets [`Follower::patience`].
    pub fn set_patience(&self, patience: Duration) {
        self.tail.set_patience(patience);
    }

    /// Whether it refuses outcomes until sinks have taken some.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// The sequence number of the oldest record, or of the next one if there is none.
    pub fn oldest(&self) -> u64 {
        self.tail.lock().oldest()
    }

    /// How many outcomes a sink has not taken.
    pub fn behind(&self, cursor: &Cursor) -> u64 {
        let tail = self.tail.lock();
        cursor.behind(tail.oldest(), tail.next)
    }

    /// A sink is not at work any more.
    pub fn rest(&self, cursor: &Cursor) {
        let tail = self.tail.lock();
        cursor.rest(tail.oldest());
    }

    /// How many damaged places readers have skipped.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.shape.directory
    }

    /// A sink ends to read a segment, before the record `next`, or has none open. If the journal has removed it, the rest of it
    /// is lost, and counted, as it was not when the segment was removed.
    pub(super) fn let_go(&self, cursor: &Cursor, open: Option<&Meta>, next: u64) {
        let tail = self.tail.lock();
        cursor.hold(0);
        if let Some(open) = open.filter(|open| !tail.has(open.first)) {
            cursor.add_expired(open.end().saturating_sub(next));
        }
    }

    /// The segment that has a record, or the next one after it.
    pub(crate) fn segment_of(&self, sequence: u64) -> Option<Meta> {
        self.tail.lock().segment_of(sequence)
    }

    /// The same, for a sink that reads it.
    pub(super) fn hold_segment_of(&self, sequence: u64, cursor: Option<&Cursor>) -> Option<Held> {
        let tail = self.tail.lock();
        let meta = tail.segment_of(sequence)?;
        let empty = meta.end() == meta.first;
        if let Some(cursor) = cursor.filter(|_| !empty) {
            cursor.hold(meta.first);
        }
        let file = (meta.first == tail.open().0).then(|| tail.file.clone());
        Some(Held { meta, file, oldest: tail.oldest(), empty })
    }
}

pub(crate) fn lock(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Box<dyn std::fmt::Debug + Send + Sync>, OpenError> {
    let path = directory.join("lock");
    disk.lock(&path).map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::Locked(directory.to_owned()),
        TryLockError::Error(error) => OpenError::Io { path, error },
    })
}
