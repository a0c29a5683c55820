//! Has everything happen that is due in the state of rules, and syncs the state. Nothing wakes it up while nothing is due and
//! nothing was written.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::supervise::{Stop, told};
use crate::intake::Shared;
use crate::intake::commit::RETRY;

/// How long after a change the state is synced, where nothing asks for it earlier.
const DELAY: Duration = Duration::from_secs(1);

/// Runs until told to stop, on a thread of its own, as a commit blocks.
pub async fn run(shared: Arc<Shared>, mut stop: Stop) {
    let commit = &shared.commit;
    let changed = || async {
        commit.correlation.written().await;
        tokio::time::sleep(DELAY).await;
    };
    let keep = || {
        if !commit.keep_state(shared.now()) {
            // It is tried again.
            commit.correlation.tell_written();
        }
    };
    // Informs that an earlier process had taken are not answered before.
    keep();
    let mut to_sync = pin!(changed());
    loop {
        tokio::select! {
            // In this order, so that a simulation repeats it. What is due again and again comes behind what comes once a second.
            biased;
            () = told(&mut stop) => return,
            () = &mut to_sync => {
                keep();
                to_sync.set(changed());
            }
            () = commit.correlation.wait(|| shared.now()) => commit.advance(shared.now()),
            // What the journal has refused may be all that there is to write.
            () = tokio::time::sleep(RETRY), if commit.refusing() => commit.retry(shared.now()),
        }
    }
}
