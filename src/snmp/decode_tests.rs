use proptest::prelude::*;
use snmp_parser::asn1_rs::FromBer;
use snmp_parser::{NetworkAddress, ObjectSyntax, SnmpMessage, SnmpPdu, VarBindValue};

use super::*;
use crate::snmp::encode::encode;

fn oid(text: &str) -> Oid<'static> {
    text.parse().unwrap()
}

fn link_down() -> Notification<'static> {
    Notification {
        version: Version::V2c,
        kind: NotificationKind::Trap,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id: 7,
        oid: oid("1.3.6.1.6.3.1.1.5.3"),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(4711),
        varbinds: vec![
            Varbind { oid: oid("1.3.6.1.2.1.2.2.1.1.3"), value: Value::Integer(3) },
            Varbind { oid: oid("1.3.6.1.2.1.2.2.1.2.3"), value: Value::OctetString(b"Gi0/3") },
        ],
    }
}

#[test]
fn v2c_round_trip() {
    let sent = link_down();
    let packet = encode(&sent);
    let decoded = decode(&packet).unwrap();
    assert_eq!(decoded.notification, sent);
    assert_eq!(decoded.odd, 0);
}

#[test]
fn v1_trap_oids_follow_rfc_3584() {
    let mut sent = Notification {
        version: Version::V1,
        enterprise: Some(oid("1.3.6.1.4.1.791.2")),
        agent: Some(Ipv4Addr::new(192, 0, 2, 9)),
        specific: Some(0),
        request_id: 0,
        ..link_down()
    };
    for (generic, expected) in
        [(0, "1.3.6.1.6.3.1.1.5.1"), (2, "1.3.6.1.6.3.1.1.5.3"), (5, "1.3.6.1.6.3.1.1.5.6")]
    {
        sent.generic = Some(generic);
        let packet = encode(&sent);
        assert_eq!(decode(&packet).unwrap().notification.oid.to_string(), expected);
    }
    (sent.generic, sent.specific) = (Some(6), Some(42));
    let packet = encode(&sent);
    let got = decode(&packet).unwrap().notification;
    assert_eq!(got.oid.to_string(), "1.3.6.1.4.1.791.2.0.42");
    assert_eq!(got.agent, Some(Ipv4Addr::new(192, 0, 2, 9)));
    assert_eq!(got.uptime, Some(4711));
    assert_eq!((got.generic, got.specific), (Some(6), Some(42)));
}

#[test]
fn a_proxy_names_the_agent() {
    let mut sent = link_down();
    sent.varbinds.extend([
        Varbind { oid: oids::SNMP_TRAP_ADDRESS, value: Value::IpAddress(Ipv4Addr::new(198, 51, 100, 4)) },
        Varbind { oid: oids::SNMP_TRAP_COMMUNITY, value: Value::OctetString(b"inner") },
        Varbind { oid: oids::SNMP_TRAP_ENTERPRISE, value: Value::ObjectId(oid("1.3.6.1.4.1.9")) },
    ]);
    let packet = encode(&sent);
    let got = decode(&packet).unwrap().notification;
    assert_eq!(got.agent, Some(Ipv4Addr::new(198, 51, 100, 4)));
    assert_eq!(got.proxied_community, Some(&b"inner"[..]));
    assert_eq!(got.enterprise, Some(oid("1.3.6.1.4.1.9")));
}

#[test]
fn the_varbinds_of_a_proxied_trap_have_no_community_whatever_its_form() {
    for (at, value) in [
        ("1.3.6.1.6.3.18.1.4.0", Value::OctetString(b"sesame")),
        ("1.3.6.1.6.3.18.1.4", Value::OctetString(b"sesame")),
        ("1.3.6.1.6.3.18.1.4.0.1", Value::OctetString(b"sesame")),
        ("1.3.6.1.6.3.18.1.4.0", Value::Odd { tag: 0x44, bytes: b"sesame" }),
    ] {
        let mut sent = link_down();
        sent.varbinds.insert(0, Varbind { oid: oid(at), value });
        sent.varbinds
            .push(Varbind { oid: oid("1.3.6.1.6.3.18.1.5.0"), value: Value::OctetString(b"another") });
        let packet = encode(&sent);
        let got = decode(&packet).unwrap().notification;
        let shown = format!("{:?}", got.varbinds);
        assert!(!shown.contains("sesame") && !shown.contains(&format!("{:?}", b"sesame")), "{shown}");
        assert_eq!(got.varbinds.last().map(|last| &last.value), Some(&Value::OctetString(b"another")));
        assert_eq!(got.varbinds.len(), sent.varbinds.len());
    }
}

