//! Settings of the file sink, and its lane.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::stream::{Lines, Stream};
use crate::files::entries::JSON_LINES;
use crate::files::{AppendLog, Folder};
use crate::outcome::json;
use crate::outcome::record::Record;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::{
    Destination, Fate, Id, Item, Lane, Limits, Order, Pieces, Seat, Sending, Sink, Trouble,
};
use crate::time::clock::{Clock, Mono};

/// `type = "file"`
pub const KIND: Kind = Kind {
    name: "file",
    says: "lines of JSON",
    keys: &[&[Key {
        name: "path",
        default: "required",
        says: "The file. Its folder is created if it does not exist.",
    }]],
    answers: &[],
    read,
};

/// How often the sink looks whether the file was moved away.
const LOOK: Duration = Duration::from_secs(1);

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    Some(Arc::new(JsonLines { path: options.path("path", "outcomes.jsonl")? }))
}

/// A file of JSON lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonLines {
    /// The file.
    pub path: PathBuf,
}

impl Sink for JsonLines {
    fn limits(&self) -> Limits {
        // Lines are synced before they count as taken, so some are gathered for each sync.
        Limits { items: 2048, order: Order::Kept, linger: Duration::from_millis(20), ..Limits::default() }
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        let mut line = Vec::new();
        json::push(&mut line, record);
        Some(Ok(vec![Piece::new(Format::Json, line)]))
    }

    fn destination(&self) -> Destination {
        Destination::File(self.path.clone())
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        let (path, clock) = (self.path.clone(), seat.clock.clone());
        Box::new(FileLane {
            path,
            clock,
            target: None,
            lines: Lines::default(),
            writer: json::Writer::default(),
        })
    }
}

/// Appends lines to the file; follows when the file is moved away, as logrotate does.
#[derive(Debug)]
struct FileLane {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// What the path leads to, and when that was looked at.
    target: Option<(Target, Mono)>,
    /// Lines to be written, kept for its memory.
    lines: Lines,
    writer: json::Writer,
}

#[derive(Debug)]
enum Target {
    Log(AppendLog),
    Stream(Stream),
}

