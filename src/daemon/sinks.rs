//! Sinks while the configuration changes: which start, which go on, with which cursor.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::plan::{self, RunningSink, SinkStep, WantedSink};
use super::slots::{Begins, IN_FLIGHT, Slot};
use super::supervise::Crew;
use crate::config::sinks::SinkSection;
use crate::journal::Journal;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Digest;
use crate::sinks::Running;
use crate::sinks::dead::DeadLetters;
use crate::sinks::settings::SinkConfig;

/// How long a sink may take beyond [`IN_FLIGHT`] to end its sending.
const GRACE: Duration = Duration::from_millis(500);

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

    /// Tells all to end what they are sending and waits for them. Those that do not end in time are named.
    pub async fn stop(self) {
        self.0.iter().for_each(|sink| sink.slot.stop());
        for sink in &self.0 {
            end(&sink.name, &sink.slot).await;
        }
    }

    /// Carries out a plan that was made of these sinks.
    pub async fn carry_out(&mut self, plan: SinkPlan, journal: &Arc<Journal>) -> Done {
        let SinkPlan { sinks, removed, mut made } = plan;
        made.names.clear();
        let mut before = std::mem::take(&mut self.0);
        let mut done = Done { removed, ..Done::default() };
        let mut begins: Vec<(String, Begins)> = Vec::new();
        let mut take = |name: &str| {
            let at = before.iter().position(|sink| sink.name == name)?;
            Some(before.remove(at))
        };
        let ended: Vec<Sink> = done.removed.iter().filter_map(|name| take(name)).collect();
        for sink in &ended {
            sink.slot.stop();
        }
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
                    if let Some(sink) = take(&from) {
                        end(&from, &sink.slot).await;
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
        for sink in &ended {
            end(&sink.name, &sink.slot).await;
        }
        for (name, begins) in begins {
            if !begins.wait(IN_FLIGHT + GRACE).await {
                tracing::warn!(
                    sink = name,
                    "the sink is blocked in what it was sending; its new settings follow as soon as it is not"
                );
            }
        }
        done
    }
}

async fn end(name: &str, slot: &Slot) {
    if !slot.join(IN_FLIGHT + GRACE).await {
        tracing::warn!(sink = name, "the sink is blocked in what it was sending and has not ended");
    }
}

/// Gives a cursor and the dead letters that go with it to another name. What fails is said; the sink goes on all the same.
///
/// The cursor comes last: as long as it has the former name, the next start does all of this again.
fn rename(journal: &Journal, from: &str, to: &str) {
    if let Err(error) = DeadLetters::new(journal.directory(), to).adopt(from) {
        tracing::error!(sink = to, %error, "the dead letters of '{from}' cannot be renamed; see `trapline dead list {from}`");
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
    let mut planned = Vec::new();
    for (step, section) in steps.into_iter().zip(wanted) {
        let name = &section.settings.name;
        let new = match &step {
            SinkStep::Keep | SinkStep::Change => None,
            SinkStep::Start => Some(start(name, name, crew, journal, &mut made)),
            SinkStep::Rename(from) | SinkStep::TakeOver(from) => {
                Some(start(name, from, crew, journal, &mut made))
            }
        };
        let new = match new.transpose() {
            Ok(new) => new,
            Err(error) => {
                let message = format!("cannot start sink '{name}': {error}");
                let hint = format!(
                    "see that {} can be written and the system has threads left",
                    journal.directory().join("cursors").display()
                );
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
    name: &str,
    from: &str,
    crew: &Crew,
    journal: &Arc<Journal>,
    made: &mut Made,
) -> io::Result<(Slot, Running)> {
    let known = journal.cursor(from);
    if known.is_none() {
        made.names.push(from.to_owned());
    }
    let running = match known {
        Some(cursor) => Running::new(name, cursor),
        None => Running::open(name, journal)?,
    };
    Ok((Slot::start(name, crew, journal)?, running))
}
