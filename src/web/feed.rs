//! Outcomes as they come, for streams of the API: a ring that one thread fills from the journal, and readers that each have a place in
//! it. A reader that is slow costs nothing but its place: what the ring has dropped meanwhile is counted and said.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::history::Row;
use crate::outcome::record::Record;
use crate::outcome::result::State;
use crate::time::clock::Mono;
use crate::time::rate::Rate;

/// How many outcomes a second people look at.
const A_SECOND: u32 = 50;
/// How many outcomes a ring has.
pub const LONGEST: usize = 65_536;
/// How many octets they take, about.
const LARGEST: usize = 16 << 20;
/// Of how many hosts and services the state is known.
const STATES: usize = 200_000;

/// Something that has come.
#[derive(Debug, Clone)]
pub enum Event {
    /// An outcome.
    Outcome(Arc<Row>),
    /// So many outcomes were passed over, up to the one of this number: somebody looks at some of them only.
    More {
        /// How many.
        count: u64,
        /// The number of the last one.
        to: u64,
    },
    /// Outcomes that the journal had removed before they were read: how many, and the numbers of the first and the last.
    Gap(Missed),
}

/// Outcomes that somebody has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// How many, at most: outcomes that are no changes of state count as well.
    pub dropped: u64,
    /// The number of the first one.
    pub from: u64,
    /// The number of the last one.
    pub to: u64,
}

/// The last outcomes.
#[derive(Debug)]
struct Ring {
    events: VecDeque<Event>,
    octets: usize,
    /// The place of the first one: it rises by one with each that goes.
    first: u64,
    /// The number from which on nothing is missing.
    whole_from: u64,
}

impl Ring {
    fn new() -> Self {
        Ring { events: VecDeque::new(), octets: 0, first: 0, whole_from: u64::MAX }
    }

    fn push(&mut self, event: Event) {
        self.octets += octets(&event);
        self.events.push_back(event);
        while self.events.len() > LONGEST || self.octets > LARGEST {
            let Some(gone) = self.events.pop_front() else { break };
            self.octets -= octets(&gone);
            self.first += 1;
            self.whole_from = self.whole_from.max(last_of(&gone) + 1);
        }
    }

    /// Forgets what it has. From this number on nothing is missing.
    fn clear(&mut self, whole_from: u64) {
        self.first = self.next();
        self.events.clear();
        (self.octets, self.whole_from) = (0, whole_from);
    }

    fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

fn octets(event: &Event) -> usize {
    match event {
        Event::Outcome(row) => row.bytes(),
        Event::Gap(_) | Event::More { .. } => 64,
    }
}

/// The number of the last outcome that an event is about.
fn last_of(event: &Event) -> u64 {
    match event {
        Event::Outcome(row) => row.sequence,
        Event::Gap(missed) => missed.to,
        Event::More { to, .. } => *to,
    }
}

/// What somebody wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Changes of state.
    Changes,
    /// All outcomes.
    All,
    /// As many of all outcomes as people can look at, and how many there were.
    Some,
}

#[derive(Debug)]
struct Inner {
    changes: Ring,
    /// Only kept while somebody wants all outcomes.
    all: Ring,
    /// Only kept while somebody wants some of all outcomes.
    some: Ring,
    rate: Rate,
    /// How many were passed over since the last one in `some`.
    passed: u64,
    /// States by host and service.
    states: HashMap<u64, State>,
    hash: RandomState,
    /// The number behind the last outcome that was read.
    read: u64,
}

/// The streams.
#[derive(Debug)]
pub struct Feed {
    inner: Mutex<Inner>,
    /// How many readers there are, and of these how many want all.
    readers: watch::Sender<usize>,
    wanting_all: AtomicUsize,
    wanting_some: AtomicUsize,
    /// Changes when something has come.
    came: watch::Sender<u64>,
    /// Whether the ring has what came lately.
    is_filled: watch::Sender<bool>,
}

