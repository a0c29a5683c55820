//! Mutes: what is known and need not reach anybody for a while.
//!
//! The state of rules goes on, and every outcome is journaled. What a mute covers is marked, so that sinks that honour mutes skip
//! it; when the mute ends, the last outcome of each service is journaled again for them. What cannot be kept for that is not muted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::journal::Batch;
use crate::outcome::codec;
use crate::outcome::result::Outcome;
use crate::rules::matching::Glob;
use crate::time::calendar::Hours;
use crate::time::clock::{Wall, rfc3339};

/// Of how many services the last outcome is kept.
const MOST_WORDS: usize = 10_000;
/// How many bytes these may have.
const MOST_BYTES: usize = 16 << 20;
/// From how many bytes on it is not written each second.
const LARGE: usize = 256 << 10;
/// How many mutes there may be by command.
pub const MOST_MUTES: usize = 1000;

/// Which outcomes a mute covers: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Covers {
    /// Hosts or components like this.
    pub host: Option<String>,
    /// Services or resources like this.
    pub service: Option<String>,
    /// Rules whose id is like this.
    pub rule: Option<String>,
    /// The names of the sinks that are muted; empty for all that honour mutes.
    pub sinks: Vec<String>,
    /// Why, for people.
    pub reason: String,
}

impl Covers {
    /// Whether nothing is given but sinks and a reason.
    pub fn is_everything(&self) -> bool {
        self.host.is_none() && self.service.is_none() && self.rule.is_none()
    }

    fn has(&self, outcome: &Outcome<'_>) -> bool {
        let fits = |glob: Option<&String>, name: Option<&str>, fold: bool| {
            glob.is_none_or(|glob| name.is_some_and(|name| Glob::new(glob, fold).matches(name)))
        };
        fits(self.host.as_ref(), Some(outcome.host()), true)
            && fits(self.service.as_ref(), outcome.service(), true)
            && fits(self.rule.as_ref(), Some(&outcome.common().rule), false)
    }
}

/// A mute of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// What it covers.
    pub covers: Covers,
    /// When it is in force.
    pub hours: Hours,
}

/// A mute by command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ordered {
    id: u64,
    covers: Covers,
    /// In microseconds since 1970 UTC.
    from: i64,
    until: i64,
    swallowed: u64,
}

/// The last outcome of a service that was muted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    payload: Vec<u8>,
    sinks: String,
}

/// All mutes.
#[derive(Debug, Default)]
pub struct Mutes {
    state: Mutex<State>,
    /// Whether there is any mute or word: then outcomes are looked at.
    any: AtomicBool,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    configured: Vec<(Configured, u64)>,
    ordered: Vec<Ordered>,
    last_id: u64,
    words: BTreeMap<String, Word>,
    bytes: usize,
    dirty: bool,
}

/// What is kept on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    last_id: u64,
    mutes: Vec<Ordered>,
    words: Vec<KeptWord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptWord {
    payload: String,
    sinks: String,
}

impl Mutes {
    /// Takes the mutes of the configuration. Those that stay keep their counts.
    pub fn configure(&self, configured: &[Configured]) {
        let mut state = self.state();
        let before = std::mem::take(&mut state.configured);
        let count =
            |mute: &Configured| before.iter().find(|(same, _)| same == mute).map_or(0, |(_, count)| *count);
        state.configured = configured.iter().map(|mute| (mute.clone(), count(mute))).collect();
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
        state.ordered.push(Ordered { id, covers, from, until, swallowed: 0 });
        state.dirty = true;
        self.note(state);
        Some(id)
    }

    /// Ends mutes by command, all if none is named; how many. What was muted is sent with the next look.
    pub fn end(&self, ids: &[u64]) -> usize {
        let mut state = self.state();
        let before = state.ordered.len();
        state.ordered.retain(|mute| !ids.is_empty() && !ids.contains(&mute.id));
        let ended = before - state.ordered.len();
        state.dirty |= ended > 0;
        self.note(state);
        ended
    }

