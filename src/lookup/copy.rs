//! The last good version of each table, in the folder `lookups` of the state directory: what a program begins with while a
//! server cannot be asked, or a file has a mistake.

use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::settings::{Definition, Source};
use crate::files::Folder;

/// The folder in the state directory.
const FOLDER: &str = "lookups";
/// What each copy begins with.
const MARK: &str = "trapline lookup 1";
/// How much of a copy is compared at a time, in bytes.
const PART: usize = 64 << 10;
/// The longest copy, in bytes.
pub const LONGEST: u64 = 256 << 20;

/// Tells copies of other sources apart: a table whose source was changed does not begin with what the other one had.
fn identity(definition: &Definition) -> String {
    let said = match &definition.source {
        Source::Csv { path, separator } => format!("csv\0{}\0{separator}", path.display()),
        Source::Toml { path, items } => format!("toml\0{}\0{}", path.display(), items.text()),
        Source::Json { path, items } => format!("json\0{}\0{}", path.display(), items.text()),
        Source::Sqlite { path, query } => format!("sqlite\0{}\0{query}", path.display()),
        Source::Nagios { path } => format!("nagios\0{}", path.display()),
        Source::Http(http) => format!("url\0{}\0{}", http.url, http.items.text()),
    };
    HEXLOWER.encode(&Sha256::digest(said.as_bytes()))
}

/// The first line of a copy.
fn head(definition: &Definition, content: &[u8]) -> String {
    format!("{MARK} {} {} {:08x}\n", identity(definition), content.len(), crc32c::crc32c(content))
}

/// The last good version of a table; none if there is none of this source.
///
/// # Errors
///
/// If it cannot be read or is damaged.
pub fn read(directory: &Path, definition: &Definition) -> io::Result<Option<Vec<u8>>> {
    let folder = match Folder::existing(directory).and_then(|folder| folder.existing_sub(FOLDER)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        folder => folder?,
    };
    let mut copy = match folder.read(&definition.name, LONGEST + 1024) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        copy => copy?,
    };
    let Some(end) = copy.iter().position(|octet| *octet == b'\n') else { return Err(damaged()) };
    // In the same memory, as it can be long.
    let first: Vec<u8> = copy.drain(..=end).collect();
    if first == head(definition, &copy).as_bytes() {
        return Ok(Some(copy));
    }
    let own = format!("{MARK} {} ", identity(definition));
    if first.starts_with(own.as_bytes()) { Err(damaged()) } else { Ok(None) }
}

/// Whether this is the last good version, as far as that can be read. It is compared a part at a time.
pub fn is(directory: &Path, definition: &Definition, content: &[u8]) -> bool {
    let compare = || -> io::Result<bool> {
        let folder = Folder::existing(directory)?.existing_sub(FOLDER)?;
        let mut copy = folder.reader(&definition.name)?;
        let head = head(definition, content);
        let mut part = vec![0; PART];
        for expected in head.as_bytes().chunks(PART).chain(content.chunks(PART)) {
            let part = &mut part[..expected.len()];
            copy.read_exact(part)?;
            if part != expected {
                return Ok(false);
            }
        }
        Ok(copy.read(&mut part)? == 0)
    };
    compare().unwrap_or(false)
}

fn damaged() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the copy is damaged")
}

/// Keeps a version as the last good one. Durable when this returns.
///
/// # Errors
///
/// If it cannot be written. The one before is still there then.
pub fn write(directory: &Path, definition: &Definition, content: &[u8]) -> io::Result<()> {
    let folder = Folder::existing(directory)?.sub(FOLDER)?;
    folder.replace(&definition.name, |file| {
        file.write_all(head(definition, content).as_bytes())?;
        file.write_all(content)
    })?;
    Ok(())
}
