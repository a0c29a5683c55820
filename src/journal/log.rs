//! The journal: segments that are appended to, synced, and deleted when every sink is past them.

use std::collections::HashMap;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::files::disk::{Disk, DiskFile};
use crate::files::folder;
use crate::files::system::Access;
use crate::journal::batch::Batch;
use crate::journal::cursor::{self, Cursor};
use crate::journal::recover::{self, Recovery};
use crate::journal::segment::{self, HEADER, Header, Meta, segment_path};
use crate::journal::settings::{MIN_SIZE, WhenFull};

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

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be used.
    #[error("cannot use the journal directory {}: {error}; make it writable for the user that trapline runs as, or name another in [journal] directory", path.display())]
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

/// The journal, shared by those who append and those who deliver.
#[derive(Debug)]
pub struct Journal {
    pub(crate) options: Options,
    segment_size: u64,
    epoch: u64,
    /// The number that the recovery gave to the next record.
    recovered: u64,
    pub(crate) inner: Mutex<Inner>,
    /// The sequence number that the next record gets: readers wait on it.
    next: watch::Sender<u64>,
    pub(crate) damaged: AtomicU64,
    /// See [`Journal::set_patience`], in microseconds.
    patience: AtomicU64,
    /// Whether outcomes were refused last, because the journal has its full size.
    is_full: AtomicBool,
    pub(crate) disk: Arc<dyn Disk>,
    _lock: Box<dyn std::fmt::Debug + Send + Sync>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// All segments, oldest first; the last one is appended to.
    segments: Vec<Meta>,
    file: Arc<dyn DiskFile>,
    next: u64,
    /// What is before is safe from a power cut, but for what is not promised.
    synced: u64,
    /// What is before and was not safe when a sync failed is never promised.
    unpromised: u64,
    /// Whether a sync of the newest segment failed, or what a failed write left in it: nothing more goes into it.
    spoiled: bool,
    buffer: Vec<u8>,
    pub(crate) cursors: HashMap<String, Arc<Cursor>>,
}

impl Inner {
    /// The segment that has a record, or the next one after it.
    fn segment_of(&self, sequence: u64) -> Option<Meta> {
        self.segments.iter().find(|s| s.end > sequence).cloned()
    }

    /// The number of the oldest record, or of the next one if there is none.
    fn oldest(&self) -> u64 {
        self.segments.first().map_or(self.next, |segment| segment.first)
    }

