//! What becomes of a message.

use super::core::Core;
use super::count::{Bucket, Level};
use super::effects::{Effects, Kind, Now, Reason, Verdict};
use super::key::{Facts, Key};
use super::moment::{Exact, Moment};
use super::problem::{Phase, Problem, Rank};
use super::send::{Payload, fit, worse};
use super::told::{for_want_of_room, overtaken};
use crate::outcome::codec;
use crate::outcome::result::State;
use crate::rules::plan::{Orphan, Plan, RulePlan};

/// How many problems may wait for the end of one throttle.
const MAX_WAITING: usize = 256;

impl Core {
    /// Decides about one outcome, and counts it.
    pub(super) fn decide(
        &mut self,
        plan: &Plan,
        now: Now,
        facts: &Facts,
        payload: &[u8],
        out: &mut Effects,
    ) -> Verdict {
        let verdict = self.decide_alone(plan, now, facts, payload, out);
        let wide = plan.rules.get(facts.rule as usize).and_then(|rule| rule.wide.as_deref());
        if let Some(wide) = wide.filter(|_| verdict != Verdict::Swallowed(Reason::Threshold)) {
            self.clear_host(plan, now, (facts, wide), payload, out);
        }
        verdict
    }

    fn decide_alone(
        &mut self,
        plan: &Plan,
        now: Now,
        facts: &Facts,
        payload: &[u8],
        out: &mut Effects,
    ) -> Verdict {
        let Some(rule) = plan.rules.get(facts.rule as usize) else {
            out.push(payload);
            return Verdict::Sent;
        };
        let came = self.expected(plan, now, facts, out);
        let clears = facts.state.is_good() && rule.clears;
        if !rule.tracked {
            return self.untracked(plan, now, facts, (payload, clears), out);
        }
        if let Some(threshold) = &rule.threshold {
            match self.count(plan, now, facts, (threshold, payload), out) {
                Level::Below => return out.swallow(Reason::Threshold),
                Level::Reaches => {}
                Level::Above => {
                    if let Some(verdict) = self.goes_on(plan, now, (facts, threshold), payload, out) {
                        return verdict;
                    }
                }
            }
        }
        // Of a service with several keys it does not say that the others have come.
        if facts.state.is_good()
            && facts.expect.is_some()
            && let Some(verdict) = self.stays_late(plan, now, (facts.key, came), out)
        {
            return verdict;
        }
        if clears {
            return self.clear(plan, now, facts, payload, out);
        }
        let Some(at) = self.place(plan, now, facts, payload.len(), out) else {
            // Without room for state, rules have none.
            out.overflowed += 1;
            self.told_without(for_want_of_room(facts.service.low()), out);
            return self.untracked(plan, now, facts, (payload, false), out);
        };
        self.fire_problem(plan, now, at, out);
        let verdict = if facts.state.is_good() {
            self.send_good(plan, now, (at, facts), payload, out)
        } else {
            self.raise(plan, now, (at, facts), payload, out)
        };
        self.settle(plan, at, out);
        verdict
    }

    /// A rule without state: its outcomes only close the problems of others.
    fn untracked(
        &mut self,
        plan: &Plan,
        now: Now,
        facts: &Facts,
        (payload, clears): (&[u8], bool),
        out: &mut Effects,
    ) -> Verdict {
        if clears {
            return self.clear(plan, now, facts, payload, out);
        }
        if !facts.state.is_good() {
            self.is_not_well(facts.service.low(), out);
        }
        let Some(at) = self.problems.find(facts.key) else {
            // From now on it is what receivers know of the service.
            if let Some((_, worst)) = self.services.worst(&self.problems, facts.service.low())
                && let Some(problem) = self.problems.get_mut(worst)
            {
                problem.set_sent(Some(facts.state));
                out.touched.push((Kind::Problem, problem.key));
            } else if !facts.state.is_good() {
                self.told_without(Key::new(facts.service.low().into()), out);
            }
            out.push(payload);
            return Verdict::Sent;
        };
        self.fire_problem(plan, now, at, out);
        self.send(now, at, (Payload::Now(payload), facts.state), out);
        self.settle(plan, at, out);
        Verdict::Sent
    }

