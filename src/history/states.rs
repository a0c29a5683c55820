//! The current state of each host and service, as far as the writer must know it, and what of it is to be written.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::endpoint;
use crate::outcome::result::{Outcome, State};

/// The most states, whatever the size.
const MOST: u64 = 200_000;
/// How many bytes a state may take on disk.
const BYTES: u64 = 1 << 10;
/// The longest host and service together, in bytes: what is longer has no state.
const LONGEST: usize = 256;
/// How many bytes of an output are kept.
const OUTPUT: usize = 512;

/// A state to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) host: String,
    pub(super) service: Option<String>,
    pub(super) state: State,
    /// The state before and when it ended, if it has changed.
    pub(super) change: Option<(Option<State>, i64)>,
    pub(super) last: i64,
    pub(super) rule: String,
    pub(super) output: String,
}

/// What an outcome does to the state of its host and service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) previous: Option<State>,
    pub(super) is_change: bool,
}

/// All states.
#[derive(Debug)]
pub(super) struct States {
    hash: RandomState,
    known: HashMap<u64, State>,
    changed: HashMap<u64, Changed>,
    most: usize,
    /// Outcomes of hosts and services for which there was no place.
    pub(super) refused: u64,
}

impl States {
    /// The states of a table; as many as fit into so many bytes.
    pub(super) fn new(known: impl Iterator<Item = (String, Option<String>, State)>, bytes: u64) -> Self {
        let hash = RandomState::new();
        let key = |host: &str, service: Option<&str>| hash.hash_one((host, service));
        let known = known.map(|(host, service, state)| (key(&host, service.as_deref()), state)).collect();
        let most = usize::try_from((bytes / BYTES).min(MOST)).unwrap_or(usize::MAX);
        States { hash, known, changed: HashMap::new(), most, refused: 0 }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// What an outcome does, without doing it.
    pub(super) fn look(&self, outcome: &Outcome<'_>) -> (u64, Seen) {
        let (host, service, state) = (outcome.host(), outcome.service(), outcome.common().state);
        let hash = self.hash.hash_one((host, service));
        let previous = self.known.get(&hash).copied();
        let length = host.len() + service.map_or(0, str::len);
        let has_place = previous.is_some() || (self.known.len() < self.most && length <= LONGEST);
        (hash, Seen { previous, is_change: previous != Some(state) && has_place })
    }

    /// An outcome sets its state. `shown` says whether it has a row: then its text is the newest one.
    pub(super) fn set(&mut self, (hash, seen): (u64, Seen), outcome: &Outcome<'_>, shown: bool) {
        let common = outcome.common();
        if seen.is_change {
            self.known.insert(hash, common.state);
        } else if seen.previous.is_none() {
            self.refused += 1;
            return;
        } else if !shown {
            return;
        }
        let before = self.changed.remove(&hash).and_then(|changed| changed.change);
        let change = if seen.is_change { Some((seen.previous, common.time)) } else { before };
        let changed = Changed {
            host: outcome.host().to_owned(),
            service: outcome.service().map(str::to_owned),
            state: common.state,
            change,
            last: common.time,
            rule: common.rule.as_ref().to_owned(),
            output: common.output[..common.output.floor_char_boundary(OUTPUT)].to_owned(),
        };
        self.changed.insert(hash, changed);
    }

    /// Those that are to be written.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Changed> {
        self.changed.values()
    }

    /// They were written.
    pub(super) fn written(&mut self) {
        self.changed.clear();
    }
}

impl Changed {
    pub(super) fn key(&self) -> String {
        endpoint::encode(&self.host, self.service.as_deref())
    }
}
