//! `trapline reload`

use clap::Args;

use crate::commands::args::ConfigArg;
use crate::commands::daemon;
use crate::daemon::control::Request;
use crate::terminal::{eprint, eprintln, println, say};

/// Arguments of `trapline reload`.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the result as one JSON document
    #[arg(long)]
    json: bool,
}

/// Has the running daemon reload its configuration, and waits for the result; false if it was refused.
///
/// # Errors
///
/// If no daemon answers.
pub fn run(args: &ReloadArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let answer = daemon::ask_for_work(&directory, &Request::Reload, "reloading")?;
    let done = answer["ok"] == true;
    if args.json {
        println!("{answer}");
    } else if done {
        eprint!("{}", answer["warnings"].as_str().unwrap_or_default());
        say!("{}", answer["summary"].as_str().unwrap_or_default());
        for sink in answer["unconfigured_sinks"].as_array().into_iter().flatten() {
            daemon::warn_unconfigured(sink.as_str().unwrap_or_default());
        }
    } else {
        eprint!("{}", answer["error"].as_str().unwrap_or_default());
        eprintln!("trapline: not reloaded: the configuration and the rules from before stay in force");
    }
    Ok(done)
}
