//! Sinks: each delivers the outcomes of the journal to one place, at its own pace, with its own cursor.
//!
//! To add one: a file here that implements [`Sink`], a variant of [`crate::config::SinkKind`] and of the match in
//! [`start`], a page in `docs/sinks/`, an end-to-end test.

pub mod amqp;
pub mod backoff;
pub mod canopsis;
pub mod file;
pub mod filter;
pub mod json;
pub mod nagios;
pub mod template;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backoff::Backoff;
use filter::Filter;
use tokio::sync::watch;

use crate::config::{NagiosMethod, SinkConfig, SinkKind};
use crate::journal::{Cursor, Journal, Record};

/// How many records are given to a sink before it is asked to send them.
const BATCH: usize = 512;
/// How often a sink is asked what has been taken, while nothing new comes.
const SETTLE: Duration = Duration::from_millis(20);

/// Where outcomes go.
pub trait Sink: Send {
    /// Adds a record to what [`Sink::flush`] is to send. Says what became of it.
    fn push(&mut self, record: &Record<'_>) -> Pushed;

    /// Sends what was pushed, as far as the far end takes it now. Returns what it has taken for good.
    ///
    /// # Errors
    ///
    /// If something of it may be lost: all that was not taken is pushed again after [`Sink::reset`].
    fn flush(&mut self) -> impl Future<Output = Result<Taken, SinkError>> + Send;

    /// Forgets what was pushed and not taken.
    fn reset(&mut self);
}

/// What became of a pushed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It will be sent.
    Queued,
    /// It will be sent, but not whole: it was too long for the far end.
    Cut,
    /// It is not of a kind that the far end knows.
    Skipped,
}

/// How far the far end has taken what was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All of it.
    All,
    /// Everything before this sequence number.
    Before(u64),
}

/// Why a sink could not deliver.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The far end is not there.
    #[error("{what}: {error}; {hint}")]
    Unavailable {
        /// What was tried.
        what: String,
        /// What the system or the library says.
        error: String,
        /// What to do.
        hint: &'static str,
    },
    /// The far end did not take some outcomes.
    #[error("{0}; they are sent again")]
    NotTaken(String),
    /// The journal cannot be read.
    #[error("cannot read the journal: {0}; check the disk")]
    Journal(#[from] std::io::Error),
}

impl SinkError {
    /// The far end is not there.
    pub fn unavailable(what: impl Into<String>, error: impl ToString, hint: &'static str) -> Self {
        SinkError::Unavailable { what: what.into(), error: error.to_string(), hint }
    }
}

/// What is counted of a sink.
#[derive(Debug, Default)]
pub struct SinkStats {
    /// Outcomes that the far end has taken.
    pub delivered: AtomicU64,
    /// Outcomes that its `only` kept out, or whose kind it does not know.
    pub skipped: AtomicU64,
    /// Outcomes that were cut to fit.
    pub cut: AtomicU64,
    /// Times that delivery failed.
    pub failures: AtomicU64,
    /// Why delivery failed last, while it fails.
    pub error: Mutex<Option<String>>,
}

/// A running sink.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// What is counted.
    pub stats: Arc<SinkStats>,
    /// How far it is.
    pub cursor: Arc<Cursor>,
}

