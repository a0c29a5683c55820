//! The command file: a named pipe that Nagios reads.
//!
//! A write into a pipe only says that the kernel has the bytes; when Nagios goes, what it had not read is gone with it. So
//! an outcome counts as taken when it has left the pipe, by the number of unread bytes that the kernel tells. When the
//! reader goes, what it had not read is sent again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::format::{Commands, push_command};
use super::results;
use crate::files::pipe::piece;
use crate::journal::Follower;
use crate::outcome::record::Record;
use crate::outcome::result::CheckResult;
use crate::sinks::piece::Format;
use crate::sinks::plugin_output::{Newlines, Unfit};
use crate::sinks::sink::{
    Destination, Fate, Id, Item, Lane, Limits, Pieces, Said, Seat, Sending, Sink, Trouble,
};
use crate::sys;
use crate::time::clock::{Clock, Mono};

/// Within how many times the time that outcomes may wait for their readers batches follow each other closely.
const FOLLOWS: u32 = 4;
/// How long nothing may leave the pipe before that is reported.
const STUCK: Duration = Duration::from_secs(10);
/// The first pause before the number of unread bytes is asked for again. A reader that waits for commands needs no longer.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// The command file of Nagios.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipe {
    /// The named pipe.
    pub path: PathBuf,
    /// How further lines are written.
    pub newlines: Newlines,
}

impl Sink for Pipe {
    fn limits(&self) -> Limits {
        results::limits()
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        results::pieces(record, Format::Command, |out, check| push_command(out, check, self.newlines))
    }

    fn destination(&self) -> Destination {
        Destination::Pipe(self.path.clone())
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        let stream = Stream { clock: seat.clock.clone(), follower: seat.follower.clone(), last: None };
        let (path, newlines) = (self.path.clone(), self.newlines);
        let (commands, writer) = (Vec::new(), Commands::default());
        Box::new(PipeLane { path, newlines, stream, open: None, commands, writer })
    }
}

/// Writes external commands into the pipe.
#[derive(Debug)]
struct PipeLane {
    path: PathBuf,
    newlines: Newlines,
    stream: Stream,
    open: Option<Open>,
    /// Commands to be written, kept for its memory.
    commands: Vec<u8>,
    writer: Commands,
}

impl Lane for PipeLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl PipeLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::new(&self.path)?,
        };
        let mut commands = std::mem::take(&mut self.commands);
        commands.clear();
        let (writer, newlines) = (&mut self.writer, self.newlines);
        let mut push = |out: &mut Vec<u8>, check: &CheckResult<'_>| writer.push(out, check, newlines);
        let steps: Vec<Step> = items.iter().map(|item| open.step(item, &mut commands, &mut push)).collect();
        let end = steps.iter().map(Step::end).max().unwrap_or(0);
        let mut stopped = open.write(&commands, &*self.stream.clock).await;
        if stopped.is_ok() {
            let follows = self.stream.follows();
            stopped = open.drain(end, &self.stream, last(items).filter(|_| follows)).await;
        }
        self.commands = commands;
        if matches!(stopped, Err(Stop::Stuck)) {
            open.remember(items, &steps);
        }
        let left = open.left;
        let known = steps.into_iter().take_while(|step| step.end() <= left);
        let fates: Vec<Fate> = known.map(Step::fate).collect();
        match stopped {
            Ok(()) => {
                if !open.ends.is_empty() {
                    open.ends.retain(|id, _| !items.iter().any(|item| item.id == *id));
                }
                self.open = Some(open);
                Ok(fates)
            }
            // The pipe is closed, and with it goes what was not read.
            Err(Stop::Gone(_)) if !fates.is_empty() => Ok(fates),
            Err(Stop::Gone(error)) => {
                let what = format!("the reader of the command file {} is gone: {error}", self.path.display());
                Err(Trouble::Away(what.into(), "see whether Nagios runs"))
            }
            // What is in the pipe may still be read: it is not written again.
            Err(Stop::Stuck) => {
                self.open = Some(open);
                let what = format!(
                    "the reader of the command file {} has read nothing for {} s",
                    self.path.display(),
                    STUCK.as_secs()
                );
                Err(Trouble::Unanswered(what.into(), "see whether Nagios runs"))
            }
        }
    }
}

