//! Mistakes in the keys of rules that keep state.

use super::tests::{compiled, wrong};

/// A rule that has these lines.
fn rule(keys: &str) -> String {
    format!(
        "[[rule]]\nid = \"a\"\nsyslog = {{ message = '(?<what>.*)' }}\n{keys}\n[rule.check]\nservice = \"s\"\nstate = \"critical\"\n"
    )
}

/// What is wrong with it.
fn with(keys: &str) -> String {
    wrong(&rule(keys))
}

#[test]
fn every_mistake_says_what_to_write() {
    for (keys, message, hint) in [
        ("dedup = {}", "4:1: error: 'window' is missing", "window = \"5m\""),
        (
            "dedup = { windows = '5m', window = '1m' }",
            "unknown key 'windows' in [rule.dedup]",
            "did you mean 'window'?",
        ),
        (
            "dedup = { window = '5m', summary = '{{ sen.count }}' }",
            "unknown variable 'sen.count'",
            "seen.count",
        ),
        (
            "dedup = { window = '5m', summary = '{{ seen.cuont }}' }",
            "unknown variable 'seen.cuont'",
            "did you mean 'count'?",
        ),
        (
            "dedup = { window = '5m', summary = '{{ what }}' }",
            "unknown variable 'what'",
            "rendered when a window ends",
        ),
        ("dedup = { window = '1ms' }", "window must be 100ms to 366d", ""),
        ("hold = { for = '60s', flaps = 3 }", "'flaps' and 'within' belong together", "within = \"10m\""),
        ("hold = { for = '60s', flaps = 1, within = '1m' }", "flaps must be 2 to 64", ""),
        ("threshold = { within = '1m' }", "'count' is missing", "count = 5"),
        ("threshold = { count = 0, within = '1m' }", "count must be 1 to 1000000", ""),
        ("threshold = { count = 5, within = '1m', key = '' }", "'key' is empty", "leave it out"),
        ("key = ''", "'key' is empty", "leave it out for host and service"),
        ("key = '{{ wat }}'", "unknown variable 'wat'", "did you mean 'what'?"),
        ("escalate = [{ state = 'critical' }]", "needs either 'after' or 'count'", "after = \"30m\""),
        ("escalate = [{ after = '1m', state = 'down' }]", "'down' is not a state of a service", "states: ok"),
        ("expire = { after = '1d' }", "'state' is missing", "add the state that is sent then"),
        (
            "expire = { after = '1d', state = 'unknwon' }",
            "'unknwon' is not a state",
            "did you mean 'unknown'?",
        ),
        ("orphan = 'snd'", "'snd' is no choice", "did you mean 'send'?"),
        ("remind = 'hourly'", "'remind' is no duration", "1h"),
        (
            "threshold = { count = 2, within = '1m' }\nrecovery = { state = 'ok' }",
            "needs 'recover' in 'threshold'",
            "recover = \"10m\"",
        ),
        ("expect = {}", "needs either 'every' or 'by'", "by = \"06:00\""),
        ("expect = { every = '5m', by = '06:00' }", "needs either 'every' or 'by'", "every = \"5m\""),
        ("expect = { every = '5m', days = 'mon' }", "'days' belongs to 'by'", "time of day"),
        ("expect = { by = '25:00' }", "'25:00' is no time of day", "hours and minutes"),
        ("expect = { by = '06:00', days = 'mon-fry' }", "'mon-fry' is no list of days", "mon-fri"),
        ("expect = { by = '06:00', except = ['24.12.'] }", "'24.12.' is no date", "2026-12-25"),
        (
            "expect = { by = '06:00', zone = 'Europe/Wien' }",
            "is no time zone that this machine knows",
            "Europe/Vienna",
        ),
        ("expect = { every = '5m', state = 'down' }", "'down' is not a state of a service", "states: ok"),
        ("expect = { every = '5m', host = '{{ kye }}' }", "unknown variable 'kye'", "did you mean 'key'?"),
        ("expect = { every = '5m', evry = '5m' }", "unknown key 'evry'", "did you mean 'every'?"),
        ("dedup = { window = '5m', summary = '{{ key }}' }", "unknown variable 'key'", ""),
        ("recovery = { state = 'ok' }", "the rule has no 'threshold'", "recover = \"10m\""),
    ] {
        let text = with(keys);
        assert!(text.contains(message) && text.contains(hint), "{keys}:\n{text}");
    }
    let dropped = "[[rule]]\nid = \"a\"\nsyslog = {}\nhold = { for = '1m' }\ndrop = true\n";
    let text = wrong(dropped);
    assert!(text.contains("4:1: error: rule 'a' makes nothing that 'hold' could be about"), "{text}");
}

/// The example has the value that was written, and can be used as it is.
#[test]
fn what_is_no_table_is_shown_as_one() {
    for key in ["dedup", "threshold", "recovery", "hold", "throttle", "expire", "expect"] {
        for (value, kept) in
            [("'60s'", "\"60s\""), ("90", "90"), ("true", ""), ("'soon'", ""), ("[]", ""), ("-1", "")]
        {
            let text = with(&format!("{key} = {value}"));
            assert!(
                text.contains("4:") && text.contains(&format!("'{key}' must be a table, not a")),
                "{text}"
            );
            let example = text.lines().next().unwrap().split("; write ").nth(1).unwrap();
            assert!(example.starts_with(&format!("{key} = {{ ")), "{text}");
            assert!(key == "recovery" || example.contains(kept), "{example}");
            let more = if key == "recovery" {
                "threshold = { count = 2, within = '1m', recover = '1m' }\n"
            } else {
                ""
            };
            assert_eq!(compiled(&rule(&format!("{more}{example}"))).found.to_text(), "");
        }
    }
}

#[test]
fn mistakes_in_steps_have_their_places() {
    let test = |step: &str| {
        wrong(&format!(
            "[[rule]]\nid = \"a\"\nsyslog = {{}}\ndrop = true\n[[rule.test]]\n[[rule.test.step]]\n{step}\n"
        ))
    };
    for (step, message) in [
        ("expect = []", "the step has no 'at'"),
        ("at = 'soon'", "'at' is neither a duration nor a time"),
        ("at = '1s'\nrestart = 'x'", "'x' is no duration"),
        ("at = '1s'\nclock = '1'", "'1' is no duration"),
        ("at = '1s'\nuptime = -1", "'uptime' is hundredths of a second"),
        (
            "at = '1s'\ntrap = '1.3'\nline = 'x'",
            "the step has more than one of 'trap', 'line', 'packet', 'checkin' and 'json'",
        ),
        ("at = '1s'\nexpct = []", "did you mean 'expect'?"),
    ] {
        let text = test(step);
        assert!(text.contains(message), "{step}:\n{text}");
    }
}
