//! What was promised and what was kept: every message, every outcome that the journal took, every sink with what it must
//! deliver.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use trapline::outcome::codec;
use trapline::sinks::sink::Order;

use crate::history::History;
use crate::outcome::{Makes, Message, Outcome};
use crate::place::{Nature, Place};

/// What mutes say of an outcome in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Nothing.
    None,
    /// Sinks that honour mutes do not get it.
    Muted,
    /// It was muted, and is for these sinks now.
    Last,
}

impl Mark {
    /// What is said of an outcome.
    pub fn of(payload: &[u8]) -> Self {
        codec::mute_of(payload).map_or(Mark::None, |mute| if mute.last { Mark::Last } else { Mark::Muted })
    }

    /// Whether a sink gets it that honours mutes, or does not.
    pub fn is_for(self, honours: bool) -> bool {
        match self {
            Mark::None => true,
            Mark::Muted => !honours,
            Mark::Last => honours,
        }
    }
}

/// A host, one of its services, and which of the outcomes of a message.
pub type Service = (u64, u64, char);

/// An outcome in the journal.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which start of the daemon wrote it.
    pub epoch: u64,
    /// Its number.
    pub sequence: u64,
    /// What it is.
    pub outcome: Outcome,
    /// What mutes say of it.
    pub mark: Mark,
    /// When it was written.
    pub at: Duration,
    /// Whether a power cut has taken it, which was allowed.
    pub lost: bool,
    /// Whether a power cut has taken it from the journal, delivered or not. Places that had it get what is older again.
    pub torn: bool,
}

/// A sink over all its names and settings.
#[derive(Debug)]
pub struct Lineage {
    /// Its name at the moment.
    pub name: RefCell<String>,
    /// Its name before, which it has until a reload or a start has renamed it.
    pub was: RefCell<Option<String>>,
    /// Where it delivers to.
    pub place: Rc<RefCell<Place>>,
    /// From which entry on it must deliver; none until its cursor is there.
    pub from: Cell<Option<usize>>,
    /// Whether somebody has given up what it had not delivered.
    pub forgotten: Cell<bool>,
    /// How many outcomes were counted as expired, by all runs before the present one.
    pub expired: Cell<u64>,
    /// Only outcomes of these states.
    pub only: Option<u64>,
    /// Whether it honours mutes.
    pub honours: bool,
}

impl Lineage {
    /// Whether it delivers an outcome.
    pub fn wants(&self, (outcome, mark): (Outcome, Mark), message: &Message) -> bool {
        let kind = self.place.borrow().kind;
        mark.is_for(self.honours)
            && (outcome.part == 'a' || kind.takes_events())
            && self.only.is_none_or(|state| message.state != state)
    }
}

/// The ledger. Clones are the same one.
#[derive(Clone)]
pub struct Ledger(Rc<Inner>);

struct Inner {
    history: History,
    messages: RefCell<BTreeMap<u64, Message>>,
    entries: RefCell<Vec<Entry>>,
    /// What there is, each by epoch, number and outcome: a write that failed and could not be cut off is there after a power cut
    /// if the segment is lost that had its number anew.
    index: RefCell<BTreeSet<(u64, u64, Outcome)>>,
    /// How often each message is in the journal.
    journaled: RefCell<BTreeMap<u64, u32>>,
    answered: RefCell<BTreeSet<u64>>,
    /// The records of segments that somebody has removed.
    vanished: RefCell<Vec<Range<u64>>>,
    /// Whether the journal has dropped records before anybody has seen them: a full one may drop what it takes at once.
    unseen: Cell<bool>,
    lineages: RefCell<Vec<Rc<Lineage>>>,
}

impl Ledger {
    /// An empty one.
    pub fn new(history: History) -> Self {
        Ledger(Rc::new(Inner {
            history,
            messages: RefCell::default(),
            entries: RefCell::default(),
            index: RefCell::default(),
            journaled: RefCell::default(),
            answered: RefCell::default(),
            vanished: RefCell::default(),
            unseen: Cell::default(),
            lineages: RefCell::default(),
        }))
    }

