//! What all listeners share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;

use crate::capture::Capture;
use crate::inbound::accept;
use crate::inbox::Inbox;
use crate::intake::amqp::board::Board as Queues;
use crate::intake::amqp::settings::Queue;
use crate::intake::commit::Commit;
use crate::intake::follow::board::Board as Followed;
use crate::intake::follow::settings::Source as Follows;
use crate::intake::forward::desk::Desk;
use crate::intake::forward::settings::{Forward, Kinds};
use crate::intake::http::latest::Latest;
use crate::intake::http::site::Sites;
use crate::intake::mutes;
use crate::intake::refused::Refusals;
use crate::intake::relays::Relays;
use crate::intake::reports::Reports;
use crate::intake::senders::Senders;
use crate::intake::stats::Stats;
use crate::intake::storm;
use crate::intake::storms::Storms;
use crate::intake::tap::Tap;
use crate::intake::untold;
use crate::intake::waiting::WaitingRoom;
use crate::journal::{Journal, SyncPolicy};
use crate::lookup::board::Board;
use crate::lookup::hosts::Hosts;
use crate::lookup::reverse::ReverseNames;
use crate::lookup::settings::Definition;
use crate::lookup::table::Table;
use crate::lookup::tables::Tables;
use crate::lookup::zones::Zones;
use crate::peer::Peer;
use crate::rules::RuleSet;
use crate::rules::looks::{Lookers, Looks};
use crate::settings::tls_server::Server;
use crate::snmp::Usm;
use crate::snmp::access::Access;
use crate::syslog::framing::MAX_MESSAGE;
use crate::time::clock::{Clock, Mono, Now};
use crate::time::log_limit::{Kind, Limiter};

/// What a reload replaces, all of it or nothing.
#[derive(Debug, Default)]
pub struct Active {
    /// The rules.
    pub rules: RuleSet,
    /// The hosts, with those of the tables of the rules.
    pub hosts: Arc<Hosts>,
    /// The hosts without those of tables.
    pub own_hosts: Arc<Hosts>,
    /// Where sinks find the tables.
    pub looks: Looks,
    /// Who may send notifications, and which rules they may reach.
    pub access: Access,
    /// The security of v3, where there are users.
    pub usm: Option<Arc<Usm>>,
    /// Networks whose syslog is accepted; none for all.
    pub syslog_allow: Option<Vec<IpNet>>,
    /// The time zones of times in lines that name none.
    pub zones: Zones,
    /// Whose lines may name other hosts.
    pub syslog_relays: Relays,
    /// What streams and lines of syslog may use.
    pub lines: Lines,
    /// For listeners with TLS.
    pub tls: Option<Arc<Server>>,
    /// What listeners for HTTP know.
    pub http: Sites,
    /// How much a sender may send; none for as much as it wants.
    pub storm: Option<storm::Settings>,
    /// What need not reach anybody at certain times.
    pub mutes: Vec<mutes::Configured>,
    /// The queues that are read.
    pub queues: Vec<Arc<Queue>>,
    /// The files that are followed.
    pub followed: Vec<Arc<Follows>>,
    /// Who gets packets as they came.
    pub forwards: Vec<Arc<Forward>>,
    /// Which kinds of messages they get.
    pub forwarded: Kinds,
    /// Whether a sink sends notifications as they came, so that they are kept with what is made of them.
    pub keeps_originals: bool,
    /// The engine id of this daemon, by which it knows what it has sent itself.
    pub engine: Vec<u8>,
}

/// What is in force, with its tables in their newest versions. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct InForce {
    /// What the last reload has put in force.
    pub active: Arc<Active>,
    /// The tables.
    pub tables: Arc<Tables>,
    /// The hosts, with those of the tables.
    pub hosts: Arc<Hosts>,
}

/// What streams and lines of syslog may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    /// The longest message that is taken whole, in octets; a longer one is cut.
    pub max_message: usize,
    /// How long a stream may be silent.
    pub idle: Duration,
}

