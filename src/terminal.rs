//! What commands write for people. A reader that goes early (`trapline status | head`) ends the command without a word;
//! standard error that cannot be written to is nobody's trouble.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// Writes to standard output; ends the process if nobody reads it, or if it cannot be written to.
pub fn out(text: Arguments<'_>) {
    let written = io::stdout().lock().write_fmt(text);
    written.unwrap_or_else(|error| end(&error));
}

/// Writes to standard error, if that can be written to.
pub fn err(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

fn end(error: &io::Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        // Who has what he wants closes the pipe: that is no failure.
        std::process::exit(0);
    }
    err(format_args!("trapline: cannot write to standard output: {error}\n"));
    std::process::exit(1);
}

/// As `print!`, by [`out`].
macro_rules! print {
    ($($text:tt)*) => { $crate::terminal::out(format_args!($($text)*)) };
}

/// As `println!`, by [`out`].
macro_rules! println {
    () => { $crate::terminal::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::terminal::out(format_args!("{}\n", format_args!($($text)*))) };
}

/// As `eprint!`, by [`err`].
macro_rules! eprint {
    ($($text:tt)*) => { $crate::terminal::err(format_args!($($text)*)) };
}

/// As `eprintln!`, by [`err`].
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::terminal::err(format_args!("{}\n", format_args!($($text)*))) };
}

pub(crate) use {eprint, eprintln, print, println};
