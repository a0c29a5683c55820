//! Keeps datagrams on disk while the daemon has no rules yet: reading thousands of MIB modules takes half a minute, and
//! nobody sends a trap again. What a daemon left that was stopped in that time, the next one processes. A daemon that stops keeps
//! here what it has no time to process.
//!
//! The file is an [append log](crate::files::append_log) of frames. A payload, all numbers little-endian:
//!
//! ```text
//! protocol 1 (0 SNMP, 1 syslog)   received, microseconds since 1970 8   family 1   address 16   port 2   datagram
//! ```
//!
//! The family is 4 or 6; for a process of this machine it is 2, with its id and its user in place of an address, or 1 if they are
//! not known.

use std::io::{self, BufReader, ErrorKind, Read};
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::files::entries::Form;
use crate::files::{AppendLog, Folder};
use crate::intake::listener::Protocol;
use crate::peer::{Credentials, Peer};
use crate::sys::MAX_DATAGRAM;

/// How many bytes may wait.
const MOST: u64 = 256 << 20;
/// What a datagram is stored with, in bytes.
const HEAD: usize = 28;
/// The families of processes of this machine.
const NO_CREDENTIALS: u8 = 1;
const CREDENTIALS: u8 = 2;
/// How many datagrams of an earlier version are converted at a time.
const CONVERTED: usize = 512;
const FORM: Form = Form::Frames { longest: (HEAD + MAX_DATAGRAM) as u32 };

/// Where datagrams wait.
#[derive(Debug)]
pub struct WaitingRoom {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Not used yet. A file that an earlier daemon left may be there.
    Untouched,
    /// Datagrams are kept here.
    Open(Open),
    /// The file could not be used in this second, and nothing is kept until the next one.
    Failed(i64),
    /// All datagrams are processed as they come.
    Closed,
}

#[derive(Debug)]
struct Open {
    log: AppendLog,
    /// How many datagrams this daemon has kept.
    kept: u64,
    /// Whether the log has said that datagrams cannot be kept.
    said: bool,
}

