//! Rule files with mistakes.

use super::schema::{OF_CHECKS, OF_EVENTS};
use super::tests::{compiled, wrong};

#[test]
fn every_mistake_has_its_place_and_a_hint() {
    let found = wrong(
        r#"
[[rule]]
id = "a"
trap = "IF-MIB::linkDwn"
where = "ifAdminStatu == 'up'"
[rule.check]
service = "Interface {{ ifDscr }}"
state = "critcal"
output = "down {{ ifDescr"

[[rule]]
id = "a"
syslog = { tcp_wrappers = "refusd", facility = "atuh", message = "(unclosed" }
colour = "red"
[rule.check]
state = "up"
output = "{{ client_hots }} {{ ifDescr }}"
"#,
    );
    insta::assert_snapshot!(found);
}

#[test]
fn invalid_rules() {
    insta::assert_snapshot!(wrong(
        r#"
[[rule]]
id = "both"
trap = "IF-MIB::linkDown"
syslog = { program = "x" }
drop = true
[rule.check]
state = "ok"

[[rule]]
id = "object"
trap = "IF-MIB::ifDescr"
drop = true

[[rule]]
trap = "1.3.6.1.*"

[[rule]]
id = "nostate"
trap = "*"
[rule.check]
service = "x"

[[rule]]
id = "calls"
trap = "*"
where = "v[1] is matching('(a') and agent is within('10.0.0.0/40') and v[2] is matching(v[3])"
[rule.check]
state = "ok"
output = "{{ host|regex_replace('a') }} {{ received|strftime('%!') }}"

[[rule]]
id = "misspelt"
trap = "*"
where = "v[1] is matchin('^Gi') and v[2]|numbr > 1 and v[3]|matching('x')"
[rule.check]
state = "up"
output = "{{ host|lowr }}"
"#
    ));
}

#[test]
fn invalid_values_of_outcomes() {
    insta::assert_snapshot!(wrong(
        r#"
[[rule]]
id = "states"
trap = "*"
[rule.check]
service = "x"
state = "'crit' if ifOperStatus == 'down' else 'ok'"
[[rule]]
id = "constant"
trap = "*"
[rule.check]
service = "x"
state = "'snmptrap-service'"
[[rule]]
id = "of-a-host"
trap = "*"
[rule.check]
state = "ifOperStatus or 'ok'"
[[rule]]
id = "number"
trap = "*"
[rule.event]
state = "(ifOperStatus|int)|default(7)"
[[rule]]
id = "names"
trap = "*"
[rule.check]
host = ""
service = " "
state = "ok"
[rule.event]
component = ""
resource = ""
state = "ok"
id = "1"
kind = "mine"
perfdata = "a=1"
[[rule]]
id = "method"
trap = "*"
[rule.check]
service = "{{ (jnxDomCurrentAlarms ~ '').split(',')[0] }}"
state = "{1: 'ok', 2: 'critical'}[ifOperStatus]|default('gone')"
output = "{{ v['ifDescr'].upper() }} {{ ifDescr.3 }} {{ ifDescr.text }} {{ v[0] }} {{ names['a'] }} {{ index[1] }} {{ sd['x'].y }}"
[[rule]]
id = "line"
syslog = { severity = [4, "err", 9], facility = true }
[rule.check]
service = "{{ v[1] }} {{ sd['x'][1] }} {{ pid.x }}"
state = "ok"
"#
    ));
}

/// Networks, addresses and names that no sender can be.
#[test]
fn senders_that_nobody_can_be_are_mistakes() {
    let rule = |from: &str| format!("[[rule]]\nid = 'a'\ntrap = '*'\nfrom = ['h1', '{from}']\ndrop = true\n");
    for (from, what) in [
        ("192.0.2.0/33", "is no network"),
        ("192.0.2/24", "is no network"),
        ("2001:db8::/129", "is no network"),
        ("10.0.0.256", "is no address"),
        ("10.0.0", "is no address"),
        ("core 1", "has white space"),
    ] {
        let found = wrong(&rule(from));
        assert!(found.contains(&format!("rules/x.toml:4:15: error: '{from}' {what}")), "{found}");
    }
    for from in
        ["192.0.2.0/24", "192.0.2.1", "192.0.2.*", "2001:db8::/32", "::1", "::ffff:192.0.2.0/120", "core-?"]
    {
        assert_eq!(compiled(&rule(from)).found.to_text(), "", "{from}");
    }
}

#[test]
fn a_key_of_the_check_that_stands_in_the_rule_is_told_where_it_belongs() {
    let rule = "[[rule]]\nid = \"a\"\ntrap = \"*\"\n";
    for key in OF_CHECKS {
        let found = wrong(&format!("{rule}{key} = \"ok\"\n"));
        let told = format!("unknown key '{key}' in [[rule]]; it belongs in [rule.check]");
        assert!(found.contains(&told), "{found}");
        // It is known there.
        let state = if key == "state" { "" } else { "state = \"ok\"\n" };
        let found = compiled(&format!("{rule}[rule.check]\n{state}{key} = \"ok\"\n")).found.to_text();
        assert!(!found.contains("unknown key"), "{found}");
    }
    assert!(wrong(&format!("{rule}hots = \"x\"\n")).contains("did you mean 'host' in [rule.check]?"));
}

/// That it is missing where it belongs is the same mistake.
#[test]
fn a_key_that_stands_in_the_rule_is_one_mistake() {
    let rule = "[[rule]]\nid = \"a\"\ntrap = \"*\"\n";
    let keys = [("check", &OF_CHECKS[..]), ("event", &OF_EVENTS[..])];
    for (section, key) in keys.iter().flat_map(|(section, keys)| keys.iter().map(move |key| (section, *key)))
    {
        for state in ["'critical' if true else 'ok'", "critical", "up"] {
            let value = if key == "state" { state } else { "x" };
            let inside = if key == "state" { String::new() } else { format!("state = \"{state}\"\n") };
            let other = if key == "service" || *section == "event" { "" } else { "service = \"s\"\n" };
            let text = format!("{rule}{key} = \"{value}\"\n[rule.{section}]\n{inside}{other}");
            let found = wrong(&text);
            let told = format!("unknown key '{key}' in [[rule]]; it belongs in [rule.{section}]");
            let errors = found.lines().filter(|line| line.contains(": error: ")).count();
            // The states of a host are no states of a service or an event.
            let wrong_state = usize::from(state == "up" && key != "state");
            assert!(found.contains(&told) && errors == 1 + wrong_state, "{text}\n{found}");
        }
    }
}
