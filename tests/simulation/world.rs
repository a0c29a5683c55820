//! All that exists in a simulation beside the daemon.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use trapline::files::faulty::{Faults, Faulty};

use crate::broker::Publish;
use crate::clock::SimClock;
use crate::count::Devices;
use crate::executor::{Executor, Group};
use crate::flood::Flood;
use crate::history::History;
use crate::hush::Hush;
use crate::ledger::Ledger;
use crate::network::{NoNames, SimNetwork};
use crate::node::Node;
use crate::outcome::named_in;
use crate::place::Place;
use crate::random::Random;
use crate::server::Mood;
use crate::state::Expected;

/// The tasks of the world.
pub const WORLD: Group = Group(1);

/// The world. Clones are the same one.
#[derive(Clone)]
pub struct World(Rc<Inner>);

/// A place and the mood of its server.
type Judge = (Rc<RefCell<Place>>, Rc<RefCell<Mood>>);

/// What the world has.
pub struct Inner {
    pub seed: u64,
    pub random: Random,
    /// What decides which datagrams get lost.
    losses: Random,
    pub clock: SimClock,
    pub history: History,
    pub ledger: Ledger,
    pub executor: Executor,
    pub network: SimNetwork,
    /// What the daemon sees of it.
    pub outside: trapline::world::World,
    pub disk: RefCell<Faulty>,
    pub node: RefCell<Option<Rc<Node>>>,
    pub brokers: RefCell<BTreeMap<usize, mpsc::UnboundedSender<Publish>>>,
    pub places: RefCell<Vec<Judge>>,
    pub files: RefCell<Vec<File>>,
    /// Who waits for answers to informs.
    pub devices: RefCell<BTreeMap<SocketAddr, mpsc::UnboundedSender<Vec<u8>>>>,
    /// Lines that were written to streams and that a daemon that ends in order must take, by its run.
    pub written: RefCell<Vec<(Group, Duration, u64)>>,
    /// Whether servers, disks and clocks misbehave.
    pub storm: Cell<bool>,
    /// Whether devices still send.
    pub sending: Cell<bool>,
    /// How much is on its way from them that is not sent at once.
    pub on_the_way: Cell<u64>,
    /// How many octets of padding messages have at most.
    pub padding: u64,
    /// Since when the disk fails.
    pub disk_fails: Cell<Option<Duration>>,
    /// Whether rules keep state.
    pub keeps_state: Cell<bool>,
    /// Which devices meet rules that count.
    pub counts: Devices,
    /// How often the state of rules may have been lost.
    pub doubts: Cell<u64>,
    /// How often the power was cut.
    pub cuts: Cell<u64>,
    /// What rules that keep state must have made.
    pub expected: RefCell<Vec<Expected>>,
    /// What became of a device that sends too much, where there is one.
    pub flood: Flood,
    /// Whether there is one.
    pub floods: bool,
    /// What is known of mutes.
    pub hush: Hush,
    /// Whether there are any.
    pub mutes: bool,
}

/// A file that a sink writes.
pub struct File {
    /// Where it was moved to, and its path.
    pub paths: Vec<PathBuf>,
    place: Rc<RefCell<Place>>,
    length: u64,
}

impl std::ops::Deref for World {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl World {
    /// A world without servers and devices.
    pub fn new(seed: u64) -> Self {
        let clock = SimClock::new();
        let history = History::new(clock.clone());
        let random = Random::new(seed, 1);
        let network = SimNetwork::new(Random::new(seed, 2));
        let outside = trapline::world::World {
            clock: Arc::new(clock.clone()),
            network: Arc::new(network.clone()),
            random: Arc::new(Random::new(seed, 3)),
            resolver: Arc::new(NoNames),
        };
        let padding = if random.once_in(4) { random.range(1000, 16_000) } else { 0 };
        let (floods, mutes) = (random.once_in(3), random.once_in(3));
        World(Rc::new(Inner {
            seed,
            clock,
            ledger: Ledger::new(history.clone()),
            history,
            executor: Executor::new(Random::new(seed, 4)),
            network,
            outside,
            disk: RefCell::new(Faulty::new(Random::new(seed, 5).next())),
            random,
            losses: Random::new(seed, 7),
            node: RefCell::default(),
            brokers: RefCell::default(),
            places: RefCell::default(),
            files: RefCell::default(),
            devices: RefCell::default(),
            written: RefCell::default(),
            storm: Cell::new(true),
            sending: Cell::new(true),
            on_the_way: Cell::new(0),
            padding,
            disk_fails: Cell::new(None),
            keeps_state: Cell::new(false),
            counts: Devices::draw(&Random::new(seed, 6)),
            cuts: Cell::new(0),
            doubts: Cell::new(0),
            expected: RefCell::default(),
            flood: Flood::default(),
            floods,
            hush: Hush::default(),
            mutes,
        }))
    }

