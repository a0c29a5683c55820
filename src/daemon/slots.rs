//! A slot: the thread of one sink. Its runtime is its own, so a sink that blocks stops nobody else.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::supervise::{Crew, Member, OnEnd, Stop, told};
use crate::journal::Journal;
use crate::sinks::settings::SinkConfig;
use crate::sinks::{self, Running};
use crate::world::World;

/// How long a sink that changes or is removed may take to end what it is sending.
pub const IN_FLIGHT: Duration = Duration::from_secs(5);

/// A sink and its settings.
#[derive(Debug)]
struct Task {
    config: SinkConfig,
    running: Running,
    /// Dropped once delivery with these settings begins.
    begun: std::sync::Mutex<Option<watch::Sender<()>>>,
}

/// The thread of one sink.
#[derive(Debug)]
pub struct Slot {
    member: Member,
    task: watch::Sender<Option<Arc<Task>>>,
    /// How long it may take to end what it is sending.
    in_flight: watch::Sender<Duration>,
}

/// Disconnected once delivery with new settings begins.
#[derive(Debug)]
pub struct Begins(watch::Receiver<()>);

impl Begins {
    /// Waits until the new settings are in force, but no longer than `most`; returns whether they are.
    pub async fn wait(mut self, most: Duration) -> bool {
        // Nothing is ever sent: this ends when the sender is dropped.
        tokio::time::timeout(most, self.0.changed()).await.is_ok()
    }
}

impl Slot {
    /// Starts the thread of a sink. It does nothing until [`Slot::deliver`].
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn start(name: &str, crew: &Crew, journal: &Arc<Journal>) -> io::Result<Self> {
        let (task, tasks) = watch::channel(None);
        let (in_flight, patience) = watch::channel(IN_FLIGHT);
        let (journal, world) = (journal.clone(), crew.world());
        let member = crew.thread_of_tasks(&format!("sink {name}"), OnEnd::Restart, move |stop| {
            work(tasks.clone(), stop, patience.clone(), journal.clone(), world.clone())
        })?;
        Ok(Slot { member, task, in_flight })
    }

    /// Has the sink deliver with these settings. What it is sending with other settings is ended first.
    pub fn deliver(&self, config: SinkConfig, running: Running) -> Begins {
        let (begun, begins) = watch::channel(());
        let task = Task { config, running, begun: std::sync::Mutex::new(Some(begun)) };
        self.task.send_replace(Some(Arc::new(task)));
        Begins(begins)
    }

    /// The sink, if it delivers.
    pub fn running(&self) -> Option<Running> {
        self.task.borrow().as_ref().map(|task| task.running.clone())
    }

    /// Tells the sink to end what it is sending, and returns at once.
    pub fn stop(&self) {
        self.member.stop();
    }

    /// The same, but what it is sending may take so long.
    pub fn stop_within(&self, in_flight: Duration) {
        self.in_flight.send_replace(in_flight);
        self.stop();
    }

    /// The same as [`Slot::stop`], and waits until it has ended, but no longer than `most`. Returns whether it has.
    pub async fn join(&self, most: Duration) -> bool {
        self.member.joined(most).await
    }
}

