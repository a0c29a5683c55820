//! Packets, and what becomes of them: taken, answered, reported, or nothing. docs/conformance.md names the clauses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::pipeline::Pipeline;
use super::shared::{Active, Shared};
use crate::files::faulty::Faulty;
use crate::journal::{Journal, Options, Reader, SyncPolicy, WhenFull};
use crate::rules::compile::{RuleFile, compile};
use crate::settings::values::unhex;
use crate::snmp::Usm;
use crate::snmp::ber::tag;
use crate::snmp::usm::crafted::{Crafted, in_words};
use crate::snmp::usm::originate::Originator;
use crate::snmp::usm::{AuthProtocol, Engine, Memory, PrivProtocol, Senders, User};
use crate::sys::Arrival;
use crate::time::clock::{Mono, Now, TestClock, Wall};

const OWN: &[u8] = &[0x80, 0x00, 0x7e, 0xd9, 5, 1, 2, 3, 4, 5, 6, 7, 8];
const BOOTS: u32 = 5;
const STARTED: u64 = 5000;
const AUTH: u8 = 1;
const PRIV: u8 = 2;
const REPORTABLE: u8 = 4;

const RULES: &str = "[[rule]]\nid = \"all\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\n\
                     output = \"{{ oid }} {{ v[1] }} {{ v[2] }}\"\n";

/// A daemon's way from the packet to the journal.
struct Bench {
    shared: Arc<Shared>,
    pipeline: Pipeline,
    reader: Reader,
    users: Vec<User>,
    memory: Arc<Memory>,
    now: Now,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(users: &[User]) -> Self {
        let engine = Engine { id: OWN.to_vec(), boots: BOOTS, started: STARTED };
        Self::with(users, Memory::new(engine, Senders::default()).unwrap())
    }

    fn with(users: &[User], memory: Memory) -> Self {
        let dir = tempfile::TempDir::new().unwrap();
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 30, when_full: WhenFull::DropOldest };
        let (journal, _) = Journal::open_on(Arc::new(Faulty::new(3)), options, 7).unwrap();
        let reader = journal.reader(journal.next());
        let now = Now {
            wall: Wall::from_micros(1_795_176_000_000_000),
            mono: Mono::from_nanos((STARTED + 1000) * 1_000_000_000),
        };
        let shared = Arc::new(Shared::new(journal, SyncPolicy::Batch, Arc::new(TestClock::at(now))));
        let memory = Arc::new(memory);
        shared.replace(active(users, &memory));
        let pipeline = Pipeline::new(shared.clone());
        Bench { shared, pipeline, reader, users: users.to_vec(), memory, now, _dir: dir }
    }

    fn malformed(&self) -> Vec<(String, u64)> {
        let stats = self.shared.stats.to_json();
        let reasons = stats["malformed"].as_object().unwrap();
        let discoveries = ("discovery".to_owned(), self.shared.stats.discoveries.get());
        let reasons = reasons.iter().map(|(reason, count)| (reason.clone(), count.as_u64().unwrap()));
        reasons.chain([discoveries]).collect()
    }

    /// What becomes of a packet from this address: what it gives rise to, how it is answered, why it is refused.
    fn from(&mut self, peer: &str, packet: &[u8]) -> String {
        let before = self.malformed();
        let arrival = Arrival { peer: peer.parse().unwrap(), local: None };
        self.pipeline.packet(packet, arrival, self.now);
        let mut fate: Vec<String> = Vec::new();
        let answers: Vec<_> = self.pipeline.commit(self.now).collect();
        self.reader
            .read(1000, |record| {
                let output = &record.outcome.common().output;
                fate.push(format!("taken {output}").trim_end().to_owned());
                true
            })
            .unwrap();
        for answer in answers {
            fate.push(self.words(&answer.octets));
        }
        for ((reason, before), (_, after)) in before.into_iter().zip(self.malformed()) {
            fate.extend((after > before).then_some(reason));
        }
        fate.join("; ")
    }

    fn of(&mut self, packet: &[u8]) -> String {
        self.from("192.0.2.1:4000", packet)
    }

    fn words(&self, answer: &[u8]) -> String {
        // A v1 answer has the same form.
        let mut answer = answer.to_vec();
        if answer.get(2..5) == Some(&[2, 1, 0]) {
            answer[4] = 1;
        }
        match crate::snmp::Response::of_v2c(&answer) {
            Some(response) => {
                let error = response.error().unwrap_or("noError");
                format!("Response {error}, id {}, {} octets", response.request_id, answer.len())
            }
            None => in_words(&answer, &self.users[0]),
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now.mono = self.now.mono + Duration::from_secs(seconds);
        self.now.wall = Wall::from_micros(self.now.wall.micros() + seconds as i64 * 1_000_000);
    }

    fn step(&mut self, seconds: i64) {
        self.now.wall = Wall::from_micros(self.now.wall.micros() + seconds * 1_000_000);
    }
}

