//! The parts of a message's way, one by one: `cargo bench --bench micro`.
#![allow(missing_docs, clippy::unwrap_used)]

use divan::{Bencher, black_box};
use snmp_parser::SnmpMessage;
use snmp_parser::asn1_rs::FromBer;
use trapline::journal::{Batch, Journal, Options};
use trapline::message::{Notification, NotificationKind, Oid, Value, Varbind, Version};
use trapline::outcome::{CheckResult, Common, Outcome, State};
use trapline::sinks::nagios::format;
use trapline::{mib, snmp, syslog};

const LINE: &str = "<36>Nov 20 12:00:01 db1 in.telnetd[411]: refused connect from evil.example (203.0.113.9)";
const NOW: i64 = 1_795_176_000_000_000;

fn main() {
    divan::main();
}

fn packet() -> Vec<u8> {
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    let varbind = |column: u8, value| Varbind { oid: oid(&format!("1.3.6.1.2.1.2.2.1.{column}.3")), value };
    snmp::encode::encode(&Notification {
        version: Version::V2c,
        kind: NotificationKind::Trap,
        community: b"public",
        proxied_community: None,
        request_id: 1,
        oid: oid("1.3.6.1.6.3.1.1.5.3"),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(100),
        varbinds: vec![
            varbind(1, Value::Integer(3)),
            varbind(7, Value::Integer(1)),
            varbind(8, Value::Integer(2)),
            varbind(2, Value::OctetString(b"GigabitEthernet0/3")),
        ],
    })
}

fn outcome() -> Outcome<'static> {
    Outcome::CheckResult(CheckResult {
        common: Common {
            time: NOW,
            rule: "link-down".into(),
            state: State::Critical,
            output: "Link down on GigabitEthernet0/3 (admin up, oper down)".into(),
            long_output: "".into(),
            source: "192.0.2.1".into(),
        },
        host: "router1".into(),
        service: Some("Interface GigabitEthernet0/3".into()),
        perfdata: "".into(),
    })
}

#[divan::bench]
fn decode_v2c(bencher: Bencher<'_, '_>) {
    let packet = packet();
    bencher.bench(|| snmp::decode(black_box(&packet)).unwrap().notification.varbinds.len());
}

#[divan::bench]
fn decode_v2c_snmp_parser(bencher: Bencher<'_, '_>) {
    let packet = packet();
    bencher.bench(|| SnmpMessage::from_ber(black_box(&packet)).unwrap().1.version);
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

/// 64 outcomes in one append: divide by 64.
#[divan::bench]
fn append_64(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { directory: dir.path().to_owned(), max_size: 64 << 20 };
    let (journal, _) = Journal::open(options, 7).unwrap();
    let mut batch = Batch::default();
    for _ in 0..64 {
        batch.push(&outcome());
    }
    bencher.bench_local(|| journal.append(&batch).unwrap());
}

#[divan::bench]
fn nagios_command(bencher: Bencher<'_, '_>) {
    let Outcome::CheckResult(check) = outcome() else { return };
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        format::push_command(&mut out, black_box(&check))
    });
}
