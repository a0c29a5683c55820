use std::net::Ipv4Addr;

use super::*;
use crate::time::clock::Wall;

fn at(seconds: u64) -> Now {
    let wall = Wall::from_micros(1_700_000_000_000_000 + i64::try_from(seconds).unwrap() * 1_000_000);
    Now { wall, mono: Mono::from_nanos((1 + seconds) * 1_000_000_000) }
}

fn address(n: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + n).into()
}

fn line() -> Message<'static> {
    Message::Syslog(crate::syslog::parse_line("<13>hello", 0))
}

/// A message of an address about a host.
fn hear(senders: &Senders, hosts: &Hosts, from: u32, host: &str, now: Now) {
    let mut batch = Batch::default();
    batch.count(address(from), &line(), host, MatchResult::Matched);
    senders.add(&mut batch, hosts, now);
    assert!(batch.is_empty());
}

fn known(map: &[(u32, &str)]) -> Hosts {
    let mut hosts = Hosts::default();
    for (from, name) in map {
        hosts.insert(&address(*from).to_string(), name);
    }
    hosts
}

fn sender(senders: &Senders, from: u32) -> Option<Sender> {
    senders.all().into_iter().find(|(at, _)| *at == address(from)).map(|(_, sender)| sender)
}

#[test]
fn batches_and_refusals_add_up() {
    let (senders, hosts) = (Senders::new(at(0)), Hosts::default());
    let mut batch = Batch::default();
    let results = [MatchResult::Matched, MatchResult::Dropped, MatchResult::Unmatched, MatchResult::Matched];
    for (n, result) in results.into_iter().cycle().take(4000).enumerate() {
        batch.count(address(n as u32 % 3), &line(), "h", result);
        if n % 7 == 0 {
            senders.add(&mut batch, &hosts, at(n as u64));
        }
    }
    senders.add(&mut batch, &hosts, at(4000));
    senders.refused(address(0), Refusal::Malformed("truncated"), false, at(5000));
    let all: Vec<Sender> = senders.all().into_iter().map(|(_, sender)| sender).collect();
    let sum = |of: fn(&Tally) -> u64| all.iter().map(|sender| of(&sender.tally)).sum::<u64>();
    assert_eq!((sum(|t| t.matched), sum(|t| t.dropped), sum(|t| t.unmatched)), (2000, 1000, 1000));
    assert_eq!((all.len(), sum(|t| t.refused)), (3, 1));
    let first = sender(&senders, 0).unwrap();
    assert_eq!((first.first, first.last), (at(0), at(5000)));
    assert_eq!(first.spoken.names().collect::<Vec<_>>(), ["syslog"]);
    assert_eq!(first.refusal, Some(Refusal::Malformed("truncated")));
}

#[test]
fn forged_addresses_take_no_place_of_known_ones_and_leave_again() {
    let (senders, hosts) = (Senders::new(at(0)), known(&[(1 << 20, "core1")]));
    let most = MAX_UNKNOWN as u32;
    hear(&senders, &hosts, 0, "h", at(1));
    for n in 1..most + 1000 {
        senders.refused(address(n), Refusal::Source(crate::intake::listener::Protocol::Snmp), false, at(10));
    }
    assert_eq!((senders.all().len(), senders.others()), (MAX_UNKNOWN, 1000));
    hear(&senders, &hosts, 1 << 20, "core1", at(20));
    assert_eq!(senders.all().len(), MAX_UNKNOWN + 1, "a known one has a place");
    assert!(sender(&senders, 0).is_some(), "who was there stays");
    hear(&senders, &hosts, 0, "h", at(3000));
    // An hour later the forged ones have gone, and new ones have a place.
    hear(&senders, &hosts, most + 1, "h", at(3700));
    assert_eq!(senders.all().len(), 3);
    assert!(sender(&senders, 1 << 20).is_some());
}

#[test]
fn known_hosts_that_no_message_is_about_are_silent() {
    let hosts = known(&[(1, "direct"), (2, "behind"), (3, "gone"), (4, "never"), (9, "relay")]);
    let senders = Senders::new(at(0));
    hear(&senders, &hosts, 3, "gone", at(10));
    hear(&senders, &hosts, 1, "direct", at(1000));
    // A relay names others; names that nobody knows leave nothing.
    let mut batch = Batch::default();
    for host in ["relay", "behind", "stranger", "behind"] {
        batch.count(address(9), &line(), host, MatchResult::Matched);
    }
    senders.add(&mut batch, &hosts, at(1000));
    let silent = |least: u64| -> Vec<String> {
        let silent = senders.silent(&hosts, Duration::from_secs(least), at(1010));
        silent.into_iter().map(|(host, last)| format!("{host} {}", last.is_some())).collect()
    };
    assert_eq!(silent(0), ["never false"]);
    assert_eq!(silent(1000), ["gone true", "never false"]);
    assert_eq!(silent(1001), ["never false"]);
    assert_eq!(silent(5).len(), 5);
}

#[test]
fn who_becomes_known_is_not_counted_with_the_unknown() {
    let senders = Senders::new(at(0));
    hear(&senders, &Hosts::default(), 1, "h", at(1));
    assert_eq!(senders.lock().unknown, 1);
    hear(&senders, &known(&[(1, "core1")]), 1, "core1", at(2));
    assert_eq!(senders.lock().unknown, 0);
}
