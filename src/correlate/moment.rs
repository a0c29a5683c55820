//! Times of the state in less than eight bytes: there are several in each of a million entries.
//!
//! What is before 1970 is kept as its beginning. The last time that there is, is two thousand years later or more.

/// An engine time to the microsecond: entries that came one after the other keep their order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Exact([u8; 7]);

impl Exact {
    /// A time in microseconds.
    pub(super) fn at(micros: i64) -> Self {
        let [bytes @ .., _] = micros.clamp(0, (1 << 56) - 1).to_le_bytes();
        Exact(bytes)
    }

    /// Its bytes.
    pub(super) fn octets(self) -> [u8; 7] {
        self.0
    }

    /// The time with these bytes.
    pub(super) fn of_octets(octets: [u8; 7]) -> Self {
        Exact(octets)
    }

    /// It in microseconds.
    pub(super) fn micros(self) -> i64 {
        let mut octets = [0; 8];
        octets[..self.0.len()].copy_from_slice(&self.0);
        i64::from_le_bytes(octets)
    }
}

/// An engine time to the millisecond, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment([u8; 6]);

impl Moment {
    /// No time.
    pub(super) const NEVER: Moment = Moment([u8::MAX; 6]);

    /// The millisecond of a time in microseconds; [`i64::MAX`] is none.
    pub(super) fn at(micros: i64) -> Self {
        let [bytes @ .., _, _] = (micros / 1000).clamp(0, (1 << 48) - 1).to_le_bytes();
        Moment(bytes)
    }

    /// Its number: milliseconds, the largest for none.
    pub(super) fn number(self) -> i64 {
        let mut octets = [0; 8];
        octets[..self.0.len()].copy_from_slice(&self.0);
        i64::from_le_bytes(octets)
    }

    /// The time with this number.
    pub(super) fn of_number(number: i64) -> Self {
        let [bytes @ .., _, _] = number.to_le_bytes();
        Moment(bytes)
    }

    /// Its first microsecond, [`i64::MAX`] for none.
    pub(super) fn micros(self) -> i64 {
        if self == Moment::NEVER {
            return i64::MAX;
        }
        self.number() * 1000
    }
}

impl std::fmt::Debug for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.micros().fmt(f)
    }
}

impl std::fmt::Debug for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.micros().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_come_back(micros in 0..(1i64 << 56)) {
            prop_assert_eq!(Exact::at(micros).micros(), micros);
            prop_assert_eq!(Moment::at(micros).micros(), micros - micros % 1000);
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_kept_as_the_nearest_time() {
        assert_eq!((Exact::at(i64::MIN).micros(), Moment::at(i64::MIN).micros()), (0, 0));
        assert_eq!(Exact::at(i64::MAX).micros(), (1 << 56) - 1);
        assert_eq!(Moment::at(i64::MAX), Moment::NEVER);
        assert_eq!(Moment::NEVER.micros(), i64::MAX);
    }
}
