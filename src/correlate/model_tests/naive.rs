//! The state once more, as simply as it can be said, for tests: plain maps that are looked through from the beginning for each
//! question, no timers, no hashes of services, no limits, and nothing that is written and read back.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::correlate::key::Sender;
use crate::correlate::{Facts, Key, Now, Reason, Secret, Verdict};
use crate::outcome::codec;
use crate::outcome::result::State;
use crate::rules::plan::{Orphan, Plan, RulePlan, StepAt};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Held,
    Open,
    Flapping,
}

/// What is due of a problem; among what is due at one time the first one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Hold,
    Quiet,
    Step(usize),
    Expire,
    Remind,
    Window,
    Forget,
}

/// One problem.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) service: u64,
    pub(super) rule: usize,
    pub(super) phase: Phase,
    pub(super) since: i64,
    pub(super) state: State,
    pub(super) raises: u32,
    pub(super) last: i64,
    pub(super) sent: Option<State>,
    pub(super) sent_at: i64,
    pub(super) window: Option<i64>,
    pub(super) repeats: u32,
    pub(super) steps: BTreeSet<usize>,
    /// The outcome that can be sent again.
    pub(super) word: Option<Vec<u8>>,
    pub(super) withheld: Option<Vec<u8>>,
    pub(super) bucket: Option<Key>,
    pub(super) cancels: Vec<i64>,
    pub(super) cleared: Option<(i64, Sender)>,
}

/// What a threshold has counted.
#[derive(Debug, Clone)]
pub(super) struct Hits {
    pub(super) rule: usize,
    /// All, since the last recovery.
    pub(super) times: Vec<i64>,
    pub(super) fired: Option<(Key, Vec<u8>)>,
}

/// A window of a throttle.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) rule: usize,
    pub(super) since: i64,
    pub(super) passed: u32,
    pub(super) withheld: Vec<Key>,
}

/// What must come.
#[derive(Debug, Clone)]
pub(super) struct Awaited {
    pub(super) rule: usize,
    pub(super) text: String,
    pub(super) count: u32,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) judged: Option<i64>,
    pub(super) seen: bool,
    pub(super) late: Option<Key>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Naive {
    pub(super) plan: Arc<Plan>,
    pub(super) secret: Secret,
    pub(super) now: Now,
    pub(super) quiet_until: i64,
    pub(super) ahead: i64,
    pub(super) problems: BTreeMap<Key, Story>,
    pub(super) hits: BTreeMap<Key, Hits>,
    pub(super) windows: BTreeMap<Key, Window>,
    pub(super) awaited: BTreeMap<Key, Awaited>,
    /// Services that receivers were told a problem of that is not here.
    pub(super) told: BTreeSet<u64>,
    /// Those whose problem has ended while receivers know it.
    pub(super) left: BTreeSet<u64>,
    /// What was sent.
    pub(super) out: Vec<Vec<u8>>,
}

pub(super) fn swallowed(reason: Reason) -> Verdict {
    Verdict::Swallowed(reason)
}

/// A state of a service, as all are here.
pub(super) fn worse(a: State, b: State) -> State {
    if b.severity() > a.severity() { b } else { a }
}

pub(super) fn state_of(payload: &[u8]) -> State {
    codec::decode(payload).unwrap().common().state
}

pub(super) fn with_output(payload: &[u8], text: &str) -> Vec<u8> {
    let mut outcome = codec::decode(payload).unwrap();
    outcome.common_mut().output = Cow::Owned(text.to_owned());
    let mut bytes = Vec::new();
    codec::encode(&outcome, &mut bytes);
    bytes
}

/// Whether a rule sends the outcomes of its problems again.
pub(super) fn says_again(rule: &RulePlan) -> bool {
    let summary = rule.dedup.as_ref().is_some_and(|dedup| dedup.summary.is_some());
    rule.explicit || summary || rule.expire.is_some() || rule.remind.is_some() || !rule.escalate.is_empty()
}

impl Story {
    fn is_in_window(&self, rule: &RulePlan, now: i64) -> bool {
        let window = rule.dedup.as_ref().map_or(0, |dedup| dedup.window);
        self.window.is_some_and(|since| now < since + window)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Flapping)
    }

    pub(super) fn is_told(&self) -> bool {
        self.sent.is_some_and(|sent| !sent.is_good())
    }

    pub(super) fn end(&mut self) {
        (self.phase, self.window, self.repeats, self.raises) = (Phase::Idle, None, 0, 0);
        self.steps.clear();
    }
}

