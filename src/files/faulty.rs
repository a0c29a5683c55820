//! A file system in memory that fails as disks fail: no room in the middle of a write, errors of reading, writing,
//! syncing and renaming, power cuts. After a failed sync it forgets what it had not written, and the next one succeeds,
//! as Linux does it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::TryLockError;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::disk::{Disk, DiskFile, Identity, Opening};

/// What goes wrong, each once in so many times; 0 for never.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) write: u64,
    pub(crate) sync: u64,
    pub(crate) read: u64,
    pub(crate) names: u64,
}

/// The disk. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Faulty(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// As the running system sees them.
    names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    /// As they are after a power cut.
    safe_names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    faults: Faults,
    read_only: bool,
    append_only: bool,
    random: u64,
    lock: Weak<()>,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    safe: Vec<u8>,
    /// What was written and is not safe.
    dirty: Vec<Range<usize>>,
}

#[derive(Debug)]
struct Open {
    disk: Faulty,
    content: Arc<Mutex<Content>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Faulty {
    pub(crate) fn new(seed: u64) -> Self {
        Faulty(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            faults: Faults::default(),
            read_only: false,
            append_only: false,
            random: seed | 1,
            lock: Weak::new(),
        })))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        locked(&self.0).faults = faults;
    }

    pub(crate) fn set_read_only(&self, read_only: bool) {
        locked(&self.0).read_only = read_only;
    }

    /// Files may only grow.
    pub(crate) fn set_append_only(&self, append_only: bool) {
        locked(&self.0).append_only = append_only;
    }

    /// The power is cut: of what was not safe some of the writes are there, whole or in part, and some are not.
    pub(crate) fn cut_power(&self) {
        let mut state = locked(&self.0);
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
            content.bytes = content.safe.clone();
        }
        state.names = names;
    }

    /// Turns one bit of some segment; says whether there was one to turn.
    pub(crate) fn flip_a_bit(&self) -> bool {
        let mut state = locked(&self.0);
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
        let mut state = locked(&self.0);
        let once_in = pick(&state.faults);
        once_in > 0 && state.below(once_in) == 0
    }

    fn writable(&self) -> io::Result<()> {
        if locked(&self.0).read_only { Err(ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

impl State {
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
        if self.fails(|f| f.sync) {
            return Err(input_output());
        }
        let mut state = locked(&self.0);
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
        Ok(locked(&self.0).names.keys().filter(|name| name.parent() == Some(path)).cloned().collect())
    }

    fn open_as(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DiskFile>> {
        let make = matches!(opening, Opening::Make | Opening::Append | Opening::New);
        if make {
            self.writable()?;
            if self.fails(|f| f.names) {
                return Err(ErrorKind::StorageFull.into());
            }
        }
        let mut state = locked(&self.0);
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
        Ok(Arc::new(Open { disk: self.clone(), content }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        let state = locked(&self.0);
        state.names.get(path).map(identity).ok_or(ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.writable()?;
        if self.fails(|f| f.names) {
            return Err(input_output());
        }
        let mut state = locked(&self.0);
        let content = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.writable()?;
        if self.fails(|f| f.names) {
            return Err(input_output());
        }
        locked(&self.0).names.remove(path).map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError> {
        let mut state = locked(&self.0);
        if state.lock.upgrade().is_some() {
            return Err(TryLockError::WouldBlock);
        }
        let lock = Arc::new(());
        state.lock = Arc::downgrade(&lock);
        Ok(Box::new(lock))
    }
}

impl DiskFile for Open {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.writable()?;
        let fails = self.disk.fails(|f| f.write);
        let count =
            if fails { locked(&self.disk.0).below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
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
        if locked(&self.disk.0).append_only {
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
