//! The inbox that listeners share, and its file.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::groups::{Group, Groups, Key, Sample};
use crate::files::Folder;
use crate::time::clock::Now;

/// The name of its file in the state directory: a group a line, in JSON.
pub const FILE: &str = "inbox.jsonl";
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// How long changes wait before they are written.
pub const DELAY: Duration = Duration::from_secs(5);

/// The inbox.
#[derive(Debug)]
pub struct Inbox {
    directory: PathBuf,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    groups: Groups,
    /// Whether the file was read.
    loaded: bool,
    /// Whether anything changed since it was written.
    changed: bool,
    /// Whether the log has said that it cannot be written.
    said: bool,
}

impl Inbox {
    /// The inbox of a state directory. Its file is read when the first message comes.
    pub fn new(directory: &Path) -> Self {
        Inbox { directory: directory.to_owned(), state: Mutex::default(), changed: Notify::new() }
    }

    /// Counts a message, and keeps it if its group has few or old ones. `sample` is called only if it is kept.
    pub fn add(&self, key: Key, from: IpAddr, now: Now, sample: impl FnOnce() -> Sample) {
        let mut state = self.lock();
        state.groups.add(key, from, now, sample);
        self.note(&mut state);
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.lock().groups.len()
    }

    /// Copies of all groups, the one with the newest message first.
    pub fn groups(&self) -> Vec<Group> {
        self.lock().groups.newest_first().into_iter().cloned().collect()
    }

    /// Forgets groups by their numbers, or all if none is named. Returns how many there were.
    pub fn forget(&self, ids: &[u64]) -> usize {
        let mut state = self.lock();
        self.note(&mut state);
        match ids {
            [] => state.groups.forget_all(),
            ids => ids.iter().filter(|id| state.groups.forget(**id)).count(),
        }
    }

    fn note(&self, state: &mut State) {
        if !std::mem::replace(&mut state.changed, true) {
            self.changed.notify_one();
        }
    }

    /// Waits for a change since the last [`Inbox::save`].
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Writes what has changed. What cannot be written is written with the next change; the log says so once.
    pub fn save(&self) {
        let groups: Vec<Group> = {
            let mut state = self.lock();
            if !std::mem::take(&mut state.changed) {
                return;
            }
            state.groups.newest_first().into_iter().cloned().collect()
        };
        // Not under the lock: listeners do not wait for the disk.
        let result = write(&self.directory, &groups);
        let mut state = self.lock();
        match result {
            Ok(()) => state.said = false,
            Err(error) => {
                self.note(&mut state);
                if !std::mem::replace(&mut state.said, true) {
                    tracing::warn!(%error, "cannot write unmatched messages to {FILE}; a restart forgets them; check the disk");
                }
            }
        }
    }

    /// The state; the file of the run before is read first.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.loaded, true) {
            match read(&self.directory) {
                Ok(groups) => state.groups = Groups::from_groups(groups),
                Err(error) => tracing::warn!(%error, "cannot read unmatched messages of earlier runs"),
            }
        }
        state
    }
}

/// The groups in the file of a state directory: none if there is no file. Lines that are no groups are left out.
///
/// # Errors
///
/// If the file is there and cannot be read.
pub fn read(directory: &Path) -> io::Result<Vec<Group>> {
    let bytes = Folder::existing(directory).and_then(|folder| folder.read(FILE, MAX_FILE));
    match bytes {
        Ok(bytes) => {
            Ok(bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Replaces the file of a state directory.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(directory: &Path, groups: &[Group]) -> io::Result<()> {
    Folder::existing(directory)?.replace(FILE, |file| {
        for group in groups {
            serde_json::to_writer(&mut *file, group)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::inbox::Raw;
    use crate::time::clock::{Mono, Wall};

    fn add(inbox: &Inbox, oid: &str) {
        let (from, now) =
            (Ipv4Addr::LOCALHOST.into(), Now { wall: Wall::from_micros(5), mono: Mono::from_nanos(5) });
        let sample = || Sample { received: 5, from, user: None, cut: false, raw: Raw::Packet("30".into()) };
        inbox.add(Key::Trap(oid.into()), from, now, sample);
    }

    fn shown(groups: &[Group]) -> serde_json::Value {
        serde_json::to_value(groups).unwrap()
    }

    fn written(directory: &Path) -> serde_json::Value {
        shown(&read(directory).unwrap())
    }

    #[test]
    fn a_restart_forgets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = Inbox::new(dir.path());
        add(&inbox, "1.3");
        add(&inbox, "1.3");
        inbox.save();
        assert_eq!(written(dir.path()), shown(&inbox.groups()));
        let again = Inbox::new(dir.path());
        add(&again, "1.3");
        add(&again, "1.4");
        let groups = again.groups();
        let counts: Vec<_> =
            groups.iter().map(|group| (group.id, group.count, group.samples.len())).collect();
        assert_eq!(counts, [(2, 1, 1), (1, 3, 3)]);
        assert_eq!((again.forget(&[2, 7]), again.forget(&[])), (1, 1));
        again.save();
        assert!(read(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn damaged_lines_are_left_out_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = Inbox::new(dir.path());
        add(&inbox, "1.3");
        inbox.save();
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{{\"id\":\n{text}nonsense\n{}", &text[..20])).unwrap();
        assert_eq!(written(dir.path()), shown(&inbox.groups()));
        std::fs::remove_file(&path).unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(read(dir.path()).is_err());
        add(&inbox, "1.4");
        inbox.save();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_change_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = Inbox::new(dir.path());
        add(&inbox, "1.3");
        add(&inbox, "1.4");
        inbox.changed().await;
        inbox.save();
        let nothing = tokio::time::timeout(Duration::from_millis(1), inbox.changed()).await;
        assert!(nothing.is_err());
    }
}
