//! The open items of a sink, and which of them may be sent now. Pure.
//!
//! Items of one key (host and service) form a list in the order of their ids. A key is *free* if none of its items is
//! under way, and it waits for nothing and is no suspect; only a free key's items can be sent, from the oldest on.
//!
//! All of this is only needed once something has gone wrong. So what comes while nothing is open is kept in a [`Run`], and gets
//! its places here when the server does not take all of it, or when something else comes before it does.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use slab::Slab;

use super::key::{AsItIs, Class, Key, NONE, Place};
use super::open::{DeadItem, Open, State};
use super::parking::Parking;
use super::run::Run;
use super::sink::{Fate, Id, Item, Limits, Order, Said};
use super::tracker::{self, Tracker};
use crate::journal::progress::Progress;
use crate::time::clock::Mono;
use crate::time::receipts::Moment;

/// Open items by key.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) order: Order,
    /// Whether one request at a time has items in their order: what a run needs.
    has_runs: bool,
    /// If there are some in it, there are no others.
    pub(super) run: Run,
    /// The places of a run that was under way when something else came.
    spread: Vec<Place>,
    pub(super) items: Slab<Open>,
    pub(super) keys: Slab<Key>,
    pub(super) by_hash: HashMap<u64, Place, BuildHasherDefault<AsItIs>>,
    /// Free keys, by the id of their oldest item: of each [`Class`].
    pub(super) free: [BTreeSet<(Id, Place)>; 4],
    /// Whether what had to wait goes before what is new in the next request that may have both.
    pub(super) later_first: bool,
    /// Keys that wait, by when that ends.
    pub(super) waiting: BTreeSet<(Mono, Place)>,
    /// Keys that are tried only if there is no other, by their turns.
    pub(super) suspects: BTreeSet<(u64, Place)>,
    /// The next turn.
    pub(super) turn: u64,
    /// Whether requests were halved by a guess.
    pub(super) guessed: bool,
    /// Items whose dead letters are to be written, not handed out yet.
    dead: Vec<Place>,
    /// Letters that are done since this was last asked.
    letters_done: Vec<u64>,
    pub(super) tracker: Tracker,
    /// What is not in memory.
    pub(super) parking: Parking,
    letters: usize,
    pub(super) ready: usize,
    pub(super) bytes: usize,
}

impl Queue {
    pub(super) fn new(limits: Limits, progress: Progress) -> Self {
        let order = limits.order;
        Queue {
            order,
            has_runs: limits.lanes <= 1 && order != Order::OneByOne,
            run: Run::default(),
            spread: Vec::new(),
            items: Slab::new(),
            keys: Slab::new(),
            by_hash: HashMap::default(),
            free: Default::default(),
            later_first: false,
            waiting: BTreeSet::new(),
            suspects: BTreeSet::new(),
            turn: 0,
            guessed: false,
            dead: Vec::new(),
            letters_done: Vec::new(),
            tracker: Tracker::new(progress),
            parking: Parking::default(),
            letters: 0,
            ready: 0,
            bytes: 0,
        }
    }

    /// Without runs.
    #[cfg(test)]
    pub(super) fn plain(limits: Limits, progress: Progress) -> Self {
        Queue { has_runs: false, ..Queue::new(limits, progress) }
    }

    /// Whether nothing is open but what is in a run, or will be.
    pub(super) fn runs(&self) -> bool {
        self.has_runs && self.items.is_empty()
    }

    /// Adds an item.
    pub(super) fn push(&mut self, item: Item, now: Mono) {
        let item = match item.id {
            Id::Journal(number) if self.has_runs && self.items.is_empty() && self.tracker.is_even() => {
                match self.run.push(item, number, now) {
                    Ok(()) => return,
                    Err(item) => item,
                }
            }
            _ => item,
        };
        self.spread();
        match self.parks(&item) {
            Some((key, number)) => self.park(key, number, &item, now),
            None => self.add(item, now),
        }
    }

    /// Gives the items of the run their places.
    fn spread(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let run = std::mem::take(&mut self.run);
        for (item, since) in run.each() {
            self.add(item.clone(), since);
        }
        self.tracker.pass(run.read());
        if run.is_under_way() {
            self.spread = self.take(usize::MAX, usize::MAX, true);
            for place in &self.spread {
                self.items[*place].sent += 1;
            }
        }
    }

    /// The items of the run for a request, if it can have all of them.
    pub(super) fn take_run(&mut self, most: usize, most_bytes: usize) -> Option<Arc<Vec<Item>>> {
        let count = self.run.items().len();
        let fits = count <= most && (self.run.bytes() <= most_bytes || count == 1);
        if self.run.waits_since().is_some() && fits {
            return Some(self.run.send());
        }
        self.spread();
        None
    }

