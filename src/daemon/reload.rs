//! Reloads: by SIGHUP, and by the control socket, which gets the result.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::assembly::{Assembly, Changes};
use super::awaited::Awaited;
use super::console_rules::{self, Change, Changed};
use super::control::{Order, Request};
use super::replies::{refusal, unable};
use super::supervise::{Stop, told, words};
use super::{mib_subprocess, needs};
use crate::config::loaded;
use crate::settings::diagnostic::Diagnostics;
use crate::sinks::memory;
use crate::status::Unconfigured;

/// Carries out what it is asked to, one after the other, until told to stop; those who ask for a reload at the same time get
/// one. Runs on a thread of its own, as a reload can
/// take long.
pub struct Reloader {
    /// The configuration file; none for the built-in configuration.
    pub path: Option<PathBuf>,
    /// What is reloaded.
    pub assembly: Arc<Assembly>,
    /// Files of hosts that were not there at the start.
    pub awaited: Awaited,
    /// Signals.
    pub hangups: mpsc::Receiver<()>,
    /// Requests by the control socket.
    pub orders: mpsc::Receiver<Order>,
}

impl Reloader {
    /// Runs until told to stop; `runtime` wakes it up.
    pub fn run(&mut self, runtime: &Handle, stop: &Stop) {
        let mut stop = stop.clone();
        let mut later = VecDeque::new();
        loop {
            let (hangups, orders) = (&mut self.hangups, &mut self.orders);
            let asked = match later.pop_front() {
                Some(order) => Some(Some(order)),
                None => runtime.block_on(async {
                    tokio::select! {
                        Some(()) = hangups.recv() => Some(None),
                        Some(order) = orders.recv() => Some(Some(order)),
                        () = told(&mut stop) => None,
                    }
                }),
            };
            match asked {
                None => return,
                Some(None) => self.reload_for(None, &mut later),
                Some(Some(Order { request: Request::Reload, answer })) => {
                    self.reload_for(Some(answer), &mut later);
                }
                Some(Some(Order { request, answer })) => {
                    let result = match request {
                        Request::Forget { sink } => self.forget(&sink),
                        Request::ConsoleRules { edit, base, dry_run } => {
                            self.change_console(&Change { edit, base, dry_run })
                        }
                        _ => refusal("not an order".to_owned()),
                    };
                    // A client that has gone does not want to know.
                    let _ = answer.send(result);
                }
            }
        }
    }

    /// One reload for all that have asked for one by now: what they want was written before it begins. Other orders are
    /// put into `later`.
    fn reload_for(&mut self, first: Option<oneshot::Sender<Value>>, later: &mut VecDeque<Order>) {
        let mut asked: Vec<oneshot::Sender<Value>> = first.into_iter().collect();
        while self.hangups.try_recv().is_ok() {}
        while let Ok(order) = self.orders.try_recv() {
            match order.request {
                Request::Reload => asked.push(order.answer),
                _ => later.push_back(order),
            }
        }
        let result = self.reload();
        for answer in asked {
            let _ = answer.send(result.clone());
        }
    }

    /// Reloads everything, all or nothing.
    fn reload(&self) -> Value {
        // To plan changes nothing that runs, so a panic there refuses the reload.
        let planned = catch_unwind(AssertUnwindSafe(|| {
            let (mut config, mut found) = loaded::config(self.path.as_deref())?;
            let absent = self.awaited.excuse(&mut config, &mut found);
            needs::suffice(&config, self.assembly.descriptors())?;
            mib_subprocess::index(&config);
            Ok((self.assembly.plan(config, found)?, absent))
        }));
        let planned = planned.unwrap_or_else(|panic| {
            let mut found = Diagnostics::default();
            let what = format!("the reload panicked: {}", words(&*panic));
            found.file_error("trapline", what, "please report it; restart to load the configuration");
            Err(found)
        });
        let changes = match planned {
            Ok((plan, absent)) => {
                let changes = self.assembly.carry_out(plan);
                self.awaited.now_only(absent);
                changes
            }
            Err(found) => return self.refused(&found),
        };
        let Some(changes) = changes else { return unable("the daemon stops".to_owned()) };
        self.done(&changes);
        answer(&changes)
    }

