//! The life of one seed: a storm, in which everything goes wrong that can, then calm, in which everything must come right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use trapline::files::faulty::Faults;
use trapline::files::mount;
use trapline::journal::{Cursor, SyncPolicy, WhenFull};
use trapline::sinks::dead::{DeadLetters, Letter};

use crate::config::SinkText;
use crate::executor::Group;
use crate::flood;
use crate::hush;
use crate::ledger::Lineage;
use crate::network::Line;
use crate::node::{JournalText, MOUNT, Node, STATE};
use crate::outcome::{Outcome, named_in};
use crate::place::Kind;
use crate::senders;
use crate::server::Mood;
use crate::state;
use crate::weather::Weather;
use crate::world::{WORLD, World};

/// Within what time everything is delivered after the last fault.
const DRAINED: Duration = Duration::from_mins(45);

/// One life.
pub struct Life {
    pub world: World,
    pub weather: Weather,
    journal: JournalText,
    pub sinks: Vec<SinkText>,
    /// Sinks that are not configured at the moment.
    pub removed: Vec<SinkText>,
    rules: u64,
    runs: u64,
    pub names: u64,
    /// A directory for pipes.
    pub pipes: Rc<tempfile::TempDir>,
}

impl Life {
    pub fn new(world: World, pipes: Rc<tempfile::TempDir>) -> Self {
        let random = &world.random;
        let weather = Weather::draw(random);
        let journal = JournalText {
            max_size: 1 << 20,
            when_full: if random.once_in(2) { WhenFull::Refuse } else { WhenFull::DropOldest },
            sync: *random.pick(&[
                SyncPolicy::Batch,
                SyncPolicy::Batch,
                SyncPolicy::Interval,
                SyncPolicy::Never,
            ]),
        };
        world.keeps_state.set(random.once_in(2));
        world.history.say(&format!(
            "seed {}: {weather:?} {journal:?} padding {} state {} {:?}",
            world.seed,
            world.padding,
            world.keeps_state.get(),
            world.counts
        ));
        Life {
            world,
            weather,
            journal,
            sinks: Vec::new(),
            removed: Vec::new(),
            rules: 1,
            runs: 10,
            names: 0,
            pipes,
        }
    }

    /// Lives it.
    pub async fn live(mut self) {
        let world = self.world.clone();
        for _ in 0..world.random.range(1, 3) {
            self.add_sink();
        }
        self.start().await;
        for number in 0..world.random.range(1, 2) {
            world.executor.spawn(WORLD, senders::datagrams(world.clone(), 10 + number as u8));
        }
        world.executor.spawn(WORLD, senders::informs(world.clone(), 20));
        world.executor.spawn(WORLD, senders::lines(world.clone()));
        if world.keeps_state.get() {
            world.executor.spawn(WORLD, state::once(world.clone(), 30));
            world.executor.spawn(WORLD, state::held(world.clone(), 31));
        }
        world.counts.start(&world);
        if world.random.once_in(3) {
            world.executor.spawn(WORLD, senders::streams(world.clone()));
        }
        if world.floods {
            world.executor.spawn(WORLD, flood::floods(world.clone()));
        }
        if world.mutes {
            world.executor.spawn(WORLD, changes(world.clone()));
        }
        for _ in 0..world.random.range(3, 8) {
            world.pause(12_000).await;
            self.happen().await;
        }
        self.calm().await;
        self.drain().await;
        self.end().await;
        self.settle();
    }

    // What happens.

    async fn happen(&mut self) {
        let weather = self.weather;
        let random = self.world.random.clone();
        for _ in 0..20 {
            match random.below(10) {
                0 if weather.crashes => return self.crash(false).await,
                1 if weather.power => return self.crash(true).await,
                2 if weather.stops => return self.stop_and_start().await,
                3 if weather.disk => return self.disk_fails(),
                4 if weather.disk => return self.disk_recovers(),
                5 if weather.clock => return self.step_clock(),
                6 | 7 if weather.reloads => return self.reload().await,
                8 if weather.vanish => return self.vanish(),
                9 if weather.full => return self.full_disk(),
                _ => {}
            }
        }
    }