fn active(users: &[User], memory: &Arc<Memory>) -> Active {
    let file = RuleFile { name: "rules.toml".into(), text: RULES.into() };
    let rules = compile(&[file], Arc::default()).rules.unwrap();
    let usm = Some(Arc::new(Usm::new(users.to_vec(), memory.clone())));
    Active { rules, usm, ..Active::default() }
}

fn ops() -> User {
    User::new("ops", (AuthProtocol::Sha1, b"authpass123"), None).unwrap()
}

fn private() -> User {
    let privacy = Some((PrivProtocol::Aes128, &b"privpass123"[..]));
    User::new("ops", (AuthProtocol::Sha1, b"authpass123"), privacy).unwrap()
}

/// An inform to this daemon.
fn inform(flags: u8) -> Crafted<'static> {
    Crafted { flags, engine: OWN, boots: BOOTS, time: 1000, pdu: tag::INFORM, ..Crafted::default() }
}

const TAKEN: &str = "taken 1.3.6.1.6.3.1.1.5.3 Gi0/3";

#[test]
fn packets_as_they_were_captured() {
    let bound = User::new("ops", (AuthProtocol::Sha256, b"authpass123"), None);
    let bound = bound.unwrap().bound_to(&[0x80, 0, 0, 0, 0xc0, 0xff, 0xee, 0x11]);
    let users = [User::open("ops"), User::open("noauth"), User::open("abc"), bound];
    let rows = [
        (
            "a Report with the flag, of an engine that nobody knows",
            "304a020103300e020101020300ffe3040104020103041930170409800000000561626364020100020100040004000400\
             301a04098000000005616263640400a80b0201010201000201003000",
            "not_notification",
        ),
        (
            "privacy without authentication",
            "3038020103300e020101020300ffe30401060201030410300e0400020100020100040004000400301104000400\
             a00b0201010201000201003000",
            "v3_envelope",
        ),
        (
            "an unauthenticated trap of an engine that a user with a password is bound to",
            "308186020103300f020203e8020300ffe3040100020103041b3019040880000000c0ffee1102010002010004036f7073\
             040004003053040880000000c0ffee110400a745020105020100020100303a300e06082b06010201010300430204d2\
             3017060a2b06010603010104010006092b0601060301010503300f060a2b060102010202010103020103",
            "v3_level",
        ),
        (
            "an inform with an error-status",
            "304102010104067075626c6963a63402014d0201050201023029300e06082b06010201010300430204d23017060a2b06\
             010603010104010006092b0601060301010503",
            "taken 1.3.6.1.6.3.1.1.5.3; Response noError, id 77, 67 octets",
        ),
        (
            "a v1 Trap-PDU in a v3 message",
            "307a020103300e020101020300ffe30401000201030421301f040b80001f8804746573740101020101020164\
             04066e6f61757468040004003042040b80001f88047465737401010400a43106092b0601040181fd59014004c0000207\
             02010602010743010130153013060b2b0601040181fd59010100040462617474",
            "taken 1.3.6.1.4.1.32473.1.0.7 batt",
        ),
        (
            "an inform without snmpTrapOID.0, as Arduino_SNMP sends it",
            "304a02040000000104067075626c6963a63a0204fbbdff460204000000000204000000003026301006082b0601020101\
             03004304000002a4301206082b0601020101020006062bce04030101",
            "taken 0.0 1.3.9988.3.1.1; Response noError, id -71434426, 67 octets",
        ),
        (
            "a varbind whose name has an arc beyond 2^32",
            "306b02010104067075626c6963a75e0201010201000201003053300e06082b06010201010300430210923019060a2b06\
             0106030101040100060b2b0601040181fd590100013010060b2b060104019fffffffff7f0201013014060b2b06010401\
             81fd5901090004056166746572",
            "taken 1.3.6.1.4.1.32473.1.0.1 1 after",
        ),
        (
            "a datagram that ends within the length of an empty list, as an HP 2650 sends it",
            "302902010004067075626c6963a41c06082b060106030101054004c00002220201040201004302109230",
            "taken 1.3.6.1.6.3.1.1.5.5",
        ),
        (
            "a v1 trap with a Counter64",
            "303a02010004067075626c6963a42d06072b060104018f514004c000020702010602010743010130133011060b2b0601\
             02011f010101060246020100",
            "taken 1.3.6.1.4.1.2001.0.7 256",
        ),
        ("indefinite lengths", "308002010104067075626c6963a7800000", "truncated"),
        (
            "two octets of msgFlags",
            "3039020103300f020101020300ffe304020400020103\
             0410300e040002010002010004000400040030110400\
             0400a00b0201010201000201003000",
            "v3_envelope",
        ),
        (
            "a security model that is not USM",
            "3038020103300e020101020300ffe30401040201040410300e0400020100020100040004000400301104000400\
             a00b0201010201000201003000",
            "v3_model",
        ),
    ];
    for (name, hex, wanted) in rows {
        let mut bench = Bench::new(&users);
        assert_eq!(bench.of(&unhex(hex).unwrap()), wanted, "{name}");
    }
    // The same with encryption, and with octets behind the message.
    for (name, hex) in [
        (
            "an encrypted trap with the reportable flag, as gosnmp sent it before 1.35",
            "3081a8020103300e020101020300ffe304010702010304323030040b80001f880474657374010102010102016404036f\
             7073040cacba6b59d5b24a7c9fcb164004085bf3b91d3ab3aed0045f6c7697b06287c072545ab2acbdcb53a5c3a8197c\
             b3c8de72c8a62fcbc3b5cbf8246e64794fb65f27c8202fdcac69d0de82a04a68c8ce54f1237ad9042831792d40ae1844\
             66e72cc3735cf259bb8a33e2cff9400976652ae612f0db36d1e914",
        ),
        (
            "padding behind an authenticated message",
            "3081a8020103300e020101020300ffe304010302010304323030040b80001f880474657374010102010102016404036f\
             7073040cab98bdb8a2c5847849db4eb404080bed921e1049f048045f660f6ac7d1a355a0fbeb952870c486504a916d81\
             eb407181ad958c9f95ee7eb8efff1fae65cb429bf2bc3f90ddfd07269f5f7fb0109e688ca29082427349cdab887ef325\
             3e90f6c6aff051055bb60b058740eee54e5282657b61c8b42b4a60000000000000000000000000",
        ),
    ] {
        let mut bench = Bench::new(&[private()]);
        let fate = bench.of(&unhex(hex).unwrap());
        assert!(fate.starts_with("taken "), "{name}: {fate}");
    }
}

