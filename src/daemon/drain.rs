//! The end: what has come is journaled, what is being sent is awaited, the journal is synced.

use std::time::Duration;

use super::assembly::Assembly;
use super::control::Socket;
use super::mutes;
use super::senders::StoredSenders;
use super::supervise::Member;
use super::systemd;
use crate::status::Status;
use crate::time::clock::Mono;

/// How long sinks may go on, from the first to the last. What they do not deliver is kept. Service managers kill what does not
/// stop: Docker after 10 s.
const SINKS: Duration = Duration::from_secs(6);
/// How long of that they may begin to send what is in the journal.
const DRAIN: Duration = Duration::from_secs(4);
/// For how long nothing may be delivered until no more is waited for: the server is away, or a sink is blocked.
const STALLED: Duration = Duration::from_secs(1);
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
    status.shared.commit.try_again(status.clock.now());
    status.shared.commit.sync_state(status.clock.now());
    // What was withheld until now is safe before sinks are waited for, as what was journaled is.
    mutes::keep(&status.shared, &mut true);
    senders.finish(SYNC);
    let began = status.clock.now().mono;
    assembly.runtimes().control.block_on(drain(status));
    if status.shared.commit.refusing() {
        // What sinks have taken meanwhile may make room.
        status.shared.journal.clean();
    }
    status.shared.commit.finish(status.clock.now());
    status.shared.commit.sync_state(status.clock.now());
    // What is lost now is withheld no more.
    mutes::keep(&status.shared, &mut true);
    assembly.stop_sinks(SINKS.saturating_sub(status.clock.now().mono.since(began)));
    sync.join(SYNC);
    status.shared.inbox.save();
    status.shared.latest.save();
    let journal = &status.shared.journal;
    journal.clean();
    if let Err(error) = journal.sync(u64::MAX) {
        tracing::error!(%error, "the journal could not be synced at the end");
    }
    socket.remove();
}

/// Waits until the sinks have delivered everything, but no longer than `DRAIN`, and not where nothing is delivered.
pub async fn drain(status: &Status) {
    let behind = || -> Vec<u64> {
        let (journal, sinks) = (&status.shared.journal, status.sinks());
        sinks.iter().map(|sink| journal.behind(&sink.cursor)).collect()
    };
    let until = status.clock.now().mono + DRAIN;
    let mut stall = Stall { behind: behind(), since: status.clock.now().mono };
    while stall.behind.iter().any(|behind| *behind > 0) {
        let now = status.clock.now().mono;
        if now >= until || stall.lasts(behind(), now) {
            break;
        }
        tokio::time::sleep(CHECK).await;
    }
    let behind = behind().into_iter().max().unwrap_or(0);
    if behind > 0 {
        tracing::info!(
            outcomes = behind,
            "not all sinks have taken everything; the journal keeps it for the next start"
        );
    }
}

/// Finds out whether anything is still delivered.
struct Stall {
    /// How far each sink was behind when one of them moved last.
    behind: Vec<u64>,
    since: Mono,
}

impl Stall {
    /// Whether no sink has delivered anything for [`STALLED`], given how far each is behind now.
    fn lasts(&mut self, behind: Vec<u64>, now: Mono) -> bool {
        if behind != self.behind {
            (self.behind, self.since) = (behind, now);
        }
        now.since(self.since) >= STALLED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_waits_only_while_something_is_delivered() {
        let at = |ms: u64| Mono::default() + Duration::from_millis(ms);
        let mut stall = Stall { behind: vec![5, 9], since: at(0) };
        assert!(!stall.lasts(vec![5, 9], at(999)));
        assert!(!stall.lasts(vec![5, 8], at(1000)), "one of them has moved");
        assert!(!stall.lasts(vec![5, 8], at(1999)));
        assert!(stall.lasts(vec![5, 8], at(2000)));
    }
}