    /// The place of the problem of an outcome, if there is room for it.
    pub(super) fn place(
        &mut self,
        plan: &Plan,
        now: Now,
        facts: &Facts,
        bytes: usize,
        out: &mut Effects,
    ) -> Option<u32> {
        let known = self.problems.find_to_work_on(facts.key);
        let rule = &plan.rules[facts.rule as usize];
        let bytes = if rule.hold.is_some() || stores(rule) { bytes } else { 0 };
        let own = known.and_then(|at| self.problems.get(at)).filter(|problem| problem.rule == facts.rule);
        let (goes_on, needed) = match own {
            // Receivers would be told of it twice, and its clear would be taken for that of one that was not sent.
            Some(problem) if problem.phase != Phase::Idle => (true, (0, 0)),
            Some(_) => (false, (0, bytes)),
            None => (false, (1, bytes)),
        };
        if !goes_on && !self.has_room_for(facts.rule, needed, out) {
            // One that is there can go on, unless it would have to keep more.
            return known.filter(|_| bytes == 0);
        }
        if let Some(known) = known {
            if !self.is_elsewhere(known, facts) {
                self.set_host(known, facts.host);
            }
            return Some(known);
        }
        let problem = Problem::new(facts.key, facts.service.low(), facts.rule, facts.state, now.engine);
        let at = self.add_problem(problem, None)?;
        self.account(facts.rule, 1, 0, 0);
        self.set_host(at, facts.host);
        Some(at)
    }

    fn raise(
        &mut self,
        plan: &Plan,
        now: Now,
        (at, facts): (u32, &Facts),
        payload: &[u8],
        out: &mut Effects,
    ) -> Verdict {
        let Some(problem) = self.problems.get(at) else { return Verdict::Sent };
        if overtaken(&problem, now, facts) {
            return out.swallow(Reason::Reordered);
        }
        self.adopt(at, facts.rule);
        if problem.phase == Phase::Idle || (problem.phase == Phase::Held && !problem.is_told()) {
            self.name(at, facts);
        }
        let known = self.as_known(at, facts, payload);
        let known = &*known;
        let rule = &plan.rules[facts.rule as usize];
        let Some(problem) = self.problems.get_mut(at) else { return Verdict::Sent };
        problem.raised = Moment::at(now.engine);
        if rule.throttle.is_some() {
            problem.rare().bucket = Some(facts.bucket);
        }
        match (problem.phase, rule.hold) {
            (Phase::Flapping, _) => {
                self.keep(at, Some(known));
                out.swallow(Reason::Flapping)
            }
            (Phase::Held, Some(_)) => {
                problem.raises = problem.raises.saturating_add(1);
                self.keep(at, Some(known));
                out.swallow(Reason::Held)
            }
            (Phase::Idle, Some(_)) => {
                (problem.phase, problem.since, problem.raises) = (Phase::Held, Exact::at(now.engine), 1);
                self.keep(at, Some(payload));
                out.swallow(Reason::Held)
            }
            (phase, _) => {
                let before = if phase == Phase::Idle { 0 } else { problem.raises };
                problem.raises = before.saturating_add(1);
                self.open_as(plan, now, (at, Some(facts)), (Payload::Now(payload), facts.state), out)
            }
        }
    }

