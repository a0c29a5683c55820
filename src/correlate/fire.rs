//! What happens when time has passed.

use super::core::Core;
use super::decide::escalated;
use super::effects::{Effects, Kind, Now};
use super::moment::Moment;
use super::problem::{Due, OVERTAKEN, Phase, flaps_kept};
use super::send::{Payload, fit, worse};
use super::texts::{with_names, with_output};
use crate::language::template::Template;
use crate::outcome::codec;
use crate::outcome::result::State;
use crate::rules::deferred::{Deferred, Seen};
use crate::rules::plan::Plan;

impl Core {
    /// Has everything happen to a problem that is due.
    pub(super) fn fire_problem(&mut self, plan: &Plan, now: Now, at: u32, out: &mut Effects) {
        while let Some(problem) = self.problems.get(at) {
            let due = plan.rules.get(problem.rule as usize).and_then(|rule| problem.due(rule));
            let Some((_, what)) = due.filter(|(due, _)| *due <= now.engine) else { return };
            // After a restart a clear may be on its way.
            if now.engine < self.quiet_until && !matches!(what, Due::Window | Due::Forget) {
                return;
            }
            let before = Some(problem);
            self.fire_one(plan, now, (at, what), due.map_or(now.engine, |(due, _)| due), out);
            // Everything that is due changes the problem, so that it is not due again.
            if self.problems.get(at) == before {
                debug_assert!(false, "{what:?} is due and changes nothing");
                return;
            }
        }
    }

    fn fire_one(&mut self, plan: &Plan, now: Now, (at, what): (u32, Due), due: i64, out: &mut Effects) {
        match what {
            Due::Hold => {
                let Some(kept) = self.take(at) else { return self.end_hold(at) };
                let state = codec::state_of(&kept).unwrap_or(State::Unknown);
                self.open(plan, now, at, (Payload::Later(&kept), state), out);
            }
            Due::Quiet => self.quiet(plan, now, at, out),
            Due::Step(bit) => self.step(plan, now, at, bit, out),
            Due::Expire => self.expire(plan, now, at, due, out),
            Due::Remind => {
                let Some(problem) = self.problems.get_mut(at) else { return };
                problem.sent_at = Moment::at(now.engine);
                let state = problem.state();
                if let Some(kept) = self.said(at) {
                    self.send_if_worst(now, at, (Payload::Later(&kept), state), out);
                }
            }
            Due::Window => self.end_window(plan, now, at, due, out),
            Due::Forget => {
                let Some(problem) = self.problems.get_mut(at) else { return };
                let within = flaps_kept(&plan.rules[problem.rule as usize]);
                let rare = problem.rare();
                rare.cleared.take_if(|(cleared, _)| *cleared + OVERTAKEN <= now.engine);
                if rare.flaps.last().is_some_and(|last| last + within <= now.engine) {
                    rare.flaps.clear();
                }
                problem.tidy();
            }
        }
    }

    /// Takes the outcome that a problem keeps.
    pub(super) fn take(&mut self, at: u32) -> Option<Vec<u8>> {
        let kept = self.kept_of(at);
        self.keep(at, None);
        kept
    }

    /// A held problem without its outcome, which no state has that this program wrote.
    fn end_hold(&mut self, at: u32) {
        if let Some(problem) = self.problems.get_mut(at) {
            problem.phase = Phase::Idle;
        }
    }

    /// It came and went and is quiet now: what is true is sent.
    fn quiet(&mut self, plan: &Plan, now: Now, at: u32, out: &mut Effects) {
        let word = self.take(at);
        if let Some(rare) = self.problems.get_mut(at).and_then(|problem| problem.rare.as_mut()) {
            rare.flaps.clear();
        }
        let Some(word) = word else { return self.drop_silently(at, out) };
        let state = codec::state_of(&word).unwrap_or(State::Unknown);
        if state.is_good() {
            if self.close(now, at, &word, out).is_none() {
                self.send(now, at, (Payload::Later(&word), state), out);
            }
            return;
        }
        self.unlist(at);
        if let Some(problem) = self.problems.get_mut(at) {
            (problem.phase, problem.raises) = (Phase::Idle, 1);
        }
        self.open(plan, now, at, (Payload::Later(&word), state), out);
    }

