use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::bounds::TooMuch;
use super::choices::{Choices, Mistake};
use super::suggest::{Maker, NoRule, Suggested};
use super::trial::{Bench, DIAGNOSTICS, NotTried, Trial, settled};
use super::{Ground, Workshop};
use crate::import::mib::Comments;
use crate::inbox::{Group, Groups, Key, Raw, Sample};
use crate::intake::line::Reading;
use crate::intake::relays::Relays;
use crate::lookup::hosts::Hosts;
use crate::lookup::zones::Zones;
use crate::message::{Notification, NotificationKind, Value, Varbind, Version};
use crate::mib::load::shipped_once;
use crate::rules::compile::RuleFile;
use crate::rules::rule::MAX_MESSAGE;
use crate::rules::schema;
use crate::rules::shipped::{self, Packs};
use crate::settings::diagnostic::{Diagnostics, SourceText};
use crate::sinks::file::JsonLines;
use crate::sinks::settings::SinkConfig;
use crate::snmp::access::Access;
use crate::snmp::encode::encode;
use crate::time::clock::{Mono, Now, Wall};

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn group(key: Key, raws: impl IntoIterator<Item = Raw>) -> Group {
    let mut groups = Groups::default();
    for (at, raw) in raws.into_iter().enumerate() {
        let (wall, mono) =
            (Wall::from_micros(1_795_176_000_000_000), Mono::from_nanos(1_000_000_000 * (1 + at as u64)));
        let sample = || Sample { received: wall.micros(), from: FROM, user: None, cut: false, raw };
        groups.add(key.clone(), FROM, Now { wall, mono }, sample);
    }
    groups.newest_first()[0].clone()
}

/// A notification that no module defines, with octets that are no text.
fn packet(version: Version, value: &[u8]) -> String {
    let oid = |text: &str| text.parse().unwrap();
    let v1 = version == Version::V1;
    HEXLOWER.encode(&encode(&Notification {
        version,
        kind: NotificationKind::Trap,
        community: b"",
        proxied_community: None,
        security: None,
        request_id: 7,
        oid: oid("1.3.6.1.4.1.99999.1.0.7"),
        enterprise: v1.then(|| oid("1.3.6.1.4.1.99999.1")),
        agent: v1.then_some(Ipv4Addr::new(192, 0, 2, 9)),
        generic: v1.then_some(6),
        specific: v1.then_some(7),
        uptime: Some(5),
        varbinds: vec![
            Varbind { oid: oid("1.3.6.1.4.1.99999.2.1.3"), value: Value::OctetString(value) },
            Varbind { oid: oid("1.3.6.1.2.1.2.2.1.2.3"), value: Value::OctetString(b"Gi0/3") },
            Varbind { oid: oid("1.3.6.1.4.1.99999.2.2.3"), value: Value::Integer(-4) },
            Varbind { oid: oid("1.3.6.1.2.1.2.2.1.8.3"), value: Value::Integer(2) },
        ],
    }))
}

fn traps(version: Version) -> Group {
    let values = [&b"\x00\xff\x80fan"[..], b"\x00\xff\x80fan", b"\xfe\x01"];
    group(
        Key::Trap("1.3.6.1.4.1.99999.1.0.7".into()),
        values.map(|value| Raw::Packet(packet(version, value))),
    )
}

fn lines(program: &str, messages: &[&str]) -> Group {
    let raw = |message: &&str| Raw::Line(format!("<28>Nov 20 12:00:01 web1 {program}[7]: {message}"));
    group(Key::Line { program: Some(program.into()), text: "x".into() }, messages.iter().map(raw))
}

