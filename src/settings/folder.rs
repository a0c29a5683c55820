//! What is in the folders that users name. Only regular files, and links to them, are read: opening a FIFO in place of one
//! could wait for ever, and reading a device could have no end.

use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Severity};

/// What a folder has, each sorted by name.
#[derive(Debug, Default)]
pub struct Contents {
    /// Regular files, and links to them.
    pub files: Vec<PathBuf>,
    /// Folders, and links to them.
    pub folders: Vec<PathBuf>,
    /// What is neither, or cannot be looked at.
    pub left_out: Vec<LeftOut>,
}

/// An entry that is not read.
#[derive(Debug)]
pub struct LeftOut {
    /// Its path.
    pub path: PathBuf,
    /// Why it is not read.
    pub why: Why,
}

/// Why an entry is not read.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It is neither a file nor a folder.
    #[error("it is {0}, not a file")]
    Special(&'static str),
    /// It is a link that leads nowhere, or in a circle.
    #[error("where the link leads cannot be looked at: {0}")]
    Link(io::Error),
    /// It cannot be looked at.
    #[error("it cannot be looked at: {0}")]
    Unknown(io::Error),
}

impl LeftOut {
    /// What to say about it.
    pub fn diagnostic(&self, severity: Severity) -> Diagnostic {
        Diagnostic {
            severity,
            file: self.path.display().to_string(),
            place: None,
            message: format!("not read: {}", self.why),
            hint: Some("remove it, or put a file in its place".to_owned()),
        }
    }
}

/// Lists a folder.
///
/// # Errors
///
/// If it cannot be listed.
pub fn contents(folder: &Path) -> io::Result<Contents> {
    let mut names = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    let mut contents = Contents::default();
    for path in names.into_iter().map(|name| folder.join(name)) {
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() => contents.files.push(path),
            Ok(meta) if meta.is_dir() => contents.folders.push(path),
            Ok(meta) => contents.left_out.push(LeftOut { path, why: Why::Special(kind(meta.file_type())) }),
            Err(error) => {
                let why = if path.is_symlink() { Why::Link(error) } else { Why::Unknown(error) };
                contents.left_out.push(LeftOut { path, why });
            }
        }
    }
    Ok(contents)
}

/// What a path leads to, if that is neither a file nor a folder.
///
/// # Errors
///
/// If it cannot be looked at.
pub fn special(path: &Path) -> io::Result<Option<&'static str>> {
    let found = std::fs::metadata(path)?.file_type();
    Ok((!found.is_file() && !found.is_dir()).then(|| kind(found)))
}

fn kind(of: FileType) -> &'static str {
    if of.is_fifo() {
        "a FIFO"
    } else if of.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::files::only_here_tests::sources;

    #[test]
    fn files_and_folders_are_told_from_what_is_neither() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("b"), "").unwrap();
        symlink("b", path("a")).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        symlink("folder", path("linked folder")).unwrap();
        mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        symlink("/dev/null", path("device")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        symlink("circle", path("circle")).unwrap();
        let found = contents(dir.path()).unwrap();
        assert_eq!(found.files, [path("a"), path("b")]);
        assert_eq!(found.folders, [path("folder"), path("linked folder")]);
        let said: String =
            found.left_out.iter().map(|one| format!("{}\n", one.diagnostic(Severity::Warning))).collect();
        insta::assert_snapshot!(said.replace(&dir.path().display().to_string(), "DIR"));
        assert_eq!(special(&path("a")).unwrap(), None);
        assert_eq!(special(&path("fifo")).unwrap(), Some("a FIFO"));
        assert!(contents(&path("a")).is_err() && special(&path("dangling")).is_err());
    }

    #[test]
    fn folders_that_users_name_are_listed_here() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = Vec::new();
        sources(&root, &mut paths);
        let lists = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).unwrap();
            let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            ["read_dir(", "WalkDir", "source::dir"].iter().any(|list| program.contains(list))
        };
        let mut listers: Vec<String> = paths
            .into_iter()
            .filter(lists)
            .map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned())
            .filter(|name| !name.ends_with("tests.rs"))
            .collect();
        listers.sort();
        // The doctor looks at the kernel's /proc.
        assert_eq!(listers, ["commands/doctor/sockets.rs", "settings/folder.rs"]);
    }
}
