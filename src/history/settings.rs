//! `[history]`

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::{count, duration, size};

/// The name of the folder in the journal directory.
pub const FOLDER: &str = "history";
/// The smallest size: sixteen files of a useful length.
pub const MIN_SIZE: u64 = 16 << 20;
const MAX_SIZE: u64 = 1 << 44;
const HOUR: Duration = Duration::from_hours(1);
/// The longest age.
const LONGEST: Duration = Duration::from_hours(24 * 3660);
/// How many rows a second may be kept.
const RATES: std::ops::RangeInclusive<usize> = 10..=50_000;

/// `[history]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the files are.
    pub directory: PathBuf,
    /// The most bytes on disk.
    pub max_size: u64,
    /// How long rows are kept.
    pub age: Duration,
    /// How long the counts of minutes are kept.
    pub rollup_age: Duration,
    /// How many rows a second are kept in the long run.
    pub rows_per_second: usize,
}

impl Settings {
    /// The defaults, in a journal directory.
    pub fn default_in(journal: &Path) -> Self {
        Settings {
            directory: journal.join(FOLDER),
            max_size: 2 << 30,
            age: 24 * 30 * HOUR,
            rollup_age: 24 * 400 * HOUR,
            rows_per_second: 2000,
        }
    }

    /// Reads the section.
    pub fn read(
        section: Section<'_, '_>,
        journal: &Path,
        resolve: &dyn Fn(&str) -> PathBuf,
        found: &mut Diagnostics,
    ) -> Self {
        let default = Settings::default_in(journal);
        let directory = section.string("directory", found);
        if let Some(empty) = directory.as_ref().filter(|path| path.value.is_empty()) {
            let hint = Some(
                "name a folder, or remove the key for the folder 'history' beside the journal".to_owned(),
            );
            found.push(section.source().error(&empty.span, "'directory' is empty", hint));
        }
        let given = size(&section, "max_size", found);
        if let Some(wrong) = given.as_ref().filter(|size| !(MIN_SIZE..=MAX_SIZE).contains(&size.value)) {
            let hint = Some("give it 16MiB to 16384GiB".to_owned());
            found.push(section.source().error(
                &wrong.span,
                "'max_size' is too small or too large for a history",
                hint,
            ));
        }
        let age = duration(&section, "age", HOUR..=LONGEST, found);
        let rollup_age = duration(&section, "rollup_age", HOUR..=LONGEST, found);
        let rows_per_second = count(&section, "rows_per_second", RATES, found);
        section.finish(found);
        Settings {
            directory: directory.map_or(default.directory, |path| resolve(&path)),
            max_size: given.map_or(default.max_size, |size| size.value),
            age: age.unwrap_or(default.age),
            rollup_age: rollup_age.unwrap_or(default.rollup_age),
            rows_per_second: rows_per_second.unwrap_or(default.rows_per_second),
        }
    }

    /// How large a file of rows becomes before the next one is begun.
    pub(super) fn part_size(&self) -> u64 {
        self.max_size / 16
    }

    /// How many bytes all files of rows may have.
    pub(super) fn rows_size(&self) -> u64 {
        self.max_size - self.rollup_size() - self.max_size / 8
    }

    /// How many bytes the states and counts may have.
    pub(super) fn rollup_size(&self) -> u64 {
        self.max_size / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::diagnostic::SourceText;
    use crate::settings::section;

    fn read(text: &str) -> (Settings, String) {
        let source = SourceText { file: "t.toml", text };
        let mut found = Diagnostics::default();
        let root = section::read(&source, &mut found).unwrap();
        let section = Section::new(&source, root.get_ref(), root.span(), "[history]");
        let settings =
            Settings::read(section, Path::new("var"), &|text| Path::new("/etc").join(text), &mut found);
        (settings, found.to_text())
    }

    #[test]
    fn defaults_ranges_and_wrong_keys() {
        assert_eq!(read(""), (Settings::default_in(Path::new("var")), String::new()));
        let (settings, found) = read(
            "directory = \"h\"\nmax_size = \"20MiB\"\nage = \"2h\"\nrollup_age = \"3d\"\nrows_per_second = 10\n",
        );
        assert_eq!(found, "");
        assert_eq!((settings.directory, settings.max_size), (PathBuf::from("/etc/h"), 20 << 20));
        assert_eq!((settings.age, settings.rollup_age, settings.rows_per_second), (2 * HOUR, 72 * HOUR, 10));
        let (_, found) =
            read("max_size = 1000\nage = \"1s\"\nrows_per_second = 0\nmax_sise = 1\ndirectory = \"\"\n");
        for part in [
            "16MiB",
            "age must be 1h to 3660d",
            "rows_per_second must be 10 to 50000",
            "did you mean 'max_size'?",
            "'directory' is empty",
        ] {
            assert!(found.contains(part), "{part} in {found}");
        }
    }
}