    /// The process is killed, or the power is cut; and again, while the next one has not synced what it found.
    async fn crash(&mut self, power: bool) {
        self.crash_once(power).await;
        let random = self.world.random.clone();
        while random.once_in(4) {
            self.world.pause(1500).await;
            let power = self.weather.power && random.once_in(2);
            self.crash_once(power).await;
        }
    }

    async fn crash_once(&mut self, power: bool) {
        let world = self.world.clone();
        let oldest = self.kill(power);
        let before = world.history.now();
        world.pause(3000).await;
        self.start().await;
        if !power {
            return;
        }
        let Some((there, next)) = world.node().map(|node| (node.records(), node.journal.next())) else {
            return;
        };
        let (policy, fails) = (self.journal.sync, world.disk_fails.get());
        // An outcome of a rule with state is in the log of the state, too. Where the journal refuses it at the start, it waits, and is
        // journaled later. `Expected` checks that it is.
        let waits = world.node().is_some_and(|node| node.shared.refusing());
        // Where the journal could not be synced, the log of the state has it alone, which a failing disk may not let anybody read.
        let state_is_lost = fails.is_some() && self.has_unreadable();
        world.ledger.cut(
            before,
            oldest,
            &there,
            next,
            |lineage| self.letters(lineage),
            |entry, answered| {
                let failed = fails.is_some_and(|since| since <= entry.at + Duration::from_secs(3));
                let synced = policy != SyncPolicy::Never && entry.at + Duration::from_secs(3) < before;
                (answered && policy == SyncPolicy::Batch && !waits && !state_is_lost) || (synced && !failed)
            },
        );
    }

    /// Whether a start has ever set a file aside that it could not read, which it logs.
    fn has_unreadable(&self) -> bool {
        let names = self.world.disk.borrow().names();
        names.iter().any(|path| path.to_string_lossy().contains(".unreadable"))
    }

    /// Ends the process where it is. Returns the number of the oldest record of its journal.
    fn kill(&mut self, power: bool) -> u64 {
        let world = &self.world;
        let Some(node) = world.node.borrow_mut().take() else { return 0 };
        world.history.say(if power { "the power is cut" } else { "the daemon is killed" });
        node.catch_up();
        node.account();
        self.excuse_pipes(&node, power);
        self.doubt(&node, power);
        world.flood.doubt.set(true);
        hush::doubt(world, power);
        let disk = node.disk.crash();
        if power {
            disk.cut_power();
            let is_torn = world.disk_fails.get().is_some();
            world.files.borrow_mut().iter_mut().for_each(|file| file.changed(is_torn));
        }
        *world.disk.borrow_mut() = disk;
        world.executor.kill(node.group);
        for host in ["daemon-syslog", "daemon-snmp"] {
            world.network.close(host);
        }
        // What a sink has delivered and not written down comes again.
        let window = Duration::from_millis(if power { 1200 } else { 30 });
        let now = world.history.now();
        let since = world.disk_fails.get().map_or(now, |fails| fails.min(now)).saturating_sub(window);
        for lineage in world.ledger.lineages() {
            let mut place = lineage.place.borrow_mut();
            place.excuse_since(since, |uid| world.ledger.times(uid));
            place.killed();
        }
        world.look();
        node.journal.oldest()
    }

    /// The state of rules may be lost: with the power what was not synced, and what a failing disk has not written.
    fn doubt(&self, node: &Node, power: bool) {
        let (world, batch) = (&self.world, self.journal.sync == SyncPolicy::Batch);
        world.cuts.set(world.cuts.get() + u64::from(power));
        if world.disk_fails.get().is_some() || (power && !batch) {
            // What waits for the journal is lost with the process, or was given up by a stop; the log of the state, of which nothing is
            // sure now, has it. What is there is lost with the power.
            if node.shared.refusing() || node.shared.stats.outcomes_lost.get() > 0 {
                world.expected.take();
            }
            state::settle(world);
            world.doubts.set(world.doubts.get() + 1);
        }
    }

