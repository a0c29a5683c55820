//! The index on disk, so that modules are parsed once and not at every start.
//!
//! One file: a header with the key of what it was made from, then the index, then its checksum. The key is a hash of the
//! content of all module files and of the shipped modules. Reading them all takes time too, so the header also has a
//! fingerprint of their names, sizes and times: while that is the same, the content is not looked at. A file that is
//! damaged, of another format or of another key is made anew; one process makes it, others wait for it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::index::{About, Base, Coding, Kind, Mib, Object, Part, Syntax};
use super::load::{self, Loaded};
use super::shipped;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::lockfile;
use crate::snmp::Oid;

const MAGIC: &[u8; 8] = b"TRAPMIB2";
/// Magic, key, fingerprint, checksum of the rest.
const HEADER: usize = 8 + 32 + 32 + 4;
/// The most files that are looked at.
const MAX_FILES: usize = 200_000;

type Hash = [u8; 32];

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The index was opened.
    Opened,
    /// The modules were read.
    Built,
}

/// Loads modules as [`load::load`] does, through a file in which the index is kept. `say` hears what takes long. Where
/// the file cannot be used, the modules are read all the same.
pub fn load(paths: &[PathBuf], file: &Path, say: &dyn Fn(String)) -> (Loaded, How) {
    let built = || (load::load(paths), How::Built);
    // The shipped modules alone are read faster than asked after.
    let Ok(files) = module_files(paths) else { return built() };
    if files.is_empty() {
        return built();
    }
    let fingerprint = fingerprint(&files);
    if let Some((kept, loaded)) = open(file)
        && kept.fingerprint == fingerprint
    {
        return (loaded, How::Opened);
    }
    let Ok(_lock) = lockfile::lock(&file.with_extension("lock")) else { return built() };
    // Another may have made it while this one waited; or only names and times have changed.
    let Ok(key) = key(&files) else { return built() };
    if let Some((kept, loaded)) = open(file)
        && (kept.fingerprint == fingerprint || kept.key == key)
    {
        if kept.fingerprint != fingerprint {
            let _ = write(file, &Kept { key, fingerprint }, &loaded);
        }
        return (loaded, How::Opened);
    }
    say(format!("reading {} MIB files; the next start will not have to", files.len()));
    let start = std::time::Instant::now();
    let loaded = load::load(paths);
    say(format!(
        "read {} MIB modules with {} definitions in {:.1} s",
        loaded.mib.modules().len(),
        loaded.mib.objects().len(),
        start.elapsed().as_secs_f64()
    ));
    if !loaded.found.has_errors()
        && let Err(error) = write(file, &Kept { key, fingerprint }, &loaded)
    {
        say(format!(
            "cannot keep the index in {}: {error}; the next start reads the modules again",
            file.display()
        ));
    }
    (loaded, How::Built)
}

/// Whether [`load()`] takes no time to speak of: there is only an index to open, or nothing to read.
pub fn is_ready(paths: &[PathBuf], file: &Path) -> bool {
    let Ok(files) = module_files(paths) else { return true };
    files.is_empty() || open(file).is_some_and(|(kept, _)| kept.fingerprint == fingerprint(&files))
}

/// The header of a kept index.
struct Kept {
    key: Hash,
    fingerprint: Hash,
}

