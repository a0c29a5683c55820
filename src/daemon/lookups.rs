//! Keeps the tables of `[[lookups]]` up to date. Each has a thread of its own, so that a slow server or a large file holds nothing
//! else up. A version that is broken changes nothing but what is reported.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::supervise::{Crew, Member, OnEnd, Stop, told};
use crate::intake::{Active, Shared};
use crate::lookup::fetch::fetch;
use crate::lookup::settings::{Definition, Source};
use crate::lookup::table::Table;
use crate::lookup::tables::{Known, Tables};
use crate::lookup::{copy, load};
use crate::settings::diagnostic::Diagnostics;
use crate::time::backoff::Backoff;
use crate::world::World;

/// The pauses after failures, if the table is not refreshed more often anyway.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The threads that read tables. They end when this is dropped.
#[derive(Debug)]
pub struct Keepers {
    _members: Vec<Member>,
    go: watch::Sender<bool>,
}

impl Keepers {
    /// Starts them. They do nothing before [`Keepers::go`].
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn start(crew: &Crew, shared: &Arc<Shared>, tables: &Tables) -> io::Result<Self> {
        let (go, may_go) = watch::channel(false);
        let members = tables.all().iter().map(|known| {
            let keeper = Keeper {
                shared: shared.clone(),
                world: crew.world(),
                definition: known.definition.clone(),
                may_go: may_go.clone(),
            };
            let name = format!("the table {}", keeper.definition.name);
            crew.thread_of_tasks(&name, OnEnd::Restart, move |stop| keeper.clone().run(stop))
        });
        Ok(Keepers { _members: members.collect::<io::Result<_>>()?, go })
    }

    /// Has them begin: their tables are in force.
    pub fn go(&self) {
        self.go.send_replace(true);
    }
}

/// Keeps one table.
#[derive(Debug, Clone)]
struct Keeper {
    shared: Arc<Shared>,
    world: World,
    definition: Arc<Definition>,
    may_go: watch::Receiver<bool>,
}

/// What is known of the version that was read last.
#[derive(Debug, Default)]
struct Seen {
    /// The file that it was in.
    file: Option<FileState>,
    /// What was wrong with it.
    error: Option<String>,
    /// The content of the table in use.
    content: Option<[u8; 32]>,
    /// Whether the copy on disk is of that.
    copied: bool,
}

/// What tells whether a file is another one: inode, length, and time of change.
type FileState = (u64, u64, i64, i64);

fn state(path: &Path) -> Option<FileState> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

impl Keeper {
    async fn run(mut self, mut stop: Stop) {
        tokio::select! {
            () = told(&mut stop) => return,
            // Where the plan is dropped, this is told to stop.
            Ok(_) = self.may_go.wait_for(|go| *go) => {}
        }
        let refresh = self.definition.refresh;
        let mut backoff = Backoff::new(FIRST_PAUSE.min(refresh), LONGEST_PAUSE.min(refresh));
        let mut seen = Seen::default();
        loop {
            let looked = tokio::select! {
                () = told(&mut stop) => return,
                looked = self.look(&mut seen) => looked,
            };
            let pause = match looked {
                Ok(()) => {
                    backoff.reset();
                    refresh
                }
                Err(error) => {
                    self.failed(&error);
                    backoff.next_pause()
                }
            };
            if tokio::time::timeout(pause, told(&mut stop)).await.is_ok() {
                return;
            }
        }
    }

    fn failed(&self, error: &str) {
        let name = &self.definition.name;
        if self.shared.lookups.failed(name, error) {
            for line in error.lines() {
                tracing::error!(table = &**name, "{line}");
            }
            tracing::error!(table = &**name, "this version is not used: the one from before stays in use");
        }
    }

