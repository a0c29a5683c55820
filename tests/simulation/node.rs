//! One run of the daemon: the real journal, pipeline, rules, sinks, reload and end, as tasks of a group that can be killed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use trapline::daemon::sinks::{self, Sinks};
use trapline::daemon::supervise::{Crew, Member, OnEnd};
use trapline::daemon::{drain, mutes, storms, sync, timers};
use trapline::files::faulty::{Faults, Faulty};
use trapline::files::mount;
use trapline::intake::listener::Protocol;
use trapline::intake::pipeline::Pipeline;
use trapline::intake::streams;
use trapline::intake::{Shared, admission};
use trapline::journal::{Journal, Options, Reader, SyncPolicy, WhenFull};
use trapline::settings::diagnostic::Diagnostics;
use trapline::status::{Health, Status};
use trapline::sys::Arrival;

use crate::broker;
use crate::config::{self, SinkText};
use crate::executor::Group;
use crate::flood;
use crate::hush;
use crate::ledger::Mark;
use crate::outcome::{Outcome, named_in};
use crate::world::World;

/// Where the daemon's files are.
pub const STATE: &str = "/simulated/var";
/// Where the files of file sinks are.
pub const MOUNT: &str = "/simulated";

/// A datagram in the socket of the daemon.
#[derive(Debug)]
pub struct Datagram {
    pub protocol: Protocol,
    pub octets: Vec<u8>,
    pub peer: SocketAddr,
    /// How many outcomes the rules make of it.
    pub makes: u64,
}

/// How the journal is configured.
#[derive(Debug, Clone, Copy)]
pub struct JournalText {
    pub max_size: u64,
    pub when_full: WhenFull,
    pub sync: SyncPolicy,
}

/// A run of the daemon.
pub struct Node {
    world: World,
    /// Its tasks.
    pub group: Group,
    /// When it began.
    pub began: Duration,
    pub disk: Faulty,
    pub journal: Arc<Journal>,
    pub shared: Arc<Shared>,
    pub status: Arc<Status>,
    crew: Crew,
    sinks: Rc<tokio::sync::Mutex<Sinks>>,
    sync: Member,
    timers: Member,
    storms: Member,
    mutes: Member,
    /// How many bytes the journal may have.
    max_size: u64,
    witness: RefCell<Reader>,
    seen: Cell<u64>,
    /// Datagrams that wait, as in the buffer of a socket.
    socket: RefCell<Vec<Datagram>>,
    arrived: Notify,
    stop: watch::Sender<bool>,
    /// Whether it was told to end.
    pub ending: Cell<bool>,
    /// How many tasks of listeners run.
    listening: Cell<u64>,
    stopped: Notify,
    /// How many outcomes the rules should have made of what was received.
    pub made: Cell<u64>,
    pub received: Cell<u64>,
}

