//! The file sink: one JSON object a line.
//!
//! An outcome is taken once its line is synced: when nothing new comes, and at least once a second.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::files::entries::JSON_LINES;
use crate::files::{AppendLog, Folder};
use crate::outcome::json::Json;
use crate::outcome::record::Record;
use crate::sinks::adapter::{PushSink, Pushed, SinkError, Taken};

/// How long lines wait for a sync while more of them come.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Appends lines to a file; follows when the file is moved away, as logrotate does.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    target: Option<Target>,
    lines: Vec<u8>,
    /// Where each line ends, behind its newline.
    ends: Vec<usize>,
    /// The first outcome that is pushed and not written.
    pushed: Option<u64>,
    /// The first outcome that is written and not synced.
    written: Option<u64>,
    synced: Instant,
}

#[derive(Debug)]
enum Target {
    Log(AppendLog),
    /// A pipe or a terminal, as `/dev/stdout` can be. What is written to it is taken.
    Stream(File),
}

impl JsonLines {
    /// A sink for this file, which is created if it does not exist.
    pub fn new(path: PathBuf) -> Self {
        JsonLines {
            path,
            target: None,
            lines: Vec::new(),
            ends: Vec::new(),
            pushed: None,
            written: None,
            synced: Instant::now(),
        }
    }

    fn deliver(&mut self) -> io::Result<Taken> {
        let settled = self.ends.is_empty();
        if !settled {
            self.write()?;
        }
        if self.written.is_some() && (settled || self.synced.elapsed() >= SYNC_EVERY) {
            self.sync()?;
        }
        Ok(self.written.map_or(Taken::All, Taken::Before))
    }

    fn write(&mut self) -> io::Result<()> {
        let pushed = self.pushed.take();
        self.find_target()?;
        match &mut self.target {
            Some(Target::Log(log)) => {
                let starts = std::iter::once(0).chain(self.ends.iter().copied());
                log.append(starts.zip(&self.ends).map(|(start, end)| &self.lines[start..end - 1]))?;
                self.written = self.written.or(pushed);
            }
            Some(Target::Stream(file)) => file.write_all(&self.lines)?,
            None => {}
        }
        self.lines.clear();
        self.ends.clear();
        Ok(())
    }

    /// Opens the file, unless the path still leads to the open one.
    fn find_target(&mut self) -> io::Result<()> {
        let is_there = match &self.target {
            Some(Target::Log(log)) => log.is_there()?,
            Some(Target::Stream(file)) => is_same(file, &self.path)?,
            None => false,
        };
        if !is_there {
            if let Some(Target::Log(log)) = &mut self.target {
                // What was written to a file that was moved away is synced there.
                log.sync()?;
            }
            (self.target, self.written) = (None, None);
            self.target = Some(open(&self.path)?);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(Target::Log(log)) = &mut self.target {
            log.sync()?;
            // Also if the directory was moved away.
            log.follow()?;
        }
        self.written = None;
        self.synced = Instant::now();
        Ok(())
    }
}

impl PushSink for JsonLines {
    fn push(&mut self, record: &Record<'_>) -> Pushed {
        let start = self.lines.len();
        if serde_json::to_writer(&mut self.lines, &Json(record)).is_err() {
            // Writing to memory does not fail, and every key is a string.
            self.lines.truncate(start);
            return Pushed::Skipped;
        }
        self.lines.push(b'\n');
        self.ends.push(self.lines.len());
        self.pushed.get_or_insert(record.sequence);
        Pushed::Queued
    }

    async fn flush(&mut self) -> Result<Taken, SinkError> {
        self.deliver().map_err(|error| {
            let what = format!("cannot write {}", self.path.display());
            SinkError::unavailable(what, error, "make the file writable, or name another in path")
        })
    }

    fn reset(&mut self) {
        self.lines.clear();
        self.ends.clear();
        (self.target, self.pushed, self.written) = (None, None, None);
    }
}

fn open(path: &Path) -> io::Result<Target> {
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        // A FIFO that nobody reads is an error, which opening would wait for otherwise.
        let file = OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        return Ok(Target::Stream(file));
    }
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    let folder = Folder::shared(path.parent().unwrap_or(path))?;
    let (log, recovered) = AppendLog::open(&folder, name, JSON_LINES, u64::MAX)?;
    if recovered.torn > 0 {
        let bytes = recovered.torn;
        tracing::warn!(
            bytes,
            "half a line at the end of {} is removed; its outcome comes again",
            path.display()
        );
    }
    Ok(Target::Log(log))
}