    /// Opens a problem whose message is counted, or goes on with one that is open.
    pub(super) fn open(
        &mut self,
        plan: &Plan,
        now: Now,
        at: u32,
        outcome: (Payload<'_>, State),
        out: &mut Effects,
    ) -> Verdict {
        self.open_as(plan, now, (at, None), outcome, out)
    }

    /// The same, for a message that may name another service than the one that the problem is known by.
    fn open_as(
        &mut self,
        plan: &Plan,
        now: Now,
        (at, facts): (u32, Option<&Facts>),
        (payload, state): (Payload<'_>, State),
        out: &mut Effects,
    ) -> Verdict {
        self.unlist(at);
        let Some(problem) = self.problems.get_mut(at) else { return Verdict::Sent };
        let elsewhere = facts.filter(|facts| facts.service.low() != problem.service);
        let rule = &plan.rules[problem.rule as usize];
        if problem.phase != Phase::Open {
            (problem.phase, problem.since, problem.steps) = (Phase::Open, Exact::at(now.engine), 0);
        }
        problem.count_steps(rule);
        let state = escalated(problem, rule, state);
        problem.set_state(state);
        let problem_rule = problem.rule;
        let repeated = in_window(problem, rule, now) && problem.sent() == Some(state);
        if repeated {
            problem.repeats = problem.repeats.saturating_add(1);
        }
        let throttled =
            rule.throttle.is_some().then(|| problem.rare.as_ref().and_then(|rare| rare.bucket)).flatten();
        let known = elsewhere.map(|facts| self.as_known(at, facts, payload.bytes()).into_owned());
        let known = known.as_deref().map_or(payload, Payload::Now);
        self.remember(at, stores(rule), known.bytes());
        let worst = match elsewhere {
            Some(facts) => self.worst_but(facts.service.low(), Some(at)),
            None => self.worst_other(at),
        };
        self.list(at);
        if repeated {
            return out.swallow(Reason::Duplicate);
        }
        let worst = worst.filter(|(worst, _)| worst.severity > state.severity());
        // What is withheld, like what is not sent again, stays where receivers know it.
        if let (Some(bucket), None) = (throttled, worst)
            && !self.passes(plan, now, (at, (problem_rule, bucket)), (known, state), out)
        {
            return out.swallow(Reason::Throttled);
        }
        if let Some(facts) = elsewhere {
            self.go_elsewhere(now, (at, facts), payload.bytes(), out);
            self.remember(at, stores(rule), payload.bytes());
        }
        if let Some((worst, other)) = worst {
            return self.give_way(now, at, (worst, other), out);
        }
        self.send(now, at, (payload, state), out);
        self.begin_window(at, rule, now);
        Verdict::Sent
    }

    /// A problem that is open is better now than the worst other one of its service. If receivers know it as it was, they are told of
    /// that one.
    fn give_way(&mut self, now: Now, at: u32, (worst, other): (Rank, u32), out: &mut Effects) -> Verdict {
        let known = self.problems.get(at).and_then(|problem| problem.sent());
        if known.is_none_or(|known| known.severity() <= worst.severity) {
            return out.swallow(Reason::Worse);
        }
        let (Some(said), Some(problem)) = (self.said(other), self.problems.get(other)) else {
            return out.swallow(Reason::Worse);
        };
        self.send(now, other, (Payload::Later(&said), problem.state()), out);
        out.touched.push((Kind::Problem, problem.key));
        if let Some(problem) = self.problems.get_mut(at) {
            problem.set_sent(None);
        }
        Verdict::Sent
    }

    /// Whether receivers know an open problem as one so severe, or are told of it when a window ends.
    fn is_told_of(&self, at: u32, severity: u8) -> bool {
        self.problems.get(at).is_some_and(|problem| {
            problem.sent().is_some_and(|sent| sent.severity() >= severity)
                || problem.rare.as_ref().is_some_and(|rare| rare.throttled.is_some())
        })
    }

    fn clear(&mut self, plan: &Plan, now: Now, facts: &Facts, payload: &[u8], out: &mut Effects) -> Verdict {
        let rule = &plan.rules[facts.rule as usize];
        let remembers =
            rule.tracked && (facts.sender.is_some() || rule.dedup.is_some() || rule.throttle.is_some());
        let known = self.problems.find(facts.key);
        let at = if remembers && known.is_none() { self.place(plan, now, facts, 0, out) } else { known };
        let Some(at) = at else { return self.orphan(rule, facts, payload, out) };
        self.fire_problem(plan, now, at, out);
        let (phase, told) =
            self.problems.get(at).map_or((Phase::Idle, false), |problem| (problem.phase, problem.is_told()));
        if phase == Phase::Idle {
            self.name(at, facts);
        }
        let service = facts.service.low();
        let verdict = match phase {
            Phase::Idle if !told && self.is_dropped(rule, facts) => out.swallow(Reason::Orphan),
            // Receivers would take it for the end of the others.
            Phase::Idle if self.worst_other(at).is_some() => out.swallow(Reason::StillOpen),
            Phase::Idle => self.send_good(plan, now, (at, facts), payload, out),
            Phase::Held if !told && !self.may_be_told(service) => {
                self.cancel(plan, now, (at, facts), payload, out)
            }
            Phase::Flapping => {
                let known = self.as_known(at, facts, payload).into_owned();
                self.keep(at, Some(&known));
                if let Some(problem) = self.problems.get_mut(at) {
                    problem.raised = Moment::at(now.engine);
                }
                out.swallow(Reason::Flapping)
            }
            // A rule without state, or without room for it, may have said what another one holds, or what was held later.
            Phase::Open | Phase::Held if self.is_elsewhere(at, facts) => {
                self.end_elsewhere(plan, now, (at, facts), payload, out)
            }
            Phase::Open | Phase::Held => match self.close(now, at, payload, out) {
                Some(verdict) => verdict,
                None => self.send_good(plan, now, (at, facts), payload, out),
            },
        };
        // Of this problem nobody was told: once is enough.
        let unasked = verdict == Verdict::Sent && !told && phase != Phase::Idle;
        if unasked && self.worst_of(service).is_none() {
            self.is_well(service, out);
        }
        if let (Some(sender), Some(problem)) =
            (facts.sender.filter(|_| rule.tracked), self.problems.get_mut(at))
        {
            problem.rare().cleared = Some((now.engine, sender));
        }
        self.settle(plan, at, out);
        verdict
    }

    /// Whether an ok outcome that closes nothing is swallowed. It may close what was sent without state, for want of room, or what
    /// receivers know of a problem that has ended.
    fn is_dropped(&self, rule: &RulePlan, facts: &Facts) -> bool {
        let drops = match rule.orphan {
            Some(orphan) => orphan == Orphan::Drop,
            None => facts.event && rule.explicit,
        };
        drops && !self.awaits_its_end(facts.service.low())
    }

    /// A clear without a problem.
    fn orphan(&mut self, rule: &RulePlan, facts: &Facts, payload: &[u8], out: &mut Effects) -> Verdict {
        if self.is_dropped(rule, facts) {
            return out.swallow(Reason::Orphan);
        }
        if self.worst_of(facts.service.low()).is_some() {
            return out.swallow(Reason::StillOpen);
        }
        self.told_that_it_is_well(facts.service.low(), out);
        out.push(payload);
        Verdict::Sent
    }

    /// The problem was over before it was sent.
    fn cancel(
        &mut self,
        plan: &Plan,
        now: Now,
        (at, facts): (u32, &Facts),
        payload: &[u8],
        out: &mut Effects,
    ) -> Verdict {
        let Some(problem) = self.problems.get_mut(at) else { return Verdict::Sent };
        let hold = plan.rules[problem.rule as usize].hold;
        problem.phase = Phase::Idle;
        problem.raises = 0;
        let Some((flaps, within)) = hold.and_then(|hold| hold.flaps) else {
            return self.cancelled(plan, now, (at, facts), payload, out);
        };
        let rare = problem.rare();
        rare.flaps.retain(|flap| flap + within > now.engine);
        rare.flaps.push(now.engine);
        if rare.flaps.len() < flaps as usize {
            return self.cancelled(plan, now, (at, facts), payload, out);
        }
        self.flap(now, (at, facts), (payload, flaps, within), out)
    }

    /// Nobody was told of a problem that is over. What a rule without state has told of its service may have passed by, and this may be all
    /// that takes it back.
    fn cancelled(
        &mut self,
        plan: &Plan,
        now: Now,
        (at, facts): (u32, &Facts),
        payload: &[u8],
        out: &mut Effects,
    ) -> Verdict {
        self.keep(at, None);
        let (rule, service) = (&plan.rules[facts.rule as usize], facts.service.low());
        let is_known = !self.may_have_passed_by(service) || self.worst_of(service).is_some();
        if is_known || self.is_dropped(rule, facts) {
            return out.swallow(Reason::Cancelled);
        }
        self.name(at, facts);
        self.send_good(plan, now, (at, facts), payload, out)
    }

    /// What closes an open problem besides the outcome that does: none if that outcome is to be sent.
    pub(super) fn close(&mut self, now: Now, at: u32, payload: &[u8], out: &mut Effects) -> Option<Verdict> {
        self.unlist(at);
        let problem = self.problems.get_mut(at)?;
        // Told once, whoever has to take it back from now on.
        let known = problem.sent().filter(|sent| !sent.is_good());
        if known.is_some() {
            problem.set_sent(None);
        }
        let was = known.unwrap_or(problem.state()).severity();
        problem.end();
        let throttled = problem.rare.as_mut().and_then(|rare| rare.throttled.take());
        if let Some(bytes) = &throttled {
            let rule = problem.rule;
            self.account(rule, 0, 0, bytes.len());
        }
        self.keep(at, None);
        if let Some((worst, other)) = self.worst_other(at) {
            if worst.severity > was && (known.is_none() || self.is_told_of(other, worst.severity)) {
                // What receivers know of the service is now for that one to take back.
                if let Some(other) = self.problems.get_mut(other).filter(|_| known.is_some())
                    && other.sent().is_none_or(State::is_good)
                {
                    other.set_sent(known);
                    out.touched.push((Kind::Problem, other.key));
                }
                return Some(out.swallow(Reason::StillOpen));
            }
            let state = self.problems.get(other)?.state();
            let kept = self.said(other);
            let bytes = kept.as_deref().unwrap_or(payload);
            if bytes.is_empty() {
                return Some(out.swallow(Reason::StillOpen));
            }
            self.send(now, other, (Payload::Later(bytes), state), out);
            out.touched.push((Kind::Problem, self.problems.get(other)?.key));
            return Some(Verdict::Sent);
        }
        if known.is_some() || throttled.is_none() {
            return None;
        }
        // Nobody was told of it: nobody needs to be told that it is over, unless they know of another one.
        let service = self.problems.get(at)?.service;
        let is_known = !self.may_be_told(service) && !self.may_have_passed_by(service);
        is_known.then(|| out.swallow(Reason::Throttled))
    }

    /// Sends an outcome that is ok, unless it is swallowed by the settings of its own rule.
    pub(super) fn send_good(
        &mut self,
        plan: &Plan,
        now: Now,
        (at, facts): (u32, &Facts),
        payload: &[u8],
        out: &mut Effects,
    ) -> Verdict {
        let rule = &plan.rules[facts.rule as usize];
        let Some(problem) = self.problems.get_mut(at) else { return Verdict::Sent };
        let repeated = problem.rule == facts.rule
            && in_window(problem, rule, now)
            && problem.sent() == Some(facts.state);
        if repeated {
            problem.repeats = problem.repeats.saturating_add(1);
            problem.raised = Moment::at(now.engine);
            return out.swallow(Reason::Duplicate);
        }
        // What is held or open goes on as it is: only its own outcome is kept, and only it has a window.
        let idle = rule.tracked && problem.phase == Phase::Idle;
        if idle {
            self.adopt(at, facts.rule);
        }
        if rule.throttle.is_some()
            && !self.passes(
                plan,
                now,
                (at, (facts.rule, facts.bucket)),
                (Payload::Now(payload), facts.state),
                out,
            )
        {
            return out.swallow(Reason::Throttled);
        }
        self.send(now, at, (Payload::Now(payload), facts.state), out);
        if idle {
            self.begin_window(at, rule, now);
            let keeps = rule.dedup.as_ref().is_some_and(|dedup| dedup.summary.is_some());
            self.keep(at, Some(payload).filter(|_| keeps));
        }
        Verdict::Sent
    }

    fn begin_window(&mut self, at: u32, rule: &RulePlan, now: Now) {
        if let (Some(problem), Some(_)) = (self.problems.get_mut(at), &rule.dedup) {
            (problem.window, problem.repeats) = (Moment::at(now.engine), 1);
        }
    }

    /// Whether the throttle of a rule lets an outcome pass. If not, it is kept to the end of the throttle's window.
    fn passes(
        &mut self,
        plan: &Plan,
        now: Now,
        (at, (rule, bucket)): (u32, (u32, Key)),
        (payload, state): (Payload<'_>, State),
        out: &mut Effects,
    ) -> bool {
        let Some(problem) = self.problems.get(at) else { return true };
        let (key, of_problem) = (problem.key, problem.rule);
        let Some(throttle) = plan.rules.get(rule as usize).and_then(|rule| rule.throttle.as_ref()) else {
            return true;
        };
        // Without room for its own bucket it shares one with all others that have none.
        let shared = Key::new(u128::from(plan.rules[rule as usize].id.0));
        for key in [bucket, shared] {
            let over = self.buckets.find(key).and_then(|place| Some((place, self.buckets.get(place)?.since)));
            if let Some((place, since)) = over.filter(|(_, since)| since + throttle.per <= now.engine) {
                self.end_bucket(plan, now, place, (since + throttle.per, false), out);
            }
        }
        let place = self.buckets.find(bucket).unwrap_or_else(|| {
            let bucket = if self.has_room(rule, 0, out) { bucket } else { shared };
            self.buckets.find(bucket).unwrap_or_else(|| {
                self.account(rule, 1, 0, 0);
                self.buckets.insert(Bucket::new(bucket, rule, now.engine))
            })
        });
        let Some(entry) = self.buckets.get_mut(place) else { return true };
        let full = entry.problems.len() >= MAX_WAITING && !entry.problems.contains(&key);
        let passes = entry.passed < throttle.count || full;
        if passes {
            entry.passed = entry.passed.saturating_add(1);
        } else {
            entry.swallowed = entry.swallowed.saturating_add(1);
            entry.problems.retain(|other| *other != key);
            entry.problems.push(key);
        }
        out.touched.push((Kind::Bucket, entry.key));
        self.arm(plan, Kind::Bucket, place);
        if passes {
            return true;
        }
        let mut bytes: Box<[u8]> = payload.bytes().into();
        codec::set_state(&mut bytes, state);
        let more = bytes.len();
        if let Some(problem) = self.problems.get_mut(at) {
            let less = problem.rare().throttled.replace(bytes).map_or(0, |before| before.len());
            self.account(of_problem, 0, more, less);
        }
        false
    }
}

/// Whether the outcomes of a rule's problems are kept while they are open, to be sent again.
pub(super) fn stores(rule: &RulePlan) -> bool {
    rule.explicit
        || !rule.escalate.is_empty()
        || rule.expire.is_some()
        || rule.remind.is_some()
        || rule.dedup.as_ref().is_some_and(|dedup| dedup.summary.is_some())
}

/// The state of a problem with the steps that it has taken.
pub(super) fn escalated(problem: &Problem, rule: &RulePlan, state: State) -> State {
    let taken = rule.escalate.iter().enumerate().filter(|(bit, _)| problem.steps & (1 << bit) != 0);
    taken.fold(state, |state, (_, step)| worse(state, fit(step.state, state)))
}

/// Whether a problem is in a window of `dedup`.
fn in_window(problem: &Problem, rule: &RulePlan, now: Now) -> bool {
    let window = rule.dedup.as_ref().map_or(0, |dedup| dedup.window);
    problem.window != Moment::NEVER && now.engine < problem.window.micros() + window
}
