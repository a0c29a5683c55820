//! `snmptt.conf` to rules with the same meaning, and a list of all that could not be carried over.
//!
//! snmptt (1.5) looks a trap up by its whole OID; only if no EVENT of it takes the trap, by the longest wildcard there
//! is. All EVENTs of an OID may take it. Rules are tried in order, so those of whole OIDs come first, then wildcards,
//! the longest first, and EVENTs that share an OID go on to the next.

pub mod condition;
pub mod events;
pub mod ini;
pub mod left_out;
pub mod order;
pub mod parse;
pub mod perl;
pub mod submit;
pub mod substitute;
pub mod write;

pub use events::{Imported, Options, import};
pub use ini::{Ini, Names};
pub use left_out::LeftOut;

#[cfg(test)]
mod tests;
