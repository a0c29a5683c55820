//! Everything that decides what becomes of a message, in all combinations: the reportable flag, the engine that it names, its
//! PDU, and its level. And users in all combinations.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::crafted::{Crafted, UNREADABLE, in_words};
use super::envelope::{AUTH, PRIV, REPORTABLE};
use super::*;
use crate::message::NotificationKind;
use crate::snmp::ber::tag;
use crate::snmp::decode_scoped;

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const OWN: &[u8] = &[0x80, 0, 0, 1, 2];
const OTHER: &[u8] = &[0x80, 0, 0, 1, 7];
const BOOTS: u32 = 5;
const NOW: u64 = 1000;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Taken,
    Answered,
    Reported(String),
    Silence,
}

fn with_password(name: &str, password: &[u8], private: bool) -> User {
    let privacy = (PrivProtocol::Aes128, &b"priv-password"[..]);
    User::new(name, (AuthProtocol::Sha1, password), private.then_some(privacy)).unwrap()
}

fn receiver(users: &[User]) -> Usm {
    let engine = Engine { id: OWN.to_vec(), boots: BOOTS, started: 0 };
    Usm::new(users.to_vec(), Arc::new(Memory::new(engine, Senders::default()).unwrap()))
}

fn fate(receiver: &Usm, packet: &[u8], user: &User) -> Fate {
    match receiver.open(packet, FROM, NOW) {
        Ok(opened) => match decode_scoped(&opened.scoped, receiver.user_of(&opened), opened.level()) {
            Ok(decoded) if decoded.notification.kind == NotificationKind::Inform => {
                assert!(opened.own, "only the authority answers");
                let answer = receiver.answer(&opened, 65_507, NOW).unwrap();
                let level = opened.level().as_str();
                let expected = format!("Response 0 0, {level}, msgID 1000, id 4242, 3 varbinds");
                assert_eq!(in_words(&answer, user), expected);
                Fate::Answered
            }
            Ok(_) => Fate::Taken,
            Err(_) => Fate::Silence,
        },
        Err(refused) => match refused.report {
            Some(report) => Fate::Reported(in_words(&report, user)),
            None => Fate::Silence,
        },
    }
}

/// What RFC 3412, sections 6.4 and 7, and RFC 3414, section 3.2, say of a message in which nothing is wrong; and of traps with the
/// flag or without an engine id, that they are taken all the same.
fn wanted(flag: u8, engine: &[u8], pdu: u8, level: u8) -> Fate {
    let names = ["noAuthNoPriv", "authNoPriv", "", "authPriv"];
    let trap = pdu == tag::TRAP_V1 || pdu == tag::TRAP_V2;
    let waits = matches!(pdu, tag::INFORM | tag::GET | tag::GET_NEXT | tag::SET | tag::GET_BULK);
    let report = |name: &str, level: usize, id: i32| {
        Fate::Reported(format!("Report {name} = 1, {}, msgID 1000, id {id}", names[level]))
    };
    if engine == OWN {
        return match pdu {
            tag::INFORM => Fate::Answered,
            _ if waits => report("snmpUnknownPDUHandlers", level.into(), 4242),
            _ if trap => Fate::Taken,
            _ => Fate::Silence,
        };
    }
    // It cannot be opened, as it cannot be told whose it is: only the flag is left.
    if engine.is_empty() && level & PRIV != 0 && flag != 0 {
        return report("usmStatsUnknownEngineIDs", 0, 0);
    }
    match pdu {
        _ if trap => Fate::Taken,
        _ if waits => report("usmStatsUnknownEngineIDs", 0, 4242),
        UNREADABLE if flag != 0 => report("usmStatsUnknownEngineIDs", 0, 4242),
        _ => Fate::Silence,
    }
}

const PDUS: [u8; 10] = [
    tag::TRAP_V2,
    tag::TRAP_V1,
    tag::INFORM,
    tag::GET,
    tag::GET_NEXT,
    tag::GET_BULK,
    tag::SET,
    tag::REPORT,
    tag::RESPONSE,
    UNREADABLE,
];

