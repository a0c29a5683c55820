//! The state as others see it: a plan, a secret and the tables.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::core::{Core, Limits, Usage};
use super::count::{Bucket, Count};
use super::effects::{Effects, Kind, Now, Verdict};
use super::expectation::Expectation;
use super::image::{Reader, Writer};
use super::key::{Facts, Key, Secret};
use super::presence::Presence;
use super::problem::{Phase, Problem};
use super::send::Payload;
use super::told::{Told, left};
use crate::outcome::codec;
use crate::outcome::result::State;
use crate::rules::asks::{Question, Texts};
use crate::rules::plan::Plan;

/// What the bytes of [`Correlator::encode`] begin with.
const FORMAT: u8 = 1;
/// How many bytes come before the first image: format, secret and time.
pub const HEAD: usize = 1 + 16 + 8;

/// What rules keep over time, and what follows from it. It does no I/O and reads no clock; the same calls give the same
/// effects.
///
/// Nothing that is due at a time may still have to happen when a message of that time is decided about: call
/// [`Correlator::advance`] before.
#[derive(Debug)]
pub struct Correlator {
    pub(super) plan: Arc<Plan>,
    secret: Secret,
    pub(super) core: Core,
}

/// How much state there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Problems that are open.
    pub open: usize,
    /// Problems that wait for the end of their hold.
    pub held: usize,
    /// Problems that come and go too often.
    pub flapping: usize,
    /// What thresholds and throttles count.
    pub counts: usize,
    /// Keys whose messages are expected.
    pub expected: usize,
}

impl Correlator {
    /// Nothing yet. `secret` is random.
    pub fn new(plan: Arc<Plan>, secret: Secret, limits: Limits, now: Now) -> Self {
        let mut core = Core::new(plan.rules.len(), secret, limits, now.engine);
        core.expect_known(&plan, now, &mut Effects::default());
        Correlator { plan, secret, core }
    }

