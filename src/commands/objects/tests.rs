use std::sync::Arc;

use super::need::{Have, Needs, Seen, Sender};
use super::write::{Core, write};
use crate::rules::RuleSet;
use crate::rules::compile::{RuleFile, compile};

fn rules(text: &str) -> RuleSet {
    let compiled = compile(&[RuleFile { name: "t.toml".into(), text: text.into() }], Arc::default());
    compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()))
}

fn rule(id: &str, more: &str, check: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\nsyslog = {{ message = '^{id} (?<what>.*)' }}\n{more}\n[rule.check]\n{check}\n"
    )
}

#[test]
fn a_service_is_volatile_where_no_rule_can_say_that_it_is_well() {
    let text = [
        rule("down", "", "service = \"Link {{ what }}\"\nstate = \"critical\""),
        rule("up", "", "service = \"Link {{ what }}\"\nstate = \"ok\""),
        rule("refused", "", "service = \"TCP Wrappers\"\nstate = \"warning\""),
        rule("either", "", "service = \"Fan\"\nstate = \"'ok' if what == 'up' else 'critical'\""),
        rule("never", "", "service = \"Disk\"\nstate = \"'warning' if what == 'x' else 'critical'\""),
        rule("computed", "", "service = \"Other\"\nstate = \"what\""),
        rule(
            "recovers",
            "threshold = { count = 2, within = \"1m\", recover = \"5m\" }",
            "service = \"Logins\"\nstate = \"warning\"",
        ),
        rule("expected", "expect = { every = \"1h\" }", "service = \"Beat\"\nstate = \"warning\""),
        rule("elsewhere", "", "host = \"h2\"\nservice = \"TCP Wrappers\"\nstate = \"ok\""),
        rule("whatever", "", "service = \"{{ what }}\"\nstate = \"ok\""),
    ]
    .concat();
    let rules = rules(&text);
    let seen = |service: &str| {
        let results = [("h1".to_owned(), Some(service.to_owned()))].into();
        let needs = Needs::new(&Seen { results, senders: Vec::new() }, &rules.makes());
        needs.services[&("h1".to_owned(), service.to_owned())]
    };
    for (service, volatile) in [
        ("Link Gi0/3", false),
        ("TCP Wrappers", true),
        ("Fan", false),
        ("Disk", true),
        ("Other", false),
        ("Logins", false),
        ("Beat", false),
        ("Of no other rule", false),
    ] {
        assert_eq!(seen(service), volatile, "{service}");
    }
}

#[test]
fn what_senders_and_rules_need_without_what_is_there() {
    let text = [
        rule("a", "from = [\"192.0.2.0/24\"]", "service = \"A\"\nstate = \"critical\""),
        rule("b", "from = [\"core-*\"]", "service = \"B\"\nstate = \"ok\""),
        rule("c", "", "service = \"C {{ what }}\"\nstate = \"ok\""),
        rule("d", "", "host = \"{{ what }}\"\nservice = \"D\"\nstate = \"ok\""),
        rule("e", "", "host = \"central\"\nservice = \"E\"\nstate = \"ok\""),
        rule("f", "", "host = \"central-2\"\nstate = \"down\""),
    ]
    .concat();
    let rules = rules(&text);
    let sender = |address: &str, host: &str, speaks| Sender {
        address: address.parse().unwrap(),
        host: host.to_owned(),
        speaks,
    };
    let seen = Seen {
        results: [("h1".to_owned(), Some("C x".to_owned())), ("h3".to_owned(), None)].into(),
        senders: vec![
            sender("192.0.2.7", "h2", [false, true]),
            sender("203.0.113.1", "core-1", [true, true]),
            sender("192.0.2.8", "trap-only", [true, false]),
        ],
    };
    let needs = Needs::new(&seen, &rules.makes());
    let hosts: Vec<&str> = needs.hosts.keys().map(String::as_str).collect();
    assert_eq!(hosts, ["central", "central-2", "core-1", "h1", "h2", "h3", "trap-only"]);
    assert_eq!(needs.hosts["h2"], Some("192.0.2.7".parse().unwrap()));
    let services: Vec<String> =
        needs.services.keys().map(|(host, service)| format!("{host}: {service}")).collect();
    assert_eq!(services, ["central: E", "core-1: B", "h1: C x", "h2: A"]);
    let mut have = Have::default();
    have.add("define host {\nhost_name h1\n}\ndefine host {\nhost_name\th2\n}\ndefine service {\nhost_name h1,h2\nservice_description C x\n}\n").unwrap();
    have.add("{\"results\": [{\"type\": \"Host\", \"name\": \"h3\"}, {\"type\": \"Service\", \"name\": \"core-1!B\"}]}").unwrap();
    let needs = needs.without(&have);
    assert_eq!(needs.hosts.len(), 4);
    assert_eq!(needs.services.len(), 2);
    for wrong in ["", "nonsense", "{\"results\": 1}", "{"] {
        assert!(have.add(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn hostile_names_forge_no_object() {
    let hostile = [
        "a\";}\nobject Host \"b",
        "a\\",
        "a;b",
        "a'b",
        "x\u{1b}[0m",
        " a",
        "",
        "a!b",
        "$USER1$",
        "ok-name",
        "büro 2",
    ];
    let mut needs = Needs::default();
    for host in hostile {
        needs.hosts.insert(host.to_owned(), None);
        for service in hostile {
            needs.services.insert((host.to_owned(), service.to_owned()), true);
        }
    }
    for (core, begins) in [
        (Core::Nagios, "define host {"),
        (Core::Alignak, "define host {"),
        (Core::Icinga2, "object Host "),
        (Core::Centreon, "HOST;ADD;"),
    ] {
        let written = write(core, core.template(), &needs).unwrap();
        let lines = written.text.lines().filter(|line| line.starts_with(begins)).count();
        let templates = usize::from(begins.starts_with("define"));
        let fits = hostile.iter().filter(|name| core.refuses(name).is_none()).count();
        assert!(fits >= 2, "{core:?}");
        assert_eq!(lines, fits + templates, "{core:?}: {}", written.text);
        assert_eq!(
            written.left_out.len(),
            hostile.len() - fits + hostile.len() * hostile.len() - fits * fits
        );
    }
    let own = write(Core::Nagios, "{% for host in hosts %}[{{ host.name }}]{% endfor %}", &needs).unwrap();
    assert!(own.text.contains("[ok-name]"));
    assert!(write(Core::Nagios, "{{ hots }}", &needs).is_err());
}
