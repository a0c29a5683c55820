//! What receivers were told of a service, beyond what its problems know.

use super::core::Core;
use super::effects::{Effects, Kind, Now};
use super::key::{Facts, Key};
use super::problem::{OVERTAKEN, Problem};
use crate::outcome::result::State;

/// How many services may be remembered that had an outcome without room for its state.
const MOST_WITHOUT: usize = 1 << 16;
/// Stands among these services for those that there was no place for. No service has this key.
pub(super) const MANY_WITHOUT: Key = Key::new(u128::MAX);

/// How much smaller the sysUpTime of a problem may be than that of the clear that overtook it, in hundredths of a second.
/// A larger difference is a restart of the agent.
const BEHIND: u32 = 500;

/// What a service is known by whose problem was sent without state for want of room; others by their own key.
pub(super) fn for_want_of_room(service: u64) -> Key {
    Key::new((1 << 64) | u128::from(service))
}

/// What a service is known by whose problem ended while receivers know it, as one that has expired as `unknown`.
pub(super) fn left(service: u64) -> Key {
    Key::new((2 << 64) | u128::from(service))
}

/// What a service is known by that is well as far as receivers know, where outcomes pass the state by.
const WELL: u128 = 3;

fn well(service: u64) -> Key {
    Key::new((WELL << 64) | u128::from(service))
}

fn service_of_well(key: Key) -> Option<u64> {
    (key.number() >> 64 == WELL).then(|| key.low())
}

/// What receivers were told last of a service by an outcome that the state does not know of: it could not be written any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The service.
    pub service: Key,
    /// The state.
    pub state: State,
    /// The id of the rule of the outcome.
    pub rule: Box<str>,
}

impl Core {
    /// Receivers were told this after the state was written: what would repeat what the state knows may be news. An outcome of a rule that
    /// keeps no state is none of its business, unless a problem is open.
    pub(super) fn were_told(&mut self, told: &Told, is_tracked: bool, out: &mut Effects) {
        let service = told.service.low();
        let open = self.worst_of(service).map(|(_, at)| at);
        let known = open.or_else(|| self.problems.find_low(service));
        if let Some(problem) = known.and_then(|at| self.problems.get_mut(at)) {
            problem.set_sent(Some(told.state));
            out.touched.push((Kind::Problem, problem.key));
        }
        if !told.state.is_good() {
            self.is_not_well(service, out);
        }
        if told.state.is_good() {
            self.told_that_it_is_well(service, out);
        } else if is_tracked && known.is_none() {
            // It may have been held, or closed: what clears it must be sent.
            self.told_without(Key::new(service.into()), out);
            self.told_without(for_want_of_room(service), out);
        }
    }

    /// Whether receivers may know of a problem of a service of which the state heard nothing: outcomes of rules without state pass by it
    /// unless it asks for them, and earlier rules may have sent some.
    pub(super) fn may_have_passed_by(&self, service: u64) -> bool {
        self.presence.is_some() && !self.wells.contains(&service)
    }

    /// Receivers know that a service is well: nothing of it passes by from now on.
    pub(super) fn is_well(&mut self, service: u64, out: &mut Effects) {
        let Some(presence) = self.presence.as_ref().filter(|_| self.wells.len() < MOST_WITHOUT) else {
            return;
        };
        if self.wells.insert(service) {
            presence.add(service);
            out.touched.push((Kind::Told, well(service)));
        }
    }

    /// Receivers are told of a problem of a service.
    pub(super) fn is_not_well(&mut self, service: u64, out: &mut Effects) {
        if !self.wells.is_empty() && self.wells.remove(&service) {
            if let Some(presence) = &self.presence {
                presence.remove(service);
            }
            out.touched.push((Kind::Told, well(service)));
        }
    }

    /// Nothing of what came lately, or comes, is heard of.
    pub(super) fn hears_nothing(&mut self, out: &mut Effects) {
        for service in std::mem::take(&mut self.wells) {
            if let Some(presence) = &self.presence {
                presence.remove(service);
            }
            out.touched.push((Kind::Told, well(service)));
        }
    }

    /// Whether something is known of what receivers were told.
    pub(super) fn is_noted(&self, key: Key) -> bool {
        service_of_well(key).map_or_else(|| self.told_without.contains(&key), |s| self.wells.contains(&s))
    }

    /// Has something known, or not, of what receivers were told.
    pub(super) fn note(&mut self, key: Key, noted: bool) {
        match (service_of_well(key), noted) {
            (Some(service), true) => self.wells.insert(service),
            (Some(service), false) => self.wells.remove(&service),
            (None, true) => self.told_without.insert(key),
            (None, false) => self.told_without.remove(&key),
        };
    }

    /// All that is known of what receivers were told.
    pub(super) fn noted(&self) -> impl Iterator<Item = Key> {
        self.told_without.iter().copied().chain(self.wells.iter().map(|service| well(*service)))
    }

    /// Remembers that receivers know of a problem of a service that no state knows of.
    pub(super) fn told_without(&mut self, service: Key, out: &mut Effects) {
        let many = self.told_without.len() >= MOST_WITHOUT && !self.told_without.contains(&service);
        let service = if many { MANY_WITHOUT } else { service };
        if self.told_without.insert(service) {
            out.touched.push((Kind::Told, service));
        }
    }

    /// Whether receivers may know of a problem of a service that no state knows of.
    pub(super) fn may_be_told(&self, service: u64) -> bool {
        !self.told_without.is_empty()
            && (self.told_without.contains(&Key::new(service.into())) || self.awaits_its_end(service))
    }

    /// The same, if only an outcome that is ok takes it back: no open problem does.
    pub(super) fn awaits_its_end(&self, service: u64) -> bool {
        self.lacked_room(service) || self.told_without.contains(&left(service))
    }

    /// Whether there may have been no room for the state of its problem.
    pub(super) fn lacked_room(&self, service: u64) -> bool {
        [for_want_of_room(service), MANY_WITHOUT].iter().any(|key| self.told_without.contains(key))
    }

    /// A problem has ended, or ends: if receivers still know it, an outcome that is ok is to reach them.
    pub(super) fn leave(&mut self, at: u32, out: &mut Effects) {
        if let Some(problem) = self.problems.get(at).filter(Problem::is_told) {
            self.told_without(left(problem.service), out);
        }
    }

    /// Receivers know that a service is well.
    pub(super) fn told_that_it_is_well(&mut self, service: u64, out: &mut Effects) {
        if self.told_without.is_empty() {
            return;
        }
        for key in [Key::new(service.into()), for_want_of_room(service), left(service)] {
            if self.told_without.remove(&key) {
                out.touched.push((Kind::Told, key));
            }
        }
        // All that there was no place for have had their time.
        if self.told_without.len() == 1 && self.told_without.remove(&MANY_WITHOUT) {
            out.touched.push((Kind::Told, MANY_WITHOUT));
        }
    }
}

/// Whether a problem is older than the clear that came before it.
pub(super) fn overtaken(problem: &Problem, now: Now, facts: &Facts) -> bool {
    let cleared = problem.rare.as_ref().and_then(|rare| rare.cleared);
    let (Some((at, clear)), Some(own)) = (cleared, facts.sender) else { return false };
    now.engine - at <= OVERTAKEN
        && own.agent == clear.agent
        && own.uptime < clear.uptime
        && clear.uptime - own.uptime <= BEHIND
}
