//! The delivery of one sink as a state machine: what was read, sent, answered, and what is to be sent next. Pure: no I/O,
//! no clock.
//!
//! ```text
//! item: Ready -> Sending(lane) -> done                sink: Running -> Paused(until) -> Running
//!         ^          |-> waits with its key  -+             any -> Stopping
//!         |----------+------------------------+
//!                    |-> Dead -> letter written -> done
//! ```
//!
//! # Laws
//!
//! 1. Each number from the cursor up to what was read is open or done, never both.
//! 2. [`OneByOne`](crate::sinks::sink::Order::OneByOne): only the oldest open item of a key is sent. [`Kept`](crate::sinks::sink::Order::Kept): an item is sent only if every older
//!    open item of its key is before it in the same request.
//! 3. The cursor is the lowest open number. It never goes back.
//! 4. What the server has taken is sent again only after a crash, or where its answer was lost. One exception: with `Kept`,
//!    what a server takes out of order is sent again behind what it has left out, so that the last state stays the last.
//! 5. A waiting item holds its own key, and no other.
//! 6. A dead letter is written before its number is done.
//! 7. At most [`MOST_OPEN`] items of at most [`MOST_BYTES`] bytes are in memory; then nothing more is read, unless items wait that can be
//!    parked: see `parked.rs`.
//! 8. A request that is refused as a whole is halved until one item is left, which is dead. Halves are not mixed with
//!    other items, so one bad item of 500 costs 19 requests.
//! 9. A key that the server takes nothing of for `give_up` loses its oldest item to the dead letters.
//! 10. An item for which the server does not answer, or says that it is busy, away or refuses, holds up no other for long: see
//!     `trouble.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::jitter::Random;
use super::key::Place;
use super::parking::MOST_ITEMS;
use super::queue::Queue;
use super::sink::{Fate, Id, Item, Limits, Said, Trouble};
use crate::journal::progress::Progress;
use crate::settings::values;
use crate::time::backoff;
use crate::time::clock::Mono;
use crate::time::rate::Rate;
use crate::time::receipts::Moment;

pub use super::batch::{Batch, Settled};
pub use super::open::DeadItem;

/// The most items that are in memory at once.
pub const MOST_OPEN: usize = MOST_ITEMS + MOST_LETTERS;
/// How many of these may be dead letters that are sent again; the journal has the others.
pub const MOST_LETTERS: usize = 512;
/// The most bytes of payload that are in memory at once, unless a single item has more.
pub const MOST_BYTES: usize = 32 << 20;
/// How long an item may fail before it is given up, unless the configuration says otherwise.
pub const GIVE_UP: Duration = Duration::from_hours(24);

/// A linger for which nobody waits for single records.
const SHORT_LINGER: Duration = Duration::from_millis(100);
/// The pauses of a sink whose server does not answer, and the first of a key.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The pause of an item that the lane has not tried, as an earlier one is open.
const BEHIND: Duration = Duration::from_secs(2);
/// The longest pause of one key.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// The longest pause that a server may ask for.
pub(super) const LONGEST_BUSY: Duration = Duration::from_hours(1);

/// How a sink delivers.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The limits of the sink.
    pub limits: Limits,
    /// The most items a second.
    pub rate: Option<u32>,
    /// How long the server may take nothing of a key before its oldest item is given up.
    pub give_up: Duration,
}

/// The delivery of one sink.
#[derive(Debug)]
pub struct Machine {
    limits: Limits,
    pub(super) give_up: Duration,
    rate: Option<Rate>,
    pub(super) queue: Queue,
    lanes: Vec<Lane>,
    /// Nothing is sent until then.
    pub(super) paused: Option<Mono>,
    /// Nothing could be sent when this was last asked, because of `rate` or `linger`; perhaps then.
    held: Option<Mono>,
    /// In how many lanes there is what was sent before without an answer.
    pub(super) trying: usize,
    /// Before, that goes behind all others.
    pub(super) patient: Mono,
    /// Suspects are not tried before, so that others are read and sent first.
    pub(super) probe_at: Option<Mono>,
    /// How often in a row the server has not answered.
    failures: u32,
    /// How often it has.
    pub(super) answers: u64,
    /// How many single items in a row were refused as a whole request, and nothing else was answered.
    pub(super) refused: u32,
    /// Whether nothing more comes before something is taken.
    pub(super) journal_full: bool,
    stopping: bool,
    random: Random,
}

