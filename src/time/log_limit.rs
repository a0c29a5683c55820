//! Limits log lines about bad input: the first line of a kind and a reason is written at once, then at most one every ten seconds,
//! with the number of lines that were suppressed since. Each reason counts for itself, so that what happens all the time hides nothing
//! else; a kind has a bounded number of reasons at a time, and what is beyond shares one limit.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::clock::Mono;

/// How long a kind is silent after a line.
const SILENCE: Duration = Duration::from_secs(10);

/// How many reasons of a kind are told apart at a time. What senders do decides which there are.
const MOST_REASONS: usize = 16;

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
    /// Entries of the journal of systemd that make no line.
    Entry,
}

const KINDS: usize = Kind::Entry as usize + 1;

/// Decides which lines of one kind are written.
#[derive(Debug, Default)]
pub struct Line(Mutex<Option<State>>);

/// Decides which lines of one kind are written, for each reason.
#[derive(Debug, Default)]
pub struct Reasons {
    known: Mutex<HashMap<u64, State>>,
    /// For the reasons beyond [`MOST_REASONS`].
    others: Line,
}

/// Decides which lines are written.
#[derive(Debug, Default)]
pub struct Limiter {
    kinds: [Reasons; KINDS],
}

#[derive(Debug, Clone, Copy)]
struct State {
    last: Mono,
    suppressed: u64,
}

impl State {
    /// Whether a line may be written now, as [`Line::allow`] says.
    fn allow(known: &mut Option<State>, now: Mono) -> Option<Option<u64>> {
        match known {
            Some(state) if now - state.last < SILENCE => {
                state.suppressed += 1;
                None
            }
            _ => {
                let suppressed = known.map(|s| s.suppressed).filter(|count| *count > 0);
                *known = Some(State { last: now, suppressed: 0 });
                Some(suppressed)
            }
        }
    }
}

impl Line {
    /// Whether a line may be written now; if so, how many were suppressed since the last one, none for zero, as a field of
    /// the log line.
    pub fn allow(&self, now: Mono) -> Option<Option<u64>> {
        State::allow(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

impl Reasons {
    /// The same for lines with this reason.
    pub fn allow(&self, reason: impl Hash, now: Mono) -> Option<Option<u64>> {
        let mut hash = DefaultHasher::new();
        reason.hash(&mut hash);
        let reason = hash.finish();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(&reason) && known.len() >= MOST_REASONS {
            // One that was suppressed is kept until its number was told.
            known.retain(|_, state| now - state.last < SILENCE || state.suppressed > 0);
            if known.len() >= MOST_REASONS
                && let Some(oldest) =
                    known.iter().filter(|(_, s)| now - s.last >= SILENCE).min_by_key(|(_, s)| s.last)
            {
                let oldest = *oldest.0;
                known.remove(&oldest);
            }
            if known.len() >= MOST_REASONS {
                drop(known);
                return self.others.allow(now);
            }
        }
        let mut state = known.get(&reason).copied();
        let allowed = State::allow(&mut state, now);
        known.extend(state.map(|state| (reason, state)));
        allowed
    }
}

impl Limiter {
    /// The same for lines of a kind, which have one reason.
    pub fn allow(&self, kind: Kind, now: Mono) -> Option<Option<u64>> {
        self.allow_for(kind, "", now)
    }

    /// The same for lines of a kind with this reason.
    pub fn allow_for(&self, kind: Kind, reason: impl Hash, now: Mono) -> Option<Option<u64>> {
        self.kinds[kind as usize].allow(reason, now)
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

    #[test]
    fn no_reason_hides_another_and_their_number_is_bounded() {
        let limiter = Limiter::default();
        let at = |millis| Mono::default() + Duration::from_millis(millis);
        for millis in 0..1_000 {
            let frequent = limiter.allow_for(Kind::Framing, "frequent", at(millis));
            assert_eq!(frequent.is_some(), millis == 0);
        }
        assert_eq!(limiter.allow_for(Kind::Framing, "rare", at(1_000)), Some(None));
        assert_eq!(limiter.allow_for(Kind::Tls, "frequent", at(1_000)), Some(None), "another kind");
        // As many reasons as there are senders.
        let lines = (0..10_000).filter(|n| limiter.allow_for(Kind::Framing, n, at(2_000)).is_some()).count();
        assert_eq!(lines, MOST_REASONS - 2 + 1);
        assert_eq!(limiter.allow_for(Kind::Framing, "frequent", at(10_000)), Some(Some(999)));
        // They make room when nothing more is heard of them.
        let lines = (0..10_000).filter(|n| limiter.allow_for(Kind::Framing, n, at(20_000)).is_some()).count();
        assert!((MOST_REASONS..=MOST_REASONS + 1).contains(&lines), "{lines}");
        assert!(limiter.kinds[Kind::Framing as usize].known.lock().unwrap().len() <= MOST_REASONS);
    }
}
