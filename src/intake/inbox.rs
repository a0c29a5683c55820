//! Unmatched messages, kept for people to write rules by: lines of JSON in a file of bounded size, with the one
//! before it beside it as `.1`. At most so many a second, so that a flood costs nothing; all are counted.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

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
    file: Option<(File, u64)>,
    second: i64,
    in_second: u32,
}

impl Inbox {
    /// An inbox in this file.
    pub fn new(path: PathBuf) -> Self {
        Inbox { path, state: Mutex::default() }
    }

    /// Keeps a message, if there is room in this second. `now` is in microseconds; `message` is called only if so.
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
        // What cannot be kept is counted all the same; an inbox is no reason to stop.
        let _ = self.write(&mut state, &format!("{}\n", message()));
    }

    fn write(&self, state: &mut State, line: &str) -> std::io::Result<()> {
        if state.file.as_ref().is_some_and(|(_, size)| *size > MAX_SIZE) {
            state.file = None;
            std::fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
        }
        if state.file.is_none() {
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            let size = file.metadata()?.len();
            state.file = Some((file, size));
        }
        if let Some((file, size)) = &mut state.file {
            file.write_all(line.as_bytes())?;
            *size += line.len() as u64;
        }
        Ok(())
    }
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
        let size = |p: &std::path::Path| std::fs::metadata(p).unwrap().len();
        assert!(
            size(&path) < MAX_SIZE + 60_000
                && size(&dir.path().join("unmatched.jsonl.1")) < MAX_SIZE + 60_000
        );
    }
}
