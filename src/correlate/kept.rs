//! The outcomes that are kept of problems.

use std::collections::HashMap;

use super::slots::{Slot, Slots};
use crate::outcome::compact;

/// Outcomes, encoded, by where they are kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    slots: Slots,
    /// The ids of rules that have numbers, as many as there are numbers.
    rules: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, u16>,
    /// Room for what is packed next.
    packed: Vec<u8>,
}

impl Kept {
    /// Keeps an outcome; none if there are hundreds of millions already.
    pub(super) fn insert(&mut self, outcome: &[u8]) -> Option<Slot> {
        let Kept { slots, rules, numbers, packed } = self;
        packed.clear();
        let number = |rule: &[u8]| {
            numbers.get(rule).copied().or_else(|| {
                let number = u16::try_from(rules.len()).ok()?;
                rules.push(rule.into());
                numbers.insert(rule.into(), number);
                Some(number)
            })
        };
        compact::pack(outcome, number, packed);
        slots.insert(packed)
    }

    /// An outcome as it was.
    pub(super) fn get(&self, slot: Slot) -> Option<Vec<u8>> {
        let rule = |number: u16| self.rules.get(usize::from(number)).map(|rule| &**rule);
        compact::unpack(self.slots.get(slot), rule)
    }

    /// How many bytes it takes.
    pub(super) fn length(&self, slot: Slot) -> usize {
        self.slots.get(slot).len()
    }

    /// Drops it.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.slots.remove(slot);
    }
}