    /// The server has answered the request of the run. Says nothing unless it has taken all of it.
    pub(super) fn run_taken(&mut self, fates: &[Fate]) -> bool {
        let all = self.run.is_under_way() && fates.len() == self.run.items().len();
        if !all || !fates.iter().all(|fate| matches!(fate, Fate::Taken | Fate::Cut | Fate::Stale(_))) {
            return false;
        }
        let read = self.run.end();
        self.tracker.pass(read);
        true
    }

    /// The places of the run that is under way, once it is more than a run.
    pub(super) fn places_of_run(&mut self) -> Vec<Place> {
        self.spread();
        std::mem::take(&mut self.spread)
    }

    fn add(&mut self, item: Item, now: Mono) {
        match item.id {
            Id::Journal(number) => self.tracker.opened(number, item.received),
            Id::Letter(_) => self.letters += 1,
        }
        let hash = item.key();
        let key = match self.order {
            Order::Free => self.keys.insert(Key::new(hash)),
            _ => *self.by_hash.entry(hash).or_insert_with(|| self.keys.insert(Key::new(hash))),
        };
        self.insert(key, item, now);
        self.release(key);
    }

    /// Gives an item its place behind the others of its key.
    pub(super) fn insert(&mut self, key: Place, mut item: Item, now: Mono) -> Place {
        // What it was read with is not kept as long as this may be.
        item.payload = item.payload.alone();
        self.ready += 1;
        self.bytes += item.payload.len();
        let (id, most) = (item.id, usize::MAX);
        let (unanswered, next, state) = (None, NONE, State::Ready);
        let open = Open { item, since: now, most, guess: most, sent: 0, unanswered, key, next, state };
        let place = self.items.insert(open);
        let last = self.keys[key].last;
        if last == NONE {
            self.keys[key].first = place;
        } else {
            self.items[last].next = place;
            self.keys[key].unsorted |= self.items[last].item.id > id;
        }
        self.keys[key].last = place;
        place
    }

    /// The items of the next request, and marks them as under way. What was sent last without an answer goes behind all others if this
    /// is to be `patient`.
    pub(super) fn take(&mut self, most: usize, most_bytes: usize, patient: bool) -> Vec<Place> {
        let mut batch = Vec::new();
        // What may follow in this request, of keys that are in it.
        let mut following: BinaryHeap<Reverse<(Id, Place)>> = BinaryHeap::new();
        // What may be why nothing is answered does not go with others.
        let classes = self.turn_of(patient);
        let is_tried = matches!(classes, [Class::Tried | Class::AtFault, ..]);
        let (mut bytes, mut together) = (0, usize::MAX);
        while batch.len() < most.min(together) {
            let first = classes.iter().find_map(|class| self.free[*class as usize].first());
            let first = first.map(|(id, key)| (*id, self.keys[*key].first));
            let following_first = following.peek().map(|Reverse(next)| *next);
            let Some((id, place)) = first.into_iter().chain(following_first).min() else { break };
            let open = &mut self.items[place];
            let size = open.item.payload.len();
            if batch.is_empty() {
                together = open.most();
            } else if open.most() != together
                || open.unanswered.is_some() != is_tried
                || bytes + size > most_bytes
            {
                break;
            }
            open.state = State::Sending;
            let (key, next) = (open.key, open.next);
            if following_first == Some((id, place)) {
                following.pop();
            } else {
                self.leave(key);
            }
            self.keys[key].sending += 1;
            if self.order == Order::Kept && next != NONE {
                following.push(Reverse((self.items[next].item.id, next)));
            }
            bytes += size;
            batch.push(place);
        }
        self.ready -= batch.len();
        batch
    }

    /// An item that is open.
    pub(super) fn item(&mut self, place: Place) -> &mut Open {
        &mut self.items[place]
    }

    /// The key of an item.
    pub(super) fn key_of(&mut self, place: Place) -> &mut Key {
        &mut self.keys[self.items[place].key]
    }

    /// The server has an item that was under way. False if it must be sent again all the same, because an earlier one of
    /// its key must be.
    pub(super) fn taken(&mut self, place: Place) -> bool {
        let key = &self.keys[self.items[place].key];
        if key.again {
            self.again(place);
            return false;
        }
        if key.first == place {
            self.returned(place);
            self.finish(place);
        } else {
            self.returned(place);
            self.items[place].state = State::Held;
        }
        true
    }

