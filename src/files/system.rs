//! The real file system, relative to the handle of one directory.
//!
//! Commands run as root in a directory that the daemon's user owns, so nothing in it may redirect them: every name is
//! resolved relative to an open directory, links are not followed, new files are exclusive, and ownership and modes are set
//! on handles.

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::fs::{File, Metadata, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use super::disk::{Disk, DiskFile, Identity, Opening};
use super::holder;

/// The most links that a path may lead through, as in the kernel.
const MOST_LINKS: usize = 40;
/// How often a name is tried that others create and remove at the same time.
const TRIES: usize = 16;

/// Who may use the files of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The owner of the directory alone. New files have mode 0600 and that owner, new directories 0700. Links are not
    /// followed.
    Private,
    /// Others as well: files that users name. New files have mode 0640 and new directories 0750. Links are followed.
    Shared,
    /// Everybody: new files have mode 0644 and new directories 0755. Links are followed.
    Public,
    /// A program of the same group, which reads and removes the files: new ones have mode 0660. Links are followed.
    Handed,
}

impl Access {
    fn mode_of_files(self) -> u32 {
        match self {
            Access::Private => 0o600,
            Access::Shared => 0o640,
            Access::Public => 0o644,
            Access::Handed => 0o660,
        }
    }

    fn mode_of_directories(self) -> u32 {
        match self {
            Access::Private => 0o700,
            Access::Shared | Access::Handed => 0o750,
            Access::Public => 0o755,
        }
    }
}

/// The real file system below one directory.
#[derive(Debug)]
pub(crate) struct System {
    path: PathBuf,
    access: Access,
    root: Mutex<Arc<Root>>,
    /// Whether the log has said that files were readable by others.
    said: AtomicBool,
}

/// The open directory.
#[derive(Debug)]
struct Root {
    handle: Arc<File>,
    owner: (u32, u32),
    identity: Identity,
}

impl System {
    /// Opens a directory; creates it and its parents if `make` is true.
    ///
    /// With [`Access::Private`] a link on the way to it is followed only if it belongs to root or to the user of this
    /// process, so that no other user decides where root writes.
    pub(crate) fn open(path: &Path, make: bool, access: Access) -> io::Result<Self> {
        let root = open_root(path, make, access)?;
        Ok(System {
            path: path.to_owned(),
            access,
            root: Mutex::new(Arc::new(root)),
            said: AtomicBool::new(false),
        })
    }

