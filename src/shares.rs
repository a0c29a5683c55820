//! Something for each address in memory of a fixed size: addresses share slots, by a hash that nobody can predict.
//!
//! A table that grows with the addresses must forget some, and whoever forges addresses decides when. Here nothing is forgotten, and
//! an address shares its slot with another one by chance only. An IPv6 address is known by its first 64 bits, as its holder has
//! all addresses below them.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// A slot for each address.
#[derive(Debug)]
pub struct Shares<T> {
    hasher: RandomState,
    slots: Box<[T]>,
}

impl<T: Clone> Shares<T> {
    /// `count` slots (at least one), each with this content.
    pub fn new(count: usize, slot: T) -> Self {
        Shares { hasher: RandomState::new(), slots: vec![slot; count.max(1)].into() }
    }

    /// The slot of an address.
    pub fn of(&mut self, address: IpAddr) -> &mut T {
        let known_by = match address.to_canonical() {
            IpAddr::V4(address) => u64::from(u32::from(address)),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        };
        let at = self.hasher.hash_one(known_by) % self.slots.len() as u64;
        &mut self.slots[at as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_spread_and_keep_their_slot() {
        let mut shares = Shares::new(1000, 0);
        for n in 0..100_000u32 {
            *shares.of(std::net::Ipv4Addr::from(n).into()) += 1;
        }
        assert!(shares.slots.iter().all(|count| (30..300).contains(count)), "about 100 each");
        let of = |shares: &mut Shares<i32>, text: &str| std::ptr::from_mut(shares.of(text.parse().unwrap()));
        assert_eq!(of(&mut shares, "192.0.2.1"), of(&mut shares, "::ffff:192.0.2.1"));
        assert_eq!(of(&mut shares, "2001:db8::1"), of(&mut shares, "2001:db8::ffff:2"));
        assert_eq!(Shares::new(0, 0).slots.len(), 1);
    }
}
