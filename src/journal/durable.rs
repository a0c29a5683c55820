//! What is safe from a power cut.

use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};

use crate::files::disk::{DiskFile, Identity};
use crate::journal::log::Journal;
use crate::journal::segment::segment_path;
use crate::journal::tail::{Leftover, Rest, Tail, Unsynced};

/// What a sync has to do.
struct Work {
    /// Closed segments.
    closed: Vec<Unsynced>,
    /// The newest segment.
    file: Arc<dyn DiskFile>,
    /// All of them.
    files: Vec<(u64, Identity)>,
    /// The number of the next record.
    next: u64,
    /// See [`Tail::names`].
    names: u64,
    names_are_new: bool,
}

fn failed_before() -> io::Error {
    io::Error::other("a sync has failed since")
}

impl Journal {
    /// Returns when all that was appended from a sequence number on until now is safe from a power cut.
    ///
    /// # Errors
    ///
    /// If the system cannot promise it, or could not before for a part of it. That part is safe only once it is
    /// [written again](Journal::mend); it is delivered all the same, unless the power is cut before. Also if a segment that was to be synced is not in its directory any more.
    pub fn sync(&self, from: u64) -> io::Result<()> {
        if self.work(from)?.is_none() {
            return Ok(());
        }
        let _turn = self.turn();
        // Who had the turn before has perhaps done it, or failed.
        let Some(work) = self.work(from)? else { return Ok(()) };
        let synced = self.carry_out(&work);
        let mut rest = Rest::default();
        let result = self.tail.change(|tail| {
            let result = match synced {
                Ok(missing) => {
                    tail.synced = tail.synced.max(work.next);
                    tail.names_synced = tail.names_synced.max(work.names);
                    // One that is missing is still open here and can be restored.
                    let done = |closed: &Unsynced| {
                        let synced = work.closed.iter().any(|one| one.first == closed.first);
                        synced && !missing.contains(&(closed.first, closed.identity))
                    };
                    tail.unsynced.retain(|closed| !done(closed));
                    tail.gone |= tail.misses(&missing);
                    if tail.gone { Err(tail.why_gone()) } else { Ok(()) }
                }
                Err(error) => {
                    tail.give_up();
                    // If no new segment can be made now, the next append tries again.
                    let _ = tail.roll(&self.shape, 0, &mut rest);
                    Err(error)
                }
            };
            (result, tail.next)
        });
        self.finish(rest);
        result
    }

    /// What has to be done so that everything from a number on is safe; none if it is.
    fn work(&self, from: u64) -> io::Result<Option<Work>> {
        let tail = self.tail.lock();
        if tail.gone {
            return Err(tail.why_gone());
        }
        if tail.doubtful.iter().any(|doubtful| doubtful.meets(&(from..u64::MAX))) {
            return Err(failed_before());
        }
        if tail.synced >= tail.next && tail.names_synced >= tail.names {
            return Ok(None);
        }
        let Tail { names, next, .. } = *tail;
        Ok(Some(Work {
            closed: tail.unsynced.clone(),
            file: tail.file.clone(),
            files: tail.unsafe_files(),
            next,
            names,
            names_are_new: tail.names_synced < names,
        }))
    }

    /// Syncs; returns the segments that are not where they should be.
    fn carry_out(&self, work: &Work) -> io::Result<Vec<(u64, Identity)>> {
        for closed in &work.closed {
            closed.file.sync()?;
        }
        work.file.sync()?;
        let disk = &self.shape.disk;
        if work.names_are_new {
            match disk.sync_directory(&self.shape.directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(work.files.clone());
                }
                other => other?,
            }
        }
        let is_current = disk.is_current()?;
        let is_missing = |(first, identity): &&(u64, Identity)| {
            let path = segment_path(&self.shape.directory, *first);
            !is_current || disk.identity(&path).ok() != Some(*identity)
        };
        Ok(work.files.iter().filter(is_missing).copied().collect())
    }

    /// Cuts off what failed writes have left behind the records of segments, as far as the disk lets it now.
    pub(super) fn cut_back(&self) {
        let leftovers = self.tail.lock().leftovers.clone();
        for left in leftovers {
            if left.file.set_length(left.length).and_then(|()| left.file.sync()).is_ok() {
                let done = |other: &Leftover| (other.first, other.length) == (left.first, left.length);
                self.tail.lock().leftovers.retain(|other| !done(other));
            }
        }
    }

    /// The turn to sync, or to put the journal in its place.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.syncing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
