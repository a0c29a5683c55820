//! Sinks while the configuration changes: which start, which go on, with which cursor.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::plan::{self, RunningSink, SinkStep, WantedSink};
use super::slots::{Begins, IN_FLIGHT, Slot};
use super::supervise::Crew;
use crate::config::sinks::SinkSection;
use crate::files::RAISE_LIMIT;
use crate::journal::Journal;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Digest;
use crate::sinks::Running;
use crate::sinks::dead::DeadLetters;
use crate::sinks::memory;
use crate::sinks::settings::SinkConfig;

/// How long a sink may take beyond the time for what it is sending to end.
const GRACE: Duration = Duration::from_millis(500);

/// Until when sinks that were told to end, or to change, may take: all of them together.
#[derive(Clone, Copy)]
struct Deadline(Instant);

impl Deadline {
    /// From now on: `in_flight` for what is being sent.
    fn new(in_flight: Duration) -> Self {
        Deadline(Instant::now() + in_flight + GRACE)
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Waits for a sink that was told to end.
    async fn end(self, name: &str, slot: &Slot) {
        if !slot.join(self.left()).await {
            tracing::warn!(sink = name, "the sink is blocked in what it was sending and has not ended");
        }
    }

    /// The same, unless the daemon is told to stop before. Whether it was not.
    async fn end_unless(self, stopped: &mut watch::Receiver<bool>, name: &str, slot: &Slot) -> bool {
        tokio::select! {
            biased;
            () = self.end(name, slot) => true,
            Ok(_) = stopped.wait_for(|stopped| *stopped) => false,
        }
    }
}

/// The sinks that run, in the order of the configuration.
#[derive(Debug, Default)]
pub struct Sinks(Vec<Sink>);

/// One that runs.
#[derive(Debug)]
struct Sink {
    name: String,
    digest: Digest,
    slot: Slot,
}

/// What becomes of the sinks. Everything that can fail is done: threads wait for their settings, new cursors are
/// registered. They are forgotten again if this is dropped.
#[derive(Debug)]
pub struct SinkPlan {
    sinks: Vec<Planned>,
    removed: Vec<String>,
    made: Made,
}

#[derive(Debug)]
struct Planned {
    step: SinkStep,
    config: SinkConfig,
    digest: Digest,
    /// The thread and the cursor of one that starts.
    new: Option<(Slot, Running)>,
}

/// Cursors that were made for a plan.
#[derive(Debug)]
struct Made {
    journal: Arc<Journal>,
    names: Vec<String>,
}

impl Drop for Made {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = self.journal.forget(name) {
                tracing::warn!(%error, "the cursor of sink '{name}', which was not started, cannot be removed; see `trapline sinks list`");
            }
        }
    }
}

/// What was done with sinks, by their names.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Done {
    /// Those that were started.
    pub added: Vec<String>,
    /// Those that go on with other settings.
    pub changed: Vec<String>,
    /// Those that have another name now: `old -> new`.
    pub renamed: Vec<String>,
    /// Those that were ended.
    pub removed: Vec<String>,
}

/// What runs, for the pure plan.
pub type View = Vec<(String, Digest)>;

impl Sinks {
    /// What runs.
    pub fn view(&self) -> View {
        self.0.iter().map(|sink| (sink.name.clone(), sink.digest)).collect()
    }

    /// The sinks that deliver.
    pub fn running(&self) -> Vec<Running> {
        self.0.iter().filter_map(|sink| sink.slot.running()).collect()
    }

    /// Tells all to end what they are sending within `in_flight`, and waits for them. Those that are blocked are named.
    pub async fn stop(self, in_flight: Duration) {
        let deadline = Deadline::new(in_flight);
        self.0.iter().for_each(|sink| sink.slot.stop_within(in_flight));
        for sink in &self.0 {
            deadline.end(&sink.name, &sink.slot).await;
        }
    }

