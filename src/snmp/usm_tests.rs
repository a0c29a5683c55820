use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::message::{Notification, NotificationKind, Value, Varbind, Version};
use crate::snmp::{decode_scoped, encode};

const NOW: u64 = 1_795_176_000;

const ALL_AUTH: [AuthProtocol; 6] = [
    AuthProtocol::Md5,
    AuthProtocol::Sha1,
    AuthProtocol::Sha224,
    AuthProtocol::Sha256,
    AuthProtocol::Sha384,
    AuthProtocol::Sha512,
];
const ALL_PRIV: [Option<PrivProtocol>; 7] = [
    None,
    Some(PrivProtocol::Des),
    Some(PrivProtocol::Aes128),
    Some(PrivProtocol::Aes192Blumenthal),
    Some(PrivProtocol::Aes256Blumenthal),
    Some(PrivProtocol::Aes192Reeder),
    Some(PrivProtocol::Aes256Reeder),
];

fn user(auth: AuthProtocol, privacy: Option<PrivProtocol>) -> User {
    User::new("ops", (auth, b"auth-password"), privacy.map(|p| (p, &b"priv-password"[..]))).unwrap()
}

/// The model of a daemon with this user, as an engine of this number.
fn usm(user: &User, engine: u8, boots: u32) -> Usm {
    Usm::new(vec![user.clone()], Engine { id: vec![0x80, 0, 0, 1, engine], boots, started: NOW - 1000 })
        .unwrap()
}

/// A scoped PDU of this kind, as an engine sends it.
fn scoped(from: &Usm, kind: NotificationKind) -> Vec<u8> {
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    let packet = encode::encode(&Notification {
        version: Version::V2c,
        kind,
        community: b"",
        proxied_community: None,
        user: None,
        request_id: 77,
        oid: oid("1.3.6.1.6.3.1.1.5.3"),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(1),
        varbinds: vec![Varbind { oid: oid("1.3.6.1.2.1.2.2.1.1.3"), value: Value::Integer(3) }],
    });
    // Behind version and community of the v2c message stands its PDU.
    let (_, message) = ber::expect(tag::SEQUENCE)(&packet).unwrap();
    let (rest, _) = ber::tlv(message).unwrap();
    let (rest, _) = ber::tlv(rest).unwrap();
    let (_, pdu) = ber::tlv(rest).unwrap();
    scoped_pdu((&from.engine.id, b"context"), pdu.tag, pdu.content)
}

fn trap(sender: &Usm, user: &User, now: u64) -> Vec<u8> {
    sender.seal(&scoped(sender, NotificationKind::Trap), Some(0), 5, user.level(), &user.name, now).unwrap()
}

fn why(result: Result<Opened<'_>, Refused>) -> UsmError {
    result.unwrap_err().why
}

#[test]
fn every_pair_of_protocols() {
    for auth in ALL_AUTH {
        for privacy in ALL_PRIV {
            let user = user(auth, privacy);
            let (sender, receiver) = (usm(&user, 1, 3), usm(&user, 2, 1));
            let packet = trap(&sender, &user, NOW);
            let opened =
                receiver.open(&packet, NOW).unwrap_or_else(|e| panic!("{auth:?} {privacy:?}: {e:?}"));
            let decoded = decode_scoped(&opened.scoped, receiver.user_of(&opened)).unwrap().notification;
            assert_eq!(
                (decoded.user, decoded.version, decoded.varbinds.len()),
                (Some("ops"), Version::V3, 1)
            );
            assert!(!opened.confirmed);
        }
    }
}