    fn root(&self) -> Arc<Root> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The path of a name relative to the directory.
    fn relative<'p>(&self, path: &'p Path) -> io::Result<&'p Path> {
        let relative = path.strip_prefix(&self.path).ok();
        let plain = |path: &&Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        relative.filter(plain).ok_or_else(|| {
            io::Error::new(
                ErrorKind::InvalidInput,
                format!("{} is outside of {}", path.display(), self.path.display()),
            )
        })
    }

    /// The directory that a path is in, and the last part of the path.
    fn parent<'p>(&self, root: &Root, path: &'p Path) -> io::Result<(Arc<File>, &'p OsStr)> {
        let relative = self.relative(path)?;
        let (Some(folder), Some(name)) = (relative.parent(), relative.file_name()) else {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("{} is the directory itself", path.display()),
            ));
        };
        Ok((self.directory(root, folder)?, name))
    }

    /// The root, or a directory below it.
    fn directory(&self, root: &Root, relative: &Path) -> io::Result<Arc<File>> {
        relative.iter().try_fold(root.handle.clone(), |folder, name| self.enter(&folder, name).map(Arc::new))
    }

    fn enter(&self, folder: &File, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | self.base_flags();
        openat(folder, name, flags, Mode::empty())
            .map(File::from)
            .map_err(|error| refusal(folder, name, error))
    }

    fn base_flags(&self) -> OFlag {
        // Without O_NONBLOCK, a FIFO that somebody put there would block this process.
        let flags = OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        if self.access == Access::Private { flags | OFlag::O_NOFOLLOW } else { flags }
    }

    fn open_file(&self, path: &Path, opening: Opening) -> io::Result<File> {
        let root = self.root();
        let (folder, name) = self.parent(&root, path)?;
        match opening {
            Opening::Read => self.existing(&root, &folder, name, path, OFlag::O_RDONLY),
            Opening::Write => self.existing(&root, &folder, name, path, OFlag::O_RDWR),
            Opening::New => self.create(&root, &folder, name, OFlag::O_RDWR | OFlag::O_EXCL),
            Opening::Make => self.existing_or_new(&root, &folder, name, path, OFlag::O_RDWR),
            Opening::Append => {
                self.existing_or_new(&root, &folder, name, path, OFlag::O_RDWR | OFlag::O_APPEND)
            }
        }
    }

    fn existing_or_new(
        &self,
        root: &Root,
        folder: &File,
        name: &OsStr,
        path: &Path,
        flags: OFlag,
    ) -> io::Result<File> {
        if self.access != Access::Private {
            return self.create(root, folder, name, flags).and_then(|file| regular(file, path));
        }
        let mut result = Err(ErrorKind::AlreadyExists.into());
        for _ in 0..TRIES {
            result = match self.existing(root, folder, name, path, flags) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.create(root, folder, name, flags | OFlag::O_EXCL)
                }
                other => return other,
            };
            if !matches!(&result, Err(error) if error.kind() == ErrorKind::AlreadyExists) {
                break;
            }
        }
        result
    }

    fn create(&self, root: &Root, folder: &File, name: &OsStr, flags: OFlag) -> io::Result<File> {
        let mode = self.access.mode_of_files();
        let flags = flags | OFlag::O_CREAT | self.base_flags();
        let file = openat(folder, name, flags, Mode::from_bits_truncate(mode));
        let file = file.map(File::from).map_err(|error| refusal(folder, name, error))?;
        match self.access {
            Access::Private => root.own(&file)?,
            // Only one that is new for certain: another one is not this program's.
            Access::Public if flags.contains(OFlag::O_EXCL) => {
                file.set_permissions(Permissions::from_mode(mode))?;
            }
            Access::Handed if flags.contains(OFlag::O_EXCL) => root.lend(&file)?,
            Access::Shared | Access::Public | Access::Handed => {}
        }
        Ok(file)
    }

    fn existing(
        &self,
        root: &Root,
        folder: &File,
        name: &OsStr,
        path: &Path,
        flags: OFlag,
    ) -> io::Result<File> {
        let file = openat(folder, name, flags | self.base_flags(), Mode::empty());
        let file = file.map(File::from).map_err(|error| refusal(folder, name, error))?;
        let file = regular(file, path)?;
        if self.access == Access::Private && flags.contains(OFlag::O_RDWR) {
            self.harden(root, &file, path)?;
        }
        Ok(file)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let (folder, name) = self.parent(&self.root(), path)?;
        let flags =
            if self.access == Access::Private { AtFlags::AT_SYMLINK_NOFOLLOW } else { AtFlags::empty() };
        Ok(fstatat(folder, name, flags)?)
    }

    /// Refuses what another user may have put there, and makes an old file private.
    fn harden(&self, root: &Root, file: &File, path: &Path) -> io::Result<()> {
        let meta = file.metadata()?;
        refuse_links(root, meta.nlink() > 1, path)?;
        if meta.mode() & 0o077 != 0
            && file.set_permissions(Permissions::from_mode(0o600)).is_ok()
            && !self.said.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "{} was readable by other users; files in this directory now get mode 0600",
                path.display()
            );
        }
        Ok(())
    }

    /// Opens a directory in another one; creates it if it does not exist.
    fn enter_or_make(&self, root: &Root, folder: &File, name: &OsStr) -> io::Result<File> {
        match self.enter(folder, name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => return other,
        }
        let mode = self.access.mode_of_directories();
        match mkdirat(folder, name, Mode::from_bits_truncate(mode)) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return self.enter(folder, name),
            Err(error) => return Err(error.into()),
        }
        let made = self.enter(folder, name)?;
        // An empty directory of one's own may be given away, whoever replaced the new one meanwhile.
        if self.access == Access::Private
            && made.metadata()?.uid() == geteuid().as_raw()
            && names(&made)?.is_empty()
        {
            root.own(&made)?;
        }
        folder.sync_all()?;
        Ok(made)
    }
}

