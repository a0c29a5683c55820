//! Outcomes as they are kept of problems: packed.

use std::collections::HashMap;

use crate::outcome::compact::{self, Earlier};

/// The rules that have numbers, as many as there are numbers. What comes first of each is what others of it are compared with, as texts of
/// a rule are alike.
#[derive(Debug, Default)]
pub(super) struct Kept {
    rules: Vec<(Box<[u8]>, Earlier)>,
    numbers: HashMap<Box<[u8]>, u16>,
}

impl Kept {
    /// Packs an outcome.
    pub(super) fn pack(&mut self, outcome: &[u8], out: &mut Vec<u8>) {
        compact::pack(
            outcome,
            move |rule, texts| {
                let number = match self.numbers.get(rule) {
                    Some(number) => *number,
                    None => self.add(rule, texts)?,
                };
                self.rules.get(usize::from(number)).map(|(_, earlier)| (number, earlier))
            },
            out,
        );
    }

    fn add(&mut self, rule: &[u8], texts: [&[u8]; 3]) -> Option<u16> {
        let number = u16::try_from(self.rules.len()).ok()?;
        self.rules.push((rule.into(), Earlier::new(texts)));
        self.numbers.insert(rule.into(), number);
        Some(number)
    }

    /// An outcome as it was.
    pub(super) fn unpack(&self, packed: &[u8]) -> Option<Vec<u8>> {
        let rule = |number: u16| self.rules.get(usize::from(number)).map(|(id, earlier)| (&**id, earlier));
        compact::unpack(packed, rule)
    }
}
