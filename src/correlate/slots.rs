//! Many short byte strings, each named by four bytes, without an allocation of its own.

use std::num::NonZeroU32;

/// Slots of one class that are allocated at a time: nothing moves when there are more.
const CHUNK: usize = 128;
/// By how many bytes the slots of one class are larger than those of the one before.
const STEP: usize = 4;
/// How many classes there are. What is longer than a slot of the last one has an allocation of its own, and class 0.
const CLASSES: usize = 64;
/// The longest string that has a slot, which begins with its length.
const LONGEST: usize = (CLASSES - 1) * STEP - 1;
/// How many bits of a name say which place of a class it is.
const PLACE: u32 = 26;
const MOST: u32 = (1 << PLACE) - 1;

/// Where a string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(NonZeroU32);

impl Slot {
    fn new(class: usize, place: u32) -> Option<Self> {
        // One more than the number, which is not the largest: never 0.
        NonZeroU32::new((((class as u32) << PLACE) | place) + 1).map(Slot)
    }

    fn class(self) -> usize {
        ((self.0.get() - 1) >> PLACE) as usize
    }

    fn place(self) -> u32 {
        (self.0.get() - 1) & MOST
    }
}

/// Strings of about one length: their slots are of one size.
#[derive(Debug, Default)]
struct Class {
    chunks: Vec<Box<[u8]>>,
    /// Slots that were never used are from here on.
    used: u32,
    free: Vec<u32>,
}

impl Class {
    fn bounds(place: u32, size: usize) -> (usize, std::ops::Range<usize>) {
        let start = place as usize % CHUNK * size;
        (place as usize / CHUNK, start..start + size)
    }

    fn get(&self, place: u32, size: usize) -> Option<&[u8]> {
        let (chunk, bounds) = Class::bounds(place, size);
        let (length, rest) = self.chunks.get(chunk)?.get(bounds)?.split_first()?;
        rest.get(..usize::from(*length))
    }

    fn bytes_mut(&mut self, place: u32, size: usize) -> Option<&mut [u8]> {
        let (chunk, bounds) = Class::bounds(place, size);
        let (length, rest) = self.chunks.get_mut(chunk)?.get_mut(bounds)?.split_first_mut()?;
        rest.get_mut(..usize::from(*length))
    }

    fn set(&mut self, place: u32, size: usize, bytes: &[u8]) -> Option<()> {
        let (chunk, bounds) = Class::bounds(place, size);
        let (length, rest) = self.chunks.get_mut(chunk)?.get_mut(bounds)?.split_first_mut()?;
        *length = bytes.len() as u8;
        rest.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(())
    }

    fn insert(&mut self, bytes: &[u8], size: usize) -> Option<u32> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.used == MOST => return None,
            None => {
                self.used += 1;
                self.used - 1
            }
        };
        if place as usize / CHUNK == self.chunks.len() {
            self.chunks.push(vec![0; CHUNK * size].into());
        }
        self.set(place, size, bytes)?;
        Some(place)
    }

    /// The last slot that goes gives back what all of them had: whoever has many keys of one length, and later many of another, has no
    /// more than those that are there.
    fn remove(&mut self, place: u32) {
        self.free.push(place);
        if self.free.len() == self.used as usize && self.chunks.len() > 1 {
            self.chunks.truncate(1);
            self.chunks.shrink_to_fit();
            (self.used, self.free) = (0, Vec::new());
        }
    }
}

/// Byte strings.
#[derive(Debug)]
pub(super) struct Slots {
    classes: Vec<Class>,
    long: Vec<Box<[u8]>>,
    free: Vec<u32>,
}

impl Default for Slots {
    fn default() -> Self {
        let classes = (0..CLASSES).map(|_| Class::default()).collect();
        Slots { classes, long: Vec::new(), free: Vec::new() }
    }
}

impl Slots {
    /// Adds a string; none if there are too many, which are hundreds of millions.
    pub(super) fn insert(&mut self, bytes: &[u8]) -> Option<Slot> {
        if bytes.len() <= LONGEST {
            let class = (bytes.len() + 1).div_ceil(STEP);
            return Slot::new(class, self.classes.get_mut(class)?.insert(bytes, class * STEP)?);
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.long.len() >= MOST as usize => return None,
            None => {
                self.long.push(Box::default());
                self.long.len() as u32 - 1
            }
        };
        *self.long.get_mut(place as usize)? = bytes.into();
        Slot::new(0, place)
    }

