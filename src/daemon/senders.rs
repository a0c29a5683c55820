//! Stores what SNMPv3 knows of senders, each minute and at the end, so that a restart opens no window for replays.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::supervise::{Crew, Member, OnEnd, Stop, told};
use crate::engine_id;
use crate::snmp::usm::Memory;

/// How often it is stored, if it has changed. A crash forgets as much.
const EVERY: Duration = Duration::from_mins(1);

/// The thread that stores it. It has one of its own, as writing blocks.
#[derive(Debug)]
pub struct StoredSenders {
    file: File,
    thread: Member,
}

#[derive(Debug, Clone)]
struct File {
    memory: Arc<Memory>,
    path: PathBuf,
}

impl StoredSenders {
    /// Starts to store it in this file.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn start(crew: &Crew, memory: Arc<Memory>, path: PathBuf) -> io::Result<Self> {
        let file = File { memory, path };
        let of_thread = file.clone();
        let name = "what is known of SNMPv3 senders";
        let thread =
            crew.thread_of_tasks(name, OnEnd::Restart, move |stop| of_thread.clone().regularly(stop))?;
        Ok(StoredSenders { file, thread })
    }

    /// Stores it a last time, when no listener runs any more. Waits at most so long for the thread.
    pub fn finish(&self, most: Duration) {
        self.thread.join(most);
        self.file.store();
    }
}

impl File {
    async fn regularly(self, mut stop: Stop) {
        while tokio::time::timeout(EVERY, told(&mut stop)).await.is_err() {
            self.store();
        }
    }

    fn store(&self) {
        if let Err(error) = engine_id::store_senders(&self.path, &self.memory) {
            tracing::error!(
                %error,
                "cannot store what is known of SNMPv3 senders in {}; after a restart recorded messages may be taken again; check the disk",
                self.path.display()
            );
        }
    }
}
