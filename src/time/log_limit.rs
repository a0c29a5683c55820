//! Limits log lines about bad input: the first line of a kind is written at once, then at most one every ten seconds, with
//! the number of lines that were suppressed since.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::clock::Mono;

/// How long a kind is silent after a line.
const SILENCE: Duration = Duration::from_secs(10);

/// The kinds of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Packets that are no notification.
    Malformed,
    /// Wrong communities.
    Community,
    /// Messages from networks that are not allowed.
    Source,
    /// Notifications that no access entry is for.
    Access,
    /// Agents for which the sender may not speak.
    Claim,
    /// Datagrams that the kernel dropped.
    KernelDrops,
    /// Messages that no rule takes.
    Unmatched,
    /// Refusals of TCP Wrappers in a form that is not known.
    Wrappers,
    /// Fields of outcomes that cannot be rendered.
    Render,
    /// Outcomes that the journal cannot take.
    Journal,
    /// Sockets that cannot be received from or accepted at.
    Socket,
    /// Streams that are not accepted.
    Stream,
    /// Messages that are cut.
    Oversized,
    /// Streams whose messages cannot be told apart.
    Framing,
    /// Streams on which TLS does not begin.
    Tls,
    /// Requests over HTTP that are not taken.
    Post,
    /// Notifications that this daemon has sent itself.
    CameBack,
}

const KINDS: usize = Kind::CameBack as usize + 1;

/// Decides which lines of one kind are written.
#[derive(Debug, Default)]
pub struct Line(Mutex<Option<State>>);

/// Decides which lines are written.
#[derive(Debug, Default)]
pub struct Limiter {
    kinds: [Line; KINDS],
}

#[derive(Debug, Clone, Copy)]
struct State {
    last: Mono,
    suppressed: u64,
}

impl Line {
    /// Whether a line may be written now; if so, how many were suppressed since the last one, none for zero, as a field of
    /// the log line.
    pub fn allow(&self, now: Mono) -> Option<Option<u64>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            Some(known) if now - known.last < SILENCE => {
                known.suppressed += 1;
                None
            }
            _ => {
                let suppressed = state.map(|s| s.suppressed).filter(|count| *count > 0);
                *state = Some(State { last: now, suppressed: 0 });
                Some(suppressed)
            }
        }
    }
}

impl Limiter {
    /// The same for lines of a kind.
    pub fn allow(&self, kind: Kind, now: Mono) -> Option<Option<u64>> {
        self.kinds[kind as usize].allow(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_a_count() {
        let limiter = Limiter::default();
        let allow = |kind, millis| limiter.allow(kind, Mono::default() + Duration::from_millis(millis));
        assert_eq!(allow(Kind::Malformed, 5), Some(None));
        assert_eq!(allow(Kind::Malformed, 6), None);
        assert_eq!(allow(Kind::Source, 6), Some(None));
        assert_eq!(allow(Kind::Malformed, 10_004), None);
        assert_eq!(allow(Kind::Malformed, 10_005), Some(Some(2)));
        assert_eq!(allow(Kind::Malformed, 30_000), Some(None));
    }
}
