//! What is known of the engines that send, bounded however many there are or are made up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::snmp::usm::engine::{Keys, WINDOW};
use crate::snmp::usm::error::UsmError;
use crate::time::recent::Recent;

/// How many senders' keys and clocks are kept.
const MAX_ENGINES: usize = 20_000;
/// How many keys a second are made for engines not seen before: of one source, and of all. Making one and trying it
/// takes about 2 us, so that a flood of made-up engine ids costs 4 % of a processor.
const NEW_FROM_ONE: u32 = 10_000;
const NEW_FROM_ALL: u32 = 20_000;
/// How many sources are told apart in a second.
const MAX_SOURCES: usize = 10_000;
/// How long messages are known again, in seconds: one is in time from so long before its time to as long after.
const REPLAY_WINDOW: u64 = 2 * WINDOW;
/// How many messages are known again.
const MAX_MESSAGES: usize = 1 << 19;

/// The keys of an engine, by the index of their user.
type KeysOfEngine = Vec<(usize, Arc<Keys>)>;

/// Keys by user and engine, only where a message has proven the pair.
#[derive(Default)]
pub(crate) struct KeyCache {
    keys: HashMap<Box<[u8]>, KeysOfEngine>,
    pairs: usize,
    second: u64,
    new_from_all: u32,
    new_from: HashMap<IpAddr, u32>,
}

impl KeyCache {
    pub(crate) fn get(&self, user: usize, engine: &[u8]) -> Option<Arc<Keys>> {
        self.keys.get(engine)?.iter().find(|(known, _)| *known == user).map(|(_, keys)| keys.clone())
    }

    pub(crate) fn keep(&mut self, user: usize, engine: &[u8], keys: Arc<Keys>) {
        if self.pairs >= MAX_ENGINES {
            self.keys.clear();
            self.pairs = 0;
        }
        let of_engine = self.keys.entry(engine.into()).or_default();
        if of_engine.iter().all(|(known, _)| *known != user) {
            of_engine.push((user, keys));
            self.pairs += 1;
        }
    }

    /// Whether a key may be made for an engine not seen before.
    pub(crate) fn may_make(&mut self, from: IpAddr, now: u64) -> Result<(), UsmError> {
        if self.second != now {
            (self.second, self.new_from_all) = (now, 0);
            self.new_from.clear();
        }
        if self.new_from.len() >= MAX_SOURCES && !self.new_from.contains_key(&from) {
            return Err(UsmError::Engines(NEW_FROM_ALL));
        }
        let of_one = self.new_from.entry(from).or_default();
        if *of_one >= NEW_FROM_ONE {
            return Err(UsmError::Engines(NEW_FROM_ONE));
        }
        if self.new_from_all >= NEW_FROM_ALL {
            return Err(UsmError::Engines(NEW_FROM_ALL));
        }
        *of_one += 1;
        self.new_from_all += 1;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pairs
    }
}

/// The clocks of senders and the messages that came lately. It outlives the users, so that a reload opens no window.
#[derive(Debug)]
pub struct Senders {
    clocks: HashMap<Box<[u8]>, Clock>,
    recent: Recent,
    /// The counters of usmStats, by their last arc less one (RFC 3414, section 5).
    stats: [u32; 6],
}

#[derive(Debug, Clone, Copy)]
struct Clock {
    boots: u32,
    time: u32,
    seen: u64,
}

impl Default for Senders {
    fn default() -> Self {
        Senders { clocks: HashMap::new(), recent: Recent::new(REPLAY_WINDOW, MAX_MESSAGES), stats: [0; 6] }
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
    /// Takes note of a proven message, unless its time is wrong or it came before.
    pub(crate) fn admit(
        &mut self,
        (engine, boots, time): (&[u8], u32, u32),
        digest: &[u8],
        now: u64,
    ) -> Result<(), Late> {
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
                // Forgetting a clock only opens its sender's window anew; an engine that proves itself is no stranger.
                self.clocks.clear();
            }
            self.clocks.insert(engine.into(), clock);
        }
        let key = self.recent.key(digest);
        if self.recent.insert(key, now) { Ok(()) } else { Err(Late::Again) }
    }

    /// Counts in usmStats, and gives the count.
    pub(crate) fn count(&mut self, stat: u32) -> u32 {
        let Some(counter) = self.stats.get_mut(stat as usize - 1) else { return 0 };
        *counter = counter.wrapping_add(1);
        *counter
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.clocks.len()
    }
}