impl Node {
    /// Opens the journal and starts everything, as `daemon::run` does.
    pub async fn start(
        world: &World,
        group: Group,
        disk: Faulty,
        settings: JournalText,
        sinks: &[SinkText],
        rules: u64,
    ) -> Result<Rc<Self>, String> {
        mount::mount(Path::new(MOUNT), disk.clone());
        let options =
            Options { directory: STATE.into(), max_size: settings.max_size, when_full: settings.when_full };
        let (journal, recovery) =
            Journal::open(options, world.random.next()).map_err(|error| error.to_string())?;
        world.history.say(&format!(
            "the journal has {} records, {} torn bytes",
            recovery.records, recovery.torn_bytes
        ));
        let names = journal.cursor_names().map_err(|error| error.to_string())?;
        for name in names {
            // What one of them has lost is counted and logged, and written, though the start fails with another.
            if let Err(error) = journal.register_first(&name) {
                account(world, &journal);
                // What this one has lost is in the log of a process that ends now: its file may not tell of it any more.
                let own = world.ledger.lineages().into_iter().find(|lineage| *lineage.name.borrow() == name);
                if let Some(own) = own {
                    own.expired.set(own.expired.get() + world.ledger.gone(&own, journal.oldest()));
                }
                return Err(error.to_string());
            }
        }
        let outside = world.outside.clone();
        let clock = outside.clock.clone();
        let health = Arc::new(Health::default());
        let crew = Crew::of_tasks(health.clone(), outside, world.executor.spawner(group));
        let shared = Arc::new(Shared::new(journal.clone(), settings.sync, clock.clone()));
        if !mutes::resume(&shared) {
            world.history.say("the mutes cannot be read");
            hush::doubt_all(world);
        }
        shared.commit.resume(shared.now());
        storms::resume(&shared);
        let status = Arc::new(Status::new(shared.clone(), health, clock));
        let (for_sync, policy) = (shared.clone(), settings.sync);
        let sync = crew
            .thread_of_tasks("the journal's sync", OnEnd::Restart, move |stop| {
                sync::run(for_sync.clone(), policy, stop)
            })
            .map_err(|error| error.to_string())?;
        let for_timers = shared.clone();
        let timers = crew
            .thread_of_tasks("the timers", OnEnd::Restart, move |stop| timers::run(for_timers.clone(), stop))
            .map_err(|error| error.to_string())?;
        let (for_storms, for_mutes) = (shared.clone(), shared.clone());
        let storms = crew
            .thread_of_tasks("storms", OnEnd::Restart, move |stop| storms::report(for_storms.clone(), stop))
            .map_err(|error| error.to_string())?;
        let mutes = crew
            .thread_of_tasks("the mutes", OnEnd::Restart, move |stop| mutes::run(for_mutes.clone(), stop))
            .map_err(|error| error.to_string())?;
        for (name, cursor) in journal.cursors() {
            let progress = cursor.progress();
            world
                .history
                .say(&format!("the cursor of {name} is at {}, done is {:?}", progress.cursor, progress.done));
        }
        let oldest = journal.oldest();
        let node = Rc::new(Node {
            world: world.clone(),
            group,
            began: world.history.now(),
            disk,
            max_size: settings.max_size,
            witness: RefCell::new(journal.reader(oldest)),
            seen: Cell::new(0),
            journal,
            shared,
            status,
            crew,
            sinks: Rc::default(),
            sync,
            timers,
            storms,
            mutes,
            socket: RefCell::default(),
            arrived: Notify::new(),
            stop: watch::channel(false).0,
            ending: Cell::new(false),
            listening: Cell::new(0),
            stopped: Notify::new(),
            made: Cell::new(0),
            received: Cell::new(0),
        });
        node.catch_up();
        if let Err(error) = node.reload(sinks, rules).await {
            // What cursors had lost is logged and counted by a process that ends now.
            node.account();
            return Err(error);
        }
        admission::admit_waiting(&node.shared);
        node.listen();
        Ok(node)
    }

