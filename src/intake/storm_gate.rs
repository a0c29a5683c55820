//! What of a storm a pipeline processes.

use crate::intake::describe;
use crate::intake::listener::Protocol;
use crate::intake::original;
use crate::intake::shared::{Active, Shared};
use crate::intake::storm::What;
use crate::intake::storm_buckets::{Buckets, Fate, Limited};
use crate::message::Message;
use crate::mib::Mib;
use crate::peer::Peer;
use crate::time::clock::Now;

/// The gate of one socket.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Made with the first datagram while there are limits.
    buckets: Option<Box<Buckets>>,
    /// What is decoded at the moment, if it is above a limit.
    limited: Option<Limited>,
}

impl Gate {
    /// Whether a datagram is decoded. A program of this machine that sends too much waits until there is room.
    pub(super) fn lets_in(
        &mut self,
        active: &Active,
        shared: &Shared,
        (protocol, octets): (Protocol, &[u8]),
        peer: Peer,
        now: Now,
    ) -> bool {
        self.limited = None;
        let Some(settings) = active.storm.as_ref().filter(|_| !peer.is_local()) else {
            return true;
        };
        let buckets = self.buckets.get_or_insert_default();
        match buckets.take(settings, &shared.storms, (peer.ip(), What::of(protocol, octets)), now) {
            Fate::Passes => true,
            Fate::Limited(limited) => {
                self.limited = Some(limited);
                true
            }
            Fate::Counted => false,
        }
    }

    /// Whether a message that was decoded is processed.
    pub(super) fn passes(&self, message: &Message<'_>, mib: &Mib, now: Now) -> bool {
        self.limited.as_ref().is_none_or(|Limited { storm, stands_for }| {
            let kind = original::group_of(message);
            storm.is_first(&kind, *stands_for, now.mono, || describe::short(message, mib))
        })
    }
}
