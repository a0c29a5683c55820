//! Translates `snmptrapd.conf` (net-snmp 5.9) to the configuration of Trapline: addresses, communities, users, access.
//! Handlers and forwards are named for a human, who decides what replaces them.

mod directives;
mod handlers;
mod left_out;
mod words;
mod write;

pub use left_out::LeftOut;
pub use write::{Imported, import};

#[cfg(test)]
mod tests;
