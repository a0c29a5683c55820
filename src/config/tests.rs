use super::*;
use crate::intake::listener::{Limits, Protocol, Transport, defaults};
use crate::mib::load::Held;
use crate::settings::diagnostic::Diagnostics;

fn load(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trapline.toml");
    std::fs::write(&path, text).unwrap();
    let prefix = format!("{}/", dir.path().display());
    Config::load(&path).map(|(config, _)| config).map_err(|found| found.to_text().replace(&prefix, ""))
}

#[test]
fn an_empty_file_is_the_defaults_without_sinks() {
    let config = load("").unwrap();
    assert_eq!(config.snmp.listen, defaults(Protocol::Snmp, Limits::default()));
    assert_eq!(config.syslog.listen, defaults(Protocol::Syslog, Limits::default()));
    assert!(
        config.sinks.is_empty()
            && config.rule_paths.is_empty()
            && config.rule_packs == crate::rules::shipped::Packs::All
    );
}

#[test]
fn packs_are_all_some_or_none() {
    use crate::rules::shipped::Packs;
    let packs = |value: &str| {
        load(&format!("[snmp]\nrelays = []\n[rules]\npacks = {value}\n")).map(|config| config.rule_packs)
    };
    assert_eq!(packs("'all'"), Ok(Packs::All));
    assert_eq!(packs("[]"), Ok(Packs::Only(Vec::new())));
    assert_eq!(packs("['ups']"), Ok(Packs::Only(vec!["ups".to_owned()])));
    assert_eq!(
        packs("['ups', 'apd']"),
        Err("trapline.toml:4:17: error: unknown pack 'apd'; did you mean 'apc'?\n".to_owned())
    );
    assert!(packs("'some'").unwrap_err().contains("invalid packs; write packs = \"all\", or a list"));
    assert!(packs("3").is_err());
}

#[test]
fn rules_are_beside_the_configuration_unless_it_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trapline.toml");
    let paths = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Config::load(&file).unwrap().0.rule_paths
    };
    assert!(paths("").is_empty(), "there is no such folder");
    let rules = dir.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let none: [std::path::PathBuf; 0] = [];
    assert_eq!(paths(""), std::slice::from_ref(&rules));
    assert_eq!(paths("[rules]\npacks = []\n"), [rules]);
    assert_eq!(paths("[rules]\npaths = []\n"), none);
}

#[test]
fn the_file_that_is_shipped_is_right() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/trapline.toml");
    let (config, found) = Config::load(path.as_ref()).unwrap_or_else(|found| panic!("{}", found.to_text()));
    assert_eq!(found.to_text(), "");
    assert!(!config.snmp.listen.is_empty());
}

#[test]
fn every_mistake_at_once() {
    let found = load(
        r#"
[snmp]
listen = ["0.0.0.0:1162", "nonsense", "tls://0.0.0.0:10162"]
allow = ["192.0.2.0/99"]
[[snmp.users]]
name = "ops"
auth = "SHA-265"
auth_password = "long enough"
[[snmp.users]]
name = "weak"
auth = "MD5"
auth_password = "short"
priv = "AES-128"
[[snmp.users]]
auth_password_file = "nowhere"
[syslog]
lisen = "udp://0.0.0.0:1514"
[journal]
max_size = "1 parsec"
sync = "btach"
[hosts]
files = ["missing.csv"]
[http]
listen = "127.0.0.1:8162"
[[sinks]]
type = "nagois"
[[sinks]]
name = "a/b"
type = "file"
path = "x"
[[sinks]]
type = "nagios"
only = "outcome.stat == 'ok'"
[[sinks]]
type = "amqp"
url = "http://x"
routing_key = "{{ outcome.hots }}"
"#,
    )
    .unwrap_err();
    insta::assert_snapshot!(found);
}

