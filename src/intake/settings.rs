//! `[snmp]` and `[syslog]`

use std::path::PathBuf;

use ipnet::IpNet;

use super::listener::{self, SnmpListen, SyslogListen};
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::{max_connections, networks, parse_all, size};
use crate::snmp::access::{Access, TagUse, grant, version};
use crate::snmp::usm::{User, users};

/// `[snmp]`
#[derive(Debug, Clone)]
pub struct SnmpSettings {
    /// Where to listen.
    pub listen: Vec<SnmpListen>,
    /// Who may send, and which rules they may reach.
    pub access: Access,
    /// The tags that access speaks of.
    pub tags: Vec<TagUse>,
    /// Users of v3.
    pub users: Vec<User>,
    /// Receive buffer of each UDP socket in bytes.
    pub receive_buffer: usize,
    /// How many streams may be open at once.
    pub max_connections: usize,
}

/// `[syslog]`
#[derive(Debug, Clone)]
pub struct SyslogSettings {
    /// Where to listen.
    pub listen: Vec<SyslogListen>,
    /// Senders that are let in; empty for all.
    pub allow: Vec<IpNet>,
    /// Receive buffer of each UDP socket in bytes.
    pub receive_buffer: usize,
    /// How many streams may be open at once.
    pub max_connections: usize,
}

impl Default for SnmpSettings {
    fn default() -> Self {
        SnmpSettings {
            listen: listener::default_snmp(),
            access: Access::default(),
            tags: Vec::new(),
            users: Vec::new(),
            receive_buffer: 16 << 20,
            max_connections: 1000,
        }
    }
}

impl Default for SyslogSettings {
    fn default() -> Self {
        SyslogSettings {
            listen: listener::default_syslog(),
            allow: Vec::new(),
            receive_buffer: 16 << 20,
            max_connections: 1000,
        }
    }
}

/// Reads `[snmp]`; relative paths are given to `resolve`.
pub fn snmp(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> SnmpSettings {
    let defaults = SnmpSettings::default();
    let listen = section.strings("listen", found).map(|all| parse_all(&section, all, listener::snmp, found));
    let communities = section
        .strings("communities", found)
        .map(|all| all.into_iter().map(|c| c.value.into_bytes()).collect());
    let versions = section.strings("versions", found).map(|all| parse_all(&section, all, version, found));
    let allow = networks(&section, found);
    let mut tags = Vec::new();
    let grants = section.sections("access", found).into_iter().map(|s| grant(s, found, &mut tags)).collect();
    let mut users = Vec::new();
    for user in section.sections("users", found) {
        users.extend(users::read(user, resolve, &users, found));
    }
    let config = SnmpSettings {
        listen: listen.unwrap_or_else(|| defaults.listen.clone()),
        access: Access { allow, versions, communities, grants },
        tags,
        users,
        receive_buffer: size(&section, "receive_buffer", found)
            .map_or(defaults.receive_buffer, |s| s.value as usize),
        max_connections: max_connections(&section, found).unwrap_or(defaults.max_connections),
    };
    section.finish(found);
    config
}

/// Reads `[syslog]`.
pub fn syslog(section: Section<'_, '_>, found: &mut Diagnostics) -> SyslogSettings {
    let defaults = SyslogSettings::default();
    let listen =
        section.strings("listen", found).map(|all| parse_all(&section, all, listener::syslog, found));
    let config = SyslogSettings {
        listen: listen.unwrap_or_else(|| defaults.listen.clone()),
        allow: networks(&section, found),
        receive_buffer: size(&section, "receive_buffer", found)
            .map_or(defaults.receive_buffer, |s| s.value as usize),
        max_connections: max_connections(&section, found).unwrap_or(defaults.max_connections),
    };
    section.finish(found);
    config
}
