//! The check result directory: Nagios reads and deletes a file there once an empty one with `.ok` behind its name
//! stands beside it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::sinks::adapter::{PushSink, Pushed, SinkError, Taken};
use crate::sinks::nagios::format;

/// With so many files waiting, Nagios is not reading: the directory is not filled any further.
const MOST_FILES: usize = 1000;

/// Writes files of check results.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    pending: Vec<u8>,
    written: u64,
}

impl Spool {
    /// A sink for this directory.
    pub fn new(directory: PathBuf) -> Self {
        Spool { directory, pending: Vec::new(), written: 0 }
    }

    fn write(&mut self) -> io::Result<()> {
        let (path, mut file) = loop {
            let name = self.next_name();
            let path = self.directory.join(name);
            match OpenOptions::new().write(true).create_new(true).mode(0o660).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
        let written = write!(file, "### trapline\nfile_time={seconds}\n\n")
            .and_then(|()| file.write_all(&self.pending))
            .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o660).open(ok_of(&path)));
        if written.is_err() {
            let _ = std::fs::remove_file(&path);
        }
        written.map(drop)
    }

    /// `c` and six letters or digits, as Nagios itself names them.
    fn next_name(&mut self) -> String {
        const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut number = (u64::from(std::process::id()) << 20).wrapping_add(self.written);
        self.written += 1;
        let mut name = String::from("c");
        for _ in 0..6 {
            name.push(char::from(DIGITS[(number % 36) as usize]));
            number /= 36;
        }
        name
    }
}

fn ok_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ok");
    name.into()
}

impl PushSink for Spool {
    fn push(&mut self, record: &Record<'_>) -> Pushed {
        let Outcome::CheckResult(check) = &record.outcome else { return Pushed::Skipped };
        if format::push_spooled(&mut self.pending, check) { Pushed::Cut } else { Pushed::Queued }
    }

    async fn flush(&mut self) -> Result<Taken, SinkError> {
        if self.pending.is_empty() {
            return Ok(Taken::All);
        }
        let directory = self.directory.display().to_string();
        let what = || format!("cannot write check results to {directory}");
        let hint = "give check_result_path as in the configuration of Nagios, and make it writable";
        let waiting = std::fs::read_dir(&self.directory)
            .map_err(|error| SinkError::unavailable(what(), error, hint))?
            .count();
        if waiting > MOST_FILES {
            return Err(SinkError::unavailable(
                what(),
                format!("{waiting} files wait there"),
                "see whether Nagios runs",
            ));
        }
        self.write().map_err(|error| SinkError::unavailable(what(), error, hint))?;
        self.pending.clear();
        Ok(Taken::All)
    }

    fn reset(&mut self) {
        self.pending.clear();
    }
}
