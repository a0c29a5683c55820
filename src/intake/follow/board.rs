//! What is known of a file or journal that is followed.

use std::sync::Arc;

use serde_json::{Value, json};

use super::settings::Source;
use crate::intake::board;

/// All that is followed.
pub type Board = board::Board<Source>;

/// What is known of one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whether it is read.
    pub open: bool,
    /// Lines that were read.
    pub lines: u64,
    /// Entries of the journal that make no line.
    pub refused: u64,
    /// Why it is not read, or what could not be; none if all is well.
    pub error: Option<Arc<str>>,
}

impl board::Source for Source {
    type Entry = Entry;

    fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl board::Entry for Entry {
    fn stopped(&mut self) -> &mut Option<Arc<str>> {
        self.open = false;
        &mut self.error
    }

    fn to_json(&self, name: &str) -> Value {
        json!({
            "name": name,
            "open": self.open,
            "lines": self.lines,
            "refused": self.refused,
            "error": self.error.as_deref(),
        })
    }
}
