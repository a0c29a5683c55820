//! A file system in memory that fails as disks fail: no room in the middle of a write, errors of reading, writing,
//! syncing and renaming, power cuts. After a failed sync it forgets what it had not written, and the next one succeeds,
//! as Linux does it.
//!
//! A [`Faulty`] is the disk as one process sees it. After [`Faulty::crash`] that process changes nothing any more, whatever
//! its destructors still try, and a new one goes on with what is there.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::TryLockError;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::disk::{Disk, DiskFile, Identity, Opening};

/// What goes wrong, each once in so many times; 0 for never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Writes, and changes of a length. Some of the bytes may have been written.
    pub write: u64,
    /// Syncs of files and directories.
    pub sync: u64,
    /// Reads.
    pub read: u64,
    /// Creating, renaming and removing files.
    pub names: u64,
}

/// The disk. Clones are the same one, seen by the same process.
#[derive(Debug, Clone)]
pub struct Faulty {
    state: Arc<Mutex<State>>,
    /// Which process sees it.
    process: u64,
}

#[derive(Debug)]
struct State {
    /// As the running system sees them.
    names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    /// As they are after a power cut.
    safe_names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    faults: Faults,
    read_only: bool,
    append_only: bool,
    /// The most bytes of all files together, also of those that were removed while somebody has them open.
    room: u64,
    removed: Vec<Arc<Mutex<Content>>>,
    random: u64,
    /// The process that runs.
    process: u64,
    locks: BTreeMap<PathBuf, Weak<()>>,
    /// Whom the next sync of a file tells that it begins, and for whom it waits then.
    held: Option<(Sender<()>, Receiver<()>)>,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    safe: Vec<u8>,
    /// What was written and is not safe.
    dirty: Vec<Range<usize>>,
    /// Who has it open has another of it.
    open: Arc<()>,
}