#[test]
fn every_mistake_of_users_and_access_at_once() {
    let found = load(
        r#"
[snmp]
versions = ["2c", "4"]
allow = []
[[snmp.users]]
name = "a"
engine = "0x8"
[[snmp.users]]
name = "b"
auth = "SHA-256"
auth_password_env = "TRAPLINE_TEST_IS_NOT_SET"
[[snmp.users]]
name = "c"
auth = "SHA-256"
auth_key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
[[snmp.users]]
name = "d"
engine = "0x80001f8804747261706c"
auth = "SHA-1"
auth_key = "0011"
[[snmp.users]]
name = "e"
engine = "0x80001f8804747261706c"
auth = "SHA-1"
auth_key = "000102030405060708090a0b0c0d0e0f10111213"
priv = "AES-128"
priv_password = "long enough"
[[snmp.users]]
name = "f"
[[snmp.users]]
name = "f"
[[snmp.users]]
name = ""
[[snmp.users]]
name = "a-name-that-is-longer-than-32-octets"
[[snmp.access]]
level = "authPirv"
from = ["everywhere"]
tag = ["x"]
contexts = []
"#,
    )
    .unwrap_err();
    insta::assert_snapshot!(found);
}

#[test]
fn protocols_by_the_names_that_others_use() {
    let read = |auth: &str, privacy: &str| {
        load(&format!(
            "[[snmp.users]]\nname = \"ops\"\nauth = \"{auth}\"\nauth_password = \"auth-password\"\n\
             priv = \"{privacy}\"\npriv_password = \"priv-password\"\n"
        ))
    };
    for (auth, privacy) in [("SHA", "AES"), ("sha256", "aes256c"), ("SHA-512", "3des-ede"), ("sha_1", "TDES")]
    {
        assert!(read(auth, privacy).is_ok(), "{auth} {privacy}");
    }
    assert!(read("SHA-265", "AES").unwrap_err().contains("did you mean 'SHA-256'?"));
    assert!(read("SHA", "AES-127").unwrap_err().contains("did you mean 'AES-128'?"));
}

#[test]
fn users_with_keys_and_access() {
    let config = load(
        r#"
[snmp]
listen = ["127.0.0.1:1162", "tcp://127.0.0.1:1162"]
versions = ["3"]
[[snmp.users]]
name = "ops"
engine = "0x80001f8804747261706c"
auth = "SHA-1"
auth_key = "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13"
[[snmp.users]]
name = "ops"
auth = "SHA-1"
auth_password = "for-any-other"
[[snmp.access]]
users = ["ops"]
level = "authnopriv"
tags = ["network"]
"#,
    )
    .unwrap();
    assert_eq!(config.snmp.listen[1].transport, Transport::Tcp("127.0.0.1:1162".parse().unwrap()));
    let place = config.snmp.listen[1].place.as_ref().unwrap();
    assert_eq!((place.line, place.column), (3, 29));
    let engines: Vec<bool> = config.snmp.users.iter().map(|user| user.engine.is_some()).collect();
    assert_eq!(engines, [true, false]);
    let grant = &config.snmp.access.grants[0];
    assert_eq!(grant.level, Some(crate::message::SecurityLevel::AuthNoPriv));
    assert_eq!(config.snmp.tags[0].tag, "network");
}

#[test]
fn communities_in_a_file_are_added_to_those_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("communities");
    let text = |also: &str| format!("[snmp]\nrelays = []\ncommunities_file = \"{}\"\n{also}", path.display());
    let communities = |also: &str| load(&text(also)).map(|config| config.snmp.access.communities.unwrap());
    assert!(communities("").unwrap_err().contains("communities: No such file"));
    for (content, expected) in [
        ("one\n# none\n\n  two words \r\n#three\n", vec!["one", "two words"]),
        // A file without an entry lets nobody in, as an empty list does.
        ("# none\n", vec![]),
    ] {
        std::fs::write(&path, content).unwrap();
        let read: Vec<Vec<u8>> = expected.iter().map(|community| community.as_bytes().to_vec()).collect();
        assert_eq!(communities(""), Ok(read.clone()));
        let both: Vec<Vec<u8>> = [b"public".to_vec()].into_iter().chain(read).collect();
        assert_eq!(communities("communities = [\"public\"]\n"), Ok(both));
    }
    assert!(load("[snmp]\nrelays = []\n").unwrap().snmp.access.communities.is_none());
}

#[test]
fn sinks_with_their_defaults() {
    let config = load(
        r#"
[[sinks]]
type = "nagios"
command_file = "/run/nagios.cmd"
[[sinks]]
name = "bus"
type = "canopsis"
url = "amqp://guest:guest@127.0.0.1:5672/canopsis"
only = "outcome.state != 'ok'"
"#,
    )
    .unwrap();
    assert_eq!(config.sinks[0].settings.name, "nagios");
    assert!(config.sinks[1].settings.only.is_some());
}

