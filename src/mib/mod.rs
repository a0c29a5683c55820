//! Names for OIDs: what MIB modules know, as far as a receiver of notifications needs it.
//!
//! [`mod@index`] has the definitions, by name and by OID; [`instance`] takes the instances of columns apart, [`mod@format`]
//! writes values as a person would, and [`rows`] does both: the indexes of a row as values. [`load`] reads modules with
//! mib-rs; besides, only DISPLAY-HINTs use that library.

mod context;
pub mod format;
pub mod index;
pub mod instance;
pub mod load;
pub mod parse;
pub mod rows;
pub mod table;

pub use index::{Base, Kind, Mib, Object, Syntax};
