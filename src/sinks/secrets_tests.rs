//! Secrets in the configuration of every type of sink: which are warned of, which can be sent, and that none is printed.

use crate::settings::diagnostic::Diagnostics;
use crate::sinks::registry::KINDS;
use crate::sinks::settings::{Key, Kind};
use crate::sinks::testing::configured;

fn found(lines: &str) -> String {
    let (_, found): (_, Diagnostics) = configured(lines);
    found.to_text()
}

const SCHEMES: [&str; 16] = [
    "http", "https", "ftp", "smtp", "smtps", "amqp", "amqps", "mqtt", "mqtts", "nats", "tls", "kafka", "udp",
    "tcp", "relp", "x",
];

/// The keys of a type of sink that say where servers are.
fn servers(kind: &Kind) -> impl Iterator<Item = &'static Key> {
    let addresses = ["url", "urls", "server", "address", "addresses", "to"];
    // Those of mail have no password.
    kind.own_keys()
        .filter(move |key| addresses.contains(&key.name) && (kind.name, key.name) != ("email", "to"))
}

/// A value of a key that says where a server is, whatever is wrong with it, shows no password.
#[test]
fn no_password_in_an_address_is_printed() {
    let mut looked_at = 0;
    for kind in KINDS {
        for key in servers(kind) {
            for scheme in SCHEMES {
                for value in [
                    format!("{scheme}://us3r:s3cr3t@host:1/v"),
                    format!("{scheme}://us3r:s3c/r3t@host:x"),
                    format!("{scheme}://us3r:s3cr3t@ho st"),
                    format!("{scheme}:us3r:s3cr3t@host"),
                    "us3r:s3cr3t@host".to_owned(),
                ] {
                    for line in
                        [format!("{} = \"{value}\"", key.name), format!("{} = [\"{value}\"]", key.name)]
                    {
                        let text = found(&format!("type = \"{}\"\n{line}", kind.name));
                        assert!(
                            !text.contains("s3c") && !text.contains("us3r"),
                            "{} {line}: {text}",
                            kind.name
                        );
                        looked_at += 1;
                    }
                }
            }
        }
    }
    assert!(looked_at > 20 * SCHEMES.len() * 10, "{looked_at}");
}

/// Every secret that is sent to another machine without TLS is warned of, and no other.
#[test]
fn secrets_in_the_clear_are_warned_of() {
    let login = "user = \"u\"\npassword = \"p\"";
    let table = [
        ("icinga2", "http", login, "'password'"),
        ("nrdp", "http", "token = \"t\"", "'token'"),
        ("splunk", "http", "token = \"t\"", "'token'"),
        ("canopsis", "http", "token = \"t\"", "'token'"),
        ("influxdb", "http", "token = \"t\"\nbucket = \"b\"\norg = \"o\"", "'token'"),
        ("elasticsearch", "http", "api_key = \"k\"", "'api_key'"),
        ("pagerduty", "http", "routing_key = \"k\"", "'routing_key'"),
        ("webhook", "http", "headers = { Authorization = \"Bearer x\" }", "'authorization' of 'headers'"),
        ("loki", "http", "headers = { X-Api-Key = \"x\" }", "'x-api-key' of 'headers'"),
        ("otlp", "http", login, "'password'"),
        ("alertmanager", "http", login, "'password'"),
        ("mqtt", "mqtt", login, "'password'"),
        ("nats", "nats", "token = \"t\"", "'token'"),
        ("amqp", "amqp", "", "the password in 'url'"),
        ("canopsis", "amqp", "", "the password in 'url'"),
        ("webhook", "http", "headers = { X-Team = \"noc\" }", ""),
        ("webhook", "http", "secret = \"x\"", ""),
    ];
    for (kind, scheme, lines, secret) in table {
        let secure = if scheme == "nats" { "tls".to_owned() } else { format!("{scheme}s") };
        for (scheme, host, exposed) in [
            (scheme, "h", true),
            (scheme, "192.0.2.1", true),
            (&secure, "h", false),
            (scheme, "127.0.0.1", false),
            (scheme, "[::1]", false),
            (scheme, "localhost", false),
        ] {
            let user = if scheme.starts_with("amqp") { "u:p@" } else { "" };
            let url = format!("{scheme}://{user}{host}");
            let url = if kind == "alertmanager" {
                format!("urls = [\"{url}\"]")
            } else {
                format!("url = \"{url}\"")
            };
            let text = found(&format!("type = \"{kind}\"\n{url}\n{lines}"));
            let words = format!("{secret} is sent over {scheme}://, where others can read it");
            let expected = usize::from(exposed && !secret.is_empty());
            assert_eq!(text.matches("where others can read it").count(), expected, "{kind} {url}: {text}");
            assert!(expected == 0 || text.contains(&words), "{kind} {url}: {text}");
        }
    }
}

/// A URL may have a password only where the type of sink sends it; then the same is said of it.
#[test]
fn a_password_in_an_address_is_refused_or_warned_of() {
    let mut taken = Vec::new();
    for kind in KINDS {
        for (key, scheme) in servers(kind).flat_map(|key| SCHEMES.map(|scheme| (key, scheme))) {
            let value = format!("{scheme}://us3r:s3cr3t@192.0.2.1/v");
            for line in [format!("{} = \"{value}\"", key.name), format!("{} = [\"{value}\"]", key.name)] {
                let text = found(&format!("type = \"{}\"\n{line}", kind.name));
                if text.lines().any(|line| line.starts_with("t.toml:2:") && line.contains(" error: ")) {
                    continue;
                }
                taken.push(format!("{} {scheme}", kind.name));
                let words = format!("is sent over {scheme}://, where others can read it");
                let secure = ["https", "smtps", "amqps", "mqtts", "tls"].contains(&scheme);
                assert_eq!(text.contains(&words), !secure, "{} {line}: {text}", kind.name);
            }
        }
    }
    taken.sort();
    assert_eq!(taken, ["amqp amqp", "amqp amqps", "canopsis amqp", "canopsis amqps"]);
}

/// A secret from a file or the environment is its first line. One that no header can carry is an error where it is given.
#[test]
fn a_secret_can_be_sent_or_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "s3cr3t\n").unwrap();
    let table = [
        ("splunk", "token", ""),
        ("influxdb", "token", "bucket = \"b\"\norg = \"o\""),
        ("elasticsearch", "api_key", ""),
        ("canopsis", "token", ""),
    ];
    for (kind, key, more) in table {
        let with = |line: &str| found(&format!("type = \"{kind}\"\nurl = \"https://h/\"\n{more}\n{line}"));
        let line = 3 + more.lines().count().max(1);
        assert_eq!(with(&format!("{key} = \"s3cr3t\"")), "", "{kind}");
        assert!(!with(&format!("{key}_file = \"{}\"", file.display())).contains("error"), "{kind}");
        // Each test has a process of its own environment: PATH is one line, and is there.
        assert_eq!(with(&format!("{key}_env = \"PATH\"")), "", "{kind}");
        for wrong in ["a\\nb", "a\\u0000b", "a\\u007fb"] {
            let text = with(&format!("{key} = \"{wrong}\""));
            let place = format!("t.toml:{line}:1: error: the {key} has characters that no header can have");
            assert!(text.contains(&place), "{kind}: {text}");
        }
    }
}