#[test]
fn a_sink_is_told_from_the_one_before_by_what_it_says() {
    let text = "snmp.relays = []\n[[sinks]]\nname = \"a\"\ntype = \"file\"\npath = \"x\"\n[[sinks]]\nname = \"b\"\nwas = \"c\"\n\
                type = \"file\"\npath = \"x\"\n";
    let sinks = load(text).unwrap().sinks;
    assert_eq!((sinks[0].was.as_deref(), sinks[1].was.as_deref()), (None, Some("c")));
    assert_eq!(sinks[0].digest, sinks[1].digest, "but for its names");
    assert!(sinks[1].place.as_ref().is_some_and(|place| (place.line, place.column) == (6, 1)));
    assert_ne!(load(&text.replace("\"x\"", "\"y\"")).unwrap().sinks[0].digest, sinks[0].digest);
    for (was, message) in [
        ("b", "'was' names the sink itself, 'b'; name the former name of this sink, or remove 'was'"),
        (
            "a",
            "'was' names the sink 'a', which is configured as well; name the former name of this sink, or remove 'was'",
        ),
    ] {
        let found = load(&text.replace("\"c\"", &format!("\"{was}\""))).unwrap_err();
        assert_eq!(found, format!("trapline.toml:8:7: error: {message}\n"));
    }
    let twice = text.replacen("type", "was = \"c\"\ntype", 1);
    assert!(
        load(&twice)
            .unwrap_err()
            .starts_with("trapline.toml:9:7: error: 'c' is the former name of two sinks")
    );
}

#[test]
fn hosts_from_a_table_a_file_and_nagios() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trapline.toml");
    let text =
        "[hosts]\nmap = { \"192.0.2.1\" = \"router1\" }\nfiles = [\"h.csv\"]\nnagios_objects = \"o.cache\"\n";
    std::fs::write(&path, text).unwrap();
    std::fs::write(dir.path().join("h.csv"), "# hosts\n192.0.2.2, switch2\n").unwrap();
    let objects = "define host {\n\thost_name\tdb3\n\taddress\t192.0.2.3\n\t}\ndefine service {\n\thost_name\tdb3\n\t}\n";
    std::fs::write(dir.path().join("o.cache"), objects).unwrap();
    let hosts = Config::load(&path).unwrap().0.hosts;
    for (address, name) in [("192.0.2.1", "router1"), ("192.0.2.2", "switch2"), ("192.0.2.3", "db3")] {
        assert_eq!(hosts.of_address(address.parse().unwrap()), Some(name));
    }
    assert_eq!(hosts.of_name("DB3"), Some("db3"));
}

#[test]
fn how_hosts_are_chosen_and_spelled() {
    use crate::lookup::hosts::Prefer;
    let hosts = load(
        r#"
[hosts]
map = { "fw1.example.org" = "firewall", "0x80001f8804747261706c" = "ups1" }
domains = [".Example.org."]
case = "lower"
rewrite = [{ match = "^(.+)-mgmt$", to = "$1" }]
prefer = { "203.0.113.0/24" = "sender" }
"#,
    )
    .unwrap()
    .hosts;
    assert_eq!(hosts.of_name("FW1"), Some("firewall"));
    assert_eq!(hosts.of_engine(b"\x80\x00\x1f\x88\x04trapl"), Some("ups1"));
    assert_eq!(hosts.spelling.rewritten("db1-MGMT").as_deref(), Some("db1"));
    assert!(hosts.spelling.lower);
    let prefer = |address: &str| hosts.prefer.of(address.parse().unwrap());
    assert_eq!((prefer("203.0.113.9"), prefer("192.0.2.1")), (Some(Prefer::Sender), None));
    let hosts = load("[hosts]\nprefer = \"sender\"\n").unwrap().hosts;
    assert_eq!(hosts.prefer.of("2001:db8::1".parse().unwrap()), Some(Prefer::Sender));
}

#[test]
fn every_mistake_of_hosts_and_relays_at_once() {
    let found = load(
        r#"
[snmp]
relays = ["192.0.2.10", "everybody"]
[[snmp.users]]
name = "open"
relay = true
[hosts]
domain = "example.org"
domains = ["example.org", "a b"]
case = "upper"
rewrite = [{ match = "(" , to = "x" }, { match = "x" }, { form = "x" }]
prefer = { "203.0.113.0/24" = "sendr", "office" = "sender", "192.0.2.1" = 4 }
"#,
    )
    .unwrap_err();
    insta::assert_snapshot!(found);
}

