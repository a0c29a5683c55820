//! The command file: a named pipe that Nagios reads.
//!
//! A write into a pipe only says that the kernel has the bytes; when Nagios goes, what it had not read is gone
//! with it. So the sink asks the kernel how much is unread, and calls taken only what has left the pipe. When
//! the reader is gone, everything since is sent again.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::unix::pipe;

use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::sinks::adapter::{PushSink, Pushed, SinkError, Taken};
use crate::sinks::nagios::format;
use crate::sys;

/// How long a full pipe may stay full before others are told of it.
const STUCK: Duration = Duration::from_secs(10);

/// Writes external commands into the command file.
#[derive(Debug)]
pub struct Pipe {
    path: PathBuf,
    pipe: Option<pipe::Sender>,
    /// Commands that are not in the pipe yet.
    pending: Vec<u8>,
    /// For each command, in order: how many bytes there are up to its end, and its sequence number.
    ends: VecDeque<(u64, u64)>,
    /// Bytes pushed since the pipe was opened.
    pushed: u64,
    /// Bytes written since the pipe was opened.
    written: u64,
}

impl Pipe {
    /// A sink for this command file.
    pub fn new(path: PathBuf) -> Self {
        Pipe { path, pipe: None, pending: Vec::new(), ends: VecDeque::new(), pushed: 0, written: 0 }
    }

    /// Opens the pipe without ever making a file of it: a plain file in its place would swallow commands.
    fn open(&self) -> Result<pipe::Sender, SinkError> {
        let what = || format!("cannot open the command file {}", self.path.display());
        pipe::OpenOptions::new().open_sender(&self.path).map_err(|error| match error.raw_os_error() {
            Some(libc::ENXIO) => SinkError::unavailable(what(), "nobody reads it", "start Nagios"),
            Some(libc::ENOENT) => SinkError::unavailable(
                what(),
                error,
                "start Nagios, or give command_file as in its configuration",
            ),
            Some(libc::EACCES) => SinkError::unavailable(
                what(),
                error,
                "add trapline's user to the group that the pipe belongs to",
            ),
            _ if error.kind() == io::ErrorKind::InvalidInput => {
                SinkError::unavailable(what(), "it is no named pipe", "remove the file, then restart Nagios")
            }
            _ => SinkError::unavailable(what(), error, "see command_file in the configuration of Nagios"),
        })
    }

    /// Writes whole commands, at most as many a call as the kernel takes in one piece.
    async fn write(&mut self, pipe: &pipe::Sender) -> Result<(), SinkError> {
        let mut start = 0;
        while start < self.pending.len() {
            let chunk = whole_commands(&self.pending[start..]);
            match pipe.try_write(chunk) {
                Ok(count) => {
                    start += count;
                    self.written += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let ready = tokio::time::timeout(STUCK, pipe.writable()).await;
                    match ready {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return Err(self.gone(&error)),
                        Err(_) => return Err(self.gone(&io::Error::from(io::ErrorKind::TimedOut))),
                    }
                }
                Err(error) => return Err(self.gone(&error)),
            }
        }
        self.pending.clear();
        Ok(())
    }

    fn gone(&self, error: &io::Error) -> SinkError {
        let what = format!("the reader of the command file {} has stopped reading", self.path.display());
        SinkError::unavailable(what, error, "see whether Nagios runs")
    }
}

/// The longest start of some commands that ends one and that a pipe takes in one piece.
fn whole_commands(commands: &[u8]) -> &[u8] {
    let most = &commands[..commands.len().min(format::MAX_COMMAND)];
    let end = most.iter().rposition(|b| *b == b'\n').map_or(most.len(), |at| at + 1);
    &most[..end]
}

impl PushSink for Pipe {
    fn push(&mut self, record: &Record<'_>) -> Pushed {
        let Outcome::CheckResult(check) = &record.outcome else { return Pushed::Skipped };
        let before = self.pending.len();
        let cut = format::push_command(&mut self.pending, check);
        self.pushed += (self.pending.len() - before) as u64;
        self.ends.push_back((self.pushed, record.sequence));
        if cut { Pushed::Cut } else { Pushed::Queued }
    }

    async fn flush(&mut self) -> Result<Taken, SinkError> {
        if self.ends.is_empty() {
            return Ok(Taken::All);
        }
        let pipe = match self.pipe.take() {
            Some(pipe) => pipe,
            None => self.open()?,
        };
        self.write(&pipe).await?;
        let unread = sys::unread(pipe.as_fd()).map_err(|error| self.gone(&error))? as u64;
        // The reader may have gone with bytes unread; then the next write says so, but there may be none.
        if unread > 0 && !has_reader(&pipe) {
            return Err(self.gone(&io::Error::from(io::ErrorKind::BrokenPipe)));
        }
        self.pipe = Some(pipe);
        let taken = self.written - unread;
        while self.ends.front().is_some_and(|(end, _)| *end <= taken) {
            self.ends.pop_front();
        }
        Ok(self.ends.front().map_or(Taken::All, |(_, sequence)| Taken::Before(*sequence)))
    }

    fn reset(&mut self) {
        *self = Pipe::new(std::mem::take(&mut self.path));
    }
}

/// Whether somebody has the other end open: poll(2) shows an error on a pipe without reader.
fn has_reader(pipe: &pipe::Sender) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(_) => !fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLERR)),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_commands_in_one_piece() {
        let line = [&[b'x'; 1499][..], b"\n"].concat();
        let three = line.repeat(3);
        assert_eq!(whole_commands(&three).len(), 3000);
        assert_eq!(whole_commands(&line), line);
    }
}
