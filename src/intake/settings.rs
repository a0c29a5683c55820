//! `[snmp]` and `[syslog]`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use nix::unistd;

use super::listener::{self, FileAccess, Limits, Listener, Protocol, Transport};
use super::relays::Relays;
use super::shared::Lines;
use super::tls;
use crate::lookup::zones::{Zones, zones};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::settings::secret;
use crate::settings::section::{Located, Section};
use crate::settings::tls_server::Server;
use crate::settings::values::{allowed, count, duration, network, networks, parse_all, size};
use crate::snmp::access::{Access, TagUse, grant, version, without_relays};
use crate::snmp::usm::{User, users};
use crate::syslog::framing::MAX_MESSAGE;

/// The longest `latency`.
const MAX_LATENCY: Duration = Duration::from_secs(1);

/// The range of `idle`.
const LEAST_IDLE: Duration = Duration::from_secs(1);
const MAX_IDLE: Duration = Duration::from_hours(24 * 30);
/// The least `max_message`, in octets. Receivers must take 480 (RFC 5424, section 6.1), those with TLS 2048.
const LEAST_MESSAGE: usize = 1024;

/// `[snmp]`
#[derive(Debug, Clone)]
pub struct SnmpSettings {
    /// Where to listen; no two have the same key.
    pub listen: Vec<Listener>,
    /// Who may send, and which rules they may reach.
    pub access: Access,
    /// The tags that access speaks of.
    pub tags: Vec<TagUse>,
    /// Users of v3.
    pub users: Vec<User>,
}

/// `[syslog]`
#[derive(Debug, Clone)]
pub struct SyslogSettings {
    /// Where to listen; no two have the same key.
    pub listen: Vec<Listener>,
    /// Networks whose messages are accepted; none for all.
    pub allow: Option<Vec<IpNet>>,
    /// The time zones of times that name none.
    pub zones: Zones,
    /// Whose lines may name other hosts.
    pub relays: Relays,
    /// What streams and lines may use.
    pub lines: Lines,
    /// `[syslog.tls]`
    pub tls: Option<Arc<Server>>,
}

impl Default for SnmpSettings {
    fn default() -> Self {
        SnmpSettings {
            listen: listener::defaults(Protocol::Snmp, Limits::default()),
            access: Access::default(),
            tags: Vec::new(),
            users: Vec::new(),
        }
    }
}

impl Default for SyslogSettings {
    fn default() -> Self {
        SyslogSettings {
            listen: listener::defaults(Protocol::Syslog, Limits::default()),
            allow: None,
            zones: Zones::default(),
            relays: Relays::default(),
            lines: Lines::default(),
            tls: None,
        }
    }
}