    /// The string at a place.
    pub(super) fn get(&self, slot: Slot) -> &[u8] {
        let (class, place) = (slot.class(), slot.place());
        let bytes = if class == 0 {
            self.long.get(place as usize).map(|bytes| &**bytes)
        } else {
            self.classes.get(class).and_then(|of| of.get(place, class * STEP))
        };
        bytes.unwrap_or_default()
    }

    /// The string at a place, to be changed but for its length.
    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut [u8] {
        let (class, place) = (slot.class(), slot.place());
        let bytes = if class == 0 {
            self.long.get_mut(place as usize).map(|bytes| &mut **bytes)
        } else {
            self.classes.get_mut(class).and_then(|of| of.bytes_mut(place, class * STEP))
        };
        bytes.unwrap_or_default()
    }

    /// Has another string in the place of one. Gives its place; none if there are too many, and the one before stays.
    pub(super) fn replace(&mut self, before: Slot, bytes: &[u8]) -> Option<Slot> {
        let class = if bytes.len() <= LONGEST { (bytes.len() + 1).div_ceil(STEP) } else { 0 };
        if class != 0 && class == before.class() {
            self.classes.get_mut(class)?.set(before.place(), class * STEP, bytes)?;
            return Some(before);
        }
        let slot = self.insert(bytes)?;
        self.remove(before);
        Some(slot)
    }

    /// Takes a string out. Its place is for another one from now on.
    pub(super) fn remove(&mut self, slot: Slot) {
        let (class, place) = (slot.class(), slot.place());
        if class == 0 {
            if let Some(bytes) = self.long.get_mut(place as usize) {
                *bytes = Box::default();
                self.free.push(place);
            }
        } else if let Some(of) = self.classes.get_mut(class) {
            of.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
        #[test]
        fn as_a_map_has_them(steps in prop::collection::vec((any::<bool>(), 0..400usize, any::<u8>()), 1..600)) {
            let (mut slots, mut all) = (Slots::default(), Vec::<(Slot, Vec<u8>)>::new());
            for (adds, length, byte) in steps {
                if adds || all.is_empty() {
                    let bytes = vec![byte; length];
                    let slot = slots.insert(&bytes).unwrap();
                    prop_assert!(all.iter().all(|(other, _)| *other != slot));
                    all.push((slot, bytes));
                } else if length % 2 == 0 {
                    let (at, bytes) = (length % all.len(), vec![byte; length]);
                    slots.get_mut(all[at].0).fill(7);
                    all[at] = (slots.replace(all[at].0, &bytes).unwrap(), bytes);
                } else {
                    let (slot, _) = all.swap_remove(length % all.len());
                    slots.remove(slot);
                }
                prop_assert!(all.iter().all(|(slot, bytes)| slots.get(*slot) == bytes));
            }
        }
    }

    #[test]
    fn many_strings_of_each_length_one_after_the_other_take_no_more_than_those_of_one() {
        let mut slots = Slots::default();
        for length in 0..=LONGEST {
            let all: Vec<Slot> =
                (0..10 * CHUNK).map(|_| slots.insert(&vec![length as u8; length]).unwrap()).collect();
            assert!(all.iter().all(|slot| slots.get(*slot).len() == length));
            for slot in all {
                slots.remove(slot);
            }
            let chunks: usize = slots.classes.iter().map(|class| class.chunks.len()).sum();
            assert!(chunks <= CLASSES, "{chunks} chunks after length {length}");
        }
    }

    #[test]
    fn a_place_that_is_free_is_used_again() {
        let mut slots = Slots::default();
        for length in [0, 3, LONGEST, LONGEST + 1, 5000] {
            let first = slots.insert(&vec![1; length]).unwrap();
            slots.remove(first);
            assert_eq!(slots.insert(&vec![2; length]), Some(first), "{length}");
        }
    }
}
