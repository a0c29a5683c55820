//! Places by hash: one look at memory that is not near, where a search of a sorted list takes one for each halving.
//!
//! The hash of a text can be taken back octet by octet, so that all prefixes of an OID are tried for the price of one
//! hash. It is not keyed: what is in a table comes from modules, and a sender can at worst make each of his own look-ups
//! walk the longest run of full slots.

/// An odd number, and what takes a multiplication by it back (modulo 2^64).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const INVERSE: u64 = inverse(FACTOR);

/// Newton's way: each step doubles the number of right bits.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

/// The hash of a text that grows and shrinks at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(u64);

impl Hash {
    /// The hash of some octets.
    pub fn of(octets: &[u8]) -> Self {
        octets
            .iter()
            .fold(Hash(FACTOR), |hash, octet| Hash((hash.0 ^ u64::from(*octet)).wrapping_mul(FACTOR)))
    }

    /// The hash without the last octet, which is this one.
    #[must_use]
    pub fn without(self, last: u8) -> Self {
        Hash(self.0.wrapping_mul(INVERSE) ^ u64::from(last))
    }

    fn mixed(self) -> u64 {
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }
}

/// An open table: a quarter of its slots is empty at least.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Table {
    /// Half of a hash, and a place from 1; 0 where there is none.
    slots: Vec<u64>,
}

impl Table {
    /// A table with room for so many.
    pub fn with_room(count: usize) -> Self {
        Table { slots: vec![0; (count + count / 3 + 1).next_power_of_two().max(2)] }
    }

    /// The table of these slots; none if they cannot be one's.
    pub fn of_slots(slots: Vec<u64>, places: usize) -> Option<Self> {
        let fits = |slot: &u64| (*slot & 0xffff_ffff) as usize <= places;
        let some_empty = slots.contains(&0);
        (slots.len().is_power_of_two() && some_empty && slots.iter().all(fits)).then_some(Table { slots })
    }

    /// Its slots.
    pub fn slots(&self) -> &[u64] {
        &self.slots
    }

    /// Puts a place under a hash, behind those that are there.
    pub fn insert(&mut self, hash: Hash, place: u32) {
        let (mut at, tag) = self.start(hash);
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = tag | (u64::from(place) + 1);
    }

    /// The places that may be under a hash, in the order in which they were put in.
    pub fn find(&self, hash: Hash) -> impl Iterator<Item = usize> {
        let (mut at, tag) = if self.slots.is_empty() { (0, 0) } else { self.start(hash) };
        std::iter::from_fn(move || {
            loop {
                let slot = *self.slots.get(at)?;
                at = (at + 1) & (self.slots.len() - 1);
                if slot == 0 {
                    at = self.slots.len();
                    return None;
                }
                if slot & !0xffff_ffff == tag {
                    return Some((slot & 0xffff_ffff) as usize - 1);
                }
            }
        })
    }

    fn start(&self, hash: Hash) -> (usize, u64) {
        let mixed = hash.mixed();
        // The tag is of the low bits, the slot of the high ones.
        ((mixed >> 40) as usize & (self.slots.len() - 1), mixed << 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_put_in_is_found(texts in prop::collection::hash_set("[a-c]{0,5}", 0..60), other in "[a-c]{0,5}") {
            let mut table = Table::with_room(texts.len());
            let texts: Vec<String> = texts.into_iter().collect();
            for (place, text) in texts.iter().enumerate() {
                table.insert(Hash::of(text.as_bytes()), place as u32);
            }
            for (place, text) in texts.iter().enumerate() {
                prop_assert!(table.find(Hash::of(text.as_bytes())).any(|found| found == place));
            }
            let found = table.find(Hash::of(other.as_bytes())).any(|place| texts[place] == other);
            prop_assert_eq!(found, texts.contains(&other));
            prop_assert_eq!(Table::of_slots(table.slots().to_vec(), texts.len()), Some(table));
        }

        #[test]
        fn a_hash_is_taken_back(octets in prop::collection::vec(any::<u8>(), 1..40)) {
            let (last, before) = octets.split_last().unwrap();
            prop_assert_eq!(Hash::of(&octets).without(*last), Hash::of(before));
        }
    }

    #[test]
    fn an_empty_table_has_nothing() {
        assert_eq!(Table::default().find(Hash::of(b"x")).count(), 0);
        assert_eq!(Table::with_room(0).find(Hash::of(b"x")).count(), 0);
        assert_eq!(Table::of_slots(vec![1, 1], 1), None);
        assert_eq!(Table::of_slots(vec![0, 9], 1), None);
    }
}