    /// An item that was under way must be sent again.
    pub(super) fn again(&mut self, place: Place) {
        self.returned(place);
        self.items[place].state = State::Ready;
        self.ready += 1;
        self.key_of(place).again = true;
    }

    /// The server will never take an item that was under way.
    pub(super) fn reject(&mut self, place: Place, reason: Said) {
        self.returned(place);
        self.items[place].state = State::Dead(reason);
        self.key_of(place).dead += 1;
        self.dead.push(place);
    }

    fn returned(&mut self, place: Place) {
        self.key_of(place).sending -= 1;
    }

    /// All items of a request have got their fates: their keys are free again, as far as they wait for nothing.
    pub(super) fn settle(&mut self, keys: &[Place]) {
        for key in keys {
            if let Some(known) = self.keys.get_mut(*key) {
                known.again = false;
                self.release(*key);
            }
        }
    }

    /// The keys of some items.
    pub(super) fn keys_of(&self, places: &[Place]) -> Vec<Place> {
        let mut keys: Vec<Place> = places.iter().map(|place| self.items[*place].key).collect();
        keys.dedup();
        keys
    }

    /// A key that has nothing under way waits until then.
    pub(super) fn wait(&mut self, place: Place, until: Mono) {
        let key = self.items[place].key;
        let known = &mut self.keys[key];
        if let Some(before) = known.until.replace(until) {
            self.waiting.remove(&(before, key));
        }
        self.leave(key);
        self.waiting.insert((until, key));
    }

    /// Frees the keys that have waited long enough.
    pub(super) fn tick(&mut self, now: Mono) {
        while let Some(&(until, key)) = self.waiting.first()
            && until <= now
        {
            self.waiting.pop_first();
            self.keys[key].until = None;
            self.release(key);
        }
    }

    /// When the first waiting key is free again.
    pub(super) fn next_tick(&self) -> Option<Mono> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// Items whose dead letters are to be written, each once.
    pub(super) fn take_dead(&mut self) -> Vec<DeadItem> {
        let dead = std::mem::take(&mut self.dead).into_iter();
        let dead = dead.filter_map(|place| {
            let open = &self.items[place];
            let State::Dead(reason) = &open.state else { return None };
            Some(DeadItem { item: open.item.clone(), reason: reason.clone(), place })
        });
        dead.collect()
    }

    /// The dead letter of an item is safe.
    pub(super) fn letter_written(&mut self, dead: &DeadItem) {
        let key = self.items[dead.place].key;
        self.keys[key].dead -= 1;
        self.finish(dead.place);
        self.settle(&[key]);
    }

