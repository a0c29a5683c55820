//! The file sink: one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::outcome::json::Json;
use crate::outcome::record::Record;
use crate::sinks::{Pushed, Sink, SinkError, Taken};

/// Appends lines to a file; follows when the file is moved away, as logrotate does.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: Option<File>,
    pending: Vec<u8>,
}

impl JsonLines {
    /// A sink for this file, which is made when it is not there.
    pub fn new(path: PathBuf) -> Self {
        JsonLines { path, file: None, pending: Vec::new() }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let moved = match (&self.file, std::fs::metadata(&self.path)) {
            (Some(file), Ok(there)) => {
                let ours = file.metadata()?;
                (ours.dev(), ours.ino()) != (there.dev(), there.ino())
            }
            _ => true,
        };
        if moved {
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            self.file = Some(OpenOptions::new().create(true).append(true).open(&self.path)?);
        }
        if let Some(file) = &mut self.file {
            let start = file.metadata()?.len();
            if let Err(error) = file.write_all(&self.pending) {
                // Half a line must not stand before its repeat.
                let _ = file.set_len(start);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Sink for JsonLines {
    fn push(&mut self, record: &Record<'_>) -> Pushed {
        let start = self.pending.len();
        if serde_json::to_writer(&mut self.pending, &Json(record)).is_err() {
            // Writing to memory does not fail, and every key is a string.
            self.pending.truncate(start);
            return Pushed::Skipped;
        }
        self.pending.push(b'\n');
        Pushed::Queued
    }

    async fn flush(&mut self) -> Result<Taken, SinkError> {
        if !self.pending.is_empty() {
            self.write().map_err(|error| {
                let what = format!("cannot write {}", self.path.display());
                SinkError::unavailable(what, error, "make the file writable, or name another in path")
            })?;
            self.pending.clear();
        }
        Ok(Taken::All)
    }

    fn reset(&mut self) {
        self.pending.clear();
        self.file = None;
    }
}
