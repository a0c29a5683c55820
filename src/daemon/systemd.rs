//! What systemd is told (sd_notify(3)): ready, stopping, the status, and that the daemon still works.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use super::supervise::{Stop, told};
use crate::status::Status;

/// How often the status text is sent.
const EVERY: Duration = Duration::from_secs(10);

/// How long a step of the start may take after it was announced.
const STEP: Duration = Duration::from_mins(1);

/// The daemon still starts: it does this, and needs more time.
pub fn starting(what: &str) {
    let more = u32::try_from(STEP.as_micros()).unwrap_or(u32::MAX);
    let _ = sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status(what)]);
}

/// The daemon listens. Nothing happens without a supervisor.
pub fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// The daemon stops.
pub fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// Sends the status, and feeds the watchdog as long as no listener is stuck, until told to stop.
pub async fn tell(status: Arc<Status>, mut stop: Stop) {
    let watchdog = sd_notify::watchdog_enabled();
    let every = watchdog.map_or(EVERY, |limit| (limit / 3).min(EVERY));
    let mut ticks = tokio::time::interval(every);
    let mut before = 0;
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        // Nobody listens.
        told(&mut stop).await;
        return;
    }
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = told(&mut stop) => return,
        }
        if let Some(limit) = watchdog {
            match status.shared.slowest(status.clock.now().mono) {
                stuck if stuck < limit => drop(sd_notify::notify(&[NotifyState::Watchdog])),
                stuck => tracing::error!(
                    "a listener has worked on one batch for {} s: the watchdog is not fed; is the disk stuck?",
                    stuck.as_secs()
                ),
            }
        }
        let next = status.shared.journal.next();
        let rate = next.saturating_sub(before) as f64 / every.as_secs_f64();
        let rate = if before == 0 { 0.0 } else { rate };
        before = next;
        let asked = status.clone();
        // They wait for the journal, and signals are heard on this thread.
        let Ok((behind, problems)) = tokio::task::spawn_blocking(move || look(&asked)).await else {
            continue;
        };
        let text = format!("{rate:.0} outcomes a second, {behind} to deliver{problems}");
        let _ = sd_notify::notify(&[NotifyState::Status(&text)]);
    }
}

/// How many outcomes the slowest sink has to deliver, and what is wrong.
fn look(status: &Status) -> (u64, String) {
    let sinks = status.sinks();
    let behind = sinks.iter().map(|s| status.shared.journal.behind(&s.cursor)).max().unwrap_or(0);
    (behind, status.problems().iter().map(|problem| format!("; {problem}")).collect())
}
