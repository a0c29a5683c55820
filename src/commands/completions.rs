//! `trapline completions`

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::terminal::print;

/// Arguments of `trapline completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script that completes a command line.
///
/// # Errors
///
/// None.
pub fn run(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<bool> {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "trapline", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Ok(true)
}
