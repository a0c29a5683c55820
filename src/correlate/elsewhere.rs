//! Problems whose messages name several services: receivers are told of it for one at a time.

use std::borrow::Cow;

use super::core::Core;
use super::effects::{Effects, Now, Reason, Verdict};
use super::key::Facts;
use super::send::{Payload, fit};
use super::texts::{with_names, with_output};
use crate::outcome::codec;
use crate::outcome::result::{Outcome, State};
use crate::rules::plan::Plan;

impl Core {
    /// Whether an outcome names another service than the one that its problem is known by.
    pub(super) fn is_elsewhere(&self, at: u32, facts: &Facts) -> bool {
        self.problems.get(at).is_some_and(|problem| problem.service != facts.service.low())
    }

    /// An outcome of a problem with the names that the problem is known by: what is kept of it always has these.
    pub(super) fn as_known<'p>(&self, at: u32, facts: &Facts, payload: &'p [u8]) -> Cow<'p, [u8]> {
        let kept = self.is_elsewhere(at, facts).then(|| self.kept_of(at)).flatten();
        kept.map_or(Cow::Borrowed(payload), |kept| Cow::Owned(with_names(payload, &kept)))
    }

    /// A problem that receivers were not told of has the names of an outcome from now on.
    pub(super) fn name(&mut self, at: u32, facts: &Facts) {
        if !self.is_elsewhere(at, facts) {
            return;
        }
        self.unlist(at);
        let Some(problem) = self.problems.get_mut(at) else { return };
        problem.set_sent(None);
        let before = std::mem::replace(&mut problem.service, facts.service.low());
        let stale = problem.rare.as_mut().and_then(|rare| rare.throttled.take());
        let rule = problem.rule;
        self.account(rule, 0, 0, stale.map_or(0, |stale| stale.len()));
        if let Some(presence) = &self.presence {
            presence.remove(before);
            presence.add(facts.service.low());
        }
        self.keep(at, None);
        self.set_host(at, facts.host);
        self.list(at);
    }

    /// An open problem has the names of a message from now on: for its service before, it is over.
    pub(super) fn go_elsewhere(
        &mut self,
        now: Now,
        (at, facts): (u32, &Facts),
        payload: &[u8],
        out: &mut Effects,
    ) {
        let Some(before) = self.problems.get(at) else { return };
        if before.is_told() {
            match self.kept_of(at) {
                Some(kept) => {
                    let said = with_output(&kept, |_| now_known_as(payload));
                    if self.close(now, at, &said, out).is_none() {
                        self.send(now, at, (Payload::Later(&said), fit(State::Ok, before.state())), out);
                    }
                }
                // Whose names are too long to be kept, nobody can be told of.
                None => self.leave(at, out),
            }
        }
        self.unlist(at);
        if let Some(problem) = self.problems.get_mut(at) {
            (problem.phase, problem.window, problem.repeats) = (before.phase, before.window, before.repeats);
            (problem.raises, problem.steps) = (before.raises, before.steps);
        }
        self.name(at, facts);
    }

    /// A problem has ended with an outcome that names another service: the one that receivers know it by hears of it, and the one that is
    /// named, if that has no problem.
    pub(super) fn end_elsewhere(
        &mut self,
        plan: &Plan,
        now: Now,
        (at, facts): (u32, &Facts),
        payload: &[u8],
        out: &mut Effects,
    ) -> Verdict {
        let service = facts.service.low();
        let Some(problem) = self.problems.get(at) else { return Verdict::Sent };
        let kept = self.kept_of(at);
        if kept.is_none() {
            self.leave(at, out);
        }
        let mut verdict = self.close(now, at, payload, out);
        if let (None, Some(kept)) = (verdict, kept.filter(|_| problem.is_told())) {
            let output = codec::decode(payload).map(|outcome| outcome.common().output.to_string());
            let said = with_output(&kept, |_| output.unwrap_or_default());
            let state = fit(State::Ok, problem.state());
            self.send(now, at, (Payload::Later(&said), state), out);
            verdict = Some(Verdict::Sent);
        } else if let Some(verdict) = verdict.filter(|_| !self.may_be_told(service)) {
            return verdict;
        }
        self.name(at, facts);
        if self.worst_of(service).is_some() {
            return verdict.unwrap_or_else(|| out.swallow(Reason::StillOpen));
        }
        self.told_that_it_is_well(service, out);
        self.send_good(plan, now, (at, facts), payload, out)
    }
}

/// What is said of a problem where it was before.
fn now_known_as(payload: &[u8]) -> String {
    let names = codec::decode(payload);
    let host = names.as_ref().map_or("", Outcome::host);
    match names.as_ref().and_then(Outcome::service) {
        Some(service) => format!("Reported as {service} of {host} now"),
        None => format!("Reported as {host} now"),
    }
}
