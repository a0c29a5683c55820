//! Has everything happen that is due in the state of rules. Nothing wakes it up while nothing is.

use std::sync::Arc;

use super::supervise::{Stop, told};
use crate::intake::Shared;

/// Runs until told to stop, on a thread of its own, as a commit blocks.
pub async fn run(shared: Arc<Shared>, mut stop: Stop) {
    loop {
        tokio::select! {
            () = shared.commit.correlation.wait(|| shared.now()) => {}
            () = told(&mut stop) => return,
        }
        shared.commit.advance(shared.now());
    }
}