impl Naive {
    pub(super) fn new(plan: Arc<Plan>, secret: Secret, now: Now) -> Self {
        let mut naive = Naive {
            plan,
            secret,
            now,
            quiet_until: i64::MIN,
            ahead: now.wall - now.engine,
            problems: BTreeMap::new(),
            hits: BTreeMap::new(),
            windows: BTreeMap::new(),
            awaited: BTreeMap::new(),
            told: BTreeSet::new(),
            left: BTreeSet::new(),
            out: Vec::new(),
        };
        naive.expect_known();
        naive
    }

    /// Whether an ok outcome of a rule that clears nothing is swallowed.
    pub(super) fn is_dropped(&self, rule: &RulePlan, facts: &Facts) -> bool {
        !self.left.contains(&facts.service.low())
            && rule.orphan.map_or(facts.event && rule.explicit, |orphan| orphan == Orphan::Drop)
    }

    pub(super) fn decide(&mut self, now: Now, facts: &Facts, payload: &[u8]) -> Verdict {
        self.now = now;
        let plan = self.plan.clone();
        let rule = &plan.rules[facts.rule as usize];
        let verdict = self.decide_alone(rule, facts, payload);
        if let Some(wide) = rule.wide.as_ref().filter(|_| verdict != swallowed(Reason::Threshold)) {
            self.clear_host(wide, facts, payload);
        }
        verdict
    }

    fn decide_alone(&mut self, rule: &RulePlan, facts: &Facts, payload: &[u8]) -> Verdict {
        let came = self.heard(rule, facts);
        if let Some(threshold) = &rule.threshold {
            match self.reaches(threshold, facts, payload) {
                Ordering::Less => return swallowed(Reason::Threshold),
                Ordering::Equal => {}
                Ordering::Greater => {
                    if let Some(verdict) = self.goes_on(rule, threshold, facts, payload) {
                        return verdict;
                    }
                }
            }
        }
        if facts.state.is_good()
            && rule.expect.is_some()
            && let Some(verdict) = self.stays_late(facts.key, came)
        {
            return verdict;
        }
        if facts.state.is_good() && rule.clears {
            return self.clear(rule, facts, payload);
        }
        if !rule.tracked {
            return self.without_state(facts, payload);
        }
        self.place(facts);
        self.happen(facts.key);
        let verdict = if facts.state.is_good() {
            self.send_good(rule, facts, payload)
        } else {
            self.raise(rule, facts, payload)
        };
        self.forget(facts.key);
        verdict
    }

    fn without_state(&mut self, facts: &Facts, payload: &[u8]) -> Verdict {
        if self.problems.contains_key(&facts.key) {
            self.happen(facts.key);
            self.send(facts.key, payload, facts.state, false);
            self.forget(facts.key);
            return Verdict::Sent;
        }
        let worst = self.worst(facts.service.low(), None).filter(|key| key.low() != facts.service.low());
        if let Some(worst) = worst {
            self.problems.get_mut(&worst).unwrap().sent = Some(facts.state);
        } else if !facts.state.is_good() {
            self.told.insert(facts.service.low());
        }
        self.out.push(payload.to_vec());
        Verdict::Sent
    }

    pub(super) fn place(&mut self, facts: &Facts) {
        let now = self.now.engine;
        self.problems.entry(facts.key).or_insert_with(|| Story {
            service: facts.service.low(),
            rule: facts.rule as usize,
            phase: Phase::Idle,
            since: now,
            state: facts.state,
            raises: 0,
            last: now,
            sent: None,
            sent_at: now,
            window: None,
            repeats: 0,
            steps: BTreeSet::new(),
            word: None,
            withheld: None,
            bucket: None,
            cancels: Vec::new(),
            cleared: None,
        });
    }

    /// What nothing is left of is as if it had never been.
    pub(super) fn forget(&mut self, key: Key) {
        let Some(story) = self.problems.get_mut(&key) else { return };
        if story.phase == Phase::Idle && story.withheld.is_none() {
            story.bucket = None;
        }
        if story.phase == Phase::Idle
            && story.window.is_none()
            && story.withheld.is_none()
            && story.bucket.is_none()
            && story.cancels.is_empty()
            && story.cleared.is_none()
        {
            self.problems.remove(&key);
        }
    }

    /// The worst open problem of a service; among equals the one that opened last.
    pub(super) fn worst(&self, service: u64, but: Option<Key>) -> Option<Key> {
        let open = self
            .problems
            .iter()
            .filter(|(key, story)| story.is_open() && story.service == service && Some(**key) != but);
        open.max_by_key(|(key, story)| (story.state.severity(), story.since, **key)).map(|(key, _)| *key)
    }