    /// Marks what is muted in a batch. What is marked already stays as it is.
    pub fn mark(&self, batch: &mut Batch, now: Wall) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        batch.rewrite(|payload| state.mark(payload, now.micros()));
        drop(state);
        self.changed.notify_one();
    }

    /// Ends what is over, and gives the last outcomes of services that are not muted any more, to be journaled.
    pub fn look(&self, now: Wall) -> Vec<Vec<u8>> {
        let mut state = self.state();
        let words = state.look(now.micros());
        self.note(state);
        words
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
        state.ordered.extend(kept.mutes);
        for KeptWord { payload, sinks } in kept.words {
            if let Ok(payload) = HEXLOWER.decode(payload.as_bytes()) {
                state.keep(&payload, &sinks);
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
        let ordered = state.ordered.iter().map(|mute| {
            let mut row = row(&mute.covers, mute.swallowed, mute.is_active(now));
            row["id"] = mute.id.into();
            row["until"] = rfc3339(mute.until).into();
            row
        });
        let configured =
            state.configured.iter().map(|(mute, count)| row(&mute.covers, *count, mute.hours.covers(now)));
        json!({ "ok": true, "mutes": ordered.chain(configured).collect::<Vec<_>>(), "withheld": state.words.len() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every change ends with this.
    fn note(&self, state: MutexGuard<'_, State>) {
        let any = !(state.configured.is_empty() && state.ordered.is_empty() && state.words.is_empty());
        self.any.store(any, Ordering::Release);
        drop(state);
        self.changed.notify_one();
    }
}

impl Ordered {
    fn is_active(&self, now: i64) -> bool {
        now < self.until
    }
}

/// What a service is known by.
fn endpoint(outcome: &Outcome<'_>) -> String {
    format!("{}\0{}\0{}", outcome.kind(), outcome.host(), outcome.service().unwrap_or("\0"))
}

impl State {
    /// The outcome with its mark; none if it stays as it is.
    fn mark(&mut self, payload: &[u8], now: i64) -> Option<Vec<u8>> {
        if codec::mute_of(payload).is_some() {
            return None;
        }
        let outcome = codec::decode(payload)?;
        let Some(sinks) = self.sinks(&outcome, now) else {
            // It is news: what was muted before is none any more.
            self.forget(&endpoint(&outcome));
            return None;
        };
        if !self.keep(payload, &sinks) {
            return None;
        }
        for mute in self.ordered.iter_mut().filter(|mute| mute.is_active(now) && mute.covers.has(&outcome)) {
            mute.swallowed += 1;
        }
        for (mute, count) in &mut self.configured {
            *count += u64::from(mute.hours.covers(now) && mute.covers.has(&outcome));
        }
        self.dirty = true;
        Some(codec::muted(payload, &sinks, false))
    }

    /// The names of the sinks that an outcome is muted for; none if it is not muted.
    fn sinks(&self, outcome: &Outcome<'_>, now: i64) -> Option<String> {
        let ordered = self.ordered.iter().filter(|mute| mute.is_active(now)).map(|mute| &mute.covers);
        let configured = self.configured.iter().filter(|(mute, _)| mute.hours.covers(now));
        let covers = ordered.chain(configured.map(|(mute, _)| &mute.covers));
        let mut names: Vec<&str> = Vec::new();
        let mut any = false;
        for covers in covers.filter(|covers| covers.has(outcome)) {
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
    fn keep(&mut self, payload: &[u8], sinks: &str) -> bool {
        let Some(outcome) = codec::decode(payload) else { return false };
        let name = endpoint(&outcome);
        let before = self.words.get(&name).map(|word| word.payload.len());
        let bytes = self.bytes - before.unwrap_or(0) + payload.len();
        if bytes > MOST_BYTES || (before.is_none() && self.words.len() >= MOST_WORDS) {
            // It passes, and what was kept is no news after it.
            self.forget(&name);
            return false;
        }
        self.bytes = bytes;
        self.words.insert(name, Word { payload: payload.to_vec(), sinks: sinks.to_owned() });
        true
    }

    fn forget(&mut self, name: &str) {
        if let Some(word) = self.words.remove(name) {
            self.bytes -= word.payload.len();
            self.dirty = true;
        }
    }

    fn look(&mut self, now: i64) -> Vec<Vec<u8>> {
        for over in self.ordered.extract_if(.., |mute| !mute.is_active(now)) {
            tracing::info!(id = over.id, muted = over.swallowed, "a mute is over: {}", over.covers.reason);
            self.dirty = true;
        }
        let mut said = Vec::new();
        let names: Vec<String> = self.words.keys().cloned().collect();
        for name in names {
            let Some(word) = self.words.get(&name) else { continue };
            let still = codec::decode(&word.payload).and_then(|outcome| self.sinks(&outcome, now)).is_some();
            if !still {
                let mut payload = codec::muted(&word.payload, &word.sinks, true);
                codec::set_time(&mut payload, now);
                said.push(payload);
                self.forget(&name);
            }
        }
        said
    }

    fn kept(&self) -> Kept {
        let words = self
            .words
            .values()
            .map(|word| KeptWord { payload: HEXLOWER.encode(&word.payload), sinks: word.sinks.clone() });
        Kept { last_id: self.last_id, mutes: self.ordered.clone(), words: words.collect() }
    }
}

#[cfg(test)]
#[path = "mutes_tests.rs"]
mod tests;