impl Default for Lines {
    fn default() -> Self {
        Lines { max_message: MAX_MESSAGE, idle: Duration::from_hours(1) }
    }
}

/// What all listeners share.
#[derive(Debug)]
pub struct Shared {
    /// Where outcomes go.
    pub journal: Arc<Journal>,
    /// The way into it.
    pub commit: Commit,
    /// What is counted.
    pub stats: Arc<Stats>,
    /// Where datagrams wait for the first rules.
    pub waiting: WaitingRoom,
    /// Where unmatched messages are kept.
    pub inbox: Inbox,
    /// The last report of each service that checks in.
    pub latest: Latest,
    /// Where messages are kept for trying out changed rules.
    pub capture: Capture,
    /// Who looks on.
    pub tap: Arc<Tap>,
    /// Whose messages were refused.
    pub refusals: Refusals,
    /// Who sends, and who tried to.
    pub senders: Senders,
    /// Names of senders by reverse DNS.
    pub reverse: Arc<ReverseNames>,
    /// What is known of tables.
    pub lookups: Board,
    /// Which queues are read.
    pub queues: Queues,
    /// Which files are followed.
    pub follows: Followed,
    /// What is sent on as it came.
    pub forwards: Desk,
    /// Who sends more than it may.
    pub storms: Storms,
    /// Limits log lines about bad input.
    pub limiter: Arc<Limiter>,
    /// What listeners for connections count, by their names.
    pub accepted: Arc<accept::Table>,
    clock: Arc<dyn Clock>,
    reports: Mutex<Reports>,
    in_force: Mutex<InForce>,
    lookers: Lookers,
    generation: AtomicU64,
    beats: Mutex<Vec<Weak<Beat>>>,
    open: watch::Sender<bool>,
    stop: AtomicBool,
}

impl Shared {
    /// What all listeners share. Datagrams wait on disk and streams are not accepted until [`Shared::replace`] has given
    /// rules and [`admit_waiting`](crate::intake::admission::admit_waiting) was called.
    pub fn new(journal: Arc<Journal>, sync: SyncPolicy, clock: Arc<dyn Clock>) -> Self {
        let (stats, limiter) = (Arc::<Stats>::default(), Arc::<Limiter>::default());
        journal.start(clock.now());
        Shared {
            commit: Commit::new(journal.clone(), sync, stats.clone(), limiter.clone(), clock.now()),
            waiting: WaitingRoom::new(journal.directory().join("waiting")),
            inbox: Inbox::new(journal.directory()),
            latest: Latest::new(journal.directory()),
            journal,
            stats,
            capture: Capture::default(),
            tap: Arc::default(),
            refusals: Refusals::default(),
            senders: Senders::new(clock.now()),
            reverse: Arc::default(),
            lookups: Board::default(),
            queues: Queues::default(),
            follows: Followed::default(),
            forwards: Desk::default(),
            storms: Storms::default(),
            limiter,
            accepted: Arc::default(),
            clock,
            reports: Mutex::default(),
            in_force: Mutex::default(),
            lookers: Lookers::default(),
            generation: AtomicU64::new(0),
            beats: Mutex::default(),
            open: watch::channel(false).0,
            stop: AtomicBool::new(false),
        }
    }

    /// What made no outcome, for the history.
    pub fn untold(&self) -> &untold::Table {
        &self.commit.correlation.untold
    }