#[test]
fn informs_are_answered_with_and_without_the_flag_and_processed_once() {
    for (user, level) in [(ops(), AUTH), (User::open("ops"), 0), (private(), AUTH | PRIV)] {
        for flag in [0, REPORTABLE] {
            let mut bench = Bench::new(std::slice::from_ref(&user));
            let names = ["noAuthNoPriv", "authNoPriv", "", "authPriv"];
            for (n, message_id) in (1000..1004).enumerate() {
                let packet = Crafted { message_id, ..inform(level | flag) }.of(&user);
                let response = format!(
                    "Response 0 0, {}, msgID {message_id}, id 4242, 3 varbinds",
                    names[usize::from(level)]
                );
                let wanted = if n == 0 { format!("{TAKEN}; {response}") } else { response };
                // Each try may have a port of its own, and a copy an address.
                let peer = format!("192.0.2.{}:{}", n % 2 + 1, 4000 + n);
                assert_eq!(bench.from(&peer, &packet), wanted, "flag {flag}, level {level}");
            }
            assert_eq!(bench.shared.stats.informs_unanswered.get(), 0);
        }
    }
}

#[test]
fn any_version_may_carry_an_inform() {
    let v2c = "304102010104067075626c6963a63402014d0201000201003029300e06082b06010201010300430204d23017060a2b0601060301\
               0104010006092b0601060301010503";
    let mut v1 = unhex(v2c).unwrap();
    v1[4] = 0;
    let fate = Bench::new(&[ops()]).of(&v1);
    assert!(fate.starts_with("taken 1.3.6.1.6.3.1.1.5.3; "), "{fate}");
}

