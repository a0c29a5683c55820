//! Messages that must come: which keys are known, and what happens if they do not.

use std::borrow::Cow;
use std::collections::HashSet;

use super::core::{BEAT, Core};
use super::decide::escalated;
use super::effects::{Effects, Kind, Now, Reason, Verdict};
use super::expectation::Expectation;
use super::key::{Facts, Key};
use super::moment::Moment;
use super::problem::{NEVER, Phase};
use super::send::{Payload, fit};
use super::texts::with_output;
use super::told::left;
use crate::outcome::codec;
use crate::outcome::name::Name;
use crate::outcome::result::{CheckResult, Common, Event, Outcome, State};
use crate::rules::deferred::Seen;
use crate::rules::plan::{Expect, Plan, When};

/// How far the wall clock may be from where timers believe it to be, in microseconds. A timer that is early is set again.
const STEP: i64 = 100_000;

/// The output when what was late comes.
const AGAIN: &str = "The messages come again";

impl Core {
    /// A message of a rule that expects messages. Whether it was late and its own outcome is to say that it has come.
    pub(super) fn expected(&mut self, plan: &Plan, now: Now, facts: &Facts, out: &mut Effects) -> bool {
        let rule = &plan.rules[facts.rule as usize];
        let (Some(expect), Some(text)) = (&rule.expect, &facts.expect) else { return false };
        let key = self.secret.expectation(rule.id, text);
        let at = match self.expectations.find(key) {
            Some(at) => at,
            None if expect.learn && self.has_room(facts.rule, text.len(), out) => {
                self.expect(plan, now, (facts.rule, key), text)
            }
            None => return false,
        };
        let Some(entry) = self.expectations.get_mut(at) else { return false };
        (entry.last, entry.seen, entry.count) = (now.engine, true, entry.count.saturating_add(1));
        let late = self.expectations.set_late(at, None);
        out.touched.push((Kind::Expectation, key));
        self.arm(plan, Kind::Expectation, at);
        let Some(late) = late else { return false };
        // What it makes of the message says it.
        let own = facts.key == late
            && rule.threshold.is_none()
            && if facts.state.is_good() { rule.clears } else { rule.hold.is_none() };
        if own {
            return true;
        }
        let has_ended = self.problems.find(late).is_none() && self.told_without.contains(&left(late.low()));
        if has_ended && self.worst_of(late.low()).is_none() {
            // It has expired, and receivers know that: until the last of those that are late has come.
            if self.expectations.late_with(late).is_none()
                && let (Some(entry), Some(expect)) = (self.expectations.get(at), &rule.expect)
            {
                let bytes = out.push(&with_output(&said(plan, now, entry, expect), |_| AGAIN.to_owned()));
                codec::set_state(bytes, fit(State::Ok, expect.state));
                self.told_that_it_is_well(late.low(), out);
            }
            return false;
        }
        if self.stays_late(plan, now, (late, true), out).is_none() {
            self.end_lateness(plan, now, late, Some(AGAIN), out);
        }
        false
    }

    /// Keeps a problem open as long as one of those whose messages are late with it has not come, and says so if receivers were told
    /// something else: that another one is late, which `came` says has come, or another state. None if there is no such problem.
    pub(super) fn stays_late(
        &mut self,
        plan: &Plan,
        now: Now,
        (problem, came): (Key, bool),
        out: &mut Effects,
    ) -> Option<Verdict> {
        let other = self.expectations.late_with(problem)?;
        let at = self.problems.find(problem)?;
        let rule = self.expectations.get(other)?.rule;
        let expects = plan.rules.get(rule as usize)?;
        let expect = expects.expect.as_deref()?;
        self.fire_problem(plan, now, at, out);
        let problem = self.problems.get(at).filter(|problem| problem.phase == Phase::Open);
        let is_known = problem.map(|problem| {
            let own = problem.rule == rule;
            let state = if own { escalated(&problem, expects, expect.state) } else { expect.state };
            problem.state() == state && problem.sent().is_none_or(|sent| sent == state)
        });
        let verdict = match is_known {
            None => None,
            Some(true) if !came => Some(out.swallow(Reason::StillOpen)),
            Some(_) => {
                let payload = said(plan, now, self.expectations.get(other)?, expect);
                self.adopt(at, rule);
                Some(self.open(plan, now, at, (Payload::Later(&payload), expect.state), out))
            }
        };
        self.settle(plan, at, out);
        verdict
    }

