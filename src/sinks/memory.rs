//! What a sink must remember over a restart, as values by key: what is open at its server, what its server was told. A file of
//! lines of JSON in a folder of the journal directory; the last line of a key counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files::entries::JSON_LINES;
use crate::files::{AppendLog, Folder};

/// The folder of all sinks' memories, in that of the journal.
const FOLDER: &str = "sinks";
/// The name of each memory, in a folder with the name of its sink.
const FILE: &str = "memory.jsonl";
/// The file is written anew when it has so many more lines than twice its values.
const SPARE: usize = 1000;

/// Values by key. Read when it is first used.
#[derive(Debug)]
pub(super) struct Memory<V> {
    sink: Arc<str>,
    /// The folder of this sink: `JOURNAL/sinks/NAME`.
    path: PathBuf,
    values: BTreeMap<String, V>,
    read: bool,
    /// Keys whose values the file does not have yet.
    changed: BTreeSet<String>,
    log: Option<AppendLog>,
    lines: usize,
    /// Whether the last try to write failed, which is said once.
    failing: bool,
}

impl<V: Serialize + DeserializeOwned> Memory<V> {
    /// The memory in the folder of a sink.
    pub(super) fn new(sink: Arc<str>, path: PathBuf) -> Self {
        let (values, changed) = (BTreeMap::new(), BTreeSet::new());
        Memory { sink, path, values, read: false, changed, log: None, lines: 0, failing: false }
    }

    /// The name of the sink.
    pub(super) fn sink(&self) -> &str {
        &self.sink
    }

    /// All values.
    pub(super) fn values(&mut self) -> &BTreeMap<String, V> {
        self.remember();
        &self.values
    }

    /// Gives a key a value.
    pub(super) fn set(&mut self, key: &str, value: V) {
        self.remember();
        self.values.insert(key.to_owned(), value);
        self.changed.insert(key.to_owned());
    }

    /// Forgets the value of a key.
    pub(super) fn remove(&mut self, key: &str) -> Option<V> {
        self.remember();
        let value = self.values.remove(key)?;
        self.changed.insert(key.to_owned());
        Some(value)
    }

