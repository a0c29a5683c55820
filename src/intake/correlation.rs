//! What rules keep over time, between the pipelines and the journal.
//!
//! One lock is held from the decision about a batch until the journal has taken or refused it, so that what is decided has
//! the same order in the state and in the journal. Rule sets without state do not come here.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::correlate::view::{Clear, Listed, Wanted};
use crate::correlate::{
    Correlator, Effects, Facts, Limits, Now, Presence, QUIET, Reason, Secret, Told, Verdict,
};
use crate::intake::state_log::StateLog;
use crate::intake::stats::Stats;
use crate::intake::undecided::Undecided;
use crate::intake::untold;
use crate::intake::waits::Waits;
use crate::journal::Batch;
use crate::rules::MessageContext;
use crate::rules::apply::Emitted;
use crate::rules::asks::{self, Question};
use crate::rules::plan::{Plan, RuleId};
use crate::time::clock::{self, Wall};

/// How many timers fire under one lock.
const AT_ONCE: usize = 1000;
/// No time at which something is due.
const NEVER: i64 = i64::MAX;

/// The state and its clock.
#[derive(Debug)]
pub struct Correlation {
    state: Mutex<State>,
    secret: [AtomicU64; 2],
    stats: Arc<Stats>,
    /// What is swallowed, for the history.
    pub untold: untold::Table,
    known: Arc<Presence>,
    /// When something is due next, in engine time, as the timers know it.
    due: AtomicI64,
    earlier: Notify,
    /// Told when something was written that is not synced.
    written: Notify,
    /// Whether outcomes wait for the journal.
    pub waits: Waits,
}

#[derive(Debug)]
struct State {
    correlator: Correlator,
    effects: Effects,
    /// Both clocks when the state began.
    began: clock::Now,
    /// The latest engine time.
    engine: i64,
    /// What an earlier process left, until there are rules.
    saved: Option<Vec<u8>>,
    /// What receivers were told by it after that.
    told: Vec<Told>,
    /// Where it is kept on disk; none if it is not.
    log: Option<StateLog>,
}

/// The state while a batch is decided about and journaled.
#[derive(Debug)]
pub struct Deciding<'c> {
    correlation: &'c Correlation,
    state: MutexGuard<'c, State>,
    /// Whether the log has the informs.
    pub kept: bool,
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        self.correlation.set_due(&self.state);
    }
}

impl State {
    /// Has the state on disk from now on, or nothing there if no rule keeps anything. `waits`: whether outcomes wait for the journal.
    fn keep(&mut self, engine: i64, waits: bool) {
        let Some(log) = &mut self.log else { return };
        log.set_waits(waits);
        let done = match (self.correlator.plan().is_stateful(), log.is_open()) {
            (false, _) => log.remove(),
            (true, true) => Ok(()),
            (true, false) => log.begin(&self.correlator, engine),
        };
        if let Err(error) = done {
            tracing::error!(%error, "the state of rules cannot be written: a crash would lose it; it is tried again every second; check the disk");
        }
    }

    /// The engine time: that of the wall clock at the start, and since then what the monotonic clock has measured.
    fn now(&mut self, now: clock::Now) -> Now {
        let now = self.peek(now);
        self.engine = now.engine;
        now
    }

    /// The same, without this being the latest time from now on.
    fn peek(&self, now: clock::Now) -> Now {
        let since = i64::try_from(now.mono.since(self.began.mono).as_micros()).unwrap_or(i64::MAX);
        let before = i64::try_from(self.began.mono.since(now.mono).as_micros()).unwrap_or(0);
        let engine = self.began.wall.micros().saturating_add(since).saturating_sub(before);
        Now { engine: self.engine.max(engine), wall: now.wall.micros() }
    }

