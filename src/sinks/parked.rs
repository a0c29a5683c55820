//! Items that wait and take no room of the others: only their numbers are kept, they are *parked*, and read again when it is their
//! turn. Pure.
//!
//! - If there is no room left and nothing can be sent that never had to wait, the keys that wait give theirs: all but their oldest items
//!   are parked. So do suspects and keys that were sent last without an answer, however many they are: only what is behind them tells
//!   whether the server answers. If that is not enough, as many keys wait or each item is its own key, the oldest items of those that wait
//!   and of suspects are parked, too.
//! - What comes of a key that has parked numbers is parked at once, so that its order is kept.
//! - Of a key without items whose turn it is, some numbers are *wanted*: they are read from the journal, the oldest first.
//!
//! A parked number is open. What the journal does not have any more when it is wanted is lost.

use std::ops::Range;

use super::key::{Class, Head, NONE, Parked, Place};
use super::machine::{MOST_BYTES, Machine};
use super::open::State;
use super::parking::Room;
use super::queue::Queue;
use super::sink::{Id, Item, Order};
use crate::journal::segment::MAX_PAYLOAD as LARGEST;
use crate::time::clock::Mono;

impl Queue {
    /// How many numbers are parked.
    pub(super) fn parked(&self) -> usize {
        self.parking.count
    }

    /// The key of a new item and its number, if it is to be parked.
    pub(super) fn parks(&self, item: &Item) -> Option<(Place, u64)> {
        let Id::Journal(number) = item.id else { return None };
        if self.parking.count == 0 || self.order == Order::Free {
            return None;
        }
        let key = *self.by_hash.get(&item.key())?;
        (!self.keys[key].parked.is_empty()).then_some((key, number))
    }

    /// Parks a new item.
    pub(super) fn park(&mut self, key: Place, number: u64, item: &Item, since: Mono) {
        self.tracker.opened(number, item.received);
        self.keys[key].parked.push_back(Parked { number, since });
        self.parking.count += 1;
    }

    /// Parks what waits, so that an eighth of the room is free.
    pub(super) fn make_room(&mut self, most_bytes: usize) {
        let room = self.parking.room;
        let (items, bytes) = (room.items - room.items.div_ceil(8), most_bytes - most_bytes / 8);
        let is_enough = |queue: &Queue| {
            let is_full = queue.parking.count >= room.parked;
            is_full || (queue.open() - queue.parked() <= items && queue.bytes() <= bytes)
        };
        let mut waiting: Vec<Place> = self.waiting.iter().rev().map(|(_, key)| *key).collect();
        waiting.extend(self.suspects.iter().map(|(_, key)| *key));
        waiting.retain(|key| {
            let known = &self.keys[*key];
            known.first != NONE && known.sending == 0 && known.dead == 0
        });
        // What is to be sent again keeps its oldest item, which would be read again at once.
        let unanswered = [Class::AtFault, Class::Tried].into_iter();
        let unanswered = unanswered.flat_map(|class| &self.free[class as usize]).map(|(_, key)| key);
        // Those with most items first: each that is parked has to be read again.
        let mut long: Vec<(usize, Place)> =
            waiting.iter().chain(unanswered).map(|key| (self.items_of(*key).len(), *key)).collect();
        long.retain(|(count, _)| *count > 1);
        long.sort_unstable_by(|a, b| b.cmp(a));
        for (_, key) in long {
            if is_enough(self) {
                return;
            }
            self.trim(key, 1);
        }
        for key in waiting {
            if is_enough(self) || self.keys.len() >= room.keys {
                return;
            }
            self.trim(key, 0);
        }
    }

    /// The items of a key, in their order.
    fn items_of(&self, key: Place) -> Vec<Place> {
        let next = |place: &Place| Some(self.items[*place].next);
        let is_some = |place: &Place| *place != NONE;
        std::iter::successors(Some(self.keys[key].first).filter(is_some), |place| next(place).filter(is_some))
            .collect()
    }

    /// Parks items of a key of which nothing is under way or dead, but for its oldest ones and its letters.
    fn trim(&mut self, key: Place, keep: usize) {
        if self.keys[key].unsorted {
            self.sort(key);
        }
        let places = self.items_of(key);
        let letters =
            places.iter().take_while(|place| matches!(self.items[**place].item.id, Id::Letter(_))).count();
        let most = self.parking.room.parked.saturating_sub(self.parking.count);
        let keep = keep.max(letters).max(places.len().saturating_sub(most));
        // Not before those that are parked now.
        self.unwant(key);
        for (at, place) in places.iter().enumerate().skip(keep).rev() {
            let Id::Journal(number) = self.items[*place].item.id else { return };
            debug_assert!(matches!(self.items[*place].state, State::Ready), "it is under way: {number}");
            let open = self.items.remove(*place);
            self.bytes -= open.item.payload.len();
            self.ready -= 1;
            let known = &mut self.keys[key];
            known.parked.push_front(Parked { number, since: open.since });
            self.parking.count += 1;
            if at == 0 {
                let (most, sent, unanswered) = (open.most, open.sent, open.unanswered);
                known.head = Some(Box::new(Head { number, most, sent, unanswered }));
            }
            if at == 0 {
                (known.first, known.last) = (NONE, NONE);
            } else {
                known.last = places[at - 1];
                self.items[places[at - 1]].next = NONE;
            }
        }
    }

