//! Why a message was refused, and what in the configuration would let its sender in. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::intake::listener::Protocol;
use crate::message::{Notification, SecurityLevel, Version};
use crate::settings::section::quoted;
use crate::snmp::DecodeError;
use crate::snmp::access::{Access, Denied, knows};
use crate::snmp::usm::{UsmError, open};

/// Why a message was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Its sender is not in `allow`.
    Source(Protocol),
    /// Its version is switched off.
    Version(Version),
    /// Its community, masked, is none of those that are accepted.
    Community(Box<str>),
    /// No `[[snmp.access]]` is for it.
    Grant {
        /// The user of v3, with the level of the message.
        user: Option<(Box<str>, SecurityLevel)>,
    },
    /// There are no users, and this is the one that the message names.
    NoUsers(Option<Box<str>>),
    /// The security of v3 refuses it.
    V3(UsmError),
    /// It cannot be decoded.
    Malformed(&'static str),
    /// What it posts is not taken.
    Post(&'static str),
}

/// What would let a sender in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What is to be done, for people.
    pub words: String,
    /// What is to be written into the configuration, and into which table; none if no line there would help.
    pub toml: Option<Toml>,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toml {
    /// The table that the lines belong to; none if they begin one.
    pub table: Option<&'static str>,
    /// The lines.
    pub lines: String,
}

/// Communities that are no secret.
const WELL_KNOWN: [&[u8]; 2] = [b"public", b"private"];

impl Refusal {
    /// Why access control refuses a notification.
    pub fn of_notification(denied: Denied, notification: &Notification<'_>) -> Self {
        match denied {
            Denied::Source => Refusal::Source(Protocol::Snmp),
            Denied::Version(version) => Refusal::Version(version),
            Denied::Community => Refusal::Community(masked(notification.community).into()),
            Denied::Grant => {
                let user = notification.security.as_ref().map(|v3| (v3.user.into(), v3.level));
                Refusal::Grant { user }
            }
        }
    }

    /// Why a packet cannot be decoded.
    pub fn of_packet(error: &DecodeError, packet: &[u8]) -> Self {
        match error {
            DecodeError::V3 => Refusal::NoUsers(open::claimed_user(packet).map(Into::into)),
            DecodeError::Usm(why) => Refusal::V3(why.clone()),
            other => Refusal::Malformed(DecodeError::REASONS[other.index()]),
        }
    }

    /// The word by which it is counted elsewhere, too.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::Source(_) => Denied::Source.reason(),
            Refusal::Version(version) => Denied::Version(*version).reason(),
            Refusal::Community(_) => Denied::Community.reason(),
            Refusal::Grant { .. } => Denied::Grant.reason(),
            Refusal::NoUsers(_) => "v3",
            Refusal::V3(why) => why.reason(),
            Refusal::Malformed(reason) | Refusal::Post(reason) => reason,
        }
    }

    /// What would let this sender in, with the access and the `[syslog] allow` that are in force.
    pub fn advice(&self, from: IpAddr, access: &Access, syslog_allow: Option<&[IpNet]>) -> Advice {
        match self {
            Refusal::Source(protocol) => {
                let (table, allow) = match protocol {
                    Protocol::Snmp => ("[snmp]", access.allow.as_deref()),
                    Protocol::Syslog => ("[syslog]", syslog_allow),
                    Protocol::Http => {
                        return Advice::none("it is in none of the networks in allow of [[intake]]; add it there".to_owned());
                    }
                };
                if knows(allow, from) {
                    return Advice::by_now();
                }
                let networks = allow.unwrap_or_default().iter().map(shown);
                let lines = format!("allow = {}", list(networks.chain([from.to_string()])));
                Advice::with(Some(table), lines, "it is in none of the networks that may send".to_owned())
            }
            Refusal::Version(version) => {
                let on = access.versions.as_deref().unwrap_or_default();
                if access.versions.is_none() || on.contains(version) {
                    return Advice::by_now();
                }
                let words = format!("SNMP version {} is switched off", version.as_str());
                let all = on.iter().chain([version]).map(|version| version.as_str().to_owned());
                Advice::with(Some("[snmp]"), format!("versions = {}", list(all)), words)
            }
            Refusal::Community(community) => Advice {
                words: format!(
                    "its community, {community}, is none of those in [snmp] communities: correct it on the device, or add it there or as a \
                     line of communities_file"
                ),
                toml: WELL_KNOWN.contains(&community.as_bytes()).then(|| Toml {
                    table: Some("[snmp]"),
                    lines: format!("communities = [\"{community}\"]   # and those that are there"),
                }),
            },
            Refusal::Grant { user: None } => Advice::with(
                None,
                format!("[[snmp.access]]\nfrom = [\"{from}\"]"),
                "no [[snmp.access]] is for it; add tags to give it a part of the rules".to_owned(),
            ),
            Refusal::Grant { user: Some((user, level)) } => Advice::with(
                None,
                format!("[[snmp.access]]\nusers = [{}]\nfrom = [\"{from}\"]", quoted(user)),
                format!(
                    "no [[snmp.access]] is for the user '{user}' with {}; add tags to give it a part of the rules",
                    level.as_str()
                ),
            ),
            Refusal::NoUsers(user) => match user {
                Some(user) => Advice::with(
                    None,
                    user_lines(user, None),
                    format!(
                        "it sends SNMPv3, for which there are no users here; write the protocols of the device's user '{user}', and the \
                         passwords into the files"
                    ),
                ),
                None => Advice::none(
                    "it sends SNMPv3, for which there are no users here; add [[snmp.users]]".to_owned(),
                ),
            },
            Refusal::V3(UsmError::User(user)) => Advice::with(
                None,
                user_lines(user, None),
                format!(
                    "the SNMPv3 user '{user}' is not configured; write the device's protocols, and the passwords into the files"
                ),
            ),
            Refusal::V3(why @ UsmError::Bound { user, engine }) => {
                Advice::with(None, user_lines(user, Some(engine)), why.to_string())
            }
            Refusal::V3(why) => Advice::none(why.to_string()),
            Refusal::Post("token") => Advice::none(
                "it reports for a service that no [[intake.checkin]] has, or with another token; correct it there".to_owned(),
            ),
            Refusal::Post(reason) => {
                Advice::none(format!("what it posts is not taken ({reason}); the answer to it says why"))
            }
            Refusal::Malformed(reason) => Advice::none(format!(
                "what it sends is no SNMP notification ({reason}); `trapline unmatched` has the packets"
            )),
        }
    }
}