    /// What a sink is not done with when it ends may be in its pipe: it is still read, and sent again. That can be so with
    /// each run, also for what a Nagios has read from an earlier one meanwhile. The sink learns of all that it has written at once
    /// that it was read when the last of it was, so what it has kept counts, which a power cut may take.
    fn excuse_pipes(&self, node: &Node, power: bool) {
        let synced = power || self.world.disk_fails.get().is_some();
        for lineage in self.world.ledger.lineages() {
            if lineage.place.borrow().kind == Kind::Pipe {
                let cursor = node.journal.cursor(&lineage.name.borrow());
                let kept =
                    |cursor: Arc<Cursor>| if synced { cursor.needed() } else { cursor.progress().cursor };
                let open = cursor.map_or(0, kept);
                for outcome in self.world.ledger.wanted(&lineage, open) {
                    lineage.place.borrow_mut().excuse(outcome);
                }
            }
        }
    }

    /// Starts the daemon, as often as it takes.
    async fn start(&mut self) {
        let world = self.world.clone();
        loop {
            self.runs += 1;
            let (group, disk) = (Group(self.runs), world.disk.borrow().clone());
            let started =
                Node::start(&world, group, disk.clone(), self.journal, &self.sinks, self.rules).await;
            match started {
                Ok(node) => {
                    world.history.say("the daemon runs");
                    self.doubt(&node, false);
                    *world.node.borrow_mut() = Some(node);
                    return;
                }
                Err(error) => {
                    world.history.say(&format!("the daemon does not start: {error}"));
                    *world.disk.borrow_mut() = disk.crash();
                    world.executor.kill(group);
                    sleep(Duration::from_secs(2)).await;
                    if world.disk_fails.get().is_some() && world.random.once_in(3) {
                        self.disk_recovers();
                    }
                }
            }
        }
    }

    /// A stop in order; sometimes killed in the middle of it.
    async fn stop_and_start(&mut self) {
        let world = self.world.clone();
        let Some(node) = world.node() else { return };
        world.history.say("the daemon is told to stop");
        let (told, run) = (world.history.now(), node.group);
        let refused = node.shared.refusing();
        let (done, ended) = oneshot::channel();
        let ending = node.clone();
        world.executor.spawn(node.group, async move {
            ending.end().await;
            let _ = done.send(());
        });
        let patience = if world.random.once_in(4) { world.random.below(6000) } else { 60_000 };
        match timeout(Duration::from_millis(patience), ended).await {
            Ok(Ok(())) => {
                self.ended(&node);
                let fails = world.disk_fails.get().is_some();
                // What a full journal refuses until the end is lost, and counted.
                let given_up = node.shared.stats.outcomes_lost.get() > 0;
                if !fails && !refused && !given_up && !node.shared.refusing() {
                    self.check_streams(run, told);
                }
            }
            _ => {
                if patience == 60_000 {
                    world.history.found("the daemon does not end within a minute");
                }
                drop(node);
                self.kill(false);
            }
        }
        world.pause(3000).await;
        self.start().await;
    }

    /// The daemon has ended in order.
    fn ended(&self, node: &Rc<Node>) {
        let world = &self.world;
        world.history.say("the daemon has ended");
        if node.shared.stats.outcomes_lost.get() > 0 || node.shared.refusing() {
            world.flood.doubt.set(true);
        }
        if world.disk_fails.get().is_some() {
            hush::doubt(world, false);
        }
        self.doubt(node, false);
        world.look();
        node.account();
        self.excuse_pipes(node, false);
        world.node.borrow_mut().take();
        let disk = node.disk.crash();
        *world.disk.borrow_mut() = disk;
        world.executor.kill(node.group);
        for host in ["daemon-syslog", "daemon-snmp"] {
            world.network.close(host);
        }
        self.excuse_on_failing_disk();
    }

