//! The index on disk, so that modules are parsed once and not at every start.
//!
//! One file: a header with the key of what it was made from, then the index in sections, each with its length and its
//! checksum. The key is a hash of the
//! content of all module files and of the shipped modules. Reading them all takes time too, so the header also has a
//! fingerprint of their names, sizes and times: while that is the same, the content is not looked at. A file that is
//! damaged, of another format or of another key is made anew; one process makes it, others wait for it.

use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::files::{ModuleFile, ModuleFiles, module_files};
use super::loaded::Loaded;
use super::{index_file, modules, shipped};
use crate::files::Folder;
use crate::files::lock::{Lock, LockError};
use crate::mib::Mib;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::input;

const MAGIC: &[u8; 8] = b"TRAPMIB5";
/// Magic, key, fingerprint.
const HEADER: usize = 8 + 32 + 32;
/// How often it is said how far the reading is.
const SAY_EVERY: Duration = Duration::from_secs(2);
/// How long a process waits for another that makes the index. Thousands of modules take half a minute.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// What takes less long is not spoken of.
const WORTH_SAYING: Duration = Duration::from_secs(1);

type Hash = [u8; 32];

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nothing had changed since it was loaded before.
    Held,
    /// The index was opened.
    Opened,
    /// The modules were read.
    Built,
}

/// An index in memory, and what it was made from.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// The index.
    pub mib: Arc<Mib>,
    /// What was found wrong.
    pub found: Diagnostics,
    fingerprint: Option<Hash>,
}

impl Held {
    fn new(loaded: Loaded, fingerprint: Option<Hash>) -> Self {
        Held { mib: Arc::new(loaded.mib), found: loaded.found, fingerprint }
    }
}

/// Loads modules as [`modules::load`] does, through a file in which the index is kept, if there is to be one; what was held
/// before stays where nothing has changed. `say` hears what takes long. Where the file cannot be used, the modules are
/// read all the same.
pub fn load(
    paths: &[PathBuf],
    file: Option<&Path>,
    held: &Held,
    say: &(dyn Fn(String) + Sync),
) -> (Held, How) {
    let files = module_files(paths);
    if files.files.is_empty() {
        // The shipped modules alone are read faster than asked after.
        return (Held::new(modules::load_files(files, &Arc::default()), None), How::Built);
    }
    let fingerprint = fingerprint(&files);
    if held.fingerprint == Some(fingerprint) {
        return (held.clone(), How::Held);
    }
    let opened = |loaded| (Held::new(loaded, Some(fingerprint)), How::Opened);
    let built = |files| (Held::new(build(files, say), Some(fingerprint)), How::Built);
    let Some(file) = file else { return built(files) };
    let cannot_keep = |error: &io::Error| {
        // A directory that is not there is the daemon's to create.
        if error.kind() != ErrorKind::NotFound {
            let file = file.display();
            say(format!(
                "cannot keep the MIB index in {file}: {error}; the next start reads the modules again"
            ));
        }
    };
    let index = match Index::of(file) {
        Ok(index) => index,
        Err(error) => {
            cannot_keep(&error);
            return built(files);
        }
    };
    if let Some((kept, loaded)) = index.open()
        && kept.fingerprint == fingerprint
    {
        return opened(loaded);
    }
    let _lock = match index.lock(say) {
        Ok(lock) => lock,
        Err(error) => {
            cannot_keep(&error.into());
            return built(files);
        }
    };
    // Another may have made it while this one waited; or only names and times have changed.
    let key = key(&files);
    if let Some((kept, loaded)) = index.open()
        && (kept.fingerprint == fingerprint || kept.key == key)
    {
        if kept.fingerprint != fingerprint {
            let _ = index.write(&Kept { key, fingerprint }, &loaded);
        }
        return opened(loaded);
    }
    let loaded = build(files, say);
    if !loaded.found.has_errors()
        && let Err(error) = index.write(&Kept { key, fingerprint }, &loaded)
    {
        cannot_keep(&error);
    }
    (Held::new(loaded, Some(fingerprint)), How::Built)
}

