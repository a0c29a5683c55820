//! The command line, and nothing else.

use std::process::ExitCode;

use clap::Parser;
use trapline::commands::Cli;
use trapline::terminal;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            terminal::err(format_args!("trapline: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}
