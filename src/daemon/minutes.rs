//! Notes the counters at the beginning of each minute, so that the last hour can be shown to whoever begins to look.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::sync::Arc;

use super::supervise::{Stop, told};
use crate::status::Status;
use crate::vitals::Minutes;

/// Notes them until told to stop.
pub async fn note(status: Arc<Status>, mut stop: Stop) {
    loop {
        status.note_minute();
        let next = Minutes::until_next(status.clock.now().mono);
        tokio::select! {
            () = tokio::time::sleep(next) => {}
            () = told(&mut stop) => return,
        }
    }
}
