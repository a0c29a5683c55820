//! Writes the inbox to its file some seconds after it has changed.

use std::sync::Arc;

use super::supervise::{Stop, told};
use crate::inbox::store::DELAY;
use crate::intake::Shared;

/// Runs on a thread of its own, as a write blocks, until told to stop. Nothing wakes it up while nothing changes.
pub fn run(shared: &Arc<Shared>, stop: &Stop) {
    match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime.block_on(regularly(shared, stop.clone())),
        Err(error) => tracing::error!(%error, "the thread that writes the inbox cannot be started"),
    }
}

async fn regularly(shared: &Arc<Shared>, mut stop: Stop) {
    let inbox = &shared.inbox;
    loop {
        let changed = async {
            inbox.changed().await;
            tokio::time::sleep(DELAY).await;
        };
        tokio::select! {
            () = changed => {}
            () = told(&mut stop) => return inbox.save(),
        }
        inbox.save();
    }
}
