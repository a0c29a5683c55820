//! Where test messages go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::bail;

use crate::commands::args::ConfigArg;
use crate::config::Config;
use crate::config::loaded as setup;
use crate::intake::listener::{Listener, Transport};

/// The ports that notifications and lines of syslog go to unless another one is named (RFC 3417, RFC 5426).
const SNMP: u16 = 162;
const SYSLOG: u16 = 514;

/// A destination of notifications as it is named on the command line, with its port.
pub(crate) fn snmp_argument(to: &str) -> Result<String, String> {
    let write = "write a host or address, and a port if it is not 162: 127.0.0.1, nms.example:1162, [2001:db8::1]:162";
    argument(to, SNMP, is_host, write)
}

/// The same for lines of syslog.
pub(crate) fn syslog_argument(to: &str) -> Result<String, String> {
    // The socket of a program of this machine has no network.
    if ["unix://", "unix-stream://", "/"].iter().any(|start| to.starts_with(start)) {
        return Err("use udp:// or tcp://, or `logger -u PATH` for a socket of this machine".to_owned());
    }
    let is_ip = |host: &str| match host.strip_prefix('[') {
        Some(_) => is_host(host),
        None => host.parse::<Ipv4Addr>().is_ok(),
    };
    let write = "write an IP address, and a port if it is not 514: 127.0.0.1, 192.0.2.1:1514, tcp://[2001:db8::1]:601";
    argument(to, SYSLOG, is_ip, write)
}

/// A destination over UDP or TCP. `write` is what to write.
fn argument(to: &str, port: u16, is_host: impl Fn(&str) -> bool, write: &str) -> Result<String, String> {
    let to = with_port(to, port);
    let address = match to.split_once("://") {
        None => &*to,
        Some(("udp" | "tcp", rest)) => rest,
        Some((other, _)) => return Err(format!("'{other}://' is not known; use udp:// or tcp://")),
    };
    match address.rsplit_once(':').map(|(host, port)| (is_host(host), port.parse::<u16>())) {
        Some((true, Ok(0))) => Err(format!("nothing listens on port 0; {write}")),
        Some((true, Ok(_))) => Ok(to),
        _ => Err(write.to_owned()),
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && !host.contains([':', '/', ' ', ']']),
    }
}

/// A destination with this port if it names none.
fn with_port(to: &str, port: u16) -> String {
    let (scheme, address) = match to.find("://") {
        Some(at) => to.split_at(at + 3),
        None => ("", to),
    };
    if address.parse::<Ipv6Addr>().is_ok() {
        return format!("{scheme}[{address}]:{port}");
    }
    let without = if address.starts_with('[') { address.ends_with(']') } else { !address.contains(':') };
    if without && !address.is_empty() && !address.contains('/') {
        format!("{to}:{port}")
    } else {
        to.to_owned()
    }
}

/// The configuration that is named or in a usual place; none for the built-in one.
///
/// # Errors
///
/// If it has mistakes.
pub(crate) fn config(args: &ConfigArg) -> anyhow::Result<Option<Config>> {
    let Some(path) = args.path() else { return Ok(None) };
    match setup::config(Some(&path)) {
        Ok((config, _)) => Ok(Some(config)),
        Err(found) => {
            setup::print(&found);
            bail!("the configuration is wrong; `trapline check` reports the same")
        }
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
    // The system chooses the port when the daemon starts.
    if address.port() == 0 {
        return None;
    }
    let ip = match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Some(format!("{scheme}://{}", SocketAddr::new(ip, address.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_have_the_port_of_what_is_sent_unless_they_name_one() {
        for (given, snmp, syslog) in [
            ("127.0.0.1", Some("127.0.0.1:162"), Some("127.0.0.1:514")),
            ("127.0.0.1:1162", Some("127.0.0.1:1162"), Some("127.0.0.1:1162")),
            ("udp://192.0.2.1", Some("udp://192.0.2.1:162"), Some("udp://192.0.2.1:514")),
            ("tcp://192.0.2.1:99", Some("tcp://192.0.2.1:99"), Some("tcp://192.0.2.1:99")),
            ("::1", Some("[::1]:162"), Some("[::1]:514")),
            ("[2001:db8::1]", Some("[2001:db8::1]:162"), Some("[2001:db8::1]:514")),
            ("tcp://2001:db8::1", Some("tcp://[2001:db8::1]:162"), Some("tcp://[2001:db8::1]:514")),
            ("nms.example", Some("nms.example:162"), None),
            ("nms.example:1162", Some("nms.example:1162"), None),
            ("http://nms.example", None, None),
            ("", None, None),
            ("udp://", None, None),
            (":162", None, None),
            ("nms.example:", None, None),
            ("nms.example:trap", None, None),
            ("nms.example:0", None, None),
            ("192.0.2.1:0", None, None),
            ("udp://192.0.2.1:0", None, None),
            ("tcp://[2001:db8::1]:0", None, None),
            ("[::1]:x", None, None),
            ("tls://192.0.2.1:6514", None, None),
            ("relp://192.0.2.1:2514", None, None),
            ("unix:///run/log", None, None),
            ("systemd:syslog", None, None),
            ("127.0.0.1:99999", None, None),
            ("a:b:162", None, None),
            ("[nms.example]:162", None, None),
            ("/run/socket", None, None),
        ] {
            assert_eq!(snmp_argument(given).ok().as_deref(), snmp, "{given}");
            assert_eq!(syslog_argument(given).ok().as_deref(), syslog, "{given}");
        }
    }

    /// What is advised can be given.
    #[test]
    fn a_destination_that_is_refused_says_what_to_write() {
        for given in ["http://x", "tls://192.0.2.1:6514", "relp://192.0.2.1", "unix:///run/log", "/run/log"] {
            let said = syslog_argument(given).unwrap_err();
            assert!(said.contains("use udp:// or tcp://") && !said.contains("relp+tls"), "{said}");
        }
        for (argument, given) in
            [(snmp_argument as fn(&str) -> _, "192.0.2.1:0"), (syslog_argument, "tcp://192.0.2.1:0")]
        {
            let said: String = argument(given).unwrap_err();
            assert!(said.starts_with("nothing listens on port 0; write"), "{said}");
        }
    }
}
