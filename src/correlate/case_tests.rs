//! The numbered cases of docs/correlation.md that need no process, as step tests: each runs as it is, and with all state
//! written and read back before each step.

use std::fmt::Write as _;
use std::sync::Arc;

use super::steps;
use crate::lookup::hosts::Hosts;
use crate::mib::Mib;
use crate::rules::compile::{RuleFile, compile};

pub(super) fn mib() -> Arc<Mib> {
    static MIB: std::sync::OnceLock<Arc<Mib>> = std::sync::OnceLock::new();
    MIB.get_or_init(|| Arc::new(crate::mib::load::load(&[]).mib)).clone()
}

/// The failures of the step tests of a rule file; `others` are files that tests name for a reload.
pub(super) fn failures(text: &str, others: &[(&str, &str)]) -> String {
    let files = [RuleFile { name: "rules/x.toml".into(), text: text.into() }];
    let compiled = compile(&files, mib());
    assert_eq!(compiled.found.to_text(), "", "{text}");
    let rules = compiled.rules.unwrap();
    let reload = |file: &RuleFile, name: &str| {
        let text = others.iter().find(|(other, _)| *other == name).map(|(_, text)| *text);
        steps::replaced(&files, file, text.ok_or("no such file")?, &rules)
    };
    let report = steps::run(&rules, &compiled.tests, &Hosts::default(), &reload);
    assert!(report.passed + report.failed > 0);
    report.found.to_text()
}

pub(super) fn passes(text: &str) {
    assert_eq!(failures(text, &[]), "", "{text}");
}

/// Two rules: `down` with some keys makes `kind` critical, `up` makes it ok. The service is the word behind down or up.
fn pair(kind: &str, down: &str, up: &str) -> String {
    let rule = |id: &str, state: &str, keys: &str| {
        let target = if kind == "check" { "service" } else { "resource" };
        format!(
            "[[rule]]\nid = \"{id}\"\nsyslog = {{ message = '^{id} (?<what>\\w+)' }}\n{keys}\n\
             [rule.{kind}]\n{target} = \"{{{{ what }}}}\"\nstate = \"{state}\"\noutput = \"{{{{ what }}}} is {id}\"\n"
        )
    };
    format!("{}{}[[rule.test]]\n", rule("down", "critical", down), rule("up", "ok", up))
}

/// A step at a time in seconds: a message, unless it is empty, and the states of all outcomes since the step before.
pub(super) fn step(at: &str, message: &str, states: &[&str]) -> String {
    let mut text = format!("[[rule.test.step]]\nat = \"{at}\"\n");
    if !message.is_empty() {
        let _ = writeln!(text, "line = \"<35>Nov 20 12:00:00 h app: {message}\"");
    }
    let expected: Vec<String> = states.iter().map(|state| format!("{{ state = \"{state}\" }}")).collect();
    let _ = writeln!(text, "expect = [{}]", expected.join(", "));
    text
}

pub(super) fn steps(all: &[(&str, &str, &[&str])]) -> String {
    all.iter().map(|(at, message, states)| step(at, message, states)).collect()
}

const C: &[&str] = &["critical"];
const OK: &[&str] = &["ok"];
const NONE: &[&str] = &[];

#[test]
fn case_1_repeats_are_counted_at_the_end() {
    let rules = pair("check", "dedup = { window = '60s', summary = '{{ seen.count }} times' }", "");
    passes(&format!(
        "{rules}{}[[rule.test.step]]\nat = '60s'\nexpect = [{{ state = 'critical', output = '3 times' }}]\n{}",
        steps(&[("0s", "down a", C), ("10s", "down a", NONE), ("20s", "down a", NONE), ("59s", "", NONE)]),
        steps(&[("300s", "", NONE)])
    ));
}

#[test]
fn case_2_another_state_passes() {
    let rules = pair("check", "dedup = { window = '300s' }", "");
    passes(
        &(rules
            + &steps(&[
                ("0s", "down a", C),
                ("5s", "up a", OK),
                ("10s", "down a", C),
                ("11s", "down a", NONE),
            ])),
    );
}

#[test]
fn case_3_repeats_do_not_extend_a_window() {
    let mut text = pair("check", "dedup = { window = '60s' }", "");
    for second in 0..180 {
        let sent = second % 60 == 0;
        text += &step(&format!("{second}s"), "down a", if sent { C } else { NONE });
    }
    passes(&text);
}

