//! Whether the journal is still where it should be. Somebody may remove or replace its directory or its files while it is
//! open; what is written then is written to files that nobody finds again.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io::{self, ErrorKind};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::files::disk::{DiskFile, Identity};
use crate::journal::cursor::{Cursor, folder};
use crate::journal::log::{Journal, lock};
use crate::journal::segment::{HEADER, Header, Meta, segment_path};
use crate::journal::spare::Spare;
use crate::journal::tail::{Rest, Unsynced};

/// How many bytes are copied at a time.
const CHUNK: usize = 256 << 10;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// All is where it should be.
    Well,
    /// The directory, its newest segment or a cursor was gone and is there again.
    Restored {
        /// How many segments are lost.
        segments: usize,
    },
    /// There is room now for the segment or the cursor that could not be made at the start.
    Room,
}

impl Journal {
    /// Whether the directory, the newest segment and closed ones that are not safe yet are where they should be. If not,
    /// [`Journal::missed`] is told.
    pub fn is_in_place(&self) -> bool {
        let in_place = !self.tail.lock().gone && self.find().unwrap_or(true);
        if !in_place {
            self.missed.notify_one();
        }
        in_place
    }

    /// Whether it takes no outcomes because its disk has had no room for a segment or a cursor since the start.
    pub fn lacks_room(&self) -> bool {
        if !self.had_no_room.load(Ordering::Acquire) {
            // Readers ask with each batch, just after those who append have woken them under this lock.
            return false;
        }
        let tail = self.tail.lock();
        tail.without_room || tail.unsettled
    }

    /// The number of the first record of the newest segment.
    #[cfg(test)]
    pub(super) fn newest(&self) -> u64 {
        self.tail.lock().open().0
    }

    /// Waits until somebody has found that the journal is not in its place.
    pub async fn missed(&self) {
        self.missed.notified().await;
    }

    /// Looks whether directory, newest segments and cursors are where they should be, and restores them. Segments that are
    /// not safe yet are restored with all their records, as they are still open; of others only what readers have open is
    /// delivered.
    ///
    /// # Errors
    ///
    /// If that cannot be found out, or they cannot be restored. Then the journal takes no outcomes until they are.
    pub fn look(&self) -> io::Result<Looked> {
        let _turn = self.turn();
        let mut looked = Looked::Well;
        let lacked_room = self.lacks_room();
        if self.tail.lock().gone || !self.find()? {
            self.tail.lock().gone = true;
            let segments = self.restore()?;
            looked = Looked::Restored { segments };
        }
        for (name, cursor) in self.cursors() {
            if self.follow(&name, &cursor)? && looked == Looked::Well {
                looked = Looked::Restored { segments: 0 };
            }
        }
        self.tail.lock().unsettled = false;
        if lacked_room && looked == (Looked::Restored { segments: 0 }) {
            let directory = self.shape.directory.display();
            tracing::info!("the disk of the journal in {directory} has room again: it takes outcomes");
            looked = Looked::Room;
        }
        Ok(looked)
    }

