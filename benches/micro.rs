//! The parts of a message's way, one by one: `cargo bench --bench micro`.
#![allow(missing_docs, dead_code, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

mod common;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use common::{LINE, NOW, check_result, outcome, packet};
use divan::{Bencher, black_box};
use snmp_parser::SnmpMessage;
use snmp_parser::asn1_rs::FromBer;
use trapline::journal::{Batch, Journal, Options, WhenFull};
use trapline::message::{NotificationKind, Oid};
use trapline::mib::load as mib;
use trapline::outcome::record::Record;
use trapline::outcome::{codec, json};
use trapline::sinks::nagios::format;
use trapline::sinks::plugin_output::Newlines;
use trapline::snmp::usm::originate::Originator;
use trapline::snmp::usm::{AuthProtocol, Engine, Memory, PrivProtocol, Senders, User, Usm};
use trapline::{snmp, syslog};

fn main() {
    divan::main();
}

#[divan::bench]
fn decode_v2c(bencher: Bencher<'_, '_>) {
    let packet = packet("GigabitEthernet0/3", NotificationKind::Trap, 1);
    bencher.bench(|| snmp::decode(black_box(&packet)).unwrap().notification.varbinds.len());
}

#[divan::bench]
fn decode_v2c_snmp_parser(bencher: Bencher<'_, '_>) {
    let packet = packet("GigabitEthernet0/3", NotificationKind::Trap, 1);
    bencher.bench(|| SnmpMessage::from_ber(black_box(&packet)).unwrap().1.version);
}

/// The same trap in SNMPv3 with SHA-256 and AES-128: proven, decrypted, not known yet, decoded.
#[divan::bench]
fn open_and_decode_v3(bencher: Bencher<'_, '_>) {
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let privacy = Some((PrivProtocol::Aes128, &b"priv-password"[..]));
    let user = User::new("ops", (AuthProtocol::Sha256, b"auth-password"), privacy).unwrap();
    let engine = |number| Engine { id: vec![0x80, 0, 0, 1, number], boots: 1, started: 0 };
    let sender = Originator::new(user.clone(), engine(1), b"").unwrap();
    let open = packet("GigabitEthernet0/3", NotificationKind::Trap, 1);
    let notification = snmp::decode(&open).unwrap().notification;
    let packets: Vec<_> = (0..20_000).map(|id| sender.trap(&notification, id, 1000).unwrap()).collect();
    // What came before is refused, so that one that has seen all of them is of no use any more.
    let receiver =
        || Usm::new(vec![user.clone()], Arc::new(Memory::new(engine(2), Senders::default()).unwrap()));
    let (mut usm, mut next) = (receiver(), 0);
    bencher.bench_local(|| {
        if next == packets.len() {
            (usm, next) = (receiver(), 0);
        }
        let opened = usm.open(black_box(&packets[next]), HERE, 1000).unwrap();
        next += 1;
        let decoded = snmp::decode_scoped(&opened.scoped, usm.user_of(&opened), opened.level()).unwrap();
        decoded.notification.varbinds.len()
    });
}

#[divan::bench]
fn parse_line() -> bool {
    syslog::parse_line(black_box(LINE), NOW).tcp_wrappers.is_some()
}

#[divan::bench]
fn name_of_an_instance(bencher: Bencher<'_, '_>) {
    let mib = mib::load(&[]).mib;
    let oid: Oid = "1.3.6.1.2.1.2.2.1.2.3".parse().unwrap();
    bencher.bench(|| mib.lookup(black_box(&oid)).unwrap().name.len());
}

#[divan::bench]
fn encode_outcome(bencher: Bencher<'_, '_>) {
    let (outcome, mut batch) = (outcome(), Batch::default());
    bencher.bench_local(|| {
        batch.clear();
        batch.push(black_box(&outcome))
    });
}

#[divan::bench]
fn decode_outcome(bencher: Bencher<'_, '_>) {
    let mut encoded = Vec::new();
    codec::encode(&outcome(), &mut encoded);
    bencher.bench_local(|| codec::decode(black_box(&encoded)).unwrap().host().len());
}

#[divan::bench]
fn check_an_outcome(bencher: Bencher<'_, '_>) {
    let mut encoded = Vec::new();
    codec::encode(&outcome(), &mut encoded);
    bencher.bench_local(|| codec::is_outcome(black_box(&encoded)));
}

/// 64 outcomes in one append: divide by 64.
#[divan::bench]
fn append_64(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { directory: dir.path().to_owned(), max_size: 64 << 20, when_full: WhenFull::DropOldest };
    let (journal, _) = Journal::open(options, 7).unwrap();
    let mut batch = Batch::default();
    for _ in 0..64 {
        batch.push(&outcome());
    }
    bencher.bench_local(|| journal.append(&batch).unwrap());
}

#[divan::bench]
fn nagios_command(bencher: Bencher<'_, '_>) {
    let check = check_result();
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        format::push_command(&mut out, black_box(&check), Newlines::Escaped)
    });
}

#[divan::bench]
fn json_line(bencher: Bencher<'_, '_>) {
    let record = Record { epoch: 0x1234_5678_9abc_def0, sequence: 12_345_678, outcome: outcome() };
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        json::push(&mut out, black_box(&record));
    });
}