/// The highest number of a record among these.
fn last(items: &[Item]) -> Option<u64> {
    let numbers =
        items.iter().map(|item| if let Id::Journal(number) = item.id { Some(number) } else { None });
    numbers.max().flatten()
}

/// The batches of a lane, as they follow each other.
#[derive(Debug)]
struct Stream {
    clock: Arc<dyn Clock>,
    follower: Follower,
    /// When the last one was written.
    last: Option<Mono>,
}

impl Stream {
    /// One is written now: whether it follows the one before closely.
    fn follows(&mut self) -> bool {
        let now = self.clock.now().mono;
        let last = self.last.replace(now);
        last.is_some_and(|last| now.since(last) < self.follower.patience() * FOLLOWS)
    }

    /// Waits until there is a record behind this one: then the sink is awake in any case.
    async fn next(&self, number: u64) {
        let most = (self.follower.patience() * 2).min(LONGEST_PAUSE);
        let _ = tokio::time::timeout(most, self.follower.beyond(number + 1)).await;
    }
}

/// What becomes of one item.
enum Step {
    /// Its command ends at this byte; whether it was cut.
    Written(u64, bool),
    /// It makes no command.
    Dead(Said),
}

impl Step {
    fn end(&self) -> u64 {
        if let Step::Written(end, _) = self { *end } else { 0 }
    }

    fn fate(self) -> Fate {
        match self {
            Step::Written(_, false) => Fate::Taken,
            Step::Written(_, true) => Fate::Cut,
            Step::Dead(reason) => Fate::Dead(reason),
        }
    }
}

/// Why writing or waiting ends.
enum Stop {
    /// The reader is gone.
    Gone(io::Error),
    /// The reader does not read.
    Stuck,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Gone(error)
    }
}

/// An open pipe. The runtime does not watch it: a reader that reads would wake the sink for nothing.
#[derive(Debug)]
struct Open {
    pipe: File,
    /// Bytes written so far.
    written: u64,
    /// Of these, how many have left the pipe, at least.
    left: u64,
    /// Where the commands end that are in the pipe since a reader was stuck, and whether they were cut.
    ends: HashMap<Id, (u64, bool)>,
}

impl Open {
    /// Opens the pipe, and never makes a file of it: a plain file in its place would swallow commands.
    fn new(path: &Path) -> Result<Self, Trouble> {
        let away = |error: String, hint| {
            Trouble::Away(format!("cannot open the command file {}: {error}", path.display()).into(), hint)
        };
        let failed = |error: &io::Error| {
            let hint = match error.raw_os_error() {
                Some(libc::ENXIO) => return away("nobody reads it".to_owned(), "start Nagios"),
                Some(libc::ENOENT) => "start Nagios, or give command_file as in its configuration",
                Some(libc::EACCES) => "add trapline's user to the group that the pipe belongs to",
                _ => "see command_file in the configuration of Nagios",
            };
            away(error.to_string(), hint)
        };
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let pipe =
            OpenOptions::new().write(true).custom_flags(flags).open(path).map_err(|error| failed(&error))?;
        if !pipe.metadata().map_err(|error| failed(&error))?.file_type().is_fifo() {
            return Err(away("it is no named pipe".to_owned(), "remove the file, then restart Nagios"));
        }
        let mut open = Open { pipe, written: 0, left: 0, ends: HashMap::new() };
        // Somebody's half command may be waiting, which must not swallow the first one of ours.
        if open.unread().map_err(|error| failed(&error))? > 0 {
            open.written = (&open.pipe).write(b"\n").map_err(|error| failed(&error))? as u64;
        }
        Ok(open)
    }

