//! Traps as snmptrapd prints them, in its log or on a terminal, back to packets.
//!
//! A head names time and sender; below it, or behind it where a syslog daemon has written `#012` for the end of a line and `#011`
//! for a tab, are the varbinds, each `NAME = TYPE: VALUE`, with tabs or line ends between.
//!
//! ```text
//! 2026-11-20 12:00:00 sw1 [UDP: [192.0.2.1]:54606->[192.0.2.9]:162]:
//! 2026-11-20 12:00:00 192.0.2.1(via UDP: [192.0.2.7]:54606->[192.0.2.9]:162) TRAP, SNMP v1, community public
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use data_encoding::HEXLOWER_PERMISSIVE;

use crate::message::{Notification, NotificationKind, Value, Varbind, Version};
use crate::mib::Mib;
use crate::mib::parse::Typed;
use crate::oid::Oid;
use crate::snmp::encode;

const UPTIME: &str = "1.3.6.1.2.1.1.3.0";
const TRAP: &str = "1.3.6.1.6.3.1.1.4.1.0";
/// What snmptrapd calls the generic traps of v1, in the order of their numbers.
const GENERIC: [&str; 7] = [
    "Cold Start",
    "Warm Start",
    "Link Down",
    "Link Up",
    "Authentication Failure",
    "EGP Neighbor Loss",
    "Enterprise Specific",
];

/// A trap that was printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The line of its head, from 1.
    pub line: usize,
    /// Who sent it, where the head says so.
    pub from: Option<IpAddr>,
    /// A packet as its sender might have sent it, of v1 or v2c, without a community; or what cannot be read.
    pub packet: Result<Vec<u8>, Unreadable>,
}

/// What cannot be read in a trap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A name that no module has.
    #[error("no loaded MIB knows '{0}'; add its module, or have snmptrapd print numbers, with -On")]
    Name(String),
    /// A value that does not fit its type, or of another form.
    #[error("'{0}' is no varbind of the form NAME = TYPE: VALUE")]
    Varbind(String),
    /// Without a trap OID, or what a v1 trap needs.
    #[error("it does not say which trap it is: its lines from snmpTrapOID on are missing")]
    Trap,
}

/// Whether a text has traps as snmptrapd prints them.
pub fn is_printed(text: &str) -> bool {
    text.lines().any(|line| head(&unescaped(line)).is_some())
}

/// The traps in a text. Lines before the first head are passed over.
pub fn traps(text: &str, mib: &Mib) -> Vec<Printed> {
    let mut all: Vec<(usize, Head, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = unescaped(line);
        match head(&line) {
            Some(head) => {
                // What a syslog daemon has put behind it.
                let rest = line.split_once('\n').map_or("", |(_, rest)| rest);
                all.push((at + 1, head, rest.to_owned()));
            }
            None => {
                if let Some((_, _, rest)) = all.last_mut() {
                    rest.push('\n');
                    rest.push_str(&line);
                }
            }
        }
    }
    all.into_iter()
        .map(|(line, head, rest)| Printed { line, from: head.from, packet: packet(&head, &rest, mib) })
        .collect()
}

/// Line ends and tabs that a syslog daemon has escaped.
fn unescaped(line: &str) -> String {
    if line.contains("#012") { line.replace("#012", "\n").replace("#011", "\t") } else { line.to_owned() }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    from: Option<IpAddr>,
    /// Of a trap of v1: the agent.
    v1: Option<Option<Ipv4Addr>>,
}

/// The head of a trap.
fn head(line: &str) -> Option<Head> {
    let line = line.split('\n').next().unwrap_or_default();
    if let Some((before, rest)) = line.split_once("(via ") {
        let (transport, rest) = rest.split_once(')')?;
        if !rest.trim_start().starts_with("TRAP, SNMP v1") {
            return None;
        }
        let agent = before.split_whitespace().last().and_then(|word| word.parse().ok());
        return Some(Head { from: sender(transport), v1: Some(agent) });
    }
    let line = line.trim_end();
    let (_, rest) = ["[UDP: ", "[TCP: ", "[UDP/IPv6: ", "[TCP/IPv6: "]
        .iter()
        .find_map(|start| line.split_once(*start))?;
    (line.ends_with("]:") && rest.contains("->")).then(|| Head { from: sender(rest), v1: None })
}

