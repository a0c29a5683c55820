//! Messages that no rule takes and packets that cannot be decoded, by kind, with the last messages of each as they came.
//!
//! [`groups`] keeps them in memory, bounded for each group, so that a flood of one kind pushes no other out. [`store`] shares
//! them between listeners and keeps them in a file. [`mask`] finds what lines of one kind have in common.

pub mod course;
pub mod groups;
pub mod mask;
pub mod store;

pub use groups::{Group, Groups, Key, Raw, Sample};
pub use store::Inbox;
