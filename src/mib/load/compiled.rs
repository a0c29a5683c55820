//! Names in one file: what `trapline mib compile` writes and `[mibs] paths` reads, for machines without the modules' texts.
//!
//! ```text
//! magic "TRAPTLP1" 8
//! sections, as in the index: length 8, crc32c 4 (little-endian), bytes
//! ```

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::files::{ModuleFile, ModuleFiles, is_compiled};
use super::index_file;
use super::loaded::Loaded;
use crate::mib::Mib;
use crate::mib::index::{Links, Object};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::settings::input;

const MAGIC: &[u8; 8] = b"TRAPTLP1";

/// Writes the names of modules.
///
/// # Errors
///
/// If they cannot be written.
pub fn write(mib: Mib, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(MAGIC)?;
    // What is wrong in the modules is for who compiles them.
    for section in index_file::encode(&Loaded { mib, found: Diagnostics::default() }) {
        out.write_all(&(section.len() as u64).to_le_bytes())?;
        out.write_all(&crc32c::crc32c(&section).to_le_bytes())?;
        out.write_all(&section)?;
    }
    Ok(())
}

/// The names in a file.
///
/// # Errors
///
/// If it cannot be read, or is none; the error is for the user.
pub fn read(path: &Path) -> io::Result<Mib> {
    let bytes = input::bytes(path, input::DATA)?;
    let damaged = || {
        let text = "it has no names of this release, or is damaged; make it with `trapline mib compile`";
        io::Error::new(ErrorKind::InvalidData, text)
    };
    let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let section = || {
        let (length, after) = rest.split_first_chunk::<8>()?;
        let (sum, after) = after.split_first_chunk::<4>()?;
        let (section, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        rest = after;
        (crc32c::crc32c(section).to_le_bytes() == *sum).then(|| section.to_vec())
    };
    index_file::decode(section).map(|loaded| loaded.mib).ok_or_else(damaged)
}

/// Takes the files of compiled names out of others, and reads them.
pub(super) fn take(files: &mut ModuleFiles) -> Vec<Mib> {
    let (compiled, others) =
        std::mem::take(&mut files.files).into_iter().partition(|file| is_compiled(&file.path));
    files.files = others;
    let compiled: Vec<ModuleFile> = compiled;
    let mut all = Vec::new();
    for ModuleFile { path, named } in compiled {
        match read(&path) {
            Ok(mib) => all.push(mib),
            Err(error) => files.found.push(Diagnostic {
                severity: if named { Severity::Error } else { Severity::Warning },
                file: path.display().to_string(),
                place: None,
                message: format!("cannot read these names: {error}"),
                hint: None,
            }),
        }
    }
    all
}

/// The definitions of these modules, with what they refer to by name.
pub(super) fn parts(mib: &Mib, is_wanted: impl Fn(&str) -> bool, links: &mut Links) -> Vec<Object> {
    let name = |at: u32| mib.objects().get(at as usize).map(Object::qualified);
    let wanted = mib.objects().iter().filter(|object| is_wanted(&object.module));
    wanted
        .map(|object| {
            let qualified = object.qualified();
            if !object.objects.is_empty() {
                let carried = object.objects.iter().filter_map(|at| name(*at)).collect();
                links.objects.insert(qualified.clone(), carried);
            }
            if !object.indexes.is_empty() {
                let indexes =
                    object.indexes.iter().map(|part| (part.object.and_then(name), part.coding)).collect();
                links.indexes.insert(qualified.clone(), indexes);
            }
            if let Some(about) = mib.about(object) {
                links.about.insert(qualified, about.clone());
            }
            Object { objects: Box::default(), indexes: std::sync::Arc::from([]), ..object.clone() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mib::load::load;

    const MODULE: &str = "A-MIB DEFINITIONS ::= BEGIN\nIMPORTS OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, enterprises FROM SNMPv2-SMI\n ifIndex FROM IF-MIB;\n\
        a OBJECT IDENTIFIER ::= { enterprises 99991 }\n\
        aTable OBJECT-TYPE SYNTAX SEQUENCE OF AEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION \"x\" ::= { a 1 }\n\
        aEntry OBJECT-TYPE SYNTAX AEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION \"x\" INDEX { ifIndex } ::= { aTable 1 }\n\
        AEntry ::= SEQUENCE { aSpeed Integer32 }\n\
        aSpeed OBJECT-TYPE SYNTAX INTEGER { slow(1), fast(2) } MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= { aEntry 1 }\n\
        aSlow NOTIFICATION-TYPE OBJECTS { aSpeed, ifIndex } STATUS current DESCRIPTION \"It is slow.\" ::= { a 4 }\nEND\n";

    /// All that is known of a definition.
    fn known(mib: &Mib, name: &str) -> String {
        let object = mib.find(name).next().unwrap();
        let carried: Vec<String> = mib.objects_of(object).map(Object::qualified).collect();
        let indexes: Vec<String> = object
            .indexes
            .iter()
            .map(|part| {
                format!(
                    "{:?} {:?}",
                    part.object.map(|at| mib.objects()[at as usize].qualified()),
                    part.coding
                )
            })
            .collect();
        format!(
            "{} {:?} {:?} {carried:?} {indexes:?} {:?}",
            object.oid,
            object.kind,
            object.syntax,
            mib.about(object)
        )
    }

    #[test]
    fn compiled_names_are_as_good_as_the_modules() {
        let dir = tempfile::tempdir().unwrap();
        let (text, tlp) = (dir.path().join("A-MIB.txt"), dir.path().join("names.tlp"));
        std::fs::write(&text, MODULE).unwrap();
        let of_text = load(std::slice::from_ref(&text));
        assert_eq!(of_text.found.to_text(), "");
        let all: Vec<String> = of_text.mib.objects().iter().map(Object::qualified).collect();
        let modules = of_text.mib.modules().to_vec();
        let expected: Vec<String> = all.iter().map(|name| known(&of_text.mib, name)).collect();
        let mut bytes = Vec::new();
        write(of_text.mib, &mut bytes).unwrap();
        std::fs::write(&tlp, &bytes).unwrap();
        let of_names = load(std::slice::from_ref(&tlp));
        assert_eq!(of_names.found.to_text(), "");
        assert_eq!(of_names.mib.modules(), modules);
        let found: Vec<String> = all.iter().map(|name| known(&of_names.mib, name)).collect();
        assert_eq!(found, expected);
        // A text is newer than what was compiled of it.
        std::fs::write(&text, MODULE.replace("a 4", "a 5")).unwrap();
        let both = load(&[tlp.clone(), text]);
        assert_eq!(both.mib.resolve("A-MIB::aSlow").unwrap().to_string(), "1.3.6.1.4.1.99991.5");

        bytes[20] ^= 1;
        std::fs::write(&tlp, &bytes).unwrap();
        assert!(load(std::slice::from_ref(&tlp)).found.has_errors());
        let in_folder = load(&[dir.path().to_owned()]);
        assert!(
            !in_folder.found.has_errors() && in_folder.found.to_text().contains("cannot read these names")
        );
    }
}
