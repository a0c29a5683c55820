//! Translates `snmptt.conf` to rules with the same meaning, and lists everything that it cannot translate.
//!
//! snmptt (1.5) looks up a trap by its complete OID. If no EVENT with that OID matches, it uses the longest wildcard.
//! Several EVENTs with one OID can match. Trapline tries rules in order, so rules with complete OIDs come first, then
//! those with wildcards, the longest first, and each of several EVENTs with one OID continues to the next.

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