impl Root {
    /// Gives a file to the owner of the directory if this process is root: what root creates there, the daemon must be
    /// able to change.
    fn own(&self, file: &File) -> io::Result<()> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let meta = file.metadata()?;
        if (meta.uid(), meta.gid()) == self.owner {
            return Ok(());
        }
        unless_impossible(fchown(file, Some(self.owner.0), Some(self.owner.1)))
    }

    /// Gives a file to the group of the directory, whose program reads it, where this process may.
    fn lend(&self, file: &File) -> io::Result<()> {
        if file.metadata()?.gid() == self.owner.1 {
            return Ok(());
        }
        unless_impossible(fchown(file, None, Some(self.owner.1)))
    }
}

/// What became of giving a file away. A file system may be without owners, or root may not rule it, as NFS.
fn unless_impossible(given: io::Result<()>) -> io::Result<()> {
    match given {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

impl Disk for System {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let root = self.root();
        let mut folder = root.handle.clone();
        for name in self.relative(path)? {
            folder = Arc::new(self.enter_or_make(&root, &folder, name)?);
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.directory(&self.root(), self.relative(path)?)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let folder = self.directory(&self.root(), self.relative(path)?)?;
        Ok(names(&folder)?.into_iter().map(|name| path.join(name)).collect())
    }

    fn open_as(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.open_file(path, opening)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let root = self.root();
        let (old, old_name) = self.parent(&root, from)?;
        let (new, new_name) = self.parent(&root, to)?;
        Ok(renameat(old, old_name, new, new_name)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.parent(&self.root(), path)?;
        Ok(unlinkat(folder, name, UnlinkatFlags::NoRemoveDir)?)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Debug + Send + Sync>, TryLockError> {
        for _ in 0..TRIES {
            let file = match self.open_file(path, Opening::Make) {
                // Reading is enough for a lock on a file that belongs to another user.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    self.open_file(path, Opening::Read)
                }
                other => other,
            };
            let file = file.map_err(TryLockError::Error)?;
            file.try_lock()?;
            // The lock of a file that was removed or replaced since it was opened keeps nobody out.
            if self.identity(path).ok() == Some(identity(&file.metadata().map_err(TryLockError::Error)?)) {
                return Ok(Box::new(file));
            }
        }
        Err(TryLockError::WouldBlock)
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        let stat = self.stat(path)?;
        Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
    }

    fn measure(&self, path: &Path) -> io::Result<u64> {
        let stat = self.stat(path)?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Err(irregular(path));
        }
        if self.access == Access::Private {
            refuse_links(&self.root(), stat.st_nlink > 1, path)?;
        }
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn holder(&self, path: &Path) -> Option<String> {
        holder::holder(self.identity(path).ok()?)
    }

    fn is_current(&self) -> io::Result<bool> {
        match open_root(&self.path, false, self.access) {
            Ok(now) => Ok(now.identity == self.root().identity),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn renew(&self) -> io::Result<bool> {
        let now = match open_root(&self.path, false, self.access) {
            Err(error) if error.kind() == ErrorKind::NotFound => open_root(&self.path, true, self.access)?,
            other => other?,
        };
        // The number of the old directory is not used again as long as its handle is open.
        if now.identity == self.root().identity {
            return Ok(false);
        }
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
        Ok(true)
    }
}

impl DiskFile for File {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.read_at(bytes, at)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(identity(&self.metadata()?))
    }

    fn try_lock(&self) -> io::Result<bool> {
        match File::try_lock(self) {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => match error.raw_os_error().map(Errno::from_raw) {
                // As some network file systems say.
                Some(Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(true),
                _ => Err(error),
            },
        }
    }

    fn unlock(&self) {
        // Fails where there was no lock.
        let _ = File::unlock(self);
    }
}

fn identity(meta: &Metadata) -> Identity {
    Identity { device: meta.dev(), inode: meta.ino() }
}

/// The file, if it is a regular one.
fn regular(file: File, path: &Path) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(irregular(path))
}

/// Refuses a file that the owner of the directory, another user, can have linked to it from elsewhere.
fn refuse_links(root: &Root, is_linked: bool, path: &Path) -> io::Result<()> {
    if !is_linked || root.owner.0 == geteuid().as_raw() {
        return Ok(());
    }
    let path = path.display();
    let text = format!("{path} has a second hard link, perhaps outside of its directory; remove one of them");
    Err(io::Error::other(text))
}

fn irregular(path: &Path) -> io::Error {
    io::Error::other(format!("{} is not a regular file; remove it", path.display()))
}

/// What an error means for a name that was to be opened without following links.
fn refusal(folder: &File, name: &OsStr, error: Errno) -> io::Error {
    if !matches!(error, Errno::ELOOP | Errno::ENOTDIR) {
        return error.into();
    }
    let is_link = |stat: FileStat| stat.st_mode & libc::S_IFMT == libc::S_IFLNK;
    if fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(is_link) {
        let name = name.display();
        let text = format!(
            "'{name}' is a symbolic link, which is not followed here; remove it, or put what it names in its place"
        );
        return io::Error::other(text);
    }
    error.into()
}

/// The names in an open directory.
fn names(folder: &File) -> io::Result<Vec<OsString>> {
    // Through a handle of its own, as a directory has one reading position per handle.
    let mut entries =
        Dir::openat(folder, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in entries.iter() {
        let name = entry?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(&name).to_owned());
        }
    }
    Ok(names)
}

fn open_root(path: &Path, make: bool, access: Access) -> io::Result<Root> {
    let handle = match access {
        Access::Private => walk(path, make)?,
        Access::Shared | Access::Public | Access::Handed => {
            if make {
                std::fs::create_dir_all(path)?;
            }
            openat(
                AT_FDCWD,
                directory_name(path),
                OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
                Mode::empty(),
            )?
            .into()
        }
    };
    let meta = handle.metadata()?;
    Ok(Root { handle: Arc::new(handle), owner: (meta.uid(), meta.gid()), identity: identity(&meta) })
}

/// The path of a directory; the working directory for an empty one.
fn directory_name(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Opens a directory, name by name. A link on the way is followed only if it belongs to root or to the user of this
/// process.
fn walk(path: &Path, make: bool) -> io::Result<File> {
    let start = |path: &Path| -> io::Result<OwnedFd> {
        let start = if path.is_absolute() { "/" } else { "." };
        Ok(openat(AT_FDCWD, start, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
    };
    let mut at = start(path)?;
    let mut rest = parts(path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        let next = match step(&at, &name) {
            Err(error) if make && error.kind() == ErrorKind::NotFound => {
                make_at(&at, &name)?;
                step(&at, &name)?
            }
            other => other?,
        };
        let meta = next.metadata()?;
        if !meta.is_symlink() {
            at = next.into();
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::ELOOP.into());
        }
        if ![0, geteuid().as_raw()].contains(&meta.uid()) {
            let text = format!(
                "'{}' in {} is a symbolic link that belongs to user {}; only links of root and of the user that runs trapline are followed",
                name.display(),
                path.display(),
                meta.uid()
            );
            return Err(io::Error::other(text));
        }
        let target = PathBuf::from(readlinkat(&next, "")?);
        if target.is_absolute() {
            at = start(&target)?;
        }
        rest.extend(parts(&target));
    }
    Ok(openat(&at, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?.into())
}

/// The names in a path, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    let mut parts: Vec<OsString> = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect();
    parts.reverse();
    parts
}

fn step(at: &impl AsFd, name: &OsStr) -> io::Result<File> {
    Ok(openat(at, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?.into())
}

fn make_at(at: &impl AsFd, name: &OsStr) -> io::Result<()> {
    match mkdirat(at, name, Mode::from_bits_truncate(0o700)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    // A directory that one may write to but not list cannot be synced.
    match openat(at, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(folder) => File::from(folder).sync_all(),
        Err(Errno::EACCES) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