    /// Letters that are done since this was last asked.
    pub(super) fn take_letters_done(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.letters_done)
    }

    /// Removes an item that is done, and those behind it that were held.
    fn finish(&mut self, place: Place) {
        let key = self.items[place].key;
        self.unlink(key, place);
        self.remove(place);
        while let Some(open) = self.items.get(self.keys[key].first)
            && matches!(open.state, State::Held)
        {
            let place = self.keys[key].first;
            self.unlink(key, place);
            self.remove(place);
        }
        self.end(key);
    }

    /// Removes a key of which nothing is open.
    pub(super) fn end(&mut self, key: Place) {
        let known = &self.keys[key];
        if known.first != NONE || !known.parked.is_empty() {
            return;
        }
        if self.order != Order::Free {
            self.by_hash.remove(&known.hash);
        }
        if let Some(until) = known.until {
            self.waiting.remove(&(until, key));
        }
        if let Some(turn) = known.suspect {
            self.suspects.remove(&(turn, key));
        }
        self.keys.remove(key);
    }

    fn unlink(&mut self, key: Place, place: Place) {
        let next = self.items[place].next;
        let known = &mut self.keys[key];
        let mut before = NONE;
        if known.first == place {
            known.first = next;
        } else {
            before = known.first;
            while self.items[before].next != place {
                before = self.items[before].next;
            }
            self.items[before].next = next;
        }
        if known.last == place {
            known.last = before;
        }
    }

    fn remove(&mut self, place: Place) {
        let open = self.items.remove(place);
        self.bytes -= open.item.payload.len();
        match open.item.id {
            Id::Journal(number) => self.tracker.finish(number),
            Id::Letter(number) => {
                self.letters -= 1;
                self.letters_done.push(number);
            }
        }
    }

    /// Puts a key among the free ones, if it is free.
    pub(super) fn release(&mut self, key: Place) {
        let known = &self.keys[key];
        if known.dead > 0 || known.until.is_some() || known.suspect.is_some() {
            return self.unwant(key);
        }
        if known.sending > 0 {
            return;
        }
        if known.first == NONE {
            return self.want(key);
        }
        if known.unsorted {
            self.sort(key);
        }
        let known = &mut self.keys[key];
        let open = &self.items[known.first];
        let class = match open.unanswered {
            None if known.tries == 0 => Class::New,
            None => Class::Later,
            Some(_) if known.tries == 0 => Class::Tried,
            Some(_) => Class::AtFault,
        };
        let entry = (class, open.item.id);
        if known.entry != Some(entry) {
            self.leave(key);
            self.keys[key].entry = Some(entry);
            self.free[class as usize].insert((entry.1, key));
        }
    }

    /// A key is not among the free ones any more.
    pub(super) fn leave(&mut self, key: Place) {
        if let Some((class, id)) = self.keys[key].entry.take() {
            self.free[class as usize].remove(&(id, key));
        }
    }

    /// Brings the items of a key in the order of their ids.
    pub(super) fn sort(&mut self, key: Place) {
        let mut places = Vec::new();
        let mut place = self.keys[key].first;
        while place != NONE {
            places.push(place);
            place = self.items[place].next;
        }
        places.sort_by_key(|place| self.items[*place].item.id);
        for (at, place) in places.iter().enumerate() {
            self.items[*place].next = places.get(at + 1).copied().unwrap_or(NONE);
        }
        let known = &mut self.keys[key];
        known.unsorted = false;
        known.first = places.first().copied().unwrap_or(NONE);
        known.last = places.last().copied().unwrap_or(NONE);
    }

    /// Since when the oldest item waits that can be sent now.
    pub(super) fn oldest_ready(&self) -> Option<Mono> {
        let first = || {
            let (_, key) = self.free.iter().filter_map(BTreeSet::first).min()?;
            self.items.get(self.keys[*key].first).map(|open| open.since)
        };
        self.run.waits_since().or_else(first)
    }

    /// How many items are neither under way nor dead.
    pub(super) fn ready(&self) -> usize {
        if self.run.is_under_way() { 0 } else { self.ready + self.run.items().len() }
    }

    /// How many keys had to wait and nothing of them was taken since.
    pub(super) fn put_off(&self) -> usize {
        self.keys.iter().filter(|(_, key)| key.tries > 0).count()
    }

    /// How many letters are open.
    pub(super) fn letters(&self) -> usize {
        self.letters
    }

    /// How many bytes the open items have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.run.bytes()
    }

    /// All before a number was read.
    pub(super) fn pass(&mut self, to: u64) {
        if self.run.is_empty() { self.tracker.pass(to) } else { self.run.pass(to) }
    }

    /// The number from which on nothing was read.
    pub(super) fn read(&self) -> u64 {
        if self.run.is_empty() { self.tracker.read() } else { self.run.read() }
    }

    /// Whether a number is still to be delivered, and not known yet.
    pub(super) fn is_new(&self, number: u64) -> bool {
        if self.run.is_empty() { self.tracker.is_new(number) } else { number >= self.run.read() }
    }

    /// How many numbers of the journal are open, in memory or parked.
    pub(super) fn open(&self) -> usize {
        self.tracker.open() + self.run.items().len()
    }

    /// How many numbers from [`Queue::read`] on are done.
    pub(super) fn ahead(&self) -> u64 {
        self.tracker.ahead()
    }

    /// The lowest number that is not done.
    pub(super) fn cursor(&self) -> u64 {
        self.run.items().first().and_then(number).unwrap_or_else(|| self.tracker.cursor())
    }

    /// When the message of the lowest open number was received.
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.run.items().first().map(|item| item.received).or_else(|| self.tracker.oldest())
    }

    /// What is done.
    pub(super) fn progress(&self) -> Progress {
        if self.run.is_empty() {
            return self.tracker.progress();
        }
        tracker::progress(self.run.items().iter().filter_map(number), self.run.read())
    }

    /// Removes a letter that is not under way; false if there is none of this number.
    pub(super) fn forget_letter(&mut self, number: u64) -> bool {
        let id = Id::Letter(number);
        let found = self.items.iter().find(|(_, open)| open.item.id == id);
        let Some((place, Open { state: State::Ready, key, .. })) = found else { return false };
        let key = *key;
        self.leave(key);
        if self.keys[key].first == place && self.items[place].next == NONE {
            // The key goes with its last item.
            if let Some(until) = self.keys[key].until.take() {
                self.waiting.remove(&(until, key));
            }
        }
        self.ready -= 1;
        self.finish(place);
        self.settle(&[key]);
        true
    }
}

/// The number of an item of the journal.
fn number(item: &Item) -> Option<u64> {
    if let Id::Journal(number) = item.id { Some(number) } else { None }
}
