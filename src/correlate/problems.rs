//! All problems: bytes in slots, with what is kept of them behind them, as one in a million must be small.
//!
//! The problem that is worked on is there as it is, and written to its slot when another one is.

use super::image::Reader;
use super::index::Index;
use super::kept::Kept;
use super::key::Key;
use super::problem::Problem;
use super::slots::{Slot, Slots};

/// Problems by key. Each stays at its place as long as it is there.
#[derive(Debug, Default)]
pub(super) struct Problems {
    places: Vec<Option<Slot>>,
    free: Vec<u32>,
    index: Index,
    slots: Slots,
    kept: Kept,
    /// The one that is worked on, and its place.
    hot: Option<(u32, Problem)>,
    /// Whether it may be newer than its bytes.
    changed: bool,
    /// Room for what is written next.
    bytes: Vec<u8>,
}

impl Problems {
    /// The bytes of a problem. What is worked on may be newer, but for its key and for what is kept of it.
    fn stored(&self, at: u32) -> Option<&[u8]> {
        Some(self.slots.get((*self.places.get(at as usize)?)?))
    }

    fn key(&self, at: u32) -> Option<Key> {
        Reader(self.stored(at)?).key()
    }

    /// The place of a problem.
    pub(super) fn find(&self, key: Key) -> Option<u32> {
        self.index.find(key.low(), |at| self.key(at) == Some(key))
    }

    /// The place of a problem by the low half of its key.
    pub(super) fn find_low(&self, low: u64) -> Option<u32> {
        self.index.find(low, |at| self.key(at).is_some_and(|key| key.low() == low))
    }

    /// The problem at a place.
    pub(super) fn get(&self, at: u32) -> Option<Problem> {
        match &self.hot {
            Some((hot, problem)) if *hot == at => Some(problem.clone()),
            _ => Problem::unpack(self.stored(at)?),
        }
    }

    /// The problem at a place, to be worked on.
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Problem> {
        self.work_on(at)?;
        self.changed = true;
        self.hot.as_mut().map(|(_, problem)| problem)
    }

    /// The place of a problem, which is at hand from now on.
    pub(super) fn find_to_work_on(&mut self, key: Key) -> Option<u32> {
        let at = self.find(key)?;
        self.work_on(at).map(|()| at)
    }

    /// Has the problem at a place at hand.
    pub(super) fn work_on(&mut self, at: u32) -> Option<()> {
        if self.hot.as_ref().is_none_or(|(hot, _)| *hot != at) {
            let problem = Problem::unpack(self.stored(at)?)?;
            self.cool();
            self.hot = Some((at, problem));
        }
        Some(())
    }

    /// Writes what was worked on to its slot.
    fn cool(&mut self) {
        let Some((at, problem)) = self.hot.take() else { return };
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let Some(slot) = self.places.get(at as usize).copied().flatten() else { return };
        let mut bytes = std::mem::take(&mut self.bytes);
        problem.pack(&mut bytes);
        let stored = self.slots.get_mut(slot);
        let head = stored.len().saturating_sub(problem.outcome as usize);
        if bytes.len() == head {
            stored[..head].copy_from_slice(&bytes);
        } else {
            bytes.extend_from_slice(&stored[head..]);
            self.replace(at, &bytes);
        }
        self.bytes = bytes;
    }

    /// Has other bytes in the place of those of a problem; whether there is room for them.
    fn replace(&mut self, at: u32, bytes: &[u8]) -> bool {
        let Some(Some(slot)) = self.places.get_mut(at as usize) else { return false };
        let Some(new) = self.slots.replace(*slot, bytes) else { return false };
        *slot = new;
        true
    }

