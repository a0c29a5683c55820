//! What waits to be forwarded, and what is known of each receiver.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::intake::forward::settings::Forward;
use crate::intake::listener::Protocol;
use crate::peer::Peer;

/// How many octets may wait.
const MOST: usize = 8 << 20;
/// What a packet takes beside its octets.
const OVERHEAD: usize = 64;

/// A packet or line on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What it is.
    pub protocol: Protocol,
    /// Who sent it.
    pub from: Peer,
    /// As it came.
    pub octets: Box<[u8]>,
}

/// Between those who receive and the one that forwards.
#[derive(Debug)]
pub struct Desk {
    wanted: watch::Sender<Vec<Arc<Forward>>>,
    jobs: Mutex<Jobs>,
    more: Notify,
    counts: Mutex<BTreeMap<Arc<str>, Entry>>,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    octets: usize,
    dropped: u64,
}

/// What is known of a receiver.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Packets that were sent.
    pub sent: u64,
    /// How many of them with the address of this machine, as that of the sender could not be kept.
    pub own_address: u64,
    /// Packets that were dropped, because too many waited or the system did not send them.
    pub dropped: u64,
    /// Packets that came from the receiver, or again and again.
    pub looped: u64,
    /// What was wrong last; none if nothing was.
    pub error: Option<Arc<str>>,
}

impl Default for Desk {
    fn default() -> Self {
        let wanted = watch::Sender::new(Vec::new());
        Desk { wanted, jobs: Mutex::default(), more: Notify::new(), counts: Mutex::default() }
    }
}

impl Desk {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These receivers get packets from now on.
    pub fn want(&self, forwards: &[Arc<Forward>]) {
        let mut counts = self.counts();
        counts.retain(|name, _| forwards.iter().any(|forward| forward.name == *name));
        for forward in forwards {
            counts.entry(forward.name.clone()).or_default();
        }
        drop(counts);
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted != forwards;
            if changed {
                *wanted = forwards.to_vec();
            }
            changed
        });
    }

    /// Those that get packets.
    pub(super) fn wanted(&self) -> watch::Receiver<Vec<Arc<Forward>>> {
        self.wanted.subscribe()
    }

    /// Gives a packet to the one that forwards. One for which there is no room is dropped and counted.
    pub fn give(&self, protocol: Protocol, from: Peer, octets: &[u8]) {
        let mut jobs = self.jobs();
        let size = octets.len() + OVERHEAD;
        if jobs.octets + size > MOST {
            jobs.dropped += 1;
            return;
        }
        jobs.octets += size;
        jobs.waiting.push_back(Job { protocol, from, octets: octets.into() });
        let first = jobs.waiting.len() == 1;
        drop(jobs);
        if first {
            self.more.notify_one();
        }
    }

    /// What waits, at least one; and how many there was no room for.
    pub(super) async fn take(&self) -> (VecDeque<Job>, u64) {
        loop {
            {
                let mut jobs = self.jobs();
                if !jobs.waiting.is_empty() {
                    jobs.octets = 0;
                    return (std::mem::take(&mut jobs.waiting), std::mem::take(&mut jobs.dropped));
                }
            }
            self.more.notified().await;
        }
    }

    /// Changes what is known of a receiver.
    pub(super) fn note<T>(&self, name: &Arc<str>, change: impl FnOnce(&mut Entry) -> T) -> T {
        change(self.counts().entry(name.clone()).or_default())
    }

    /// All entries.
    pub fn all(&self) -> Vec<(Arc<str>, Entry)> {
        self.counts().iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    /// All entries as JSON.
    pub fn to_json(&self) -> Value {
        let entry = |(name, entry): (Arc<str>, Entry)| {
            json!({
                "name": &*name,
                "sent": entry.sent,
                "own_address": entry.own_address,
                "dropped": entry.dropped,
                "looped": entry.looped,
                "error": entry.error.as_deref(),
            })
        };
        self.all().into_iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_dropped_and_counted() {
        let desk = Desk::default();
        let peer = || "192.0.2.1:162".parse::<Peer>().unwrap();
        let packet = vec![0; 64 * 1024];
        for _ in 0..200 {
            desk.give(Protocol::Snmp, peer(), &packet);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (jobs, dropped) = runtime.block_on(desk.take());
        assert_eq!(jobs.len() as u64 + dropped, 200);
        assert_eq!(jobs.len(), MOST / (packet.len() + OVERHEAD));
        desk.give(Protocol::Syslog, peer(), b"x");
        assert_eq!(runtime.block_on(desk.take()).0.len(), 1);
    }
}
