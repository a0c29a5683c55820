//! Unmatched messages, kept for people to write rules by: lines of JSON in a file of bounded size, with the one
//! before it beside it as `.1`. At most so many a second, so that a flood costs nothing; all are counted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::files::entries::JSON_LINES;
use crate::files::{AppendLog, Folder};

/// The size in bytes at which the file is moved aside.
const MAX_SIZE: u64 = 1 << 20;
/// How many messages a second are kept.
const PER_SECOND: u32 = 100;

/// The inbox.
#[derive(Debug)]
pub struct Inbox {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: Option<AppendLog>,
    second: i64,
    in_second: u32,
    /// Whether the log has said that messages cannot be kept.
    said: bool,
}

impl Inbox {
    /// An inbox in this file.
    pub fn new(path: PathBuf) -> Self {
        Inbox { path, state: Mutex::default() }
    }

    /// Keeps a message, unless this second had enough of them. `now` is in microseconds; `message` is called only if so.
    pub fn keep(&self, now: i64, message: impl FnOnce() -> Value) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.div_euclid(1_000_000);
        if state.second != second {
            (state.second, state.in_second) = (second, 0);
        }
        state.in_second += 1;
        if state.in_second > PER_SECOND {
            return;
        }
        // A message that cannot be kept is counted all the same; an inbox is no reason to stop.
        match state.write(&self.path, now, &message().to_string()) {
            Ok(()) => state.said = false,
            Err(error) => {
                state.log = None;
                if !std::mem::replace(&mut state.said, true) {
                    tracing::warn!(%error, "cannot keep unmatched messages for `trapline`; they are counted only");
                }
            }
        }
    }
}

impl State {
    fn write(&mut self, path: &Path, now: i64, line: &str) -> io::Result<()> {
        let log = match &mut self.log {
            Some(log) => log,
            empty => empty.insert(open(path)?),
        };
        log.check(now)?;
        if log.length() > MAX_SIZE {
            log.rotate(&format!("{}.1", name(path)?))?;
        }
        log.append([line.as_bytes()]).map(drop)
    }
}

fn open(path: &Path) -> io::Result<AppendLog> {
    let folder = Folder::open(path.parent().unwrap_or(path))?;
    Ok(AppendLog::open(&folder, name(path)?, JSON_LINES, u64::MAX)?.0)
}

fn name(path: &Path) -> io::Result<&str> {
    path.file_name().and_then(|name| name.to_str()).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_in_size_and_rate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("unmatched.jsonl");
        let inbox = Inbox::new(path.clone());
        for n in 0..1000 {
            inbox.keep(5, || Value::from(n));
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), PER_SECOND as usize);
        let big = "x".repeat(50_000);
        for second in 0..60 {
            inbox.keep(second * 1_000_000, || Value::from(big.as_str()));
        }
        let size = |p: &Path| std::fs::metadata(p).unwrap().len();
        assert!(
            size(&path) < MAX_SIZE + 60_000
                && size(&dir.path().join("unmatched.jsonl.1")) < MAX_SIZE + 60_000
        );
    }

    #[test]
    fn a_crash_spoils_no_line_and_a_removed_file_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("unmatched.jsonl");
        std::fs::write(&path, "{\"whole\":1}\n{\"torn\":").unwrap();
        let inbox = Inbox::new(path.clone());
        inbox.keep(0, || serde_json::json!({ "n": 1 }));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"whole\":1}\n{\"n\":1}\n");
        std::fs::remove_file(&path).unwrap();
        inbox.keep(1_000_000, || serde_json::json!({ "n": 2 }));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"n\":2}\n");
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("unmatched.jsonl"), dir.path().join("victim"));
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        Inbox::new(path.clone()).keep(0, || Value::from("x"));
        assert!(!victim.exists() && path.is_symlink());
    }
}