#[test]
fn case_4_a_threshold_slides() {
    let rules = pair("check", "threshold = { count = 3, within = '60s' }", "");
    passes(
        &(rules
            + &steps(&[
                ("0s", "down a", NONE),
                ("59s", "down a", NONE),
                ("61s", "down a", NONE),
                ("100s", "down a", C),
            ])),
    );
}

#[test]
fn case_5_a_threshold_is_sent_once_and_recovers() {
    let keys = "threshold = { count = 3, within = '60s', recover = '10m' }\n[rule.recovery]\noutput = '{{ service }} is quiet'";
    let mut text = pair("check", keys, "");
    for second in (0..=120).step_by(10) {
        text += &step(&format!("{second}s"), "down a", if second == 20 { C } else { NONE });
    }
    text += &step("719s", "", NONE);
    text += "[[rule.test.step]]\nat = '720s'\nexpect = [{ state = 'ok', output = 'a is quiet', service = 'a' }]\n";
    text += &steps(&[("721s", "down a", NONE), ("5000s", "", NONE)]);
    passes(&text);
}

#[test]
fn large_thresholds_count_in_parts() {
    let mut text = pair("check", "threshold = { count = 100, within = '60s' }", "");
    for n in 0..250 {
        text += &step(&format!("{}ms", n * 100), "down a", if n == 99 { C } else { NONE });
    }
    passes(&text);
}

#[test]
fn cases_6_to_8_holds() {
    let rules = pair("check", "hold = { for = '60s' }", "");
    passes(&(rules.clone() + &steps(&[("0s", "down a", NONE), ("30s", "up a", NONE), ("200s", "", NONE)])));
    // What is due at a time comes before a message of that time.
    passes(&(rules.clone() + &steps(&[("0s", "down a", NONE), ("60s", "up a", &["critical", "ok"])])));
    passes(
        &(rules
            + &steps(&[
                ("0s", "down a", NONE),
                ("20s", "up a", NONE),
                ("40s", "down a", NONE),
                ("50s", "down a", NONE),
                ("99s", "", NONE),
                ("100s", "", C),
                ("101s", "down a", C),
            ])),
    );
}

#[test]
fn case_9_flapping_ends_with_the_truth() {
    let rules = pair("check", "hold = { for = '60s', flaps = 3, within = '10m' }", "");
    let flapping = steps(&[
        ("0s", "down a", NONE),
        ("1s", "up a", NONE),
        ("2s", "down a", NONE),
        ("3s", "up a", NONE),
        ("4s", "down a", NONE),
        ("5s", "up a", &["warning"]),
        ("6s", "down a", NONE),
    ]);
    passes(&format!(
        "{rules}{flapping}{}",
        steps(&[("7s", "up a", NONE), ("606s", "", NONE), ("607s", "", OK), ("2000s", "", NONE)])
    ));
    passes(&format!(
        "{rules}{flapping}{}",
        steps(&[("605s", "", NONE), ("606s", "", C), ("700s", "up a", OK)])
    ));
}

/// A trap with an uptime in hundredths of a second.
fn trap(at: &str, which: &str, uptime: u32, more: &str, states: &[&str]) -> String {
    let expected: Vec<String> = states.iter().map(|state| format!("{{ state = \"{state}\" }}")).collect();
    format!(
        "[[rule.test.step]]\nat = \"{at}\"\ntrap = \"IF-MIB::{which}\"\nuptime = {uptime}\n\
         varbinds = {{ \"ifIndex.3\" = 3, \"ifDescr.3\" = \"Gi0/1\" }}\n{more}\nexpect = [{}]\n",
        expected.join(", ")
    )
}

const LINKS: &str = r#"
[[rule]]
id = "down"
trap = "IF-MIB::linkDown"
key = "{{ host }} {{ index.ifIndex }}"
[rule.check]
service = "Interfaces"
state = "critical"
[[rule]]
id = "up"
trap = "IF-MIB::linkUp"
key = "{{ host }} {{ index.ifIndex }}"
[rule.check]
service = "Interfaces"
state = "ok"
[[rule.test]]
"#;

