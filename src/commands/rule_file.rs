//! A rule file that the user names and a command changes.

use std::fs::{File, Metadata, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::files::named::{self, Mode, folder_of};
use crate::settings::input;

/// How long a command waits for another one that changes a file of the folder.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// The file, while no other command changes it.
#[derive(Debug)]
pub struct ChangedFile {
    path: PathBuf,
    before: Option<(String, Metadata)>,
    /// The folder, locked.
    #[expect(dead_code, reason = "the lock ends with it")]
    turn: File,
}

impl ChangedFile {
    /// Has the file, which may be new, for this command alone.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is a symbolic link or no regular file, or another command has had the folder for 30 s.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let turn = turn(folder_of(path), PATIENCE)?;
        let before = match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            // Writing through it may change what is not in the folder; in its place it would be gone.
            Ok(found) if found.is_symlink() => {
                bail!("{} is a symbolic link; name the file that it leads to", path.display())
            }
            Ok(found) if !found.is_file() => bail!("{} is no regular file; name another one", path.display()),
            Ok(found) => {
                let text = input::text(path, input::TEXT);
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                Some((text.as_str().to_owned(), found))
            }
        };
        Ok(ChangedFile { path: path.to_owned(), before, turn })
    }

    /// Its text before this command; none if it was not there.
    pub fn before(&self) -> Option<&str> {
        self.before.as_ref().map(|(text, _)| text.as_str())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces it as a whole. It keeps its permissions and, where this user may give files away, its owner and group: the
    /// daemon may be another user, who has to read it.
    ///
    /// # Errors
    ///
    /// If it cannot be written; then it is as it was.
    pub fn replace(&self, text: &str) -> anyhow::Result<()> {
        let there = self.before.as_ref().map(|(_, there)| there);
        // No rule file has the name of a file that is not whole, so that a reload in this moment does not read it.
        named::put(&self.path, Mode::AtMost(0o666), there, |out| out.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Makes it what it was before.
    ///
    /// # Errors
    ///
    /// If it cannot be written or removed.
    pub fn restore(&self) -> anyhow::Result<()> {
        match self.before() {
            Some(before) => self.replace(before),
            None => std::fs::remove_file(&self.path)
                .with_context(|| format!("cannot remove {}", self.path.display())),
        }
    }
}

fn turn(folder: &Path, patience: Duration) -> anyhow::Result<File> {
    let failed = || format!("cannot use the folder {}", folder.display());
    let handle = File::open(folder).with_context(failed)?;
    let until = Instant::now() + patience;
    loop {
        match handle.try_lock() {
            Ok(()) => return Ok(handle),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOOK),
            Err(TryLockError::WouldBlock) => bail!(
                "another command has been changing rules in {} for {} s; wait for it to end",
                folder.display(),
                patience.as_secs()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown, symlink};

    use super::*;

    fn append(path: &Path, line: &str) -> anyhow::Result<()> {
        let file = ChangedFile::open(path)?;
        let whole = format!("{}{line}\n", file.before().unwrap_or_default());
        file.replace(&whole)
    }

    #[test]
    fn commands_at_the_same_time_lose_nothing_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.toml");
        std::thread::scope(|scope| {
            for at in 0..8 {
                let path = &path;
                scope.spawn(move || append(path, &format!("line {at}")).unwrap());
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..8).map(|at| format!("line {at}")).collect::<Vec<_>>());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_is_no_file_stays_and_a_file_stays_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("other"), "as it was").unwrap();
        std::fs::create_dir(path("folder.toml")).unwrap();
        symlink(path("other"), path("link.toml")).unwrap();
        symlink(path("nowhere"), path("dangling.toml")).unwrap();
        nix::unistd::mkfifo(&path("fifo.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["folder.toml", "link.toml", "dangling.toml", "fifo.toml"] {
            let before = path(name).symlink_metadata().unwrap().ino();
            assert!(append(&path(name), "x").is_err(), "{name}");
            assert_eq!(path(name).symlink_metadata().unwrap().ino(), before, "{name}");
        }
        assert_eq!(std::fs::read_to_string(path("other")).unwrap(), "as it was");
        std::fs::set_permissions(path("other"), PermissionsExt::from_mode(0o640)).unwrap();
        // Only root can give it away.
        let given = chown(path("other"), Some(1), Some(1)).is_ok();
        append(&path("other"), "!").unwrap();
        let found = path("other").metadata().unwrap();
        assert_eq!(found.mode() & 0o777, 0o640);
        assert!(!given || (found.uid(), found.gid()) == (1, 1));
        let file = ChangedFile::open(&path("new.toml")).unwrap();
        file.replace("x").unwrap();
        file.restore().unwrap();
        assert!(!path("new.toml").exists());
    }

    #[test]
    fn a_folder_that_is_taken_is_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let _held = turn(folder.path(), PATIENCE).unwrap();
        let said = turn(folder.path(), Duration::ZERO).unwrap_err().to_string();
        assert!(said.contains("another command"), "{said}");
    }
}
