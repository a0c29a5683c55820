//! What a rule makes of a message, its identity in the journal, and its encodings: binary for the journal, JSON for users.

pub mod codec;
pub mod compact;
pub mod json;
pub mod name;
pub mod record;
pub mod result;
pub mod room;
#[cfg(test)]
pub(crate) mod testing;

pub use name::Name;
pub use record::Record;
pub use result::{CheckResult, Common, Event, Labels, Outcome, State};
