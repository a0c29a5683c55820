//! How much each sender may send: `[storm]`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::intake::listener::Protocol;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::{count, network, parse_all};
use crate::snmp;

/// `[storm]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many messages a second a sender may send.
    pub rate: u64,
    /// From how many a second on only a sample is decoded.
    pub hard: u64,
    /// Senders without a limit.
    pub except: Vec<IpNet>,
    /// The service of the results about storms.
    pub service: String,
}

/// Reads `[storm]`.
pub fn read(section: Section<'_, '_>, found: &mut Diagnostics) -> Settings {
    let rate = count(&section, "rate", 1..=1_000_000, found).unwrap_or(1000) as u64;
    let hard =
        count(&section, "hard", 1..=10_000_000, found).map_or(rate.saturating_mul(10), |hard| hard as u64);
    if hard < rate {
        found.push(
            section.error("'hard' is below 'rate'", "set hard to a rate above it, such as ten times as much"),
        );
    }
    let except = section.strings("except", found).map(|all| parse_all(&section, all, network, found));
    let service = section.string("service", found);
    if let Some(empty) = service.as_ref().filter(|service| service.value.trim().is_empty()) {
        let hint = Some("name it as the monitoring core does".to_owned());
        found.push(section.source().error(&empty.span, "'service' is empty", hint));
    }
    let service = service.map_or_else(|| "Message storm".to_owned(), |service| service.value);
    section.finish(found);
    Settings { rate, hard: hard.max(rate), except: except.unwrap_or_default(), service }
}

impl Settings {
    /// Whether a sender has no limit.
    pub fn excepts(&self, address: IpAddr) -> bool {
        self.except.iter().any(|network| network.contains(&address))
    }
}

/// What messages are limited by themselves: what is forged in the name of a sender must not take the place of what it has proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// SNMPv1.
    V1,
    /// SNMPv2c.
    V2c,
    /// SNMPv3 that a key proves and that is no copy: nobody else can have sent it.
    V3,
    /// SNMPv3 that proves nothing.
    UnprovenV3,
    /// What is no message of SNMP.
    Malformed,
    /// Syslog.
    Syslog,
}

impl What {
    /// All of them.
    pub const ALL: [What; 6] =
        [What::V1, What::V2c, What::V3, What::UnprovenV3, What::Malformed, What::Syslog];

    /// Of a datagram, by its first octets, which prove nothing.
    pub fn of(protocol: Protocol, octets: &[u8]) -> What {
        match protocol {
            Protocol::Syslog | Protocol::Http => What::Syslog,
            Protocol::Snmp => match snmp::decode::version_number(octets) {
                Some(0) => What::V1,
                Some(1) => What::V2c,
                Some(3) => What::UnprovenV3,
                _ => What::Malformed,
            },
        }
    }

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            What::V1 => "SNMPv1",
            What::V2c => "SNMPv2c",
            What::V3 => "SNMPv3",
            What::UnprovenV3 => "unauthenticated SNMPv3",
            What::Malformed => "malformed SNMP",
            What::Syslog => "syslog",
        }
    }
}
