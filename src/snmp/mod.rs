//! The SNMP protocol without I/O: packets to notifications, notifications to packets, answers to informs.
//!
//! [`decode()`] reads v1 and v2c (RFC 1157, RFC 1901, RFC 3416) with a borrowed decoder in nom that takes what
//! net-snmp takes. snmp-parser reads the envelope of v3 messages, and is the oracle that the v1 and v2c decoder
//! is tested and fuzzed against. [`usm`] is the security of v3.

pub mod access;
pub mod anonymous;
pub mod ber;
pub mod decode;
pub mod encode;
pub mod framing;
pub mod passed;
mod response;
pub mod usm;
pub mod well_known;

pub use decode::{DecodeError, Decoded, decode, decode_scoped};
pub use response::Response;
pub use usm::Usm;

#[cfg(test)]
mod conformance_page_tests;