/// Passwords and tokens that go over a network without TLS, for every sink that speaks HTTP and has some.
#[test]
fn secrets_over_http_are_warned_of() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let password = "user = \"u\"\npassword = \"p\"";
    let kinds = [
        ("icinga2", password, "password"),
        ("alignak", password, "password"),
        ("webhook", password, "password"),
        ("nrdp", "token = \"t\"", "token"),
        ("splunk", "token = \"t\"", "token"),
        ("canopsis", "token = \"t\"", "token"),
        ("canopsis", password, "password"),
    ];
    for (kind, secret, key) in kinds {
        for (url, warned) in [
            ("http://h/", true),
            ("http://192.0.2.1/", true),
            ("https://h/", false),
            ("http://127.0.0.1:1/", false),
            ("http://[::1]:1/", false),
            ("http://localhost/", false),
        ] {
            let sink = format!("[[sinks]]\ntype = \"{kind}\"\nurl = \"{url}\"\n{secret}\n");
            std::fs::write(file.path(), format!("[snmp]\nrelays = []\n{sink}")).unwrap();
            let found = Config::load(file.path()).unwrap().1.to_text();
            let words = format!("'{key}' is sent over http://");
            assert_eq!(found.contains(&words), warned, "{kind} {url}: {found}");
        }
    }
}

/// Fields of events that a sink sets itself, over each of its transports.
#[test]
fn own_fields_that_a_sink_does_not_send_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let (config, rules) = (dir.path().join("t.toml"), dir.path().join("r.toml"));
    let fields =
        ["timestamp", "perf_data", "connector", "trapline_id", "event_type", "colour", "output", "resource"];
    let canopsis = &fields[..4];
    for (sink, unsent) in [
        ("type = \"canopsis\"\nurl = \"amqp://127.0.0.1:1/c\"", canopsis),
        ("type = \"canopsis\"\nurl = \"http://127.0.0.1:1/\"\ntoken = \"t\"", canopsis),
        ("type = \"file\"\npath = \"out\"", &fields[..0]),
    ] {
        let base = "[snmp]\nrelays = []\n[mibs]\npaths = []\n[rules]\npacks = []\npaths = [\"r.toml\"]\n";
        std::fs::write(&config, format!("{base}[journal]\ndirectory = \"j\"\n[[sinks]]\n{sink}\n")).unwrap();
        for field in fields {
            let rule = format!("[[rule]]\nid = 'a'\ntrap = '*'\n[rule.event]\nstate = 'ok'\n{field} = '1'\n");
            std::fs::write(&rules, rule).unwrap();
            let found = loaded::load(Some(&config), &Held::default()).unwrap().found.to_text();
            let warned = found.contains(&format!("sets '{field}' itself"));
            assert_eq!(warned, unsent.contains(&field), "{sink} {field}: {found}");
        }
    }
}

