//! Who sends, and who tried to: what `trapline senders` shows.
//!
//! Each pipeline counts a batch ([`Batch`]) and adds it to the table once, so that a message costs one look-up and no lock. The
//! table is bounded. Whoever forges addresses can fill the part for addresses that `[hosts]` does not know; addresses and
//! hosts that it knows always have a place.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fast_map::{FastMap, FastSet};
use crate::intake::letting_in::Refusal;
use crate::lookup::hosts::Hosts;
use crate::message::{Message, Version};
use crate::rules::MatchResult;
use crate::time::clock::{Mono, Now};

/// How many addresses are told apart that `[hosts]` does not know.
pub const MAX_UNKNOWN: usize = 20_000;
/// For how long such an address must have been silent until another one may take its place.
const SILENT: Duration = Duration::from_hours(1);
/// How often places are looked for when all are taken.
const LOOK: Duration = Duration::from_mins(1);

/// What was counted of a sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that a rule matched.
    pub matched: u64,
    /// Messages that a rule dropped.
    pub dropped: u64,
    /// Messages that no rule matches.
    pub unmatched: u64,
    /// Messages that were refused.
    pub refused: u64,
}

/// What a sender speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spoken {
    /// SNMPv1.
    pub v1: bool,
    /// SNMPv2c.
    pub v2c: bool,
    /// SNMPv3.
    pub v3: bool,
    /// Syslog.
    pub syslog: bool,
    /// HTTP.
    pub http: bool,
}

/// A sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// What was counted.
    pub tally: Tally,
    /// What it speaks; nothing if every message was refused.
    pub spoken: Spoken,
    /// The host that one of its last messages was about.
    pub host: Option<Box<str>>,
    /// The SNMPv3 user of one of its last messages.
    pub user: Option<Box<str>>,
    /// The engine of that message.
    pub engine: Option<Box<[u8]>>,
    /// Why its last refused message was refused.
    pub refusal: Option<Refusal>,
    /// When its first message came.
    pub first: Now,
    /// When its last message came.
    pub last: Now,
    known: bool,
}

/// What was counted of a sender within a batch.
#[derive(Debug, Default)]
struct Heard {
    tally: Tally,
    spoken: Spoken,
    host: Box<str>,
    security: Option<(Box<str>, Box<[u8]>)>,
}

/// What was counted since the last batch.
#[derive(Debug, Default)]
pub struct Batch {
    senders: FastMap<IpAddr, Heard>,
    /// Hosts that were named by others than themselves.
    hosts: FastSet<Box<str>>,
}

impl Batch {
    /// Counts a message that rules saw, and the host that it is about.
    pub fn count(&mut self, from: IpAddr, message: &Message<'_>, host: &str, result: MatchResult) {
        let heard = self.senders.entry(from).or_default();
        match result {
            MatchResult::Matched => heard.tally.matched += 1,
            MatchResult::Dropped => heard.tally.dropped += 1,
            MatchResult::Unmatched => heard.tally.unmatched += 1,
        }
        match message {
            Message::Syslog(_) => heard.spoken.syslog = true,
            Message::Posted(_) => heard.spoken.http = true,
            Message::Notification(notification) => match notification.version {
                Version::V1 => heard.spoken.v1 = true,
                Version::V2c => heard.spoken.v2c = true,
                Version::V3 => {
                    heard.spoken.v3 = true;
                    if let (None, Some(security)) = (&heard.security, &notification.security) {
                        heard.security = Some((security.user.into(), security.engine.into()));
                    }
                }
            },
        }
        if heard.host.is_empty() {
            heard.host = host.into();
        } else if *heard.host != *host && !self.hosts.contains(host) {
            self.hosts.insert(host.into());
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.senders.is_empty()
    }
}

/// All senders since the start.
#[derive(Debug)]
pub struct Senders {
    table: Mutex<Table>,
    since: Now,
}

#[derive(Debug, Default)]
struct Table {
    senders: FastMap<IpAddr, Sender>,
    /// How many of them `[hosts]` did not know when they came.
    unknown: usize,
    /// The hosts of `[hosts]` that messages were about, and when the last one came.
    hosts: FastMap<Box<str>, Now>,
    /// Messages of addresses that there was no place for.
    others: u64,
    looked: Option<Mono>,
}

impl Senders {
    /// An empty table.
    pub fn new(since: Now) -> Self {
        Senders { table: Mutex::default(), since }
    }

    /// Since when it counts.
    pub fn since(&self) -> Now {
        self.since
    }