    pub(super) fn worst_other(&self, key: Key) -> Option<(Key, u8)> {
        let other = self.worst(self.problems[&key].service, Some(key))?;
        Some((other, self.problems[&other].state.severity()))
    }

    pub(super) fn adopt(&mut self, key: Key, rule: usize) {
        let story = self.problems.get_mut(&key).unwrap();
        if story.rule != rule {
            (story.rule, story.window, story.bucket) = (rule, None, None);
            story.steps.clear();
        }
    }

    fn raise(&mut self, rule: &RulePlan, facts: &Facts, payload: &[u8]) -> Verdict {
        let (now, key) = (self.now.engine, facts.key);
        if self.is_overtaken(facts) {
            return swallowed(Reason::Reordered);
        }
        self.adopt(key, facts.rule as usize);
        let story = self.problems.get_mut(&key).unwrap();
        if story.phase == Phase::Idle || (story.phase == Phase::Held && !story.is_told()) {
            story.name(facts);
        }
        let known = story.as_known(facts, payload);
        story.last = now;
        if rule.throttle.is_some() {
            story.bucket = Some(facts.bucket);
        }
        if story.phase == Phase::Flapping {
            story.word = Some(known);
            return swallowed(Reason::Flapping);
        }
        if rule.hold.is_some() && story.phase != Phase::Open {
            if story.phase == Phase::Idle {
                (story.phase, story.since, story.raises) = (Phase::Held, now, 0);
            }
            story.raises += 1;
            story.word = Some(known);
            return swallowed(Reason::Held);
        }
        story.raises = if story.phase == Phase::Idle { 1 } else { story.raises + 1 };
        self.open_as(key, Some(facts), payload, facts.state, false)
    }

    pub(super) fn open(&mut self, key: Key, payload: &[u8], state: State, later: bool) -> Verdict {
        self.open_as(key, None, payload, state, later)
    }

    /// `facts` may name another service than the one that receivers know.
    fn open_as(
        &mut self,
        key: Key,
        facts: Option<&Facts>,
        payload: &[u8],
        state: State,
        later: bool,
    ) -> Verdict {
        let (now, plan) = (self.now.engine, self.plan.clone());
        let story = self.problems.get_mut(&key).unwrap();
        let rule = &plan.rules[story.rule];
        if story.phase != Phase::Open {
            (story.phase, story.since) = (Phase::Open, now);
            story.steps.clear();
        }
        for (at, step) in rule.escalate.iter().enumerate() {
            if matches!(step.at, StepAt::Count(count) if story.raises >= count) {
                story.steps.insert(at);
            }
        }
        // After a reload there may be fewer.
        let taken = story.steps.iter().filter_map(|at| rule.escalate.get(*at));
        let state = taken.fold(state, |state, step| worse(state, step.state));
        story.state = state;
        let problem_rule = story.rule;
        let known = facts.map_or(payload.to_vec(), |facts| story.as_known(facts, payload));
        let service = facts.map_or(story.service, |facts| facts.service.low());
        let repeated = story.is_in_window(rule, now) && story.sent == Some(state);
        if says_again(rule) {
            story.word = Some(known.clone());
        } else if story.word.is_none() {
            story.word = Some(with_output(&known, ""));
        }
        if repeated {
            story.repeats += 1;
            return swallowed(Reason::Duplicate);
        }
        let bucket = story.bucket.filter(|_| rule.throttle.is_some());
        let worst =
            self.worst(service, Some(key)).map(|other| (other, self.problems[&other].state.severity()));
        let worst = worst.filter(|(_, worst)| *worst > state.severity());
        if let (Some(bucket), None) = (bucket, worst)
            && !self.passes(key, (problem_rule, bucket), &known, state)
        {
            return swallowed(Reason::Throttled);
        }
        if let Some(facts) = facts.filter(|_| service != self.problems[&key].service) {
            self.go_elsewhere(key, facts, payload);
            let whole = says_again(rule);
            let word = if whole { payload.to_vec() } else { with_output(payload, "") };
            self.problems.get_mut(&key).unwrap().word = Some(word);
        }
        if let Some((other, worst)) = worst {
            let known = self.problems[&key].sent.map_or(0, State::severity);
            if known <= worst {
                return swallowed(Reason::Worse);
            }
            let Some(said) = self.said(other) else { return swallowed(Reason::Worse) };
            self.send(other, &said, self.problems[&other].state, true);
            self.problems.get_mut(&key).unwrap().sent = None;
            return Verdict::Sent;
        }
        self.send(key, payload, state, later);
        self.begin_window(key, rule);
        Verdict::Sent
    }

