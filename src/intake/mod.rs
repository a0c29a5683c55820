//! Listeners, and the pipeline from a received packet to the journal.
//!
//! A UDP listener is a thread ([`datagrams`]) that takes datagrams in batches and runs the [`pipeline`] on each; TCP
//! streams ([`streams`]) are tasks that do the same with what a read gives. After each batch the outcomes go to the
//! journal in one append; only then are informs answered. [`reports`] keeps what strangers are told within what they
//! sent, [`refused`] counts who was not let in.

pub mod datagrams;
pub mod describe;
pub mod engine_id;
pub mod inbox;
pub mod listener;
pub mod pipeline;
pub mod refused;
pub mod reports;
pub mod settings;
pub mod stats;
pub mod streams;
pub mod waiting;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use crate::intake::stats::Stats;
use crate::journal::{Journal, SyncPolicy};
use crate::lookup::hosts::Hosts;
use crate::rules::RuleSet;
use crate::snmp::Usm;
use crate::snmp::access::Access;
use crate::sys::Arrival;
use crate::time::clock::now;
use crate::time::log_limit::Limiter;
use datagrams::Protocol;
use inbox::Inbox;
use pipeline::Pipeline;
use refused::Refusals;
use waiting::WaitingRoom;

/// What a reload replaces, all of it or nothing.
#[derive(Debug, Default)]
pub struct Active {
    /// The rules.
    pub rules: RuleSet,
    /// The hosts.
    pub hosts: Hosts,
    /// Who may send notifications, and which rules they may reach.
    pub access: Access,
    /// The security of v3, where there are users.
    pub usm: Option<Usm>,
    /// Senders of syslog that are let in; empty for all.
    pub syslog_allow: Vec<IpNet>,
}

/// What all intakes share.
#[derive(Debug)]
pub struct Shared {
    /// Where outcomes go.
    pub journal: Arc<Journal>,
    /// When it is made safe.
    pub sync: SyncPolicy,
    /// What is counted.
    pub stats: Stats,
    /// Where datagrams wait for the first rules.
    pub waiting: WaitingRoom,
    /// Where unmatched messages are kept.
    pub inbox: Inbox,
    /// Who was not let in.
    pub refusals: Refusals,
    /// Who may write log lines about bad input, and how often.
    pub limiter: Limiter,
    active: Mutex<Arc<Active>>,
    generation: AtomicU64,
    /// Whether the journal has refused what came last.
    refusing: AtomicBool,
    /// When each listener last moved, in microseconds since 1970.
    beats: Mutex<Vec<Arc<AtomicI64>>>,
    stop: AtomicBool,
}

impl Shared {
    /// What all intakes share. Until [`Shared::replace`] gives rules and [`Shared::admit_waiting`] was called, datagrams
    /// wait.
    pub fn new(journal: Arc<Journal>, sync: SyncPolicy) -> Self {
        Shared {
            waiting: WaitingRoom::new(journal.directory().join("waiting")),
            inbox: Inbox::new(journal.directory().join("unmatched.jsonl")),
            journal,
            sync,
            stats: Stats::default(),
            refusals: Refusals::default(),
            limiter: Limiter::default(),
            active: Mutex::default(),
            generation: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
            beats: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// Processes what has waited; from now on datagrams are processed as they come.
    pub fn admit_waiting(self: &Arc<Self>) {
        let mut pipeline = Pipeline::new(self.clone());
        let mut since_commit = 0;
        let admitted = self.waiting.close(|waiting| {
            let arrival = Arrival { peer: waiting.peer, local: None };
            match waiting.protocol {
                Protocol::Snmp => pipeline.packet(&waiting.bytes, arrival, waiting.received),
                Protocol::Syslog => pipeline.line(&waiting.bytes, waiting.peer, waiting.received),
            }
            since_commit += 1;
            if since_commit == 512 {
                // An inform that has waited so long was sent again, or given up: nobody waits for its answer.
                drop(pipeline.commit());
                since_commit = 0;
            }
        });
        drop(pipeline.commit());
        match admitted {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(messages = count, "what came before the rules were there is processed");
            }
            Err(error) => tracing::error!(%error, "cannot read what came before the rules were there"),
        }
    }

    /// Puts new rules in force; every intake takes them with its next batch.
    pub fn replace(&self, active: Active) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(active);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The rules in force.
    pub fn active(&self) -> Arc<Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes whenever the rules do.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether the journal takes nothing at the moment.
    pub fn refusing(&self) -> bool {
        self.refusing.load(Ordering::Relaxed)
    }

    /// What a listener sets to the time whenever it moves.
    pub fn beat(&self) -> Arc<AtomicI64> {
        let beat = Arc::new(AtomicI64::new(now()));
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).push(beat.clone());
        beat
    }

    /// For how long the slowest listener has not moved. `now` is in microseconds since 1970.
    pub fn slowest(&self, now: i64) -> Duration {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = beats.iter().map(|beat| beat.load(Ordering::Relaxed)).min().unwrap_or(now);
        Duration::from_micros(u64::try_from(now - oldest).unwrap_or(0))
    }

    /// Tells the intakes to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether the intakes are to end.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
