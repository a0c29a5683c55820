//! Storms: who sends more than a limit is counted, and what of it is processed is decided before it is decoded.
//!
//! Each socket has [`Buckets`] of its own, so that a decision takes no lock. They are of a fixed size: a sender shares one with
//! others only where all places of its set are taken by senders that send at this moment.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::intake::storm::{Settings, What};
use crate::intake::storms::{Storm, Storms};
use crate::time::clock::{Mono, Now};

/// How many sets of buckets a socket has.
const SETS: usize = 8192;
/// How many senders a set tells apart.
const WAYS: usize = 8;
/// Above `hard`, one of so many messages is decoded.
const SAMPLE: u32 = 64;
/// For how long a sender that was silent may send at any rate, as long as it stays below what it may send in that time.
const BURST: u64 = 2;
const SECOND: u64 = 1_000_000_000;

/// What becomes of a message.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It is processed.
    Passes,
    /// It is decoded, and processed if it is the first of its kind for a while.
    Limited(Limited),
    /// It is counted.
    Counted,
}

/// A message above the limit.
#[derive(Debug, Clone)]
pub struct Limited {
    /// The storm that it belongs to.
    pub storm: Arc<Storm>,
    /// For how many messages it stands.
    pub stands_for: u32,
}

/// What one sender has left. Times are when it has sent as much as it may, in nanoseconds (the generic cell rate algorithm of
/// ITU-T I.371).
#[derive(Debug, Clone, Default)]
struct Bucket {
    /// Who it is of; 0 for nobody.
    who: u64,
    rate: u64,
    hard: u64,
    /// How many messages came above `hard`.
    turn: u32,
    storm: Option<Arc<Storm>>,
}

impl Bucket {
    /// Whether forgetting it changes nothing.
    fn is_idle(&self, now: u64) -> bool {
        self.rate <= now && self.storm.as_ref().is_none_or(|storm| storm.is_over())
    }
}

/// Whether one more message fits, which is then counted.
fn fits(until: &mut u64, now: u64, per_second: u64, burst: u64) -> bool {
    let begins = (*until).max(now);
    if begins - now > burst * SECOND {
        return false;
    }
    *until = begins + SECOND / per_second.max(1);
    true
}

#[derive(Debug, Clone, Default)]
struct Set {
    ways: [Bucket; WAYS],
    /// Of all for whom there is no place; with a place of its own for what is proven, which nobody can forge to fill it.
    shared: [Bucket; 2],
}

/// The limits of all who send to one socket.
#[derive(Debug)]
pub struct Buckets {
    hasher: RandomState,
    sets: Box<[Set]>,
}

impl Default for Buckets {
    fn default() -> Self {
        Self::with_sets(SETS)
    }
}

impl Buckets {
    fn with_sets(sets: usize) -> Self {
        Buckets { hasher: RandomState::new(), sets: vec![Set::default(); sets].into() }
    }

    /// What becomes of a message, which is counted.
    pub fn take(
        &mut self,
        settings: &Settings,
        storms: &Storms,
        (address, what): (IpAddr, What),
        now: Now,
    ) -> Fate {
        if settings.excepts(address) {
            return Fate::Passes;
        }
        let nanos = now.mono.nanos();
        let (who, at) = self.who(address, what);
        let set = &mut self.sets[at];
        let (bucket, alone) = match place(&mut set.ways, who, nanos) {
            Some(way) => (&mut set.ways[way], true),
            None => (&mut set.shared[usize::from(what == What::V3)], false),
        };
        if bucket.storm.as_ref().is_some_and(|storm| storm.is_over()) {
            bucket.storm = None;
        }
        let fate = if fits(&mut bucket.rate, nanos, settings.rate, BURST) {
            Fate::Passes
        } else {
            let storm = bucket.storm.get_or_insert_with(|| {
                if alone { storms.begin(address, what, now) } else { storms.of_many(now) }
            });
            if fits(&mut bucket.hard, nanos, settings.hard, 1) {
                Fate::Limited(Limited { storm: storm.clone(), stands_for: 1 })
            } else {
                bucket.turn = bucket.turn.wrapping_add(1);
                if bucket.turn % SAMPLE == 0 {
                    Fate::Limited(Limited { storm: storm.clone(), stands_for: SAMPLE })
                } else {
                    Fate::Counted
                }
            }
        };
        if let Some(storm) = &bucket.storm {
            storm.count(matches!(fate, Fate::Counted));
        }
        fate
    }

    /// Whether one more such message would pass, which is not counted.
    pub fn has_room(&self, settings: &Settings, (address, what): (IpAddr, What), now: Mono) -> bool {
        let (who, at) = self.who(address, what);
        let (set, now) = (&self.sets[at], now.nanos());
        let fits = |bucket: &Bucket| fits(&mut bucket.rate.clone(), now, settings.rate, BURST);
        let own = set.ways.iter().find(|bucket| bucket.who == who);
        let shared = &set.shared[usize::from(what == What::V3)];
        own.map_or_else(|| set.ways.iter().any(|bucket| bucket.is_idle(now)) || fits(shared), fits)
            || settings.excepts(address)
    }

    /// By what a sender is known, and its set.
    fn who(&self, address: IpAddr, what: What) -> (u64, usize) {
        let known_by = match address {
            IpAddr::V4(address) => u64::from(u32::from(address)),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        };
        let who = self.hasher.hash_one((known_by, address.is_ipv4(), what)).max(1);
        (who, who as usize % self.sets.len())
    }
}

/// The place of a sender in a set: its own, else an idle one; none if all are busy.
fn place(ways: &mut [Bucket; WAYS], who: u64, now: u64) -> Option<usize> {
    if let Some(own) = ways.iter().position(|bucket| bucket.who == who) {
        return Some(own);
    }
    let idle = ways.iter().position(|bucket| bucket.is_idle(now))?;
    ways[idle] = Bucket { who, ..Bucket::default() };
    Some(idle)
}

/// How long a stream is not read after it has brought so many messages: its sender waits, and nothing is lost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tap(u64);

impl Tap {
    /// Counts messages of a stream. How long to wait until it may bring more.
    pub fn pause(
        &mut self,
        settings: Option<&Settings>,
        messages: u64,
        address: IpAddr,
        now: Mono,
    ) -> Duration {
        let Some(settings) = settings.filter(|settings| !settings.excepts(address)) else {
            return Duration::ZERO;
        };
        let nanos = now.nanos();
        self.0 = self.0.max(nanos) + messages.saturating_mul(SECOND / settings.rate.max(1));
        Duration::from_nanos((self.0 - nanos).saturating_sub(BURST * SECOND))
    }
}

#[cfg(test)]
#[path = "storm_buckets_tests.rs"]
mod tests;
