//! Lines in the forms of many products, with what is read of them, and laws that hold for any line.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{SyslogLine, parse_line_in};

/// 2026-11-25 12:00 UTC.
const RECEIVED: i64 = 1_795_608_000_000_000;

fn read(line: &str) -> SyslogLine<'_> {
    parse_line_in(line, RECEIVED, &TimeZone::UTC)
}

/// Host, program, process id, type, and the message; `-` stands for none.
type Case = (&'static str, [&'static str; 4], &'static str);

/// Behind a priority; `@` stands for a time of RFC 3164.
const CASES: [Case; 58] = [
    // RFC 3164, and what is missing in it.
    ("@ srv app[7]: up", ["srv", "app", "7", "-"], "up"),
    ("@ app[7]: up", ["-", "app", "7", "-"], "up"),
    ("@ app: up", ["-", "app", "-", "-"], "up"),
    ("@ srv some words", ["srv", "-", "-", "-"], "some words"),
    ("@ srv app[7] up", ["srv", "app", "7", "-"], "up"),
    ("@ srv (sd-pam)[7]: up", ["srv", "(sd-pam)", "7", "-"], "up"),
    ("@ srv spf filter[7]: up", ["srv", "spf filter", "7", "-"], "up"),
    ("@ srv app:   up  ", ["srv", "app", "-", "-"], "  up  "),
    ("@ srv http://x is gone", ["srv", "-", "-", "-"], "http://x is gone"),
    ("@ srv - up", ["srv", "-", "-", "-"], "- up"),
    ("@ srv [a b=\"c\"] up", ["srv", "-", "-", "-"], "[a b=\"c\"] up"),
    ("@ 2001:db8:: app[7]: up", ["2001:db8::", "app", "7", "-"], "up"),
    ("@ 2001:db8::9 app: up", ["2001:db8::9", "app", "-", "-"], "up"),
    ("@ 192.0.2.9: app: up", ["192.0.2.9", "app", "-", "-"], "up"),
    ("@ [192.0.2.9] app: up", ["192.0.2.9", "app", "-", "-"], "up"),
    ("@ k=1 n=\"x\"", ["-", "-", "-", "-"], "k=1 n=\"x\""),
    ("@ srv {\"k\": 1}", ["srv", "-", "-", "-"], "{\"k\": 1}"),
    ("@ 7,2026/11/20,x", ["-", "-", "-", "-"], "7,2026/11/20,x"),
    ("app[7]: up", ["-", "app", "7", "-"], "up"),
    ("srv app[7]: up", ["srv", "app", "7", "-"], "up"),
    ("a disk: full", ["-", "-", "-", "-"], "a disk: full"),
    ("  indented", ["-", "-", "-", "-"], "  indented"),
    ("@ srv last message repeated 2 times", ["srv", "-", "-", "-"], "last message repeated 2 times"),
    // Relays.
    ("@ mid Nov 19 01:02:03 srv app[7]: up", ["srv", "app", "7", "-"], "up"),
    ("@ mid Nov 19 01:02:03 it is", ["mid", "-", "-", "-"], "Nov 19 01:02:03 it is"),
    ("@ Message forwarded from srv: app: up", ["srv", "app", "-", "-"], "up"),
    ("@ From srv: app[7]: up", ["srv", "app", "7", "-"], "up"),
    // Cisco and its kin.
    ("9: @: %PORT-4-FLAP: up", ["-", "PORT", "-", "%PORT-4-FLAP"], "up"),
    ("9: sw: 8: *@: %PORT-4-FLAP: up", ["sw", "PORT", "-", "%PORT-4-FLAP"], "up"),
    ("9: 2001:db8::: @: %PORT-4-FLAP: up", ["2001:db8::", "PORT", "-", "%PORT-4-FLAP"], "up"),
    ("9: 1w2d: %PORT-4-FLAP: up", ["-", "PORT", "-", "%PORT-4-FLAP"], "up"),
    ("9: @ AEDT: %PORT-4-FLAP: up", ["-", "PORT", "-", "%PORT-4-FLAP"], "up"),
    ("9: rt RP/0/RP1/CPU0:@ : x[7]: %A-B-4-C : up", ["rt", "x", "7", "%A-B-4-C"], "up"),
    (": 2026 Nov 20 12:00:01 UTC: %PORT-4-FLAP: up", ["-", "PORT", "-", "%PORT-4-FLAP"], "up"),
    ("wl: *task_9: @: #PORT-4-FLAP: up", ["wl", "PORT", "task_9", "#PORT-4-FLAP"], "up"),
    ("@ mid 9: sw: @: %PORT-4-FLAP: up", ["sw", "PORT", "-", "%PORT-4-FLAP"], "up"),
    ("@ fw : %ASA-4-1: up", ["fw", "ASA", "-", "%ASA-4-1"], "up"),
    ("%ASA-4-1: up", ["-", "ASA", "-", "%ASA-4-1"], "up"),
    ("@ sw Agent: %PORT-4-FLAP: up", ["sw", "Agent", "-", "%PORT-4-FLAP"], "up"),
    ("@ rt app[7]: %AUTH-4: up", ["rt", "app", "7", "%AUTH-4"], "up"),
    ("@ sw CISE_Passed_X 1 up", ["sw", "CISE_Passed_X", "-", "-"], "1 up"),
    // Others with a type.
    ("@ sw %%01PORT/4/FLAP(l)[7]:up", ["sw", "PORT", "7", "%%01PORT/4/FLAP"], "up"),
    ("@ sw %%10PORT/4/FLAP: up", ["sw", "PORT", "-", "%%10PORT/4/FLAP"], "up"),
    ("@ sw <Noti:port.flap> up", ["sw", "port", "-", "port.flap"], "up"),
    ("@ [na:port.flap.up:notice]: up", ["na", "port.flap.up", "-", "port.flap.up"], "up"),
    ("@ [na: proc: port.flap:error]: up", ["na", "proc", "-", "port.flap"], "up"),
    ("@ sol app[7]: [ID 81 auth.info] up", ["sol", "app", "7", "81"], "up"),
    ("@ sw 00081 ports: up", ["sw", "ports", "-", "00081"], "up"),
    // Words around the tag.
    ("@ big notice app[7]: up", ["big", "app", "7", "-"], "up"),
    ("@ ap 0200aabbccdd,Model-1.2: app[7]: up", ["ap", "app", "7", "-"], "up"),
    ("@ ap1,0200aabbccdd,v1.2: app: up", ["ap1", "app", "-", "-"], "up"),
    ("@ fw 80AA00000000 (2026-11-20T12:00:01) app: up", ["fw", "app", "-", "-"], "up"),
    ("@ mt dhcp,info given out", ["mt", "dhcp,info", "-", "-"], "given out"),
    ("@ win MSWinEventLog\t1\tSystem", ["win", "MSWinEventLog", "-", "-"], "1\tSystem"),
    ("@ srv CEF:0|a|b|1|2|c|3|k=v", ["srv", "CEF", "-", "-"], "CEF:0|a|b|1|2|c|3|k=v"),
    ("LEEF:1.0|a|b|1|2|k=v", ["-", "LEEF", "-", "-"], "LEEF:1.0|a|b|1|2|k=v"),
    ("ns: NetScreen device_id=ns up", ["ns", "NetScreen", "-", "-"], "device_id=ns up"),
    ("1 1795176001.25 mx urls src=a", ["mx", "urls", "-", "-"], "src=a"),
];