#[test]
fn an_inform_finds_out_who_we_are_and_is_answered() {
    let user = user(AuthProtocol::Sha256, Some(PrivProtocol::Aes128));
    let receiver = usm(&user, 2, 9);
    // Discovery: no engine, no user, no security.
    let stranger = Usm::new(vec![User::open("")], Engine { id: Vec::new(), boots: 0, started: NOW }).unwrap();
    let ask =
        stranger.seal(&scoped(&stranger, NotificationKind::Inform), Some(0), 6, REPORTABLE, "", NOW).unwrap();
    let refused = receiver.open(&ask, NOW).unwrap_err();
    assert_eq!(refused.why, UsmError::Discovery);
    let report = refused.report.unwrap();
    let told = read_envelope(&report).unwrap();
    assert_eq!((told.engine, told.boots, told.message_id), (&[0x80, 0, 0, 1, 2][..], 9, 6));
    // The inform itself: the receiver's engine is authoritative, so the sender seals in its name.
    let mut as_receiver = usm(&user, 2, 9);
    as_receiver.engine.started = NOW - 1000;
    let inform = scoped(&usm(&user, 1, 3), NotificationKind::Inform);
    let sealed = |flags, now| as_receiver.seal(&inform, Some(0), 7, flags, "ops", now).unwrap();
    let packet = sealed(AUTH | PRIV | REPORTABLE, NOW);
    let opened = receiver.open(&packet, NOW).unwrap();
    assert!(opened.confirmed);
    let answer = receiver.answer(&opened, NOW).unwrap();
    let back = as_receiver.open(&answer, NOW).unwrap();
    let (rest, context_engine) = ber::expect(tag::OCTET_STRING)(&back.scoped).unwrap();
    let (rest, context) = ber::expect(tag::OCTET_STRING)(rest).unwrap();
    assert_eq!((context_engine, context), (&[0x80, 0, 0, 1, 1][..], &b"context"[..]));
    assert_eq!(ber::tlv(rest).unwrap().1.tag, tag::RESPONSE);
    // Too late, it is told our time, provably.
    let late = receiver.open(&packet, NOW + 200).unwrap_err();
    assert_eq!(late.why, UsmError::Time("ops".into()));
    assert_eq!(read_envelope(&late.report.unwrap()).unwrap().flags, AUTH);
}

#[test]
fn old_messages_are_refused() {
    let user = user(AuthProtocol::Sha1, None);
    let receiver = usm(&user, 2, 1);
    let (old, new) = (usm(&user, 1, 3), usm(&user, 1, 4));
    let (first, second) = (trap(&old, &user, NOW), trap(&new, &user, NOW));
    assert!(receiver.open(&first, NOW).is_ok());
    assert!(receiver.open(&first, NOW + 100).is_ok(), "within the window");
    assert_eq!(why(receiver.open(&first, NOW + 200)), UsmError::Time("ops".into()));
    assert!(receiver.open(&second, NOW).is_ok(), "a later boot");
    assert_eq!(why(receiver.open(&first, NOW)), UsmError::Time("ops".into()));
}

#[test]
fn strangers_leave_nothing_behind() {
    let user = user(AuthProtocol::Sha256, Some(PrivProtocol::Aes128));
    let receiver = usm(&user, 2, 1);
    let mut packet = trap(&usm(&user, 1, 3), &user, NOW);
    let at = packet.windows(5).position(|w| w == [0x80, 0, 0, 1, 1]).unwrap();
    // None of these is the sender's own.
    for n in 1_000_000u32..1_010_000 {
        packet[at + 1..at + 5].copy_from_slice(&n.to_be_bytes());
        assert_eq!(why(receiver.open(&packet, NOW)), UsmError::Digest("ops".into()));
    }
    let senders = receiver.senders.lock().unwrap();
    assert!(senders.keys.is_empty() && senders.clocks.is_empty());
}

#[test]
fn the_level_must_be_the_users() {
    let private = user(AuthProtocol::Sha256, Some(PrivProtocol::Aes128));
    let receiver = usm(&private, 2, 1);
    let sender = usm(&private, 1, 3);
    let inner = scoped(&sender, NotificationKind::Trap);
    for level in [0, AUTH] {
        let packet = sender.seal(&inner, Some(0), 5, level, "ops", NOW).unwrap();
        assert_eq!(why(receiver.open(&packet, NOW)), UsmError::Level("ops".into()));
    }
    let other = sender.seal(&inner, Some(0), 5, AUTH, "o\x1bps", NOW).unwrap();
    assert_eq!(why(receiver.open(&other, NOW)), UsmError::User("o\\u{1b}ps".into()));
}

proptest! {
    #[test]
    fn any_damage_is_noticed(at in 0usize..300, bit in 0u8..8) {
        // Making keys from a password takes long on purpose: once is enough.
        static USER: OnceLock<User> = OnceLock::new();
        let user = USER.get_or_init(|| user(AuthProtocol::Sha256, Some(PrivProtocol::Aes128))).clone();
        let (sender, receiver) = (usm(&user, 1, 3), usm(&user, 2, 1));
        let mut packet = trap(&sender, &user, NOW);
        let at = at % packet.len();
        packet[at] ^= 1 << bit;
        prop_assert!(receiver.open(&packet, NOW).is_err());
    }

    #[test]
    fn any_packet_is_safe(packet in prop::collection::vec(any::<u8>(), 0..200)) {
        static RECEIVER: OnceLock<Usm> = OnceLock::new();
        let receiver = RECEIVER.get_or_init(|| usm(&user(AuthProtocol::Md5, None), 2, 1));
        let _ = receiver.open(&packet, NOW);
    }
}
