//! The daemon's log. Its format can be changed while it runs.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::log::LogFormat;
use crate::terminal::eprintln;

/// What writes log lines, in one format.
pub type Writer = Box<dyn Layer<Registry> + Send + Sync>;

/// The log of this process.
#[derive(Clone)]
pub struct Log {
    writer: reload::Handle<Writer, Registry>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    /// Starts the log. Where there is no journald, lines go to standard error.
    ///
    /// The environment variable `TRAPLINE_LOG` sets the level. A second start in one process, as tests do it, keeps the
    /// first log.
    pub fn start(format: LogFormat) -> Self {
        let writer = writer(format).unwrap_or_else(|error| {
            eprintln!("trapline: {error}; logging to standard error");
            text(false)
        });
        let (layer, writer) = reload::Layer::new(writer);
        let filter = EnvFilter::try_from_env("TRAPLINE_LOG")
            .unwrap_or_else(|_| EnvFilter::new("info,lapin=off,mib_rs=off"));
        let _ = tracing_subscriber::registry().with(layer).with(filter).try_init();
        Log { writer }
    }

    /// Writes the lines from now on with another writer.
    pub fn set(&self, writer: Writer) {
        // Fails only if the log is gone with its process.
        let _ = self.writer.reload(writer);
    }
}

/// A writer for a format.
///
/// # Errors
///
/// If it is journald and there is none.
pub fn writer(format: LogFormat) -> Result<Writer, String> {
    Ok(match format {
        LogFormat::Human => text(std::io::stderr().is_terminal()),
        // A line that cannot be written is lost; to report that on standard error could fail as well, and panic.
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(std::io::stderr)
            .log_internal_errors(false)
            .boxed(),
        LogFormat::Journald => {
            tracing_journald::layer().map_err(|error| format!("cannot reach journald: {error}"))?.boxed()
        }
    })
}

fn text(colours: bool) -> Writer {
    fmt::layer()
        .with_ansi(colours)
        .with_target(false)
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .boxed()
}
