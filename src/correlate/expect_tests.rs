//! Messages that must come, as step tests: each runs as it is, and with all state written and read back before each step.

use super::case_tests::{failures, passes, steps};

/// A rule whose lines "backup KEY" are expected, and its test.
fn backup(expect: &str) -> String {
    format!(
        "[[rule]]\nid = \"backup\"\nsyslog = {{ message = '^backup (?<key>\\w+)' }}\nexpect = {{ {expect} }}\n\
         [rule.check]\nhost = \"{{{{ key }}}}\"\nservice = \"Backup\"\nstate = \"ok\"\noutput = \"done\"\n[[rule.test]]\n"
    )
}

/// The same with a key of its own, so that its messages close nothing by themselves.
fn jobs(expect: &str) -> String {
    backup(expect).replace("[rule.check]\nhost", "[rule.check]\nservice = \"Job\"\nhost").replacen(
        "service = \"Backup\"\n",
        "",
        1,
    )
}

#[test]
fn what_does_not_come_is_said_once_and_its_return_too() {
    let all = |more: &str| {
        backup(&format!("every = '5m', grace = '1m', keys = ['db1'], key = '{{{{ key }}}}'{more}"))
    };
    // Known before its first message: late after both; a message in time moves the deadline.
    passes(
        &(all("")
            + &steps(&[
                ("0s", "", &[]),
                ("359s", "", &[]),
                ("360s", "", &["critical"]),
                ("30m", "", &[]),
                ("31m", "backup db1", &["ok"]),
                ("36m", "backup db1", &["ok"]),
                ("41m", "", &[]),
                ("42m", "", &["critical"]),
            ])),
    );
    // Others are not learned where keys are named, unless that is asked for.
    passes(&(all("") + &steps(&[("0s", "backup x", &["ok"]), ("6m", "", &["critical"])])));
    passes(
        &(all(", learn = true")
            + &steps(&[("0s", "backup x", &["ok"]), ("6m", "", &["critical", "critical"])])),
    );
    // Learned ones are forgotten, named ones are not.
    passes(
        &(all(", learn = true, forget = '1h'")
            + &steps(&[
                ("0s", "backup x", &["ok"]),
                ("6m", "", &["critical", "critical"]),
                ("61m", "backup x", &["ok"]),
                ("67m", "", &["critical"]),
                ("3h", "backup db1", &["ok"]),
            ])),
    );
    // The service of the lateness is another one than that of the messages.
    passes(
        &(jobs("every = '5m', key = '{{ key }}', service = 'Silence of {{ key }}'")
            + &steps(&[
                ("0s", "backup x", &["ok"]),
                ("5m", "", &["critical"]),
                ("6m", "backup x", &["ok", "ok"]),
                ("7m", "backup x", &["ok"]),
            ])),
    );
}

/// A service that several keys say something of, by messages of its own or of another one.
#[test]
fn each_key_of_a_service_is_late_by_itself() {
    let of = |place: &str| {
        format!(
            "[[rule]]\nid = \"bad\"\nsyslog = {{ message = '^bad' }}\n\
             [rule.check]\nhost = \"cluster\"\nservice = \"Beat\"\nstate = \"critical\"\n\
             [[rule]]\nid = \"beat\"\nsyslog = {{ message = '^beat (?<key>\\w+)' }}\n\
             expect = {{ every = '5m', key = '{{{{ key }}}}', keys = ['a', 'b', 'c'], {place}, state = 'warning', output = 'no {{{{ key }}}}' }}\n\
             [rule.check]\nhost = \"cluster\"\nservice = \"Beat\"\nstate = \"ok\"\noutput = \"{{{{ key }}}}\"\n[[rule.test]]\n"
        )
    };
    let own = of("host = 'cluster', service = 'Beat'");
    passes(
        &(own.clone()
            + &steps(&[
                ("0s", "beat a", &["ok"]),
                ("4m", "beat a", &["ok"]),
                ("5m", "", &["warning", "warning"]),
                // It was in time, so it says nothing of the others.
                ("6m", "beat a", &[]),
                // One of two comes: now the other one is named.
                ("7m", "beat b", &["warning"]),
                ("8m", "beat b", &[]),
                // Something worse comes and goes.
                ("9m", "bad", &["critical"]),
                ("570s", "beat a", &["warning"]),
                ("10m", "beat c", &["ok"]),
                ("11m", "beat a", &["ok"]),
            ])),
    );
    let other = of("host = 'cluster', service = 'Silence'");
    passes(
        &(other
            + &steps(&[
                ("0s", "beat a", &["ok"]),
                ("4m", "beat a", &["ok"]),
                ("5m", "", &["warning", "warning"]),
                ("6m", "beat a", &["ok"]),
                ("7m", "beat b", &["warning", "ok"]),
                ("8m", "beat c", &["ok", "ok"]),
            ])),
    );
    let step = |at: &str, line: &str, expect: &str| {
        let line = if line.is_empty() {
            String::new()
        } else {
            format!("line = '<35>Nov 20 12:00:00 h app: {line}'\n")
        };
        format!(
            "[[rule.test.step]]\nat = '{at}'\n{line}expect = [{{ host = 'cluster', service = 'Beat', {expect} }}]\n"
        )
    };
    let named = own
        + &step("0s", "beat a", "state = 'ok'")
        + &step("1s", "beat c", "state = 'ok'")
        + &step("299s", "beat b", "state = 'ok'")
        + &step("300s", "", "state = 'warning', output = 'no a'")
        + &step("301s", "", "state = 'warning', output = 'no c'")
        + &step("302s", "beat c", "state = 'warning', output = 'no a'")
        + &step("303s", "beat a", "state = 'ok', output = 'a'");
    passes(&named);
}

