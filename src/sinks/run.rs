//! Items of the journal that came while nothing else was open: most of the time, all of them. One request has them all, and if
//! the server takes them all, nobody has to know more of them than where they begin and end. Pure.

use std::sync::Arc;

use crate::sinks::sink::Item;
use crate::time::clock::Mono;

/// Open items in the order of their numbers, of which the [`Queue`](super::queue) knows nothing yet.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Shared with the request.
    items: Arc<Vec<Item>>,
    /// When they came, by the first of each time.
    times: Vec<(usize, Mono)>,
    bytes: usize,
    /// What is before was read: it is open or done.
    read: u64,
    under_way: bool,
}

impl Run {
    /// Adds an item, behind which nothing was read yet, if the request of the others is not under way.
    pub(super) fn push(&mut self, item: Item, number: u64, now: Mono) -> Result<(), Item> {
        let items = if self.under_way { None } else { Arc::get_mut(&mut self.items) };
        let Some(items) = items else { return Err(item) };
        if self.times.last().is_none_or(|(_, time)| *time != now) {
            self.times.push((items.len(), now));
        }
        self.bytes += item.payload.len();
        self.read = number + 1;
        items.push(item);
        Ok(())
    }

    /// All before a number was read.
    pub(super) fn pass(&mut self, to: u64) {
        self.read = self.read.max(to);
    }

    /// All items, for a request.
    pub(super) fn send(&mut self) -> Arc<Vec<Item>> {
        self.under_way = true;
        self.items.clone()
    }

    /// All are done. What is before the number that this returns was read.
    pub(super) fn end(&mut self) -> u64 {
        match Arc::get_mut(&mut self.items) {
            Some(items) => items.clear(),
            None => self.items = Arc::default(),
        }
        self.times.clear();
        self.bytes = 0;
        self.under_way = false;
        self.read
    }

    /// The items, and when each of them came.
    pub(super) fn each(&self) -> impl Iterator<Item = (&Item, Mono)> {
        let ends = self.times.iter().skip(1).map(|(from, _)| *from).chain([self.items.len()]);
        let times = self.times.iter().zip(ends);
        let times = times.flat_map(|((from, time), end)| std::iter::repeat_n(*time, end - from));
        self.items.iter().zip(times)
    }

    /// The items.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// When the first one came, unless they are under way.
    pub(super) fn waits_since(&self) -> Option<Mono> {
        self.times.first().map(|(_, since)| *since).filter(|_| !self.under_way)
    }

    /// Whether they are under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many bytes they have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number from which on nothing was read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }
}