    /// Carries out a plan that was made of these sinks. Waits for what they are sending, 5.5 s at most, however many are
    /// blocked; and not when the daemon is told to stop: those that have not ended are waited for with the others then.
    pub async fn carry_out(
        &mut self,
        plan: SinkPlan,
        journal: &Arc<Journal>,
        mut stopped: watch::Receiver<bool>,
    ) -> Done {
        let SinkPlan { sinks, removed, mut made } = plan;
        made.names.clear();
        let mut before = std::mem::take(&mut self.0);
        let deadline = Deadline::new(IN_FLIGHT);
        let ends = |name: &String| {
            removed.contains(name)
                || sinks.iter().any(|sink| matches!(&sink.step, SinkStep::Rename(from) if from == name))
        };
        before.iter().filter(|sink| ends(&sink.name)).for_each(|sink| sink.slot.stop());
        let mut done = Done { removed, ..Done::default() };
        let mut begins: Vec<(String, Begins)> = Vec::new();
        let mut take = |name: &str| {
            let at = before.iter().position(|sink| sink.name == name)?;
            Some(before.remove(at))
        };
        let ended: Vec<Sink> = done.removed.iter().filter_map(|name| take(name)).collect();
        for Planned { step, config, digest, new } in sinks {
            let name = config.name.clone();
            match (step, new) {
                (SinkStep::Keep, _) => self.0.extend(take(&name)),
                (SinkStep::Change, _) => {
                    let Some(sink) = take(&name) else { continue };
                    if let Some(running) = sink.slot.running() {
                        begins.push((name.clone(), sink.slot.deliver(config, running)));
                    }
                    done.changed.push(name);
                    self.0.push(Sink { digest, ..sink });
                }
                (SinkStep::Start, Some((slot, running))) => {
                    slot.deliver(config, running);
                    done.added.push(name.clone());
                    self.0.push(Sink { name, digest, slot });
                }
                (SinkStep::Rename(from) | SinkStep::TakeOver(from), Some((slot, running))) => {
                    if let Some(sink) = take(&from)
                        && !deadline.end_unless(&mut stopped, &from, &sink.slot).await
                    {
                        // The next start gives it its name.
                        self.0.push(sink);
                        continue;
                    }
                    rename(journal, &from, &name);
                    slot.deliver(config, running);
                    done.renamed.push(format!("{from} -> {name}"));
                    self.0.push(Sink { name, digest, slot });
                }
                // A plan has a thread for each of them.
                (SinkStep::Start | SinkStep::Rename(_) | SinkStep::TakeOver(_), None) => {}
            }
        }
        for sink in ended {
            if !deadline.end_unless(&mut stopped, &sink.name, &sink.slot).await {
                self.0.push(sink);
            }
        }
        for (name, begins) in begins {
            if *stopped.borrow() {
                break;
            }
            let begun = tokio::select! {
                biased;
                begun = begins.wait(deadline.left()) => begun,
                Ok(_) = stopped.wait_for(|stopped| *stopped) => break,
            };
            if !begun {
                tracing::warn!(
                    sink = name,
                    "the sink is blocked in what it was sending; its new settings follow as soon as it is not"
                );
            }
        }
        done
    }
}

/// Gives a cursor and the dead letters that go with it to another name. What fails is said; the sink goes on all the same.
///
/// The cursor comes last: as long as it has the former name, the next start does all of this again.
fn rename(journal: &Journal, from: &str, to: &str) {
    if let Err(error) = DeadLetters::new(journal.directory(), to).adopt(from) {
        tracing::error!(sink = to, %error, "the dead letters of '{from}' cannot be renamed; see `trapline dead list {from}`");
    }
    if let Err(error) = memory::adopt(journal.directory(), from, to) {
        tracing::error!(sink = to, %error, "what '{from}' remembers of its server cannot be renamed: the sink begins anew with it");
    }
    if let Err(error) = journal.rename(from, to) {
        tracing::error!(
            sink = to, %error,
            "the cursor of '{from}' cannot be renamed on disk; leave was = \"{from}\" in the configuration, so that the next start tries again"
        );
    }
}

