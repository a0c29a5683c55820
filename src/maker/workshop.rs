//! What is in force, as far as rules are tried against it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::import::mib::Comments;
use crate::mib::Mib;
use crate::mib::load::{Held, cache, module_files};
use crate::rules::compile::{RuleFile, is_shipped};
use crate::settings::input;
use crate::sinks::settings::SinkConfig;

/// What a reload has put in force.
#[derive(Debug, Default)]
pub struct Workshop {
    /// The rule files, in their order.
    pub files: Arc<[RuleFile]>,
    /// The path of the console's file, whether it is there or not.
    pub console: Arc<str>,
    /// The sinks.
    pub sinks: Arc<[SinkConfig]>,
    /// `[mibs] paths`
    pub mib_paths: Vec<PathBuf>,
    /// Where the index of the MIBs is kept.
    pub mib_index: PathBuf,
    /// The names with all texts, while somebody uses them: they can be large.
    pub full: Mutex<Weak<Mib>>,
}

impl Workshop {
    /// The names with all that modules say of notifications: a daemon keeps only what rules need. The names of the daemon where that
    /// would take long. Blocks.
    pub fn names(&self, of_daemon: &Arc<Mib>) -> Arc<Mib> {
        if !cache::is_ready(&self.mib_paths, &self.mib_index) {
            return of_daemon.clone();
        }
        // Those who need them at the same time wait for one to read them.
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = full.upgrade() {
            return names;
        }
        let names = cache::load(&self.mib_paths, Some(&self.mib_index), &Held::default(), &|_| {}).0.mib;
        *full = Arc::downgrade(&names);
        names
    }

    /// What the vendor says in the module of a notification, in a file of the module's name. Blocks.
    pub fn comments(&self, module: &str) -> Comments {
        let mut all = Comments::default();
        let is_of = |path: &Path| {
            path.file_stem()
                .and_then(|stem| stem.to_str())
                .is_some_and(|stem| stem.eq_ignore_ascii_case(module))
        };
        for file in module_files(&self.mib_paths).files.iter().filter(|file| is_of(&file.path)) {
            if let Ok(bytes) = input::bytes(&file.path, input::DATA) {
                all.read(&String::from_utf8_lossy(&bytes));
            }
        }
        all
    }

    /// The rule files as they would be with other rules of the console.
    pub fn files_with(&self, console: &str) -> Vec<RuleFile> {
        let new = RuleFile { name: self.console.clone(), text: console.into() };
        with_console(&self.files, new)
    }
}

/// Files with another one in the place of the console's.
fn with_console(files: &[RuleFile], new: RuleFile) -> Vec<RuleFile> {
    let mut all: Vec<RuleFile> = files.iter().filter(|file| file.name != new.name).cloned().collect();
    let place = files.iter().position(|file| file.name == new.name);
    let place = place.unwrap_or_else(|| first_shipped(&all));
    all.insert(place.min(all.len()), new);
    all
}

/// The place of the first shipped file.
pub fn first_shipped(files: &[RuleFile]) -> usize {
    files.iter().position(|file| is_shipped(&file.name)).unwrap_or(files.len())
}
