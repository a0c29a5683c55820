//! Where test messages go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::bail;

use crate::commands::args::ConfigArg;
use crate::config::Config;
use crate::config::loaded as setup;
use crate::intake::listener::{Listener, Transport};

/// The configuration that is named or in a usual place; none for the built-in one.
///
/// # Errors
///
/// If it has mistakes.
pub(crate) fn config(args: &ConfigArg) -> anyhow::Result<Option<Config>> {
    let Some(path) = args.path() else { return Ok(None) };
    match setup::config(Some(&path)) {
        Ok((config, _)) => Ok(Some(config)),
        Err(found) => bail!("{}", found.to_text().trim_end()),
    }
}

/// Where notifications go: as it is named, or to the first listener of a configuration that takes plain datagrams or streams, or to that of
/// the built-in one.
///
/// # Errors
///
/// If the configuration has no such listener.
pub(crate) fn snmp(to: Option<&str>, config: Option<&Config>) -> anyhow::Result<String> {
    target(to, config.map(|config| &*config.snmp.listen), ("snmp", "127.0.0.1:1162"))
}

/// The same for lines of syslog.
///
/// # Errors
///
/// If the configuration has no such listener.
pub(crate) fn syslog(to: Option<&str>, config: Option<&Config>) -> anyhow::Result<String> {
    target(to, config.map(|config| &*config.syslog.listen), ("syslog", "127.0.0.1:1514"))
}

fn target(
    to: Option<&str>,
    listeners: Option<&[Listener]>,
    (section, built_in): (&str, &str),
) -> anyhow::Result<String> {
    if let Some(to) = to {
        return Ok(to.to_owned());
    }
    let Some(all) = listeners else { return Ok(built_in.to_owned()) };
    match all.iter().find_map(reachable) {
        Some(target) => Ok(target),
        None => bail!(
            "the configuration has no listener for plain datagrams or streams in [{section}]; name one: --to ADDRESS:PORT"
        ),
    }
}

fn reachable(listener: &Listener) -> Option<String> {
    let (scheme, address) = match listener.transport {
        Transport::Udp(address) => ("udp", address),
        Transport::Tcp(address) => ("tcp", address),
        _ => return None,
    };
    let ip = match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Some(format!("{scheme}://{}", SocketAddr::new(ip, address.port())))
}
