//! A pipe or a terminal that lines go to, as `/dev/stdout` can be. What it takes counts as delivered.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::files::pipe::piece;
use crate::sinks::sink::Id;
use crate::time::clock::Clock;

/// How long it may take nothing before that is an error.
const STUCK: Duration = Duration::from_secs(10);
/// The first and the longest pause before it is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Lines of items, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    /// Where the line of each item ends, behind its newline. An item whose line is not to be written ends where the one
    /// before ends.
    pub(super) ends: Vec<(usize, Id)>,
}

impl Lines {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// An open pipe or terminal.
#[derive(Debug)]
pub(super) struct Stream {
    file: File,
    /// The line that it had taken a part of when it stopped taking any, and what is left of it.
    cut: Option<(Id, Vec<u8>)>,
}

impl Stream {
    /// Opens it. A FIFO that nobody reads is an error, which opening would wait for otherwise.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        Ok(Stream { file, cut: None })
    }

    /// Whether a path leads to it.
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        let same = |there: Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        Ok(std::fs::metadata(path).is_ok_and(same))
    }

    /// The item of which a part is written. The next [`Stream::write`] writes the rest: its line is not to be among the lines
    /// then.
    pub(super) fn cut(&self) -> Option<Id> {
        self.cut.as_ref().map(|(id, _)| *id)
    }

    /// Writes lines. Returns of how many items the whole line is written.
    ///
    /// # Errors
    ///
    /// If it is gone. [`ErrorKind::TimedOut`] if it took no whole line for 10 s.
    pub(super) async fn write(&mut self, lines: &Lines, clock: &dyn Clock) -> io::Result<usize> {
        if let Some((id, mut rest)) = self.cut.take() {
            let count = self.push(&rest, clock).await?;
            rest.drain(..count);
            if !rest.is_empty() {
                self.cut = Some((id, rest));
                return Err(stuck());
            }
        }
        let count = self.push(&lines.bytes, clock).await?;
        let whole = lines.ends.partition_point(|(end, _)| *end <= count);
        let written = whole.checked_sub(1).map_or(0, |last| lines.ends[last].0);
        if let Some((end, id)) = lines.ends.get(whole)
            && count > written
        {
            self.cut = Some((*id, lines.bytes[count..*end].to_vec()));
        }
        if whole == 0 && !lines.ends.is_empty() { Err(stuck()) } else { Ok(whole) }
    }

    /// Writes bytes until all are written, or none were taken for [`STUCK`]. Returns how many.
    async fn push(&mut self, bytes: &[u8], clock: &dyn Clock) -> io::Result<usize> {
        let (mut count, mut pause, mut since) = (0, FIRST_PAUSE, clock.now().mono);
        while count < bytes.len() {
            match self.file.write(piece(&bytes[count..])) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(more) => {
                    count += more;
                    (pause, since) = (FIRST_PAUSE, clock.now().mono);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if clock.now().mono.since(since) >= STUCK {
                        break;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}

fn stuck() -> io::Error {
    let text = format!("its reader has read nothing for {} s", STUCK.as_secs());
    io::Error::new(ErrorKind::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use nix::fcntl::{FcntlArg, fcntl};
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use tokio::time::Instant;

    use super::*;
    use crate::time::clock::{Mono, Now, Wall};

    /// The time of the runtime, which moves on when nothing else can.
    #[derive(Debug)]
    struct Paused(Instant);

    impl Clock for Paused {
        fn now(&self) -> Now {
            Now { wall: Wall::from_micros(0), mono: Mono::default() + self.0.elapsed() }
        }
    }

    fn line(number: usize) -> Vec<u8> {
        let mut line = format!("{number} ").into_bytes();
        line.resize(line.len() + number * 977 % 9000, b'x');
        line.push(b'\n');
        line
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_and_goes_on_gets_each_line_once() {
        const ALL: usize = 100;
        let clock = Paused(Instant::now());
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
        let mut stream = Stream::open(&fifo).unwrap();
        fcntl(&stream.file, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        let (mut done, mut got, mut stopped) = (0, Vec::new(), 0);
        while done < ALL {
            let mut lines = Lines::default();
            for number in done..(done + 7).min(ALL) {
                let id = Id::Journal(number as u64);
                if stream.cut() != Some(id) {
                    lines.bytes.extend(line(number));
                }
                lines.ends.push((lines.bytes.len(), id));
            }
            match stream.write(&lines, &clock).await {
                Ok(whole) => done += whole,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TimedOut);
                    stopped += 1;
                }
            }
            let mut chunk = [0; 4096];
            while let Ok(count) = reader.read(&mut chunk) {
                got.extend_from_slice(&chunk[..count]);
            }
        }
        assert!(stopped > 0);
        assert_eq!(got, (0..ALL).flat_map(line).collect::<Vec<_>>());
        drop(reader);
        let lines = Lines { bytes: line(1), ends: vec![(line(1).len(), Id::Journal(1))] };
        assert_eq!(stream.write(&lines, &clock).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