/// Whether a path leads to an open file.
fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    let same = |there: std::fs::Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
    Ok(std::fs::metadata(path).is_ok_and(same))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{CheckResult, Common, Outcome, State};

    fn push(sink: &mut JsonLines, sequence: u64) {
        let common = Common {
            time: 1,
            rule: "r".into(),
            state: State::Ok,
            output: format!("line\n{sequence}").into(),
            long_output: "".into(),
            source: "192.0.2.1".into(),
        };
        let outcome = Outcome::CheckResult(CheckResult {
            common,
            host: "h".into(),
            service: None,
            perfdata: "".into(),
        });
        assert_eq!(sink.push(&Record { epoch: 1, sequence, outcome }), Pushed::Queued);
    }

    fn ids(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let id = |line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
        };
        text.lines().map(id).collect()
    }

    fn id(sequence: u64) -> String {
        format!("{:016x}-{sequence}", 1)
    }

    #[test]
    fn an_outcome_is_taken_once_its_line_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/out.jsonl");
        let mut sink = JsonLines::new(path.clone());
        assert_eq!(sink.deliver().unwrap(), Taken::All);
        push(&mut sink, 1);
        push(&mut sink, 2);
        assert_eq!(sink.deliver().unwrap(), Taken::Before(1));
        assert_eq!(ids(&path), [id(1), id(2)], "it is written at once");
        push(&mut sink, 3);
        assert_eq!(sink.deliver().unwrap(), Taken::Before(1));
        assert_eq!(sink.deliver().unwrap(), Taken::All, "nothing new came");
        push(&mut sink, 4);
        sink.synced = Instant::now().checked_sub(SYNC_EVERY).unwrap();
        assert_eq!(sink.deliver().unwrap(), Taken::All, "it was a second");
    }

    #[test]
    fn half_a_line_is_not_glued_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        let mut sink = JsonLines::new(path.clone());
        push(&mut sink, 1);
        sink.deliver().unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, format!("{whole}{}", &whole[..length])).unwrap();
            sink.reset();
            push(&mut sink, 2);
            sink.deliver().unwrap();
            // A line that lacks nothing but its newline is whole.
            let twice = if length == whole.len() - 1 { 2 } else { 1 };
            let mut expected = vec![id(1); twice];
            expected.push(id(2));
            assert_eq!(ids(&path), expected, "{length}");
        }
    }

    #[test]
    fn it_follows_a_file_that_is_moved_away_cut_or_removed_with_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/out.jsonl");
        let mut sink = JsonLines::new(path.clone());
        let mut deliver = |sequence| {
            push(&mut sink, sequence);
            sink.synced = Instant::now().checked_sub(SYNC_EVERY).unwrap();
            assert_eq!(sink.deliver().unwrap(), Taken::All);
        };
        deliver(1);
        std::fs::rename(&path, path.with_extension("1")).unwrap();
        deliver(2);
        assert_eq!((ids(&path.with_extension("1")), ids(&path)), (vec![id(1)], vec![id(2)]));
        // copytruncate
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        deliver(3);
        assert_eq!(ids(&path), [id(3)]);
        std::fs::remove_dir_all(dir.path().join("below")).unwrap();
        deliver(4);
        assert_eq!(ids(&path), [id(4)]);
        // The directory is looked for once a second, after a sync.
        std::fs::rename(dir.path().join("below"), dir.path().join("moved")).unwrap();
        deliver(5);
        deliver(6);
        assert_eq!(ids(&path), [id(6)]);
        assert_eq!(ids(&dir.path().join("moved/out.jsonl")), [id(4), id(5)]);
    }

    #[test]
    fn a_link_is_followed_and_a_fifo_without_a_reader_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let (link, fifo) = (dir.path().join("link"), dir.path().join("fifo"));
        std::os::unix::fs::symlink(dir.path().join("real"), &link).unwrap();
        let mut sink = JsonLines::new(link);
        push(&mut sink, 1);
        sink.deliver().unwrap();
        push(&mut sink, 2);
        sink.deliver().unwrap();
        assert_eq!(ids(&dir.path().join("real")), [id(1), id(2)]);
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut sink = JsonLines::new(fifo.clone());
        push(&mut sink, 1);
        assert!(sink.deliver().is_err());
        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
        sink.reset();
        push(&mut sink, 1);
        assert_eq!(sink.deliver().unwrap(), Taken::All);
        let mut line = [0; 4096];
        let count = io::Read::read(&mut reader, &mut line).unwrap();
        assert_eq!(line[..count].iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}