    /// A sink that ends while the disk fails may not have kept what it has delivered. What stands behind a dead letter that cannot be
    /// written is not even done: it would be overtaken.
    fn excuse_on_failing_disk(&self) {
        let Some(since) = self.world.disk_fails.get() else { return };
        for lineage in self.world.ledger.lineages() {
            lineage.place.borrow_mut().excuse_since(since.saturating_sub(Duration::from_millis(30)), |uid| {
                self.world.ledger.times(uid)
            });
        }
    }

    /// Whether the lines are there that streams had written before the daemon ended.
    fn check_streams(&self, run: Group, told: Duration) {
        let world = &self.world;
        for (of, since, uid) in &*world.written.borrow() {
            if *of == run && *since + Duration::from_millis(50) < told && world.ledger.times(*uid) == 0 {
                world.history.found(&format!("uid{uid} was written to a stream and is lost with the stop"));
            }
        }
    }

    fn disk_fails(&self) {
        let random = &self.world.random;
        let rate = |random: &crate::random::Random| if random.once_in(2) { random.range(2, 20) } else { 0 };
        let faults =
            Faults { write: rate(random), sync: rate(random), read: rate(random), names: rate(random) };
        self.world.history.say(&format!("the disk fails: {faults:?}"));
        self.world.disk.borrow().set_faults(faults);
        self.note_disk();
    }

    fn note_disk(&self) {
        if self.world.disk_fails.get().is_none() {
            self.world.disk_fails.set(Some(self.world.history.now()));
            self.world.flood.doubt.set(true);
        }
    }

    fn full_disk(&self) {
        let disk = self.world.disk.borrow();
        let room = disk.used() + self.world.random.below(3000);
        self.world.history.say("the disk is full soon");
        disk.set_room(room);
        self.note_disk();
    }

    fn disk_recovers(&self) {
        self.world.history.say("the disk is well");
        let disk = self.world.disk.borrow();
        disk.set_faults(Faults::default());
        disk.set_room(u64::MAX);
    }

    fn step_clock(&self) {
        let seconds = *self.world.random.pick(&[-3600, -150, -1, 1, 150, 3600]);
        self.world.history.say(&format!("the clock is set by {seconds} s"));
        self.world.clock.step(seconds * 1_000_000);
    }

    /// Somebody removes a segment, or moves the files of sinks away.
    fn vanish(&self) {
        let world = &self.world;
        if world.random.once_in(2) {
            for file in &mut *world.files.borrow_mut() {
                world.history.say(&format!("{} is moved away", file.paths.last().unwrap().display()));
                file.rotate(&world.disk.borrow());
            }
            return;
        }
        let disk = world.disk.borrow();
        let segments: Vec<PathBuf> =
            disk.names().into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
        if segments.len() > 1 {
            let at = world.random.below(segments.len() as u64 - 1) as usize;
            let gone = &segments[at];
            world.history.say(&format!("{} vanishes", gone.display()));
            disk.lose(gone);
            // The names are the numbers of their first records.
            let first = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
            if let (Some(from), Some(to)) = (first(gone), first(&segments[at + 1])) {
                world.ledger.vanished(from..to);
            }
        }
    }

    async fn reload(&mut self) {
        match self.world.random.below(6) {
            0 => self.add_sink(),
            1 => self.change_sink(),
            2 => self.remove_sink(),
            3 => self.rename_sink(),
            4 => self.bring_back(),
            _ => self.rules += 1,
        }
        self.apply(true).await;
    }

    /// Has the running daemon reload.
    async fn apply(&mut self, hurried: bool) {
        let world = self.world.clone();
        let Some(node) = world.node() else { return };
        let (done, ended) = oneshot::channel();
        let (sinks, rules, running) = (self.sinks.clone(), self.rules, node.clone());
        self.excuse_pipes(&node, false);
        self.excuse_on_failing_disk();
        world.executor.spawn(node.group, async move {
            let _ = done.send(running.reload(&sinks, rules).await);
        });
        let crashes = hurried && self.weather.crashes && world.random.once_in(5);
        let patience = if crashes { world.random.below(50) } else { 120_000 };
        match timeout(Duration::from_millis(patience), ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => world.history.say(&format!("not reloaded: {error}")),
            _ if crashes => {
                drop(node);
                self.crash(false).await;
            }
            _ => world.history.found("a reload takes more than two minutes"),
        }
    }

