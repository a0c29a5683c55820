//! The crew: the threads and tasks of the daemon. None of them ends silently. One that ends without being told to, or
//! panics, is restarted or ends the daemon, and until then [`Health`] says so.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinError;

use crate::status::Health;
use crate::time::clock::{Clock, Mono};
use crate::world::World;

/// Turns true when a member is to end.
pub type Stop = watch::Receiver<bool>;

/// Returns when a member is told to end.
pub async fn told(stop: &mut Stop) {
    // An error: nobody can tell it any more.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The pause before the first restart. It doubles with each restart that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause before the restart of a listener.
const LONGEST_PAUSE_SOON: Duration = Duration::from_millis(200);
/// A member that ran for so long starts over with the shortest pause.
const RAN_WELL: Duration = Duration::from_mins(1);
/// How often a thread that waits for its restart looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// What is done when a member ends without being told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEnd {
    /// It is started again, after a pause of 0.1 s to 30 s.
    Restart,
    /// It is started again, after a pause of at most 0.2 s: for listeners, whose messages wait meanwhile.
    RestartSoon,
    /// The daemon ends with an error.
    Fatal,
}

/// Starts members and restarts them.
#[derive(Debug, Clone)]
pub struct Crew {
    health: Arc<Health>,
    world: World,
    spawn: Spawn,
    fatal: watch::Sender<Option<String>>,
}

/// Where members run that have a thread of their own.
#[derive(Clone)]
enum Spawn {
    /// On a thread each.
    Threads,
    /// As tasks of a simulation.
    Tasks(Spawner),
}

/// Runs a task.
pub type Spawner = Arc<dyn Fn(&str, Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Spawn::Threads) { "Threads" } else { "Tasks" })
    }
}

/// A running thread or task. It is told to end when this is dropped.
#[derive(Debug)]
pub struct Member {
    name: String,
    stop: watch::Sender<bool>,
    /// Disconnected when it has ended.
    ended: mpsc::Receiver<Infallible>,
    /// The same for tasks.
    gone: watch::Receiver<()>,
}

/// Held by a member until it has ended.
struct Guard {
    _ended: mpsc::Sender<Infallible>,
    _gone: watch::Sender<()>,
}

impl Member {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells it to end, and returns at once.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Tells it to end and waits until it has, but no longer than `most`. Returns whether it has ended. Blocks.
    pub fn join(&self, most: Duration) -> bool {
        self.stop();
        self.ended.recv_timeout(most) == Err(mpsc::RecvTimeoutError::Disconnected)
    }

    /// [`Member::join`] for tasks.
    pub async fn joined(&self, most: Duration) -> bool {
        self.stop();
        let mut gone = self.gone.clone();
        // Nothing is ever sent: this ends when the sender is dropped.
        tokio::time::timeout(most, gone.changed()).await.is_ok()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Goes on with the panic that a task has ended with, if it has.
fn panic_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        resume_unwind(panic);
    }
}

impl Crew {
    /// A crew without members.
    pub fn new(health: Arc<Health>, world: World) -> Self {
        Crew { health, world, spawn: Spawn::Threads, fatal: watch::channel(None).0 }
    }

    /// The same for a simulation, in which everything runs on one thread: what has a thread of its own otherwise is a task
    /// that `spawner` runs.
    pub fn of_tasks(health: Arc<Health>, world: World, spawner: Spawner) -> Self {
        Crew { spawn: Spawn::Tasks(spawner), ..Crew::new(health, world) }
    }

    /// What is outside of the daemon.
    pub fn world(&self) -> World {
        self.world.clone()
    }