impl Default for Feed {
    fn default() -> Self {
        let inner = Inner {
            changes: Ring::new(),
            all: Ring::new(),
            some: Ring::new(),
            rate: Rate::new(A_SECOND),
            passed: 0,
            states: HashMap::new(),
            hash: RandomState::new(),
            read: 0,
        };
        Feed {
            inner: Mutex::new(inner),
            readers: watch::channel(0).0,
            wanting_all: AtomicUsize::new(0),
            wanting_some: AtomicUsize::new(0),
            came: watch::channel(0).0,
            is_filled: watch::channel(false).0,
        }
    }
}

impl Inner {
    fn ring(&self, which: Which) -> &Ring {
        match which {
            Which::Changes => &self.changes,
            Which::All => &self.all,
            Which::Some => &self.some,
        }
    }

    /// Whether an outcome is one of those that people look at; if not, it is counted.
    fn is_shown(&mut self, now: Mono) -> bool {
        let shown = self.rate.allowed(now) > 0;
        if shown {
            self.rate.spend(1);
        } else {
            self.passed += 1;
        }
        shown
    }
}

impl Feed {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many readers there are.
    pub fn readers(&self) -> watch::Receiver<usize> {
        self.readers.subscribe()
    }

    /// Begins anew with the outcome of a number. What was known before is forgotten.
    pub fn begin(&self, from: u64) {
        let mut inner = self.inner();
        let Inner { changes, all, some, states, read, .. } = &mut *inner;
        for ring in [changes, all, some] {
            ring.clear(from);
        }
        states.clear();
        *read = from;
    }

    /// Takes outcomes of the journal, in order; [`Feed::publish`] shows them.
    pub fn take(&self, record: &Record<'_>, payload: &[u8], now: Mono) {
        let outcome = &record.outcome;
        let mut inner = self.inner();
        let inner = &mut *inner;
        if record.sequence > inner.read {
            let to = record.sequence - 1;
            let gap = Missed { dropped: record.sequence - inner.read, from: inner.read, to };
            inner.changes.push(Event::Gap(gap));
            inner.all.push(Event::Gap(gap));
            inner.some.push(Event::Gap(gap));
        }
        inner.read = record.sequence + 1;
        let key = inner.hash.hash_one((outcome.host(), outcome.service()));
        let state = outcome.common().state;
        let before = inner.states.get(&key).copied();
        if before.is_some() || inner.states.len() < STATES {
            inner.states.insert(key, state);
        }
        let is_change = before != Some(state);
        let wanted = self.wanting_all.load(Ordering::Relaxed) > 0;
        if self.wanting_some.load(Ordering::Relaxed) == 0 {
            inner.some.clear(inner.read);
            inner.passed = 0;
        }
        if !wanted {
            // What was kept for a reader who has gone is not whole any more.
            inner.all.clear(inner.read);
        }
        let shown = self.wanting_some.load(Ordering::Relaxed) > 0 && inner.is_shown(now);
        if !(wanted || is_change || shown) {
            return;
        }
        let row = Arc::new(Row::of(
            record,
            payload,
            outcome.common().time,
            (before.filter(|_| is_change), before.is_none()),
        ));
        if is_change {
            inner.changes.push(Event::Outcome(row.clone()));
        }
        if shown {
            let passed = std::mem::take(&mut inner.passed);
            if passed > 0 {
                inner.some.push(Event::More { count: passed, to: record.sequence.saturating_sub(1) });
            }
            inner.some.push(Event::Outcome(row.clone()));
        }
        if wanted {
            inner.all.push(Event::Outcome(row));
        }
    }

