//! Sessions of the console: a cookie in the place of a token. They are in memory alone; a restart ends them.

use std::collections::HashMap;
use std::time::Duration;

use super::tokens::Hash;
use crate::time::clock::Mono;

/// The name of the cookie.
pub const COOKIE: &str = "trapline";
/// How long a session may be idle.
pub const IDLE: Duration = Duration::from_hours(12);
/// How many there may be; the one that is idle for longest goes first.
const MOST: usize = 1000;

/// A session.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// The token that it was begun with.
    token: Hash,
    used: Mono,
}

/// The sessions, by the SHA-256 of their cookies.
#[derive(Debug, Default)]
pub struct Sessions(HashMap<Hash, Session>);

impl Sessions {
    /// Begins one.
    pub fn begin(&mut self, cookie: Hash, token: Hash, now: Mono) {
        self.0.retain(|_, session| now.since(session.used) < IDLE);
        if self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, session)| session.used).map(|(cookie, _)| *cookie);
            oldest.map(|cookie| self.0.remove(&cookie));
        }
        self.0.insert(cookie, Session { token, used: now });
    }

    /// The token that a session was begun with; it is used now.
    pub fn of(&mut self, cookie: &Hash, now: Mono) -> Option<Hash> {
        let session = self.0.get_mut(cookie).filter(|session| now.since(session.used) < IDLE)?;
        session.used = now;
        Some(session.token)
    }

    /// Ends one.
    pub fn end(&mut self, cookie: &Hash) {
        self.0.remove(cookie);
    }
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
        assert_eq!(sessions.0.len(), MOST);
        assert_eq!(sessions.of(&name(0), at(3 * idle + 1001)), None);
        sessions.end(&name(1));
        assert_eq!(sessions.of(&name(1), at(3 * idle + 1001)), None);
        let values = |fields: &[&'static str]| cookies(fields.iter().copied()).collect::<Vec<_>>();
        assert_eq!(values(&["a=b; trapline=x", "trapline=y;c=d"]), ["x", "y"]);
        assert!(values(&["traplinex=b"]).is_empty());
    }
}
