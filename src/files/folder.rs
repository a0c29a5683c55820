//! A directory whose files belong to this program.

use std::fs::TryLockError;
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{Disk, DiskFile, Identity, Opening};
use super::lock::{Lock, LockError};
use super::system::{Access, System};

/// The first and the longest pause between two tries to get a lock.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];

/// The state directory, or a directory in it. Clones are the same directory.
///
/// Its files are private to the owner of the directory (mode 0600), also if root creates them. Symbolic links are errors.
/// Names are single path components.
#[derive(Debug, Clone)]
pub struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Folder {
    /// Opens a directory; creates it, with mode 0700, if it does not exist.
    ///
    /// # Errors
    ///
    /// If it can be neither opened nor created, is no directory, or a symbolic link of another user leads to it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of_system(path, true, Access::Private)
    }

    /// Opens a directory that exists.
    ///
    /// # Errors
    ///
    /// As [`Folder::open`]; [`ErrorKind::NotFound`] if it does not exist.
    pub fn existing(path: &Path) -> io::Result<Self> {
        Self::of_system(path, false, Access::Private)
    }

    /// Opens a directory for files that users name and other programs read: links are followed, new files have mode 0640.
    ///
    /// # Errors
    ///
    /// If it can be neither opened nor created.
    pub fn shared(path: &Path) -> io::Result<Self> {
        Self::of_system(path, true, Access::Shared)
    }

    /// Opens a directory for files that everybody may read: as [`Folder::shared`], but new files have mode 0644, whatever the
    /// process takes off.
    ///
    /// # Errors
    ///
    /// If it can be neither opened nor created.
    pub fn public(path: &Path) -> io::Result<Self> {
        Self::of_system(path, true, Access::Public)
    }

    /// Opens a directory that exists and from which another program takes files: as [`Folder::shared`], but new files have mode
    /// 0660.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn handed(path: &Path) -> io::Result<Self> {
        Self::of_system(path, false, Access::Handed)
    }

    /// The directory of a file, which must exist, and the name of the file in it.
    ///
    /// # Errors
    ///
    /// As [`Folder::existing`]; [`ErrorKind::InvalidInput`] if the path does not end in a name.
    pub fn containing(file: &Path) -> io::Result<(Self, &str)> {
        let name = file.file_name().and_then(|name| name.to_str());
        let (Some(folder), Some(name)) = (file.parent(), name) else {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("{} does not name a file", file.display()),
            ));
        };
        Ok((Self::existing(folder)?, name))
    }

    fn of_system(path: &Path, make: bool, access: Access) -> io::Result<Self> {
        let disk = disk(path, make, access).map_err(|error| at(path, error))?;
        Ok(Folder { disk, path: path.to_owned() })
    }

    /// A directory of some disk.
    #[cfg(test)]
    pub(crate) fn on(disk: Arc<dyn Disk>, path: &Path) -> Self {
        Folder { disk, path: path.to_owned() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of this name in it; created, with mode 0700, if it does not exist.
    ///
    /// # Errors
    ///
    /// If it cannot be created or is no directory.
    pub fn sub(&self, name: &str) -> io::Result<Self> {
        let path = self.join(name)?;
        self.disk.make_directory(&path).map_err(|error| at(&path, error))?;
        Ok(Folder { disk: self.disk.clone(), path })
    }

    /// The directory of this name in it, which must exist.
    ///
    /// # Errors
    ///
    /// If it is not there or is no directory.
    pub fn existing_sub(&self, name: &str) -> io::Result<Self> {
        let folder = Folder { disk: self.disk.clone(), path: self.join(name)? };
        folder.list()?;
        Ok(folder)
    }

    fn join(&self, name: &str) -> io::Result<PathBuf> {
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(part)), None) if part == name => Ok(self.path.join(name)),
            _ => {
                let text = format!(
                    "'{}' cannot be the name of a file in {}",
                    name.escape_debug(),
                    self.path.display()
                );
                Err(io::Error::new(ErrorKind::InvalidInput, text))
            }
        }
    }

    /// Opens a file.
    pub(crate) fn open_file(&self, name: &str, opening: Opening) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.join(name)?;
        self.disk.open_as(&path, opening).map_err(|error| at(&path, error))
    }

    /// A file, to read it from its beginning.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn reader(&self, name: &str) -> io::Result<Stream> {
        Ok(Stream { file: self.open_file(name, Opening::Read)?, at: 0 })
    }

    /// The content of a file of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is longer.
    pub fn read(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.reader(name)?.take(most + 1).read_to_end(&mut bytes);
        read.map_err(|error| at(&self.path.join(name), error))?;
        if bytes.len() as u64 > most {
            let text = format!("{} is longer than {most} bytes", self.path.join(name).display());
            return Err(io::Error::new(ErrorKind::FileTooLarge, text));
        }
        Ok(bytes)
    }

    /// Replaces the content of a file, or creates it: after a crash or a power cut it has either the old content or the
    /// new one. The new content is durable when this returns.
    ///
    /// Two processes that may replace one file at the same time need a lock: each removes what the other has not finished.
    ///
    /// # Errors
    ///
    /// If it cannot be written. The old content is still there then, unless only the sync of the directory failed.
    pub fn replace(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.replace_by(name, &mut once(write))
    }

    /// The code of [`Folder::replace`], once for all callers.
    fn replace_by(&self, name: &str, write: &mut Writes<'_>) -> io::Result<()> {
        let path = self.join(name)?;
        self.replace_at(&path, name, write).map_err(|error| at(&path, error))
    }

    fn replace_at(&self, path: &Path, name: &str, write: &mut Writes<'_>) -> io::Result<()> {
        let (start, end) = (format!(".{name}."), ".new");
        for left in self.list()?.iter().filter(|left| left.starts_with(&start) && left.ends_with(end)) {
            let _ = self.disk.remove(&self.path.join(left));
        }
        let random = getrandom::u64()?;
        let new = self.path.join(format!("{start}{random:016x}{end}"));
        let file = self.disk.open_as(&new, Opening::New)?;
        let written = fill(&file, write).and_then(|()| self.disk.rename(&new, path));
        if written.is_err() {
            let _ = self.disk.remove(&new);
        }
        written?;
        self.disk.sync_directory(&self.path)
    }

    /// Creates a file. Its content is durable when this returns; its name is with the next [`Folder::sync`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] if it is there. If it cannot be written; then it is removed.
    pub fn create(&self, name: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let path = self.join(name)?;
        let file = self.disk.open_as(&path, Opening::New).map_err(|error| at(&path, error))?;
        let written = fill(&file, &mut once(write));
        if written.is_err() {
            let _ = self.disk.remove(&path);
        }
        written.map_err(|error| at(&path, error))
    }

    /// Renames a file; a file that has the new name is replaced. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be renamed.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (old, new) = (self.join(from)?, self.join(to)?);
        self.disk.rename(&old, &new).map_err(|error| at(&old, error))?;
        self.sync()
    }

    /// Renames a file that cannot be used to `NAME.unreadable`, or `NAME.unreadable.2` and so on if there are such files
    /// already. Gives the new name.
    ///
    /// # Errors
    ///
    /// If it cannot be renamed.
    pub fn set_aside(&self, name: &str) -> io::Result<String> {
        let mut aside = format!("{name}.unreadable");
        let mut count = 1;
        while self.exists(&aside) {
            count += 1;
            aside = format!("{name}.unreadable.{count}");
        }
        self.rename(name, &aside)?;
        Ok(aside)
    }

    /// Has a file out of the way that cannot be read, and says so in the log. `what` stands before its path there, as "the state of
    /// rules in" does; `lost` says what that means.
    pub(crate) fn set_aside_unread(&self, name: &str, error: &io::Error, what: &str, lost: &str) {
        let file = self.path().join(name);
        let file = file.display();
        match self.set_aside(name) {
            Ok(aside) => {
                tracing::error!(%error, "cannot read {what} {file}: it is renamed to {aside}; {lost}");
            }
            Err(why) => {
                tracing::error!(%error, %why, "cannot read {what} {file}, nor rename it: {lost}; remove it");
            }
        }
    }

    /// Removes a file. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.join(name)?;
        self.disk.remove(&path).map_err(|error| at(&path, error))?;
        self.sync()
    }

    /// Whether there is something of this name.
    pub fn exists(&self, name: &str) -> bool {
        self.identity(name).is_ok()
    }

    /// Which file has a name at the moment.
    pub(crate) fn identity(&self, name: &str) -> io::Result<Identity> {
        self.disk.identity(&self.join(name)?)
    }

    /// The length of a regular file. To open and close a database would take the locks of this process from it, as POSIX has it.
    pub(crate) fn measure(&self, name: &str) -> io::Result<u64> {
        let path = self.join(name)?;
        self.disk.measure(&path).map_err(|error| at(&path, error))
    }

    /// The names of its files; names that are not UTF-8 are left out, as none of this program are.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn list(&self) -> io::Result<Vec<String>> {
        let paths = self.disk.list(&self.path).map_err(|error| at(&self.path, error))?;
        Ok(paths.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    /// The numbers of its files that are called by a prefix and a number, the lowest first. Other names that look like one, such as
    /// `PREFIX01`, are left out.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn numbered(&self, prefix: &str) -> io::Result<Vec<u64>> {
        let names = self.list()?;
        let number = |text: &String| {
            let number: u64 = text.strip_prefix(prefix)?.parse().ok()?;
            (number < u64::MAX && *text == format!("{prefix}{number}")).then_some(number)
        };
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Makes the names in it durable.
    ///
    /// # Errors
    ///
    /// If the system cannot promise it.
    pub fn sync(&self) -> io::Result<()> {
        self.disk.sync_directory(&self.path).map_err(|error| at(&self.path, error))
    }

    /// Checks that its path still leads to this directory. If it was removed or replaced, goes on with the directory that
    /// has the path now, created if needed, and returns true: open files are no longer in it.
    ///
    /// # Errors
    ///
    /// If it can be neither opened nor created.
    pub fn renew(&self) -> io::Result<bool> {
        let renewed = self.disk.renew().map_err(|error| at(&self.path, error))?;
        self.disk.make_directory(&self.path).map_err(|error| at(&self.path, error))?;
        Ok(renewed)
    }

    /// Waits at most `timeout` for the lock of a file, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn lock(&self, name: &str, timeout: Duration) -> Result<Lock, LockError> {
        let path = self.join(name).map_err(|error| LockError::Io { error })?;
        let start = Instant::now();
        let [mut pause, longest] = PAUSES;
        loop {
            match self.disk.lock(&path) {
                Ok(lock) => return Ok(Lock(lock)),
                Err(TryLockError::Error(error)) => return Err(LockError::Io { error: at(&path, error) }),
                Err(TryLockError::WouldBlock) => {}
            }
            let waited = start.elapsed();
            if waited >= timeout {
                let holder = self.disk.holder(&path);
                return Err(LockError::Held { path, holder, waited });
            }
            std::thread::sleep(pause.min(timeout.saturating_sub(waited)));
            pause = (pause * 2).min(longest);
        }
    }
}