/// A datagram that has waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What it is.
    pub protocol: Protocol,
    /// Who sent it.
    pub peer: Peer,
    /// When it was received, in microseconds since 1970.
    pub received: i64,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl WaitingRoom {
    /// Keeps datagrams in this file.
    pub fn new(path: PathBuf) -> Self {
        WaitingRoom { path, state: Mutex::new(State::Untouched) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a batch of datagrams; returns how many are lost, of this batch or of those kept before. None if it is closed,
    /// and they are to be processed. `received` is in microseconds since 1970.
    pub fn keep<'d>(
        &self,
        protocol: Protocol,
        received: i64,
        datagrams: impl Iterator<Item = (&'d [u8], Peer)>,
    ) -> Option<u64> {
        let mut state = self.lock();
        let second = received.div_euclid(1_000_000);
        match &*state {
            State::Closed => return None,
            State::Failed(at) if *at == second => return Some(datagrams.count() as u64),
            State::Open(_) => {}
            State::Untouched | State::Failed(_) => match self.open() {
                Ok(log) => *state = State::Open(Open { log, kept: 0, said: false }),
                Err(error) => {
                    tracing::error!(%error, "cannot keep datagrams on disk until the rules are loaded: they are lost");
                    *state = State::Failed(second);
                    return Some(datagrams.count() as u64);
                }
            },
        }
        let State::Open(open) = &mut *state else { return None };
        let (mut buffer, mut ends) = (Vec::new(), Vec::new());
        for (bytes, peer) in datagrams {
            push(&mut buffer, protocol, received, peer, bytes);
            ends.push(buffer.len());
        }
        Some(open.keep(received, &buffer, &ends))
    }

    /// Opens the file. A file that cannot be used is moved aside.
    fn open(&self) -> io::Result<AppendLog> {
        let folder = Folder::open(self.path.parent().unwrap_or(&self.path))?;
        let name = self.name()?;
        let opened = match AppendLog::open(&folder, name, FORM, MOST) {
            Err(error) if error.kind() == ErrorKind::InvalidData && convert(&folder, name)? => {
                AppendLog::open(&folder, name, FORM, MOST)
            }
            other => other,
        };
        let (log, recovered) = opened.or_else(|error| match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::ReadOnlyFilesystem => Err(error),
            // The system says so of what is written; what is there is too long for this daemon otherwise.
            ErrorKind::FileTooLarge if error.raw_os_error().is_some() => Err(error),
            _ => {
                set_aside(&folder, name, &error)?;
                AppendLog::open(&folder, name, FORM, MOST)
            }
        })?;
        if recovered.torn + recovered.damaged > 0 {
            tracing::warn!(
                bytes = recovered.torn + recovered.damaged,
                "datagrams in {} are damaged and are lost",
                self.path.display()
            );
        }
        Ok(log)
    }

    fn name(&self) -> io::Result<&str> {
        self.path.file_name().and_then(|name| name.to_str()).ok_or_else(|| ErrorKind::InvalidInput.into())
    }

    /// Keeps datagrams again, for the next start: no other process of this daemon reads them.
    pub fn reopen(&self) {
        let mut state = self.lock();
        if let State::Closed = &*state {
            *state = State::Untouched;
        }
    }

    /// Gives all that waits to `take`, in order, and closes: when this returns, nothing waits and nothing more is kept.
    /// Returns how many there were.
    ///
    /// # Errors
    ///
    /// If the file cannot be read. It was moved aside then, and it is closed all the same.
    pub fn close(&self, mut take: impl FnMut(Waiting)) -> io::Result<u64> {
        let (mut count, mut done) = (0, 0);
        loop {
            let mut state = self.lock();
            if let State::Untouched | State::Failed(_) = &*state
                && self.path.symlink_metadata().is_ok()
            {
                match self.open() {
                    Ok(log) => *state = State::Open(Open { log, kept: 0, said: false }),
                    Err(error) => {
                        *state = State::Closed;
                        return Err(error);
                    }
                }
            }
            let State::Open(open) = &mut *state else {
                *state = State::Closed;
                return Ok(count);
            };
            let end = open.log.length();
            if end == done {
                *state = State::Closed;
                self.remove();
                return Ok(count);
            }
            let mut entries = open.log.entries(done);
            drop(state);
            // Without the lock: more datagrams may come meanwhile.
            loop {
                match entries.next() {
                    Ok(Some(payload)) => {
                        if let Some(waiting) = decode(payload) {
                            count += 1;
                            take(waiting);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return Err(self.give_up(error)),
                }
            }
            done = end;
        }
    }

    fn remove(&self) {
        let removed = Folder::containing(&self.path).and_then(|(folder, name)| folder.remove(name));
        if let Err(error) = removed
            && error.kind() != ErrorKind::NotFound
        {
            tracing::error!(%error, "cannot remove {}: the next start processes its datagrams again; remove it", self.path.display());
        }
    }

    /// Closes after an error, so that what comes from now on is processed.
    fn give_up(&self, error: io::Error) -> io::Error {
        *self.lock() = State::Closed;
        let moved =
            Folder::containing(&self.path).and_then(|(folder, name)| set_aside(&folder, name, &error));
        moved.err().unwrap_or(error)
    }
}

impl Open {
    fn keep(&mut self, received: i64, buffer: &[u8], ends: &[usize]) -> u64 {
        let vanished = self.log.check(received);
        let mut lost = 0;
        if let Ok(true) = vanished {
            tracing::error!(
                datagrams = self.kept,
                "the file in which datagrams wait was removed: they are lost"
            );
            lost = std::mem::take(&mut self.kept);
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let entries = starts.zip(ends).map(|(start, end)| &buffer[start..*end]);
        match vanished.and_then(|_| self.log.append(entries)) {
            Ok(kept) => {
                self.kept += kept as u64;
                self.said = false;
                lost + (ends.len() - kept) as u64
            }
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    tracing::error!(%error, "cannot keep datagrams on disk until the rules are loaded: they are lost");
                }
                lost + ends.len() as u64
            }
        }
    }
}

fn set_aside(folder: &Folder, name: &str, error: &io::Error) -> io::Result<()> {
    let aside = folder.set_aside(name)?;
    let path = folder.path().join(name);
    tracing::error!(%error, "cannot read {}, in which datagrams wait; it was renamed to {aside}", path.display());
    Ok(())
}

fn push(out: &mut Vec<u8>, protocol: Protocol, received: i64, peer: Peer, bytes: &[u8]) {
    // Nothing else comes in datagrams.
    out.push(u8::from(protocol == Protocol::Syslog));
    out.extend(received.to_le_bytes());
    let (kind, address, port) = match peer {
        Peer::Network(address) => match address.ip() {
            IpAddr::V4(ip) => (4, ip.to_ipv6_mapped().octets(), address.port()),
            IpAddr::V6(ip) => (6, ip.octets(), address.port()),
        },
        Peer::Local(None) => (NO_CREDENTIALS, [0; 16], 0),
        Peer::Local(Some(Credentials { pid, uid })) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&pid.to_le_bytes());
            octets[4..8].copy_from_slice(&uid.to_le_bytes());
            (CREDENTIALS, octets, 0)
        }
    };
    out.push(kind);
    out.extend(address);
    out.extend(port.to_le_bytes());
    out.extend(bytes);
}

