//! What is open, as the running daemon tells it: for rules that are tried out beside it.

use std::cell::Cell;
use std::path::PathBuf;

use crate::commands::daemon::{self, PATIENCE};
use crate::daemon::control::Request;
use crate::rules::asks::{Question, Sent, State};

/// Asks the daemon. If none answers, nothing is open.
#[derive(Debug)]
pub struct Asking {
    /// The journal directory of the daemon.
    directory: PathBuf,
    asked: Cell<Option<Whom>>,
    /// Whether there was nobody: then nobody is asked again.
    nobody: Cell<bool>,
}

/// Who has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The running daemon.
    Daemon,
    /// Nobody: it was assumed that nothing is open.
    Nobody,
}

impl Whom {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Whom::Daemon => "daemon",
            Whom::Nobody => "nobody",
        }
    }

    /// The same for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Whom::Daemon => "answered by the running daemon",
            Whom::Nobody => "no daemon answers, so that nothing counts as open",
        }
    }
}

impl Asking {
    /// Asks the daemon that uses a journal directory.
    pub fn new(directory: PathBuf) -> Self {
        Asking { directory, asked: Cell::new(None), nobody: Cell::new(false) }
    }

    /// Another message begins.
    pub fn begin(&self) {
        self.asked.set(None);
    }

    /// Who has answered since the message began; none if nothing was asked.
    pub fn whom(&self) -> Option<Whom> {
        self.asked.get()
    }
}

impl State for Asking {
    fn answer(&self, question: &Question, texts: &[&str]) -> u64 {
        let ask = || {
            let request = Request::Ask { question: Sent::new(question, texts) };
            let answer = daemon::try_ask(&self.directory, &request, Some(PATIENCE)).ok()??;
            answer["answer"].as_u64()
        };
        let answer = if self.nobody.get() { None } else { ask() };
        self.nobody.set(answer.is_none());
        // One answer that is missing makes all of them doubtful.
        if self.asked.get() != Some(Whom::Nobody) {
            self.asked.set(Some(if answer.is_some() { Whom::Daemon } else { Whom::Nobody }));
        }
        answer.unwrap_or(0)
    }
}
