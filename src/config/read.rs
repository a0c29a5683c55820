//! The configuration file to a [`Config`].

use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::{Config, HttpConfig, JournalConfig, LogConfig, SnmpConfig, Sync, SyslogConfig};
use super::{access, files, listen, sinks, users};
use crate::access::Access;
use crate::diagnostic::{Diagnostics, SourceText, did_you_mean};
use crate::document::{self, Located, Section};
use crate::hosts::Hosts;
use crate::journal::WhenFull;

pub(super) fn read(source: &SourceText<'_>, path: &Path, found: &mut Diagnostics) -> Option<Config> {
    let root = document::read(source, found)?;
    let root = Section::new(source, root.get_ref(), root.span(), "the configuration");
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let resolve = move |text: &str| folder.join(text);
    let defaults = Config::default();
    let snmp = root
        .section("snmp", found)
        .map_or_else(|| defaults.snmp.clone(), |s| snmp(s, &resolve, &defaults, found));
    let syslog = root
        .section("syslog", found)
        .map_or_else(|| defaults.syslog.clone(), |s| syslog(s, &defaults, found));
    let mib_paths = root.section("mibs", found).and_then(|s| paths(s, &resolve, found));
    let mib_paths = mib_paths.unwrap_or_else(files::system_mibs);
    let rule_paths = root.section("rules", found).and_then(|s| paths(s, &resolve, found));
    let hosts = root.section("hosts", found).map(|s| hosts(s, &resolve, found)).unwrap_or_default();
    let journal = root.section("journal", found);
    let journal = match journal {
        Some(section) => journal_section(section, &resolve, &defaults, found),
        None => JournalConfig { directory: resolve("var"), ..defaults.journal },
    };
    let log = root.section("log", found).map_or(LogConfig::Human, |s| log(s, found));
    let sections = root.sections("sinks", found);
    let mut all = Vec::new();
    for section in sections {
        let span = section.span();
        if let Some(sink) = sinks::read(section, &resolve, found) {
            if all.iter().any(|other: &super::SinkConfig| other.name == sink.name) {
                let message = format!("two sinks are named '{}'", sink.name);
                found.push(source.error(&span, message, Some("give each a name of its own".to_owned())));
            }
            all.push(sink);
        }
    }
    let http = root.section("http", found).and_then(|s| http(s, found));
    root.finish(found);
    Some(Config {
        file: Some(path.to_owned()),
        snmp,
        syslog,
        mib_paths,
        rule_paths,
        hosts,
        journal,
        http,
        sinks: all,
        log,
    })
}

fn snmp(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    defaults: &Config,
    found: &mut Diagnostics,
) -> SnmpConfig {
    let listen = section.strings("listen", found).map(|all| parse_all(&section, all, listen::snmp, found));
    let communities = section
        .strings("communities", found)
        .map(|all| all.into_iter().map(|c| c.value.into_bytes()).collect());
    let versions =
        section.strings("versions", found).map(|all| parse_all(&section, all, access::version, found));
    let allow = networks(&section, found);
    let mut tags = Vec::new();
    let grants =
        section.sections("access", found).into_iter().map(|s| access::grant(s, found, &mut tags)).collect();
    let mut users = Vec::new();
    for user in section.sections("users", found) {
        users.extend(users::read(user, resolve, &users, found));
    }
    let config = SnmpConfig {
        listen: listen.unwrap_or_else(|| defaults.snmp.listen.clone()),
        access: Access { allow, versions, communities, grants },
        tags,
        users,
        receive_buffer: size(&section, "receive_buffer", found)
            .map_or(defaults.snmp.receive_buffer, |s| s.value as usize),
        max_connections: max_connections(&section, found).unwrap_or(defaults.snmp.max_connections),
    };
    section.finish(found);
    config
}

fn syslog(section: Section<'_, '_>, defaults: &Config, found: &mut Diagnostics) -> SyslogConfig {
    let listen = section.strings("listen", found).map(|all| parse_all(&section, all, listen::syslog, found));
    let config = SyslogConfig {
        listen: listen.unwrap_or_else(|| defaults.syslog.listen.clone()),
        allow: networks(&section, found),
        receive_buffer: size(&section, "receive_buffer", found)
            .map_or(defaults.syslog.receive_buffer, |s| s.value as usize),
        max_connections: max_connections(&section, found).unwrap_or(defaults.syslog.max_connections),
    };
    section.finish(found);
    config
}