/// The datagram in a payload; none if it is not one.
fn decode(payload: &[u8]) -> Option<Waiting> {
    let (head, bytes) = payload.split_first_chunk::<HEAD>()?;
    let protocol = match head[0] {
        0 => Protocol::Snmp,
        1 => Protocol::Syslog,
        _ => return None,
    };
    let received = i64::from_le_bytes(head[1..].first_chunk().copied()?);
    let octets = head[10..].first_chunk::<16>().copied()?;
    let port = u16::from_le_bytes(head[26..].first_chunk().copied()?);
    let number = |at: usize| octets[at..].first_chunk().copied().map(u32::from_le_bytes);
    let peer = match head[9] {
        4 => (Ipv6Addr::from(octets).to_ipv4_mapped()?, port).into(),
        6 => (Ipv6Addr::from(octets), port).into(),
        NO_CREDENTIALS => Peer::Local(None),
        CREDENTIALS => Peer::Local(Some(Credentials { pid: number(0)?, uid: number(4)? })),
        _ => return None,
    };
    Some(Waiting { protocol, peer, received, bytes: bytes.to_vec() })
}

/// Writes a file of an earlier version anew, in which a datagram has its length before it and no checksum; false if it is
/// not such a file. What follows a damaged datagram there is lost.
fn convert(folder: &Folder, name: &str) -> io::Result<bool> {
    let file = folder.reader(name)?;
    let mut left = file.length()?;
    let mut input = BufReader::new(file);
    let new = format!("{name}.converted");
    if folder.exists(&new) {
        folder.remove(&new)?;
    }
    // Each datagram takes a few bytes more than before.
    let (mut log, _) = AppendLog::open(folder, &new, FORM, 2 * MOST)?;
    let mut count = 0;
    loop {
        let mut batch = Vec::new();
        while batch.len() < CONVERTED
            && let Some(payload) = pull(&mut input)?
        {
            left = left.saturating_sub(4 + payload.len() as u64);
            batch.push(payload);
        }
        if batch.is_empty() {
            break;
        }
        count += log.append(batch.iter().map(Vec::as_slice))?;
    }
    if count == 0 {
        folder.remove(&new)?;
        return Ok(false);
    }
    log.sync()?;
    folder.rename(&new, name)?;
    tracing::info!(
        datagrams = count,
        lost_bytes = left,
        "datagrams that an earlier version kept are processed"
    );
    Ok(true)
}

