//! What one who opens many messages has for himself: room for what was encrypted, and by heart who sent lately, with the keys.

use std::sync::Arc;

use crate::fast_map::FastMap;
use crate::snmp::usm::engine::Keys;
use crate::snmp::usm::envelope::{Envelope, MAX_NAME};

/// What is on a desk.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) plain: Vec<u8>,
    pub(crate) known: Known,
    /// Whether the making of keys is limited for engines that were seen before, too.
    pub(crate) spares: bool,
}

impl Room {
    /// Room that remembers at most so many senders.
    pub(crate) fn for_senders(most: usize) -> Self {
        Room { known: Known { most, ..Known::default() }, ..Room::default() }
    }
}

/// Users with their keys, by engine, name and level, where a message has proven them.
#[derive(Default)]
pub(crate) struct Known {
    by_sender: FastMap<Box<[u8]>, (usize, Arc<Keys>)>,
    most: usize,
}

/// The longest engine id (RFC 3411, section 5), in octets.
const MAX_ENGINE: usize = 32;

/// Whom a message is from: its level, the length of its name, the name, and the engine.
struct Sender {
    octets: [u8; 2 + MAX_NAME + MAX_ENGINE],
    length: usize,
}

impl Sender {
    /// None where the engine id is longer than the RFCs allow: such a sender is not known by heart.
    fn of(envelope: &Envelope<'_>) -> Option<Self> {
        let (name, engine) = (envelope.user, envelope.engine);
        if name.len() > MAX_NAME || engine.len() > MAX_ENGINE {
            return None;
        }
        let mut octets = [0; 2 + MAX_NAME + MAX_ENGINE];
        let (between, length) = (2 + name.len(), 2 + name.len() + engine.len());
        octets[0] = envelope.level();
        // At most MAX_NAME.
        octets[1] = name.len() as u8;
        octets[2..between].copy_from_slice(name);
        octets[between..length].copy_from_slice(engine);
        Some(Sender { octets, length })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

impl Known {
    /// The user of a message, and its keys.
    pub(crate) fn get(&self, envelope: &Envelope<'_>) -> Option<(usize, &Keys)> {
        let (user, keys) = self.by_sender.get(Sender::of(envelope)?.as_bytes())?;
        Some((*user, keys))
    }

    /// Takes note of them once they have proven the message.
    pub(crate) fn keep(&mut self, envelope: &Envelope<'_>, user: usize, keys: Arc<Keys>) {
        let Some(sender) = Sender::of(envelope) else { return };
        if self.by_sender.len() >= self.most {
            self.by_sender.clear();
        }
        self.by_sender.insert(sender.as_bytes().into(), (user, keys));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_sender.len()
    }
}