    /// The daemon, if it runs.
    pub fn node(&self) -> Option<Rc<Node>> {
        self.node.borrow().clone()
    }

    /// A datagram of the daemon for a device. It may get lost.
    pub fn answer(&self, to: SocketAddr, octets: Vec<u8>) {
        if self.storm.get() && self.losses.once_in(8) {
            return;
        }
        if let Some(device) = self.devices.borrow().get(&to) {
            let _ = device.send(octets);
        }
    }

    /// After each step of a task: what has come into the journal and into files.
    pub fn look(&self) {
        if let Some(node) = &*self.node.borrow() {
            node.catch_up();
        }
        if !self.files.borrow().is_empty() {
            let disk = self.disk.borrow();
            for file in &mut *self.files.borrow_mut() {
                file.look(&disk, self.history.now());
            }
        }
    }

    /// Watches the file of a sink.
    pub fn watch(&self, path: PathBuf, place: Rc<RefCell<Place>>) {
        self.files.borrow_mut().push(File { paths: vec![path], place, length: 0 });
    }

    /// A pause of so many milliseconds at most.
    pub async fn pause(&self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.random.below(most + 1))).await;
    }
}

impl File {
    /// Takes note of what has changed.
    fn look(&mut self, disk: &Faulty, now: Duration) {
        let length = self.paths.iter().filter_map(|path| disk.length(path)).sum();
        if length == self.length {
            return;
        }
        self.length = length;
        let mut place = self.place.borrow_mut();
        let known = std::mem::take(&mut place.taken);
        let fails = disk.faults() != Faults::default();
        let mut changed = false;
        for content in self.paths.iter().filter_map(|path| disk.content(path)) {
            let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in content[..whole].split(|byte| *byte == b'\n') {
                let Some(outcome) = named_in(line).first().copied() else { continue };
                let before = known.get(place.taken.len());
                changed |= before.is_none_or(|(_, before)| *before != outcome);
                if changed && fails {
                    // What was not written whole, or not synced, may not be cut off either.
                    place.excuse(outcome);
                }
                let since = before.filter(|_| !changed).map_or(now, |(since, _)| *since);
                place.taken.push((since, outcome));
            }
        }
        place.times.clear();
        for at in 0..place.taken.len() {
            let outcome = place.taken[at].1;
            *place.times.entry(outcome).or_default() += 1;
        }
    }

    /// What is in it may be other than before, though it has the same length.
    pub fn changed(&mut self, is_torn: bool) {
        self.length = u64::MAX;
        self.place.borrow_mut().is_torn |= is_torn;
    }

    /// Somebody moves the file away, as logrotate does.
    pub fn rotate(&mut self, disk: &Faulty) {
        if let [.., path] = &self.paths[..]
            && disk.length(path).is_some()
        {
            let path = path.clone();
            let moved = path.with_extension(self.paths.len().to_string());
            disk.shift(&path, &moved);
            self.paths.pop();
            self.paths.extend([moved, path]);
        }
    }
}

/// Something is on its way until this is dropped.
pub struct OnTheWay(World);

impl OnTheWay {
    /// From now on.
    pub fn new(world: &World) -> Self {
        world.on_the_way.set(world.on_the_way.get() + 1);
        OnTheWay(world.clone())
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.0.on_the_way.set(self.0.on_the_way.get() - 1);
    }
}