/// The payload of the next datagram in a file of an earlier version; none at the end, or at what is not one.
fn pull(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut whole = |bytes: &mut [u8]| match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    };
    let mut length = [0; 4];
    if !whole(&mut length)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_DATAGRAM {
        return Ok(None);
    }
    let mut payload = vec![0; HEAD + length];
    let is_datagram = whole(&mut payload)? && decode(&payload).is_some();
    Ok(is_datagram.then_some(payload))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn peer(text: &str) -> Peer {
        text.parse().unwrap()
    }

    fn keep(room: &WaitingRoom, received: i64, texts: &[&str]) -> Option<u64> {
        let datagrams = texts.iter().map(|text| (text.as_bytes(), peer("192.0.2.1:162")));
        room.keep(Protocol::Snmp, received, datagrams)
    }

    fn close(room: &WaitingRoom) -> Vec<String> {
        let mut got = Vec::new();
        room.close(|waiting| got.push(String::from_utf8(waiting.bytes).unwrap())).unwrap();
        got
    }

    #[test]
    fn datagrams_come_in_order_and_none_is_kept_once_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("waiting");
        let room = WaitingRoom::new(path.clone());
        let (v4, v6) = (peer("192.0.2.1:162"), peer("[2001:db8::1]:514"));
        let (daemon, unknown) = (Peer::Local(Some(Credentials { pid: 411, uid: 70_000 })), Peer::Local(None));
        let batch = [(&b"one"[..], v4), (&b""[..], v6), (&b"local"[..], daemon), (&b"-"[..], unknown)];
        assert_eq!(room.keep(Protocol::Snmp, 7, batch.into_iter()), Some(0));
        // The next start goes on with what is there, half a datagram at its end or not.
        drop(room);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend([3, 0, 0]);
        std::fs::write(&path, bytes).unwrap();
        let room = WaitingRoom::new(path.clone());
        assert_eq!(room.keep(Protocol::Syslog, -8, [(&b"two"[..], v6)].into_iter()), Some(0));
        let mut got = Vec::new();
        assert_eq!(room.close(|waiting| got.push(waiting)).unwrap(), 5);
        let expected = [
            (Protocol::Snmp, v4, 7, "one"),
            (Protocol::Snmp, v6, 7, ""),
            (Protocol::Snmp, daemon, 7, "local"),
            (Protocol::Snmp, unknown, 7, "-"),
            (Protocol::Syslog, v6, -8, "two"),
        ];
        let expected = expected.map(|(protocol, peer, received, text)| Waiting {
            protocol,
            peer,
            received,
            bytes: text.into(),
        });
        assert_eq!(got, expected);
        assert!(!path.exists());
        assert_eq!(keep(&room, 9, &["x"]), None);
    }

    #[test]
    fn what_was_never_used_closes_too() {
        let room = WaitingRoom::new("/dev/null/waiting".into());
        assert_eq!(room.close(|_| panic!("nothing waits")).unwrap(), 0);
        assert_eq!(keep(&room, 9, &[]), None);
    }

    /// A torn datagram with 19 whole ones behind it: two starts that were killed leave it so.
    #[test]
    fn a_torn_datagram_costs_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("waiting");
        let room = WaitingRoom::new(path.clone());
        keep(&room, 1, &["first", "torn"]);
        drop(room);
        let bytes = std::fs::read(&path).unwrap();
        for length in bytes.len() - 4..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let room = WaitingRoom::new(path.clone());
            for n in 0..19 {
                assert_eq!(keep(&room, n * 1_000_000, &["next"]), Some(0));
            }
            let got = close(&room);
            assert_eq!((got.len(), &*got[0]), (20, "first"));
            assert!(got[1..].iter().all(|text| text == "next"));
        }
    }

    #[test]
    fn what_cannot_be_read_is_moved_aside_and_what_comes_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("waiting");
        let unusable: [&dyn Fn(); 3] = [
            &|| std::fs::create_dir(&path).unwrap(),
            &|| std::fs::write(&path, "no datagrams at all, but more than the head of one").unwrap(),
            &|| std::os::unix::fs::symlink("/etc/passwd", &path).unwrap(),
        ];
        for (n, make) in unusable.iter().enumerate() {
            make();
            let room = WaitingRoom::new(path.clone());
            assert_eq!(keep(&room, 1, &["one"]), Some(0));
            assert_eq!(close(&room), ["one"]);
            make();
            assert_eq!(close(&WaitingRoom::new(path.clone())), [""; 0]);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2 * n + 2);
        }
    }

    #[test]
    fn an_error_is_said_once_a_second_and_ends_with_its_cause() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let room = WaitingRoom::new(dir.path().join("file/waiting"));
        assert_eq!(keep(&room, 1, &["one", "two"]), Some(2));
        std::fs::remove_file(dir.path().join("file")).unwrap();
        assert_eq!(keep(&room, 999_999, &["three"]), Some(1));
        assert_eq!(keep(&room, 1_000_000, &["four"]), Some(0));
        assert_eq!(close(&room), ["four"]);
    }

    #[test]
    fn datagrams_whose_file_was_removed_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let room = WaitingRoom::new(state.join("waiting"));
        assert_eq!(keep(&room, 0, &["one", "two"]), Some(0));
        std::fs::remove_dir_all(&state).unwrap();
        assert_eq!(keep(&room, 2_000_000, &["three"]), Some(2));
        assert_eq!(close(&room), ["three"]);
    }

    #[test]
    fn a_file_of_an_earlier_version_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("waiting");
        let mut old = Vec::new();
        for text in ["one", "", "three"] {
            old.extend((text.len() as u32).to_le_bytes());
            push(&mut old, Protocol::Syslog, 1_795_176_000_123_456, peer("192.0.2.1:514"), text.as_bytes());
        }
        for torn in [0, 1] {
            std::fs::write(&path, &old[..old.len() - torn]).unwrap();
            let room = WaitingRoom::new(path.clone());
            assert_eq!(keep(&room, 1, &["four"]), Some(0));
            let expected: &[&str] =
                if torn == 0 { &["one", "", "three", "four"] } else { &["one", "", "four"] };
            assert_eq!(close(&room), expected);
        }
        std::fs::write(&path, &old).unwrap();
        assert_eq!(close(&WaitingRoom::new(path)), ["one", "", "three"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn none_is_lost_between_keeping_and_processing() {
        let dir = tempfile::tempdir().unwrap();
        let room = WaitingRoom::new(dir.path().join("waiting"));
        let started = AtomicBool::new(false);
        let (mut waited, mut processed) = (Vec::new(), 0);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                for n in 0_i64.. {
                    if keep(&room, n * 10_000, &[&n.to_string()]).is_none() {
                        return n;
                    }
                    started.store(n > 100, Ordering::Release);
                }
                0
            });
            while !started.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            waited = close(&room);
            processed = sender.join().unwrap();
        });
        let expected: Vec<_> = (0..processed).map(|n| n.to_string()).collect();
        assert_eq!(waited, expected);
    }
}
