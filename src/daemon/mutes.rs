//! Ends mutes in time, journals the last words of what was muted, and keeps the mutes on disk.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::supervise::{Stop, told};
use crate::files::Folder;
use crate::intake::Shared;
use crate::intake::commit::{Made, Refused};
use crate::intake::mutes::{Kept, Mutes};

/// The file of the state directory.
const FILE: &str = "mutes.json";
/// The largest file that is read, in octets.
const LARGEST: u64 = 64 << 20;
/// How often one looks while there are mutes.
const LOOK: Duration = Duration::from_secs(1);
/// How many looks there are from one writing to the next where much is withheld.
const SELDOM: u32 = 30;

/// Goes on with what an earlier process has left. Called before messages are processed.
pub fn resume(shared: &Shared) {
    match read(shared.journal.directory()) {
        Ok(Some(kept)) => shared.commit.mutes.resume(kept),
        Ok(None) => {}
        Err(error) => {
            tracing::error!(%error, "cannot read {FILE}: mutes by command are forgotten; mute again");
        }
    }
}

/// Looks until told to stop. Sleeps while there are no mutes. Blocks.
pub async fn run(shared: Arc<Shared>, mut stop: Stop) {
    let (mut unsaid, mut looks) = (true, 0u32);
    loop {
        if shared.commit.mutes.any() {
            // To stop comes first, as in all loops here: a simulation repeats what has an order.
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        } else {
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                () = shared.commit.mutes.changed() => {}
            }
        }
        looks = looks.wrapping_add(1);
        let said = look(&shared);
        if said || looks % SELDOM == 0 || !shared.commit.mutes.is_large() {
            // Only now is forgotten what was sent: a crash in between sends it twice.
            keep(&shared, &mut unsaid);
        }
    }
}

/// Journals the last words of mutes that are over; whether there were any.
fn look(shared: &Shared) -> bool {
    // They are safe where they are, and would not be in the queue of what the journal refuses.
    if shared.refusing() {
        return false;
    }
    let now = shared.now();
    let words = shared.commit.mutes.look(now.wall);
    if !words.is_empty() {
        let mut made = Made::default();
        for word in &words {
            // As long as it was when it was journaled first, and a few octets.
            if !made.batch.push_encoded(word) {
                shared.stats.outcomes_lost.add(1);
                tracing::error!("the last outcome of a mute is longer than 1 MiB and lost");
            }
        }
        // What is refused waits with what else is refused.
        let _ = shared.commit.batch(now, &mut made, Refused::Queues);
        // They are forgotten here next, which is safe from a power cut. Who logs that a disk cannot sync is whoever answers informs.
        let _ = shared.journal.sync(u64::MAX);
    }
    !words.is_empty()
}

/// Writes the mutes if they have changed; `unsaid` says whether a failure is still to be logged.
pub fn keep(shared: &Shared, unsaid: &mut bool) {
    match save(&shared.commit.mutes, shared.journal.directory()) {
        Ok(()) => *unsaid = true,
        Err(error) if std::mem::take(unsaid) => {
            tracing::warn!(%error, "cannot write {FILE}: a crash forgets mutes; it is tried again; check the disk");
        }
        Err(_) => {}
    }
}

/// Writes the mutes if they have changed.
///
/// # Errors
///
/// If they cannot be written.
pub fn save(mutes: &Mutes, directory: &Path) -> io::Result<()> {
    let Some(kept) = mutes.take_changes() else { return Ok(()) };
    let written = Folder::existing(directory).and_then(|folder| {
        folder.replace(FILE, |file| serde_json::to_writer(file, &kept).map_err(io::Error::from))
    });
    if written.is_err() {
        mutes.not_written();
    }
    written
}

fn read(directory: &Path) -> io::Result<Option<Kept>> {
    match Folder::existing(directory).and_then(|folder| folder.read(FILE, LARGEST)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::files::faulty::{Faults, Faulty};
    use crate::journal::{Journal, Options, SyncPolicy, WhenFull};
    use crate::outcome::codec;
    use crate::outcome::result::Outcome;
    use crate::sinks::testing::check;
    use crate::time::clock::{TestClock, Wall};

    #[test]
    fn last_words_stay_on_the_disk_while_the_journal_refuses() {
        let disk = Faulty::new(7);
        let options =
            Options { directory: "/journal".into(), max_size: 1 << 30, when_full: WhenFull::Refuse };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap();
        let clock = Arc::new(TestClock::default());
        let shared = Shared::new(journal, SyncPolicy::Never, clock.clone());
        let mut payload = Vec::new();
        codec::encode(&Outcome::CheckResult(check("h", None, "down")), &mut payload);

        disk.set_faults(Faults { write: 1, ..Faults::default() });
        let mut made = Made::default();
        assert!(made.batch.push_encoded(&payload));
        let _ = shared.commit.batch(shared.now(), &mut made, Refused::Queues);
        assert!(shared.refusing());
        // Its mute ended while no process ran.
        let hex = data_encoding::HEXLOWER.encode(&payload);
        let kept = json!({ "last_id": 1, "mutes": [], "words": [{ "payload": hex, "sinks": "*" }] });
        let mutes = &shared.commit.mutes;
        mutes.resume(serde_json::from_value(kept).unwrap());
        let withheld = || mutes.to_json(Wall::from_micros(0))["withheld"].as_u64();
        assert!(!look(&shared));
        assert_eq!(withheld(), Some(1));
        disk.set_faults(Faults::default());
        clock.advance(Duration::from_mins(1));
        shared.commit.retry(shared.now());
        assert!(look(&shared));
        assert_eq!(withheld(), Some(0));
    }
}
