//! The end: what has come is journaled, what is being sent is awaited, the journal is synced.

use std::time::Duration;

use super::assembly::Assembly;
use super::control::Socket;
use super::senders::StoredSenders;
use super::supervise::Member;
use super::systemd;
use crate::status::Status;

/// How long sinks may take to deliver what is in the journal. What they do not take is kept.
const DRAIN: Duration = Duration::from_secs(5);
/// How often it is checked.
const CHECK: Duration = Duration::from_millis(10);
/// How long each thread that writes to the state directory may take to end.
const SYNC: Duration = Duration::from_secs(5);

/// Stops the daemon. Blocks until it has.
pub fn stop(assembly: &Assembly, sync: &Member, senders: &StoredSenders, socket: &Socket) {
    tracing::info!("stopping");
    systemd::stopping();
    let status = &assembly.status;
    status.shared.stop();
    assembly.stop_listening();
    status.shared.commit.finish(status.clock.now());
    senders.finish(SYNC);
    assembly.runtimes().control.block_on(drain(status));
    assembly.stop_sinks();
    sync.join(SYNC);
    status.shared.inbox.save();
    let journal = &status.shared.journal;
    journal.clean();
    if let Err(error) = journal.sync(u64::MAX) {
        tracing::error!(%error, "the journal could not be synced at the end");
    }
    socket.remove();
}

/// Waits until the sinks have delivered everything, but no longer than 5 s.
pub async fn drain(status: &Status) {
    let behind = || {
        let (journal, sinks) = (&status.shared.journal, status.sinks());
        sinks.iter().map(|sink| journal.behind(&sink.cursor)).max().unwrap_or(0)
    };
    let until = status.clock.now().mono + DRAIN;
    while behind() > 0 && status.clock.now().mono < until {
        tokio::time::sleep(CHECK).await;
    }
    if behind() > 0 {
        tracing::info!(
            outcomes = behind(),
            "not all sinks have taken everything; the journal keeps it for the next start"
        );
    }
}
