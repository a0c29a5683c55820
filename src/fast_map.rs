//! Maps for look-ups on the way of every message.
//!
//! Their hash is several times as fast as that of the standard library, and less hard to foresee. So they are for keys that
//! the configuration chooses or that a proven message has, and for tables of a bounded size.

use std::collections::{HashMap, HashSet};

/// A map with a fast hash, keyed by a random number of the process.
pub type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A set with the same hash.
pub type FastSet<K> = HashSet<K, foldhash::fast::RandomState>;