/// The sender in `UDP: [192.0.2.1]:54606->[192.0.2.9]:162`.
fn sender(transport: &str) -> Option<IpAddr> {
    let address = transport.split("->").next()?;
    let address = address.rsplit_once(": ").map_or(address, |(_, address)| address).trim();
    if let Ok(address) = address.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    address.strip_prefix('[')?.split_once(']')?.0.parse().ok()
}

fn packet(head: &Head, rest: &str, mib: &Mib) -> Result<Vec<u8>, Unreadable> {
    let mut pieces = pieces(rest).into_iter();
    let v1 = match head.v1 {
        Some(agent) => Some((agent, generic(&pieces.next().ok_or(Unreadable::Trap)?, mib)?)),
        None => None,
    };
    let varbinds: Vec<(Oid<'static>, Typed)> =
        pieces.map(|piece| varbind(&piece, mib)).collect::<Result<_, _>>()?;
    let oid = |text: &str| text.parse::<Oid<'static>>().ok();
    let (of_uptime, of_trap) = (oid(UPTIME), oid(TRAP));
    let find = |wanted: &Option<Oid<'static>>| {
        varbinds.iter().find(|(oid, _)| Some(oid) == wanted.as_ref()).map(|(_, value)| value.value())
    };
    let trap = match find(&of_trap) {
        Some(Value::ObjectId(oid)) => Some(oid.into_owned()),
        _ => None,
    };
    if trap.is_none() && v1.is_none() {
        return Err(Unreadable::Trap);
    }
    let uptime = match find(&of_uptime) {
        Some(Value::TimeTicks(ticks)) => Some(ticks),
        _ => None,
    };
    let others =
        varbinds.iter().filter(|(oid, _)| Some(oid) != of_uptime.as_ref() && Some(oid) != of_trap.as_ref());
    let notification = Notification {
        version: if v1.is_some() { Version::V1 } else { Version::V2c },
        kind: NotificationKind::Trap,
        community: b"",
        proxied_community: None,
        security: None,
        request_id: 0,
        // Of v1 the packet says it by enterprise and numbers.
        oid: trap.or(of_trap.clone()).ok_or(Unreadable::Trap)?,
        enterprise: v1.as_ref().map(|(_, trap)| trap.enterprise.clone()),
        agent: v1.as_ref().and_then(|(agent, _)| *agent),
        generic: v1.as_ref().map(|(_, trap)| trap.generic),
        specific: v1.as_ref().map(|(_, trap)| trap.specific),
        uptime: v1.as_ref().map_or(uptime, |(_, trap)| trap.uptime),
        varbinds: others.map(|(oid, value)| Varbind { oid: oid.borrowed(), value: value.value() }).collect(),
    };
    Ok(encode::encode(&notification))
}

/// The parts between tabs and line ends, but not within quotes.
fn pieces(rest: &str) -> Vec<String> {
    let (mut all, mut piece, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in rest.chars() {
        match c {
            '\n' | '\t' if !quoted => all.push(std::mem::take(&mut piece)),
            _ => {
                quoted ^= c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                piece.push(c);
            }
        }
    }
    all.push(piece);
    all.iter().map(|piece| piece.trim().to_owned()).filter(|piece| !piece.is_empty()).collect()
}

/// The second line of a trap of v1.
struct Generic {
    enterprise: Oid<'static>,
    generic: i32,
    specific: i32,
    uptime: Option<u32>,
}

/// `SNMPv2-SMI::enterprises.8072 Enterprise Specific Trap (17) Uptime: 0:00:12.34`
fn generic(line: &str, mib: &Mib) -> Result<Generic, Unreadable> {
    let (enterprise, rest) = line.split_once(' ').ok_or(Unreadable::Trap)?;
    let (words, rest) = rest.split_once(" Trap (").ok_or(Unreadable::Trap)?;
    let (specific, rest) = rest.split_once(')').ok_or(Unreadable::Trap)?;
    let generic = GENERIC.iter().position(|name| *name == words.trim()).ok_or(Unreadable::Trap)?;
    let uptime = rest.split_once("Uptime: ").and_then(|(_, time)| ticks(time.trim()));
    Ok(Generic {
        enterprise: resolve(enterprise, mib)?,
        generic: generic as i32,
        specific: specific.trim().parse().map_err(|_| Unreadable::Trap)?,
        uptime,
    })
}

/// `1 day, 0:02:03.45`, or without days.
fn ticks(time: &str) -> Option<u32> {
    let (days, time) = match time.split_once(" day") {
        Some((days, rest)) => (days.trim().parse::<u64>().ok()?, rest.split_once(' ')?.1),
        None => (0, time),
    };
    let (time, hundredths) = time.split_once('.')?;
    let parts: Vec<u64> = time.split(':').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    let &[hours, minutes, seconds] = parts.as_slice() else { return None };
    let total = days.checked_mul(86_400)?.checked_add(hours.checked_mul(3600)?)?;
    let total = total.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
    u32::try_from(total.checked_mul(100)?.checked_add(hundredths.parse().ok()?)?).ok()
}

fn resolve(name: &str, mib: &Mib) -> Result<Oid<'static>, Unreadable> {
    let numbers = name.strip_prefix("iso.").map_or_else(|| name.to_owned(), |rest| format!("1.{rest}"));
    let known = mib.resolve(numbers.trim_start_matches('.'));
    let well_known = || {
        let text = match name.rsplit("::").next().unwrap_or(name) {
            "sysUpTimeInstance" | "sysUpTime.0" => UPTIME,
            "snmpTrapOID.0" => TRAP,
            "snmpTraps" => "1.3.6.1.6.3.1.1.5",
            _ => return None,
        };
        text.parse().ok()
    };
    known.or_else(well_known).ok_or_else(|| Unreadable::Name(name.to_owned()))
}