/// The file system of a directory, which is opened, or created if `make` is true.
pub(crate) fn disk(path: &Path, make: bool, access: Access) -> io::Result<Arc<dyn Disk>> {
    #[cfg(any(test, feature = "simulation"))]
    if let Some(disk) = super::mount::of(path) {
        return Ok(disk);
    }
    Ok(Arc::new(System::open(path, make, access)?))
}

/// What writes the content of a file.
type Writes<'w> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'w;

/// A function that is called once, as one that has no type of its own, so that what calls it is compiled once.
fn once(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> impl FnMut(&mut dyn Write) -> io::Result<()> {
    let mut write = Some(write);
    move |out| write.take().map_or(Ok(()), |write| write(out))
}

/// Writes the content of a new file and makes it durable.
fn fill(file: &Arc<dyn DiskFile>, write: &mut Writes<'_>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, Stream { file: file.clone(), at: 0 });
    write(&mut out)?;
    out.flush()?;
    file.sync()
}

/// An error with the path that it is about. What this module says itself names the file already.
fn at(path: &Path, error: io::Error) -> io::Error {
    if error.raw_os_error().is_none() && error.get_ref().is_some() {
        return error;
    }
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A file that is read or written from its beginning to its end.
#[derive(Debug)]
pub struct Stream {
    file: Arc<dyn DiskFile>,
    at: u64,
}

impl Stream {
    /// The length of the file in bytes.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