#[test]
fn forms_of_many_products() {
    for (line, fields, message) in CASES {
        let line = line.replace('@', "Nov 20 12:00:01");
        for priority in ["<13>", "<191>", "<999>"] {
            let whole = format!("{priority}{line}");
            let got = read(&whole);
            let some = |field: Option<&str>| field.unwrap_or("-").to_owned();
            let found = [some(got.host), some(got.program), some(got.pid.as_deref()), some(got.msgid)];
            assert_eq!(found, fields, "{whole}");
            assert_eq!(got.message, message, "{whole}");
            assert_eq!(got.facility.is_some(), priority != "<999>", "{whole}");
            assert!(got.structured_data.is_empty() && !got.truncated);
        }
    }
}

#[test]
fn rfc_5424_with_parts_that_are_not_sound() {
    for (line, fields, elements, message) in [
        ("1 2026-11-20T12:00:01Z h a 7 m - up", ["h", "a", "7", "m"], 0, "up"),
        ("1 2026-11-20T12:00:01Z h:: a 7 m -  up ", ["h::", "a", "7", "m"], 0, " up "),
        ("1 2026-02-30T12:00:01Z h a 007 m [x y=\"z\"] up", ["h", "a", "007", "m"], 1, "up"),
        ("1 2026-11-20T12:00:01Z h a 7 m [x y=\"z\"][x w=\"v\"] up", ["h", "a", "7", "m"], 2, "up"),
        ("1 2026-11-20T12:00:01Z h a 7 m [x y=\"z\"][bad y] up", ["h", "a", "7", "m"], 1, "[bad y] up"),
        ("1 2026-11-20T12:00:01Z h a 7 m [k:\"v\"; w] up", ["h", "a", "7", "m"], 0, "[k:\"v\"; w] up"),
        ("1 2026-11-20T12:00:01Z h a: [x] - - - up", ["h", "a", "-", "-"], 0, "[x] - - - up"),
        ("1 2026-11-20T12:00:01Z h a 7 no data", ["h", "a", "7", "-"], 0, "no data"),
        ("2026-11-20T12:00:01Z h #a - - - up", ["h", "#a", "-", "-"], 0, "up"),
        ("1 - - - - - -", ["-", "-", "-", "-"], 0, ""),
        ("1 of many words", ["-", "-", "-", "-"], 0, "1 of many words"),
    ] {
        let whole = format!("<13>{line}");
        let got = read(&whole);
        let some = |field: Option<&str>| field.unwrap_or("-").to_owned();
        let found = [some(got.host), some(got.program), some(got.pid.as_deref()), some(got.msgid)];
        assert_eq!((found, got.message), (fields.map(str::to_owned), message), "{line}");
        assert_eq!(got.structured_data.len(), elements, "{line}");
    }
}

