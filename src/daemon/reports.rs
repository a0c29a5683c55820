//! Makes the reports of `[[reports]]` when their time comes, each once.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::supervise::{Stop, told};
use crate::files::Folder;
use crate::history;
use crate::history::search::{self, IsOver};
use crate::report;
use crate::report::schedule::{Due, Schedule};
use crate::status::Status;

/// The file of the state directory: when the last report of each was due.
const FILE: &str = "reports.json";
/// The largest file that is read, in octets.
const LARGEST: u64 = 1 << 20;
/// How long it sleeps at most: the wall clock may be set meanwhile.
const LOOK: Duration = Duration::from_mins(10);
/// How long it waits after one that could not be made.
const AGAIN: Duration = Duration::from_mins(1);

/// What reports are made of, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports {
    /// The folder of the history.
    pub history: PathBuf,
    /// The reports.
    pub all: Vec<Schedule>,
}

impl Reports {
    /// Those of a configuration.
    pub fn of(history: Option<&history::Settings>, all: Vec<Schedule>) -> Self {
        history.map_or_else(Reports::default, |history| Reports { history: history.directory.clone(), all })
    }
}

/// When the last report of each was due, in microseconds since 1970 UTC, by its key.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done(BTreeMap<String, i64>);

/// Runs on a thread of its own, as making a report blocks, until told to stop. Without reports nothing wakes it up.
pub async fn run(status: Arc<Status>, mut wanted: watch::Receiver<Reports>, mut stop: Stop) {
    let directory = status.shared.journal.directory().to_owned();
    let mut done = read(&directory).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot read {FILE}: reports go on with the next time of each");
        Done::default()
    });
    let mut said = false;
    loop {
        let reports = wanted.borrow_and_update().clone();
        let now = status.clock.now().wall.micros();
        let told_to_stop = stop.clone();
        let is_over: IsOver = Arc::new(move || *told_to_stop.borrow());
        let pause = match look(&directory, &reports, now, &mut done, &is_over) {
            Ok(next) => {
                said = false;
                let wait = next.map(|next| Duration::from_micros(u64::try_from(next - now).unwrap_or(0)));
                wait.map(|wait| wait.min(LOOK))
            }
            Err(error) => {
                if !is_over() && !said {
                    tracing::error!("a report cannot be made: {error}; it is tried again each minute");
                    said = true;
                }
                Some(AGAIN)
            }
        };
        let sleep = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = told(&mut stop) => return,
            changed = wanted.changed() => if changed.is_err() { return told(&mut stop).await },
            () = sleep => {}
        }
    }
}

/// Makes what is due. When the next one is due; none if there are no reports.
fn look(
    directory: &Path,
    reports: &Reports,
    now: i64,
    done: &mut Done,
    is_over: &IsOver,
) -> Result<Option<i64>, String> {
    let mut failed = None;
    for schedule in &reports.all {
        let Some(due) = schedule.last(now) else { continue };
        let key = schedule.key();
        match done.0.get(&key) {
            // A clock that was put back makes nothing again.
            Some(last) if *last >= due.at => continue,
            Some(_) => match make(&reports.history, schedule, &due, now, is_over) {
                Ok(()) => tracing::info!("report {}", schedule.folder.join(schedule.file(&due)).display()),
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            },
            // It is new: the first one is the next.
            None => {}
        }
        done.0.insert(key, due.at);
        keep(directory, done).map_err(|error| format!("cannot write {FILE}: {error}"))?;
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(reports.all.iter().filter_map(|schedule| schedule.next(now)).map(|due| due.at).min()),
    }
}

/// Makes a report and puts it in the place of a file of its name.
fn make(history: &Path, schedule: &Schedule, due: &Due, now: i64, is_over: &IsOver) -> Result<(), String> {
    let folder = search::folder(history).map_err(|error| error.to_string())?;
    let folder = folder.ok_or_else(|| format!("there is no history in {}", history.display()))?;
    let made =
        report::gather(&folder, due.range, now, Some(is_over.clone())).map_err(|error| error.to_string())?;
    if made.account.is_cut {
        return Err("the daemon stops".to_owned());
    }
    let text = schedule.form.write(&made);
    Folder::open(&schedule.folder)
        .and_then(|folder| folder.replace(&schedule.file(due), |file| file.write_all(text.as_bytes())))
        .map_err(|error| error.to_string())
}

fn read(directory: &Path) -> io::Result<Done> {
    match Folder::existing(directory).and_then(|folder| folder.read(FILE, LARGEST)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Done::default()),
        Err(error) => Err(error),
    }
}

fn keep(directory: &Path, done: &Done) -> io::Result<()> {
    let folder = Folder::existing(directory)?;
    folder.replace(FILE, |file| serde_json::to_writer(file, done).map_err(io::Error::from))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::history::{Settings, Writer, settings};
    use crate::report::schedule::{Every, Form};
    use crate::time::clock::{Mono, Now, Wall};

    const HOUR: i64 = 3_600_000_000;
    /// Noon.
    const START: i64 = 1_795_694_400_000_000;

    #[test]
    fn each_report_is_made_once_also_over_restarts_and_what_was_missed_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let history = Settings { max_size: settings::MIN_SIZE, ..Settings::default_in(dir.path()) };
        let now = Now { wall: Wall::from_micros(START), mono: Mono::from_nanos(1) };
        let daily = Schedule {
            every: Every::Day,
            at: "06:00".parse().unwrap(),
            zone: TimeZone::UTC,
            form: Form::Json,
            folder: dir.path().join("reports"),
            name: "day-{{ date }}.json".to_owned(),
        };
        let reports = Reports { history: history.directory.clone(), all: vec![daily] };
        let is_over: IsOver = Arc::new(|| false);
        let look =
            |done: &mut Done, hours: i64| look(dir.path(), &reports, START + hours * HOUR, done, &is_over);
        let files = || {
            let folder = std::fs::read_dir(dir.path().join("reports"));
            let mut names: Vec<_> = folder.map_or(Vec::new(), |all| {
                all.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
            });
            names.sort();
            names
        };
        let mut done = read(dir.path()).unwrap();
        // What is new begins with the next time, even if its last one has passed.
        assert_eq!(look(&mut done, 0), Ok(Some(START + 18 * HOUR)));
        assert!(files().is_empty());
        // Without a history it is tried again, and nothing is forgotten.
        assert!(look(&mut done, 18).unwrap_err().contains("there is no history"));
        Writer::open(history, now).unwrap().close();
        assert_eq!(look(&mut done, 18), Ok(Some(START + 42 * HOUR)));
        assert_eq!(files(), ["day-2026-11-26.json"]);
        let path = dir.path().join("reports/day-2026-11-26.json");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(path).unwrap();
        // A restart, also with a clock that was put back, makes nothing twice.
        let mut done = read(dir.path()).unwrap();
        assert_eq!(look(&mut done, 19), Ok(Some(START + 42 * HOUR)));
        assert_eq!(look(&mut done, -30), Ok(Some(START - 30 * HOUR + 24 * HOUR)));
        assert!(files().is_empty());
        // Three times were missed: the last one is made, once.
        assert_eq!(look(&mut done, 18 + 72), Ok(Some(START + 114 * HOUR)));
        assert_eq!(files(), ["day-2026-11-29.json"]);
    }
}
