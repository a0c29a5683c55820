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
/// snmpTrapCommunity (RFC 3584).
pub const SNMP_TRAP_COMMUNITY_OBJECT: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 6, 3, 18, 1, 4]);
/// snmpTrapCommunity.0 (RFC 3584).
pub const SNMP_TRAP_COMMUNITY: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 6, 3, 18, 1, 4, 0]);

const OUTCOME: [u8; 12] = trapline([0, 1]);

/// traplineOutcome of TRAPLINE-MIB: a notification of an outcome.
pub const TRAPLINE_OUTCOME: Oid<'static> = Oid::from_canonical(&OUTCOME);
/// traplineHost.0 of TRAPLINE-MIB.
pub const TRAPLINE_HOST: Oid<'static> = Oid::from_canonical(&const { object(1) });
/// traplineService.0
pub const TRAPLINE_SERVICE: Oid<'static> = Oid::from_canonical(&const { object(2) });
/// traplineState.0
pub const TRAPLINE_STATE: Oid<'static> = Oid::from_canonical(&const { object(3) });
/// traplineOutput.0
pub const TRAPLINE_OUTPUT: Oid<'static> = Oid::from_canonical(&const { object(4) });
/// traplineRule.0
pub const TRAPLINE_RULE: Oid<'static> = Oid::from_canonical(&const { object(5) });
/// traplineId.0
pub const TRAPLINE_ID: Oid<'static> = Oid::from_canonical(&const { object(6) });
/// traplineTime.0
pub const TRAPLINE_TIME: Oid<'static> = Oid::from_canonical(&const { object(7) });
/// traplineSource.0
pub const TRAPLINE_SOURCE: Oid<'static> = Oid::from_canonical(&const { object(8) });
/// traplinePerfdata.0
pub const TRAPLINE_PERFDATA: Oid<'static> = Oid::from_canonical(&const { object(9) });
/// traplineFields.0
pub const TRAPLINE_FIELDS: Oid<'static> = Oid::from_canonical(&const { object(10) });
/// traplineLabels.0
pub const TRAPLINE_LABELS: Oid<'static> = Oid::from_canonical(&const { object(11) });
/// traplinePath.0: the daemons that a notification has passed.
pub const TRAPLINE_PATH: Oid<'static> = Oid::from_canonical(&const { object(12) });

/// Below trapline, 1.3.6.1.4.1.32473.162: 32473 is the enterprise number for examples (RFC 5612).
const fn trapline<const N: usize, const M: usize>(below: [u8; N]) -> [u8; M] {
    let head = [0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 0x81, 0x22];
    let mut all = [0; M];
    let mut at = 0;
    while at < M {
        all[at] = if at < head.len() { head[at] } else { below[at - head.len()] };
        at += 1;
    }
    all
}

/// The instance of the scalar object of a number.
const fn object(number: u8) -> [u8; 13] {
    trapline([1, number, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_oids() {
        assert_eq!(TRAPLINE_OUTCOME.to_string(), "1.3.6.1.4.1.32473.162.0.1");
        assert_eq!(TRAPLINE_PATH.to_string(), "1.3.6.1.4.1.32473.162.1.12.0");
    }
}