/// All files in these paths, folders with their sub-folders, sorted.
///
/// # Errors
///
/// If one cannot be looked at, or there are more than MIBs can be.
pub fn module_files(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = paths.to_vec();
    while let Some(path) = open.pop() {
        if std::fs::metadata(&path)?.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else {
            files.push(path);
        }
        if files.len() + open.len() > MAX_FILES {
            return Err(io::Error::other("more files than MIBs can be"));
        }
    }
    files.sort();
    Ok(files)
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

fn fingerprint(files: &[PathBuf]) -> Hash {
    let mut hash = ours();
    for path in files {
        hash.update(path.as_os_str().as_encoded_bytes());
        if let Ok(meta) = std::fs::metadata(path) {
            for number in [meta.len(), meta.ino(), meta.mtime() as u64, meta.mtime_nsec() as u64] {
                hash.update(number.to_le_bytes());
            }
        }
        hash.update([0]);
    }
    hash.finalize().into()
}

fn key(files: &[PathBuf]) -> io::Result<Hash> {
    let mut hash = ours();
    for path in files {
        let content = std::fs::read(path)?;
        // Diagnostics name the file.
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(&content);
    }
    Ok(hash.finalize().into())
}

fn open(file: &Path) -> Option<(Kept, Loaded)> {
    let bytes = std::fs::read(file).ok()?;
    let (header, payload) = bytes.split_at_checked(HEADER)?;
    let sum = u32::from_le_bytes(header[72..76].try_into().ok()?);
    if header[..8] != *MAGIC || crc32c::crc32c(payload) != sum {
        return None;
    }
    let kept = Kept { key: header[8..40].try_into().ok()?, fingerprint: header[40..72].try_into().ok()? };
    let loaded = Input(payload).loaded()?;
    Some((kept, loaded))
}

fn write(file: &Path, kept: &Kept, loaded: &Loaded) -> io::Result<()> {
    let mut payload = Vec::with_capacity(loaded.mib.objects().len() * 64);
    push_loaded(&mut payload, loaded);
    let new = file.with_extension("new");
    let mut out = File::create(&new)?;
    out.write_all(MAGIC)?;
    out.write_all(&kept.key)?;
    out.write_all(&kept.fingerprint)?;
    out.write_all(&crc32c::crc32c(&payload).to_le_bytes())?;
    out.write_all(&payload)?;
    out.sync_all()?;
    lockfile::give_to_folder(&new);
    std::fs::rename(new, file)
}

fn push(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn push_names(out: &mut Vec<u8>, names: &[(i64, Box<str>)]) {
    push(out, names.len() as u64);
    for (number, name) in names {
        out.extend(number.to_le_bytes());
        push_text(out, name);
    }
}

const BASES: [Base; 8] = [
    Base::Octets,
    Base::Integer,
    Base::ObjectId,
    Base::IpAddress,
    Base::Counter32,
    Base::Gauge32,
    Base::TimeTicks,
    Base::Counter64,
];
const KINDS: [Kind; 3] = [Kind::Node, Kind::Object, Kind::Notification];

fn push_loaded(out: &mut Vec<u8>, loaded: &Loaded) {
    let mib = &loaded.mib;
    push(out, loaded.found.clone().sorted().len() as u64);
    for found in loaded.found.clone().sorted() {
        push_text(out, &found.file);
        let (line, column) = found.place.unwrap_or_default();
        push(out, line as u64);
        push(out, column as u64);
        push_text(out, &found.message);
        push_text(out, found.hint.as_deref().unwrap_or_default());
    }
    push(out, mib.modules().len() as u64);
    for module in mib.modules() {
        push_text(out, module);
    }
    // Shared parts once, by their addresses.
    let (mut syntaxes, mut lists) = (HashMap::new(), HashMap::new());
    let (mut all_syntaxes, mut all_lists) = (Vec::new(), Vec::new());
    for object in mib.objects() {
        syntaxes.entry(Arc::as_ptr(&object.syntax)).or_insert_with(|| {
            all_syntaxes.push(&object.syntax);
            all_syntaxes.len() - 1
        });
        lists.entry(object.indexes.as_ptr()).or_insert_with(|| {
            all_lists.push(&object.indexes);
            all_lists.len() - 1
        });
    }
    push(out, all_syntaxes.len() as u64);
    for syntax in all_syntaxes {
        out.push(BASES.iter().position(|base| *base == syntax.base).unwrap_or(0) as u8);
        push_names(out, &syntax.enums);
        push_names(out, &syntax.bits);
        push_text(out, &syntax.hint);
        push_text(out, &syntax.convention);
    }
    push(out, all_lists.len() as u64);
    for list in all_lists {
        push(out, list.len() as u64);
        for part in &**list {
            push(out, part.object.map_or(0, |at| u64::from(at) + 1));
            let (coding, size) = match part.coding {
                Coding::Integer => (0, 0),
                Coding::Address => (1, 0),
                Coding::Fixed(size) => (2, size),
                Coding::Counted => (3, 0),
                Coding::Rest => (4, 0),
                Coding::CountedOid => (5, 0),
                Coding::RestOid => (6, 0),
            };
            out.push(coding);
            push(out, size.into());
        }
    }
    let modules: HashMap<&str, u64> =
        mib.modules().iter().enumerate().map(|(at, module)| (&**module, at as u64)).collect();
    push(out, mib.objects().len() as u64);
    for object in mib.objects() {
        push_text(out, &object.name);
        push(out, modules.get(&*object.module).copied().unwrap_or(0));
        push(out, object.oid.as_bytes().len() as u64);
        out.extend_from_slice(object.oid.as_bytes());
        out.push(KINDS.iter().position(|kind| *kind == object.kind).unwrap_or(0) as u8);
        push(out, syntaxes.get(&Arc::as_ptr(&object.syntax)).map_or(0, |at| *at as u64));
        push(out, lists.get(&object.indexes.as_ptr()).map_or(0, |at| *at as u64));
        push(out, object.objects.len() as u64);
        for at in &*object.objects {
            push(out, u64::from(*at));
        }
    }
    let (parents, by_name) = mib.tables();
    for above in parents {
        push(out, above.map_or(0, |above| u64::from(above) + 1));
    }
    for at in by_name {
        push(out, u64::from(*at));
    }
    push(out, mib.all_about().len() as u64);
    for (at, said) in mib.all_about() {
        push(out, u64::from(*at));
        push_text(out, &said.status);
        push_text(out, &said.description);
    }
}

/// What is left to read. Everything is checked: a checksum says that it was written so, not that this program wrote it.
struct Input<'i>(&'i [u8]);

impl<'i> Input<'i> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Option<&'i [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        let mut number = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).ok();
            }
        }
        None
    }

    /// A number of things that follow, each of an octet at least.
    fn count(&mut self) -> Option<usize> {
        self.number().filter(|count| *count <= self.0.len())
    }

    fn text(&mut self) -> Option<&'i str> {
        let length = self.number()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    fn names(&mut self) -> Option<Vec<(i64, Box<str>)>> {
        let count = self.count()?;
        (0..count)
            .map(|_| {
                let number = i64::from_le_bytes(self.bytes(8)?.try_into().ok()?);
                Some((number, self.text()?.into()))
            })
            .collect()
    }

    fn found(&mut self) -> Option<Diagnostics> {
        let mut found = Diagnostics::default();
        for _ in 0..self.count()? {
            let file = self.text()?.to_owned();
            let (line, column) = (self.number()?, self.number()?);
            let message = self.text()?.to_owned();
            let hint = Some(self.text()?.to_owned()).filter(|hint| !hint.is_empty());
            let place = (line > 0).then_some((line, column));
            // An index with errors is not kept.
            found.push(Diagnostic { severity: Severity::Warning, file, place, message, hint });
        }
        Some(found)
    }

    fn part(&mut self) -> Option<Part> {
        let object = self.number()?.checked_sub(1).and_then(|at| u32::try_from(at).ok());
        let coding = self.byte()?;
        let size = u16::try_from(self.number()?).ok()?;
        let coding = match coding {
            0 => Coding::Integer,
            1 => Coding::Address,
            2 => Coding::Fixed(size),
            3 => Coding::Counted,
            4 => Coding::Rest,
            5 => Coding::CountedOid,
            6 => Coding::RestOid,
            _ => return None,
        };
        Some(Part { object, coding })
    }

    fn loaded(mut self) -> Option<Loaded> {
        let found = self.found()?;
        let count = self.count()?;
        let modules: Vec<Arc<str>> = (0..count).map(|_| self.text().map(Arc::from)).collect::<Option<_>>()?;
        let count = self.count()?;
        let syntaxes: Vec<Arc<Syntax>> = (0..count)
            .map(|_| {
                let base = *BASES.get(usize::from(self.byte()?))?;
                let (enums, bits) = (self.names()?, self.names()?);
                let (hint, convention) = (self.text()?.into(), self.text()?.into());
                Some(Arc::new(Syntax { base, enums, bits, hint, convention }))
            })
            .collect::<Option<_>>()?;
        let count = self.count()?;
        let lists: Vec<Arc<[Part]>> = (0..count)
            .map(|_| {
                let count = self.count()?;
                (0..count).map(|_| self.part()).collect::<Option<Arc<[Part]>>>()
            })
            .collect::<Option<_>>()?;
        let count = self.count()?;
        let mut objects = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.text()?.into();
            let module = modules.get(self.number()?)?.clone();
            let length = self.number()?;
            let oid = Oid::from_ber(self.bytes(length)?)?.into_owned();
            let kind = *KINDS.get(usize::from(self.byte()?))?;
            let syntax = syntaxes.get(self.number()?)?.clone();
            let indexes = lists.get(self.number()?)?.clone();
            let carried = self.count()?;
            let carried = (0..carried)
                .map(|_| self.number().filter(|at| *at < count).map(|at| at as u32))
                .collect::<Option<_>>()?;
            objects.push(Object { name, module, oid, kind, syntax, objects: carried, indexes });
        }
        let parents = (0..count)
            .map(|_| self.number().map(|above| above.checked_sub(1).map(|above| above as u32)))
            .collect::<Option<_>>()?;
        let by_name = (0..count).map(|_| self.number().map(|at| at as u32)).collect::<Option<_>>()?;
        let count = self.count()?;
        let about = (0..count)
            .map(|_| {
                let at = u32::try_from(self.number()?).ok()?;
                Some((at, About { status: self.text()?.into(), description: self.text()?.into() }))
            })
            .collect::<Option<_>>()?;
        Some(Loaded { mib: Mib::with_tables(objects, modules, parents, by_name, about)?, found })
    }
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
        let (built, how) = load(&paths, &file, &silent);
        assert_eq!(how, How::Built);
        let (opened, how) = load(&paths, &file, &silent);
        assert_eq!(how, How::Opened);
        assert_eq!(built.mib.objects(), opened.mib.objects());
        assert_eq!(built.mib.modules(), opened.mib.modules());
        assert_eq!(built.found.to_text(), opened.found.to_text());
        assert!(!built.found.to_text().is_empty(), "the broken module is said at every start");
        assert_eq!(opened.mib.name_of(&"1.3.6.1.4.1.99999.1".parse().unwrap()), "A-MIB::aThing.1");
    }

    #[test]
    fn a_change_is_noticed_and_damage_is_mended() {
        let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let module = folder.path().join("A-MIB.txt");
        std::fs::write(&module, MODULE).unwrap();
        let (paths, file) = ([folder.path().to_owned()], kept.path().join("mibs.index"));
        let how = || load(&paths, &file, &silent).1;
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
            let (loaded, _) = load(&paths, &file, &silent);
            assert_eq!(loaded.mib.name_of(&"1.3.6.1.4.1.99998".parse().unwrap()), "A-MIB::aThing");
        }
        std::fs::write(&file, &bytes[..bytes.len() / 3]).unwrap();
        assert_eq!((how(), how()), (How::Built, How::Opened));
    }

    #[test]
    fn where_nothing_can_be_kept_modules_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("A-MIB.txt"), MODULE).unwrap();
        let file = Path::new("/nonexistent/mibs.index");
        let (loaded, how) = load(&[folder.path().to_owned()], file, &silent);
        assert_eq!(how, How::Built);
        assert!(loaded.mib.find("aThing").next().is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = Input(&bytes).loaded();
        }
    }
}