    /// Adds what a pipeline has counted.
    pub fn add(&self, batch: &mut Batch, hosts: &Hosts, now: Now) {
        let mut table = self.lock();
        for (address, heard) in batch.senders.drain() {
            if hosts.names_a_host(&heard.host) {
                table.hears(&heard.host, now);
            }
            let Some(sender) = table.sender(address, hosts.of_address(address).is_some(), now) else {
                let Tally { matched, dropped, unmatched, .. } = heard.tally;
                table.others += matched + dropped + unmatched;
                continue;
            };
            sender.add(heard, now);
        }
        for host in batch.hosts.drain() {
            if hosts.names_a_host(&host) {
                table.hears(&host, now);
            }
        }
    }

    /// Counts a refused message.
    pub fn refused(&self, address: IpAddr, why: Refusal, known: bool, now: Now) {
        let mut table = self.lock();
        let Some(sender) = table.sender(address, known, now) else {
            table.others += 1;
            return;
        };
        sender.last = now;
        sender.tally.refused += 1;
        sender.refusal = Some(why);
    }

    /// Copies of all senders, by address.
    pub fn all(&self) -> Vec<(IpAddr, Sender)> {
        let mut all: Vec<_> = self.lock().senders.iter().map(|(at, sender)| (*at, sender.clone())).collect();
        all.sort_by_key(|(address, _)| *address);
        all
    }

    /// How many messages came from addresses that there was no place for.
    pub fn others(&self) -> u64 {
        self.lock().others
    }

    /// The hosts of `[hosts]` that no message was about for so long, with the time of the last one.
    pub fn silent(&self, hosts: &Hosts, least: Duration, now: Now) -> Vec<(Box<str>, Option<Now>)> {
        let table = self.lock();
        let long = |last: Now| !least.is_zero() && now.mono.since(last.mono) >= least;
        let mut silent: Vec<(Box<str>, Option<Now>)> = (hosts.names())
            .map(|name| (name.into(), table.hosts.get(name).copied()))
            .filter(|(_, last): &(Box<str>, Option<Now>)| last.is_none_or(long))
            .collect();
        silent.sort_by(|(a, _), (b, _)| a.cmp(b));
        silent
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn hears(&mut self, host: &str, now: Now) {
        match self.hosts.get_mut(host) {
            Some(last) => *last = now,
            None => drop(self.hosts.insert(host.into(), now)),
        }
    }

    /// The sender of this address; none if there is no place for it.
    fn sender(&mut self, address: IpAddr, known: bool, now: Now) -> Option<&mut Sender> {
        if !known && self.unknown >= MAX_UNKNOWN && !self.senders.contains_key(&address) {
            self.make_room(now.mono);
            if self.unknown >= MAX_UNKNOWN {
                return None;
            }
        }
        let unknown = &mut self.unknown;
        let sender = self.senders.entry(address).or_insert_with(|| {
            *unknown += usize::from(!known);
            Sender {
                tally: Tally::default(),
                spoken: Spoken::default(),
                host: None,
                user: None,
                engine: None,
                refusal: None,
                first: now,
                last: now,
                known,
            }
        });
        // A reload can make it known.
        if known && !std::mem::replace(&mut sender.known, true) {
            *unknown -= 1;
        }
        Some(sender)
    }

    /// Forgets unknown addresses that were silent for long.
    fn make_room(&mut self, now: Mono) {
        if self.looked.is_some_and(|at| now.since(at) < LOOK) {
            return;
        }
        self.looked = Some(now);
        self.senders.retain(|_, sender| sender.known || now.since(sender.last.mono) < SILENT);
        self.unknown = self.senders.values().filter(|sender| !sender.known).count();
    }
}

impl Sender {
    fn add(&mut self, heard: Heard, now: Now) {
        let (tally, more) = (&mut self.tally, heard.tally);
        tally.matched += more.matched;
        tally.dropped += more.dropped;
        tally.unmatched += more.unmatched;
        let (spoken, more) = (&mut self.spoken, heard.spoken);
        spoken.v1 |= more.v1;
        spoken.v2c |= more.v2c;
        spoken.v3 |= more.v3;
        spoken.syslog |= more.syslog;
        spoken.http |= more.http;
        self.host = Some(heard.host);
        if let Some((user, engine)) = heard.security {
            self.user = Some(user);
            self.engine = Some(engine);
        }
        self.last = now;
    }
}

impl Spoken {
    /// The names of what it speaks.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [(self.v1, "v1"), (self.v2c, "v2c"), (self.v3, "v3"), (self.syslog, "syslog"), (self.http, "http")]
            .into_iter()
            .filter_map(|(speaks, name)| speaks.then_some(name))
    }
}

#[cfg(test)]
#[path = "senders_tests.rs"]
mod tests;
