//! The last report of each service that checks in, and its file.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::files::Folder;
use crate::message::Status;
use crate::time::clock::{Now, Wall};

/// The name of the file in the state directory: a service a line, in JSON.
const FILE: &str = "checkins.jsonl";
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;
/// How long changes wait before they are written.
pub const DELAY: Duration = Duration::from_secs(2);
/// How much of what a service says is kept, in octets.
const LONGEST_INFO: usize = 1024;
/// Of how many services the last report is kept.
const MOST: usize = 100_000;

/// The last report of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it is.
    pub status: Status,
    /// What it says.
    pub info: String,
    /// When that was received.
    pub at: Now,
}

/// The last reports of all services.
#[derive(Debug)]
pub struct Latest {
    directory: PathBuf,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    reports: HashMap<String, Report>,
    /// Whether the file was read.
    loaded: bool,
    /// Whether anything changed since it was written.
    changed: bool,
    /// Whether the log has said that it cannot be written.
    said: bool,
}

impl Latest {
    /// Those of a state directory. The file is read when they are first asked for.
    pub fn new(directory: &Path) -> Self {
        Latest { directory: directory.to_owned(), state: Mutex::default(), changed: Notify::new() }
    }

    /// The last report of a service.
    pub fn of(&self, service: &str, now: Now) -> Option<Report> {
        self.lock(now).reports.get(service).cloned()
    }

    /// A service has reported.
    pub fn put(&self, service: &str, status: Status, info: &str, now: Now) {
        let info = info[..info.floor_char_boundary(LONGEST_INFO)].to_owned();
        let mut state = self.lock(now);
        let report = Report { status, info, at: now };
        if let Some(last) = state.reports.get_mut(service) {
            *last = report;
        } else if state.reports.len() < MOST {
            state.reports.insert(service.to_owned(), report);
        } else {
            return;
        }
        if !std::mem::replace(&mut state.changed, true) {
            self.changed.notify_one();
        }
    }

    /// Waits for a change since the last [`Latest::save`].
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Writes what has changed. What cannot be written is written with the next change; the log says so once. Blocks.
    pub fn save(&self) {
        let reports = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::take(&mut state.changed) {
                return;
            }
            state.reports.clone()
        };
        // Not under the lock: requests do not wait for the disk.
        let result = write(&self.directory, &reports);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => state.said = false,
            Err(error) => {
                if !std::mem::replace(&mut state.changed, true) {
                    self.changed.notify_one();
                }
                if !std::mem::replace(&mut state.said, true) {
                    tracing::warn!(%error, "cannot write the last check-ins to {FILE}; a restart forgets them; check the disk");
                }
            }
        }
    }

    /// The state; the file of the run before is read first.
    fn lock(&self, now: Now) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.loaded, true) {
            match read(&self.directory, now) {
                Ok(reports) => state.reports = reports,
                Err(error) => tracing::warn!(%error, "cannot read the last check-ins of earlier runs"),
            }
        }
        state
    }
}

fn read(directory: &Path, now: Now) -> io::Result<HashMap<String, Report>> {
    match Folder::existing(directory).and_then(|folder| folder.read(FILE, MAX_FILE)) {
        Ok(bytes) => {
            Ok(bytes.split(|octet| *octet == b'\n').filter_map(|line| entry(line, now)).take(MOST).collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

/// A line of the file. By how much the wall clock was set meanwhile is not known; its age is at least zero.
fn entry(line: &[u8], now: Now) -> Option<(String, Report)> {
    let entry: Value = serde_json::from_slice(line).ok()?;
    let text = |name: &str| entry[name].as_str();
    let at = now.earlier(Wall::from_micros(entry["received"].as_i64()?));
    let report = Report { status: Status::from_word(text("status")?)?, info: text("info")?.to_owned(), at };
    Some((text("service")?.to_owned(), report))
}

fn write(directory: &Path, reports: &HashMap<String, Report>) -> io::Result<()> {
    Folder::existing(directory)?.replace(FILE, |file| {
        for (service, report) in reports {
            let Report { status, info, at } = report;
            let entry = json!({
                "service": service, "status": status.as_str(), "info": info, "received": at.wall.micros(),
            });
            serde_json::to_writer(&mut *file, &entry)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock::Mono;

    fn at(seconds: u64) -> Now {
        let wall = Wall::from_micros(1_795_176_000_000_000 + seconds as i64 * 1_000_000);
        Now { wall, mono: Mono::from_nanos((seconds + 1000) * 1_000_000_000) }
    }

    #[test]
    fn a_restart_forgets_nothing_that_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let latest = Latest::new(dir.path());
        latest.put("a \"1\"\n", Status::Warning, "line\nline", at(5));
        latest.put("b", Status::Ok, &"é".repeat(1000), at(6));
        latest.put("b", Status::Critical, "new", at(7));
        latest.save();
        let again = Latest::new(dir.path());
        for (service, status, info, seconds) in
            [("a \"1\"\n", Status::Warning, "line\nline", 5), ("b", Status::Critical, "new", 7)]
        {
            let expected = Report { status, info: info.to_owned(), at: at(seconds) };
            assert_eq!(again.of(service, at(90)), Some(expected), "{service}");
        }
        assert_eq!(again.of("c", at(90)), None);
        // The wall clock was set back meanwhile: no age is below zero.
        let back = Now { wall: Wall::from_micros(0), ..at(90) };
        let report = Latest::new(dir.path()).of("b", back).unwrap();
        assert_eq!(report.at.mono, back.mono);
    }

    #[test]
    fn damaged_lines_are_left_out_and_what_cannot_be_written_is_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let latest = Latest::new(&state);
        latest.put("a", Status::Ok, "", at(1));
        latest.save();
        std::fs::create_dir(&state).unwrap();
        latest.save();
        let text = std::fs::read_to_string(state.join(FILE)).unwrap();
        std::fs::write(state.join(FILE), format!("{{\"service\"\n\n{text}{}", &text[..20])).unwrap();
        assert_eq!(read(&state, at(2)).unwrap().len(), 1);
    }
}
