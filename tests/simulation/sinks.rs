//! The sinks of a life: they are added, changed, removed, brought back and renamed, and their servers have moods.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use tokio::sync::mpsc;

use crate::config::{self, SinkText};
use crate::ledger::Lineage;
use crate::life::Life;
use crate::network::Line;
use crate::node::MOUNT;
use crate::place::{Kind, Place};
use crate::server::{Mood, Server};
use crate::world::{WORLD, World};
use crate::{broker, others};

impl Life {
    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("s{}", self.names)
    }

    pub fn add_sink(&mut self) {
        if self.sinks.len() + self.removed.len() >= 6 {
            return;
        }
        let world = self.world.clone();
        let name = self.new_name();
        let mut kind = *world.random.pick(&Kind::ALL);
        // It takes real time.
        if kind == Kind::Pipe && !world.random.once_in(2) {
            kind = Kind::File;
        }
        let id = world.places.borrow().len();
        let host = match kind {
            Kind::File => format!("{MOUNT}/out/{name}.jsonl"),
            Kind::Pipe => self.pipes.path().join(&name).display().to_string(),
            _ => format!("{}-{name}", kind.word()),
        };
        let order = trapline::sinks::sink::Order::Kept;
        let place = Rc::new(RefCell::new(Place::new(id, kind, order, host.clone(), &world.random)));
        let judges = place.borrow().badness() > 0;
        let lineage = Rc::new(Lineage {
            name: RefCell::new(name),
            was: RefCell::default(),
            place: place.clone(),
            from: Cell::new(None),
            forgotten: Cell::new(false),
            expired: Cell::new(0),
            only: world.random.once_in(4).then(|| world.random.below(4)),
            honours: world.mutes && world.random.once_in(2),
        });
        let mood = Rc::<RefCell<Mood>>::default();
        world.places.borrow_mut().push((place.clone(), mood.clone()));
        let server = Server {
            place: place.clone(),
            mood: mood.clone(),
            history: world.history.clone(),
            random: world.random.clone(),
        };
        self.serve(kind, &host, server);
        let sink = SinkText {
            lineage: lineage.clone(),
            was: None,
            rate: world.random.once_in(5).then(|| world.random.range(5, 50)),
            connections: world.random.range(1, 3),
            give_up: judges,
            no_storms: world.floods,
        };
        if kind != Kind::Pipe {
            // As the sink says itself.
            let order = config::sections(std::slice::from_ref(&sink))[0].settings.sink.limits().order;
            place.borrow_mut().order = order;
        }
        self.sinks.push(sink);
        world.ledger.add(lineage);
        if self.weather.servers {
            world.executor.spawn(WORLD, moods(world.clone(), host, mood));
        }
    }

    fn serve(&self, kind: Kind, host: &str, server: Server) {
        let world = self.world.clone();
        match kind {
            Kind::File => world.watch(PathBuf::from(host), server.place),
            Kind::Pipe => {
                let path = PathBuf::from(host);
                nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
                world.executor.spawn(WORLD, others::nagios(server, path, world.clone()));
            }
            Kind::Amqp => {
                let (publish, published) = mpsc::unbounded_channel();
                world.brokers.borrow_mut().insert(server.place.borrow().id, publish);
                world.executor.spawn(WORLD, broker::serve(server, published, world.clone()));
            }
            _ => {
                let mut accepted = world.network.listen(host);
                let executor = world.executor.clone();
                world.executor.spawn(WORLD, async move {
                    while let Some(stream) = accepted.recv().await {
                        let server = server.clone();
                        if kind == Kind::Nsca {
                            executor.spawn(WORLD, others::nsca(server, stream));
                        } else {
                            executor.spawn(WORLD, server.serve(stream));
                        }
                    }
                });
            }
        }
    }

    pub fn change_sink(&mut self) {
        let random = self.world.random.clone();
        if let Some(at) = self.draw() {
            self.sinks[at].connections = random.range(1, 4);
            self.sinks[at].rate = random.once_in(2).then(|| random.range(5, 50));
        }
    }

    fn draw(&self) -> Option<usize> {
        (!self.sinks.is_empty()).then(|| self.world.random.below(self.sinks.len() as u64) as usize)
    }

    pub fn remove_sink(&mut self) {
        if let Some(at) = self.draw() {
            let sink = self.sinks.remove(at);
            self.removed.push(sink);
        }
    }

    pub fn bring_back(&mut self) {
        if let Some(sink) = self.removed.pop() {
            self.sinks.push(sink);
        }
    }

    pub fn rename_sink(&mut self) {
        // A name whose cursor may not be there yet, or a disk on which it cannot be renamed, is left alone.
        if self.world.disk_fails.get().is_some() {
            return;
        }
        let Some(at) = self.draw().filter(|at| self.sinks[*at].lineage.from.get().is_some()) else { return };
        let name = self.new_name();
        let sink = &mut self.sinks[at];
        let was = sink.lineage.name.replace(name);
        sink.lineage.was.replace(Some(was.clone()));
        sink.was = Some(was);
    }
}

/// A server has its moods.
async fn moods(world: World, host: String, mood: Rc<RefCell<Mood>>) {
    while world.storm.get() {
        world.pause(15_000).await;
        if !world.storm.get() {
            return;
        }
        let random = &world.random;
        let (next, line) = match random.below(10) {
            0 | 1 => (Mood { bad: random.range(1, 6), ..Mood::default() }, Line::Up),
            2 => (Mood { slow: *random.pick(&[10, 1000, 40_000]), ..Mood::default() }, Line::Up),
            3 => (Mood { bad: random.range(2, 5), slow: 2000, ..Mood::default() }, Line::Up),
            4 => (Mood { down: true, ..Mood::default() }, Line::Up),
            7 | 8 => (Mood { picky: random.range(2, 5), slow: 3000, ..Mood::default() }, Line::Up),
            5 => (Mood::default(), Line::Refused),
            6 => (Mood::default(), Line::Silent),
            _ => (Mood::default(), Line::Up),
        };
        *mood.borrow_mut() = next;
        world.network.set_line(&host, line);
        world.history.say(&format!("{host}: {next:?} {line:?}"));
    }
}
