//! What is known of the engines that send, bounded however many there are.
//!
//! It can be stored, so that a restart opens no window for what was recorded before (all numbers little-endian):
//!
//! ```text
//! "TLS1"   crc32c of what follows 4   engines 4   messages 4   engine*   message*
//! engine:  length 1   id   boots 4   time 4
//! message: the first octets of its digest 8
//! ```
//!
//! The time that passes between storing and reading does not count: a wall clock that was set meanwhile must not lock senders out.
//! Until an engine sends again, what it sent later than 150 s before its last message is in time; what of that was taken
//! is known by its digest.

use crc32c::crc32c;

use crate::fast_map::FastMap;
use crate::snmp::usm::engine::{MAX_COUNT, WINDOW};
use crate::sys;
use crate::time::recent::Recent;

/// How many senders' keys and clocks are kept.
pub(crate) const MAX_ENGINES: usize = 20_000;
/// How long messages are known again, in seconds: one is in time from so long before its time to as long after.
const REPLAY_WINDOW: u64 = 2 * WINDOW;
/// How many messages are known again.
const MAX_MESSAGES: usize = 1 << 19;
/// How many informs and requests are known again.
const MAX_CONFIRMED: usize = 1 << 17;

/// The clocks of senders and the messages that came lately. Only proven messages leave anything here.
#[derive(Debug)]
pub struct Senders {
    clocks: FastMap<Box<[u8]>, Clock>,
    recent: Recent,
    /// Informs and requests that came lately. They are not stored: after a restart, this engine's boots refuse them.
    confirmed: Recent,
    /// Whether there is something that was not stored.
    changed: bool,
}

/// What a stored memory begins with.
const MAGIC: &[u8] = b"TLS1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    boots: u32,
    time: u32,
    /// When the message came that told them, in seconds of a clock that never goes back.
    seen: u64,
}

impl Default for Senders {
    fn default() -> Self {
        Senders {
            clocks: FastMap::default(),
            recent: Recent::new(REPLAY_WINDOW, MAX_MESSAGES),
            confirmed: Recent::new(REPLAY_WINDOW, MAX_CONFIRMED),
            changed: false,
        }
    }
}

/// What is wrong with the time of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// It is outside of the window (RFC 3414, section 3.2, step 7).
    Outside,
    /// It came before.
    Again,
}

impl Senders {
    /// Takes note of a proven message of another engine, unless its time is wrong or it came before (RFC 3414, section 3.2, step
    /// 7b). Boots at their maximum are never in time: such an engine needs a new id.
    pub(crate) fn admit(
        &mut self,
        (engine, boots, time): (&[u8], u32, u32),
        digest: &[u8],
        now: u64,
    ) -> Result<(), Late> {
        if boots >= MAX_COUNT {
            return Err(Late::Outside);
        }
        let clock = Clock { boots, time, seen: now };
        if let Some(known) = self.clocks.get_mut(engine) {
            let expected = u64::from(known.time) + now.saturating_sub(known.seen);
            let in_time =
                boots > known.boots || (boots == known.boots && u64::from(time) + WINDOW >= expected);
            if !in_time {
                return Err(Late::Outside);
            }
            if (boots, time) > (known.boots, known.time) {
                *known = clock;
            }
        } else {
            if self.clocks.len() >= MAX_ENGINES {
                self.forget_half();
            }
            self.clocks.insert(engine.into(), clock);
        }
        self.first_time(digest, now)
    }

    /// Takes note of a proven message by its digest, unless it came before.
    pub(crate) fn first_time(&mut self, digest: &[u8], now: u64) -> Result<(), Late> {
        if !self.recent.insert(key(digest), now) {
            return Err(Late::Again);
        }
        self.changed = true;
        Ok(())
    }

    /// Takes note of a proven inform or request by its digest. False if it came before: it may come again, but proves nothing new.
    pub(crate) fn first_confirmed(&mut self, digest: &[u8], now: u64) -> bool {
        self.confirmed.insert(key(digest), now)
    }

    /// Has what [`Senders::first_time`] needs fetched from memory, which takes as long as to prove the message meanwhile.
    pub(crate) fn expect(&self, digest: &[u8]) {
        self.recent.places(key(digest)).for_each(sys::prefetch);
    }

    /// Whether a message of this engine was proven before.
    pub(crate) fn knows(&self, engine: &[u8]) -> bool {
        self.clocks.contains_key(engine)
    }

    /// Forgets the half of the clocks that were told longest ago: their engines' next message sets them anew.
    fn forget_half(&mut self) {
        let mut seen: Vec<u64> = self.clocks.values().map(|clock| clock.seen).collect();
        let middle = seen.len() / 2;
        let (_, median, _) = seen.select_nth_unstable(middle);
        let median = *median;
        self.clocks.retain(|_, clock| clock.seen > median);
    }

