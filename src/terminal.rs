//! What commands write for people. Output that nobody reads (`trapline dead retry s | true`) or that cannot be written stops no work: a
//! command does what was asked, and [`finish`] says at its end what could not be written. A command that only prints ends at once.
//! Standard error that cannot be written to is nobody's trouble.

use std::fmt::{Arguments, Write as _};
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::sys::terminal_size;

/// Whether the command has nothing to do but to print.
static ONLY_PRINTS: AtomicBool = AtomicBool::new(false);
/// Why standard output could not be written to. From then on nothing is written.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// From now on the command ends as soon as standard output cannot be written to: there is no other work.
pub fn only_prints() {
    ONLY_PRINTS.store(true, Ordering::Relaxed);
}

/// Writes what is left, at the end of a command.
///
/// # Errors
///
/// If some of what the command has printed could not be written. Who has closed the pipe has what he wants: that is none.
pub fn finish() -> Result<(), &'static io::Error> {
    if LOST.get().is_none()
        && let Err(error) = io::stdout().lock().flush()
    {
        lost(error);
    }
    LOST.get().filter(|error| error.kind() != ErrorKind::BrokenPipe).map_or(Ok(()), Err)
}

/// What colours text, and what ends that: all that a command may tell a terminal among its text.
pub const COLOURS: [&str; 5] = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[35m", "\x1b[36m"];
/// To the top left corner, and everything below away.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Writes to standard output, as long as it can be written to. For a terminal, control characters and those that turn text are
/// escaped, as by [`err`]: what others have sent may have any. Programs get it as it is.
pub fn out(text: Arguments<'_>) {
    write(text, &[]);
}

/// As [`out`], but [`COLOURS`] stay.
pub fn paint(text: Arguments<'_>) {
    write(text, &COLOURS);
}

/// Clears the terminal, if standard output is one.
pub fn clear() {
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal() {
        let _ = stdout.write_all(CLEAR.as_bytes());
    }
}

/// Another screen, without the cursor, with lines that do not wrap; and back to the one before.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const END: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// How often it is looked whether the terminal has another size.
const LOOK: Duration = Duration::from_millis(200);

/// A screen of its own on the terminal, and the keys as they are pressed. What was there before comes back when it is dropped.
#[derive(Debug)]
pub struct Screen {
    before: Termios,
    size: (usize, usize),
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// If standard input is none.
    pub fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&stdin, SetArg::TCSADRAIN, &raw)?;
        let mut screen = Screen { before, size: (0, 0) };
        screen.size = screen.size();
        write_raw(BEGIN);
        Ok(screen)
    }

    /// Columns and lines.
    pub fn size(&self) -> (usize, usize) {
        match terminal_size(io::stdout().as_fd()) {
            Some((width, height)) if width > 0 && height > 0 => (width.into(), height.into()),
            _ => (80, 24),
        }
    }

    /// Draws lines from the top left corner on. What others have sent is escaped as by [`paint`].
    pub fn draw(&mut self, lines: &[String]) {
        self.size = self.size();
        let lines: Vec<String> =
            lines.iter().map(|line| format!("{}\x1b[K", printable(line, &COLOURS))).collect();
        write_raw(&format!("\x1b[H{}\x1b[J", lines.join("\r\n")));
    }

    /// The keys that are pressed within a time, at once when there are some, and whether the terminal has another size.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn keys(&self, within: Duration) -> io::Result<(Vec<u8>, bool)> {
        let stdin = io::stdin();
        let mut waiting = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let millis = u16::try_from(within.min(LOOK).as_millis()).unwrap_or(u16::MAX);
        match poll(&mut waiting, millis) {
            Ok(0) | Err(Errno::EINTR) => return Ok((Vec::new(), self.size() != self.size)),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut keys = [0; 64];
        match nix::unistd::read(&stdin, &mut keys)? {
            0 => Err(io::Error::new(ErrorKind::UnexpectedEof, "the terminal is gone")),
            count => Ok((keys[..count].to_vec(), false)),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write_raw(END);
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

/// Writes what this module has made. A terminal that is gone is noticed when keys are read.
fn write_raw(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn write(text: Arguments<'_>, kept: &[&str]) {
    if LOST.get().is_some() {
        return;
    }
    let mut stdout = io::stdout().lock();
    let written = if stdout.is_terminal() {
        stdout.write_all(printable(&text.to_string(), kept).as_bytes())
    } else {
        stdout.write_fmt(text)
    };
    // A command that ends needs the lock.
    drop(stdout);
    written.unwrap_or_else(lost);
}

/// One line for people: escaped as by [`err_line`], whoever reads it. What it names is somebody else's: a file, a sender.
pub fn out_line(text: Arguments<'_>) {
    out(format_args!("{}\n", printable(&in_a_line(&text.to_string()), &[])));
}

/// Writes to standard error, if that can be written to. Control characters and those that turn text are escaped: the names
/// of files and what others have sent may have any.
pub fn err(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_all(printable(&text.to_string(), &[]).as_bytes());
}

/// The same of a text that is one line, whatever is in it: a name or an argument may have line breaks, too.
pub fn err_line(text: Arguments<'_>) {
    err(format_args!("{}\n", in_a_line(&text.to_string())));
}

/// A text whose line breaks are escaped, but for those at its end, which are left out.
fn in_a_line(text: &str) -> String {
    text.trim_end_matches('\n').replace('\n', "\\n")
}

/// A text without control characters and those that turn others, but with these sequences as they are.
fn printable(text: &str, kept: &[&str]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if let Some(sequence) = kept.iter().find(|sequence| text[at..].starts_with(**sequence)) {
            out.push_str(sequence);
            // One of them is this character.
            chars.by_ref().take(sequence.chars().count() - 1).for_each(drop);
            continue;
        }
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}') =>
            {
                let _ = write!(out, "{}", c.escape_debug());
            }
            c => out.push(c),
        }
    }
    out
}

fn lost(error: io::Error) {
    let error = LOST.get_or_init(|| error);
    if !ONLY_PRINTS.load(Ordering::Relaxed) {
        return;
    }
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    err(format_args!("{}\n", not_printed(error)));
    std::process::exit(1);
}

/// What is said of output that could not be written.
pub fn not_printed(error: &io::Error) -> String {
    format!("trapline: cannot write to standard output: {error}")
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

/// As `println!`, by [`out_line`]: it is one line, without anything that rules a terminal.
macro_rules! say {
    ($($text:tt)*) => { $crate::terminal::out_line(format_args!($($text)*)) };
}

/// As `eprint!`, by [`err`].
macro_rules! eprint {
    ($($text:tt)*) => { $crate::terminal::err(format_args!($($text)*)) };
}

/// As `eprintln!`, by [`err_line`]: it is one line.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::terminal::err_line(format_args!($($text)*)) };
}

pub(crate) use {eprint, eprintln, print, println, say};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_rules_the_terminal() {
        let hostile = "cannot read a\u{1b}[31m\r\u{7}\u{9b}5m\u{202e}\u{2028}\u{2066}ü: no\tsuch\n";
        let clean = "cannot read a\\u{1b}[31m\\r\\u{7}\\u{9b}5m\\u{202e}\\u{2028}\\u{2066}ü: no\tsuch\n";
        assert_eq!(printable(hostile, &[]), clean);
        assert_eq!(
            printable("\u{1b}[1mName\u{1b}[0m \u{1b}[2J\u{1b}[8m", &COLOURS),
            "\u{1b}[1mName\u{1b}[0m \\u{1b}[2J\\u{1b}[8m"
        );
        for (text, line) in [("a\nb", "a\\nb"), ("a\n", "a"), ("\na\n\nb\n\n", "\\na\\n\\nb"), ("", "")] {
            assert_eq!(in_a_line(text), line);
        }
        assert!(COLOURS.iter().all(|colour| colour.starts_with("\u{1b}[") && colour.ends_with('m')));
    }
}
