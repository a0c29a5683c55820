//! A sink that runs, as others see it.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::journal::{Cursor, Journal};
use crate::sinks::stats::SinkStats;

/// A running sink.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// What is counted.
    pub stats: Arc<SinkStats>,
    /// How far it is.
    pub cursor: Arc<Cursor>,
    /// Wakes it up to look at its dead letters.
    pub(super) letters: Arc<Notify>,
}

impl Running {
    /// A sink with a cursor that is registered.
    pub fn new(name: &str, cursor: Arc<Cursor>) -> Self {
        Running { name: name.to_owned(), stats: Arc::default(), cursor, letters: Arc::default() }
    }

    /// Registers the cursor of a sink.
    ///
    /// # Errors
    ///
    /// If the cursor cannot be used.
    pub fn open(name: &str, journal: &Journal) -> io::Result<Self> {
        Ok(Running::new(name, journal.register(name)?))
    }

    /// The same at a start, also on a disk without room: see [`Journal::register_first`].
    ///
    /// # Errors
    ///
    /// If the cursor cannot be used.
    pub fn open_first(name: &str, journal: &Journal) -> io::Result<Self> {
        Ok(Running::new(name, journal.register_first(name)?))
    }

    /// Somebody has changed its dead letters: it looks which of them are to be sent again.
    pub fn look_at_letters(&self) {
        self.letters.notify_one();
    }
}
