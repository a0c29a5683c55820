//! Commands for the pollers of a Centreon central: Gorgone, as centcore before it, reads and deletes the files of a directory, each
//! with lines `EXTERNALCMD:POLLER:COMMAND`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::format::push_command;
use super::results;
use crate::files::Folder;
use crate::outcome::record::Record;
use crate::outcome::result::CheckResult;
use crate::sinks::piece::Format;
use crate::sinks::plugin_output::{Newlines, Unfit};
use crate::sinks::sink::{Destination, Fate, Item, Lane, Limits, Pieces, Seat, Sending, Sink, Trouble};

/// With so many files waiting, Gorgone is not reading: the directory is not filled any further.
const MOST_FILES: usize = 1000;

/// The directory of commands of a Centreon central.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Centcore {
    /// The directory.
    pub directory: PathBuf,
    /// The number of the poller that has the hosts.
    pub poller: u32,
    /// How further lines are written.
    pub newlines: Newlines,
}

impl Centcore {
    /// Appends the command of a result, with its newline. Returns whether the output had to be cut.
    fn push(&self, out: &mut Vec<u8>, check: &CheckResult<'_>) -> Result<bool, Unfit> {
        let start = out.len();
        out.extend_from_slice(format!("EXTERNALCMD:{}:", self.poller).as_bytes());
        push_command(out, check, self.newlines).inspect_err(|_| out.truncate(start))
    }
}

impl Sink for Centcore {
    fn limits(&self) -> Limits {
        results::limits()
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        results::pieces(record, Format::Command, |out, check| self.push(out, check))
    }

    fn destination(&self) -> Destination {
        Destination::Folder(self.directory.clone())
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        Box::new(CentcoreLane { central: self.clone(), sink: seat.name.clone() })
    }
}

/// Writes files of commands.
#[derive(Debug)]
struct CentcoreLane {
    central: Centcore,
    /// The name of the sink, as several may write to one directory.
    sink: Arc<str>,
}

impl Lane for CentcoreLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(std::future::ready(self.deliver(items)))
    }
}

impl CentcoreLane {
    fn deliver(&self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut commands = Vec::new();
        let mut first = None;
        let mut fates = Vec::with_capacity(items.len());
        for item in items {
            let fate = results::push(&mut commands, item, |out, check| self.central.push(out, check));
            if !matches!(fate, Fate::Dead(_)) {
                first = first.or(Some(item));
            }
            fates.push(fate);
        }
        let Some(first) = first else { return Ok(fates) };
        // Opened each time: an update of Centreon may replace the directory.
        let folder = Folder::handed(&self.central.directory).map_err(|error| self.away(&error))?;
        let waiting = folder.list().map_err(|error| self.away(&error))?;
        let waiting = waiting.iter().filter(|name| !name.starts_with('.')).count();
        if waiting >= MOST_FILES {
            let what = format!("{waiting} files of commands wait in {}", self.central.directory.display());
            return Err(Trouble::Away(what.into(), "see whether gorgoned runs, with its module legacycmd"));
        }
        // Gorgone skips names that begin with a dot, so it sees whole files only. A file that could not be synced is replaced
        // by the next try, unless it was read meanwhile.
        let name = format!("trapline-{}-{:016x}-{}", self.sink, first.epoch, first.sequence);
        folder.replace(&name, |out| out.write_all(&commands)).map_err(|error| self.away(&error))?;
        Ok(fates)
    }

    fn away(&self, error: &io::Error) -> Trouble {
        let what = format!("cannot write commands to {}: {error}", self.central.directory.display());
        Trouble::Away(
            what.into(),
            "give directory as cmd_dir of Gorgone, and add trapline's user to the group centreon",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    use super::*;
    use crate::files::faulty::{Faults, Faulty};
    use crate::files::mount::{mount, unmount};
    use crate::sinks::testing::item;

    fn lane(directory: &Path) -> CentcoreLane {
        let central = Centcore { directory: directory.to_owned(), poller: 7, newlines: Newlines::Escaped };
        CentcoreLane { central, sink: "c".into() }
    }

    #[test]
    fn a_file_of_commands_until_nobody_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let lane = lane(dir.path());
        let bad = "h".repeat(300);
        let all = [
            item(1, &bad, None, "x"),
            item(2, "h", Some("S: a"), "a:b\nEXTERNALCMD:1:[0] c"),
            item(3, "h", None, "d"),
        ];
        let fates = lane.deliver(&all).unwrap();
        assert!(matches!(&fates[..], [Fate::Dead(_), Fate::Taken, Fate::Taken]), "{fates:?}");
        let path = dir.path().join("trapline-c-0000000000000001-2");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "EXTERNALCMD:7:[1700000000] PROCESS_SERVICE_CHECK_RESULT;h;S: a;2;a:b\\nEXTERNALCMD:1:[0] c\n\
             EXTERNALCMD:7:[1700000000] PROCESS_HOST_CHECK_RESULT;h;2;d\n"
        );
        let (meta, folder) = (path.metadata().unwrap(), dir.path().metadata().unwrap());
        assert_eq!((meta.permissions().mode() & 0o717, meta.gid()), (0o600, folder.gid()));
        // Nothing else, and nothing of what nobody can have.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(matches!(&lane.deliver(&all[..1]).unwrap()[..], [Fate::Dead(_)]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        for n in 1..MOST_FILES {
            std::fs::write(dir.path().join(format!("f{n}")), "").unwrap();
        }
        let full = lane.deliver(&all);
        assert!(matches!(full, Err(Trouble::Away(said, _)) if said.as_str().contains("1000 files")));
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(matches!(lane.deliver(&all), Err(Trouble::Away(..))));
    }

    #[test]
    fn what_counts_as_delivered_is_there_once_after_a_power_cut() {
        let directory = Path::new("/the/centcore");
        for seed in 0..60 {
            let disk = Faulty::new(seed);
            mount(directory, disk.clone());
            disk.set_faults(Faults { write: 3, names: 5, ..Faults::default() });
            let lane = lane(directory);
            let mut taken = 0;
            for n in 0..20 {
                let output = format!("output {n}.");
                // What is not taken is sent again, as delivery does.
                while lane.deliver(&[item(n, "h", Some("S"), &output)]).is_err() {}
                taken += 1;
            }
            disk.cut_power();
            let names = disk.names();
            let whole =
                names.iter().filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
            let text: String =
                whole.map(|path| String::from_utf8(disk.content(path).unwrap()).unwrap()).collect();
            for n in 0..taken {
                assert_eq!(text.matches(&format!("output {n}.\n")).count(), 1, "seed {seed}: {text}");
            }
            assert_eq!(text.matches("EXTERNALCMD:7:").count(), 20);
            unmount(directory);
        }
    }
}