/// Gives `then` what rules are tried with.
fn with_ground<T>(then: impl FnOnce(Ground<'_>) -> T) -> T {
    let (hosts, access) = (Hosts::default(), Access::default());
    let (relays, zones) = (Relays::default(), Zones::default());
    then(Ground {
        hosts: &hosts,
        access: &access,
        relays: &relays,
        lines: Reading { allow: None, max_message: 65_536, zones: &zones, hosts: &hosts },
        tables: None,
        state: None,
        reverse: &|_| None,
    })
}

fn suggest(group: &Group, choices: Json) -> Result<Suggested, NoRule> {
    let mut choices = choices;
    choices["group"] = group.id.into();
    let choices: Choices = serde_json::from_value(choices).unwrap();
    let (mib, comments) = (shipped_once(), Comments::default());
    with_ground(|ground| Maker { mib: &mib, comments: &comments, ground }.suggest(group, &choices))
}

fn workshop(user: &str, console: &str) -> Workshop {
    let file = |name: &str, text: &str| RuleFile { name: name.into(), text: text.into() };
    let mut files = vec![file("user.toml", user), file("var/rules/console.toml", console)];
    files.extend(shipped::files(&Packs::Only(vec!["if-mib".into()])));
    let sink = SinkConfig::new("audit", JsonLines { path: "audit.jsonl".into() });
    Workshop {
        files: files.into(),
        console: "var/rules/console.toml".into(),
        sinks: vec![sink].into(),
        ..Workshop::default()
    }
}

fn attempt_with(workshop: &Workshop, trial: &Trial, groups: &[Group], late: &dyn Fn() -> bool) -> Json {
    attempt_within(workshop, trial, groups, (late, &|| false)).unwrap()
}

fn attempt_within(
    workshop: &Workshop,
    trial: &Trial,
    groups: &[Group],
    (late, spent): (&dyn Fn() -> bool, &dyn Fn() -> bool),
) -> Result<Json, NotTried> {
    let (mib, tables) = (shipped_once(), Arc::default());
    with_ground(|ground| {
        let bench =
            Bench { workshop, mib: &mib, tables: &tables, ground, max_message: MAX_MESSAGE, late, spent };
        bench.run(trial, groups)
    })
}

fn attempt(toml: &str, group: &Group, others: &[Group]) -> Json {
    let mut groups = others.to_vec();
    groups.iter_mut().enumerate().for_each(|(at, other)| other.id = 100 + at as u64);
    groups.push(group.clone());
    let trial = Trial { toml: toml.to_owned(), group: Some(group.id), ..Trial::default() };
    attempt_with(&workshop("", ""), &trial, &groups, &|| false)
}

#[test]
fn a_saved_test_equals_the_real_packet_binary_included() {
    for version in [Version::V1, Version::V2c] {
        let group = traps(version);
        let made = suggest(&group, json!({ "sample": 0 })).unwrap();
        let Raw::Packet(hex) = &group.samples[0].raw else { unreachable!() };
        assert!(made.toml.contains(&format!("packet = \"{hex}\"")), "{}", made.toml);
        assert!(made.message.get("community").is_none());
        let tried = attempt(&made.toml, &group, &[lines("x", &["other"])]);
        assert_eq!((&tried["ok"], &tried["tests"]["passed"]), (&json!(true), &json!(1)), "{tried:#}");
        assert_eq!(
            tried["matches"],
            json!({ "here": 3, "of": 3, "elsewhere": 0, "of_elsewhere": 1, "partial": false })
        );
        assert_eq!(tried["explained"]["sends"][0]["sink"], "audit", "{tried:#}");
        assert!(tried["explained"]["message"].get("community").is_none());
    }
}

#[test]
fn each_choice_of_a_varbind_is_in_the_rule() {
    for version in [Version::V1, Version::V2c] {
        let group = traps(version);
        let choices = json!({ "sample": 1, "id": "fan", "state": "critical", "varbinds": [
            { "at": 1, "use": ["condition", "output"] }, { "at": 2, "use": ["service"] },
            { "at": 3, "use": ["condition"] }, { "at": 4, "use": ["condition", "output"] },
        ]});
        let made = suggest(&group, choices).unwrap();
        let tried = attempt(&made.toml, &group, &[]);
        assert_eq!(
            (&tried["ok"], &tried["rules"]),
            (&json!(true), &json!(["fan"])),
            "{}\n{tried:#}",
            made.toml
        );
        // The last one has another value of the first varbind.
        assert_eq!(
            (&tried["matches"]["here"], &tried["matches"]["of"]),
            (&json!(2), &json!(3)),
            "{}",
            made.toml
        );
        let becomes = &tried["samples"][1];
        assert_eq!((&becomes["by"], &becomes["outcomes"][0]["state"]), (&json!("fan"), &json!("critical")));
        assert!(becomes["outcomes"][0]["service"].as_str().unwrap().ends_with(" Gi0/3"), "{becomes}");
        assert_eq!(tried["samples"][2]["result"], "unmatched");
        insta::allow_duplicates! {
            insta::assert_snapshot!(made.toml.lines().filter(|line| !line.starts_with("packet")).collect::<Vec<_>>().join("\n"));
        }
        assert_eq!(made.parts["varbinds"][1]["use"], json!(["service"]));
        assert_eq!(made.parts["varbinds"][2]["use"], json!(["condition"]));
    }
}

#[test]
fn a_selection_of_a_line_becomes_a_capture() {
    let group = lines(
        "app",
        &["disk sda1 of pool tank is at 97 percent", "disk sdb of pool big one is at 5 percent"],
    );
    let choices = json!({ "id": "disk", "sample": 0, "spans": [
        { "start": 5, "end": 9, "name": "disk", "use": ["service"] },
        { "start": 18, "end": 22, "name": "pool", "use": ["output"] },
    ]});
    let made = suggest(&group, choices).unwrap();
    let tried = attempt(&made.toml, &group, &[lines("app", &["something else"])]);
    assert_eq!(tried["ok"], true, "{}\n{tried:#}", made.toml);
    assert_eq!(tried["samples"][0]["outcomes"][0]["output"], "pool tank");
    assert_eq!(tried["samples"][0]["outcomes"][0]["service"], "app: disk sda1");
    assert_eq!(tried["matches"]["here"], 1, "a pool of two words is not like the selection");
    insta::assert_snapshot!(made.toml);
    // Whatever numbers there are is proposed.
    assert_eq!(
        made.parts["suggested"],
        json!([{ "start": 5, "end": 9, "name": "word", "text": "sda1" }, { "start": 29, "end": 31, "name": "number", "text": "97" }])
    );
    let words = json!({ "sample": 1, "spans": [{ "start": 17, "end": 24, "name": "pool" }] });
    let made = suggest(&group, words).unwrap();
    assert!(made.toml.contains("(?<pool>.+?)"), "{}", made.toml);
    assert_eq!(attempt(&made.toml, &group, &[])["ok"], true, "{}", made.toml);
}

#[test]
fn a_selection_may_have_quotes_in_it() {
    let group = lines("app", &["say \"a\" and \"b\" now"]);
    let made = suggest(&group, json!({ "spans": [{ "start": 5, "end": 14, "name": "both" }] })).unwrap();
    assert_eq!(attempt(&made.toml, &group, &[])["matches"]["here"], 1, "{}", made.toml);
}

#[test]
fn what_nobody_needs_is_dropped_by_a_rule_with_its_test() {
    for group in [traps(Version::V1), lines("cron", &["job 7 has run"])] {
        let made = suggest(&group, json!({ "drop": true, "id": "noise" })).unwrap();
        let tried = attempt(&made.toml, &group, &[]);
        assert_eq!(
            (&tried["ok"], &tried["tests"]["passed"]),
            (&json!(true), &json!(1)),
            "{}\n{tried:#}",
            made.toml
        );
        assert_eq!(tried["samples"][0]["result"], "dropped");
        assert_eq!(tried["matches"]["here"], tried["matches"]["of"]);
    }
}

#[test]
fn choices_that_cannot_be_are_refused() {
    let (trap, line) = (traps(Version::V2c), lines("app", &["ab cd"]));
    let span = |start: u64, end: u64, name: &str| json!({ "start": start, "end": end, "name": name });
    for (group, choices, mistake) in [
        (&trap, json!({ "varbinds": [{ "at": 5, "use": [] }] }), Mistake::Varbind(5, 4)),
        (&trap, json!({ "varbinds": [{ "at": 0, "use": ["service"] }] }), Mistake::Varbind(0, 4)),
        (&trap, json!({ "state": "bad" }), Mistake::State("bad".into())),
        (&trap, json!({ "id": "" }), Mistake::Id),
        (&line, json!({ "spans": [span(0, 6, "a")] }), Mistake::Span(5)),
        (&line, json!({ "spans": [span(2, 2, "a")] }), Mistake::Span(5)),
        (&line, json!({ "spans": [span(0, 3, "a"), span(2, 4, "b")] }), Mistake::Span(5)),
        (&line, json!({ "spans": [span(0, 2, "a"), span(3, 5, "a")] }), Mistake::Twice("a".into())),
        (&line, json!({ "spans": [span(0, 2, "a>(")] }), Mistake::Name("a>(".into())),
    ] {
        assert_eq!(suggest(group, choices.clone()).unwrap_err(), NoRule::Choice(mistake), "{choices}");
    }
    assert_eq!(suggest(&trap, json!({ "sample": 3 })).unwrap_err(), NoRule::NoSuchMessage(1, 3));
    let malformed = group(Key::Malformed("x".into()), [Raw::Octets("30".into())]);
    assert_eq!(suggest(&malformed, json!({})).unwrap_err(), NoRule::Malformed(1));
    let mut counted = trap;
    counted.samples = VecDeque::new();
    assert_eq!(suggest(&counted, json!({})).unwrap_err(), NoRule::NoMessage(1));
}

#[test]
fn what_is_wrong_has_its_line_and_column() {
    let group = traps(Version::V2c);
    for (toml, place, word) in [
        ("[[rule]\n", (1, 8), ""),
        (
            "[[rule]]\nid = \"x\"\ntrap = \"NO-MIB::none\"\n[rule.check]\nservice = \"s\"\nstate = \"ok\"\n",
            (3, 8),
            "unknown trap",
        ),
        ("[[rule]]\nid = \"mine\"\nsyslog = { program = \"x\" }\ndrop = true\n", (2, 6), "duplicate rule id"),
    ] {
        let user = "[[rule]]\nid = \"mine\"\nsyslog = { program = \"y\" }\ndrop = true\n";
        let trial = Trial { toml: toml.to_owned(), group: Some(group.id), ..Trial::default() };
        let tried = attempt_with(&workshop(user, ""), &trial, std::slice::from_ref(&group), &|| false);
        assert_eq!(tried["ok"], false);
        let first = &tried["diagnostics"][0];
        assert_eq!((&first["file"], &first["severity"]), (&json!("new rule"), &json!("error")), "{first}");
        assert_eq!((&first["line"], &first["column"]), (&json!(place.0), &json!(place.1)), "{first}");
        assert!(first["message"].as_str().unwrap().contains(word), "{first}");
        assert_eq!(tried["matches"], Json::Null);
    }
}

#[test]
fn rules_stand_behind_the_users_and_before_the_shipped_ones() {
    let group = lines("app", &["something"]);
    let rule = |id: &str, program: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nsyslog = {{ program = \"{program}\" }}\n[rule.check]\nservice = \"{id}\"\nstate = \"ok\"\n"
        )
    };
    let by = |user: &str, console: &str, toml: &str, whole: bool| {
        let trial = Trial { toml: toml.to_owned(), whole, group: Some(group.id), sample: None };
        let tried = attempt_with(&workshop(user, console), &trial, std::slice::from_ref(&group), &|| false);
        tried["samples"][0]["by"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(by(&rule("user", "app"), "", &rule("new", "app"), false), "user");
    assert_eq!(by("", &rule("console", "app"), &rule("new", "app"), false), "console");
    assert_eq!(by("", &rule("console", "app"), &rule("new", "app"), true), "new");
    let linkdown = group_of_link_down();
    let tried = attempt(
        "[[rule]]\nid = \"mine\"\ntrap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"s\"\nstate = \"ok\"\n",
        &linkdown,
        &[],
    );
    assert_eq!(tried["samples"][0]["by"], "mine", "{tried:#}");
}

fn group_of_link_down() -> Group {
    let oid = |text: &str| text.parse().unwrap();
    let packet = encode(&Notification {
        version: Version::V2c,
        kind: NotificationKind::Trap,
        community: b"",
        proxied_community: None,
        security: None,
        request_id: 7,
        oid: oid("1.3.6.1.6.3.1.1.5.3"),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(5),
        varbinds: vec![Varbind { oid: oid("1.3.6.1.2.1.2.2.1.1.3"), value: Value::Integer(3) }],
    });
    group(Key::Trap("1.3.6.1.6.3.1.1.5.3".into()), [Raw::Packet(HEXLOWER.encode(&packet))])
}

#[test]
fn a_trial_ends_in_time_and_says_what_it_has_not_looked_at() {
    let group = traps(Version::V2c);
    let made = suggest(&group, json!({})).unwrap();
    let left = Cell::new(2);
    let late = || left.replace(left.get() - 1) <= 0;
    let trial = Trial { toml: made.toml, group: Some(group.id), ..Trial::default() };
    let tried = attempt_with(&workshop("", ""), &trial, std::slice::from_ref(&group), &late);
    assert_eq!(
        tried["matches"],
        json!({ "here": 2, "of": 2, "elsewhere": 0, "of_elsewhere": 0, "partial": true })
    );
}

#[test]
fn only_groups_that_rules_take_as_a_whole_leave() {
    let (all, mut some) = (traps(Version::V2c), lines("app", &["a b", "c d"]));
    some.id = 2;
    let rules = "[[rule]]\nid = \"t\"\ntrap = \"1.3.6.1.4.1.99999.1.0.7\"\ndrop = true\n\
                 [[rule]]\nid = \"l\"\nsyslog = { message = '^a' }\ndrop = true\n";
    let file = RuleFile { name: "x".into(), text: rules.into() };
    let rules = crate::rules::compile::compile(&[file], shipped_once()).rules.unwrap();
    let left = |late: &dyn Fn() -> bool| {
        with_ground(|ground| settled(&rules, &ground, &[all.clone(), some.clone()], late))
    };
    assert_eq!((left(&|| false), left(&|| true)), (vec![1], vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is selected in a line, the rule passes the check and its test.
    #[test]
    fn any_selection_gives_a_rule_that_takes_its_line(
        message in "([ -~]|[0-9]{1,4}|10\\.0\\.0\\.[0-9]|\"[a-z{}]{0,4}\"|\\PC){1,40}",
        cuts in prop::collection::vec(0usize..40, 0..6), uses in any::<[bool; 3]>(),
    ) {
        let raw = format!("<28>Nov 20 12:00:01 web1 app[7]: {message}");
        let parsed = crate::syslog::parse_line(&raw, 0);
        let length = parsed.message.chars().count();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (length + 1)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let spans: Vec<Json> = cuts.chunks_exact(2).zip(uses).enumerate().map(|(at, (pair, used))| {
            let uses: &[&str] = if used { &["service", "output"] } else { &[] };
            json!({ "start": pair[0], "end": pair[1], "name": format!("part{at}"), "use": uses })
        }).collect();
        let group = group(Key::Line { program: None, text: "x".into() }, [Raw::Line(raw.clone())]);
        let made = suggest(&group, json!({ "spans": spans })).unwrap();
        let tried = attempt(&made.toml, &group, &[]);
        prop_assert_eq!(&tried["ok"], &json!(true), "{}\n{:#}", made.toml, tried);
        prop_assert_eq!(&tried["matches"]["here"], &json!(1), "{}\n{:#}", made.toml, tried);
    }
}

#[test]
fn a_trial_ends_when_it_has_taken_long_enough_wherever_it_is() {
    let rule = |n: usize| {
        format!(
            "[[rule]]\nid = 'r{n}'\nsyslog = {{ message = 'x{n}' }}\ndrop = true\n\
             [[rule.test]]\nline = '<13>Nov 20 12:00:00 h p: x{n}'\nexpect = {{ drop = true }}\n"
        )
    };
    let toml: String = (0..5).map(rule).collect();
    let trial = Trial { toml, ..Trial::default() };
    let asked = Cell::new(0);
    let run = |most: usize| {
        asked.set(0);
        let spent = || {
            asked.set(asked.get() + 1);
            asked.get() > most
        };
        attempt_within(&workshop("", ""), &trial, &[], (&|| false, &spent))
    };
    let answer = run(usize::MAX).unwrap();
    assert_eq!((&answer["ok"], &answer["tests"]["passed"]), (&json!(true), &json!(5)), "{answer:#}");
    // Before each rule, after all of them, and before each test.
    assert_eq!(asked.get(), 11);
    for most in 0..11 {
        assert_eq!(run(most), Err(NotTried::TooLong), "{most}");
        // From a rule that is left out on, the others are as well.
        assert!(asked.get() <= 11);
    }
}

#[test]
fn a_trial_of_too_much_is_refused_and_mistakes_are_told_up_to_a_number() {
    let try_it = |toml: String| {
        let trial = Trial { toml, ..Trial::default() };
        attempt_within(&workshop("", ""), &trial, &[], (&|| false, &|| false))
    };
    let many = "[[rule]]\nid = 'a'\nsyslog = {}\ndrop = true\n".repeat(1_000);
    assert!(matches!(try_it(many), Err(NotTried::TooMuch(TooMuch { count: 1_000, most: 100, .. }))));
    let keys: String = (0..1_000).map(|n| format!("k{n} = 1\n")).collect();
    let answer = try_it(keys).unwrap();
    let said = answer["diagnostics"].as_array().unwrap();
    assert_eq!(said.len(), DIAGNOSTICS + 1);
    assert_eq!(said[DIAGNOSTICS]["message"], "and 900 more messages");
    // Nor are more of them looked for.
    let rule = |n: usize| format!("[[rule]]\nid = 'r{n}'\nsyslog = {{}}\ndrop = true\n");
    let keys = |count: usize| (0..count).map(|n| format!("k{n} = 1\n")).collect::<String>();
    let toml: String = (0..1_000).map(|n| rule(n) + &keys(40)).collect();
    let mut found = Diagnostics::default();
    schema::read(&SourceText { file: "x", text: &toml }, &mut found);
    assert!((2_000..2_100).contains(&found.len()), "{}", found.len());
    let mut found = Diagnostics::default();
    schema::read(&SourceText { file: "x", text: &keys(5_000) }, &mut found);
    let last = found.sorted().pop().unwrap();
    assert_eq!(last.message, "and 4000 more unknown keys in a rule file");
    let answer = try_it("= 1\n".repeat(10_000)).unwrap();
    let said = answer["diagnostics"].as_array().unwrap();
    assert!(said.len() <= DIAGNOSTICS + 1 && answer["ok"] == false, "{}", said.len());
}