    /// Ends the problem of an expectation, with a word to the receivers or without.
    fn end_lateness(&mut self, plan: &Plan, now: Now, late: Key, said: Option<&str>, out: &mut Effects) {
        let Some(at) = self.problems.find(late) else { return };
        self.fire_problem(plan, now, at, out);
        let Some(problem) = self.problems.get(at).filter(|problem| problem.phase != Phase::Idle) else {
            return self.settle(plan, at, out);
        };
        let state = fit(State::Ok, problem.state());
        let kept = self.kept_of(at);
        match (said, kept) {
            (Some(said), Some(kept)) => {
                let said = with_output(&kept, |_| said.to_owned());
                if self.close(now, at, &said, out).is_none() {
                    self.send(now, at, (Payload::Later(&said), state), out);
                }
            }
            _ => self.drop_silently(at, out),
        }
        self.settle(plan, at, out);
    }

    /// Rules do not wait for keys any more: receivers keep what they know of each, that it is silent, unless others are late with its problem.
    pub(super) fn give_up(&mut self, plan: &Plan, now: Now, mut late: Vec<(Key, u32)>, out: &mut Effects) {
        late.sort_unstable();
        let mut stays = None;
        for (late, rule) in late {
            if stays == Some(late) {
                continue;
            }
            if self.stays_late(plan, now, (late, true), out).is_some() {
                stays = Some(late);
                continue;
            }
            let known = self.problems.find(late).and_then(|at| self.problems.get(at));
            // Another rule may have taken it over.
            if known.is_some_and(|problem| problem.rule == rule) {
                self.end_lateness(plan, now, late, None, out);
            }
        }
    }

    /// Adds an expectation.
    fn expect(&mut self, plan: &Plan, now: Now, (rule, key): (u32, Key), text: &str) -> u32 {
        let mut entry = Expectation::new(key, rule, text, now.engine);
        if let Some(expect) = &plan.rules[rule as usize].expect {
            entry.plan(expect, now.wall);
        }
        self.account(rule, 1, entry.bytes(), 0);
        if self.expectations.len() == 0 {
            (self.ahead, self.next_beat) = (now.wall - now.engine, (now.engine / BEAT + 1) * BEAT);
        }
        let at = self.expectations.insert(entry);
        self.arm(plan, Kind::Expectation, at);
        at
    }

    /// Has everything expected that rules name, and nothing that no rule expects any more.
    pub(super) fn expect_known(&mut self, plan: &Plan, now: Now, out: &mut Effects) {
        let (mut named, mut given_up) = (HashSet::new(), Vec::new());
        let touched = &mut out.touched;
        for (at, rule) in plan.rules.iter().enumerate() {
            for text in rule.expect.iter().flat_map(|expect| &expect.keys) {
                let key = self.secret.expectation(rule.id, text);
                named.insert(key);
                if self.expectations.find(key).is_none() {
                    self.expect(plan, now, (at as u32, key), text);
                    touched.push((Kind::Expectation, key));
                }
            }
        }
        for at in self.expectations.places() {
            let Some(entry) = self.expectations.get_mut(at) else { continue };
            let Some(expect) = &plan.rules[entry.rule as usize].expect else { continue };
            let before = entry.judged;
            if !expect.learn && !named.contains(&entry.key) {
                touched.push((Kind::Expectation, entry.key));
                let (rule, bytes) = (entry.rule, entry.bytes());
                given_up.extend(entry.late().map(|late| (late, rule)));
                self.expectations.remove(at);
                self.account(rule, -1, 0, bytes);
                continue;
            }
            if !entry.is_planned(expect) {
                entry.plan(expect, now.wall);
            }
            if entry.judged != before {
                touched.push((Kind::Expectation, entry.key));
            }
            self.arm(plan, Kind::Expectation, at);
        }
        self.give_up(plan, now, given_up, out);
    }