    /// A new message.
    pub fn message(&self, host: u64, service: u64, state: u64, makes: Makes) -> Message {
        let mut messages = self.0.messages.borrow_mut();
        let uid = messages.len() as u64 + 1;
        let message = Message { uid, host, service, state, makes };
        messages.insert(uid, message.clone());
        message
    }

    /// How many messages there are.
    pub fn messages(&self) -> usize {
        self.0.messages.borrow().len()
    }

    /// The journal has an outcome. Says whether it is a new one.
    pub fn journaled(&self, epoch: u64, sequence: u64, (outcome, mark): (Outcome, Mark)) -> bool {
        if !self.0.index.borrow_mut().insert((epoch, sequence, outcome)) {
            return false;
        }
        let at = self.0.history.now();
        let mut entries = self.0.entries.borrow_mut();
        entries.push(Entry { epoch, sequence, outcome, mark, at, lost: false, torn: false });
        if outcome.part == 'a' && mark != Mark::Last {
            *self.0.journaled.borrow_mut().entry(outcome.uid).or_default() += 1;
        }
        true
    }

    /// The journal has dropped records before anybody has seen them.
    pub fn dropped_unseen(&self) {
        self.0.unseen.set(true);
    }

    /// Whether it ever has.
    pub fn has_unseen(&self) -> bool {
        self.0.unseen.get()
    }

    /// How many outcomes were journaled.
    pub fn entries(&self) -> usize {
        self.0.entries.borrow().len()
    }

    /// How often a message is in the journal.
    pub fn times(&self, uid: u64) -> u32 {
        self.0.journaled.borrow().get(&uid).copied().unwrap_or(0)
    }

    /// How often it is there, without what a power cut has taken, but with what somebody has removed.
    pub fn kept(&self, uid: u64) -> usize {
        let (entries, vanished) = (self.0.entries.borrow(), self.0.vanished.borrow());
        let has_vanished = |entry: &Entry| vanished.iter().any(|range| range.contains(&entry.sequence));
        let counts = |entry: &&Entry| {
            entry.mark != Mark::Last && (has_vanished(entry) || (!entry.torn && !entry.lost))
        };
        entries.iter().filter(|entry| entry.outcome.uid == uid).filter(counts).count()
    }

    /// The daemon has answered an inform.
    pub fn answered(&self, uid: u64) {
        if self.times(uid) == 0 && !self.has_unseen() {
            self.0.history.found(&format!("inform uid{uid} was answered and is not in the journal"));
        }
        self.0.answered.borrow_mut().insert(uid);
    }

    /// A sink is configured for the first time.
    pub fn add(&self, lineage: Rc<Lineage>) {
        self.0.lineages.borrow_mut().push(lineage);
    }

    /// All sinks that there ever were.
    pub fn lineages(&self) -> Vec<Rc<Lineage>> {
        self.0.lineages.borrow().clone()
    }

    /// Somebody has removed the segment with these records.
    pub fn vanished(&self, records: Range<u64>) {
        self.0.vanished.borrow_mut().push(records);
    }

