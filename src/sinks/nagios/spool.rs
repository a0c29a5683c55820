//! The check result directory: Nagios reads and deletes a file there once an empty one with `.ok` behind its name stands
//! beside it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::format::push_spooled;
use super::results;
use crate::files::Folder;
use crate::outcome::record::Record;
use crate::outcome::result::CheckResult;
use crate::sinks::piece::Format;
use crate::sinks::plugin_output::Newlines;
use crate::sinks::sink::{Destination, Fate, Item, Lane, Limits, Pieces, Seat, Sending, Sink, Trouble};
use crate::time::clock::Clock;

/// With so many files of results waiting, Nagios is not reading: the directory is not filled any further.
const MOST_FILES: usize = 1000;

/// The check result directory of Nagios.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// The directory.
    pub directory: PathBuf,
    /// How further lines are written.
    pub newlines: Newlines,
}

impl Sink for Spool {
    fn limits(&self) -> Limits {
        results::limits()
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        results::pieces(record, Format::CheckResultFile, |out, check| push_spooled(out, check, self.newlines))
    }

    fn destination(&self) -> Destination {
        Destination::Folder(self.directory.clone())
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        Box::new(SpoolLane { spool: self.clone(), clock: seat.clock.clone(), named: 0 })
    }
}

/// Writes files of check results.
#[derive(Debug)]
struct SpoolLane {
    spool: Spool,
    clock: Arc<dyn Clock>,
    /// How many names were tried.
    named: u64,
}

impl Lane for SpoolLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(std::future::ready(self.deliver(items)))
    }
}

impl SpoolLane {
    fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut results = Vec::new();
        let newlines = self.spool.newlines;
        let push = |out: &mut Vec<u8>, check: &CheckResult<'_>| push_spooled(out, check, newlines);
        let fates = items.iter().map(|item| results::push(&mut results, item, push)).collect();
        if results.is_empty() {
            return Ok(fates);
        }
        // Opened each time: who replaces Nagios may replace its directory.
        let folder = Folder::handed(&self.spool.directory).map_err(|error| self.away(&error))?;
        let waiting = waiting(&folder).map_err(|error| self.away(&error))?;
        if waiting >= MOST_FILES {
            let what = format!("{waiting} files of check results wait in {}", self.spool.directory.display());
            return Err(Trouble::Away(what.into(), "see whether Nagios runs"));
        }
        self.write(&folder, &results).map_err(|error| self.away(&error))?;
        Ok(fates)
    }

    fn away(&self, error: &io::Error) -> Trouble {
        let what = format!("cannot write check results to {}: {error}", self.spool.directory.display());
        let hint = "give check_result_path as in the configuration of Nagios, and make it writable";
        Trouble::Away(what.into(), hint)
    }

    fn write(&mut self, folder: &Folder, results: &[u8]) -> io::Result<()> {
        let seconds = self.clock.now().wall.seconds();
        let name = loop {
            let name = self.next_name();
            // The journal lets go of what is in the file: it must outlive a power cut.
            let created = folder.create(&name, |out| {
                write!(out, "### trapline\nfile_time={seconds}\n\n")?;
                out.write_all(results)
            });
            match created {
                Ok(()) => break name,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        if let Err(error) = folder.create(&format!("{name}.ok"), |_| Ok(())) {
            let _ = folder.remove(&name);
            return Err(error);
        }
        // Nagios may have read and removed both by now. Where the names cannot be synced, the results are there all the same.
        if let Err(error) = folder.sync() {
            tracing::debug!(%error, "cannot sync {}", self.spool.directory.display());
        }
        Ok(())
    }

    /// `c` and six letters or digits, as Nagios itself names them.
    fn next_name(&mut self) -> String {
        const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut number = (u64::from(std::process::id()) << 20).wrapping_add(self.named);
        self.named += 1;
        let mut name = String::from("c");
        for _ in 0..6 {
            name.push(char::from(DIGITS[(number % 36) as usize]));
            number /= 36;
        }
        name
    }
}

/// How many files of results wait to be read.
fn waiting(folder: &Folder) -> io::Result<usize> {
    Ok(folder.list()?.iter().filter(|name| !name.contains('.')).count())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::files::faulty::{Faults, Faulty};
    use crate::files::mount::{mount, unmount};
    use crate::sinks::testing::{item, seat};

    /// The outputs of the results that Nagios would read.
    fn read(disk: &Faulty) -> BTreeMap<PathBuf, String> {
        let names = disk.names();
        let text = |path: &PathBuf| String::from_utf8(disk.content(path).unwrap()).unwrap();
        let ready = names.iter().filter(|path| names.contains(&path.with_extension("ok")));
        ready.filter(|path| path.extension().is_none()).map(|path| (path.clone(), text(path))).collect()
    }

    #[test]
    fn what_counts_as_delivered_is_there_after_a_power_cut() {
        let directory = Path::new("/the/spool");
        let (seat, _) = seat();
        for seed in 0..60 {
            let disk = Faulty::new(seed);
            mount(directory, disk.clone());
            let spool = Spool { directory: directory.to_owned(), newlines: Newlines::Escaped };
            let mut lane = SpoolLane { spool, clock: seat.clock.clone(), named: 0 };
            disk.set_faults(Faults { write: 3, names: 5, ..Faults::default() });
            let mut taken = Vec::new();
            for n in 0..20 {
                let output = format!("output {n}.");
                match lane.deliver(&[item(n, "h", Some("S"), &output)]) {
                    Ok(fates) => {
                        assert_eq!(fates, [Fate::Taken]);
                        taken.push(output);
                    }
                    Err(trouble) => assert!(matches!(trouble, Trouble::Away(..)), "{trouble}"),
                }
            }
            let all = |disk: &Faulty| read(disk).into_values().collect::<String>();
            for (when, text) in [
                ("before", all(&disk)),
                ("after", {
                    disk.cut_power();
                    all(&disk)
                }),
            ] {
                for output in &taken {
                    assert_eq!(text.matches(output).count(), 1, "seed {seed}, {when}: {output} in {text}");
                }
                assert_eq!(text.matches("file_time=").count(), read(&disk).len(), "no file is half there");
            }
            assert!(!taken.is_empty() && taken.len() < 20, "{}", taken.len());
            unmount(directory);
        }
    }

    #[test]
    fn files_until_nobody_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let (seat, _) = seat();
        let mut lane = SpoolLane {
            spool: Spool { directory: dir.path().to_owned(), newlines: Newlines::Escaped },
            clock: seat.clock,
            named: 0,
        };
        let all = [item(0, "h", Some("S"), "m0"), item(1, &"h".repeat(300), None, "m1")];
        let fates = lane.deliver(&all).unwrap();
        assert!(matches!(&fates[..], [Fate::Taken, Fate::Dead(_)]), "{fates:?}");
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        assert_eq!(names[1], names[0].with_extension("ok"));
        for name in &names {
            assert_eq!(std::fs::metadata(name).unwrap().permissions().mode() & 0o717, 0o600, "{name:?}");
        }
        assert!(std::fs::read_to_string(&names[0]).unwrap().contains("output=m0\n"));
        for n in 1..MOST_FILES {
            std::fs::write(dir.path().join(format!("c{n}")), "").unwrap();
        }
        assert!(
            matches!(lane.deliver(&all), Err(Trouble::Away(said, _)) if said.as_str().contains("1000 files"))
        );
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(matches!(lane.deliver(&all), Err(Trouble::Away(..))));
    }
}