impl Lane for FileLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl FileLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        match self.write(items).await {
            Ok(fates) => Ok(fates),
            Err(error) => {
                // A pipe that nobody reads now keeps the line that it has a part of.
                if error.kind() != io::ErrorKind::TimedOut {
                    self.target = None;
                }
                let what = format!("cannot write {}: {error}", self.path.display());
                Err(Trouble::Away(what.into(), "make the file writable, or name another in path"))
            }
        }
    }

    async fn write(&mut self, items: &[Item]) -> io::Result<Vec<Fate>> {
        self.find_target()?;
        self.lines.clear();
        let cut = match &self.target {
            Some((Target::Stream(stream), _)) => stream.cut(),
            _ => None,
        };
        let mut fates: Vec<Fate> = items.iter().map(|item| self.push(item, cut)).collect();
        match &mut self.target {
            Some((Target::Log(log), _)) => log.append_lines_synced(&self.lines.bytes)?,
            Some((Target::Stream(stream), _)) => {
                let whole = stream.write(&self.lines, &*self.clock).await?;
                fates.truncate(whole);
            }
            None => {}
        }
        Ok(fates)
    }

    /// Appends the line of an item, and says what becomes of it once the line is written. Of the item `cut` a part was
    /// written before, and the rest is written without this.
    fn push(&mut self, item: &Item, cut: Option<Id>) -> Fate {
        let Lines { bytes, ends } = &mut self.lines;
        let record = item.record();
        if let Some(record) = record.as_ref().filter(|_| cut != Some(item.id)) {
            self.writer.push(bytes, record);
            bytes.push(b'\n');
        }
        ends.push((bytes.len(), item.id));
        if record.is_some() { Fate::Taken } else { Fate::Dead("the outcome is damaged".into()) }
    }

    /// Opens the file, or another one if the path does not lead to the open one any more.
    fn find_target(&mut self) -> io::Result<()> {
        let now = self.clock.now().mono;
        let is_there = match &mut self.target {
            None => false,
            Some((_, looked)) if now.since(*looked) < LOOK => true,
            Some((target, looked)) => {
                *looked = now;
                match target {
                    // Also if the directory was moved away.
                    Target::Log(log) => {
                        log.follow()?;
                        true
                    }
                    Target::Stream(stream) => stream.is_at(&self.path)?,
                }
            }
        };
        if !is_there {
            self.target = None;
            self.target = Some((open(&self.path)?, now));
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<Target> {
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Stream::open(path).map(Target::Stream);
    }
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    let folder = Folder::shared(path.parent().unwrap_or(path))?;
    let (log, recovered) = AppendLog::open_shared(&folder, name, JSON_LINES)?;
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;

    use proptest::prelude::*;

    use super::*;
    use crate::sinks::testing::{item, record, seat};
    use crate::time::clock::TestClock;

    fn lane(path: &Path) -> (FileLane, Arc<TestClock>) {
        let (seat, clock) = seat();
        (
            FileLane {
                path: path.into(),
                clock: seat.clock,
                target: None,
                lines: Lines::default(),
                writer: json::Writer::default(),
            },
            clock,
        )
    }

    fn deliver(lane: &mut FileLane, number: u64) {
        let output = format!("line\n{number}");
        assert_eq!(send(lane, &[item(number, "h", None, &output)]), Ok(vec![Fate::Taken]));
    }

    fn send(lane: &mut FileLane, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(lane.deliver(items))
    }

    fn ids(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let id = |line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
        };
        text.lines().map(id).collect()
    }

    fn id(number: u64) -> String {
        format!("{:016x}-{number}", 1)
    }

    #[test]
    fn an_outcome_that_is_damaged_is_dead_and_the_others_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        let (mut lane, _) = lane(&path);
        let mut items: Vec<Item> = (1..5).map(|number| item(number, "h", None, "o")).collect();
        for at in [0, 2, 3] {
            items[at].payload = [0xff; 3].as_slice().into();
        }
        let fates = send(&mut lane, &items).unwrap();
        let dead = |fate: &Fate| matches!(fate, Fate::Dead(_));
        assert_eq!(fates.iter().map(dead).collect::<Vec<_>>(), [true, false, true, true]);
        assert_eq!(ids(&path), [id(2)]);
    }

    #[test]
    fn half_a_line_is_not_glued_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        deliver(&mut lane(&path).0, 1);
        let whole = std::fs::read_to_string(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, format!("{whole}{}", &whole[..length])).unwrap();
            deliver(&mut lane(&path).0, 2);
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
        let (mut lane, clock) = lane(&path);
        deliver(&mut lane, 1);
        std::fs::rename(&path, path.with_extension("1")).unwrap();
        deliver(&mut lane, 2);
        clock.advance(LOOK);
        deliver(&mut lane, 3);
        // It looks once a second.
        assert_eq!((ids(&path.with_extension("1")), ids(&path)), (vec![id(1), id(2)], vec![id(3)]));
        // copytruncate
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        deliver(&mut lane, 4);
        assert_eq!(ids(&path), [id(4)]);
        std::fs::remove_dir_all(dir.path().join("below")).unwrap();
        clock.advance(LOOK);
        deliver(&mut lane, 5);
        assert_eq!(ids(&path), [id(5)]);
        std::fs::rename(dir.path().join("below"), dir.path().join("moved")).unwrap();
        clock.advance(LOOK);
        deliver(&mut lane, 6);
        assert_eq!((ids(&dir.path().join("moved/out.jsonl")), ids(&path)), (vec![id(5)], vec![id(6)]));
    }

    #[test]
    fn a_link_is_followed_and_a_fifo_without_a_reader_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let (link, fifo) = (dir.path().join("link"), dir.path().join("fifo"));
        std::os::unix::fs::symlink(dir.path().join("real"), &link).unwrap();
        let (mut linked, _) = lane(&link);
        deliver(&mut linked, 1);
        deliver(&mut linked, 2);
        assert_eq!(ids(&dir.path().join("real")), [id(1), id(2)]);
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (mut piped, _) = lane(&fifo);
        assert!(matches!(send(&mut piped, &[item(1, "h", None, "o")]), Err(Trouble::Away(..))));
        let mut reader = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
        deliver(&mut piped, 1);
        let mut line = [0; 4096];
        let count = reader.read(&mut line).unwrap();
        assert_eq!(line[..count].iter().filter(|byte| **byte == b'\n').count(), 1);
    }

    proptest! {
        #[test]
        fn no_value_makes_another_line_or_field(host in any::<String>(), output in any::<String>()) {
            let pieces = JsonLines { path: "f".into() }.pieces(&record(&host, None, &output)).unwrap().unwrap();
            let line = &pieces[0].bytes;
            prop_assert!(!line.contains(&b'\n'));
            let read: serde_json::Value = serde_json::from_slice(line).unwrap();
            prop_assert_eq!((read["output"].as_str(), read.as_object().unwrap().len()), (Some(output.as_str()), 11));
        }
    }
}