    /// Takes another version, if there is one.
    async fn look(&self, seen: &mut Seen) -> Result<(), String> {
        let (definition, name) = (&*self.definition, self.definition.source.shown());
        let content = match &definition.source {
            Source::Http(http) => {
                let items = fetch(http, self.world.network.clone(), definition.max).await;
                let items =
                    items.map_err(|error| definition.place.error(error.to_string(), "").to_string())?;
                serde_json::to_vec(&items).map_err(|error| error.to_string())?
            }
            source => {
                let Some(path) = source.path() else { return Ok(()) };
                // What a database has may have changed in another file beside it.
                let file = state(path).filter(|_| !matches!(source, Source::Sqlite { .. }));
                if file.is_some() && file == seen.file {
                    return match &seen.error {
                        Some(error) => Err(error.clone()),
                        None => {
                            self.is_newest();
                            Ok(())
                        }
                    };
                }
                seen.file = file;
                load::read(definition, path).map_err(|found| seen.is_wrong(&found))?
            }
        };
        let digest: [u8; 32] = Sha256::digest(&content).into();
        if seen.content != Some(digest) {
            let (table, found) = load::parse(definition, &name, &content);
            let Some(table) = table else { return Err(seen.is_wrong(&found)) };
            if let Some(column) = lacks(&self.shared.active(), &self.definition.name, &table) {
                let mut found = Diagnostics::default();
                load::is_gone(&mut found, &name, &column);
                return Err(seen.is_wrong(&found));
            }
            for warning in found.to_text().lines() {
                tracing::warn!(table = &*definition.name, "{warning}");
            }
            let (rows, news) = (table.len(), seen.content.is_some());
            if !self.shared.set_table(&self.definition, Arc::new(table)) {
                // Another configuration is in force by now; this ends.
                return Ok(());
            }
            if news {
                tracing::info!(table = &*definition.name, rows, "another version of this table is in use");
            }
            seen.content = Some(digest);
            seen.copied = false;
            self.shared.lookups.has(&definition.name, rows, Some(self.world.clock.now().mono));
        }
        seen.error = None;
        if !seen.copied {
            self.keep(seen, &content);
        }
        self.is_newest();
        Ok(())
    }

    /// The version in use is the newest there is.
    fn is_newest(&self) {
        let tables = self.shared.tables();
        let place = tables.place(&self.definition.name);
        if let Some(table) = place.and_then(|place| tables.at(place)) {
            let now = self.world.clock.now().mono;
            self.shared.lookups.has(&self.definition.name, table.len(), Some(now));
        }
    }

    /// Keeps a good version on disk.
    fn keep(&self, seen: &mut Seen, content: &[u8]) {
        let directory = self.shared.journal.directory();
        let is_kept = copy::is(directory, &self.definition, content);
        match if is_kept { Ok(()) } else { copy::write(directory, &self.definition, content) } {
            Ok(()) => seen.copied = true,
            Err(error) => {
                // It is read again, and kept then.
                seen.file = None;
                tracing::warn!(
                    table = &*self.definition.name, %error,
                    "cannot keep the last good version of this table: a restart would begin without it; check the disk"
                );
            }
        }
    }
}

/// A column that rules, sinks or hosts use and that a version of a table does not have.
fn lacks(active: &Active, name: &str, table: &Table) -> Option<Box<str>> {
    let place = active.rules.tables().place(name);
    let of_rules = active.rules.needs().iter().filter(|(table, _)| Some(*table) == place);
    let columns = of_rules.map(|(_, column)| column.clone()).chain(active.looks.needs(name));
    let mut from = active.own_hosts.from.iter().filter(|from| *from.table == *name);
    columns
        .into_iter()
        .find(|column| table.column(column).is_none())
        .or_else(|| from.find_map(|from| from.lacks(table)).map(Box::from))
}

impl Seen {
    /// Remembers what is wrong with the version that was read.
    fn is_wrong(&mut self, found: &Diagnostics) -> String {
        let text = found.to_text().trim_end().to_owned();
        self.error = Some(text.clone());
        text
    }
}

/// Puts what a reload has loaded in force. What servers have given stays in use where the table is the same, and so does what a file
/// had that has a mistake now: its copy may be older, as where the disk is full.
pub fn replace(shared: &Shared, active: Active) {
    let (before, wanted) = (shared.tables(), active.rules.tables().clone());
    let names: Vec<Arc<str>> = wanted.all().iter().map(|known| known.definition.name.clone()).collect();
    shared.lookups.keep(&names);
    shared.replace(active);
    for known in wanted.all() {
        let same = |other: &&Known| other.definition.digest == known.definition.digest;
        let stays = known.definition.source.is_remote() || known.is_copy;
        let newest = before.all().iter().find(same).filter(|_| stays);
        let table = newest.and_then(|newest| newest.table.clone());
        let is_whole = |table: &Arc<Table>| lacks(&shared.active(), &known.definition.name, table).is_none();
        let table = table.filter(|table| !known.is_copy || is_whole(table));
        let rows = table.as_ref().or(known.table.as_ref()).map_or(0, |table| table.len());
        shared.lookups.has(&known.definition.name, rows, None);
        if let Some(table) = table {
            shared.set_table(&known.definition, table);
        }
    }
}
