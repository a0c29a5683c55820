//! Any packet is safe to decode, and what snmp-parser takes as a notification has the same community and as many
//! varbinds here.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snmp_parser::asn1_rs::FromBer;
use snmp_parser::{SnmpMessage, SnmpPdu};

fuzz_target!(|packet: &[u8]| {
    let Ok(decoded) = trapline::snmp::decode(packet) else { return };
    let _ = decoded.answer();
    let ours = &decoded.notification;
    let _ = trapline::snmp::encode::encode(ours);
    let Ok((_, theirs)) = SnmpMessage::from_ber(packet) else { return };
    let (SnmpPdu::Generic(_) | SnmpPdu::TrapV1(_)) = theirs.pdu else { return };
    assert_eq!(ours.community, theirs.community.as_bytes());
});