    /// The time now.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// What tells the time.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// How many Reports each source may be sent.
    pub(super) fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts new rules in force; every listener uses them from its next batch on.
    pub fn replace(&self, active: Active) {
        self.commit.mutes.configure(&active.mutes);
        self.commit.replace(active.rules.plan(), self.now());
        let tables = active.rules.tables().clone();
        let hosts = active.hosts.clone();
        self.queues.want(&active.queues);
        self.follows.want(&active.followed);
        self.forwards.want(&active.forwards);
        self.lookers.add(&active.looks);
        self.lookers.tell(&tables);
        *self.lock() = InForce { active: Arc::new(active), tables, hosts };
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Puts another version of a table in force; every listener uses it from its next batch on. False if the table is in force no
    /// more.
    pub fn set_table(&self, definition: &Arc<Definition>, table: Arc<Table>) -> bool {
        loop {
            let before = self.in_force();
            let Some(tables) = before.tables.with(definition, table.clone()) else { return false };
            let own = &before.active.own_hosts;
            let names_hosts = own.from.iter().any(|from| *from.table == *definition.name);
            // Many hosts take a while, in which others need the lock.
            let hosts = if names_hosts { Arc::new(own.with_tables(&tables)) } else { before.hosts.clone() };
            let mut in_force = self.lock();
            if Arc::ptr_eq(&in_force.tables, &before.tables) {
                (in_force.tables, in_force.hosts) = (Arc::new(tables), hosts);
                self.lookers.tell(&in_force.tables);
                drop(in_force);
                self.generation.fetch_add(1, Ordering::Release);
                return true;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rules in force.
    pub fn active(&self) -> Arc<Active> {
        self.lock().active.clone()
    }

    /// The tables in force, in their newest versions.
    pub fn tables(&self) -> Arc<Tables> {
        self.lock().tables.clone()
    }

    /// The hosts in force.
    pub fn hosts(&self) -> Arc<Hosts> {
        self.lock().hosts.clone()
    }

    /// All that is in force.
    pub fn in_force(&self) -> InForce {
        self.lock().clone()
    }

    /// Changes whenever the rules or their tables do.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether the journal refuses outcomes at the moment.
    pub fn refusing(&self) -> bool {
        self.commit.refusing()
    }

    /// Counts a message that was cut, and says so, unless that was said a short time ago.
    pub(super) fn oversized(&self, from: Peer, now: Mono) {
        self.stats.oversized.add(1);
        if let Some(suppressed) = self.limiter.allow(Kind::Oversized, now) {
            tracing::warn!(%from, suppressed, "a message was cut: it is longer than [syslog] max_message");
        }
    }

    /// Counts messages of a stream that ends, and that the journal has no room for, and says so.
    pub(super) fn left(&self, from: Peer, messages: u64) {
        self.stats.unfinished.add(messages);
        if messages > 0
            && let Some(suppressed) = self.limiter.allow_for(Kind::Journal, "left", self.now().mono)
        {
            tracing::error!(
                %from, suppressed, messages,
                "messages that were read are lost, as the journal takes no outcomes; free disk space, or bring back the sink that is behind"
            );
        }
    }

    /// Lets streams be accepted, now that there are rules.
    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Becomes true when there are rules.
    pub(super) fn opened(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }

    /// The beat of one more listener. It is forgotten when the listener drops it.
    pub(super) fn beat(&self) -> Arc<Beat> {
        let beat = Arc::new(Beat::default());
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.retain(|known| known.strong_count() > 0);
        beats.push(Arc::downgrade(&beat));
        beat
    }

    /// For how long the slowest listener has worked on one batch: zero if all of them wait for input.
    pub fn slowest(&self, now: Mono) -> Duration {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.iter().filter_map(Weak::upgrade).filter_map(|beat| beat.busy(now)).max().unwrap_or_default()
    }

    /// Tells the status that the daemon stops.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether the daemon stops.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Since when a listener works on a batch. The watchdog looks at it; a listener that waits for input is not stuck, so it
/// need not wake up for it.
#[derive(Debug, Default)]
pub(super) struct Beat(AtomicU64);

impl Beat {
    /// A batch has arrived.
    pub(super) fn work(&self, now: Mono) {
        // 0 stands for none; no listener runs in the first nanosecond of the machine.
        self.0.store(now.nanos(), Ordering::Relaxed);
    }

    /// The batch is done.
    pub(super) fn rest(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn busy(&self, now: Mono) -> Option<Duration> {
        let since = self.0.load(Ordering::Relaxed);
        (since > 0).then(|| now.since(Mono::from_nanos(since)))
    }
}
