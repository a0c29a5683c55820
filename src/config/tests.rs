use super::*;

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
    assert_eq!(config.snmp.listen, listen::default_snmp());
    assert_eq!(config.syslog.listen, listen::default_syslog());
    assert!(config.sinks.is_empty() && config.rule_paths.is_none());
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
    assert_eq!(config.sinks[0].name, "nagios");
    let SinkKind::Canopsis(canopsis) = &config.sinks[1].kind else { panic!() };
    assert_eq!((canopsis.exchange.as_str(), canopsis.connector.as_str()), ("canopsis.events", "trapline"));
    assert!(config.sinks[1].only.is_some());
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
