//! Notifications to packets: what `trapline send` puts on the wire, and what tests feed the decoder with.

use std::net::Ipv4Addr;

use crate::message::{Notification, NotificationKind, Oid, Value, Varbind, Version};
use crate::oid::ZERO_DOT_ZERO;
use crate::snmp::ber::{push_integer, push_tlv, tag};
use crate::snmp::well_known as oids;

/// The packet of a v1 or v2c notification; one of v3 is written as v2c ([`usm::originate`](crate::snmp::usm::originate)
/// secures it). `uptime` is sent as 0 where there is none.
///
/// A v1 notification needs `enterprise`, `generic` and `specific`; without them they are sent as 0.0, 6 and 0.
pub fn encode(notification: &Notification<'_>) -> Vec<u8> {
    let (pdu_tag, pdu) = pdu(notification);
    let mut message = Vec::with_capacity(pdu.len() + 32);
    push_integer(&mut message, tag::INTEGER, i128::from(notification.version != Version::V1));
    push_tlv(&mut message, tag::OCTET_STRING, notification.community);
    push_tlv(&mut message, pdu_tag, &pdu);
    let mut packet = Vec::with_capacity(message.len() + 4);
    push_tlv(&mut packet, tag::SEQUENCE, &message);
    packet
}

/// generic-trap, enterprise and specific-trap of a trap OID (RFC 3584, section 3.2). None if its last arc is beyond 2^31-1, which
/// v1 cannot say.
pub fn as_v1(oid: &Oid<'_>) -> Option<(i32, Oid<'static>, i32)> {
    let below: Option<Vec<u32>> = oid.suffix(&oids::SNMP_TRAPS).map(|below| below.take(2).collect());
    if let Some(&[generic @ 1..=6]) = below.as_deref() {
        return Some((generic as i32 - 1, oids::SNMP_TRAPS, 0));
    }
    let arcs: Vec<u32> = oid.arcs().collect();
    let (&last, head) = arcs.split_last()?;
    let head = if head.last() == Some(&0) { &head[..head.len() - 1] } else { head };
    // An enterprise of one arc cannot be written.
    let enterprise = Oid::from_arcs(head).unwrap_or(ZERO_DOT_ZERO);
    Some((6, enterprise, i32::try_from(last).ok()?))
}

/// The PDU of a notification: its identifier octet and its content.
pub fn pdu(notification: &Notification<'_>) -> (u8, Vec<u8>) {
    match (notification.version, notification.kind) {
        (Version::V1, _) => (tag::TRAP_V1, pdu_v1(notification)),
        (_, NotificationKind::Trap) => (tag::TRAP_V2, pdu_v2(notification)),
        (_, NotificationKind::Inform) => (tag::INFORM, pdu_v2(notification)),
    }
}

fn pdu_v1(notification: &Notification<'_>) -> Vec<u8> {
    let mut pdu = Vec::with_capacity(128);
    let enterprise = notification.enterprise.as_ref().map_or(&[][..], |e| e.as_bytes());
    push_tlv(&mut pdu, tag::OBJECT_ID, enterprise);
    let agent = notification.agent.unwrap_or(Ipv4Addr::UNSPECIFIED);
    push_tlv(&mut pdu, tag::IP_ADDRESS, &agent.octets());
    push_integer(&mut pdu, tag::INTEGER, notification.generic.unwrap_or(6).into());
    push_integer(&mut pdu, tag::INTEGER, notification.specific.unwrap_or(0).into());
    push_integer(&mut pdu, tag::TIME_TICKS, notification.uptime.unwrap_or(0).into());
    push_varbinds(&mut pdu, &notification.varbinds, None);
    pdu
}

fn pdu_v2(notification: &Notification<'_>) -> Vec<u8> {
    let mut pdu = Vec::with_capacity(128);
    push_integer(&mut pdu, tag::INTEGER, notification.request_id.into());
    push_integer(&mut pdu, tag::INTEGER, 0);
    push_integer(&mut pdu, tag::INTEGER, 0);
    let head = (notification.uptime.unwrap_or(0), &notification.oid);
    push_varbinds(&mut pdu, &notification.varbinds, Some(head));
    pdu
}

fn push_varbinds(pdu: &mut Vec<u8>, varbinds: &[Varbind<'_>], head: Option<(u32, &Oid<'_>)>) {
    let mut list = Vec::with_capacity(128);
    if let Some((uptime, oid)) = head {
        push_varbind(&mut list, &oids::SYS_UP_TIME, &Value::TimeTicks(uptime));
        push_varbind(&mut list, &oids::SNMP_TRAP_OID, &Value::ObjectId(oid.borrowed()));
    }
    for varbind in varbinds {
        push_varbind(&mut list, &varbind.oid, &varbind.value);
    }
    push_tlv(pdu, tag::SEQUENCE, &list);
}

