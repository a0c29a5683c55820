//! Where datagrams wait on disk while the daemon has no rules yet: reading thousands of MIB modules takes half a minute,
//! and nobody sends a trap again. What a daemon that then did not start left here is taken by the next.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::intake::listener::Protocol;
use crate::sys::MAX_DATAGRAM;

/// How many bytes may wait.
const MOST: u64 = 256 << 20;

/// The waiting room.
#[derive(Debug)]
pub struct WaitingRoom {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Not used yet; what was left may be there.
    Untouched,
    /// Datagrams are kept here.
    Open(File, u64),
    /// All are processed as they come.
    Closed,
}

/// A datagram that has waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What it is.
    pub protocol: Protocol,
    /// Who sent it.
    pub peer: SocketAddr,
    /// When it was received, in microseconds since 1970.
    pub received: i64,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl WaitingRoom {
    /// A room in this file.
    pub fn new(path: PathBuf) -> Self {
        WaitingRoom { path, state: Mutex::new(State::Untouched) }
    }

    /// Keeps a batch of datagrams; gives how many found no room. None if the room is closed, and they are to be
    /// processed.
    pub fn keep<'d>(
        &self,
        protocol: Protocol,
        received: i64,
        datagrams: impl Iterator<Item = (&'d [u8], SocketAddr)>,
    ) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Untouched = *state {
            let opened = OpenOptions::new().create(true).append(true).read(true).open(&self.path);
            match opened.and_then(|file| Ok((file.metadata()?.len(), file))) {
                Ok((length, file)) => *state = State::Open(file, length),
                Err(error) => {
                    tracing::error!(%error, "cannot keep what comes before the rules are there in {}", self.path.display());
                    return Some(datagrams.count() as u64);
                }
            }
        }
        let State::Open(file, length) = &mut *state else { return None };
        let (mut buffer, mut lost, mut kept) = (Vec::new(), 0, 0);
        for (bytes, peer) in datagrams {
            if *length + buffer.len() as u64 + bytes.len() as u64 > MOST {
                lost += 1;
            } else {
                push(&mut buffer, protocol, received, peer, bytes);
                kept += 1;
            }
        }
        match file.write_all(&buffer) {
            Ok(()) => {
                *length += buffer.len() as u64;
                Some(lost)
            }
            Err(_) => {
                let _ = file.set_len(*length);
                Some(lost + kept)
            }
        }
    }

    /// Gives all that waits to `take`, in order, and closes the room: when this returns, nothing waits and nothing more
    /// is kept. Gives how many there were.
    ///
    /// # Errors
    ///
    /// If the file cannot be read. What was left is lost then.
    pub fn close(&self, mut take: impl FnMut(Waiting)) -> io::Result<u64> {
        let mut count = 0;
        let mut done = 0;
        loop {
            // The bulk without the lock: more may come meanwhile.
            let end = std::fs::metadata(&self.path).map_or(0, |meta| meta.len());
            if end > done {
                done = self.read(done, &mut |waiting| {
                    count += 1;
                    take(waiting);
                })?;
                continue;
            }
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if std::fs::metadata(&self.path).map_or(0, |meta| meta.len()) > done {
                continue;
            }
            *state = State::Closed;
            let _ = std::fs::remove_file(&self.path);
            return Ok(count);
        }
    }

    /// Reads from a place to the end; gives where that was.
    fn read(&self, from: u64, take: &mut impl FnMut(Waiting)) -> io::Result<u64> {
        let mut file = File::open(&self.path)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from))?;
        let mut input = BufReader::new(file.take(end - from));
        while let Some(waiting) = pull(&mut input)? {
            take(waiting);
        }
        Ok(end)
    }
}

fn push(out: &mut Vec<u8>, protocol: Protocol, received: i64, peer: SocketAddr, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.push(u8::from(protocol == Protocol::Syslog));
    out.extend(received.to_le_bytes());
    match peer.ip() {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend(address.to_ipv6_mapped().octets());
        }
        IpAddr::V6(address) => {
            out.push(6);
            out.extend(address.octets());
        }
    }
    out.extend(peer.port().to_le_bytes());
    out.extend(bytes);
}

/// The next datagram; none at the end, or at one that was cut off there.
fn pull(input: &mut impl Read) -> io::Result<Option<Waiting>> {
    let mut head = [0; 32];
    let mut whole = |bytes: &mut [u8]| match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    };
    if !whole(&mut head)? {
        return Ok(None);
    }
    let field = |at: usize| head[at..].first_chunk().copied().unwrap_or_default();
    let length = u32::from_le_bytes(field(0)) as usize;
    if length > MAX_DATAGRAM {
        return Ok(None);
    }
    let received = i64::from_le_bytes(head[5..].first_chunk().copied().unwrap_or_default());
    let address = Ipv6Addr::from(head[14..].first_chunk::<16>().copied().unwrap_or_default());
    let address = match (head[13], address.to_ipv4_mapped()) {
        (4, mapped) => IpAddr::V4(mapped.unwrap_or(Ipv4Addr::UNSPECIFIED)),
        _ => IpAddr::V6(address),
    };
    let port = u16::from_le_bytes(head[30..].first_chunk().copied().unwrap_or_default());
    let protocol = if head[4] == 1 { Protocol::Syslog } else { Protocol::Snmp };
    let mut bytes = vec![0; length];
    if !whole(&mut bytes)? {
        return Ok(None);
    }
    Ok(Some(Waiting { protocol, peer: SocketAddr::new(address, port), received, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_comes_in_order_and_the_door_closes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("waiting");
        let room = WaitingRoom::new(path.clone());
        let v4: SocketAddr = "192.0.2.1:162".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::1]:514".parse().unwrap();
        let batch = [(&b"one"[..], v4), (&b""[..], v6)];
        assert_eq!(room.keep(Protocol::Snmp, 7, batch.into_iter()), Some(0));
        // Another start goes on with what the one before left, half a datagram at its end or not.
        drop(room);
        let room = WaitingRoom::new(path.clone());
        assert_eq!(room.keep(Protocol::Syslog, -8, [(&b"two"[..], v6)].into_iter()), Some(0));
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&[3, 0, 0]).unwrap();
        let mut got = Vec::new();
        assert_eq!(room.close(|waiting| got.push(waiting)).unwrap(), 3);
        let expected =
            [(Protocol::Snmp, v4, 7, "one"), (Protocol::Snmp, v6, 7, ""), (Protocol::Syslog, v6, -8, "two")];
        let expected = expected.map(|(protocol, peer, received, text)| Waiting {
            protocol,
            peer,
            received,
            bytes: text.into(),
        });
        assert_eq!(got, expected);
        assert!(!path.exists());
        assert_eq!(room.keep(Protocol::Snmp, 9, [(&b"x"[..], v4)].into_iter()), None);
    }

    #[test]
    fn a_room_that_nobody_used_closes_too() {
        let room = WaitingRoom::new("/nonexistent/waiting".into());
        assert_eq!(room.close(|_| panic!("nobody waits")).unwrap(), 0);
        assert_eq!(room.keep(Protocol::Snmp, 9, std::iter::empty()), None);
    }
}
