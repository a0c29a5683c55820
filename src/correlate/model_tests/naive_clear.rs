//! What clears do in the simple state, and messages that name another service than their problem.

use super::naive::{Naive, Phase, Story, swallowed, with_output};
use crate::correlate::{Facts, Key, Reason, Verdict};
use crate::outcome::codec;
use crate::outcome::result::{Outcome, State};
use crate::rules::plan::RulePlan;

/// An outcome with the names of another one.
pub(super) fn with_names(payload: &[u8], names: &[u8]) -> Vec<u8> {
    let (mut outcome, names) = (codec::decode(payload).unwrap(), codec::decode(names).unwrap());
    match (&mut outcome, names) {
        (Outcome::CheckResult(check), Outcome::CheckResult(names)) => {
            (check.host, check.service) = (names.host, names.service);
        }
        (Outcome::Event(event), Outcome::Event(names)) => {
            (event.component, event.resource) = (names.component, names.resource);
        }
        _ => unreachable!("problems are of one kind"),
    }
    let mut bytes = Vec::new();
    codec::encode(&outcome, &mut bytes);
    bytes
}

impl Story {
    /// An outcome under the names that the problem has.
    pub(super) fn as_known(&self, facts: &Facts, payload: &[u8]) -> Vec<u8> {
        let word = self.word.as_ref().filter(|_| self.service != facts.service.low());
        word.map_or_else(|| payload.to_vec(), |word| with_names(payload, word))
    }

    /// Takes the names of an outcome.
    pub(super) fn name(&mut self, facts: &Facts) {
        if self.service != facts.service.low() {
            self.service = facts.service.low();
            (self.sent, self.word, self.withheld) = (None, None, None);
        }
    }
}

impl Naive {
    /// For the service before it is over; else it goes on.
    pub(super) fn go_elsewhere(&mut self, key: Key, facts: &Facts, payload: &[u8]) {
        let before = self.problems[&key].clone();
        if before.is_told() {
            let names = codec::decode(payload).unwrap();
            let text = format!("Reported as {} of {} now", names.service().unwrap(), names.host());
            let said = with_output(before.word.as_ref().unwrap(), &text);
            if self.close(key, &said).is_none() {
                self.send(key, &said, State::Ok, true);
            }
        }
        let sent_at = self.problems[&key].sent_at;
        let story = self.problems.get_mut(&key).unwrap();
        *story = Story { sent_at, ..before };
        story.name(facts);
    }

    /// A clear that names another service.
    fn end_elsewhere(&mut self, rule: &RulePlan, facts: &Facts, payload: &[u8]) -> Verdict {
        let (key, service) = (facts.key, facts.service.low());
        let word = self.problems[&key].word.clone().filter(|_| self.problems[&key].is_told());
        let mut verdict = self.close(key, payload);
        match (verdict, word) {
            (None, Some(word)) => {
                let output = codec::decode(payload).unwrap().common().output.to_string();
                self.send(key, &with_output(&word, &output), State::Ok, true);
                verdict = Some(Verdict::Sent);
            }
            (Some(verdict), _) if !self.told.contains(&service) && !self.left.contains(&service) => {
                return verdict;
            }
            _ => {}
        }
        self.problems.get_mut(&key).unwrap().name(facts);
        if self.worst(service, None).is_some() {
            return verdict.unwrap_or(swallowed(Reason::StillOpen));
        }
        self.is_well(service);
        self.send_good(rule, facts, payload)
    }

    pub(super) fn clear(&mut self, rule: &RulePlan, facts: &Facts, payload: &[u8]) -> Verdict {
        let key = facts.key;
        let remembers =
            rule.tracked && (facts.sender.is_some() || rule.dedup.is_some() || rule.throttle.is_some());
        if remembers {
            self.place(facts);
        }
        if !self.problems.contains_key(&key) {
            if self.is_dropped(rule, facts) {
                return swallowed(Reason::Orphan);
            }
            if self.worst(facts.service.low(), None).is_some() {
                return swallowed(Reason::StillOpen);
            }
            self.is_well(facts.service.low());
            self.out.push(payload.to_vec());
            return Verdict::Sent;
        }
        self.happen(key);
        let story = self.problems.get_mut(&key).unwrap();
        let told = story.is_told();
        if story.phase == Phase::Idle {
            story.name(facts);
        }
        let story = &self.problems[&key];
        let verdict = match story.phase {
            Phase::Idle if !told && self.is_dropped(rule, facts) => swallowed(Reason::Orphan),
            Phase::Idle if self.worst_other(key).is_some() => swallowed(Reason::StillOpen),
            Phase::Idle => self.send_good(rule, facts, payload),
            Phase::Held
                if !told
                    && !self.told.contains(&facts.service.low())
                    && !self.left.contains(&facts.service.low()) =>
            {
                self.cancel(facts, payload)
            }
            Phase::Flapping => {
                let now = self.now.engine;
                let story = self.problems.get_mut(&key).unwrap();
                (story.word, story.last) = (Some(story.as_known(facts, payload)), now);
                swallowed(Reason::Flapping)
            }
            Phase::Open | Phase::Held if story.service != facts.service.low() => {
                self.end_elsewhere(rule, facts, payload)
            }
            Phase::Open | Phase::Held => match self.close(key, payload) {
                Some(verdict) => verdict,
                None => self.send_good(rule, facts, payload),
            },
        };
        if let (Some(sender), Some(story)) =
            (facts.sender.filter(|_| rule.tracked), self.problems.get_mut(&key))
        {
            story.cleared = Some((self.now.engine, sender));
        }
        self.forget(key);
        verdict
    }

    fn cancel(&mut self, facts: &Facts, payload: &[u8]) -> Verdict {
        let (now, plan) = (self.now.engine, self.plan.clone());
        let story = self.problems.get_mut(&facts.key).unwrap();
        (story.phase, story.raises) = (Phase::Idle, 0);
        let held = story.word.take();
        let Some((most, within)) = plan.rules[story.rule].hold.and_then(|hold| hold.flaps) else {
            return swallowed(Reason::Cancelled);
        };
        story.cancels.retain(|at| at + within > now);
        story.cancels.push(now);
        if story.cancels.len() < most as usize {
            return swallowed(Reason::Cancelled);
        }
        (story.phase, story.state) = (Phase::Flapping, State::Warning);
        (story.since, story.last) = (now, now);
        let held = held.unwrap_or_else(|| payload.to_vec());
        story.word = Some(with_names(payload, &held));
        let output = codec::decode(&held).unwrap().common().output.to_string();
        let said =
            format!("Flapping: {most} short problems within {} s; the last: {output}", within / 1_000_000);
        self.send_if_worst(facts.key, &with_output(&held, &said), State::Warning, false)
    }
}
