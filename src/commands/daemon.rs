//! What commands share that speak to the running daemon.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use serde_json::Value;

use crate::commands::args::ConfigArg;
use crate::config::{file, loaded};
use crate::daemon::control::{self, Request};
use crate::terminal::eprintln;

/// How often the daemon is asked. It answers with its status if a request does not arrive in time, and so does an older
/// release to a request that it does not know.
const TRIES: usize = 3;
/// How long the daemon may take to answer what it need not work for.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is said that it still works.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How long it may work. Reading thousands of MIB modules takes half a minute.
const LONGEST: Duration = Duration::from_mins(10);

/// The journal directory of a configuration, even if that is wrong elsewhere: then it is the daemon that reports it. None
/// if the file cannot be read, which was printed.
pub fn journal_directory(config: &ConfigArg) -> Option<PathBuf> {
    file::journal_directory(config.path().as_deref()).map_err(|found| loaded::print(&found)).ok()
}

/// Asks the daemon that uses a journal directory; none if there is none.
///
/// # Errors
///
/// If it cannot be asked, or is of an older release.
pub fn try_ask(
    directory: &Path,
    request: &Request,
    patience: Option<Duration>,
) -> anyhow::Result<Option<Value>> {
    for _ in 0..TRIES {
        let answer = control::ask(&control::socket(directory), request, patience)?;
        if *request == Request::Status || answer.as_ref().is_none_or(|answer| answer.get("ok").is_some()) {
            return Ok(answer);
        }
    }
    bail!("the running daemon is of an older release, which does not know this; restart it");
}

/// The same; no daemon is an error.
///
/// # Errors
///
/// If there is none, it cannot be asked, or it is of an older release.
pub fn ask(directory: &Path, request: &Request, patience: Option<Duration>) -> anyhow::Result<Value> {
    let answer = try_ask(directory, request, patience)?.ok_or_else(|| {
        anyhow!(
            "no daemon answers on {}; start it with `trapline run`, or name its configuration with --config. If you have changed [journal] directory, restart it",
            control::socket(directory).display()
        )
    })?;
    match answer["error"].as_str() {
        Some(error) if *request == Request::Status && answer["ok"] == false => bail!("{error}"),
        _ => Ok(answer),
    }
}

/// Asks for something that may take long. First it is asked for its status, so that a daemon that hangs is an error within
/// seconds; then what goes on is said on standard error every ten seconds.
///
/// # Errors
///
/// As [`ask`].
pub fn ask_for_work(directory: &Path, request: &Request, what: &str) -> anyhow::Result<Value> {
    ask(directory, &Request::Status, Some(PATIENCE))?;
    std::thread::scope(|scope| {
        let (done, end) = mpsc::channel::<()>();
        scope.spawn(move || {
            let start = Instant::now();
            while end.recv_timeout(SAY_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("trapline: the daemon has been {what} for {} s", start.elapsed().as_secs());
            }
        });
        let answer = ask(directory, request, Some(LONGEST));
        drop(done);
        answer
    })
}

/// Says what to do about a sink that is not configured.
pub fn warn_unconfigured(sink: &str) {
    eprintln!(
        "trapline: sink '{sink}' is not configured and the journal keeps outcomes for it; run `trapline sinks forget {sink}`, or add was = \"{sink}\" to the sink that replaces it"
    );
}
