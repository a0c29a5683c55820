//! Arguments that several commands have.

use std::path::{Path, PathBuf};

use clap::Args;

/// Where a configuration is looked for that is not named, in this order.
const USUAL: [&str; 2] = ["trapline.toml", "/etc/trapline/trapline.toml"];

/// `--config`
#[derive(Debug, Args)]
pub struct ConfigArg {
    /// The configuration file. Default: ./trapline.toml, /etc/trapline/trapline.toml, or built-in defaults
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigArg {
    /// The configuration file that is named, or is in a usual place; none for the built-in defaults.
    pub fn path(&self) -> Option<PathBuf> {
        let usual = || USUAL.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
        self.config.clone().or_else(usual)
    }
}

/// Arguments of a list that has no others.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArg,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
}
