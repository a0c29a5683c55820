//! Sinks: each delivers the outcomes of the journal to one place, at its own pace, with its own cursor.
//!
//! To add one: a file here that implements [`Sink`], a variant of [`crate::config::SinkKind`] and of the match in
//! [`deliver`], a page in `docs/sinks/`, an end-to-end test.

pub mod amqp;
pub mod canopsis;
pub mod dead;
mod delivery;
pub mod file;
pub mod filter;
pub mod http;
pub mod machine;
pub mod nagios;
pub mod nsca;
mod queue;
pub mod settings;
pub mod sink;
pub mod stats;
pub mod template;
mod tracker;

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::time::rate::Rate;
use dead::{Dead, DeadLetters};
use delivery::Delivery;
use http::Web;
pub use stats::SinkStats;

use crate::journal::{Cursor, Journal};
use crate::outcome::record::Record;
use settings::{NagiosMethod, SinkConfig, SinkKind};

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

    /// What the far end will never take, since this was last asked. Such outcomes count as taken.
    fn dead(&mut self) -> Vec<Dead> {
        Vec::new()
    }
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
    /// The far end asks for a pause.
    #[error("{what}; waiting {} s, as it asks", after.as_secs())]
    Busy {
        /// What it answered.
        what: String,
        /// How long it asks to wait.
        after: Duration,
    },
    /// Dead letters cannot be kept.
    #[error("cannot keep dead letters: {0}; make room on the journal's disk")]
    DeadLetters(std::io::Error),
    /// The journal cannot be read.
    #[error("cannot read the journal: {0}; check the disk")]
    Journal(#[from] std::io::Error),
}

impl SinkError {
    /// How long the far end asks to wait.
    fn pause(&self) -> Duration {
        if let SinkError::Busy { after, .. } = self { *after } else { Duration::ZERO }
    }

    /// The far end is not there.
    pub fn unavailable(what: impl Into<String>, error: impl ToString, hint: &'static str) -> Self {
        SinkError::Unavailable { what: what.into(), error: error.to_string(), hint }
    }
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

impl Running {
    /// Registers the cursor of a sink.
    ///
    /// # Errors
    ///
    /// If the cursor cannot be used.
    pub fn open(name: &str, journal: &Journal) -> std::io::Result<Self> {
        let cursor = journal.register(name)?;
        Ok(Running { name: name.to_owned(), stats: Arc::default(), cursor })
    }
}

/// Delivers until `stop` turns true.
pub async fn deliver(
    config: &SinkConfig,
    running: Running,
    journal: Arc<Journal>,
    stop: watch::Receiver<bool>,
) {
    let delivery = Delivery {
        letters: DeadLetters::new(journal.directory(), &running.name),
        running,
        journal,
        only: config.only.clone(),
        rate: config.rate.map(Rate::new),
        skipped: VecDeque::new(),
        waiting: VecDeque::new(),
        dead: BTreeSet::new(),
        stop,
    };
    match &config.kind {
        SinkKind::Nagios(nagios) => match &nagios.method {
            NagiosMethod::Pipe(path) => delivery.run(nagios::pipe::Pipe::new(path.clone())).await,
            NagiosMethod::Spool(path) => delivery.run(nagios::spool::Spool::new(path.clone())).await,
        },
        SinkKind::Canopsis(canopsis) => delivery.run(canopsis::sink(canopsis)).await,
        SinkKind::Amqp(amqp) => delivery.run(amqp::sink(amqp)).await,
        SinkKind::Icinga2(server, api) => delivery.run(Web::new(server, api.clone())).await,
        SinkKind::Alignak(server, api) => delivery.run(Web::new(server, api.clone())).await,
        SinkKind::Nrdp(server, api) => delivery.run(Web::new(server, api.clone())).await,
        SinkKind::CanopsisHttp(server, api) => delivery.run(Web::new(server, api.clone())).await,
        SinkKind::Webhook(server, api) => delivery.run(Web::new(server, api.clone())).await,
        SinkKind::Splunk(server, api) => delivery.run(Web::new(server, api.clone())).await,
        SinkKind::Nsca(nsca) => delivery.run(nsca::Nsca::new(nsca.clone())).await,
        SinkKind::File(file) => delivery.run(file::JsonLines::new(file.path.clone())).await,
    }
}