    /// The daemon did not run for some time: nobody could hear messages then, so it does not count. A time of day that was in it
    /// is not judged.
    pub(super) fn nobody_listened(&mut self, plan: &Plan, now: Now, time: i64) {
        for at in self.expectations.places() {
            let Some(entry) = self.expectations.get_mut(at) else { continue };
            entry.last = entry.last.saturating_add(time);
            let expect = plan.rules.get(entry.rule as usize).and_then(|rule| rule.expect.as_ref());
            if let Some(expect) = expect.filter(|_| entry.judged <= now.wall) {
                entry.seen = false;
                entry.plan(expect, now.wall);
            }
        }
    }

    /// Looks at the clocks, now and then: the wall clock may have been set. What is written says how late it is.
    pub(super) fn beat(&mut self, plan: &Plan, now: Now, out: &mut Effects) {
        if now.engine >= self.next_beat {
            self.next_beat = (now.engine / BEAT + 1) * BEAT;
            if let Some((_, entry)) = self.expectations.iter().next() {
                out.touched.push((Kind::Expectation, entry.key));
            }
        }
        let ahead = now.wall - now.engine;
        if (ahead - self.ahead).abs() < STEP {
            return;
        }
        self.ahead = ahead;
        for at in self.expectations.places() {
            if self.expectations.get(at).is_some_and(|entry| entry.judged != NEVER) {
                self.arm(plan, Kind::Expectation, at);
            }
        }
    }

    /// Forgets a key, or if its rule names it, waits for it anew.
    pub(super) fn forget_by_hand(&mut self, plan: &Plan, now: Now, at: u32, out: &mut Effects) {
        let Some(entry) = self.expectations.get_mut(at) else { return };
        out.touched.push((Kind::Expectation, entry.key));
        let expect = plan.rules.get(entry.rule as usize).and_then(|rule| rule.expect.as_deref());
        if expect.is_some_and(|expect| expect.keys.iter().any(|key| **key == *entry.text)) {
            entry.last = now.engine;
            self.expectations.set_late(at, None);
            return self.arm(plan, Kind::Expectation, at);
        }
        let (rule, bytes) = (entry.rule, entry.bytes());
        self.expectations.remove(at);
        self.account(rule, -1, 0, bytes);
    }

    /// An expectation may be late, or old.
    pub(super) fn fire_expectation(&mut self, plan: &Plan, now: Now, at: u32, out: &mut Effects) {
        let Some(entry) = self.expectations.get_mut(at) else { return };
        let Some(expect) = plan.rules[entry.rule as usize].expect.as_deref() else { return };
        let (key, rule) = (entry.key, entry.rule);
        if entry.forgotten(expect) <= now.engine {
            let (late, bytes) = (entry.late(), entry.bytes());
            self.expectations.remove(at);
            self.account(rule, -1, 0, bytes);
            out.touched.push((Kind::Expectation, key));
            return self.give_up(plan, now, late.map(|late| (late, rule)).into_iter().collect(), out);
        }
        self.ahead = now.wall - now.engine;
        let is_late = match expect.when {
            When::Every(_) => entry.deadline(expect, 0) <= now.engine,
            When::By(_) if entry.judged <= now.wall => {
                let missed = !std::mem::take(&mut entry.seen);
                entry.plan(expect, now.wall);
                out.touched.push((Kind::Expectation, key));
                missed && entry.late().is_none()
            }
            When::By(_) => false,
        };
        if is_late {
            self.late(plan, now, at, expect, out);
        }
        self.arm(plan, Kind::Expectation, at);
    }

