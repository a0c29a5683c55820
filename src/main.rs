//! The command line, and nothing else.

use std::process::ExitCode;

use trapline::commands::Cli;
use trapline::terminal;

fn main() -> ExitCode {
    let cli = match Cli::of(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            terminal::err_line(format_args!("trapline: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