    /// Becomes the reason once a member has ended that the daemon cannot run without.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.fatal.subscribe()
    }

    /// Starts a thread that runs `run`, which returns when it is told to stop.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn thread(
        &self,
        name: &str,
        on_end: OnEnd,
        run: impl FnMut(&Stop) + Send + 'static,
    ) -> io::Result<Member> {
        self.boxed_thread(name, on_end, Box::new(run))
    }

    /// The code of [`Crew::thread`], once for all threads.
    fn boxed_thread(
        &self,
        name: &str,
        on_end: OnEnd,
        mut run: Box<dyn FnMut(&Stop) + Send>,
    ) -> io::Result<Member> {
        let (member, stop, guard) = member(name);
        let mut watch = self.watch(name, on_end);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _guard = guard;
            loop {
                watch.begins();
                let result = catch_unwind(AssertUnwindSafe(|| run(&stop)));
                let Some(pause) = watch.ended(*stop.borrow(), result.err()) else { return };
                let until = watch.clock.now().mono + pause;
                while watch.clock.now().mono < until && !*stop.borrow() {
                    std::thread::sleep(LOOK);
                }
            }
        })?;
        Ok(member)
    }

    /// Starts a thread that runs the futures of `run`, each until it is told to stop, on a runtime of its own. So what they
    /// do may block.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn thread_of_tasks<F: Future<Output = ()> + Send + 'static>(
        &self,
        name: &str,
        on_end: OnEnd,
        mut run: impl FnMut(Stop) -> F + Send + 'static,
    ) -> io::Result<Member> {
        self.boxed_tasks(name, on_end, Box::new(move |stop| run(stop).boxed()))
    }

    /// The code of [`Crew::thread_of_tasks`], once for all threads.
    fn boxed_tasks(&self, name: &str, on_end: OnEnd, mut run: Futures) -> io::Result<Member> {
        let spawner = match &self.spawn {
            Spawn::Threads => {
                return self.thread(name, on_end, move |stop| {
                    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                        // As a task: what this thread wakes itself then costs no system call.
                        Ok(runtime) => panic_on(runtime.block_on(runtime.spawn(run(stop.clone())))),
                        Err(error) => tracing::error!(%error, "a thread has no runtime"),
                    }
                });
            }
            Spawn::Tasks(spawner) => spawner,
        };
        let (member, mut stop, guard) = member(name);
        let mut watch = self.watch(name, on_end);
        let task = async move {
            let _guard = guard;
            loop {
                watch.begins();
                // A panic ends the simulation.
                run(stop.clone()).await;
                let Some(pause) = watch.ended(*stop.borrow(), None) else { return };
                let _ = tokio::time::timeout(pause, told(&mut stop)).await;
            }
        };
        spawner(name, Box::pin(task));
        Ok(member)
    }

    /// Starts a task on a runtime that runs the futures of `run`, each until it is told to stop.
    pub fn task<F: Future<Output = ()> + Send + 'static>(
        &self,
        runtime: &Handle,
        name: &str,
        on_end: OnEnd,
        mut run: impl FnMut(Stop) -> F + Send + 'static,
    ) -> Member {
        self.boxed_task(runtime, name, on_end, Box::new(move |stop| run(stop).boxed()))
    }

    /// The code of [`Crew::task`], once for all tasks.
    fn boxed_task(&self, runtime: &Handle, name: &str, on_end: OnEnd, mut run: Futures) -> Member {
        let (member, mut stop, guard) = member(name);
        let mut watch = self.watch(name, on_end);
        let handle = runtime.clone();
        runtime.spawn(async move {
            let _guard = guard;
            loop {
                watch.begins();
                let result = handle.spawn(run(stop.clone())).await;
                let panic = result.err().and_then(|error| error.try_into_panic().ok());
                let Some(pause) = watch.ended(*stop.borrow(), panic) else { return };
                let _ = tokio::time::timeout(pause, told(&mut stop)).await;
            }
        });
        member
    }

    fn watch(&self, name: &str, on_end: OnEnd) -> Watch {
        Watch {
            name: name.to_owned(),
            on_end,
            health: self.health.clone(),
            clock: self.world.clock.clone(),
            fatal: self.fatal.clone(),
            began: None,
            pause: FIRST_PAUSE,
        }
    }
}

/// What makes the futures of a task. Boxed, because the runtime's code for a task is compiled again for each type of future.
type Futures = Box<dyn FnMut(Stop) -> BoxFuture<'static, ()> + Send>;

fn member(name: &str) -> (Member, Stop, Guard) {
    let (stop, stopped) = watch::channel(false);
    let ((blocking, ended), (waking, gone)) = (mpsc::channel(), watch::channel(()));
    let guard = Guard { _ended: blocking, _gone: waking };
    (Member { name: name.to_owned(), stop, ended, gone }, stopped, guard)
}

