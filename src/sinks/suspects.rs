//! Keys of which nothing is answered while the server answers nothing else: they are tried only if there is no other.

use crate::sinks::key::{Key, Place};
use crate::sinks::queue::Queue;
use crate::time::clock::Mono;

impl Queue {
    /// The keys of some items that are under way are suspects, with their turns behind all others. False if that is one key with
    /// several items.
    pub(super) fn set_aside(&mut self, places: &[Place]) -> bool {
        let keys = self.keys_of(places);
        for key in &keys {
            self.suspect(*key);
        }
        let one = places.len() > 1 && keys.iter().all(|key| Some(key) == keys.first());
        !one
    }

    /// A key is a suspect, with its turn behind all others.
    pub(super) fn suspect(&mut self, key: Place) {
        self.leave(key);
        let turn = self.turn;
        self.turn += 1;
        if let Some(before) = self.keys[key].suspect.replace(turn) {
            self.suspects.remove(&(before, key));
        }
        self.suspects.insert((turn, key));
    }

    /// The suspect whose turn it is may be sent. False if none can be.
    pub(super) fn probe(&mut self) -> bool {
        let able = |key: &Key| key.sending == 0 && key.dead == 0 && key.until.is_none();
        let next = self.suspects.iter().find(|(_, key)| able(&self.keys[*key])).copied();
        if let Some((turn, key)) = next {
            self.suspects.remove(&(turn, key));
            self.keys[key].suspect = None;
            self.release(key);
        }
        next.is_some()
    }

    /// Items are sent in requests of half the size. A guess holds until the server answers something.
    pub(super) fn halve(&mut self, places: &[Place], guess: bool) {
        self.guessed |= guess;
        for place in places {
            let open = &mut self.items[*place];
            *(if guess { &mut open.guess } else { &mut open.most }) = places.len().div_ceil(2);
        }
    }

    /// The server has answered something: no key is a suspect any more.
    pub(super) fn clear_suspects(&mut self) {
        if std::mem::take(&mut self.guessed) {
            for (_, open) in &mut self.items {
                open.guess = usize::MAX;
            }
        }
        for (_, key) in std::mem::take(&mut self.suspects) {
            self.keys[key].suspect = None;
            self.release(key);
        }
    }

    /// Whether there are suspects.
    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Whether the oldest item of each key was sent last without an answer: no other can be tried.
    pub(super) fn all_unanswered(&self) -> bool {
        let unanswered = |key: &Key| match self.items.get(key.first) {
            Some(open) => open.unanswered.is_some(),
            None => key.head.as_ref().is_some_and(|head| head.unanswered.is_some()),
        };
        self.keys.iter().all(|(_, key)| unanswered(key))
    }

    /// A key waits until then, if it does not wait longer already.
    pub(super) fn wait_longer(&mut self, place: Place, until: Mono) {
        if self.key_of(place).until.is_none_or(|before| before < until) {
            self.wait(place, until);
        }
    }
}
