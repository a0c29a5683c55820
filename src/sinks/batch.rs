//! What is sent at once, and what became of it.

use std::sync::Arc;

use crate::sinks::sink::{Fate, Item};

/// What is sent next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The items, at least one.
    pub items: Arc<Vec<Item>>,
    /// How many of them were sent before.
    pub again: usize,
}

/// What became of the items of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// The server has them; `cut` and `stale` ones are among them.
    pub taken: usize,
    /// The server has them shortened.
    pub cut: usize,
    /// The server has something newer.
    pub stale: usize,
    /// The server will never take them, or they are given up.
    pub dead: usize,
    /// They are sent again after a pause of their own.
    pub later: usize,
}

impl Settled {
    /// The server has all items that have these fates.
    pub(super) fn taken(fates: &[Fate]) -> Self {
        let count = |which: fn(&Fate) -> bool| fates.iter().filter(|fate| which(fate)).count();
        let cut = count(|fate| matches!(fate, Fate::Cut));
        let stale = count(|fate| matches!(fate, Fate::Stale(_)));
        Settled { taken: fates.len(), cut, stale, ..Settled::default() }
    }
}
