//! Follows what is wanted: a task for each on one thread, which nothing else runs on, so that it may wait for a disk.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::sleep;

use super::feed::{Feed, Marks};
use super::file::Follower;
use super::journald;
use super::reader::Line;
use super::settings::{Kind, Source, Start};
use super::store::{Mark, Store};
use super::watch::Watch;
use crate::intake::shared::Shared;

/// How long to wait before a file is tried again that cannot be read.
const AGAIN: Duration = Duration::from_secs(1);
/// How long nothing need happen in the folder of a file: other machines can write to it without the kernel's knowing.
const LOOK: Duration = Duration::from_secs(10);
/// The same while a file that was renamed is still read.
const LINGER: Duration = Duration::from_secs(1);
/// How much of a file is read before it is committed, in chunks.
const CHUNKS: usize = 4;

/// Follows what is wanted, until told to stop. `stop` becomes true then.
pub async fn run(shared: Arc<Shared>, stop: watch::Receiver<bool>) {
    let mut wanted = shared.follows.wanted();
    let mut told = stop.clone();
    let ended = async {
        // The sender is gone only with the daemon.
        let _ = told.wait_for(|stop| *stop).await;
    };
    tokio::pin!(ended);
    let marks: Marks = loop {
        match Store::open(shared.journal.directory()) {
            Ok(store) => break Arc::new(Mutex::new(store)),
            // Without knowing where reading went on, all would be taken twice.
            Err(error) => {
                tracing::error!(%error, "cannot read where reading files goes on; no file is followed; check the journal directory");
                tokio::select! {
                    () = &mut ended => return,
                    () = sleep(LOOK) => {}
                }
            }
        }
    };
    let mut following = FuturesUnordered::new();
    let mut sources: Vec<Arc<Source>> = Vec::new();
    loop {
        // One that has changed goes on where it was written last.
        let now = wanted.borrow_and_update().clone();
        if now != sources {
            following = now
                .iter()
                .map(|source| {
                    let feed = Feed::new(shared.clone(), source.clone(), marks.clone(), stop.clone());
                    follow(feed, source.clone(), stop.clone())
                })
                .collect();
            sources = now;
        }
        tokio::select! {
            biased;
            // Those that end write where they are.
            () = &mut ended => break,
            changed = wanted.changed() => if changed.is_err() { return },
            Some(()) = following.next() => {}
        }
    }
    let last = async { while following.next().await.is_some() {} };
    let _ = tokio::time::timeout(AGAIN, last).await;
}

/// Follows one until told to stop.
async fn follow(feed: Feed, source: Arc<Source>, stop: watch::Receiver<bool>) {
    match &source.kind {
        Kind::File(path) => file(feed, path, stop).await,
        Kind::Journald(directory, matches) => {
            journald::follow(feed, directory.as_deref(), matches, stop).await;
        }
    }
}

async fn file(mut feed: Feed, path: &Path, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(why) = read(&mut feed, path, &mut stop).await {
            feed.failed(&why);
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                () = sleep(AGAIN) => {}
            }
        }
    }
}

/// Reads a file until told to stop, or until it has to begin again where it was saved.
async fn read(feed: &mut Feed, path: &Path, stop: &mut watch::Receiver<bool>) -> Result<(), String> {
    let wrong = |error: &std::io::Error| {
        format!(
            "cannot read {}: {error}; it is tried again; see whether this user may read it",
            path.display()
        )
    };
    let known = feed.mark();
    let places = match &known {
        Some(Mark::Files(places)) => places.as_slice(),
        _ => &[],
    };
    // What has come since it was known that nothing is there is read from its start.
    let start = if known.is_some() { Start::Beginning } else { feed.source.start };
    let now = feed.shared.now().mono;
    let mut watch = Watch::of(path);
    let mut follower = Follower::new(path, places, start, now).map_err(|error| wrong(&error))?;
    // What came before the first start is not read later, either.
    feed.save(Mark::Files(follower.places()));
    let mut saved = follower.places();
    loop {
        let mut more = false;
        // All that was read is in the journal now.
        if follower.look(feed.shared.now().mono).map_err(|error| wrong(&error))? {
            saved = follower.places();
            feed.save(Mark::Files(saved.clone()));
        }
        feed.begin();
        for _ in 0..CHUNKS {
            let now = feed.shared.now().mono;
            let mut give = |line: Line<'_>| match line {
                Line::Whole(line) => feed.line(line, true),
                Line::Beginning(line) => feed.line(line, false),
            };
            more = follower.read(now, &mut give).map_err(|error| wrong(&error))?;
            if !more || feed.is_full() {
                break;
            }
        }
        if feed.commit().await.is_err() {
            return Ok(());
        }
        match follower.take_lost() {
            Some(why) => feed.failed(&format!("{}: {why}", path.display())),
            None if follower.is_open() => feed.works(),
            None => feed.failed(&format!("{} is not there; it is read when it comes", path.display())),
        }
        let places = follower.places();
        let stops = *stop.borrow();
        if places != saved && (stops || !more || feed.is_due()) {
            feed.save(Mark::Files(places.clone()));
            saved = places;
        }
        if stops {
            return Ok(());
        }
        if more {
            tokio::task::yield_now().await;
            continue;
        }
        let most = if follower.lingers() { LINGER } else { LOOK };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = watch.wait(most) => {}
        }
    }
}
