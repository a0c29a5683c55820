use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::crafted::Crafted;
use super::envelope::{AUTH, Envelope};
use super::originate::{Asked, Originator, Peer, Refusal, Reply};
use super::*;
use crate::message::{Notification, NotificationKind, Oid, Value, Varbind, Version};
use crate::snmp::decode_scoped;

const NOW: u64 = 1_795_176_000;

const ALL_AUTH: [AuthProtocol; 6] = [
    AuthProtocol::Md5,
    AuthProtocol::Sha1,
    AuthProtocol::Sha224,
    AuthProtocol::Sha256,
    AuthProtocol::Sha384,
    AuthProtocol::Sha512,
];
const ALL_PRIV: [Option<PrivProtocol>; 8] = [
    None,
    Some(PrivProtocol::Des),
    Some(PrivProtocol::Des3),
    Some(PrivProtocol::Aes128),
    Some(PrivProtocol::Aes192Blumenthal),
    Some(PrivProtocol::Aes256Blumenthal),
    Some(PrivProtocol::Aes192Reeder),
    Some(PrivProtocol::Aes256Reeder),
];

fn user(auth: AuthProtocol, privacy: Option<PrivProtocol>) -> User {
    User::new("ops", (auth, b"auth-password"), privacy.map(|p| (p, &b"priv-password"[..]))).unwrap()
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn engine(number: u8, boots: u32) -> Engine {
    Engine { id: vec![0x80, 0, 0, 1, number], boots, started: NOW - 1000 }
}

/// The model of a daemon with these users, as the engine of number 2.
fn receiver(users: &[User], boots: u32) -> Usm {
    Usm::new(users.to_vec(), memory(boots))
}

fn memory(boots: u32) -> Arc<Memory> {
    Arc::new(Memory::new(engine(2, boots), Senders::default()).unwrap())
}

/// The user as a sender, as an engine of this number.
fn sender(user: &User, number: u8, boots: u32) -> Originator {
    Originator::new(user.clone(), engine(number, boots), b"context").unwrap()
}

fn notification(kind: NotificationKind) -> Notification<'static> {
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    Notification {
        version: Version::V3,
        kind,
        community: b"",
        proxied_community: None,
        security: None,
        request_id: 77,
        oid: oid("1.3.6.1.6.3.1.1.5.3"),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(1),
        varbinds: vec![Varbind { oid: oid("1.3.6.1.2.1.2.2.1.1.3"), value: Value::Integer(3) }],
    }
}

fn trap(sender: &Originator, now: u64) -> Vec<u8> {
    sender.trap(&notification(NotificationKind::Trap), 5, now).unwrap()
}

/// The longest answer.
const MOST: usize = 65_507;

/// What the receiver tells of itself.
fn discover(sender: &Originator, receiver: &Usm, now: u64) -> Peer {
    let report = receiver.open(&sender.discovery(6).unwrap(), HERE, now).unwrap_err().report.unwrap();
    sender.peer(6, &report, now).unwrap()
}

fn asked(message_id: i32) -> Asked {
    Asked { message_id, request_id: 77 }
}

fn why(result: Result<Opened<'_>, Refused>) -> UsmError {
    result.unwrap_err().why
}

#[test]
fn every_pair_of_protocols() {
    for auth in ALL_AUTH {
        for privacy in ALL_PRIV {
            let user = user(auth, privacy);
            let receiver = receiver(std::slice::from_ref(&user), 1);
            let packet = trap(&sender(&user, 1, 3), NOW);
            let opened =
                receiver.open(&packet, HERE, NOW).unwrap_or_else(|e| panic!("{auth:?} {privacy:?}: {e:?}"));
            let decoded = decode_scoped(&opened.scoped, receiver.user_of(&opened), opened.level()).unwrap();
            let security = decoded.notification.security.unwrap();
            assert_eq!((security.user, security.context), ("ops", &b"context"[..]));
            assert_eq!(security.level.as_str(), if privacy.is_some() { "authPriv" } else { "authNoPriv" });
            assert_eq!(decoded.notification.varbinds.len(), 1);
            assert!(!opened.own);
        }
    }
}

