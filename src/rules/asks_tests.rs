use std::sync::Arc;

use crate::rules::compile::{RuleFile, compile};

const RULES: &str = r#"
[[rule]]
id = "down"
syslog = { message = '^down (?<what>\w+)' }
key = "{{ host }} {{ what }}"
[rule.check]
service = "Thing {{ what }}"
state = "critical"

[[rule]]
id = "guessing"
syslog = { message = '^failed' }
threshold = { count = 5, within = "1m", key = "{{ host }}" }
[rule.check]
service = "Logins"
state = "warning"

[[rule]]
id = "unnamed"
syslog = { message = '^unnamed' }
threshold = { count = 5, within = "1m" }
[rule.check]
service = "Logins"
state = "warning"

[[rule]]
id = "per-service"
syslog = { message = '^(?<what>\w+) broken' }
dedup = { window = "1m" }
[rule.event]
resource = "{{ what }}"
state = "critical"

[[rule]]
id = "stateless"
syslog = { message = '^stateless' }
[rule.event]
state = "ok"
"#;

fn found(condition: &str) -> String {
    let rule = format!(
        "[[rule]]\nid = \"asks\"\nsyslog = {{ message = '^x' }}\nwhere = \"\"\"{condition}\"\"\"\n[rule.event]\nstate = \"ok\"\n"
    );
    let file = RuleFile { name: "t.toml".into(), text: format!("{RULES}{rule}").into() };
    let compiled = compile(&[file], Arc::default());
    if let Some(rules) = &compiled.rules {
        assert!(rules.rules().iter().any(|rule| rule.asks));
        assert!(rules.rules().iter().filter(|rule| rule.asks).all(|rule| rule.id == "asks"));
    }
    compiled.found.to_text()
}

#[test]
fn calls_are_checked_when_rules_are_compiled() {
    for right in [
        "is_open('down', host ~ ' eth0')",
        "not is_open('guessing', host)",
        "open_count('guessing', host) >= 5 and severity < 4",
        "is_open('per-service', host, 'disk')",
        "open_count('down', 'a b') == 0",
    ] {
        assert_eq!(found(right), "", "{right}");
    }
    for (wrong, message) in [
        ("is_open('dwon', host)", "there is no rule 'dwon'"),
        ("is_open('dwon', host)", "did you mean 'down'"),
        ("is_open(host, host)", "is the id of a rule"),
        ("is_open('down')", "takes 2 arguments, not 1"),
        ("is_open('per-service', host)", "takes 3 arguments, not 2"),
        ("open_count('unnamed', host)", "has no name"),
        ("is_open('stateless', host)", "keeps no state"),
        ("is_open('down', host).x", "what 'is_open' gives has no entries"),
        ("is_opn('down', host)", "unknown function 'is_opn'"),
        ("is_open('down', hots)", "unknown variable 'hots'"),
        ("is_open('down', host|replace('a', 'b'))", "cannot stand beside"),
        ("(is_open('down', host)|int) > 0", "cannot stand beside"),
    ] {
        let found = found(wrong);
        assert!(found.contains(message), "{wrong}: {message} in {found}");
    }
}
