//! A table of `[[lookups]]` whose file is replaced, by good versions and by broken ones: what is made at once is made with one version,
//! a broken one is never used, and a good one soon.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trapline::lookup::{load, settings, tables};
use trapline::settings::diagnostic::{Diagnostics, SourceText};
use trapline::settings::section::{self, Section};

use crate::node::STATE;
use crate::world::World;

/// Behind the version of the rules in each output.
pub const LOOKS: &str = " table {{ lookup('site', 'all').v or 'none' }}";
/// How long a version that is there may take to be used; it is looked for each second.
const SOON: Duration = Duration::from_secs(5);

/// The file, and what is known of its versions.
#[derive(Debug)]
pub struct Tables {
    directory: tempfile::TempDir,
    version: Cell<u64>,
    good: RefCell<BTreeSet<u64>>,
    /// Whether the file has the last good version.
    is_good: Cell<bool>,
    /// Since when the file is as it is, or the daemon runs.
    since: Cell<Duration>,
    /// No older version is used any more.
    floor: Cell<u64>,
    in_batch: Cell<bool>,
    of_batch: Cell<Option<u64>>,
    /// Whether the disk may have lost the copy of the last good version.
    doubt: Cell<bool>,
}

impl Tables {
    /// A file with its first version.
    pub fn new() -> Self {
        let tables = Tables {
            directory: tempfile::tempdir().unwrap(),
            version: Cell::new(0),
            good: RefCell::default(),
            is_good: Cell::new(true),
            since: Cell::default(),
            floor: Cell::new(0),
            in_batch: Cell::new(false),
            of_batch: Cell::new(None),
            doubt: Cell::new(false),
        };
        tables.replace(Duration::ZERO, None);
        tables
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("sites.csv")
    }

    /// The tables as a start or a reload reads them.
    pub fn begin(&self) -> tables::Tables {
        let text = format!(
            "[[lookups]]\nname = \"site\"\ncsv = \"{}\"\nkey = \"name\"\nrefresh = \"1s\"\n",
            self.path().display()
        );
        let source = SourceText { file: "trapline.toml", text: &text };
        let mut found = Diagnostics::default();
        let root = section::read(&source, &mut found).unwrap();
        let root = Section::new(&source, root.get_ref(), root.span(), "the configuration");
        let definitions = settings::read(&root, &|path| PathBuf::from(path), &mut found);
        assert!(!found.has_errors(), "{}", found.to_text());
        load::begin(&definitions, Path::new(STATE)).tables
    }

    /// The next version comes; one that is broken in some way, or a good one.
    fn replace(&self, now: Duration, broken: Option<u64>) {
        let version = self.version.get() + 1;
        self.version.set(version);
        self.since.set(now);
        self.is_good.set(broken.is_none());
        if broken.is_none() {
            self.good.borrow_mut().insert(version);
        }
        // Each is of another length, as times of files may be the same.
        let note = "x".repeat(version as usize);
        let content = match broken {
            None => format!("name,v,note\nall,{version},{note}\n").into_bytes(),
            Some(0) => format!("name,v,note\nall,\"{version},{note}\n").into_bytes(),
            Some(1) => format!("v,note\n{version},{note}\n").into_bytes(),
            Some(2) => [format!("name,v,note\nall,{version},{note}").as_bytes(), b"\xff\xfe\n"].concat(),
            Some(_) => {
                let _ = std::fs::remove_file(self.path());
                return;
            }
        };
        let new = self.directory.path().join(format!("new{version}"));
        std::fs::write(&new, content).unwrap();
        std::fs::rename(&new, self.path()).unwrap();
    }
}

/// Somebody replaces the file.
pub fn change(world: &World) {
    let Some(tables) = &world.tables else { return };
    let broken = world.random.once_in(2).then(|| world.random.below(4));
    tables.replace(world.history.now(), broken);
    world.history.say(&format!("version {} of the table, broken {broken:?}", tables.version.get()));
}

/// The daemon starts, or has died: an older copy may be the newest there is.
pub fn doubt(world: &World, disk: bool) {
    if let Some(tables) = &world.tables {
        tables.since.set(world.history.now());
        tables.floor.set(0);
        tables.doubt.set(tables.doubt.get() || disk);
    }
}

/// A batch of datagrams begins or ends.
pub fn batch(world: &World, begins: bool) {
    if let Some(tables) = &world.tables {
        tables.in_batch.set(begins);
        tables.of_batch.set(None);
    }
}

/// The journal has an outcome of a rule.
pub fn journaled(world: &World, rule: &str, output: &str) {
    // What rules with a state say may have been made before.
    let Some(tables) = world.tables.as_ref().filter(|tables| tables.in_batch.get()) else { return };
    if !(rule.starts_with("trap-") || rule.starts_with("line-")) {
        return;
    }
    let word = output.split(" table ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let used = if word == "none" { 0 } else { word.parse().unwrap_or(u64::MAX) };
    let found = |what: &str| world.history.found(&format!("the table in '{output}' {what}"));
    if let Some(other) = tables.of_batch.replace(Some(used)).filter(|other| *other != used) {
        found(&format!("is not version {other} as in the rest of the batch"));
    }
    if used == 0 && tables.doubt.get() {
        return;
    }
    if !tables.good.borrow().contains(&used) {
        found("is no good version");
    }
    if used < tables.floor.get() {
        found(&format!("is older than version {}, which was used", tables.floor.get()));
    }
    tables.floor.set(tables.floor.get().max(used));
    let waited = world.history.now().saturating_sub(tables.since.get());
    let newest = tables.version.get();
    if tables.is_good.get() && used != newest && waited > SOON {
        found(&format!("is not version {newest}, which is there for {waited:?}"));
    }
}
