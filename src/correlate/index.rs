//! The places of entries by a half of their keys.

use hashbrown::HashTable;

/// In how many tables they are. Each doubles when it is full; their shares differ, so that they do so one after the other: room that is
/// not used yet, and the time that a doubling takes, are small at any size.
const PARTS: usize = 16;
/// How many of 256 keys each table has: each of them 2^(1/16) times as many as the one before, rounded.
const SHARES: [usize; PARTS] = [12, 12, 12, 13, 13, 14, 15, 15, 16, 17, 17, 18, 19, 20, 21, 22];
/// Which bits of a hash say which table has it: tables use others.
const SHIFT: u32 = 40;

const PART_OF: [u8; 256] = {
    let (mut parts, mut at, mut part) = ([0; 256], 0, 0);
    while part < PARTS {
        let end = at + SHARES[part];
        while at < end {
            parts[at] = part as u8;
            at += 1;
        }
        part += 1;
    }
    assert!(at == 256, "every key has a table");
    parts
};

/// Places by hashes, which are random numbers already.
#[derive(Debug, Default)]
pub(super) struct Index([HashTable<u32>; PARTS]);

impl Index {
    fn part(hash: u64) -> usize {
        PART_OF[(hash >> SHIFT) as usize % 256].into()
    }

    /// The place with this hash that is the right one.
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.0[Self::part(hash)].find(hash, |at| is(*at)).copied()
    }

    /// Adds a place. `hash_of` gives the hashes of places that are there.
    pub(super) fn insert(&mut self, hash: u64, at: u32, hash_of: impl Fn(u32) -> u64) {
        self.0[Self::part(hash)].insert_unique(hash, at, |at| hash_of(*at));
    }

    /// Takes a place out.
    pub(super) fn remove(&mut self, hash: u64, at: u32) {
        if let Ok(found) = self.0[Self::part(hash)].find_entry(hash, |other| *other == at) {
            found.remove();
        }
    }

    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(HashTable::len).sum()
    }
}
