//! The daemon's log. Its format can be changed while it runs.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::log::LogFormat;
use crate::settings::diagnostic::did_you_mean;
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
    /// The environment variable `TRAPLINE_LOG` sets the level, `info` where it names none. A second start in one process, as tests do it, keeps the
    /// first log.
    pub fn start(format: LogFormat) -> Self {
        let writer = writer(format).unwrap_or_else(|error| {
            eprintln!("trapline: {error}; logging to standard error");
            text(false)
        });
        let (layer, writer) = reload::Layer::new(writer);
        let wanted = std::env::var_os("TRAPLINE_LOG").unwrap_or_default();
        let filter = filter(&wanted.to_string_lossy()).unwrap_or_else(|wrong| {
            eprintln!("trapline: TRAPLINE_LOG: {wrong}; logging at level info");
            DEFAULT.to_owned()
        });
        let filter = EnvFilter::new(filter);
        let _ = tracing_subscriber::registry().with(layer).with(filter).try_init();
        Log { writer }
    }

    /// Writes the lines from now on with another writer.
    pub fn set(&self, writer: Writer) {
        // Fails only if the log is gone with its process.
        let _ = self.writer.reload(writer);
    }
}

/// What is logged by default: the libraries repeat what the sinks and the loader of modules report themselves.
const DEFAULT: &str = "info,lapin=off,mib_rs=off";
/// The levels, by what they log from least to most.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What is logged for a value of `TRAPLINE_LOG`: a level, or levels of modules such as `info,lapin=debug`. An empty one is the
/// default. A word that is no level would name a module, and switch off all others without a word.
///
/// # Errors
///
/// What is wrong with it, for the user.
fn filter(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(DEFAULT.to_owned());
    }
    let directives: Vec<&str> =
        text.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    for directive in &directives {
        let level = directive.rsplit_once('=').map_or(*directive, |(_, level)| level).trim();
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            let hint =
                did_you_mean(level, LEVELS).unwrap_or_else(|| format!("write one of {}", LEVELS.join(", ")));
            return Err(format!("'{}' is no level; {hint}", level.escape_debug()));
        }
    }
    let list = directives.join(",");
    if EnvFilter::builder().parse(&list).is_err() {
        let text = text.escape_debug();
        return Err(format!("'{text}' is no list of levels; write such as info,lapin=debug"));
    }
    Ok(list)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_the_variable_switches_the_log_off_but_off() {
        for text in ["", "  ", "info", "DEBUG", "warn,lapin=debug", " error , trapline=trace ", "off"] {
            assert!(filter(text).is_ok(), "{text}");
        }
        assert_eq!(filter("").as_deref(), Ok(DEFAULT));
        for (text, hint) in [
            ("deubg", "'deubg' is no level; did you mean 'debug'?"),
            ("wran", "did you mean 'warn'?"),
            ("lapin", "write one of off, error, warn, info, debug, trace"),
            ("info,lapin", "'lapin' is no level"),
            ("info,lapin=verbose", "'verbose' is no level"),
            ("trapline=", "'' is no level"),
            ("a[b=info", "is no list of levels"),
        ] {
            let wrong = filter(text).unwrap_err();
            assert!(wrong.contains(hint), "{text}: {wrong}");
        }
    }
}
