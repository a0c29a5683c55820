//! This daemon as an SNMP engine, in two files of the journal directory: `engine` has its id and its boots, so that senders of
//! informs know it again (RFC 3414, section 2.2), and `senders` has the clocks and the last messages of engines that send, so that a
//! restart opens no window for replays.

use std::io::{self, ErrorKind};
use std::path::Path;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::files::disk::Opening;
use crate::files::{Folder, is_without_room};
use crate::snmp::usm::{Engine, Memory, Senders};

/// The longest content that is read, in bytes: 32 octets in hex and a number are far below.
const LONGEST: u64 = 256;
/// The longest file of senders that is read, in bytes: 20,000 engines and a million messages are far below.
const LONGEST_SENDERS: u64 = 32 << 20;
/// How an id of this program begins (RFC 3411, section 5, SnmpEngineID): the first bit is set, the enterprise number is the one for
/// programs that have none of their own (RFC 5612), format 5 says that octets follow.
const PREFIX: [u8; 5] = [0x80, 0x00, 0x7e, 0xd9, 5];
/// How many random octets follow: no two daemons have the same.
const RANDOM: usize = 12;
/// The highest snmpEngineBoots.
const MAX_BOOTS: u32 = u32::MAX >> 1;

/// Reads the engine and counts a boot; makes a new one where there is none. `now` is in seconds of a clock that never goes
/// back.
///
/// # Errors
///
/// If the file cannot be read or written, or holds something else.
pub fn boot(path: &Path, now: u64) -> io::Result<Engine> {
    let (folder, name) = Folder::containing(path)?;
    let (id, boots) = match read_from(&folder, name)? {
        Some((id, boots)) => (id, boots.saturating_add(1).min(MAX_BOOTS)),
        None => (new_id()?, 1),
    };
    let content = format!("{} {boots}\n", HEXLOWER.encode(&id));
    match folder.replace(name, |out| out.write_all(content.as_bytes())) {
        Err(error) if is_without_room(error.kind()) && folder.exists(name) => {
            overwrite(&folder, name, &content)?;
        }
        other => drop(other?),
    }
    if boots == MAX_BOOTS {
        tracing::error!(
            "snmpEngineBoots has reached its maximum, so that no SNMPv3 inform is taken any more (RFC 3414, section 2.3); remove {} and restart: the daemon gets a new engine id",
            path.display()
        );
    }
    Ok(Engine { id, boots, started: now })
}

/// Counts a boot on a disk that has no room for another file. The content is far smaller than a sector, which disks write whole, and it
/// never gets shorter.
fn overwrite(folder: &Folder, name: &str, content: &str) -> io::Result<()> {
    let file = folder.open_file(name, Opening::Write)?;
    file.write(content.as_bytes(), 0)?;
    file.sync()
}

