use super::*;

fn settings() -> Settings {
    Settings { rate: 100, hard: 1000, except: Vec::new(), service: "Message storm".into() }
}

fn at(millis: u64) -> Now {
    Now {
        mono: Mono::default() + Duration::from_millis(1_000_000 + millis),
        wall: Wall::from_micros(1_700_000_000_000_000 + millis as i64 * 1000),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn look(storms: &Storms, millis: u64) -> Vec<(Stage, bool, String)> {
    let reports = storms.look(at(millis), Some(&settings()), |address| format!("host-{address}"));
    reports.into_iter().map(|report| (report.stage, report.others, report.text)).collect()
}

#[test]
fn a_storm_has_a_begin_reports_and_an_end() {
    let storms = Storms::default();
    let storm = storms.begin(ip("192.0.2.1"), What::V2c, at(0));
    storm.count(false);
    let [(stage, true, text)] = &look(&storms, 1)[..] else { panic!("one report") };
    assert_eq!(*stage, Stage::Begins);
    assert!(text.starts_with("Storm: 192.0.2.1 sends more than 100 SNMPv2c messages a second"), "{text}");
    for second in 1..=150u64 {
        // 51 a second is not below half of the rate.
        let count = if second <= 120 { 51 } else { 49 };
        (0..count).for_each(|n| storm.count(n > 10));
        let first = storm.is_first(&7, 1, at(second * 1000).mono, || "linkDown".into());
        assert_eq!(first, second % 10 == 1, "{second}");
        let reports = look(&storms, second * 1000);
        match second {
            61 | 121 => assert!(matches!(reports[..], [(Stage::Lasts, ..)]), "{second}: {reports:?}"),
            130 => {
                let [(Stage::Over, false, text)] = &reports[..] else { panic!("{reports:?}") };
                // 120 × 51 + 10 × 49 + 1 messages.
                assert!(text.contains("is over: 6611 messages in 130 s, "), "{text}");
                assert!(text.ends_with("; most: linkDown (about 130)"), "{text}");
                assert!(storm.is_over() && !storms.any());
                return;
            }
            _ => assert!(reports.is_empty(), "{second}: {reports:?}"),
        }
    }
    panic!("it has no end");
}

#[test]
fn a_storm_that_comes_back_within_ten_seconds_is_the_same() {
    let storms = Storms::default();
    let storm = storms.begin(ip("192.0.2.1"), What::V2c, at(0));
    assert_eq!(look(&storms, 1).len(), 1);
    for second in 1..=9 {
        assert!(look(&storms, second * 1000).is_empty());
    }
    (0..200).for_each(|_| storm.count(true));
    for second in 10..=19 {
        assert!(look(&storms, second * 1000).is_empty(), "{second}");
    }
    assert!(matches!(look(&storms, 20_000)[..], [(Stage::Over, ..)]));
    assert!(!Arc::ptr_eq(&storm, &storms.begin(ip("192.0.2.1"), What::V2c, at(21_000))), "another one");
}

#[test]
fn a_host_is_well_when_its_last_storm_is_over() {
    let storms = Storms::default();
    let traps = storms.begin(ip("192.0.2.1"), What::V2c, at(0));
    let lines = storms.begin(ip("192.0.2.1"), What::Syslog, at(0));
    assert!(Arc::ptr_eq(&traps, &storms.begin(ip("192.0.2.1"), What::V2c, at(0))), "of two sockets");
    assert_eq!(look(&storms, 1).len(), 2);
    for second in 1..=9 {
        (0..100).for_each(|_| lines.count(true));
        assert!(look(&storms, second * 1000).is_empty());
    }
    (0..100).for_each(|_| lines.count(true));
    assert!(matches!(look(&storms, 10_001)[..], [(Stage::Over, true, _)]), "syslog goes on");
    let ends: Vec<_> = (11..40).flat_map(|second| look(&storms, second * 1000)).collect();
    assert!(matches!(ends[..], [(Stage::Over, false, _)]), "{ends:?}");
}

#[test]
fn what_an_earlier_process_has_left_goes_on_or_ends() {
    let storms = Storms::default();
    let storm = storms.begin(ip("192.0.2.1"), What::V2c, at(0));
    storms.begin(ip("192.0.2.2"), What::Syslog, at(0));
    look(&storms, 1);
    (0..500).for_each(|_| storm.count(true));
    let left = storms.kept();
    let text = serde_json::to_string(&left).unwrap();
    let next = Storms::default();
    next.resume(serde_json::from_str(&text).unwrap(), at(5000));
    // One goes on, with its count.
    let again = next.begin(ip("192.0.2.1"), What::V2c, at(5000));
    let mut ends = Vec::new();
    for second in 6..=16 {
        (0..100).for_each(|_| again.count(true));
        ends.extend(look(&next, second * 1000));
    }
    let [(Stage::Over, false, text)] = &ends[..] else { panic!("{ends:?}") };
    assert!(text.contains("192.0.2.2"), "no second begin, and an end for the other: {text}");
    assert_eq!(next.kept()[0].total, 500 + 1100);
}

#[test]
fn many_storms_are_one() {
    let storms = Storms::default();
    for n in 0..1000u32 {
        storms.begin(IpAddr::from(std::net::Ipv4Addr::from(n)), What::V1, at(0)).count(true);
    }
    assert_eq!(storms.kept().len(), MAX_OPEN);
    let reports = storms.look(at(1), Some(&settings()), |address| address.to_string());
    assert_eq!(reports.len(), MAX_OPEN + 1);
    assert_eq!(reports.iter().filter(|report| report.address.is_none()).count(), 1);
    // Switched off: all end at once.
    let reports = storms.look(at(2), None, |address| address.to_string());
    assert_eq!(reports.len(), MAX_OPEN + 1);
    assert!(!storms.any() && reports.iter().all(|report| report.stage == Stage::Over));
}
