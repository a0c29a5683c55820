//! Appending many short pieces to octets.

use std::mem;

/// Room behind some octets, made for all pieces at once, so that none of them has to look whether there is any.
#[derive(Debug)]
pub struct Room<'o>(&'o mut [u8]);

/// Has `write` append pieces that have `most` octets together, or fewer.
#[inline]
pub fn append(out: &mut Vec<u8>, most: usize, write: impl FnOnce(&mut Room<'_>)) {
    let end = out.len() + most;
    out.resize(end, 0);
    let mut room = Room(&mut out[end - most..]);
    write(&mut room);
    let left = room.0.len();
    out.truncate(end - left);
}

impl Room<'_> {
    /// Appends a piece. There must be room for it: otherwise it is left out, and a test fails.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a piece of a known length is a store or two, which is less than a call"
    )]
    pub fn push(&mut self, piece: &[u8]) {
        debug_assert!(piece.len() <= self.0.len(), "the room was made too small");
        if piece.len() <= self.0.len() {
            let (place, rest) = mem::take(&mut self.0).split_at_mut(piece.len());
            place.copy_from_slice(piece);
            self.0 = rest;
        }
    }

    /// Appends an octet.
    #[inline]
    pub fn push_octet(&mut self, octet: u8) {
        self.push(&[octet]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_appended_follows_what_was_there(
            before: Vec<u8>,
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
            spare in 0..40_usize,
        ) {
            let all = pieces.concat();
            let mut out = before.clone();
            append(&mut out, all.len() + spare, |room| pieces.iter().for_each(|piece| room.push(piece)));
            prop_assert_eq!(out, [before, all].concat());
        }
    }
}
