//! A captured message as bytes.
//!
//! ```text
//! received 8 (microseconds, little-endian)   address 1 (4 or 6) and its octets
//! kind 1 (1 packet, 2 scoped PDU, 3 line,    flags 1 (1: tags, 2: relay, 4: of its engine, 8: its end is missing)
//! tags, if flagged: how many, then texts     scoped PDU: level 1, user as a text
//! the message, to the end
//! texts and counts: LEB128, then UTF-8
//! ```

use std::net::IpAddr;

use unsigned_varint as varint;

use crate::message::{Message, SecurityLevel, Source};
use crate::snmp::{self, DecodeError};

const PACKET: u8 = 1;
const SCOPED: u8 = 2;
const LINE: u8 = 3;
const POSTED: u8 = 4;
const TAGS: u8 = 1;
const RELAY: u8 = 2;
const OF_ENGINE: u8 = 4;
const CUT: u8 = 8;
/// The most tags that are read.
const MAX_TAGS: usize = 10_000;

/// A message that rules saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was received, in microseconds since 1970 UTC.
    pub received: i64,
    /// Who sent it.
    pub from: IpAddr,
    /// The tags of the rules that it might reach; none for all rules.
    pub tags: Option<Vec<&'a str>>,
    /// The message.
    pub body: Body<'a>,
}

/// A message as it came, without what is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// A packet of SNMP v1 or v2c without its community.
    Packet(&'a [u8]),
    /// The content of the scoped PDU of a message of v3, decrypted, and who sent it.
    Scoped {
        /// The content.
        content: &'a [u8],
        /// The user.
        user: &'a str,
        /// How it was secured.
        level: SecurityLevel,
        /// Whether the user might speak for other hosts.
        relay: bool,
        /// Whether the user might speak for the engine of the message.
        of_engine: bool,
    },
    /// A line of syslog.
    Line {
        /// The line.
        text: &'a str,
        /// Whether its end is missing.
        cut: bool,
    },
    /// What was posted, as [`written`](crate::posted::kept::written) writes it.
    Posted(&'a str),
}

impl<'a> Entry<'a> {
    /// Appends the bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.received.to_le_bytes());
        match self.from {
            IpAddr::V4(address) => {
                out.push(4);
                out.extend(address.octets());
            }
            IpAddr::V6(address) => {
                out.push(6);
                out.extend(address.octets());
            }
        }
        let (kind, mut flags) = match self.body {
            Body::Packet(_) => (PACKET, 0),
            Body::Scoped { relay, of_engine, .. } => {
                (SCOPED, (u8::from(relay) * RELAY) | (u8::from(of_engine) * OF_ENGINE))
            }
            Body::Line { cut, .. } => (LINE, u8::from(cut) * CUT),
            Body::Posted(_) => (POSTED, 0),
        };
        flags |= u8::from(self.tags.is_some()) * TAGS;
        out.extend([kind, flags]);
        if let Some(tags) = &self.tags {
            push_number(out, tags.len());
            for tag in tags {
                push_text(out, tag);
            }
        }
        match self.body {
            Body::Packet(octets) => out.extend(octets),
            Body::Scoped { content, user, level, .. } => {
                out.push(level as u8);
                push_text(out, user);
                out.extend(content);
            }
            Body::Line { text, .. } | Body::Posted(text) => out.extend(text.as_bytes()),
        }
    }

    /// Reads the bytes; none if they are no entry.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let received = i64::from_le_bytes(*take(&mut rest, 8)?.first_chunk()?);
        let from = match take(&mut rest, 1)?[0] {
            4 => IpAddr::from(*take(&mut rest, 4)?.first_chunk::<4>()?),
            6 => IpAddr::from(*take(&mut rest, 16)?.first_chunk::<16>()?),
            _ => return None,
        };
        let (kind, flags) = (take(&mut rest, 1)?[0], take(&mut rest, 1)?[0]);
        let tags = if flags & TAGS == 0 {
            None
        } else {
            let count = Some(number(&mut rest)?).filter(|count| *count <= MAX_TAGS)?;
            Some((0..count).map(|_| text(&mut rest)).collect::<Option<Vec<&str>>>()?)
        };
        let body = match kind {
            PACKET => Body::Packet(rest),
            SCOPED => {
                let level = *SecurityLevel::ALL.get(usize::from(take(&mut rest, 1)?[0]))?;
                let user = text(&mut rest)?;
                let (relay, of_engine) = (flags & RELAY != 0, flags & OF_ENGINE != 0);
                Body::Scoped { content: rest, user, level, relay, of_engine }
            }
            LINE => Body::Line { text: str::from_utf8(rest).ok()?, cut: flags & CUT != 0 },
            POSTED => Body::Posted(str::from_utf8(rest).ok()?),
            _ => return None,
        };
        Some(Entry { received, from, tags, body })
    }

    /// Where it came from, and when.
    pub fn source(&self) -> Source {
        Source { peer: (self.from, 0).into(), received: self.received }
    }

    /// The notification; none for a line and for what was posted.
    ///
    /// # Errors
    ///
    /// If the packet cannot be decoded, as one of another release may be.
    pub fn notification(&self) -> Option<Result<Message<'a>, DecodeError>> {
        let decoded = match self.body {
            Body::Packet(packet) => snmp::decode(packet),
            Body::Scoped { content, user, level, relay, of_engine } => {
                snmp::decode_scoped(content, user, level).map(|mut decoded| {
                    if let Some(security) = &mut decoded.notification.security {
                        (security.relay, security.of_engine) = (relay, of_engine);
                    }
                    decoded
                })
            }
            Body::Line { .. } | Body::Posted(_) => return None,
        };
        Some(decoded.map(|decoded| Message::Notification(decoded.notification)))
    }
}

fn push_number(out: &mut Vec<u8>, number: usize) {
    out.extend(varint::encode::usize(number, &mut varint::encode::usize_buffer()));
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_number(out, text.len());
    out.extend(text.as_bytes());
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = varint::decode::usize(rest).ok()?;
    *rest = after;
    Some(number)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = number(rest)?;
    str::from_utf8(take(rest, length)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            received in any::<i64>(),
            from in any::<IpAddr>(),
            tags in prop::option::of(prop::collection::vec("[a-zä]{0,9}", 0..4)),
            content in prop::collection::vec(any::<u8>(), 0..300),
            line in "\\PC{0,60}",
            (kind, level, relay, of_engine) in (0..4usize, 0..3usize, any::<bool>(), any::<bool>()),
        ) {
            let level = SecurityLevel::ALL[level];
            let body = match kind {
                0 => Body::Packet(&content),
                1 => Body::Scoped { content: &content, user: &line, level, relay, of_engine },
                2 => Body::Line { text: &line, cut: relay },
                _ => Body::Posted(&line),
            };
            let tags = tags.as_ref().map(|tags| tags.iter().map(String::as_str).collect());
            let entry = Entry { received, from, tags, body };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            prop_assert_eq!(Entry::decode(&bytes), Some(entry));
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Entry::decode(&bytes).map(|entry| entry.notification().map(|decoded| decoded.is_ok()));
        }
    }
}
