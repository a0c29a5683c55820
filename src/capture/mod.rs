//! A bounded ring of the messages that rules saw, matched ones too, so that changed rules can be tried on them.
//!
//! Listeners encode entries into a batch of their own and add it to a buffer of a fixed size: [`Capture`]. A thread of the
//! daemon writes the buffer into files of the state directory and removes the oldest ones: [`Ring`]. What does not fit into
//! the buffer is counted and left out; nobody waits. Without `[capture]` a listener looks at one number a batch.

pub mod buffer;
pub mod entry;
pub mod in_force;
pub mod ring;
pub mod settings;

pub use buffer::{Batch, Capture};
pub use entry::{Body, Entry};
pub use ring::{Reader, Ring};
pub use settings::Settings;
