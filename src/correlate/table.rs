//! A table of entries that are found by their keys and stay at their places, so that timers can name the places.

use super::index::Index;
use super::key::Key;

/// How many entries are allocated at a time: a growing table moves nothing.
const CHUNK: usize = 1024;

/// What a table holds.
pub(super) trait Entry {
    /// What it is found by.
    fn key(&self) -> Key;
}

/// Entries by key.
#[derive(Debug)]
pub(super) struct Table<E> {
    chunks: Vec<Vec<Option<E>>>,
    free: Vec<u32>,
    index: Index,
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Table { chunks: Vec::new(), free: Vec::new(), index: Index::default() }
    }
}

impl<E: Entry> Table<E> {
    /// The place of an entry.
    pub(super) fn find(&self, key: Key) -> Option<u32> {
        self.index.find(key.low(), |at| self.get(at).is_some_and(|entry| entry.key() == key))
    }

    /// The place of an entry by the low half of its key.
    pub(super) fn find_low(&self, low: u64) -> Option<u32> {
        self.index.find(low, |at| self.get(at).is_some_and(|entry| entry.key().low() == low))
    }

    /// The entry at a place.
    pub(super) fn get(&self, at: u32) -> Option<&E> {
        self.chunks.get(at as usize / CHUNK)?.get(at as usize % CHUNK)?.as_ref()
    }

    /// The entry at a place.
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut E> {
        self.chunks.get_mut(at as usize / CHUNK)?.get_mut(at as usize % CHUNK)?.as_mut()
    }

    /// Adds an entry whose key is not in the table. Gives its place.
    pub(super) fn insert(&mut self, entry: E) -> u32 {
        let low = entry.key().low();
        let at = self.free.pop().unwrap_or_else(|| {
            if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                self.chunks.push(Vec::with_capacity(CHUNK));
            }
            let last = self.chunks.len() - 1;
            self.chunks[last].push(None);
            (last * CHUNK + self.chunks[last].len() - 1) as u32
        });
        self.chunks[at as usize / CHUNK][at as usize % CHUNK] = Some(entry);
        let chunks = &self.chunks;
        self.index.insert(low, at, |at| {
            let entry = chunks.get(at as usize / CHUNK).and_then(|chunk| chunk.get(at as usize % CHUNK));
            entry.and_then(Option::as_ref).map_or(0, |entry| entry.key().low())
        });
        at
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, at: u32) -> Option<E> {
        let low = self.get(at)?.key().low();
        self.index.remove(low, at);
        self.free.push(at);
        self.chunks.get_mut(at as usize / CHUNK)?.get_mut(at as usize % CHUNK)?.take()
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// All entries and their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &E)> {
        let all = self.chunks.iter().flatten().enumerate();
        all.filter_map(|(at, entry)| Some((at as u32, entry.as_ref()?)))
    }

    /// The places of all entries.
    pub(super) fn places(&self) -> Vec<u32> {
        self.iter().map(|(at, _)| at).collect()
    }

    /// How many places there are, empty ones included.
    pub(super) fn capacity(&self) -> u32 {
        self.chunks.iter().map(|chunk| chunk.len() as u32).sum()
    }
}
