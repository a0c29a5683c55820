use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::intake::listener::Protocol;
use crate::intake::storm::read;
use crate::settings::diagnostic::{Diagnostics, SourceText};
use crate::settings::section::{self, Section};

fn settings(rate: u64, hard: u64) -> Settings {
    Settings { rate, hard, except: vec!["192.0.2.128/25".parse().unwrap()], service: "Message storm".into() }
}

fn at(millis: u64) -> Now {
    Now { mono: Mono::default() + Duration::from_millis(1_000_000 + millis), ..Now::default() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// How many of `count` messages, evenly in a time, pass, are limited, and are counted only.
fn send(
    buckets: &mut Buckets,
    (settings, storms): (&Settings, &Storms),
    from: (IpAddr, What),
    (from_ms, to_ms, count): (u64, u64, u64),
) -> [u64; 3] {
    let mut fates = [0; 3];
    for n in 0..count {
        match buckets.take(settings, storms, from, at(from_ms + (to_ms - from_ms) * n / count)) {
            Fate::Passes => fates[0] += 1,
            Fate::Limited(_) => fates[1] += 1,
            Fate::Counted => fates[2] += 1,
        }
    }
    fates
}

#[test]
fn who_stays_below_the_rate_passes_beside_a_storm() {
    let (settings, storms, mut buckets) = (settings(100, 1000), Storms::default(), Buckets::with_sets(64));
    let (loud, calm) = ((ip("192.0.2.1"), What::V2c), (ip("192.0.2.2"), What::V2c));
    for second in 0..20 {
        let [passed, _, counted] =
            send(&mut buckets, (&settings, &storms), loud, (second * 1000, second * 1000 + 1000, 10_000));
        assert!(passed <= 300 && counted > 0, "second {second}: {passed} passed, {counted} counted");
        let fates = send(&mut buckets, (&settings, &storms), calm, (second * 1000, second * 1000 + 1000, 90));
        assert_eq!(fates, [90, 0, 0], "second {second}");
    }
    assert_eq!(storms.kept().len(), 1, "one storm");
}

#[test]
fn the_total_is_exact_from_the_first_message_above_the_rate_on() {
    let (settings, storms, mut buckets) = (settings(100, 1000), Storms::default(), Buckets::with_sets(64));
    let mut sent = 0;
    let mut fates = [0; 3];
    for (from, to, count) in [(0, 10, 500), (10, 2000, 40_000), (2000, 2001, 3)] {
        let some = send(&mut buckets, (&settings, &storms), (ip("2001:db8::1"), What::V1), (from, to, count));
        sent += count;
        (0..3).for_each(|n| fates[n] += some[n]);
    }
    let kept = &storms.kept()[0];
    assert_eq!(fates.iter().sum::<u64>(), sent);
    // A burst of two seconds passes before it is a storm, and its first message is one of those above.
    assert_eq!(kept.total, sent - 201, "{kept:?}");
    assert_eq!(kept.left_out, fates[2], "nothing was decoded here");
}

#[test]
fn a_message_above_the_hard_limit_is_sampled() {
    let (settings, storms, mut buckets) = (settings(1, 1), Storms::default(), Buckets::with_sets(64));
    let from = (ip("192.0.2.1"), What::Syslog);
    let [passed, limited, counted] = send(&mut buckets, (&settings, &storms), from, (0, 100, 64_010));
    assert_eq!(passed, 3);
    assert!((1000..=1003).contains(&limited), "{limited}");
    assert_eq!(passed + limited + counted, 64_010);
}

#[test]
fn versions_of_snmp_are_limited_by_themselves_and_a_network_of_ipv6_together() {
    let (settings, storms, mut buckets) = (settings(10, 100), Storms::default(), Buckets::with_sets(64));
    let flood = (0, 10, 1000);
    send(&mut buckets, (&settings, &storms), (ip("192.0.2.1"), What::V2c), flood);
    let v3 = send(&mut buckets, (&settings, &storms), (ip("192.0.2.1"), What::V3), (10, 20, 10));
    assert_eq!(v3, [10, 0, 0], "what is forged as v2c takes nothing from v3");
    send(&mut buckets, (&settings, &storms), (ip("2001:db8::1"), What::V2c), flood);
    let [passed, ..] = send(&mut buckets, (&settings, &storms), (ip("2001:db8::9"), What::V2c), (10, 20, 10));
    assert!(passed <= 1, "its holder has all addresses of the network");
    let all = send(&mut buckets, (&settings, &storms), (ip("192.0.2.200"), What::V2c), flood);
    assert_eq!(all, [1000, 0, 0], "except");
}

#[test]
fn who_finds_no_place_shares_one_and_takes_none_from_others() {
    let (settings, storms, mut buckets) = (settings(10, 100), Storms::default(), Buckets::with_sets(1));
    let of = |n: u32| (IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n)), What::V2c);
    // All places are taken by senders that send at this moment.
    for n in 0..8 {
        send(&mut buckets, (&settings, &storms), of(n), (0, 1, 25));
    }
    let strangers: u64 =
        (8..100).map(|n| send(&mut buckets, (&settings, &storms), of(n), (1, 2, 25))[0]).sum();
    assert!(strangers <= 22, "{strangers}");
    assert!(storms.to_json().to_string().contains("\"address\":null"), "{}", storms.to_json());
    // What is proven shares with what is proven: nobody can forge others to take all places, and then the common one.
    let proven = send(&mut buckets, (&settings, &storms), (of(7).0, What::V3), (2, 3, 10));
    assert_eq!(proven, [10, 0, 0]);
    // Once their storms are over, their places are free.
    storms.look(at(2), None, |address| address.to_string());
    let later = send(&mut buckets, (&settings, &storms), of(200), (60_000, 60_001, 5));
    assert_eq!(later, [5, 0, 0]);
}