    /// What is to be stored; none if nothing has changed since the last time.
    pub fn to_store(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let messages: Vec<u64> = self.recent.keys().collect();
        let mut stored = Vec::with_capacity(16 + self.clocks.len() * 41 + messages.len() * 8);
        stored.extend(MAGIC);
        stored.extend([0; 4]);
        // Both are bounded far below 2^32.
        stored.extend((self.clocks.len() as u32).to_le_bytes());
        stored.extend((messages.len() as u32).to_le_bytes());
        for (engine, clock) in &self.clocks {
            // A datagram holds longer ids, which no RFC allows. They are not stored.
            stored.push(u8::try_from(engine.len()).unwrap_or(0));
            stored.extend(engine.iter().take(if engine.len() > 255 { 0 } else { 255 }));
            stored.extend(clock.boots.to_le_bytes());
            stored.extend(clock.time.to_le_bytes());
        }
        stored.extend(messages.iter().flat_map(|key| key.to_le_bytes()));
        let sum = crc32c(&stored[8..]);
        stored[4..8].copy_from_slice(&sum.to_le_bytes());
        Some(stored)
    }

    /// Reads what was stored; none if it is damaged. `now` is in seconds of a clock that never goes back.
    pub fn from_stored(stored: &[u8], now: u64) -> Option<Self> {
        let rest = stored.strip_prefix(MAGIC)?;
        let (sum, mut rest) = rest.split_first_chunk::<4>()?;
        if crc32c(rest) != u32::from_le_bytes(*sum) {
            return None;
        }
        let (engines, messages) = (number(&mut rest)?, number(&mut rest)?);
        let mut senders = Senders::default();
        for _ in 0..engines {
            let (&length, behind) = rest.split_first()?;
            let (id, behind) = behind.split_at_checked(length.into())?;
            rest = behind;
            let (boots, time) = (number(&mut rest)?, number(&mut rest)?);
            if !id.is_empty() {
                senders.clocks.insert(id.into(), Clock { boots, time, seen: now });
            }
        }
        for _ in 0..messages {
            let (key, behind) = rest.split_first_chunk::<8>()?;
            rest = behind;
            senders.recent.insert(u64::from_le_bytes(*key), now);
        }
        Some(senders)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.clocks.len()
    }
}

/// A digest that is proven is unpredictable for all who do not have its key, and needs no other hash.
fn key(digest: &[u8]) -> u64 {
    digest.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets))
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (octets, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    Some(u32::from_le_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(n: u64) -> [u8; 12] {
        let mut digest = [7; 12];
        digest[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        digest
    }

    proptest! {
        /// Whatever was taken before a restart is not taken again after it, however long the restart takes.
        #[test]
        fn a_restart_opens_no_window(
            sent in prop::collection::vec((0u8..5, 1u32..4, 0u32..2000), 1..60),
            later in prop::collection::vec(0u64..1000, 1..5),
        ) {
            let mut senders = Senders::default();
            let mut taken = Vec::new();
            for (n, (engine, boots, time)) in sent.into_iter().enumerate() {
                let clock = ([0x80, engine], boots, time);
                if senders.admit((&clock.0, boots, time), &digest(n as u64), 10 + n as u64).is_ok() {
                    taken.push((clock, digest(n as u64)));
                }
            }
            let stored = senders.to_store().unwrap();
            // The machine was started anew, too: its clock begins again.
            let mut now = 3;
            let mut restarted = Senders::from_stored(&stored, now).unwrap();
            for pause in later {
                now += pause;
                for ((engine, boots, time), of_message) in &taken {
                    prop_assert!(restarted.admit((engine, *boots, *time), of_message, now).is_err());
                }
            }
            for (n, ((engine, ..), _)) in taken.iter().enumerate() {
                prop_assert!(restarted.knows(engine));
                prop_assert_eq!(restarted.admit((engine, 9, 0), &digest(1000 + n as u64), now), Ok(()));
            }
        }

        #[test]
        fn what_is_damaged_is_noticed(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
            let mut senders = Senders::default();
            senders.admit((b"engine", 1, 2), &digest(1), 5).unwrap();
            let mut stored = senders.to_store().unwrap();
            prop_assert!(Senders::from_stored(&stored[..cut.index(stored.len())], 0).is_none());
            *at.get_mut(&mut stored) ^= 1 << bit;
            prop_assert!(Senders::from_stored(&stored, 0).is_none());
        }
    }

    #[test]
    fn it_is_stored_when_something_has_changed() {
        let mut senders = Senders::default();
        assert_eq!(senders.to_store(), None);
        senders.admit((b"engine", 1, 2), &digest(1), 5).unwrap();
        assert!(senders.to_store().is_some());
        assert_eq!(senders.to_store(), None);
        assert!(senders.admit((b"engine", 1, 2), &digest(1), 5).is_err());
        assert_eq!(senders.to_store(), None, "refused");
        senders.admit((&[1; 300], 1, 2), &digest(2), 5).unwrap();
        let read = Senders::from_stored(&senders.to_store().unwrap(), 0).unwrap();
        assert!(read.knows(b"engine") && read.len() == 1);
    }

    #[test]
    fn the_engines_that_were_silent_longest_are_forgotten() {
        let mut senders = Senders::default();
        for n in 0..3 * MAX_ENGINES as u64 / 2 {
            senders.admit((&n.to_be_bytes(), 1, 1), &digest(n), n / 100).unwrap();
        }
        assert!(senders.len() <= MAX_ENGINES);
        let last = 3 * MAX_ENGINES as u64 / 2 - 1;
        assert!(senders.knows(&last.to_be_bytes()) && !senders.knows(&0u64.to_be_bytes()));
    }
}
