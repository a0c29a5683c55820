//! The SNMP protocol without I/O: packets to notifications, notifications to packets, answers to informs.
//!
//! [`decode()`] reads v1 and v2c (RFC 1157, RFC 1901, RFC 3416) with a borrowed decoder in nom that takes what
//! net-snmp takes. [`usm`] is the security of v3, and reads the envelope of its messages by the same rules. snmp-parser is the oracle
//! that both are tested against, and that the decoder is fuzzed against; the daemon itself has no part of it.

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
