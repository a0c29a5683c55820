//! Keys of engines that send, and how many are made for engines not seen before.

use std::net::IpAddr;
use std::sync::Arc;

use crate::fast_map::FastMap;
use crate::shares::Shares;
use crate::snmp::usm::engine::Keys;
use crate::snmp::usm::error::UsmError;
use crate::snmp::usm::senders::MAX_ENGINES;

/// How many keys a second are made for engines not seen before: for each address before all others, of what is left for one
/// address, and for all. Making one and trying it takes about 2 us, so that a flood from few addresses costs 4 % of a processor.
const RESERVED: u32 = 16;
const NEW_FROM_ONE: u32 = 10_000;
const NEW_FROM_ALL: u32 = 20_000;
/// How many addresses are told apart. All that is reserved for them together costs at most 13 % of a processor.
const ADDRESSES: usize = 4096;

/// The keys of an engine, by the index of their user.
type KeysOfEngine = Vec<(usize, Arc<Keys>)>;

/// Keys by user and engine, only where a message has proven the pair.
#[derive(Default)]
pub(crate) struct KeyCache {
    keys: FastMap<Box<[u8]>, KeysOfEngine>,
    pairs: usize,
    tries: Tries,
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

    /// Whether a key may be made for an engine not seen before. `now` is in seconds.
    pub(crate) fn may_make(&mut self, from: IpAddr, now: u64) -> Result<(), UsmError> {
        self.tries.take(from, now)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pairs
    }
}

/// The keys that were made in a second.
struct Tries {
    by_address: Shares<InSecond>,
    of_all: InSecond,
}

#[derive(Debug, Clone, Copy, Default)]
struct InSecond {
    second: u64,
    count: u32,
}

impl InSecond {
    fn at(&mut self, second: u64) -> &mut u32 {
        if self.second != second {
            *self = InSecond { second, count: 0 };
        }
        &mut self.count
    }
}

impl Default for Tries {
    fn default() -> Self {
        Tries { by_address: Shares::new(ADDRESSES, InSecond::default()), of_all: InSecond::default() }
    }
}

impl Tries {
    fn take(&mut self, from: IpAddr, now: u64) -> Result<(), UsmError> {
        let of_one = self.by_address.of(from).at(now);
        let of_all = self.of_all.at(now);
        if *of_one >= RESERVED {
            if *of_one >= NEW_FROM_ONE {
                return Err(UsmError::Engines(NEW_FROM_ONE));
            }
            if *of_all >= NEW_FROM_ALL {
                return Err(UsmError::Engines(NEW_FROM_ALL));
            }
            *of_all += 1;
        }
        *of_one += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_flood_takes_nothing_from_others() {
        let mut tries = Tries::default();
        let flooding: Vec<IpAddr> = (1..=3).map(|n| Ipv4Addr::new(203, 0, 113, n).into()).collect();
        let mut made = 0;
        for _ in 0..60_000 {
            made += flooding.iter().filter(|from| tries.take(**from, 7).is_ok()).count();
        }
        assert!(made <= (NEW_FROM_ALL + 3 * RESERVED) as usize, "{made}");
        // First traps of new engines behind other addresses, unless they share a slot with one that floods.
        let good =
            (0..1000u32).filter(|n| tries.take(Ipv4Addr::from(0xc000_0200 + n).into(), 7).is_ok()).count();
        assert!(good >= 990, "{good}");
        assert_eq!(tries.take(flooding[0], 7), Err(UsmError::Engines(NEW_FROM_ALL)));
        assert_eq!(tries.take(flooding[0], 8), Ok(()), "a second later");
    }

    #[test]
    fn a_flood_from_everywhere_has_a_price() {
        let mut tries = Tries::default();
        let made = (0..1_000_000u32).filter(|n| tries.take(Ipv4Addr::from(*n).into(), 1).is_ok()).count();
        assert!(made <= NEW_FROM_ALL as usize + ADDRESSES * RESERVED as usize, "{made}");
    }
}
