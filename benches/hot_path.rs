//! The pure part of the way, from a packet's bytes to an encoded outcome, so many times; and lines of RFC 3164 alone, as they
//! are read here and by syslog_loose: for `benches/instructions`, which counts the instructions.
#![allow(
    missing_docs,
    dead_code,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic
)]

mod common;

use std::hint::black_box;
use std::sync::Arc;

use jiff::tz::TimeZone;

use common::{LINE, NOW, packet};
use trapline::journal::Batch;
use trapline::lookup::choice::Received;
use trapline::lookup::hosts::Hosts;
use trapline::message::{Message, NotificationKind, Source};
use trapline::rules::compile::{RuleFile, compile};
use trapline::rules::{MatchResult, MessageContext, RuleSet, Scratch};
use trapline::{mib, snmp, syslog};

/// Lines of RFC 3164 as hosts send them.
const LINES: [&str; 6] = [
    "<86>Nov 20 12:00:01 web1 sshd[4711]: Accepted publickey for deploy from 192.0.2.50 port 52144 ssh2: RSA SHA256:abcdefghijklmnop",
    "<38>Nov 20 12:00:01 web1 sshd[4712]: Failed password for invalid user admin from 203.0.113.9 port 40122 ssh2",
    "<78>Nov 20 12:00:01 db1 CRON[911]: (root) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.daily)",
    "<6>Nov 20 12:00:01 db1 kernel: [12345.678901] eth0: link becomes ready",
    "<22>Nov 20 12:00:01 mail1 postfix/smtpd[2201]: connect from mx.example.org[198.51.100.7]",
    "<14>Nov 20 12:00:01 app1 app[7]: request id=4711 path=/index.html status=200 took=12ms user=ops",
];

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let (Some(what), Some(count)) = (args.next(), args.next().and_then(|n| n.parse::<u64>().ok())) else {
        return;
    };
    match what.as_str() {
        "parse" => {
            return lines(count, |line| {
                syslog::parse::parse_line_in(line, NOW, &TimeZone::UTC).message.len()
            });
        }
        "loose" => {
            let parse = syslog_loose::parse_message_with_year::<fn(_) -> _>;
            return lines(count, |line| parse(line, |_| 2026, syslog_loose::Variant::Either).msg.len());
        }
        _ => {}
    }
    let rules = rules();
    let source = Source { peer: ([192, 0, 2, 1], 162).into(), received: NOW };
    let hosts = Hosts::default();
    let (mut scratch, mut batch) = (Scratch::default(), Batch::default());
    let packet = packet("GigabitEthernet0/3", NotificationKind::Trap, 1);
    for _ in 0..count {
        batch.clear();
        let verdict = match what.as_str() {
            "trap" => {
                let message = Message::Notification(snmp::decode(&packet).unwrap().notification);
                apply(&rules, &hosts, &message, &source, &mut scratch, &mut batch)
            }
            _ => {
                let message = Message::Syslog(syslog::parse_line(LINE, NOW));
                apply(&rules, &hosts, &message, &source, &mut scratch, &mut batch)
            }
        };
        assert_eq!((verdict, batch.len()), (MatchResult::Matched, 1));
    }
}

/// Reads so many lines of each kind.
fn lines(count: u64, parse: impl Fn(&'static str) -> usize) {
    for _ in 0..count {
        for line in LINES {
            assert!(black_box(parse(black_box(line))) > 0);
        }
    }
}

fn apply(
    rules: &RuleSet,
    hosts: &Hosts,
    message: &Message<'_>,
    source: &Source,
    scratch: &mut Scratch,
    batch: &mut Batch,
) -> MatchResult {
    let received = Received { message, source, address: "192.0.2.1", relay: true, reverse: &|_| None };
    let choice = hosts.choose(&received, None);
    let subject = MessageContext::new(&received, &choice, hosts, None);
    rules.apply(&subject, scratch, |_, outcome| {
        batch.push(outcome);
    })
}

/// The shipped rules behind a few hundred others.
fn rules() -> RuleSet {
    let mut others = String::new();
    for n in 0..300 {
        let matcher = match n % 3 {
            0 => format!("trap = \"1.3.6.1.4.1.{}.0.{n}\"", 90_000 + n),
            1 => format!("trap = \"1.3.6.1.4.1.{}.*\"", 90_000 + n),
            _ => format!("syslog = {{ message = 'event number {n} of (?<who>[a-z]+)' }}"),
        };
        others.push_str(&format!("[[rule]]\nid = \"other-{n}\"\n{matcher}\ndrop = true\n"));
    }
    let file = |name: &str, text: &str| RuleFile { name: name.into(), text: text.into() };
    let mut files = vec![file("others.toml", &others)];
    files.extend(trapline::rules::shipped::PACKS.iter().map(|(name, text)| file(name, text)));
    let compiled = compile(&files, Arc::new(mib::load::load(&[]).mib));
    compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()))
}
