//! The open items of a sink, and which of them may be sent now. Pure.
//!
//! Items of one key (host and service) form a list in the order of their ids. A key is *free* if none of its items is
//! under way, and it waits for nothing; only a free key's items can be sent, from the oldest on.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use slab::Slab;

use super::sink::{Id, Item, Order, Said};
use super::tracker::Tracker;
use crate::journal::progress::Progress;
use crate::time::clock::Mono;

/// The place of an item or a key in its slab.
pub(super) type Place = usize;

const NONE: Place = Place::MAX;

/// Open items by key.
#[derive(Debug)]
pub(super) struct Queue {
    order: Order,
    items: Slab<Open>,
    keys: Slab<Key>,
    by_hash: HashMap<u64, Place, BuildHasherDefault<AsItIs>>,
    /// Free keys, by the id of their oldest item.
    free: BTreeSet<(Id, Place)>,
    /// Keys that wait, by when that ends.
    waiting: BTreeSet<(Mono, Place)>,
    /// Items whose dead letters are to be written, not handed out yet.
    dead: Vec<Place>,
    /// Letters that are done since this was last asked.
    letters_done: Vec<u64>,
    tracker: Tracker,
    letters: usize,
    ready: usize,
    bytes: usize,
}

/// An open item.
#[derive(Debug)]
pub(super) struct Open {
    /// The item.
    pub(super) item: Item,
    /// When it came.
    pub(super) since: Mono,
    /// The largest request that it may be part of.
    pub(super) most: usize,
    /// How often it was sent.
    pub(super) sent: u32,
    /// Whether it was sent last without an answer, and how many answers to other requests there had been then.
    pub(super) unanswered: Option<u64>,
    key: Place,
    next: Place,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not under way.
    Ready,
    /// Under way.
    Sending,
    /// The server has it, but an earlier one of its key is dead and not done.
    Held,
    /// The server will never take it; done when its dead letter is written.
    Dead(Said),
}

/// A key that has open items.
#[derive(Debug)]
pub(super) struct Key {
    /// How often in a row it had to wait.
    pub(super) tries: u32,
    /// Since when the server takes nothing of it.
    pub(super) failing: Option<Mono>,
    /// Since when its oldest item is never answered, while nothing that could be sent tells whether the server answers.
    pub(super) stuck: Option<Mono>,
    hash: u64,
    first: Place,
    last: Place,
    sending: u32,
    dead: u32,
    until: Option<Mono>,
    /// Its entry among the free ones.
    entry: Option<Id>,
    /// Whether a letter came while items were under way, and the list is out of order.
    unsorted: bool,
    /// Whether an item of the request that is being settled has to be sent again.
    pub(super) again: bool,
}

/// An item that became a dead letter, until that letter is written.
#[derive(Debug, Clone)]
pub struct DeadItem {
    /// The item.
    pub item: Item,
    /// Why the server does not take it.
    pub reason: Said,
    place: Place,
}

impl Queue {
    pub(super) fn new(order: Order, progress: Progress) -> Self {
        Queue {
            order,
            items: Slab::new(),
            keys: Slab::new(),
            by_hash: HashMap::default(),
            free: BTreeSet::new(),
            waiting: BTreeSet::new(),
            dead: Vec::new(),
            letters_done: Vec::new(),
            tracker: Tracker::new(progress),
            letters: 0,
            ready: 0,
            bytes: 0,
        }
    }

    /// Adds an item.
    pub(super) fn push(&mut self, item: Item, now: Mono) {
        match item.id {
            Id::Journal(number) => self.tracker.opened(number, item.received),
            Id::Letter(_) => self.letters += 1,
        }
        self.ready += 1;
        self.bytes += item.payload.len();
        let hash = item.key;
        let key = match self.order {
            Order::Free => self.keys.insert(Key::new(hash)),
            _ => *self.by_hash.entry(hash).or_insert_with(|| self.keys.insert(Key::new(hash))),
        };
        let (id, most) = (item.id, usize::MAX);
        let open =
            Open { item, since: now, most, sent: 0, unanswered: None, key, next: NONE, state: State::Ready };
        let place = self.items.insert(open);
        let last = self.keys[key].last;
        if last == NONE {
            self.keys[key].first = place;
        } else {
            self.items[last].next = place;
            self.keys[key].unsorted |= self.items[last].item.id > id;
        }
        self.keys[key].last = place;
        self.release(key);
    }