    /// After a power cut at `when`, when `first` was its oldest record, the journal has only these records. `letters` gives the dead
    /// letters of a sink; `promised` says which of the others must be there.
    pub fn cut(
        &self,
        when: Duration,
        first: u64,
        there: &BTreeSet<(u64, u64, Outcome)>,
        next: u64,
        letters: impl Fn(&Lineage) -> BTreeMap<Outcome, String>,
        promised: impl Fn(&Entry, bool) -> bool,
    ) {
        let mut owed = BTreeSet::new();
        for lineage in self.lineages() {
            let letters = letters(&lineage);
            let entries = self.0.entries.borrow();
            owed.extend(
                self.owed(&lineage).into_iter().filter(|at| !letters.contains_key(&entries[*at].outcome)),
            );
        }
        let mut entries = self.0.entries.borrow_mut();
        // What is lost was written last, or between others: the disk chooses what it writes first.
        let is_there = |entry: &&Entry| there.contains(&(entry.epoch, entry.sequence, entry.outcome));
        let last = entries
            .iter()
            .filter(|entry| entry.at <= when && is_there(entry))
            .map(|entry| entry.sequence)
            .max();
        // If nothing of before is there, as all of it was delivered, the numbers go on after the last that was safe.
        let newer = entries.iter().filter(|entry| entry.at > when).map(|entry| entry.sequence).min();
        let last = last.unwrap_or(newer.unwrap_or(next).saturating_sub(1));
        // A segment that could not be removed is there again, and those behind it are not.
        let oldest = there.iter().map(|(_, sequence, _)| *sequence).min().unwrap_or(u64::MAX).max(first);
        for entry in entries.iter_mut().filter(|entry| !is_there(&&**entry)) {
            let vanished = self.0.vanished.borrow().iter().any(|range| range.contains(&entry.sequence));
            entry.torn |= entry.sequence > last || (entry.sequence >= oldest && !vanished);
        }
        // A message that came again is in the journal again, and is promised once.
        let is_there = |entry: &Entry| there.contains(&(entry.epoch, entry.sequence, entry.outcome));
        let kept = |entry: &&Entry| !entry.lost && is_there(entry);
        let name = |entry: &Entry| (entry.outcome, entry.mark == Mark::Last);
        let kept: BTreeSet<_> = entries.iter().filter(kept).map(name).collect();
        for at in owed {
            let entry = &mut entries[at];
            if entry.lost || is_there(entry) {
                continue;
            }
            let answered = self.0.answered.borrow().contains(&entry.outcome.uid);
            let Entry { outcome, sequence, .. } = *entry;
            // The last word of a mute is said again by who has not forgotten it: `hush::settle` checks that.
            if entry.mark != Mark::Last && !kept.contains(&(outcome, false)) && promised(entry, answered) {
                let vanished = self.0.vanished.borrow().iter().any(|range| range.contains(&sequence));
                if sequence < first || (sequence < oldest && !there.is_empty()) || vanished {
                    // A full journal may have given it up, or somebody has removed it: that is settled at the end, by its count.
                    continue;
                }
                let answered = if answered { ", whose inform was answered," } else { "" };
                self.0.history.found(&format!(
                    "{outcome}{answered} was promised and is gone after the power cut, number {sequence}"
                ));
            } else {
                self.0.history.say(&format!("{outcome} is lost with the power"));
            }
            entry.lost = true;
        }
    }

    /// Which entries a sink has still to deliver: neither taken nor lost. Dead ones are among them.
    pub fn owed(&self, lineage: &Lineage) -> Vec<usize> {
        let Some(from) = lineage.from.get().filter(|_| !lineage.forgotten.get()) else { return Vec::new() };
        let (entries, messages) = (self.0.entries.borrow(), self.0.messages.borrow());
        let place = lineage.place.borrow();
        // What a power cut has taken of before, the next start journals again. It does so before it knows a sink for whose cursor the disk
        // had no room; the last word of a mute comes later.
        let was_before = |entry: &Entry| {
            entry.mark != Mark::Last && entries[..from].iter().any(|before| before.outcome == entry.outcome)
        };
        let owed = entries.iter().enumerate().skip(from).filter(|(_, entry)| {
            !entry.lost
                && !was_before(entry)
                && !place.times.contains_key(&entry.outcome)
                && messages
                    .get(&entry.outcome.uid)
                    .is_some_and(|message| lineage.wants((entry.outcome, entry.mark), message))
        });
        owed.map(|(at, _)| at).collect()
    }

    /// How many outcomes that a sink has still to deliver are not in a journal with this oldest record.
    pub fn gone(&self, lineage: &Lineage, oldest: u64) -> u64 {
        let entries = self.0.entries.borrow();
        self.owed(lineage).into_iter().filter(|at| entries[*at].sequence < oldest).count() as u64
    }