    /// What keys are made with.
    pub fn secret(&self) -> Secret {
        self.secret
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Decides about an outcome, encoded, that a rule of the plan has made.
    pub fn decide(&mut self, now: Now, facts: &Facts, payload: &[u8], out: &mut Effects) -> Verdict {
        self.core.decide(&self.plan, now, facts, payload, out)
    }

    /// How many messages an open problem has, or a threshold, that a question is about; 0 for none.
    pub fn answer(&self, now: Now, question: &Question, texts: &[&str]) -> u64 {
        let Some(key) = self.secret.asked(question, texts) else { return 0 };
        if question.texts == Texts::Threshold {
            let count = self.core.counts.find(key).and_then(|at| self.core.counts.get(at));
            return count.map_or(0, |count| {
                let threshold =
                    self.plan.rules.get(count.rule as usize).and_then(|rule| rule.threshold.as_ref());
                threshold.map_or(0, |threshold| count.within(threshold, now.engine).into())
            });
        }
        let problem = self.core.problems.find(key).and_then(|at| self.core.problems.get(at));
        problem.filter(Problem::is_open).map_or(0, |problem| problem.raises.max(1).into())
    }

    /// Has happen what is due, but no more than `most` things. Whether that was all.
    pub fn advance(&mut self, now: Now, most: usize, out: &mut Effects) -> bool {
        self.core.advance(&self.plan, now, most, out)
    }

    /// Receivers were told this after the state was written, in this order.
    pub fn were_told(&mut self, all: &[Told], out: &mut Effects) {
        let rules = self.plan.rules.iter().filter(|rule| rule.tracked);
        let tracked: HashSet<&str> = rules.map(|rule| &*rule.name).collect();
        for told in all {
            self.core.were_told(told, tracked.contains(&*told.rule), out);
        }
    }

    /// When there may be something to do next, in engine time: nothing is due before.
    pub fn next_due(&self) -> Option<i64> {
        self.core.next_due()
    }

    /// After a restart: nothing fires by itself before this engine time; dedup windows end all the same.
    pub fn stay_quiet_until(&mut self, engine: i64) {
        self.core.quiet_until = engine;
    }

    /// Until when nothing fires by itself.
    pub fn quiet_until(&self) -> i64 {
        self.core.quiet_until
    }

    /// Has the services of all problems counted here from now on: outcomes of rules without state pass by, unless their service is.
    pub fn count_in(&mut self, presence: Arc<Presence>) {
        for (_, problem) in self.core.problems.iter() {
            presence.add(problem.service);
        }
        self.core.wells.iter().for_each(|service| presence.add(*service));
        self.core.presence = Some(presence);
    }

    /// How much state there is.
    pub fn summary(&self) -> Summary {
        Summary {
            open: self.core.in_phase(Phase::Open),
            held: self.core.in_phase(Phase::Held),
            flapping: self.core.in_phase(Phase::Flapping),
            counts: self.core.counts.len() + self.core.buckets.len(),
            expected: self.core.expectations.len(),
        }
    }

    /// What each rule keeps, by its index.
    pub fn usage(&self) -> &[Usage] {
        &self.core.usage
    }

    /// Puts another plan in force. Changed durations hold from the beginning of what goes on: what they end is due at once.
    /// The state of rules that are gone, or whose keys have changed, ends: what was held back is sent.
    pub fn replace(&mut self, plan: Arc<Plan>, now: Now, out: &mut Effects) {
        let before = std::mem::replace(&mut self.plan, plan);
        let identities: Vec<u64> = before.rules.iter().map(|rule| rule.identity).collect();
        let expects: Vec<u64> = before.rules.iter().map(|rule| rule.expects).collect();
        if !(before.is_stateful() && self.plan.is_stateful()) {
            self.core.hears_nothing(out);
        }
        self.remap((&identities, &expects), now, 0, out);
    }

    /// Gives all entries, whose rules are places among some identities, the indexes of their rules in the plan. `unheard` is for how
    /// long nobody has listened before.
    fn remap(&mut self, (identities, expects): (&[u64], &[u64]), now: Now, unheard: i64, out: &mut Effects) {
        let places: HashMap<u64, u32> = (self.plan.rules.iter().enumerate())
            .flat_map(|(at, rule)| [(rule.identity, at as u32), (rule.expects, at as u32)])
            .collect();
        let new_among = |identities: &[u64], rule: u32| {
            let at = identities.get(rule as usize).and_then(|identity| places.get(identity)).copied();
            at.filter(|at| self.plan.rules[*at as usize].tracked)
        };
        let new_of = |rule: u32| new_among(identities, rule);
        let core = &mut self.core;
        core.find_by_hosts(&self.plan);
        let mut gone: Vec<(Problem, Option<Vec<u8>>)> = Vec::new();
        let (mut ended, mut given_up) = (Vec::new(), Vec::new());
        for at in core.problems.places() {
            let Some(problem) = core.problems.get(at) else { continue };
            match new_of(problem.rule) {
                Some(rule) if rule == problem.rule => {}
                Some(rule) => {
                    if let Some(problem) = core.problems.get_mut(at) {
                        problem.rule = rule;
                    }
                }
                None => {
                    let kept = core.kept_of(at);
                    gone.extend(core.remove_problem(at).map(|problem| (problem, kept)));
                }
            }
        }
        for at in core.counts.places() {
            let Some(count) = core.counts.get_mut(at) else { continue };
            match new_of(count.rule).filter(|at| self.plan.rules[*at as usize].threshold.is_some()) {
                Some(rule) => count.rule = rule,
                None => ended.extend(core.counts.remove(at).map(|count| (Kind::Count, count.key))),
            }
        }
        for at in core.buckets.places() {
            let Some(bucket) = core.buckets.get_mut(at) else { continue };
            match new_of(bucket.rule) {
                Some(rule) => bucket.rule = rule,
                None => ended.extend(core.buckets.remove(at).map(|bucket| (Kind::Bucket, bucket.key))),
            }
        }
        for at in core.expectations.places() {
            let Some(entry) = core.expectations.get_mut(at) else { continue };
            let new = new_among(expects, entry.rule);
            let by = new_of(entry.rule);
            match new.filter(|at| self.plan.rules[*at as usize].expect.is_some()) {
                Some(rule) => entry.rule = rule,
                None => {
                    let Some(gone) = core.expectations.remove(at) else { continue };
                    ended.push((Kind::Expectation, gone.key));
                    given_up.extend(gone.late().zip(by));
                }
            }
        }
        if unheard > 0 {
            core.nobody_listened(&self.plan, now, unheard);
        }
        core.ahead = now.wall - now.engine;
        core.rebuild(&self.plan, now.engine);
        out.touched.append(&mut ended);
        core.give_up(&self.plan, now, given_up, out);
        core.expect_known(&self.plan, now, out);
        gone.sort_by_key(|(problem, _)| (problem.since.micros(), problem.key));
        for (mut problem, kept) in gone {
            let (service, mut told) = (problem.service, problem.sent().filter(|sent| !sent.is_good()));
            let held = kept.filter(|_| matches!(problem.phase, Phase::Held | Phase::Flapping));
            let throttled = problem.rare.take().and_then(|rare| rare.throttled).map(Vec::from);
            if let Some(pending) = throttled.or(held) {
                let state = codec::state_of(&pending).unwrap_or(State::Unknown);
                let bytes = out.push(Payload::Later(&pending).bytes());
                codec::set_state(bytes, state);
                codec::set_time(bytes, now.wall);
                told = Some(state);
            }
            match told {
                Some(told) if told.is_good() => core.told_that_it_is_well(service, out),
                Some(_) => core.told_without(left(service), out),
                None => {}
            }
            out.touched.push((Kind::Problem, problem.key));
        }
    }

    /// The bytes of one entry, or of its absence: what [`Correlator::decode`] takes behind its head, the last of an entry
    /// counting.
    pub fn image(&self, kind: Kind, key: Key, out: &mut Vec<u8>) {
        let mut writer = Writer(std::mem::take(out));
        let identity = |rule: u32| self.plan.rules.get(rule as usize).map_or(0, |rule| rule.identity);
        let core = &self.core;
        let entry = match kind {
            Kind::Problem => core.problems.find(key).and_then(|at| core.problems.get_whole(at)).map(
                |(problem, outcome)| {
                    writer.byte(kind as u8);
                    problem.write(identity(problem.rule), outcome.as_deref(), &mut writer);
                },
            ),
            Kind::Count => core.counts.find(key).and_then(|at| core.counts.get(at)).map(|count| {
                writer.byte(kind as u8);
                count.write(identity(count.rule), &mut writer);
            }),
            Kind::Bucket => core.buckets.find(key).and_then(|at| core.buckets.get(at)).map(|bucket| {
                writer.byte(kind as u8);
                bucket.write(identity(bucket.rule), &mut writer);
            }),
            Kind::Expectation => {
                core.expectations.find(key).and_then(|at| core.expectations.get(at)).map(|entry| {
                    writer.byte(kind as u8);
                    let expects = self.plan.rules.get(entry.rule as usize).map_or(0, |rule| rule.expects);
                    entry.write(expects, &mut writer);
                })
            }
            Kind::Told => core.is_noted(key).then(|| {
                writer.byte(kind as u8);
                writer.key(key);
            }),
        };
        if entry.is_none() {
            writer.byte(kind as u8 | GONE);
            writer.key(key);
        }
        *out = writer.0;
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (Kind, Key)> {
        let problems = self.core.problems.keys().map(|key| (Kind::Problem, key));
        let counts = self.core.counts.iter().map(|(_, count)| (Kind::Count, count.key));
        let buckets = self.core.buckets.iter().map(|(_, bucket)| (Kind::Bucket, bucket.key));
        let expectations = self.core.expectations.iter().map(|(_, entry)| (Kind::Expectation, entry.key));
        let told = self.core.noted().map(|key| (Kind::Told, key));
        problems.chain(counts).chain(buckets).chain(expectations).chain(told)
    }

    /// All state as bytes.
    pub fn encode(&self, now: Now) -> Vec<u8> {
        let mut images = vec![0; HEAD];
        for (kind, key) in self.entries() {
            self.image(kind, key, &mut images);
        }
        Self::with_head(self.secret, now.engine, images)
    }

    /// State as bytes that [`Correlator::decode`] takes, of images behind [`HEAD`] bytes of any kind.
    pub fn with_head(secret: Secret, engine: i64, mut images: Vec<u8>) -> Vec<u8> {
        let mut head = Writer::default();
        head.byte(FORMAT);
        head.fixed(secret.0[0]);
        head.fixed(secret.0[1]);
        head.time(engine);
        images.splice(..HEAD.min(images.len()), head.0);
        images
    }

    /// The images of what was touched, each once.
    pub fn images(&self, touched: &mut Vec<(Kind, Key)>) -> Vec<u8> {
        touched.sort_unstable();
        touched.dedup();
        let mut images = Vec::new();
        for (kind, key) in touched.drain(..) {
            self.image(kind, key, &mut images);
        }
        images
    }

    /// The secret and the engine time of state from its bytes; none if the bytes are not state.
    pub fn head(bytes: &[u8]) -> Option<(Secret, i64)> {
        let mut reader = Reader(bytes);
        if reader.byte()? != FORMAT {
            return None;
        }
        Some((Secret([reader.fixed()?, reader.fixed()?]), reader.time()?))
    }

    /// State from its bytes, for a plan that may be another one; none if the bytes are not state.
    pub fn decode(
        bytes: &[u8],
        plan: Arc<Plan>,
        limits: Limits,
        now: Now,
        out: &mut Effects,
    ) -> Option<Self> {
        let (secret, at) = Self::head(bytes)?;
        let mut reader = Reader(bytes.get(HEAD..)?);
        let mut correlator =
            Correlator { core: Core::new(plan.rules.len(), secret, limits, at), plan, secret };
        let mut known = Identities::default();
        while !reader.0.is_empty() {
            correlator.take_in(&mut reader, &mut known)?;
        }
        let unheard = if at == i64::MIN { 0 } else { now.engine.saturating_sub(at).max(0) };
        correlator.remap((&known.all, &known.all), now, unheard, out);
        Some(correlator)
    }

    /// Takes in one image.
    fn take_in(&mut self, reader: &mut Reader<'_>, known: &mut Identities) -> Option<()> {
        let core = &mut self.core;
        match reader.byte()? {
            1 => {
                let (identity, mut problem, outcome) = Problem::read(reader)?;
                problem.rule = known.place(identity);
                if let Some(at) = core.problems.find(problem.key) {
                    core.remove_problem(at);
                }
                core.add_problem(problem, outcome);
            }
            2 => {
                let (identity, mut count) = Count::read(reader)?;
                count.rule = known.place(identity);
                if let Some(at) = core.counts.find(count.key) {
                    core.counts.remove(at);
                }
                core.counts.insert(count);
            }
            3 => {
                let (identity, mut bucket) = Bucket::read(reader)?;
                bucket.rule = known.place(identity);
                if let Some(at) = core.buckets.find(bucket.key) {
                    core.buckets.remove(at);
                }
                core.buckets.insert(bucket);
            }
            4 => {
                let (identity, mut entry) = Expectation::read(reader)?;
                entry.rule = known.place(identity);
                if let Some(at) = core.expectations.find(entry.key) {
                    core.expectations.remove(at);
                }
                core.expectations.insert(entry);
            }
            5 => core.note(reader.key()?, true),
            gone if gone & GONE != 0 => {
                let key = reader.key()?;
                match gone & !GONE {
                    1 => drop(core.problems.find(key).and_then(|at| core.remove_problem(at))),
                    2 => drop(core.counts.find(key).and_then(|at| core.counts.remove(at))),
                    3 => drop(core.buckets.find(key).and_then(|at| core.buckets.remove(at))),
                    4 => drop(core.expectations.find(key).and_then(|at| core.expectations.remove(at))),
                    5 => core.note(key, false),
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// Marks the image of an entry that is gone.
const GONE: u8 = 0x80;

/// The identities of rules that images name, in the order in which they were met.
#[derive(Debug, Default)]
struct Identities {
    all: Vec<u64>,
    places: HashMap<u64, u32>,
}

impl Identities {
    fn place(&mut self, identity: u64) -> u32 {
        *self.places.entry(identity).or_insert_with(|| {
            self.all.push(identity);
            self.all.len() as u32 - 1
        })
    }
}
