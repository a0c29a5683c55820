//! Keys that are misspelt: that is said, and nothing that follows from it.

use super::*;
use crate::rules::schema;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText};

const CONFIGURATION: &str = r#"
[snmp]
relays = []
communities = ["public"]
[[snmp.users]]
name = "ops"
auth = "SHA-256"
auth_password = "long enough"
priv = "AES-128"
priv_password = "long enough"
[syslog]
relays = []
[storm]
rate = 20000
hard = 30000
[[intake]]
type = "http"
listen = "127.0.0.1:5000"
[[intake.json]]
name = "hooks"
path = "/hooks/a"
token = "0123456789abcdef0123456789abcdef"
[[intake]]
type = "file"
path = "/var/log/network.log"
[[sinks]]
name = "bus"
type = "amqp"
url = "amqp://guest:guest@127.0.0.1:5672/x"
exchange = "events"
routing_key = "a"
[[sinks]]
name = "core"
type = "icinga2"
url = "https://127.0.0.1:5665"
user = "trapline"
password = "secret"
[[sinks]]
name = "mail"
type = "email"
server = "smtps://mail.example.org"
from = "a@example.org"
to = ["noc@example.org"]
[[lookups]]
name = "site"
csv = "site.csv"
key = "address"
[[reports]]
every = "day"
sink = "mail"
[[mute]]
host = "core-*"
sinks = ["bus"]
[[forward]]
what = "syslog"
to = "192.0.2.50:514"
[history]
max_size = "1GiB"
[http]
listen = "127.0.0.1:8162"
"#;

const RULES: &str = r#"
[[rule]]
id = "a"
trap = "IF-MIB::linkDown"
[rule.check]
host = "{{ host }}"
service = "s"
state = "ok"
[rule.expect]
every = "5m"
state = "critical"
[[rule.test]]
trap = "IF-MIB::linkDown"
expect = { state = "ok" }
[[rule]]
id = "b"
syslog = { program = "x" }
hold = { for = "60s" }
throttle = { count = 5, per = "1m" }
[rule.event]
state = "ok"
[[rule.test]]
[[rule.test.step]]
at = "5s"
line = "<13>Nov 20 12:00:01 h x: y"
"#;

/// What is said of each text in which one key has a letter less.
fn misspelt(text: &str, said: impl Fn(&str) -> Vec<Diagnostic>) {
    let before = said(text);
    assert!(before.iter().all(|one| one.severity == Severity::Warning), "{before:?}");
    let (mut seen, mut wrongs) = (0, Vec::new());
    for (number, line) in text.lines().enumerate() {
        let Some((key, rest)) = line.split_once(" = ").filter(|(key, _)| key.len() > 3) else { continue };
        let wrong = format!("{}{}", &key[..2], &key[3..]);
        let edited: Vec<String> = text
            .lines()
            .enumerate()
            .map(|(at, line)| if at == number { format!("{wrong} = {rest}") } else { line.to_owned() })
            .collect();
        let told = said(&edited.join("\n"));
        let unknown = format!("'{wrong}'");
        let Some(about) = told.iter().find(|one| one.message.contains(&unknown)) else {
            panic!("'{wrong}' is not told: {told:?}");
        };
        seen += 1;
        if about.hint.as_deref() != Some(&format!("did you mean '{key}'?")) {
            continue;
        }
        let others: Vec<_> = told.iter().filter(|one| *one != about && !before.contains(*one)).collect();
        // Of what the key is about nothing is said but that it is misspelt.
        let follows = others.iter().filter(|one| one.message.contains(&format!("'{key}'")));
        wrongs.extend(follows.map(|one| format!("'{wrong}': {one}")));
        assert_eq!(about.place.map(|(line, _)| line), Some(number + 1), "{about}");
    }
    assert_eq!(wrongs, Vec::<String>::new());
    assert!(seen > 10, "{seen}");
}

#[test]
fn a_key_that_is_misspelt_is_the_only_mistake_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("site.csv"), "address,site\n").unwrap();
    let path = dir.path().join("trapline.toml");
    misspelt(CONFIGURATION, |text| {
        std::fs::write(&path, text).unwrap();
        match Config::load(&path) {
            Ok((_, found)) | Err(found) => found.sorted(),
        }
    });
    misspelt(RULES, |text| {
        let mut found = Diagnostics::default();
        schema::read(&SourceText { file: "r.toml", text }, &mut found);
        found.sorted()
    });
}

#[test]
fn tables_that_are_misspelt_are_told_alone() {
    for (text, told) in [
        (
            "[[rule]]\nid = 'a'\ntrap = '*'\n[rule.chek]\nstate = 'ok'\n",
            "r.toml:4:7: error: unknown key 'chek' in [[rule]]; did you mean 'check'?\n",
        ),
        (
            "[[rule]]\nid = 'a'\ntrp = '*'\ndrop = true\n",
            "r.toml:3:1: error: unknown key 'trp' in [[rule]]; did you mean 'trap'?\n",
        ),
        (
            "[[rule]]\nidd = 'a'\ntrap = '*'\ndrop = true\n",
            "r.toml:2:1: error: unknown key 'idd' in [[rule]]; did you mean 'id'?\n",
        ),
    ] {
        let mut found = Diagnostics::default();
        schema::read(&SourceText { file: "r.toml", text }, &mut found);
        assert_eq!(found.to_text(), told);
    }
}
