//! Sessions of the console: a cookie in the place of a token. A file keeps them over a restart, by the SHA-256 of their cookies.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::tokens::Hash;
use crate::files::Folder;
use crate::time::clock::{Mono, Now};

/// The name of the cookie.
pub const COOKIE: &str = "trapline";
/// How long a session may be idle.
pub const IDLE: Duration = Duration::from_hours(12);
/// How many there may be; the one that is idle for longest goes first.
const MOST: usize = 1000;
/// The file of the state directory.
const FILE: &str = "sessions.json";
/// The largest file that is read, in octets.
const LARGEST: u64 = 1 << 20;
/// How old what the file says of use may be.
const SELDOM: Duration = Duration::from_mins(10);

/// A session.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// The token that it was begun with.
    token: Hash,
    used: Mono,
    /// How long it was idle when it was read from the file, until it is used.
    idle: Duration,
}

impl Session {
    fn idle(&self, now: Mono) -> Duration {
        self.idle + now.since(self.used)
    }
}

/// A session in the file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The SHA-256 of the cookie, in hexadecimal.
    cookie: String,
    /// The SHA-256 of the token, in hexadecimal.
    token: String,
    /// When it was used last, in microseconds since 1970.
    used: i64,
}

/// The sessions, by the SHA-256 of their cookies.
#[derive(Debug, Default)]
pub struct Sessions {
    all: HashMap<Hash, Session>,
    /// Whether the file was read.
    is_read: bool,
    /// When it was written; none if it lacks a session that was begun, or has one that has ended.
    written: Option<Mono>,
    /// Whether any was used since.
    was_used: bool,
}

impl Sessions {
    /// Begins one.
    pub fn begin(&mut self, cookie: Hash, token: Hash, now: Mono) {
        self.all.retain(|_, session| session.idle(now) < IDLE);
        if self.all.len() >= MOST {
            let oldest =
                self.all.iter().max_by_key(|(_, session)| session.idle(now)).map(|(cookie, _)| *cookie);
            oldest.map(|cookie| self.all.remove(&cookie));
        }
        self.all.insert(cookie, Session { token, used: now, idle: Duration::ZERO });
        self.written = None;
    }

    /// The token that a session was begun with; it is used now.
    pub fn of(&mut self, cookie: &Hash, now: Mono) -> Option<Hash> {
        let session = self.all.get_mut(cookie).filter(|session| session.idle(now) < IDLE)?;
        (session.used, session.idle) = (now, Duration::ZERO);
        self.was_used = true;
        Some(session.token)
    }

    /// Ends one.
    pub fn end(&mut self, cookie: &Hash) {
        if self.all.remove(cookie).is_some() {
            self.written = None;
        }
    }

    /// Whether the file is still to be read.
    pub fn is_unread(&self) -> bool {
        !self.is_read
    }

    /// Goes on with those that an earlier process has left, as long as they may be idle.
    pub fn resume(&mut self, kept: Vec<Kept>, now: Now) {
        self.is_read = true;
        self.written = Some(now.mono);
        let hash = |text: &str| HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok();
        for one in kept.into_iter().take(MOST) {
            let idle = Duration::from_micros(u64::try_from(now.wall.micros() - one.used).unwrap_or(0));
            if let (Some(cookie), Some(token), true) = (hash(&one.cookie), hash(&one.token), idle < IDLE) {
                self.all.entry(cookie).or_insert(Session { token, used: now.mono, idle });
            }
        }
    }

    /// What is to be written, if the file lacks something.
    pub fn unwritten(&mut self, now: Now) -> Option<Vec<Kept>> {
        let is_due = match self.written {
            None => self.is_read,
            Some(written) => self.was_used && now.mono.since(written) >= SELDOM,
        };
        is_due.then(|| {
            (self.written, self.was_used) = (Some(now.mono), false);
            let used = |session: &Session| {
                let idle = i64::try_from(session.idle(now.mono).as_micros()).unwrap_or(i64::MAX);
                now.wall.micros().saturating_sub(idle)
            };
            let kept = self.all.iter().filter(|(_, session)| session.idle(now.mono) < IDLE);
            kept.map(|(cookie, session)| Kept {
                cookie: HEXLOWER.encode(cookie),
                token: HEXLOWER.encode(&session.token),
                used: used(session),
            })
            .collect()
        })
    }

    /// The file was not written.
    pub fn not_written(&mut self) {
        self.written = None;
    }
}