    fn begin_window(&mut self, key: Key, rule: &RulePlan) {
        let now = self.now.engine;
        if rule.dedup.is_some() {
            let story = self.problems.get_mut(&key).unwrap();
            (story.window, story.repeats) = (Some(now), 1);
        }
    }

    pub(super) fn close(&mut self, key: Key, payload: &[u8]) -> Option<Verdict> {
        let story = self.problems.get_mut(&key).unwrap();
        let told = story.sent.filter(|sent| !sent.is_good());
        if told.is_some() {
            story.sent = None;
        }
        // What receivers believed of it.
        let was = told.unwrap_or(story.state);
        story.end();
        let withheld = story.withheld.take().is_some();
        story.word = None;
        if let Some((other, worst)) = self.worst_other(key) {
            let known = &self.problems[&other];
            let is_told_of =
                known.withheld.is_some() || known.sent.is_some_and(|sent| sent.severity() >= worst);
            if worst > was.severity() && (told.is_none() || is_told_of) {
                let other = self.problems.get_mut(&other).unwrap();
                if told.is_some() && other.sent.is_none_or(State::is_good) {
                    other.sent = told;
                }
                return Some(swallowed(Reason::StillOpen));
            }
            let said = self.said(other).unwrap_or_else(|| payload.to_vec());
            let state = self.problems[&other].state;
            self.send(other, &said, state, true);
            return Some(Verdict::Sent);
        }
        // Receivers may know of another one.
        let service = self.problems[&key].service;
        let may_be_told = self.told.contains(&service) || self.left.contains(&service);
        (told.is_none() && withheld && !may_be_told).then_some(swallowed(Reason::Throttled))
    }

    /// What is said again of a problem.
    pub(super) fn said(&self, key: Key) -> Option<Vec<u8>> {
        let story = &self.problems[&key];
        let word = story.word.clone()?;
        let empty = codec::decode(&word).unwrap().common().output.is_empty();
        Some(if empty { with_output(&word, &format!("Still {}", story.state.as_str())) } else { word })
    }

    pub(super) fn send_good(&mut self, rule: &RulePlan, facts: &Facts, payload: &[u8]) -> Verdict {
        let (now, key) = (self.now.engine, facts.key);
        let story = self.problems.get_mut(&key).unwrap();
        let idle = story.phase == Phase::Idle;
        if story.rule == facts.rule as usize
            && story.is_in_window(rule, now)
            && story.sent == Some(facts.state)
        {
            (story.repeats, story.last) = (story.repeats + 1, now);
            return swallowed(Reason::Duplicate);
        }
        if rule.tracked && idle {
            self.adopt(key, facts.rule as usize);
        }
        let of_rule = (facts.rule as usize, facts.bucket);
        if rule.throttle.is_some() && !self.passes(key, of_rule, payload, facts.state) {
            return swallowed(Reason::Throttled);
        }
        if !self.problems.contains_key(&key) {
            // The end of the window was all that was left of it.
            self.out.push(payload.to_vec());
            return Verdict::Sent;
        }
        self.send(key, payload, facts.state, false);
        if rule.tracked && idle {
            self.begin_window(key, rule);
            let summary = rule.dedup.as_ref().is_some_and(|dedup| dedup.summary.is_some());
            self.problems.get_mut(&key).unwrap().word = summary.then(|| payload.to_vec());
        }
        Verdict::Sent
    }

    pub(super) fn send(&mut self, key: Key, payload: &[u8], state: State, later: bool) {
        let mut bytes = payload.to_vec();
        codec::set_state(&mut bytes, state);
        if later {
            codec::set_time(&mut bytes, self.now.wall);
        }
        self.out.push(bytes);
        let story = self.problems.get_mut(&key).unwrap();
        (story.sent, story.sent_at, story.withheld) = (Some(state), self.now.engine, None);
        if state.is_good() {
            let service = story.service;
            self.is_well(service);
        }
    }

    pub(super) fn send_if_worst(&mut self, key: Key, payload: &[u8], state: State, later: bool) -> Verdict {
        if self.worst_other(key).is_some_and(|(_, worst)| worst > state.severity()) {
            return swallowed(Reason::Worse);
        }
        self.send(key, payload, state, later);
        Verdict::Sent
    }
}