#[derive(Debug)]
enum Lane {
    Idle,
    /// Items are under way, since then.
    Sending(Vec<Place>, Mono),
    /// The items of the run are under way, since then.
    Run(Mono),
    /// It does something of its own.
    Working,
}

impl Machine {
    /// A machine that goes on at some progress. The pauses are jittered by `seed`.
    pub fn new(settings: Settings, progress: Progress, seed: u64) -> Self {
        let limits = settings.limits;
        Machine {
            limits,
            give_up: settings.give_up,
            rate: settings.rate.map(Rate::new),
            queue: Queue::new(limits, progress),
            lanes: (0..limits.lanes.max(1)).map(|_| Lane::Idle).collect(),
            paused: None,
            held: None,
            trying: 0,
            patient: Mono::default(),
            probe_at: None,
            failures: 0,
            answers: 0,
            refused: 0,
            journal_full: false,
            stopping: false,
            random: Random::new(seed),
        }
    }

    // Events.

    /// An item was read from the journal; [`Machine::is_new`], [`Machine::fits`] and [`Machine::has_room`] said that it may be.
    #[inline]
    pub fn read(&mut self, mut item: Item, now: Mono) {
        if self.limits.linger > SHORT_LINGER {
            // It may wait for others for hours: what it was read with is not kept as long.
            item.payload = item.payload.alone();
        }
        self.queue.push(item, now);
    }

    /// All of the journal before a number was read: what of it was not given to [`Machine::read`] is not for this sink, or
    /// does not exist any more.
    pub fn pass(&mut self, to: u64) {
        self.queue.pass(to);
    }

    /// A dead letter is to be sent again.
    pub fn retry(&mut self, letter: Item, now: Mono) {
        debug_assert!(matches!(letter.id, Id::Letter(_)), "no letter: {:?}", letter.id);
        self.queue.push(letter, now);
    }

    /// Somebody has dropped a dead letter that is to be sent again. False if it is under way, or not open.
    pub fn forget_letter(&mut self, number: u64) -> bool {
        self.queue.forget_letter(number)
    }

    /// A lane has an answer for the items that it was given last.
    pub fn answered(&mut self, lane: usize, result: Result<Vec<Fate>, Trouble>, now: Mono) -> Settled {
        let (places, since) = match self.lanes.get_mut(lane).map(|lane| std::mem::replace(lane, Lane::Idle)) {
            Some(Lane::Sending(places, since)) => (places, since),
            Some(Lane::Run(since)) => {
                if let Some(settled) = self.run_taken(&result) {
                    return settled;
                }
                (self.queue.places_of_run(), since)
            }
            _ => return Settled::default(),
        };
        self.returns(&places, since, result.is_err(), now);
        let keys = self.queue.keys_of(&places);
        let settled = match result {
            Ok(fates) if fates.is_empty() => {
                // It has sent nothing, and does not say why.
                self.not_sent(&places);
                self.pause(Duration::ZERO, now);
                Settled::default()
            }
            Ok(fates) => self.fates(&places, fates, now),
            Err(trouble) => {
                self.trouble(&places, trouble, now);
                Settled::default()
            }
        };
        self.queue.settle(&keys);
        settled
    }

