//! Mutes: what is known and need not reach anybody for a while.
//!
//! The state of rules goes on, and every outcome is journaled. What a mute covers is marked, so that sinks that honour mutes skip
//! it; when the mute ends, the last outcome of each service is journaled again for them. What cannot be kept for that is not muted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::intake::mute::{Covers, Ordered, Patterns, endpoint};
use crate::intake::mutes_kept::{Kept, KeptWord};
use crate::journal::{Batch, Point};
use crate::outcome::codec;
use crate::outcome::result::Outcome;
use crate::time::calendar::Hours;
use crate::time::clock::{Wall, rfc3339};

/// Of how many services the last outcome is kept.
const MOST_WORDS: usize = 10_000;
/// How many bytes these may have.
const MOST_BYTES: usize = 16 << 20;
/// How many words are looked at before others have their turn with the lock.
const TURN: usize = 64;
/// From how many bytes on it is not written each second.
const LARGE: usize = 256 << 10;
/// How many mutes there may be by command.
pub const MOST_MUTES: usize = 1000;

/// A mute of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// What it covers.
    pub covers: Covers,
    /// When it is in force.
    pub hours: Hours,
}

/// The last outcome of a service that was muted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    payload: Vec<u8>,
    sinks: String,
    /// Where the journal was when it was withheld; unknown for what an earlier release has left.
    since: Option<Point>,
    /// The number of the outcome, among all that were looked at.
    number: u64,
    /// How many newer outcomes that are not muted are on their way into the journal. One that arrives there takes its place.
    overtaken: u32,
}

/// A last word that is to be journaled.
#[derive(Debug)]
pub struct LastWord {
    name: String,
    /// The outcome, with the mark of a last word.
    pub payload: Vec<u8>,
}

/// All mutes.
#[derive(Debug, Default)]
pub struct Mutes {
    state: Mutex<State>,
    order: Mutex<()>,
    /// Whether there is any mute or word: then outcomes are looked at.
    any: AtomicBool,
    changed: Notify,
}

/// A mute of the configuration, and what it has done.
#[derive(Debug)]
struct Scheduled {
    mute: Configured,
    patterns: Patterns,
    swallowed: u64,
    /// Whether it was in force when it was looked at last, or has muted something since.
    active: bool,
}

#[derive(Debug, Default)]
struct State {
    configured: Vec<Scheduled>,
    ordered: Vec<(Ordered, Patterns)>,
    last_id: u64,
    words: BTreeMap<String, Word>,
    bytes: usize,
    /// Mutes that have ended since the last look.
    over: Vec<Patterns>,
    /// Whether every word is to be looked at, as mutes may have ended without notice.
    all: bool,
    /// The names of words that are still to be looked at.
    pending: Vec<String>,
    /// How many outcomes were looked at.
    numbered: u64,
    dirty: bool,
}

impl Mutes {
    /// Takes the mutes of the configuration. Those that stay keep their counts.
    pub fn configure(&self, configured: &[Configured]) {
        let mut state = self.state();
        let mut before = std::mem::take(&mut state.configured);
        let known = configured.iter().map(|mute| {
            let place = before.iter().position(|known| known.mute == *mute);
            place.map_or_else(|| Scheduled::new(mute.clone()), |place| before.swap_remove(place))
        });
        state.configured = known.collect();
        state.over.extend(before.into_iter().map(|gone| gone.patterns));
        self.note(state);
    }

    /// Mutes until a time; gives the id, or none if there are too many.
    pub fn add(&self, covers: Covers, from: Wall, until: Wall) -> Option<u64> {
        let mut state = self.state();
        if state.ordered.len() >= MOST_MUTES {
            return None;
        }
        state.last_id += 1;
        let id = state.last_id;
        let (from, until) = (from.micros(), until.micros());
        let patterns = Patterns::new(&covers);
        state.ordered.push((Ordered { id, covers, from, until, swallowed: 0 }, patterns));
        state.dirty = true;
        self.note(state);
        Some(id)
    }

