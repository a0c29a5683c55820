//! Random numbers for the jitter of pauses. Pure.

/// Random numbers for jitter (splitmix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Numbers that follow from a seed.
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next one.
    pub(super) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }
}
