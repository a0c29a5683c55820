//! What messages count towards a threshold, and what those beyond it are for.

use super::core::Core;
use super::count::{Count, Level};
use super::decide::{escalated, stores};
use super::effects::{Effects, Kind, Now, Reason, Verdict};
use super::key::Facts;
use super::moment::Moment;
use super::problem::{Phase, Problem};
use super::send::{Payload, worse};
use crate::rules::plan::{Plan, Threshold};

/// Among how many entries the one is chosen that makes room for another.
const CHOICE: u32 = 16;

impl Core {
    /// Counts a message for a threshold.
    pub(super) fn count(
        &mut self,
        plan: &Plan,
        now: Now,
        facts: &Facts,
        (threshold, payload): (&Threshold, &[u8]),
        out: &mut Effects,
    ) -> Level {
        let known = self.counts.find(facts.count);
        let at = known.unwrap_or_else(|| {
            if !self.has_room(facts.rule, 0, out) {
                self.give_up_a_count(facts.rule, out);
                out.overflowed += 1;
            }
            self.account(facts.rule, 1, 0, 0);
            self.counts.insert(Count::new(facts.count, facts.rule, now.engine))
        });
        let Some(count) = self.counts.get_mut(at) else { return Level::Reaches };
        let (before, level) = (count.bytes(), count.hit(threshold, now.engine));
        if level == Level::Reaches && threshold.recover.is_some() {
            count.fired = Some(Box::new((facts.key, payload.into())));
        }
        let after = count.bytes();
        self.account(facts.rule, 0, after, before);
        out.touched.push((Kind::Count, facts.count));
        self.arm(plan, Kind::Count, at);
        level
    }

    /// Makes room: of some counts of a rule the lowest goes, among equals the oldest.
    fn give_up_a_count(&mut self, rule: u32, out: &mut Effects) {
        let places = self.counts.capacity();
        let mut victim: Option<(u32, i64, u32)> = None;
        let mut seen = 0;
        for _ in 0..CHOICE * 16 {
            if seen == CHOICE || places == 0 {
                break;
            }
            self.dice ^= self.dice << 13;
            self.dice ^= self.dice >> 7;
            self.dice ^= self.dice << 17;
            let at = (self.dice % u64::from(places)) as u32;
            if let Some(count) = self.counts.get(at).filter(|count| count.rule == rule) {
                seen += 1;
                let worth = (count.total(), count.last, at);
                victim = Some(victim.map_or(worth, |victim| victim.min(worth)));
            }
        }
        if let Some(count) = victim.and_then(|(_, _, at)| self.counts.remove(at)) {
            self.account(rule, -1, 0, count.bytes());
            out.touched.push((Kind::Count, count.key));
        }
    }

    /// A message of a threshold that was reached before: the problem goes on, so it has one more message. None if it was ended
    /// meanwhile, and this message raises it again.
    pub(super) fn goes_on(
        &mut self,
        plan: &Plan,
        now: Now,
        (facts, threshold): (&Facts, &Threshold),
        payload: &[u8],
        out: &mut Effects,
    ) -> Option<Verdict> {
        if facts.state.is_good() {
            return Some(out.swallow(Reason::Threshold));
        }
        if let Some(at) = self.problems.find(facts.key) {
            self.fire_problem(plan, now, at, out);
            let goes_on = |problem: Problem| problem.rule == facts.rule && problem.phase != Phase::Idle;
            if self.problems.get(at).is_some_and(goes_on) {
                let verdict = self.one_more(plan, now, (at, facts), payload, out);
                self.settle(plan, at, out);
                return Some(verdict);
            }
            self.settle(plan, at, out);
        }
        let known = self.problems.find(facts.key).and_then(|at| self.problems.get(at));
        // A milder one of another rule says less than this message, and one that is held says nothing.
        let says_it = |problem: Problem| problem.state().severity() >= facts.state.severity();
        let is_of_others = known.filter(Problem::is_open).is_some_and(says_it);
        // Of several problems that are counted together one is raised. Where there was no room for the problem, nobody knows whether
        // it was ended.
        let stays = threshold.is_of_several || is_of_others || self.lacked_room(facts.service.low());
        stays.then(|| out.swallow(Reason::Threshold))
    }

    /// One more message of a problem that goes on, of which nothing is sent unless its number is that of a step.
    fn one_more(
        &mut self,
        plan: &Plan,
        now: Now,
        (at, facts): (u32, &Facts),
        payload: &[u8],
        out: &mut Effects,
    ) -> Verdict {
        let rule = &plan.rules[facts.rule as usize];
        let payload = self.as_known(at, facts, payload);
        let payload = &*payload;
        self.unlist(at);
        let Some(problem) = self.problems.get_mut(at) else { return out.swallow(Reason::Threshold) };
        problem.raised = Moment::at(now.engine);
        problem.raises = problem.raises.saturating_add(1);
        if problem.phase != Phase::Open {
            self.list(at);
            self.keep(at, Some(payload));
            return out.swallow(Reason::Threshold);
        }
        let before = problem.state();
        problem.count_steps(rule);
        let state = worse(before, escalated(problem, rule, before));
        problem.set_state(state);
        self.list(at);
        if state == before {
            return out.swallow(Reason::Threshold);
        }
        self.remember(at, stores(rule), payload);
        self.send_if_worst(now, at, (Payload::Now(payload), state), out)
    }
}
