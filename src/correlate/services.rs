//! The open problems of each service that may have several, the worst first at hand.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::index::Index;
use super::problem::Rank;
use super::problems::Problems;

/// Open problems by service.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// The places of those that are the only one of their service, as most are.
    alone: Index,
    several: HashMap<u64, BTreeSet<(Reverse<Rank>, u32)>>,
}

impl Services {
    fn alone(&self, problems: &Problems, service: u64) -> Option<u32> {
        self.alone.find(service, |at| problems.get(at).is_some_and(|problem| problem.service == service))
    }

    /// Adds an open problem, with its place.
    pub(super) fn add(&mut self, problems: &Problems, (service, rank): (u64, Rank), at: u32) {
        if let Some(all) = self.several.get_mut(&service) {
            all.insert((Reverse(rank), at));
            return;
        }
        match self.alone(problems, service) {
            Some(known) if known == at => {}
            Some(known) => {
                self.alone.remove(service, known);
                let known = problems.get(known).map(|problem| (Reverse(problem.rank()), known));
                self.several.insert(service, known.into_iter().chain([(Reverse(rank), at)]).collect());
            }
            None => {
                self.alone.insert(service, at, |at| problems.get(at).map_or(0, |problem| problem.service));
            }
        }
    }

    /// Takes a problem out.
    pub(super) fn remove(&mut self, problems: &Problems, (service, rank): (u64, Rank), at: u32) {
        if let Some(all) = self.several.get_mut(&service) {
            all.remove(&(Reverse(rank), at));
            if all.is_empty() {
                self.several.remove(&service);
            }
        } else if self.alone(problems, service) == Some(at) {
            self.alone.remove(service, at);
        }
    }

    /// The worst problem of a service.
    pub(super) fn worst(&self, problems: &Problems, service: u64) -> Option<(Rank, u32)> {
        if let Some(all) = self.several.get(&service) {
            return all.first().map(|(Reverse(rank), at)| (*rank, *at));
        }
        let at = self.alone(problems, service)?;
        problems.get(at).map(|problem| (problem.rank(), at))
    }
}