/// Decides what follows when a member ends.
struct Watch {
    name: String,
    on_end: OnEnd,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
    fatal: watch::Sender<Option<String>>,
    began: Option<Mono>,
    pause: Duration,
}

impl Watch {
    fn begins(&mut self) {
        let now = self.clock.now().mono;
        if self.began.replace(now).is_some() {
            self.health.restarted(&self.name, now);
        }
    }

    /// How long to wait before it is started again; none if it is not.
    fn ended(&mut self, told: bool, panic: Option<Box<dyn Any + Send>>) -> Option<Duration> {
        let why = panic.map(|panic| format!("panicked: {}", words(&*panic)));
        let name = &self.name;
        if told {
            if let Some(why) = why {
                tracing::error!("{name} {why} while it stopped; please report it");
            }
            self.health.well(name);
            return None;
        }
        let why = why.unwrap_or_else(|| "ended without being told to".to_owned());
        self.health.failed(name, why.clone());
        if self.on_end == OnEnd::Fatal {
            tracing::error!("{name} {why}; please report it; the daemon cannot run without it and stops");
            self.fatal.send_replace(Some(format!("{name} {why}")));
            return None;
        }
        let ran = self.began.map_or(Duration::ZERO, |began| self.clock.now().mono.since(began));
        if ran >= RAN_WELL {
            self.pause = FIRST_PAUSE;
        }
        let pause = self.pause;
        let longest = if self.on_end == OnEnd::RestartSoon { LONGEST_PAUSE_SOON } else { LONGEST_PAUSE };
        self.pause = (pause * 2).min(longest);
        tracing::error!("{name} {why}; please report it; it is restarted in {} ms", pause.as_millis());
        Some(pause)
    }
}

/// The message of a panic.
pub fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::time::clock::SystemClock;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn crew() -> (Crew, Arc<Health>) {
        let health = Arc::new(Health::default());
        (Crew::new(health.clone(), World::default()), health)
    }

    fn wait_until(holds: impl Fn() -> bool) {
        let start = std::time::Instant::now();
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "not in time");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn problems(health: &Health) -> Vec<String> {
        health.problems(SystemClock.now().mono)
    }

    #[test]
    fn a_thread_that_panics_or_returns_is_restarted_and_said() {
        let (crew, health) = crew();
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let member = crew
            .thread("worker", OnEnd::Restart, move |stop| match counted.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("first"),
                1 => {}
                _ => {
                    while !*stop.borrow() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            })
            .unwrap();
        wait_until(|| problems(&health) == ["worker panicked: first"]);
        wait_until(|| runs.load(Ordering::SeqCst) == 3);
        wait_until(|| health.restarts() == [("worker".to_owned(), 2)]);
        assert_eq!(problems(&health), ["worker ended without being told to"], "until it has settled");
        assert!(member.join(PATIENCE));
        assert!(problems(&health).is_empty(), "what was told to end is well");
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_task_is_restarted_too_and_a_fatal_one_is_told() {
        let (crew, health) = crew();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let member = crew.task(runtime.handle(), "task", OnEnd::Restart, move |mut stop| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(run > 0, "first");
                let _ = stop.wait_for(|stop| *stop).await;
            }
        });
        wait_until(|| runs.load(Ordering::SeqCst) == 2);
        assert!(problems(&health)[0].starts_with("task panicked: first"));
        assert!(member.join(PATIENCE));
        assert!(crew.fatal().borrow().is_none());
        let _signals = crew.thread("signals", OnEnd::Fatal, |_| {}).unwrap();
        wait_until(|| crew.fatal().borrow().as_deref() == Some("signals ended without being told to"));
        assert_eq!(problems(&health), ["signals ended without being told to"]);
    }

    #[test]
    fn a_member_that_waits_for_its_restart_ends_when_it_is_dropped() {
        let (crew, health) = crew();
        let member = crew.thread("worker", OnEnd::Restart, |_| {}).unwrap();
        wait_until(|| !problems(&health).is_empty());
        drop(member);
        wait_until(|| problems(&health).is_empty());
    }
}