    /// What is in the journal from its oldest record on, by epoch and number.
    pub fn records(&self) -> BTreeSet<(u64, u64, Outcome)> {
        let mut there = BTreeSet::new();
        self.without_faults(|| {
            let mut reader = self.journal.reader(self.journal.oldest());
            let take = |record: trapline::outcome::Record<'_>| {
                let named = named_in(record.outcome.common().output.as_bytes());
                there.extend(named.first().map(|outcome| (record.epoch, record.sequence, *outcome)));
                true
            };
            let _ = reader.read(usize::MAX, take);
        });
        there
    }

    fn without_faults(&self, read: impl FnOnce()) {
        let faults = self.disk.faults();
        self.disk.set_faults(Faults::default());
        read();
        self.disk.set_faults(faults);
    }

    /// Writes down what has come into the journal.
    pub fn catch_up(&self) {
        let next = self.journal.next();
        if next == self.seen.get() {
            return;
        }
        self.measure();
        self.without_faults(|| {
            let mut new = Vec::new();
            let mut reader = self.witness.borrow_mut();
            let (mut at, mut gap) = (self.seen.get(), false);
            let take = |record: trapline::outcome::Record<'_>, payload: &[u8]| {
                gap |= at > 0 && record.sequence > at;
                at = record.sequence + 1;
                let common = record.outcome.common();
                let named = named_in(common.output.as_bytes()).first().copied();
                let (rule, output) = (common.rule.to_string(), common.output.to_string());
                let host = record.outcome.host().to_owned();
                new.push((record.epoch, record.sequence, named, Mark::of(payload), rule, output, host));
                true
            };
            let _ = reader.read_encoded(usize::MAX, take);
            if gap || (at > 0 && at < next) {
                self.world.history.say("the journal has dropped what nobody has seen");
                self.world.ledger.dropped_unseen();
            }
            self.seen.set(next);
            for (epoch, sequence, named, mark, rule, output, host) in new {
                let Some(outcome) = named else {
                    let new = self.world.flood.reports.borrow_mut().insert((epoch, sequence));
                    // One that was muted is said again.
                    if new && rule == storms::RULE && mark != Mark::Last {
                        flood::reported(&self.world, &output);
                    }
                    continue;
                };
                if self.world.ledger.journaled(epoch, sequence, (outcome, mark)) {
                    self.world.history.say(&format!("journaled {sequence} {outcome} {mark:?}"));
                    if mark != Mark::Last {
                        flood::journaled(&self.world, &host);
                    }
                }
            }
        });
    }

    /// Checks that the journal is no larger than it may be. A disk that fails may keep files that were removed.
    fn measure(&self) {
        if self.world.disk_fails.get().is_some() {
            return;
        }
        let segments =
            self.disk.names().into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg"));
        let size: u64 = segments.filter_map(|path| self.disk.length(&path)).sum();
        if size > self.max_size {
            self.world.history.found(&format!("the journal has {size} bytes, more than {}", self.max_size));
        }
    }

    fn begin_task(self: &Rc<Self>) -> Ends {
        self.listening.set(self.listening.get() + 1);
        Ends(self.clone())
    }

    fn listen(self: &Rc<Self>) {
        let (node, ends) = (self.clone(), self.begin_task());
        self.world.executor.spawn(self.group, async move {
            node.datagrams().await;
            drop(ends);
        });
        for (host, protocol) in [("daemon-syslog", Protocol::Syslog), ("daemon-snmp", Protocol::Snmp)] {
            let mut accepted = self.world.network.listen(host);
            let (node, ends) = (self.clone(), self.begin_task());
            self.world.executor.spawn(self.group, async move {
                let mut stop = node.stop.subscribe();
                let mut port = 40_000;
                loop {
                    let stream = tokio::select! {
                        biased;
                        _ = stop.wait_for(|stop| *stop) => break,
                        stream = accepted.recv() => stream,
                    };
                    let Some(stream) = stream else { break };
                    port += 1;
                    let peer = SocketAddr::from(([192, 0, 2, 9], port));
                    let (shared, told, ends) =
                        (node.shared.clone(), node.stop.subscribe(), node.begin_task());
                    node.world.executor.spawn(node.group, async move {
                        streams::take(protocol, stream, peer, shared, told).await;
                        drop(ends);
                    });
                }
                drop((accepted, ends));
            });
        }
    }

    /// A datagram arrives at the socket; false if there is none.
    pub fn receive(&self, datagram: Datagram) -> bool {
        if *self.stop.borrow() {
            return false;
        }
        self.socket.borrow_mut().push(datagram);
        self.arrived.notify_one();
        true
    }

    /// What `intake::datagrams` does, without threads and sockets.
    async fn datagrams(self: &Rc<Self>) {
        let mut pipeline = Pipeline::new(self.shared.clone());
        let mut stop = self.stop.subscribe();
        loop {
            let batch = std::mem::take(&mut *self.socket.borrow_mut());
            if batch.is_empty() {
                if *stop.borrow() {
                    return;
                }
                let retry = async {
                    if self.shared.refusing() {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    } else {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => {}
                    () = self.arrived.notified() => {}
                    () = retry => self.shared.commit.retry(self.shared.now()),
                }
                continue;
            }
            self.catch_up();
            pipeline.refresh();
            let now = self.shared.now();
            for datagram in batch {
                let arrival = Arrival { peer: datagram.peer.into(), local: None };
                if flood::is_from(datagram.peer) {
                    let read = &self.world.flood.read;
                    read.set(read.get() + 1);
                }
                pipeline.datagram(datagram.protocol, &datagram.octets, arrival, now);
                self.received.set(self.received.get() + 1);
                self.made.set(self.made.get() + datagram.makes);
            }
            let answers: Vec<_> = pipeline.commit(now).collect();
            self.catch_up();
            for answer in answers {
                let to = answer.to.peer.socket_address().expect("senders of informs have addresses");
                self.world.answer(to, answer.octets);
            }
        }
    }

    /// Reloads: what `daemon::assembly` does to rules and sinks.
    pub async fn reload(&self, sinks: &[SinkText], rules: u64) -> Result<(), String> {
        let mut running = self.sinks.lock().await;
        let sections = broker::with_brokers(config::sections(sinks), sinks, &self.world);
        let mut found = Diagnostics::default();
        let at = self.world.ledger.entries();
        let plan = sinks::plan(&running.view(), &sections, &self.crew, &self.journal, &mut found);
        if found.has_errors() {
            return Err(found.to_text());
        }
        self.shared.replace(config::active(rules, &self.world));
        let done = running.carry_out(plan, &self.journal, self.stop.subscribe()).await;
        self.status.set_sinks(running.running());
        for sink in sinks {
            if sink.lineage.from.get().is_none() {
                sink.lineage.from.set(Some(at));
            }
        }
        self.world.history.say(&format!("in force: {done:?}"));
        Ok(())
    }

    /// Ends in order, as `daemon::drain` does.
    pub async fn end(&self) {
        self.ending.set(true);
        self.timers.joined(Duration::from_secs(5)).await;
        self.storms.joined(Duration::from_secs(5)).await;
        self.mutes.joined(Duration::from_secs(5)).await;
        self.shared.stop();
        self.stop.send_replace(true);
        while self.listening.get() > 0 {
            self.stopped.notified().await;
        }
        self.shared.commit.finish(self.shared.now());
        self.shared.commit.sync_state(self.shared.now());
        mutes::keep(&self.shared, &mut true);
        drain::drain(&self.status).await;
        let sinks = std::mem::take(&mut *self.sinks.lock().await);
        self.catch_up();
        self.count();
        sinks.stop(Duration::from_secs(6)).await;
        // What a server says from now on nobody hears, though its connection may be open for a while.
        let now = self.world.history.now();
        for lineage in self.world.ledger.lineages() {
            let mut place = lineage.place.borrow_mut();
            place.excuse_since(now, |uid| self.world.ledger.times(uid));
            place.killed();
        }
        self.sync.joined(Duration::from_secs(5)).await;
        mutes::keep(&self.shared, &mut true);
        if self.shared.storms.any() {
            storms::keep(&self.shared, &mut true);
        }
        self.journal.clean();
        if let Err(error) = self.journal.sync(u64::MAX) {
            self.world.history.say(&format!("the journal is not synced: {error}"));
        }
        self.catch_up();
    }

    /// Whether everything was delivered, and what was not.
    pub fn behind(&self) -> Vec<String> {
        let sinks = self.status.sinks();
        let behind = sinks.iter().filter(|sink| self.journal.behind(&sink.cursor) > 0);
        behind
            .map(|sink| {
                let error = sink.stats.error.lock().unwrap().clone();
                format!("{} {} ({error:?})", sink.name, self.journal.behind(&sink.cursor))
            })
            .collect()
    }

    /// Adds what this run has counted as expired to the sinks; called when it ends.
    pub fn account(&self) {
        account(&self.world, &self.journal);
    }

    /// Checks that the counters add up. Everything that was received has been committed.
    fn count(&self) {
        let stats = &self.shared.stats;
        let received = stats.snmp_received.get() + stats.syslog_received.get();
        let malformed: u64 = stats.malformed.iter().map(trapline::intake::stats::Counter::get).sum();
        let refused = stats.wrong_community.get()
            + stats.wrong_source.get()
            + stats.version_off.get()
            + stats.no_access.get();
        let processed = stats.matched.get() + stats.dropped.get() + stats.unmatched.get();
        let sum = processed + refused + malformed + stats.informs_repeated.get() + stats.storm_left_out.get();
        if received != sum {
            self.world.history.found(&format!("received {received}, but what became of it adds up to {sum}"));
        }
        for sink in self.status.sinks().iter() {
            let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            self.world.history.say(&format!(
                "sink {}: delivered {} skipped {} dead {} expired {} behind {}",
                sink.name,
                get(&sink.stats.delivered),
                get(&sink.stats.skipped),
                get(&sink.stats.dead),
                sink.cursor.expired(),
                self.journal.behind(&sink.cursor),
            ));
        }
    }
}

/// Adds what the sinks of a journal have counted as expired to their accounts.
fn account(world: &World, journal: &Journal) {
    let cursors: BTreeMap<_, _> = journal.cursors().into_iter().collect();
    for lineage in world.ledger.lineages() {
        let (name, was) = (lineage.name.borrow(), lineage.was.borrow());
        if let Some(cursor) = cursors.get(&*name).or_else(|| cursors.get(was.as_ref()?)) {
            lineage.expired.set(lineage.expired.get() + cursor.expired());
        }
    }
}

/// Counts a task of a listener until it has ended.
struct Ends(Rc<Node>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.listening.set(self.0.listening.get() - 1);
        self.0.stopped.notify_one();
    }
}
