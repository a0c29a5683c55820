//! OIDs that the protocol itself speaks of, as content octets.

use crate::oid::Oid;

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
