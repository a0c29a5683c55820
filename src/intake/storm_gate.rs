//! What of a storm a pipeline processes.

use std::net::IpAddr;

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
    /// Who sent it, if it is charged only when it is known whether it is proven.
    open: Option<IpAddr>,
}

impl Gate {
    /// Whether a datagram is decoded. Of one of SNMPv3 that is left to [`Gate::charge`]: what anybody can forge must not use up what its
    /// sender may prove. A program of this machine that sends too much waits until there is room.
    pub(super) fn lets_in(
        &mut self,
        active: &Active,
        shared: &Shared,
        (protocol, octets): (Protocol, &[u8]),
        peer: Peer,
        now: Now,
    ) -> bool {
        (self.limited, self.open) = (None, None);
        if active.storm.is_none() || peer.is_local() {
            return true;
        }
        match What::of(protocol, octets) {
            What::UnprovenV3 => {
                self.open = Some(peer.ip());
                true
            }
            what => self.take(active, shared, (peer.ip(), what), now),
        }
    }

    /// Whether a message of SNMPv3 is processed, `proven` or not. One that is no datagram, or was charged before, is.
    pub(super) fn charge(&mut self, active: &Active, shared: &Shared, proven: bool, now: Now) -> bool {
        let what = if proven { What::V3 } else { What::UnprovenV3 };
        self.open.take().is_none_or(|from| self.take(active, shared, (from, what), now))
    }

    /// Whether a message of SNMPv3 that is to be charged comes while its sender has used up what need not be proven.
    pub(super) fn is_scarce(&self, active: &Active, now: Now) -> bool {
        let (Some(from), Some(settings), Some(buckets)) = (self.open, &active.storm, &self.buckets) else {
            return false;
        };
        !buckets.has_room(settings, (from, What::UnprovenV3), now.mono)
    }

    fn take(&mut self, active: &Active, shared: &Shared, of: (IpAddr, What), now: Now) -> bool {
        let Some(settings) = &active.storm else { return true };
        match self.buckets.get_or_insert_default().take(settings, &shared.storms, of, now) {
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