/// Reads `[snmp]`; relative paths are given to `resolve`.
pub fn snmp(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> SnmpSettings {
    let listen = listeners(&section, Protocol::Snmp, found);
    let communities = communities(&section, resolve, found);
    let versions = allowed(&section, "versions", found).map(|all| parse_all(&section, all, version, found));
    let allow = networks(&section, found);
    let relays = section.strings("relays", found).map(|all| parse_all(&section, all, network, found));
    let listens_nowhere =
        section.get("listen").and_then(|all| all.get_ref().as_array()).is_some_and(|all| all.is_empty());
    if section.get("relays").is_none() && !listens_nowhere {
        found.push(section.follows(&["relays"], without_relays(section.source(), Some(&section.span()))));
    }
    let mut tags = Vec::new();
    let grants = section.sections("access", found).into_iter().map(|s| grant(s, found, &mut tags)).collect();
    let mut users = Vec::new();
    for user in section.sections("users", found) {
        users.extend(users::read(user, resolve, &users, found));
    }
    section.finish(found);
    SnmpSettings { listen, access: Access { allow, versions, communities, grants, relays }, tags, users }
}

/// `communities` and those of `communities_file`; none if neither is given, which lets any in.
fn communities(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Vec<Vec<u8>>> {
    let here = allowed(section, "communities", found);
    let there = secret::lines(section, "communities_file", resolve, found);
    if here.is_none() && there.is_none() {
        return None;
    }
    let here = here.into_iter().flatten().map(|community| community.value);
    Some(here.chain(there.into_iter().flatten()).map(String::into_bytes).collect())
}

/// Reads `[syslog]`; relative paths are given to `resolve`.
pub fn syslog(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> SyslogSettings {
    let listen = listeners(&section, Protocol::Syslog, found);
    let allow = networks(&section, found);
    let zones = zones(&section, found);
    let relays = Relays::read(&section, found);
    let default = Lines::default();
    let lines = Lines {
        max_message: max_message(&section, found).unwrap_or(default.max_message),
        idle: duration(&section, "idle", LEAST_IDLE..=MAX_IDLE, found).unwrap_or(default.idle),
    };
    let secured = listen.iter().find(|one| one.transport.is_tls());
    let tls = match (section.section("tls", found), secured) {
        (None, None) => None,
        (None, Some(listener)) => {
            // A listener that the configuration does not name is without TLS.
            if let Some(place) = &listener.place {
                let what = format!("{} needs a certificate", listener.transport);
                let hint = "add [syslog.tls] with cert_file = \"server.pem\" and key_file = \"server.key\"";
                found.push(place.error(what, hint));
            }
            None
        }
        (Some(tls), secured) => {
            if secured.is_none() {
                let hint = "add \"tls://0.0.0.0:6514\" to [syslog] listen, or remove the section";
                let unused = tls.error("[syslog.tls] is not used: no listener speaks TLS", hint);
                found.push(Diagnostic { severity: Severity::Warning, ..unused });
            }
            tls::read(tls, resolve, found)
        }
    };
    section.finish(found);
    SyslogSettings { listen, allow, zones, relays, lines, tls }
}

/// Reads `max_message`.
fn max_message(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<usize> {
    let size = size(section, "max_message", found)?;
    if !(LEAST_MESSAGE..=MAX_MESSAGE).contains(&(size.value as usize)) {
        let hint = Some("rules see no more of a message".to_owned());
        found.push(section.source().error(&size.span, "max_message must be 1KiB to 64KiB", hint));
    }
    Some(size.value as usize)
}

/// Reads `listen` and the limits of all its entries.
fn listeners(section: &Section<'_, '_>, protocol: Protocol, found: &mut Diagnostics) -> Vec<Listener> {
    let entries = section.strings("listen", found);
    let default = Limits::default();
    let limits = Limits {
        receive_buffer: size(section, "receive_buffer", found)
            .map_or(default.receive_buffer, |s| s.value as usize),
        latency: duration(section, "latency", Duration::ZERO..=MAX_LATENCY, found).unwrap_or(default.latency),
        receivers: count(section, "receivers", 1..=64, found).unwrap_or(default.receivers),
        max_connections: count(section, "max_connections", 1..=100_000, found)
            .unwrap_or(default.max_connections),
        max_connections_per_address: count(section, "max_connections_per_address", 1..=100_000, found),
        file: if protocol == Protocol::Syslog { file_access(section, found) } else { default.file },
    };
    let Some(entries) = entries else { return listener::defaults(protocol, limits) };
    let mut listeners: Vec<Listener> = Vec::new();
    for entry in entries {
        match listener(section, protocol, limits, &entry, &listeners) {
            Ok(listener) => listeners.push(listener),
            Err((message, hint)) => found.push(section.source().error(&entry.span, message, hint)),
        }
    }
    listeners
}

fn listener(
    section: &Section<'_, '_>,
    protocol: Protocol,
    limits: Limits,
    entry: &Located<String>,
    others: &[Listener],
) -> Result<Listener, (String, Option<String>)> {
    let transport = Transport::parse(protocol, &entry.value).map_err(|message| (message, None))?;
    let place = Some(section.source().place_of(&entry.span));
    let listener = Listener { protocol, transport: transport.clone(), limits, optional: false, place };
    // The kernel chooses another port each time where the port is 0.
    let fixed = transport.address().is_none_or(|address| address.port() != 0);
    let twice = fixed && others.iter().any(|other| other.key() == listener.key());
    if twice {
        return Err((format!("'{}' is listed twice", entry.value), Some("remove one of them".to_owned())));
    }
    Ok(listener)
}

/// Reads `unix_mode`, `unix_owner` and `unix_group`.
fn file_access(section: &Section<'_, '_>, found: &mut Diagnostics) -> FileAccess {
    let mut access = FileAccess::default();
    if let Some(mode) = section.string("unix_mode", found) {
        match u32::from_str_radix(&mode.value, 8).ok().filter(|mode| *mode <= 0o777) {
            Some(read) => access.mode = read,
            None => found.push(section.source().error(
                &mode.span,
                format!("'{}' is no mode of a file", mode.value),
                Some("write octal digits as chmod takes them: \"0666\" for all, \"0660\" for owner and group".into()),
            )),
        }
    }
    let user = |name: &str| Ok(unistd::User::from_name(name)?.map(|user| user.uid.as_raw()));
    let group = |name: &str| Ok(unistd::Group::from_name(name)?.map(|group| group.gid.as_raw()));
    access.owner = account(section, "unix_owner", "user", user, found);
    access.group = account(section, "unix_group", "group", group, found);
    access
}

/// Reads the name or the number of a user or group.
fn account(
    section: &Section<'_, '_>,
    key: &'static str,
    what: &str,
    number: impl Fn(&str) -> nix::Result<Option<u32>>,
    found: &mut Diagnostics,
) -> Option<u32> {
    let name = section.string(key, found)?;
    if let Ok(number) = name.value.parse() {
        return Some(number);
    }
    let error = match number(&name.value) {
        Ok(Some(number)) => return Some(number),
        Ok(None) => format!("there is no {what} '{}' on this machine", name.value),
        Err(error) => format!("cannot look up the {what} '{}': {}", name.value, error.desc()),
    };
    let hint = format!("create it, or write the number of a {what}");
    found.push(section.source().error(&name.span, error, Some(hint)));
    None
}
