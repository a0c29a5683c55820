use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::micros;
use crate::syslog::stamp::whole;

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

/// The moment of a time in a zone, received at another one.
fn moment(text: &str, received: &str, zone: &TimeZone) -> Option<String> {
    let micros = micros(whole(text)?, at(received), zone)?;
    Some(Timestamp::from_microsecond(micros).unwrap().to_string())
}

#[test]
fn the_year_is_that_of_the_nearest_date() {
    for (text, received, expected) in [
        ("Dec 31 12:00:00", "2027-01-01T01:00:00Z", Some("2026-12-31T12:00:00Z")),
        ("Jan  1 12:00:00", "2026-12-31T23:00:00Z", Some("2027-01-01T12:00:00Z")),
        ("Nov 28 00:00:00", "2026-01-05T12:00:00Z", Some("2025-11-28T00:00:00Z")),
        ("Feb  1 00:00:00", "2026-12-01T12:00:00Z", Some("2027-02-01T00:00:00Z")),
        ("Jun  1 00:00:00", "2026-11-21T12:00:00Z", Some("2026-06-01T00:00:00Z")),
        ("Nov 21 12:00:00", "2026-11-21T12:00:00Z", Some("2026-11-21T12:00:00Z")),
        ("Feb 29 00:00:00", "2024-03-01T12:00:00Z", Some("2024-02-29T00:00:00Z")),
        ("Feb 29 00:00:00", "2026-01-01T12:00:00Z", Some("2024-02-29T00:00:00Z")),
        ("Feb 29 00:00:00", "2027-03-01T12:00:00Z", Some("2028-02-29T00:00:00Z")),
        ("Feb 29 00:00:00", "2101-03-01T12:00:00Z", Some("2104-02-29T00:00:00Z")),
        ("Feb 30 00:00:00", "2026-03-01T12:00:00Z", None),
        ("Nov 31 00:00:00", "2026-03-01T12:00:00Z", None),
        ("Nov 20 24:00:00", "2026-11-20T12:00:00Z", None),
        ("Dec 31 23:59:60", "2026-12-31T23:59:59Z", Some("2026-12-31T23:59:59Z")),
        ("2026-02-29T00:00:00Z", "2026-03-01T12:00:00Z", None),
        ("2026-13-01T00:00:00Z", "2026-03-01T12:00:00Z", None),
    ] {
        let got = moment(text, received, &TimeZone::UTC);
        assert_eq!(got.as_deref(), expected, "{text} received at {received}");
    }
}

#[test]
fn every_form_of_time() {
    let second = "2026-11-20T12:00:01Z";
    for (text, expected) in [
        ("Nov 20 12:00:01", second),
        ("Nov 20 2026 12:00:01", second),
        ("Nov 20 12:00:01 2026", second),
        ("2026 Nov 20 12:00:01", second),
        ("Fri Nov 20 12:00:01 2026", second),
        ("Fri Nov 20 12:00:01 UTC 2026", second),
        ("2026-11-20T12:00:01", second),
        ("2026-11-20 12:00:01", second),
        ("2026-11-20,12:00:01", second),
        ("2026/11/20 12:00:01", second),
        ("2026:11:20-12:00:01", second),
        ("11/20/2026:12:00:01", second),
        ("20/11/2026:12:00:01", second),
        ("Nov 20 12:00:01.123", "2026-11-20T12:00:01.123Z"),
        ("Nov 20 12:00:01,123", "2026-11-20T12:00:01.123Z"),
        ("2026-11-20T12:00:01.123456789Z", "2026-11-20T12:00:01.123456Z"),
        ("Nov 20 12:00:01+01:00", "2026-11-20T11:00:01Z"),
        ("Nov 20 12:00:01 +0100", "2026-11-20T11:00:01Z"),
        ("Nov 20 12:00:01 CET", "2026-11-20T11:00:01Z"),
        ("Nov 20 12:00:01 JST", "2026-11-20T03:00:01Z"),
        ("Nov 20 12:00:01 PST", "2026-11-20T20:00:01Z"),
        ("1795176001.5", "2026-11-20T12:00:01.5Z"),
    ] {
        assert_eq!(moment(text, "2026-11-25T12:00:00Z", &TimeZone::UTC).as_deref(), Some(expected), "{text}");
    }
    for text in
        ["Nov 20 12:00", "12:00:01", "Nov 20 1:00:01", "1795176001", "Nov 20 12:00:01x", "Nob 20 12:00:01"]
    {
        assert_eq!(whole(text), None, "{text}");
    }
}

/// Times of each hour of a year in four zones mean what jiff makes of them; of times that clocks pass twice the earlier, of
/// those that they leave out the one by the offset before. With `TRAPLINE_CHAOS` of each minute.
#[test]
fn each_hour_of_a_year_in_four_zones() {
    // 61 minutes, so that each minute of the hour comes.
    let minutes = if std::env::var_os("TRAPLINE_CHAOS").is_some() { 1 } else { 61 };
    for name in ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"] {
        let Ok(zone) = TimeZone::get(name) else {
            eprintln!("SKIPPED: this machine does not know {name}");
            continue;
        };
        let start = at("2026-01-01T00:00:00Z");
        for minute in (0..366 * 24 * 60).step_by(minutes) {
            let received = start + minute * 60_000_000;
            let written = zone.to_datetime(Timestamp::from_microsecond(received).unwrap());
            let text = written.strftime("%b %e %H:%M:%S").to_string();
            let got = micros(whole(&text).unwrap(), received, &zone).unwrap();
            let expected = zone.to_ambiguous_timestamp(written).compatible().unwrap().as_microsecond();
            assert_eq!(got, expected, "{text} in {name}");
        }
    }
    let Ok(vienna) = TimeZone::get("Europe/Vienna") else { return };
    for (text, expected) in
        [("Oct 25 02:30:00", "2026-10-25T00:30:00Z"), ("Mar 29 02:30:00", "2026-03-29T01:30:00Z")]
    {
        assert_eq!(moment(text, "2026-06-01T00:00:00Z", &vienna).as_deref(), Some(expected), "{text}");
    }
}
