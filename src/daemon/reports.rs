//! Makes the reports of `[[reports]]` when their time comes, each once.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::net::Network;
use crate::report;
use crate::report::schedule::{Due, Every, Schedule};
use crate::sinks::settings::{Configured, SinkConfig};
use crate::sinks::sink::{Letter, Post, Posted};
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
#[derive(Debug, Clone, Default)]
pub struct Reports {
    /// The folder of the history.
    pub history: PathBuf,
    /// The reports.
    pub all: Vec<Schedule>,
    /// The sinks that send mail, by their names.
    pub sinks: BTreeMap<String, Configured>,
}

impl Reports {
    /// Those of a configuration.
    pub fn of<'s>(
        history: Option<&history::Settings>,
        all: Vec<Schedule>,
        sinks: impl Iterator<Item = &'s SinkConfig>,
    ) -> Self {
        let Some(history) = history else { return Reports::default() };
        let mailers = sinks.filter(|sink| sink.sink.post().is_some());
        let sinks = mailers.map(|sink| (sink.name.clone(), sink.sink.clone())).collect();
        Reports { history: history.directory.clone(), all, sinks }
    }
}

/// When the last report of each was due, in microseconds since 1970 UTC, by its key.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done(BTreeMap<String, i64>);

/// Mails that not all recipients have yet: for whom a report is settled, by its key and when it was due.
struct Outbox {
    network: Arc<dyn Network>,
    settled: BTreeMap<(String, i64), BTreeSet<String>>,
}

/// Runs on a thread of its own, as making a report blocks, until told to stop. Without reports nothing wakes it up.
pub async fn run(
    status: Arc<Status>,
    mut wanted: watch::Receiver<Reports>,
    network: Arc<dyn Network>,
    mut stop: Stop,
) {
    let mut outbox = Outbox { network, settled: BTreeMap::new() };
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
        let looked = tokio::select! {
            biased;
            () = told(&mut stop) => return,
            looked = look(&directory, &reports, now, (&mut done, &mut outbox), &is_over) => looked,
        };
        let pause = match looked {
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
async fn look(
    directory: &Path,
    reports: &Reports,
    now: i64,
    (done, outbox): (&mut Done, &mut Outbox),
    is_over: &IsOver,
) -> Result<Option<i64>, String> {
    let mut failed = None;
    for schedule in &reports.all {
        let Some(due) = schedule.last(now) else { continue };
        let key = schedule.key();
        match done.0.get(&key) {
            // A clock that was put back makes nothing again.
            Some(last) if *last >= due.at => continue,
            Some(_) => match make(reports, schedule, &due, now, (outbox, is_over)).await {
                Ok(()) => tracing::info!("report {}", schedule.file(&due)),
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
async fn make(
    reports: &Reports,
    schedule: &Schedule,
    due: &Due,
    now: i64,
    (outbox, is_over): (&mut Outbox, &IsOver),
) -> Result<(), String> {
    let history = &reports.history;
    let folder = search::folder(history).map_err(|error| error.to_string())?;
    let folder = folder.ok_or_else(|| format!("there is no history in {}", history.display()))?;
    let made =
        report::gather(&folder, due.range, now, Some(is_over.clone())).map_err(|error| error.to_string())?;
    if made.account.is_cut {
        return Err("the daemon stops".to_owned());
    }
    let text = schedule.form.write(&made);
    if let Some(path) = &schedule.folder {
        Folder::open(path)
            .and_then(|folder| folder.replace(&schedule.file(due), |file| file.write_all(text.as_bytes())))
            .map_err(|error| error.to_string())?;
    }
    let Some(mail) = &schedule.mail else { return Ok(()) };
    let sink = reports.sinks.get(&mail.sink).and_then(|sink| sink.post());
    let post = sink.ok_or_else(|| format!("there is no email sink '{}'", mail.sink))?;
    outbox.send(post, &mail.to, letter(schedule, due, &made, text), (schedule.key(), due.at)).await
}

/// A report as a letter.
fn letter(schedule: &Schedule, due: &Due, made: &report::Report, content: String) -> Letter {
    let of = match schedule.every {
        Every::Day => format!("{}", due.date),
        Every::Week => format!("the week of {}", due.date),
        Every::Month => format!("the month of {}", due.date),
    };
    let not_ok = made.problems.len();
    let text = format!(
        "Trapline, {of}: {} outcomes, {} changes of state; {not_ok} hosts and services are not ok now.\n\nThe report is attached.\n",
        made.outcomes(),
        made.changes(),
    );
    Letter {
        subject: format!("Trapline report of {of}: {} outcomes, {not_ok} not ok", made.outcomes()),
        text,
        file: schedule.file(due),
        kind: schedule.form.kind(),
        content,
        time: due.at,
        id: format!("report {} {}", schedule.key(), due.at),
    }
}

impl Outbox {
    /// Sends a letter to those for whom it is not settled. Whom the server refuses for good is said, and gets none.
    async fn send(
        &mut self,
        post: &dyn Post,
        to: &[String],
        letter: Letter,
        key: (String, i64),
    ) -> Result<(), String> {
        let all = if to.is_empty() { post.recipients() } else { to };
        let settled = self.settled.entry(key.clone()).or_default();
        let open: Vec<String> = all.iter().filter(|to| !settled.contains(*to)).cloned().collect();
        let posted =
            post.post(&letter, &open, self.network.clone()).await.map_err(|error| error.to_string())?;
        let mut later = Vec::new();
        for (to, posted) in open.iter().zip(posted) {
            match posted {
                Posted::Taken => drop(settled.insert(to.clone())),
                Posted::Dead(said) => {
                    tracing::error!("{to} does not get the report {}: {said}", letter.file);
                    settled.insert(to.clone());
                }
                Posted::Later(said) => later.push(format!("not for {to} yet: {said}")),
            }
        }
        if !later.is_empty() {
            return Err(later.join("; "));
        }
        self.settled.remove(&key);
        Ok(())
    }
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

    use futures_util::FutureExt as _;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::history::{Settings, Writer, settings};
    use crate::report::schedule::{Every, Form};
    use crate::time::clock::{Mono, Now, Wall};
    use crate::world::World;

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
            folder: Some(dir.path().join("reports")),
            name: "day-{{ date }}.json".to_owned(),
            mail: None,
        };
        let reports =
            Reports { history: history.directory.clone(), all: vec![daily], sinks: BTreeMap::new() };
        let is_over: IsOver = Arc::new(|| false);
        let look = |done: &mut Done, hours: i64| {
            let mut outbox = Outbox { network: World::default().network, settled: BTreeMap::new() };
            let looked = look(dir.path(), &reports, START + hours * HOUR, (done, &mut outbox), &is_over);
            looked.now_or_never().unwrap()
        };
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
