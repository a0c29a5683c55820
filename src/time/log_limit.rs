//! Log lines about bad input: the first of a kind at once, then at most one every ten seconds, with how many
//! were left out.

use std::sync::{Mutex, PoisonError};

/// How long a kind stays silent after a line, in microseconds.
const SILENCE: i64 = 10_000_000;

/// The kinds of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Packets that are no notification.
    Malformed,
    /// Wrong communities.
    Community,
    /// Senders that are not let in.
    Source,
    /// Notifications that no access is granted to.
    Access,
    /// Datagrams that the kernel dropped.
    KernelDrops,
    /// Messages that no rule takes.
    Unmatched,
    /// Outcomes that the journal cannot take.
    Journal,
    /// Streams that are turned away or cut.
    Stream,
}

const KINDS: usize = Kind::Stream as usize + 1;

/// Decides who may write.
#[derive(Debug, Default)]
pub struct Limiter {
    kinds: Mutex<[Option<State>; KINDS]>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    last: i64,
    left_out: u64,
}

impl Limiter {
    /// Whether a line of this kind may be written now; if so, how many were left out since the last one. `now`
    /// is in microseconds.
    pub fn allow(&self, kind: Kind, now: i64) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut kinds[kind as usize];
        match state {
            Some(known) if (0..SILENCE).contains(&now.saturating_sub(known.last)) => {
                known.left_out += 1;
                None
            }
            _ => {
                let left_out = state.map_or(0, |s| s.left_out);
                *state = Some(State { last: now, left_out: 0 });
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_a_count() {
        let limiter = Limiter::default();
        assert_eq!(limiter.allow(Kind::Malformed, 5), Some(0));
        assert_eq!(limiter.allow(Kind::Malformed, 6), None);
        assert_eq!(limiter.allow(Kind::Source, 6), Some(0));
        assert_eq!(limiter.allow(Kind::Malformed, SILENCE + 4), None);
        assert_eq!(limiter.allow(Kind::Malformed, SILENCE + 5), Some(2));
        // A clock that goes back must not silence for good.
        assert_eq!(limiter.allow(Kind::Malformed, 0), Some(0));
    }
}
