//! Unmatched messages, kept for people to write rules by, and malformed packets: lines of JSON in a file of bounded size, with the
//! one before it beside it as `.1`. At most so many a second, so that a flood costs nothing; all are counted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::files::entries::JSON_LINES;
use crate::files::{AppendLog, Folder};
use crate::time::clock::Now;

/// The size in bytes at which the file is moved aside.
const MAX_SIZE: u64 = 1 << 20;
/// How many unmatched messages a second are kept.
const PER_SECOND: u32 = 100;
/// How many malformed packets a second are kept: few, as they may be longer and push others out.
const MALFORMED_PER_SECOND: u32 = 5;

/// The inbox.
#[derive(Debug)]
pub struct Inbox {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: Option<AppendLog>,
    unmatched: InSecond,
    malformed: InSecond,
    /// Whether the log has said that messages cannot be kept.
    said: bool,
}

#[derive(Debug, Default)]
struct InSecond {
    second: u64,
    count: u32,
}

impl InSecond {
    /// Whether one more is within the limit.
    fn take(&mut self, second: u64, most: u32) -> bool {
        if self.second != second {
            *self = InSecond { second, count: 0 };
        }
        self.count += 1;
        self.count <= most
    }
}

impl Inbox {
    /// An inbox in this file.
    pub fn new(path: PathBuf) -> Self {
        Inbox { path, state: Mutex::default() }
    }

    /// Keeps an unmatched message, unless this second had enough of them. `message` is called only if it is kept.
    pub fn keep(&self, now: Now, message: impl FnOnce() -> Value) {
        let mut state = self.lock();
        if state.unmatched.take(now.mono.seconds(), PER_SECOND) {
            state.keep(&self.path, now, &message());
        }
    }

    /// Keeps a malformed packet, unless this second had enough of them. `packet` is called only if it is kept.
    pub fn keep_malformed(&self, now: Now, packet: impl FnOnce() -> Value) {
        let mut state = self.lock();
        if state.malformed.take(now.mono.seconds(), MALFORMED_PER_SECOND) {
            state.keep(&self.path, now, &packet());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A message that cannot be kept is counted all the same; an inbox is no reason to stop.
    fn keep(&mut self, path: &Path, now: Now, message: &Value) {
        match self.write(path, (now.mono.nanos() / 1000) as i64, &message.to_string()) {
            Ok(()) => self.said = false,
            Err(error) => {
                self.log = None;
                if !std::mem::replace(&mut self.said, true) {
                    tracing::warn!(%error, "cannot keep unmatched messages for `trapline`; they are counted only");
                }
            }
        }
    }

    /// `now` is in microseconds of a clock that never goes back.
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
    use crate::time::clock::{Mono, Wall};

    fn at(seconds: u64) -> Now {
        Now { wall: Wall::default(), mono: Mono::from_nanos((1 + seconds) * 1_000_000_000) }
    }

    #[test]
    fn bounded_in_size_and_rate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("unmatched.jsonl");
        let inbox = Inbox::new(path.clone());
        for n in 0..1000 {
            inbox.keep(at(0), || Value::from(n));
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), PER_SECOND as usize);
        for n in 0..1000 {
            inbox.keep_malformed(at(0), || Value::from(n));
        }
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert_eq!(lines, (PER_SECOND + MALFORMED_PER_SECOND) as usize, "a share of their own");
        let big = "x".repeat(50_000);
        for second in 1..60 {
            inbox.keep(at(second), || Value::from(big.as_str()));
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
        inbox.keep(at(0), || serde_json::json!({ "n": 1 }));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"whole\":1}\n{\"n\":1}\n");
        std::fs::remove_file(&path).unwrap();
        inbox.keep(at(1), || serde_json::json!({ "n": 2 }));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"n\":2}\n");
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("unmatched.jsonl"), dir.path().join("victim"));
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        Inbox::new(path.clone()).keep(at(0), || Value::from("x"));
        assert!(!victim.exists() && path.is_symlink());
    }
}
