//! The tables of the state, its timers and its limits.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use super::count::{Bucket, Count};
use super::effects::{Effects, Kind, Now};
use super::expectation::Expectations;
use super::key::{Key, Secret};
use super::moment::Moment;
use super::presence::Presence;
use super::problem::{NEVER, Phase, Problem, Rank};
use super::problems::Problems;
use super::services::Services;
use super::table::Table;
use super::texts::{names_of, with_output};
use super::wheel::{Timer, Wheel};
use crate::outcome::codec;
use crate::rules::plan::Plan;

/// How long a tick is, in microseconds.
pub(super) const TICK: i64 = 100_000;
/// How long after a restart timers that were due meanwhile fire, in microseconds: what clears their problems may be on its
/// way.
pub const QUIET: i64 = 5_000_000;
/// How often it is written down how late it is while messages are expected, in microseconds: the time from the last such note
/// to a start counts as time in which nobody listened. The wall clock is compared as often.
pub(super) const BEAT: i64 = 60_000_000;
/// How many bits of a timer's id say which table it is of.
const KIND_SHIFT: u32 = 30;

/// How much one rule may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Keys: problems, and what thresholds and throttles count.
    pub keys: usize,
    /// Bytes of outcomes that are kept to be sent later.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { keys: 100_000, bytes: 64 << 20 }
    }
}

/// What one rule keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Keys.
    pub keys: usize,
    /// Bytes of outcomes.
    pub bytes: usize,
    /// Whether it was said that there is no room.
    said: bool,
}

/// All state. Its functions get the plan as an argument, as its entries only have indexes into it.
#[derive(Debug)]
pub(super) struct Core {
    /// With their outcomes that may be sent later, or only their names.
    pub(super) problems: Problems,
    pub(super) presence: Option<Arc<Presence>>,
    pub(super) counts: Table<Count>,
    pub(super) buckets: Table<Bucket>,
    pub(super) expectations: Expectations,
    /// What keys are made with.
    pub(super) secret: Secret,
    /// How much the wall clock is ahead of the engine time, as far as timers know.
    pub(super) ahead: i64,
    /// When it is looked again whether it is.
    pub(super) next_beat: i64,
    pub(super) services: Services,
    /// The places of problems by their hosts, where a rule needs that.
    pub(super) of_hosts: BTreeSet<(u32, u32)>,
    /// What the hosts of problems are found by, by the places of problems; 0 is not known or not needed, and there may be none at the
    /// end. It is made anew from the outcomes that are kept.
    pub(super) hosts: Vec<u32>,
    pub(super) limits: Limits,
    pub(super) usage: Vec<Usage>,
    /// The services whose last problem was told without state: what is held of them may have been told.
    pub(super) told_without: HashSet<Key>,
    /// The services that receivers know to be well, of those whose held problem a clear has ended: of others a rule without state may
    /// have told a problem that passed by.
    pub(super) wells: HashSet<u64>,
    wheel: Wheel,
    /// The engine time of tick 0.
    base: i64,
    /// Timers that are due, and are still to be looked at.
    ripe: VecDeque<Timer>,
    /// Until when problems are not looked at by themselves.
    pub(super) quiet_until: i64,
    /// The state of a random number generator for the choice of what is given up.
    pub(super) dice: u64,
}

