//! What the simple state counts, and what happens to whole hosts.

use std::cmp::Ordering;

use super::naive::{Hits, Naive, Phase, Window, says_again, state_of, swallowed, with_output, worse};
use crate::correlate::{Facts, Key, Reason, Verdict};
use crate::language::template::Template;
use crate::outcome::codec;
use crate::outcome::result::{Outcome, State};
use crate::rules::deferred::{Deferred, Seen};
use crate::rules::plan::{RulePlan, StepAt, Threshold, Wide};

impl Naive {
    pub(super) fn reaches(&mut self, threshold: &Threshold, facts: &Facts, payload: &[u8]) -> Ordering {
        let now = self.now.engine;
        let none = Hits { rule: facts.rule as usize, times: Vec::new(), fired: None };
        let hits = self.hits.entry(facts.count).or_insert(none);
        let before = hits.times.iter().filter(|at| **at + threshold.within > now).count();
        hits.times.push(now);
        let level = (before + 1).cmp(&(threshold.count as usize));
        if level == Ordering::Equal && threshold.recover.is_some() {
            hits.fired = Some((facts.key, payload.to_vec()));
        }
        level
    }

    pub(super) fn is_well(&mut self, service: u64) {
        self.told.remove(&service);
        self.left.remove(&service);
    }

    /// A problem ends that receivers may know.
    pub(super) fn leave(&mut self, key: Key) {
        let story = &self.problems[&key];
        if story.is_told() {
            self.left.insert(story.service);
        }
    }

    /// One more message of a threshold that was reached before.
    pub(super) fn goes_on(
        &mut self,
        rule: &RulePlan,
        threshold: &Threshold,
        facts: &Facts,
        payload: &[u8],
    ) -> Option<Verdict> {
        let swallow = Some(swallowed(Reason::Threshold));
        if facts.state.is_good() {
            return swallow;
        }
        self.happen(facts.key);
        self.forget(facts.key);
        let now = self.now.engine;
        let Some(story) = self.problems.get_mut(&facts.key).filter(|story| story.phase != Phase::Idle) else {
            return swallow.filter(|_| threshold.is_of_several);
        };
        if story.rule != facts.rule as usize {
            let says_it = story.is_open() && story.state.severity() >= facts.state.severity();
            return swallow.filter(|_| threshold.is_of_several || says_it);
        }
        let payload = &*story.as_known(facts, payload);
        (story.last, story.raises) = (now, story.raises + 1);
        if story.phase != Phase::Open {
            story.word = Some(payload.to_vec());
            return swallow;
        }
        for (at, step) in rule.escalate.iter().enumerate() {
            if matches!(step.at, StepAt::Count(count) if story.raises >= count) {
                story.steps.insert(at);
            }
        }
        let before = story.state;
        let taken = story.steps.iter().filter_map(|at| rule.escalate.get(*at)).map(|step| step.state);
        story.state = taken.fold(before, worse);
        let state = story.state;
        if state == before {
            return swallow;
        }
        if says_again(rule) {
            story.word = Some(payload.to_vec());
        }
        Some(self.send_if_worst(facts.key, payload, state, false))
    }

    pub(super) fn passes(
        &mut self,
        key: Key,
        (rule, bucket): (usize, Key),
        payload: &[u8],
        state: State,
    ) -> bool {
        let (now, plan) = (self.now.engine, self.plan.clone());
        let Some(throttle) = &plan.rules[rule].throttle else { return true };
        if self.windows.get(&bucket).is_some_and(|window| window.since + throttle.per <= now) {
            self.end_window(bucket);
        }
        let none = Window { rule, since: now, passed: 0, withheld: Vec::new() };
        let window = self.windows.entry(bucket).or_insert(none);
        if window.passed < throttle.count {
            window.passed += 1;
            return true;
        }
        window.withheld.push(key);
        let mut bytes = payload.to_vec();
        codec::set_state(&mut bytes, state);
        self.problems.get_mut(&key).unwrap().withheld = Some(bytes);
        false
    }

