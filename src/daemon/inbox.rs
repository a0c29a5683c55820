//! Writes the inbox and the last check-ins to their files some seconds after they have changed.

use std::sync::Arc;

use super::supervise::{Stop, told};
use crate::inbox::store;
use crate::intake::Shared;
use crate::intake::http::latest;

/// Runs on a thread of its own, as a write blocks, until told to stop. Nothing wakes it up while nothing changes.
pub fn run(shared: &Arc<Shared>, stop: &Stop) {
    match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime.block_on(regularly(shared, stop.clone())),
        Err(error) => tracing::error!(%error, "the thread that writes the inbox cannot be started"),
    }
}

async fn regularly(shared: &Arc<Shared>, mut stop: Stop) {
    let (inbox, checkins) = (&shared.inbox, &shared.latest);
    let unmatched = async {
        loop {
            inbox.changed().await;
            tokio::time::sleep(store::DELAY).await;
            inbox.save();
        }
    };
    let latest = async {
        loop {
            checkins.changed().await;
            tokio::time::sleep(latest::DELAY).await;
            checkins.save();
        }
    };
    tokio::select! {
        () = unmatched => {}
        () = latest => {}
        () = told(&mut stop) => {}
    }
    inbox.save();
    checkins.save();
}
