//! The history of outcomes in SQLite files: what people search, plot and export, also without the daemon and with other tools.
//!
//! ```text
//! DIRECTORY/
//!   outcomes-000017-2026-11-26.db   rows and their full-text index; a file a day, or a sixteenth of max_size
//!   rollup.db                       the current state of each host and service; counts a minute
//! ```
//!
//! One [`Writer`] takes records of the journal in order and commits them in batches. It never holds the journal back: what the
//! journal removed before it was read is counted, exactly, as the numbers of records have no gaps of their own. Each file
//! keeps the number of the record that it wants next, in the transaction of its rows, so a crash between two files loses and
//! repeats nothing.
//!
//! - A row's key `n` is the time of its outcome in microseconds, or one more than the last key: keys rise, and are never less
//!   than the time. So a range of times is a range of keys, without an index.
//! - Every outcome counts in `minute`. Rows are [thinned](thin): changes of state come first.
//! - What made no outcome has rows, too, one a [reason](why), rule, host and service in a minute. They count nowhere else.
//! - Retention removes whole files, the oldest first. Nothing is deleted within one.
//! - A [`Search`] opens the files for itself, to read only, also in another process.

pub mod account;
pub mod counters;
pub mod endpoint;
mod error;
pub mod export;
pub mod facets;
pub mod filter;
mod part;
mod parts;
pub mod rollup;
pub mod row;
mod schema;
pub mod search;
pub mod series;
pub mod settings;
mod states;
pub mod thin;
mod untold;
pub mod why;
pub mod words;
pub mod writer;

pub use counters::Counters;
pub use error::HistoryError;
pub use facets::Facets;
pub use filter::Filter;
pub use row::Row;
pub use search::{Page, Search};
pub use settings::Settings;
pub use why::{Untold, Why};
pub use writer::Writer;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