#[test]
fn case_10_a_problem_behind_its_clear_is_not_raised() {
    let test = |steps: &[String]| passes(&format!("{LINKS}{}", steps.concat()));
    test(&[trap("0s", "linkUp", 1000, "", OK), trap("1s", "linkDown", 990, "", NONE)]);
    // The agent was restarted.
    test(&[trap("0s", "linkUp", 1000, "", OK), trap("1s", "linkDown", 5, "", C)]);
    // Another agent, a later one, one long after.
    test(&[trap("0s", "linkUp", 1000, "", OK), trap("1s", "linkDown", 990, "from = '192.0.2.2'", C)]);
    test(&[trap("0s", "linkUp", 1000, "", OK), trap("1s", "linkDown", 1100, "", C)]);
    test(&[trap("0s", "linkUp", 1000, "", OK), trap("2100ms", "linkDown", 990, "", C)]);
    let both = [
        trap("0s", "linkDown", 900, "", C),
        trap("1s", "linkUp", 1000, "", OK),
        trap("2s", "linkDown", 999, "", NONE),
    ];
    test(&both);
}

#[test]
fn case_11_a_clear_alone_heals_a_check_and_is_no_event() {
    let key = "key = '{{ what }}'";
    passes(&(pair("check", key, key) + &step("0s", "up a", OK)));
    passes(&(pair("event", key, key) + &step("0s", "up a", NONE)));
    passes(&(pair("event", key, "orphan = 'send'\nkey = '{{ what }}'") + &step("0s", "up a", OK)));
    passes(&(pair("check", key, "orphan = 'drop'") + &step("0s", "up a", NONE)));
    // A rule that says nothing about state is left alone.
    passes(&(pair("event", key, "") + &step("0s", "up a", OK)));
}

#[test]
fn case_12_what_expires_is_never_ok_by_itself() {
    let rules = pair("check", "expire = { after = '24h', state = 'unknown' }", "");
    passes(&format!(
        "{rules}{}[[rule.test.step]]\nat = '25h'\nexpect = [{{ state = 'unknown', output = 'No message for 1d; the last was: a is down' }}]\n{}",
        steps(&[("0s", "down a", C), ("1h", "down a", C), ("24h", "", NONE)]),
        steps(&[("72h", "", NONE), ("73h", "up a", OK)])
    ));
}

#[test]
fn case_13_devices_are_apart() {
    let steps = [
        trap("0s", "linkDown", 1, "", C),
        trap("1s", "linkDown", 1, "from = '192.0.2.2'", C),
        trap("20s", "linkUp", 2000, "", OK),
        trap("30s", "linkUp", 2000, "from = '192.0.2.2'", OK),
    ];
    passes(&format!("{LINKS}{}", steps.concat()));
}

#[test]
fn case_14_a_service_is_ok_when_its_last_problem_closes() {
    let interface = |at: &str, which: &str, index: u32, states: &[&str]| {
        trap(at, which, 100_000, "", states)
            .replace("ifIndex.3\" = 3", &format!("ifIndex.{index}\" = {index}"))
            .replace("ifDescr.3", &format!("ifDescr.{index}"))
    };
    let steps = [
        interface("0s", "linkDown", 1, C),
        interface("10s", "linkDown", 2, C),
        interface("20s", "linkUp", 1, C),
        interface("30s", "linkUp", 2, OK),
        interface("40s", "linkUp", 2, OK),
    ];
    passes(&format!("{LINKS}{}", steps.concat()));
}

#[test]
fn the_worst_problem_of_a_service_is_what_is_sent() {
    let rule = |id: &str, state: &str, keys: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nsyslog = {{ message = '^{id} (?<what>\\w+)' }}\nkey = \"{{{{ what }}}}\"\n{keys}\n\
             [rule.check]\nservice = \"all\"\nstate = \"{state}\"\n"
        )
    };
    let rules = format!(
        "{}{}{}{}[[rule.test]]\n",
        rule("bad", "critical", ""),
        rule("odd", "unknown", ""),
        rule("poor", "warning", "escalate = [{ after = '1h', state = 'critical' }]"),
        rule("good", "ok", "")
    );
    passes(
        &(rules.clone()
            + &steps(&[
                ("0s", "bad a", C),
                ("10s", "poor b", NONE),
                ("20s", "good a", &["warning"]),
                ("30s", "poor c", &["warning"]),
                ("40s", "good b", &["warning"]),
                ("50s", "good c", OK),
            ])),
    );
    // One that receivers know is better than another one now.
    passes(
        &(rules.clone()
            + &steps(&[
                ("0s", "bad a", C),
                ("10s", "odd b", NONE),
                ("20s", "poor a", &["unknown"]),
                ("30s", "good a", NONE),
                ("40s", "good b", OK),
            ])),
    );
    passes(
        &(rules
            + &steps(&[
                ("0s", "poor a", &["warning"]),
                ("10s", "bad b", C),
                ("20s", "good a", NONE),
                ("30s", "good b", OK),
            ])),
    );
}