#[derive(Debug)]
struct Open {
    disk: Faulty,
    content: Arc<Mutex<Content>>,
    _open: Arc<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faulty {
    /// An empty one, on which nothing fails. What is random follows from the seed.
    pub fn new(seed: u64) -> Self {
        let state = Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            faults: Faults::default(),
            read_only: false,
            append_only: false,
            room: u64::MAX,
            removed: Vec::new(),
            random: seed | 1,
            process: 0,
            locks: BTreeMap::new(),
            held: None,
        }));
        Faulty { state, process: 0 }
    }

    /// What goes wrong.
    pub fn faults(&self) -> Faults {
        locked(&self.state).faults
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        locked(&self.state).faults = faults;
    }

    /// Whether every change is refused.
    pub fn set_read_only(&self, read_only: bool) {
        locked(&self.state).read_only = read_only;
    }

    /// Files may only grow.
    pub fn set_append_only(&self, append_only: bool) {
        locked(&self.state).append_only = append_only;
    }

    /// The next sync of a file tells the one when it begins, and waits for the other.
    pub fn hold_sync(&self) -> (Receiver<()>, Sender<()>) {
        let ((tell, began), (go, wait)) = (channel(), channel());
        locked(&self.state).held = Some((tell, wait));
        (began, go)
    }

    /// How many bytes all files may have together.
    pub fn set_room(&self, room: u64) {
        locked(&self.state).room = room;
    }

    /// How many bytes all files have, also those that were removed while somebody has them open.
    pub fn used(&self) -> u64 {
        locked(&self.state).used()
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<PathBuf> {
        locked(&self.state).names.keys().cloned().collect()
    }

    /// How many bytes a file has.
    pub fn length(&self, path: &Path) -> Option<u64> {
        let state = locked(&self.state);
        let content = state.names.get(path)?;
        Some(locked(content).bytes.len() as u64)
    }

    /// The content of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = locked(&self.state);
        let content = state.names.get(path)?;
        Some(locked(content).bytes.clone())
    }

    /// Somebody removes a file.
    pub fn lose(&self, path: &Path) {
        locked(&self.state).names.remove(path);
    }

    /// Somebody renames a file.
    pub fn shift(&self, from: &Path, to: &Path) {
        let mut state = locked(&self.state);
        if let Some(content) = state.names.remove(from) {
            state.names.insert(to.to_owned(), content);
        }
    }

    /// The process dies where it is: what it tries from now on fails and changes nothing, and its locks are free. Returns
    /// the disk as the next process sees it.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut state = locked(&self.state);
        state.process += 1;
        state.locks.clear();
        Faulty { state: self.state.clone(), process: state.process }
    }

    /// The power is cut: of what was not safe some of the writes are there, whole or in part, and some are not.
    pub fn cut_power(&self) {
        let mut state = locked(&self.state);
        let names = state.safe_names.clone();
        for content in names.values() {
            let mut content = locked(content);
            let dirty = std::mem::take(&mut content.dirty);
            for range in dirty {
                let kept = range.start + state.below(range.len() as u64 + 1) as usize;
                if state.below(2) == 0 {
                    let part = content.bytes[range.start..kept.min(content.bytes.len())].to_vec();
                    if content.safe.len() < range.start + part.len() {
                        content.safe.resize(range.start + part.len(), 0);
                    }
                    content.safe[range.start..range.start + part.len()].copy_from_slice(&part);
                }
            }
            let Content { bytes, safe, .. } = &mut *content;
            bytes.clone_from(safe);
        }
        state.names = names;
    }

    /// Somebody removes the files for which `removed` is true, for good.
    pub fn lose_for_good(&self, removed: impl Fn(&Path) -> bool) {
        let mut state = locked(&self.state);
        state.names.retain(|path, _| !removed(path));
        state.safe_names.retain(|path, _| !removed(path));
    }

    /// Turns one bit of some segment; says whether there was one to turn.
    pub fn flip_a_bit(&self) -> bool {
        let mut state = locked(&self.state);
        let segments: Vec<_> =
            state.names.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "seg")).collect();
        let contents: Vec<_> = segments.into_iter().map(|(_, content)| content.clone()).collect();
        // Not in the header, which is a matter of a few bytes in millions.
        let Some(content) = contents.into_iter().find(|c| locked(c).bytes.len() > 100) else { return false };
        let mut content = locked(&content);
        let at = 40 + state.below(content.bytes.len() as u64 - 40) as usize;
        let bit = 1 << state.below(8);
        content.bytes[at] ^= bit;
        if let Some(byte) = content.safe.get_mut(at) {
            *byte ^= bit;
        }
        true
    }

    fn fails(&self, pick: impl Fn(&Faults) -> u64) -> bool {
        let mut state = locked(&self.state);
        let once_in = pick(&state.faults);
        once_in > 0 && state.below(once_in) == 0
    }

    /// An error for a process that is dead.
    fn alive(&self) -> io::Result<()> {
        if locked(&self.state).process == self.process { Ok(()) } else { Err(input_output()) }
    }

    fn writable(&self) -> io::Result<()> {
        self.alive()?;
        if locked(&self.state).read_only { Err(ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    /// How many of some bytes there is room for.
    fn room(&self, bytes: usize) -> usize {
        let state = locked(&self.state);
        if state.room == u64::MAX {
            return bytes;
        }
        usize::try_from(state.room.saturating_sub(state.used())).unwrap_or(usize::MAX).min(bytes)
    }
}

impl State {
    fn used(&self) -> u64 {
        let is_open = |content: &&Arc<Mutex<Content>>| Arc::strong_count(&locked(content).open) > 1;
        let all = self.names.values().chain(self.removed.iter().filter(is_open));
        all.map(|content| locked(content).bytes.len() as u64).sum()
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }
}

/// A file is where its content is.
fn identity(content: &Arc<Mutex<Content>>) -> Identity {
    Identity { device: 0, inode: Arc::as_ptr(content).addr() as u64 }
}

fn input_output() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

impl Disk for Faulty {
    fn make_directory(&self, _path: &Path) -> io::Result<()> {
        self.writable()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.alive()?;
        if self.fails(|f| f.sync) {
            return Err(input_output());
        }
        let mut state = locked(&self.state);
        let within = |name: &Path| name.parent() == Some(path);
        state.safe_names.retain(|name, _| !within(name));
        let names: Vec<_> = state
            .names
            .iter()
            .filter(|(name, _)| within(name))
            .map(|(n, c)| (n.clone(), c.clone()))
            .collect();
        state.safe_names.extend(names);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.alive()?;
        Ok(locked(&self.state).names.keys().filter(|name| name.parent() == Some(path)).cloned().collect())
    }

    fn open_as(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DiskFile>> {
        let make = matches!(opening, Opening::Make | Opening::Append | Opening::New);
        if make {
            self.writable()?;
            if self.fails(|f| f.names) {
                return Err(ErrorKind::StorageFull.into());
            }
        }
        let mut state = locked(&self.state);
        let content = match state.names.get(path) {
            Some(_) if opening == Opening::New => return Err(ErrorKind::AlreadyExists.into()),
            Some(content) => content.clone(),
            None if make => {
                let content: Arc<Mutex<Content>> = Arc::default();
                state.names.insert(path.to_owned(), content.clone());
                content
            }
            None => return Err(ErrorKind::NotFound.into()),
        };
        let open = locked(&content).open.clone();
        Ok(Arc::new(Open { disk: self.clone(), content, _open: open }))
    }

    fn measure(&self, path: &Path) -> io::Result<u64> {
        self.length(path).ok_or(ErrorKind::NotFound.into())
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        let state = locked(&self.state);
        state.names.get(path).map(identity).ok_or(ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.writable()?;
        if self.fails(|f| f.names) {
            return Err(input_output());
        }
        let mut state = locked(&self.state);
        let content = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        let before = state.names.insert(to.to_owned(), content);
        state.removed.extend(before);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.writable()?;
        if self.fails(|f| f.names) {
            return Err(input_output());
        }
        let mut state = locked(&self.state);
        let content = state.names.remove(path).ok_or(ErrorKind::NotFound)?;
        state.removed.retain(|content| Arc::strong_count(&locked(content).open) > 1);
        state.removed.push(content);
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError> {
        self.alive().map_err(TryLockError::Error)?;
        let mut state = locked(&self.state);
        if state.locks.get(path).is_some_and(|held| held.strong_count() > 0) {
            return Err(TryLockError::WouldBlock);
        }
        let lock = Arc::new(());
        state.locks.insert(path.to_owned(), Arc::downgrade(&lock));
        Ok(Box::new(lock))
    }
}

impl DiskFile for Open {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.writable()?;
        let mut fails = self.disk.fails(|f| f.write);
        let mut count =
            if fails { locked(&self.disk.state).below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
        let length = locked(&self.content).bytes.len() as u64;
        let more = (at + count as u64).saturating_sub(length) as usize;
        let room = self.disk.room(more);
        if room < more {
            (fails, count) = (true, count.saturating_sub(more - room));
        }
        let (at, mut content) = (at as usize, locked(&self.content));
        if content.bytes.len() < at + count {
            content.bytes.resize(at + count, 0);
        }
        content.bytes[at..at + count].copy_from_slice(&bytes[..count]);
        if count > 0 {
            content.dirty.push(at..at + count);
        }
        if fails { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.disk.alive()?;
        if self.disk.fails(|f| f.read) {
            return Err(input_output());
        }
        let content = locked(&self.content);
        let rest = content.bytes.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(locked(&self.content).bytes.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.writable()?;
        if locked(&self.disk.state).append_only {
            return Err(ErrorKind::PermissionDenied.into());
        }
        if self.disk.fails(|f| f.write) {
            return Err(input_output());
        }
        let mut content = locked(&self.content);
        let length = length as usize;
        content.bytes.resize(length, 0);
        // Cutting is of the file system's own journal; it is safe at once.
        if content.safe.len() > length {
            content.safe.truncate(length);
        }
        content.dirty.retain_mut(|range| {
            range.end = range.end.min(length);
            range.start < range.end
        });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.alive()?;
        let held = locked(&self.disk.state).held.take();
        if let Some((tell, wait)) = held {
            let _ = tell.send(());
            let _ = wait.recv();
        }
        let fails = self.disk.fails(|f| f.sync);
        let mut content = locked(&self.content);
        let dirty = std::mem::take(&mut content.dirty);
        if fails {
            // Forgotten: the next sync has nothing to do.
            return Err(input_output());
        }
        let length = content.bytes.len();
        content.safe.resize(length, 0);
        for range in dirty {
            let written = content.bytes[range.clone()].to_vec();
            content.safe[range].copy_from_slice(&written);
        }
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(identity(&self.content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &Faulty, path: &str, text: &str) -> io::Result<()> {
        disk.open(Path::new(path), true)?.write(text.as_bytes(), 0)
    }

    #[test]
    fn a_dead_process_changes_nothing_and_its_locks_are_free() {
        let before = Faulty::new(1);
        write(&before, "/d/a", "one").unwrap();
        let file = before.open(Path::new("/d/a"), false).unwrap();
        let lock = before.lock(Path::new("/d/lock")).unwrap();
        assert!(before.lock(Path::new("/d/lock")).is_err() && before.lock(Path::new("/d/other")).is_ok());
        let after = before.crash();
        assert!(after.lock(Path::new("/d/lock")).is_ok());
        drop(lock);
        assert!(file.write(b"two", 0).is_err() && file.sync().is_err() && file.set_length(0).is_err());
        assert!(write(&before, "/d/b", "x").is_err() && before.remove(Path::new("/d/a")).is_err());
        assert_eq!((after.content(Path::new("/d/a")), after.names().len()), (Some(b"one".to_vec()), 1));
    }

    #[test]
    fn a_full_disk_takes_what_there_is_room_for() {
        let disk = Faulty::new(1);
        disk.set_room(5);
        write(&disk, "/a", "abc").unwrap();
        assert_eq!(write(&disk, "/b", "defg").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!((disk.content(Path::new("/b")), disk.used()), (Some(b"de".to_vec()), 5));
        write(&disk, "/a", "ABC").unwrap();
        disk.lose(Path::new("/a"));
        write(&disk, "/b", "defg").unwrap();
    }
}