    /// The items of the next request, and marks them as under way.
    pub(super) fn take(&mut self, most: usize, most_bytes: usize) -> Vec<Place> {
        let mut batch = Vec::new();
        // What may follow in this request, of keys that are in it.
        let mut following: BinaryHeap<Reverse<(Id, Place)>> = BinaryHeap::new();
        let (mut bytes, mut together) = (0, usize::MAX);
        while batch.len() < most.min(together) {
            let first = self.free.first().map(|(id, key)| (*id, self.keys[*key].first));
            let following_first = following.peek().map(|Reverse(next)| *next);
            let Some((id, place)) = first.into_iter().chain(following_first).min() else { break };
            let open = &mut self.items[place];
            let size = open.item.payload.len();
            if batch.is_empty() {
                together = open.most;
            } else if open.most != together || bytes + size > most_bytes {
                break;
            }
            open.state = State::Sending;
            let (key, next) = (open.key, open.next);
            if following_first == Some((id, place)) {
                following.pop();
            } else {
                self.free.pop_first();
                self.keys[key].entry = None;
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
        if let Some(id) = known.entry.take() {
            self.free.remove(&(id, key));
        }
        self.waiting.insert((until, key));
    }

    /// Keys whose oldest item was sent last without an answer, and that have nothing under way, wait until `least` at least.
    pub(super) fn defer_unanswered(&mut self, least: Mono) {
        // One with a dead item waits for its letter, and may be gone with it.
        let idle = |key: &Key| key.sending == 0 && key.dead == 0;
        let early = |key: &Key| idle(key) && key.until.is_none_or(|until| until < least);
        let unanswered = |key: &Key| self.items.get(key.first).is_some_and(|open| open.unanswered.is_some());
        let keys = self.keys.iter().map(|(_, key)| key).filter(|key| early(key) && unanswered(key));
        for first in keys.map(|key| key.first).collect::<Vec<Place>>() {
            self.wait(first, least);
        }
    }

    /// Whether the oldest item of each key was sent last without an answer: no other can be tried.
    pub(super) fn all_unanswered(&self) -> bool {
        let unanswered = |key: &Key| self.items.get(key.first).is_some_and(|open| open.unanswered.is_some());
        self.keys.iter().all(|(_, key)| unanswered(key))
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
        if self.keys[key].first == NONE {
            if self.order != Order::Free {
                self.by_hash.remove(&self.keys[key].hash);
            }
            if let Some(until) = self.keys[key].until {
                self.waiting.remove(&(until, key));
            }
            self.keys.remove(key);
        }
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
    fn release(&mut self, key: Place) {
        let known = &self.keys[key];
        if known.sending > 0 || known.dead > 0 || known.until.is_some() {
            return;
        }
        if known.unsorted {
            self.sort(key);
        }
        let known = &mut self.keys[key];
        let id = self.items[known.first].item.id;
        if known.entry != Some(id) {
            if let Some(entry) = known.entry.replace(id) {
                self.free.remove(&(entry, key));
            }
            self.free.insert((id, key));
        }
    }

    /// Brings the items of a key in the order of their ids.
    fn sort(&mut self, key: Place) {
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

    /// The oldest item that can be sent now.
    pub(super) fn oldest_ready(&self) -> Option<&Open> {
        let (_, key) = self.free.first()?;
        self.items.get(self.keys[*key].first)
    }

    /// How many items are neither under way nor dead.
    pub(super) fn ready(&self) -> usize {
        self.ready
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
        self.bytes
    }

    /// Which numbers are done.
    pub(super) fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// All before a number was read.
    pub(super) fn pass(&mut self, to: u64) {
        self.tracker.pass(to);
    }

    /// Removes a letter that is not under way; false if there is none of this number.
    pub(super) fn forget_letter(&mut self, number: u64) -> bool {
        let id = Id::Letter(number);
        let found = self.items.iter().find(|(_, open)| open.item.id == id);
        let Some((place, Open { state: State::Ready, key, .. })) = found else { return false };
        let key = *key;
        if let Some(entry) = self.keys[key].entry.take() {
            self.free.remove(&(entry, key));
        }
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

impl Key {
    fn new(hash: u64) -> Self {
        Key {
            tries: 0,
            failing: None,
            stuck: None,
            hash,
            first: NONE,
            last: NONE,
            sending: 0,
            dead: 0,
            until: None,
            entry: None,
            unsorted: false,
            again: false,
        }
    }
}

/// Keys are keyed hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
