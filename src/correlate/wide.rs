//! Clears that are wider than a key: what an agent that has restarted, or a device that has cleared all its alarms, says of a
//! host.

use super::core::Core;
use super::effects::{Effects, Now};
use super::fire::rendered;
use super::key::Facts;
use super::problem::Phase;
use super::send::fit;
use crate::outcome::codec;
use crate::outcome::result::{Outcome, State};
use crate::rules::deferred::Seen;
use crate::rules::plan::{Plan, Wide};

impl Core {
    /// Closes the problems of a host that a rule clears beside its own. Of several problems of a service one outcome is sent.
    pub(super) fn clear_host(
        &mut self,
        plan: &Plan,
        now: Now,
        (facts, wide): (&Facts, &Wide),
        payload: &[u8],
        out: &mut Effects,
    ) {
        let Some(cause) = codec::decode(payload) else { return };
        let host = facts.host;
        let places: Vec<u32> = self.of_hosts.range((host, 0)..=(host, u32::MAX)).map(|(_, at)| *at).collect();
        let mut open = Vec::new();
        for at in places {
            // What is due by now comes before.
            self.fire_problem(plan, now, at, out);
            self.settle(plan, at, out);
            let Some(problem) = self.problems.get(at).filter(|problem| problem.key != facts.key) else {
                continue;
            };
            if !self.is_of(plan, wide, at, cause.host()) {
                continue;
            }
            match problem.phase {
                Phase::Idle => {}
                // Nobody was told of it.
                Phase::Held if !problem.is_told() => {
                    self.drop_silently(at, out);
                    self.settle(plan, at, out);
                }
                Phase::Held | Phase::Open | Phase::Flapping => {
                    open.push((problem.service, problem.rank(), at));
                }
            }
        }
        open.sort_unstable();
        let mut said = Vec::new();
        for (n, (service, rank, at)) in open.iter().enumerate() {
            if open.get(n + 1).is_some_and(|(next, ..)| next == service) {
                // Receivers know the worst one, which comes last.
                self.drop_silently(*at, out);
                self.settle(plan, *at, out);
            } else {
                said.push((rank.since, rank.key, *at));
            }
        }
        said.sort_unstable();
        for (_, _, at) in said {
            self.end_by(plan, now, at, wide, out);
            self.settle(plan, at, out);
        }
    }

    fn end_by(&mut self, plan: &Plan, now: Now, at: u32, wide: &Wide, out: &mut Effects) {
        let Some(problem) = self.problems.get(at) else { return };
        let seen = Seen {
            count: problem.raises.into(),
            first: now.seconds_at(problem.since.micros()),
            last: now.seconds_at(problem.raised.micros()),
            due: now.seconds_at(now.engine),
        };
        let state = fit(wide.state.unwrap_or(State::Ok), problem.state());
        let Some(kept) = self.take(at) else { return self.drop_silently(at, out) };
        let said = rendered(plan, &kept, &wide.output, seen);
        self.end_as(now, at, (&said, state), out);
    }

    /// Whether a problem is one of those of a host that are cleared.
    fn is_of(&self, plan: &Plan, wide: &Wide, at: u32, host: &str) -> bool {
        let Some(problem) = self.problems.get(at) else { return false };
        let Some(rule) = plan.rules.get(problem.rule as usize) else { return false };
        let of_rule = if wide.rules.is_empty() {
            // What does not come is not cleared by what the host says of itself.
            rule.expect.is_none()
        } else {
            wide.rules.iter().any(|glob| glob.matches(&rule.name))
        };
        // Hosts are found by hashes, which may meet.
        of_rule
            && self.kept_of(at).as_deref().and_then(codec::decode).is_some_and(|outcome| {
                outcome.host() == host
                    && wide
                        .service
                        .as_ref()
                        .is_none_or(|glob| outcome.service().is_some_and(|s| glob.matches(s)))
            })
    }

    /// Has a problem found by its host.
    pub(super) fn set_host(&mut self, at: u32, host: u32) {
        let place = at as usize;
        if host != 0 && self.hosts.len() <= place {
            self.hosts.resize(place + 1, 0);
        }
        let Some(known) = self.hosts.get_mut(place).filter(|known| **known != host) else { return };
        let before = std::mem::replace(known, host);
        self.of_hosts.remove(&(before, at));
        if host != 0 {
            self.of_hosts.insert((host, at));
        }
    }

    /// Has all problems found by their hosts, if the plan needs that, else none.
    pub(super) fn find_by_hosts(&mut self, plan: &Plan) {
        for at in self.problems.places() {
            let host = if plan.has_wide_clears() {
                let kept = self.kept_of(at);
                let kept = kept.as_deref().and_then(codec::decode);
                kept.as_ref().map(Outcome::host).map_or(0, |host| self.secret.host(host))
            } else {
                0
            };
            self.set_host(at, host);
        }
    }
}
