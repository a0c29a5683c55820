//! Any packet is safe to decode, and what snmp-parser takes as a notification too has the same community and, if nothing about
//! it is odd, the same varbinds here.

use snmp_parser::asn1_rs::FromBer;
use snmp_parser::{SnmpMessage, SnmpPdu};
use trapline::oid::{Oid, ZERO_DOT_ZERO};
use trapline::snmp::well_known;

/// One input.
pub fn run(packet: &[u8]) {
    let Ok(decoded) = trapline::snmp::decode(packet) else { return };
    let _ = decoded.answer(65_507);
    let ours = &decoded.notification;
    let _ = trapline::snmp::encode::encode(ours);
    let Ok((_, theirs)) = SnmpMessage::from_ber(packet) else { return };
    let varbinds = match &theirs.pdu {
        SnmpPdu::Generic(pdu) if matches!(pdu.pdu_type.0, 6 | 7) => &pdu.var,
        SnmpPdu::TrapV1(pdu) => &pdu.var,
        _ => return,
    };
    assert_eq!(ours.community, theirs.community.as_bytes());
    if decoded.odd > 0 {
        // Of a varbind that breaks the rules each of the two may make something else, as of an indefinite length.
        return;
    }
    let head = [well_known::SYS_UP_TIME, well_known::SNMP_TRAP_OID];
    let v1 = matches!(theirs.pdu, SnmpPdu::TrapV1(_));
    // The two that every v2 notification begins with have fields of their own, and may stand again.
    let names = varbinds.iter().map(|v| Oid::from_ber(v.oid.as_bytes()).unwrap_or(ZERO_DOT_ZERO));
    let theirs: Vec<Oid<'_>> = names.filter(|oid| v1 || !head.contains(oid)).collect();
    let ours: Vec<Oid<'_>> =
        ours.varbinds.iter().map(|v| v.oid.borrowed()).filter(|oid| v1 || !head.contains(oid)).collect();
    assert!(ours.starts_with(&theirs) || theirs.starts_with(&ours), "{ours:?} {theirs:?}");
}
