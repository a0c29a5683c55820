//! How much a sink keeps in memory, and what of it are numbers alone. See [`parked`](super::parked). Pure.

use std::collections::BTreeMap;

use super::key::Place;

/// The most items of the journal that are in memory.
pub(super) const MOST_ITEMS: usize = 7680;
/// The most parked numbers. The file of the progress has room for as many ranges.
pub(super) const MOST_PARKED: usize = 256 << 10;

/// The most keys of which the oldest item is parked, too. Each has some 200 bytes.
const MOST_KEYS: usize = 64 << 10;

/// How many items and numbers of the journal are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The most items.
    pub(super) items: usize,
    /// The most parked numbers.
    pub(super) parked: usize,
    /// The oldest item of a key is only parked while there are fewer keys.
    pub(super) keys: usize,
    /// How many numbers of a key are wanted at once.
    pub(super) wanted: usize,
}

impl Default for Room {
    fn default() -> Self {
        Room { items: MOST_ITEMS, parked: MOST_PARKED, keys: MOST_KEYS, wanted: 512 }
    }
}

/// The parked numbers of all keys.
#[derive(Debug, Default)]
pub(super) struct Parking {
    pub(super) room: Room,
    pub(super) count: usize,
    /// Numbers that are to be read again, with their keys: the first ones of each.
    pub(super) wanted: BTreeMap<u64, Place>,
    /// How many were lost since this was last asked.
    pub(super) lost: u64,
}
