//! Syncs the journal once a second, if anything was appended, deletes what every sink has taken, and tries again what the
//! journal has refused.

use std::sync::Arc;
use std::time::Duration;

use super::supervise::{Stop, told};
use crate::intake::Shared;
use crate::journal::SyncPolicy;

/// How long after an append the journal is synced, where nothing asks for it earlier.
const DELAY: Duration = Duration::from_secs(1);
/// How often segments that every sink has taken are deleted, while a sink is behind.
const CLEAN: Duration = Duration::from_secs(10);

/// Runs until told to stop, on a thread of its own, as a sync blocks. Nothing wakes it up while nothing is appended and no
/// sink is behind.
pub async fn run(shared: Arc<Shared>, policy: SyncPolicy, mut stop: Stop) {
    let journal = &shared.journal;
    let mut appended = journal.watch();
    // What was appended before this thread was started, or restarted.
    appended.mark_changed();
    loop {
        let behind = journal.cursors().iter().any(|(_, cursor)| journal.behind(cursor) > 0);
        let wake = async {
            let changed = appended.changed();
            let came = match (shared.refusing(), behind) {
                (true, _) => tokio::time::timeout(DELAY, changed).await,
                (false, true) => tokio::time::timeout(CLEAN, changed).await,
                (false, false) => Ok(changed.await),
            };
            match came {
                Ok(Ok(())) => tokio::time::sleep(DELAY).await,
                // The journal is gone.
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => {}
            }
        };
        tokio::select! {
            biased;
            () = wake => {}
            () = told(&mut stop) => return,
        }
        appended.mark_unchanged();
        shared.commit.retry(shared.now());
        journal.clean();
        if policy != SyncPolicy::Never
            && let Err(error) = journal.sync(u64::MAX)
        {
            tracing::error!(%error, "the journal cannot be synced; what came in the last second may not survive a power cut; check the disk");
        }
    }
}
