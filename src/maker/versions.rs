//! The console's rule file and its earlier versions, in the folder `rules` of the state directory.
//!
//! `console.toml` has the rules, `console.toml.N` what it had before the save number N. A save writes the version first and then
//! replaces the file, so that a crash leaves either the old rules or the new ones, whole, and at most a version that equals them.

use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::files::Folder;
use crate::rules::console::{self, FILE, FOLDER};

/// How many versions are kept to go back to.
pub const KEPT: usize = 20;

/// The file, while one writer has it: the daemon's thread of reloads.
#[derive(Debug)]
pub struct Versions {
    folder: Folder,
    /// What the file has; none if there is none.
    text: Option<String>,
}

/// What somebody makes of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Replace all of them.
    Put {
        /// By these.
        text: String,
    },
    /// Make them what they were before the last change that was not taken back.
    Undo {
        /// Go further back: so many versions are passed over, as they cannot be used any more.
        #[serde(default)]
        skip: usize,
    },
}

/// A short name of a text: equal texts have the same, and no other text has it.
pub fn tag(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..16])
}

impl Versions {
    /// Opens the folder of a state directory, which must exist; creates the folder.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or the file cannot be read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let folder = Folder::existing(directory)?.sub(FOLDER)?;
        Ok(Versions { text: console::read(directory)?, folder })
    }

    /// The rules; empty before the first save.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// The numbers of the versions, the oldest first.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let of_version = |name: String| {
            let number = name.strip_prefix(FILE)?.strip_prefix('.')?;
            number.parse().ok().filter(|parsed: &u64| parsed.to_string() == number)
        };
        let mut numbers: Vec<u64> = self.folder.list()?.into_iter().filter_map(of_version).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// How often [`Versions::undo`] can be done.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn count(&self) -> io::Result<usize> {
        let numbers = self.numbers()?;
        let last_is_same = match numbers.last() {
            Some(last) => self.version(*last)? == self.text(),
            None => false,
        };
        Ok(numbers.len() - usize::from(last_is_same))
    }

    fn version(&self, number: u64) -> io::Result<String> {
        let bytes = self.folder.read(&name(number), console::MOST as u64)?;
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    }

    /// The newest version that differs from the rules, but for so many that do as well and are passed over; none if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn before(&self, mut skip: usize) -> io::Result<Option<(u64, String)>> {
        for number in self.numbers()?.into_iter().rev() {
            let text = self.version(number)?;
            if text == self.text() {
                continue;
            }
            if skip == 0 {
                return Ok(Some((number, text)));
            }
            skip -= 1;
        }
        Ok(None)
    }

    /// Replaces the rules. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be written; then the rules are those from before.
    pub fn save(&mut self, text: &str) -> io::Result<()> {
        if text == self.text() && self.text.is_some() {
            return Ok(());
        }
        let numbers = self.numbers()?;
        let new = match numbers.last() {
            // A save that came no further has left it.
            Some(last) if self.version(*last)? == self.text() => None,
            last => Some(name(last.map_or(1, |last| last + 1))),
        };
        if let Some(new) = &new {
            self.folder.create(new, |file| file.write_all(self.text().as_bytes()))?;
        }
        if let Err(error) = self.folder.sync().and_then(|()| self.replace(text)) {
            // One that stays equals the rules, and is passed over.
            if self.is_unchanged() {
                let _ = new.map(|new| self.folder.remove(&new));
            }
            return Err(error);
        }
        let most = (numbers.len() + usize::from(new.is_some())).saturating_sub(KEPT);
        for old in numbers.iter().take(most) {
            // One more is kept if it stays; the next save removes it.
            let _ = self.folder.remove(&name(*old));
        }
        Ok(())
    }

    /// Makes the rules what [`Versions::before`] gave, and forgets the versions from there on. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be written; then the rules are those from before.
    pub fn undo(&mut self, to: u64, text: &str) -> io::Result<()> {
        self.replace(text)?;
        for number in self.numbers()?.into_iter().rev().take_while(|number| *number >= to) {
            // One that stays equals the rules, and is passed over.
            let _ = self.folder.remove(&name(number));
        }
        Ok(())
    }

    /// Whether the file still has the rules from before.
    fn is_unchanged(&self) -> bool {
        let read = self.folder.read(FILE, console::MOST as u64);
        read.ok().as_deref() == self.text.as_deref().map(str::as_bytes)
    }

    fn replace(&mut self, text: &str) -> io::Result<()> {
        self.folder.replace(FILE, |file| file.write_all(text.as_bytes()))?;
        self.text = Some(text.to_owned());
        Ok(())
    }
}