#[test]
fn an_inform_finds_out_who_we_are_and_is_answered() {
    let user = user(AuthProtocol::Sha256, Some(PrivProtocol::Aes128));
    let receiver = receiver(std::slice::from_ref(&user), 9);
    let sender = sender(&user, 1, 3);
    let refused = receiver.open(&sender.discovery(6).unwrap(), HERE, NOW).unwrap_err();
    assert_eq!(refused.why, UsmError::Discovery);
    let report = refused.report.unwrap();
    let told = Envelope::read(&report).unwrap();
    assert_eq!((told.engine, told.boots, told.message_id), (&engine(2, 9).id[..], 9, 6));
    assert!(sender.peer(5, &report, NOW).is_none(), "of another question");
    let peer = sender.peer(6, &report, NOW).unwrap();
    // Now as the receiver's engine wants it.
    let inform = notification(NotificationKind::Inform);
    let packet = sender.inform(&peer, &inform, 7, NOW).unwrap();
    let opened = receiver.open(&packet, HERE, NOW).unwrap();
    assert!(opened.own);
    let answer = receiver.answer(&opened, MOST, NOW).unwrap();
    assert!(matches!(sender.reply(&peer, asked(7), &answer, NOW), Reply::Acknowledged));
    assert!(answer.len() <= packet.len(), "no more out than in");
    // An answer counts once it has the numbers of the question, and is in time.
    let other = Asked { request_id: 78, ..asked(7) };
    for (asked, now) in [(asked(8), NOW), (other, NOW), (asked(7), NOW + 500)] {
        assert!(matches!(sender.reply(&peer, asked, &answer, now), Reply::Other));
    }
    // Too late, it is told our time, provably.
    let late = receiver.open(&packet, HERE, NOW + 200).unwrap_err();
    assert_eq!(late.why, UsmError::Time("ops".into()));
    let report = late.report.unwrap();
    assert_eq!(Envelope::read(&report).unwrap().flags, AUTH);
    let reply = sender.reply(&peer, asked(7), &report, NOW + 200);
    let Reply::Engine(peer) = reply else { panic!("{reply:?}") };
    let packet = sender.inform(&peer, &inform, 8, NOW + 230).unwrap();
    assert!(receiver.open(&packet, HERE, NOW + 230).is_ok());
}