    /// Gives what is to be journaled to `batch`, after it is in the log. Whether the log has something of it, and the informs with it.
    fn publish(&mut self, shared: &Correlation, now: Now, batch: &mut Batch, informs: &[u64]) -> bool {
        let stats = &shared.stats;
        let mut touched = std::mem::take(&mut self.effects.touched);
        let mut outcomes = Vec::new();
        for payload in self.effects.outcomes() {
            if batch.push_encoded(payload) {
                outcomes.push(payload);
            } else {
                stats.outcomes_lost.add(1);
                tracing::error!("an outcome of more than 1 MiB is lost; shorten the rule's templates");
            }
        }
        let is_kept = !(outcomes.is_empty() && touched.is_empty());
        let log = self.log.as_mut().filter(|_| is_kept && self.correlator.plan().is_stateful());
        let kept = log.is_some();
        if let Some(log) = log {
            let images = self.correlator.images(&mut touched);
            log.set_waits(shared.waits.any());
            let told = log.tell_clocks(now.wall.saturating_sub(now.engine));
            if let Err(error) = told.and(log.add(now.engine, (outcomes, informs), &images, now.wall)) {
                tracing::error!(
                    %error,
                    "the state of rules cannot be written: a crash would lose it; it is tried again every second; check the disk"
                );
            }
            shared.written.notify_one();
        }
        touched.clear();
        self.effects.touched = touched;
        for (reason, count) in Reason::ALL.iter().zip(self.effects.swallowed) {
            stats.swallowed[*reason as usize].add(count);
        }
        stats.state_overflowed.add(self.effects.overflowed);
        for rule in self.effects.full.drain(..) {
            let name = self.correlator.plan().rules.get(rule as usize).map_or("", |rule| &rule.name);
            tracing::warn!(
                rule = name,
                "the rule keeps as many keys as it may: what comes with new keys is sent as if it had no state; see whether its key has parts that never come again"
            );
        }
        self.effects.clear();
        kept
    }
}

/// What rules are told about the state.
#[derive(Debug)]
pub struct Answers<'c> {
    correlation: &'c Correlation,
    now: clock::Now,
}

impl asks::State for Answers<'_> {
    fn answer(&self, question: &Question, texts: &[&str]) -> u64 {
        let state = self.correlation.state();
        state.correlator.answer(state.peek(self.now), question, texts)
    }
}

impl Correlation {
    /// No state, from now on.
    pub fn new(secret: Secret, stats: Arc<Stats>, now: clock::Now) -> Self {
        let engine = now.wall.micros();
        let mut correlator =
            Correlator::new(Arc::default(), secret, Limits::default(), Now { engine, wall: engine });
        let known = Arc::<Presence>::default();
        correlator.count_in(known.clone());
        let state = State {
            correlator,
            effects: Effects::default(),
            began: now,
            engine: i64::MIN,
            saved: None,
            told: Vec::new(),
            log: None,
        };
        Correlation {
            state: Mutex::new(state),
            secret: secret.0.map(AtomicU64::new),
            stats,
            untold: untold::Table::default(),
            known,
            due: AtomicI64::new(NEVER),
            earlier: Notify::new(),
            written: Notify::new(),
            waits: Waits::default(),
        }
    }

    /// What keys are made with.
    pub fn secret(&self) -> Secret {
        Secret([0, 1].map(|at: usize| self.secret[at].load(Ordering::Relaxed)))
    }

    /// Makes keys with another secret. Called before anything is decided.
    pub fn use_secret(&self, secret: Secret) {
        let state = &mut *self.state();
        let (engine, plan) = (state.began.wall.micros(), state.correlator.plan().clone());
        state.correlator = Correlator::new(plan, secret, Limits::default(), Now { engine, wall: engine });
        state.correlator.count_in(self.known.clone());
        self.set_secret(secret);
    }

    fn set_secret(&self, secret: Secret) {
        for (own, new) in self.secret.iter().zip(secret.0) {
            own.store(new, Ordering::Relaxed);
        }
    }

