//! The way of lines from a source to the journal, and of where reading goes on to the disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::entry::Refused;
use super::settings::Source;
use super::store::{Mark, Store};
use crate::intake::commit::RETRY;
use crate::intake::listener::Protocol;
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::Shared;
use crate::peer::Peer;
use crate::sys::Arrival;
use crate::time::clock::Mono;
use crate::time::log_limit::Kind;

/// How often it is written where reading goes on.
const SAVING: Duration = Duration::from_secs(1);
/// How long lines wait that could not be stored.
const UNSAFE: Duration = Duration::from_secs(1);

/// What the sources of a thread share.
pub(super) type Marks = Arc<Mutex<Store>>;

/// The way of one source.
pub(super) struct Feed {
    pub(super) shared: Arc<Shared>,
    pub(super) source: Arc<Source>,
    pipeline: Pipeline,
    marks: Marks,
    stop: watch::Receiver<bool>,
    saved: Mono,
    given: u64,
}

impl Feed {
    pub(super) fn new(
        shared: Arc<Shared>,
        source: Arc<Source>,
        marks: Marks,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let pipeline = Pipeline::of_stream(shared.clone(), None);
        Feed { shared, source, pipeline, marks, stop, saved: Mono::default(), given: 0 }
    }

    /// Where reading went on at last.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).get(&self.source.name).cloned()
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.pipeline.refresh();
    }

    /// Gives a line, or the beginning of one.
    pub(super) fn line(&mut self, line: &[u8], whole: bool) {
        let arrival = Arrival { peer: Peer::Local(None), local: None };
        let now = self.shared.now();
        self.pipeline.acknowledge();
        self.given += 1;
        if whole {
            self.pipeline.message(Protocol::Syslog, line, arrival, now);
        } else {
            self.shared.oversized(arrival.peer, now.mono);
            self.pipeline.beginning(Protocol::Syslog, line, arrival, now);
        }
    }

    /// An entry, which comes behind the one at `before`, makes no line.
    pub(super) fn refused(&self, refused: &Refused, before: Option<&str>) {
        self.shared.follows.note(&self.source.name, |entry| entry.refused += 1);
        let now = self.shared.now().mono;
        if let Some(suppressed) = self.shared.limiter.allow_for(Kind::Entry, refused.why, now) {
            let place = match (&refused.cursor, before) {
                (Some(cursor), _) => {
                    format!("; see journalctl --output=json --cursor='{}'", cursor.escape_debug())
                }
                (None, Some(before)) => {
                    format!("; see journalctl --output=json --after-cursor='{}'", before.escape_debug())
                }
                (None, None) => String::new(),
            };
            tracing::warn!(
                intake = &*self.source.name,
                suppressed,
                "an entry of the journal is left out: {}{}",
                refused.why,
                place
            );
        }
    }

    /// Whether nothing more may be given before a commit.
    pub(super) fn is_full(&self) -> bool {
        self.pipeline.holds()
    }

    /// Commits what was given. Ok if all of it is safe, so that reading need not begin before it again; an error if it must, or if the
    /// daemon stops while the journal refuses it.
    pub(super) async fn commit(&mut self) -> Result<(), ()> {
        loop {
            drop(self.pipeline.commit(self.shared.now()));
            if !self.pipeline.holds() {
                break;
            }
            if *self.stop.borrow() {
                return Err(());
            }
            sleep(RETRY).await;
        }
        let given = std::mem::take(&mut self.given);
        self.shared.follows.note(&self.source.name, |entry| entry.lines += given);
        if self.pipeline.all_safe() {
            return Ok(());
        }
        sleep(UNSAFE).await;
        Err(())
    }

    /// Whether it is time to write where reading goes on.
    pub(super) fn is_due(&self) -> bool {
        self.shared.now().mono.since(self.saved) >= SAVING
    }

    /// Writes where reading goes on.
    pub(super) fn save(&mut self, mark: Mark) {
        self.saved = self.shared.now().mono;
        let put = self.marks.lock().unwrap_or_else(PoisonError::into_inner).put(&self.source.name, mark);
        if let Err(error) = put {
            self.failed(&format!("cannot write where reading goes on: {error}; check the journal directory"));
        }
    }

    /// It cannot be read, or not all of it: said once.
    pub(super) fn failed(&self, why: &str) {
        if self.shared.follows.failed(&self.source.name, why) {
            tracing::warn!(intake = &*self.source.name, "{why}");
        }
    }

    /// It is read.
    pub(super) fn works(&self) {
        self.shared.follows.note(&self.source.name, |entry| (entry.open, entry.error) = (true, None));
    }
}