    /// Makes the file of a cursor anew if it is gone, also with its directory.
    fn follow(&self, name: &str, cursor: &Cursor) -> io::Result<bool> {
        let (disk, folder) = (&*self.shape.disk, folder(&self.shape.directory));
        let path = folder.join(name);
        match cursor.follow(disk, &path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                disk.make_directory(&folder)?;
                disk.sync_directory(&self.shape.directory)?;
                cursor.follow(disk, &path)
            }
            other => other,
        }
    }

    /// Whether the directory and the segments that are not safe are where they should be.
    fn find(&self) -> io::Result<bool> {
        if !self.shape.disk.is_current()? {
            return Ok(false);
        }
        let files = self.tail.lock().unsafe_files();
        for (first, identity) in files {
            if !self.is_there(first, identity)? && self.tail.lock().misses(&[(first, identity)]) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the file of a segment is this one.
    fn is_there(&self, first: u64, identity: Identity) -> io::Result<bool> {
        match self.shape.disk.identity(&segment_path(&self.shape.directory, first)) {
            Ok(found) => Ok(found == identity),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies the closed segments that are missing, needed and still open here. Returns the numbers of those that were missing.
    fn restore_closed(&self) -> io::Result<Vec<u64>> {
        let (closed, needed) = {
            let tail = self.tail.lock();
            let meta = |first: u64| tail.segments.iter().find(|segment| segment.first == first).cloned();
            let closed: Vec<_> = tail
                .unsynced
                .iter()
                .filter_map(|closed| Some((closed.clone(), meta(closed.first)?)))
                .collect();
            (closed, tail.needed())
        };
        let mut missing = Vec::new();
        for (Unsynced { first, file, identity }, meta) in closed {
            if self.is_there(first, identity)? {
                continue;
            }
            if meta.end() > needed {
                self.copy(&*file, &meta)?;
            }
            missing.push(first);
        }
        Ok(missing)
    }

    /// Puts a copy of a segment in its place. It is safe once the directory is.
    fn copy(&self, file: &dyn DiskFile, segment: &Meta) -> io::Result<()> {
        let copy = Spare::make(&self.shape)?;
        copy_records(file, &*copy.file, segment.length())?;
        copy.become_segment(&self.shape, Header { epoch: segment.epoch, first: segment.first })?;
        copy.file.sync()
    }

    /// Makes the directory and the segments anew that are still open here. Nothing is appended meanwhile. Returns how many segments are lost.
    fn restore(&self) -> io::Result<usize> {
        let (disk, directory) = (&self.shape.disk, &self.shape.directory);
        if disk.renew()? {
            let locked = lock(&**disk, directory).map_err(|error| io::Error::other(error.to_string()))?;
            *self.locked.lock().unwrap_or_else(PoisonError::into_inner) = locked;
        }
        disk.make_directory(&folder(directory))?;
        let (open, next, file, needed) = {
            let tail = self.tail.lock();
            let (first, length) = tail.open();
            let open = Meta::new(self.shape.epoch, first, tail.next, length);
            (open, tail.next, tail.file.clone(), tail.needed())
        };
        // Readers go on with the file that they have open, so it becomes a closed segment.
        if open.end() > open.first && open.end() > needed {
            self.copy(&*file, &open)?;
        }
        let missing = self.restore_closed()?;
        let newest = Spare::make(&self.shape)?;
        newest.become_segment(&self.shape, Header { epoch: self.shape.epoch, first: next })?;
        newest.file.sync()?;
        disk.sync_directory(directory)?;
        let found = disk.list(directory)?;
        let (mut rest, mut old_spare) = (Rest::default(), None::<Spare>);
        let lost = self.tail.change(|tail| {
            if open.first == next {
                tail.segments.pop();
            }
            let is_there = |segment: &Meta| found.contains(&segment_path(directory, segment.first));
            let (kept, lost) =
                std::mem::take(&mut tail.segments).into_iter().partition::<Vec<_>, _>(is_there);
            tail.segments = kept;
            for segment in &lost {
                tail.expire(segment, &mut rest);
            }
            tail.segments.push(Meta::empty(open.epoch, next));
            tail.unsynced.retain(|closed| {
                let is_lost = lost.iter().any(|one| one.first == closed.first);
                !is_lost && !missing.contains(&closed.first)
            });
            (tail.file, tail.identity) = (newest.file.clone(), newest.identity);
            old_spare = tail.spare.take();
            (tail.spoiled, tail.gone, tail.without_room, tail.reserved) = (false, false, false, 0);
            tail.names_synced = tail.names;
            // The copy is safe; what the lost segments had is not promised to anybody any more.
            if tail.unsynced.is_empty() {
                tail.synced = tail.next;
            }
            let needed = lost.iter().map(Meta::end).filter(|end| *end > needed);
            tail.lost_to = needed.clone().max().unwrap_or(0).max(tail.lost_to);
            (needed.count(), tail.next)
        });
        for (sink, outcomes) in rest.expired {
            tracing::error!(
                sink,
                outcomes,
                "outcomes that this sink had not taken were in segments of the journal that somebody has removed"
            );
        }
        if let Some(spare) = old_spare {
            spare.discard(&**disk);
        }
        self.prepare();
        Ok(lost)
    }
}

fn copy_records(from: &dyn DiskFile, to: &dyn DiskFile, length: u64) -> io::Result<()> {
    let (mut at, mut chunk) = (HEADER as u64, vec![0; CHUNK]);
    while at < length {
        let most = chunk.len().min(usize::try_from(length - at).unwrap_or(CHUNK));
        let count = from.read(&mut chunk[..most], at)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        to.write(&chunk[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::files::faulty::Faulty;
    use crate::journal::{Batch, MIN_SIZE, Options, WhenFull};
    use crate::outcome::testing;

    fn open(directory: &Path) -> Arc<Journal> {
        let options =
            Options { directory: directory.to_owned(), max_size: 1 << 20, when_full: WhenFull::Refuse };
        Journal::open(options, 7).unwrap().0
    }

    fn batch(output: &str) -> Batch {
        let mut batch = Batch::default();
        batch.push(&testing::event(output));
        batch
    }

    fn read(journal: &Arc<Journal>) -> Vec<String> {
        let cursor = journal.cursor("sink").unwrap();
        let mut outputs = Vec::new();
        let mut reader = journal.reader_for(&cursor);
        reader
            .read(100, |record| {
                outputs.push(record.outcome.common().output.to_string());
                true
            })
            .unwrap();
        outputs
    }

    /// Every way in which files of the journal can go, and that what was there is there again, also for the next start.
    #[test]
    fn what_is_removed_is_noticed_refused_and_restored() {
        type Remove = fn(&Path);
        let ways: [(&str, Remove); 5] = [
            ("the directory", |path| std::fs::remove_dir_all(path).unwrap()),
            ("the directory, moved away", |path| std::fs::rename(path, path.with_extension("old")).unwrap()),
            ("the directory, replaced", |path| {
                std::fs::rename(path, path.with_extension("old")).unwrap();
                std::fs::create_dir(path).unwrap();
            }),
            ("the newest segment", |path| std::fs::remove_file(segment_path(path, 1)).unwrap()),
            ("the newest segment, replaced", |path| {
                std::fs::remove_file(segment_path(path, 1)).unwrap();
                std::fs::write(segment_path(path, 1), "something else").unwrap();
            }),
        ];
        for (what, remove) in ways {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("var");
            let journal = open(&path);
            journal.register("sink").unwrap();
            journal.append(&batch("before")).unwrap();
            journal.sync(0).unwrap();
            assert!(journal.is_in_place() && journal.look().unwrap() == Looked::Well);
            remove(&path);
            assert!(!journal.is_in_place(), "{what}");
            // Not yet noticed by who appends, but nothing is promised.
            journal.append(&batch("between")).unwrap();
            assert!(journal.sync(2).is_err(), "{what}");
            let refused = journal.append(&batch("refused")).unwrap_err();
            assert_eq!((refused.taken, refused.first), (0, 3), "{what}");
            assert_eq!(journal.look().unwrap(), Looked::Restored { segments: 0 }, "{what}");
            assert!(journal.is_in_place());
            journal.append(&batch("after")).unwrap();
            journal.sync(0).unwrap();
            assert_eq!(read(&journal), ["before", "between", "after"], "{what}");
            drop(journal);
            let journal = open(&path);
            journal.register("sink").unwrap();
            assert_eq!(read(&journal), ["before", "between", "after"], "{what}, after a restart");
        }
    }

    /// The first record has another file in the place of the newest segment, which has none.
    #[test]
    fn a_segment_that_the_journal_replaces_itself_is_not_missed_by_who_syncs_meanwhile() {
        let disk = Faulty::new(1);
        let options =
            Options { directory: "/journal".into(), max_size: 1 << 20, when_full: WhenFull::Refuse };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap();
        let (began, go) = disk.hold_sync();
        std::thread::scope(|scope| {
            let syncing = scope.spawn(|| journal.sync(u64::MAX));
            began.recv().unwrap();
            journal.append(&batch("first")).unwrap();
            go.send(()).unwrap();
            syncing.join().unwrap().unwrap();
        });
        assert!(journal.is_in_place());
        journal.append(&batch("second")).unwrap();
    }

    #[test]
    fn a_removed_cursor_is_written_again() {
        type Remove = fn(&Path);
        let ways: [(&str, Remove); 3] = [
            ("the file", |cursors| std::fs::remove_file(cursors.join("sink")).unwrap()),
            ("its directory", |cursors| std::fs::remove_dir_all(cursors).unwrap()),
            ("its directory, moved away", |cursors| {
                std::fs::rename(cursors, cursors.with_extension("old")).unwrap();
            }),
        ];
        for (what, remove) in ways {
            let dir = tempfile::tempdir().unwrap();
            let journal = open(dir.path());
            let cursor = journal.register("sink").unwrap();
            journal.append(&batch("done")).unwrap();
            journal.append(&batch("open")).unwrap();
            cursor.advance(2).unwrap();
            remove(&dir.path().join("cursors"));
            assert_eq!(journal.look().unwrap(), Looked::Restored { segments: 0 }, "{what}");
            assert_eq!(journal.look().unwrap(), Looked::Well, "{what}");
            drop((journal, cursor));
            let journal = open(dir.path());
            journal.register("sink").unwrap();
            assert_eq!(read(&journal), ["open"], "{what}");
        }
    }

    #[test]
    fn sinks_start_with_the_oldest_outcome_if_all_cursors_are_gone_at_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        journal.register("sink").unwrap();
        journal.append(&batch("one")).unwrap();
        journal.append(&batch("two")).unwrap();
        drop(journal);
        std::fs::remove_dir_all(dir.path().join("cursors")).unwrap();
        let journal = open(dir.path());
        journal.register("sink").unwrap();
        assert_eq!(read(&journal), ["one", "two"]);
        // A new sink of a journal whose cursors are there has nothing to do with what was before it.
        drop(journal);
        let journal = open(dir.path());
        assert_eq!(journal.register("new").unwrap().position(), 3);
        // Nor has one in a new journal.
        let new = tempfile::tempdir().unwrap();
        assert_eq!(open(new.path()).register("sink").unwrap().position(), 1);
    }

    /// Of each sink, new or not, at every amount of room: nothing is taken that a crash could take from a sink.
    #[test]
    fn a_start_without_room_for_a_cursor_takes_nothing_until_there_is_some() {
        let start = |room: u64, had: bool| {
            let disk = Faulty::new(1);
            let options =
                Options { directory: "/journal".into(), max_size: MIN_SIZE, when_full: WhenFull::DropOldest };
            let open =
                move |disk: &Faulty| Journal::open_on(Arc::new(disk.clone()), options.clone(), 7).unwrap().0;
            if had {
                let journal = open(&disk);
                journal.register("sink").unwrap();
                journal.append(&batch("before")).unwrap();
            }
            disk.set_room(disk.used() + room);
            let journal = open(&disk);
            (disk, journal, open)
        };
        let (mut waited, mut went) = (0, 0);
        for (room, had) in (0..24_000).step_by(200).flat_map(|room| [(room, false), (room, true)]) {
            let (disk, journal, open) = start(room, had);
            journal.register_first("sink").unwrap();
            journal.register_first("new").unwrap();
            let taken = journal.append(&batch("early"));
            if journal.lacks_room() {
                waited += 1;
                assert_eq!(taken.unwrap_err().error.kind(), ErrorKind::StorageFull);
                assert!(journal.look().is_err() && journal.lacks_room());
                assert!(!had || read(&journal) == ["before"], "what is there is delivered");
                disk.set_room(u64::MAX);
                assert_eq!(journal.look().unwrap(), Looked::Room);
                assert_eq!(journal.look().unwrap(), Looked::Well);
                journal.append(&batch("early")).unwrap();
            } else if taken.is_ok() {
                went += 1;
            } else {
                continue;
            }
            // Nobody has stopped it.
            disk.set_room(u64::MAX);
            drop(journal);
            let journal = open(&disk);
            let new = journal.register("new").unwrap();
            journal.register("sink").unwrap();
            assert_eq!(new.position(), if had { 2 } else { 1 }, "{room}");
            assert_eq!(read(&journal), if had { vec!["before", "early"] } else { vec!["early"] }, "{room}");
        }
        assert!(waited > 10 && went > 10, "{waited} {went}");
        // At a reload the others go on as they are.
        let (disk, journal, _) = start(u64::MAX >> 1, true);
        journal.register("sink").unwrap();
        disk.set_room(disk.used());
        assert_eq!(journal.register("new").unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(!journal.lacks_room());
    }

    #[test]
    fn lost_segments_are_counted_and_the_rest_is_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("var");
        let journal = open(&path);
        let cursor = journal.register("sink").unwrap();
        let large = "x".repeat(50_000);
        for _ in 0..7 {
            journal.append(&batch(&large)).unwrap();
        }
        // Those that are safe are not open any more.
        journal.sync(0).unwrap();
        let newest = journal.newest();
        assert!(newest > 3);
        std::fs::remove_dir_all(&path).unwrap();
        let Looked::Restored { segments } = journal.look().unwrap() else { panic!("not noticed") };
        assert!(segments >= 2);
        assert_eq!((cursor.expired(), read(&journal).len() as u64), (newest - 1, 7 - (newest - 1)));
    }

    #[test]
    fn closed_segments_that_are_not_safe_are_restored_and_nothing_is_promised_before() {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        journal.register("sink").unwrap();
        let large = "x".repeat(50_000);
        for _ in 0..7 {
            journal.append(&batch(&large)).unwrap();
        }
        assert!(journal.newest() > 3);
        std::fs::remove_file(segment_path(dir.path(), 1)).unwrap();
        assert!(journal.sync(0).is_err() && !journal.is_in_place());
        assert_eq!(journal.look().unwrap(), Looked::Restored { segments: 0 });
        journal.sync(0).unwrap();
        drop(journal);
        let journal = open(dir.path());
        let cursor = journal.register("sink").unwrap();
        assert_eq!((read(&journal).len(), cursor.expired()), (7, 0));
    }

    #[test]
    fn gaps_between_segments_are_counted_also_where_the_segment_before_goes() {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        let cursor = journal.register("sink").unwrap();
        let large = "x".repeat(50_000);
        for _ in 0..7 {
            journal.append(&batch(&large)).unwrap();
        }
        journal.sync(0).unwrap();
        let gap = journal.segment_of(3).unwrap();
        cursor.advance(gap.first).unwrap();
        drop((journal, cursor));
        std::fs::remove_file(segment_path(dir.path(), gap.first)).unwrap();
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 20, when_full: WhenFull::Refuse };
        let (journal, recovery) = Journal::open(options, 7).unwrap();
        let cursor = journal.register("sink").unwrap();
        journal.clean();
        let missing = gap.end() - gap.first;
        assert_eq!((recovery.missing, read(&journal).len() as u64), (missing, 7 - (gap.end() - 1)));
        assert_eq!(cursor.expired(), missing);
    }

    #[test]
    fn what_cannot_be_restored_is_refused_until_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("var");
        let journal = open(&path);
        journal.register("sink").unwrap();
        journal.append(&batch("before")).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::write(&path, "a file in its place").unwrap();
        assert!(!journal.is_in_place());
        for _ in 0..3 {
            assert!(journal.look().is_err());
            assert!(journal.append(&batch("refused")).is_err() && journal.sync(0).is_err());
        }
        std::fs::remove_file(&path).unwrap();
        // Another process has taken the place.
        let other = open(&path);
        assert!(journal.look().is_err() && !journal.is_in_place());
        drop(other);
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(journal.look().unwrap(), Looked::Restored { segments: 0 });
        assert_eq!(read(&journal), ["before"]);
    }
}
