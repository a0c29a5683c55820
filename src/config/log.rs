//! `[log]`

use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::word;

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
    /// Fields for systemd's journal.
    Journald,
}

/// Reads the section.
pub fn read(section: Section<'_, '_>, found: &mut Diagnostics) -> LogFormat {
    let formats = [("human", LogFormat::Human), ("json", LogFormat::Json), ("journald", LogFormat::Journald)];
    let log = word(&section, "format", &formats, "log format", found);
    section.finish(found);
    log.unwrap_or(LogFormat::Human)
}