#[test]
fn the_version_is_read_without_decoding() {
    for (octets, what) in [
        (&[0x30, 0x26, 2, 1, 0][..], What::V1),
        (&[0x30, 0x26, 2, 1, 1], What::V2c),
        (&[0x30, 0x81, 0x80, 2, 1, 3], What::UnprovenV3),
        (&[0x30, 0x84, 0, 0, 0, 9, 2, 2, 0, 3], What::UnprovenV3),
        (&[0x30, 0x82, 1, 0, 2, 1, 1], What::V2c),
        (&[0x30, 0x26, 2, 1, 2], What::Malformed),
        (&[0x30, 0xff], What::Malformed),
        (&[], What::Malformed),
    ] {
        assert_eq!(What::of(Protocol::Snmp, octets), what, "{octets:?}");
    }
    assert_eq!(What::of(Protocol::Syslog, b"0"), What::Syslog);
}

#[test]
fn a_stream_waits_until_it_is_at_the_rate_again() {
    let settings = settings(100, 1000);
    let (mut tap, from) = (Tap::default(), ip("192.0.2.1"));
    assert_eq!(tap.pause(Some(&settings), 200, from, at(0).mono), Duration::ZERO, "a burst of two seconds");
    assert_eq!(tap.pause(Some(&settings), 100, from, at(0).mono), Duration::from_secs(1));
    assert_eq!(tap.pause(Some(&settings), 0, from, at(1000).mono), Duration::ZERO);
    assert_eq!(tap.pause(None, 1_000_000, from, at(1000).mono), Duration::ZERO);
    assert_eq!(tap.pause(Some(&settings), 1_000_000, ip("192.0.2.129"), at(1000).mono), Duration::ZERO);
}