    /// A lane has done what it wanted to do by itself.
    pub fn worked(&mut self, lane: usize, result: Result<(), Trouble>, now: Mono) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            *lane = Lane::Idle;
        }
        match result {
            Ok(()) => self.failures = 0,
            Err(Trouble::Busy(_, asked)) => self.pause(asked, now),
            Err(_) => self.pause(Duration::ZERO, now),
        }
    }

    /// The letter of a dead item is safe from a power cut.
    pub fn letter_written(&mut self, dead: &DeadItem) {
        self.queue.letter_written(dead);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Mono) {
        self.queue.tick(now);
        self.paused = self.paused.filter(|until| *until > now);
        self.held = self.held.filter(|until| *until > now);
        self.probe_at = self.probe_at.filter(|at| *at > now);
        if self.is_crowded() {
            self.make_room();
        }
    }

    /// Whether the journal refuses outcomes until sinks have taken some.
    pub fn set_journal_full(&mut self, full: bool) {
        self.journal_full = full;
    }

    /// Nothing more is to be sent. What is under way may still be answered.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    // What is to be done.

    /// What an idle lane is to send now.
    pub fn next(&mut self, lane: usize, now: Mono) -> Option<Batch> {
        if !self.is_idle(lane) || !self.may_send(now) {
            return None;
        }
        let probes = self.probe_at.is_none_or(|at| at <= now) && self.wanted(0).is_none();
        if probes && self.is_quiet() {
            // Nothing comes of one that is parked while there is no room for it.
            while self.queue.oldest_ready().is_none() && self.wanted(0).is_none() && self.queue.probe() {}
        }
        let due = self.queue.oldest_ready()? + self.limits.linger;
        if due > now && self.queue.ready() < self.limits.items {
            self.held = Some(due);
            return None;
        }
        let mut most = self.limits.items.max(1);
        if let Some(rate) = &mut self.rate {
            most = most.min(rate.allowed(now));
            if most == 0 {
                self.held = Some(now + rate.wait());
                return None;
            }
        }
        let batch = if let Some(items) = self.queue.take_run(most, self.limits.bytes) {
            self.lanes[lane] = Lane::Run(now);
            Batch { items, again: 0 }
        } else {
            let places = self.queue.take(most, self.limits.bytes, self.is_patient(now));
            self.trying += usize::from(self.is_tried(&places));
            let (mut items, mut again) = (Vec::with_capacity(places.len()), 0);
            for place in &places {
                let open = self.queue.item(*place);
                again += usize::from(open.sent > 0);
                open.sent += 1;
                items.push(open.item.clone());
            }
            self.lanes[lane] = Lane::Sending(places, now);
            Batch { items: Arc::new(items), again }
        };
        if let Some(rate) = &mut self.rate {
            rate.spend(batch.items.len());
        }
        Some(batch)
    }

    /// Whether an idle lane may do what it wants to do by itself. Then it is busy until [`Machine::worked`].
    pub fn work(&mut self, lane: usize, now: Mono) -> bool {
        let may = self.is_idle(lane) && self.may_send(now);
        if may {
            self.lanes[lane] = Lane::Working;
        }
        may
    }

    /// Items that are dead since this was last asked: their letters are to be written.
    pub fn take_dead(&mut self) -> Vec<DeadItem> {
        self.queue.take_dead()
    }

    /// Letters that are done since this was last asked, by their numbers.
    pub fn take_letters_done(&mut self) -> Vec<u64> {
        self.queue.take_letters_done()
    }

    /// When to call [`Machine::tick`] and [`Machine::next`], if nothing else happens before.
    pub fn wake(&self) -> Option<Mono> {
        if self.stopping {
            return None;
        }
        let idle = self.lanes.iter().any(|lane| matches!(lane, Lane::Idle));
        let sendable = idle && self.queue.oldest_ready().is_some();
        let send = self.paused.max(self.held).filter(|_| sendable);
        let probe = (idle && !sendable && self.queue.has_suspects()).then_some(self.probe_at).flatten();
        // While everything that was read waits, more is read when the pause is over.
        let send = send.or(self.paused.filter(|_| idle && self.fits(0)));
        let tick = self.queue.next_tick().map(|tick| tick.max(self.paused.unwrap_or(tick)));
        send.into_iter().chain(tick).chain(probe).min()
    }

    // What is known.

    /// Whether an item of the journal is still to be delivered.
    pub fn is_new(&self, number: u64) -> bool {
        self.queue.is_new(number)
    }

    /// Whether one more item of the journal fits, with a payload of so many bytes.
    pub fn fits(&self, bytes: usize) -> bool {
        self.queue.parked() < self.queue.room().parked && self.has_place(bytes)
    }

    /// How many more letters fit.
    pub fn letters_fit(&self) -> usize {
        let full = self.queue.bytes() >= MOST_BYTES;
        if full { 0 } else { MOST_LETTERS.saturating_sub(self.queue.letters()) }
    }

    /// What is done.
    pub fn progress(&self) -> Progress {
        self.queue.progress()
    }

    /// The lowest number that is not done.
    pub fn cursor(&self) -> u64 {
        self.queue.cursor()
    }

    /// The number from which on nothing was read.
    pub fn position(&self) -> u64 {
        self.queue.read()
    }

    /// How many numbers from [`Machine::position`] on are done, by a run before.
    pub fn done_ahead(&self) -> u64 {
        self.queue.ahead()
    }

    /// How many items of the journal are open, in memory or parked.
    pub fn open(&self) -> usize {
        self.queue.open()
    }

    /// How many letters are open.
    pub fn letters(&self) -> usize {
        self.queue.letters()
    }

    /// Whether more of the journal is to be read now: a lane could send it, or nothing is known of what has waited longest.
    pub fn is_hungry(&self, now: Mono) -> bool {
        let starves = self.could_send() && self.queue.oldest_ready().is_none() || self.lacks_new(now);
        // While items are gathered for a short time, what comes is read at the end of it.
        let gathers = self.limits.linger > SHORT_LINGER && self.gathers();
        !self.stopping && self.fits(0) && (starves || gathers || self.queue.open() == 0)
    }

    /// Whether all that a lane could send now had to wait or was sent without an answer, and what is new goes first.
    pub fn lacks_new(&self, now: Mono) -> bool {
        let goes_behind = match self.queue.oldest_ready() {
            Some(_) => self.queue.has_later() || self.is_patient(now),
            None => self.queue.has_suspects(),
        };
        goes_behind && self.could_send() && !self.queue.has_new()
    }

    /// Whether what a lane could send now is not a full request, and more is waited for.
    pub fn gathers(&self) -> bool {
        let gathers = !self.limits.linger.is_zero() && self.queue.ready() < self.limits.items;
        gathers && !self.stopping && self.could_send() && self.fits(0)
    }

    /// Whether one more item of the journal is to be read now: one request has all of a run.
    pub fn has_room(&self) -> bool {
        !self.queue.runs() || self.queue.ready() < self.limits.items.max(1)
    }

    /// How many keys the server has put off.
    pub fn put_off(&self) -> usize {
        self.queue.put_off()
    }

    /// When the message of the oldest open item of the journal was received.
    pub fn oldest(&self) -> Option<Moment> {
        self.queue.oldest()
    }

    /// Whether a lane has nothing to do.
    pub fn is_idle(&self, lane: usize) -> bool {
        matches!(self.lanes.get(lane), Some(Lane::Idle))
    }

    /// Whether nothing is under way.
    pub fn is_quiet(&self) -> bool {
        self.lanes.iter().all(|lane| matches!(lane, Lane::Idle))
    }

    /// Until when nothing is sent, because the server does not answer or asks to wait.
    pub fn paused(&self) -> Option<Mono> {
        self.paused
    }

    // Answers.

    /// What is settled if the server has taken all of the run.
    fn run_taken(&mut self, result: &Result<Vec<Fate>, Trouble>) -> Option<Settled> {
        let fates = result.as_ref().ok().filter(|fates| self.queue.run_taken(fates))?;
        self.has_answered();
        self.refused = 0;
        Some(Settled::taken(fates))
    }

    fn fates(&mut self, places: &[Place], fates: Vec<Fate>, now: Mono) -> Settled {
        self.has_answered();
        self.refused = 0;
        let mut settled = Settled::default();
        let sent = fates.len().min(places.len());
        let (sent, not_sent) = places.split_at(sent);
        for (place, fate) in sent.iter().zip(fates) {
            let unanswered = matches!(fate, Fate::Unanswered(_));
            self.queue.item(*place).unanswered = unanswered.then_some(self.answers);
            if !matches!(fate, Fate::Later(_) | Fate::Unanswered(_) | Fate::Behind(_)) {
                let key = self.queue.key_of(*place);
                (key.tries, key.failing, key.stuck) = (0, None, None);
            }
            match fate {
                Fate::Dead(reason) => {
                    self.queue.reject(*place, reason);
                    settled.dead += 1;
                }
                Fate::Later(ref reason) | Fate::Unanswered(ref reason) | Fate::Behind(ref reason) => {
                    let tried = !matches!(fate, Fate::Behind(_));
                    let later = self.later(*place, tried, places.len() == 1, reason, now);
                    settled.later += usize::from(later);
                    settled.dead += usize::from(!later);
                }
                Fate::Taken | Fate::Cut | Fate::Stale(_) => {
                    if self.queue.taken(*place) {
                        settled.taken += 1;
                        settled.cut += usize::from(fate == Fate::Cut);
                        settled.stale += usize::from(matches!(fate, Fate::Stale(_)));
                    }
                }
            }
        }
        self.not_sent(not_sent);
        settled
    }

    /// An item is sent again after a pause of its key, or is given up. Says whether it is sent again.
    pub(super) fn later(&mut self, place: Place, tried: bool, alone: bool, reason: &Said, now: Mono) -> bool {
        let open = self.queue.item(place);
        let since = open.since;
        if tried && alone {
            // It need not fail with others again.
            open.most = 1;
        }
        let key = self.queue.key_of(place);
        let failing = since.max(*key.failing.get_or_insert(now));
        if now.since(failing) >= self.give_up {
            self.reject_late(place, "; the last answer", reason);
            return false;
        }
        if tried {
            self.wait(place, now);
        } else {
            self.queue.wait(place, now + BEHIND);
        }
        self.queue.again(place);
        true
    }

    pub(super) fn reject_late(&mut self, place: Place, how: &str, last: &Said) {
        let time = values::shown(self.give_up);
        self.queue.reject(place, Said::from(format!("not taken for {time}{how}: {last}")));
    }

    /// The key of an item waits; once a request, however many items it has there.
    pub(super) fn wait(&mut self, place: Place, now: Mono) {
        let key = self.queue.key_of(place);
        if !key.again {
            key.tries = key.tries.saturating_add(1);
            let pause = backoff::pause(FIRST_PAUSE, LONGEST_WAIT, key.tries, self.random.next());
            self.queue.wait(place, now + pause);
        }
    }

    pub(super) fn send_again(&mut self, places: &[Place]) {
        for place in places {
            self.queue.again(*place);
        }
    }

    fn not_sent(&mut self, places: &[Place]) {
        self.uncount(places);
        self.send_again(places);
    }

    pub(super) fn uncount(&mut self, places: &[Place]) {
        for place in places {
            self.queue.item(*place).sent -= 1;
        }
        if let Some(rate) = &mut self.rate {
            rate.refund(places.len());
        }
    }

    pub(super) fn has_answered(&mut self) {
        self.failures = 0;
        self.answers += 1;
        self.queue.clear_suspects();
    }

    pub(super) fn pause(&mut self, asked: Duration, now: Mono) {
        // Several lanes that fail together are one failure.
        if self.paused.is_none_or(|until| until <= now) {
            self.failures = self.failures.saturating_add(1);
        }
        let pause = backoff::pause(FIRST_PAUSE, LONGEST_PAUSE, self.failures, self.random.next());
        let until = now + pause.max(asked.min(LONGEST_BUSY));
        self.paused = self.paused.max(Some(until));
    }

    pub(super) fn could_send(&self) -> bool {
        self.paused.is_none() && self.lanes.iter().any(|lane| matches!(lane, Lane::Idle))
    }

    fn may_send(&self, now: Mono) -> bool {
        !self.stopping && self.paused.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod parked_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble_tests;