    /// The window of a throttle ends.
    pub(super) fn end_window(&mut self, bucket: Key) {
        let plan = self.plan.clone();
        let window = self.windows.remove(&bucket).unwrap();
        let throttle = plan.rules[window.rule].throttle.as_ref();
        // Each problem once, where it was withheld last.
        let mut order: Vec<Key> = Vec::new();
        for key in window.withheld.iter().rev() {
            if !order.contains(key) {
                order.insert(0, *key);
            }
        }
        let last = order.last().copied();
        for key in order {
            let Some(story) = self.problems.get_mut(&key) else { continue };
            let (sent, raised) = (story.sent, story.last);
            let Some(word) = story.withheld.take() else { continue };
            let state = state_of(&word);
            let summary = throttle.and_then(|t| t.summary.as_ref()).filter(|_| last == Some(key));
            if let Some(summary) = summary {
                let seen = Seen {
                    count: window.withheld.len() as u64,
                    first: self.seconds(window.since),
                    last: self.seconds(raised),
                    due: self.seconds(window.since + throttle.map_or(0, |t| t.per)),
                };
                let said = self.rendered(&word, summary, seen);
                self.send_if_worst(key, &said, state, true);
            } else if sent != Some(state) {
                self.send_if_worst(key, &word, state, true);
            }
            self.forget(key);
        }
    }

    pub(super) fn seconds(&self, engine: i64) -> i64 {
        (self.now.wall - (self.now.engine - engine)) / 1_000_000
    }

    pub(super) fn rendered(&self, payload: &[u8], template: &Template<Deferred>, seen: Seen) -> Vec<u8> {
        let outcome = codec::decode(payload).unwrap();
        with_output(payload, &self.plan.render(template, &outcome, seen, None).unwrap())
    }

    pub(super) fn clear_host(&mut self, wide: &Wide, facts: &Facts, payload: &[u8]) {
        let cause = codec::decode(payload).unwrap();
        let is_of = |outcome: &Outcome<'_>| {
            outcome.host() == cause.host()
                && wide.service.as_ref().is_none_or(|glob| outcome.service().is_some_and(|s| glob.matches(s)))
        };
        let plan = self.plan.clone();
        // What is due comes before; places are those of a table there, so the order does not count.
        let mut keys = Vec::new();
        for key in self.problems.keys().copied().collect::<Vec<_>>() {
            let word = self.problems[&key].word.as_ref().and_then(|word| codec::decode(word));
            if word.is_some_and(|outcome| outcome.host() == cause.host()) || key == facts.key {
                self.happen(key);
                self.forget(key);
                keys.push(key);
            }
        }
        let mut open = Vec::new();
        for key in keys {
            let Some(story) = self.problems.get(&key).filter(|_| key != facts.key) else { continue };
            let rule = &plan.rules[story.rule];
            let of_rule = if wide.rules.is_empty() {
                rule.expect.is_none()
            } else {
                wide.rules.iter().any(|glob| glob.matches(&rule.name))
            };
            if !of_rule
                || !story.word.as_ref().and_then(|word| codec::decode(word)).as_ref().is_some_and(is_of)
            {
                continue;
            }
            match story.phase {
                Phase::Idle => {}
                Phase::Held if !story.is_told() => self.drop_silently(key),
                _ => open.push((story.service, story.state.severity(), story.since, key)),
            }
        }
        open.sort_unstable();
        let mut said = Vec::new();
        for (at, (service, _, since, key)) in open.iter().enumerate() {
            if open.get(at + 1).is_some_and(|next| next.0 == *service) {
                self.drop_silently(*key);
            } else {
                said.push((*since, *key));
            }
        }
        said.sort_unstable();
        for (_, key) in said {
            let story = &self.problems[&key];
            let seen = Seen {
                count: story.raises.into(),
                first: self.seconds(story.since),
                last: self.seconds(story.last),
                due: self.seconds(self.now.engine),
            };
            let state = wide.state.unwrap_or(State::Ok);
            let said = self.rendered(story.word.as_ref().unwrap(), &wide.output, seen);
            self.problems.get_mut(&key).unwrap().word = None;
            self.end_as(key, &said, state);
            self.forget(key);
        }
    }

    pub(super) fn drop_silently(&mut self, key: Key) {
        self.leave(key);
        let story = self.problems.get_mut(&key).unwrap();
        story.end();
        (story.word, story.withheld, story.bucket, story.cleared) = (None, None, None, None);
        story.cancels.clear();
        self.forget(key);
    }

    pub(super) fn end_as(&mut self, key: Key, said: &[u8], state: State) {
        let other = self.worst_other(key);
        if state.is_good() || other.is_some_and(|(_, other)| other >= state.severity()) {
            if self.close(key, said).is_none() {
                self.send(key, said, state, true);
            }
        } else {
            self.problems.get_mut(&key).unwrap().end();
            self.send(key, said, state, true);
            self.leave(key);
        }
    }
}
