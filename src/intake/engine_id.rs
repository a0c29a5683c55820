//! This daemon as an SNMP engine: its id and its boots, kept in the journal directory so that senders of informs know
//! it again (RFC 3414, section 2.2).

use std::io::{self, ErrorKind};
use std::path::Path;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::files::Folder;
use crate::snmp::usm::Engine;

/// The longest content that is read, in bytes: 32 octets in hex and a number are far below.
const LONGEST: u64 = 256;

/// Reads the engine and counts a boot; makes a new one where there is none. `now` is in seconds since 1970.
///
/// # Errors
///
/// If the file cannot be read or written, or holds something else.
pub fn boot(path: &Path, now: u64) -> io::Result<Engine> {
    let (folder, name) = Folder::containing(path)?;
    let known = match folder.read(name, LONGEST) {
        Ok(content) => {
            let parsed = std::str::from_utf8(&content).ok().and_then(parse);
            Some(parsed.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not an engine id and boots"))?)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let (id, boots) = match known {
        Some((id, boots)) => (id, boots.saturating_add(1).min(u32::MAX >> 1)),
        None => {
            let id = async_snmp::v3::generate_engine_id().map_err(|e| io::Error::other(e.to_string()))?;
            (id.to_vec(), 1)
        }
    };
    folder.replace(name, |out| writeln!(out, "{} {boots}", HEXLOWER.encode(&id)))?;
    Ok(Engine { id, boots, started: now })
}

fn parse(text: &str) -> Option<(Vec<u8>, u32)> {
    let (hex, boots) = text.trim().split_once(' ')?;
    let id = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    // RFC 3411: 5 to 32 octets.
    ((5..=32).contains(&id.len())).then_some((id, boots.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stays_and_the_boots_rise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine");
        let first = boot(&path, 100).unwrap();
        let second = boot(&path, 200).unwrap();
        assert_eq!((first.boots, second.boots), (1, 2));
        assert_eq!(first.id, second.id);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(boot(&path, 300).is_err());
    }
}