#[test]
fn the_texts_name_the_key() {
    let text = backup("every = '5m', keys = ['db1'], state = 'warning', host = 'h-{{ key }}'")
        + "[[rule.test.step]]\nat = '0s'\n[[rule.test.step]]\nat = '5m'\n\
           expect = [{ host = 'h-db1', service = 'Backup', state = 'warning', output = 'No message of db1 for 5min' }]\n";
    passes(&text);
    let text = text.replace("No message of db1 for 5min", "No message of db2");
    assert!(failures(&text, &[]).contains("No message of db1 for 5min"));
}

#[test]
fn case_23_a_time_of_day_in_its_zone() {
    let by = |more: &str| {
        backup(&format!("by = '02:30', zone = 'Europe/Vienna', keys = ['db1'], key = '{{{{ key }}}}'{more}"))
    };
    // Clocks are put forward: there is no 02:30, and 03:30 CEST is late.
    passes(
        &(by("")
            + &steps(&[
                ("2027-03-27T12:00:00Z", "backup db1", &["ok"]),
                ("2027-03-28T01:29:59Z", "", &[]),
                ("2027-03-28T01:30:00Z", "", &[]),
                ("2027-03-29T00:30:00Z", "", &["critical"]),
                ("2027-03-30T12:00:00Z", "backup db1", &["ok"]),
            ])),
    );
    passes(
        &(by("")
            + &steps(&[
                ("2027-03-27T12:00:00Z", "", &[]),
                ("2027-03-28T01:29:59Z", "", &[]),
                ("2027-03-28T01:30:00Z", "", &["critical"]),
            ])),
    );
    // They are put back: the second 02:30 counts.
    passes(
        &(by("")
            + &steps(&[
                ("2026-10-24T12:00:00Z", "", &[]),
                ("2026-10-25T01:29:59Z", "", &[]),
                ("2026-10-25T01:30:00Z", "", &["critical"]),
            ])),
    );
    // A holiday has none, nor has a weekend; the grace comes on top.
    passes(
        &(by(", days = 'mon-fri', except = ['2026-11-30'], grace = '10m'")
            + &steps(&[
                ("2026-11-27T12:00:00Z", "", &[]),
                ("2026-12-01T01:39:59Z", "", &[]),
                ("2026-12-01T01:40:00Z", "", &["critical"]),
            ])),
    );
}

#[test]
fn steps_of_the_wall_clock_move_times_of_day_and_no_intervals() {
    let jump = |text: String, clock: &str| {
        text.replace("at = \"60s\"\n", &format!("at = \"60s\"\nclock = \"{clock}\"\n"))
    };
    let every = backup("every = '5m', keys = ['db1']");
    for clock in ["1h", "-1h"] {
        let text = every.clone()
            + &steps(&[("0s", "", &[]), ("60s", "", &[]), ("299s", "", &[]), ("300s", "", &["critical"])]);
        passes(&jump(text, clock));
    }
    // The test begins at 12:00 UTC.
    let by = backup("by = '12:30', zone = 'UTC', keys = ['db1']");
    let text = by.clone() + &steps(&[("0s", "", &[]), ("60s", "", &["critical"])]);
    passes(&jump(text, "1h"));
    let text =
        by + &steps(&[("0s", "", &[]), ("60s", "", &[]), ("31m", "", &[]), ("90m", "", &["critical"])]);
    passes(&jump(text, "-1h"));
}