#[test]
fn the_pdu_decides_and_the_flag_only_where_it_cannot_be_read() {
    let mut seen = 0;
    for level in [0, AUTH, AUTH | PRIV] {
        let user = match level {
            0 => User::open("ops"),
            AUTH => with_password("ops", b"auth-password", false),
            _ => with_password("ops", b"auth-password", true),
        };
        for flag in [0, REPORTABLE] {
            for engine in [&[][..], OWN, OTHER] {
                for pdu in PDUS {
                    let receiver = receiver(std::slice::from_ref(&user));
                    let packet =
                        Crafted { flags: flag | level, engine, boots: BOOTS, pdu, ..Crafted::default() };
                    let fate = fate(&receiver, &packet.of(&user), &user);
                    let place = format!("flag {flag}, engine {engine:02x?}, PDU {pdu:02x}, level {level}");
                    assert_eq!(fate, wanted(flag, engine, pdu, level), "{place}");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 3 * 2 * 3 * PDUS.len());
}

#[test]
fn whatever_is_wrong_reports_go_only_to_who_waits_for_an_answer() {
    let right = with_password("ops", b"auth-password", true);
    let wrong = [
        ("usmStatsUnknownUserNames", User::open("nobody")),
        ("usmStatsUnsupportedSecLevels", with_password("ops", b"auth-password", false)),
        ("usmStatsWrongDigests", with_password("ops", b"wrong-password", true)),
    ];
    for (name, user) in &wrong {
        for (pdu, waits) in [(tag::INFORM, true), (tag::TRAP_V2, false), (tag::RESPONSE, false)] {
            for flag in [0, REPORTABLE] {
                let flags = flag | user.flags();
                let packet = Crafted { flags, engine: OWN, boots: BOOTS, pdu, ..Crafted::default() }.of(user);
                let encrypted = flags & PRIV != 0;
                let due = if encrypted { flag != 0 } else { waits };
                let id = if encrypted { 0 } else { 4242 };
                let report = format!("Report {name} = 1, noAuthNoPriv, msgID 1000, id {id}");
                let expected = if due { Fate::Reported(report) } else { Fate::Silence };
                let receiver = receiver(std::slice::from_ref(&right));
                assert_eq!(fate(&receiver, &packet, user), expected, "{name} {pdu:02x} {flag}");
            }
        }
    }
}

#[test]
fn counters_count_what_is_not_reported() {
    let (right, wrong) =
        (with_password("ops", b"auth-password", false), with_password("ops", b"wrong-password", false));
    let receiver = receiver(std::slice::from_ref(&right));
    let of =
        |pdu, engine| Crafted { flags: AUTH, engine, boots: BOOTS, pdu, ..Crafted::default() }.of(&wrong);
    let reported = |count| {
        let report = format!("Report usmStatsWrongDigests = {count}, noAuthNoPriv, msgID 1000, id 4242");
        Fate::Reported(report)
    };
    assert_eq!(fate(&receiver, &of(tag::INFORM, OWN), &wrong), reported(1));
    for _ in 0..5 {
        assert_eq!(fate(&receiver, &of(tag::TRAP_V2, OTHER), &wrong), Fate::Silence);
    }
    assert_eq!(fate(&receiver, &of(tag::INFORM, OWN), &wrong), reported(7));
}

#[test]
fn our_own_id_never_gets_a_clock_of_a_sender() {
    let user = with_password("ops", b"auth-password", false);
    let receiver = receiver(std::slice::from_ref(&user));
    let trap =
        |boots, time| Crafted { flags: AUTH, engine: OWN, boots, time, ..Crafted::default() }.of(&user);
    assert_eq!(fate(&receiver, &trap(0, 0), &user), Fate::Silence);
    assert_eq!(fate(&receiver, &trap(77, 1000), &user), Fate::Silence);
    assert_eq!(fate(&receiver, &trap(BOOTS, 1000), &user), Fate::Taken);
    assert_eq!(fate(&receiver, &trap(BOOTS, 1149), &user), Fate::Taken);
    assert_eq!(fate(&receiver, &trap(BOOTS, 1151), &user), Fate::Silence);
    let copied = trap(BOOTS, 1001);
    assert_eq!(
        (fate(&receiver, &copied, &user), fate(&receiver, &copied, &user)),
        (Fate::Taken, Fate::Silence)
    );
    assert_eq!(receiver.remembered().1, 0);
}

#[test]
fn boots_and_times_have_an_end() {
    let user = with_password("ops", b"auth-password", false);
    let receiver = receiver(std::slice::from_ref(&user));
    let why = |boots, time| {
        let packet = Crafted { flags: AUTH, engine: OTHER, boots, time, ..Crafted::default() }.of(&user);
        receiver.open(&packet, FROM, NOW).map(drop).map_err(|refused| refused.why)
    };
    let last = u32::MAX >> 1;
    let time = || Err(UsmError::Time("ops".into()));
    assert_eq!((why(last, 5), why(last, 6)), (time(), time()));
    for (boots, time) in [(last + 1, 5), (6, last + 1), (u32::MAX, u32::MAX)] {
        let packet = Crafted { engine: OTHER, boots, time, ..Crafted::default() }.of(&User::open("ops"));
        assert_eq!(receiver.open(&packet, FROM, NOW).unwrap_err().why, UsmError::Envelope);
    }
    assert_eq!((why(6, 5), why(6, last)), (Ok(()), Ok(())), "nothing above has locked it out");
}

#[test]
fn no_des_salt_twice_however_often_the_users_change() {
    let privacy = Some((PrivProtocol::Des, &b"priv-password"[..]));
    let user = User::new("ops", (AuthProtocol::Sha1, b"auth-password"), privacy).unwrap();
    let engine = Engine { id: OWN.to_vec(), boots: BOOTS, started: 0 };
    let memory = Arc::new(Memory::new(engine, Senders::default()).unwrap());
    let mut salts = std::collections::HashSet::new();
    for _ in 0..3 {
        let receiver = Usm::new(vec![user.clone()], memory.clone());
        for request_id in 0..3 {
            let flags = AUTH | PRIV | REPORTABLE;
            let inform = Crafted {
                flags,
                engine: OWN,
                boots: BOOTS,
                pdu: tag::INFORM,
                request_id,
                ..Crafted::default()
            };
            let inform = inform.of(&user);
            let opened = receiver.open(&inform, FROM, NOW).unwrap();
            let answer = receiver.answer(&opened, 65_507, NOW).unwrap();
            assert!(salts.insert(envelope::Envelope::read(&answer).unwrap().salt.to_vec()));
        }
    }
}

#[test]
fn answers_fit_what_the_sender_and_the_way_take() {
    let user = with_password("ops", b"auth-password", true);
    let receiver = receiver(std::slice::from_ref(&user));
    let answer = |max_size, text: &[u8], most| {
        let flags = AUTH | PRIV | REPORTABLE;
        let inform = Crafted {
            max_size,
            flags,
            engine: OWN,
            boots: BOOTS,
            pdu: tag::INFORM,
            text,
            ..Crafted::default()
        };
        let inform = inform.of(&user);
        let opened = receiver.open(&inform, FROM, NOW).unwrap();
        let answer = receiver.answer(&opened, most, NOW)?;
        assert!(answer.len() <= most.min(max_size.max(484) as usize));
        Some(in_words(&answer, &user))
    };
    let whole = Some("Response 0 0, authPriv, msgID 1000, id 4242, 3 varbinds".to_owned());
    let too_big = Some("Response 1 0, authPriv, msgID 1000, id 4242, 0 varbinds".to_owned());
    assert_eq!(answer(2500, &[b'x'; 2000], 65_507), whole);
    assert_eq!(answer(484, &[b'x'; 2000], 65_507), too_big);
    assert_eq!(answer(0, &[b'x'; 200], 65_507), whole, "every engine takes 484 octets");
    assert_eq!(answer(0, &[b'x'; 400], 65_507), too_big);
    assert_eq!(answer(65_507, &vec![b'x'; 65_300], 65_400), too_big);
    assert_eq!(answer(65_507, &[b'x'; 2000], 60), None);
}

proptest! {
    /// A name and an engine have one user: whose engine it is, else who has none.
    #[test]
    fn a_message_is_of_the_one_user_of_its_name_and_engine(
        kinds in prop::collection::vec((0usize..3, 0usize..3), 1..5),
        sent in 0usize..3,
        at in 0usize..2,
    ) {
        static USERS: OnceLock<[User; 3]> = OnceLock::new();
        let secrets = USERS.get_or_init(|| {
            [User::open("ops"), with_password("ops", b"first-password", false), with_password("ops", b"other-password", false)]
        });
        let engines = [OTHER, &[0x80, 0, 0, 1, 8][..]];
        // Each engine once, as the configuration sees to: 2 stands for no engine.
        let mut configured: Vec<(usize, usize)> = Vec::new();
        for (secret, engine) in kinds {
            if configured.iter().all(|(_, other)| *other != engine) {
                configured.push((secret, engine));
            }
        }
        let users: Vec<User> = configured
            .iter()
            .map(|(secret, engine)| match engines.get(*engine) {
                Some(id) => secrets[*secret].clone().bound_to(id),
                None => secrets[*secret].clone(),
            })
            .collect();
        let of_engine = |wanted: usize| configured.iter().find(|(_, engine)| *engine == wanted);
        let meant = of_engine(at).or_else(|| of_engine(2)).map(|(secret, _)| *secret);
        let sender = &secrets[sent];
        let packet = Crafted { flags: sender.flags(), engine: engines[at], ..Crafted::default() }.of(sender);
        prop_assert_eq!(receiver(&users).open(&packet, FROM, NOW).is_ok(), meant == Some(sent));
    }
}
