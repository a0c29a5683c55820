//! What anybody can forge in the name of a sender of SNMPv3, and what that leaves of the limits of `[storm]` for its own messages.

use super::*;
use crate::intake::listener::Protocol;
use crate::intake::storm::Settings;
use crate::snmp::usm::crafted::UNREADABLE;

const RATE: u64 = 10;
const HARD: u64 = 40;
/// How much is forged at a time.
const FORGED: u64 = 1000;
/// An engine that has proven itself.
const KNOWN: &[u8] = &[0x80, 0, 0, 1, 1];

fn users() -> [User; 4] {
    let stranger = User::new("stranger", (AuthProtocol::Sha1, b"strangers' own"), None).unwrap();
    [
        ops(),
        User::open("guest"),
        stranger,
        User::new("second", (AuthProtocol::Sha256, b"second secret"), None).unwrap(),
    ]
}

/// A daemon with limits, which has the first three users. Their engine has sent before.
fn limited() -> Bench {
    let users = users();
    let mut bench = Bench::new(&users[..2]);
    let mut all = users[..2].to_vec();
    all.push(users[3].clone());
    let storm =
        Some(Settings { rate: RATE, hard: HARD, except: Vec::new(), service: "Message storm".into() });
    bench.shared.replace(Active { storm, ..active(&all, &bench.memory) });
    bench.pipeline.refresh();
    bench
}

impl Bench {
    /// Takes a datagram of the sender that is forged. How many outcomes and answers it gives rise to.
    fn datagram(&mut self, packet: &[u8]) -> (usize, usize) {
        let arrival = Arrival { peer: "192.0.2.1:4000".parse().unwrap(), local: None };
        self.pipeline.datagram(Protocol::Snmp, packet, arrival, self.now);
        let answers = self.pipeline.commit(self.now).count();
        let mut taken = 0;
        self.reader
            .read(1000, |_| {
                taken += 1;
                true
            })
            .unwrap();
        (taken, answers)
    }

    /// How many of so many new traps of the sender are taken.
    fn own_traps(&mut self, user: &User, count: u64, request_id: i32) -> usize {
        let trap = |n: u64| Crafted {
            flags: user.flags(),
            engine: KNOWN,
            request_id: request_id + n as i32,
            ..Crafted::default()
        };
        (0..count).map(|n| self.datagram(&trap(n).of(user)).0).sum()
    }

    fn storms(&self) -> Vec<String> {
        self.shared.storms.kept().into_iter().map(|kept| kept.what).collect()
    }

    fn refused(&self) -> u64 {
        self.malformed().into_iter().map(|(_, count)| count).sum()
    }
}

/// What is sent again and again, and how many of the copies are the sender's own message.
type Garbage = (&'static str, Box<dyn Fn(u64) -> Vec<u8>>, usize);

fn garbage() -> Vec<Garbage> {
    let [ops, guest, stranger, second] = users();
    let of = |user: &User, crafted: Crafted<'static>| {
        let packet = crafted.of(user);
        Box::new(move |_| packet.clone()) as Box<dyn Fn(u64) -> Vec<u8>>
    };
    let damaged = |user: &User, engine: &'static [u8]| {
        let packet = Crafted { flags: AUTH, engine, ..Crafted::default() }.of(user);
        Box::new(move |n: u64| {
            let (mut packet, last) = (packet.clone(), packet.len() - 1);
            packet[last] ^= 1 | n as u8;
            packet
        }) as Box<dyn Fn(u64) -> Vec<u8>>
    };
    let trap = |flags| Crafted { flags, engine: KNOWN, ..Crafted::default() };
    let octets =
        |octets: &'static [u8]| Box::new(move |_: u64| octets.to_vec()) as Box<dyn Fn(u64) -> Vec<u8>>;
    let other = ops.clone();
    vec![
        ("only a version", octets(&[0x30, 5, 2, 1, 3, 0, 0]), 0),
        ("a version in another form", octets(&[0x30, 0x84, 0, 0, 0, 6, 2, 2, 0, 3, 0, 0]), 0),
        ("a header without an end", octets(&[0x30, 0x82, 1, 0, 2, 1, 3, 0x30, 0x0e, 2, 1]), 0),
        ("a user that is not known", of(&stranger, trap(AUTH)), 0),
        ("a user without the proof that it has", of(&guest, Crafted { name: Some(b"ops"), ..trap(0) }), 0),
        ("a wrong digest, of an engine that is known", damaged(&ops, KNOWN), 0),
        ("a wrong digest, of a user that the engine does not have", damaged(&second, KNOWN), 0),
        ("a wrong digest, of an engine that is not known", damaged(&ops, &[0x80, 0, 0, 1, 9]), 0),
        ("a wrong digest, to this engine", damaged(&ops, OWN), 0),
        (
            "engines that are made up",
            Box::new(move |n| {
                let engine = [&[0x80, 0, 0, 2][..], &n.to_be_bytes()].concat();
                let (mut packet, last) =
                    (Crafted { flags: AUTH, engine: &engine, ..Crafted::default() }.of(&other), 9);
                let last = packet.len() - last;
                packet[last] ^= 1;
                packet
            }),
            0,
        ),
        ("copies of a trap", of(&ops, trap(AUTH)), 1),
        ("copies of an inform", of(&ops, inform(AUTH)), 1),
        ("copies of an inform that is too old", of(&ops, Crafted { time: 10, ..inform(AUTH) }), 0),
        ("copies of a trap that cannot be read", of(&ops, Crafted { pdu: UNREADABLE, ..trap(AUTH) }), 0),
        ("copies of an inform that cannot be read", of(&ops, Crafted { pdu: UNREADABLE, ..inform(AUTH) }), 0),
        ("copies of a request", of(&ops, Crafted { pdu: tag::GET, ..inform(AUTH) }), 0),
        ("questions for the engine", of(&guest, Crafted { engine: b"", ..inform(REPORTABLE) }), 0),
        ("of a user who proves nothing", of(&guest, Crafted { name: Some(b"guest"), ..trap(0) }), 0),
    ]
}

