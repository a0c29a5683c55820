//! The SNMP protocol without I/O: packets to notifications, notifications to packets, answers to informs.
//!
//! [`decode()`] reads v1 and v2c (RFC 1157, RFC 1901, RFC 3416) with a borrowed decoder in nom that takes what
//! net-snmp takes. snmp-parser reads the envelope of v3 messages, and is the oracle that the v1 and v2c decoder
//! is tested and fuzzed against. [`usm`] is the security of v3.

pub mod ber;
pub mod decode;
pub mod encode;
pub mod framing;
pub mod oid;
pub mod usm;

pub use decode::{DecodeError, Decoded, decode, decode_scoped};
pub use oid::Oid;
pub use usm::Usm;

/// OIDs that the protocol itself speaks of, as content octets.
pub mod well_known {
    use super::Oid;

    /// sysUpTime.0 (RFC 3418).
    pub const SYS_UP_TIME: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 2, 1, 1, 3, 0]);
    /// snmpTrapOID.0 (RFC 3418).
    pub const SNMP_TRAP_OID: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 6, 3, 1, 1, 4, 1, 0]);
    /// snmpTrapEnterprise.0 (RFC 3418).
    pub const SNMP_TRAP_ENTERPRISE: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 6, 3, 1, 1, 4, 3, 0]);
    /// snmpTraps: the parent of the generic traps (RFC 3418).
    pub const SNMP_TRAPS: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 6, 3, 1, 1, 5]);
    /// snmpTrapAddress.0 (RFC 3584).
    pub const SNMP_TRAP_ADDRESS: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 6, 3, 18, 1, 3, 0]);
    /// snmpTrapCommunity.0 (RFC 3584).
    pub const SNMP_TRAP_COMMUNITY: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 6, 3, 18, 1, 4, 0]);
}