fn max_connections(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<usize> {
    let n = section.integer("max_connections", found)?;
    let valid = usize::try_from(n.value).ok().filter(|n| (1..=100_000).contains(n));
    if valid.is_none() {
        found.push(section.source().error(&n.span, "max_connections must be 1 to 100000", None));
    }
    valid
}

pub(super) fn parse_all<T>(
    section: &Section<'_, '_>,
    all: Vec<Located<String>>,
    parse: fn(&str) -> Result<T, String>,
    found: &mut Diagnostics,
) -> Vec<T> {
    all.into_iter()
        .filter_map(|text| match parse(&text.value) {
            Ok(value) => Some(value),
            Err(message) => {
                found.push(section.source().error(&text.span, message, None));
                None
            }
        })
        .collect()
}

fn networks(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<IpNet> {
    section.strings("allow", found).map(|all| parse_all(section, all, network, found)).unwrap_or_default()
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    let net = text.parse().ok().or_else(address);
    net.ok_or_else(|| format!("'{text}' is no network; write 192.0.2.0/24, 2001:db8::/32 or one address"))
}

fn paths(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Vec<PathBuf>> {
    let paths = section.strings("paths", found);
    section.finish(found);
    paths.map(|all| all.iter().map(|p| resolve(p)).collect())
}

fn hosts(section: Section<'_, '_>, resolve: &dyn Fn(&str) -> PathBuf, found: &mut Diagnostics) -> Hosts {
    let mut hosts = Hosts::default();
    if let Some(map) = section.section("map", found) {
        for (address, span, name) in map.entries() {
            match name.get_ref().as_str() {
                Some(name) => hosts.insert(address, name),
                None => found.push(map.source().error(&span, "a host's name must be a string", None)),
            }
        }
    }
    for path in section.strings("files", found).unwrap_or_default() {
        files::read_hosts_csv(&resolve(&path), &mut hosts, found);
    }
    if let Some(path) = section.string("nagios_objects", found) {
        files::read_nagios_objects(&resolve(&path), &mut hosts, found);
    }
    if let Some(reverse) = section.boolean("reverse_dns", found).filter(|r| r.value) {
        let hint = Some("use map, files or nagios_objects".to_owned());
        found.push(section.source().error(
            &reverse.span,
            "reverse_dns is not supported by this release",
            hint,
        ));
    }
    section.finish(found);
    hosts
}

fn journal_section(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    defaults: &Config,
    found: &mut Diagnostics,
) -> JournalConfig {
    let directory = section.string("directory", found).map_or_else(|| resolve("var"), |d| resolve(&d));
    let max_size = size(&section, "max_size", found);
    if let Some(size) = max_size.as_ref().filter(|s| s.value < crate::journal::MIN_SIZE) {
        let hint = Some("give it at least 1MiB".to_owned());
        found.push(section.source().error(&size.span, "max_size is too small for a journal", hint));
    }
    let sync = [("batch", Sync::Batch), ("interval", Sync::Interval), ("never", Sync::Never)];
    let sync = word(&section, "sync", &sync, "way to sync", found);
    let when_full = [("drop_oldest", WhenFull::DropOldest), ("refuse", WhenFull::Refuse)];
    let when_full = word(&section, "when_full", &when_full, "way to deal with a full journal", found);
    section.finish(found);
    JournalConfig {
        directory,
        max_size: max_size.map_or(defaults.journal.max_size, |s| s.value),
        sync: sync.unwrap_or(defaults.journal.sync),
        when_full: when_full.unwrap_or(defaults.journal.when_full),
    }
}

fn http(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<HttpConfig> {
    let listen = section.string("listen", found);
    if section.get("listen").is_none() {
        found.push(section.error("[http] without 'listen'", "add listen = \"127.0.0.1:8162\""));
    }
    let address = listen.and_then(|text| {
        let address = text.parse();
        if address.is_err() {
            let hint = Some("write 127.0.0.1:8162".to_owned());
            let message = format!("'{}' is no address with a port", text.value);
            found.push(section.source().error(&text.span, message, hint));
        }
        address.ok()
    });
    section.finish(found);
    Some(HttpConfig { listen: address?, optional: false })
}

fn log(section: Section<'_, '_>, found: &mut Diagnostics) -> LogConfig {
    let formats = [("human", LogConfig::Human), ("json", LogConfig::Json), ("journald", LogConfig::Journald)];
    let log = word(&section, "format", &formats, "log format", found);
    section.finish(found);
    log.unwrap_or(LogConfig::Human)
}

/// One of some words.
pub(super) fn word<T: Copy>(
    section: &Section<'_, '_>,
    key: &'static str,
    known: &[(&'static str, T)],
    what: &str,
    found: &mut Diagnostics,
) -> Option<T> {
    let text = section.string(key, found)?;
    let value = known.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
    if value.is_none() {
        let words = || known.iter().map(|(word, _)| *word);
        let hint = did_you_mean(&text, words())
            .unwrap_or_else(|| format!("one of {}", words().collect::<Vec<_>>().join(", ")));
        found.push(section.source().error(&text.span, format!("'{}' is no {what}", text.value), Some(hint)));
    }
    value
}

/// A size: a number of bytes, or a string such as `"64MiB"`.
fn size(section: &Section<'_, '_>, key: &'static str, found: &mut Diagnostics) -> Option<Located<u64>> {
    let value = section.get(key)?;
    let bytes = match value.get_ref().as_str() {
        Some(text) => parse_size(text),
        None => document::as_integer(value.get_ref()).and_then(|n| u64::try_from(n).ok()),
    };
    match bytes {
        Some(bytes) => Some(Located { value: bytes, span: value.span() }),
        None => {
            let hint = Some("write a number of bytes, or \"64MiB\", \"1GiB\"".to_owned());
            found.push(section.source().error(&value.span(), format!("'{key}' is no size"), hint));
            None
        }
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" | "K" | "k" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        "TiB" | "T" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}