/// Decides what becomes of the sinks, and does all of it that can fail. What fails is reported.
pub fn plan(
    running: &View,
    wanted: &[SinkSection],
    crew: &Crew,
    journal: &Arc<Journal>,
    found: &mut Diagnostics,
) -> SinkPlan {
    let view: Vec<RunningSink<'_>> =
        running.iter().map(|(name, digest)| RunningSink { name, digest: *digest }).collect();
    let sinks: Vec<WantedSink<'_>> = wanted
        .iter()
        .map(|sink| WantedSink { name: &sink.settings.name, was: sink.was.as_deref(), digest: sink.digest })
        .collect();
    let cursors: Vec<String> = journal.cursors().into_iter().map(|(name, _)| name).collect();
    let plan::SinkSteps { steps, removed } = plan::sinks(&view, &cursors, &sinks);
    let mut made = Made { journal: journal.clone(), names: Vec::new() };
    // While others deliver, one that is new must not keep the journal from taking outcomes.
    let open = if running.is_empty() { Running::open_first } else { Running::open };
    let mut planned = Vec::new();
    for (step, section) in steps.into_iter().zip(wanted) {
        let name = &section.settings.name;
        let new = match &step {
            SinkStep::Keep | SinkStep::Change => None,
            SinkStep::Start => Some(start((name, name), crew, journal, &mut made, open)),
            SinkStep::Rename(from) | SinkStep::TakeOver(from) => {
                Some(start((name, from), crew, journal, &mut made, open))
            }
        };
        let new = match new.transpose() {
            Ok(new) => new,
            Err(error) => {
                let message = format!("cannot start sink '{name}': {error}");
                let cursors = journal.directory().join("cursors");
                let cursors = cursors.display();
                let hint = match error.kind() {
                    io::ErrorKind::StorageFull => format!("make room on the disk of {cursors}"),
                    io::ErrorKind::FileTooLarge => RAISE_LIMIT.to_owned(),
                    _ => format!("see that {cursors} can be written and the system has threads left"),
                };
                match &section.place {
                    Some(place) => found.push(place.error(message, hint)),
                    None => found.file_error("trapline", message, &hint),
                }
                continue;
            }
        };
        planned.push(Planned { step, config: section.settings.clone(), digest: section.digest, new });
    }
    SinkPlan { sinks: planned, removed, made }
}