/// Starts a sink as a task of its own; it ends when `stop` turns true.
///
/// # Errors
///
/// If its cursor cannot be used.
pub fn start(
    config: &SinkConfig,
    journal: &Arc<Journal>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<(Running, tokio::task::JoinHandle<()>)> {
    let cursor = journal.register(&config.name)?;
    let running = Running { name: config.name.clone(), stats: Arc::default(), cursor };
    let delivery = Delivery {
        running: running.clone(),
        journal: journal.clone(),
        only: config.only.clone(),
        skipped: VecDeque::new(),
        stop,
    };
    let task = match &config.kind {
        SinkKind::Nagios(nagios) => match &nagios.method {
            NagiosMethod::Pipe(path) => tokio::spawn(delivery.run(nagios::pipe::Pipe::new(path.clone()))),
            NagiosMethod::Spool(path) => tokio::spawn(delivery.run(nagios::spool::Spool::new(path.clone()))),
        },
        SinkKind::Canopsis(canopsis) => tokio::spawn(delivery.run(canopsis::sink(canopsis))),
        SinkKind::Amqp(amqp) => tokio::spawn(delivery.run(amqp::sink(amqp))),
        SinkKind::File(file) => tokio::spawn(delivery.run(file::JsonLines::new(file.path.clone()))),
    };
    Ok((running, task))
}

/// The delivery loop, one for all sinks.
struct Delivery {
    running: Running,
    journal: Arc<Journal>,
    only: Option<Filter>,
    /// Sequence numbers that were skipped and that the cursor has not passed yet.
    skipped: VecDeque<u64>,
    stop: watch::Receiver<bool>,
}

impl Delivery {
    async fn run<S: Sink>(mut self, mut sink: S) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        while !*self.stop.borrow() {
            match self.deliver(&mut sink, &mut backoff).await {
                Ok(()) => return,
                Err(error) => {
                    self.failed(&error);
                    sink.reset();
                    self.skipped.clear();
                    let pause = backoff.next_pause();
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = self.stop.changed() => {}
                    }
                }
            }
        }
    }

    /// Delivers until told to stop, or until something fails.
    async fn deliver<S: Sink>(&mut self, sink: &mut S, backoff: &mut Backoff) -> Result<(), SinkError> {
        let mut appended = self.journal.watch();
        let mut reader = self.journal.reader(self.running.cursor.position());
        let mut clean_at = reader.position();
        loop {
            let read = reader.read(BATCH, |record| {
                self.push(sink, &record);
                true
            })?;
            let waiting = reader.position() > self.running.cursor.position();
            if read > 0 || waiting {
                let taken = match sink.flush().await? {
                    Taken::All => reader.position(),
                    Taken::Before(sequence) => sequence,
                };
                if taken > self.running.cursor.position() {
                    self.succeeded(taken);
                    backoff.reset();
                }
                if taken > clean_at + 65_536 {
                    self.journal.clean();
                    clean_at = taken;
                }
            }
            if read > 0 {
                continue;
            }
            let waiting = reader.position() > self.running.cursor.position();
            if *self.stop.borrow() {
                return Ok(());
            }
            tokio::select! {
                changed = appended.changed() => if changed.is_err() { return Ok(()) },
                _ = self.stop.changed() => {}
                () = tokio::time::sleep(SETTLE), if waiting => {}
            }
        }
    }

    fn push<S: Sink>(&mut self, sink: &mut S, record: &Record<'_>) {
        let takes = self.only.as_ref().is_none_or(|only| only.takes(record));
        match if takes { sink.push(record) } else { Pushed::Skipped } {
            Pushed::Queued => {}
            Pushed::Cut => {
                self.running.stats.cut.fetch_add(1, Ordering::Relaxed);
            }
            Pushed::Skipped => self.skipped.push_back(record.sequence),
        }
    }

    fn succeeded(&mut self, taken: u64) {
        let stats = &self.running.stats;
        let passed = taken.saturating_sub(self.running.cursor.position());
        let skipped = self.skipped.iter().take_while(|sequence| **sequence < taken).count();
        self.skipped.drain(..skipped);
        stats.skipped.fetch_add(skipped as u64, Ordering::Relaxed);
        stats.delivered.fetch_add(passed.saturating_sub(skipped as u64), Ordering::Relaxed);
        if let Err(error) = self.running.cursor.advance(taken) {
            tracing::error!(sink = self.running.name, %error, "cannot write the cursor; after a restart outcomes will be delivered again");
        }
        let mut last = stats.error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.take().is_some() {
            tracing::info!(sink = self.running.name, "delivering again");
        }
    }

    fn failed(&self, error: &SinkError) {
        let stats = &self.running.stats;
        stats.failures.fetch_add(1, Ordering::Relaxed);
        let text = error.to_string();
        let mut last = stats.error.lock().unwrap_or_else(PoisonError::into_inner);
        // The same trouble is said once, not at every try.
        if last.as_deref() != Some(text.as_str()) {
            let behind = self.journal.next().saturating_sub(self.running.cursor.position());
            tracing::warn!(sink = self.running.name, behind, "cannot deliver, trying again: {text}");
            *last = Some(text);
        }
    }
}