/// Reads the modules, and says every other second how far it is.
fn build(module_files: ModuleFiles, say: &(dyn Fn(String) + Sync)) -> Loaded {
    let start = Instant::now();
    let files = module_files.files.len();
    let read = Arc::new(AtomicUsize::new(0));
    let (done, end) = mpsc::channel::<()>();
    let loaded = std::thread::scope(|scope| {
        let so_far = read.clone();
        scope.spawn(move || {
            while end.recv_timeout(SAY_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                let read = so_far.load(Ordering::Relaxed);
                let seconds = start.elapsed().as_secs();
                if read < files {
                    say(format!("{read} of {files} MIB files read after {seconds} s"));
                } else {
                    say(format!("putting the MIB modules together, after {seconds} s"));
                }
            }
        });
        let loaded = modules::load_files(module_files, &read);
        drop(done);
        loaded
    });
    if start.elapsed() >= WORTH_SAYING {
        say(format!(
            "read {} MIB modules with {} definitions in {:.1} s",
            loaded.mib.modules().len(),
            loaded.mib.objects().len(),
            start.elapsed().as_secs_f64()
        ));
    }
    loaded
}

/// Whether [`load()`] takes no time to speak of: there is only an index to open, or nothing to read.
pub fn is_ready(paths: &[PathBuf], file: &Path) -> bool {
    let files = module_files(paths);
    let kept = || Index::of(file).ok()?.header();
    files.files.is_empty() || kept().is_some_and(|kept| kept.fingerprint == fingerprint(&files))
}

/// The header of a kept index.
struct Kept {
    key: Hash,
    fingerprint: Hash,
}

impl Kept {
    fn read(header: &[u8]) -> Option<Self> {
        let is_ours = header.get(..8)? == MAGIC;
        let kept = Kept {
            key: header.get(8..40)?.try_into().ok()?,
            fingerprint: header.get(40..72)?.try_into().ok()?,
        };
        is_ours.then_some(kept)
    }
}

/// The file of the index.
struct Index<'p> {
    folder: Folder,
    name: &'p str,
}

impl<'p> Index<'p> {
    fn of(file: &'p Path) -> io::Result<Self> {
        let (folder, name) = Folder::containing(file)?;
        Ok(Index { folder, name })
    }

    fn header(&self) -> Option<Kept> {
        let mut header = [0; HEADER];
        self.folder.reader(self.name).ok()?.read_exact(&mut header).ok()?;
        Kept::read(&header)
    }

    fn open(&self) -> Option<(Kept, Loaded)> {
        let file = self.folder.reader(self.name).ok()?;
        let size = file.length().ok()?;
        let mut file = BufReader::new(file);
        let mut header = [0; HEADER];
        file.read_exact(&mut header).ok()?;
        let kept = Kept::read(&header)?;
        let loaded = index_file::decode(|| section(&mut file, size))?;
        Some((kept, loaded))
    }

    /// Waits for the process that makes the index now, if there is one.
    fn lock(&self, say: &(dyn Fn(String) + Sync)) -> Result<Lock, LockError> {
        let name = Path::new(self.name).with_extension("lock");
        let name = name.to_str().unwrap_or(self.name);
        match self.folder.lock(name, SAY_EVERY) {
            Err(held @ LockError::Held { .. }) => {
                say(format!("waiting for another process that reads the MIB modules: {held}"));
                self.folder.lock(name, LONGEST_WAIT)
            }
            other => other,
        }
    }

    fn write(&self, kept: &Kept, loaded: &Loaded) -> io::Result<()> {
        self.folder.replace(self.name, |out| {
            out.write_all(MAGIC)?;
            out.write_all(&kept.key)?;
            out.write_all(&kept.fingerprint)?;
            for section in index_file::encode(loaded) {
                out.write_all(&(section.len() as u64).to_le_bytes())?;
                out.write_all(&crc32c::crc32c(&section).to_le_bytes())?;
                out.write_all(&section)?;
            }
            Ok(())
        })
    }
}

/// What else decides on the index: this program's own modules, and its version.
fn ours() -> Sha256 {
    let mut hash = Sha256::new();
    hash.update(MAGIC);
    hash.update(env!("CARGO_PKG_VERSION"));
    for (name, text) in shipped::MODULES {
        hash.update(name);
        hash.update(text);
    }
    hash
}

