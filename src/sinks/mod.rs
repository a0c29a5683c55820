//! Sinks: each delivers the outcomes of the journal to one place, at its own pace, with its own cursor.
//!
//! - [`sink`]: what a sink is. [`registry`]: the sinks that there are.
//! - [`machine`]: which outcome is sent when, and what its answer means for it. Pure.
//! - [`delivery`]: reads the journal and runs the machine. [`dead`]: what servers will never take.
//!
//! To add one: a file here that implements [`adapter::PushSink`], a variant of [`settings::SinkKind`], a line in
//! [`registry`], a page in `docs/sinks/`, an end-to-end test.

pub mod adapter;
pub mod amqp;
pub mod canopsis;
pub mod dead;
pub mod delivery;
pub mod file;
pub mod filter;
pub mod http;
mod keeper;
pub mod machine;
pub mod nagios;
pub mod nsca;
mod queue;
pub mod registry;
mod report;
mod retries;
pub mod running;
pub mod settings;
pub mod sink;
pub mod stats;
pub mod template;
mod tracker;

pub use delivery::deliver;
pub use running::Running;
pub use stats::SinkStats;