#[test]
fn what_is_forged_uses_up_nothing_of_what_a_sender_proves() {
    let ops = ops();
    for (name, forge, own) in garbage() {
        let mut bench = limited();
        assert_eq!(bench.own_traps(&ops, 1, 0), 1, "{name}: it is known");
        bench.pass(10);
        let answers: usize = (0..FORGED).map(|n| bench.datagram(&forge(n)).1).sum();
        let what = "unauthenticated SNMPv3";
        assert_eq!(bench.storms(), [what], "{name}");
        let left_out = bench.shared.stats.storm_left_out.get();
        assert!(left_out > FORGED * 9 / 10 && left_out < FORGED, "{name}: {left_out} are counted only");
        assert!(bench.refused() <= FORGED - left_out, "{name}: {} are told of", bench.refused());
        // Who has the key, as a copy has not, is told the time: so many a second.
        assert!(answers as u64 <= (FORGED - left_out).max(200), "{name}: {answers} are answered");
        // A burst of two seconds' worth, while it goes on.
        let burst = RATE as usize * 2;
        let mut taken = 0;
        for n in 0..burst - own {
            taken += bench.own_traps(&ops, 1, 100 + n as i32);
            for again in 0..10 {
                bench.datagram(&forge(again));
            }
        }
        assert_eq!(taken, burst - own, "{name}: {:?}", bench.storms());
        assert_eq!(bench.storms(), [what], "{name}");
    }
}

#[test]
fn what_is_proven_is_limited_by_itself() {
    let (ops, mut bench) = (ops(), limited());
    assert!(bench.own_traps(&ops, FORGED, 0) < 100);
    assert_eq!(bench.storms(), ["SNMPv3"]);
    assert!(bench.shared.stats.storm_left_out.get() > FORGED * 9 / 10);
    // It leaves its share to what proves nothing.
    assert_eq!(bench.own_traps(&users()[1], RATE, 0), RATE as usize);
}

#[test]
fn a_sender_whose_time_is_wrong_is_told_in_a_storm_of_others() {
    let (ops, mut bench) = (ops(), limited());
    for _ in 0..FORGED {
        bench.datagram(&[0x30, 5, 2, 1, 3, 0, 0]);
    }
    let late = Crafted { time: 10, ..inform(AUTH | REPORTABLE) }.of(&ops);
    assert_eq!((0..5).map(|_| bench.datagram(&late).1).sum::<usize>(), 5);
    let next = inform(AUTH | REPORTABLE).of(&ops);
    assert_eq!(bench.datagram(&next), (1, 1));
}

#[test]
fn a_user_that_was_not_heard_since_a_reload_gets_its_turn() {
    let (ops, mut bench) = (ops(), limited());
    assert_eq!(bench.own_traps(&ops, 1, 0), 1);
    let storm = bench.shared.active().storm.clone();
    bench.shared.replace(Active { storm, ..active(std::slice::from_ref(&ops), &bench.memory) });
    bench.pipeline.refresh();
    let mut damaged = Crafted { flags: AUTH, engine: KNOWN, ..Crafted::default() }.of(&ops);
    *damaged.last_mut().unwrap() ^= 1;
    // More than keys are made for in a second: the rest is not tried.
    for _ in 0..11_000 {
        bench.datagram(&damaged);
    }
    assert_eq!(bench.own_traps(&ops, 1, 1), 0);
    bench.pass(1);
    assert_eq!(bench.own_traps(&ops, 1, 2), 1);
    for _ in 0..11_000 {
        bench.datagram(&damaged);
    }
    assert_eq!(bench.own_traps(&ops, 5, 3), 5, "its key is known");
}
