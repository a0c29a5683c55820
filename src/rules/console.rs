//! The rules that people have made in the console: one file of the state directory, tried after the user's files and before the
//! shipped packs. [`maker::versions`](crate::maker::versions) writes it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::Folder;
use crate::rules::compile::RuleFile;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};

/// Its folder in the state directory.
pub const FOLDER: &str = "rules";
/// Its name there.
pub const FILE: &str = "console.toml";
/// The most bytes that it may have.
pub const MOST: usize = 1 << 20;

/// Where the console's rules are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleRules {
    /// In the file of this state directory.
    In(PathBuf),
    /// This text, as if that file of the state directory had it.
    Text(PathBuf, Arc<str>),
}

/// The path of the file in a state directory.
pub fn path(directory: &Path) -> PathBuf {
    directory.join(FOLDER).join(FILE)
}

/// The text of the file in a state directory; none if there is no such file.
///
/// # Errors
///
/// If it is there and cannot be read, or is no text.
pub fn read(directory: &Path) -> io::Result<Option<String>> {
    let bytes = Folder::existing(directory)
        .and_then(|folder| folder.existing_sub(FOLDER))
        .and_then(|folder| folder.read(FILE, MOST as u64));
    match bytes {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(io::Error::new(ErrorKind::InvalidData, "it is not UTF-8")),
        },
        // Whoever uses the directory says what is wrong with it.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

impl ConsoleRules {
    fn directory(&self) -> &Path {
        let (ConsoleRules::In(directory) | ConsoleRules::Text(directory, _)) = self;
        directory
    }

    /// The path of the file.
    pub fn path(&self) -> PathBuf {
        path(self.directory())
    }

    /// The rule file; none if nobody has made a rule yet, or it cannot be read.
    pub fn file(&self, found: &mut Diagnostics) -> Option<RuleFile> {
        let name = self.path().display().to_string();
        let text: Arc<str> = match self {
            ConsoleRules::Text(_, text) => text.clone(),
            ConsoleRules::In(directory) => match read(directory) {
                Ok(text) => text?.into(),
                Err(error) => {
                    // Whoever may not look into the directory cannot tell whether there is such a file.
                    let elsewhere = error.kind() == ErrorKind::PermissionDenied;
                    found.push(Diagnostic {
                        severity: if elsewhere { Severity::Warning } else { Severity::Error },
                        file: name,
                        place: None,
                        message: format!("cannot read the rules of the console: {error}"),
                        hint: Some("run this as the daemon's user or root, or repair the file".to_owned()),
                    });
                    return None;
                }
            },
        };
        Some(RuleFile { name: name.into(), text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_has_no_rules_and_one_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let rules = ConsoleRules::In(dir.path().to_owned());
        let file = || {
            let mut found = Diagnostics::default();
            let file = rules.file(&mut found);
            (file.map(|file| file.text.to_string()), found.to_text())
        };
        assert_eq!(file(), (None, String::new()));
        std::fs::create_dir(dir.path().join(FOLDER)).unwrap();
        assert_eq!(file(), (None, String::new()));
        std::fs::write(rules.path(), "# text").unwrap();
        assert_eq!(file(), (Some("# text".to_owned()), String::new()));
        std::fs::write(rules.path(), b"\xff").unwrap();
        assert!(
            file().1.contains("console.toml: error: cannot read the rules of the console"),
            "{:?}",
            file()
        );
        std::fs::write(rules.path(), vec![b' '; MOST + 1]).unwrap();
        assert!(file().1.contains("longer than"), "{:?}", file());
        std::fs::remove_file(rules.path()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", rules.path()).unwrap();
        assert!(file().0.is_none() && file().1.contains("error"), "{:?}", file());
    }
}