    /// Raises the problem of an expectation that is late.
    fn late(&mut self, plan: &Plan, now: Now, at: u32, expect: &Expect, out: &mut Effects) {
        let Some(entry) = self.expectations.get(at) else { return };
        let (rule, key) = (entry.rule, entry.key);
        let payload = said(plan, now, entry, expect);
        // Whatever comes of it, it is late once.
        self.expectations.set_late(at, Some(key));
        let Some(outcome) = codec::decode(&payload) else { return };
        let service = self.secret.service(&outcome);
        let state = outcome.common().state;
        let facts = Facts {
            rule,
            key: service,
            service,
            host: if plan.has_wide_clears() { self.secret.host(outcome.host()) } else { 0 },
            count: service,
            bucket: service,
            state,
            event: expect.event,
            sender: None,
            expect: None,
        };
        self.expectations.set_late(at, Some(service));
        out.touched.push((Kind::Expectation, key));
        let Some(place) = self.place(plan, now, &facts, payload.len(), out) else {
            // Without room for state, rules have none.
            out.overflowed += 1;
            out.push(&payload);
            return;
        };
        self.fire_problem(plan, now, place, out);
        self.adopt(place, rule);
        if let Some(problem) = self.problems.get_mut(place) {
            problem.raised = Moment::at(now.engine);
            problem.raises = problem.raises.saturating_add(1);
        }
        self.open(plan, now, place, (Payload::Later(&payload), state), out);
        self.settle(plan, place, out);
    }
}

/// The outcome of an expectation that is late.
fn said(plan: &Plan, now: Now, entry: &Expectation, expect: &Expect) -> Vec<u8> {
    let seen = Seen {
        count: entry.count.into(),
        first: now.seconds_at(entry.first),
        last: now.seconds_at(entry.last),
        due: now.wall / 1_000_000,
    };
    let rule = &plan.rules[entry.rule as usize];
    let common = Common {
        time: now.wall,
        rule: Cow::Borrowed(&*rule.name),
        state: expect.state,
        output: Cow::Borrowed(""),
        long_output: Cow::Borrowed(""),
        source: Cow::Borrowed(""),
        labels: expect.labels.iter().map(|(n, v)| (Cow::Borrowed(&**n), Cow::Borrowed(&**v))).collect(),
    };
    let host = Name::new(&*entry.text);
    let mut outcome = if expect.event {
        Outcome::Event(Event { common, component: host, resource: None, fields: Vec::new() })
    } else {
        Outcome::CheckResult(CheckResult { common, host, service: None, perfdata: Cow::Borrowed("") })
    };
    // A name that cannot be rendered is the key, or the id of the rule.
    let render = |template, outcome: &Outcome<'_>| plan.render(template, outcome, seen, Some(&entry.text));
    let host = render(&expect.host, &outcome).ok().filter(|host| !host.trim().is_empty());
    if let (
        Outcome::CheckResult(CheckResult { host: place, .. })
        | Outcome::Event(Event { component: place, .. }),
        Some(host),
    ) = (&mut outcome, host)
    {
        *place = Name::new(host);
    }
    let service = expect.service.as_ref().map(|service| {
        let service = render(service, &outcome).ok().filter(|service| !service.trim().is_empty());
        Name::new(service.unwrap_or_else(|| rule.name.to_string()))
    });
    match &mut outcome {
        Outcome::CheckResult(check) => check.service = service,
        Outcome::Event(event) => event.resource = service,
    }
    let output = render(&expect.output, &outcome).unwrap_or_else(|error| format!("({error})"));
    outcome.common_mut().output = output.into();
    let mut bytes = Vec::new();
    codec::encode(&outcome, &mut bytes);
    bytes
}
