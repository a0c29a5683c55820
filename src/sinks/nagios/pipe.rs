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
use crate::outcome::record::Record;
use crate::outcome::result::CheckResult;
use crate::sinks::piece::Format;
use crate::sinks::plugin_output::{Newlines, Unfit};
use crate::sinks::sink::{
    Destination, Fate, Id, Item, Lane, Limits, Pieces, Said, Seat, Sending, Sink, Trouble,
};
use crate::sys;
use crate::time::clock::{Clock, Mono};

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
        let (path, clock, newlines) = (self.path.clone(), seat.clock.clone(), self.newlines);
        let (commands, writer) = (Vec::new(), Commands::default());
        Box::new(PipeLane { path, newlines, clock, open: None, commands, writer })
    }
}

/// Writes external commands into the pipe.
#[derive(Debug)]
struct PipeLane {
    path: PathBuf,
    newlines: Newlines,
    clock: Arc<dyn Clock>,
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
        let mut stopped = open.write(&commands, &*self.clock).await;
        if stopped.is_ok() {
            stopped = open.drain(end, &*self.clock).await;
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

    /// Waits until everything up to a byte has left the pipe.
    async fn drain(&mut self, end: u64, clock: &dyn Clock) -> Result<(), Stop> {
        let first = self.unread()?;
        let (mut unread, mut read) = (first, 0);
        let mut wait = Wait::new(clock);
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
            wait.pause().await?;
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
mod tests {
    use std::io::Read;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::sinks::testing::item;
    use crate::time::clock::Now;

    /// A clock on which a second passes with each look.
    #[derive(Debug, Default)]
    struct Hasty(AtomicU64);

    impl Clock for Hasty {
        fn now(&self) -> Now {
            let seconds = self.0.fetch_add(1, Ordering::Relaxed);
            Now { mono: Mono::default() + Duration::from_secs(seconds), ..Now::default() }
        }
    }

    struct Rig {
        _dir: tempfile::TempDir,
        path: PathBuf,
        lane: PipeLane,
        runtime: tokio::runtime::Runtime,
    }

    fn rig() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nagios.cmd");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let lane = PipeLane {
            path: path.clone(),
            newlines: Newlines::Escaped,
            clock: Arc::new(Hasty::default()),
            open: None,
            commands: Vec::new(),
            writer: Commands::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Rig { _dir: dir, path, lane, runtime: runtime.unwrap() }
    }

    impl Rig {
        fn send(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
            self.runtime.block_on(self.lane.deliver(items))
        }

        fn reader(&self) -> File {
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path).unwrap()
        }
    }

    fn items(numbers: std::ops::Range<u64>) -> Vec<Item> {
        numbers.map(|n| item(n, "h", Some("S"), &format!("m{n}"))).collect()
    }

    /// What is in the pipe, line by line.
    fn lines(reader: &mut File) -> Vec<String> {
        let mut text = Vec::new();
        // The other end is open, so it ends in WouldBlock.
        let _ = reader.read_to_end(&mut text);
        String::from_utf8(text)
            .unwrap()
            .lines()
            .map(|line| line.rsplit(';').next().unwrap().to_owned())
            .collect()
    }

    fn names(numbers: std::ops::Range<u64>) -> Vec<String> {
        numbers.map(|n| format!("m{n}")).collect()
    }

    #[test]
    fn only_whole_commands_in_one_piece() {
        let line = [&[b'x'; 1499][..], b"\n"].concat();
        let three = line.repeat(3);
        assert_eq!(piece(&three).len(), 3000);
        assert_eq!(piece(&line), line);
    }

    #[test]
    fn what_is_no_pipe_with_a_reader_is_not_written() {
        let mut rig = rig();
        let said = |trouble| match trouble {
            Err(Trouble::Away(said, _)) => said.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(said(rig.send(&items(0..1))).ends_with("nobody reads it"));
        std::fs::remove_file(&rig.path).unwrap();
        assert!(said(rig.send(&items(0..1))).contains("No such file"));
        std::fs::write(&rig.path, "").unwrap();
        assert!(said(rig.send(&items(0..1))).ends_with("it is no named pipe"));
        assert_eq!(std::fs::read(&rig.path).unwrap(), b"");
    }

    #[test]
    fn taken_is_what_has_left_the_pipe() {
        let mut rig = rig();
        let mut reader = rig.reader();
        // Nobody reads: after a while that is said, and nothing is sent a second time.
        for _ in 0..3 {
            assert!(matches!(rig.send(&items(0..3)), Err(Trouble::Unanswered(..))));
        }
        assert_eq!(lines(&mut reader), names(0..3));
        assert_eq!(rig.send(&items(0..2)), Ok(vec![Fate::Taken; 2]));
        assert_eq!(rig.send(&items(2..3)), Ok(vec![Fate::Taken]));
        assert_eq!(lines(&mut reader), names(0..0));
        // Reported once, they are new if they come again.
        assert!(rig.send(&items(0..1)).is_err());
        assert_eq!(lines(&mut reader), names(0..1));
    }

    #[test]
    fn what_a_reader_leaves_unread_is_sent_to_the_next() {
        let mut rig = rig();
        let mut reader = rig.reader();
        assert!(rig.send(&items(0..3)).is_err());
        // One of three commands is read.
        let mut byte = [0];
        while byte != *b"\n" {
            reader.read_exact(&mut byte).unwrap();
        }
        drop(reader);
        assert_eq!(rig.send(&items(0..3)), Ok(vec![Fate::Taken]));
        assert!(matches!(rig.send(&items(1..3)), Err(Trouble::Away(..))));
        let mut reader = rig.reader();
        assert!(rig.send(&items(1..3)).is_err());
        assert_eq!(lines(&mut reader), names(1..3));
    }

    #[test]
    fn bytes_of_others_are_not_taken_for_ours() {
        let mut rig = rig();
        let mut reader = rig.reader();
        let mut other = OpenOptions::new().write(true).open(&rig.path).unwrap();
        other.write_all(&[&b"[1] OTHER;".repeat(500)[..], b"half a comm"].concat()).unwrap();
        assert!(rig.send(&items(0..3)).is_err());
        // Others write on and on, behind ours.
        other.write_all(&b"[1] OTHER;x\n".repeat(50)).unwrap();
        assert!(rig.send(&items(0..3)).is_err());
        let read = lines(&mut reader);
        assert_eq!(read[1..4], names(0..3), "the half command has swallowed none of ours");
        assert_eq!(rig.send(&items(0..3)), Ok(vec![Fate::Taken; 3]));
    }

    #[test]
    fn a_full_pipe_takes_what_fits_and_the_rest_when_there_is_space() {
        let mut rig = rig();
        let mut reader = rig.reader();
        let long = "x".repeat(4000);
        let items: Vec<Item> = (0..40).map(|n| item(n, "h", Some("S"), &format!("{long};m{n}"))).collect();
        let mut read = Vec::new();
        let fates = loop {
            match rig.send(&items) {
                Ok(fates) => break fates,
                Err(Trouble::Unanswered(..)) => read.extend(lines(&mut reader)),
                Err(other) => panic!("{other:?}"),
            }
        };
        read.extend(lines(&mut reader));
        assert_eq!((fates, read), (vec![Fate::Taken; 40], names(0..40)));
    }

    #[test]
    fn what_makes_no_command_is_a_dead_letter() {
        let mut rig = rig();
        let mut reader = rig.reader();
        let long = "s".repeat(257);
        let all =
            [item(0, "h", Some("S"), "m0"), item(1, "h", Some(&long), "m1"), item(2, "h", Some("S"), "m2")];
        assert!(rig.send(&all).is_err());
        assert_eq!(lines(&mut reader), ["m0", "m2"]);
        let fates = rig.send(&all).unwrap();
        assert_eq!((&fates[0], &fates[2]), (&Fate::Taken, &Fate::Taken));
        assert!(matches!(&fates[1], Fate::Dead(said) if said.as_str().contains("257 bytes")));
    }
}
