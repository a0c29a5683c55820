//! Clears that are wider than a key, and conditions that ask for what is open.

use super::case_tests::{passes, step, steps};

const DOWN: &str = "[[rule]]\nid = \"link-down\"\nsyslog = { message = '^down (?<what>\\w+)' }\nkey = \"{{ host }} {{ what }}\"\n\
                    [rule.check]\nservice = \"Link {{ what }}\"\nstate = \"critical\"\n\
                    [[rule]]\nid = \"fan\"\nsyslog = { message = '^fan' }\nhold = { for = \"60s\" }\n\
                    [rule.check]\nservice = \"Fan\"\nstate = \"warning\"\n\
                    [[rule]]\nid = \"disk\"\nsyslog = { message = '^disk (?<what>\\w+)' }\nkey = \"{{ host }} disk {{ what }}\"\n\
                    [rule.check]\nservice = \"Disks\"\nstate = \"'warning' if what == 'a' else 'critical'\"\n\
                    [[rule]]\nid = \"up\"\nsyslog = { message = '^up (?<what>\\w+)' }\nkey = \"{{ host }} {{ what }}\"\n\
                    [rule.check]\nservice = \"Link {{ what }}\"\nstate = \"ok\"\n";
const C: &[&str] = &["critical"];
const W: &[&str] = &["warning"];
const NONE: &[&str] = &[];

/// The rules, and one that clears; its outcome is an event, which is sent.
fn with(clears: &str) -> String {
    format!(
        "{DOWN}[[rule]]\nid = \"cold-start\"\nsyslog = {{ message = '^start' }}\n{clears}\norphan = \"send\"\n\
         [rule.event]\nresource = \"Start\"\nstate = \"ok\"\n[[rule.test]]\n"
    )
}

/// A step at which a host starts, with the outcomes behind that of the start.
fn start(at: &str, host: &str, outcomes: &[&str]) -> String {
    let outcomes: String = outcomes.iter().map(|outcome| format!(", {outcome}")).collect();
    format!(
        "[[rule.test.step]]\nat = \"{at}\"\nline = \"<35>Nov 20 12:00:00 {host} app: start\"\n\
         expect = [{{ resource = \"Start\" }}{outcomes}]\n"
    )
}

#[test]
fn a_restart_closes_what_its_host_had() {
    let problems =
        steps(&[("0s", "down a", C), ("1s", "down b", C), ("2s", "down c", C), ("3s", "fan", NONE)]);
    let ok = |service| {
        format!("{{ service = \"Link {service}\", state = \"ok\", output = \"Cleared by cold-start\" }}")
    };
    let all = [ok("a"), ok("b"), ok("c")];
    // In any order: by the hash of the service.
    let text = with("clears = { host = true }")
        + &problems
        + &start("10s", "other", &[])
        + "[[rule.test.step]]\nat = \"20s\"\nline = \"<35>Nov 20 12:00:00 h app: start\"\n"
        // What was held is over, too.
        + &step("200s", "", &["ok", "ok", "ok", "ok"])
        // All is closed: it is raised again, and another clear has nothing to clear.
        + &step("300s", "down a", C)
        + &step("301s", "up a", &["ok"])
        + &start("302s", "h", &[]);
    passes(&text);
    let one = with("clears = { rule = [\"link-*\"], service = \"* b\" }")
        + &problems
        + &start("10s", "h", &[&all[1]])
        + &step("63s", "", W)
        + &step("64s", "up a", &["ok"]);
    passes(&one);
}

#[test]
fn of_several_problems_of_a_service_one_outcome_is_sent() {
    let problems = steps(&[("0s", "disk a", W), ("1s", "disk b", C), ("2s", "disk c", C)]);
    let text = with(
        "clears = { host = true, state = \"unknown\", output = \"{{ host }} has restarted; was: {{ state }}\" }",
    ) + &problems
        + &start(
            "10s",
            "h",
            &["{ service = \"Disks\", state = \"unknown\", output = \"h has restarted; was: critical\" }"],
        )
        + &step("20s", "disk a", W);
    passes(&text);
    // What is not cleared is what is sent.
    let text = with("clears = { rule = \"link-down\" }")
        .replace("rule = \"link-down\"", "rule = [\"link-down\"]")
        + &problems
        + &start("10s", "h", &[])
        + &step("20s", "disk b", C);
    passes(&text);
}

#[test]
fn late_messages_are_not_cleared_by_a_restart() {
    let expects = "[[rule]]\nid = \"backup\"\nsyslog = { message = '^backup' }\n[rule.expect]\nevery = \"60s\"\n\
                   [rule.check]\nservice = \"Backup\"\nstate = \"ok\"\n";
    let text = expects.to_owned()
        + &with("clears = { host = true }")
        + &steps(&[("0s", "backup", &["ok"]), ("60s", "", C)])
        + &start("70s", "h", &[]);
    passes(&text);
}

/// Rules that ask; the state of the power decides about links, and failures before a success are an alarm.
const ASKING: &str = r#"
[[rule]]
id = "power"
syslog = { message = '^power (?<site>\w+) lost' }
key = "power {{ site }}"
[rule.check]
host = "{{ site }}"
service = "Power"
state = "critical"

[[rule]]
id = "power-back"
syslog = { message = '^power (?<site>\w+) back' }
key = "power {{ site }}"
[rule.check]
host = "{{ site }}"
service = "Power"
state = "ok"

[[rule]]
id = "link"
syslog = { message = '^link of (?<site>\w+) down' }
where = "not is_open('power', 'power ' ~ site)"
[rule.check]
service = "Link"
state = "warning"

[[rule]]
id = "failed"
syslog = { message = '^failed (?<client>\w+)' }
threshold = { count = 3, within = "60s", key = "{{ client }}" }
[rule.check]
service = "Logins {{ client }}"
state = "warning"

[[rule]]
id = "broken-into"
syslog = { message = '^login (?<client>\w+)' }
where = "open_count('failed', client) >= 2"
[rule.event]
state = "critical"

[[rule.test]]
"#;

#[test]
fn conditions_see_what_messages_before_have_left() {
    let text = ASKING.to_owned()
        + &steps(&[
            ("0s", "link of graz down", W),
            ("1s", "power graz lost", C),
            ("2s", "link of graz down", NONE),
            ("3s", "link of wien down", W),
            ("4s", "power graz back", &["ok"]),
            ("5s", "link of graz down", W),
            ("10s", "failed eve", NONE),
            ("11s", "login eve", NONE),
            ("12s", "failed eve", NONE),
            ("13s", "login eve", C),
            ("14s", "login bob", NONE),
            // The first failure is as old as the window.
            ("70s", "login eve", NONE),
        ]);
    passes(&text);
}
