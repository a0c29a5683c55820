//! What is posted, on the way to outcomes.

use crate::intake::informs::Known;
use crate::intake::original::Original;
use crate::intake::pipeline::Pipeline;
use crate::message::{Message, Source};
use crate::peer::Peer;
use crate::posted::kept::Kept;
use crate::snmp::access::Reach;
use crate::sys::Arrival;
use crate::time::clock::Now;

impl Pipeline {
    /// Takes what was posted. With a key, one that comes again is not taken twice: what is known of it; [`Known::No`] if it was taken
    /// now, and is answered if it is [safe](Pipeline::all_safe).
    pub fn posted(&mut self, kept: &Kept, key: Option<u64>, arrival: Arrival, now: Now) -> Known {
        self.counts.posts_received += 1;
        let known = key.map_or(Known::No, |key| self.shared.commit.claim(key, now.mono));
        if known != Known::No {
            return known;
        }
        let source = Source { peer: arrival.peer, received: now.wall.micros() };
        let message = kept.message();
        let Message::Posted(posted) = &message else { return Known::No };
        self.acknowledge();
        let whole = self.apply(&message, Original::Posted(posted), &source, Reach::default(), now);
        // An outcome of it is lost.
        self.unsafe_yet |= !whole;
        match key {
            Some(key) if whole => self.made.add_inform(key),
            Some(key) => self.shared.commit.release(key),
            None => {}
        }
        self.commit_if_full(now);
        Known::No
    }

    /// Counts what is posted and not taken, and says it.
    pub(in crate::intake) fn post_refused(&self, reason: &'static str, why: &str, peer: Peer, now: Now) {
        let source = Source { peer, received: now.wall.micros() };
        self.complaints().post_refused(reason, why, &source, now);
    }
}