/// Delivers with the settings of the moment until told to stop. Returns early only if delivery does.
async fn work(
    mut tasks: watch::Receiver<Option<Arc<Task>>>,
    mut stop: Stop,
    patience: watch::Receiver<Duration>,
    journal: Arc<Journal>,
    world: World,
) {
    loop {
        let Some(task) = tasks.borrow_and_update().clone() else {
            tokio::select! {
                biased;
                changed = tasks.changed() => if changed.is_err() { return },
                () = told(&mut stop) => return,
            }
            continue;
        };
        drop(task.begun.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        let (end, ended) = watch::channel(false);
        let (running, journal, world) = (task.running.clone(), journal.clone(), world.clone());
        let delivery = sinks::deliver(&task.config, running, journal, world, ended);
        tokio::pin!(delivery);
        let changed = tokio::select! {
            biased;
            () = &mut delivery => return,
            changed = tasks.changed() => changed.is_ok(),
            () = told(&mut stop) => false,
        };
        end.send_replace(true);
        let patience = *patience.borrow();
        if tokio::time::timeout(patience, &mut delivery).await.is_err() {
            tracing::warn!(
                sink = task.running.name,
                "the server has not answered for {:.1} s; what was sent to it is sent again",
                patience.as_secs_f64()
            );
        }
        // Told to end meanwhile, it begins with no other settings.
        if !changed || *stop.borrow() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal::{Batch, Options, WhenFull};
    use crate::outcome::record::Record;
    use crate::outcome::testing;
    use crate::sinks::file::JsonLines;
    use crate::sinks::sink::{Item, Lane, Limits, Pieces, Seat, Sending, Sink as Configured};
    use crate::status::Health;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn outcomes(from: u64, to: u64) -> Batch {
        let mut batch = Batch::default();
        for n in from..to {
            batch.push(&testing::check(&n.to_string()));
        }
        batch
    }

    fn file(path: &Path) -> SinkConfig {
        SinkConfig::new("out", JsonLines { path: path.to_owned() })
    }

    /// The thread of a sink that nothing was given to yet, and its journal.
    fn start(directory: &Path) -> (Slot, Arc<Journal>) {
        let options =
            Options { directory: directory.join("var"), max_size: 1 << 24, when_full: WhenFull::DropOldest };
        let journal = Journal::open(options, 7).unwrap().0;
        let crew = Crew::new(Arc::new(Health::default()), World::default());
        (Slot::start("out", &crew, &journal).unwrap(), journal)
    }

    #[tokio::test]
    async fn other_settings_go_on_where_those_before_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (slot, journal) = start(dir.path());
        assert!(slot.running().is_none());
        let running = Running::open("out", &journal).unwrap();
        let paths: Vec<_> = (0..5).map(|n| dir.path().join(format!("{n}.jsonl"))).collect();
        assert!(slot.deliver(file(&paths[0]), running.clone()).wait(PATIENCE).await);
        let mut sent = 0;
        for path in &paths[1..] {
            for _ in 0..20 {
                journal.append(&outcomes(sent, sent + 100)).unwrap();
                sent += 100;
            }
            assert!(slot.deliver(file(path), running.clone()).wait(PATIENCE).await);
        }
        let start = std::time::Instant::now();
        while journal.behind(&running.cursor) > 0 {
            assert!(start.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(slot.join(PATIENCE).await);
        let text: String =
            paths.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect();
        let outputs: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|outcome| outcome["output"].as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(outputs, (0..sent).collect::<Vec<_>>(), "each once, in order, over all files");
    }

    /// A server that never answers.
    #[derive(Debug)]
    struct Silent(std::sync::mpsc::Sender<()>);

    impl Configured for Silent {
        fn limits(&self) -> Limits {
            Limits::default()
        }

        fn pieces(&self, _record: &Record<'_>) -> Option<Pieces> {
            None
        }

        fn lane(&self, _seat: &Seat) -> Box<dyn Lane> {
            Box::new(SilentLane(self.0.clone()))
        }
    }

    struct SilentLane(std::sync::mpsc::Sender<()>);

    impl Lane for SilentLane {
        fn send<'a>(&'a mut self, _items: &'a [Item]) -> Sending<'a> {
            let _ = self.0.send(());
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn a_sink_that_is_told_to_end_does_not_begin_with_other_settings() {
        let dir = tempfile::tempdir().unwrap();
        let (slot, journal) = start(dir.path());
        let running = Running::open("out", &journal).unwrap();
        let (sends, sent) = std::sync::mpsc::channel();
        slot.deliver(SinkConfig::new("out", Silent(sends.clone())), running.clone());
        journal.append(&outcomes(0, 1)).unwrap();
        sent.recv_timeout(PATIENCE).unwrap();
        // A reload changes it, and the daemon is stopped meanwhile.
        slot.in_flight.send_replace(Duration::from_millis(300));
        slot.deliver(SinkConfig::new("out", Silent(sends.clone())), running.clone());
        slot.stop_within(Duration::from_millis(300));
        assert!(slot.join(PATIENCE).await);
        assert!(sent.try_recv().is_err(), "it was sent a second time while the daemon stops");
    }
}
