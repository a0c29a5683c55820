//! The parts of a message's way, one by one: `cargo bench --bench micro`.
#![allow(missing_docs, dead_code, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

mod common;

use common::{LINE, NOW, check_result, outcome, packet};
use divan::{Bencher, black_box};
use snmp_parser::SnmpMessage;
use snmp_parser::asn1_rs::FromBer;
use trapline::journal::{Batch, Journal, Options, WhenFull};
use trapline::message::{NotificationKind, Oid};
use trapline::mib::load as mib;
use trapline::sinks::nagios::format;
use trapline::sinks::plugin_output::Newlines;
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
