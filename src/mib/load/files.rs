//! Which files may be MIB modules, and their texts.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mib_rs::source::{self, DEFAULT_EXTENSIONS, Source, SourceCandidate, SourceOrigin};

use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::settings::{folder, input};

/// The most files that are looked at.
const MAX_FILES: usize = 200_000;

/// The files that may be modules.
#[derive(Debug, Default)]
pub struct ModuleFiles {
    /// In the order in which they count: as the paths were given, those of a folder by name.
    pub files: Vec<ModuleFile>,
    /// What is left out, and paths that cannot be read.
    pub found: Diagnostics,
}

/// A file that may have modules.
#[derive(Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// Its path.
    pub path: PathBuf,
    /// Whether it was named, and not found in a folder.
    pub named: bool,
}

/// The files at these paths. Of a folder and its sub-folders, those with an extension that MIB modules have. A folder that
/// is reached twice is listed once.
pub fn module_files(paths: &[PathBuf]) -> ModuleFiles {
    let mut all = ModuleFiles::default();
    let mut seen = HashSet::new();
    for path in paths {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                if let Err(error) = all.list(path, &mut seen) {
                    all.refuse(path, format!("cannot read these MIBs: {error}"));
                }
            }
            Ok(_) => match folder::special(path) {
                Ok(Some(kind)) => {
                    all.refuse(path, format!("cannot read these MIBs: it is {kind}, not a file"));
                }
                _ => all.add(path.clone(), true),
            },
            Err(error) => all.refuse(path, format!("cannot read these MIBs: {error}")),
        }
        if all.files.len() > MAX_FILES {
            all.refuse(path, format!("more than {MAX_FILES} files"));
            break;
        }
    }
    all
}

impl ModuleFiles {
    /// Adds what a folder and its sub-folders have. Depth first, so that files come in the order of their paths.
    fn list(&mut self, root: &Path, seen: &mut HashSet<(u64, u64)>) -> io::Result<()> {
        let mut open = vec![root.to_owned()];
        while let Some(path) = open.pop() {
            let listed = std::fs::metadata(&path).and_then(|meta| {
                let new = seen.insert((meta.dev(), meta.ino()));
                if new { folder::contents(&path) } else { Ok(folder::Contents::default()) }
            });
            let contents = match listed {
                Ok(contents) => contents,
                Err(error) if path == root => return Err(error),
                Err(error) => {
                    self.warn(&path, format!("not read: it cannot be listed: {error}"));
                    continue;
                }
            };
            contents.left_out.iter().for_each(|one| self.found.push(one.diagnostic(Severity::Warning)));
            let files = contents.files.into_iter().filter(|path| has_extension(path));
            files.for_each(|path| self.add(path, false));
            open.extend(contents.folders.into_iter().rev());
            if self.files.len() + open.len() > MAX_FILES {
                break;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, named: bool) {
        self.files.push(ModuleFile { path, named });
    }

    fn refuse(&mut self, path: &Path, message: String) {
        let hint = "name a folder or a file that exists in mibs.paths";
        self.found.file_error(&path.display().to_string(), message, hint);
    }

    fn warn(&mut self, path: &Path, message: String) {
        let hint = Some("the daemon's user must be able to read it".to_owned());
        let file = path.display().to_string();
        self.found.push(Diagnostic { severity: Severity::Warning, file, place: None, message, hint });
    }
}

/// The end of the names of files with compiled names.
pub const COMPILED: &str = "tlp";

/// Whether a file of this name has compiled names.
pub fn is_compiled(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == COMPILED)
}

fn has_extension(path: &Path) -> bool {
    let extension =
        path.extension().map(|extension| format!(".{}", extension.to_string_lossy().to_lowercase()));
    is_compiled(path) || DEFAULT_EXTENSIONS.contains(&extension.unwrap_or_default().as_str())
}

/// The texts of the modules in some files.
pub(super) struct Texts {
    /// The documents of a module, in the order in which they count.
    modules: HashMap<String, Vec<usize>>,
    documents: Vec<(PathBuf, Arc<[u8]>)>,
    /// How many modules were asked for.
    read: Arc<AtomicUsize>,
}

impl Texts {
    /// Reads the files. A named one without a module is an error; one in a folder need not have any.
    pub(super) fn read(files: &mut ModuleFiles, read: &Arc<AtomicUsize>) -> Texts {
        let mut texts = Texts { modules: HashMap::new(), documents: Vec::new(), read: read.clone() };
        for ModuleFile { path, named } in std::mem::take(&mut files.files) {
            match text(&path) {
                Ok((names, bytes)) => {
                    for name in names {
                        texts.modules.entry(name).or_default().push(texts.documents.len());
                    }
                    texts.documents.push((path, bytes));
                }
                Err(error) if named => files.refuse(&path, format!("cannot read these MIBs: {error}")),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => files.warn(&path, format!("not read: {error}")),
            }
        }
        texts
    }

    fn candidate(&self, at: usize) -> SourceCandidate {
        let (path, bytes) = &self.documents[at];
        let origin = SourceOrigin::file(path.clone());
        SourceCandidate::new(at.to_string(), origin, path.to_string_lossy().into_owned(), Arc::clone(bytes))
    }
}

/// The names of the modules in a file, and its content.
fn text(path: &Path) -> io::Result<(Vec<String>, Arc<[u8]>)> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no regular file any more"));
    }
    if meta.len() > input::DATA {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {} bytes", input::DATA),
        ));
    }
    let file = source::file(path)?;
    let names = file.list_modules()?;
    let first = names.first().map(|name| file.find(name)).transpose()?.flatten();
    let bytes = first.map(|candidate| candidate.shared_bytes().clone()).unwrap_or_default();
    Ok((names, bytes))
}

impl Source for Texts {
    fn find(&self, name: &str) -> io::Result<Option<SourceCandidate>> {
        self.find_candidates(name).next().transpose()
    }

    fn find_candidates<'a>(
        &'a self,
        name: &'a str,
    ) -> Box<dyn Iterator<Item = io::Result<SourceCandidate>> + 'a> {
        self.read.fetch_add(1, Ordering::Relaxed);
        Box::new(self.modules.get(name).into_iter().flatten().map(|at| Ok(self.candidate(*at))))
    }

    fn list_modules(&self) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = self.modules.keys().cloned().collect();
        names.sort();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn what_is_no_file_is_left_out_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(path("all/vendor")).unwrap();
        std::fs::create_dir(path("elsewhere")).unwrap();
        for file in
            ["all/B-MIB.txt", "all/A-MIB", "all/vendor/C-MIB.my", "all/notes.pdf", "elsewhere/D-MIB.mib"]
        {
            std::fs::write(path(file), "").unwrap();
        }
        mkfifo(&path("all/E-MIB.txt"), Mode::S_IRWXU).unwrap();
        symlink("gone", path("all/F-MIB.txt")).unwrap();
        symlink("../elsewhere", path("all/linked")).unwrap();
        symlink("..", path("all/vendor/circle")).unwrap();
        let found = module_files(&[
            path("all"),
            path("elsewhere"),
            path("all/notes.pdf"),
            path("none"),
            path("all/E-MIB.txt"),
        ]);
        let files: Vec<String> = found
            .files
            .iter()
            .map(|file| file.path.strip_prefix(dir.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(
            files,
            ["all/A-MIB", "all/B-MIB.txt", "all/linked/D-MIB.mib", "all/vendor/C-MIB.my", "all/notes.pdf"]
        );
        insta::assert_snapshot!(found.found.to_text().replace(&dir.path().display().to_string(), "DIR"));
    }
}
