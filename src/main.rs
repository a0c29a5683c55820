//! The command line, and nothing else.

use std::process::ExitCode;

use clap::Parser;
use trapline::commands::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("trapline: {error:#}");
            ExitCode::FAILURE
        }
    }
}
