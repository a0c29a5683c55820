//! `[journal]`

use std::path::{Path, PathBuf};

use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::{size, word};

/// The smallest limit that makes sense: two segments of some size.
pub const MIN_SIZE: u64 = 1 << 20;

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its directory.
    pub directory: PathBuf,
    /// The size in bytes that it may have.
    pub max_size: u64,
    /// When it is flushed to disk.
    pub sync: SyncPolicy,
    /// What is done when it is full.
    pub when_full: WhenFull,
}

/// When the journal is flushed to disk (fdatasync).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before an inform is answered, and once a second.
    Batch,
    /// Once a second.
    Interval,
    /// When the kernel decides.
    Never,
}

/// What is done when the journal has its full size and some sink has not taken all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest outcomes are given up, counted and said.
    DropOldest,
    /// New outcomes are refused: informs are not answered, streams are closed.
    Refuse,
}

impl Settings {
    /// The defaults, for a configuration in this folder: the journal is in `var` below it.
    pub fn default_in(folder: &Path) -> Self {
        Settings {
            directory: folder.join("var"),
            max_size: 1 << 30,
            sync: SyncPolicy::Batch,
            when_full: WhenFull::DropOldest,
        }
    }

    /// Reads the section.
    pub fn read(section: Section<'_, '_>, folder: &Path, found: &mut Diagnostics) -> Self {
        let defaults = Settings::default_in(folder);
        let directory = section
            .string("directory", found)
            .map_or(defaults.directory, |directory| folder.join(&*directory));
        let max_size = size(&section, "max_size", found);
        if let Some(size) = max_size.as_ref().filter(|s| s.value < MIN_SIZE) {
            let hint = Some("give it at least 1MiB".to_owned());
            found.push(section.source().error(&size.span, "max_size is too small for a journal", hint));
        }
        let sync =
            [("batch", SyncPolicy::Batch), ("interval", SyncPolicy::Interval), ("never", SyncPolicy::Never)];
        let sync = word(&section, "sync", &sync, "way to sync", found);
        let when_full = [("drop_oldest", WhenFull::DropOldest), ("refuse", WhenFull::Refuse)];
        let when_full = word(&section, "when_full", &when_full, "way to deal with a full journal", found);
        section.finish(found);
        Settings {
            directory,
            max_size: max_size.map_or(defaults.max_size, |s| s.value),
            sync: sync.unwrap_or(defaults.sync),
            when_full: when_full.unwrap_or(defaults.when_full),
        }
    }
}