    /// Shows readers what was taken.
    pub fn publish(&self) {
        self.came.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// From now on readers are served, or not any more.
    pub fn set_filled(&self, is_filled: bool) {
        self.is_filled.send_replace(is_filled);
    }

    /// A reader, once the ring has what came lately. It reads what comes from now on.
    pub async fn reader(self: &Arc<Self>, which: Which) -> Reader {
        match which {
            Which::Changes => {}
            Which::All => drop(self.wanting_all.fetch_add(1, Ordering::Relaxed)),
            Which::Some => drop(self.wanting_some.fetch_add(1, Ordering::Relaxed)),
        }
        // This wakes the one who fills it.
        self.readers.send_modify(|count| *count += 1);
        let mut reader = Reader { feed: self.clone(), which, next: 0, seen: 0, came: self.came.subscribe() };
        // The sender is here.
        let _ = self.is_filled.subscribe().wait_for(|is_filled| *is_filled).await;
        reader.seek(None);
        reader
    }
}

/// A reader.
#[derive(Debug)]
pub struct Reader {
    feed: Arc<Feed>,
    which: Which,
    /// The place of what comes next.
    next: u64,
    /// The number up to which it has seen all.
    seen: u64,
    came: watch::Receiver<u64>,
}

impl Reader {
    /// Goes to what comes from now on, or to what follows the outcome of a number. The outcomes between that one and the first of
    /// which the ring knows are missed.
    pub fn seek(&mut self, behind: Option<u64>) -> Option<Missed> {
        let inner = self.feed.inner();
        let ring = inner.ring(self.which);
        let Some(behind) = behind else {
            (self.next, self.seen) = (ring.next(), inner.read);
            return None;
        };
        let skipped = ring.events.iter().take_while(|event| last_of(event) <= behind).count();
        (self.next, self.seen) = (ring.first + skipped as u64, behind + 1);
        let whole = ring.whole_from.min(inner.read);
        let missed = Missed {
            dropped: whole.saturating_sub(behind + 1),
            from: behind + 1,
            to: whole.saturating_sub(1),
        };
        (missed.dropped > 0).then_some(missed)
    }

    /// At most so many of what has come; an event for what was dropped meanwhile. None if nothing has come.
    pub fn now(&mut self, most: usize) -> Vec<Event> {
        self.came.borrow_and_update();
        let inner = self.feed.inner();
        let ring = inner.ring(self.which);
        let mut found = Vec::new();
        if self.next < ring.first {
            let to = ring.whole_from.saturating_sub(1).max(self.seen);
            let gap = Missed { dropped: ring.first - self.next, from: self.seen, to };
            found.push(Event::Gap(gap));
            self.next = ring.first;
        }
        let skipped = (self.next - ring.first) as usize;
        found.extend(ring.events.iter().skip(skipped).take(most).cloned());
        self.next = ring.next().min(self.next + most as u64);
        if let Some(last) = found.last() {
            self.seen = last_of(last) + 1;
        }
        found
    }