#[test]
fn keys_and_values_without_a_header() {
    for (line, host, time) in [
        ("date=2026-11-20 time=12:00:01 tz=\"+0100\" devname=\"fw\" devname=\"evil\"", "fw", 39_600),
        ("date=2026-11-20,time=12:00:01.5,device_id=x", "-", 43_200),
        ("id=x time=\"2026-11-20 12:00:01 UTC\" msg=\"y\"", "-", 43_200),
        ("device_name=\"fw\" timestamp=\"2026-11-20T12:00:01+0100\" x=\"y\"", "fw", 39_600),
    ] {
        let whole = format!("<13>{line}");
        let got = read(&whole);
        assert_eq!((got.host.unwrap_or("-"), got.program, got.message), (host, None, line));
        let day = 1_795_132_800;
        assert_eq!(got.time.map(|time| time / 1_000_000 - day), Some(time + 1), "{line}");
    }
}

#[test]
fn clocks_that_are_not_set() {
    for (line, is_unsure) in [
        ("<13>9: *Nov 25 12:00:00: %A-1-B: x", true),
        ("<13>9: .Nov 25 12:00:00: %A-1-B: x", true),
        ("<13>9: Nov 25 12:00:00: %A-1-B: x", false),
        ("<13>Nov 26 11:59:59 h a: x", false),
        ("<13>Nov 24 11:59:59 h a: x", true),
        ("<13>1 2026-11-25T12:00:00Z h a - - [timeQuality tzKnown=\"1\" isSynced=\"0\"] x", true),
        ("<13>1 2026-11-25T12:00:00Z h a - - [timeQuality isSynced=\"1\"] x", false),
        ("<13>a: x", false),
    ] {
        assert_eq!(read(line).clock.is_some(), is_unsure, "{line}");
    }
}

#[test]
fn how_often_a_message_came() {
    for (text, times) in [
        ("last message repeated 3 times", Some(3)),
        ("sshd[7]: message repeated 4 times: [ text]", Some(4)),
        ("above message repeats 5 times", Some(5)),
        ("last message repeated often", None),
    ] {
        let line = format!("<13>Nov 20 12:00:01 h {text}");
        assert_eq!(read(&line).repeated, times, "{text}");
    }
}

