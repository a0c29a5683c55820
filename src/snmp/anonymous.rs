//! Messages without what makes them secret, to be kept and shown.

use crate::snmp::ber::{expect, integer, push_integer, push_tlv, tag, tlv};

/// snmpTrapCommunity.0 (RFC 3584, section 3.1) and the tag of its value: in the varbinds of a proxied trap it has the community
/// that the agent used.
const PROXIED: &[u8] = b"\x06\x09\x2b\x06\x01\x06\x03\x12\x01\x04\x00\x04";

/// Writes over the communities of agents that a proxy has put into the varbinds of a message.
pub fn mask_proxied(message: &mut [u8]) {
    let mut from = 0;
    while let Some(at) = message[from..].windows(PROXIED.len()).position(|octets| octets == PROXIED) {
        from += at + PROXIED.len();
        let (start, length) = match message[from..] {
            [length, ..] if length < 0x80 => (1, usize::from(length)),
            [0x81, length, ..] => (2, usize::from(length)),
            [0x82, high, low, ..] => (3, usize::from(high) << 8 | usize::from(low)),
            _ => continue,
        };
        let end = (from + start + length).min(message.len());
        message[from + start..end].fill(b'*');
    }
}

/// A v1 or v2c message with an empty community. None if version, community and PDU cannot be told apart.
pub fn without_community(packet: &[u8]) -> Option<Vec<u8>> {
    let (_, message) = expect(tag::SEQUENCE)(packet).ok().or_else(|| {
        // Some devices send less than the length says.
        let (_, content) = packet.split_at_checked(header(packet)?)?;
        Some((&[][..], content))
    })?;
    let (rest, version) = integer(message).ok()?;
    let (pdu, _) = expect(tag::OCTET_STRING)(rest).ok()?;
    Some(message_of(version, pdu))
}

/// A message with an empty community and the PDU of the content of a scoped PDU of SNMPv3 (RFC 3412, section 6.8): of v1 for a
/// Trap-PDU of v1, otherwise of v2c.
pub fn of_scoped(content: &[u8]) -> Option<Vec<u8>> {
    let (rest, _engine) = tlv(content).ok()?;
    let (pdu, _context) = tlv(rest).ok()?;
    Some(message_of(i64::from(pdu.first() != Some(&tag::TRAP_V1)), pdu))
}

fn message_of(version: i64, pdu: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(pdu.len() + 8);
    push_integer(&mut content, tag::INTEGER, version.into());
    push_tlv(&mut content, tag::OCTET_STRING, b"");
    content.extend_from_slice(pdu);
    mask_proxied(&mut content);
    let mut message = Vec::with_capacity(content.len() + 4);
    push_tlv(&mut message, tag::SEQUENCE, &content);
    message
}

/// How many octets identifier and length of an element have.
fn header(element: &[u8]) -> Option<usize> {
    match element.get(1)? {
        length @ 0x81..=0x84 => Some(2 + usize::from(length & 0x7f)),
        length if *length < 0x80 => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snmp::decode;

    fn trap(community: &[u8], value: &[u8]) -> Vec<u8> {
        let mut varbind = Vec::new();
        push_tlv(&mut varbind, tag::OBJECT_ID, &[0x2b, 6, 1, 6, 3, 1, 1, 4, 1, 0]);
        push_tlv(&mut varbind, tag::OBJECT_ID, &[0x2b, 6, 1, 6, 3, 1, 1, 5, 3]);
        let mut other = Vec::new();
        push_tlv(&mut other, tag::OBJECT_ID, &[0x2b, 6, 1]);
        push_tlv(&mut other, tag::OCTET_STRING, value);
        let mut list = Vec::new();
        push_tlv(&mut list, tag::SEQUENCE, &varbind);
        push_tlv(&mut list, tag::SEQUENCE, &other);
        let mut pdu = Vec::new();
        for _ in 0..3 {
            push_integer(&mut pdu, tag::INTEGER, 0);
        }
        push_tlv(&mut pdu, tag::SEQUENCE, &list);
        let mut message = Vec::new();
        push_integer(&mut message, tag::INTEGER, 1);
        push_tlv(&mut message, tag::OCTET_STRING, community);
        push_tlv(&mut message, tag::TRAP_V2, &pdu);
        let mut packet = Vec::new();
        push_tlv(&mut packet, tag::SEQUENCE, &message);
        packet
    }

    proptest! {
        #[test]
        fn all_but_the_community_stays(
            community in "[!-~]{6,40}", value in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..4,
        ) {
            let mut packet = trap(community.as_bytes(), &value);
            packet.truncate(packet.len() - cut.min(value.len()));
            let kept = without_community(&packet).unwrap();
            let found = kept.windows(community.len()).any(|window| window == community.as_bytes());
            let in_value = value.windows(community.len()).any(|window| window == community.as_bytes());
            prop_assert!(!found || in_value);
            if let Ok(before) = decode(&packet) {
                let after = decode(&kept).unwrap().notification;
                prop_assert_eq!(after.community, b"");
                prop_assert_eq!((after.oid, after.varbinds), (before.notification.oid, before.notification.varbinds));
            }
        }

        #[test]
        fn any_octets_are_taken(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = (without_community(&octets), of_scoped(&octets));
        }
    }

    #[test]
    fn a_scoped_pdu_becomes_a_v2c_message() {
        let packet = trap(b"", b"x");
        let (_, message) = expect(tag::SEQUENCE)(&packet).unwrap();
        let mut scoped = Vec::new();
        push_tlv(&mut scoped, tag::OCTET_STRING, b"engine");
        push_tlv(&mut scoped, tag::OCTET_STRING, b"context");
        scoped.extend_from_slice(&message[5..]);
        assert_eq!(of_scoped(&scoped).unwrap(), packet);
    }
}
