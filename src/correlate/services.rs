//! The open problems of each service that may have several, the worst first at hand.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// How bad an open problem is; among equals the one that opened last, then any order that stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) severity: u8,
    pub(super) since: i64,
    pub(super) key: u128,
}

/// Open problems by service.
#[derive(Debug, Default)]
pub(super) struct Services(HashMap<u64, Open>);

/// Most services have one problem: no tree for it.
#[derive(Debug)]
enum Open {
    One(Rank, u32),
    Several(BTreeSet<(Reverse<Rank>, u32)>),
}

impl Services {
    /// Adds an open problem, with its place.
    pub(super) fn add(&mut self, service: u64, rank: Rank, at: u32) {
        let open = self.0.entry(service).or_insert(Open::One(rank, at));
        match open {
            Open::One(known, place) if (*known, *place) == (rank, at) => {}
            Open::One(known, place) => {
                *open = Open::Several(BTreeSet::from([(Reverse(*known), *place), (Reverse(rank), at)]));
            }
            Open::Several(all) => {
                all.insert((Reverse(rank), at));
            }
        }
    }

    /// Takes a problem out.
    pub(super) fn remove(&mut self, service: u64, rank: Rank, at: u32) {
        let empty = match self.0.get_mut(&service) {
            None => false,
            Some(Open::One(known, place)) => (*known, *place) == (rank, at),
            Some(Open::Several(all)) => {
                all.remove(&(Reverse(rank), at));
                all.is_empty()
            }
        };
        if empty {
            self.0.remove(&service);
        }
    }

    /// The worst problem of a service.
    pub(super) fn worst(&self, service: u64) -> Option<(Rank, u32)> {
        match self.0.get(&service)? {
            Open::One(rank, at) => Some((*rank, *at)),
            Open::Several(all) => all.first().map(|(Reverse(rank), at)| (*rank, *at)),
        }
    }
}
