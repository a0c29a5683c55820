//! The state of rules on disk, between a stop and the next start.
//!
//! It is written at the end of an orderly stop and removed when the next start takes it over. So after a crash there is
//! none: state that is older than what was sent since would send again what is over.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::files::Folder;

/// The name of the file in the journal directory.
const NAME: &str = "correlation";
/// The longest content that is read, in bytes.
const LONGEST: u64 = 4 << 30;

/// The state that was saved; none if there is none.
///
/// # Errors
///
/// If it cannot be read, or is damaged.
pub fn read(directory: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = match Folder::existing(directory)?.read(NAME, LONGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::new(ErrorKind::InvalidData, "its checksum is wrong");
    let whole = bytes.len().checked_sub(4).ok_or_else(damaged)?;
    let sum = bytes.split_off(whole);
    if crc32c::crc32c(&bytes).to_le_bytes() != *sum {
        return Err(damaged());
    }
    Ok(Some(bytes))
}

/// Saves state.
///
/// # Errors
///
/// If it cannot be written; what was there stays.
pub fn write(directory: &Path, bytes: &[u8]) -> io::Result<()> {
    Folder::existing(directory)?.replace(NAME, |out| {
        out.write_all(bytes)?;
        out.write_all(&crc32c::crc32c(bytes).to_le_bytes())
    })
}

/// Removes what was saved.
///
/// # Errors
///
/// If it cannot be removed.
pub fn remove(directory: &Path) -> io::Result<()> {
    match Folder::existing(directory)?.remove(NAME) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_anywhere_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap().is_none());
        write(dir.path(), b"state").unwrap();
        assert_eq!(read(dir.path()).unwrap().unwrap(), b"state");
        let whole = std::fs::read(dir.path().join(NAME)).unwrap();
        for at in 0..whole.len() {
            let mut turned = whole.clone();
            turned[at] ^= 0x10;
            std::fs::write(dir.path().join(NAME), &turned).unwrap();
            assert!(read(dir.path()).is_err(), "byte {at}");
            std::fs::write(dir.path().join(NAME), &whole[..at]).unwrap();
            assert!(read(dir.path()).is_err(), "cut at {at}");
        }
        remove(dir.path()).unwrap();
        remove(dir.path()).unwrap();
        assert!(read(dir.path()).unwrap().is_none());
    }
}