    /// Writes what has changed; it is safe from a power cut when this returns. If the disk fails, that is logged, and the next call
    /// tries again.
    pub(super) fn keep(&mut self) {
        if self.changed.is_empty() {
            return;
        }
        match self.write() {
            Ok(()) => {
                self.changed.clear();
                self.failing = false;
            }
            Err(error) => {
                self.log = None;
                if !self.failing {
                    self.failing = true;
                    tracing::error!(
                        sink = &*self.sink, %error,
                        "cannot write what this sink must remember over a restart; check the disk"
                    );
                }
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.lines > SPARE + 2 * self.values.len() {
            let folder = folder(&self.path)?;
            self.log = None;
            folder.replace(FILE, |file| {
                self.values.iter().try_for_each(|(key, value)| {
                    serde_json::to_writer(&mut *file, &(key, value))?;
                    file.write_all(b"\n")
                })
            })?;
            self.lines = self.values.len();
            return Ok(());
        }
        let lines = self.changed.iter().map(|key| Ok(serde_json::to_vec(&(key, self.values.get(key)))?));
        let lines = lines.collect::<io::Result<Vec<Vec<u8>>>>()?;
        let log = match &mut self.log {
            Some(log) => log,
            log => log.insert(AppendLog::open(&folder(&self.path)?, FILE, JSON_LINES, u64::MAX)?.0),
        };
        log.append_synced(lines.iter().map(Vec::as_slice))?;
        self.lines += lines.len();
        Ok(())
    }

    fn remember(&mut self) {
        if std::mem::replace(&mut self.read, true) {
            return;
        }
        if let Err(error) = self.read_file() {
            tracing::error!(
                sink = &*self.sink, %error,
                "cannot read what this sink has remembered: it begins anew"
            );
        }
    }

    fn read_file(&mut self) -> io::Result<()> {
        let entries =
            Folder::existing(&self.path).and_then(|folder| AppendLog::entries_of(&folder, FILE, JSON_LINES));
        let mut entries = match entries {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        while let Some(line) = entries.next()? {
            self.lines += 1;
            // What somebody has changed by hand counts for nothing.
            let Ok((key, value)) = serde_json::from_slice::<(String, Option<V>)>(line) else { continue };
            match value {
                Some(value) => self.values.insert(key, value),
                None => self.values.remove(&key),
            };
        }
        Ok(())
    }
}

/// The folder of a sink, made if needed.
fn folder(path: &Path) -> io::Result<Folder> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let journal = path.parent().and_then(Path::parent).unwrap_or(path);
    Folder::open(journal)?.sub(FOLDER)?.sub(name)
}

/// Gives what a sink remembers to the sink that has its place under another name.
///
/// # Errors
///
/// If it cannot be renamed.
pub fn adopt(journal: &Path, from: &str, to: &str) -> io::Result<()> {
    match Folder::existing(journal).and_then(|folder| folder.existing_sub(FOLDER)) {
        Ok(folder) if folder.exists(from) => folder.rename(from, to),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes what a sink remembers.
///
/// # Errors
///
/// If it cannot be removed.
pub fn forget(journal: &Path, sink: &str) -> io::Result<()> {
    let folder = Folder::existing(journal)
        .and_then(|folder| folder.existing_sub(FOLDER))
        .and_then(|folder| folder.existing_sub(sink));
    match folder.and_then(|folder| folder.remove(FILE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn memory(journal: &Path, sink: &str) -> Memory<u32> {
        Memory::new("s".into(), journal.join(FOLDER).join(sink))
    }

    #[test]
    fn what_is_kept_is_there_after_a_restart() {
        let journal = tempfile::tempdir().unwrap();
        let mut expected = BTreeMap::new();
        for round in 0..4_u32 {
            let mut memory = memory(journal.path(), "a");
            assert_eq!(memory.values(), &expected, "{round}");
            for n in 0..900 {
                let key = format!("k{}", n % 7);
                if n % 3 == 0 {
                    memory.remove(&key);
                    expected.remove(&key);
                } else {
                    memory.set(&key, n + round);
                    expected.insert(key, n + round);
                }
                if n % 2 == 0 {
                    memory.keep();
                }
            }
            memory.keep();
            // Not kept.
            memory.set("k1", 0);
        }
        let lines = std::fs::read_to_string(journal.path().join("sinks/a").join(FILE)).unwrap();
        assert!(lines.lines().count() < 2 * SPARE, "{}", lines.lines().count());
    }

    #[test]
    fn a_renamed_sink_remembers_and_a_forgotten_one_does_not() {
        let journal = tempfile::tempdir().unwrap();
        adopt(journal.path(), "a", "b").unwrap();
        forget(journal.path(), "a").unwrap();
        let mut a = memory(journal.path(), "a");
        a.set("k", 1);
        a.keep();
        adopt(journal.path(), "a", "b").unwrap();
        assert_eq!(memory(journal.path(), "a").values().len(), 0);
        assert_eq!(memory(journal.path(), "b").values()["k"], 1);
        forget(journal.path(), "b").unwrap();
        assert_eq!(memory(journal.path(), "b").values().len(), 0);
        // A folder that is left does not stand in the way.
        let mut c = memory(journal.path(), "c");
        c.set("k", 3);
        c.keep();
        adopt(journal.path(), "c", "b").unwrap();
        assert_eq!(memory(journal.path(), "b").values()["k"], 3);
    }

    #[test]
    fn a_line_that_is_none_counts_for_nothing() {
        let journal = tempfile::tempdir().unwrap();
        let mut a = memory(journal.path(), "a");
        a.set("k", 1);
        a.keep();
        let file = journal.path().join("sinks/a").join(FILE);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("nonsense\n{text}[\"k\",\"x\"]\n[\"l\",2]\n[\"m\",")).unwrap();
        let mut a = memory(journal.path(), "a");
        assert_eq!(
            a.values().iter().map(|(k, v)| (k.as_str(), *v)).collect::<Vec<_>>(),
            [("k", 1), ("l", 2)]
        );
        a.set("n", 4);
        a.keep();
        assert_eq!(memory(journal.path(), "a").values().len(), 3);
    }
}
