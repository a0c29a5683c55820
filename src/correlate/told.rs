//! What receivers were told of a service, beyond what its problems know.

use super::core::Core;
use super::effects::{Effects, Kind, Now};
use super::key::{Facts, Key};
use super::problem::{OVERTAKEN, Problem};
use super::send::{Payload, fit};
use super::texts::with_output;
use crate::outcome::result::State;
use crate::rules::plan::Plan;

/// How many services may be remembered that had an outcome without room for its state.
const MOST_WITHOUT: usize = 1 << 16;
/// Stands among these services for those that there was no place for. No service has this key.
pub(super) const MANY_WITHOUT: Key = Key::new(u128::MAX);

/// How much smaller the sysUpTime of a problem may be than that of the clear that overtook it, in hundredths of a second.
/// A larger difference is a restart of the agent.
const BEHIND: u32 = 500;
/// The output for a service whose problem has another one now.
const MOVED: &str = "Reported under another name now";

/// What a service is known by whose problem was sent without state for want of room; others by their own key.
pub(super) fn for_want_of_room(service: u64) -> Key {
    Key::new((1 << 64) | u128::from(service))
}

/// What a service is known by whose problem ended while receivers know it, as one that has expired as `unknown`.
pub(super) fn left(service: u64) -> Key {
    Key::new((2 << 64) | u128::from(service))
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
        if told.state.is_good() {
            self.told_that_it_is_well(service, out);
        } else if is_tracked && known.is_none() {
            // It may have been held, or closed: what clears it must be sent.
            self.told_without(Key::new(service.into()), out);
            self.told_without(for_want_of_room(service), out);
        }
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

    /// A problem that is raised may be that of another service than before, as after a reload that names it otherwise. For the one that
    /// receivers know it by it is over, as nothing else ends it there.
    pub(super) fn change_service(&mut self, plan: &Plan, now: Now, facts: &Facts, out: &mut Effects) {
        let Some(at) = self.problems.find(facts.key) else { return };
        if self.problems.get(at).is_none_or(|problem| problem.service == facts.service.low()) {
            return;
        }
        self.fire_problem(plan, now, at, out);
        let Some(problem) = self.problems.get(at).filter(|problem| !overtaken(problem, now, facts)) else {
            return;
        };
        let told = problem.is_told();
        match self.kept_of(at).filter(|_| told) {
            Some(kept) => {
                let said = with_output(&kept, |_| MOVED.to_owned());
                if self.close(now, at, &said, out).is_none() {
                    self.send(now, at, (Payload::Later(&said), fit(State::Ok, problem.state())), out);
                }
            }
            None if told => self.drop_silently(at, out),
            None => self.keep(at, None),
        }
        self.unlist(at);
        let Some(problem) = self.problems.get_mut(at) else { return };
        let before = std::mem::replace(&mut problem.service, facts.service.low());
        if told {
            problem.set_sent(None);
        }
        // What a throttle keeps names the service of before.
        let throttled = problem.rare.as_mut().and_then(|rare| rare.throttled.take());
        let rule = problem.rule;
        self.account(rule, 0, 0, throttled.map_or(0, |bytes| bytes.len()));
        if let Some(presence) = &self.presence {
            presence.add(facts.service.low());
            presence.remove(before);
        }
        self.list(at);
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
