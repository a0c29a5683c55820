//! Reads again what is not in memory any more of what a sink has open: see [`parked`](super::parked).

use std::io;
use std::sync::Arc;

use crate::journal::{Encoded, Journal, Reader};
use crate::outcome::codec::Outline;
use crate::sinks::machine::Machine;
use crate::sinks::sink::{Id, Item, Key, Keys};
use crate::time::clock::Mono;
use crate::time::receipts::Receipts;

/// The most records that are read over at once, so that the sink does something else in between.
const MOST_READ: usize = 4096;
/// How many records are read over at most to come to the next one that is wanted. A new reader begins with a segment.
const FAR: u64 = 16 * MOST_READ as u64;

/// An item of a record of the journal.
pub(super) fn item(
    record: Encoded<'_>,
    outline: Outline,
    keys: Keys,
    receipts: &Receipts,
    now: Mono,
) -> Item {
    Item {
        id: Id::Journal(record.sequence),
        epoch: record.epoch,
        sequence: record.sequence,
        key: Key::Hash(keys),
        time: outline.time,
        received: receipts.received(record.sequence, outline.time, now),
        payload: record.shared(),
    }
}

/// Goes up through the journal from one wanted record to the next, and then begins anew: so each has its turn.
#[derive(Debug, Default)]
pub(super) struct ReadAgain {
    reader: Option<Reader>,
}

impl ReadAgain {
    /// Gives the machine records that it wants, as many as it has room for. `item` makes an item of a record. Returns how many the
    /// journal does not have any more.
    pub(super) fn read(
        &mut self,
        machine: &mut Machine,
        journal: &Arc<Journal>,
        item: impl Fn(Encoded<'_>, Outline) -> Item,
    ) -> (u64, io::Result<()>) {
        let at = self.reader.as_ref().map_or(0, Reader::position);
        let Some(first) = machine.wanted(at) else {
            // Its file takes room.
            self.reader = None;
            return (0, Ok(()));
        };
        let reader = match self.reader.take().filter(|_| (at..at + FAR).contains(&first)) {
            Some(reader) => self.reader.insert(reader),
            None => self.reader.insert(journal.reader(first)),
        };
        let from = reader.position();
        let read = reader.read_payloads(MOST_READ, |record, outline| {
            let number = record.sequence;
            match machine.wanted(number) {
                Some(next) if next == number => {
                    if machine.wants(number, from) {
                        machine.read_again(item(record, outline));
                    }
                    true
                }
                next => next.is_some_and(|next| next > number),
            }
        });
        let lost = machine.lose(from..reader.position());
        if machine.wanted(0).is_none() {
            self.reader = None;
        }
        (lost, read.map(drop))
    }
}