#[test]
fn the_answer_to_an_inform() {
    let sent = Notification { kind: NotificationKind::Inform, ..link_down() };
    let mut packet = encode(&sent);
    packet.extend(b"trailing");
    let answer = decode(&packet).unwrap().answer(65_507).unwrap();
    let (_, message) = SnmpMessage::from_ber(&answer).unwrap();
    let SnmpPdu::Generic(pdu) = message.pdu else { panic!("{:?}", message.pdu) };
    assert_eq!(pdu.pdu_type, snmp_parser::PduType::Response);
    assert_eq!((pdu.req_id, pdu.err.0, pdu.var.len()), (7, 0, 4));
    assert!(!answer.ends_with(b"trailing"));
}

/// A v2c linkDown with one more varbind, whose value is these octets.
fn with_value(value: &[u8]) -> Vec<u8> {
    let mut sent = link_down();
    let (tag, bytes) = (value[0], &value[2..]);
    sent.varbinds.push(Varbind { oid: oid("1.3.6.1.4.1.1.1"), value: Value::Odd { tag, bytes } });
    encode(&sent)
}

#[test]
fn sloppy_values() {
    let cases: [(&[u8], Value); 12] = [
        (&[0x41, 4, 0xff, 0xff, 0xff, 0xfe], Value::Counter32(u32::MAX - 1)),
        (&[0x42, 1, 0xff], Value::Gauge32(u32::MAX)),
        (&[0x02, 0], Value::Integer(0)),
        (&[0x02, 5, 0, 0xff, 0xff, 0xff, 0xff], Value::Integer(-1)),
        (&[0x43, 6, 0, 0, 0, 0, 0, 9], Value::TimeTicks(9)),
        (&[0x46, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Value::Counter64(u64::MAX)),
        (&[0x06, 0], Value::ObjectId(ZERO_DOT_ZERO)),
        (&[0x40, 3, 1, 2, 3], Value::Odd { tag: 0x40, bytes: &[1, 2, 3] }),
        (&[0x4a, 1, 1], Value::Odd { tag: 0x4a, bytes: &[1] }),
        (&[0x44, 7, 0x9f, 0x78, 4, 0x42, 0xf6, 0, 0], Value::Float(123.0)),
        (&[0x44, 11, 0x9f, 0x79, 8, 0x40, 0x5e, 0xc0, 0, 0, 0, 0, 0], Value::Double(123.0)),
        (&[0x44, 2, 1, 2], Value::Opaque(&[1, 2])),
    ];
    for (octets, expected) in cases {
        let packet = with_value(octets);
        let decoded = decode(&packet).unwrap();
        assert_eq!(decoded.notification.varbinds[2].value, expected, "{octets:02x?}");
        assert_eq!(decoded.odd, usize::from(matches!(expected, Value::Odd { .. })));
        assert_eq!(decoded.notification.varbinds[1].value, Value::OctetString(b"Gi0/3"));
    }
}

#[test]
fn refusals_have_reasons() {
    let good = encode(&link_down());
    assert_eq!(decode(b"").unwrap_err(), DecodeError::NotSnmp);
    assert_eq!(decode(b"GET / HTTP/1.1").unwrap_err(), DecodeError::NotSnmp);
    assert_eq!(decode(&good[..1]).unwrap_err(), DecodeError::Truncated);
    assert_eq!(decode(&[0x30, 0x80, 2, 1, 1]).unwrap_err(), DecodeError::Truncated);
    assert_eq!(decode(&[0x30, 3, 2, 1, 9]).unwrap_err(), DecodeError::Version(9));
    assert_eq!(decode(&[0x30, 3, 2, 1, 1]).unwrap_err(), DecodeError::Header);
    let mut get = good.clone();
    let at = get.iter().position(|b| *b == tag::TRAP_V2).unwrap();
    get[at] = 0xa0;
    assert_eq!(decode(&get).unwrap_err(), DecodeError::NotNotification(0xa0));
}

#[test]
fn what_is_cut_off_is_taken_for_what_is_there() {
    let good = encode(&link_down());
    let cut = decode(&good[..good.len() - 1]).unwrap();
    assert_eq!(cut.odd, 2, "the message and its last varbind");
    assert_eq!(cut.notification.varbinds, link_down().varbinds[..1]);
    let mut no_oid = link_down();
    no_oid.kind = NotificationKind::Inform;
    let packet = encode(&no_oid);
    let at = packet.windows(10).position(|w| w == oids::SNMP_TRAP_OID.as_bytes()).unwrap();
    let mut packet = packet.clone();
    packet[at + 9] = 9;
    let decoded = decode(&packet).unwrap();
    assert_eq!((decoded.notification.oid.to_string().as_str(), decoded.odd), ("0.0", 1));
    assert!(decoded.answer(1000).is_some());
}

#[test]
fn varbinds_keep_their_places() {
    let mut sent = link_down();
    let many = |count| vec![sent.varbinds[0].clone(); count];
    let packet = encode(&Notification { varbinds: many(700), ..link_down() });
    let decoded = decode(&packet).unwrap();
    // sysUpTime.0 and snmpTrapOID.0 are two of them.
    assert_eq!(
        (decoded.notification.varbinds.len(), decoded.odd),
        (MAX_VARBINDS - 2, 700 - (MAX_VARBINDS - 2))
    );
    // Arcs beyond 2^32-1, too many arcs, an arc that is cut off.
    for bad in [&[0x2b, 0x9f, 0xff, 0xff, 0xff, 0x7f][..], &[0x2b; 130], &[0x2b, 0x86]] {
        sent.varbinds = link_down().varbinds;
        sent.varbinds.insert(0, Varbind { oid: Oid::from_canonical(bad), value: Value::Integer(1) });
        let packet = encode(&sent);
        let decoded = decode(&packet).unwrap();
        assert_eq!(decoded.odd, 1);
        assert_eq!(
            decoded.notification.varbinds[0],
            Varbind { oid: ZERO_DOT_ZERO, value: Value::Integer(1) }
        );
        assert_eq!(decoded.notification.varbinds[1..], link_down().varbinds);
    }
}

#[test]
fn what_people_are_shown_has_no_community() {
    let packet = encode(&Notification { community: b"COMMsecret1", ..link_down() });
    let has = |packet: &[u8], word: &[u8]| packet.windows(word.len()).any(|w| w == word);
    for end in 0..packet.len() {
        let shown = without_community(&packet[..end]);
        assert_eq!(shown.len(), end);
        for length in 3..11 {
            assert!(!has(&shown, &b"COMMsecret1"[..length]), "{end}: {shown:?}");
        }
    }
    let shown = without_community(&packet);
    assert_eq!(
        decode(&shown).unwrap().notification,
        Notification { community: b"***********", ..link_down() }
    );
    assert_eq!(without_community(b"GET / HTTP/1.1"), b"GET / HTTP/1.1");
    let v3 = &[0x30, 5, 2, 1, 3, 0x30, 0];
    assert_eq!(without_community(v3), v3);
}

/// The fields of a value as snmp-parser sees it, in our words; none where the two read it differently on purpose.
fn oracle(value: &VarBindValue<'_>) -> Option<String> {
    let text = match value {
        VarBindValue::NoSuchObject => "NoSuchObject".into(),
        VarBindValue::NoSuchInstance => "NoSuchInstance".into(),
        VarBindValue::EndOfMibView => "EndOfMibView".into(),
        VarBindValue::Unspecified => "Null".into(),
        VarBindValue::Value(value) => match value {
            ObjectSyntax::Number(v) => format!("Integer({v})"),
            ObjectSyntax::String(v) => format!("OctetString({v:?})"),
            ObjectSyntax::Object(v) => format!("{:?}", Value::ObjectId(Oid::from_ber(v.as_bytes())?)),
            ObjectSyntax::IpAddress(NetworkAddress::IPv4(v)) => format!("IpAddress({v})"),
            ObjectSyntax::Counter32(v) => format!("Counter32({v})"),
            ObjectSyntax::Gauge32(v) => format!("Gauge32({v})"),
            ObjectSyntax::TimeTicks(v) => format!("TimeTicks({v})"),
            ObjectSyntax::Counter64(v) => format!("Counter64({v})"),
            ObjectSyntax::UInteger32(v) => format!("UInteger32({v})"),
            _ => return None,
        },
    };
    Some(text)
}

/// What both decoders take, both read the same.
fn agrees_with_snmp_parser(packet: &[u8]) {
    let Ok((_, message)) = SnmpMessage::from_ber(packet) else { return };
    let ours = decode(packet);
    let list = match &message.pdu {
        SnmpPdu::Generic(pdu) if matches!(pdu.pdu_type.0, 6 | 7) => &pdu.var,
        SnmpPdu::TrapV1(pdu) => &pdu.var,
        _ => return,
    };
    // snmp-parser looks only at the number of a tag, not at its class, so it takes what is no notification.
    let Ok(Decoded { notification: ours, .. }) = ours else { return };
    assert_eq!(ours.community, message.community.as_bytes());
    let theirs: Vec<_> = list
        .iter()
        .map(|v| (Oid::from_ber(v.oid.as_bytes()), oracle(&v.val)))
        // An OID that is cut off or has an arc beyond 2^32-1 names nothing.
        .map(|(oid, value)| (oid.or(Some(ZERO_DOT_ZERO)), value))
        .filter(|(oid, _)| {
            message.version == 0 || (*oid != Some(oids::SYS_UP_TIME) && *oid != Some(oids::SNMP_TRAP_OID))
        })
        .collect();
    for ((oid, value), varbind) in theirs.iter().zip(&ours.varbinds) {
        assert_eq!(oid.as_ref(), Some(&varbind.oid));
        // A community is masked.
        let is_shown = !varbind.oid.starts_with(&oids::SNMP_TRAP_COMMUNITY_OBJECT);
        if let Some(value) = value.as_ref().filter(|_| is_shown) {
            assert_eq!(*value, format!("{:?}", varbind.value));
        }
    }
}

fn any_value() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let content = prop::collection::vec(any::<u8>(), 0..12);
    (
        prop::sample::select(vec![
            2u8, 4, 5, 6, 0x40, 0x41, 0x42, 0x43, 0x44, 0x46, 0x47, 0x80, 0x81, 0x82, 9,
        ]),
        content,
    )
}