    fn step(&mut self, plan: &Plan, now: Now, at: u32, bit: u8, out: &mut Effects) {
        self.unlist(at);
        let Some(problem) = self.problems.get_mut(at) else { return };
        problem.steps |= 1 << bit;
        let before = problem.state();
        let state = worse(before, escalated(problem, &plan.rules[problem.rule as usize], before));
        problem.set_state(state);
        let kept = self.said(at);
        self.list(at);
        if let (Some(kept), true) = (kept, state != before) {
            self.send_if_worst(now, at, (Payload::Later(&kept), state), out);
        }
    }

    fn expire(&mut self, plan: &Plan, now: Now, at: u32, due: i64, out: &mut Effects) {
        let Some(problem) = self.problems.get(at) else { return };
        let Some(expire) = plan.rules[problem.rule as usize].expire.as_ref() else { return };
        let seen = Seen {
            count: problem.raises.into(),
            first: now.seconds_at(problem.since.micros()),
            last: now.seconds_at(problem.raised.micros()),
            due: now.seconds_at(due),
        };
        let state = fit(expire.state, problem.state());
        // Whose names are too long to be kept, nobody can be told of.
        let Some(kept) = self.take(at) else { return self.drop_silently(at, out) };
        let said = rendered(plan, &kept, &expire.output, seen);
        self.end_as(now, at, (&said, state), out);
    }

    /// Ends an open problem with an outcome in a state, which need not be ok.
    pub(super) fn end_as(&mut self, now: Now, at: u32, (said, state): (&[u8], State), out: &mut Effects) {
        // Worse ones stay what is known; of better ones the one that ends is the news.
        self.unlist(at);
        let other = self.worst_other(at).map(|(worst, _)| worst.severity);
        if state.is_good() || other.is_some_and(|other| other >= state.severity()) {
            if self.close(now, at, said, out).is_none() {
                self.send(now, at, (Payload::Later(said), state), out);
            }
            return;
        }
        if let Some(problem) = self.problems.get_mut(at) {
            problem.end();
        }
        self.send(now, at, (Payload::Later(said), state), out);
        self.leave(at, out);
    }

    fn end_window(&mut self, plan: &Plan, now: Now, at: u32, due: i64, out: &mut Effects) {
        let Some(problem) = self.problems.get_mut(at) else { return };
        let (first, repeats) = (problem.window.micros(), problem.repeats);
        (problem.window, problem.repeats) = (Moment::NEVER, 0);
        let summary =
            plan.rules[problem.rule as usize].dedup.as_ref().and_then(|dedup| dedup.summary.as_ref());
        let (Some(summary), true) = (summary, repeats > 1) else { return };
        let seen = Seen {
            count: repeats.into(),
            first: now.seconds_at(first),
            last: now.seconds_at(problem.raised.micros()),
            due: now.seconds_at(due),
        };
        let state = problem.sent();
        let kept = self.kept_of(at);
        if let (Some(kept), Some(state)) = (kept, state) {
            let said = rendered(plan, &kept, summary, seen);
            self.send_if_worst(now, at, (Payload::Later(&said), state), out);
        }
        if let Some(problem) = self.problems.get(at)
            && problem.phase == Phase::Idle
        {
            self.keep(at, None);
        }
    }

