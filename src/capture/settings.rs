//! `[capture]`

use std::time::Duration;

use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::{duration, size};

/// The smallest size: some files of a useful length.
const MIN_SIZE: u64 = 1 << 20;
/// The longest age.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// `[capture]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The most bytes on disk.
    pub size: u64,
    /// How long a message is kept.
    pub age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { size: 1 << 30, age: Duration::from_hours(24 * 7) }
    }
}

impl Settings {
    /// Reads the section.
    pub fn read(section: Section<'_, '_>, found: &mut Diagnostics) -> Self {
        let default = Settings::default();
        let given = size(&section, "size", found);
        if let Some(small) = given.as_ref().filter(|size| size.value < MIN_SIZE) {
            let hint = Some("give it at least 1MiB".to_owned());
            found.push(section.source().error(
                &small.span,
                "'size' is too small for captured messages",
                hint,
            ));
        }
        let age = duration(&section, "age", Duration::from_mins(1)..=LONGEST, found);
        section.finish(found);
        Settings { size: given.map_or(default.size, |size| size.value), age: age.unwrap_or(default.age) }
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
        let section = Section::new(&source, root.get_ref(), root.span(), "[capture]");
        (Settings::read(section, &mut found), found.to_text())
    }

    #[test]
    fn sizes_and_ages() {
        assert_eq!(read(""), (Settings::default(), String::new()));
        let (settings, found) = read("size = \"10MiB\"\nage = \"2h\"\n");
        assert_eq!((settings.size, settings.age, found.as_str()), (10 << 20, Duration::from_hours(2), ""));
        let (_, found) = read("size = 1000\nage = \"1s\"\nagge = 1\n");
        for part in ["too small", "age must be 1min to 365d", "did you mean 'age'?"] {
            assert!(found.contains(part), "{part} in {found}");
        }
    }
}