fn name(number: u64) -> String {
    format!("{FILE}.{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::faulty::Faulty;
    use crate::files::mount::{mount, unmount};

    #[test]
    fn twenty_saves_can_be_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut versions = Versions::open(dir.path()).unwrap();
        assert_eq!((versions.text(), versions.count().unwrap()), ("", 0));
        for n in 0..30 {
            versions.save(&format!("# {n}")).unwrap();
            versions.save(&format!("# {n}")).unwrap();
        }
        let mut versions = Versions::open(dir.path()).unwrap();
        assert_eq!(versions.count().unwrap(), KEPT);
        for n in (9..29).rev() {
            let (number, text) = versions.before(0).unwrap().unwrap();
            assert_eq!(text, format!("# {n}"));
            versions.undo(number, &text).unwrap();
            assert_eq!(console::read(dir.path()).unwrap().unwrap(), text);
        }
        assert_eq!(versions.before(0).unwrap(), None);
        versions.save("# again").unwrap();
        assert_eq!(versions.before(0).unwrap().unwrap().1, "# 9");
    }

    #[test]
    fn versions_that_cannot_be_used_are_passed_over_and_forgotten_with_an_undo() {
        for skip in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let mut versions = Versions::open(dir.path()).unwrap();
            for n in 0..4 {
                versions.save(&format!("# {n}")).unwrap();
            }
            let (number, text) = versions.before(skip).unwrap().unwrap();
            assert_eq!(text, format!("# {}", 2 - skip));
            versions.undo(number, &text).unwrap();
            assert_eq!((versions.text(), versions.count().unwrap()), (&*text, 3 - skip));
            assert_eq!(versions.before(3 - skip).unwrap(), None);
        }
    }

    /// As often as it is tried on a disk without room, and whether or not the version has room and the file has not.
    #[test]
    fn a_save_that_fails_leaves_nothing_to_take_back() {
        let path = Path::new("/mounted-versions");
        for (saved, room) in [(0, 0), (0, 3), (1, 0), (1, 3), (1, 5), (3, 0), (3, 3), (3, 5)] {
            let disk = Faulty::new(1);
            mount(path, disk.clone());
            drop(Folder::open(path).unwrap());
            let mut versions = Versions::open(path).unwrap();
            for n in 0..saved {
                versions.save(&format!("# {n}")).unwrap();
            }
            disk.set_room(disk.used() + room);
            for _ in 0..3 {
                assert!(versions.save("# longer").is_err());
                assert_eq!(versions.count().unwrap(), saved, "{room}");
                assert_eq!(Versions::open(path).unwrap().count().unwrap(), saved, "{room}");
            }
            disk.set_room(u64::MAX);
            versions.save("# longer").unwrap();
            assert_eq!(versions.count().unwrap(), saved + 1);
            let mut texts: Vec<String> = (0..saved).map(|n| format!("# {n}")).collect();
            while let Some((number, text)) = versions.before(0).unwrap() {
                versions.undo(number, &text).unwrap();
                assert_eq!(text, texts.pop().unwrap_or_default());
            }
            assert_eq!((versions.text(), versions.count().unwrap(), texts.len()), ("", 0, 0));
            unmount(path);
        }
    }

    #[test]
    fn a_crash_between_version_and_file_leaves_nothing_odd() {
        let dir = tempfile::tempdir().unwrap();
        let mut versions = Versions::open(dir.path()).unwrap();
        versions.save("# 1").unwrap();
        versions.save("# 2").unwrap();
        // The save of "# 3" has got this far.
        std::fs::write(dir.path().join("rules/console.toml.3"), "# 2").unwrap();
        let mut versions = Versions::open(dir.path()).unwrap();
        assert_eq!(versions.count().unwrap(), 2);
        let (number, text) = versions.before(0).unwrap().unwrap();
        assert_eq!((number, &*text), (2, "# 1"));
        versions.undo(number, &text).unwrap();
        assert_eq!(versions.count().unwrap(), 1);
        assert_ne!(tag("# 1"), tag("# 2"));
    }
}