    /// A threshold has recovered, or its messages are old.
    pub(super) fn fire_count(&mut self, plan: &Plan, now: Now, at: u32, out: &mut Effects) {
        let Some(count) = self.counts.get_mut(at) else { return };
        let rule = &plan.rules[count.rule as usize];
        if count.due(rule.threshold.as_ref()) > now.engine {
            return self.arm(plan, Kind::Count, at);
        }
        out.touched.push((Kind::Count, count.key));
        let Some(count) = self.counts.remove(at) else { return };
        self.account(count.rule, -1, 0, count.bytes());
        let Some(fired) = &count.fired else { return };
        let (Some(threshold), Some(place)) = (&rule.threshold, self.problems.find(fired.0)) else { return };
        self.fire_problem(plan, now, place, out);
        let problem = self.problems.get(place);
        // Another rule may have closed it or taken it over.
        let Some(problem) = problem.filter(|p| p.is_open() && p.rule == count.rule) else {
            return self.settle(plan, place, out);
        };
        let seen = Seen {
            count: count.total().into(),
            first: now.seconds_at(problem.since.micros()),
            last: now.seconds_at(count.last),
            due: now.seconds_at(count.due(Some(threshold))),
        };
        let like = problem.state();
        let state = threshold.recovery.state.map_or(fit(State::Ok, like), |state| fit(state, like));
        // Since then a message may have given it other names.
        let fired = self.kept_of(place).map_or_else(|| fired.1.to_vec(), |kept| with_names(&fired.1, &kept));
        let mut said = rendered(plan, &fired, &threshold.recovery.output, seen);
        codec::set_state(&mut said, state);
        if self.close(now, place, &said, out).is_none() {
            self.send(now, place, (Payload::Later(&said), state), out);
        }
        self.settle(plan, place, out);
    }

    /// The window of a throttle ends: what it swallowed last and is still true is sent.
    pub(super) fn fire_bucket(&mut self, plan: &Plan, now: Now, at: u32, out: &mut Effects) {
        let Some(bucket) = self.buckets.get(at) else { return };
        let throttle = plan.rules[bucket.rule as usize].throttle.as_ref();
        let due = bucket.since + throttle.map_or(0, |throttle| throttle.per);
        if due > now.engine {
            return self.arm(plan, Kind::Bucket, at);
        }
        self.end_bucket(plan, now, at, (due, false), out);
    }

    /// Ends the window of a throttle, which was due at a time. With `silent` what it swallowed is dropped.
    pub(super) fn end_bucket(
        &mut self,
        plan: &Plan,
        now: Now,
        at: u32,
        (due, silent): (i64, bool),
        out: &mut Effects,
    ) {
        let Some(bucket) = self.buckets.remove(at) else { return };
        let throttle = plan.rules[bucket.rule as usize].throttle.as_ref();
        self.account(bucket.rule, -1, 0, 0);
        out.touched.push((Kind::Bucket, bucket.key));
        let summary = throttle.and_then(|throttle| throttle.summary.as_ref());
        for key in &bucket.problems {
            let Some(place) = self.problems.find(*key) else { continue };
            let Some(problem) = self.problems.get_mut(place) else { continue };
            let (rule, sent, raised) = (problem.rule, problem.sent(), problem.raised.micros());
            let Some(word) = problem.rare.as_mut().and_then(|rare| rare.throttled.take()) else { continue };
            self.account(rule, 0, 0, word.len());
            let state = codec::state_of(&word).unwrap_or(State::Unknown);
            let summary = summary.filter(|_| bucket.problems.last() == Some(key));
            if silent {
                // Receivers keep what they know.
            } else if let Some(summary) = summary {
                let seen = Seen {
                    count: bucket.swallowed.into(),
                    first: now.seconds_at(bucket.since),
                    last: now.seconds_at(raised),
                    due: now.seconds_at(due),
                };
                let said = rendered(plan, &word, summary, seen);
                self.send_if_worst(now, place, (Payload::Later(&said), state), out);
            } else if sent != Some(state) {
                self.send_if_worst(now, place, (Payload::Later(&word), state), out);
            }
            self.settle(plan, place, out);
        }
    }
}

/// An outcome whose output is a template that is rendered now. If it cannot be, the error stands in its place.
pub(super) fn rendered(plan: &Plan, payload: &[u8], template: &Template<Deferred>, seen: Seen) -> Vec<u8> {
    let Some(outcome) = codec::decode(payload) else { return payload.to_vec() };
    let text = plan.render(template, &outcome, seen, None).unwrap_or_else(|error| format!("({error})"));
    with_output(payload, |_| text)
}