    /// Notes that something is in force.
    fn done(&self, changes: &Changes) {
        let mut reloads = self.assembly.status.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.done += 1;
        reloads.error = None;
        drop(reloads);
        for line in changes.warnings.to_text().lines() {
            tracing::warn!("{line}");
        }
        tracing::info!("{}", summary(changes));
        log_unconfigured(&changes.unconfigured);
    }

    /// Changes the rules of the console, and puts them in force; all or nothing.
    fn change_console(&self, change: &Change) -> Value {
        let change = AssertUnwindSafe(|| {
            console_rules::change(self.path.as_deref(), &self.assembly, &self.awaited, change)
        });
        let Ok(Changed { answer, changes, refused }) = catch_unwind(change) else {
            return refusal("the change panicked; please report it with the rules".to_owned());
        };
        if let Some(changes) = &changes {
            tracing::info!("the rules of the console were changed");
            self.done(changes);
        }
        for line in refused.as_ref().map(Diagnostics::to_text).unwrap_or_default().lines() {
            tracing::warn!("rules of the console refused: {line}");
        }
        answer
    }

    fn refused(&self, found: &Diagnostics) -> Value {
        let text = found.to_text();
        for line in text.lines() {
            tracing::error!("{line}");
        }
        tracing::error!("not reloaded: the configuration and the rules from before stay in force");
        let mut reloads = self.assembly.status.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.refused += 1;
        reloads.error = Some(text.clone());
        refusal(text)
    }

    /// Forgets the cursor of a sink that is not configured.
    fn forget(&self, sink: &str) -> Value {
        let status = &self.assembly.status;
        let sinks = status.sinks();
        if sinks.iter().any(|running| running.name == sink) {
            return refusal(format!("sink '{sink}' is configured; remove its [[sinks]] and reload first"));
        }
        let cursor = status.unconfigured().into_iter().find(|cursor| cursor.name == sink);
        let Some(Unconfigured { behind: outcomes, .. }) = cursor else {
            return refusal(format!("there is no sink '{sink}'; see `trapline sinks list`"));
        };
        if let Err(error) = status.shared.journal.forget(sink) {
            return unable(format!("cannot remove the cursor of '{sink}': {error}; check the disk"));
        }
        if let Err(error) = memory::forget(status.shared.journal.directory(), sink) {
            tracing::warn!(sink, %error, "what this sink remembers of its server cannot be removed");
        }
        tracing::info!(sink, outcomes, "forgotten: the journal keeps nothing for this sink any more");
        json!({ "ok": true, "sink": sink, "outcomes": outcomes })
    }
}

/// Reports the cursors of sinks that are not configured.
pub fn log_unconfigured(sinks: &[Unconfigured]) {
    for Unconfigured { name, behind } in sinks {
        tracing::warn!(
            "sink '{name}' is not configured: the journal keeps {behind} outcomes for it, and those that follow; run `trapline sinks forget {name}`, or add was = \"{name}\" to the sink that replaces it"
        );
    }
}

/// One line about a reload.
fn summary(changes: &Changes) -> String {
    let mut text = format!("reloaded: {} rules", changes.rules);
    let (sinks, listeners) = (&changes.sinks, &changes.listeners);
    for (what, names) in [
        ("sinks added", &sinks.added),
        ("sinks changed", &sinks.changed),
        ("sinks renamed", &sinks.renamed),
        ("sinks removed", &sinks.removed),
        ("listeners added", &listeners.added),
        ("listeners changed", &listeners.changed),
        ("listeners removed", &listeners.removed),
    ] {
        if !names.is_empty() {
            let _ = write!(text, "; {what}: {}", names.join(", "));
        }
    }
    text
}

fn answer(changes: &Changes) -> Value {
    let (sinks, listeners) = (&changes.sinks, &changes.listeners);
    let unconfigured: Vec<&str> = changes.unconfigured.iter().map(|sink| sink.name.as_str()).collect();
    json!({
        "ok": true,
        "summary": summary(changes),
        "warnings": changes.warnings.to_text(),
        "rules": changes.rules,
        "sinks": {
            "added": sinks.added, "changed": sinks.changed, "renamed": sinks.renamed, "removed": sinks.removed,
        },
        "listeners": {
            "added": listeners.added, "changed": listeners.changed, "removed": listeners.removed,
        },
        "unconfigured_sinks": unconfigured,
    })
}
