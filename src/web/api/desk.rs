//! What the daemon lets routes reach.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::access::Access;
use super::problem::Problem;
use crate::files::Folder;
use crate::history;
use crate::status::Status;
use crate::time::clock::Now;
use crate::web::feed::Feed;

/// An answer of the daemon that comes later.
pub type Later = Pin<Box<dyn Future<Output = Result<Value, Undone>> + Send>>;

/// Why something was not done, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// Another such thing is done.
    #[error("another upload or replay is under way; try again when it is done")]
    Busy,
    /// It cannot be done as it was asked for.
    #[error("{0}")]
    Refused(String),
    /// The machine cannot do it now: its disk is full, it starts no process.
    #[error("{0}")]
    Unable(String),
}

impl Undone {
    /// The same with another name in the place of a path.
    #[must_use]
    pub fn renamed(self, path: &str, name: &str) -> Undone {
        match self {
            Undone::Busy => Undone::Busy,
            Undone::Refused(why) => Undone::Refused(why.replace(path, name)),
            Undone::Unable(why) => Undone::Unable(why.replace(path, name)),
        }
    }
}

impl From<Undone> for Problem {
    fn from(undone: Undone) -> Problem {
        let why = undone.to_string();
        match undone {
            Undone::Busy => {
                Problem { retry_after: Some(5), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, why) }
            }
            Undone::Refused(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why),
            Undone::Unable(_) => Problem::unavailable(why),
        }
    }
}

/// What a process of its own does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Add MIB modules, and reload.
    AddMibs {
        /// The name of the file that somebody has given.
        name: String,
        /// Its content: a module, or a ZIP archive.
        content: Bytes,
    },
    /// Remove a file of added modules, and reload.
    RemoveMib {
        /// Its name.
        file: String,
    },
    /// Show which outcomes edited rules would change.
    Replay {
        /// Of the messages that were captured in so many seconds.
        seconds: u64,
        /// The rules of the console as they would be; none for the files as they are.
        console: Option<String>,
    },
}

/// The daemon, as the control socket reaches it.
pub trait Control: Debug + Send + Sync {
    /// Carries out a request, written as for the control socket, such as `{"command":"reload"}`.
    fn ask(&self, request: Value) -> Later;

    /// Has a process of its own do what takes long. It is ended when nobody waits for the answer any more, unless it changes something.
    fn help(&self, job: Job) -> Later;
}

/// What the daemon lets routes reach.
#[derive(Debug)]
pub struct Desk {
    /// What it tells of itself: senders, inbox, sinks, rules in force, journal.
    pub status: Arc<Status>,
    /// What history is kept; none if none is.
    pub history: watch::Receiver<Option<history::Settings>>,
    /// What has come, for streams.
    pub feed: Arc<Feed>,
    /// Who may what.
    pub access: Access,
    control: OnceLock<Arc<dyn Control>>,
}

impl Desk {
    /// A desk of a daemon that is not reached yet.
    pub fn new(status: Arc<Status>, history: watch::Receiver<Option<history::Settings>>) -> Desk {
        let access = Access::new(status.shared.journal.directory().to_owned());
        Desk { status, history, feed: Arc::default(), access, control: OnceLock::new() }
    }

    /// From now on the daemon is reached.
    pub fn set_control(&self, control: Arc<dyn Control>) {
        // Only the first one counts.
        let _ = self.control.set(control);
    }

    /// Has the daemon carry out a request, written as for the control socket.
    ///
    /// # Errors
    ///
    /// 503 while the daemon starts or if the machine cannot do it, 422 if the daemon refuses.
    pub async fn control(&self, request: Value) -> Result<Value, Problem> {
        let Some(control) = self.control.get() else {
            return Err(Problem::unavailable("the daemon has not started yet; try again"));
        };
        Ok(control.ask(request).await?)
    }

    /// Has a process of its own do what takes long.
    ///
    /// # Errors
    ///
    /// 503 while the daemon starts or if the machine cannot do it, 429 while something else is done, 422 if it cannot be done.
    pub async fn help(&self, job: Job) -> Result<Value, Problem> {
        let Some(control) = self.control.get() else {
            return Err(Problem::unavailable("the daemon has not started yet; try again"));
        };
        Ok(control.help(job).await?)
    }

    /// Reads the file of tokens if what is known of it is too old.
    pub async fn freshen(self: &Arc<Self>, now: Now) {
        if self.access.is_stale(now.mono) {
            let desk = self.clone();
            // What goes wrong there is logged; the tokens of before are in force.
            let _ = tokio::task::spawn_blocking(move || desk.access.refresh(now)).await;
        }
    }

    /// The folder of the history. Blocks.
    ///
    /// # Errors
    ///
    /// 404 if none is kept, 503 while the daemon starts or if it cannot be read.
    pub fn folder(&self) -> Result<Folder, Problem> {
        // What is configured is known before the daemon is ready.
        let ready = self.status.has_started();
        let settings = self.history.borrow().clone();
        let Some(settings) = settings else {
            if !ready {
                return Err(Problem::unavailable(
                    "the daemon is starting, and the history is not open yet; try again",
                ));
            }
            return Err(Problem::absent("no history is kept; add [history] to the configuration"));
        };
        match history::search::folder(&settings.directory) {
            Ok(Some(folder)) => Ok(folder),
            Ok(None) => Err(Problem::unavailable("the history has no file yet; try again")),
            Err(error) => Err(Problem::unavailable(format!("the history cannot be read: {error}"))),
        }
    }
}
