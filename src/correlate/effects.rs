//! What becomes of messages and timers.

use super::key::Key;

/// One moment on both clocks, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// The time of the state: it goes on evenly, is never set back, and outlives the process.
    pub engine: i64,
    /// Microseconds since 1970 UTC, as people read them. May jump.
    pub wall: i64,
}

impl Now {
    /// The wall-clock time of an earlier or later moment.
    pub(super) fn wall_at(self, engine: i64) -> i64 {
        self.wall.saturating_sub(self.engine.saturating_sub(engine))
    }

    /// The same in seconds.
    pub(super) fn seconds_at(self, engine: i64) -> i64 {
        self.wall_at(engine) / 1_000_000
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)+) => {
        /// Why an outcome was swallowed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])* $variant,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Reason] = &[$(Reason::$variant,)+];

            /// The name in status and metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Reason::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// `threshold`: there are not enough messages, or it was sent already.
    Threshold "threshold",
    /// `hold`: the problem has not lasted long enough.
    Held "held",
    /// The problem was over before its hold.
    Cancelled "cancelled",
    /// `hold.flaps`: the state changes too often.
    Flapping "flapping",
    /// `dedup`: the last state again.
    Duplicate "duplicate",
    /// `throttle`: too many.
    Throttled "throttled",
    /// A worse problem of the service is open.
    Worse "worse",
    /// Another problem of the service is still open.
    StillOpen "still_open",
    /// It closes nothing.
    Orphan "orphan",
    /// It was sent before the clear that overtook it.
    Reordered "reordered",
}

/// What becomes of one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent, or another one in its place.
    Sent,
    /// It is not sent now.
    Swallowed(Reason),
}

/// The tables that state is kept in. The numbers stand in the state on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Problems.
    Problem = 1,
    /// What thresholds count.
    Count = 2,
    /// What throttles count.
    Bucket = 3,
    /// Messages that must come.
    Expectation = 4,
    /// That receivers were told of a problem of a service that no state has.
    Told = 5,
}

/// What is to be done: outcomes to be journaled, in order, and what was counted.
#[derive(Debug, Default)]
pub struct Effects {
    payloads: Vec<u8>,
    ends: Vec<usize>,
    /// How many outcomes were swallowed, by the number of the [`Reason`].
    pub swallowed: [u64; Reason::ALL.len()],
    /// How many outcomes passed because the table of their rule was full.
    pub overflowed: u64,
    /// Rules whose table has become full.
    pub full: Vec<u32>,
    /// The entries that have changed.
    pub touched: Vec<(Kind, Key)>,
}

impl Effects {
    /// The outcomes, encoded.
    pub fn outcomes(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.payloads[start..*end])
    }

    /// How many outcomes there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no outcome.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Empties it and keeps its room.
    pub fn clear(&mut self) {
        self.payloads.clear();
        self.ends.clear();
        self.swallowed = Default::default();
        self.overflowed = 0;
        self.full.clear();
        self.touched.clear();
    }

    /// Adds an outcome; gives its bytes to be changed.
    pub(super) fn push(&mut self, payload: &[u8]) -> &mut [u8] {
        debug_assert!(!payload.is_empty(), "an outcome has a body");
        let start = self.payloads.len();
        self.payloads.extend_from_slice(payload);
        self.ends.push(self.payloads.len());
        &mut self.payloads[start..]
    }

    pub(super) fn swallow(&mut self, reason: Reason) -> Verdict {
        self.swallowed[reason as usize] += 1;
        Verdict::Swallowed(reason)
    }
}
