//! Hosts and services that have open items, as the [`queue`](super::queue) knows them.

use std::collections::VecDeque;
use std::hash::Hasher;

use crate::sinks::sink::Id;
use crate::time::clock::Mono;

/// The place of an item or a key in its slab.
pub(super) type Place = usize;

/// No place.
pub(super) const NONE: Place = Place::MAX;

/// What is known of the oldest item of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Nothing.
    New,
    /// Its key had to wait.
    Later,
    /// It was sent last without an answer.
    Tried,
    /// The same, and its key had to wait before.
    AtFault,
}

/// A key that has open items.
#[derive(Debug)]
pub(super) struct Key {
    /// How often in a row it had to wait.
    pub(super) tries: u32,
    /// Since when the server takes nothing of it.
    pub(super) failing: Option<Mono>,
    /// Since when its oldest item is never answered, while nothing that could be sent tells whether the server answers.
    pub(super) stuck: Option<Mono>,
    pub(super) hash: u64,
    pub(super) first: Place,
    pub(super) last: Place,
    pub(super) sending: u32,
    pub(super) dead: u32,
    pub(super) until: Option<Mono>,
    /// Its turn among the suspects, if it is one.
    pub(super) suspect: Option<u64>,
    /// Its entry among the free ones, and which its oldest item is.
    pub(super) entry: Option<(Class, Id)>,
    /// Whether a letter came while items were under way, and the list is out of order.
    pub(super) unsorted: bool,
    /// Whether an item of the request that is being settled has to be sent again.
    pub(super) again: bool,
    /// Its open items that are not in memory, behind those that are.
    pub(super) parked: VecDeque<Parked>,
    /// What is known of the first of these, if no item is in memory.
    pub(super) head: Option<Box<Head>>,
}

/// The number of an item of the journal that is not in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parked {
    pub(super) number: u64,
    /// When it came.
    pub(super) since: Mono,
}

/// What was known of the oldest item of a key before it was parked.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) number: u64,
    pub(super) most: usize,
    pub(super) sent: u32,
    pub(super) unanswered: Option<u64>,
}

impl Key {
    /// One without items.
    pub(super) fn new(hash: u64) -> Self {
        Key {
            tries: 0,
            failing: None,
            stuck: None,
            hash,
            first: NONE,
            last: NONE,
            sending: 0,
            dead: 0,
            until: None,
            suspect: None,
            entry: None,
            unsorted: false,
            again: false,
            parked: VecDeque::new(),
            head: None,
        }
    }
}

/// Keys are keyed hashes already.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
