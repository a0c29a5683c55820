//! Where reading goes on after a restart: a line of JSON for each source, in one file of the state directory.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::place::Place;
use crate::files::Folder;

/// The name of the file.
const FILE: &str = "followed.jsonl";
/// The largest file that is read, in bytes.
const MOST: u64 = 16 << 20;

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// The files that have, or had, a name.
    Files(Vec<Place>),
    /// An entry of systemd's journal.
    Cursor(String),
}

/// The file.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    marks: BTreeMap<String, Mark>,
}

impl Store {
    /// Reads it; without one, nothing is known.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let marks = match Folder::existing(directory).and_then(|folder| folder.read(FILE, MOST)) {
            Ok(octets) => octets.split(|octet| *octet == b'\n').filter_map(entry).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Store { directory: directory.to_owned(), marks })
    }

    /// Where reading a source goes on.
    pub(super) fn get(&self, source: &str) -> Option<&Mark> {
        self.marks.get(source)
    }

    /// Reading a source goes on there, after a power cut, too.
    pub(super) fn put(&mut self, source: &str, mark: Mark) -> io::Result<()> {
        if self.marks.get(source) == Some(&mark) {
            return Ok(());
        }
        self.marks.insert(source.to_owned(), mark);
        Folder::existing(&self.directory)?.replace(FILE, |file| {
            for (source, mark) in &self.marks {
                let line = match mark {
                    Mark::Files(places) => {
                        let places: Vec<Value> = places.iter().map(|place| place.to_json()).collect();
                        json!({ "source": source, "files": places })
                    }
                    Mark::Cursor(cursor) => json!({ "source": source, "cursor": cursor }),
                };
                writeln!(file, "{line}")?;
            }
            Ok(())
        })
    }
}

fn entry(line: &[u8]) -> Option<(String, Mark)> {
    let entry: Value = serde_json::from_slice(line).ok()?;
    let mark = match (entry["cursor"].as_str(), entry["files"].as_array()) {
        (Some(cursor), _) => Mark::Cursor(cursor.to_owned()),
        (None, Some(files)) => Mark::Files(files.iter().filter_map(Place::from_json).collect()),
        (None, None) => return None,
    };
    Some((entry["source"].as_str()?.to_owned(), mark))
}