#[test]
fn a_sender_hears_what_is_wrong() {
    let right = user(AuthProtocol::Sha256, Some(PrivProtocol::Aes128));
    let receiver = receiver(std::slice::from_ref(&right), 9);
    let wrong = |user: User| {
        let sender = sender(&user, 1, 3);
        let peer = discover(&sender, &receiver, NOW);
        let packet = sender.inform(&peer, &notification(NotificationKind::Inform), 7, NOW).unwrap();
        let report = receiver.open(&packet, HERE, NOW).unwrap_err().report.unwrap();
        assert!(report.len() <= packet.len());
        match sender.reply(&peer, asked(7), &report, NOW) {
            Reply::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    };
    let auth = (AuthProtocol::Sha256, &b"auth-password"[..]);
    let aes = PrivProtocol::Aes128;
    let password = User::new("ops", (AuthProtocol::Sha256, b"another-one"), Some((aes, b"priv-password")));
    assert_eq!(wrong(password.unwrap()), Refusal::Digest);
    assert_eq!(wrong(User::new("nobody", auth, None).unwrap()), Refusal::User);
    assert_eq!(wrong(User::new("ops", auth, None).unwrap()), Refusal::Level);
    let private = User::new("ops", auth, Some((aes, b"another-one"))).unwrap();
    assert_eq!(wrong(private), Refusal::Decryption);
}

#[test]
fn old_messages_and_copies_are_refused() {
    let user = user(AuthProtocol::Sha1, None);
    let memory = memory(1);
    let receiver = Usm::new(vec![user.clone()], memory.clone());
    let (old, new) = (sender(&user, 1, 3), sender(&user, 1, 4));
    let (first, late, second) = (trap(&old, NOW), trap(&old, NOW - 1), trap(&new, NOW));
    assert!(receiver.open(&first, HERE, NOW).is_ok());
    assert_eq!(why(receiver.open(&first, HERE, NOW)), UsmError::Replay("ops".into()));
    assert!(receiver.open(&late, HERE, NOW + 100).is_ok(), "within the window");
    let older = trap(&old, NOW - 2);
    assert_eq!(why(receiver.open(&older, HERE, NOW + 200)), UsmError::Time("ops".into()));
    assert!(receiver.open(&second, HERE, NOW).is_ok(), "a later boot");
    assert_eq!(why(receiver.open(&older, HERE, NOW)), UsmError::Time("ops".into()));
    // A reload opens no window.
    let again = Usm::new(vec![user], memory);
    assert_eq!(why(again.open(&second, HERE, NOW)), UsmError::Replay("ops".into()));
    assert_eq!(why(again.open(&older, HERE, NOW)), UsmError::Time("ops".into()));
}

#[test]
fn strangers_leave_nothing_behind_and_cost_little() {
    let user = user(AuthProtocol::Sha256, Some(PrivProtocol::Aes256Reeder));
    let receiver = receiver(std::slice::from_ref(&user), 1);
    let mut packet = trap(&sender(&user, 1, 3), NOW);
    let at = packet.windows(5).position(|w| w == [0x80, 0, 0, 1, 1]).unwrap();
    let mut stranger = |n: u32| {
        packet[at + 1..at + 5].copy_from_slice(&n.to_be_bytes());
        why(receiver.open(&packet, HERE, NOW))
    };
    // None of these is the sender's own.
    for n in 1_000_000..1_010_000 {
        assert_eq!(stranger(n), UsmError::Digest("ops".into()));
    }
    assert_eq!(stranger(1_010_000), UsmError::Engines(10_000));
    assert_eq!(receiver.remembered(), (0, 0));
    // Another source is served all the same, and the one that was too much a second later.
    let good = trap(&sender(&user, 7, 3), NOW);
    assert!(receiver.open(&good, Ipv4Addr::new(127, 0, 0, 2).into(), NOW).is_ok());
    let good = trap(&sender(&user, 8, 3), NOW);
    assert!(receiver.open(&good, HERE, NOW + 1).is_ok());
}

#[test]
fn the_level_must_be_the_users() {
    let private = user(AuthProtocol::Sha256, Some(PrivProtocol::Aes128));
    let receiver = receiver(std::slice::from_ref(&private), 1);
    for (flags, came) in [(0, "noAuthNoPriv"), (AUTH, "authNoPriv")] {
        let packet = Crafted { flags, ..Crafted::default() }.of(&private);
        let error = why(receiver.open(&packet, HERE, NOW));
        assert_eq!(error, UsmError::Level { user: "ops".into(), came, needed: "authPriv" });
    }
    for (name, shown) in [(&b"o\x1bps"[..], "o\\u{1b}ps"), (b"\xfc\xe4", "\\xfc\\xe4"), (b"", "")] {
        let packet = Crafted { name: Some(name), ..Crafted::default() }.of(&private);
        assert_eq!(why(receiver.open(&packet, HERE, NOW)), UsmError::User(shown.into()));
    }
}

#[test]
fn one_name_with_other_secrets_for_other_engines() {
    let with = |password: &[u8]| User::new("ops", (AuthProtocol::Sha256, password), None).unwrap();
    let (first, second, any) = (with(b"first-password"), with(b"second-password"), with(b"any-password"));
    let bound = |user: &User, number| user.clone().bound_to(&engine(number, 1).id);
    let taken = |users: &[User], user: &User, number| {
        receiver(users, 1).open(&trap(&sender(user, number, 1), NOW), HERE, NOW).map(drop).map_err(|r| r.why)
    };
    let users = [bound(&first, 11), bound(&second, 12)];
    assert_eq!(taken(&users, &first, 11), Ok(()));
    assert_eq!(taken(&users, &second, 12), Ok(()));
    assert_eq!(taken(&users, &second, 11), Err(UsmError::Digest("ops".into())));
    let elsewhere = UsmError::Bound { user: "ops".into(), engine: "800000010d".into() };
    assert_eq!(taken(&users, &first, 13), Err(elsewhere));
    let users = [any.clone(), bound(&first, 11)];
    assert_eq!(taken(&users, &any, 13), Ok(()));
    assert_eq!(taken(&users, &first, 11), Ok(()));
    assert_eq!(taken(&users, &any, 11), Err(UsmError::Digest("ops".into())), "the bound one only");
    let open = [User::open("ops"), bound(&first, 11)];
    let sender_of = |number| sender(&User::open("ops"), number, 1);
    let level = UsmError::Level { user: "ops".into(), came: "noAuthNoPriv", needed: "authNoPriv" };
    let came = |number| {
        receiver(&open, 1).open(&trap(&sender_of(number), NOW), HERE, NOW).map(drop).map_err(|r| r.why)
    };
    assert_eq!((came(11), came(12)), (Err(level), Ok(())));
    // An inform does not say whose it is: the digest does.
    let receiver = receiver(&[bound(&first, 11), bound(&second, 12)], 1);
    for user in [&first, &second] {
        let sender = sender(user, 11, 1);
        let peer = discover(&sender, &receiver, NOW);
        let packet = sender.inform(&peer, &notification(NotificationKind::Inform), 7, NOW).unwrap();
        let opened = receiver.open(&packet, HERE, NOW).unwrap();
        let answer = receiver.answer(&opened, MOST, NOW).unwrap();
        assert!(matches!(sender.reply(&peer, asked(7), &answer, NOW), Reply::Acknowledged));
    }
}

#[test]
fn localised_keys() {
    let aes = PrivProtocol::Aes128;
    let whole = User::new("ops", (AuthProtocol::Sha256, b"auth-password"), Some((aes, b"priv-password")));
    let whole = whole.unwrap();
    let id = engine(1, 1).id;
    let (auth, private) = (whole.auth_key(&id).unwrap(), whole.priv_key(&id).unwrap());
    let localised = |auth: &[u8], private: &[u8]| {
        User::localised("ops", &id, (AuthProtocol::Sha256, auth), Some((aes, private)))
    };
    let user = localised(auth.as_bytes(), private.encryption_key()).unwrap();
    let receiver = receiver(&[user], 1);
    assert!(receiver.open(&trap(&sender(&whole, 1, 1), NOW), HERE, NOW).is_ok());
    let other = trap(&sender(&whole, 3, 1), NOW);
    assert!(matches!(why(receiver.open(&other, HERE, NOW)), UsmError::Bound { .. }));
    assert!(localised(b"short", private.encryption_key()).is_err());
    assert!(localised(auth.as_bytes(), b"short").is_err());
    assert!(!format!("{whole:?}").contains("auth-password"));
}

proptest! {
    #[test]
    fn any_damage_is_noticed(at in 0usize..300, bit in 0u8..8) {
        // Making keys from a password takes long on purpose: once is enough.
        static USER: OnceLock<User> = OnceLock::new();
        let user = USER.get_or_init(|| user(AuthProtocol::Sha256, Some(PrivProtocol::Aes128))).clone();
        let receiver = receiver(std::slice::from_ref(&user), 1);
        let mut packet = trap(&sender(&user, 1, 3), NOW);
        let at = at % packet.len();
        packet[at] ^= 1 << bit;
        prop_assert!(receiver.open(&packet, HERE, NOW).is_err());
    }

    #[test]
    fn any_packet_is_safe(packet in prop::collection::vec(any::<u8>(), 0..200)) {
        static RECEIVER: OnceLock<Usm> = OnceLock::new();
        let receiver = RECEIVER.get_or_init(|| receiver(&[user(AuthProtocol::Md5, None)], 1));
        let _ = receiver.open(&packet, HERE, NOW);
    }
}