    // The end.

    /// Nothing goes wrong any more.
    async fn calm(&mut self) {
        let world = self.world.clone();
        world.storm.set(false);
        world.history.say("calm");
        self.disk_recovers();
        for (place, mood) in &*world.places.borrow() {
            *mood.borrow_mut() = Mood::default();
            world.network.set_line(&place.borrow().host, Line::Up);
        }
        while !self.removed.is_empty() {
            self.bring_back();
        }
        self.apply(false).await;
        hush::end(&world);
        world.pause(5000).await;
        world.sending.set(false);
        // The last ones notice.
        sleep(Duration::from_secs(15)).await;
        let good_from = world.ledger.messages() as u64 + 1;
        world.places.borrow().iter().for_each(|(place, _)| place.borrow_mut().good_from = good_from);
    }

    async fn drain(&mut self) {
        let world = &self.world;
        let (start, mut seconds) = (world.history.now(), 0);
        // What streams hold back while the journal refuses comes a moment after it takes again.
        let mut calm = 0;
        loop {
            let Some(node) = world.node() else { return };
            let behind = node.behind();
            let is_calm = behind.is_empty() && !node.shared.refusing() && world.on_the_way.get() == 0;
            calm = if is_calm { calm + 1 } else { 0 };
            if calm == 3 {
                break;
            }
            if world.history.now().checked_sub(start).unwrap() > DRAINED {
                world
                    .history
                    .found(&format!("not delivered {DRAINED:?} after the last fault: {}", behind.join(", ")));
                break;
            }
            drop(node);
            // A server that answers nothing else may be away: an outcome that it does not answer is given up only while it
            // answers others.
            if seconds % 20 == 10 {
                senders::one(world, 99);
            }
            seconds += 1;
            sleep(Duration::from_secs(1)).await;
        }
        world.history.say(&format!(
            "everything is delivered after {:?}",
            world.history.now().checked_sub(start).unwrap()
        ));
    }

    async fn end(&mut self) {
        let world = self.world.clone();
        let Some(node) = world.node() else { return };
        let (done, ended) = oneshot::channel();
        let ending = node.clone();
        world.executor.spawn(node.group, async move {
            ending.end().await;
            let _ = done.send(());
        });
        if timeout(Duration::from_mins(1), ended).await.is_err() {
            world.history.found("the daemon does not end");
        }
        self.ended(&node);
    }

    /// The dead letters of a sink, with their reasons.
    fn letters(&self, lineage: &Lineage) -> BTreeMap<Outcome, String> {
        let disk = self.world.disk.borrow();
        let faults = disk.faults();
        disk.set_faults(Faults::default());
        let letters = DeadLetters::new(Path::new(STATE), &lineage.name.borrow()).list().unwrap_or_default();
        disk.set_faults(faults);
        let letter = |letter: &Letter| {
            let text = letter.as_json()["outcome"]["output"].as_str()?;
            Some((*named_in(text.as_bytes()).first()?, letter.reason().to_owned()))
        };
        letters.iter().filter_map(letter).collect()
    }

    fn settle(&self) {
        let world = &self.world;
        state::settle(world);
        flood::settle(world);
        hush::settle(world);
        mount::mount(Path::new(MOUNT), world.disk.borrow().clone());
        for lineage in world.ledger.lineages() {
            let give_up = lineage.place.borrow().badness() > 0;
            world.ledger.settle(&lineage, &self.letters(&lineage), give_up);
        }
    }
}

/// Mutes come and go.
async fn changes(world: World) {
    while world.storm.get() {
        world.pause(18_000).await;
        if world.storm.get() {
            hush::change(&world);
        }
    }
}
