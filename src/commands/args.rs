//! Arguments that several commands have.

use std::path::PathBuf;

use clap::Args;

/// `--config`
#[derive(Debug, Args)]
pub struct ConfigArg {
    /// The configuration file; built-in defaults without it
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