/// The thread of a sink, and its cursor: that of `from`, or a new one.
fn start(
    (name, from): (&str, &str),
    crew: &Crew,
    journal: &Arc<Journal>,
    made: &mut Made,
    open: fn(&str, &Journal) -> io::Result<Running>,
) -> io::Result<(Slot, Running)> {
    let running = match journal.cursor(from) {
        Some(cursor) => Running::new(name, cursor),
        None => {
            made.names.push(name.to_owned());
            open(name, journal)?
        }
    };
    Ok((Slot::start(name, crew, journal)?, running))
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;
    use crate::journal::{Batch, Options, WhenFull};
    use crate::outcome::record::Record;
    use crate::outcome::testing;
    use crate::sinks::sink::{Fate, Item, Lane, Limits, Pieces, Seat, Sending, Sink as Configured};
    use crate::status::Health;
    use crate::world::World;

    type Freed = Arc<Mutex<mpsc::Receiver<()>>>;

    /// A sink whose thread is blocked as soon as it sends, as by a disk that does not answer.
    #[derive(Debug)]
    struct Blocked {
        sends: mpsc::Sender<()>,
        freed: Freed,
    }

    impl Configured for Blocked {
        fn limits(&self) -> Limits {
            Limits::default()
        }

        fn pieces(&self, _record: &Record<'_>) -> Option<Pieces> {
            None
        }

        fn lane(&self, _seat: &Seat) -> Box<dyn Lane> {
            Box::new(BlockedLane { sends: self.sends.clone(), freed: self.freed.clone() })
        }
    }

    struct BlockedLane {
        sends: mpsc::Sender<()>,
        freed: Freed,
    }

    impl Lane for BlockedLane {
        fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
            let _ = self.sends.send(());
            // Ends when the test does.
            let _ = self.freed.lock().map(|freed| freed.recv());
            Box::pin(std::future::ready(Ok(vec![Fate::Taken; items.len()])))
        }
    }

    /// The time of the runtime stands still but for what is waited for.
    #[tokio::test(start_paused = true)]
    async fn sinks_that_are_blocked_are_waited_for_together() {
        const SINKS: usize = 8;
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 24, when_full: WhenFull::DropOldest };
        let journal = Journal::open(options, 7).unwrap().0;
        let crew = Crew::new(Arc::new(Health::default()), World::default());
        let (sends, sent) = mpsc::channel();
        let (free, freed) = mpsc::channel();
        let freed: Freed = Arc::new(Mutex::new(freed));
        let section = |number: usize, name: &str, was: Option<&str>, digest: u8| SinkSection {
            settings: SinkConfig::new(
                format!("{name}{number}"),
                Blocked { sends: sends.clone(), freed: freed.clone() },
            ),
            was: was.map(|was| format!("{was}{number}")),
            digest: [digest; 32],
            place: None,
        };
        let (stop, stopped) = watch::channel(false);
        let mut sinks = Sinks::default();
        let mut found = Diagnostics::default();
        let first: Vec<_> = (0..SINKS).map(|number| section(number, "a", None, 1)).collect();
        let planned = plan(&sinks.view(), &first, &crew, &journal, &mut found);
        sinks.carry_out(planned, &journal, stopped.clone()).await;
        let mut batch = Batch::default();
        batch.push(&testing::check("o"));
        journal.append(&batch).unwrap();
        (0..SINKS).for_each(|_| sent.recv().unwrap());
        // A third is changed, a third renamed, a third removed.
        let (changed, renamed) = (0..SINKS / 3, SINKS / 3..2 * SINKS / 3);
        let second: Vec<_> = changed
            .map(|number| section(number, "a", None, 2))
            .chain(renamed.map(|number| section(number, "b", Some("a"), 1)))
            .collect();
        let planned = plan(&sinks.view(), &second, &crew, &journal, &mut found);
        assert!(!found.has_errors(), "{}", found.to_text());
        let began = Instant::now();
        let done = sinks.carry_out(planned, &journal, stopped.clone()).await;
        assert_eq!((done.changed.len(), done.renamed.len(), done.removed.len()), (2, 3, 3));
        assert!(began.elapsed() <= IN_FLIGHT + 2 * GRACE, "{:?}", began.elapsed());
        (SINKS / 3..2 * SINKS / 3).for_each(|_| sent.recv().unwrap());
        // A stop in the middle of a reload does not wait for the reload, and waits for all sinks that have not ended.
        let (kept, third) =
            (sinks.view().len(), vec![section(0, "a", None, 3), section(3, "c", Some("b"), 1)]);
        let planned = plan(&sinks.view(), &third, &crew, &journal, &mut found);
        assert!(!found.has_errors(), "{}", found.to_text());
        stop.send_replace(true);
        let began = Instant::now();
        let done = sinks.carry_out(planned, &journal, stopped.clone()).await;
        assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());
        assert_eq!((done.renamed.len(), sinks.view().len()), (0, kept), "{:?}", sinks.view());
        let began = Instant::now();
        sinks.stop(Duration::from_secs(2)).await;
        assert!(began.elapsed() <= Duration::from_secs(2) + 2 * GRACE, "{:?}", began.elapsed());
        drop(free);
    }
}