    /// Appends the command of an item, unless it was written before.
    fn step(
        &mut self,
        item: &Item,
        commands: &mut Vec<u8>,
        push: impl FnOnce(&mut Vec<u8>, &CheckResult<'_>) -> Result<bool, Unfit>,
    ) -> Step {
        if let Some((end, cut)) = self.ends.get(&item.id) {
            return Step::Written(*end, *cut);
        }
        match results::push(commands, item, push) {
            Fate::Dead(reason) => Step::Dead(reason),
            fate => Step::Written(self.written + commands.len() as u64, fate == Fate::Cut),
        }
    }

    /// Remembers which commands are in the pipe: they must not be written again.
    fn remember(&mut self, items: &[Item], steps: &[Step]) {
        self.ends.retain(|_, (end, _)| *end <= self.written);
        for (item, step) in items.iter().zip(steps) {
            if let Step::Written(end, cut) = step
                && *end <= self.written
            {
                self.ends.insert(item.id, (*end, *cut));
            }
        }
    }

    /// Writes whole commands, at most as many a call as the kernel takes in one piece, so that no other writer's text comes
    /// between their parts.
    async fn write(&mut self, mut commands: &[u8], clock: &dyn Clock) -> Result<(), Stop> {
        let mut wait = Wait::new(clock);
        while !commands.is_empty() {
            match (&self.pipe).write(piece(commands)) {
                Ok(count) => {
                    commands = &commands[count..];
                    self.written += count as u64;
                    wait = Wait::new(clock);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let stop = match error.kind() {
                        io::ErrorKind::WouldBlock => wait.pause().await.err(),
                        _ => Some(Stop::Gone(error)),
                    };
                    if let Some(stop) = stop {
                        self.left = self.left.max(self.written.saturating_sub(self.unread()?));
                        return Err(stop);
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until everything up to a byte has left the pipe. Where more records follow closely behind that number, a reader that
    /// has not read yet has the time until they come.
    async fn drain(&mut self, end: u64, stream: &Stream, mut follows: Option<u64>) -> Result<(), Stop> {
        let first = self.unread()?;
        let (mut unread, mut read) = (first, 0);
        let mut wait = Wait::new(&*stream.clock);
        loop {
            // Other writers may have added to what is unread, so this is the least that has left of ours. And once as much
            // was read as was in the pipe at first, all of ours was among it.
            self.left = self.left.max(self.written.saturating_sub(unread));
            if read >= first {
                self.left = self.written;
            }
            if self.left >= end {
                return Ok(());
            }
            // The reader may go with bytes unread. The next write would show it, but there may be none.
            if wait.paused && !has_reader(&self.pipe) {
                return Err(Stop::Gone(io::ErrorKind::BrokenPipe.into()));
            }
            match follows.take() {
                Some(number) => stream.next(number).await,
                None => wait.pause().await?,
            }
            let now = self.unread()?;
            if now < unread {
                read += unread - now;
                wait.progress();
            }
            unread = now;
        }
    }

    fn unread(&self) -> io::Result<u64> {
        sys::unread(self.pipe.as_fd()).map(|bytes| bytes as u64)
    }
}

/// Pauses that grow, until nothing has happened for [`STUCK`].
struct Wait<'c> {
    clock: &'c dyn Clock,
    since: Mono,
    next: Duration,
    paused: bool,
}

impl<'c> Wait<'c> {
    fn new(clock: &'c dyn Clock) -> Self {
        Wait { clock, since: clock.now().mono, next: FIRST_PAUSE, paused: false }
    }

    fn progress(&mut self) {
        self.since = self.clock.now().mono;
    }

    async fn pause(&mut self) -> Result<(), Stop> {
        if self.clock.now().mono.since(self.since) >= STUCK {
            return Err(Stop::Stuck);
        }
        if self.next < Duration::from_millis(1) {
            // The timers of the runtime are no finer than this, and the thread is the sink's own.
            std::thread::sleep(self.next);
        } else {
            tokio::time::sleep(self.next).await;
        }
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        self.paused = true;
        Ok(())
    }
}

/// Whether somebody has the other end open: poll(2) shows an error on a pipe without reader.
fn has_reader(pipe: &File) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(_) => !fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLERR)),
        Err(_) => true,
    }
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
