//! `trapline run`: the daemon.

use super::args::ConfigArg;
use crate::daemon;

/// Runs the daemon until it is told to stop; false if the configuration is wrong.
///
/// # Errors
///
/// If a port cannot be bound or the journal cannot be used.
pub fn run(args: &ConfigArg) -> anyhow::Result<bool> {
    daemon::run::run(args.path().as_deref())
}