#[test]
fn a_repeated_inform_is_known_by_all_listeners() {
    let (mut first, packet) = (Bench::new(&[ops()]), inform(AUTH).of(&ops()));
    assert!(first.of(&packet).starts_with(TAKEN));
    let v2c = unhex(
        "304102010104067075626c6963a63402014d0201000201003029300e06082b06010201010300430204d23017060a2b06\
         010603010104010006092b0601060301010503",
    );
    let v2c = v2c.unwrap();
    assert!(first.of(&v2c).starts_with("taken"));
    first.pipeline = Pipeline::of_stream(first.shared.clone(), None);
    assert!(first.of(&packet).starts_with("Response"), "over TCP");
    assert!(first.from("192.0.2.1:5000", &v2c).starts_with("Response"), "from another port");
    assert!(first.from("192.0.2.9:5000", &v2c).starts_with("taken"), "from another address");
}

#[test]
fn what_is_wrong_is_reported_in_the_order_of_rfc_3414() {
    let other = User::new("ops", (AuthProtocol::Sha1, b"another-one"), None).unwrap();
    let nobody = User::new("nobody", (AuthProtocol::Sha1, b"authpass123"), None).unwrap();
    let open = User::open("ops");
    let elsewhere: &[u8] = &[0x80, 0, 0, 1, 9];
    let late = Crafted { time: 849, ..inform(AUTH) };
    let proven = |name: &str| format!("Report {name} = 1, authNoPriv, msgID 1000, id 4242; v3_time");
    let plain =
        |name: &str, reason: &str| format!("Report {name} = 1, noAuthNoPriv, msgID 1000, id 4242; {reason}");
    let rows: Vec<(&str, Vec<u8>, String)> = vec![
        (
            "engine",
            Crafted { engine: elsewhere, ..inform(AUTH) }.of(&ops()),
            plain("usmStatsUnknownEngineIDs", "discovery"),
        ),
        (
            "no engine",
            Crafted { engine: &[], boots: 0, time: 0, ..inform(0) }.of(&ops()),
            plain("usmStatsUnknownEngineIDs", "discovery"),
        ),
        (
            "engine and user",
            Crafted { engine: elsewhere, ..inform(AUTH) }.of(&nobody),
            plain("usmStatsUnknownEngineIDs", "discovery"),
        ),
        ("user", inform(AUTH).of(&nobody), plain("usmStatsUnknownUserNames", "v3_user")),
        (
            "user and time",
            Crafted { time: 1, ..inform(AUTH) }.of(&nobody),
            plain("usmStatsUnknownUserNames", "v3_user"),
        ),
        ("level", inform(0).of(&open), plain("usmStatsUnsupportedSecLevels", "v3_level")),
        ("digest", inform(AUTH).of(&other), plain("usmStatsWrongDigests", "v3_digest")),
        (
            "digest and time",
            Crafted { time: 1, ..inform(AUTH) }.of(&other),
            plain("usmStatsWrongDigests", "v3_digest"),
        ),
        ("time", late.of(&ops()), proven("usmStatsNotInTimeWindows")),
        (
            "boots",
            Crafted { boots: BOOTS - 1, ..inform(AUTH) }.of(&ops()),
            proven("usmStatsNotInTimeWindows"),
        ),
        (
            "later boots",
            Crafted { boots: BOOTS + 1, ..inform(AUTH) }.of(&ops()),
            proven("usmStatsNotInTimeWindows"),
        ),
        (
            "synchronisation",
            Crafted { boots: 0, time: 0, ..inform(AUTH) }.of(&ops()),
            proven("usmStatsNotInTimeWindows"),
        ),
        (
            "GET",
            Crafted { pdu: tag::GET, ..inform(AUTH | REPORTABLE) }.of(&ops()),
            "Report snmpUnknownPDUHandlers = 1, authNoPriv, msgID 1000, id 4242; not_notification".to_owned(),
        ),
        (
            "a name that is no text",
            Crafted { name: Some(&[0xfc, 0xe4]), ..inform(0) }.of(&open),
            plain("usmStatsUnknownUserNames", "v3_user"),
        ),
        (
            "a name of 33 octets",
            Crafted { name: Some(&[b'x'; 33]), ..inform(0) }.of(&open),
            "v3_envelope".to_owned(),
        ),
        ("boots beyond 2^31-1", Crafted { boots: 1 << 31, ..inform(0) }.of(&open), "v3_envelope".to_owned()),
    ];
    for (name, packet, wanted) in rows {
        assert_eq!(Bench::new(&[ops()]).of(&packet), wanted, "{name}");
    }
    // The window of 150 s, to the second.
    for (time, taken) in [(850, true), (849, false), (1150, true), (1151, false)] {
        let fate = Bench::new(&[ops()]).of(&Crafted { time, ..inform(AUTH) }.of(&ops()));
        assert_eq!(fate.starts_with(TAKEN), taken, "{time}: {fate}");
    }
}

