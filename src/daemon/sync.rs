//! Syncs the journal once a second, if anything was appended or could not be synced, deletes what every sink has taken, tries again what the
//! journal has refused, and looks whether its files are still there.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::supervise::{Stop, told};
use crate::intake::Shared;
use crate::journal::{Journal, Looked, SyncPolicy};
use crate::status::Status;

/// How long after an append the journal is synced, where nothing asks for it earlier.
const DELAY: Duration = Duration::from_secs(1);
/// How often segments that every sink has taken are deleted, while a sink is behind.
const CLEAN: Duration = Duration::from_secs(10);

/// The name under which the status tells of a journal that is not where it should be.
const PLACE: &str = "the journal directory";

/// Runs until told to stop, on a thread of its own, as a sync blocks. Nothing wakes it up while nothing is appended and no
/// sink is behind.
pub async fn run(shared: Arc<Shared>, policy: SyncPolicy, stop: Stop) {
    regularly(&shared, policy, stop, |_| {}).await;
}

/// The same for a daemon: `status` tells what happened to files of the journal, and `looked` that they were looked at.
pub async fn run_for(status: Arc<Status>, policy: SyncPolicy, looked: Arc<watch::Sender<()>>, stop: Stop) {
    let tell = |found: &io::Result<Looked>| {
        tell(&status, found);
        looked.send_replace(());
    };
    regularly(&status.shared, policy, stop, tell).await;
}

async fn regularly(
    shared: &Arc<Shared>,
    policy: SyncPolicy,
    mut stop: Stop,
    tell: impl Fn(&io::Result<Looked>) + Send,
) {
    let journal = &shared.journal;
    let mut lost = false;
    let follower = journal.follower();
    // What was appended before this thread was started, or restarted, is to be synced, too.
    let mut seen = 0;
    loop {
        let to_mend = policy != SyncPolicy::Never && !journal.is_mended();
        let behind = journal.cursors().iter().any(|(_, cursor)| journal.behind(cursor) > 0);
        let wake = async {
            let more = follower.beyond(seen);
            let most = match (shared.refusing() || lost || to_mend, behind) {
                (true, _) => Some(DELAY),
                (false, true) => Some(CLEAN),
                (false, false) => None,
            };
            let came = match most {
                Some(most) => tokio::time::timeout(most, more).await.is_ok(),
                None => {
                    more.await;
                    true
                }
            };
            if came {
                tokio::time::sleep(DELAY).await;
            }
        };
        tokio::select! {
            biased;
            () = wake => {}
            // Somebody has found that something is not in its place.
            () = journal.missed() => {}
            () = told(&mut stop) => return,
        }
        seen = follower.next();
        let found = journal.look();
        say(journal, &found, lost);
        lost = found.is_err();
        tell(&found);
        shared.commit.retry(shared.now());
        journal.clean();
        if policy != SyncPolicy::Never
            && !lost
            && let Err(error) = journal.mend().and_then(|_| journal.sync(u64::MAX))
        {
            tracing::error!(%error, "the journal cannot be synced; what came in the last second may not survive a power cut; check the disk");
        }
    }
}

/// Logs what became of files of the journal. `known` says that they could not be made anew before.
fn say(journal: &Journal, found: &io::Result<Looked>, known: bool) {
    let directory = journal.directory().display();
    match found {
        // The journal says itself that it has room.
        Ok(Looked::Well | Looked::Room) => {}
        Ok(Looked::Restored { segments }) => tracing::error!(
            segments_lost = segments,
            "somebody has removed or replaced files of the journal in {directory}: they were made anew; find out who removes files there"
        ),
        // Said when it was opened.
        Err(_) if journal.lacks_room() => {}
        Err(error) if !known => tracing::error!(
            %error,
            "files of the journal in {directory} are gone and cannot be made anew; trying again every second"
        ),
        Err(_) => {}
    }
}

/// Has the status tell what became of files of the journal.
fn tell(status: &Status, found: &io::Result<Looked>) {
    match found {
        Ok(Looked::Well | Looked::Room) => status.health.recovered(PLACE),
        Err(_) if status.shared.journal.lacks_room() => {
            status.health.failed(PLACE, "takes no outcomes; make room on its disk".to_owned());
        }
        Ok(Looked::Restored { segments }) => {
            let lost = if *segments == 0 { String::new() } else { format!("; {segments} segments are lost") };
            status.health.failed(PLACE, format!("had lost files, which were made anew{lost}; see the log"));
            status.health.restarted(PLACE, status.clock.now().mono);
        }
        Err(error) => status.health.failed(PLACE, format!("is gone and cannot be made anew: {error}")),
    }
}