    /// Waits until something has come.
    pub async fn wait(&mut self) {
        if self.came.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        match self.which {
            Which::Changes => {}
            Which::All => drop(self.feed.wanting_all.fetch_sub(1, Ordering::Relaxed)),
            Which::Some => drop(self.feed.wanting_some.fetch_sub(1, Ordering::Relaxed)),
        }
        self.feed.readers.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::outcome::codec;
    use crate::outcome::name::Name;
    use crate::outcome::result::{CheckResult, Common, Outcome};
    use crate::outcome::testing;

    fn take(feed: &Feed, sequence: u64, host: &str, state: State) {
        let common = Common { state, ..testing::common("o") };
        let check = CheckResult {
            common,
            host: Name::new(host.to_owned()),
            service: None,
            perfdata: Cow::Borrowed(""),
        };
        let outcome = Outcome::CheckResult(check);
        let mut payload = Vec::new();
        codec::encode(&outcome, &mut payload);
        feed.take(&Record { epoch: 7, sequence, outcome }, &payload, Mono::default());
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(last_of).collect()
    }

    /// A feed that begins with a number.
    fn feed(from: u64) -> Arc<Feed> {
        let feed = Arc::new(Feed::default());
        feed.begin(from);
        feed.set_filled(true);
        feed
    }

    async fn behind(feed: &Arc<Feed>, number: u64) -> (Reader, Option<Missed>) {
        let mut reader = feed.reader(Which::Changes).await;
        let missed = reader.seek(Some(number));
        (reader, missed)
    }

    #[tokio::test]
    async fn readers_see_changes_or_all_and_go_on_behind_an_outcome() {
        let feed = feed(10);
        let mut changes = feed.reader(Which::Changes).await;
        let mut all = feed.reader(Which::All).await;
        take(&feed, 10, "a", State::Critical);
        take(&feed, 11, "a", State::Critical);
        take(&feed, 12, "b", State::Ok);
        take(&feed, 13, "a", State::Ok);
        feed.publish();
        changes.wait().await;
        assert_eq!(numbers(&changes.now(2)), [10, 12]);
        assert_eq!(numbers(&changes.now(2)), [13]);
        assert_eq!(numbers(&all.now(100)), [10, 11, 12, 13]);
        assert!(changes.now(100).is_empty());
        let (mut again, missed) = behind(&feed, 10).await;
        assert_eq!((numbers(&again.now(100)), missed), (vec![12, 13], None));
        let (mut old, missed) = behind(&feed, 4).await;
        assert_eq!(missed, Some(Missed { dropped: 5, from: 5, to: 9 }));
        assert_eq!(numbers(&old.now(100)), [10, 12, 13]);
        let Event::Outcome(row) = &behind(&feed, 12).await.0.now(1)[0] else { panic!() };
        assert_eq!((row.previous, row.state), (Some(State::Critical), State::Ok));
    }

    #[tokio::test]
    async fn what_comes_while_nobody_wants_all_does_not_follow_what_was_kept() {
        for state in [State::Ok, State::Critical] {
            let feed = feed(0);
            let reader = feed.reader(Which::All).await;
            take(&feed, 0, "a", State::Ok);
            take(&feed, 1, "a", State::Ok);
            drop(reader);
            take(&feed, 2, "a", state);
            let mut again = feed.reader(Which::All).await;
            // The history is asked for these, so the ring has none of them.
            assert_eq!(again.seek(Some(0)), Some(Missed { dropped: 2, from: 1, to: 2 }));
            take(&feed, 3, "a", State::Ok);
            assert_eq!(numbers(&again.now(10)), [3], "{state:?}");
        }
    }

    #[tokio::test]
    async fn what_the_journal_has_removed_is_said() {
        let feed = feed(10);
        let mut reader = feed.reader(Which::Changes).await;
        take(&feed, 15, "a", State::Critical);
        let events = reader.now(10);
        let Event::Gap(gap) = events[0] else { panic!() };
        assert_eq!(gap, Missed { dropped: 5, from: 10, to: 14 });
        assert_eq!(numbers(&events), [14, 15]);
    }

    #[tokio::test]
    async fn who_looks_at_some_outcomes_is_told_how_many_there_were() {
        let feed = Arc::new(Feed::default());
        feed.begin(0);
        feed.set_filled(true);
        let mut reader = feed.reader(Which::Some).await;
        for sequence in 0..10_000 {
            take(&feed, sequence, "a", State::Ok);
        }
        feed.publish();
        let count = |events: Vec<Event>| {
            events.into_iter().fold((0, 0), |(shown, passed), event| match event {
                Event::Outcome(_) => (shown + 1, passed),
                Event::More { count, .. } => (shown, passed + count),
                Event::Gap(missed) => panic!("{missed:?}"),
            })
        };
        let (shown, passed) = count(reader.now(20_000));
        assert!((1..=u64::from(A_SECOND)).contains(&shown), "{shown}");
        assert_eq!(passed, 0, "it is said with the next one");
        drop(reader);
        take(&feed, 10_000, "a", State::Ok);
        assert!(feed.inner().some.events.is_empty(), "nobody looks on");
    }

    #[tokio::test]
    async fn a_stopped_reader_costs_no_memory_and_is_told_what_it_missed() {
        let feed = feed(0);
        let mut reader = feed.reader(Which::All).await;
        for n in 0..(3 * LONGEST as u64) {
            take(&feed, n, "a", if n % 2 == 0 { State::Ok } else { State::Critical });
        }
        let inner = feed.inner();
        assert!(inner.all.events.len() <= LONGEST && inner.all.octets <= LARGEST);
        let first = inner.all.first;
        drop(inner);
        let events = reader.now(1);
        let Event::Gap(gap) = events[0] else { panic!() };
        assert_eq!(gap, Missed { dropped: first, from: 0, to: first - 1 });
        assert_eq!(last_of(&events[1]), first);
        assert_eq!(*feed.readers.borrow(), 1);
        drop(reader);
        assert_eq!((*feed.readers.borrow(), feed.wanting_all.load(Ordering::Relaxed)), (0, 0));
    }
}