#[test]
fn a_senders_clock_follows_rfc_3414() {
    let mut bench = Bench::new(&[ops()]);
    let mut trap =
        |boots, time| bench.of(&Crafted { flags: AUTH, boots, time, ..Crafted::default() }.of(&ops()));
    assert_eq!(trap(7, 1000), TAKEN);
    assert_eq!(trap(7, 851), TAKEN, "149 behind");
    assert_eq!(trap(7, 845), "v3_time", "155 behind");
    assert_eq!(trap(6, 5000), "v3_time", "an earlier boot");
    assert_eq!(trap(7, 5000), TAKEN, "ahead without limit");
    assert_eq!(trap(7, 1001), "v3_time", "which moves the clock");
    assert_eq!(trap(8, 0), TAKEN, "a later boot");
}

#[test]
fn steps_of_the_wall_clock_change_nothing() {
    let user = ops();
    for step in [150, -150, 160, -160, 3600, -3600] {
        let mut bench = Bench::new(std::slice::from_ref(&user));
        let trap = |time| Crafted { flags: AUTH, time, ..Crafted::default() }.of(&user);
        let answered = |n: u32| Crafted { time: 1000 + n, request_id: n as i32, ..inform(AUTH) }.of(&user);
        assert_eq!(bench.of(&trap(100)), TAKEN);
        let copied = trap(101);
        assert_eq!(bench.of(&copied), TAKEN);
        for n in 1..5 {
            bench.step(step);
            bench.pass(2);
            assert_eq!(bench.of(&trap(101 + 2 * n)), TAKEN, "step {step}");
            assert_eq!(bench.of(&copied), "v3_replay", "step {step}");
            let fate = bench.of(&answered(2 * n));
            assert!(fate.contains("Response 0 0"), "step {step}: {fate}");
            let again = bench.of(&answered(2 * n));
            assert!(again.starts_with("Response 0 0"), "step {step}: {again}");
        }
        // What is late is late, whatever the wall clock says.
        bench.pass(200);
        assert_eq!(bench.of(&trap(110)), "v3_time", "step {step}");
    }
}

#[test]
fn what_was_taken_before_a_restart_is_not_taken_after_it() {
    let user = private();
    let trap = |time| Crafted { flags: AUTH | PRIV, time, ..Crafted::default() }.of(&user);
    let recorded: Vec<Vec<u8>> = [100, 4000, 8000].map(trap).into();
    let memory =
        |senders| Memory::new(Engine { id: OWN.to_vec(), boots: BOOTS, started: STARTED }, senders).unwrap();
    let mut bench = Bench::new(std::slice::from_ref(&user));
    for packet in &recorded {
        assert_eq!(bench.of(packet), TAKEN);
    }
    let stored = bench.memory.senders().to_store().unwrap();
    let senders = Senders::from_stored(&stored, STARTED + 1000).unwrap();
    let mut again = Bench::with(std::slice::from_ref(&user), memory(senders));
    let fates: Vec<String> = recorded.iter().map(|packet| again.of(packet)).collect();
    assert_eq!(fates, ["v3_time", "v3_time", "v3_replay"]);
    assert_eq!(again.of(&trap(8001)), TAKEN);
}