impl Advice {
    fn with(table: Option<&'static str>, lines: String, words: String) -> Self {
        Advice { words, toml: Some(Toml { table, lines }) }
    }

    fn none(words: String) -> Self {
        Advice { words, toml: None }
    }

    fn by_now() -> Self {
        Self::none("the configuration has changed since: it may send by now".to_owned())
    }
}

/// A community so that whoever knows it recognises it, and nobody learns it.
fn masked(community: &[u8]) -> String {
    match (community, std::str::from_utf8(community)) {
        ([], _) => "an empty one".to_owned(),
        (_, Ok(text)) if WELL_KNOWN.contains(&community) => text.to_owned(),
        _ => format!("one of {} octets", community.len()),
    }
}

fn shown(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn list(texts: impl Iterator<Item = String>) -> String {
    let quoted: Vec<String> = texts.map(|text| format!("\"{text}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

fn user_lines(user: &str, engine: Option<&str>) -> String {
    // A name of a file that holds whatever the sender calls its user.
    let file: String = user.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let engine = engine.map(|engine| format!("\nengine = \"0x{engine}\"")).unwrap_or_default();
    format!(
        "[[snmp.users]]\nname = {}{engine}\nauth = \"SHA-256\"\nauth_password_file = \"{file}.auth\"\npriv = \"AES-128\"\n\
         priv_password_file = \"{file}.priv\"",
        quoted(user)
    )
}
