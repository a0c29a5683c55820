//! Outcomes as they are kept of problems: packed.

use std::collections::HashMap;

use crate::outcome::compact;

/// The ids of rules that have numbers, as many as there are numbers.
#[derive(Debug, Default)]
pub(super) struct Kept {
    rules: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, u16>,
}

impl Kept {
    /// Packs an outcome.
    pub(super) fn pack(&mut self, outcome: &[u8], out: &mut Vec<u8>) {
        let Kept { rules, numbers } = self;
        let number = |rule: &[u8]| {
            numbers.get(rule).copied().or_else(|| {
                let number = u16::try_from(rules.len()).ok()?;
                rules.push(rule.into());
                numbers.insert(rule.into(), number);
                Some(number)
            })
        };
        compact::pack(outcome, number, out);
    }

    /// An outcome as it was.
    pub(super) fn unpack(&self, packed: &[u8]) -> Option<Vec<u8>> {
        let rule = |number: u16| self.rules.get(usize::from(number)).map(|rule| &**rule);
        compact::unpack(packed, rule)
    }
}