#[test]
fn answers_fit_the_datagram() {
    let v2c = |octets: usize| {
        use crate::message::{Notification, NotificationKind, Value, Varbind, Version};
        let text = vec![b'x'; octets];
        crate::snmp::encode::encode(&Notification {
            version: Version::V2c,
            kind: NotificationKind::Inform,
            community: b"public",
            proxied_community: None,
            security: None,
            request_id: 7,
            oid: "1.3.6.1.6.3.1.1.5.3".parse().unwrap(),
            enterprise: None,
            agent: None,
            generic: None,
            specific: None,
            uptime: Some(1),
            varbinds: vec![Varbind {
                oid: "1.3.6.1.2.1.2.2.1.2.3".parse().unwrap(),
                value: Value::OctetString(&text),
            }],
        })
    };
    let most = 65_507 - (v2c(60_000).len() - 60_000);
    let mut bench = Bench::new(&[ops()]);
    assert!(bench.of(&v2c(most)).ends_with("Response noError, id 7, 65507 octets"));
    // An inform with shorter lengths than ours would be answered with more than it has.
    assert!(bench.of(&v2c(most + 1)).contains("Response tooBig, id 7"), "the inform is taken all the same");
    let flags = AUTH | REPORTABLE;
    let text = vec![b'x'; 2000];
    let small = Crafted { max_size: 484, text: &text, ..inform(flags) }.of(&ops());
    assert!(bench.of(&small).ends_with("Response 1 0, authNoPriv, msgID 1000, id 4242, 0 varbinds"));
}

#[test]
fn one_shot_discoveries_are_answered_at_once() {
    let user = User::open("ops");
    let engine = Engine { id: b"sender".to_vec(), boots: 1, started: 0 };
    let sender = Originator::new(user.clone(), engine, b"").unwrap();
    let mut bench = Bench::new(std::slice::from_ref(&user));
    for n in 0..60 {
        // The shortest question there is, with a longer answer.
        let ask = sender.discovery(n).unwrap();
        assert!(bench.of(&ask).contains("usmStatsUnknownEngineIDs"), "discovery {n}");
        let fate = bench.of(&Crafted { request_id: n, ..inform(REPORTABLE) }.of(&user));
        assert!(fate.contains("Response 0 0"), "{fate}");
        assert_eq!(bench.shared.stats.reports_held_back.get(), 0);
    }
}

#[test]
fn first_traps_of_true_engines_get_through_a_flood_of_made_up_ones() {
    let user = ops();
    let mut bench = Bench::new(std::slice::from_ref(&user));
    let mut made_up =
        Crafted { flags: AUTH, engine: b"\x80\x00\x00\x01AAAA", ..Crafted::default() }.of(&user);
    let at = made_up.windows(4).position(|octets| octets == b"AAAA").unwrap();
    let mut flood = |bench: &mut Bench, count: u32| {
        for n in 0..count {
            made_up[at..at + 4].copy_from_slice(&n.to_be_bytes());
            let peer = SocketAddr::new(IpAddr::from([203, 0, 113, (n % 3) as u8]), 4000);
            bench.pipeline.packet(&made_up, Arrival { peer: peer.into(), local: None }, bench.now);
        }
    };
    flood(&mut bench, 25_000);
    let engines = bench.shared.stats.to_json()["malformed"]["v3_engines"].as_u64();
    assert!(engines > Some(1000), "the flood is held back: {engines:?}");
    let mut taken = 0;
    for n in 0..40u8 {
        let engine = [0x80, 0, 0, 2, n];
        let packet = Crafted { flags: AUTH, engine: &engine, ..Crafted::default() }.of(&user);
        // Up to 16 from one address; all of these are of one second.
        taken += usize::from(bench.from(&format!("198.51.100.{}:4000", n / 10), &packet) == TAKEN);
    }
    assert!(taken >= 30, "{taken} of 40, less those that share a slot with one of the flood");
}

#[path = "storm_proof_tests.rs"]
mod storms;