impl Core {
    /// Nothing at all, from an engine time on.
    pub(super) fn new(rules: usize, secret: Secret, limits: Limits, now: i64) -> Self {
        Core {
            problems: Problems::default(),
            presence: None,
            counts: Table::default(),
            buckets: Table::default(),
            expectations: Expectations::default(),
            secret,
            ahead: 0,
            next_beat: i64::MAX,
            services: Services::default(),
            of_hosts: BTreeSet::new(),
            hosts: Vec::new(),
            limits,
            usage: vec![Usage::default(); rules],
            told_without: HashSet::new(),
            wells: HashSet::new(),
            wheel: Wheel::new(),
            base: now.saturating_sub(TICK),
            ripe: VecDeque::new(),
            quiet_until: i64::MIN,
            dice: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// When there may be something to do next, in engine time; nothing is due before.
    pub(super) fn next_due(&self) -> Option<i64> {
        if !self.ripe.is_empty() {
            return Some(self.quiet_until);
        }
        let timer = self.wheel.next().map(|tick| self.base + i64::from(tick) * TICK);
        let beat = (self.expectations.len() > 0).then_some(self.next_beat);
        let first = timer.into_iter().chain(beat).min();
        first.map(|first| first.max(self.quiet_until))
    }

    /// Has everything happen that is due, but no more than `most` things. Whether that was all.
    pub(super) fn advance(&mut self, plan: &Plan, now: Now, most: usize, out: &mut Effects) -> bool {
        let mut done = 0;
        if now.engine < self.quiet_until {
            return true;
        }
        if self.expectations.len() > 0 {
            self.beat(plan, now, out);
        }
        loop {
            while let Some((tick, id)) = self.ripe.pop_front() {
                if done == most {
                    self.ripe.push_front((tick, id));
                    return false;
                }
                done += usize::from(self.fire(plan, now, tick, id, out));
            }
            let to = u32::try_from((now.engine - self.base) / TICK).unwrap_or(if now.engine < self.base {
                0
            } else {
                u32::MAX
            });
            let mut due = Vec::new();
            self.wheel.advance(to, &mut due);
            if due.is_empty() {
                return true;
            }
            due.sort_by_cached_key(|(_, id)| self.order(plan, *id));
            self.ripe.extend(due);
        }
    }

    /// Adds a problem whose key has none, with its outcome. Gives its place, if there is one.
    pub(super) fn add_problem(&mut self, mut problem: Problem, outcome: Option<&[u8]>) -> Option<u32> {
        let at = self.problems.insert(&mut problem, outcome)?;
        if let Some(presence) = &self.presence {
            presence.add(problem.service);
        }
        Some(at)
    }

    /// Takes a problem out. Its outcome is not kept any longer.
    pub(super) fn remove_problem(&mut self, at: u32) -> Option<Problem> {
        let problem = self.problems.remove(at)?;
        if let Some(presence) = &self.presence {
            presence.remove(problem.service);
        }
        self.set_host(at, 0);
        Some(problem)
    }

    /// The outcome that is kept of a problem.
    pub(super) fn kept_of(&self, at: u32) -> Option<Vec<u8>> {
        self.problems.outcome(at)
    }

    /// The outcome of a problem that is sent again. Where only names are kept, as after a reload that has its rule send again, the text
    /// is that it is still there.
    pub(super) fn said(&self, at: u32) -> Option<Vec<u8>> {
        let problem = self.problems.get(at)?;
        let kept = self.kept_of(at)?;
        let has_text = codec::decode(&kept).is_some_and(|outcome| !outcome.common().output.is_empty());
        let state = problem.state();
        Some(if has_text { kept } else { with_output(&kept, |_| format!("Still {}", state.as_str())) })
    }

    /// What happens first: what is due first, then what came first, then any order that does not depend on places.
    fn order(&self, plan: &Plan, id: u32) -> (i64, i64, Key) {
        let (kind, at) = unpack(id);
        let due = self.due_of(plan, kind, at).unwrap_or(i64::MAX);
        let came = match kind {
            Kind::Problem => self.problems.get(at).map(|problem| (problem.since.micros(), problem.key)),
            Kind::Count => self.counts.get(at).map(|count| (count.last, count.key)),
            Kind::Bucket => self.buckets.get(at).map(|bucket| (bucket.since, bucket.key)),
            Kind::Expectation => self.expectations.get(at).map(|entry| (entry.last, entry.key)),
            Kind::Told => None,
        };
        let (since, key) = came.unwrap_or((i64::MAX, Key::new(0)));
        (due, since, key)
    }

    fn due_of(&self, plan: &Plan, kind: Kind, at: u32) -> Option<i64> {
        let rule = |rule: u32| plan.rules.get(rule as usize);
        match kind {
            Kind::Problem => {
                let problem = self.problems.get(at)?;
                problem.due(rule(problem.rule)?).map(|(due, _)| due)
            }
            Kind::Count => {
                let count = self.counts.get(at)?;
                Some(count.due(rule(count.rule)?.threshold.as_ref()))
            }
            Kind::Bucket => {
                let bucket = self.buckets.get(at)?;
                Some(bucket.since + rule(bucket.rule)?.throttle.as_ref().map_or(0, |throttle| throttle.per))
            }
            Kind::Expectation => {
                let entry = self.expectations.get(at)?;
                let expect = rule(entry.rule)?.expect.as_deref()?;
                let due = entry.deadline(expect, self.ahead).min(entry.forgotten(expect));
                Some(due).filter(|due| *due != NEVER)
            }
            Kind::Told => None,
        }
    }

    fn armed(&mut self, kind: Kind, at: u32) -> Option<&mut u32> {
        match kind {
            Kind::Problem => self.problems.get_mut(at).map(|problem| &mut problem.armed),
            Kind::Count => self.counts.get_mut(at).map(|count| &mut count.armed),
            Kind::Bucket => self.buckets.get_mut(at).map(|bucket| &mut bucket.armed),
            Kind::Expectation => self.expectations.get_mut(at).map(|entry| &mut entry.armed),
            Kind::Told => None,
        }
    }

    /// Sets the timer of an entry, unless an earlier one is set, which sees to it.
    pub(super) fn arm(&mut self, plan: &Plan, kind: Kind, at: u32) {
        let Some(due) = self.due_of(plan, kind, at) else { return };
        let tick = self.tick_of(due);
        let known = match kind {
            Kind::Problem => self.problems.get(at).map(|problem| problem.armed),
            _ => self.armed(kind, at).map(|armed| *armed),
        };
        if !known.is_some_and(|armed| armed == 0 || tick < armed) {
            return;
        }
        if let Some(armed) = self.armed(kind, at) {
            *armed = tick;
        }
        self.wheel.set(tick, pack(kind, at));
    }

    /// The tick at which something happens that is due at a time.
    fn tick_of(&self, due: i64) -> u32 {
        let ticks = (due.saturating_sub(self.base).saturating_add(TICK - 1) / TICK).max(1);
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// Looks at an entry whose timer has come; whether it was one.
    fn fire(&mut self, plan: &Plan, now: Now, tick: u32, id: u32, out: &mut Effects) -> bool {
        let (kind, at) = unpack(id);
        // Another timer was set for the entry since, or another entry has its place.
        let Some(armed) = self.armed(kind, at).filter(|armed| **armed == tick) else { return false };
        *armed = 0;
        // It is due later than it was when the timer was set: what is due before that comes first, also where all of it is late.
        if self.due_of(plan, kind, at).is_some_and(|due| self.tick_of(due) > tick) {
            self.arm(plan, kind, at);
            return true;
        }
        match kind {
            Kind::Problem => {
                self.fire_problem(plan, now, at, out);
                self.settle(plan, at, out);
            }
            Kind::Count => self.fire_count(plan, now, at, out),
            Kind::Bucket => self.fire_bucket(plan, now, at, out),
            Kind::Expectation => self.fire_expectation(plan, now, at, out),
            Kind::Told => {}
        }
        true
    }

    /// Puts a problem away if it is over, else sees to its timer. Every change of a problem ends with this.
    pub(super) fn settle(&mut self, plan: &Plan, at: u32, out: &mut Effects) {
        let Some(mut problem) = self.problems.get(at) else { return };
        if problem.rare.is_some() {
            let Some(kept) = self.problems.get_mut(at) else { return };
            kept.tidy();
            problem.clone_from(kept);
        }
        out.touched.push((Kind::Problem, problem.key));
        if !problem.is_over() {
            return self.arm(plan, Kind::Problem, at);
        }
        let bytes = problem.bytes();
        if let Some(problem) = self.remove_problem(at) {
            self.account(problem.rule, -1, 0, bytes);
        }
    }

    /// Counts what a rule keeps.
    pub(super) fn account(&mut self, rule: u32, keys: isize, more: usize, less: usize) {
        let Some(usage) = self.usage.get_mut(rule as usize) else { return };
        usage.keys = usage.keys.saturating_add_signed(keys);
        usage.bytes = (usage.bytes + more).saturating_sub(less);
        if usage.keys < self.limits.keys / 10 * 9 && usage.bytes < self.limits.bytes / 10 * 9 {
            usage.said = false;
        }
    }

    /// Whether a rule may keep one key more and so many bytes. If not, that is said once.
    pub(super) fn has_room(&mut self, rule: u32, bytes: usize, out: &mut Effects) -> bool {
        self.has_room_for(rule, (1, bytes), out)
    }

    /// Whether a rule may keep so many keys and bytes more. If not, that is said once.
    pub(super) fn has_room_for(
        &mut self,
        rule: u32,
        (keys, bytes): (usize, usize),
        out: &mut Effects,
    ) -> bool {
        let Some(usage) = self.usage.get_mut(rule as usize) else { return false };
        if usage.keys + keys <= self.limits.keys && usage.bytes + bytes <= self.limits.bytes {
            return true;
        }
        if !usage.said {
            usage.said = true;
            out.full.push(rule);
        }
        false
    }

    /// Gives a problem the settings of another rule.
    pub(super) fn adopt(&mut self, at: u32, rule: u32) {
        let Some(problem) = self.problems.get_mut(at).filter(|problem| problem.rule != rule) else { return };
        let (before, bytes) = (std::mem::replace(&mut problem.rule, rule), problem.bytes());
        problem.window = Moment::NEVER;
        problem.steps = 0;
        // A bucket is that of a rule.
        if let Some(rare) = &mut problem.rare {
            rare.bucket = None;
        }
        self.account(before, -1, 0, bytes);
        self.account(rule, 1, bytes, 0);
    }

    /// Keeps an outcome of a problem, or none. One that is longer than there is room for gives its state to the one before,
    /// which stays.
    pub(super) fn keep(&mut self, at: u32, outcome: Option<&[u8]>) {
        let Some(problem) = self.problems.get_mut(at) else { return };
        let (rule, less) = (problem.rule, problem.outcome as usize);
        let used = self.usage.get(rule as usize).map_or(0, |usage| usage.bytes);
        let room = self.limits.bytes.saturating_sub(used.saturating_sub(less)).max(less);
        // What is packed is a few bytes longer than what it is of, at most.
        let fits = |outcome: &&[u8]| outcome.len() + 16 < room || self.problems.length_of(outcome) <= room;
        let more = match outcome.filter(fits) {
            None if outcome.is_some() => {
                let mut known = self.kept_of(at);
                if let (Some(known), Some(state)) = (&mut known, outcome.and_then(codec::state_of)) {
                    codec::set_state(known, state);
                }
                self.problems.set_outcome(at, known.as_deref())
            }
            outcome => self.problems.set_outcome(at, outcome),
        };
        self.account(rule, 0, more, less);
    }

    /// Keeps the outcome of an open problem if it may be sent again, else only whose problem it is.
    pub(super) fn remember(&mut self, at: u32, whole: bool, payload: &[u8]) {
        if whole {
            return self.keep(at, Some(payload));
        }
        if self.problems.get(at).is_some_and(|problem| problem.outcome == 0) {
            let names = names_of(payload);
            self.keep(at, names.as_deref());
        }
    }

    /// Ends a problem without a word: receivers keep what they know.
    pub(super) fn drop_silently(&mut self, at: u32, out: &mut Effects) {
        self.leave(at, out);
        self.unlist(at);
        self.keep(at, None);
        if let Some(problem) = self.problems.get_mut(at) {
            let (rule, throttled) = (problem.rule, problem.bytes());
            problem.end();
            problem.rare = None;
            self.account(rule, 0, 0, throttled);
        }
    }

    /// Takes a problem out of the list of its service, before its state or its time change.
    pub(super) fn unlist(&mut self, at: u32) {
        if let Some(problem) = self.problems.get(at).filter(|p| p.is_open() && p.is_one_of_several()) {
            self.services.remove(&self.problems, (problem.service, problem.rank()), at);
        }
    }

    /// Puts it back.
    pub(super) fn list(&mut self, at: u32) {
        if let Some(problem) = self.problems.get(at).filter(|p| p.is_open() && p.is_one_of_several()) {
            self.services.add(&self.problems, (problem.service, problem.rank()), at);
        }
    }

    /// The worst open problem of the service of a problem, other than that one, which must not be listed.
    pub(super) fn worst_other(&self, at: u32) -> Option<(Rank, u32)> {
        self.worst_but(self.problems.get(at)?.service, Some(at))
    }

    /// The worst open problem of a service.
    pub(super) fn worst_of(&self, service: u64) -> Option<(Rank, u32)> {
        self.worst_but(service, None)
    }

    pub(super) fn worst_but(&self, service: u64, except: Option<u32>) -> Option<(Rank, u32)> {
        let listed = self.services.worst(&self.problems, service).filter(|(_, other)| Some(*other) != except);
        let whole = self.problems.find_low(service).filter(|other| Some(*other) != except);
        let whole =
            whole.and_then(|other| Some((self.problems.get(other).filter(Problem::is_open)?.rank(), other)));
        listed.max(whole)
    }

    /// How many problems are in a phase.
    pub(super) fn in_phase(&self, phase: Phase) -> usize {
        self.problems.iter().filter(|(_, problem)| problem.phase == phase).count()
    }

    /// Sets all timers anew and counts anew, after entries have changed in another way than by messages and timers.
    pub(super) fn rebuild(&mut self, plan: &Plan, now: i64) {
        (self.wheel, self.ripe, self.base) = (Wheel::new(), VecDeque::new(), now.saturating_sub(TICK));
        self.next_beat = (now / BEAT + 1) * BEAT;
        self.services = Services::default();
        self.usage = vec![Usage::default(); plan.rules.len()];
        for at in self.problems.places() {
            self.problems.work_on(at);
            let Some(problem) = self.problems.get(at) else { continue };
            if problem.armed != 0
                && let Some(problem) = self.problems.get_mut(at)
            {
                problem.armed = 0;
            }
            let (rule, bytes) = (problem.rule, problem.bytes());
            self.account(rule, 1, bytes, 0);
            self.list(at);
            self.arm(plan, Kind::Problem, at);
        }
        for at in self.counts.places() {
            let Some(count) = self.counts.get_mut(at) else { continue };
            count.armed = 0;
            let (rule, bytes) = (count.rule, count.bytes());
            self.account(rule, 1, bytes, 0);
            self.arm(plan, Kind::Count, at);
        }
        for at in self.buckets.places() {
            let Some(bucket) = self.buckets.get_mut(at) else { continue };
            bucket.armed = 0;
            let rule = bucket.rule;
            self.account(rule, 1, 0, 0);
            self.arm(plan, Kind::Bucket, at);
        }
        for at in self.expectations.places() {
            let Some(entry) = self.expectations.get_mut(at) else { continue };
            entry.armed = 0;
            let (rule, bytes) = (entry.rule, entry.bytes());
            self.account(rule, 1, bytes, 0);
            self.arm(plan, Kind::Expectation, at);
        }
    }
}

fn pack(kind: Kind, at: u32) -> u32 {
    ((kind as u32 & 3) << KIND_SHIFT) | at
}

fn unpack(id: u32) -> (Kind, u32) {
    let kind = match id >> KIND_SHIFT {
        1 => Kind::Problem,
        2 => Kind::Count,
        3 => Kind::Bucket,
        _ => Kind::Expectation,
    };
    (kind, id & ((1 << KIND_SHIFT) - 1))
}
