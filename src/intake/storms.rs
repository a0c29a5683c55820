//! The storms under way: who sends, how much of what, and what is reported of it.
//!
//! A storm begins with the first message above the limit and is over when its sender was below half of it for a while. Listeners
//! count; [`Storms::look`] judges, once a second, and gives the reports. What is under way is on disk, so that a storm that a crash or
//! a restart interrupts gets its end.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::intake::storm::{Settings, What};
use crate::intake::storm_kinds::{Kinds, Share};
use crate::time::clock::{Mono, Now, Wall, rfc3339};

/// How many storms are told apart. What comes above that, and what senders bring for whom there is no bucket, is counted together.
const MAX_OPEN: usize = 256;
/// How often a storm is reported while it lasts.
const EVERY: Duration = Duration::from_mins(1);
/// For how long a sender must be below half of the limit until its storm is over.
const CALM: Duration = Duration::from_secs(10);
/// How often one looks.
pub const LOOK: Duration = Duration::from_secs(1);

/// A storm under way.
#[derive(Debug)]
pub struct Storm {
    /// Who sends what; none for several senders that are not told apart.
    of: Option<(IpAddr, What)>,
    /// When it began.
    since: Wall,
    /// Messages of the sender since then.
    total: AtomicU64,
    /// How many of them were not processed.
    left_out: AtomicU64,
    kinds: Mutex<Kinds>,
    over: AtomicBool,
}

impl Storm {
    fn new(of: Option<(IpAddr, What)>, since: Wall) -> Self {
        Storm {
            of,
            since,
            total: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            kinds: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    /// Counts a message; `left_out` says that it is not decoded.
    pub(super) fn count(&self, left_out: bool) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.left_out.fetch_add(u64::from(left_out), Ordering::Relaxed);
    }

    /// Whether a message that was decoded is to be processed: one of its kind was not for a while. If not, that is counted.
    pub(super) fn is_first(
        &self,
        kind: &impl Hash,
        stands_for: u32,
        now: Mono,
        name: impl FnOnce() -> String,
    ) -> bool {
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        let first = self.kinds().add(hasher.finish(), stands_for, now, name);
        self.left_out.fetch_add(u64::from(!first), Ordering::Relaxed);
        first
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn kinds(&self) -> MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a storm beside its counts.
#[derive(Debug)]
struct Watched {
    storm: Arc<Storm>,
    /// The host of its results; empty until it was looked at.
    host: String,
    /// How much it had sent at the last look.
    seen: u64,
    looked: Mono,
    reported: Mono,
    /// Since when it is below half of the limit.
    calm: Option<Mono>,
    /// Whether its begin was reported.
    told: bool,
}

/// A storm as it is kept on disk and shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// Who sends.
    pub address: IpAddr,
    /// What it sends.
    pub what: String,
    /// The host of its results.
    pub host: String,
    /// When it began, in microseconds since 1970 UTC.
    pub since: i64,
    /// Messages since then.
    pub total: u64,
    /// How many were not processed.
    pub left_out: u64,
}

/// What a report says of a storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has begun.
    Begins,
    /// It goes on.
    Lasts,
    /// It is over.
    Over,
}

/// A report of a storm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Who sends; none for several senders, whose storms have no result.
    pub address: Option<IpAddr>,
    /// The host.
    pub host: String,
    /// Which report it is.
    pub stage: Stage,
    /// Whether another storm of the host is under way.
    pub others: bool,
    /// What there is to say, in a sentence.
    pub text: String,
    /// What is kept of it, if it is over: until that is journaled.
    pub ended: Option<Kept>,
}

/// All storms under way.
#[derive(Debug, Default)]
pub struct Storms {
    open: Mutex<Open>,
    begun: Notify,
}

#[derive(Debug, Default)]
struct Open {
    storms: Vec<Watched>,
    /// Those of senders that are not told apart.
    many: Option<Arc<Storm>>,
}