    /// A sync has failed: what was not safe may be lost already, with the header of the segment if that was not.
    fn give_up(&mut self) {
        self.unpromised = self.next;
        self.synced = self.next;
        self.spoiled = true;
    }
}

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
        let directory = &options.directory;
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Io { path, error }
        };
        disk.make_directory(&cursor::folder(directory)).map_err(io_error(directory))?;
        let lock = lock(&*disk, directory)?;
        let recovered = recover::recover(&*disk, directory).map_err(io_error(directory))?;
        let mut segments = recovered.segments;
        let header = Header { epoch, first: recovered.next };
        let (meta, file) = create_segment(&*disk, directory, header).map_err(io_error(directory))?;
        segments.push(meta);
        let max_size = options.max_size.max(MIN_SIZE);
        let journal = Journal {
            segment_size: (max_size / 8).clamp(128 << 10, 64 << 20),
            options: Options { max_size, ..options },
            epoch,
            recovered: recovered.next,
            inner: Mutex::new(Inner {
                segments,
                file,
                next: recovered.next,
                synced: 0,
                unpromised: 0,
                spoiled: false,
                buffer: Vec::new(),
                cursors: HashMap::new(),
            }),
            next: watch::channel(recovered.next).0,
            damaged: AtomicU64::new(0),
            patience: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            disk,
            _lock: lock,
        };
        Ok((Arc::new(journal), recovered.report))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a panicking thread left is whole: every change below ends in one assignment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends outcomes; they are visible to readers when this returns. Gives the sequence number of the first.
    ///
    /// # Errors
    ///
    /// If they cannot be written. Then none of them is in the journal.
    pub fn append(&self, batch: &Batch) -> io::Result<u64> {
        let mut inner = self.lock();
        let first = inner.next;
        if batch.is_empty() {
            return Ok(first);
        }
        let mut buffer = std::mem::take(&mut inner.buffer);
        buffer.clear();
        let mut sequence = inner.next;
        for payload in batch.payloads() {
            segment::push_record(&mut buffer, sequence, payload);
            sequence += 1;
        }
        let written = self.write(&mut inner, &buffer, sequence);
        if buffer.capacity() <= 4 << 20 {
            inner.buffer = buffer;
        }
        written?;
        drop(inner);
        self.next.send_replace(sequence);
        Ok(first)
    }

    fn write(&self, inner: &mut Inner, records: &[u8], next: u64) -> io::Result<()> {
        let full = inner.segments.last().is_none_or(|s| s.length + records.len() as u64 > self.segment_size);
        if inner.spoiled || (full && inner.segments.last().is_some_and(|s| s.length > HEADER as u64)) {
            self.roll(inner)?;
        }
        let length = inner.segments.last().map_or(0, |s| s.length);
        if let Err(error) = inner.file.write(records, length) {
            // What was written in part must not be taken for records when the journal is opened again.
            if inner.file.set_length(length).is_err() {
                inner.spoiled = true;
                self.roll(inner)?;
            }
            return Err(error);
        }
        if let Some(segment) = inner.segments.last_mut() {
            segment.length += records.len() as u64;
            segment.end = next;
        }
        inner.next = next;
        Ok(())
    }

    /// Starts a new segment and drops what is not needed or too much.
    fn roll(&self, inner: &mut Inner) -> io::Result<()> {
        if self.options.when_full == WhenFull::Refuse {
            self.drop_delivered(inner);
            let total: u64 = inner.segments.iter().map(|s| s.length).sum();
            let full = total + self.segment_size > self.options.max_size;
            self.is_full.store(full, Ordering::Relaxed);
            if full {
                let limit = self.options.max_size;
                let text = format!("it has reached max_size, {limit} bytes, and when_full is \"refuse\"");
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
            }
        }
        if inner.synced < inner.next {
            match inner.file.sync() {
                Ok(()) => inner.synced = inner.next,
                Err(error) => {
                    inner.give_up();
                    tracing::error!(%error, "a segment of the journal cannot be synced and is given up for a new one; check the disk");
                }
            }
        }
        let header = Header { epoch: self.epoch, first: inner.next };
        let (meta, file) = create_segment(&*self.disk, &self.options.directory, header)?;
        // One without records has the name of the new one, which takes its place.
        inner.segments.pop_if(|last| last.first == meta.first);
        inner.segments.push(meta);
        inner.file = file;
        inner.spoiled = false;
        self.drop_delivered(inner);
        let mut total: u64 = inner.segments.iter().map(|s| s.length).sum();
        while total + self.segment_size > self.options.max_size && inner.segments.len() > 1 {
            let oldest = inner.segments.remove(0);
            total -= oldest.length;
            self.expire(inner, oldest.first, oldest.end);
            self.remove(&oldest);
        }
        Ok(())
    }

    /// Counts and says what cursors lose when the segment of some records goes.
    fn expire(&self, inner: &Inner, first: u64, end: u64) {
        for (name, cursor) in &inner.cursors {
            let lost = cursor.loses(first, end);
            if lost > 0 {
                cursor.add_expired(lost);
                let limit = self.options.max_size;
                tracing::error!(
                    sink = name,
                    outcomes = lost,
                    "the journal has reached its limit of {limit} bytes: outcomes that this sink never took are given up; bring the sink back, or raise [journal] max_size"
                );
            }
        }
    }

    fn drop_delivered(&self, inner: &mut Inner) {
        let needed = inner.cursors.values().map(|c| c.needed()).min().unwrap_or(inner.next);
        while inner.segments.len() > 1 && inner.segments[0].end <= needed {
            let oldest = inner.segments.remove(0);
            self.remove(&oldest);
        }
    }

    /// Removes the file of a segment. One that stays is found again when the journal is opened, and costs room.
    fn remove(&self, segment: &Meta) {
        let path = segment_path(&self.options.directory, segment.first);
        if let Err(error) = self.disk.remove(&path) {
            tracing::warn!(%error, "cannot remove the journal segment {}; it takes room", path.display());
        }
    }

    /// Deletes the segments that every sink is past.
    pub fn clean(&self) {
        self.drop_delivered(&mut self.lock());
    }

    /// Returns when all that was appended from a sequence number on until now is safe from a power cut.
    ///
    /// # Errors
    ///
    /// If the system cannot promise it, or could not before for a part of it. That part may never be safe; it is still
    /// delivered, unless the power is cut before.
    pub fn sync(&self, from: u64) -> io::Result<()> {
        let (file, target) = {
            let inner = self.lock();
            if from < inner.unpromised {
                return Err(io::Error::other("a sync has failed since"));
            }
            if inner.synced >= inner.next {
                return Ok(());
            }
            (inner.file.clone(), inner.next)
        };
        let synced = file.sync();
        let mut inner = self.lock();
        match synced {
            // Who rolled meanwhile has synced this segment, or marked it.
            Ok(()) if from >= inner.unpromised => {
                inner.synced = inner.synced.max(target);
                Ok(())
            }
            Ok(()) => Err(io::Error::other("a sync has failed since")),
            Err(error) => {
                inner.give_up();
                // If no new segment can be made now, the next append tries again.
                let _ = self.roll(&mut inner);
                Err(error)
            }
        }
    }

    /// The cursor of a sink. A sink that has none yet starts with what is appended from now on.
    ///
    /// # Errors
    ///
    /// If its file cannot be used.
    pub fn register(&self, sink: &str) -> io::Result<Arc<Cursor>> {
        let mut inner = self.lock();
        let path = cursor::folder(&self.options.directory).join(sink);
        let cursor = Cursor::open(&*self.disk, &path, inner.oldest(), self.recovered, inner.next)?;
        let cursor = Arc::new(cursor);
        inner.cursors.insert(sink.to_owned(), cursor.clone());
        Ok(cursor)
    }

    /// The sequence number that the next record gets; changes when something is appended.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }

    /// The sequence number that the next record gets.
    pub fn next(&self) -> u64 {
        *self.next.borrow()
    }

    /// How many bytes it has on disk.
    pub fn size(&self) -> u64 {
        self.lock().segments.iter().map(|s| s.length).sum()
    }

    /// Sets how long outcomes may wait for their readers, for the sake of fewer wake-ups. Zero at first.
    pub fn set_patience(&self, patience: Duration) {
        self.patience.store(u64::try_from(patience.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long outcomes may wait for their readers.
    pub fn patience(&self) -> Duration {
        Duration::from_micros(self.patience.load(Ordering::Relaxed))
    }

    /// Whether it refuses outcomes until sinks have taken some.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// The sequence number of the oldest record, or of the next one if there is none.
    pub fn oldest(&self) -> u64 {
        self.lock().oldest()
    }

    /// How many outcomes a sink has not taken.
    pub fn behind(&self, cursor: &Cursor) -> u64 {
        let inner = self.lock();
        cursor.behind(inner.oldest(), inner.next)
    }

    /// A sink is not at work any more.
    pub fn rest(&self, cursor: &Cursor) {
        let inner = self.lock();
        cursor.rest(inner.oldest());
    }

    /// How many damaged places readers have skipped.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.options.directory
    }

    /// The segment that has a record, or the next one after it.
    pub(crate) fn segment_of(&self, sequence: u64) -> Option<Meta> {
        self.lock().segment_of(sequence)
    }

    /// The same, for a sink that opens it; and the number of the oldest record.
    pub(crate) fn hold_segment_of(&self, sequence: u64, cursor: Option<&Cursor>) -> Option<(Meta, u64)> {
        let inner = self.lock();
        let meta = inner.segment_of(sequence)?;
        if let Some(cursor) = cursor {
            cursor.hold(meta.first);
        }
        Some((meta, inner.oldest()))
    }

    /// The length of the segment that starts with a sequence number, up to its last record.
    pub(crate) fn length_of(&self, first: u64) -> Option<u64> {
        self.lock().segments.iter().find(|s| s.first == first).map(|s| s.length)
    }
}

fn create_segment(
    disk: &dyn Disk,
    directory: &Path,
    header: Header,
) -> io::Result<(Meta, Arc<dyn DiskFile>)> {
    let path = segment_path(directory, header.first);
    // A segment without records may stand there from a start after which nothing came.
    let file = disk.open(&path, true)?;
    file.set_length(0)?;
    file.write(&header.encode(), 0)?;
    let meta = Meta { first: header.first, end: header.first, length: HEADER as u64, epoch: header.epoch };
    disk.sync_directory(directory)?;
    Ok((meta, file))
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