fn varbind(piece: &str, mib: &Mib) -> Result<(Oid<'static>, Typed), Unreadable> {
    let wrong = || Unreadable::Varbind(piece.to_owned());
    let (name, value) = piece.split_once(" = ").ok_or_else(wrong)?;
    Ok((resolve(name.trim(), mib)?, typed(value.trim(), mib)?.ok_or_else(wrong)?))
}

/// A value with its type before it; none if it is of another form.
fn typed(text: &str, mib: &Mib) -> Result<Option<Typed>, Unreadable> {
    // net-snmp's remark where the type is not that of the module.
    let text = match text.strip_prefix("Wrong Type (should be ") {
        Some(rest) => rest.split_once("): ").map_or(text, |(_, rest)| rest),
        None => text,
    };
    if text == "\"\"" {
        return Ok(Some(Typed::Octets(Vec::new())));
    }
    if text == "NULL" {
        return Ok(Some(Typed::Other(Value::Null)));
    }
    let Some((kind, value)) = text.split_once(':') else { return Ok(None) };
    let value = value.trim();
    // A unit may follow: `5 seconds`.
    let number = value.split_whitespace().next().unwrap_or_default();
    let octets = |text: &str| {
        let digits: String = text.split_whitespace().take_while(|word| word.len() == 2).collect();
        HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok().map(Typed::Octets)
    };
    let other = match kind {
        "STRING" => return Ok(Some(Typed::Octets(unquoted(value).into_bytes()))),
        "Hex-STRING" | "BITS" => return Ok(octets(value)),
        "OID" => Some(Value::ObjectId(resolve(value, mib)?)),
        "INTEGER" => enumerated(number).and_then(|number| number.parse().ok()).map(Value::Integer),
        "Counter32" => number.parse().ok().map(Value::Counter32),
        "Gauge32" | "Unsigned32" | "UInteger32" => number.parse().ok().map(Value::Gauge32),
        "Counter64" => number.parse().ok().map(Value::Counter64),
        "IpAddress" => value.parse().ok().map(Value::IpAddress),
        "Network Address" => address(value).map(Value::IpAddress),
        "Timeticks" => {
            let ticks = value.strip_prefix('(').and_then(|rest| rest.split_once(')'));
            ticks.and_then(|(ticks, _)| ticks.parse().ok()).map(Value::TimeTicks)
        }
        _ => None,
    };
    Ok(other.map(Typed::Other))
}

/// `up(1)` is 1.
fn enumerated(text: &str) -> Option<&str> {
    match text.split_once('(') {
        Some((_, number)) => number.strip_suffix(')'),
        None => Some(text),
    }
}

/// `C0:00:02:01`
fn address(text: &str) -> Option<Ipv4Addr> {
    let octets: Vec<u8> =
        text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect::<Option<_>>()?;
    <[u8; 4]>::try_from(octets).ok().map(Ipv4Addr::from)
}

/// A text without its quotes, and without backslashes before quotes and backslashes.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(&next @ ('"' | '\\'))) => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[path = "printed_tests.rs"]
mod tests;