impl Storms {
    /// The storm of a sender: the one under way, else a new one.
    pub(super) fn begin(&self, address: IpAddr, what: What, now: Now) -> Arc<Storm> {
        let mut open = self.open();
        let known = open.storms.iter().find(|known| known.storm.of == Some((address, what)));
        if let Some(known) = known {
            return known.storm.clone();
        }
        if open.storms.iter().filter(|known| known.storm.of.is_some()).count() >= MAX_OPEN {
            drop(open);
            return self.of_many(now);
        }
        let storm = Arc::new(Storm::new(Some((address, what)), now.wall));
        open.storms.push(Watched::new(storm.clone(), now.mono));
        drop(open);
        self.begun.notify_one();
        storm
    }

    /// The storm of all who are not told apart.
    pub(super) fn of_many(&self, now: Now) -> Arc<Storm> {
        let mut open = self.open();
        if let Some(storm) = open.many.as_ref().filter(|storm| !storm.is_over()) {
            return storm.clone();
        }
        let storm = Arc::new(Storm::new(None, now.wall));
        open.many = Some(storm.clone());
        open.storms.push(Watched::new(storm.clone(), now.mono));
        drop(open);
        self.begun.notify_one();
        storm
    }

    /// Goes on with storms that an earlier process has left.
    pub fn resume(&self, left: Vec<Kept>, now: Now) {
        let mut open = self.open();
        for kept in left.into_iter().take(MAX_OPEN) {
            let Some(what) = What::ALL.into_iter().find(|what| what.as_str() == kept.what) else { continue };
            let storm = Storm::new(Some((kept.address, what)), Wall::from_micros(kept.since));
            storm.total.store(kept.total, Ordering::Relaxed);
            storm.left_out.store(kept.left_out, Ordering::Relaxed);
            let mut watched = Watched::new(Arc::new(storm), now.mono);
            (watched.host, watched.seen, watched.told) = (kept.host, kept.total, true);
            open.storms.push(watched);
        }
        drop(open);
        self.begun.notify_one();
    }

    /// Whether a storm is under way.
    pub fn any(&self) -> bool {
        !self.open().storms.is_empty()
    }

    /// Returns once a storm has begun.
    pub async fn begun(&self) {
        self.begun.notified().await;
    }

    /// What is kept of the storms under way.
    pub fn kept(&self) -> Vec<Kept> {
        self.open().storms.iter().filter_map(Watched::kept).collect()
    }

    /// Looks at all storms, and gives what is to be reported. `host_of` gives the host of an address. Without settings all storms
    /// end.
    pub fn look(
        &self,
        now: Now,
        settings: Option<&Settings>,
        host_of: impl Fn(IpAddr) -> String,
    ) -> Vec<Report> {
        let mut open = self.open();
        let mut stages = Vec::new();
        for (at, watched) in open.storms.iter_mut().enumerate() {
            if let Some(stage) = watched.stage(now.mono, settings) {
                if let Some((address, _)) = watched.storm.of.filter(|_| watched.host.is_empty()) {
                    watched.host = host_of(address);
                }
                stages.push((at, stage));
            }
        }
        for (at, _) in stages.iter().filter(|(_, stage)| *stage == Stage::Over) {
            open.storms[*at].storm.over.store(true, Ordering::Release);
        }
        let report = |(at, stage): (usize, Stage)| {
            let watched = &open.storms[at];
            let others = open.storms.iter().any(|other| other.host == watched.host && !other.storm.is_over());
            watched.report(now, stage, others, settings)
        };
        let reports = stages.into_iter().map(report).collect();
        open.storms.retain(|watched| !watched.storm.is_over());
        reports
    }

