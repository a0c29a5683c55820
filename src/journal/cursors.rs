//! The cursors that there are: those of configured sinks, and those of sinks that are no longer configured. The latter
//! keep what their sinks have not taken, until they are renamed or forgotten.

use std::io;
use std::sync::Arc;

use crate::journal::cursor::{Cursor, folder, names};
use crate::journal::log::Journal;

impl Journal {
    /// The names of the cursors on disk, in order.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn cursor_names(&self) -> io::Result<Vec<String>> {
        names(&*self.shape.disk, &self.shape.directory)
    }

    /// The registered cursors with their names, in order.
    pub fn cursors(&self) -> Vec<(String, Arc<Cursor>)> {
        let tail = self.tail.lock();
        let mut cursors: Vec<_> = tail.cursors.iter().map(|(name, c)| (name.clone(), c.clone())).collect();
        drop(tail);
        cursors.sort_by(|(a, _), (b, _)| a.cmp(b));
        cursors
    }

    /// The registered cursor of a name.
    pub fn cursor(&self, name: &str) -> Option<Arc<Cursor>> {
        self.tail.lock().cursors.get(name).cloned()
    }

    /// Removes a cursor and its file. The journal no longer keeps anything for it.
    ///
    /// # Errors
    ///
    /// If the file cannot be removed. Then the cursor stays.
    pub fn forget(&self, name: &str) -> io::Result<()> {
        let folder = folder(&self.shape.directory);
        match self.shape.disk.remove(&folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.tail.lock().cursors.remove(name);
        self.clean();
        self.shape.disk.sync_directory(&folder)
    }

    /// Gives a registered cursor another name, which no other cursor may have.
    ///
    /// # Errors
    ///
    /// If its file cannot be renamed, or the rename cannot be made durable. The cursor has the new name all the same,
    /// until the process ends.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut tail = self.tail.lock();
        if let Some(cursor) = tail.cursors.remove(from) {
            tail.cursors.insert(to.to_owned(), cursor);
        }
        drop(tail);
        let folder = folder(&self.shape.directory);
        self.shape.disk.rename(&folder.join(from), &folder.join(to))?;
        self.shape.disk.sync_directory(&folder)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files::faulty::{Faults, Faulty};
    use crate::journal::progress::Progress;
    use crate::journal::{Options, WhenFull};

    fn open(directory: &Path) -> Arc<Journal> {
        let options =
            Options { directory: directory.to_owned(), max_size: 1 << 20, when_full: WhenFull::DropOldest };
        Journal::open(options, 7).unwrap().0
    }

    #[test]
    fn a_cursor_is_renamed_with_its_place_and_forgotten_with_its_backlog() {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        for name in ["a", "b-eu"] {
            journal.register(name).unwrap();
        }
        std::fs::write(dir.path().join("cursors/.b.tmp"), "").unwrap();
        assert_eq!(journal.cursor_names().unwrap(), ["a", "b-eu"]);
        journal.rename("a", "c").unwrap();
        assert_eq!(journal.cursor_names().unwrap(), ["b-eu", "c"]);
        let names = |journal: &Journal| journal.cursors().into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(names(&journal), ["b-eu", "c"]);
        journal.forget("b-eu").unwrap();
        journal.forget("b-eu").unwrap();
        assert_eq!((journal.cursor_names().unwrap(), names(&journal)), (vec!["c".into()], vec!["c".into()]));
    }

    #[test]
    fn a_sink_that_comes_back_knows_what_the_disk_has_refused_to_keep() {
        let disk = Faulty::new(7);
        let options =
            Options { directory: "/journal".into(), max_size: 1 << 20, when_full: WhenFull::DropOldest };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap();
        let cursor = journal.register("sink").unwrap();
        disk.set_faults(Faults { write: 1, ..Faults::default() });
        let progress = Progress { cursor: 3, done: std::iter::once(5..6).collect() };
        assert!(cursor.write(progress.clone()).is_err());
        journal.rest(&cursor);
        drop(cursor);
        let again = journal.register("sink").unwrap();
        assert_eq!((again.progress(), again.position()), (progress, 3));
    }
}