    /// Adds a problem whose key has none, with its outcome. Gives its place; none if there are hundreds of millions already.
    pub(super) fn insert(&mut self, problem: &mut Problem, outcome: Option<&[u8]>) -> Option<u32> {
        let mut bytes = std::mem::take(&mut self.bytes);
        problem.pack(&mut bytes);
        let head = bytes.len();
        if let Some(outcome) = outcome {
            self.kept.pack(outcome, &mut bytes);
        }
        problem.outcome = (bytes.len() - head) as u32;
        let slot = self.slots.insert(&bytes);
        self.bytes = bytes;
        let slot = slot?;
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                let at = u32::try_from(self.places.len()).ok()?;
                self.places.push(None);
                at
            }
        };
        self.places[at as usize] = Some(slot);
        let Problems { places, slots, index, .. } = self;
        index.insert(problem.key.low(), at, |at| {
            let slot = places.get(at as usize).copied().flatten();
            slot.and_then(|slot| Reader(slots.get(slot)).key()).map_or(0, Key::low)
        });
        Some(at)
    }

    /// Takes a problem out, and what is kept of it.
    pub(super) fn remove(&mut self, at: u32) -> Option<Problem> {
        let problem = self.get(at)?;
        if self.hot.take_if(|(hot, _)| *hot == at).is_some() {
            self.changed = false;
        }
        self.index.remove(problem.key.low(), at);
        if let Some(slot) = self.places.get_mut(at as usize)?.take() {
            self.slots.remove(slot);
        }
        self.free.push(at);
        Some(problem)
    }

    /// The outcome that is kept of a problem.
    pub(super) fn outcome(&self, at: u32) -> Option<Vec<u8>> {
        let length = match &self.hot {
            Some((hot, problem)) if *hot == at => problem.outcome,
            _ => Problem::unpack(self.stored(at)?)?.outcome,
        };
        self.outcome_of(at, length)
    }

    /// The problem at a place, with the outcome that is kept of it.
    pub(super) fn get_whole(&self, at: u32) -> Option<(Problem, Option<Vec<u8>>)> {
        let problem = self.get(at)?;
        let outcome = self.outcome_of(at, problem.outcome);
        Some((problem, outcome))
    }

    fn outcome_of(&self, at: u32, length: u32) -> Option<Vec<u8>> {
        let stored = self.stored(at).filter(|_| length > 0)?;
        self.kept.unpack(stored.get(stored.len().checked_sub(length as usize)?..)?)
    }

    /// How many bytes an outcome would take.
    pub(super) fn length_of(&mut self, outcome: &[u8]) -> usize {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.kept.pack(outcome, &mut bytes);
        self.bytes = bytes;
        self.bytes.len()
    }

    /// Keeps another outcome of a problem, or none. How many bytes it takes.
    pub(super) fn set_outcome(&mut self, at: u32, outcome: Option<&[u8]>) -> usize {
        if outcome.is_none() && self.get_mut(at).is_none_or(|problem| problem.outcome == 0) {
            return 0;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut length = 0;
        if let Some(problem) = self.get_mut(at) {
            problem.pack(&mut bytes);
            let head = bytes.len();
            if let Some(outcome) = outcome {
                self.kept.pack(outcome, &mut bytes);
            }
            let replaced = self.replace(at, &bytes);
            if let Some((_, problem)) = &mut self.hot {
                if replaced {
                    problem.outcome = (bytes.len() - head) as u32;
                    self.changed = false;
                }
                length = problem.outcome as usize;
            }
        }
        self.bytes = bytes;
        length
    }

    /// All problems and their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Problem)> {
        (0..self.capacity()).filter_map(|at| Some((at, self.get(at)?)))
    }

    /// The keys of all problems.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        (0..self.capacity()).filter_map(|at| self.key(at))
    }

    /// The places of all problems.
    pub(super) fn places(&self) -> Vec<u32> {
        let used = |(at, slot): (usize, &Option<Slot>)| slot.map(|_| at as u32);
        self.places.iter().enumerate().filter_map(used).collect()
    }

    /// How many places there are, empty ones included.
    pub(super) fn capacity(&self) -> u32 {
        self.places.len() as u32
    }
}