/// The sessions that an earlier process has left. Blocks.
///
/// # Errors
///
/// If the file cannot be read.
pub fn read(folder: &Folder) -> io::Result<Vec<Kept>> {
    match folder.read(FILE, LARGEST) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes them. Blocks.
///
/// # Errors
///
/// If they cannot be written.
pub fn write(folder: &Folder, kept: &[Kept]) -> io::Result<()> {
    let text = serde_json::to_vec(kept).map_err(io::Error::other)?;
    folder.replace(FILE, |file| file.write_all(&text))
}

/// The values of the cookies of this name in `Cookie` header fields. There may be several: browsers send those of another port of
/// the host, too, and those of longer paths first.
pub fn cookies<'f>(fields: impl Iterator<Item = &'f str>) -> impl Iterator<Item = &'f str> {
    let pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_and_there_are_only_so_many() {
        let mut sessions = Sessions::default();
        let at = |seconds: u64| Mono::from_nanos(seconds * 1_000_000_000);
        let name = |n: u64| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_le_bytes());
            hash
        };
        sessions.begin(name(1), [7; 32], at(0));
        let idle = IDLE.as_secs();
        assert_eq!(sessions.of(&name(1), at(idle - 1)), Some([7; 32]));
        assert_eq!(sessions.of(&name(1), at(2 * idle - 2)), Some([7; 32]));
        assert_eq!(sessions.of(&name(1), at(3 * idle)), None);
        for n in 0..=MOST as u64 {
            sessions.begin(name(n), [7; 32], at(3 * idle + n));
        }
        assert_eq!(sessions.all.len(), MOST);
        assert_eq!(sessions.of(&name(0), at(3 * idle + 1001)), None);
        sessions.end(&name(1));
        assert_eq!(sessions.of(&name(1), at(3 * idle + 1001)), None);
        let values = |fields: &[&'static str]| cookies(fields.iter().copied()).collect::<Vec<_>>();
        assert_eq!(values(&["a=b; trapline=x", "trapline=y;c=d"]), ["x", "y"]);
        assert!(values(&["traplinex=b"]).is_empty());
    }

    #[test]
    fn a_restart_keeps_them_and_the_time_that_they_were_idle() {
        let at = |seconds: u64, wall: i64| Now {
            mono: Mono::from_nanos(seconds * 1_000_000_000),
            wall: crate::time::clock::Wall::from_micros(wall * 1_000_000),
        };
        let idle = IDLE.as_secs();
        let mut before = Sessions::default();
        assert!(before.is_unread());
        before.resume(Vec::new(), at(10, 1000));
        assert!(before.unwritten(at(10, 1000)).is_none(), "nothing was begun");
        before.begin([1; 32], [7; 32], at(10, 1000).mono);
        before.begin([2; 32], [7; 32], at(20, 1010).mono);
        before.end(&[2; 32]);
        let kept = before.unwritten(at(20, 1010)).unwrap();
        assert_eq!((kept.len(), kept[0].used), (1, 1_000_000_000));
        assert!(before.unwritten(at(21, 1011)).is_none(), "it is written");
        before.not_written();
        assert_eq!(before.unwritten(at(22, 1012)).unwrap().len(), 1);
        before.of(&[1; 32], at(23, 1013).mono);
        assert!(before.unwritten(at(24, 1014)).is_none(), "use is written seldom");
        assert_eq!(before.unwritten(at(1000, 1990)).unwrap()[0].used, 1_013_000_000);

        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert!(read(&folder).unwrap().is_empty());
        write(&folder, &kept).unwrap();
        // It was used at 1000; now it is 100 s before 12 hours after that.
        let mut after = Sessions::default();
        after.resume(read(&folder).unwrap(), at(5, 900 + idle as i64));
        assert_eq!(after.of(&[1; 32], at(106, 0).mono), None, "12 hours in all");
        assert_eq!(after.of(&[1; 32], at(104, 0).mono), Some([7; 32]));
        assert_eq!(after.of(&[1; 32], at(104 + idle - 1, 0).mono), Some([7; 32]));
        // A clock that was put back makes nobody idle, and what is no hash is left out.
        let odd = vec![Kept { cookie: "xyz".to_owned(), token: String::new(), used: 0 }];
        let mut after = Sessions::default();
        after.resume(odd.into_iter().chain(read(&folder).unwrap()).collect(), at(5, 0));
        assert_eq!(after.all.len(), 1);
        assert_eq!(after.of(&[1; 32], at(4 + idle, 0).mono), Some([7; 32]));
    }
}