#[test]
fn escalations_happen_once_and_a_clear_ends_them() {
    let keys = "escalate = [{ after = '30m', state = 'critical' }, { count = 3, state = 'critical' }]\ndedup = { window = '1h' }";
    let rules =
        pair("check", keys, "").replace("state = \"critical\"\noutput", "state = \"warning\"\noutput");
    let w: &[&str] = &["warning"];
    passes(
        &(rules.clone()
            + &steps(&[
                ("0s", "down a", w),
                ("10m", "down a", NONE),
                ("29m", "", NONE),
                ("30m", "", C),
                ("31m", "down a", NONE),
                ("40m", "up a", OK),
                ("3h", "", NONE),
            ])),
    );
    passes(
        &(rules
            + &steps(&[
                ("0s", "down a", w),
                ("1s", "down a", NONE),
                ("2s", "down a", C),
                ("3s", "down a", NONE),
                ("45m", "", NONE),
                ("46m", "up a", OK),
                ("47m", "down a", w),
            ])),
    );
}

#[test]
fn reminders_until_it_is_over() {
    let rules = pair("check", "remind = '1h'", "");
    passes(
        &(rules
            + &steps(&[
                ("0s", "down a", C),
                ("59m", "", NONE),
                ("60m", "", C),
                ("90m", "down a", C),
                ("149m", "", NONE),
                ("150m", "", C),
                ("160m", "up a", OK),
                ("10h", "", NONE),
            ])),
    );
}

#[test]
fn a_throttle_lets_the_last_words_through() {
    let keys = "throttle = { count = 2, per = '1m', key = '{{ host }}' }";
    let rules = pair("check", keys, "");
    // d was closed before it was sent, c is open at the end.
    passes(
        &(rules
            + &steps(&[
                ("0s", "down a", C),
                ("1s", "down b", C),
                ("2s", "down c", NONE),
                ("3s", "down d", NONE),
                ("4s", "up d", NONE),
                ("5s", "up a", OK),
                ("6s", "down a", NONE),
                ("7s", "down b", NONE),
                ("59s", "", NONE),
                ("60s", "", &["critical", "critical"]),
                ("61s", "down e", C),
                ("200s", "", NONE),
            ])),
    );
    let summary = "throttle = { count = 1, per = '1m', key = 'all', summary = '{{ seen.count }} more' }";
    passes(&format!(
        "{}{}[[rule.test.step]]\nat = '60s'\nexpect = [{{ output = 'b is down' }}, {{ output = '3 more', service = 'c' }}]\n",
        pair("check", summary, ""),
        steps(&[("0s", "down a", C), ("1s", "down b", NONE), ("2s", "down c", NONE), ("3s", "down c", NONE)])
    ));
}

#[test]
fn case_15_messages_of_other_protocols_pair() {
    let rules = format!(
        "{LINKS}{}[[rule.test.step]]\nat = '10s'\nline = '<35>Nov 20 12:00:00 192.0.2.1 app: up 3'\nexpect = [{{ state = 'ok' }}]\n",
        trap("0s", "linkDown", 1, "", C)
    );
    let line = "[[rule]]\nid = \"line\"\nsyslog = { message = '^up (?<index>\\d+)' }\nkey = \"{{ host }} {{ index }}\"\n[rule.check]\nservice = \"Interfaces\"\nstate = \"ok\"\n";
    passes(&format!("{line}{rules}"));
}

#[test]
fn case_20_what_was_due_while_down_fires_once_after_a_while() {
    let rules = pair("check", "hold = { for = '60s' }", "");
    let restart = "[[rule.test.step]]\nat = '100s'\nrestart = '90s'\nexpect = []\n";
    passes(&format!(
        "{rules}{}{restart}{}",
        step("0s", "down a", NONE),
        steps(&[("104s", "", NONE), ("105s", "", C), ("500s", "", NONE)])
    ));
    passes(&format!(
        "{rules}{}{restart}{}",
        step("0s", "down a", NONE),
        steps(&[("101s", "up a", NONE), ("500s", "", NONE)])
    ));
}

