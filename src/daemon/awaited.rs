//! Files of hosts that are not there when the daemon starts. The monitoring core may write them, and start later: traps do not
//! wait for that. The daemon starts without them and reads them when they come.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::supervise::{Stop, told};
use crate::config::Config;
use crate::settings::diagnostic::{Diagnostics, Severity};

/// How often is looked whether they are there. Nothing is done when none is awaited.
const EVERY: Duration = Duration::from_secs(2);

/// The files that are awaited.
#[derive(Debug, Clone, Default)]
pub struct Awaited(Arc<Mutex<BTreeSet<PathBuf>>>);

impl Awaited {
    /// Awaits all files of hosts that are not there: warnings take the place of errors.
    pub fn all(config: &mut Config, found: &mut Diagnostics) -> Self {
        Awaited(Arc::new(Mutex::new(excuse(config, found, |_| true))))
    }

    /// Has a configuration that is reloaded do without the files that are still awaited. Gives those that are not there. One that
    /// was there before stays an error.
    pub fn excuse(&self, config: &mut Config, found: &mut Diagnostics) -> BTreeSet<PathBuf> {
        let awaited = self.paths();
        excuse(config, found, |path| awaited.contains(path))
    }

    /// A configuration is in force that does without these files, and with all others.
    pub fn now_only(&self, absent: BTreeSet<PathBuf>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = absent;
    }

    fn paths(&self) -> BTreeSet<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a reload by `reload` whenever an awaited file has come, or has changed since it came and is awaited still, as a
    /// reload was refused.
    pub async fn look(self, reload: mpsc::Sender<()>, mut stop: Stop) {
        let mut seen = BTreeSet::new();
        loop {
            let awaited = self.paths();
            if awaited.is_empty() {
                // Once all have come, none is awaited again.
                return told(&mut stop).await;
            }
            let there: BTreeSet<_> = awaited.iter().filter_map(|path| state(path)).collect();
            if !there.is_subset(&seen) {
                tracing::info!("a file of hosts has come that was not there at the start");
                // One that waits already is enough.
                let _ = reload.try_send(());
            }
            seen = there;
            if tokio::time::timeout(EVERY, told(&mut stop)).await.is_ok() {
                return;
            }
        }
    }
}

/// What tells whether a file is another one.
fn state(path: &Path) -> Option<(PathBuf, u64, u64, i64, i64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((path.to_owned(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

/// Takes the absent files that `may` be absent out of a configuration, with warnings.
fn excuse(config: &mut Config, found: &mut Diagnostics, may: impl Fn(&Path) -> bool) -> BTreeSet<PathBuf> {
    let mut excused = BTreeSet::new();
    config.absent_hosts.retain(|(path, diagnostic)| {
        let excuses = may(path);
        if excuses {
            let mut warning = diagnostic.clone();
            warning.severity = Severity::Warning;
            warning.hint = Some("it is read when it is there".to_owned());
            found.push(warning);
            excused.insert(path.clone());
        }
        !excuses
    });
    excused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::loaded;

    #[tokio::test(start_paused = true)]
    async fn files_are_awaited_until_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let text =
            "[snmp]\nrelays = []\n[hosts]\nfiles = [\"a.csv\", \"b.csv\"]\nnagios_objects = \"o.cache\"\n";
        std::fs::write(path("t.toml"), text).unwrap();
        std::fs::write(path("a.csv"), "192.0.2.1,a\n").unwrap();
        let load = || loaded::config(Some(&path("t.toml"))).unwrap();
        let (mut config, mut found) = load();
        let awaited = Awaited::all(&mut config, &mut found);
        assert!(config.absent_hosts.is_empty() && !found.has_errors());
        insta::assert_snapshot!(found.to_text().replace(&dir.path().display().to_string(), "DIR"));
        let (reload, mut reloads) = mpsc::channel(1);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let look = tokio::spawn(awaited.clone().look(reload, stopped));
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(reloads.try_recv().is_err(), "nothing has come");
        std::fs::write(path("o.cache"), "half").unwrap();
        reloads.recv().await.unwrap();
        // The reload is refused.
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(reloads.try_recv().is_err(), "nothing has changed");
        std::fs::write(path("o.cache"), "longer than half").unwrap();
        reloads.recv().await.unwrap();
        let (mut config, mut found) = load();
        let absent = awaited.excuse(&mut config, &mut found);
        assert_eq!(absent, [path("b.csv")].into());
        assert!(config.absent_hosts.is_empty());
        awaited.now_only(absent);
        std::fs::remove_file(path("o.cache")).unwrap();
        let (mut config, mut found) = load();
        awaited.excuse(&mut config, &mut found);
        assert_eq!(config.absent_hosts.len(), 1, "what was there must be there");
        std::fs::write(path("b.csv"), "192.0.2.2,b\n").unwrap();
        reloads.recv().await.unwrap();
        awaited.now_only(BTreeSet::new());
        stop.send_replace(true);
        look.await.unwrap();
    }
}