proptest! {
    #[test]
    fn any_packet_is_safe(packet in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&packet);
        agrees_with_snmp_parser(&packet);
    }

    #[test]
    fn any_damage_is_safe(at in 0usize..80, octet: u8, cut in 0usize..90) {
        let mut packet = encode(&link_down());
        let at = at % packet.len();
        packet[at] = octet;
        agrees_with_snmp_parser(&packet);
        let _ = decode(&packet[..cut.min(packet.len())]);
    }

    #[test]
    fn minimal_values_read_as_snmp_parser_reads_them(number: i32, ticks: u32, big: u64, text in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut sent = link_down();
        for value in [Value::Integer(number), Value::TimeTicks(ticks), Value::Counter64(big), Value::OctetString(&text)] {
            sent.varbinds.push(Varbind { oid: oid("1.3.6.1.4.1.5.1.0"), value });
        }
        let packet = encode(&sent);
        agrees_with_snmp_parser(&packet);
        prop_assert_eq!(&decode(&packet).unwrap().notification, &sent);
    }

    #[test]
    fn one_odd_varbind_never_costs_the_trap((tag, content) in any_value()) {
        let mut octets = vec![tag, 0];
        octets.extend(content);
        let packet = with_value(&octets);
        let got = decode(&packet).unwrap().notification;
        prop_assert_eq!(got.varbinds.len(), 3);
        prop_assert_eq!(&got.varbinds[1].value, &Value::OctetString(b"Gi0/3"));
    }
}