fn push_varbind(list: &mut Vec<u8>, oid: &Oid<'_>, value: &Value<'_>) {
    let mut varbind = Vec::with_capacity(64);
    push_tlv(&mut varbind, tag::OBJECT_ID, oid.as_bytes());
    push_value(&mut varbind, value);
    push_tlv(list, tag::SEQUENCE, &varbind);
}

fn push_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Integer(v) => push_integer(out, tag::INTEGER, (*v).into()),
        Value::OctetString(bytes) => push_tlv(out, tag::OCTET_STRING, bytes),
        Value::ObjectId(oid) => push_tlv(out, tag::OBJECT_ID, oid.as_bytes()),
        Value::IpAddress(address) => push_tlv(out, tag::IP_ADDRESS, &address.octets()),
        Value::Counter32(v) => push_integer(out, tag::COUNTER32, (*v).into()),
        Value::Gauge32(v) => push_integer(out, tag::GAUGE32, (*v).into()),
        Value::TimeTicks(v) => push_integer(out, tag::TIME_TICKS, (*v).into()),
        Value::UInteger32(v) => push_integer(out, tag::UINTEGER32, (*v).into()),
        Value::Counter64(v) => push_integer(out, tag::COUNTER64, (*v).into()),
        Value::Opaque(bytes) => push_tlv(out, tag::OPAQUE, bytes),
        Value::Float(v) => push_opaque(out, 0x78, &v.to_be_bytes()),
        Value::Double(v) => push_opaque(out, 0x79, &v.to_be_bytes()),
        Value::Integer64(v) => push_opaque(out, 0x7a, &v.to_be_bytes()),
        Value::Unsigned64(v) => push_opaque(out, 0x7b, &v.to_be_bytes()),
        Value::Nsap(bytes) => push_tlv(out, tag::NSAP, bytes),
        Value::BitString(bytes) => push_tlv(out, tag::BIT_STRING, bytes),
        Value::Null => push_tlv(out, tag::NULL, &[]),
        Value::NoSuchObject => push_tlv(out, tag::NO_SUCH_OBJECT, &[]),
        Value::NoSuchInstance => push_tlv(out, tag::NO_SUCH_INSTANCE, &[]),
        Value::EndOfMibView => push_tlv(out, tag::END_OF_MIB_VIEW, &[]),
        Value::Odd { tag, bytes } => push_tlv(out, *tag, bytes),
    }
}

fn push_opaque(out: &mut Vec<u8>, kind: u8, number: &[u8]) {
    let mut content = vec![0x9f, kind, number.len() as u8];
    content.extend_from_slice(number);
    push_tlv(out, tag::OPAQUE, &content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_oids_as_v1() {
        for (oid, expected) in [
            ("1.3.6.1.6.3.1.1.5.1", Some((0, "1.3.6.1.6.3.1.1.5", 0))),
            ("1.3.6.1.6.3.1.1.5.6", Some((5, "1.3.6.1.6.3.1.1.5", 0))),
            ("1.3.6.1.6.3.1.1.5.7", Some((6, "1.3.6.1.6.3.1.1.5", 7))),
            ("1.3.6.1.6.3.1.1.5.99.3", Some((6, "1.3.6.1.6.3.1.1.5.99", 3))),
            ("1.3.6.1.6.3.1.1.5.3.0.1", Some((6, "1.3.6.1.6.3.1.1.5.3", 1))),
            ("1.3.6.1.4.1.9.0.5", Some((6, "1.3.6.1.4.1.9", 5))),
            ("1.3.6.1.4.1.9.5", Some((6, "1.3.6.1.4.1.9", 5))),
            ("1.3.6.1.4.1.9.2147483647", Some((6, "1.3.6.1.4.1.9", i32::MAX))),
            ("1.3.6.1.4.1.9.2147483648", None),
            ("1.3.6.1.4.1.9.4294967295", None),
        ] {
            let v1 = as_v1(&oid.parse().unwrap());
            let v1 = v1.map(|(generic, enterprise, specific)| (generic, enterprise.to_string(), specific));
            let expected =
                expected.map(|(generic, enterprise, specific)| (generic, enterprise.to_owned(), specific));
            assert_eq!(v1, expected, "{oid}");
        }
    }
}
