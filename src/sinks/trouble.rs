//! What a request without fates tells: something of the server, or of the items in it.
//!
//! A server that is away, refuses, asks to wait or does not answer may do so for everything, or for one item: a topic that
//! the user may not write to, a text that a proxy in between filters, an item that makes the server close the connection. What
//! happens to others tells them apart. So:
//!
//! - The first time, the sink pauses, and the same items are sent again.
//! - The second time, if others were answered meanwhile, these items are at fault. They are halved; a single one waits as if the server
//!   had said [`Fate::Later`](crate::sinks::sink::Fate::Later), so that it is given up after `give_up`. The sink does not pause.
//! - The second time, if nothing else was answered, their keys are *suspects*: all other keys go first. If there are none, the
//!   suspects are tried one by one, the one whose turn is longest ago first, each after a pause of the sink. When the server
//!   answers something, no key is a suspect any more. An item that was at fault before only waits longer.
//! - If a lane says that some items of a request were not answered while others were ([`Fate::Unanswered`](crate::sinks::sink::Fate::Unanswered)),
//!   they are at fault the first time.
//! - What was sent last without an answer goes with no others in one request. While there are others to send, it takes one lane, and
//!   half of the time at most.
//!
//! While a server answers nothing at all, no item is given up, with one exception: if the journal is full and refuses outcomes,
//! nothing may be left that would show whether the server answers. Both would wait for ever, so what is not answered for `give_up`
//! is given up.
//!
//! A request that is refused as a whole is halved at once, and a single item is dead. But if [`MOST_REFUSED`] single items in a
//! row are refused and nothing else is answered, the server rather refuses everything: then the next ones are treated as
//! above, and die only once something else was answered.

use std::time::Duration;

use crate::sinks::key::Place;
use crate::sinks::machine::{FIRST_PAUSE, LONGEST_BUSY, Machine};
use crate::sinks::sink::{Said, Trouble};
use crate::time::clock::Mono;

/// So many single items in a row may be refused before that is taken for the server's trouble.
pub(super) const MOST_REFUSED: u32 = 16;

/// What becomes of a single item that is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// It waits, for so long at least, and is given up after `give_up`.
    Waits(Duration),
    /// It waits too. While the journal is full and nothing else can be tried, it is given up even if it may not be at fault.
    Silence,
    /// It is dead.
    Dies,
}

impl Blame {
    /// How long the server asks to wait.
    fn asked(self) -> Duration {
        if let Blame::Waits(asked) = self { asked.min(LONGEST_BUSY) } else { Duration::ZERO }
    }
}

impl Machine {
    pub(super) fn trouble(&mut self, places: &[Place], trouble: Trouble, now: Mono) {
        match trouble {
            Trouble::Away(why, _) | Trouble::Refused(why, _) => {
                self.uncount(places);
                self.suspect(places, Blame::Waits(Duration::ZERO), &why, now);
            }
            Trouble::Busy(why, asked) => self.suspect(places, Blame::Waits(asked), &why, now),
            Trouble::Unanswered(why, _) => self.suspect(places, Blame::Silence, &why, now),
            Trouble::Halve(why) if self.refused >= MOST_REFUSED => {
                self.suspect(places, Blame::Dies, &why, now);
            }
            Trouble::Halve(why) => {
                self.has_answered();
                if let [place] = places {
                    self.refused += 1;
                    self.queue.reject(*place, why);
                } else {
                    self.queue.halve(places, false);
                    self.send_again(places);
                }
            }
        }
    }

    /// Whether what was sent last without an answer goes behind all others: if it is why, it takes up to half of the time, and one lane.
    pub(super) fn is_patient(&self, now: Mono) -> bool {
        self.trying > 0 || now < self.patient
    }

    /// Whether a request has items that were sent last without an answer.
    pub(super) fn is_tried(&mut self, places: &[Place]) -> bool {
        places.first().is_some_and(|place| self.queue.item(*place).unanswered.is_some())
    }

    /// A request is back that was sent at a time. If it has no fates, or had none before, others go first for as long as it took.
    pub(super) fn returns(&mut self, places: &[Place], sent: Mono, has_failed: bool, now: Mono) {
        let is_tried = self.is_tried(places);
        self.trying -= usize::from(is_tried);
        if is_tried || has_failed {
            self.patient = self.patient.max(now + now.since(sent));
        }
    }

    /// Some items have got no fates.
    fn suspect(&mut self, places: &[Place], blame: Blame, why: &Said, now: Mono) {
        let answers = self.answers;
        let before = places.iter().map(|place| self.queue.item(*place).unanswered.replace(answers));
        // All of them are marked, also behind one that was not marked before.
        let before: Vec<Option<u64>> = before.collect();
        let before: Option<Vec<u64>> = before.into_iter().collect();
        let Some(before) = before else {
            self.send_again(places);
            return self.pause(blame.asked(), now);
        };
        // Whether the server has answered something else since.
        if before.iter().all(|then| *then < answers) {
            return self.blame(places, blame, why, now);
        }
        if let [place] = places {
            if blame == Blame::Silence && self.is_stuck_for_long(*place, now) {
                return self.reject_late(*place, " and never answered, while the journal is full", why);
            }
            if self.queue.key_of(*place).tries > 0 {
                // It was at fault before, so this says nothing of the server.
                self.wait(*place, now);
                self.queue.wait_longer(*place, self.patient);
                return self.send_again(places);
            }
        }
        self.set_aside(places, blame, now);
    }

    /// Others are answered, and these are not.
    fn blame(&mut self, places: &[Place], blame: Blame, why: &Said, now: Mono) {
        let least = (now + blame.asked().max(FIRST_PAUSE)).max(self.patient);
        match (places, blame) {
            ([place], Blame::Dies) => self.queue.reject(*place, why.clone()),
            ([place], _) => {
                if self.later(*place, true, true, why, now) {
                    self.queue.wait_longer(*place, least);
                }
            }
            _ => {
                self.queue.halve(places, false);
                for place in places {
                    if self.queue.key_of(*place).tries > 0 {
                        self.wait(*place, now);
                    }
                    self.queue.wait_longer(*place, least);
                    self.queue.again(*place);
                }
            }
        }
    }

    /// The server answers nothing, so far as is known.
    fn set_aside(&mut self, places: &[Place], blame: Blame, now: Mono) {
        // What was at fault before says nothing of the server.
        let known = places.iter().all(|place| self.queue.key_of(*place).tries > 0);
        if !known || !blame.asked().is_zero() {
            self.pause(blame.asked(), now);
        }
        let probe_at = self.paused.unwrap_or(now) + FIRST_PAUSE;
        self.probe_at = Some(probe_at);
        // What is new tells more of the server than what was at fault.
        self.patient = self.patient.max(probe_at);
        if !self.queue.set_aside(places) {
            // They are of one key, so that none of them could be tried without the others.
            self.queue.halve(places, true);
        }
        self.send_again(places);
    }

    /// Whether an item is not answered, and nothing else could be, for `give_up`.
    fn is_stuck_for_long(&mut self, place: Place, now: Mono) -> bool {
        let stuck = (self.journal_full && self.queue.all_unanswered()).then_some(now);
        let key = self.queue.key_of(place);
        key.stuck = stuck.map(|now| key.stuck.unwrap_or(now));
        key.stuck.is_some_and(|since| now.since(since) >= self.give_up)
    }
}
