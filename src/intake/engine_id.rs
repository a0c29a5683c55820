//! This daemon as an SNMP engine: its id and its boots, kept in the journal directory so that senders of informs know
//! it again (RFC 3414, section 2.2).

use std::io::{self, Write};
use std::path::Path;

use crate::snmp::usm::Engine;

/// Reads the engine and counts a boot; makes a new one where there is none. `now` is in seconds since 1970.
///
/// # Errors
///
/// If the file cannot be read or written, or holds something else.
pub fn boot(path: &Path, now: u64) -> io::Result<Engine> {
    let known = match std::fs::read_to_string(path) {
        Ok(text) => Some(
            parse(&text)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an engine id and boots"))?,
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let (id, boots) = match known {
        Some((id, boots)) => (id, boots.saturating_add(1).min(u32::MAX >> 1)),
        None => {
            let id = async_snmp::v3::generate_engine_id().map_err(|e| io::Error::other(e.to_string()))?;
            (id.to_vec(), 1)
        }
    };
    let hex: String = id.iter().map(|b| format!("{b:02x}")).collect();
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    writeln!(file, "{hex} {boots}")?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    Ok(Engine { id, boots, started: now })
}

fn parse(text: &str) -> Option<(Vec<u8>, u32)> {
    let (hex, boots) = text.trim().split_once(' ')?;
    let octets =
        hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let id: Vec<u8> = octets.collect::<Option<_>>()?;
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