#[test]
fn case_21_jumps_of_the_clock_change_nothing() {
    for jump in ["-1h", "+1h"] {
        let rules = pair("check", "hold = { for = '60s' }", "");
        let jumps = format!("[[rule.test.step]]\nat = '30s'\nclock = '{jump}'\nexpect = []\n");
        passes(&format!(
            "{rules}{}{jumps}{}",
            step("0s", "down a", NONE),
            steps(&[("59s", "", NONE), ("60s", "", C)])
        ));
    }
}

#[test]
fn case_22_a_reload_keeps_what_it_does_not_change() {
    let hold = |time: &str, more: &str| pair("check", &format!("hold = {{ for = '{time}' }}\n{more}"), "");
    let reload =
        |at: &str, states: &[&str]| step(at, "", states).replace("expect", "reload = 'other.toml'\nexpect");
    let test = |before: &str, other: &str, at: &str, then: &[&str], later: &str| {
        let text = format!("{before}{}{}{later}", step("0s", "down a", NONE), reload(at, then));
        assert_eq!(failures(&text, &[("other.toml", other)]), "", "{text}");
    };
    let tail = |rules: String| rules.replace("[[rule.test]]\n", "");
    // An edit elsewhere.
    let other =
        tail(hold("5m", "")) + "[[rule]]\nid = \"new\"\nsyslog = { program = \"new\" }\ndrop = true\n";
    test(&hold("5m", ""), &other, "3m", NONE, &steps(&[("299s", "", NONE), ("300s", "", C)]));
    // A shorter time, which has passed; a longer one.
    test(&hold("5m", ""), &tail(hold("1m", "")), "3m", C, &step("10m", "up a", OK));
    test(&hold("5m", ""), &tail(hold("10m", "")), "3m", NONE, &steps(&[("599s", "", NONE), ("600s", "", C)]));
    // Another key, and no such rule any more: what waits is sent.
    test(&hold("5m", ""), &tail(hold("5m", "key = '{{ what }}'")), "3m", C, &step("10m", "", NONE));
    test(&hold("5m", ""), "", "3m", C, &step("10m", "", NONE));
    // Without the hold it is due.
    test(&hold("5m", ""), &tail(pair("check", "remind = '1d'", "")), "3m", C, "");
}

/// A throttle is that of the rule whose message it is, whichever rule has raised the problem.
#[test]
fn rules_that_share_a_problem_have_throttles_of_their_own() {
    let throttle = |per: u32| format!("throttle = {{ count = 2, per = '{per}s', key = 'all' }}");
    let rules = pair("check", &throttle(45), &format!("clears = false\n{}", throttle(20)));
    passes(
        &(rules
            + &steps(&[
                ("0s", "down a", C),
                ("1s", "up a", OK),
                ("2s", "up a", OK),
                ("3s", "up a", NONE),
                ("21s", "", NONE),
                ("25s", "up b", OK),
                ("50s", "up b", OK),
                ("51s", "down b", C),
            ])),
    );
}

/// What receivers know of a problem is taken back when its service is well again, however the problem has ended.
#[test]
fn what_receivers_know_is_taken_back_though_the_problem_has_ended() {
    let keyed = |more: &str| pair("event", &format!("key = '{{{{ what }}}}'\n{more}"), "key = '{{ what }}'");
    let unknown: &[&str] = &["unknown"];
    let end = [("120s", "up a", OK), ("121s", "up a", NONE)];
    let expires = keyed("expire = { after = '60s', state = 'unknown' }");
    passes(&(expires + &steps(&[("0s", "down a", C), ("60s", "", unknown)]) + &steps(&end)));
    let restarts = "[[rule]]\nid = \"cold\"\nsyslog = { message = '^cold' }\nclears = { host = true, state = 'unknown' }\n\
         [rule.event]\nstate = \"ok\"\n";
    let both: &[&str] = &["ok", "unknown"];
    let restarted = restarts.to_owned() + &keyed("");
    passes(&(restarted + &steps(&[("0s", "down a", C), ("60s", "cold", both)]) + &steps(&end)));
    // The rule has another name.
    let renamed = keyed("").replace("id = \"down\"", "id = \"gone\"").replace("[[rule.test]]\n", "");
    let reload = step("60s", "", NONE).replace("expect", "reload = 'other.toml'\nexpect");
    let text = keyed("") + &step("0s", "down a", C) + &reload + &steps(&end);
    assert_eq!(failures(&text, &[("other.toml", &renamed)]), "");
}

