//! The pure part of the way, from a packet's bytes to an encoded outcome, so many times: for `benches/instructions`,
//! which counts its instructions.
#![allow(
    missing_docs,
    dead_code,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic
)]

mod common;

use std::sync::Arc;

use common::{LINE, NOW, packet};
use trapline::journal::Batch;
use trapline::lookup::choice::Received;
use trapline::lookup::hosts::Hosts;
use trapline::message::{Message, NotificationKind, Source};
use trapline::rules::compile::{RuleFile, compile};
use trapline::rules::{MatchResult, MessageContext, RuleSet, Scratch};
use trapline::{mib, snmp, syslog};

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let (Some(what), Some(count)) = (args.next(), args.next().and_then(|n| n.parse::<u64>().ok())) else {
        return;
    };
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