    /// What a sink delivers, from some number of the journal on.
    pub fn wanted(&self, lineage: &Lineage, from: u64) -> Vec<Outcome> {
        let (entries, messages) = (self.0.entries.borrow(), self.0.messages.borrow());
        let wants = |entry: &&Entry| {
            let message = messages.get(&entry.outcome.uid);
            message.is_some_and(|message| lineage.wants((entry.outcome, entry.mark), message))
        };
        let later = entries.iter().filter(|entry| entry.sequence >= from);
        later.filter(wants).map(|entry| entry.outcome).collect()
    }

    /// Settles the account of a sink at the end. `letters` are its dead letters with their reasons.
    pub fn settle(&self, lineage: &Lineage, letters: &BTreeMap<Outcome, String>, give_up: bool) {
        let name = lineage.name.borrow();
        let found = |what: String| self.0.history.found(&format!("sink {name}: {what}"));
        let mut missing = Vec::new();
        {
            let entries = self.0.entries.borrow();
            for at in self.owed(lineage) {
                let outcome = entries[at].outcome;
                match letters.get(&outcome) {
                    Some(reason) => {
                        let nature = lineage.place.borrow().nature(outcome);
                        let gone = reason.starts_with("not taken for");
                        let right = match nature {
                            Nature::Rejected => gone || true_reason(reason, outcome),
                            Nature::Never | Nature::Silences | Nature::Later(_) | Nature::Good => {
                                gone && give_up
                            }
                        };
                        if !right {
                            found(format!(
                                "{outcome} is a dead letter with a wrong reason: {reason} ({nature:?})"
                            ));
                        }
                    }
                    None => missing.push(outcome),
                }
            }
        }
        let expired = lineage.expired.get();
        if missing.len() as u64 > expired {
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            found(format!("{} outcomes are gone, {expired} are counted: {}", missing.len(), names.join(" ")));
        }
        self.duplicates(lineage, &found);
        self.order(lineage, &found);
    }

