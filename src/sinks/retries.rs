//! Dead letters that are sent again: from their file to the machine and back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::Duration;

use crate::files::disk::Identity;
use crate::outcome::codec;
use crate::sinks::dead::{Asked, DeadLetters, Letter};
use crate::sinks::machine::Machine;
use crate::sinks::sink::{Id, Item, Key, Keys};
use crate::time::clock::Mono;
use crate::time::receipts::Moment;

/// How often the file is looked at while the sink is busy, and written while letters are sent.
const EVERY: Duration = Duration::from_secs(1);

/// The letters of a sink that are to be sent again.
#[derive(Debug)]
pub(super) struct Retries {
    letters: DeadLetters,
    /// Not given to the machine yet.
    waiting: VecDeque<Letter>,
    /// With the machine: their ids by their numbers.
    open: BTreeMap<u64, String>,
    /// Of these, those that somebody has dropped while they were under way. They are not sent again, and are no dead letters again.
    dropped: BTreeSet<u64>,
    /// Done, and still in the file.
    done: BTreeSet<String>,
    next: u64,
    /// Whether somebody has changed the letters.
    asked: bool,
    /// The file when it was read last.
    seen: Option<(Identity, u64)>,
    /// Whether letters were put back among those that are kept.
    put_back: bool,
    looked: Mono,
    written: Mono,
    sent: u64,
}

impl Retries {
    pub(super) fn new(letters: DeadLetters) -> Self {
        Retries {
            letters,
            waiting: VecDeque::new(),
            open: BTreeMap::new(),
            dropped: BTreeSet::new(),
            done: BTreeSet::new(),
            next: 0,
            asked: true,
            seen: None,
            put_back: false,
            looked: Mono::default(),
            written: Mono::default(),
            sent: 0,
        }
    }

    /// Somebody has changed the letters.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Gives the machine letters, as many as fit. `item` makes an item of a letter.
    pub(super) fn give(
        &mut self,
        machine: &mut Machine,
        now: Mono,
        item: impl Fn(&Letter, Id) -> Option<Item>,
    ) -> io::Result<()> {
        self.look(machine, now)?;
        while machine.letters_fit() > 0
            && let Some(letter) = self.waiting.pop_front()
        {
            let item = item(&letter, Id::Letter(self.next));
            if let Some(item) = item {
                self.open.insert(self.next, letter.id().to_owned());
                self.next += 1;
                machine.retry(item, now);
            }
        }
        Ok(())
    }

    /// Reads the file, if somebody may have changed it.
    fn look(&mut self, machine: &mut Machine, now: Mono) -> io::Result<()> {
        let due = self.is_empty() && now.since(self.looked) >= EVERY;
        if !self.asked && !due {
            return Ok(());
        }
        self.looked = now;
        if self.is_empty() && !self.letters.has_retries() {
            self.asked = false;
            return Ok(());
        }
        let Asked { letters, put_back } = self.letters.retries()?;
        // Reading it may make it. What is changed between these two is told.
        self.seen = self.letters.stamp();
        self.asked = false;
        self.put_back |= put_back;
        let there: BTreeSet<&str> = letters.iter().map(Letter::id).collect();
        // What somebody has dropped meanwhile is not sent any more.
        self.waiting.retain(|letter| there.contains(letter.id()));
        let dropped = self.open.iter().filter(|(_, id)| !there.contains(id.as_str()));
        self.dropped.extend(dropped.map(|(number, _)| *number));
        self.drop_returned(machine);
        let mut known: BTreeSet<String> = self.open.values().chain(&self.done).cloned().collect();
        known.extend(self.waiting.iter().map(|letter| letter.id().to_owned()));
        let new = letters.into_iter().filter(|letter| known.insert(letter.id().to_owned()));
        self.waiting.extend(new);
        Ok(())
    }

    /// The same if somebody has changed it, whether this was told or not.
    pub(super) fn look_again(&mut self, machine: &mut Machine, now: Mono) -> io::Result<()> {
        self.asked |= self.letters.stamp() != self.seen;
        self.look(machine, now)
    }

    /// Letters have come back that were under way: those that somebody has dropped meanwhile are not sent again.
    pub(super) fn drop_returned(&mut self, machine: &mut Machine) {
        self.dropped.retain(|number| !machine.forget_letter(*number));
    }

    /// Whether a dead item is a letter that somebody has dropped.
    pub(super) fn is_dropped(&self, id: Id) -> bool {
        matches!(id, Id::Letter(number) if self.dropped.contains(&number))
    }

    /// Takes note of letters that are done, and takes them out of the file now and then, and when there are no more.
    pub(super) fn finish(&mut self, numbers: &[u64], now: Mono, last: bool) -> io::Result<()> {
        for number in numbers {
            self.done.extend(self.open.remove(number));
            self.dropped.remove(number);
            self.sent += 1;
        }
        if self.done.is_empty() || !(last || self.is_empty() || now.since(self.written) >= EVERY) {
            return Ok(());
        }
        self.written = now;
        self.letters.retried(&self.done)?;
        self.done.clear();
        if self.is_empty() {
            tracing::info!(letters = std::mem::take(&mut self.sent), "dead letters were sent again");
            // More may have been asked for meanwhile.
            self.asked = true;
        }
        Ok(())
    }

    /// Whether letters were put back among those that are kept, since this was asked last.
    pub(super) fn has_put_back(&mut self) -> bool {
        std::mem::take(&mut self.put_back)
    }

    /// When [`Retries::finish`] has something to do.
    pub(super) fn due(&self) -> Option<Mono> {
        (!self.done.is_empty()).then_some(self.written + EVERY)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.open.is_empty()
    }
}

/// An item of a letter; none if the letter says no outcome.
pub(super) fn item(letter: &Letter, id: Id, keys: Keys) -> Option<Item> {
    let record = letter.record()?;
    let mut payload = Vec::new();
    codec::encode(&record.outcome, &mut payload);
    Some(Item {
        id,
        epoch: record.epoch,
        sequence: record.sequence,
        key: Key::Hash(keys),
        time: record.outcome.common().time,
        // Ages are those of the journal's outcomes.
        received: Moment::default(),
        payload: payload.into(),
    })
}