    /// The storms under way, as JSON.
    pub fn to_json(&self) -> Value {
        let open = self.open();
        let all = open.storms.iter().map(|watched| {
            let storm = &watched.storm;
            json!({
                "address": storm.of.map(|(address, _)| address.to_string()),
                "host": watched.host,
                "what": storm.of.map(|(_, what)| what.as_str()),
                "since": rfc3339(storm.since.micros()),
                "total": storm.total.load(Ordering::Relaxed),
                "not_processed": storm.left_out.load(Ordering::Relaxed),
            })
        });
        Value::Array(all.collect())
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn new(storm: Arc<Storm>, now: Mono) -> Self {
        let host = String::new();
        Watched { storm, host, seen: 0, looked: now, reported: now, calm: None, told: false }
    }

    fn kept(&self) -> Option<Kept> {
        let storm = &self.storm;
        let (address, what) = storm.of?;
        Some(Kept {
            address,
            what: what.as_str().to_owned(),
            host: self.host.clone(),
            since: storm.since.micros(),
            total: storm.total.load(Ordering::Relaxed),
            left_out: storm.left_out.load(Ordering::Relaxed),
        })
    }

    /// What there is to report now.
    fn stage(&mut self, now: Mono, settings: Option<&Settings>) -> Option<Stage> {
        let Some(settings) = settings else { return Some(Stage::Over) };
        let total = self.storm.total.load(Ordering::Relaxed);
        let nanos = now.since(self.looked).as_nanos();
        // Shorter times tell nothing about the rate.
        if nanos >= LOOK.as_nanos() / 2 {
            let sent = u128::from(total - self.seen) * 2_000_000_000;
            let calm = sent < u128::from(settings.rate) * nanos;
            self.calm = if calm { self.calm.or(Some(self.looked)) } else { None };
            (self.seen, self.looked) = (total, now);
        }
        if self.calm.is_some_and(|calm| now - calm >= CALM) {
            return Some(Stage::Over);
        }
        if !std::mem::replace(&mut self.told, true) {
            self.reported = now;
            return Some(Stage::Begins);
        }
        if now - self.reported >= EVERY {
            self.reported = now;
            return Some(Stage::Lasts);
        }
        None
    }

    fn report(&self, now: Now, stage: Stage, others: bool, settings: Option<&Settings>) -> Report {
        let storm = &self.storm;
        let left_out = storm.left_out.load(Ordering::Relaxed);
        let total = storm.total.load(Ordering::Relaxed);
        let (who, what) = match storm.of {
            Some((address, what)) => (address.to_string(), format!("{} messages", what.as_str())),
            None => ("each of several senders".to_owned(), "messages".to_owned()),
        };
        let stale = "states may be out of date";
        let seconds = now.wall.micros().saturating_sub(storm.since.micros()).max(0) / 1_000_000;
        let counts = format!("{total} messages in {seconds} s, {left_out} of them not processed");
        let most = in_words(&storm.kinds().most());
        let text = match (stage, settings) {
            (Stage::Begins, Some(settings)) => format!(
                "Storm: {who} sends more than {} {what} a second; of each kind one in 10 s is processed: {stale}",
                settings.rate
            ),
            (Stage::Over, Some(_)) => format!("Storm of {what} from {who} is over: {counts}; {stale}{most}"),
            (Stage::Over, None) => {
                format!("Storm of {what} from {who} is no longer limited: {counts}; {stale}{most}")
            }
            _ => format!("Storm of {what} from {who}: {counts}; {stale}{most}"),
        };
        let ended = if stage == Stage::Over { self.kept() } else { None };
        let address = storm.of.map(|(address, _)| address);
        Report { address, host: self.host.clone(), stage, others, text, ended }
    }
}

/// The kinds with most messages, in words.
fn in_words(most: &[Share]) -> String {
    let named: Vec<String> =
        most.iter().map(|share| format!("{} (about {})", share.name, share.count)).collect();
    if named.is_empty() { String::new() } else { format!("; most: {}", named.join(", ")) }
}

#[cfg(test)]
#[path = "storms_tests.rs"]
mod tests;