/// A clear that names another service closes the one that receivers know the problem by.
#[test]
fn a_problem_that_is_raised_under_another_name_is_over_under_the_old_one() {
    let rules = pair("check", "key = 'k'", "key = 'k'");
    let with = |at: &str, message: &str, expected: &[(&str, &str)]| {
        let expected: Vec<String> = (expected.iter())
            .map(|(name, state)| format!("{{ service = \"{name}\", state = \"{state}\" }}"))
            .collect();
        step(at, message, &[]).replace("expect = []", &format!("expect = [{}]", expected.join(", ")))
    };
    let text = rules.clone()
        + &with("0s", "down a", &[("a", "critical")])
        + &with("1s", "down b", &[("a", "ok"), ("b", "critical")])
        + &with("2s", "down b", &[("b", "critical")])
        + "[[rule.test.step]]\nat = '3s'\nreload = 'b.toml'\n"
        + &with("4s", "down b", &[("b", "ok"), ("new b", "critical")])
        + &with("5s", "up b", &[("new b", "ok")]);
    let other = rules.replace("service = \"{{ what }}\"", "service = \"new {{ what }}\"");
    assert_eq!(failures(&text, &[("b.toml", &other.replace("[[rule.test]]\n", ""))]), "");
}

#[test]
fn a_clear_closes_the_service_that_receivers_know() {
    let rules = pair("check", "key = 'k'", "key = 'k'");
    let ends = |at: &str, message: &str, services: &[&str]| {
        let expected: Vec<String> =
            services.iter().map(|name| format!("{{ service = \"{name}\", state = \"ok\" }}")).collect();
        step(at, message, &[]).replace("expect = []", &format!("expect = [{}]", expected.join(", ")))
    };
    let text =
        rules + &step("0s", "down a", C) + &ends("1s", "up b", &["a", "b"]) + &ends("2s", "up b", &["b"]);
    passes(&text);
}

/// The messages beyond a threshold are messages of the problem that it has raised.
#[test]
fn a_problem_of_a_threshold_goes_on_with_its_messages() {
    let rules =
        |more: &str| pair("check", &format!("threshold = {{ count = 2, within = '12s' }}\n{more}"), "");
    let w: &[&str] = &["warning"];
    let storm = |from: usize, to: usize| -> String {
        (from..to).map(|n| step(&format!("{}s", n * 5), "down a", NONE)).collect()
    };
    let begin = step("0s", "down a", NONE);
    // It does not expire while messages come.
    let unknown: &[&str] = &["unknown"];
    let expires = rules("expire = { after = '20s', state = 'unknown' }");
    let text = begin.clone() + &step("5s", "down a", C) + &storm(2, 12);
    passes(&(expires + &text + &steps(&[("74s", "", NONE), ("75s", "", unknown)])));
    // They are counted.
    let escalates = rules("escalate = [{ count = 4, state = 'critical' }]")
        .replace("state = \"critical\"\noutput", "state = \"warning\"\noutput");
    let text =
        begin.clone() + &step("5s", "down a", w) + &storm(2, 4) + &step("20s", "down a", C) + &storm(5, 9);
    passes(&(escalates + &text));
    // Cleared meanwhile, it is raised again by the next one: there are as many messages as before.
    let text = begin + &step("5s", "down a", C) + &storm(2, 4);
    let again = [("16s", "up a", OK), ("20s", "down a", C), ("25s", "down a", NONE)];
    passes(&(rules("") + &text + &steps(&again)));
}

#[test]
fn a_failing_step_says_what_is_wrong() {
    let rules = pair("check", "hold = { for = '60s' }", "");
    let text = format!(
        "{rules}{}",
        steps(&[("0s", "down a", C), ("60s", "", OK), ("61s", "up a", NONE), ("1s", "", NONE)])
    );
    insta::assert_snapshot!(failures(&text, &[]));
}

#[test]
fn the_rules_on_the_page_are_right_and_pass_their_tests() {
    let pages = [include_str!("../../docs/correlation.md"), include_str!("../../docs/time.md")];
    let blocks = pages.iter().flat_map(|page| page.split("```toml\n").skip(1));
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let rules: Vec<&str> = blocks.filter(|block| block.starts_with("[[rule]]\n")).collect();
    assert!(rules.len() >= 12);
    for text in rules {
        let compiled = compile(&[RuleFile { name: "page".into(), text: text.into() }], mib());
        assert_eq!(compiled.found.to_text(), "", "{text}");
        if !compiled.tests.is_empty() {
            passes(text);
        }
    }
}