/// The id and the boots of the engine; none where there is no file.
///
/// # Errors
///
/// As [`boot`].
pub fn read(path: &Path) -> io::Result<Option<(Vec<u8>, u32)>> {
    match Folder::containing(path) {
        Ok((folder, name)) => read_from(&folder, name),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_from(folder: &Folder, name: &str) -> io::Result<Option<(Vec<u8>, u32)>> {
    match folder.read(name, LONGEST) {
        Ok(content) => {
            let parsed = std::str::from_utf8(&content).ok().and_then(parse);
            parsed
                .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not an engine id and boots"))
                .map(Some)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Option<(Vec<u8>, u32)> {
    let (hex, boots) = text.trim().split_once(' ')?;
    let id = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    // RFC 3411: 5 to 32 octets.
    ((5..=32).contains(&id.len())).then_some((id, boots.parse().ok()?))
}

fn new_id() -> io::Result<Vec<u8>> {
    let mut id = PREFIX.to_vec();
    id.resize(PREFIX.len() + RANDOM, 0);
    getrandom::fill(&mut id[PREFIX.len()..]).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(id)
}

/// Which form an engine id has (RFC 3411, section 5), in words.
pub fn form(id: &[u8]) -> String {
    let Some((head, _)) = id.split_first_chunk::<5>() else {
        return "shorter than any form of RFC 3411".to_owned();
    };
    let number = u32::from_be_bytes([head[0] & 0x7f, head[1], head[2], head[3]]);
    if head[0] & 0x80 == 0 {
        return match id.len() {
            12 => format!("the older form of RFC 3411, of enterprise {number}"),
            _ => "no form of RFC 3411; senders take it all the same".to_owned(),
        };
    }
    let rest = match head[4] {
        1 => "an IPv4 address",
        2 => "an IPv6 address",
        3 => "a MAC address",
        4 => "a text",
        5 => "octets",
        128..=255 => "octets in a form of the enterprise",
        _ => "octets in a reserved form",
    };
    format!("enterprise {number} and {rest} (RFC 3411)")
}

/// What is known of senders from the last run. A file that cannot be used is said and taken for none. `now` is as for
/// [`boot`].
pub fn senders(path: &Path, now: u64) -> Senders {
    let read = Folder::containing(path).and_then(|(folder, name)| folder.read(name, LONGEST_SENDERS));
    let error = match read {
        Ok(stored) => match Senders::from_stored(&stored, now) {
            Some(senders) => return senders,
            None => "it is damaged".to_owned(),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => return Senders::default(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        %error,
        "cannot use {}: SNMPv3 messages that were recorded before this start are taken again until their senders have sent",
        path.display()
    );
    Senders::default()
}

/// Stores what is known of senders, if it has changed.
///
/// # Errors
///
/// If the file cannot be written.
pub fn store_senders(path: &Path, memory: &Memory) -> io::Result<()> {
    let Some(stored) = memory.senders().to_store() else { return Ok(()) };
    let (folder, name) = Folder::containing(path)?;
    folder.replace(name, |out| out.write_all(&stored)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stays_and_the_boots_rise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine");
        assert_eq!(read(&path).unwrap(), None);
        let first = boot(&path, 100).unwrap();
        let second = boot(&path, 200).unwrap();
        assert_eq!((first.boots, second.boots, second.started), (1, 2, 200));
        assert_eq!(first.id, second.id);
        assert_eq!(read(&path).unwrap(), Some((first.id, 2)));
        std::fs::write(&path, "0000000102030405060708 2147483647\n").unwrap();
        assert_eq!(boot(&path, 300).unwrap().boots, MAX_BOOTS, "latched");
        std::fs::write(&path, "nonsense").unwrap();
        assert!(boot(&path, 300).is_err() && read(&path).is_err());
    }

    #[test]
    fn new_ids_are_those_of_rfc_3411() {
        let ids: std::collections::HashSet<Vec<u8>> = (0..100).map(|_| new_id().unwrap()).collect();
        assert_eq!(ids.len(), 100);
        for id in &ids {
            assert_eq!((id[..5].to_vec(), id.len()), (vec![0x80, 0, 0x7e, 0xd9, 5], 17));
            assert_eq!(form(id), "enterprise 32473 and octets (RFC 3411)");
        }
        for (id, said) in [
            (&b"\x80\x00\x1f\x88\x03abcdef"[..], "enterprise 8072 and a MAC address (RFC 3411)"),
            (b"\x00\x00\x00\x09\x01abcdefg", "the older form of RFC 3411, of enterprise 9"),
            (b"\x55\xf6\xfa\xc7\x6c01234567890a", "no form of RFC 3411; senders take it all the same"),
            (b"\x80\x00\x1f", "shorter than any form of RFC 3411"),
        ] {
            assert_eq!(form(id), said);
        }
    }

    #[test]
    fn senders_survive_and_damage_is_no_reason_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("senders");
        let engine = || Engine { id: vec![0x80, 0, 0, 0, 1], boots: 1, started: 0 };
        let memory = Memory::new(engine(), senders(&path, 0)).unwrap();
        store_senders(&path, &memory).unwrap();
        assert!(!path.exists(), "nothing to store");
        std::fs::write(&path, "nonsense").unwrap();
        let memory = Memory::new(engine(), senders(&path, 0)).unwrap();
        store_senders(&path, &memory).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"nonsense");
    }
}
