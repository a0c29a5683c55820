//! Names for OIDs: what MIB modules know, as far as a receiver of notifications needs it.
//!
//! [`load()`] reads modules with mib-rs and keeps the compact [`Mib`] alone; nobody outside this room sees the
//! library. [`mod@format`] writes values as a person would.

pub mod format;
pub mod index;
pub mod instance;
pub mod load;
pub mod table;

pub use index::{Base, Kind, Mib, Object, Syntax};