    /// Ends mutes by command, all if none is named; how many. What was muted is sent with the next look.
    pub fn end(&self, ids: &[u64]) -> usize {
        let mut state = self.state();
        let ended = |mute: &mut (Ordered, Patterns)| ids.is_empty() || ids.contains(&mute.0.id);
        let ended: Vec<Patterns> =
            state.ordered.extract_if(.., ended).map(|(_, patterns)| patterns).collect();
        let count = ended.len();
        state.over.extend(ended);
        state.dirty |= count > 0;
        self.note(state);
        count
    }

    /// Marks what is muted in a batch, which goes into the journal behind `point`. What is marked already stays as it is. Gives the
    /// number of its first outcome, by which [`Mutes::written`] and [`Mutes::lost`] are told of it later.
    pub fn mark(&self, batch: &mut Batch, now: Wall, point: Point) -> Option<u64> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state();
        let first = state.numbered;
        batch.rewrite(|payload| state.mark(payload, now.micros(), point));
        drop(state);
        self.changed.notify_one();
        Some(first)
    }

    /// The journal has the first `count` outcomes of a batch: older ones that are withheld of their services are no news any more.
    pub fn written(&self, batch: &Batch, count: usize, first: Option<u64>) {
        self.arrived(batch, count, first, State::written);
    }

    /// A batch is lost: what is withheld of its services is the last word again.
    pub fn lost(&self, batch: &Batch, first: Option<u64>) {
        self.arrived(batch, batch.len(), first, State::lost);
    }

    fn arrived(&self, batch: &Batch, count: usize, first: Option<u64>, tell: fn(&mut State, &str, u64)) {
        let Some(first) = first else { return };
        let mut state = self.state();
        for (payload, number) in batch.payloads().take(count).zip(first..) {
            if state.words.is_empty() {
                return;
            }
            if codec::mute_of(payload).is_none()
                && let Some(outcome) = codec::decode(payload)
            {
                tell(&mut state, &endpoint(&outcome), number);
            }
        }
    }

    /// Held from [`Mutes::mark`] to [`Mutes::written`], and from [`Mutes::look`] to [`Mutes::said`], with what the journal is
    /// given in between: without it a last word could be journaled behind the news that take its place. None without mutes.
    pub fn order(&self) -> Option<MutexGuard<'_, ()>> {
        self.any().then(|| self.order.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends what is over, and gives the last outcomes of services that are not muted any more, to be journaled. They stay here
    /// until they are [`said`](Mutes::said).
    pub fn look(&self, now: Wall) -> Vec<LastWord> {
        let mut words = Vec::new();
        let mut begins = true;
        loop {
            let mut state = self.state();
            if std::mem::take(&mut begins) {
                state.end_what_is_over(now.micros());
            }
            state.look(now.micros(), &mut words);
            let is_done = state.pending.is_empty();
            // Who looks is the one who is told of changes: it would tell itself, again and again.
            self.set_any(&state);
            drop(state);
            if is_done {
                return words;
            }
        }
    }

    /// These words are in the journal.
    pub fn said(&self, words: &[LastWord]) {
        let mut state = self.state();
        for word in words {
            state.forget(&word.name);
        }
        self.set_any(&state);
    }

    /// The journal did not take all words: the next look gives those that are left.
    pub fn look_again(&self) {
        self.state().all = true;
    }

    /// What is to be kept on disk, if it has changed since this was asked last.
    pub fn take_changes(&self) -> Option<Kept> {
        let mut state = self.state();
        std::mem::take(&mut state.dirty).then(|| state.kept())
    }

    /// Whether so much is withheld that it is not written each second.
    pub fn is_large(&self) -> bool {
        self.state().bytes > LARGE
    }

    /// It could not be written: it is tried again.
    pub fn not_written(&self) {
        self.state().dirty = true;
    }

    /// Goes on with what an earlier process has left.
    pub fn resume(&self, kept: Kept) {
        let mut state = self.state();
        state.last_id = state.last_id.max(kept.last_id);
        let with_patterns = |mute: Ordered| {
            let patterns = Patterns::new(&mute.covers);
            (mute, patterns)
        };
        state.ordered.extend(kept.mutes.into_iter().map(with_patterns));
        state.all = true;
        for word in kept.words {
            if let Some(payload) = word.payload() {
                state.keep(&payload, &word.sinks, word.since);
            }
        }
        self.note(state);
    }

    /// Whether there is something to look at once a second.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Returns once something has changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// All mutes, as JSON.
    pub fn to_json(&self, now: Wall) -> Value {
        let (state, now) = (self.state(), now.micros());
        let row = |covers: &Covers, swallowed: u64, active: bool| {
            json!({
                "host": covers.host, "service": covers.service, "rule": covers.rule, "sinks": covers.sinks,
                "reason": covers.reason, "muted": swallowed, "active": active,
            })
        };
        let ordered = state.ordered.iter().map(|(mute, _)| {
            let mut row = row(&mute.covers, mute.swallowed, mute.is_active(now));
            row["id"] = mute.id.into();
            row["until"] = rfc3339(mute.until).into();
            row
        });
        let configured =
            state.configured.iter().map(|known| row(&known.mute.covers, known.swallowed, known.covers(now)));
        json!({ "ok": true, "mutes": ordered.chain(configured).collect::<Vec<_>>(), "withheld": state.words.len() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_any(&self, state: &State) {
        let any = !(state.configured.is_empty() && state.ordered.is_empty() && state.words.is_empty());
        self.any.store(any, Ordering::Release);
    }

    /// Every change from outside ends with this.
    fn note(&self, state: MutexGuard<'_, State>) {
        self.set_any(&state);
        drop(state);
        self.changed.notify_one();
    }
}

impl Scheduled {
    fn new(mute: Configured) -> Self {
        let patterns = Patterns::new(&mute.covers);
        Scheduled { mute, patterns, swallowed: 0, active: false }
    }

    fn covers(&self, now: i64) -> bool {
        self.mute.hours.covers(now)
    }
}

impl State {
    /// The outcome with its mark; none if it stays as it is.
    fn mark(&mut self, payload: &[u8], now: i64, point: Point) -> Option<Vec<u8>> {
        self.numbered += 1;
        if codec::mute_of(payload).is_some() {
            return None;
        }
        let outcome = codec::decode(payload)?;
        let Some(sinks) = self.sinks(&outcome, now) else {
            // It is news: what was muted before is none any more, once the journal has it.
            self.overtake(&endpoint(&outcome));
            return None;
        };
        if !self.keep(payload, &sinks, Some(point)) {
            return None;
        }
        for (mute, patterns) in &mut self.ordered {
            mute.swallowed += u64::from(mute.is_active(now) && patterns.has(&outcome));
        }
        for known in &mut self.configured {
            if known.covers(now) && known.patterns.has(&outcome) {
                known.swallowed += 1;
                known.active = true;
            }
        }
        self.dirty = true;
        Some(codec::muted(payload, &sinks, false))
    }

    /// The names of the sinks that an outcome is muted for; none if it is not muted.
    fn sinks(&self, outcome: &Outcome<'_>, now: i64) -> Option<String> {
        let ordered = self.ordered.iter().filter(|(mute, _)| mute.is_active(now));
        let ordered = ordered.map(|(mute, patterns)| (&mute.covers, patterns));
        let configured = self.configured.iter().filter(|known| known.covers(now));
        let all = ordered.chain(configured.map(|known| (&known.mute.covers, &known.patterns)));
        let mut names: Vec<&str> = Vec::new();
        let mut any = false;
        for (covers, _) in all.filter(|(_, patterns)| patterns.has(outcome)) {
            if covers.sinks.is_empty() {
                return Some("*".to_owned());
            }
            any = true;
            names.extend(covers.sinks.iter().map(String::as_str));
        }
        names.sort_unstable();
        names.dedup();
        any.then(|| names.join(","))
    }

    /// Keeps the last outcome of a service; false if there is no room for it.
    fn keep(&mut self, payload: &[u8], sinks: &str, since: Option<Point>) -> bool {
        let Some(outcome) = codec::decode(payload) else { return false };
        let name = endpoint(&outcome);
        let before = self.words.get(&name).map(|word| word.payload.len());
        let bytes = self.bytes - before.unwrap_or(0) + payload.len();
        if bytes > MOST_BYTES || (before.is_none() && self.words.len() >= MOST_WORDS) {
            // It passes, and what was kept is no news after it.
            self.overtake(&name);
            return false;
        }
        self.bytes = bytes;
        let number = self.numbered;
        let (payload, sinks) = (payload.to_vec(), sinks.to_owned());
        let word = Word { payload, sinks, since, number, overtaken: 0 };
        self.words.insert(name, word);
        true
    }

    /// A newer outcome, which is not muted, is on its way into the journal.
    fn overtake(&mut self, name: &str) {
        if let Some(word) = self.words.get_mut(name) {
            word.overtaken += 1;
        }
    }

    /// It is there.
    fn written(&mut self, name: &str, number: u64) {
        if self.words.get(name).is_some_and(|word| word.number <= number) {
            self.forget(name);
        }
    }

    /// It is lost.
    fn lost(&mut self, name: &str, number: u64) {
        if let Some(word) =
            self.words.get_mut(name).filter(|word| word.number <= number && word.overtaken > 0)
        {
            word.overtaken -= 1;
            // Its mutes may have ended meanwhile.
            self.all |= word.overtaken == 0;
        }
    }

    fn forget(&mut self, name: &str) {
        if let Some(word) = self.words.remove(name) {
            self.bytes -= word.payload.len();
            self.dirty = true;
        }
    }

    /// Ends what is over, and notes which words that may concern.
    fn end_what_is_over(&mut self, now: i64) {
        for (over, patterns) in self.ordered.extract_if(.., |(mute, _)| !mute.is_active(now)) {
            tracing::info!(id = over.id, muted = over.swallowed, "a mute is over: {}", over.covers.reason);
            self.over.push(patterns);
            self.dirty = true;
        }
        for known in &mut self.configured {
            let active = known.mute.hours.covers(now);
            if std::mem::replace(&mut known.active, active) && !active {
                self.over.push(known.patterns.clone());
            }
        }
        let (over, all) = (std::mem::take(&mut self.over), std::mem::take(&mut self.all));
        if over.is_empty() && !all {
            return;
        }
        let concerns = |word: &Word| {
            let outcome = codec::decode(&word.payload);
            all || outcome.is_none_or(|outcome| over.iter().any(|patterns| patterns.has(&outcome)))
        };
        self.pending =
            self.words.iter().filter(|(_, word)| concerns(word)).map(|(name, _)| name.clone()).collect();
    }

    /// Takes some of the words that are to be looked at and that no mute covers any more.
    fn look(&mut self, now: i64, said: &mut Vec<LastWord>) {
        let rest = self.pending.len().saturating_sub(TURN);
        for name in self.pending.split_off(rest) {
            // It may be gone meanwhile.
            let Some(word) = self.words.get(&name).filter(|word| word.overtaken == 0) else { continue };
            let still = codec::decode(&word.payload).and_then(|outcome| self.sinks(&outcome, now)).is_some();
            if !still {
                let mut payload = codec::muted(&word.payload, &word.sinks, true);
                codec::set_time(&mut payload, now);
                said.push(LastWord { name, payload });
            }
        }
    }

    fn kept(&self) -> Kept {
        let words = self.words.values().map(|word| KeptWord::new(&word.payload, &word.sinks, word.since));
        let mutes = self.ordered.iter().map(|(mute, _)| mute.clone());
        Kept { last_id: self.last_id, mutes: mutes.collect(), words: words.collect() }
    }
}

#[cfg(test)]
#[path = "mutes_tests.rs"]
mod tests;
