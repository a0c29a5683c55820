//! What systemd is told: ready, stopping, how it goes, and that the daemon still moves (sd_notify(3)).

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::status::Status;

/// How often the status text is told.
const EVERY: Duration = Duration::from_secs(10);

/// How long a step of the start may take after it was told of.
const STEP: Duration = Duration::from_mins(1);

/// The daemon starts still: it does this, and should be given time.
pub fn starting(what: &str) {
    let more = u32::try_from(STEP.as_micros()).unwrap_or(u32::MAX);
    let _ = sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status(what)]);
}

/// The daemon listens. Nothing happens where no supervisor is.
pub fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// The daemon stops.
pub fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// Tells how it goes, and feeds the watchdog as long as every listener moves, until told to stop.
pub async fn tell(state: Arc<Status>, mut stop: watch::Receiver<bool>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    let every = watchdog.map_or(EVERY, |limit| (limit / 3).min(EVERY));
    let mut ticks = tokio::time::interval(every);
    let mut before = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        if let Some(limit) = watchdog {
            match state.shared.slowest(state.shared.now().mono) {
                stuck if stuck < limit => drop(sd_notify::notify(&[NotifyState::Watchdog])),
                stuck => tracing::error!(
                    "a listener has not moved for {} s: the watchdog is not fed; is the disk stuck?",
                    stuck.as_secs()
                ),
            }
        }
        let next = state.shared.journal.next();
        let rate = next.saturating_sub(before) as f64 / every.as_secs_f64();
        let behind = state.sinks.iter().map(|s| next.saturating_sub(s.cursor.position())).max().unwrap_or(0);
        let rate = if before == 0 { 0.0 } else { rate };
        before = next;
        let trouble = state.trouble().map_or_else(String::new, |trouble| format!("; {trouble}"));
        let text = format!("{rate:.0} outcomes a second, {behind} to deliver{trouble}");
        let _ = sd_notify::notify(&[NotifyState::Status(&text)]);
    }
}
