//! Reads the journal for the streams of the API, while somebody looks on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::supervise::{Stop, told};
use crate::journal::Reader;
use crate::status::Status;
use crate::time::clock::Mono;
use crate::web::feed::{Feed, LONGEST};

/// How long it goes on when nobody looks on any more: who comes back in this time has missed nothing.
const LINGER: Duration = Duration::from_mins(10);
/// How many outcomes are read at a time.
const AT_ONCE: usize = 1000;
/// How long to wait for more to come, so that many wake readers once.
const DELAY: Duration = Duration::from_millis(5);
/// How long to wait after an error.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs on a thread of its own, as reading blocks, until told to stop. While nobody looks on, nothing wakes it up.
pub async fn run(status: Arc<Status>, feed: Arc<Feed>, mut stop: Stop) {
    let mut readers = feed.readers();
    loop {
        tokio::select! {
            _ = readers.wait_for(|count| *count > 0) => {}
            () = told(&mut stop) => return,
        }
        tokio::select! {
            () = fill(&status, &feed) => {}
            () = unwatched(&mut readers) => {}
            () = told(&mut stop) => return,
        }
        feed.set_filled(false);
    }
}

/// Returns when nobody has looked on for a while.
async fn unwatched(readers: &mut watch::Receiver<usize>) {
    loop {
        // The sender is a part of the feed.
        let _ = readers.wait_for(|count| *count == 0).await;
        let back = tokio::time::timeout(LINGER, readers.wait_for(|count| *count > 0)).await;
        if back.is_err() {
            return;
        }
    }
}

/// Reads from what came lately on, without end.
async fn fill(status: &Status, feed: &Feed) {
    let journal = &status.shared.journal;
    let follower = journal.follower();
    let until = journal.next();
    let from = until.saturating_sub(LONGEST as u64).max(journal.oldest());
    feed.begin(from);
    let mut reader = journal.reader(from);
    loop {
        let seen = follower.next();
        let read = round(&mut reader, feed, status.clock.now().mono);
        if reader.position() >= until {
            feed.set_filled(true);
        }
        match read {
            Ok(0) => {
                feed.set_filled(true);
                tokio::select! {
                    () = follower.beyond(seen) => {}
                    // The next round closes its file.
                    () = follower.removed(reader.holds()) => {}
                }
                tokio::time::sleep(DELAY).await;
            }
            Ok(_) => {
                feed.publish();
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be read for the streams of the API; check the disk");
                feed.set_filled(true);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn round(reader: &mut Reader, feed: &Feed, now: Mono) -> std::io::Result<usize> {
    reader.read_encoded(AT_ONCE, |record, payload| {
        feed.take(&record, payload, now);
        true
    })
}