#[test]
fn case_24_time_in_which_nobody_listened_does_not_count() {
    let stop = |text: String, at: &str| {
        text.replace(&format!("at = \"{at}\"\n"), &format!("at = \"{at}\"\nrestart = \"2h\"\n"))
    };
    let every = backup("every = '1h', key = '{{ key }}'")
        + &steps(&[
            ("0s", "backup x", &["ok"]),
            ("150m", "", &[]),
            // 30 of 60 minutes had passed before.
            ("179m", "", &[]),
            ("180m", "", &["critical"]),
        ]);
    passes(&stop(every, "150m"));
    // A time of day at which nobody listened is not judged; the next one is.
    let by = backup("by = '13:00', zone = 'UTC', keys = ['db1']")
        + &steps(&[("0s", "", &[]), ("150m", "", &[]), ("1499m", "", &[]), ("1500m", "", &["critical"])]);
    passes(&stop(by, "150m"));
    let keys: Vec<String> = (0..10_000).map(|n| format!("'k{n}'")).collect();
    let many = backup(&format!("every = '1h', keys = [{}]", keys.join(", ")))
        + &steps(&[("0s", "", &[]), ("150m", "", &[]), ("151m", "", &[])]);
    passes(&stop(many, "150m"));
}

#[test]
fn a_reload_keeps_what_is_known_and_changes_what_is_named() {
    let of = |every: &str, keys: &str| {
        backup(&format!("every = '{every}', keys = [{keys}], key = '{{{{ key }}}}'"))
    };
    let reloaded = |text: String| text.replace("at = \"3m\"\n", "at = \"3m\"\nreload = \"b.toml\"\n");
    let plan = |expected: &[&str]| {
        reloaded(
            of("5m", "'a', 'b'")
                + &steps(&[
                    ("0s", "", &[]),
                    ("3m", "", &[]),
                    ("4m", "", expected),
                    ("10m", "", &["critical"]),
                ]),
        )
    };
    // A shorter time counts from the beginning; "c" is named from now on, "b" no more.
    let other = of("4m", "'a', 'c'").replace("[[rule.test]]\n", "");
    assert_eq!(failures(&plan(&["critical"]), &[("b.toml", &other)]), "");
    // Of a rule that expects nothing nothing is late.
    let none = other.replace("expect = {", "#");
    let text = plan(&[]).replace("expect = [{ state = \"critical\" }]", "expect = []");
    assert_eq!(failures(&text, &[("b.toml", &none)]), "");
}

#[test]
fn a_reload_that_adds_or_removes_expect_keeps_the_rest() {
    let rule = |more: &str| {
        format!(
            "[[rule]]\nid = \"job\"\nsyslog = {{ message = '^failed' }}\nhold = {{ for = \"60s\" }}\n{more}\n\
             [rule.check]\nservice = \"Job\"\nstate = \"critical\"\n"
        )
    };
    let (with, without) = (rule("expect = { every = '1h' }"), rule(""));
    for (before, after) in [(&with, &without), (&without, &with)] {
        let text = format!("{before}[[rule.test]]\n")
            + &steps(&[
                ("0s", "failed", &[]),
                ("30s", "", &[]),
                ("59s", "", &[]),
                ("60s", "", &["critical"]),
            ]);
        let text = text.replace("at = \"30s\"\n", "at = \"30s\"\nreload = \"b.toml\"\n");
        assert_eq!(failures(&text, &[("b.toml", after)]), "", "{text}");
    }
}

#[test]
fn what_a_reload_waits_for_no_more_is_not_reminded_of() {
    let rule = |expect: &str| {
        let text = backup(expect).replace("[rule.check]", "remind = \"2m\"\n[rule.check]");
        text.replace("expect = {  }\n", "")
    };
    let names = |keys: &str, host: &str| {
        format!("every = '1m', key = '{{{{ key }}}}', host = '{host}', keys = [{keys}]")
    };
    // With a host for each key, and with a host, and so a problem, for all.
    for (host, after, at_reload, later) in [
        ("{{ key }}", Some("'db1', 'db2'"), &[][..], &["critical", "critical"][..]),
        ("{{ key }}", Some("'db1'"), &[], &["critical"]),
        ("{{ key }}", None, &[], &[]),
        ("all", Some("'db1', 'db2'"), &[], &["critical"]),
        ("all", Some("'db1'"), &["critical"], &["critical"]),
        ("all", Some("'db2'"), &["critical"], &["critical"]),
        ("all", None, &[], &[]),
    ] {
        let text = rule(&names("'db1', 'db2'", host))
            + &steps(&[
                ("0s", "", &[]),
                ("1m", "", &["critical", "critical"]),
                ("2m", "", at_reload),
                ("4m", "", later),
            ])
            .replace("at = \"2m\"\n", "at = \"2m\"\nreload = \"b.toml\"\n");
        let after = after.map(|keys| names(keys, host)).unwrap_or_default();
        let after = rule(&after).replace("[[rule.test]]\n", "");
        assert_eq!(failures(&text, &[("b.toml", &after)]), "", "{text}");
    }
}