    /// A key has no items, and it is its turn.
    pub(super) fn want(&mut self, key: Place) {
        let numbers = self.keys[key].parked.iter().take(self.parking.room.wanted);
        let numbers = numbers.map(|parked| (parked.number, key));
        self.parking.wanted.extend(numbers);
    }

    /// It is not its turn any more.
    pub(super) fn unwant(&mut self, key: Place) {
        let wanted = &mut self.parking.wanted;
        let parked = self.keys[key].parked.iter();
        parked.take_while(|parked| wanted.remove(&parked.number).is_some()).for_each(drop);
    }

    /// The first number from one on that is to be read again; behind the last one, the first of all.
    fn wanted(&self, from: u64) -> Option<u64> {
        let mut wanted = self.parking.wanted.range(from..).chain(&self.parking.wanted);
        wanted.next().map(|(number, _)| *number)
    }

    /// Whether a number that was read is to be given to [`Queue::unpark`], where all of the journal was read from `from` on. What
    /// would have come before is lost.
    pub(super) fn wants(&mut self, number: u64, from: u64) -> bool {
        let Some(key) = self.parking.wanted.get(&number).copied() else { return false };
        while let Some(first) = self.keys[key].parked.front().map(|parked| parked.number)
            && (from..number).contains(&first)
        {
            self.lose_first(key);
        }
        self.keys[key].parked.front().is_some_and(|parked| parked.number == number)
    }

    /// An item that [`Queue::wants`] is back.
    pub(super) fn unpark(&mut self, item: Item) {
        let Id::Journal(number) = item.id else { return };
        let Some(key) = self.parking.wanted.remove(&number) else { return };
        let known = &mut self.keys[key];
        let Some(parked) = known.parked.pop_front() else { return };
        let head = known.head.take().filter(|head| head.number == number);
        self.parking.count -= 1;
        let place = self.insert(key, item, parked.since);
        if let Some(head) = head {
            let open = &mut self.items[place];
            (open.most, open.sent, open.unanswered) = (head.most, head.sent, head.unanswered);
        }
        self.release(key);
    }

    /// All of the journal in a range was read: what is still wanted of it is lost.
    pub(super) fn lose(&mut self, read: Range<u64>) {
        let missing: Vec<(u64, Place)> =
            self.parking.wanted.range(read).map(|(number, key)| (*number, *key)).collect();
        for (number, key) in missing {
            let first = self.keys.get(key).and_then(|known| known.parked.front());
            if first.is_some_and(|parked| parked.number == number) {
                self.lose_first(key);
                self.end(key);
                self.settle(&[key]);
            }
        }
    }

    fn lose_first(&mut self, key: Place) {
        let Some(parked) = self.keys[key].parked.pop_front() else { return };
        self.parking.wanted.remove(&parked.number);
        self.parking.count -= 1;
        self.parking.lost += 1;
        self.tracker.finish(parked.number);
    }

    /// How many items and numbers are kept.
    pub(super) fn room(&self) -> Room {
        self.parking.room
    }

    /// How many numbers were lost since this was last asked.
    fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.parking.lost)
    }
}

impl Machine {
    /// Whether nothing that is new, or nothing that is wanted again, can be read or sent as long as all that is in memory is there.
    pub(super) fn is_crowded(&self) -> bool {
        let fits = self.has_place(LARGEST) && (self.queue.wanted(0).is_none() || self.wanted(0).is_some());
        self.could_send() && !self.queue.has_new() && !fits
    }

    /// Parks what waits.
    pub(super) fn make_room(&mut self) {
        self.queue.make_room(MOST_BYTES);
    }

    /// Whether an item of the journal fits, with a payload of so many bytes, if it is not parked.
    pub(super) fn has_place(&self, bytes: usize) -> bool {
        self.has_places(1, bytes)
    }

    fn has_places(&self, places: usize, bytes: usize) -> bool {
        let items = self.queue.open() - self.queue.parked();
        let fits = items + places <= self.queue.room().items;
        fits && (items == 0 || self.queue.bytes() + bytes <= MOST_BYTES)
    }

    /// How many items of the journal are open and not in memory.
    pub fn parked(&self) -> usize {
        self.queue.parked()
    }

    /// The first number from one on that is to be read again now; behind the last one, the first of all. None if there is no room
    /// for one.
    pub fn wanted(&self, from: u64) -> Option<u64> {
        // The rest of the room is for what is new.
        let rest = self.queue.room().items / 16;
        self.queue.wanted(from).filter(|_| self.has_places(rest + 1, LARGEST))
    }

    /// Whether a number that was read again is to be given to [`Machine::read_again`], where all of the journal was read again from
    /// `from` on. What would have come before is lost.
    pub fn wants(&mut self, number: u64, from: u64) -> bool {
        self.queue.wants(number, from)
    }

    /// An item that [`Machine::wants`].
    pub fn read_again(&mut self, item: Item) {
        self.queue.unpark(item);
    }

    /// All of the journal in a range was read again: what is still wanted of it is lost. Says how much is lost since this was last called.
    pub fn lose(&mut self, read: Range<u64>) -> u64 {
        self.queue.lose(read);
        self.queue.take_lost()
    }
}