    /// Keeps the state in this log from now on, and goes on with what it has, as soon as there are rules: none of it is lost if
    /// that never happens. Called before anything is decided. Gives the outcomes that had not reached the journal, and the informs that
    /// were taken lately.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn resume(&self, mut log: StateLog, now: clock::Now) -> io::Result<(Batch, Vec<u64>)> {
        let left = log.recover();
        let mut state = self.state();
        state.log = Some(log);
        let left = left?;
        if left.damaged > 0 {
            tracing::error!(
                bytes = left.damaged,
                "parts of the state of rules are damaged and were skipped; check the disk"
            );
        }
        let head = left.state.as_deref().and_then(Correlator::head);
        if let Some((secret, engine)) = head {
            self.set_secret(secret);
            // Time goes on, whatever the wall clock says now. By how much it was set while the other process ran is no time.
            let wall = Wall::from_micros(now.wall.micros().saturating_sub(left.ahead).max(engine));
            (state.began, state.engine) = (clock::Now { wall, mono: now.mono }, engine);
            (state.saved, state.told) = (left.state, left.told);
        }
        Ok((left.outcomes, left.informs))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a decision leaves at worst one problem half changed; without state nothing would be decided.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about what a pipeline has made, of messages among which are these informs, and adds what is to be journaled to `batch`. Nothing else is decided while
    /// what it gives is there.
    pub fn decide(
        &self,
        now: clock::Now,
        undecided: &mut Undecided,
        batch: &mut Batch,
        informs: &[u64],
    ) -> Deciding<'_> {
        let mut deciding = Deciding { correlation: self, state: self.state(), kept: false };
        let state = &mut *deciding.state;
        let mut engine = state.now(now);
        // What is due comes before the messages. What is left is seen to when its problem has a message.
        state.correlator.advance(engine, AT_ONCE, &mut state.effects);
        let same = undecided.is_of(state.correlator.plan());
        let mut noted = self.untold.is_on().then(untold::Batch::default);
        let mut start = 0;
        for (facts, end) in &undecided.outcomes {
            let payload = &undecided.payloads[start..*end];
            start = *end;
            // Made with rules that were replaced since: by the settings of today's, which may be gone.
            let facts = if same {
                facts.clone()
            } else {
                translated(facts.clone(), undecided.plan.as_deref(), state.correlator.plan())
            };
            let verdict = state.correlator.decide(engine, &facts, payload, &mut state.effects);
            if let (Verdict::Swallowed(reason), Some(noted)) = (verdict, &mut noted) {
                let why = untold::why(reason);
                noted.note((why, facts.rule, facts.key.number()), || untold::swallowed(why, payload));
            }
            // Each has a time of its own, so that what came first is first again when it is due, even after a restart.
            engine.engine += 1;
        }
        state.engine = engine.engine;
        undecided.clear();
        if let Some(mut noted) = noted {
            self.untold.add(&mut noted);
        }
        deciding.kept = state.publish(self, engine, batch, informs);
        deciding
    }

    /// Has everything happen that is due, and gives what is to be journaled to `then`, in one or more batches.
    pub fn advance(&self, now: clock::Now, mut then: impl FnMut(&mut Batch)) {
        loop {
            let mut guard = self.state();
            let state = &mut *guard;
            let engine = state.now(now);
            let all = state.correlator.advance(engine, AT_ONCE, &mut state.effects);
            let mut batch = Batch::default();
            state.publish(self, engine, &mut batch, &[]);
            if !batch.is_empty() {
                then(&mut batch);
            }
            self.set_due(state);
            if all {
                return;
            }
        }
    }

    /// What is kept and wanted, of which at most `most` entries, the oldest; none before there are rules. What is decided
    /// meanwhile may be in it or not.
    pub fn view(&self, now: clock::Now, wanted: &Wanted, most: usize) -> Option<Listed> {
        let (mut listed, mut from) = (Listed::new(most), Some(0));
        while let Some(at) = from {
            // The lock is free between the parts: deciding goes on.
            let state = self.state();
            if state.saved.is_some() {
                return None;
            }
            let (part, next) = state.correlator.view(state.peek(now), wanted, at, AT_ONCE as u32);
            drop(state);
            listed.add(part);
            from = next;
        }
        Some(listed)
    }

    /// Ends what is wanted by hand, and gives what is to be journaled to `then`, in one or more batches. How many entries
    /// were ended; none before there are rules.
    pub fn clear(
        &self,
        now: clock::Now,
        wanted: &Wanted,
        how: Clear<'_>,
        mut then: impl FnMut(&mut Batch),
    ) -> Option<usize> {
        let (mut cleared, mut from) = (0, Some(0));
        while let Some(at) = from {
            let mut guard = self.state();
            let state = &mut *guard;
            if state.saved.is_some() {
                return None;
            }
            let engine = state.now(now);
            let places = (at, AT_ONCE as u32);
            let (rows, next) = state.correlator.clear(engine, (wanted, how), places, &mut state.effects);
            let mut batch = Batch::default();
            state.publish(self, engine, &mut batch, &[]);
            if !batch.is_empty() {
                then(&mut batch);
            }
            self.set_due(state);
            cleared += rows.len();
            from = next;
        }
        Some(cleared)
    }

    /// Puts other rules in force.
    pub fn replace(&self, plan: &Arc<Plan>, now: clock::Now, then: impl FnOnce(&mut Batch)) {
        let mut guard = self.state();
        let state = &mut *guard;
        // Messages that have waited for these rules came earlier.
        let engine = state.peek(now);
        match state.saved.take() {
            None => state.correlator.replace(plan.clone(), engine, &mut state.effects),
            Some(saved) => {
                let limits = Limits::default();
                match Correlator::decode(&saved, plan.clone(), limits, engine, &mut state.effects) {
                    Some(mut correlator) => {
                        correlator.count_in(self.known.clone());
                        correlator.were_told(&std::mem::take(&mut state.told), &mut state.effects);
                        state.correlator = correlator;
                        state.correlator.stay_quiet_until(engine.engine.saturating_add(QUIET));
                    }
                    None => {
                        tracing::error!(
                            "the state of rules that was left is not as this release writes it, so rules begin without what they held, \
                             counted or expected; look at the services that `trapline history` shows as not ok, and see what was installed before"
                        );
                        state.correlator = Correlator::new(plan.clone(), self.secret(), limits, engine);
                        state.correlator.count_in(self.known.clone());
                    }
                }
            }
        }
        let mut batch = Batch::default();
        state.publish(self, engine, &mut batch, &[]);
        if !batch.is_empty() {
            then(&mut batch);
        }
        state.keep(engine.engine, self.waits.any());
        self.set_due(state);
        drop(guard);
        self.written.notify_one();
    }

    /// Makes the state on disk safe from a power cut, and writes it anew where it could not be written or has grown long. With
    /// `only_new` only what was written anew is made safe. Whether it is safe: what an earlier process left is not before there are rules.
    ///
    /// # Errors
    ///
    /// If it cannot be, or cannot be written.
    pub fn sync(&self, now: clock::Now, only_new: bool) -> io::Result<bool> {
        let to_sync = {
            let mut guard = self.state();
            let state = &mut *guard;
            let Now { engine, wall } = state.peek(now);
            let is_whole = state.saved.is_none();
            let Some(log) = state.log.as_mut().filter(|_| is_whole) else { return Ok(is_whole) };
            log.tell_clocks(wall.saturating_sub(engine))?;
            if log.is_left() && !state.correlator.plan().is_stateful() {
                log.set_waits(self.waits.any());
                log.remove()?;
                if log.is_left() {
                    self.tell_written();
                }
                return Ok(true);
            }
            if state.correlator.plan().is_stateful() && (!log.is_open() || log.is_long()) {
                // What cannot be written anew goes on as it is, if it is there.
                log.set_waits(self.waits.any());
                log.begin(&state.correlator, engine)
                    .or_else(|error| if log.is_open() { Ok(()) } else { Err(error) })?;
            }
            log.to_sync(self.waits.any()).filter(|_| !only_new || log.has_older())
        };
        let Some(to_sync) = to_sync else { return Ok(true) };
        // Without the lock: deciding goes on.
        let result = to_sync.sync();
        self.state().log.as_mut().map_or(Ok(()), |log| log.synced(&to_sync, result)).map(|()| true)
    }

    /// Something is still to be synced.
    pub fn tell_written(&self) {
        self.written.notify_one();
    }

    /// Returns when something was written that is not synced.
    pub async fn written(&self) {
        self.written.notified().await;
    }

    /// What is known of the state at a time. What messages before this one have made is to be decided about before.
    pub fn at(&self, now: clock::Now) -> Answers<'_> {
        Answers { correlation: self, now }
    }

    /// Whether something is due by now.
    pub fn is_due(&self, now: clock::Now) -> bool {
        let due = self.due.load(Ordering::Acquire);
        due != NEVER && due <= self.state().peek(now).engine
    }

    /// What the state has to know of an outcome; none if it is nothing to the state: no rule keeps anything, or the rule
    /// keeps nothing and no problem with its key is known. Takes no lock and allocates nothing.
    /// `follows` says that outcomes before this one are still to be decided about.
    pub fn facts(
        &self,
        plan: &Plan,
        follows: bool,
        emitted: &Emitted<'_, '_>,
        context: &MessageContext<'_>,
    ) -> Option<Facts> {
        if !plan.is_stateful() {
            return None;
        }
        let tracked = plan.rules.get(emitted.at).is_some_and(|rule| rule.tracked);
        // A rule that keeps nothing has no key of its own.
        // The key is made only where there is something to find with it.
        let may_be_known =
            || !self.known.is_empty() && self.known.may_have(self.secret().service(emitted.outcome));
        if !tracked && !follows && !may_be_known() {
            return None;
        }
        Some(Facts::new(self.secret(), plan, emitted, context))
    }

    fn set_due(&self, state: &State) {
        let due = state.correlator.next_due().unwrap_or(NEVER);
        if due < self.due.swap(due, Ordering::AcqRel) {
            self.earlier.notify_one();
        }
    }

    /// Returns when something may be due. `clock` tells the time.
    pub async fn wait(&self, clock: impl Fn() -> clock::Now) {
        loop {
            let due = self.due.load(Ordering::Acquire);
            let left = if due == NEVER {
                None
            } else {
                let engine = self.state().peek(clock()).engine;
                Some(std::time::Duration::from_micros(u64::try_from(due.saturating_sub(engine)).unwrap_or(0)))
            };
            match left {
                Some(left) if left.is_zero() => return,
                Some(left) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep(left) => return,
                        () = self.earlier.notified() => {}
                    }
                }
                None => self.earlier.notified().await,
            }
        }
    }

    /// How much there is, as JSON.
    pub fn to_json(&self) -> Value {
        let state = self.state();
        let summary = state.correlator.summary();
        let keys: Vec<Value> = state
            .correlator
            .plan()
            .rules
            .iter()
            .zip(state.correlator.usage())
            .filter(|(_, usage)| usage.keys > 0)
            .map(|(rule, usage)| json!({ "rule": &*rule.name, "keys": usage.keys, "bytes": usage.bytes }))
            .collect();
        json!({
            "open": summary.open,
            "held": summary.held,
            "flapping": summary.flapping,
            "counts": summary.counts,
            "expected": summary.expected,
            "rules": keys,
        })
    }
}

/// Facts of an outcome with its rule as another plan has it; a rule that the other plan has not keeps nothing.
fn translated(facts: Facts, from: Option<&Plan>, to: &Plan) -> Facts {
    let id = from.and_then(|plan| plan.rules.get(facts.rule as usize)).map(|rule| rule.id);
    let rule = id.and_then(|id: RuleId| to.find(id)).unwrap_or(u32::MAX);
    Facts { rule, ..facts }
}

#[cfg(test)]
#[path = "correlation_tests.rs"]
pub(in crate::intake) mod tests;