#[test]
fn what_ends_a_line_is_no_text() {
    for (line, message) in
        [("<13>a: x\r\n", "x"), ("<13>a: x\0", "x"), ("<13>a: x \0\r\n\0", "x "), ("<13>a: x\0y", "x\0y")]
    {
        assert_eq!(read(line).message, message);
    }
}

/// All fields of a line, and its message.
fn fields<'l>(line: &'l SyslogLine<'l>) -> Vec<&'l str> {
    let mut all = vec![line.message];
    all.extend([line.host, line.program, line.pid.as_deref(), line.msgid].into_iter().flatten());
    for element in &line.structured_data {
        all.push(element.id);
        all.extend(element.params.iter().flat_map(|(name, value)| [*name, value.as_ref()]));
    }
    all
}

/// Parts of headers of all kinds, and words that are in none.
fn part() -> impl Strategy<Value = String> {
    let heads = vec![
        "Nov 20 12:00:01",
        "*Nov 20 12:00:01",
        "2026-11-20T12:00:01Z",
        "1 2026-11-20T12:00:01Z",
        "1 ",
        "9: ",
        ": ",
        "-",
        "- - -",
        "[",
        "]",
        "[x y=\"",
        "\"]",
        "=",
        "=\"",
        "\"",
        "|",
        ",",
        ":",
        "::",
        "%A-3-B: ",
        "%%01A/3/B(l): ",
        "%",
        "#",
        "<",
        ">",
        "<Warn:",
        "CEF:0|",
        "LEEF:1.0|",
        "CISE_",
        "2001:db8::",
        "192.0.2.1",
        "RP/0/RP0/CPU0:",
        "notice ",
        "0200aabbccdd,",
        "80AA00000000 ",
        "(",
        ")",
        "[ID 8 a.b] ",
        "00081 ",
        "From ",
        "CET ",
        "last message repeated ",
        "message repeated 3 times: [",
        "device_id=",
        "NetScreen ",
        "date=2026-11-20 ",
        "time=12:00:01 ",
        "\t",
        "\t1\t",
        "\u{feff}",
        "  ",
        "\0",
        "+01:00",
        "2026 ",
        "1795176001.5 ",
        "system,info ",
        "ä",
        "[1]: ",
        "[1] ",
        ": ",
        "timeQuality",
    ];
    prop_oneof![
        3 => prop::sample::select(heads).prop_map(str::to_owned),
        // No part of a header: a word that stands nowhere else.
        2 => "q[a-z]{3}z",
        1 => Just(" ".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 1000, ..ProptestConfig::default() })]

    /// Each word of a line is in a field or in the message, and the message is the end of the line.
    #[test]
    fn no_text_is_lost(parts in prop::collection::vec(part(), 1..12), priority in "(<13>)?") {
        let line = format!("{priority}{}", parts.concat());
        let got = read(&line);
        let all = fields(&got);
        for word in parts.iter().filter(|part| part.starts_with('q') && part.ends_with('z')) {
            prop_assert!(all.iter().any(|field| field.contains(word.as_str())), "{} of {:?}: {:?}", word, line, got);
        }
        let end = line.trim_end_matches(['\0', '\r', '\n']);
        prop_assert!(end.ends_with(got.message), "{:?}: {:?}", line, got);
    }

    /// Behind a tag everything is message, byte for byte.
    #[test]
    fn what_follows_a_tag_is_the_message(text in "[ -~äß\t]{0,60}") {
        let is_type = |text: &str| text.starts_with(['%', '#']) || text.starts_with("[ID ");
        prop_assume!(!is_type(&text));
        for head in ["<13>Nov 20 12:00:01 srv app[7]: ", "<13>1 2026-11-20T12:00:01Z srv app 7 - - ", "<13>app[7]: "] {
            let line = format!("{head}{text}");
            prop_assert_eq!(read(&line).message, text.as_str());
        }
    }

    #[test]
    fn any_line_is_safe(text in any::<String>(), priority in 0_u32..1000) {
        for head in ["", "Nov 20 12:00:01 ", "Nov 20 12:00:01 h ", "1 2026-11-20T12:00:01Z h a 1 ", "9: "] {
            let _ = read(&format!("<{priority}>{head}{text}"));
        }
        let _ = read(&text);
    }
}