fn fingerprint(files: &ModuleFiles) -> Hash {
    let mut hash = ours();
    // What is left out is said at every start, as it was when the index was made.
    hash.update(files.found.to_text());
    for ModuleFile { path, .. } in &files.files {
        hash.update(path.as_os_str().as_encoded_bytes());
        if let Ok(meta) = std::fs::metadata(path) {
            let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
            let numbers = [meta.len(), meta.ino()].into_iter().chain(times.map(i64::cast_unsigned));
            for number in numbers {
                hash.update(number.to_le_bytes());
            }
        }
        hash.update([0]);
    }
    hash.finalize().into()
}

fn key(files: &ModuleFiles) -> Hash {
    let mut hash = ours();
    hash.update(files.found.to_text());
    for ModuleFile { path, .. } in &files.files {
        // Diagnostics name the file.
        hash.update(path.as_os_str().as_encoded_bytes());
        match input::bytes(path, input::DATA) {
            Ok(content) => {
                hash.update((content.len() as u64).to_le_bytes());
                hash.update(&*content);
            }
            Err(error) => hash.update(error.to_string()),
        }
    }
    hash.finalize().into()
}

/// The next section: its length, its checksum, its bytes. None has more than the file.
fn section(file: &mut impl Read, most: u64) -> Option<Vec<u8>> {
    let mut head = [0; 12];
    file.read_exact(&mut head).ok()?;
    let (length, sum) = head.split_first_chunk::<8>()?;
    let length = Some(u64::from_le_bytes(*length)).filter(|length| *length <= most)?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut bytes).ok()?;
    (crc32c::crc32c(&bytes).to_le_bytes() == sum).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = "A-MIB DEFINITIONS ::= BEGIN\nIMPORTS enterprises FROM SNMPv2-SMI;\n\
                          aThing OBJECT IDENTIFIER ::= { enterprises 99999 }\nEND\n";

    fn silent(_: String) {}

    #[test]
    fn what_is_kept_is_what_was_built() {
        let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("A-MIB.txt"), MODULE).unwrap();
        std::fs::write(
            folder.path().join("B-MIB.txt"),
            "B-MIB DEFINITIONS ::= BEGIN\nx OBJECT IDENTIFIER ::= { y \n",
        )
        .unwrap();
        let (paths, file) = ([folder.path().to_owned()], kept.path().join("mibs.index"));
        let (built, how) = load(&paths, Some(&file), &Held::default(), &silent);
        assert_eq!(how, How::Built);
        let (opened, how) = load(&paths, Some(&file), &Held::default(), &silent);
        assert_eq!(how, How::Opened);
        assert_eq!(built.mib.objects(), opened.mib.objects());
        assert_eq!(built.mib.modules(), opened.mib.modules());
        assert_eq!(built.found.to_text(), opened.found.to_text());
        let (held, how) = load(&paths, Some(&file), &opened, &silent);
        assert!(how == How::Held && Arc::ptr_eq(&held.mib, &opened.mib));
        assert!(!built.found.to_text().is_empty(), "the broken module is said at every start");
        assert_eq!(opened.mib.name_of(&"1.3.6.1.4.1.99999.1".parse().unwrap()), "A-MIB::aThing.1");
    }

    #[test]
    fn a_change_is_noticed_and_damage_is_mended() {
        let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let module = folder.path().join("A-MIB.txt");
        std::fs::write(&module, MODULE).unwrap();
        let (paths, file) = ([folder.path().to_owned()], kept.path().join("mibs.index"));
        let how = || load(&paths, Some(&file), &Held::default(), &silent).1;
        assert_eq!((how(), how()), (How::Built, How::Opened));
        // The same content with another time needs no parsing.
        std::fs::write(&module, MODULE).unwrap();
        assert_eq!(how(), How::Opened);
        std::fs::write(&module, MODULE.replace("99999", "99998")).unwrap();
        assert_eq!((how(), how()), (How::Built, How::Opened));
        let bytes = std::fs::read(&file).unwrap();
        for at in [3, 20, 60, 74, 90, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            std::fs::write(&file, damaged).unwrap();
            let (loaded, _) = load(&paths, Some(&file), &Held::default(), &silent);
            assert_eq!(loaded.mib.name_of(&"1.3.6.1.4.1.99998".parse().unwrap()), "A-MIB::aThing");
        }
        std::fs::write(&file, &bytes[..bytes.len() / 3]).unwrap();
        assert_eq!((how(), how()), (How::Built, How::Opened));
    }

    type Make = fn(&Path);

    /// What cannot be read beside the modules neither switches the index off nor is forgotten with it.
    #[test]
    fn what_is_no_module_leaves_the_index_in_force() {
        let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("A-MIB.txt"), MODULE).unwrap();
        let (paths, file) = ([folder.path().to_owned()], kept.path().join("mibs.index"));
        let strange: [(&str, Make); 4] = [
            ("dangling", |path| std::os::unix::fs::symlink("gone", path).unwrap()),
            ("circle", |path| std::os::unix::fs::symlink("circle", path).unwrap()),
            ("fifo", |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap()),
            ("device", |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()),
        ];
        for (name, make) in strange {
            make(&path(name));
            assert!(!is_ready(&paths, &file), "{name} is new");
            let (built, how) = load(&paths, Some(&file), &Held::default(), &silent);
            assert_eq!(how, How::Built, "{name}");
            assert!(is_ready(&paths, &file), "{name}");
            let (opened, how) = load(&paths, Some(&file), &Held::default(), &silent);
            assert_eq!(how, How::Opened, "{name}");
            assert_eq!(opened.found.to_text(), built.found.to_text());
            assert!(opened.found.to_text().contains(name) && !opened.found.has_errors(), "{name}");
        }
    }

    #[test]
    fn where_nothing_can_be_kept_modules_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("A-MIB.txt"), MODULE).unwrap();
        let file = Path::new("/dev/null/mibs.index");
        let (loaded, how) = load(&[folder.path().to_owned()], Some(file), &Held::default(), &silent);
        assert_eq!(how, How::Built);
        assert!(loaded.mib.find("aThing").next().is_some());
    }

    /// Root loads the MIBs in a directory where the daemon's user may put what it likes.
    #[test]
    fn links_are_not_followed() {
        let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("A-MIB.txt"), MODULE).unwrap();
        let (paths, file) = ([folder.path().to_owned()], kept.path().join("mibs.index"));
        let victim = folder.path().join("A-MIB.txt");
        for name in ["mibs.new", "mibs.index"] {
            std::os::unix::fs::symlink(&victim, kept.path().join(name)).unwrap();
        }
        let how = || load(&paths, Some(&file), &Held::default(), &silent).1;
        assert_eq!((how(), how()), (How::Built, How::Opened));
        assert!(!file.is_symlink(), "the link was replaced, not what it names");
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(kept.path().join("mibs.lock")).unwrap();
        std::os::unix::fs::symlink(&victim, kept.path().join("mibs.lock")).unwrap();
        let said = std::sync::Mutex::new(Vec::new());
        let (loaded, how) =
            load(&paths, Some(&file), &Held::default(), &|what| said.lock().unwrap().push(what));
        assert_eq!(how, How::Built);
        assert!(loaded.mib.find("aThing").next().is_some());
        assert!(said.into_inner().unwrap().concat().contains("symbolic link"));
        assert_eq!(std::fs::read_to_string(victim).unwrap(), MODULE);
    }

    #[test]
    fn who_waits_for_another_process_says_so() {
        let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("A-MIB.txt"), MODULE).unwrap();
        let (paths, file) = ([folder.path().to_owned()], kept.path().join("mibs.index"));
        let held = Folder::open(kept.path()).unwrap().lock("mibs.lock", Duration::ZERO).unwrap();
        let (say, said) = mpsc::channel();
        let say = std::sync::Mutex::new(say);
        std::thread::scope(|scope| {
            let loaded = scope.spawn(|| {
                load(&paths, Some(&file), &Held::default(), &|what| say.lock().unwrap().send(what).unwrap()).1
            });
            assert!(said.recv().unwrap().contains("waiting for another process"));
            drop(held);
            assert_eq!(loaded.join().unwrap(), How::Built);
        });
    }
}
