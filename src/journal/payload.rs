//! The octets of an outcome, alone or among those that were read with it.

use std::fmt::{self, Debug};
use std::ops::Deref;
use std::sync::Arc;

/// An outcome, encoded. Shares the octets that it was read with, until it is to be kept for longer.
#[derive(Clone)]
pub struct Payload {
    octets: Arc<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Payload {
    /// A part of what was read; none of it, if it is not there.
    pub(super) fn among(octets: &Arc<Vec<u8>>, start: usize, length: usize) -> Self {
        Payload { octets: octets.clone(), start, end: start.saturating_add(length) }
    }

    /// The same without the octets around it.
    #[must_use]
    pub fn alone(self) -> Self {
        if self.len() == self.octets.len() { self } else { Payload::from(&*self) }
    }

    /// How many octets it keeps in memory.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.octets.len()
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.octets.get(self.start..self.end).unwrap_or_default()
    }
}

impl From<&[u8]> for Payload {
    fn from(octets: &[u8]) -> Self {
        Payload::from(octets.to_vec())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(octets: Vec<u8>) -> Self {
        Payload { start: 0, end: octets.len(), octets: Arc::new(octets) }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload {}

impl Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&**self, f)
    }
}
