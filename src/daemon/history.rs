//! Reads the journal for the history and writes it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::supervise::{Stop, told};
use crate::history::writer::DELAY;
use crate::history::{HistoryError, Settings, Writer};
use crate::journal::Reader;
use crate::status::Status;
use crate::time::backoff::Backoff;
use crate::time::clock::Mono;

/// What history is kept; none for none.
pub type Wanted = watch::Receiver<Option<Settings>>;

/// How often the write-ahead logs are emptied while something comes.
const TEND: Duration = Duration::from_secs(1);
/// How often it is looked what is too old.
const RETAIN: Duration = Duration::from_hours(1);
/// The first and the longest pause after an error.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];

/// How long the end may take.
const LAST: Duration = Duration::from_secs(2);

/// Why one round ended.
#[derive(Debug)]
enum Ended {
    /// The settings have changed.
    Changed,
    /// The daemon stops.
    Told,
    /// The history cannot be written.
    Failed(String),
}

/// Runs on a thread of its own, as writing blocks, until told to stop. Without `[history]` nothing wakes it up, and while nothing
/// comes it sleeps for an hour.
pub async fn run(status: Arc<Status>, mut wanted: Wanted, mut stop: Stop) {
    let mut backoff = Backoff::new(PAUSES[0], PAUSES[1]);
    loop {
        let settings = wanted.borrow_and_update().clone();
        status.history.on.store(settings.is_some(), Ordering::Relaxed);
        let Some(settings) = settings else {
            status.history.set_error(None);
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return told(&mut stop).await,
                },
                () = told(&mut stop) => return,
            }
        };
        match write(&status, settings, &mut wanted, &mut stop, &mut backoff).await {
            Ended::Changed => {}
            Ended::Told => return,
            Ended::Failed(error) => {
                if status.history.set_error(Some(error.clone())) {
                    tracing::error!(
                        "the history cannot be written: {error}; outcomes are delivered all the same, and what the journal removes meanwhile is counted as missed; check the disk and the permissions of [history] directory"
                    );
                }
                tokio::select! {
                    () = tokio::time::sleep(backoff.next_pause()) => {}
                    _ = wanted.changed() => {}
                    () = told(&mut stop) => return,
                }
            }
        }
    }
}

/// Opens the history and writes it until something changes.
async fn write(
    status: &Arc<Status>,
    settings: Settings,
    wanted: &mut Wanted,
    stop: &mut Stop,
    backoff: &mut Backoff,
) -> Ended {
    let journal = &status.shared.journal;
    let opened = Writer::open(settings, status.shared.now()).map_err(|error| error.to_string());
    let mut writer = match opened {
        Ok(writer) => writer,
        Err(error) => return Ended::Failed(error),
    };
    let from = writer.resume(|epoch, next| journal.resumes(epoch, next));
    let mut reader = journal.reader(from.unwrap_or_else(|| journal.oldest()));
    let follower = journal.follower();
    let mut due = Due::default();
    let ended = loop {
        let seen = follower.next();
        let more = match round(status, &mut writer, &mut reader, &mut due) {
            Ok(more) => more,
            Err(error) => return failed(writer, error),
        };
        if status.history.set_error(None) {
            tracing::info!("the history is written");
        }
        backoff.reset();
        let is_tended = due.tended.is_none();
        let next = async {
            if more {
                return tokio::task::yield_now().await;
            }
            tokio::select! {
                () = follower.beyond(seen) => tokio::time::sleep(DELAY).await,
                // The next round closes its file.
                () = follower.removed(reader.holds()) => {}
                () = status.shared.untold().begun() => tokio::time::sleep(DELAY).await,
                // What was written last is in the write-ahead log still.
                () = tokio::time::sleep(if is_tended { RETAIN } else { TEND }) => {}
            }
        };
        tokio::select! {
            biased;
            () = told(stop) => break Ended::Told,
            changed = wanted.changed() => {
                if changed.is_ok() { break Ended::Changed }
                told(stop).await;
                break Ended::Told;
            }
            () = next => {}
        }
    };
    // What came last, as far as it can be written soon.
    let until = status.clock.now().mono + LAST;
    loop {
        match round(status, &mut writer, &mut reader, &mut due) {
            Ok(true) if status.clock.now().mono < until => {}
            Ok(_) => break,
            Err(error) => {
                tracing::warn!("the end of the history cannot be written: {error}");
                break;
            }
        }
    }
    writer.close();
    ended
}

fn failed(writer: Writer, error: Wrong) -> Ended {
    let said = error.to_string();
    if let Wrong::History(error) = error {
        writer.fail(&error);
    }
    Ended::Failed(said)
}

/// Why a batch cannot be written.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] io::Error),
    #[error("{0}")]
    History(#[from] HistoryError),
}

/// When something was done last.
#[derive(Debug, Default)]
struct Due {
    /// The logs were emptied, and something was written since; none if they are empty.
    tended: Option<Mono>,
    /// What was too old was removed.
    retained: Option<Mono>,
}

/// Reads and writes a batch, and does what is due. Whether there is more to read.
fn round(status: &Status, writer: &mut Writer, reader: &mut Reader, due: &mut Due) -> Result<bool, Wrong> {
    let counters = &status.history;
    let now = status.shared.now();
    let mut is_full = false;
    let read = reader.read_encoded(usize::MAX, |record, payload| {
        is_full = writer.is_full();
        if !is_full {
            writer.take(&record, payload, now);
        }
        !is_full
    });
    let count = read?;
    let told = !is_full && writer.tell(status.shared.untold().take(), now);
    if count > 0 || told {
        writer.commit(now, counters)?;
    }
    if due.tended.is_some_and(|at| now.mono.since(at) >= TEND) {
        writer.tend(counters)?;
        due.tended = None;
    }
    if count > 0 || told {
        due.tended.get_or_insert(now.mono);
    }
    if due.retained.is_none_or(|at| now.mono.since(at) >= RETAIN) {
        writer.prove()?;
        writer.retain(now)?;
        writer.tend(counters)?;
        due.retained = Some(now.mono);
    }
    Ok(is_full)
}