#[test]
fn settings_have_defaults_and_mistakes_are_found_at_once() {
    let read_text = |text: &str| {
        let source = SourceText { file: "t.toml", text };
        let mut found = Diagnostics::default();
        let root = section::read(&source, &mut found).unwrap();
        let settings = read(Section::new(&source, root.get_ref(), root.span(), "[storm]"), &mut found);
        (settings, found.to_text())
    };
    let (defaults, found) = read_text("");
    assert_eq!(found, "");
    assert_eq!((defaults.rate, defaults.hard, defaults.service.as_str()), (1000, 10_000, "Message storm"));
    let (_, found) = read_text("rate = 10\nhard = 5\nservice = \" \"\nexcept = [\"x\"]\nrates = 1\n");
    for part in ["'hard' is below 'rate'", "'service' is empty", "'x' is no network", "rates"] {
        assert!(found.contains(part), "{part} in {found}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn what_passes_is_bounded_by_rate_and_burst(
        gaps in prop::collection::vec(0u64..50, 1..600),
        rate in 1u64..200,
    ) {
        let (settings, storms, mut buckets) = (settings(rate, rate * 4), Storms::default(), Buckets::with_sets(4));
        let (mut millis, mut passed) = (0, 0);
        for gap in gaps {
            millis += gap;
            let from = (ip("192.0.2.1"), What::V1);
            let room = buckets.has_room(&settings, from, at(millis).mono);
            let fate = buckets.take(&settings, &storms, from, at(millis));
            prop_assert_eq!(room, matches!(fate, Fate::Passes));
            passed += u64::from(room);
            prop_assert!(passed <= rate * BURST + rate * millis / 1000 + 2);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(100) })]
    /// Somebody who remembers every message knows the totals of all storms, and who was never too loud.
    #[test]
    fn totals_are_those_of_one_who_remembers_every_message(
        bursts in prop::collection::vec((0..5usize, 0..1500u64, 1..80u64), 1..120),
        rate in 5u64..60,
        ends in any::<bool>(),
    ) {
        let (settings, storms, mut buckets) = (settings(rate, rate * 4), Storms::default(), Buckets::with_sets(64));
        let senders = [
            (ip("192.0.2.1"), What::V1),
            (ip("192.0.2.1"), What::V2c),
            (ip("2001:db8::1"), What::V3),
            (ip("192.0.2.2"), What::Syslog),
            // No limit is for it.
            (ip("192.0.2.200"), What::V2c),
        ];
        // Of each sender: since a storm began, how many it has sent, and how many were counted only.
        let mut storms_of: [Option<(u64, u64)>; 5] = [None; 5];
        let mut sent: [Vec<u64>; 5] = Default::default();
        let (mut millis, mut looked) = (0, 0);
        let quiet = ends.then_some((3, 20_000, 1));
        for (sender, gap, count) in bursts.into_iter().chain(quiet) {
            millis += gap;
            while looked + 1000 <= millis {
                looked += 1000;
                let over = storms.look(at(looked), Some(&settings), |address| address.to_string());
                for report in over.into_iter().filter(|report| report.stage == crate::intake::storms::Stage::Over) {
                    let of = |n: &usize| Some(senders[*n].0) == report.address
                        && report.text.starts_with(&format!("Storm of {} messages", senders[*n].1.as_str()));
                    let n = (0..5).find(of).unwrap();
                    let (total, left_out) = storms_of[n].take().expect("it was under way");
                    let text = format!("over: {total} messages in ");
                    prop_assert!(report.text.contains(&text), "{}, not {}", report.text, text);
                    prop_assert!(report.text.contains(&format!(", {left_out} of them not processed")), "{}", report.text);
                }
            }
            for _ in 0..count {
                let fate = buckets.take(&settings, &storms, senders[sender], at(millis));
                sent[sender].push(millis);
                let is_loud = !matches!(fate, Fate::Passes);
                // Who has sent no more than the burst within any time in which that would be refilled is not loud.
                let lately = sent[sender].iter().filter(|sent| millis - **sent <= 2000 + 1000).count() as u64;
                prop_assert!(!is_loud || lately > rate * BURST, "{lately} of {sender}");
                prop_assert!(!is_loud || sender != 4);
                if is_loud && storms_of[sender].is_none() {
                    storms_of[sender] = Some((0, 0));
                }
                if let Some((total, left_out)) = &mut storms_of[sender] {
                    *total += 1;
                    *left_out += u64::from(matches!(fate, Fate::Counted));
                }
            }
            let mut right: Vec<(u64, u64)> = storms_of.iter().flatten().copied().collect();
            let mut known: Vec<(u64, u64)> = storms.kept().iter().map(|kept| (kept.total, kept.left_out)).collect();
            right.sort_unstable();
            known.sort_unstable();
            prop_assert_eq!(known, right);
        }
    }
}