#[test]
fn no_two_listeners_want_one_port() {
    let load = |snmp: &str, syslog: &str, http: &str| {
        load(&format!(
            "[snmp]\nlisten = {snmp}\nrelays = []\n[syslog]\nlisten = {syslog}\n[http]\nlisten = {http}\n"
        ))
    };
    let fine = [
        (
            r#"["0.0.0.0:1162", "[::]:1162", "tcp://0.0.0.0:1162"]"#,
            r#"["udp://127.0.0.1:1514"]"#,
            "'[::1]:1514'",
        ),
        (r#"["127.0.0.1:0"]"#, r#"["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]"#, "'127.0.0.1:0'"),
        (r#"["tcp://[::]:1162", "tcp://0.0.0.0:1162"]"#, r#"["udp://127.0.0.1:1162"]"#, "'127.0.0.1:8162'"),
    ];
    for (snmp, syslog, http) in fine {
        load(snmp, syslog, http).unwrap();
    }
    let wrong = [
        (
            r#"["127.0.0.1:1514"]"#,
            r#"["udp://0.0.0.0:1514"]"#,
            "'127.0.0.1:8162'",
            "5:11: error: SNMP 127.0.0.1:1514/udp and syslog 0.0.0.0:1514/udp",
        ),
        (
            r#"["127.0.0.1:1162"]"#,
            r#"["tcp://[::]:8162"]"#,
            "'127.0.0.1:8162'",
            "7:10: error: syslog [::]:8162/tcp and HTTP 127.0.0.1:8162/tcp",
        ),
        (
            r#"["127.0.0.1:1162", "0.0.0.0:1162"]"#,
            r#"["tcp://127.0.0.1:1514"]"#,
            "'127.0.0.1:8162'",
            "2:29: error: SNMP 127.0.0.1:1162/udp and SNMP 0.0.0.0:1162/udp",
        ),
    ];
    for (snmp, syslog, http, said) in wrong {
        let found = load(snmp, syslog, http).unwrap_err();
        let hint = "cannot have the same port or path at once; give one of them another one, or remove it";
        assert_eq!(found, format!("trapline.toml:{said} {hint}\n"));
    }
}

#[test]
fn a_former_name_is_one_that_a_sink_can_have() {
    for was in ["", "a/b", "..", "a~b", "a\u{1b}b", &"x".repeat(65)] {
        let quoted = format!("{was:?}").replace("\\u{1b}", "\\u001b");
        let found =
            load(&format!("[[sinks]]\ntype = \"file\"\npath = \"x\"\nwas = {quoted}\n[snmp]\nrelays = []\n"))
                .unwrap_err();
        let expected =
            format!("trapline.toml:4:7: error: '{}' cannot be the name of a sink", was.escape_debug());
        assert!(found.starts_with(&expected), "{found}");
    }
}

#[test]
fn paths_that_lead_nowhere_are_reported_at_their_place() {
    let text = "[rules]\npaths = [\"none.toml\"]\n[mibs]\npaths = [\"nowhere\"]\n";
    let config = load(text).unwrap();
    let setup = loaded::with_config(config, Diagnostics::default(), &Held::default());
    let found = setup.found.to_text();
    let places: Vec<&str> =
        found.lines().filter_map(|line| line.split(": error: cannot read ").next()).collect();
    assert!(places.len() == 2 && places[0].ends_with(":2:10") && places[1].ends_with(":4:10"), "{found}");
    assert!(setup.compiled.rules.is_none());
}

/// Those of sinks are in `sinks/secrets_tests.rs`. Every table that is not a sink and has a URL with a login is here.
#[test]
fn a_login_that_is_read_with_is_not_sent_in_the_clear_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let (file, url_file) = (dir.path().join("trapline.toml"), dir.path().join("url"));
    let queue =
        |url: &str| format!("[[intake]]\ntype = \"amqp\"\nqueue = \"q\"\nformat = \"canopsis\"\n{url}\n");
    let table = |url: &str| {
        format!("[[lookups]]\nname = \"site\"\nkey = \"host\"\n{url}\nuser = \"u\"\npassword = \"p\"\n")
    };
    for (plain, secure, login) in [("amqp", "amqps", "u:p@"), ("http", "https", "")] {
        for (scheme, login, host, expected) in [
            (plain, login, "broker", 1),
            (plain, login, "192.0.2.1", 1),
            (secure, login, "192.0.2.1", 0),
            (plain, login, "127.0.0.1", 0),
            (plain, login, "[::1]", 0),
            (plain, login, "localhost", 0),
            // The login of everybody, for a broker on this machine.
            (plain, "", "192.0.2.1", usize::from(plain == "http")),
        ] {
            let url = format!("{scheme}://{login}{host}/v");
            std::fs::write(&url_file, format!("{url}\n")).unwrap();
            let inline = format!("url = \"{url}\"");
            let texts = match plain {
                "amqp" => vec![("url", queue(&inline)), ("url_file", queue("url_file = \"url\""))],
                _ => vec![("url", table(&inline))],
            };
            for (key, text) in texts {
                std::fs::write(&file, format!("[snmp]\nrelays = []\n{text}")).unwrap();
                let (_, found) = Config::load(&file).unwrap_or_else(|found| panic!("{}", found.to_text()));
                let found = found.to_text();
                let said = match plain {
                    "amqp" => {
                        format!("the password in '{key}' is sent over amqp://, where others can read it")
                    }
                    _ => "the login is sent over http://, where others can read it".to_owned(),
                };
                assert_eq!(found.matches(&said).count(), expected, "{text}: {found}");
                assert_eq!(found.matches("others can read it").count(), expected, "{text}: {found}");
                assert!(!found.contains("u:p@"), "{found}");
            }
        }
    }
}
