//! What is known of a queue.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::intake::amqp::settings::Queue;
use crate::intake::board;

/// All queues that are read.
pub type Board = board::Board<Queue>;

/// What is known of a queue.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whether its messages come.
    pub connected: bool,
    /// Messages that were taken and acknowledged.
    pub taken: u64,
    /// Messages that the broker delivered again.
    pub redelivered: u64,
    /// Messages that have no event, and were rejected.
    pub rejected: u64,
    /// Why its messages do not come; none if they do.
    pub error: Option<Arc<str>>,
}

impl board::Source for Queue {
    type Entry = Entry;

    fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl board::Entry for Entry {
    fn stopped(&mut self) -> &mut Option<Arc<str>> {
        self.connected = false;
        &mut self.error
    }

    fn to_json(&self, name: &str) -> Value {
        json!({
            "name": name,
            "connected": self.connected,
            "taken": self.taken,
            "redelivered": self.redelivered,
            "rejected": self.rejected,
            "error": self.error.as_deref(),
        })
    }
}
