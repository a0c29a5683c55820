//! A journal that no daemon uses: its cursors, without recovery and without a change to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::disk::{Disk, Opening, read_all};
use crate::files::system::{Access, System};
use crate::journal::cursor;
use crate::journal::log::{OpenError, lock};
use crate::journal::progress;
use crate::journal::recover;
use crate::journal::segment::Header;

/// A journal directory, locked: no daemon starts with it meanwhile.
#[derive(Debug)]
pub struct Stopped {
    directory: PathBuf,
    disk: Arc<dyn Disk>,
    _lock: Box<dyn std::fmt::Debug + Send + Sync>,
}

/// A cursor of a stopped journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The name of its sink.
    pub name: String,
    /// How many outcomes its sink has not taken; none if the cursor is damaged.
    pub behind: Option<u64>,
}

impl Stopped {
    /// Locks the journal in a directory; none if there is no such directory.
    ///
    /// # Errors
    ///
    /// [`OpenError`], if the directory cannot be used or a daemon uses it.
    pub fn open(directory: &Path) -> Result<Option<Self>, OpenError> {
        let disk = match System::open(directory, false, Access::Private) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => Arc::new(other.map_err(|error| OpenError::Io { path: directory.to_owned(), error })?),
        };
        let lock = lock(&*disk, directory)?;
        Ok(Some(Stopped { directory: directory.to_owned(), disk, _lock: lock }))
    }

    /// Its cursors, in the order of their names.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn cursors(&self) -> io::Result<Vec<Known>> {
        let (oldest, next) = self.bounds()?;
        let folder = cursor::folder(&self.directory);
        let known = |name: String| {
            let progress = progress::peek(&*self.disk, &folder.join(&name))?;
            let behind = progress.map(|progress| progress.within(oldest, next).open_before(next));
            Ok(Known { name, behind })
        };
        cursor::names(&*self.disk, &self.directory)?.into_iter().map(known).collect()
    }

    /// Removes a cursor.
    ///
    /// # Errors
    ///
    /// If its file cannot be removed.
    pub fn forget(&self, name: &str) -> io::Result<()> {
        let folder = cursor::folder(&self.directory);
        self.disk.remove(&folder.join(name))?;
        self.disk.sync_directory(&folder)
    }

    /// The oldest record, and the number that the next one gets.
    fn bounds(&self) -> io::Result<(u64, u64)> {
        let mut paths = self.disk.list(&self.directory)?;
        paths.retain(|path| path.extension().is_some_and(|e| e == "seg"));
        paths.sort();
        let (mut oldest, mut next) = (1, 1);
        for path in paths.iter().rev() {
            let bytes = read_all(&*self.disk.open_as(path, Opening::Read)?)?;
            let Some(header) = Header::decode(&bytes) else { continue };
            next = recover::end(&bytes, header.first);
            oldest = header.first;
            break;
        }
        for path in paths {
            let first = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            oldest = oldest.min(first.unwrap_or(oldest));
        }
        Ok((oldest, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Batch, Journal, Options, WhenFull};
    use crate::outcome::testing;

    #[test]
    fn a_stopped_journal_tells_how_far_its_sinks_are_and_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Stopped::open(&dir.path().join("nowhere")).unwrap().is_none());
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 20, when_full: WhenFull::DropOldest };
        let journal = Journal::open(options, 7).unwrap().0;
        assert!(matches!(Stopped::open(dir.path()), Err(OpenError::Locked(_))));
        let (slow, fast) = (journal.register("slow").unwrap(), journal.register("fast").unwrap());
        let mut batch = Batch::default();
        for _ in 0..5 {
            batch.push(&testing::check("o"));
        }
        journal.append(&batch).unwrap();
        slow.advance(2).unwrap();
        fast.advance(6).unwrap();
        std::fs::write(dir.path().join("cursors/broken"), "nonsense that is no cursor").unwrap();
        drop((journal, slow, fast));
        let files = || {
            let entries = std::fs::read_dir(dir.path()).unwrap();
            let mut files: Vec<_> =
                entries.map(|e| e.unwrap()).map(|e| (e.path(), e.metadata().unwrap().len())).collect();
            files.sort();
            files
        };
        let before = files();
        let stopped = Stopped::open(dir.path()).unwrap().unwrap();
        let known = |name: &str, behind| Known { name: name.to_owned(), behind };
        let expected = [known("broken", None), known("fast", Some(0)), known("slow", Some(4))];
        assert_eq!(stopped.cursors().unwrap(), expected);
        stopped.forget("slow").unwrap();
        assert_eq!(stopped.cursors().unwrap(), expected[..2]);
        assert_eq!(files(), before);
    }
}
