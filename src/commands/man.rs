//! `trapline man`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::{Man, generate_to};

use crate::terminal::print;

/// Arguments of `trapline man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write the pages of all commands to this folder, such as trapline.1 and trapline-run.1
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl ManArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        self.to.is_some()
    }
}

/// Prints the page of `trapline`, or writes the pages of all commands.
///
/// # Errors
///
/// If a page cannot be written.
pub fn run(args: &ManArgs, command: Command) -> anyhow::Result<bool> {
    if let Some(folder) = &args.to {
        generate_to(command, folder).with_context(|| {
            format!("cannot write the pages to {}; name a folder that exists", folder.display())
        })?;
        return Ok(true);
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page).context("cannot make the page")?;
    print!("{}", String::from_utf8_lossy(&page));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let command = || {
            let below = Command::new("new").arg(clap::Arg::new("write").long("write"));
            Command::new("trapline").subcommand(Command::new("rule").subcommand(below))
        };
        assert!(run(&ManArgs { to: Some(folder.path().to_owned()) }, command()).unwrap());
        let page = std::fs::read_to_string(folder.path().join("trapline-rule-new.1")).unwrap();
        assert!(page.contains("\\-\\-write"), "{page}");
        assert!(run(&ManArgs { to: Some(folder.path().join("none")) }, command()).is_err());
    }
}