    fn duplicates(&self, lineage: &Lineage, found: &dyn Fn(String)) {
        let (place, entries) = (lineage.place.borrow(), self.0.entries.borrow());
        let mut there: BTreeMap<Outcome, u32> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.mark != Mark::None) {
            *there.entry(entry.outcome).or_default() += u32::from(entry.mark.is_for(lineage.honours));
        }
        for (outcome, times) in &place.times {
            // Of what was muted, this sink gets some of the entries only.
            let muted = there.get(outcome).copied();
            if muted == Some(0) && Self::plain(*outcome, &entries) == 0 && !self.has_unseen() {
                found(format!("{outcome} was delivered, and is muted"));
            }
            let journaled = muted
                .map_or_else(|| self.times(outcome.uid), |muted| muted + Self::plain(*outcome, &entries));
            let allowed = journaled.max(1) + place.excuses.get(outcome).copied().unwrap_or(0);
            if journaled == 0 && !self.has_unseen() {
                found(format!("{outcome} was delivered and never journaled"));
            }
            if *times > allowed {
                found(format!("{outcome} was delivered {times} times, {allowed} are allowed"));
            }
        }
    }

    /// How often an outcome is there of which mutes say nothing.
    fn plain(outcome: Outcome, entries: &[Entry]) -> u32 {
        entries.iter().filter(|entry| entry.outcome == outcome && entry.mark == Mark::None).count() as u32
    }

    /// Services of which the journal has an outcome behind one of a later message: a stream holds what a full journal refuses, and
    /// others are faster.
    pub fn out_of_order(&self) -> BTreeSet<Service> {
        let (entries, messages) = (self.0.entries.borrow(), self.0.messages.borrow());
        let mut newest: BTreeMap<Service, u64> = BTreeMap::new();
        let mut found = BTreeSet::new();
        for entry in entries.iter().filter(|entry| entry.mark != Mark::Last) {
            let Some(message) = messages.get(&entry.outcome.uid) else { continue };
            let service = (message.host, message.service, entry.outcome.part);
            let newest = newest.entry(service).or_default();
            if entry.outcome.uid < *newest {
                found.insert(service);
            }
            *newest = entry.outcome.uid.max(*newest);
        }
        found
    }

    /// The last outcome of each service that is in the journal, with its time and what mutes say of it.
    pub fn marked(&self) -> BTreeMap<Service, (Duration, Mark)> {
        let (entries, messages) = (self.0.entries.borrow(), self.0.messages.borrow());
        let mut last: BTreeMap<Service, (u64, Duration, Mark)> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| !entry.lost && !entry.torn) {
            let Some(message) = messages.get(&entry.outcome.uid) else { continue };
            let key = (message.host, message.service, entry.outcome.part);
            let newer = last.get(&key).is_none_or(|(sequence, ..)| *sequence < entry.sequence);
            if newer {
                last.insert(key, (entry.sequence, entry.at, entry.mark));
            }
        }
        last.into_iter().map(|(service, (_, at, mark))| (service, (at, mark))).collect()
    }

    /// Whether the last state of each host and service is the last one that was journaled, and older ones came before newer
    /// ones.
    fn order(&self, lineage: &Lineage, found: &dyn Fn(String)) {
        let place = lineage.place.borrow();
        if place.order == Order::Free {
            return;
        }
        let (entries, messages) = (self.0.entries.borrow(), self.0.messages.borrow());
        let kept = entries.iter().enumerate();
        let kept = kept.filter(|(_, entry)| !entry.torn && entry.mark.is_for(lineage.honours));
        let position: BTreeMap<Outcome, usize> = kept.map(|(at, entry)| (entry.outcome, at)).collect();
        let key = |outcome: &Outcome| {
            let message = &messages[&outcome.uid];
            (message.host, message.service, outcome.part)
        };
        let mut last: BTreeMap<(u64, u64, char), Outcome> = BTreeMap::new();
        let mut newest: BTreeMap<(u64, u64, char), usize> = BTreeMap::new();
        let mut seen: BTreeSet<Outcome> = BTreeSet::new();
        // One that is in the journal twice has two places there.
        let mut doubled: BTreeSet<_> =
            entries.iter().filter(|e| self.times(e.outcome.uid) > 1).map(|e| key(&e.outcome)).collect();
        // The last word of a mute is there twice where the process died right after it.
        let mut words = BTreeSet::new();
        let of_mutes = entries.iter().filter(|entry| entry.mark == Mark::Last);
        doubled.extend(of_mutes.filter(|e| !words.insert(e.outcome)).map(|e| key(&e.outcome)));
        for (_, outcome) in &place.taken {
            let Some(at) = position.get(outcome).filter(|_| !doubled.contains(&key(outcome))) else {
                continue;
            };
            if seen.insert(*outcome)
                && let Some(before) = newest.get(&key(outcome)).filter(|before| at < *before)
            {
                found(format!("{outcome} came after {}, which is newer", entries[*before].outcome));
            }
            newest.entry(key(outcome)).and_modify(|newest| *newest = (*newest).max(*at)).or_insert(*at);
            last.insert(key(outcome), *outcome);
        }
        for (key, outcome) in last {
            let newest = &entries[newest[&key]].outcome;
            let is_torn = place.is_torn && place.times.get(&outcome).is_some_and(|times| *times > 1);
            if *newest != outcome && !is_torn {
                found(format!("the last state of {key:?} is {outcome}, not {newest}"));
            }
        }
    }
}

/// Whether a reason is what the place has said of an outcome. Icinga's and Alignak's servers name the outcome, and so do the
/// others where they name only one.
fn true_reason(reason: &str, outcome: Outcome) -> bool {
    reason.contains(&outcome.to_string()) || reason.contains("failed_events") || reason.contains("422")
}
